"""PostgreSQL, through psycopg 3.

Who waits for whom is the server's own word: ``pg_isolation_test_session_is_blocked`` (what PostgreSQL's
isolationtester asks) and ``pg_blocking_pids``; https://www.postgresql.org/docs/current/functions-info.html.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.pq import TransactionStatus

from harness.engines.base import (
    OWNED,
    Capabilities,
    Outcome,
    ServerWait,
    SessionOptions,
    Statement,
    Verb,
    plain,
)
from harness.errors import EngineError, LoginRefused, ServerError
from harness.history import DeadlockReport, ErrorKind, ErrorRecord, ResultSet, TransactionEnd

_CONNECT_SECONDS = 10
_DEADLOCK_TIMEOUT = {"low": "100ms", "normal": "", "high": "60s"}

_KINDS = {
    "40P01": ErrorKind.deadlock,
    "40001": ErrorKind.serialization,
    "55P03": ErrorKind.lock_timeout,
    "25P02": ErrorKind.in_failed_transaction,
    "57014": ErrorKind.cancelled,
    "57P01": ErrorKind.connection,
    "57P02": ErrorKind.connection,
    "57P03": ErrorKind.connection,
}

# Commands that let nobody go who was already waiting: the locks that end with them were taken by themselves, and
# the step itself never waited (the coordinator sees to that), so nobody can have queued behind those.
_KEEPS_LOCKS = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "BEGIN", "SET", "SHOW", "SAVEPOINT", "RELEASE", "FETCH", "LOCK"}
)
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE")
_MIGHT_UNLOCK = re.compile(r"unlock|pg_(cancel|terminate)_backend", re.IGNORECASE)

_WAITS = """
SELECT w.pid, CASE WHEN cardinality(b.pids) > 0 THEN b.pids ELSE pg_safe_snapshot_blocking_pids(w.pid) END,
       l.locktype, l.mode, l.transactionid::text, t.relation, l.relation, l.objid, t.page, t.tuple
FROM unnest($1::int[]) AS w(pid)
CROSS JOIN LATERAL (SELECT pg_blocking_pids(w.pid) AS pids) b
LEFT JOIN LATERAL (SELECT locktype, mode, transactionid, relation::regclass::text AS relation, objid
                   FROM pg_locks WHERE pid = w.pid AND NOT granted LIMIT 1) l ON true
LEFT JOIN LATERAL (SELECT relation::regclass::text AS relation, page, tuple
                   FROM pg_locks WHERE pid = w.pid AND locktype = 'tuple' AND l.locktype = 'transactionid'
                   LIMIT 1) t ON true
WHERE pg_isolation_test_session_is_blocked(w.pid, $2::int[])
"""

_LOCKS = """
SELECT l.pid::text AS pid, l.locktype AS type,
       coalesce(l.relation::regclass::text, l.transactionid::text, l.virtualxid, l.objid::text, '') AS object,
       CASE WHEN l.tuple IS NOT NULL THEN format('(%s,%s)', l.page, l.tuple) ELSE '' END AS row,
       l.mode, CASE WHEN l.granted THEN 'granted' ELSE 'waiting' END AS status, coalesce(left(a.query, 200), '') AS query
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.pid = ANY($1::int[]) AND l.locktype <> 'virtualxid'
  AND (l.relation IS NULL OR l.relation >= 16384)
ORDER BY l.granted, l.pid, l.locktype, 3
"""


class PostgreSQL:
    """PostgreSQL 12 and newer, and whatever speaks its protocol and has its views."""

    name = "postgresql"
    levels = ("read committed", "read uncommitted", "repeatable read", "serializable")

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
        return '"' + identifier.replace('"', '""') + '"'


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


def error_record(error: psycopg.Error) -> ErrorRecord:
    """What a psycopg error says: kind, SQLSTATE, primary message, and the server's detail (its account of a deadlock)."""
    diag = error.diag
    code = error.sqlstate or diag.sqlstate or ""
    kind = _KINDS.get(code)
    if kind is None:
        if code.startswith("23"):
            kind = ErrorKind.constraint
        elif code.startswith("08") or (not code and isinstance(error, psycopg.OperationalError)):
            kind = ErrorKind.connection
        else:
            kind = ErrorKind.other
    detail = "\n".join(part for part in (diag.message_detail, diag.context) if part)
    message = diag.message_primary or " ".join(str(error).split())
    return ErrorRecord(kind=kind, code=code or "08006", message=message, detail=detail)


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


class PostgreSQLObserver:
    """Asks ``pg_blocking_pids`` and ``pg_locks``, and reads the server's log for its deadlock reports."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        connection.prepare_threshold = 0  # the same question over and over: have it planned once
        self._log_offset = _log_size(connection)

    def waits(self, waiting: Sequence[str], run: Sequence[str]) -> list[ServerWait]:
        """Of ``waiting``, those that the server calls blocked by a session of ``run``."""
        if not waiting:
            return []
        pids = [int(pid) for pid in waiting]
        try:
            rows = self._connection.execute(_WAITS, (pids, [int(pid) for pid in run])).fetchall()
        except psycopg.Error as error:
            raise EngineError(f"PostgreSQL no longer answers the observer: {' '.join(str(error).split())}") from None
        return [_server_wait(row) for row in rows]

    def lock_table(self, pids: Sequence[str]) -> list[dict[str, str]]:
        """``pg_locks`` for these sessions, without their locks on system catalogues and their own virtual xids."""
        with contextlib.suppress(psycopg.Error):
            cursor = self._connection.execute(_LOCKS, ([int(pid) for pid in pids],))
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, map(str, row), strict=True)) for row in cursor.fetchall()]
        return []

    def deadlock_reports(self, pids: Sequence[str]) -> list[DeadlockReport]:
        """The server log's entries ``deadlock detected`` of these sessions since this observer was opened."""
        if self._log_offset is None:
            return []
        deadline = time.monotonic() + 1.0  # the logging collector writes a little later than the client hears
        while True:
            found = list(deadlock_entries(self._read_log(), set(pids)))
            if found or time.monotonic() > deadline:
                return [DeadlockReport(database="", source="server log", text=text) for text in found]
            time.sleep(0.02)  # there is no event to wait for: the log is a file

    def _read_log(self) -> str:
        with contextlib.suppress(psycopg.Error):
            row = self._connection.execute(
                "SELECT pg_read_file(pg_current_logfile(), $1, 4000000)", (self._log_offset,)
            ).fetchone()
            return str(row[0]) if row else ""
        return ""

    def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()


