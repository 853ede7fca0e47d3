"""What a scenario's set-up says of the tables that it makes: their keys, and what else hangs on them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from harness.errors import ScenarioError
from harness.scenario.conflicts_model import Table
from harness.scenario.conflicts_sql import DIALECTS
from harness.scenario.expressions import DatabaseName, Expression, parse
from harness.scenario.model import Scenario

_ROUTINE = re.compile(r"\b(?:function|procedure|aggregate)\s+(?:[\w\"\[\]]+\s*\.\s*)?[\"\[]?(\w+)", re.IGNORECASE)


def tables_made(scenario: Scenario, alias: str, engine: str) -> dict[str, Table]:
    """The tables that CREATE TABLE makes in the set-up, by plain name; none if anything there cannot be read."""
    try:
        return tables_of(_texts(scenario, alias, engine), DIALECTS[engine])
    except (ScenarioError, _Unreadable):
        return {}


def routines_made(scenario: Scenario, alias: str, engine: str) -> set[str]:
    """The names of the functions that the set-up makes, in small letters."""
    return {name.lower() for text in _texts(scenario, alias, engine) for name in _ROUTINE.findall(text)}


def _texts(scenario: Scenario, alias: str, engine: str) -> list[str]:
    bodies = scenario.setup.get(alias, {})
    return [body for body in bodies.get(engine, bodies.get("*", ())) if isinstance(body, str)]


class _Unreadable(Exception):
    """A statement whose consequences are not known: a function, a trigger, a view, a rule."""


def tables_of(texts: list[str], dialect: str) -> dict[str, Table]:
    """The same of texts. Raises _Unreadable (private: nothing is known then)."""
    import sqlglot
    from sqlglot import expressions as sql

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    made: dict[str, Table] = {}
    for text in texts:
        bare = "".join(
            "NULL" if isinstance(part, Expression) else part.alias if isinstance(part, DatabaseName) else part
            for part in parse(text)
        )
        try:
            trees = [tree for tree in sqlglot.parse(bare, read=dialect) if tree is not None]
        except (sqlglot.errors.SqlglotError, RecursionError):
            raise _Unreadable from None
        for tree in trees:
            if isinstance(tree, (sql.Insert, sql.Update, sql.Delete)):
                continue
            if not isinstance(tree, sql.Create):
                raise _Unreadable
            if tree.kind == "TABLE" and isinstance(tree.this, sql.Schema):
                if tree.args.get("properties") or tree.args.get("expression"):
                    raise _Unreadable  # PARTITION OF, INHERITS, TEMPORARY, AS SELECT
                name, table = _table(sql, tree.this)
                made[name] = table
            elif tree.kind == "INDEX":
                _index(sql, tree, made)
            else:
                raise _Unreadable
    return _related(made)


def _table(sql: Any, schema: Any) -> tuple[str, Table]:
    name = schema.this.name.lower()
    columns: dict[str, str] = {}
    key: list[str] = []
    shared: set[str] = set()
    parents: set[str] = set()
    drawn = generated = False
    for part in schema.expressions:
        if isinstance(part, sql.ColumnDef):
            column = part.name.lower()
            columns[column] = part.kind.sql(dialect="postgres").lower() if part.kind is not None else ""
            drawn |= "serial" in columns[column]
            for constraint in part.args.get("constraints") or []:
                kind = constraint.kind
                if isinstance(kind, sql.PrimaryKeyColumnConstraint):
                    key.append(column)
                elif isinstance(kind, sql.Reference):
                    shared.add(column)
                    parents.add(_referred(sql, kind))
                elif isinstance(kind, sql.DefaultColumnConstraint):
                    drawn |= not isinstance(kind.this, (sql.Literal, sql.Boolean, sql.Null, sql.Neg))
                elif not isinstance(kind, (sql.NotNullColumnConstraint, sql.CheckColumnConstraint)):
                    shared.add(column)  # UNIQUE; and what is not known
                    drawn |= not isinstance(kind, sql.UniqueColumnConstraint)
                    generated |= isinstance(kind, sql.ComputedColumnConstraint)
            continue
        _constraint(sql, part, key, shared, parents)
    if generated:  # from any of the others, and it may be unique
        shared |= columns.keys()
    return name, Table(tuple(key), columns, frozenset(shared), frozenset(parents), drawn=drawn)


def _constraint(sql: Any, part: Any, key: list[str], shared: set[str], parents: set[str]) -> None:
    """A table's constraint."""
    inner = part.expressions if isinstance(part, sql.Constraint) else [part]
    for one in inner:
        names = set(_identifiers(sql, one.expressions if hasattr(one, "expressions") else []))
        if isinstance(one, sql.PrimaryKey):
            key += [name for name in _identifiers(sql, one.expressions) if name not in key]
        elif isinstance(one, sql.ForeignKey):
            shared |= names
            parents.add(_referred(sql, one.args["reference"]))
        elif isinstance(one, sql.UniqueColumnConstraint):
            shared |= set(_identifiers(sql, [one]))
        elif not isinstance(one, (sql.Check, sql.CheckColumnConstraint)):
            raise _Unreadable


def _identifiers(sql: Any, parts: Any) -> Iterator[str]:
    for part in parts:
        for found in part.find_all(sql.Identifier):
            yield found.name.lower()


def _referred(sql: Any, reference: Any) -> str:
    table = reference.find(sql.Table)
    if table is None:
        raise _Unreadable
    return str(table.name.lower())


def _index(sql: Any, tree: Any, made: dict[str, Table]) -> None:
    table = tree.find(sql.Table)
    name = table.name.lower() if table is not None else ""
    if name not in made:
        raise _Unreadable
    if tree.args.get("unique"):
        names = frozenset(column.name.lower() for column in tree.find_all(sql.Column, sql.Identifier))
        made[name] = replace(made[name], shared=made[name].shared | names)


def _related(made: dict[str, Table]) -> dict[str, Table]:
    """The same, and each table knows who refers to it."""
    children: dict[str, set[str]] = {}
    for name, table in made.items():
        for parent in table.parents:
            children.setdefault(parent, set()).add(name)
    return {name: replace(table, children=frozenset(children.get(name, ()))) for name, table in made.items()}
