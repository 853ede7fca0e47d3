"""The footprints of a scenario's steps, from their statements and the texts of its set-up."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.errors import ScenarioError
from harness.scenario import expressions
from harness.scenario.conflicts_model import ANYWHERE, NOTHING, Access, Footprint, Table
from harness.scenario.conflicts_mongodb import read_mongodb
from harness.scenario.conflicts_redis import Line
from harness.scenario.conflicts_setup import routines_made, tables_made
from harness.scenario.conflicts_sql import DIALECTS, only_rows, read_sql
from harness.scenario.expressions import Expression
from harness.scenario.model import VERBS, Item, Scenario, Session, Step
from harness.scenario.written_steps import Body

Tables = Mapping[str, Mapping[str, Table]]
"""What is known of the tables: by alias, by plain name in small letters."""


def footprints(
    scenario: Scenario,
    engine_of: Mapping[str, str],
    keys_of: Tables | None = None,
    routines: Mapping[str, Collection[str]] | None = None,
    own: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Footprint]:
    """What each step of the sessions touches, by its name.

    ``engine_of``: the engine of each alias. ``keys_of``: what is known of the tables (the server's catalog); without
    it, what the set-up's CREATE TABLE say. What a statement touches without naming it (by a trigger, a foreign key, a
    view) is seen only as far as ``keys_of`` tells of it: :func:`harness.exploring.scout.scout` asks the server.
    ``routines``: by alias, functions that may be called, since somebody else tells what they touch; ``own``: those that
    the database's users have made, besides the ones that the set-up makes.
    """
    known = {alias: tables_made(scenario, alias, engine) for alias, engine in engine_of.items() if engine in DIALECTS}
    for alias, tables in (keys_of or {}).items():
        known[alias] = {**known.get(alias, {}), **tables}
    reader = Reader(
        engine_of=engine_of,
        tables=known,
        parameters={name: value for name, value in scenario.parameters.items() if name not in scenario.sensitive},
        documents_apart=not scenario.data and not _has_indexes(scenario),
        routines=routines,
        own={
            alias: {*routines_made(scenario, alias, engine_of[alias]), *(own or {}).get(alias, ())} for alias in known
        },
    )
    return reader.footprints(scenario.sessions, scenario.items)


class Reader:
    """Reads steps; ``documents_apart``: whether documents may be told apart in collections that nothing is known
    of."""

    def __init__(
        self,
        engine_of: Mapping[str, str],
        tables: Tables | None = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        documents_apart: bool = False,
        routines: Mapping[str, Collection[str]] | None = None,
        own: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._engine_of = engine_of
        self._tables = tables or {}
        self._parameters = parameters or {}
        self._apart = documents_apart
        self._routines = routines or {}
        self._own = own or {}
        self._loose: set[str] = set()

    def footprints(self, sessions: Sequence[Session], items: Sequence[Item] = ()) -> dict[str, Footprint]:
        """Footprints by step."""
        made: dict[str, Footprint] = {}
        for session in sessions:
            made |= self._session(session)
        for item in items:  # read at the end: the order of their rows may show who wrote first
            body = item.bodies.get(self._engine_of[item.database], item.bodies.get("*"))
            footprint = self._body(body, item.database, {}, frozenset())
            if self._looks_further(body, item.database, footprint):
                everywhere = {access.where for one in made.values() for access in one.accesses}
                self._loose |= {where for where in everywhere if where.partition(".")[0] in (item.database, ANYWHERE)}
        return widened(made, self._loose)

    def _looks_further(self, body: Body | None, alias: str, footprint: Footprint) -> bool:
        """Whether an item may look at the rows of tables that it does not name: through a view, a function."""
        if self._engine_of[alias] not in DIALECTS or not isinstance(body, str):
            return False
        tables = self._tables.get(alias, {})
        named = (tables.get(access.where.partition(".")[2]) for access in footprint.accesses)
        words = {*re.findall(r"\w+", body.lower())}
        return (
            footprint.everything
            or not words.isdisjoint(self._own.get(alias, ()))
            or any(table is None or not table.key for table in named)
        )

    def _session(self, session: Session) -> dict[str, Footprint]:
        steps = (*session.setup, *session.steps, *session.teardown)
        captured = frozenset(name for step in steps for name in step.reads)
        lines: dict[str, Line] = {}
        made = {}
        for step in (*session.setup, *session.steps):
            engine = self._engine_of[step.database]
            if engine == "redis":
                line = lines.setdefault(step.database, Line(step.database))
                footprint = self._redis(step, line, captured)
            else:
                footprint = self._body(step.body(engine), step.database, step.names, captured)
            if not any(step is one for one in session.setup):
                made[step.name] = footprint
        return made

    def _body(self, body: Body | None, alias: str, names: Mapping[str, Any], captured: frozenset[str]) -> Footprint:
        engine = self._engine_of[alias]
        if body is None:
            return replace(NOTHING, engine=engine)
        if isinstance(body, str) and body in VERBS:
            begins = body == "begin"
            return Footprint(engine=engine, kind="begin" if begins else "end", fallible=not begins)

        def constant(expression: Expression) -> object:
            return self._constant(expression, names, captured)

        if engine == "mongodb" and isinstance(body, Mapping):
            known = None if self._apart else self._tables.get(alias, {})
            footprint, loose = read_mongodb(_filled(body, constant), alias, known)
            self._loose |= loose
            return footprint
        read = None
        if engine in DIALECTS and isinstance(body, str):
            if (bound := boundary(body, engine)) is not None:
                return bound
            # On SQL Server a scan locks rows that it only passes: there rows are not told apart.
            tables = self._tables.get(alias, {}) if engine == "postgresql" else {}
            usable, own = self._routines.get(alias, ()), self._own.get(alias, ())
            read = read_sql(body, DIALECTS[engine], alias, tables, constant, usable, own)
        if read is None:
            rows = engine in DIALECTS and isinstance(body, str) and only_rows(body, DIALECTS[engine])
            return Footprint(everything=True, engine=engine, kind="statement" if rows else "unknown")
        self._loose |= read.loose
        return Footprint(read.accesses, engine=engine, fallible=read.fallible)

    def _redis(self, step: Step, line: Line, captured: frozenset[str]) -> Footprint:
        body = step.body("redis")
        if body is None:
            return replace(NOTHING, engine="redis")
        if isinstance(body, str) and body in VERBS:
            words: list[str | None] = [{"begin": "MULTI", "commit": "EXEC", "rollback": "DISCARD"}[body]]
            if not line.in_multi and body != "begin":
                words = ["UNWATCH" if body == "rollback" else "PING"]
        elif isinstance(body, Mapping):
            return Footprint(everything=True, engine="redis")
        else:
            written = shlex.split(body) if isinstance(body, str) else [str(word) for word in body]
            words = [self._word(word, step, captured) for word in written]
        return line.step(words)

    def _word(self, word: str, step: Step, captured: frozenset[str]) -> str | None:
        made = []
        for part in expressions.parse(word):
            value = self._constant(part, step.names, captured) if isinstance(part, Expression) else part
            if value is None or not isinstance(value, str | int):
                return None
            made.append(str(value))
        return "".join(made)

    def _constant(self, expression: Expression, names: Mapping[str, Any], captured: frozenset[str]) -> object:
        known = {**self._parameters, **names}
        try:
            if not expression.names() <= known.keys() - captured:
                return None
            return expression.evaluate(known)
        except ScenarioError:
            return None


def widened(made: Mapping[str, Footprint], loose: Iterable[str]) -> dict[str, Footprint]:
    """Writes of single rows count for their table where somebody may see how its rows lie: each write moves one.

    ``loose``: those tables, as accesses name them.
    """
    seen = [Access(where, False) for where in loose]

    def wide(access: Access) -> Access:
        return access.whole() if access.writes and any(access.overlaps(one) for one in seen) else access

    return {
        name: replace(footprint, accesses=frozenset(map(wide, footprint.accesses))) for name, footprint in made.items()
    }


_BEGINS = re.compile(
    r"\s*(?:begin(?:\s+(?:work|transaction|tran))?|start\s+transaction)"
    r"(?:\s+isolation\s+level\s+(?P<level>read\s+committed|read\s+uncommitted|repeatable\s+read|serializable))?"
    r"(?:\s*,?\s*read\s+write)?\s*;?\s*",
    re.IGNORECASE,
)
_ENDS = re.compile(r"\s*(?:commit|rollback|end|abort)(?:\s+(?:work|transaction|tran))?\s*;?\s*", re.IGNORECASE)


def boundary(body: str, engine: str) -> Footprint | None:
    """The footprint of an SQL text that only begins or ends a transaction; None for any other one."""
    if begins := _BEGINS.fullmatch(body):
        level = " ".join((begins["level"] or "").lower().split())
        return Footprint(engine=engine, kind="begin", fallible=False, level=level)
    if engine == "postgresql" and _ENDS.fullmatch(body):
        return Footprint(engine=engine, kind="end")
    return None


def _filled(value: Any, constant: Any) -> Any:
    """A document with the values that are known, None for the others."""
    if isinstance(value, str):
        parts = expressions.parse(value)
        if len(parts) == 1 and isinstance(parts[0], Expression):
            return constant(parts[0])
        return None if any(isinstance(part, Expression) for part in parts) else "".join(map(str, parts))
    if isinstance(value, Mapping):
        return {key: _filled(item, constant) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item, constant) for item in value]
    return value


def _has_indexes(scenario: Scenario) -> bool:
    """Whether a set-up makes something else than documents in MongoDB."""
    return any(
        isinstance(body, Mapping) and next(iter(body)) not in ("insert", "update", "delete")
        for by_engine in scenario.setup.values()
        for bodies in by_engine.values()
        for body in bodies
    )
