"""The schedules of a file: listed by hand, or made by the harness."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from harness.errors import ScenarioError
from harness.scenario.expectations import expectations
from harness.scenario.model import DEFAULT, FREE_RUNNING, Entry, Hold, Made, Schedule
from harness.scenario.reading import Reading
from harness.scenario.schedules import interleavings
from harness.scenario.sessions import Cast
from harness.scenario.source import Keys
from harness.scenario.written_schedules import AllWritten, ClaimWritten, MadeWritten, RandomWritten, ScheduleWritten


def schedules(reading: Reading, cast: Cast) -> tuple[tuple[Schedule, ...], tuple[Made, ...]]:
    """The schedules that the file lists, and those that are to be made for each case. Raises ScenarioError."""
    written = reading.written
    given = [written.schedule is not None, bool(written.schedules), written.free_running is not None]
    if sum(given) > 1:
        names = [key for key in ("schedule", "schedules", "free_running") if key in written.model_fields_set]
        raise reading.error("give one of 'schedule', 'schedules' and 'free_running', not several", names[-1])
    if written.free_running is not None:
        if len(cast.sessions) != 1:
            raise reading.error("free_running needs exactly one session: its workers all run it", "free_running")
        return (Schedule(FREE_RUNNING, ()),), ()
    if isinstance(written.schedule, list):
        return (Schedule(DEFAULT, tuple(_entries(reading, cast, written.schedule, ("schedule",)))),), ()
    if written.schedule is not None:
        return (), (_made(reading, cast, "", written.schedule, ("schedule",)),)
    if written.schedules:
        return _named(reading, cast, written.schedules)
    if len(cast.sessions) == 1:
        return (Schedule(DEFAULT, tuple(Entry(step.name) for step in cast.sessions[0].steps)),), ()
    raise reading.error("no schedule: list the steps in order under 'schedule:', or say 'schedule: all'")


def _named(
    reading: Reading, cast: Cast, written: Mapping[str, ScheduleWritten | MadeWritten]
) -> tuple[tuple[Schedule, ...], tuple[Made, ...]]:
    listed: list[Schedule] = []
    made: list[Made] = []
    for name, schedule in written.items():
        path: Keys = ("schedules", name) if ("schedules", name) in reading.source.places else ("schedules",)
        if not isinstance(schedule, ScheduleWritten):
            made.append(_made(reading, cast, name, schedule, path))
            continue
        at = (*path, "steps") if (*path, "steps") in reading.source.places else path
        listed.append(
            Schedule(
                name=name,
                entries=tuple(_entries(reading, cast, schedule.steps, at, schedule.strict)),
                strict=schedule.strict,
                expect=expectations(reading, cast, schedule.expect, (*path, "expect")),
            )
        )
    for one in made:
        for name in written:
            if re.fullmatch(re.escape(one.name) + r"-\d+", name):
                raise reading.error(
                    f"{name!r} may also be one of those that are made as {one.name!r}: give it another name",
                    "schedules",
                    name,
                )
    return tuple(listed), tuple(made)


def _made(reading: Reading, cast: Cast, name: str, written: MadeWritten, path: Keys) -> Made:
    place = reading.source.locate(path)
    if isinstance(written, RandomWritten):
        seed = written.random.seed if written.seed is None else written.seed
        return Made(name or "random", "random", written.random.count, seed, place=place)
    strict = isinstance(written, AllWritten)
    kind = written if isinstance(written, str) else "all"
    made = Made(name or kind, kind, strict=strict, place=place)
    try:
        if kind == "all":  # how many reduced ones there are is seen for each case
            next(interleavings(cast.sessions, "all"))
    except ScenarioError as error:
        raise reading.error(error.message, *path) from None
    return made


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
