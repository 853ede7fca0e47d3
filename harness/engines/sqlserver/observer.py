"""The second connection: who waits for whom, the lock table, the deadlock reports.

https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-os-waiting-tasks-transact-sql,
https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-tran-locks-transact-sql
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from harness.answers import DeadlockReport
from harness.engines.base import ServerWait, Statement
from harness.engines.sqlserver import babelfish
from harness.engines.sqlserver.deadlocks import DeadlockReports
from harness.engines.sqlserver.driver import Refused, ask, connect, odbc
from harness.engines.sqlserver.probe import probe
from harness.engines.sqlserver.text import quote
from harness.engines.sqlserver.touching import TOUCHED, touches
from harness.engines.touching import Touch
from harness.errors import EngineError, HarnessError

if TYPE_CHECKING:
    import pyodbc

# The observer must never wait itself: catalogue views are read without locks, and what must be waited for is given up.
_MANNERS = "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; SET LOCK_TIMEOUT 1000; SET DEADLOCK_PRIORITY LOW"

# One row for each pair of waiter and holder. Left out: threads of one parallel query that wait for each other
# (CXPACKET: the holder is the session itself), latches (they pass by themselves), and tasks of the server (ghost
# cleanup and the like are no user processes: whoever waits for them goes on without anybody's help).
# A session that is not of the run but is somebody's does count: a linked server comes back as such a one.
# Negative holders are owners of a lock without a session (-2: an orphaned distributed transaction).
WAITS = """
SELECT w.session_id, w.blocking_session_id, w.wait_type, w.resource_description, l.request_mode
FROM sys.dm_os_waiting_tasks AS w
LEFT JOIN sys.dm_tran_locks AS l ON l.lock_owner_address = w.resource_address
LEFT JOIN sys.dm_exec_sessions AS h ON h.session_id = w.blocking_session_id
WHERE w.blocking_session_id <> w.session_id
  AND (h.is_user_process = 1 OR w.blocking_session_id < 0 AND w.wait_type LIKE N'LCK%')
  AND w.wait_type NOT LIKE N'%LATCH%'
"""
WAITS_WITHOUT_LOCKS = """
SELECT w.session_id, w.blocking_session_id, w.wait_type, w.resource_description, NULL
FROM sys.dm_os_waiting_tasks AS w
LEFT JOIN sys.dm_exec_sessions AS h ON h.session_id = w.blocking_session_id
WHERE w.blocking_session_id <> w.session_id
  AND (h.is_user_process = 1 OR w.blocking_session_id < 0 AND w.wait_type LIKE N'LCK%')
  AND w.wait_type NOT LIKE N'%LATCH%'
"""

# Every session holds a shared lock on its database: left out.
LOCKS = """
SELECT l.request_session_id, l.resource_type, l.resource_subtype, d.name, l.resource_associated_entity_id,
       l.resource_description, l.request_mode, l.request_status
FROM sys.dm_tran_locks AS l
LEFT JOIN sys.databases AS d ON d.database_id = l.resource_database_id
WHERE l.resource_type <> N'DATABASE'
  AND l.request_session_id IN (SELECT TRY_CAST(value AS int) FROM STRING_SPLIT(?, N','))
