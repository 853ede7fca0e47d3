"""A History arranged for the eye: steps with their beginning and end, rows of a timeline, transactions, markers.

Nothing is judged here. What the pictures and the texts both need to know is worked out once, in this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from harness.answers import ErrorKind, TransactionEnd
from harness.evidence.model import Evidence
from harness.history import ENDINGS, Event, EventKind, History, WaitPicture


class Look(StrEnum):
    """How an event is shown; each has a symbol and a colour, never the colour alone."""

    ok = "ok"
    victim = "victim"
    error = "error"
    conflict = "conflict"
    cancelled = "cancelled"
    timeout = "timeout"
    waiting = "waiting"
    held = "held back"
    overdue = "overdue"
    running = "running"
    skipped = "skipped"
    notice = "notice"


SYMBOL = {
    Look.ok: "✓",
    Look.victim: "✖",
    Look.error: "✗",
    Look.conflict: "⊘",
    Look.cancelled: "■",
    Look.timeout: "◷",
    Look.waiting: "…",
    Look.held: "‖",
    Look.overdue: "◶",
    Look.running: "›",
    Look.skipped: "–",
    Look.notice: "i",
}

_OTHERWISE = {
    EventKind.blocked: Look.waiting,
    EventKind.held: Look.held,
    EventKind.start: Look.running,
    EventKind.notification: Look.notice,
}
_LOOKS = {kind: _OTHERWISE.get(kind) or Look(kind.value) for kind in EventKind}
_WAITING = (EventKind.blocked, EventKind.held)

_TOGETHER = 0.005
"""Seconds within which the controller may hear of two ends in the wrong order."""


@dataclass(slots=True)
class StepRun:
    """One step, run once: its events, and the event of another session that let it go on."""

    session: str
    step: str
    database: str
    attempt: int
    start: Event
    blocked: list[Event] = field(default_factory=list)
    end: Event | None = None
    released_by: Event | None = None

    @property
    def label(self) -> str:
        """The step's name; a repeated try says which one it is."""
        return self.step if self.attempt == 1 else f"{self.step} (try {self.attempt})"

    @property
    def waits_for(self) -> list[str]:
        """All sessions that ever held it up, in the order in which they were seen."""
        return list(dict.fromkeys(name for event in self.blocked for name in event.waits_for))


class Part(StrEnum):
    """What of a step a row shows."""

    whole = "whole"  # it began and ended with nothing in between
    opening = "opening"
    blocks = "blocks"  # found to be blocked, or held back, after something else had happened
    closing = "closing"
    note = "note"  # a notice or a notification, a step that was not run, or one that is overdue
    cycle = "cycle"  # not a step: a wait picture that shows a cycle


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a timeline. ``run`` is None only for a cycle, ``picture`` is None for all else."""

    part: Part
    at: float
    events: tuple[Event, ...] = ()
    run: StepRun | None = None
    picture: WaitPicture | None = None

    @property
    def session(self) -> str:
        """Whose row it is; empty for a cycle."""
        return self.run.session if self.run else ""

    @property
    def last(self) -> Event:
        """The event that says how the row ends."""
        return self.events[-1]

    @property
    def notices(self) -> list[str]:
        """What the server remarked about the step; nothing for a row that is a notice itself."""
        if self.part is Part.note:
            return []
        return [event.text for event in self.events if event.kind is EventKind.notice]


@dataclass(frozen=True, slots=True)
class Span:
    """A transaction of one session in one database, by the sequence numbers of its first and last event."""

    session: str
    database: str
    first: int
    last: int | None
    how: TransactionEnd | None


def sessions(history: History) -> list[str]:
    """Session names in the scenario's order; any other that an event names comes after them."""
    named = [session.name for session in history.sessions]
    return list(dict.fromkeys([*named, *(event.session for event in history.events if event.session)]))


