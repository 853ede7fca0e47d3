"""PostgreSQL, through psycopg 3: sessions and their steps. What the server says beside them: ``postgresql_server``."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.pq import TransactionStatus

from harness.engines.base import Outcome, SessionOptions, Statement, Verb, plain
from harness.engines.postgresql_server import PostgreSQLAdmin, PostgreSQLObserver, error_record, quote
from harness.errors import LoginRefused, ServerError
from harness.history import ResultSet, TransactionEnd
from harness.vocabulary import LEVELS

_CONNECT_SECONDS = 10
_DEADLOCK_TIMEOUT = {"low": "100ms", "normal": "", "high": "60s"}

# Commands that let nobody go who was already waiting: the locks that end with them were taken by themselves, and
# the step itself never waited (the coordinator sees to that), so nobody can have queued behind those.
_KEEPS_LOCKS = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "BEGIN", "SET", "SHOW", "SAVEPOINT", "RELEASE", "FETCH", "LOCK"}
)
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE")
_MIGHT_UNLOCK = re.compile(r"unlock|pg_(cancel|terminate)_backend", re.IGNORECASE)


class PostgreSQL:
    """PostgreSQL 12 and newer, and whatever speaks its protocol and has its views."""

    name = "postgresql"
    levels = LEVELS["postgresql"]

    def admin(self, url: str, run: str) -> PostgreSQLAdmin:
        """Log in to the server's maintenance database. Raises LoginRefused or ServerError."""
        return PostgreSQLAdmin(_connect(url, f"psh:{run}"))

    def database_url(self, url: str, name: str) -> str:
        """The URL of the database ``name`` on the server of ``url``."""
        return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))

    def open(self, url: str, options: SessionOptions) -> PostgreSQLSession:
        """Open a session whose transactions begin at ``options.level``."""
        return PostgreSQLSession(_connect(url, options.name), options)

    def observe(self, url: str, run: str) -> PostgreSQLObserver:
        """Open the connection that asks who waits for whom."""
        return PostgreSQLObserver(_connect(url, f"psh:{run}/observer"))

    def placeholder(self, number: int) -> str:
        """``$1``, ``$2``, …"""
        return f"${number}"

    def quote(self, identifier: str) -> str:
        """``"identifier"``, quotes in it doubled."""
        return quote(identifier)


def _connect(url: str, name: str) -> psycopg.Connection[tuple[Any, ...]]:
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            application_name=name[:63],  # the server cuts it there, with a notice
            connect_timeout=_CONNECT_SECONDS,
            cursor_factory=psycopg.RawCursor,
            prepare_threshold=None,
        )
    except psycopg.OperationalError as error:
        text = " ".join(str(error).split())
        where = f"PostgreSQL at {_address(url)}"
        if "authentication failed" in text or "no password supplied" in text or "does not exist" in text:
            raise LoginRefused(
                f"{where} refuses the login: {text}; check user, password and database in the URL"
            ) from None
        raise ServerError(f"{where} cannot be reached: {text}") from None
    except psycopg.ProgrammingError as error:
        raise ServerError(f"not a PostgreSQL URL: {' '.join(str(error).split())}") from None


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}"


class PostgreSQLSession:
    """One connection; transactions are opened by the steps themselves."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], options: SessionOptions) -> None:
        self._connection = connection
        self.pid = str(connection.info.backend_pid)
        self.notes: list[str] = []
        self._notices: list[str] = []
        connection.add_notice_handler(lambda diag: self._notices.append(f"{diag.severity}: {diag.message_primary}"))
        # Not a literal of ours: the level is bound, set_config takes it as a value.
        connection.execute("SELECT set_config('default_transaction_isolation', $1, false)", (options.level,))
        with contextlib.suppress(psycopg.Error):  # before 14, and not on every system
            # If we are killed, a statement that waits or sleeps shall end too: by itself it would never look.
            connection.execute("SET client_connection_check_interval = '500ms'")
        timeout = _DEADLOCK_TIMEOUT[options.deadlock_priority]
        if timeout:
            try:
                connection.execute("SELECT set_config('deadlock_timeout', $1, false)", (timeout,))
            except psycopg.errors.InsufficientPrivilege:
                self.notes.append(
                    "deadlock victim not steered: this role may not set deadlock_timeout "
                    "(GRANT SET ON PARAMETER deadlock_timeout TO it)"
                )
        row = connection.execute("SHOW transaction_isolation").fetchone()
        self.observed_level = str(row[0]) if row else ""
        self._notices.clear()

    def run(self, statement: Statement) -> Outcome:
        """Run one step; every result of a multi-statement text is kept."""
        connection = self._connection
        text = statement.body.value.upper() if isinstance(statement.body, Verb) else str(statement.body)
        before = connection.info.transaction_status
        outcome = Outcome()
        try:
            cursor = connection.execute(text, statement.parameters or None)
            outcome.results = list(_results(cursor))
        except psycopg.Error as error:
            outcome.error = error_record(error)
        if self._notices:
            outcome.notices, self._notices = self._notices, []
        after = connection.info.transaction_status
        outcome.in_transaction = after in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
        outcome.ended = _ended(before, after, outcome)
        outcome.may_release = _may_release(before, after, text, outcome.results)
        return outcome

    def cancel(self) -> None:
        """Ask the server to cancel what runs now (PQcancel)."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.cancel_safe(timeout=5)

    def close(self) -> None:
        """Disconnect; the server rolls back."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()


def _results(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Iterator[ResultSet]:
    while True:
        columns = [column.name for column in cursor.description or ()]
        rows = [[plain(value) for value in row] for row in cursor.fetchall()] if columns else []
        status = cursor.statusmessage or ""
        affected = cursor.rowcount if status.startswith(_WRITES) else None
        yield ResultSet(columns=columns, rows=rows, status=status, affected=affected)
        if not cursor.nextset():
            return


def _ended(before: TransactionStatus, after: TransactionStatus, outcome: Outcome) -> TransactionEnd | None:
    if after != TransactionStatus.IDLE:
        return TransactionEnd.aborted if after == TransactionStatus.UNKNOWN else None
    last = outcome.results[-1].status if outcome.results else ""
    if outcome.error or last == "ROLLBACK":
        return TransactionEnd.aborted
    if before != TransactionStatus.IDLE or last:
        return TransactionEnd.committed
    return None


def _may_release(before: TransactionStatus, after: TransactionStatus, text: str, results: Sequence[ResultSet]) -> bool:
    if before != after and (before, after) != (TransactionStatus.IDLE, TransactionStatus.INTRANS):
        return True
    tags = {result.status.split(" ", 1)[0] for result in results}
    if not tags <= _KEEPS_LOCKS or _MIGHT_UNLOCK.search(text):
        return True
    return "SELECT" in tags and "(" in text  # a function may do anything
