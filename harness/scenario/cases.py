"""From a scenario to its cases: databases × levels × schedules, each with a stable id and its expectation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from harness.scenario.load import DEFAULT, engines_of
from harness.scenario.model import Case, Expectation, Placed, Scenario, Schedule
from harness.vocabulary import LEVELS, REAL_ENGINE

Describe = Callable[[str], tuple[str, bool]]
"""Logical database → its engine here, and whether that is a stand-in."""


def cases(scenario: Scenario, describe: Describe) -> Iterator[Case]:
    """Every case of ``scenario`` on the servers that ``describe`` tells of.

    A placement whose engine the scenario says nothing about gives one case with a ``reason`` to skip it.
    """
    for placement in scenario.placements:
        placed = []
        for alias, logical in placement.items():
            engine, stand_in = describe(logical)
            placed.append(Placed(alias, logical, engine, REAL_ENGINE[logical] if stand_in else ""))
        engine = placed[0].engine
        where = "+".join(dict.fromkeys(database.label for database in placed))
        if reason := _reason(scenario, placed):
            yield Case(f"{scenario.id}[{where}]", scenario, tuple(placed), "", Schedule("", ()), Expectation(), reason)
            continue
        levels = scenario.levels.get(engine) or LEVELS[engine][:1]
        for level, schedule in product(levels, scenario.schedules):
            expectation = _expectation(schedule.expect, engine, level) or _expectation(scenario.expect, engine, level)
            named = "" if schedule.name in (DEFAULT, "free-running") else f"-{schedule.name}"
            yield Case(
                id=f"{scenario.id}[{where}-{level.replace(' ', '_')}{named}]",
                scenario=scenario,
                databases=tuple(_at_level(database, engine, level, scenario) for database in placed),
                level=level,
                schedule=schedule,
                expectation=expectation or Expectation(),
            )


def _expectation(by_engine: object, engine: str, level: str) -> Expectation | None:
    if not isinstance(by_engine, dict):
        return None
    by_level = by_engine.get(engine, {})
    found: Expectation | None = by_level.get(level) or by_level.get("any")
    return found


def _at_level(database: Placed, engine: str, level: str, scenario: Scenario) -> Placed:
    own = level if database.engine == engine else next(
        iter(scenario.levels.get(database.engine, ())), LEVELS[database.engine][0]
    )  # fmt: skip
    return Placed(database.alias, database.logical, database.engine, database.stand_in, own)


def _reason(scenario: Scenario, placed: list[Placed]) -> str:
    known = engines_of(scenario)
    first = placed[0]
    if first.engine not in known:
        real = REAL_ENGINE[first.logical]
        why = f"runs only on {' and '.join(known)}; {first.logical} is on {first.engine} here"
        if first.stand_in:
            why += f", a stand-in for {real}: set {first.logical.upper()}_URL or take --servers=containers"
        return why
    engine_of = {database.alias: database.engine for database in placed}
    for session in scenario.sessions:
        for step in (*session.setup, *session.steps):
            if engine_of[step.database] not in step.bodies and "*" not in step.bodies:
                return f"step {step.name} says nothing for {engine_of[step.database]}, where {step.database!r} is here"
    return ""
