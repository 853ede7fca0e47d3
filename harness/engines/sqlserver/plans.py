"""SQL Server's plans: the actual one by ``SET STATISTICS XML ON``, in a transaction that is rolled back; another session's
last one from the plan cache.

Written from Microsoft's documentation; it has not run against a SQL Server here:
https://learn.microsoft.com/sql/t-sql/statements/set-statistics-xml-transact-sql (the plan arrives as a further result set of
one column after that of the statement), https://learn.microsoft.com/sql/t-sql/language-elements/save-transaction-transact-sql,
https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-exec-query-plan-stats-transact-sql
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.engines.base import Statement
from harness.engines.plans_base import LOCK_SECONDS, Change, Told, creates_index
from harness.engines.sqlserver.driver import Refused, ask, connect, odbc
from harness.engines.sqlserver.faults import diagnostics
from harness.engines.sqlserver.text import quote, read
from harness.errors import EngineError, HarnessError, did_you_mean

if TYPE_CHECKING:
    import pyodbc

_INDEXES = """
SELECT i.name, o.name, s.name FROM sys.indexes AS i
INNER JOIN sys.objects AS o ON i.object_id = o.object_id INNER JOIN sys.schemas AS s ON o.schema_id = s.schema_id
WHERE o.is_ms_shipped = 0 AND i.name IS NOT NULL ORDER BY i.name
"""

_VERSION = "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128))"

# The plan of the batch that the session ran last: with run-time counts where LAST_QUERY_PLAN_STATS is on, else as compiled.
_LAST_PLAN = """
SELECT TOP (1) CAST(COALESCE(a.query_plan, p.query_plan) AS nvarchar(max)),
       CASE WHEN a.query_plan IS NULL THEN 0 ELSE 1 END
