"""SQL Server, watched by its dynamic management views and Query Store.

Written from Microsoft's documentation and tested with a fake of the driver: it has never run on a server. Pages followed,
below https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/: sys-dm-os-wait-stats,
sys-dm-os-performance-counters, sys-dm-exec-sessions, sys-dm-exec-requests, sys-dm-tran-locks, sys-dm-exec-query-stats; and
monitoring-performance-by-using-the-query-store, sys.query_store_runtime_stats, GRANT Server Permissions, CREATE LOGIN.

The own login has VIEW SERVER PERFORMANCE STATE (VIEW SERVER STATE before 2022) and CONNECT ANY DATABASE, and nothing else:
it reads no table.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.engines.sqlserver.driver import Refused as Answer
from harness.engines.sqlserver.driver import ask, connect, database_url
from harness.engines.sqlserver.text import quote
from harness.errors import HarnessError
from harness.monitor.base import (
    LOGIN,
    MARK,
    SUFFIX,
    Kind,
    Lost,
    Numbers,
    Raw,
    Refused,
    Spec,
    connection_name,
    is_observer,
    one_line,
    run_of_login,
)
from harness.monitor.sqlserver_waits import BENIGN
from harness.servers.roles import with_login
from harness.servers.urls import scrub

SPECS = (
    Spec("active", "sessions", group="sessions", about="run a request; those that wait are among them"),
    Spec("waiting", "sessions", group="sessions", about="of these, wait for another session"),
    Spec("idle", "sessions", group="sessions", about="connected, no request"),
    Spec("in_transaction", "sessions", group="sessions", about="of the idle ones, those with a transaction open"),
    Spec("observers", "sessions", group="sessions", about="the harness's own, which make databases and ask who waits"),
    Spec("locks_held", "locks", group="locks"),
    Spec("locks_waiting", "locks", group="locks"),
    Spec("lock_waits", "1/s", Kind.rate, "locks", "lock requests that had to wait"),
    Spec("deadlocks", "deadlocks", Kind.count, "deadlocks", "since the sample before"),
    Spec("transactions", "1/s", Kind.rate, "transactions", "begun"),
    Spec("batches", "1/s", Kind.rate, "transactions", "batch requests"),
    Spec("cache_hit", "%", group="cache", about="of the buffer cache, over its last few thousand accesses"),
    Spec("page_life", "s", group="page life", about="how long a page is expected to stay in the buffer cache"),
    Spec("log_flushed", "MB/s", Kind.rate, "log"),
    Spec("memory", "MB", group="memory", about="the server's own"),
)

_MANNERS = "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; SET LOCK_TIMEOUT 1000; SET DEADLOCK_PRIORITY LOW"
"""As of all observers: it never waits for anybody, and is the victim before anybody else is."""

_START = "SELECT CONVERT(nvarchar(30), sqlserver_start_time, 126) FROM sys.dm_os_sys_info"
_VERSION = (
    "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(60)), "
    "CAST(SERVERPROPERTY('ProductMajorVersion') AS nvarchar(10))"
)

SESSIONS = """
SELECT s.program_name, s.status, s.open_transaction_count, r.status, r.blocking_session_id
FROM sys.dm_exec_sessions AS s
LEFT JOIN sys.dm_exec_requests AS r ON r.session_id = s.session_id
WHERE s.is_user_process = 1 AND s.session_id <> @@SPID
"""
LOCKS = """
SELECT request_status, COUNT_BIG(*) FROM sys.dm_tran_locks
WHERE resource_type <> N'DATABASE' AND request_session_id <> @@SPID GROUP BY request_status
"""
WAITS = "SELECT wait_type, wait_time_ms FROM sys.dm_os_wait_stats WHERE wait_time_ms > 0"
COUNTERS = """
SELECT RTRIM(object_name), RTRIM(counter_name), RTRIM(instance_name), cntr_value FROM sys.dm_os_performance_counters
WHERE counter_name IN (N'Batch Requests/sec', N'Transactions/sec', N'Number of Deadlocks/sec', N'Lock Waits/sec',
                       N'Buffer cache hit ratio', N'Buffer cache hit ratio base', N'Page life expectancy',
                       N'Log Bytes Flushed/sec', N'Total Server Memory (KB)')
"""

_RATES = {
    "Batch Requests/sec": ("batches", 1.0),
    "Transactions/sec": ("transactions", 1.0),
    "Number of Deadlocks/sec": ("deadlocks", 1.0),
    "Lock Waits/sec": ("lock_waits", 1.0),
    "Log Bytes Flushed/sec": ("log_flushed", 1e-6),
}
"""Counters of the type 272696576: their value only grows, whatever their name says."""

_PER_INSTANCE = frozenset({"Transactions/sec", "Number of Deadlocks/sec", "Lock Waits/sec", "Log Bytes Flushed/sec"})
"""Of these there is one for each database, or kind of lock, and ``_Total``."""

_STORE_IS_ON = "SELECT actual_state FROM sys.database_query_store_options"
STORE_NUMBERS = """
SELECT CONVERT(nvarchar(20), p.query_id), SUM(r.count_executions), SUM(r.avg_duration * r.count_executions) / 1000.0,
       SUM(r.avg_rowcount * r.count_executions)