def step_runs(history: History) -> dict[int, StepRun]:
    """For the seq of every event, the step run it belongs to."""
    found: dict[int, StepRun] = {}
    running: dict[tuple[str, str], StepRun] = {}
    for event in history.events:
        key = (event.session, event.step)  # only beginning and end say which attempt it is
        run = running.get(key)
        if event.kind is EventKind.start or run is None:
            run = StepRun(event.session, event.step, event.database, event.attempt, event)
            if event.kind not in (EventKind.skipped, EventKind.notice, EventKind.notification):
                running[key] = run
        found[event.seq] = run
        if event.kind is EventKind.blocked:
            run.blocked.append(event)
        elif event.kind in ENDINGS:
            run.end = event
            running.pop(key, None)
    for run in found.values():
        if run.blocked and run.end and run.released_by is None:
            run.released_by = _releaser(history, run, run.end)
    return found


def _releaser(history: History, run: StepRun, end: Event) -> Event | None:
    """The event that let a blocked step go on: of all that held it up, the last to let go did it."""
    if end.kind in (EventKind.timeout, EventKind.cancelled):
        return None
    if end.error and end.error.kind in (ErrorKind.deadlock, ErrorKind.lock_timeout, ErrorKind.cancelled):
        return None  # nobody let go: the server ended the wait
    since = run.blocked[-1].seq
    endings = [event for event in history.events if event.kind in ENDINGS and event.seq > since]
    last_words = []
    for holder in run.blocked[-1].waits_for:
        theirs = [event for event in endings if event.session == holder]
        # What a session does on another database lets nobody go on this one.
        theirs = [event for event in theirs if event.database == run.database] or theirs
        letting_go = [event for event in theirs if event.ended or event.error]
        before = [event for event in letting_go if event.seq < end.seq]
        if before:
            last_words.append(before[0])
        elif letting_go and letting_go[0].at - end.at < _TOGETHER:
            last_words.append(letting_go[0])  # two answers raced to the controller, the later one is the cause
        else:
            last_words += [event for event in theirs if event.seq < end.seq][-1:]
    return max(last_words, key=lambda event: event.seq, default=None)


def rows(history: History, runs: Mapping[int, StepRun] | None = None) -> list[Row]:
    """The timeline's rows in the order in which things happened; the first picture of each cycle is one of them.

    ``runs`` are its step runs, where they are known already.
    """
    runs = runs or step_runs(history)
    made = list(_event_rows(history.events, runs))
    seen: set[frozenset[str]] = set()
    for picture in history.pictures:
        if picture.cycle and frozenset(picture.cycle) not in seen:
            seen.add(frozenset(picture.cycle))
            place = next((i for i, row in enumerate(made) if row.at > picture.at), len(made))
            made.insert(place, Row(Part.cycle, picture.at, picture=picture))
    return made


def _event_rows(events: list[Event], runs: Mapping[int, StepRun]) -> Iterator[Row]:
    place = 0
    while place < len(events):
        event = events[place]
        run = runs[event.seq]
        shown: tuple[Event, ...] = (event,)
        if event.kind is EventKind.start:
            part = Part.opening
            following = _notices_and_one(events, place + 1, runs, run)
            if following and following[-1].kind in ENDINGS:
                part, shown = Part.whole, (event, *following)
            elif following and following[-1].kind in _WAITING:
                shown = (event, *following)
        elif event.kind is EventKind.notice and (following := _notices_and_one(events, place + 1, runs, run)):
            # What the server remarks about a step comes just before the step's end.
            shown = (event, *following)
            part = Part.closing if following[-1].kind in ENDINGS else Part.note
        elif event.kind in _WAITING:
            part = Part.blocks
        elif event.kind in ENDINGS:
            part = Part.closing if event is not run.start else Part.whole
        else:
            part = Part.note
        yield Row(part, event.at, shown, run)
        place += len(shown)


def _notices_and_one(events: list[Event], place: int, runs: Mapping[int, StepRun], run: StepRun) -> tuple[Event, ...]:
    """The events of ``run`` from ``place`` on, its notices and the next one; empty if another run's come between."""
    for end in range(place, len(events)):
        # A new event may carry the step's name again without being the step's: ask the run, not the name.
        if runs[events[end].seq] is not run:
            return ()
        if events[end].kind is not EventKind.notice:
            return tuple(events[place : end + 1])
    return ()


