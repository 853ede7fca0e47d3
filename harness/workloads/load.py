"""From a file to its workload: names resolved, every mistake told with its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from harness.evidence.checker.levels import TITLES, level
from harness.evidence.checker.model import Workload
from harness.scenario.problems import error_of, unknown
from harness.scenario.source import Source, read
from harness.vocabulary import LEVELS
from harness.workloads.model import ANYTHING, Declared, Expected, ExpectedWritten, WorkloadWritten

ANY = "any"


def load(file: Path) -> Declared:
    """Read and check a file. Raises ScenarioError: file:line:column, what was wrong, what was meant."""
    source = read(file)
    if not isinstance(source.data, dict):
        raise source.error("a workload's file is a mapping that begins with 'title:'")
    try:
        written = WorkloadWritten.model_validate(source.data)
    except ValidationError as invalid:
        raise error_of(source, invalid) from None
    levels = _levels(source, written.levels)
    expect = _expectations(source, written)
    for engine in expect:
        for name in levels.get(engine) or LEVELS[engine][:1]:
            if name not in expect[engine] and ANY not in expect[engine]:
                raise source.error(f"no expectation for {engine} at {name!r} (or 'any:' for all)", "expect", engine)
    for engine in levels:
        if engine not in expect:
            raise source.error(
                f"levels of {engine}, but nothing is expected there: add it under expect", "levels", engine
            )
    return Declared(
        kind=Workload(written.workload),
        name=file.stem,
        title=written.title,
        about=written.about,
        file=file,
        logicals=tuple(written.database),
        units=written.units,
        sessions=written.sessions,
        transactions=written.transactions,
        keys=written.keys,
        ops=written.operations,
        reads=written.reads,
        writes_per_key=written.writes_per_key,
        seed=written.seed,
        deadline=written.deadline,
        levels=levels,
        expect=expect,
    )


def _levels(source: Source, written: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    for engine, names in written.items():
        for number, name in enumerate(names):
            if name not in LEVELS[engine]:
                raise source.error(unknown(f"level of {engine}", name, LEVELS[engine]), "levels", engine, number)
    return {engine: tuple(names) for engine, names in written.items()}


def _expectations(source: Source, written: WorkloadWritten) -> dict[str, dict[str, Expected]]:
    made: dict[str, dict[str, Expected]] = {}
    for engine, by_level in written.expect.items():
        made[engine] = {}
        for key, one in by_level.items():
            at = ("expect", engine, key)
            expected = _expected(source, one, at)
            for name in map(str.strip, key.split(",")):
                if name not in (*LEVELS[engine], ANY):
                    raise source.error(unknown(f"level of {engine}", name, (*LEVELS[engine], ANY)), *at)
                if name in made[engine]:
                    raise source.error(f"{name!r} is expected something of twice", *at)
                made[engine][name] = expected
    return made


def _expected(source: Source, one: ExpectedWritten, at: tuple[str, ...]) -> Expected:
    for key in ("finds", "allows"):
        for name in getattr(one, key):
            if (key, name) == ("allows", ANYTHING):
                continue
            if name.removesuffix("-process").removesuffix("-realtime") not in TITLES:
                raise source.error(unknown("anomaly", name, TITLES), *at, key)
    try:
        least = level(one.level) if one.level else ""
    except ValueError as error:
        raise source.error(str(error), *at, "level") from None
    return Expected(tuple(one.finds), tuple(one.allows), least)
