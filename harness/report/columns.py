"""The timeline in characters: one column per session, or one line per event where columns would be too narrow.

Every line is a list of pieces, a text and a style each. A terminal paints them, a test's output joins them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.cells import cell_len, set_cell_size

from harness.answers import TransactionEnd
from harness.evidence.model import Evidence
from harness.history import History
from harness.report import machines, words
from harness.report.reading import (
    SYMBOL,
    Look,
    Part,
    Row,
    StepRun,
    look,
    markers,
    marks_of,
    rows,
    sessions,
    transactions,
)

Piece = tuple[str, str]
Line = list[Piece]

STYLE = {
    Look.ok: "green",
    Look.victim: "bold red",
    Look.error: "red",
    Look.conflict: "yellow",
    Look.cancelled: "magenta",
    Look.timeout: "magenta",
    Look.waiting: "yellow",
    Look.held: "yellow",
    Look.overdue: "magenta",
    Look.running: "",
    Look.skipped: "dim",
    Look.notice: "dim",
}

WIDEST = 5  # sessions that still get a column each
_TIME = 8


def fold(text: str, width: int, lines: int = 0) -> list[str]:
    """``text`` in lines of at most ``width`` cells, broken at blanks; after ``lines`` of them it ends with ``…``.

    >>> fold("UPDATE budgets SET amount", 10, 2)
    ['UPDATE', 'budgets S…']
    """
    width = max(width, 2)
    folded: list[str] = []
    rest = " ".join(text.split())
    if rest and len(rest) <= width and rest.isascii() and rest.isprintable():
        return [rest]  # as most are
    while rest:
        if cell_len(rest) <= width:
            folded.append(rest)
            break
        if lines and len(folded) == lines - 1:
            folded.append(cut(rest, width))
            break
        head = set_cell_size(rest, width).rstrip()
        if rest[len(head) : len(head) + 1] != " " and (" " in head):
            head = head[: head.rindex(" ")]
        # A character twice as wide as the room for it would never fit: take it all the same.
        head = head or rest[0]
        folded.append(head)
        rest = rest[len(head) :].lstrip()
    return folded


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells, ``…`` at its end if something is missing."""
    if (len(text) <= width and text.isascii() and text.isprintable()) or cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)).rstrip() + "…"


def pad(text: str, width: int) -> str:
    """``text`` in exactly ``width`` cells."""
    return set_cell_size(cut(text, width), width)


def timeline_lines(evidence: Evidence, width: int) -> Iterator[Line]:
    """The timeline and below it the proofs that its marks A1, D1… stand for."""
    names = sessions(evidence.history)
    lane = (width - _TIME) // max(len(names), 1)
    if len(names) <= WIDEST and lane >= 14:
        yield from _columns(evidence, names, lane)
    else:
        yield from _list(evidence, width)
    yield from proof_lines(evidence, width)


def proof_lines(evidence: Evidence, width: int) -> Iterator[Line]:
    """Anomalies and deadlocks with what proves them."""
    for number, anomaly in enumerate(evidence.verdict.anomalies, 1):
        yield []
        yield from _headed(f"A{number}", words.anomaly_title(anomaly), anomaly.proof, width)
    for number, deadlock in enumerate(evidence.verdict.deadlocks, 1):
        yield []
        said = [words.deadlock_end(deadlock), *deadlock.story]
        yield from _headed(f"D{number}", words.deadlock_title(deadlock), said, width)


def _headed(mark: str, title: str, said: Iterable[str], width: int) -> Iterator[Line]:
    for i, text in enumerate(fold(title, width - 4)):
        yield [(f"{mark:<4}" if i == 0 else "    ", "bold"), (text, "bold")]
    for sentence in said:
        for i, text in enumerate(fold(words.clean(sentence), width - 6)):
            yield [("    " if i == 0 else "      ", ""), (text, "")]


def _stamp(at: float) -> str:
    return f"{words.milliseconds(at):>{_TIME - 2}}  "


def _cycle_line(row: Row, width: int) -> Line:
    assert row.picture is not None
    text = f"── cycle {words.cycle(row.picture.cycle)} "
    if row.picture.seen_by_server is False:
        text += "(no server can see it) "
    text = cut(text, width - _TIME)
    return [(_stamp(row.at), "dim"), (text + "─" * (width - _TIME - cell_len(text)), "bold red")]


# --- columns ----------------------------------------------------------------------------------------------


class _Gutter:
    """The mark before each lane: ``│`` in a transaction, ``┊`` while the session waits, else nothing."""

    def __init__(self, history: History) -> None:
        spans = transactions(history)
        self._first = {span.first for span in spans}
        self._last = {span.last: span.how for span in spans}
        self._open: dict[str, int] = {}
        self._waiting: set[str] = set()

    def idle(self, session: str) -> str:
        if session in self._waiting:
            return "┊ "
        return "│ " if self._open.get(session) else "  "

    def enter(self, row: Row) -> tuple[str, str, str]:
        """Marks of the row's first line, of those between, and of its last one."""
        session = row.session
        begins = sum(event.seq in self._first for event in row.events)
        ends = sum(event.seq in self._last for event in row.events)
        before = self._open.get(session, 0)
        after = max(before + begins - ends, 0)
        self._open[session] = after
        if row.part in (Part.opening, Part.blocks) and look(row.last) in (Look.waiting, Look.held):
            self._waiting.add(session)
        elif row.part is Part.closing:
            self._waiting.discard(session)
        if not (before or begins):
            return "  ", "  ", "  "
        return ("│ " if before else "┌ "), "│ ", ("│ " if after else "└ ")

    def how(self, row: Row) -> TransactionEnd | None:
        return next((self._last[e.seq] for e in row.events if self._last.get(e.seq)), None)