def _server_wait(row: tuple[Any, ...]) -> ServerWait:
    pid, holders, locktype, mode, xid, row_of, relation, objid, page, tuple_ = row
    if locktype == "transactionid":
        resource = f"transaction {xid}" + (f", row ({page},{tuple_}) of {row_of}" if row_of else "")
    elif locktype is None:
        resource = "a safe snapshot"
    else:
        resource = f"{locktype} {relation or objid or ''}".rstrip()
    return ServerWait(
        waiter=str(pid),
        holders=tuple(dict.fromkeys(str(holder) for holder in holders or ())),
        resource=resource,
        asked=mode or "",
    )


_ENTRY = re.compile(r"^(?=\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\])", re.MULTILINE)
_HEAD = re.compile(r"^\S+ \S+ \S+ \[(\d+)\] .*?(ERROR|LOG|DETAIL|HINT|CONTEXT|STATEMENT|FATAL|WARNING):  ")


def deadlock_entries(log: str, pids: set[str]) -> Iterator[str]:
    """The entries of a PostgreSQL log (``log_line_prefix`` with ``%m [%p]``) that report a deadlock found by ``pids``."""
    collecting: str | None = None
    text = ""
    for entry in _ENTRY.split(log):
        head = _HEAD.match(entry)
        if head is None:
            continue
        pid, severity = head.groups()
        if severity == "ERROR" and "deadlock detected" in entry and pid in pids:
            if text:
                yield text
            collecting, text = pid, entry
        elif pid == collecting:
            if severity in ("DETAIL", "HINT", "CONTEXT", "STATEMENT"):
                text += entry
            else:
                collecting = None
    if text:
        yield text


def _log_size(connection: psycopg.Connection[tuple[Any, ...]]) -> int | None:
    with contextlib.suppress(psycopg.Error):
        row = connection.execute("SELECT (pg_stat_file(pg_current_logfile())).size").fetchone()
        return int(row[0]) if row and row[0] is not None else None
    return None


class PostgreSQLAdmin:
    """Makes and drops the harness's own databases."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self.capabilities = _capabilities(connection)

    def create(self, name: str, levels: Sequence[str]) -> None:
        """Make an empty database; PostgreSQL gives every level everywhere."""
        quoted = PostgreSQL().quote(name)
        try:
            self._connection.execute(f"CREATE DATABASE {quoted} TEMPLATE template0".encode())
        except psycopg.Error as error:
            raise EngineError(f"cannot create database {name}: {error_record(error).message}") from None

    def drop(self, name: str) -> None:
        """Drop it and disconnect whoever is in it."""
        quoted = PostgreSQL().quote(name)
        try:
            self._connection.execute(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)".encode())
        except psycopg.Error as error:
            raise EngineError(f"cannot drop database {name}: {error_record(error).message}") from None

    def owned(self) -> list[str]:
        """Databases here whose name says that the harness made them."""
        rows = self._connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1", (OWNED,)
        ).fetchall()
        return [str(row[0]) for row in rows]

    def living_runs(self) -> set[str]:
        """Runs with a session here, by ``application_name``."""
        rows = self._connection.execute(
            "SELECT DISTINCT split_part(substr(application_name, 5), '/', 1) FROM pg_stat_activity "
            "WHERE starts_with(application_name, 'psh:')"
        ).fetchall()
        return {str(row[0]) for row in rows}

    def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()


def _capabilities(connection: psycopg.Connection[tuple[Any, ...]]) -> Capabilities:
    notes = []
    waits = _works(connection, "SELECT pg_isolation_test_session_is_blocked(0, '{}'), pg_blocking_pids(0)")
    if not waits:
        notes.append("no pg_blocking_pids: blocked steps are only noticed by their deadline")
    locks = _works(connection, "SELECT 1 FROM pg_locks LIMIT 0")
    reports = _log_size(connection) is not None
    if not reports:
        notes.append("server log not readable over SQL (needs logging_collector and pg_read_server_files)")
    steers = _works(connection, "SET deadlock_timeout = '1s'; RESET deadlock_timeout")
    if not steers:
        notes.append("deadlock_timeout may not be set by this role: the victim is the server's choice")
    row = connection.execute("SHOW server_version").fetchone()
    return Capabilities(
        product="PostgreSQL",
        version=str(row[0]).split(" ")[0] if row else "",
        waits=waits,
        locks=locks,
        reports=reports,
        steers_victim=steers,
        levels=PostgreSQL.levels,
        notes=tuple(notes),
    )


def _works(connection: psycopg.Connection[tuple[Any, ...]], query: str) -> bool:
    try:
        connection.execute(query.encode())
    except psycopg.Error:
        return False
    return True