FROM sys.dm_exec_connections AS c
INNER JOIN sys.dm_exec_query_stats AS q ON q.sql_handle = c.most_recent_sql_handle
OUTER APPLY sys.dm_exec_query_plan_stats(q.plan_handle) AS a
OUTER APPLY sys.dm_exec_query_plan(q.plan_handle) AS p
WHERE c.session_id = ? ORDER BY q.last_execution_time DESC
"""


class SQLServerBench:
    """A transaction that is always rolled back; states are savepoints. Raises as :func:`.driver.connect`."""

    def __init__(self, url: str, run: str) -> None:
        self._connection: pyodbc.Connection = connect(url, f"psh:{run}/plans")
        self.notes: list[str] = []
        self.product = "SQL Server"
        self.version = str(ask(self._connection, _VERSION)[0][0])
        self._changes = (Change(), Change())
        self._made: tuple[list[str], list[str]] = ([], [])

    def indexes(self) -> dict[str, str]:
        """By name, their tables."""
        return {str(row[0]): str(row[1]) for row in self._ask(_INDEXES)}

    def prepare(self, setup: Sequence[str | Mapping[str, Any]], before: Change, after: Change) -> None:
        """Begin the transaction, make what both states need."""
        self._ask(f"SET LOCK_TIMEOUT {LOCK_SECONDS * 1000}")
        self._ask("BEGIN TRANSACTION")
        for body in setup:
            self._change(body)
        self._changes = (before, after)
        for number, change in enumerate(self._changes):
            for body in filter(creates_index, change.statements):
                there = self._drops()
                self._change(body)
                self._made[number].extend(sql for name, sql in self._drops().items() if name not in there)

    def _drops(self) -> dict[str, str]:
        """By the names of indexes, the statements that drop them."""
        return {
            str(name): f"DROP INDEX {quote(str(name))} ON {quote(str(schema))}.{quote(str(table))}"
            for name, table, schema in self._ask(_INDEXES)
        }

    @contextlib.contextmanager
    def state(self, number: int) -> Iterator[None]:
        """A savepoint, in which the state's indexes are missing and its other statements were run."""
        with self._savepoint("psh_plan"):
            for sql in self._made[1 - number]:
                self._ask(sql)
            change = self._changes[number]
            if change.drops:
                known = self._drops()
                for name in change.drops:
                    if name not in known:
                        raise EngineError(
                            f"there is no index {name!r} here{did_you_mean(name, known)}; there are: {', '.join(known)}"
                        )
                    self._change(known[name])
            for body in change.statements:
                if not creates_index(body):
                    self._change(body)
            yield

    @contextlib.contextmanager
    def _savepoint(self, name: str) -> Iterator[None]:
        self._ask(f"SAVE TRANSACTION {name}")
        try:
            yield
        finally:
            with contextlib.suppress(EngineError):  # the transaction is gone, and what it did with it
                self._ask(f"ROLLBACK TRANSACTION {name}")

    def explain(self, statement: Statement) -> str:
        """``SET STATISTICS XML ON``: the last plan that the statement brings, as XML."""
        with self._savepoint("psh_run"):
            self._ask("SET STATISTICS XML ON")
            try:
                found = self._execute(statement)[1]
            finally:
                self._ask("SET STATISTICS XML OFF")
        if not found:
            raise EngineError(
                "SQL Server gave no plan: SET STATISTICS XML needs the permission SHOWPLAN in the database"
            )
        return found

    def warm(self, statement: Statement) -> None:
        """Run it once: a change of state has it compiled anew."""
        self.run(statement)

    def run(self, statement: Statement) -> int:
        """Execute it."""
        with self._savepoint("psh_run"):
            return self._execute(statement)[0]

    def _execute(self, statement: Statement) -> tuple[int, str]:
        """How many rows, and the plan, if one came."""
        rows, found = 0, ""
        _no_ends(str(statement.body))
        try:
            cursor = self._connection.cursor()
            try:
                cursor.execute(str(statement.body), *statement.parameters)
                while True:
                    if cursor.description and "XML Showplan" in str(cursor.description[0][0]):
                        found = str(cursor.fetchall()[0][0])
                    elif cursor.description:
                        rows = len(cursor.fetchall())
                    elif cursor.rowcount > 0:
                        rows = cursor.rowcount
                    if not cursor.nextset():
                        return rows, found
            finally:
                cursor.close()
        except odbc().Error as error:
            first = diagnostics(error)[0]
            raise EngineError(f"SQL Server says {first.number or first.state} {first.text}") from None

    def _change(self, body: str | Mapping[str, Any]) -> None:
        if not isinstance(body, str):
            raise EngineError("a statement for SQL Server is SQL text, not a command document")
        _no_ends(body)
        try:
            self._ask(body)
        except EngineError as error:
            raise EngineError(f"{error}, in: {' '.join(body.split())[:100]}") from None

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            return ask(self._connection, sql)
        except Refused as error:
            raise EngineError(f"SQL Server says {error}") from None

    def close(self) -> None:
        """Roll back and disconnect."""
        with contextlib.suppress(Exception):
            ask(self._connection, "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
        with contextlib.suppress(Exception):
            self._connection.close()


def _no_ends(body: str) -> None:
    """Raise EngineError for a batch that could end the transaction which undoes everything."""
    said = read(body)
    if said.commits or said.rolls_back or said.implicit:
        raise EngineError(f"a pair does not begin or end transactions: {' '.join(body.split())[:100]}")


class SQLServerExplainer:
    """What the plan cache has of another session's last batch. It needs VIEW SERVER STATE, and executes nothing."""

    WAY = "the plan cache, asked by a second session"

    def __init__(self, url: str, run: str) -> None:
        self._connection: pyodbc.Connection = connect(url, f"psh:{run}/plans")
        with contextlib.suppress(HarnessError):
            ask(self._connection, "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; SET LOCK_TIMEOUT 1000")

    def plan_of(self, pid: str, statement: Statement) -> Told:
        """The plan of the batch that the session ``pid`` has run last."""
        try:
            rows = ask(self._connection, _LAST_PLAN, int(pid))
        except HarnessError as error:
            return Told(self.WAY, note=f"no plan: {error}")
        if not rows or not rows[0][0]:
            return Told(self.WAY, note="no plan: it is not in the plan cache (any more)")
        actual = "sys.dm_exec_query_plan_stats" if rows[0][1] else "sys.dm_exec_query_plan: as compiled, no actual rows"
        return Told(f"{self.WAY} ({actual})", "xml", str(rows[0][0]))

    def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(Exception):
            self._connection.close()
