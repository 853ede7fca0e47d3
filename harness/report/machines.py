"""The machines of a case in words: who ran where, and how far each one's clock can be trusted.

A case whose sessions all ran where the controller did has nothing to say here. What machines say of themselves is as
little trusted as any value: it comes out of this module on one line and without control characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.evidence.model import Evidence
from harness.history import Event, History, HostRecord
from harness.report import words

_OFF = 0.1  # seconds by which a clock may be wrong before each of its times says so
_NAMED = 6  # sessions of one machine that are named; of more, how many

UNKNOWN = "–"

ORDER = (
    "Events are in the order in which the controller heard of them, and their milliseconds are its own. "
    "Each machine's own clock stands beside the statements, corrected by nothing."
)
"""What a reader must know who compares times of several machines."""

ORDER_ALONE = (
    "Events are in the order in which the controller heard of them, and their milliseconds are its own. "
    "The evidence has each machine's own clock beside them, corrected by nothing."
)
"""The same where there is no room for those clocks."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as a row of a table. What nobody knows is ``–``; ``lost`` is empty while all is well."""

    name: str
    hostname: str
    sessions: str
    address: str
    system: str
    python: str
    clock: str
    round_trip: str
    pid: str
    lost: str
    is_controller: bool = False


def machines(history: History) -> list[Machine]:
    """The controller and the other machines of a case; nothing if all of it ran at the controller."""
    if not history.hosts:
        return []
    return [_controller(history), *(_machine(history, host) for host in history.hosts)]


def _controller(history: History) -> Machine:
    name = words.one_line(history.controller) or "controller"
    others = {host.name for host in history.hosts}
    here = [session.name for session in history.sessions if session.host not in others]
    return Machine(
        name=name,
        hostname="the controller",
        sessions=_named(here),
        address=UNKNOWN,
        system=UNKNOWN,
        python=UNKNOWN,
        clock="the reference",
        round_trip=UNKNOWN,
        pid=UNKNOWN,
        lost="",
        is_controller=True,
    )


def _machine(history: History, host: HostRecord) -> Machine:
    on = [session.name for session in history.sessions if session.host == host.name]
    return Machine(
        name=words.one_line(host.name),
        hostname=_or_unknown(host.whereabouts),
        sessions=_named(on),
        address=_or_unknown(host.address),
        system=_or_unknown(host.system),
        python=_or_unknown(
            ", ".join(part for part in (f"Python {host.python}" * bool(host.python), host.driver) if part)
        ),
        clock=words.clock(host.clock_offset, host.clock_error) if host.round_trip else UNKNOWN,
        round_trip=words.elapsed(host.round_trip) if host.round_trip else UNKNOWN,
        pid=_or_unknown(host.pid),
        lost=words.one_line(host.lost),
    )


def _or_unknown(text: str) -> str:
    return words.one_line(text) or UNKNOWN


def _named(sessions: list[str]) -> str:
    more = f" and {len(sessions) - _NAMED} more" if len(sessions) > _NAMED else ""
    return words.one_line(", ".join(sessions[:_NAMED])) + more or UNKNOWN


def places(history: History) -> dict[str, str]:
    """For each session the machine that it ran on; empty if all ran at the controller."""
    if not history.hosts:
        return {}
    return {session.name: words.one_line(session.host) for session in history.sessions if session.host}


def lost(history: History) -> set[str]:
    """The sessions whose machine could not be spoken to any more."""
    gone = {host.name for host in history.hosts if host.lost}
    return {session.name for session in history.sessions if session.host in gone}


def on(history: History) -> dict[str, str]:
    """For each session ``on pc1``, or ``lost, on pc2``; empty if all ran at the controller."""
    gone = lost(history)
    return {name: f"{'lost, ' if name in gone else ''}on {place}" for name, place in places(history).items()}


def own_time(event: Event) -> str:
    """When an ending's step ran by its own machine's clock: ``10:31:07.114 to 10:31:08.221``; empty if nobody told.

    Times of day are in UTC, to the millisecond; if both are the same, one stands there.
    """
    told = [time_of_day(at) for at in (event.host_began, event.host_ended) if at is not None]
    return " to ".join(dict.fromkeys(told))


def time_of_day(at: float) -> str:
    """Seconds since 1970 as a time of day in UTC, to the millisecond; ``?`` for what is none.

    >>> time_of_day(1784975467.1149), time_of_day(1e99)
    ('10:31:07.114', '?')
    """
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):  # a clock may say anything
        return "?"
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"


def off(history: History) -> dict[str, str]:
    """For each session whose machine's clock is off by more than 100 ms: ``5.003 s ahead``, ``131.0 ms behind``."""
    wrong = {
        host.name: f"{words.exact(abs(host.clock_offset))} {'ahead' if host.clock_offset > 0 else 'behind'}"
        for host in history.hosts
        if abs(host.clock_offset) > _OFF
    }
    return {session.name: wrong[session.host] for session in history.sessions if session.host in wrong}


def with_those_of(evidences: Iterable[Evidence], told: Iterable[str]) -> list[str]:
    """The machines that a run's record names, and those that its cases ran on besides."""
    names = list(told)
    for evidence in evidences:
        for host in evidence.history.hosts:
            if host.name not in names and host.hostname not in names:
                names.append(host.name)
    return names
