"""Where a Babelfish differs: the questions that PostgreSQL answers although they come over SQL Server's protocol.

https://babelfishpg.org/docs/. None of its answers says anything about SQL Server's own behaviour.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from harness.engines.sqlserver.driver import Refused, ask

if TYPE_CHECKING:
    import pyodbc

VERSION = "SELECT CAST(SERVERPROPERTY('BabelfishVersion') AS nvarchar(128)), @@VERSION"

# An int[] has no form in TDS, so the holders come as text. No lock is asked about that is not waited for.
WAITS = """
SELECT a.pid, array_to_string(pg_blocking_pids(a.pid), ','), l.locktype, c.relname, l.mode
FROM pg_stat_activity AS a
LEFT JOIN pg_locks AS l ON l.pid = a.pid AND l.granted = 0
LEFT JOIN pg_class AS c ON c.oid = l.relation
WHERE a.wait_event_type = 'Lock'
"""

# As in the table of SQL Server: no locks that every session holds on its own, none on the catalogue.
LOCKS = """
SELECT l.pid, l.locktype, c.relname, CAST(l.transactionid AS varchar(20)), l.mode, l.granted
FROM pg_locks AS l LEFT JOIN pg_class AS c ON c.oid = l.relation
WHERE l.locktype NOT IN ('virtualxid', 'advisory') AND (l.relation IS NULL OR c.relnamespace >= 16384)
ORDER BY l.pid, l.granted, l.locktype, c.relname
"""

CANCEL = "SELECT pg_cancel_backend(CAST(? AS int))"

STEER = "SELECT set_config('deadlock_timeout', '{timeout}', false)"
TIMEOUTS = {"low": "100ms", "high": "60s"}
"""PostgreSQL's victim is the waiter whose ``deadlock_timeout`` passes first."""

# Babelfish refuses these two levels unless told that PostgreSQL's own will do.
ALLOW = "SELECT set_config('babelfishpg_tsql.isolation_level_{level}', 'pg_isolation', false)"
ALLOWED = {"repeatable read": "repeatable_read", "serializable": "serializable"}


def version(connection: pyodbc.Connection) -> str:
    """``"4.4.0 (PostgreSQL 16.4)"``, or ``""`` if the server is no Babelfish: SQL Server gives NULL for the property."""
    try:
        found, banner = ask(connection, VERSION)[0]
    except Refused:
        return ""
    if not found:
        return ""
    postgresql = re.search(r"PostgreSQL \d[\w.]*", str(banner))
    return f"{found} ({postgresql[0]})" if postgresql else str(found)


def waits(connection: pyodbc.Connection) -> list[tuple[Any, ...]]:
    """Rows as SQL Server's views would give them: waiter, holder, kind of wait, resource, mode asked for."""
    return [
        (pid, holder, kind, name, mode)
        for pid, holders, kind, name, mode in ask(connection, WAITS)
        for holder in str(holders or "").split(",")
        if holder not in ("", "0")  # 0: a prepared transaction
    ]


def lock_table(connection: pyodbc.Connection, pids: Collection[str]) -> list[dict[str, str]]:
    """``pg_locks`` for these sessions, in the columns of SQL Server's lock table; empty if it is not shown."""
    try:
        rows = ask(connection, LOCKS)
    except Refused:
        return []
    wanted = set(pids)
    return [
        {
            "session": str(pid),
            "type": str(kind),
            "object": str(relation or transaction or ""),
            "description": "",
            "mode": str(mode),
            "status": "GRANTED" if granted else "WAIT",
        }
        for pid, kind, relation, transaction, mode, granted in rows
        if str(pid) in wanted
    ]
