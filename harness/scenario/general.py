"""A scenario in other orders than its own: which ones, and what of its expectation is true of every order.

Who writes an order down can say what it blocks, what its steps see and how it ends. Of every order only less can be said:
which phenomena the level lets pass, what the server may refuse, and what holds at the end whoever committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.answers import ErrorKind
from harness.scenario.model import Expectation, Made, Scenario
from harness.scenario.schedules import number_of

REFUSALS = tuple(
    kind.value
    for kind in ErrorKind
    if kind not in (ErrorKind.in_failed_transaction, ErrorKind.cancelled, ErrorKind.connection)
)
"""How a server may refuse a step of any order; what fails after it in the failed transaction goes with it."""

DRAWN = 100
"""So many interleavings are drawn at random, unless it is said how many."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be run instead. No ``kind``: what the file has made is cut to ``most``, or drawn by ``seed``."""

    kind: str = ""
    most: int | None = None
    seed: int | None = None


def general(expectation: Expectation) -> Expectation:
    """What an expectation of some order says of every other one: what was to be found may be, and what holds, holds."""
    return Expectation(
        allows=tuple(dict.fromkeys([*expectation.finds, *expectation.allows])),
        may_refuse=tuple(dict.fromkeys([*REFUSALS, *expectation.may_refuse, *expectation.errors.values()])),
        holds=expectation.holds,
    )


def explorable(scenario: Scenario) -> bool:
    """Whether its steps can be put into other orders: not a free run, nothing strict or shared, more than one order.

    A scenario of the isolation matrix is its order: another one would be no test of that cell.
    """
    return not (
        scenario.free_running
        or scenario.matrix
        or scenario.shared
        or any(schedule.strict for schedule in scenario.schedules)
        or any(made.strict for made in scenario.made)
        or number_of(scenario.sessions) == 1
    )


def explored(scenario: Scenario, wish: Wish) -> Scenario:
    """The scenario as it is to be run.

    With a kind, its schedules are replaced by made ones of the same steps. If its own are all made, its expectation is one
    of every order already, and stays; else it becomes :func:`general`.
    """
    if not explorable(scenario):
        return scenario
    if not wish.kind:
        return replace(scenario, made=tuple(_cut(made, wish) for made in scenario.made))
    return replace(scenario, schedules=(), made=_instead(scenario, wish), expect=expected_everywhere(scenario))


def _cut(made: Made, wish: Wish) -> Made:
    seed = made.seed if wish.seed is None else wish.seed
    if wish.most is None:
        return replace(made, seed=seed) if made.kind == "random" else made
    return replace(made, seed=seed, count=min(made.count or wish.most, wish.most))


def _instead(scenario: Scenario, wish: Wish) -> tuple[Made, ...]:
    """Made ones for each choice of steps that the scenario's schedules make: some commit where others roll back."""
    whole = frozenset(step.name for session in scenario.sessions for step in session.steps)
    chosen: dict[frozenset[str], str] = {}
    for schedule in scenario.schedules:
        chosen.setdefault(frozenset(entry.step for entry in schedule.entries), schedule.name)
    for made in scenario.made:
        chosen.setdefault(made.steps or whole, made.name)
    count = wish.most or (DRAWN if wish.kind == "random" else 0)
    return tuple(
        Made(
            name=wish.kind if len(chosen) == 1 else f"{name}-{wish.kind}",
            kind=wish.kind,
            count=count,
            seed=wish.seed,
            steps=None if steps == whole else steps,
        )
        for steps, name in chosen.items()
    )


def expected_everywhere(scenario: Scenario) -> Mapping[str, Mapping[str, Expectation]]:
    """By engine and level, what is general of the scenario's expectation and of those of its schedules.

    If its schedules are all made, its expectation is one of every order already, and is given as it is.
    """
    if not scenario.schedules:
        return scenario.expect
    made: dict[str, dict[str, Expectation]] = {}
    for engine in scenario.engines:
        for level in scenario.levels_on(engine):
            said = [scenario.expectation(schedule, engine, level) for schedule in (None, *scenario.schedules)]
            known = [general(one) for one in said if one is not None]
            made.setdefault(engine, {})[level] = Expectation(
                allows=tuple(dict.fromkeys(name for one in known for name in one.allows)),
                may_refuse=tuple(dict.fromkeys(name for one in known for name in one.may_refuse)),
                holds=known[0].holds,  # the scenario's, if it says any: a schedule's own may be of that order alone
            )
    return made