FROM sys.query_store_runtime_stats AS r
JOIN sys.query_store_plan AS p ON p.plan_id = r.plan_id
GROUP BY p.query_id
"""
STORE_TEXTS = """
SELECT CONVERT(nvarchar(20), q.query_id), t.query_sql_text
FROM sys.query_store_query AS q
JOIN sys.query_store_query_text AS t ON t.query_text_id = q.query_text_id
WHERE q.query_id IN (SELECT TRY_CAST(value AS bigint) FROM STRING_SPLIT(?, N','))
"""
STATS_NUMBERS = """
SELECT CONVERT(varchar(64), query_hash, 2), SUM(execution_count), SUM(total_elapsed_time) / 1000.0, SUM(total_rows)
FROM sys.dm_exec_query_stats GROUP BY query_hash
"""
STATS_TEXTS = """
SELECT CONVERT(varchar(64), s.query_hash, 2),
       MIN(SUBSTRING(t.text, s.statement_start_offset / 2 + 1, (CASE WHEN s.statement_end_offset = -1
           THEN DATALENGTH(t.text) ELSE s.statement_end_offset END - s.statement_start_offset) / 2 + 1))
FROM sys.dm_exec_query_stats AS s CROSS APPLY sys.dm_exec_sql_text(s.sql_handle) AS t
WHERE CONVERT(varchar(64), s.query_hash, 2) IN (SELECT value FROM STRING_SPLIT(?, N',')) GROUP BY s.query_hash
"""


class SQLServerSampler:
    """One session."""

    def __init__(self, url: str, run: str) -> None:
        self._url = url
        self.notes: list[str] = []
        self._missing: set[str] = set()
        self._source: tuple[str, str] | None = None  # of statements: numbers, texts
        self._database = unquote(urlsplit(url).path.strip("/"))
        with _asked(url):  # to master: a session in a database is in the way of who wants to alter it
            self._connection: Any = connect(database_url(url, "master"), connection_name(run))
        try:
            with _asked(url):
                ask(self._connection, _MANNERS)
                self.version = str(ask(self._connection, _VERSION)[0][0])
        except Lost:
            self.close()
            raise

    def _rows(self, what: str, question: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a question; none if this login may not ask it, which is noted once. Raises Lost."""
        if what in self._missing:
            return []
        with _asked(self._url):
            try:
                return ask(self._connection, f"{MARK} {question}", *parameters)
            except Answer as error:
                if error.number not in _NOT_PERMITTED:
                    raise
                self._missing.add(what)
                self.notes.append(
                    f"no {what}: {one_line(error)}; GRANT VIEW SERVER PERFORMANCE STATE (before 2022: VIEW SERVER STATE)"
                )
                return []

    def sample(self) -> Raw:
        """Five short questions."""
        start = self._rows("time of the server's start", _START)
        raw = Raw(epoch=str(start[0][0]) if start else "")
        sessions = self._rows("sessions", SESSIONS)
        if "sessions" not in self._missing:
            raw.gauges |= count_sessions(sessions)
        locks = {str(status): float(number) for status, number in self._rows("locks", LOCKS)}
        if "locks" not in self._missing:
            raw.gauges["locks_held"] = locks.pop("GRANT", 0.0)
            raw.gauges["locks_waiting"] = sum(locks.values())
        take_counters(raw, self._rows("performance counters", COUNTERS))
        for wait, milliseconds in self._rows("waits", WAITS):
            if wait not in BENIGN and not wait.startswith(("PREEMPTIVE_", "SLEEP_")):
                raw.wait_totals[str(wait)] = float(milliseconds) / 1000
        return raw

    def statements(self) -> Mapping[str, Numbers]:
        """Query Store's sums in the URL's database, else those of the plan cache."""
        if self._source is None:
            on = self._rows("Query Store", self._there(_STORE_IS_ON)) if self._database else []
            if on and int(on[0][0]) in (1, 2):
                self._source = self._there(STORE_NUMBERS), self._there(STORE_TEXTS)
            else:
                self._source = STATS_NUMBERS, STATS_TEXTS
                self.notes.append(
                    "top statements are those of the plan cache (sys.dm_exec_query_stats): Query Store is off, "
                    "or may not be read, in the URL's database"
                )
        return {
            str(key): Numbers(int(calls), float(milliseconds), None if rows is None else int(rows))
            for key, calls, milliseconds, rows in self._rows("top statements", self._source[0])
        }

    def _there(self, question: str) -> str:
        """A question about Query Store, asked of the URL's database."""
        return question.replace("sys.", f"{quote(self._database)}.sys.")

    def texts(self, keys: Sequence[str]) -> Mapping[str, str]:
        """The texts of these."""
        if self._source is None:
            return {}
        rows = self._rows("statements' texts", self._source[1], ",".join(keys))
        return {str(key): str(text) for key, text in rows if text and MARK not in text}

    def last_notes(self) -> list[str]:
        """Nothing more."""
        return []

    def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(Exception):
            self._connection.close()


