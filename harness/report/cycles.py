"""A cycle of transactions as SVG: in the order that their dependencies demand, and the one that leads back to the start.

The transactions stand below each other, each with its micro-operations; an arrow says that one must come before the next,
and because of which versions. The last arrow leads back up: that is the contradiction. An anomaly that is no cycle shows its
transactions and the proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.evidence.checker.inference import shown
from harness.evidence.checker.model import Edge, Found, MicroOp, Observed, Status, Transaction
from harness.report import words
from harness.report.columns import fold
from harness.report.svg import Canvas, fit, text_width

_MARGIN = 18
_BOX = 470  # width of a transaction
_SIDE = 236  # right of them: the arrow that leads back, and why
_CHIP = 21  # height of a micro-operation, with the room below it
_MOST_ROWS = 4  # of micro-operations; those that the cycle is about stand first if there are more
_MOST_LINES = 3  # of a reason
_MOST_ELEMENTS = 10  # of a list that was read

COLOURS = {"ww": "server2", "wr": "server1", "rw": "server4", "process": "soft", "realtime": "soft"}
_DASHES = {"ww": "", "wr": "8 4", "rw": "2 4", "process": "10 4 2 4", "realtime": "10 4 2 4"}
_MEANINGS = {
    "ww": "ww: the next one overwrote it",
    "wr": "wr: the next one read it",
    "rw": "rw: did not see what the next one wrote",
    "process": "session: it did the next one later",
    "realtime": "real time: it had ended before the next one began",
}
_SIDES = {"ww": ("write", "write"), "wr": ("write", "r"), "rw": ("r", "write")}
_SAID = {Status.ok: "", Status.fail: "failed", Status.info: "nobody knows what became of it"}


def cycle_svg(found: Found, observed: Observed) -> str:
    """Draw an anomaly as a self-contained SVG, for light and dark: its cycle, or the transactions it lies between."""
    return _Drawing(found, observed).draw()


def chip(op: MicroOp) -> str:
    """A micro-operation as a picture says it: ``append x 5``, ``r x [1 2]``.

    >>> chip(MicroOp("r", "x", (1, 2))), chip(MicroOp("inc", "k", (5, 12)))
    ('r x [1 2]', 'inc k +5 → 12')
    """
    key = words.one_line(str(op.key))
    if op.f == "inc" and isinstance(op.value, tuple) and len(op.value) == 2:
        by, new = op.value
        return f"inc {key} {by:+} → {'?' if new is None else new}"
    return words.one_line(f"{op.f} {key} {_value(op.value)}")


def _value(value: Any) -> str:
    if isinstance(value, tuple) and len(value) > _MOST_ELEMENTS:
        return f"[… {shown(value[-_MOST_ELEMENTS:])[1:]}"
    return shown(value)


def _pill(edge: Edge) -> str:
    if edge.key is None:
        return {"process": "session", "realtime": "real time"}.get(edge.kind, edge.kind)
    return words.one_line(f"{edge.kind} {edge.key}{' (predicate)' if edge.predicate else ''}")


def _versions(edge: Edge) -> str:
    texts = dict.fromkeys(words.one_line(text) for text in (edge.before, edge.after) if text)
    return " → ".join(texts)


@dataclass(slots=True)
class _Box:
    """A transaction as it is drawn: rows of chips, each with whether the cycle is about it."""

    index: int
    transaction: Transaction | None
    rows: list[list[tuple[str, bool]]]
    more: int = 0
    y: float = 0.0

    @property
    def height(self) -> float:
        """In pixels."""
        return 34 + _CHIP * max(len(self.rows) + (self.more > 0), 1)

    @property
    def name(self) -> str:
        """What the proof calls it."""
        return f"T{self.index}" if self.transaction is None else self.transaction.name


class _Drawing:
    def __init__(self, found: Found, observed: Observed) -> None:
        self._found = found
        self._edges = found.cycle
        indexes = [edge.source for edge in found.cycle] or list(dict.fromkeys(found.transactions))
        self._boxes = [self._box(index, _transaction(observed, index)) for index in indexes]
        names = [box.name for box in self._boxes]
        self._way = " → ".join([*names, names[0]]) if self._edges else ", ".join(names)
        self._width = float(2 * _MARGIN + _BOX + (_SIDE if self._edges else 0))
        self._title = words.one_line(f"{found.name}: {found.title}" if found.title else found.name)
        edges = " ".join(
            f"T{edge.source} must come before T{edge.target} ({_pill(edge)}): {edge.because}." for edge in self._edges
        )
        description = edges or " ".join(found.proof) or self._way
        self._canvas = Canvas(
            f"{self._title} between {self._way}", words.one_line(description), f"cycle {observed.source} {found!r}"
        )

    def _box(self, index: int, transaction: Transaction | None) -> _Box:
        ops = transaction.ops if transaction else ()
        told = [(fit(chip(op), _BOX - 44, 11, mono=True), self._concerns(index, op)) for op in ops]
        rows = _rows(told)
        if len(rows) <= _MOST_ROWS:
            return _Box(index, transaction, rows)
        told.sort(key=lambda one: not one[1])
        rows = _rows(told)[:_MOST_ROWS]
        return _Box(index, transaction, rows, len(told) - sum(map(len, rows)))

    def _concerns(self, index: int, op: MicroOp) -> bool:
        """Whether the cycle is about a micro-operation."""
        action = "r" if op.f == "r" else "write"
        for edge in self._edges:
            source, target = _SIDES.get(edge.kind, ("", ""))
            if edge.key == op.key and (
                (edge.source == index and action == source) or (edge.target == index and action == target)
            ):
                return True
        return False

    def draw(self) -> str:
        y = self._head()
        for place, box in enumerate(self._boxes):
            box.y = y
            y += box.height
            if place < len(self._boxes) - 1:
                y += self._room(place)
        for place, box in enumerate(self._boxes):
            self._transaction(box)
            if self._edges and place < len(self._boxes) - 1:
                self._down(self._edges[place], box, self._boxes[place + 1])
        if self._edges:
            y = max(y, self._back(self._edges[-1]))
        return self._canvas.render(self._width, self._foot(y + 14) + 12)

    def _head(self) -> float:
        canvas = self._canvas
        canvas.text(_MARGIN, 26, fit(self._title, self._width - 2 * _MARGIN, 14, bold=True), "f-ink bold big")
        y = 44.0
        if self._edges:
            cells = int((self._width - 2 * _MARGIN) / text_width("x", 11, bold=True))
            for line in fold(f"⟲ {self._way}", cells, 3):
                canvas.text(_MARGIN, y, line, "f-red-ink bold small")
                y += 16
        return y

    def _room(self, place: int) -> float:
        """Between a transaction and the next one."""
        return 42 + 14 * len(self._reason(self._edges[place], _BOX - 70)) if self._edges else 12

    def _reason(self, edge: Edge, width: float) -> list[str]:
        return fold(words.clean(edge.because), int(width / text_width("x", 11)), _MOST_LINES) if edge.because else []

    def _transaction(self, box: _Box) -> None:
        canvas, one = self._canvas, box.transaction
        failed = one is not None and one.status is not Status.ok
        edge = "red-ink" if failed else "edge"
        canvas.group(f"{box.name}{f' of session {one.process}' if one else ''}")
        canvas.rect(
            _MARGIN, box.y, _BOX, box.height, f"f-card s-{edge}", rx=9, stroke_width=1.4,
            stroke_dasharray="5 3" if failed else "",
        )  # fmt: skip
        canvas.text(_MARGIN + 14, box.y + 20, box.name, "f-ink bold")
        x = _MARGIN + 26 + text_width(box.name, bold=True)
        if one is not None:
            said = words.one_line(f"session {one.process}")
            canvas.text(x, box.y + 20, fit(said, 150, 11), "f-soft small")
            state = _SAID[one.status] + (f": {words.one_line(one.error)}" if one.error else "")
            canvas.text(
                _MARGIN + _BOX - 14, box.y + 20, fit(state, _BOX - x - 140, 11, bold=True), "f-red-ink bold small",
                text_anchor="end",
            )  # fmt: skip
        self._chips(box)
        canvas.end()

    def _chips(self, box: _Box) -> None:
        canvas, y = self._canvas, box.y + 29
        for row in box.rows:
            x = float(_MARGIN + 14)
            for said, concerns in row:
                wide = text_width(said, 11, mono=True) + 12
                ground, ink = (
                    ("f-amber s-amber-edge", "f-amber-ink bold") if concerns else ("f-zebra s-faint", "f-soft")
                )
                canvas.rect(x, y, wide, 18, ground, rx=4)
                canvas.text(x + 6, y + 13, said, f"{ink} mono")
                x += wide + 6
            y += _CHIP
        if box.more:
            canvas.text(_MARGIN + 14, y + 13, f"… {box.more} more", "f-soft small")
        elif not box.rows:
            said = "nothing of it is known" if box.transaction else "not in this history"
            canvas.text(_MARGIN + 14, y + 13, said, "f-soft small")

    def _down(self, edge: Edge, above: _Box, below: _Box) -> None:
        canvas, colour = self._canvas, COLOURS[edge.kind]
        x, top, bottom = _MARGIN + 32, above.y + above.height + 2, below.y - 3
        canvas.group(words.one_line(f"{above.name} must come before {below.name}: {edge.because}"))
        canvas.path(
            f"M{x} {top:.1f} V{bottom:.1f}", f"s-{colour}", stroke_width=2.2, stroke_dasharray=_DASHES[edge.kind],
            marker_end=canvas.arrow(colour),
        )  # fmt: skip
        lines = self._reason(edge, _BOX - 70)
        y = (top + bottom) / 2 - 7 * len(lines) + 4
        self._label(edge, x + 18, y, _BOX - 70)
        for line in lines:
            y += 14
            canvas.text(x + 18, y + 3, line, "f-soft small")
        canvas.end()

    def _label(self, edge: Edge, x: float, y: float, width: float) -> None:
        """Its kind and object in a pill, and the versions beside it."""
        canvas = self._canvas
        said = fit(_pill(edge), width - 20, 11, bold=True)
        wide = text_width(said, 11, bold=True) + 14
        canvas.rect(x, y - 12, wide, 16, f"f-card s-{COLOURS[edge.kind]}", rx=8, stroke_width=1.4)
        canvas.text(x + wide / 2, y, said, f"f-{COLOURS[edge.kind]} bold small", text_anchor="middle")
        if (versions := _versions(edge)) and width - wide > 40:
            canvas.text(x + wide + 8, y, fit(versions, width - wide - 8, 11, mono=True), "f-ink mono")

    def _back(self, edge: Edge) -> float:
        """The arrow from the last transaction to the first one; returns where its words end."""
        canvas, colour = self._canvas, COLOURS[edge.kind]
        first, last = self._boxes[0], self._boxes[-1]
        right = _MARGIN + _BOX
        start, end = last.y + last.height / 2, first.y + first.height / 2
        x = right + 30
        corners = f"H{x - 9} Q{x} {start:.1f} {x} {start - 9:.1f} V{end + 9:.1f} Q{x} {end:.1f} {x - 9} {end:.1f}"
        way = f"M{right + 2} {start:.1f} {corners} H{right + 4}"
        if first is last:
            way = f"M{right + 2} {start + 10:.1f} H{x} V{end - 10:.1f} H{right + 4}"
        canvas.group(words.one_line(f"{last.name} must come before {first.name}: {edge.because}"))
        canvas.path(way, "s-halo", stroke_width=10, stroke_linejoin="round", stroke_linecap="round")
        canvas.path(
            way, f"s-{colour}", stroke_width=2.2, stroke_dasharray=_DASHES[edge.kind], marker_end=canvas.arrow(colour)
        )
        width = _SIDE - 50
        reason = self._reason(edge, width)
        versions = _versions(edge)
        said = f"so {last.name} must come before {first.name}: a contradiction"
        verdict = fold(said, int(width / text_width("x", 11, bold=True)), 3)
        tall = 20 + (16 if versions else 0) + 14 * (len(reason) + len(verdict))
        y = max((start + end) / 2 - tall / 2 + 12, first.y + 12)
        x += 14
        canvas.rect(x - 4, y - 16, width + 8, tall + 10, "f-paper", rx=4)
        self._label(edge.model_copy(update={"before": "", "after": ""}), x, y, width)
        if versions:
            y += 19
            canvas.text(x, y, fit(versions, width, 11, mono=True), "f-ink mono")
        y += 4
        for line in reason:
            y += 14
            canvas.text(x, y, line, "f-soft small")
        for line in verdict:
            y += 14
            canvas.text(x, y + 3, line, "f-red-ink bold small")
        canvas.end()
        return y + 6

    def _foot(self, y: float) -> float:
        """What the kinds of arrow mean; of an anomaly that is no cycle, its proof."""
        canvas = self._canvas
        if not self._edges:
            cells = int((self._width - 2 * _MARGIN) / text_width("x", 11))
            proof = self._found.proof  # what comes before "Then:" are the transactions, which stand above
            for sentence in proof[proof.index("Then:") + 1 :] if "Then:" in proof else proof:
                for line in fold(words.clean(sentence), cells, _MOST_LINES):
                    y += 15
                    canvas.text(_MARGIN, y, line, "f-ink small")
            return y
        canvas.path(f"M{_MARGIN} {y:.1f} H{self._width - _MARGIN:.1f}", "s-faint")
        y += 18
        x = float(_MARGIN)
        for kind in dict.fromkeys(edge.kind for edge in self._edges):
            said, colour = _MEANINGS[kind], COLOURS[kind]
            if x + 60 + text_width(said, 11) > self._width:
                x, y = float(_MARGIN), y + 17
            canvas.path(
                f"M{x:.1f} {y - 4:.1f} h30", f"s-{colour}", stroke_width=2.2, stroke_dasharray=_DASHES[kind],
                marker_end=canvas.arrow(colour),
            )  # fmt: skip
            canvas.text(x + 38, y, said, "f-soft small")
            x += 60 + text_width(said, 11)
        return y


def _transaction(observed: Observed, index: int) -> Transaction | None:
    known = observed.transactions
    if 0 <= index < len(known) and known[index].index == index:
        return known[index]
    return next((one for one in known if one.index == index), None)


def _rows(told: list[tuple[str, bool]]) -> list[list[tuple[str, bool]]]:
    """Chips in rows of the box's width."""
    rows: list[list[tuple[str, bool]]] = []
    x = float(_BOX)
    for one in told:
        wide = text_width(one[0], 11, mono=True) + 18
        if x + wide > _BOX - 22:
            rows.append([])
            x = 0.0
        rows[-1].append(one)
        x += wide
    return rows
