"""A session: one connection, driven step by step.

    SET options of https://learn.microsoft.com/sql/t-sql/statements/set-transaction-isolation-level-transact-sql,
    https://learn.microsoft.com/sql/t-sql/statements/set-deadlock-priority-transact-sql and
    https://learn.microsoft.com/sql/t-sql/statements/set-xact-abort-transact-sql

XACT_ABORT stays OFF and NOCOUNT as the server has it, the defaults of a plain connection; a scenario may set either in
a step of its own. Statements without parameters are sent as plain batches. Those with parameters go through
``sp_prepexec``, so a temporary table or a SET in them ends with them, and BEGIN TRANSACTION belongs into a verb.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from harness.answers import ErrorKind, ErrorRecord, ResultSet, TransactionEnd
from harness.engines.base import Notice, Outcome, SessionOptions, Statement, Verb, plain
from harness.engines.sqlserver import babelfish
from harness.engines.sqlserver.driver import Refused, ask, connect, odbc
from harness.engines.sqlserver.faults import TRANSACTION_GONE, clean, error_record
from harness.engines.sqlserver.text import Reading, read
from harness.errors import EngineError, HarnessError

if TYPE_CHECKING:
    import pyodbc

_VERBS = {
    Verb.begin: "BEGIN TRANSACTION",
    Verb.commit: "IF @@TRANCOUNT > 0 COMMIT TRANSACTION",
    Verb.rollback: "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION",
}

SET_LEVEL = {
    "read committed": "READ COMMITTED",
    "read committed snapshot": "READ COMMITTED",  # the rest of it is a property of the database
    "read uncommitted": "READ UNCOMMITTED",
    "snapshot": "SNAPSHOT",
    "repeatable read": "REPEATABLE READ",
    "serializable": "SERIALIZABLE",
}
_PRIORITIES = {"low": "LOW", "normal": "NORMAL", "high": "HIGH"}

# A session always sees its own row, and its own database, whatever it may see besides.
_OBSERVED = """
SELECT s.transaction_isolation_level, d.is_read_committed_snapshot_on, d.snapshot_isolation_state
FROM sys.dm_exec_sessions AS s CROSS JOIN sys.databases AS d
WHERE s.session_id = @@SPID AND d.name = DB_NAME()
"""
_LEVEL_NUMBERS = {1: "read uncommitted", 2: "read committed", 3: "repeatable read", 4: "serializable", 5: "snapshot"}

_ATTENTION_SECONDS = 1.0
_OPEN_TRANSACTIONS = "SELECT @@TRANCOUNT, XACT_STATE()"


class SQLServerSession:
    """One connection; transactions are opened by the steps themselves."""

    def __init__(self, url: str, options: SessionOptions) -> None:
        """Log in and set level and deadlock priority. Raises what :func:`connect` does, and EngineError."""
        if options.level not in SET_LEVEL:
            raise EngineError(f"SQL Server has no isolation level {options.level!r}")
        self._url = url
        self._name = options.name
        self._connection: pyodbc.Connection = connect(url, options.name)
        self._running = False
        try:
            self.notes: list[str] = []
            self._babelfish = bool(babelfish.version(self._connection))
            self.pid = str(ask(self._connection, "SELECT @@SPID")[0][0])
            self._prepare(options)
            self.observed_level = self._observe(options.level)
        except HarnessError:
            self.close()
            raise
        self._cursor = self._connection.cursor()
        self._depth = 0  # @@TRANCOUNT as far as we know it
        self._implicit = False  # once IMPLICIT_TRANSACTIONS was touched, any statement may open a transaction
        self._step = 0
        self._cancelled = -1

    def _prepare(self, options: SessionOptions) -> None:
        if self._babelfish:
            if word := babelfish.ALLOWED.get(options.level):
                ask(self._connection, babelfish.ALLOW.replace("{level}", word))
            if timeout := babelfish.TIMEOUTS.get(options.deadlock_priority):
                try:
                    ask(self._connection, babelfish.STEER.replace("{timeout}", timeout))
                except Refused as error:
                    self.notes.append(f"deadlock victim not steered: {error}")
        ask(self._connection, f"SET TRANSACTION ISOLATION LEVEL {SET_LEVEL[options.level]}")
        ask(self._connection, f"SET DEADLOCK_PRIORITY {_PRIORITIES[options.deadlock_priority]}")

    def _observe(self, asked: str) -> str:
        """The level that the server says this session has, in our names; notes where it is not what was asked."""
        observed, versioned, snapshots = self._ask_level(asked)
        if observed == "read committed" and versioned:
            observed = "read committed snapshot"
        if observed != asked:
            self.notes.append(f"asked for {asked}, the server says {observed}")
        if observed == "snapshot" and snapshots == 0:
            self.notes.append(
                "ALLOW_SNAPSHOT_ISOLATION is OFF in this database: a transaction will fail with error 3952"
            )
        return observed

    def _ask_level(self, asked: str) -> tuple[str, bool, int | None]:
        with contextlib.suppress(Refused, IndexError, KeyError):
            number, versioned, snapshots = ask(self._connection, _OBSERVED)[0]
            return _LEVEL_NUMBERS[int(number)], bool(versioned), snapshots
        with contextlib.suppress(Refused, KeyError):
            options = {str(row[0]): str(row[1]) for row in ask(self._connection, "DBCC USEROPTIONS")}
            return options["isolation level"], False, None
        self.notes.append("the level could not be read back: neither sys.dm_exec_sessions nor DBCC USEROPTIONS answers")
        return asked, False, None

    def run(self, statement: Statement) -> Outcome:
        """Run one step to its end and keep every result set up to an error.

        The error of a statement in the middle of a batch is the outcome's error. What follows in that batch cannot be
        relied upon: the server goes on after an error that ends only the statement, but pyodbc closes the batch at the
        next error it meets, so a step with several statements should be several steps, or use TRY and CATCH.
        """
        verb = statement.body if isinstance(statement.body, Verb) else None
        if verb is None and not isinstance(statement.body, str):
            return _refused("SQL Server takes SQL text, not a command document")
        text = _VERBS[verb] if verb else str(statement.body)
        before = self._depth
        outcome = Outcome()
        self._step += 1
        self._running = True
        try:
            self._execute(text, statement.parameters, outcome)
        finally:
            self._running = False
        if verb:
            self._after_verb(verb, before, outcome)
        else:
            self._after_text(read(text), before, outcome)
        outcome.in_transaction = self._depth > 0
        return outcome

    def _execute(self, text: str, parameters: tuple[Any, ...], outcome: Outcome) -> None:
        cursor, error_class = self._cursor, odbc().Error
        writes = read(text).writes
        moving = False  # the first result set comes with execute(), the others with nextset()
        while True:
            fetching = False
            try:
                if not moving:
                    cursor.execute(text, *parameters)
                elif not cursor.nextset():
                    return
                fetching = True
                _collect(cursor, writes, outcome)
            except error_class as error:
                record = error_record(error)
                if outcome.error is None:
                    outcome.error = record
                else:
                    outcome.notices.append(Notice(f"{record.code}: {record.message}"))
                # After a failed nextset() pyodbc has closed the batch. After the other two it is still open, and the
                # connection is busy until somebody has read to its end.
                if record.kind is ErrorKind.connection or (moving and not fetching):
                    return
            except (TypeError, ValueError, OverflowError) as error:  # a parameter that the driver cannot bind
                outcome.error = ErrorRecord(kind=ErrorKind.other, code="HY000", message=str(error))
                return
            moving = True

    def _after_verb(self, verb: Verb, before: int, outcome: Outcome) -> None:
        if outcome.error:
            self._count(outcome.error)
            outcome.ended = TransactionEnd.aborted if before and not self._depth else None
            return
        if verb is Verb.begin:
            self._depth = before + 1
            outcome.may_release = False
        elif verb is Verb.commit:
            self._depth = max(before - 1, 0)  # an inner COMMIT only counts down
            outcome.ended = TransactionEnd.committed if before == 1 else None
        else:
            self._depth = 0
            outcome.ended = TransactionEnd.aborted if before else None

    def _after_text(self, reading: Reading, before: int, outcome: Outcome) -> None:
        self._implicit = self._implicit or reading.implicit
        if reading.asks or self._implicit or (outcome.error and before):
            self._count(outcome.error)
        outcome.ended = _ended(reading, before, self._depth, outcome)
        outcome.may_release = not (reading.keeps_locks and outcome.error is None and before == self._depth)

    def _count(self, error: ErrorRecord | None) -> None:
        """Ask how many transactions are open now; an answer that does not come means that the session is gone."""
        if error and error.kind in TRANSACTION_GONE:
            self._depth = 0
            return
        try:
            count, state = ask(self._connection, _OPEN_TRANSACTIONS)[0]
        except Refused:
            self._depth = 0
            return
        self._depth = int(count) if state else 0

    def cancel(self) -> None:
        """Ask the server to stop what runs now; nothing if nothing runs. Returns after about a second at the latest.

        SQLCancel sends an attention and then waits until the server has acknowledged it. SQL Server does so at once,
        but a statement that waits for a linked server, say, may not: so this waits in a thread of its own. Asked a
        second time for the same step, the session is ended from outside (KILL, which needs ALTER ANY CONNECTION).

        A Babelfish heeds an attention only when the statement has ended, and then calls cancelled what was done. So
        there none is sent: PostgreSQL is asked to cancel, if it lets this login do that (``pg_cancel_backend``).

        https://learn.microsoft.com/sql/odbc/reference/syntax/sqlcancel-function,
        https://learn.microsoft.com/sql/t-sql/language-elements/kill-transact-sql
        """
        if not self._running:
            return
        if self._cancelled == self._step:
            self._kill()
        elif self._babelfish:
            self._from_outside(babelfish.CANCEL, int(self.pid))
        else:
            attention = threading.Thread(target=self._attention, name=f"{self._name} cancel", daemon=True)
            attention.start()
            attention.join(_ATTENTION_SECONDS)
        self._cancelled = self._step

    def _attention(self) -> None:
        with contextlib.suppress(odbc().Error):
            self._cursor.cancel()

    def _from_outside(self, sql: str, *parameters: object) -> None:
        with contextlib.suppress(HarnessError):
            connection = connect(self._url, f"{self._name}/cancel")
            try:
                ask(connection, sql, *parameters)
            finally:
                _close(connection)

    def close(self) -> None:
        """Roll back, so that nothing is held when this returns, and disconnect.

        A step that is still running has outlived its cancelling: then the session is ended from outside, and the
        connection is left to the thread that waits in it, for ODBC lets nobody close it under that thread's feet.
        """
        if self._running:
            self._kill()
            return
        with contextlib.suppress(HarnessError):
            ask(self._connection, _VERBS[Verb.rollback])
        _close(self._connection)

    def _kill(self) -> None:
        self._from_outside(f"KILL {int(self.pid)}")


def _close(connection: pyodbc.Connection) -> None:
    with contextlib.suppress(odbc().Error):
        connection.close()


def _refused(message: str) -> Outcome:
    return Outcome(error=ErrorRecord(kind=ErrorKind.other, code="HY000", message=message), may_release=False)


def _collect(cursor: pyodbc.Cursor, writes: bool, outcome: Outcome) -> None:
    """Add what the cursor stands at: messages first (PRINT comes before the rows that follow it), then a result set."""
    outcome.notices += [Notice(clean(str(message[1]))) for message in cursor.messages or ()]
    if cursor.description:
        rows: list[list[Any]] = []
        columns = [str(column[0]) for column in cursor.description]
        try:
            # Row by row, so that an error in the middle (a deadlock while reading) leaves those that came before it.
            rows.extend([plain(value) for value in row] for row in cursor)
        finally:
            affected = len(rows) if writes else None  # INSERT … OUTPUT
            outcome.results.append(
                ResultSet(columns=columns, rows=rows, status=f"rows: {len(rows)}", affected=affected)
            )
    elif cursor.rowcount >= 0:
        outcome.results.append(ResultSet(status=f"rows: {cursor.rowcount}", affected=cursor.rowcount))


def _ended(reading: Reading, before: int, after: int, outcome: Outcome) -> TransactionEnd | None:
    """How a batch ended its transaction, as far as its words and the number of open transactions tell.

    A batch that holds both COMMIT and ROLLBACK is taken at its error: none means committed. A notice says so.
    """
    if after:
        if not (before == 1 and after == 1 and reading.restarts):
            return None
    elif outcome.error:
        if reading.commits:
            outcome.notices.append(Notice("the batch has a COMMIT and an error: taken for aborted"))
        return TransactionEnd.aborted
    if reading.commits and reading.rolls_back:
        outcome.notices.append(Notice("the batch has COMMIT and ROLLBACK: taken for committed, no error was seen"))
    return TransactionEnd.aborted if reading.rolls_back and not reading.commits else TransactionEnd.committed
