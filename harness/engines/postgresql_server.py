"""What a PostgreSQL server says beside the sessions: who waits, its locks, its log, its databases, its errors.

Who waits for whom is the server's own word: ``pg_isolation_test_session_is_blocked`` (what PostgreSQL's isolationtester
asks) and ``pg_blocking_pids``; https://www.postgresql.org/docs/current/functions-info.html.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from harness.answers import DeadlockReport, ErrorKind, ErrorRecord
from harness.engines import postgresql_touching
from harness.engines.base import OWNED, Capabilities, ServerWait, Statement
from harness.engines.touching import Catalog, Touch
from harness.errors import EngineError
from harness.vocabulary import LEVELS

Connection = psycopg.Connection[tuple[Any, ...]]

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

_TRY_AGAIN = 0.01
"""Seconds between two attempts to lock what another process holds."""

_MARK = "made by PromptSales Harness"
"""The comment of a database that the harness made under a name that is not its own."""

_WAITS = """
WITH blocked AS MATERIALIZED (
    SELECT w.pid, pg_blocking_pids(w.pid) AS pids FROM unnest($1::int[]) AS w(pid)
    WHERE pg_isolation_test_session_is_blocked(w.pid, $2::int[])
    ORDER BY w.pid)
SELECT b.pid, CASE WHEN cardinality(b.pids) > 0 THEN b.pids ELSE pg_safe_snapshot_blocking_pids(b.pid) END,
       CASE WHEN cardinality(b.pids) > 0 THEN coalesce(l.locktype, '') END,
       l.mode, l.transactionid::text, t.relation, l.relation, l.objid, t.page, t.tuple
FROM blocked b
LEFT JOIN LATERAL (SELECT locktype, mode, transactionid, relation::regclass::text AS relation, objid
                   FROM pg_locks WHERE pid = b.pid AND NOT granted LIMIT 1) l ON true
LEFT JOIN LATERAL (SELECT relation::regclass::text AS relation, page, tuple
                   FROM pg_locks WHERE pid = b.pid AND locktype = 'tuple' AND l.locktype = 'transactionid'
                   LIMIT 1) t ON true
"""
"""``pg_locks`` is read once in a query, when its first row is asked for: the sort has all that wait be found before, or
one that began to wait in between would have no lock."""

_LOG = """
SELECT pg_read_file(log, greatest($1::bigint, size - $2::bigint), $2::bigint), size
FROM pg_current_logfile() AS l(log), LATERAL (SELECT size FROM pg_stat_file(log)) s
"""

_MOST_READ = 4_000_000
"""Bytes of the log that are looked through for a deadlock: one that is reported at all is among the last."""

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


def quote(identifier: str) -> str:
    """``"identifier"``, quotes in it doubled."""
    return '"' + identifier.replace('"', '""') + '"'


class PostgreSQLObserver:
    """Asks ``pg_blocking_pids`` and ``pg_locks``, and reads the server's log for its deadlock reports."""

    def __init__(self, connection: Connection) -> None:
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
        # The two questions are asked one after the other: whom nobody blocks at the second one has been let go meanwhile.
        return [_server_wait(row) for row in rows if row[1]]

    def lock_table(self, pids: Sequence[str]) -> list[dict[str, str]]:
        """``pg_locks`` for these sessions, without their locks on system catalogues and their own virtual xids."""
        with contextlib.suppress(psycopg.Error):
            cursor = self._connection.execute(_LOCKS, ([int(pid) for pid in pids],))
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, map(str, row), strict=True)) for row in cursor.fetchall()]
        return []

    def touched(self, pid: str, statement: Statement) -> list[Touch]:
        """The relations that the session's open transaction has locked, whatever its statements named."""
        return postgresql_touching.touched(self._connection, pid)

    def catalog(self) -> Catalog:
        """The tables, views and routines of the database."""
        return postgresql_touching.catalog(self._connection)

    def deadlock_reports(self, pids: Sequence[str]) -> list[DeadlockReport]:
        """The server log's entries ``deadlock detected`` of these sessions that were not given before."""
        if self._log_offset is None:
            return []
        deadline = time.monotonic() + 1.0  # the logging collector writes a little later than the client hears
        while True:
            log, end = self._read_log(self._log_offset)
            found = list(deadlock_entries(log, set(pids)))
            if found:
                self._log_offset = end
            if found or time.monotonic() > deadline:
                return [DeadlockReport(database="", source="server log", text=text) for text in found]
            time.sleep(0.02)  # there is no event to wait for: the log is a file

    def _read_log(self, begin: int) -> tuple[str, int]:
        """The log from ``begin`` on, the end of it if that is very much, and where it ends now."""
        with contextlib.suppress(psycopg.Error):
            row = self._connection.execute(_LOG, (begin, _MOST_READ)).fetchone()
            return (str(row[0]), int(row[1])) if row else ("", begin)
        return "", begin

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
    elif not locktype:
        resource = "a lock that it got while it was looked for"
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


def _log_size(connection: Connection) -> int | None:
    with contextlib.suppress(psycopg.Error):
        row = connection.execute("SELECT (pg_stat_file(pg_current_logfile())).size").fetchone()
        return int(row[0]) if row and row[0] is not None else None
    return None


