"""Two ways to draw the rows of a timeline: cards in wide lanes for a few sessions, dots in narrow lanes for many.

Both answer the same questions (how high is a row, where is a session's lane, draw this row), so that what connects
the rows (bands, bars, arrows) is drawn once, in :mod:`harness.report.timeline`.
"""

from __future__ import annotations

from typing import Protocol

from harness.answers import TransactionEnd
from harness.history import History
from harness.report import machines, words
from harness.report.columns import fold
from harness.report.reading import SYMBOL, Look, Part, Row, look
from harness.report.svg import SERVERS, Canvas, fit, text_width

LEFT = 66  # where the lanes begin; the elapsed time stands before
LINE = 15

FILL = {
    Look.ok: ("card", "edge", "ink"),
    Look.victim: ("red-solid", "red-solid", "white"),
    Look.error: ("red", "red-ink", "red-ink"),
    Look.conflict: ("orange", "orange-ink", "orange-ink"),
    Look.cancelled: ("purple", "purple-ink", "purple-ink"),
    Look.timeout: ("purple", "purple-ink", "purple-ink"),
    Look.waiting: ("amber", "amber-edge", "amber-ink"),
    Look.held: ("amber", "amber-edge", "amber-ink"),
    Look.overdue: ("purple", "purple-ink", "purple-ink"),
    Look.running: ("card", "edge", "ink"),
    Look.skipped: ("paper", "edge", "soft"),
    Look.notice: ("paper", "faint", "soft"),
}
"""Of each look: the shape's fill, its edge, and the ink in it."""


class Lanes(Protocol):
    """How rows and lanes are laid out and drawn."""

    width: float  # of all the lanes and what stands beside them
    lanes_end: float  # right edge of the last lane
    half: float  # from a lane's middle to the edge of what is drawn in it
    bar: float  # width of a waiting bar
    bar_offset: float  # from a lane's middle to the bar's

    def header(self, canvas: Canvas, top: float) -> float:
        """Draw the sessions' names; returns the height they took."""
        ...

    def middle(self, session: str) -> float:
        """x of the middle of a session's lane."""
        ...

    def height(self, row: Row, marks: list[str], how: TransactionEnd | None) -> float:
        """How high a row's shape is."""
        ...

    def gap(self) -> float:
        """Room between two rows."""
        ...

    def draw(self, canvas: Canvas, row: Row, top: float, marks: list[str], how: TransactionEnd | None) -> None:
        """Draw the row's shape and texts."""
        ...


def tooltip(row: Row) -> str:
    """All of a row's words, uncut."""
    run, event = row.run, row.last
    assert run is not None
    said = [f"{run.session}: {run.label} @{run.database}, {look(event).value}", words.statement(run.start)]
    said += [words.effect(event), words.trouble(event), event.error.detail if event.error else ""]
    if row.part is Part.closing:
        said.append(words.ending(event, run))
    if own := machines.own_time(event):
        said.append(f"on its machine's own clock: {own} UTC")
    return "\n".join(words.clean(part) for part in said if part)


def is_victim(marks: list[str]) -> bool:
    """Whether one of a row's marks is a deadlock's."""
    return any(mark.startswith("D") for mark in marks)


