"""One session of a scenario on its connections: prepares a step, runs it, keeps what it read.

Knows no threads: :mod:`harness.runner.worker` gives it one if its connections need it. Those may lie on another machine
(:mod:`harness.runner.remote`): values are filled in here, statements travel.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.answers import ResultSet
from harness.engines.base import Engine, Outcome, SessionOptions, Statement, Verb, plain
from harness.engines.base import Session as Connection
from harness.history import Operation
from harness.runner.remote.places import HERE, Place
from harness.scenario import expressions
from harness.scenario.model import VERBS, Session, Step
from harness.scenario.written import Body


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A database of the case, ready to be connected to."""

    alias: str
    engine: Engine
    url: str = field(repr=False)
    level: str
    name: str
    server: str  # host:port
    settings: Mapping[str, str] = field(default_factory=dict)  # that every session on it begins with
    as_text: bool = False  # values are kept as the server writes them


@dataclass(frozen=True, slots=True)
class Prepared:
    """A step with its values filled in. ``shown`` is its text for people, as it was written.

    ``writes`` are the values that the step will leave in items, as far as they are known before it runs.
    """

    statement: Statement
    shown: str
    writes: Mapping[str, Any] = field(default_factory=dict)


class Driver:
    """A session's connections and what it has captured so far. Raises what ``Engine.open`` raises."""

    def __init__(
        self,
        session: Session,
        endpoints: Mapping[str, Endpoint],
        parameters: Mapping[str, Any],
        predicates: frozenset[str] = frozenset(),
        label: str = "",
        place: Place = HERE,
    ) -> None:
        self.session = session
        self.place = place
        self.endpoints = endpoints
        self.predicates = predicates
        self.values: dict[str, Any] = dict(parameters)
        self.connections: dict[str, Connection] = {}
        self._constant: dict[int, Prepared] = {}  # id of a step → what it always is (a name may be a set-up's, too)
        self._needed: dict[int, frozenset[str]] = {}  # id of a step → names that it uses
        try:
            for alias in session.databases:
                endpoint = endpoints[alias]
                options = SessionOptions(
                    label or session.name,
                    endpoint.level,
                    session.deadlock_priority,
                    endpoint.settings,
                    endpoint.as_text,
                    any(step.plan and step.database == alias for step in session.steps),
                )
                self.connections[alias] = place.open(endpoint.engine, endpoint.url, options)
        except BaseException:
            self.close()
            raise

    def forget(self, parameters: Mapping[str, Any]) -> None:
        """Begin anew with these values: what was read belongs to a case that is over."""
        self.values = dict(parameters)

    def missing(self, step: Step) -> list[str]:
        """Names that the step needs and that were not read, because an earlier step of the session failed."""
        needed = self._needed.get(id(step))
        if needed is None:  # on the way of every step: found once
            body = step.body(self.endpoints[step.database].engine.name)
            used = [*expressions.used_in(body), *expressions.used_in(step.writes)]
            names = {name for expression in used for name in expression.names()}
            needed = self._needed[id(step)] = frozenset(names - step.names.keys())
        return sorted(needed - self.values.keys()) if needed else []

    def prepare(self, step: Step) -> Prepared | None:
        """Fill in the step's values; None if it does nothing on this engine. Raises ScenarioError."""
        endpoint = self.endpoints[step.database]
        body = step.body(endpoint.engine.name)
        if body is None:
            return None
        if id(step) in self._constant:
            return self._constant[id(step)]
        names = self.values | dict(step.names)
        prepared = prepare(body, names, endpoint, self.endpoints)
        if step.plan:
            prepared = replace(prepared, statement=replace(prepared.statement, plan=True))
        if not step.writes and not expressions.used_in(body):
            self._constant[id(step)] = prepared
        return replace(prepared, writes=_writes(step, body, names)) if step.writes else prepared

    def run(self, step: Step, prepared: Prepared) -> Outcome:
        """Run it to its end and keep what it read. Never raises for what the database says."""
        outcome = self.connections[step.database].run(prepared.statement)
        self.keep(step, outcome)
        return outcome

    def keep(self, step: Step, outcome: Outcome) -> None:
        """Keep what a step that has ended has read, for later steps."""
        if step.reads and outcome.error is None:
            self.values.update(captured(step.reads, outcome.results))

    def operations(self, step: Step, prepared: Prepared, outcome: Outcome) -> list[Operation]:
        """The reads and writes of items that a step has done."""
        if outcome.error is not None or not (step.reads or step.writes):
            return []
        made = [
            Operation(action="r", item=item, value=plain(value), predicate=item in self.predicates)
            for item, value in captured(step.reads, outcome.results).items()
        ]
        affected = [result.affected for result in outcome.results if result.affected is not None]
        if step.writes and (not affected or any(affected)):
            returned = captured({"it": ""}, [result for result in outcome.results if result.affected is not None])["it"]
            for item, declared in step.writes.items():
                told = declared == "" and returned is not None
                known = told or item in prepared.writes
                value = returned if told else prepared.writes.get(item)
                made.append(
                    Operation(action="w", item=item, value=value, known=known, predicate=item in self.predicates)
                )
        return made

    def cancel(self) -> None:
        """Stop whatever any of its connections is doing; safe from any thread."""
        for connection in list(self.connections.values()):
            connection.cancel()

    def close(self) -> None:
        """Roll back and disconnect."""
        for connection in self.connections.values():
            connection.close()


