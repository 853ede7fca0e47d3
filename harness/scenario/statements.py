"""Statements of a file, checked for the engines that they will go to: steps' texts, set-up, items."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Set
from typing import Any

from harness.errors import ScenarioError, did_you_mean
from harness.scenario import expressions
from harness.scenario.expressions import DatabaseName, parse
from harness.scenario.model import VERBS, Item, Statements
from harness.scenario.problems import shown
from harness.scenario.reading import Reading
from harness.scenario.source import Keys
from harness.scenario.written_steps import Body, PerEngine
from harness.vocabulary import ENGINES, REAL_ENGINE

_KIND = {"postgresql": "SQL", "sqlserver": "SQL", "mongodb": "MongoDB", "redis": "Redis"}
_SQL_ENGINES = tuple(engine for engine, kind in _KIND.items() if kind == "SQL")


def bodies(
    reading: Reading, written: PerEngine, alias: str, path: Keys, known: Set[str], where: str
) -> dict[str, Body | None]:
    """A step's or an item's statements by engine, each one checked; ``known`` are the names that it may use."""
    made = written.bodies()
    for engine, body in made.items():
        at = (*path, "run" if engine == "*" else engine)
        check(reading, body, _kinds(reading, alias, engine, made), at, known, where)
    return made


def _kinds(reading: Reading, alias: str, engine: str, beside: Collection[str]) -> set[str]:
    """The kinds of engine that a statement may go to; ``*``: those of its database that have no statement of their own."""
    if engine != "*":
        return {_KIND[engine]}
    kinds = {_KIND[REAL_ENGINE[placement[alias]]] for placement in reading.placements}
    if len(reading.placements) > 1:  # a placement that nothing is expected of is not run
        kinds &= {_KIND[engine] for engine in reading.written.expect}
    return kinds - {_KIND[engine] for engine in beside if engine != "*"}


def check(reading: Reading, body: Body | None, kinds: Set[str], path: Keys, known: Set[str], where: str) -> None:
    """Raise ScenarioError if ``body`` is nothing for ``kinds``, or uses what is not there; ``where`` names its place."""
    if body is None or (isinstance(body, str) and body in VERBS):
        return
    for kind in sorted(kinds):
        if wrong := _wrong_form(body, kind):
            raise reading.error(wrong, *path)
    try:
        texts = list(_texts(body, kinds))
        if isinstance(body, str) and "SQL" in kinds:
            expressions.check_sql(body)
        parts = [part for text in texts for part in parse(text)]
    except ScenarioError as error:
        raise reading.error(error.message, *path) from None
    except ValueError as error:
        raise reading.error(f"not a command line: {str(error).lower()}", *path) from None
    for part in parts:
        if isinstance(part, DatabaseName):
            if part.alias not in reading.aliases:
                raise reading.unknown("database alias", part.alias, reading.aliases, "${databases.…}", *path)
            if not isinstance(body, str) or kinds == {"Redis"}:
                raise reading.error(f"${{databases.{part.alias}}} can stand in SQL only", *path)
        elif isinstance(part, expressions.Expression):
            for name in sorted(part.names() - known):
                lack = "no earlier step of its session reads it" if where.startswith("step") else "it is no parameter"
                names = ", ".join(sorted(known)) or "none"
                raise reading.error(
                    f"{where} uses {name!r}, but {lack}{did_you_mean(name, known)} (known: {names})", *path
                )


def _wrong_form(body: Body, kind: str) -> str:
    if kind == "MongoDB" and not isinstance(body, dict):
        return f"a MongoDB statement is a command document, {{find: …}}, or begin, commit, rollback, not {shown(body)}"
    if kind == "SQL" and not isinstance(body, str):
        return f"an SQL statement is a text, not {shown(body)}"
    if kind == "Redis" and isinstance(body, str) and not body.strip():
        return "an empty statement is SQL's: Redis has none"
    if kind == "Redis" and isinstance(body, dict):
        return "a Redis statement is a command line, a text or a list of words, not a mapping"
    return ""


def _texts(value: Any, kinds: Set[str]) -> Iterator[str]:
    """All texts of a statement in which an expression may stand; a Redis line is split into words first."""
    if isinstance(value, str):
        yield from _words(value) if kinds == {"Redis"} else [value]
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item, set())
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, set())


def _words(line: str) -> list[str]:
    words = shlex.split(line)
    for word in words:
        if re.search(r"\$\{[^}]*\Z", word):
            raise ScenarioError(f"{word!r} is torn apart: put a ${{…}} that has spaces in it into double quotes")
    return words


# -- set-up and items


def statements(reading: Reading, written: Any, key: str) -> dict[str, Statements]:
    """``setup`` or ``teardown`` by alias: given for each alias, for each engine, or the same for all."""
    if written is None:
        return {}
    if isinstance(written, dict) and written and not set(written) - set(reading.aliases):
        return {alias: _by_engine(reading, value, alias, (key, alias)) for alias, value in written.items()}
    return {alias: _by_engine(reading, written, alias, (key,)) for alias in reading.aliases}


def _by_engine(reading: Reading, written: Any, alias: str, path: Keys) -> Statements:
    if isinstance(written, dict):
        engines = (*ENGINES, "*")
        for name in written:
            if name not in engines:
                known = [*engines, *(reading.aliases if len(path) == 1 else ())]
                hint = did_you_mean(name, known) if name not in known else ""
                text = f"{path[0]} is a list of statements, or such lists by engine or by database, not both"
                raise reading.error(f"{text}: {name!r} is no engine{hint} (known: {', '.join(known)})", *path, name)
        return {
            engine: _list(reading, value, engine, _kinds(reading, alias, engine, written), (*path, engine))
            for engine, value in written.items()
        }
    named = {engine for body in written for engine in _engines_of(body)} if isinstance(written, list) else set()
    if named:  # some statements are given by engine: each engine has a list of its own, plain texts are SQL
        engines = tuple(engine for engine in ENGINES if engine in named or engine in _SQL_ENGINES)
        return {engine: _list(reading, written, engine, {_KIND[engine]}, path) for engine in engines}
    return {"*": _list(reading, written, "*", _kinds(reading, alias, "*", ()), path)}


def _engines_of(body: Any) -> Set[str]:
    """The engines of a statement that is given by engine; empty for any other one."""
    keys = set(body) if isinstance(body, dict) else set()
    return keys if keys <= set(ENGINES) else set()


def _list(reading: Reading, written: Any, engine: str, kinds: Set[str], path: Keys) -> tuple[Body, ...]:
    made: list[Body] = []
    given = written if isinstance(written, list) else [] if written is None else [written]
    for number, body in enumerate(given):
        at = (*path, number)
        if _engines_of(body):
            if engine == "*":
                raise reading.error("a statement by engine cannot stand under '*': put it under its engine", *at)
            if body.get(engine) is None:
                continue  # nothing for this engine
            body, at = body[engine], (*at, engine)
        if not isinstance(body, str | dict | list) or not body:
            raise reading.error(f"a statement is a text, a command document or a list of words, not {shown(body)}", *at)
        check(reading, body, kinds, at, reading.parameters.keys(), str(path[0]))
        made.append(body)
    return tuple(made)


def items(reading: Reading) -> Iterator[Item]:
    """The items of the file."""
    for name, written in reading.written.items.items():
        path: Keys = ("items", name)
        alias = reading.alias(written.on, *path, "on")
        made = bodies(reading, written, alias, path, reading.parameters.keys(), f"item {name!r}")
        yield Item(name, alias, made, written.column, written.predicate)
