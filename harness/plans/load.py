"""From a file to its pairs: names resolved, every mistake told with its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.engines.plans_base import Change
from harness.errors import DataError, Location
from harness.plans.declared import Body, Declared, of_engine
from harness.plans.statements import statement_for
from harness.plans.written import PairWritten, PlansWritten, dropped, is_by_engine
from harness.promptsales.queries import known
from harness.scenario.problems import error_of, unknown
from harness.scenario.source import Source, read
from harness.schemas import PROMPTSALES

_WITH_FILES = ("postgresql", "sqlserver")


def load(file: Path, root: Path = PROMPTSALES) -> list[Declared]:
    """Read, check and resolve a file of pairs; ``root`` is the folder ``schemas``, whose queries it names.

    Raises ScenarioError: file:line:column, what was wrong, what was meant.
    """
    source = read(file)
    if not isinstance(source.data, dict):
        raise source.error("a file of plans is a mapping that begins with 'title:'")
    try:
        written = PlansWritten.model_validate(source.data)
    except ValidationError as invalid:
        raise error_of(source, invalid) from None
    return [_pair(source, written, name, pair, root) for name, pair in written.plans.items()]


def _pair(source: Source, written: PlansWritten, name: str, pair: PairWritten, root: Path) -> Declared:
    at = ("plans", name)
    logical = pair.database or written.database
    if logical is None:
        raise source.error("say where it runs: 'database: promptcrm', here or for the whole file", *at)
    if logical == "cache":
        raise source.error("the cache is Redis, which has no execution plans", *at, "database")
    queries, named = _queries(source, pair, logical, root, (*at, "query"))
    declared = Declared(
        name=name,
        title=pair.title or written.title,
        about=pair.about or written.about,
        file=source.file,
        place=source.locate(at),
        logical=logical,
        queries=queries,
        named=named,
        parameters=pair.parameters,
        setup={engine: tuple(bodies) for engine, bodies in _by_engine(pair.setup).items()},
        before=_changes(pair.before),
        after=_changes(pair.after),
        expect=pair.expect,
        data=pair.data or written.data,
        expected_from=pair.expected_from or pair.data or written.data,
        runs=written.runs,
        places={key: source.locate((*at, key)) for key in PairWritten.model_fields},
    )
    _check(source, declared, root)
    return declared


def _queries(
    source: Source, pair: PairWritten, logical: str, root: Path, at: tuple[str, ...]
) -> tuple[Mapping[str, Body], bool]:
    query = pair.query
    if not isinstance(query, str):
        return (query if is_by_engine(query) else {"*": query}), False
    if any(character.isspace() for character in query):
        return {"*": query}, False
    try:
        names = sorted({one.name for engine in _WITH_FILES for one in known(logical, engine, root)})
    except DataError as error:
        raise source.error(str(error), *at) from None
    if query not in names:
        text = unknown("query", query, names, logical)
        raise source.error(f"{text}: the files of schemas/{logical}/ENGINE/queries, or write the statement here", *at)
    return {"*": query}, True


def _by_engine(value: Any) -> dict[str, list[Body]]:
    return dict(value) if isinstance(value, dict) else {"*": value} if value else {}


def _changes(value: Any) -> dict[str, Change]:
    return {engine: _change(bodies) for engine, bodies in _by_engine(value).items()}


def _change(bodies: list[Body]) -> Change:
    drops: list[str] = []
    statements: list[Body] = []
    for body in bodies:
        names = dropped(body) if isinstance(body, str) else None
        if names is None:
            statements.append(body)
        else:
            drops += names
    return Change(tuple(drops), tuple(statements))


def _check(source: Source, declared: Declared, root: Path) -> None:
    at = ("plans", declared.name)
    if not any([*declared.before.values(), *declared.after.values()]):
        raise source.error(
            "both sides are the same: say what is missing 'before: drop INDEX', or what 'after: CREATE INDEX …' adds",
            *at,
        )
    for engine in (*_WITH_FILES, "mongodb"):
        body = of_engine(declared.queries, engine)
        if body is None or isinstance(body, str) != (engine in _WITH_FILES):
            continue
        folder = root / declared.logical / engine / "queries"
        if declared.named and not (folder / f"{body}.sql").is_file():
            continue
        if engine == "sqlserver" and not declared.named and engine not in declared.queries:
            continue  # one text for every SQL engine: its parameters are written as PostgreSQL's are
        try:
            statement_for(declared, engine, root)
        except DataError as error:
            where = ("parameters",) if declared.parameters else ("query",)
            raise source.error(str(error), *at, *where) from None


def locations(declared: Declared, key: str) -> Location:
    """Where a key of the pair stands, else the pair itself."""
    return declared.places.get(key, declared.place)
