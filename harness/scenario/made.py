"""The schedules that the harness makes for a case.

Which steps can influence each other depends on the engine and the level that a case runs at, so what is *reduced* is made
for each placement and level by itself. The same file gives the same schedules, with the same names, in every process.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from harness.errors import ScenarioError
from harness.scenario.conflicts import conflicts_of
from harness.scenario.model import Case, Expectation, Made, Placed, Scenario, Schedule, Session, Step
from harness.scenario.schedules import INSTEAD, LIMIT, interleavings, number_of

INSTEAD_ASKED = "say --schedules random, or --max-schedules 100"


def made_schedules(scenario: Scenario, made: Made, placed: Sequence[Placed]) -> Iterator[Schedule]:
    """The schedules of ``made`` for a case on these databases, in a fixed order.

    Raises ScenarioError, at the place of ``made``, if there are too many; of reduced ones, when so many have been given.
    """
    sessions = restricted(scenario.sessions, made.steps)
    try:
        for schedule in _kept(replace(scenario, sessions=sessions), made, placed):
            number = schedule.name.rpartition("-")[2]
            yield replace(schedule, name=f"{made.name}-{number}", strict=made.strict, made=made)
    except ScenarioError as error:
        if made.place is None:  # what was asked for on the command line has no place in the file
            raise ScenarioError(f"{scenario.file}: {error.message}") from None
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


def _kept(scenario: Scenario, made: Made, placed: Sequence[Placed]) -> Iterator[Schedule]:
    sessions, instead = scenario.sessions, INSTEAD if made.place else INSTEAD_ASKED
    seed = 1 if made.seed is None else made.seed
    if made.kind == "random":
        yield from interleavings(sessions, "random", made.count, seed)
        return
    every: Iterator[Schedule]
    if made.kind == "reduced":  # numbers are no longer than those of as many as there may be
        conflicts = conflicts_of(Case("", scenario, tuple(placed), placed[0].level, Schedule("", ()), Expectation()))
        every = interleavings(sessions, "reduced", LIMIT, instead=instead, conflicts=conflicts)
    elif made.count and number_of(sessions) > LIMIT:
        if made.seed is not None:
            yield from interleavings(sessions, "random", made.count, seed)
            return
        every = interleavings(sessions, "reduced", LIMIT, instead=instead, conflicts=_Everything(sessions))
    else:
        every = interleavings(sessions, "all", instead=instead)
    if not made.count or made.seed is None:
        yield from islice(every, made.count or None)
    else:
        found = list(every)
        taken = random.Random(seed).sample(range(len(found)), min(made.count, len(found)))
        yield from (found[index] for index in sorted(taken))


@dataclass(slots=True)
class _Everything:
    """No two steps can change places: what is reduced by it is all of them, made one by one."""

    sessions: Sequence[Session]

    def conflict(self, a: Step, b: Step) -> bool:
        return True

    def why(self, a: Step, b: Step) -> str:
        return "all orders are wanted"
