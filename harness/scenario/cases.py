"""From a scenario to its cases: databases × levels × schedules, each with a stable id and its expectation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

from harness.scenario.made import made_schedules
from harness.scenario.model import DEFAULT, FREE_RUNNING, Case, Expectation, Placed, Scenario, Schedule
from harness.vocabulary import REAL_ENGINE

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
        for level in scenario.levels_on(engine):
            databases = tuple(_at_level(database, engine, level, scenario) for database in placed)
            made = chain.from_iterable(made_schedules(scenario, one, databases) for one in scenario.made)
            for schedule in chain(scenario.schedules, made):
                named = "" if schedule.name in (DEFAULT, FREE_RUNNING) else f"-{schedule.name}"
                yield Case(
                    id=f"{scenario.id}[{where}-{level.replace(' ', '_')}{named}]",
                    scenario=scenario,
                    databases=databases,
                    level=level,
                    schedule=schedule,
                    expectation=scenario.expectation(schedule, engine, level) or Expectation(),
                )


def _at_level(database: Placed, engine: str, level: str, scenario: Scenario) -> Placed:
    """Databases on the case's engine run at its level, others at the first one that the file gives their engine."""
    return replace(database, level=level if database.engine == engine else scenario.levels_on(database.engine)[0])


def _reason(scenario: Scenario, placed: list[Placed]) -> str:
    known = scenario.engines
    first = placed[0]
    if first.engine not in known:
        real = REAL_ENGINE[first.logical]
        why = f"runs only on {' and '.join(known)}; {first.logical} is on {first.engine} here"
        if first.stand_in:
            why += f", a stand-in for {real}: set {first.logical.upper()}_URL or take --servers=containers"
        return why
    engine_of = {database.alias: database.engine for database in placed}
    for session in scenario.sessions:
        for step in (*session.setup, *session.steps, *session.teardown):
            if engine_of[step.database] not in step.bodies and "*" not in step.bodies:
                return f"step {step.name} says nothing for {engine_of[step.database]}, where {step.database!r} is here"
    return ""