class Cards:
    """A lane wide enough for a card with the step's name, its statement and what it gave."""

    def __init__(self, history: History, names: list[str]) -> None:
        self._lane = 270.0 if len(names) <= 3 else 236.0 if len(names) <= 4 else 206.0
        self._names = {name: i for i, name in enumerate(names)}
        self._history = history
        servers = list(words.servers(history))
        self._server = {d.alias: servers.index(d.server) for d in history.databases} if len(servers) > 1 else {}
        self.half = self._lane / 2 - 16
        self.bar, self.bar_offset = 18.0, -self.half + 22
        self.lanes_end = self.width = LEFT + self._lane * len(names)
        self._cells = int((2 * self.half - 18) / text_width("x", 11, mono=True))
        self._said: dict[int, list[tuple[str, str]]] = {}  # by the row's last event

    def middle(self, session: str) -> float:
        """The x of the middle of a session's lane."""
        return LEFT + self._lane * (self._names[session] + 0.5)

    def gap(self) -> float:
        """Room between two rows."""
        return 9

    def header(self, canvas: Canvas, top: float) -> float:
        """Each session's name; below it the machine that it ran on, if there are several, and the server's own id for it."""
        records = {session.name: session for session in self._history.sessions}
        places, gone = machines.on(self._history), machines.lost(self._history)
        for name in self._names:
            x = self.middle(name)
            shown = fit(words.one_line(name), self._lane - 20, 14, bold=True)
            canvas.text(x, top + 14, shown, "f-ink bold big", text_anchor="middle")
            record = records.get(name)
            pids = list(dict.fromkeys(record.pids.values())) if record else []
            under = [(places.get(name, ""), "f-red-ink" if name in gone else "f-ink")] if places else []
            under.append((", ".join(f"pid {pid}" for pid in pids), "f-soft"))
            for i, (said, ink) in enumerate(under):
                shown = fit(said, self._lane - 12, 11)
                canvas.text(x, top + 29 + LINE * i, shown, f"{ink} small", text_anchor="middle")
        return 23 + LINE * (2 if places else 1)

    def _lines(self, row: Row, marks: list[str]) -> list[tuple[str, str]]:
        """What a card says below its head; asked for its height first, and then to be drawn."""
        said = self._said.get(row.last.seq)
        if said is None:
            said = self._said[row.last.seq] = self._worded(row, marks)
        return said

    def _worded(self, row: Row, marks: list[str]) -> list[tuple[str, str]]:
        run, event = row.run, row.last
        assert run is not None
        shown = look(event)
        ink = FILL[shown][2]
        said: list[tuple[str, str]] = []

        def more(text: str, cls: str, lines: int) -> None:
            if text:
                said.extend([(part, cls) for part in fold(text, self._cells, lines)])

        if row.part is Part.note:
            more(words.remark(event), f"f-{ink} mono", 3)
            return said
        if row.part is Part.closing:
            more(words.ending(event, run, is_victim(marks)), f"f-{ink} small bold", 2)
        elif row.part is not Part.blocks:
            soft = "soft" if shown in (Look.ok, Look.running, Look.waiting, Look.held) else ink
            more(words.asked(run), f"f-{soft} mono", 3)
        more(words.waits(event), f"f-{ink} small bold", 2)
        bold = "" if words.trouble(event) else " bold"
        more(words.given(event, run, code=row.part is not Part.closing), f"f-{ink} mono{bold}", 4)
        for notice in row.notices:
            more(notice, f"f-{'soft' if ink == 'ink' else ink} mono", 2)
        return said

    def height(self, row: Row, marks: list[str], how: TransactionEnd | None) -> float:
        """As high as its lines need."""
        return 26 + LINE * len(self._lines(row, marks)) + (16 if how else 0)

    def draw(self, canvas: Canvas, row: Row, top: float, marks: list[str], how: TransactionEnd | None) -> None:
        """A card: symbol and step, statement, what it gave; below it how it ended its transaction."""
        run = row.run
        assert run is not None
        shown = look(row.last)
        fill, edge, ink = FILL[shown]
        x, width = self.middle(run.session) - self.half, 2 * self.half
        lines = self._lines(row, marks)
        canvas.group(tooltip(row))
        dashes = "4 3" if row.part is Part.note else ""
        height = 24 + LINE * len(lines)
        thick = 2.5 if is_victim(marks) else 1
        edge = "red-solid" if is_victim(marks) else edge
        canvas.rect(x, top, width, height, f"f-{fill} s-{edge}", rx=5, stroke_width=thick, stroke_dasharray=dashes)
        if run.database in self._server and row.part is not Part.note:
            canvas.rect(x, top, 5, height, f"f-{SERVERS[self._server[run.database] % len(SERVERS)]}", rx=2)
        right = x + width - 7
        for mark in reversed(marks):
            right -= canvas.badge(right, top + 17, mark, inverse=shown is Look.victim) + 4
        head = f"{SYMBOL[shown]} {words.one_line(run.label)}"
        if shown is Look.skipped:
            head += ", not run"
        if self._server:
            head += f" @{run.database}"
        canvas.text(x + 11, top + 17, fit(head, right - x - 11, 12, bold=True), f"f-{ink} bold")
        for i, (said, cls) in enumerate(lines):
            canvas.text(x + 11, top + 17 + LINE * (i + 1), said, cls)
        if how:
            colour = "red-ink" if how is TransactionEnd.aborted else "band-ink"
            sign = "✗ aborted" if how is TransactionEnd.aborted else "✓ committed"
            canvas.text(x + width, top + height + 13, sign, f"f-{colour} small bold", text_anchor="end")
        canvas.end()


