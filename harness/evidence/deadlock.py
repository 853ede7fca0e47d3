"""Deadlocks of a history: the cycle, who ended it, the victim, and the cascade after.

A deadlock is called one only on the server's word (the victim's error code) or where no server could have known (the
merged graph over all servers). That the survivor got its lock proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.answers import DeadlockReport, ErrorKind, TransactionEnd
from harness.evidence.model import Deadlock, Detector
from harness.history import ENDINGS, Event, EventKind, History, Wait, WaitPicture


def find(history: History) -> list[Deadlock]:
    """All deadlocks of a history, in order."""
    victims = [
        event
        for event in history.events
        if event.kind is EventKind.error and event.error and event.error.kind is ErrorKind.deadlock
    ]
    cancelled = [event for event in history.events if event.kind is EventKind.cancelled]
    made: list[Deadlock] = []
    for picture in history.pictures:
        if picture.cycle and not any(_turned(found.cycle, picture.cycle) and not found.victim for found in made):
            made.append(_of_picture(history, picture, victims, cancelled))
    # The server said so and nobody had a picture: a free run, a server that shows no waits.
    return made + [_without_picture(history, event) for event in victims]


def _turned(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two cycles are the same ring, wherever they begin."""
    return any([*one[start:], *one[:start]] == list(other) for start in range(len(one)))


def _of_picture(history: History, picture: WaitPicture, victims: list[Event], cancelled: list[Event]) -> Deadlock:
    ended = None if picture.seen_by_server else _take(cancelled, picture)
    by_server = ended is None and (victim := _take(victims, picture)) is not None
    if by_server:
        ended = victim
    detector = Detector.nobody if ended is None else Detector.server if by_server else Detector.harness
    return Deadlock(
        cycle=picture.cycle,
        waits=list(_edges(picture)),
        # A victim is the server's word, even where it was thought to be blind.
        seen_by_server=bool(picture.seen_by_server) or by_server,
        ended_by=detector,
        victim=ended.session if ended else "",
        victim_step=ended.step if ended else "",
        code=ended.error.code if ended and ended.error else "",
        picture=picture.seq,
        story=list(_cascade(history, picture.cycle, ended)) if ended else [],
        reports=_reports(history, ended) if ended and by_server else [],
    )


def _without_picture(history: History, event: Event) -> Deadlock:
    return Deadlock(
        cycle=[],
        waits=[],
        seen_by_server=True,
        ended_by=Detector.server,
        victim=event.session,
        victim_step=event.step,
        code=event.error.code if event.error else "",
        reports=_reports(history, event),
    )


def _take(events: list[Event], picture: WaitPicture) -> Event | None:
    """The first ending after the picture of a session in its cycle; taken out, so that it ends one deadlock only."""
    for event in events:
        if event.seq > picture.seq and event.session in picture.cycle:
            events.remove(event)
            return event
    return None


def _edges(picture: WaitPicture) -> Iterator[Wait]:
    for waiter, holder in zip(picture.cycle, [*picture.cycle[1:], picture.cycle[0]], strict=True):
        yield from [wait for wait in picture.waits if wait.waiter == waiter and wait.holder == holder][:1]


def _reports(history: History, ended: Event) -> list[DeadlockReport]:
    """The engine's reports of this deadlock: those that name the victim's process, or all if none does."""
    here = [report for report in history.reports if report.database == ended.database]
    pids = [session.pids.get(ended.database, "") for session in history.sessions if session.name == ended.session]
    return [report for report in here if any(pid and re.search(rf"\b{pid}\b", report.text) for pid in pids)] or here


def _cascade(history: History, cycle: Sequence[str], ended: Event) -> Iterator[str]:
    """What the sessions of the ring did from the victim's error on, a line each."""
    error = ended.error
    why = f"{error.code} {error.kind.value}" if error else "cancelled"
    yield f"{ended.step} of {ended.session} is ended ({why}): the ring is broken"
    waiting: dict[str, Event] = {}  # by step; one that has ended may be run again
    for event in history.events:
        if event.kind is EventKind.blocked and event.seq < ended.seq:
            waiting[event.step] = event
        if event.kind not in ENDINGS:
            continue
        blocked = waiting.pop(event.step, None)
        if event.seq <= ended.seq or event.session not in cycle:
            continue
        if blocked:
            how = f"refused: {event.error.code} {event.error.kind.value}" if event.error else "it has its lock"
            holders = " and ".join(blocked.waits_for)
            yield f"{event.step} of {event.session}, which waited for {holders}, goes on ({how})"
        elif event.ended is TransactionEnd.committed:
            yield f"{event.step}: {event.session} commits"
        elif event.ended is TransactionEnd.aborted:
            yield f"{event.step}: {event.session} rolls back"
