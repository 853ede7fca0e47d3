"""The schedules that the harness makes for a case.

Which steps can influence each other depends on the engine and the level that a case runs at, so what is *reduced* is made
for each placement and level by itself. The same file gives the same schedules, with the same names, in every process.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from harness.errors import ScenarioError
from harness.scenario.model import Made, Placed, Scenario, Schedule, Session
from harness.scenario.schedules import interleavings, number_of


def made_schedules(scenario: Scenario, made: Made, placed: Sequence[Placed]) -> Iterator[Schedule]:
    """The schedules of ``made`` for a case on these databases, in a fixed order.

    Raises ScenarioError, at the place of ``made``, if there are too many.
    """
    sessions = restricted(scenario.sessions, made.steps)
    try:
        for schedule in _kept(sessions, made):
            number = schedule.name.rpartition("-")[2]
            yield replace(schedule, name=f"{made.name}-{number}", strict=made.strict, made=made)
    except ScenarioError as error:
        raise ScenarioError(error.message, error.location or made.place) from None


def number_made(scenario: Scenario, made: Made) -> int:
    """How many interleavings there are of the steps that have a place in them."""
    return number_of(restricted(scenario.sessions, made.steps))


def restricted(sessions: Sequence[Session], steps: frozenset[str] | None) -> tuple[Session, ...]:
    """The sessions with only these of their steps; those that keep none are left out."""
    if steps is None:
        return tuple(sessions)
    kept = (replace(one, steps=tuple(step for step in one.steps if step.name in steps)) for one in sessions)
    return tuple(one for one in kept if one.steps)


def _kept(sessions: Sequence[Session], made: Made) -> Iterator[Schedule]:
    if made.kind == "random":
        yield from interleavings(sessions, "random", made.count, 1 if made.seed is None else made.seed)
        return
    every = interleavings(sessions, made.kind)
    if not made.count or made.seed is None:
        yield from islice(every, made.count or None)
    else:
        found = list(every)
        taken = random.Random(made.seed).sample(range(len(found)), min(made.count, len(found)))
        yield from (found[index] for index in sorted(taken))
