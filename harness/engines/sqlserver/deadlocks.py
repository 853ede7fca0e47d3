"""SQL Server's own deadlock reports, by Extended Events.

A run makes one event session, ``psh_<run>_deadlocks``, that writes ``sqlserver.xml_deadlock_report`` to a file of the
server. All its observers read it; whoever of its observers and admins leaves last drops it, and the admin of a later
run drops what a dead one left. ``system_health`` has the same event, but its ring buffer loses
reports and its file is written late, so it is only the second choice. The files themselves (at most 10 MB a run)
stay in the server's log folder: T-SQL has no documented way to delete them.

https://learn.microsoft.com/sql/t-sql/statements/create-event-session-transact-sql,
https://learn.microsoft.com/sql/relational-databases/system-functions/sys-fn-xe-file-target-read-file-transact-sql,
https://learn.microsoft.com/sql/relational-databases/extended-events/use-the-system-health-session,
https://learn.microsoft.com/sql/relational-databases/sql-server-deadlocks-guide
"""

from __future__ import annotations

import contextlib
import re
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.engines.base import OWNED, owner_of
from harness.engines.sqlserver.driver import Refused, ask
from harness.engines.sqlserver.probe import Facts
from harness.engines.sqlserver.text import quote
from harness.errors import EngineError

if TYPE_CHECKING:
    import pyodbc

_SUFFIX = "_deadlocks"
_RUN = re.compile(r"[0-9a-z]+")

# STARTUP_STATE = OFF: a server that restarts does not bring it back. Not NO_EVENT_LOSS: sessions would wait for room in
# the buffer, and the observer must not disturb what it observes. One second is the shortest latency there is.
_CREATE = """
CREATE EVENT SESSION {session} ON SERVER
ADD EVENT sqlserver.xml_deadlock_report
ADD TARGET package0.event_file (SET filename = N'{file}.xel', max_file_size = (5), max_rollover_files = (2))
WITH (MAX_DISPATCH_LATENCY = 1 SECONDS, EVENT_RETENTION_MODE = ALLOW_SINGLE_EVENT_LOSS, STARTUP_STATE = OFF)
"""
_RUNNING = "SELECT 1 FROM sys.dm_xe_sessions WHERE name = ?"
_START = "ALTER EVENT SESSION {session} ON SERVER STATE = START"
_DROP = "DROP EVENT SESSION {session} ON SERVER"
_EXISTS = 25631  # there is an event session of this name already
_STARTED = 25705  # … and it runs already
_ABSENT = 15151  # it cannot be altered, because it does not exist: somebody dropped it just now

_LISTED = "SELECT name FROM sys.server_event_sessions WHERE LEFT(name, 4) = N'psh_'"
_USERS = "SELECT COUNT(*) FROM sys.dm_exec_sessions WHERE program_name IN (?, ?) AND session_id <> @@SPID"
_READ = """
SELECT event_data FROM sys.fn_xe_file_target_read_file(?, NULL, NULL, NULL) WHERE object_name = N'xml_deadlock_report'
"""
# For per-second counters the value in the view is cumulative.
# https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-os-performance-counters-transact-sql
_COUNT = """
SELECT cntr_value FROM sys.dm_os_performance_counters
WHERE counter_name = N'Number of Deadlocks/sec' AND instance_name = N'_Total'
"""
_NOW = "SELECT SYSUTCDATETIME()"

_PATIENCE = 3.0  # seconds until a report must be in the file: one of latency, and then some
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Report:
    """One report: when (UTC), which sessions, and SQL Server's XML of it."""

    at: datetime
    pids: frozenset[str]
    xml: str


def parse_event(event_data: str) -> Report | None:
    """The report in an event as the file target gives it; None if it is none.

    ``<event name="xml_deadlock_report" timestamp="…Z"><data name="xml_report"><value><deadlock>…</deadlock></value>``,
    with ``process-list/process[@spid]`` in it. XML of the server we are logged in to, not of a stranger.
    """
    try:
        event = ElementTree.fromstring(event_data)
    except ElementTree.ParseError:
        return None
    deadlock = event.find(".//deadlock")
    if deadlock is None:
        return None
    try:
        at = datetime.fromisoformat(event.get("timestamp", ""))
    except ValueError:
        at = datetime.max
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    pids = frozenset(process.get("spid", "") for process in deadlock.findall("./process-list/process"))
    return Report(at=at, pids=pids - {""}, xml=ElementTree.tostring(deadlock, encoding="unicode"))