def prepare(body: Body, names: Mapping[str, Any], endpoint: Endpoint, endpoints: Mapping[str, Endpoint]) -> Prepared:
    """A statement as the engine takes it, values bound. Raises ScenarioError if a value cannot be computed."""
    if isinstance(body, str) and body in VERBS:
        return Prepared(Statement(Verb(body)), body)
    if isinstance(body, str) and endpoint.engine.name == "redis":
        body = shlex.split(body)  # split before values are filled in: a value stays one word, whatever is in it
    if isinstance(body, str):
        text, values = expressions.bind_sql(
            body, names, endpoint.engine.placeholder, lambda alias: endpoint.engine.quote(endpoints[alias].name)
        )
        return Prepared(Statement(text, values), text)
    filled = expressions.fill(body, names)
    if isinstance(filled, list):
        words = [str(word) for word in filled]
        return Prepared(Statement(words), " ".join(_quoted(word) for word in words))
    return Prepared(Statement(filled), shown_document(filled))


def shown_document(document: Any) -> str:
    """A command document on one line, the way mongosh prints it."""
    if isinstance(document, Mapping):
        inner = ", ".join(f"{key}: {shown_document(value)}" for key, value in document.items())
        return f"{{{inner}}}"
    if isinstance(document, list | tuple):
        return f"[{', '.join(shown_document(item) for item in document)}]"
    return repr(document) if isinstance(document, str) else str(document)


def _quoted(word: str) -> str:
    return f'"{word}"' if re.search(r"\s", word) or not word else word


def captured(reads: Mapping[str, str], results: list[ResultSet]) -> dict[str, Any]:
    """The values that a step's ``reads`` name, from the last result that has columns.

    One row gives a value, several rows the list of them, no row None. A column's name does not matter where there is
    only one (an engine may call it as it likes); a number there is a row's, from 1: EXEC answers a row for each command.
    """
    result = next((result for result in reversed(results) if result.columns), None)
    if not reads:
        return {}
    if result is None or not result.rows:
        return dict.fromkeys(reads)
    values: dict[str, Any] = {}
    for item, column in reads.items():
        index = result.columns.index(column) if column in result.columns else 0
        if column and column not in result.columns and len(result.columns) > 1:
            values[item] = None
        elif len(result.columns) == 1 and column.isdigit() and column not in result.columns:
            place = int(column) - 1
            values[item] = result.rows[place][0] if 0 <= place < len(result.rows) else None
        elif len(result.rows) == 1:
            values[item] = result.rows[0][index]
        else:
            values[item] = [row[index] if column or len(row) == 1 else row for row in result.rows]
    return values


def _writes(step: Step, body: Body, names: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a step declares to write; one that it leaves open is that of the statement's only ``${…}``."""
    used = [expression for expression in expressions.used_in(body) if expression.names() - {"i", "n", "next"}]
    only = [plain(used[0].evaluate(names))] if len(used) == 1 else []
    values: dict[str, Any] = {}
    for item, value in step.writes.items():
        if value != "":
            values[item] = plain(expressions.fill(value, names))
        elif only:
            values[item] = only[0]
    return values