class PostgreSQLAdmin:
    """Makes and drops the harness's own databases."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._named: set[str] = set()  # databases whose names were given to us; we hold the lock of each
        self._borrowed: set[str] = set()  # of these, those that were there before and stay
        self.capabilities = _capabilities(connection)

    def create(self, name: str, levels: Sequence[str]) -> None:
        """Make an empty database; PostgreSQL gives every level everywhere."""
        self.create_copy(name, "template0")

    def create_copy(self, name: str, template: str) -> None:
        """Make a database with all that ``template`` has."""
        try:
            self._connection.execute(f"CREATE DATABASE {quote(name)} TEMPLATE {quote(template)}".encode())
        except psycopg.Error as error:
            raise EngineError(f"cannot create database {name}: {error_record(error).message}") from None

    @contextlib.contextmanager
    def holding(self, shared: Sequence[str], alone: Sequence[str]) -> Iterator[None]:
        """Hold advisory locks of these names. Raises EngineError.

        They are tried again and again rather than waited for: a session that waits has a snapshot, and that would keep
        VACUUM from its work for whoever holds the lock.
        """
        kinds = sorted(({name: "_shared" for name in shared} | dict.fromkeys(alone, "")).items())
        with contextlib.ExitStack() as held:
            while not self._all_locked(kinds, held):
                held.pop_all().close()
                time.sleep(_TRY_AGAIN)
            yield

    def _all_locked(self, kinds: Sequence[tuple[str, str]], held: contextlib.ExitStack) -> bool:
        for name, kind in kinds:
            query = f"SELECT pg_try_advisory_lock{kind}(hashtextextended($1, 1))".encode()
            try:
                (locked,) = self._connection.execute(query, (name,)).fetchone() or (False,)
            except psycopg.Error as error:
                raise EngineError(f"cannot lock {name!r}: {error_record(error).message}") from None
            if not locked:
                return False
            held.callback(self._unlock, name, kind)
        return True

    def _unlock(self, name: str, kind: str) -> None:
        with contextlib.suppress(psycopg.Error):  # a dead server holds nothing
            self._connection.execute(f"SELECT pg_advisory_unlock{kind}(hashtextextended($1, 1))".encode(), (name,))

    def create_named(self, name: str, *, replace: bool = False) -> None:
        """Make a database called ``name``, marked as ours by its comment; an advisory lock keeps others away meanwhile.

        One that carries the mark and whose maker holds no lock any more was left behind, and is made anew.
        """
        try:
            self._connection.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", (name,))
            self._named.add(name)
            row = self._connection.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", (name,)
            ).fetchone()
            if row is not None and row[0] != _MARK and not replace:
                self._borrow(name)
                return
            if row is not None:
                self._connection.execute(f"DROP DATABASE {quote(name)} WITH (FORCE)".encode())
            self.create(name, ())
            self._connection.execute(f"COMMENT ON DATABASE {quote(name)} IS '{_MARK}'".encode())
        except EngineError:
            self._release(name)
            raise
        except psycopg.Error as error:
            self._release(name)
            raise EngineError(f"cannot create database {name}: {error_record(error).message}") from None

    def _borrow(self, name: str) -> None:
        """Use a database that somebody else has made (pg_isolation_regress leaves its own), if nothing is in it."""
        info = self._connection.info
        with psycopg.connect(
            dbname=name, host=info.host, port=info.port, user=info.user, password=info.password
        ) as link:
            (count,) = link.execute("SELECT count(*) FROM pg_class WHERE oid >= 16384").fetchone() or (0,)
        if count:
            raise EngineError(
                f"there is a database {name} on this server that the harness has not made, and it is not empty: "
                "statements name it, so rename yours, or take another server"
            )
        self._borrowed.add(name)

    def _release(self, name: str) -> None:
        if name in self._named:
            self._named.remove(name)
            with contextlib.suppress(psycopg.Error):
                self._connection.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", (name,))

    def drop(self, name: str) -> None:
        """Drop it and disconnect whoever is in it."""
        quoted = quote(name)
        if name in self._borrowed:
            self._borrowed.remove(name)
            self._release(name)
            return
        try:
            self._connection.execute(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)".encode())
        except psycopg.Error as error:
            raise EngineError(f"cannot drop database {name}: {error_record(error).message}") from None
        finally:
            self._release(name)

    def end_session(self, database: str, pid: str) -> None:
        """End a backend; it rolls back."""
        try:
            self._connection.execute("SELECT pg_terminate_backend($1::int)", (pid,))
        except psycopg.Error as error:
            raise EngineError(f"cannot end session {pid}: {error_record(error).message}") from None

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


def _capabilities(connection: Connection) -> Capabilities:
    notes = []
    waits = _works(connection, "SELECT pg_isolation_test_session_is_blocked(0, '{}'), pg_blocking_pids(0)")
    if not waits:
        notes.append("no pg_blocking_pids: blocked steps are only noticed by their deadline")
    locks = _works(connection, "SELECT 1 FROM pg_locks LIMIT 0")
    reports = _log_size(connection) is not None
    if not reports:
        notes.append("server log not readable over SQL (needs logging_collector and a superuser)")
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
        levels=LEVELS["postgresql"],
        notes=tuple(notes),
    )


def _works(connection: Connection, query: str) -> bool:
    try:
        connection.execute(query.encode())
    except psycopg.Error:
        return False
    return True
