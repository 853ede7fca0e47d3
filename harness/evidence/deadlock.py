"""Deadlocks of a history: the cycle, who ended it, the victim, and the cascade after.

A deadlock is called one only on the server's word (the victim's error code) or where no server could have known (the
merged graph over all servers). That the survivor got its lock proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.evidence.model import Deadlock, Detector
from harness.history import (
    ENDINGS,
    DeadlockReport,
    ErrorKind,
    Event,
    EventKind,
    History,
    TransactionEnd,
    Wait,
    WaitPicture,
)


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
        if not picture.cycle or any(found.cycle == picture.cycle and not found.victim for found in made):
            continue
        seen = bool(picture.seen_by_server)
        ended = _take(victims if seen else cancelled, picture)
        made.append(_deadlock(history, picture, seen, ended))
    for event in victims:  # the server said so and nobody had a picture: a free run, a server that shows no waits
        made.append(
            Deadlock(
                cycle=[],
                waits=[],
                seen_by_server=True,
                ended_by=Detector.server,
                victim=event.session,
                victim_step=event.step,
                code=event.error.code if event.error else "",
                reports=_reports(history, event),
            )
        )
    return made


def _take(events: list[Event], picture: WaitPicture) -> Event | None:
    """The first ending after the picture of a session in its cycle; taken out, so that it ends one deadlock only."""
    for event in events:
        if event.seq > picture.seq and event.session in picture.cycle:
            events.remove(event)
            return event
    return None


def _deadlock(history: History, picture: WaitPicture, seen: bool, ended: Event | None) -> Deadlock:
    detector = Detector.nobody if ended is None else Detector.server if seen else Detector.harness
    return Deadlock(
        cycle=picture.cycle,
        waits=list(_edges(picture)),
        seen_by_server=seen,
        ended_by=detector,
        victim=ended.session if ended else "",
        victim_step=ended.step if ended else "",
        code=ended.error.code if ended and ended.error else "",
        picture=picture.seq,
        story=list(_cascade(history, picture.cycle, ended)) if ended else [],
        reports=_reports(history, ended) if ended and seen else [],
    )


def _edges(picture: WaitPicture) -> Iterator[Wait]:
    for waiter, holder in zip(picture.cycle, [*picture.cycle[1:], picture.cycle[0]], strict=True):
        yield next(wait for wait in picture.waits if wait.waiter == waiter and wait.holder == holder)


def _reports(history: History, ended: Event) -> list[DeadlockReport]:
    return [report for report in history.reports if report.database == ended.database]


def _cascade(history: History, cycle: Sequence[str], ended: Event) -> Iterator[str]:
    """What the sessions of the ring did from the victim's error on, a line each."""
    error = ended.error
    why = f"{error.code} {error.kind.value}" if error else "cancelled"
    yield f"{ended.step} of {ended.session} is ended ({why}): the ring is broken"
    waiting = {
        event.step: event for event in history.events if event.kind is EventKind.blocked and event.seq < ended.seq
    }
    for event in history.events:
        if event.seq <= ended.seq or event.kind not in ENDINGS or event.session not in cycle:
            continue
        if event.step in waiting:
            how = f"refused: {event.error.code} {event.error.kind.value}" if event.error else "it has its lock"
            holders = " and ".join(waiting[event.step].waits_for)
            yield f"{event.step} of {event.session}, which waited for {holders}, goes on ({how})"
        elif event.ended is TransactionEnd.committed:
            yield f"{event.step}: {event.session} commits"
        elif event.ended is TransactionEnd.aborted:
            yield f"{event.step}: {event.session} rolls back"
