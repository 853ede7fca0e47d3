"""The schedules of a file: listed by hand, or made by the harness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.errors import ScenarioError
from harness.scenario.expectations import expectations
from harness.scenario.model import DEFAULT, FREE_RUNNING, Entry, Hold, Schedule
from harness.scenario.reading import Reading
from harness.scenario.schedules import interleavings
from harness.scenario.sessions import Cast
from harness.scenario.source import Keys
from harness.scenario.written import AllWritten, ClaimWritten, RandomWritten


def schedules(reading: Reading, cast: Cast) -> Iterator[Schedule]:
    """All schedules of the file. Raises ScenarioError."""
    written = reading.written
    given = [written.schedule is not None, bool(written.schedules), written.free_running is not None]
    if sum(given) > 1:
        names = [key for key in ("schedule", "schedules", "free_running") if key in written.model_fields_set]
        raise reading.error("give one of 'schedule', 'schedules' and 'free_running', not several", names[-1])
    if written.free_running is not None:
        if len(cast.sessions) != 1:
            raise reading.error("free_running needs exactly one session: its workers all run it", "free_running")
        yield Schedule(FREE_RUNNING, ())
    elif written.schedules:
        for name, schedule in written.schedules.items():
            path: Keys = ("schedules", name)
            at = (*path, "steps") if (*path, "steps") in reading.source.places else path
            yield Schedule(
                name=name,
                entries=tuple(_entries(reading, cast, schedule.steps, at, schedule.strict)),
                strict=schedule.strict,
                expect=expectations(reading, cast, schedule.expect, (*path, "expect")),
            )
    elif isinstance(written.schedule, list):
        yield Schedule(DEFAULT, tuple(_entries(reading, cast, written.schedule, ("schedule",))))
    elif written.schedule is not None:
        yield from _made(reading, cast, written.schedule)
    elif len(cast.sessions) == 1:
        yield Schedule(DEFAULT, tuple(Entry(step.name) for step in cast.sessions[0].steps))
    else:
        raise reading.error("no schedule: list the steps in order under 'schedule:', or say 'schedule: all'")


def _made(reading: Reading, cast: Cast, written: str | AllWritten | RandomWritten) -> Iterator[Schedule]:
    try:
        if isinstance(written, RandomWritten):
            yield from interleavings(cast.sessions, "random", written.random, written.seed)
        elif isinstance(written, AllWritten):
            yield from interleavings(cast.sessions, "all", strict=True)
        else:
            yield from interleavings(cast.sessions, written)
    except ScenarioError as error:
        raise reading.error(error.message, "schedule") from None


def _entries(
    reading: Reading, cast: Cast, written: Sequence[dict[str, ClaimWritten]], path: Keys, strict: bool = False
) -> Iterator[Entry]:
    positions = {step.name: number for session in cast.sessions for number, step in enumerate(session.steps)}
    named = {step for entry in written for name in entry for step in cast.steps_called(name)}
    reached: dict[str, int] = {}
    for number, entry in enumerate(written):
        name, claim = next(iter(entry.items()))
        at = (*path, number)
        steps = cast.steps_called(name)
        if not steps:
            raise reading.unknown("step", name, cast.names, "the schedule", *at)
        for step in steps:
            session = cast.steps[step].session
            if positions[step] <= reached.get(session, -1) and not strict:
                order = ", ".join(step.name for one in cast.sessions if one.name == session for step in one.steps)
                raise reading.error(
                    f"step {step!r} stands here twice, or out of the order of its session {session} ({order})", *at
                )
            reached[session] = positions[step]
            if claim.until:
                _check_until(reading, cast, claim.until, step, named, (*at, name, "until"))
            if claim.hold and not strict:
                text = f"{name!r} is held back: that is for a strict schedule, under 'schedules:' with 'strict: true'"
                raise reading.error(text, *at, name, "hold")
            holds = tuple(Hold(hold.until, hold.notices) for hold in claim.hold)
            for position, hold in enumerate(holds):
                _check_hold(reading, cast, hold, step, named, (*at, name, "hold", position))
            yield Entry(step, claim.blocks, claim.until or "", holds)


def _check_hold(reading: Reading, cast: Cast, hold: Hold, step: str, named: set[str], path: Keys) -> None:
    if not hold.step:
        return
    if hold.step not in cast.steps:
        raise reading.unknown("step", hold.step, cast.steps, "hold", *path)
    if cast.steps[hold.step].session == cast.steps[step].session:
        raise reading.error(f"step {step!r} cannot be held back by {hold.step!r} of its own session", *path)
    if hold.step not in named:
        raise reading.error(f"step {hold.step!r}, which holds {step!r} back, is not in this schedule", *path)


def _check_until(reading: Reading, cast: Cast, until: str, step: str, named: set[str], path: Keys) -> None:
    if until not in cast.steps:
        raise reading.unknown("step", until, cast.steps, "until", *path)
    if cast.steps[until].session == cast.steps[step].session:
        raise reading.error(f"step {step!r} cannot wait for {until!r} of its own session", *path)
    if until not in named:
        raise reading.error(f"step {step!r} would wait for ever: {until!r} is not in this schedule", *path)
