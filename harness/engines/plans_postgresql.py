"""PostgreSQL's plans: EXPLAIN in a transaction that is rolled back, and EXPLAIN for another session's statement.

Its DDL is transactional (https://www.postgresql.org/wiki/Transactional_DDL_in_PostgreSQL:_A_Competitive_Analysis): indexes
are dropped and made inside one transaction, states are savepoints, and whoever is killed meanwhile has changed nothing. An
index that is dropped so locks its table for everybody else until then.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.types.string import TextLoader

from harness.engines.base import Statement
from harness.engines.plans_base import LOCK_SECONDS, Change, Told, creates_index
from harness.engines.postgresql_server import error_record
from harness.errors import EngineError, did_you_mean

Connection = psycopg.Connection[tuple[Any, ...]]

ANALYZED = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
ESTIMATED = "EXPLAIN (FORMAT JSON) "

_ENDS = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:begin|start|commit|end|rollback|abort|savepoint|release|prepare\s+transaction)\b",
    re.IGNORECASE | re.DOTALL,
)

_INDEXES = """
SELECT i.relname, t.relname, quote_ident(n.nspname) || '.' || quote_ident(i.relname), x.indcheckxmin
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = i.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
ORDER BY pg_table_is_visible(i.oid), i.oid
"""


def executed(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> PGresult:
    """Run one statement, and only one: by the extended protocol the server refuses a text that holds several.

    A second one could end the transaction that undoes everything. Raises psycopg.Error.
    """
    bound = Transformer(connection)
    values = bound.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
    result = connection.pgconn.exec_params(sql.encode(), values, bound.types, bound.formats)
    if result.status in (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE):
        raise error_from_result(result, connection.info.encoding)
    return result


class PostgreSQLBench:
    """A transaction that is always rolled back. ``connection`` is in autocommit and belongs to the bench."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.adapters.register_loader("json", TextLoader)  # the plan as it came, not as Python has it
        self.notes: list[str] = []
        self.product = "PostgreSQL"
        self.version = str(connection.info.parameter_status("server_version") or "").split(" ")[0]
        self._changes = (Change(), Change())
        self._made: tuple[list[str], list[str]] = ([], [])  # indexes that a state has and the other one has not

    def indexes(self) -> dict[str, str]:
        """By name, their tables."""
        return {str(row[0]): str(row[1]) for row in self._ask(_INDEXES)}

    def prepare(self, setup: Sequence[str | Mapping[str, Any]], before: Change, after: Change) -> None:
        """Begin the transaction, make what both states need."""
        self._ask("BEGIN")
        self._ask(f"SET LOCAL lock_timeout = {1000 * LOCK_SECONDS:.0f}")
        self._ask("SET LOCAL statement_timeout = '10min'")
        for body in setup:
            self._change(body)
        self._changes = (before, after)
        for number, change in enumerate(self._changes):
            for body in filter(creates_index, change.statements):
                there = self._names()
                self._change(body)
                new = [name for name in self._names() if name not in there]
                self._made[number].extend(new)
                if any(row[3] for row in self._ask(_INDEXES) if row[2] in new):
                    self.notes.append(
                        f"{', '.join(new)} cannot be used in the transaction that made it: the table has rows that were "
                        "changed meanwhile (pg_index.indcheckxmin); run it on a database nobody writes to"
                    )

    def _names(self) -> list[str]:
        return [str(row[2]) for row in self._ask(_INDEXES)]

    @contextlib.contextmanager
    def state(self, number: int) -> Iterator[None]:
        """A savepoint, in which the state's indexes are missing and its other statements were run."""
        self._ask("SAVEPOINT psh_plan")
        try:
            for name in self._made[1 - number]:
                self._ask(f"DROP INDEX {name}")
            change = self._changes[number]
            if change.drops:
                known = {str(row[0]): str(row[2]) for row in self._ask(_INDEXES)}
                for name in change.drops:
                    if name not in known:
                        raise EngineError(
                            f"there is no index {name!r} here{did_you_mean(name, known)}; there are: {', '.join(known)}"
                        )
                    self._change(f"DROP INDEX {known[name]}")
            for body in change.statements:
                if not creates_index(body):
                    self._change(body)
            yield
        finally:
            with contextlib.suppress(EngineError):  # the connection is gone: the server has rolled back by itself
                self._ask("ROLLBACK TO SAVEPOINT psh_plan")

    def explain(self, statement: Statement) -> str:
        """``EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)``."""
        with self._undone():
            return str(self._ask(ANALYZED + str(statement.body), statement.parameters)[0][0])

    def warm(self, statement: Statement) -> None:
        """Plan it, which reads the catalogue again."""
        with self._undone():
            self._ask(ESTIMATED + str(statement.body), statement.parameters)

    def run(self, statement: Statement) -> int:
        """Execute it."""
        with self._undone():
            result = self._execute(str(statement.body), statement.parameters)
            return result.ntuples or result.command_tuples or 0

    @contextlib.contextmanager
    def _undone(self) -> Iterator[None]:
        self._ask("SAVEPOINT psh_run")
        try:
            yield
        finally:
            with contextlib.suppress(EngineError):
                self._ask("ROLLBACK TO SAVEPOINT psh_run")

    def _change(self, body: str | Mapping[str, Any]) -> None:
        """A statement of the pair's. Raises EngineError that names it."""
        if not isinstance(body, str):
            raise EngineError("a statement for PostgreSQL is SQL text, not a command document")
        if _ENDS.match(body):
            raise EngineError(f"a pair does not begin or end transactions: {' '.join(body.split())[:100]}")
        try:
            self._ask(body)
        except EngineError as error:
            raise EngineError(f"{error}, in: {' '.join(body.split())[:100]}") from None

    def _ask(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        result = self._execute(sql, parameters)
        made = Transformer(self._connection)
        made.set_pgresult(result)
        return made.load_rows(0, result.ntuples, tuple)

    def _execute(self, sql: str, parameters: Sequence[Any] = ()) -> PGresult:
        try:
            return executed(self._connection, sql, parameters)
        except psycopg.Error as error:
            record = error_record(error)
            raise EngineError(f"PostgreSQL says {record.code} {' '.join(record.message.split())}") from None

    def close(self) -> None:
        """Disconnect: the server rolls back."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()


class AutoExplain:
    """Has a session tell the plans of statements that it really runs, by the server's own module ``auto_explain``.

    https://www.postgresql.org/docs/current/auto-explain.html. It is loaded into the session alone and switched on for one
    statement at a time. Its messages come at level INFO: that goes to the client whatever ``client_min_messages`` says, and
    by default not into the server's log. Only SET and RESET are sent besides: they take no snapshot and no lock. Whoever is
    not a superuser may do neither; ``problem`` then says so.
    """

    _SETTINGS = {
        "log_min_duration": "0",
        "log_analyze": "on",
        "log_buffers": "on",
        "log_format": "json",
        "log_level": "info",
        "log_nested_statements": "off",
        "sample_rate": "1",
    }

    def __init__(self, connection: Connection) -> None:
        settings = dict(self._SETTINGS)
        if connection.info.server_version >= 160000:
            settings["log_parameter_max_length"] = "0"  # a parameter may be secret
        self._on = "; ".join(f"SET auto_explain.{name} = {value}" for name, value in settings.items()).encode()
        self._off = "; ".join(f"RESET auto_explain.{name}" for name in settings).encode()
        self._plans: list[str] = []
        self._listening = False
        self._is_on = False
        self.problem = ""
        try:
            connection.execute("LOAD 'auto_explain'")
            connection.execute(self._on)
            connection.execute(self._off)
        except psycopg.Error as error:
            self.problem = " ".join(error_record(error).message.split())

    def begin(self, pgconn: PGconn, *, wanted: bool) -> None:
        """Before a statement is sent: switch it on if its plan is wanted, else off if it still is on."""
        self._listening = wanted and not self.problem
        if self._listening:
            self._switch(pgconn, on=True)
        elif self._is_on:
            self._switch(pgconn, on=False)

    def _switch(self, pgconn: PGconn, *, on: bool) -> None:
        if pgconn.transaction_status in (TransactionStatus.IDLE, TransactionStatus.INTRANS):
            self._is_on = on  # in a transaction that has failed nothing can be set, and nothing is executed
            pgconn.exec_(self._on if on else self._off)

    def hears(self, result: PGresult) -> bool:
        """Whether a message is a plan; then it is kept."""
        if not self._listening or result.error_field(DiagnosticField.SEVERITY_NONLOCALIZED) != b"INFO":
            return False
        text = (result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace")
        head, found, plan = text.partition("  plan:\n")
        if not found or not head.startswith("duration: "):
            return False
        self._plans.append(plan)
        return True

    def end(self, pgconn: PGconn) -> list[str] | None:
        """After a statement: switch it off; the plans that came, None if none were asked for."""
        taken, self._plans = self._plans, []
        if self._is_on:
            self._switch(pgconn, on=False)
        listened, self._listening = self._listening, False
        return taken if listened else None


class PostgreSQLExplainer:
    """``EXPLAIN`` without ``ANALYZE``: what the planner would do now, in a session of its own. It executes nothing."""

    WAY = "EXPLAIN in a second session, not executed"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        with contextlib.suppress(psycopg.Error):
            connection.execute("SET lock_timeout = '250ms'")  # never wait behind what the scenario locks
            connection.execute("SET default_transaction_read_only = on")

    def plan_of(self, pid: str, statement: Statement) -> Told:
        """The plan of the statement, whoever ran it."""
        try:
            result = executed(self._connection, ESTIMATED + str(statement.body), statement.parameters)
            return Told(self.WAY, "json", (result.get_value(0, 0) or b"").decode(errors="replace"))
        except psycopg.Error as error:
            return Told(self.WAY, note=f"no plan: {' '.join(error_record(error).message.split())}")

    def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()
