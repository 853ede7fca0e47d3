"""A pair's query as an engine takes it, its values bound; and as people are shown it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.engines.base import Statement
from harness.errors import DataError, ScenarioError
from harness.plans.declared import Body, Declared, of_engine
from harness.promptsales.queries import Query, find
from harness.scenario.expressions import fill

_SQL = ("postgresql", "sqlserver")
_MARK = re.compile(r"%%|%\((\w+)\)s")


def has_query(declared: Declared, engine: str, root: Path) -> str:
    """Why the pair has nothing to run on an engine; empty if it has."""
    body = of_engine(declared.queries, engine)
    if body is None:
        return f"the query says nothing for {engine}, where {declared.logical} is here"
    if engine not in (*_SQL, "mongodb"):
        return f"{engine} has no plans"
    if isinstance(body, str) != (engine in _SQL):
        kind = "SQL" if isinstance(body, str) else "a command document"
        return f"the query is {kind}; {declared.logical} is on {engine} here"
    if declared.named and not (root / declared.logical / engine / "queries" / f"{body}.sql").is_file():
        return f"schemas/{declared.logical}/{engine}/queries has no {body}.sql"
    return ""


def statement_for(declared: Declared, engine: str, root: Path) -> Statement:
    """The statement with its values bound. Raises DataError: no such query, a parameter missing, one too many."""
    body = of_engine(declared.queries, engine)
    if not isinstance(body, str):
        return Statement(_document(body, declared.parameters))
    query = (
        find(declared.logical, engine, body, root) if declared.named else Query(declared.logical, engine, "given", body)
    )
    bound = query.bind(declared.parameters)
    if engine == "sqlserver":
        return Statement(bound.sql, tuple(bound.values))
    return _numbered(bound.sql, dict(bound.values))


def _numbered(sql: str, values: Mapping[str, Any]) -> Statement:
    """``%(name)s`` as ``$1``: what the server itself calls a parameter."""
    order: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"${order.setdefault(found[1], len(order) + 1)}" if found[1] else "%"

    numbered = _MARK.sub(number, sql)  # which fills order
    return Statement(numbered, tuple(values[name] for name in order))


def _document(body: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """A command document with its ``${name}`` filled in; dates are written as extended JSON: ``{$date: …}``."""
    from bson import json_util

    try:
        filled = fill(dict(body), values)
        options = json_util.JSONOptions(tz_aware=False, json_mode=json_util.JSONMode.RELAXED)
        made: dict[str, Any] = json_util.loads(json.dumps(filled), json_options=options)
    except (ScenarioError, ValueError, TypeError) as error:
        raise DataError(f"the command document: {' '.join(str(error).split())}") from None
    return made


def shown_body(body: Any) -> str:
    """A statement on as many lines as it has; a command document on one, as mongosh prints it."""
    if isinstance(body, str):
        return body.strip()
    if isinstance(body, Mapping):
        return f"{{{', '.join(f'{key}: {shown_body_value(value)}' for key, value in body.items())}}}"
    return str(body)


def shown_body_value(value: Any) -> str:
    """A value within a command document."""
    if isinstance(value, Mapping):
        return shown_body(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown_body_value(one) for one in value)}]"
    return repr(value) if isinstance(value, str) else str(value)


def shown_statement(declared: Declared, engine: str, root: Path) -> str:
    """The query as it is written, its parameters by name."""
    body: Body = of_engine(declared.queries, engine)
    if isinstance(body, str) and declared.named:
        return find(declared.logical, engine, body, root).text.strip()
    return shown_body(body)
