"""The timeline as SVG: one lane per session, the order of events downward, who waited for whom as arrows.

Rows follow the order in which things happened, not the clock: a deadlock's second of waiting would push everything
else off the page. The elapsed milliseconds stand beside each row instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.answers import TransactionEnd
from harness.evidence.model import Evidence
from harness.report import machines, words
from harness.report.columns import fold
from harness.report.lanes import FILL, LEFT, Cards, Dots, Lanes
from harness.report.reading import (
    SYMBOL,
    Look,
    Part,
    Row,
    Span,
    StepRun,
    look,
    markers,
    marks_of,
    rows,
    sessions,
    step_runs,
    transactions,
)
from harness.report.svg import SERVERS, Canvas, fit, text_width

MOST_CARDS = 6  # sessions; more would make a page nobody scrolls over
MOST_ROWS = 600
_MARGIN = 18
_LINE = 16


@dataclass(frozen=True, slots=True)
class _Placed:
    row: Row
    top: float
    height: float
    marks: list[str]
    how: TransactionEnd | None

    @property
    def bottom(self) -> float:
        return self.top + self.height


def timeline_svg(evidence: Evidence) -> str:
    """Draw the timeline of a case as a self-contained SVG, for light and dark.

    Up to six sessions get a lane of cards each; more get narrow lanes with their words to the right. Marks A1, D1…
    at the events that prove something are explained below the lanes.
    """
    return _Timeline(evidence).draw()


class _Timeline:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._history = history = evidence.history
        names = sessions(history)
        self._lanes: Lanes = Cards(history, names) if len(names) <= MOST_CARDS else Dots(history, names)
        self._names = names
        self._width = max(self._lanes.width + _MARGIN, 560)
        self._runs = step_runs(history)
        self._spans = transactions(history, self._runs)
        # Transactions of one session on several servers lie in each other.
        self._servers = list(dict.fromkeys(words.server_of(history, span.database) for span in self._spans))
        title = f"Timeline of {words.one_line(history.title) or history.case}"
        description = (
            f"{len(names)} sessions ({', '.join(names)}), {len(history.events)} events in their order from top to "
            f"bottom. {evidence.verdict.status.value}: {evidence.verdict.summary}"
        )
        self._canvas = Canvas(
            title, description, f"timeline {evidence.run} {history.file} {history.case} {history.schedule}"
        )

    def draw(self) -> str:
        canvas = self._canvas
        canvas.text(_MARGIN, 26, fit(self._history.title, self._width - 36, 14, bold=True), "f-ink bold big")
        under = ", ".join([*words.servers(self._history).values(), words.levels(self._history)])
        top = 44.0
        cells = int((self._width - 36) / text_width("x", 11))
        order = fold(machines.ORDER_ALONE, cells) if self._history.hosts else []
        for line in [*fold(words.clean(under), cells, 3), *order]:
            canvas.text(_MARGIN, top, line, "f-soft small")
            top += _LINE
        top += 6
        head = top + self._lanes.header(canvas, top)
        canvas.text(LEFT - 14, head - 8, "ms", "f-soft small", text_anchor="end")
        placed, bottom = self._place(head + 6)
        self._ground(placed, head, bottom)
        by_seq = {event.seq: place for place in placed for event in place.row.events}
        for span in self._spans:
            self._band(span, by_seq, bottom)
        runs = {id(run): run for run in self._runs.values()}
        waiting = [run for run in runs.values() if run.blocked]
        for run in waiting:
            self._bar(run, by_seq, bottom)
        for place in placed:
            self._row(place)
        for run in waiting:
            self._wait_arrows(run, by_seq)
        for run in waiting:
            self._release_arrow(run, by_seq)
        bottom = self._proofs(bottom + 14)
        bottom = self._key(bottom + 10, {look(place.row.last) for place in placed if place.row.run}, waiting)
        return canvas.render(self._width, bottom + 12)

    def _place(self, top: float) -> tuple[list[_Placed], float]:
        marks = markers(self._evidence)
        ends = {span.last: span.how for span in self._spans}
        placed = []
        everything = rows(self._history, self._runs)
        for row in everything[:MOST_ROWS]:
            if row.part is Part.cycle:
                placed.append(_Placed(row, top, 22, [], None))
            else:
                how = next((ends[e.seq] for e in row.events if ends.get(e.seq)), None)
                its = marks_of(row, marks)
                placed.append(_Placed(row, top, self._lanes.height(row, its, how), its, how))
            top = placed[-1].bottom + self._lanes.gap()
        if len(everything) > MOST_ROWS:
            left = f"… {len(everything) - MOST_ROWS} more rows: see evidence.json"
            self._canvas.text(LEFT, top + 14, left, "f-soft bold")
            top += 24
        return placed, top

    def _ground(self, placed: list[_Placed], top: float, bottom: float) -> None:
        for place in placed[1::2]:
            self._canvas.rect(0, place.top - 4, self._width, place.height + 8, "f-zebra")
        for name in self._names:
            x = self._lanes.middle(name)
            self._canvas.path(f"M{x:.1f} {top:.1f} V{bottom:.1f}", "s-faint")

    def _band(self, span: Span, by_seq: dict[int, _Placed], bottom: float) -> None:
        if span.first not in by_seq:
            return
        top = by_seq[span.first].top - 3
        end = by_seq[span.last].bottom + 3 if span.last in by_seq else bottom
        place = self._servers.index(words.server_of(self._history, span.database))
        half = self._lanes.half + (9 if self._lanes.half > 20 else 4) - 3 * min(place, 2)
        x = self._lanes.middle(span.session) - half
        aborted = span.how is TransactionEnd.aborted
        edge = "red-ink" if aborted else "band-edge"
        dashes = "5 3" if aborted else "" if span.how else "2 3"
        self._canvas.group(f"transaction of {span.session} @{span.database}: {span.how.value if span.how else 'open'}")
        self._canvas.rect(x, top, 2 * half, end - top, f"f-band s-{edge}", rx=8, stroke_dasharray=dashes)
        self._canvas.end()

    def _bar(self, run: StepRun, by_seq: dict[int, _Placed], bottom: float) -> None:
        if run.blocked[0].seq not in by_seq:
            return
        top = by_seq[run.blocked[0].seq].bottom
        end = by_seq[run.end.seq].top if run.end and run.end.seq in by_seq else bottom
        x = self._lanes.middle(run.session) + self._lanes.bar_offset - self._lanes.bar / 2
        canvas = self._canvas
        canvas.group(f"{run.session}: {run.label} {words.waits_for(run.waits_for)}")
        canvas.rect(x, top - 1, self._lanes.bar, end - top + 2, "s-amber-edge", fill=canvas.hatch())
        canvas.end()

    def _row(self, place: _Placed) -> None:
        canvas, row = self._canvas, place.row
        stamp = words.milliseconds(row.at)
        middle = place.top + (17 if self._lanes.half > 20 and row.run else 13)
        canvas.text(LEFT - 14, middle, stamp, "f-soft mono", text_anchor="end")
        if row.picture is None:
            self._lanes.draw(canvas, row, place.top, place.marks, place.how)
            return
        said = f"⟲ cycle  {words.cycle(row.picture.cycle)}"
        if row.picture.seen_by_server is False:
            said += "   no server can see it"
        width = self._lanes.lanes_end - LEFT if self._lanes.half > 20 else self._lanes.width - LEFT
        canvas.rect(LEFT, place.top, width, 22, "f-red s-red-ink", rx=11)
        canvas.text(LEFT + 14, place.top + 15, fit(said, width - 28, 12, bold=True), "f-red-ink bold")

    def _wait_arrows(self, run: StepRun, by_seq: dict[int, _Placed]) -> None:
        for event in run.blocked:
            here = by_seq.get(event.seq)
            if here is None:
                continue
            others = [name for name in event.waits_for if name in self._names]
            for i, holder in enumerate(others):
                start, end = self._edges(run.session, holder)
                y = here.top + here.height / 2 + 6 * i
                self._canvas.path(
                    f"M{start:.1f} {y:.1f} H{end:.1f}",
                    "s-amber-edge",
                    stroke_width=1.8,
                    stroke_dasharray="5 3",
                    marker_end=self._canvas.arrow("amber-edge"),
                )

    def _release_arrow(self, run: StepRun, by_seq: dict[int, _Placed]) -> None:
        if not (run.released_by and run.end):
            return
        giver, taker = by_seq.get(run.released_by.seq), by_seq.get(run.end.seq)
        if giver is None or taker is None or run.released_by.session == run.session:
            return
        start, _ = self._edges(run.released_by.session, run.session)
        middle = self._lanes.middle(run.session)
        if self._lanes.half > 20:
            middle += self._lanes.half * 0.35
        elif giver.row.session != run.session:
            middle += 0 if abs(start - middle) < 12 else (-3 if start < middle else 3)
        y = giver.top + min(giver.height / 2, 18)
        there = taker.top if giver.top < taker.top else taker.bottom
        self._canvas.path(
            f"M{start:.1f} {y:.1f} H{middle:.1f} V{there:.1f}",
            "s-teal",
            stroke_width=1.8,
            stroke_linejoin="round",
            marker_end=self._canvas.arrow("teal"),
        )

    def _edges(self, origin: str, target: str) -> tuple[float, float]:
        """Where an arrow leaves one lane, and where it meets the other: the edges that face each other."""
        there, here = self._lanes.middle(target), self._lanes.middle(origin)
        side = 1 if there > here else -1
        reach = self._lanes.half + (7 if self._lanes.half > 20 else -4)
        return here + side * self._lanes.half, there - side * reach

    def _proofs(self, top: float) -> float:
        verdict = self._evidence.verdict
        said = [(f"A{i}", words.anomaly_title(a), a.proof) for i, a in enumerate(verdict.anomalies, 1)]
        said += [
            (f"D{i}", words.deadlock_title(d), [words.deadlock_end(d), *d.story])
            for i, d in enumerate(verdict.deadlocks, 1)
        ]
        cells = int((self._width - 2 * _MARGIN - 40) / text_width("x"))
        for mark, title, sentences in said:
            top += 18
            self._canvas.badge(_MARGIN + 28, top, mark)
            self._canvas.text(_MARGIN + 38, top, fit(title, self._width - 80, bold=True), "f-ink bold")
            for sentence in sentences:
                for i, part in enumerate(fold(words.clean(sentence), cells)):
                    top += _LINE
                    self._canvas.text(_MARGIN + (38 if i == 0 else 50), top, part)
            top += 6
        return top

    def _key(self, top: float, shown: set[Look], waiting: list[StepRun]) -> float:
        """What the signs mean: only those that this drawing has."""
        canvas = self._canvas
        canvas.path(f"M{_MARGIN} {top:.1f} H{self._width - _MARGIN:.1f}", "s-faint")
        x, y = float(_MARGIN), top + 22

        def item(said: str, room: float) -> float:
            """The x at which the next sign begins, with its words drawn after it."""
            nonlocal x, y
            need = room + 6 + text_width(said, 11) + 20
            if x + need > self._width - _MARGIN and x > _MARGIN:
                x, y = _MARGIN, y + 22
            canvas.text(x + room + 6, y, said, "f-soft small")
            x += need
            return x - need

        for kind in Look:
            if kind in shown:
                fill, edge, ink = FILL[kind]
                at = item(_KEY.get(kind, kind.value), 20)
                canvas.rect(at, y - 12, 20, 16, f"f-{fill} s-{edge}", rx=4)
                canvas.text(at + 10, y, SYMBOL[kind], f"f-{ink} bold small", text_anchor="middle")
        if waiting:
            at = item("blocked until here", 12)
            canvas.rect(at, y - 12, 12, 16, "s-amber-edge", fill=canvas.hatch())
            at = item("waits for", 30)
            canvas.path(
                f"M{at:.1f} {y - 4:.1f} h30", "s-amber-edge", stroke_width=1.8, stroke_dasharray="5 3",
                marker_end=canvas.arrow("amber-edge"),
            )  # fmt: skip
        if any(run.released_by for run in waiting):
            at = item("let it go on", 30)
            canvas.path(f"M{at:.1f} {y - 4:.1f} h30", "s-teal", stroke_width=1.8, marker_end=canvas.arrow("teal"))
        for how, said in ((TransactionEnd.committed, "transaction"), (TransactionEnd.aborted, "aborted transaction")):
            if any(span.how is how for span in self._spans):
                at = item(said, 20)
                edge, dashes = ("red-ink", "5 3") if how is TransactionEnd.aborted else ("band-edge", "")
                canvas.rect(at, y - 12, 20, 16, f"f-band s-{edge}", rx=5, stroke_dasharray=dashes)
        servers = words.servers(self._history)
        if len(servers) > 1:
            for i, (server, places) in enumerate(servers.items()):
                at = item(f"{places} at {server}", 20)
                canvas.path(f"M{at:.1f} {y - 4:.1f} h20", f"s-{SERVERS[i % len(SERVERS)]}", stroke_width=5)
        return y + 6


_KEY = {
    Look.victim: "deadlock victim",
    Look.conflict: "refused at once",
    Look.waiting: "blocked",
    Look.skipped: "not run",
    Look.running: "begun",
}