def _columns(evidence: Evidence, names: list[str], lane: int) -> Iterator[Line]:
    history = evidence.history
    marks = markers(evidence)
    gutter = _Gutter(history)
    several = len(words.servers(history)) > 1
    yield [(f"{'ms':>{_TIME - 2}}  ", "dim"), *((pad("  " + words.one_line(name), lane), "bold") for name in names)]
    if places := machines.on(history):
        yield [(" " * _TIME, ""), *((pad(f"  {places.get(name, '')}", lane), "dim") for name in names)]
    for row in rows(history):
        if row.part is Part.cycle:
            yield _cycle_line(row, _TIME + lane * len(names))
            continue
        first, between, last = gutter.enter(row)
        said = _cell(row, lane - 3, marks_of(row, marks), gutter.how(row), several)
        if last == "└ " and len(said) == 1 and first == "│ ":
            first = last
        for i, (text, style) in enumerate(said):
            mark = first if i == 0 else last if i == len(said) - 1 else between
            line: Line = [(_stamp(row.at) if i == 0 else " " * _TIME, "dim")]
            for name in names:
                if name == row.session:
                    line += [(mark, "dim"), (pad(text, lane - 2), style)]
                else:
                    line.append((pad(gutter.idle(name), lane), "dim"))
            yield line


def _cell(row: Row, width: int, marks: list[str], how: TransactionEnd | None, several: bool) -> list[tuple[str, str]]:
    """What a row says in its session's column."""
    run = row.run
    assert run is not None
    event = row.last
    shown = look(event)
    head = f"{SYMBOL[shown]} {words.one_line(run.label)}"
    if several and row.part in (Part.whole, Part.opening):
        head += f" @{run.database}"
    said: list[tuple[str, str]] = []
    indented = width - 2

    def more(text: str, style: str, lines: int) -> None:
        said.extend(("  " + part, style) for part in fold(text, indented, lines))

    label = " ".join(f"[{mark}]" for mark in marks)
    room = width - (len(label) + 1 if label else 0)

    if row.part is Part.note:
        more(words.remark(event), "dim", 2)
        return [(f"{head}{' not run' if shown is Look.skipped else ''}".rstrip(), "dim"), *said]
    if row.part is Part.closing:
        more(words.ending(event, run, _is_victim(marks)), STYLE[shown], 2)
    elif row.part is not Part.blocks:
        statement = words.asked(run)
        if statement and cell_len(head) + 2 + cell_len(statement) <= room:
            head += f"  {statement}"
        else:
            more(statement, "", 3)
    more(words.waits(event), STYLE[shown], 2)
    more(
        words.given(event, run, code=row.part is not Part.closing), STYLE[shown] if shown is not Look.ok else "cyan", 3
    )
    for notice in row.notices:
        more(words.clean(notice), "dim", 2)
    if how and not (row.part is Part.whole and _says_so(run, how)):
        more(how.value, "dim", 1)
    return [(f"{cut(head, room)} {label}".rstrip(), STYLE[shown]), *said]


def _says_so(run: StepRun, how: TransactionEnd) -> bool:
    """Whether the statement's first word already says how the transaction ended."""
    word = words.one_line(run.start.statement).split(" ", 1)[0].rstrip(";").lower()
    return word == {TransactionEnd.committed: "commit", TransactionEnd.aborted: "rollback"}[how]


def _is_victim(marks: list[str]) -> bool:
    return any(mark.startswith("D") for mark in marks)


# --- one line per event ------------------------------------------------------------------------------------


def _list(evidence: Evidence, width: int) -> Iterator[Line]:
    history = evidence.history
    marks = markers(evidence)
    names = {name: words.one_line(name) for name in sessions(history)}
    places = machines.places(history)
    if places:
        names = {name: f"{shown} on {places[name]}" if name in places else shown for name, shown in names.items()}
    room = min(max(map(cell_len, names.values()), default=1), max(width // 4, 16) if places else 16)
    labels = [cell_len(run.label) for row in rows(history) if (run := row.run)]
    step = min(max(labels, default=4), max(width // 4, 8))
    yield [(f"{'ms':>{_TIME - 2}}  ", "dim"), (pad("", room), ""), ("    step", "dim")]
    for row in rows(history):
        if row.part is Part.cycle:
            yield _cycle_line(row, width)
            continue
        assert row.run is not None
        shown = look(row.last)
        label = "".join(f" [{mark}]" for mark in marks_of(row, marks))
        text = cut(
            _sentence(row, row.run, _is_victim(marks_of(row, marks))),
            max(width - _TIME - room - 2 - 2 - step - 2 - len(label), 4),
        )
        yield [
            (_stamp(row.at), "dim"),
            (pad(names[row.session], room) + "  ", "bold"),
            (f"{SYMBOL[shown]} ", STYLE[shown]),
            (pad(words.one_line(row.run.label), step) + "  ", ""),
            (text, STYLE[shown] if shown is not Look.ok else ""),
            (label, "bold"),
        ]


def _sentence(row: Row, run: StepRun, victim: bool) -> str:
    event = row.last
    said = []
    if row.part is Part.note:
        return words.remark(event)
    if row.part is Part.closing:
        said.append(words.ending(event, run, victim))
    said.append(words.waits(event))
    # The code stands in the ending's head already.
    said.append(words.given(event, run, code=row.part is not Part.closing))
    if row.part is not Part.closing:
        said.append(words.asked(run))
    return "  ".join(part for part in said if part)