_NOT_PERMITTED = frozenset({229, 297, 300, 371, 208})
"""SQL Server's numbers: permission denied on an object, no permission for this action, VIEW SERVER STATE is missing, …"""


def count_sessions(rows: Sequence[tuple[Any, ...]]) -> dict[str, float]:
    """Who is active, waits or is idle. A request's status: running, runnable, suspended, …; none: there is no request."""
    count = dict.fromkeys(("active", "waiting", "idle", "in_transaction", "observers"), 0.0)
    for program, _, transactions, request, blocker in rows:
        name = str(program or "")
        if name.startswith("psh") and name.endswith(SUFFIX):
            continue
        if is_observer(name):
            count["observers"] += 1
        elif request is None or request == "background":
            count["idle"] += 1
            count["in_transaction"] += bool(transactions)
        else:
            count["active"] += 1
            count["waiting"] += bool(blocker)
    return count


def take_counters(raw: Raw, rows: Sequence[tuple[Any, ...]]) -> None:
    """The performance counters; a ratio is to be divided by its base."""
    ratio = base = None
    for object_, counter, instance, value in rows:
        if counter in _RATES:
            name, factor = _RATES[counter]
            if counter not in _PER_INSTANCE or instance == "_Total":
                raw.totals[name] = float(value) * factor
        elif counter == "Buffer cache hit ratio":
            ratio = float(value)
        elif counter == "Buffer cache hit ratio base":
            base = float(value)
        elif counter == "Page life expectancy" and str(object_).endswith("Buffer Manager"):
            raw.gauges["page_life"] = float(value)
        elif counter == "Total Server Memory (KB)":
            raw.gauges["memory"] = float(value) * 1024 / 1e6
    if ratio is not None and base:
        raw.gauges["cache_hit"] = 100 * ratio / base


@contextlib.contextmanager
def _asked(url: str) -> Iterator[None]:
    """Raises Lost for what the driver, or the way to it, raises."""
    try:
        yield
    except HarnessError as error:
        raise Lost(scrub(one_line(error), url)) from None


class SQLServerWatching:
    """The engine."""

    specs: Sequence[Spec] = SPECS

    def open(self, url: str, run: str) -> SQLServerSampler:
        """Connect. Raises Lost."""
        return SQLServerSampler(url, run)

    def enrol(self, url: str, name: str, run: str) -> str:
        """Make the login. Raises Refused."""
        password = f"Aa1-{secrets.token_urlsafe(24)}"  # the server's policy asks for three kinds of characters
        with _admin(url, run) as connection:
            _sweep(connection)
            # CREATE LOGIN takes no parameters; the password has no quote in it.
            ask(connection, f"CREATE LOGIN {quote(name)} WITH PASSWORD = N'{password}', DEFAULT_DATABASE = master")
            major = str(ask(connection, _VERSION)[0][1] or "0")
            right = "VIEW SERVER PERFORMANCE STATE" if int(major) >= 16 else "VIEW SERVER STATE"
            for one in (right, "CONNECT ANY DATABASE"):
                ask(connection, f"GRANT {one} TO {quote(name)}")
        return with_login(url, name, password)

    def expel(self, url: str, name: str) -> None:
        """Drop the login. Raises Refused."""
        with _admin(url, "") as connection:
            ask(connection, f"DROP LOGIN {quote(name)}")


@contextlib.contextmanager
def _admin(url: str, run: str) -> Iterator[Any]:
    try:
        connection = connect(database_url(url, "master"), connection_name(run) if run else f"psh{SUFFIX}")
        try:
            yield connection
        finally:
            connection.close()
    except HarnessError as error:
        raise Refused(scrub(one_line(error), url)) from None


def _sweep(connection: Any) -> None:
    """Drop the logins of samplers whose run has no session any more."""
    rows = ask(connection, "SELECT name FROM sys.server_principals WHERE type = 'S' AND LEFT(name, 4) = N'psh_'")
    programs = ask(
        connection, "SELECT DISTINCT program_name FROM sys.dm_exec_sessions WHERE LEFT(program_name, 4) = N'psh:'"
    )
    living = {str(program).split("/", 1)[0].removeprefix("psh:") for (program,) in programs}
    for (name,) in rows:
        owner = run_of_login(str(name))
        if str(name).startswith(LOGIN) and owner is not None and owner not in living:
            with contextlib.suppress(Answer):  # it may be logged in, or another one sweeps
                ask(connection, f"DROP LOGIN {quote(str(name))}")
