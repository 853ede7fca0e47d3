"""What a server is and what it lets this login see: asked, never assumed.

The same engine speaks to SQL Server, Azure SQL and a Babelfish (PostgreSQL behind SQL Server's protocol). Each view is
tried; what does not answer becomes a note that says what the evidence will lack.

https://learn.microsoft.com/sql/t-sql/functions/serverproperty-transact-sql (product),
https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/system-dynamic-management-views
(VIEW SERVER STATE; from SQL Server 2022 on VIEW SERVER PERFORMANCE STATE is enough).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engines.base import Capabilities
from harness.engines.sqlserver import babelfish
from harness.engines.sqlserver.driver import Refused, ask
from harness.vocabulary import LEVELS

if TYPE_CHECKING:
    import pyodbc

_YEARS = {13: "2016", 14: "2017", 15: "2019", 16: "2022", 17: "2025"}
_EDITIONS = {5: "Azure SQL Database", 8: "Azure SQL Managed Instance", 12: "SQL database in Fabric"}  # EngineEdition

_PRODUCT = """
SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)), CAST(SERVERPROPERTY('EngineEdition') AS int),
       CAST(SERVERPROPERTY('Edition') AS nvarchar(128)), CAST(SERVERPROPERTY('ProductUpdateLevel') AS nvarchar(128))
"""

# TOP (1), not TOP (0): a query that can give no row may be answered without the view being opened, and it is the
# opening that checks the permission.
_WAITS = "SELECT TOP (1) 1 FROM sys.dm_os_waiting_tasks"
_LOCKS = "SELECT TOP (1) 1 FROM sys.dm_tran_locks"
_MAY_TRACE = (
    "SELECT CASE WHEN OBJECT_ID('sys.server_event_sessions') IS NULL THEN 0 "
    "ELSE HAS_PERMS_BY_NAME(NULL, NULL, 'ALTER ANY EVENT SESSION') END"
)
_HEALTH = "SELECT TOP (1) 1 FROM sys.dm_xe_sessions WHERE name = N'system_health'"


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found. ``views``: waits and locks come from SQL Server's own views; ``sees_all``: so do all sessions."""

    product: str
    version: str
    babelfish: bool = False
    cloud: bool = False  # no files of its own: no event files, no SINGLE_USER
    views: bool = False
    sees_all: bool = False
    waits: bool = False
    locks: bool = False
    own_events: bool = False
    health: bool = False
    steers: bool = True
    notes: tuple[str, ...] = ()

    @property
    def capabilities(self) -> Capabilities:
        """As the harness records it."""
        return Capabilities(
            product=self.product,
            version=self.version,
            waits=self.waits,
            locks=self.locks,
            reports=self.own_events or self.health,
            steers_victim=self.steers,
            levels=LEVELS["sqlserver"],
            notes=self.notes,
        )


def works(connection: pyodbc.Connection, question: str) -> bool:
    """Does the server answer this question?"""
    try:
        ask(connection, question)
    except Refused:
        return False
    return True


def probe(connection: pyodbc.Connection) -> Facts:
    """Find out what this server is and shows. Raises EngineError if it does not even say its version."""
    if version := babelfish.version(connection):
        return _probe_babelfish(connection, version)
    number, edition_number, edition, update = ask(connection, _PRODUCT)[0]
    major = int(str(number).split(".", 1)[0])
    product = _EDITIONS.get(edition_number) or f"SQL Server {_YEARS.get(major, major)}"
    cloud = edition_number in _EDITIONS
    waits, locks = works(connection, _WAITS), works(connection, _LOCKS)
    notes = []
    if not waits:
        notes.append(
            "sys.dm_os_waiting_tasks may not be read: blocked steps are only noticed by their deadline "
            "(GRANT VIEW SERVER STATE TO the login)"
        )
    if not locks:
        notes.append("sys.dm_tran_locks may not be read: no lock table and no requested lock modes")
    own, health = _events(connection, cloud)
    if not own:
        notes.append(_no_events(cloud, health))
    if cloud:
        notes.append("creating a database takes minutes here; sessions are visible per database only")
    return Facts(
        product=product,
        version=" ".join(str(part) for part in (number, update, edition) if part),
        cloud=cloud,
        views=waits,
        sees_all=waits and not cloud,
        waits=waits,
        locks=locks,
        own_events=own,
        health=health,
        notes=tuple(notes),
    )


def _events(connection: pyodbc.Connection, cloud: bool) -> tuple[bool, bool]:
    """May this login make an Extended Events session with a file, and can it read the one of system_health?"""
    if cloud:
        return False, False
    try:
        own = bool(ask(connection, _MAY_TRACE)[0][0])
    except Refused:
        own = False
    try:
        health = bool(ask(connection, _HEALTH))
    except Refused:
        health = False
    return own, health


def _no_events(cloud: bool, health: bool) -> str:
    if cloud:
        return "event files lie in blob storage here: no deadlock reports"
    if health:
        return "no ALTER ANY EVENT SESSION: deadlock reports come from system_health, late, and some may be missing"
    return "no ALTER ANY EVENT SESSION, and system_health cannot be read: no deadlock reports"


def _probe_babelfish(connection: pyodbc.Connection, version: str) -> Facts:
    waits, locks = works(connection, babelfish.WAITS), works(connection, babelfish.LOCKS)
    steers = works(connection, babelfish.STEER.replace("{timeout}", "1s"))
    notes = [
        "PostgreSQL behind SQL Server's protocol: isolation, locking and deadlock detection are PostgreSQL's",
        "no Extended Events: no deadlock reports",
        "a waiting statement is cancelled only if PostgreSQL lets this login signal the session, else only KILL ends it",
    ]
    if not waits:
        notes.append("pg_blocking_pids may not be asked: blocked steps are only noticed by their deadline")
    if not steers:
        notes.append("deadlock_timeout may not be set by this login: the victim is the server's choice")
    return Facts(
        product="Babelfish",
        version=version,
        babelfish=True,
        sees_all=True,
        waits=waits,
        locks=locks,
        steers=steers,
        notes=tuple(notes),
    )