class Dots:
    """A narrow lane with a dot per row; its words stand in one line to the right of all lanes."""

    _WORDS = 600

    def __init__(self, history: History, names: list[str]) -> None:
        self._lane = 44.0 if len(names) <= 12 else 30.0
        self._names = {name: i for i, name in enumerate(names)}
        self._places, self._gone = machines.on(history), machines.lost(history)
        self.half, self.bar, self.bar_offset = 8.0, 10.0, 0.0
        self.lanes_end = LEFT + self._lane * len(names)
        self.width = self.lanes_end + 14 + self._WORDS

    def middle(self, session: str) -> float:
        """The x of the middle of a session's lane."""
        return LEFT + self._lane * (self._names[session] + 0.5)

    def gap(self) -> float:
        """Room between two rows."""
        return 5

    def header(self, canvas: Canvas, top: float) -> float:
        """Each session's name, upright if it fits over its lane, else on its side and with the machine that it ran on."""
        shown = {name: fit(words.one_line(name), 90, bold=True) for name in self._names}
        places = {name: fit(self._places[name], 110, 11) if name in self._places else "" for name in self._names}
        wide = {name: text_width(text, bold=True) for name, text in shown.items()}
        widest = max(wide[name] + (6 + text_width(text, 11) if text else 0) for name, text in places.items())
        upright = widest <= self._lane - 4
        height = 18.0 if upright else widest + 8
        for name, text in shown.items():
            x, y = self.middle(name), top + height - 4
            if upright:
                canvas.text(x, y, text, "f-ink bold", text_anchor="middle")
            else:
                canvas.text(x + 4, y, text, "f-ink bold", transform=f"rotate(-90 {x + 4:.1f} {y:.1f})")
            if places[name]:
                ink, y = "f-red-ink" if name in self._gone else "f-soft", y - wide[name] - 6
                turned = f"rotate(-90 {x + 4:.1f} {y:.1f})"
                canvas.text(x + 4, y, places[name], f"{ink} small", transform=turned)
        return height + 2

    def height(self, row: Row, marks: list[str], how: TransactionEnd | None) -> float:
        """All rows are one line high."""
        return 18

    def draw(self, canvas: Canvas, row: Row, top: float, marks: list[str], how: TransactionEnd | None) -> None:
        """A dot in the lane, and its words beside all lanes."""
        run, event = row.run, row.last
        assert run is not None
        shown = look(event)
        fill, edge, ink = FILL[shown]
        x, y = self.middle(run.session), top + 9
        canvas.group(tooltip(row))
        canvas.path(f"M{x + 10:.1f} {y:.1f} H{self.lanes_end + 6:.1f}", "s-faint", stroke_dasharray="1 3")
        canvas.circle(x, y, self.half, f"f-{fill} s-{edge}")
        canvas.text(x, y + 4, SYMBOL[shown], f"f-{ink} bold small", text_anchor="middle")
        at = self.lanes_end + 14
        right = self.width
        for mark in reversed(marks):
            right -= canvas.badge(right - 4, y + 4, mark) + 4
        name = fit(words.one_line(run.session), 80, bold=True)
        canvas.text(at, y + 4, name, "f-ink bold")
        at += text_width(name, bold=True) + 8
        ink = "ink" if shown in (Look.ok, Look.running, Look.victim) else ink
        label = fit(words.one_line(run.label), 150)
        canvas.text(at, y + 4, label, f"f-{ink}")
        at += text_width(label) + 10
        canvas.text(at, y + 4, fit(self._words(row, marks, how), right - at - 8, 11, mono=True), f"f-{ink} mono")
        canvas.end()

    def _words(self, row: Row, marks: list[str], how: TransactionEnd | None) -> str:
        run, event = row.run, row.last
        assert run is not None
        if row.part is Part.note:
            return words.remark(event)
        said = [words.ending(event, run, is_victim(marks))] if row.part is Part.closing else []
        said.append(words.waits(event))
        said.append(words.given(event, run, code=row.part is not Part.closing))
        if row.part is not Part.closing:
            said.append(words.asked(run))
        if how is TransactionEnd.aborted:
            said.append("(aborted)")
        return "  ".join(part for part in said if part)