class DeadlockReports:
    """Reads the reports of one run's deadlocks, from the moment it is made.

    Raises EngineError if the server does not tell its time.
    """

    def __init__(self, connection: pyodbc.Connection, facts: Facts, run: str) -> None:
        self._connection = connection
        self._run = run
        self._pattern = ""
        self.source = ""
        self._owns = facts.own_events and _ensure(connection, run)
        if self._owns:
            self.source, self._pattern = "Extended Events", f"{_name(run)}*.xel"
        elif facts.health:
            self.source, self._pattern = "system_health", "system_health*.xel"
        if self._pattern:
            self._since = _utc(ask(connection, _NOW)[0][0])
            self._count = self._counter()

    def read(self, pids: Collection[str]) -> list[str]:
        """The XML of every deadlock among ``pids`` since this was opened, oldest first.

        A report reaches the file about a second after the victim has heard of its fate. The server's count of deadlocks
        tells at once how many there must be, so this waits for those and for nothing else.
        """
        if not self._pattern:
            return []
        due = self._counter() - self._count
        deadline = time.monotonic() + (_PATIENCE if due > 0 else 0.0)
        while True:
            reports = [report for report in self._reports() if report.at >= self._since]
            if len(reports) >= due or time.monotonic() >= deadline:
                wanted = set(pids)
                return [report.xml for report in sorted(reports, key=lambda r: r.at) if report.pids & wanted]
            time.sleep(_PAUSE)  # there is no event to wait for: the target is a file on the server

    def _reports(self) -> Iterator[Report]:
        with contextlib.suppress(Refused):  # no file yet
            for row in ask(self._connection, _READ, self._pattern):
                if report := parse_event(str(row[0])):
                    yield report

    def _counter(self) -> int:
        with contextlib.suppress(Refused):
            for row in ask(self._connection, _COUNT):
                return int(row[0])
        return 0

    def close(self) -> None:
        """Drop the event session if nobody else of the run can want it."""
        if self._owns:
            drop_if_last(self._connection, self._run)


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC)


def _name(run: str) -> str:
    return f"{OWNED}{run}{_SUFFIX}"


def _sql(template: str, run: str) -> str:
    if not _RUN.fullmatch(run):
        raise EngineError(f"{run!r} is no run id")  # it becomes part of a file name on the server
    return template.replace("{session}", quote(_name(run))).replace("{file}", _name(run))


def _ensure(connection: pyodbc.Connection, run: str) -> bool:
    """Have the run's event session, made by whoever comes first. False if the server refuses."""
    create = _sql(_CREATE, run)
    for _ in range(3):  # between CREATE and START another observer may close as the last one and drop it
        with contextlib.suppress(Refused):
            if ask(connection, _RUNNING, _name(run)):
                return True
        try:
            ask(connection, create)
        except Refused as error:
            if error.number != _EXISTS:
                return False
        try:
            ask(connection, _sql(_START, run))
        except Refused as error:
            if error.number == _ABSENT:
                continue
            return error.number == _STARTED
        return True
    return False


def drop_if_last(connection: pyodbc.Connection, run: str) -> None:
    """Drop the run's event session unless another observer or admin of the run is connected; silent if it is not there."""
    with contextlib.suppress(Refused):
        if ask(connection, _USERS, f"psh:{run}/observer", f"psh:{run}/admin")[0][0] == 0:
            ask(connection, _sql(_DROP, run))


def drop_leftovers(connection: pyodbc.Connection, living: Collection[str]) -> None:
    """Drop the event sessions of runs that are no longer connected."""
    with contextlib.suppress(Refused):
        for row in ask(connection, _LISTED):
            name = str(row[0])
            run = owner_of(name)
            if name == _name(run) and _RUN.fullmatch(run) and run not in living:
                with contextlib.suppress(Refused):
                    ask(connection, _sql(_DROP, run))
