"""From a file to a :class:`Scenario`: names resolved, copies made, every mistake told with its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.history import MatrixPlace
from harness.scenario.entries import schedules
from harness.scenario.expectations import expectations
from harness.scenario.model import FreeRunning, Scenario
from harness.scenario.problems import error_of, unknown
from harness.scenario.reading import Reading, levels_known
from harness.scenario.sessions import Cast, cast
from harness.scenario.source import Source, read
from harness.scenario.statements import items, statements
from harness.scenario.written import ScenarioWritten
from harness.vocabulary import ENGINES


def load(file: Path, parameters: Mapping[str, str] | None = None) -> Scenario:
    """Read, check and resolve a scenario file.

    ``parameters`` (from ``--set name=value``) replace those that the file declares; names that it does not declare are
    left to other files. Raises ScenarioError: file:line:column, what was wrong, what was meant.
    """
    source = read(file)
    written = _validated(source)
    reading = Reading(source, written, _parameters(source, written, parameters or {}), _placements(source, written))
    return _complete(reading, _scenario(reading))


def _validated(source: Source) -> ScenarioWritten:
    if not isinstance(source.data, dict):
        raise source.error("a scenario is a mapping that begins with 'title:'")
    try:
        return ScenarioWritten.model_validate(source.data)
    except ValidationError as invalid:
        raise error_of(source, invalid) from None


def _scenario(reading: Reading) -> Scenario:
    written = reading.written
    made = cast(reading)
    if written.break_cycle and written.break_cycle not in made.steps:
        raise reading.unknown("step", written.break_cycle, made.steps, "break_cycle", "break_cycle")
    free = written.free_running
    listed, to_make = schedules(reading, made)
    return Scenario(
        id=reading.source.file.stem,
        file=reading.source.file,
        title=written.title,
        about=" ".join(written.about.split()),
        marks=tuple(dict.fromkeys([*written.marks, *(["matrix"] if written.matrix else []), "isolation"])),
        placements=reading.placements,
        levels=_levels(reading),
        parameters=reading.parameters,
        setup=statements(reading, written.setup, "setup"),
        teardown=statements(reading, written.teardown, "teardown"),
        items=tuple(items(reading)),
        sessions=tuple(made.sessions),
        schedules=listed,
        made=to_make,
        expect=expectations(reading, made, written.expect, ("expect",)),
        free_running=FreeRunning(free.workers, free.iterations) if free else None,
        break_cycle=written.break_cycle or "",
        sensitive=frozenset(written.sensitive),
        deadline=written.deadline,
        case_deadline=written.case_deadline,
        shared=written.shared,
        settings=_settings(written),
        as_text=written.values == "text",
        cancel_late=written.late_steps == "cancel",
        data=written.data or "",
        hosts=_hosts(reading, made),
        database_name=written.database_name,
        matrix=_matrix(written),
    )


def _parameters(source: Source, written: ScenarioWritten, given: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = dict(written.parameters)
    for name, declared in written.parameters.items():
        if name in given:
            try:
                made[name] = _like(declared, given[name])
            except ValueError:
                kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(declared)]
                raise source.error(
                    f"--set {name}={given[name]}: this parameter is {kind}, like {declared}", "parameters", name
                ) from None
    return made


def _like(declared: Any, value: str) -> Any:
    """``value`` as the type of the declared default. Raises ValueError."""
    if isinstance(declared, bool):
        if value.lower() not in ("true", "false"):
            raise ValueError(value)
        return value.lower() == "true"
    return type(declared)(value)


def _placements(source: Source, written: ScenarioWritten) -> tuple[Mapping[str, str], ...]:
    if bool(written.database) == bool(written.databases):
        raise source.error(
            "say where it runs: either 'database: promptsales' (or a list: on each of them), "
            "or 'databases: {alias: promptsales, …}' (on all at once)" + (", not both" if written.database else ""),
            *(("databases",) if written.database else ()),
        )
    if written.databases:
        return (dict(written.databases),)
    return tuple({"db": logical} for logical in written.database)


def _levels(reading: Reading) -> dict[str, tuple[str, ...]]:
    for engine, names in reading.written.levels.items():
        for number, name in enumerate(names):
            if name not in levels_known(engine):
                text = unknown(f"level of {engine}", name, levels_known(engine))
                raise reading.error(text, "levels", engine, number)
    return {engine: tuple(names) for engine, names in reading.written.levels.items()}


def _matrix(written: ScenarioWritten) -> dict[str, MatrixPlace]:
    cell = written.matrix
    return (
        {}
        if cell is None
        else {
            engine: MatrixPlace(anomaly=cell.anomaly, variant=cell.variant, row=cell.row_on(engine))
            for engine in ENGINES
        }
    )


def _settings(written: ScenarioWritten) -> dict[str, dict[str, str]]:
    """The settings as texts: what a server is told, ``true`` and not ``True``."""
    return {
        engine: {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
        for engine, values in written.settings.items()
    }


def _hosts(reading: Reading, made: Cast) -> tuple[str, ...]:
    for number, role in enumerate(reading.written.hosts):
        if role in reading.aliases:
            raise reading.error(f"{role!r} is a database's alias: give the host another name", "hosts", number)
        if not any(session.host == role for session in made.sessions):
            raise reading.error(f"no session runs on {role!r}: say 'on: {role}' at one", "hosts", number)
    return tuple(reading.written.hosts)


def _complete(reading: Reading, scenario: Scenario) -> Scenario:
    """The scenario; ScenarioError if a case of it would be run without an expectation."""
    for engine in scenario.engines:
        for level in scenario.levels_on(engine):
            for schedule in (*scenario.schedules, *[None] * bool(scenario.made)):
                if scenario.expectation(schedule, engine, level) is None:
                    raise reading.error(
                        f"no expectation for {engine} at {level!r}: add it under expect (or 'any:' for all levels)",
                        "expect",
                        engine,
                    )
    return scenario