ORDER BY l.request_session_id, l.resource_type, l.resource_associated_entity_id, l.resource_description
"""

# Joins, not OBJECT_NAME(): that function waits for schema locks whatever the isolation level is.
NAMES = """
SELECT o.object_id, p.hobt_id, s.name, o.name, i.name
FROM {database}.sys.objects AS o
JOIN {database}.sys.schemas AS s ON s.schema_id = o.schema_id
LEFT JOIN {database}.sys.partitions AS p ON p.object_id = o.object_id
LEFT JOIN {database}.sys.indexes AS i ON i.object_id = p.object_id AND i.index_id = p.index_id
WHERE o.is_ms_shipped = 0
"""

_HELD = re.compile(r"\bmode=(\S+)")
_ENTITY_IS_OBJECT = frozenset({"OBJECT"})


class SQLServerObserver:
    """Asks the server's views about the sessions of a run. Used by one thread at a time."""

    def __init__(self, url: str, run: str) -> None:
        """Log in and find out what can be asked. Raises what :func:`connect` does, and EngineError."""
        self._connection: pyodbc.Connection = connect(url, f"psh:{run}/observer")
        try:
            self._facts = probe(self._connection)
            if not self._facts.babelfish:
                ask(self._connection, _MANNERS)
            self._reports = DeadlockReports(self._connection, self._facts, run)
        except HarnessError:
            with contextlib.suppress(odbc().Error):
                self._connection.close()
            raise

    def waits(self, waiting: Sequence[str], run: Sequence[str]) -> list[ServerWait]:
        """Of ``waiting``, those that wait for another session now, with all that hold them up.

        Raises EngineError if the server no longer answers. Nothing where the server does not show waits.
        """
        del run  # the server's own tasks are left out by the question; any other session counts
        if not waiting or not self._facts.waits:
            return []
        try:
            if self._facts.babelfish:
                rows = babelfish.waits(self._connection)
            else:
                rows = ask(self._connection, WAITS if self._facts.locks else WAITS_WITHOUT_LOCKS)
        except Refused as error:
            raise EngineError(f"SQL Server no longer answers the observer: {error}") from None
        return server_waits(rows, set(waiting))

    def lock_table(self, pids: Sequence[str]) -> list[dict[str, str]]:
        """``sys.dm_tran_locks`` for these sessions, with names of tables and indexes where they can be had."""
        if not self._facts.locks:
            return []
        if self._facts.babelfish:
            return babelfish.lock_table(self._connection, pids)
        with contextlib.suppress(Refused):
            rows = ask(self._connection, LOCKS, ",".join(str(int(pid)) for pid in pids))
            return lock_rows(rows, self._names)
        return []

    def touched(self, pid: str, statement: Statement) -> list[Touch]:
        """The tables that the session's open transaction has locked; all is unknown where the locks are not shown."""
        if not self._facts.locks or self._facts.babelfish:
            return [Touch("locks that are not shown", writes=True, unknown=True)]
        try:
            return touches(ask(self._connection, TOUCHED, int(pid)))
        except Refused as error:
            raise EngineError(f"SQL Server no longer answers the observer: {error}") from None

    def _names(self, database: str) -> list[tuple[Any, ...]]:
        with contextlib.suppress(Refused):
            return ask(self._connection, NAMES.replace("{database}", quote(database)))
        return []

    def deadlock_reports(self, pids: Sequence[str]) -> list[DeadlockReport]:
        """SQL Server's XML of every deadlock among ``pids`` since this observer was opened."""
        source = self._reports.source
        return [DeadlockReport(database="", source=source, text=text) for text in self._reports.read(pids)]

    def close(self) -> None:
        """Drop the run's event session if this was its last observer, and disconnect."""
        with contextlib.suppress(HarnessError):
            self._reports.close()
        with contextlib.suppress(odbc().Error):
            self._connection.close()


def server_waits(rows: Iterable[tuple[Any, ...]], waiting: set[str]) -> list[ServerWait]:
    """Rows of (waiter, holder, wait type, resource, mode asked for), gathered by waiter.

    The mode held stands in the resource's description: ``keylock hobtid=… dbid=… id=lock… mode=X associatedObjectId=…``.
    """
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    for waiter, holder, kind, description, asked in rows:
        if str(waiter) in waiting:
            resource = " ".join(str(part) for part in (kind, description) if part)
            found.setdefault(str(waiter), []).append((str(holder), resource, str(asked or ""), str(description or "")))
    waits = []
    for waiter, pairs in found.items():
        _, resource, asked, description = pairs[0]
        held = _HELD.search(description)
        waits.append(
            ServerWait(
                waiter=waiter,
                holders=tuple(dict.fromkeys(holder for holder, *_ in pairs)),
                resource=resource,
                asked=asked,
                held=held[1] if held else "",
            )
        )
    return waits


def lock_rows(rows: Sequence[tuple[Any, ...]], names: Callable[[str], list[tuple[Any, ...]]]) -> list[dict[str, str]]:
    """The lock table as flat text; ``names`` gives (object id, hobt id, schema, object, index) of a database."""
    objects: dict[tuple[str, int], str] = {}
    hobts: dict[tuple[str, int], str] = {}
    for database in {str(row[3]) for row in rows if row[3]}:
        for object_id, hobt, schema, name, index in names(database):
            objects[database, int(object_id)] = f"{schema}.{name}"
            if hobt is not None:
                hobts[database, int(hobt)] = f"{schema}.{name}" + (f" ({index})" if index else "")
    table = []
    for session, kind, subtype, database, entity, description, mode, status in rows:
        known = objects if kind in _ENTITY_IS_OBJECT else hobts
        name = known.get((str(database), int(entity or 0)), str(entity or ""))
        table.append(
            {
                "session": str(session),
                "type": f"{kind}{f' {subtype}' if subtype else ''}",
                "database": str(database or ""),
                "object": name,
                "description": str(description or "").strip(),
                "mode": str(mode or ""),
                "status": str(status or ""),
            }
        )
    return table