def look(event: Event) -> Look:
    """How an event is to be shown."""
    if event.kind is EventKind.error:
        return Look.victim if event.error and event.error.kind is ErrorKind.deadlock else Look.error
    return _LOOKS[event.kind]


def transactions(history: History, runs: Mapping[int, StepRun] | None = None) -> list[Span]:
    """The explicit transactions of all sessions. A statement that commits by itself is none worth showing."""
    runs = runs or step_runs(history)
    begun: dict[tuple[str, str], int] = {}
    spans = []
    for event in history.events:
        if event.kind not in ENDINGS:
            continue
        key = (event.session, event.database)
        if key in begun and (event.ended or not event.in_transaction):
            spans.append(Span(*key, begun.pop(key), event.seq, event.ended))
        elif key not in begun and event.in_transaction:
            begun[key] = runs[event.seq].start.seq
    spans += [Span(*key, first, None, None) for key, first in begun.items()]
    return sorted(spans, key=lambda span: span.first)


def markers(evidence: Evidence) -> dict[int, list[str]]:
    """For the seq of an event, the marks of what it proves: A1, A2… anomalies, D1… the victim of a deadlock."""
    marks: dict[int, list[str]] = {}
    for number, anomaly in enumerate(evidence.verdict.anomalies, 1):
        for seq in anomaly.events:
            marks.setdefault(seq, []).append(f"A{number}")
    for number, deadlock in enumerate(evidence.verdict.deadlocks, 1):
        for event in evidence.history.events:
            if (
                deadlock.victim
                and (event.session, event.step) == (deadlock.victim, deadlock.victim_step)
                and event.kind in ENDINGS - {EventKind.ok}
            ):
                marks.setdefault(event.seq, []).append(f"D{number}")
    return marks


def marks_of(row: Row, marks: dict[int, list[str]]) -> list[str]:
    """The marks of a row, each once."""
    return list(dict.fromkeys(mark for event in row.events for mark in marks.get(event.seq, [])))


def telling_picture(history: History) -> WaitPicture | None:
    """Of all wait pictures the one that tells most: with a cycle, over most servers, with most waits; the first such."""
    some = [picture for picture in history.pictures if picture.waits]
    return max(some, key=lambda p: (bool(p.cycle), len(p.servers), len(p.waits), -p.at), default=None)


def victims(evidence: Evidence) -> list[str]:
    """Sessions that a deadlock was ended with, by the verdict and by the events themselves."""
    judged = [deadlock.victim for deadlock in evidence.verdict.deadlocks if deadlock.victim]
    struck = [event.session for event in evidence.history.events if look(event) is Look.victim]
    return list(dict.fromkeys(judged + struck))


def found(evidence: Evidence) -> list[str]:
    """Names of the phenomena that the verdict found, each once: ``lost update (P4)``, ``hidden deadlock``."""
    names = [f"{a.phenomenon.value} ({a.adya})" if a.adya else a.phenomenon.value for a in evidence.verdict.anomalies]
    names += [d.phenomenon.value for d in evidence.verdict.deadlocks if d.phenomenon]
    return list(dict.fromkeys(names))


def paired(run: Mapping[str, Any], evidences: Sequence[Evidence]) -> list[tuple[Mapping[str, Any], Evidence | None]]:
    """The cases of a ``run.json``, each with its evidence, and then evidence that no entry speaks of.

    A case is known by its file and its id: two files may have the same name. A run that was cut off lists no cases; what it
    left behind counts all the same.
    """
    left = {(one.history.file, one.history.case): one for one in evidences}
    listed: list[tuple[Mapping[str, Any], Evidence | None]] = [
        (entry, left.pop((str(entry.get("file", "")), str(entry["id"])), None)) for entry in run.get("cases", [])
    ]
    unlisted = [
        ({"id": case, "file": file, "status": one.verdict.status.value, "seconds": one.history.seconds}, one)
        for (file, case), one in left.items()
    ]
    return [*listed, *unlisted]
