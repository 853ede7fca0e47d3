"""Makes and drops the harness's own databases, and tidies up after runs that died.

https://learn.microsoft.com/sql/t-sql/statements/create-database-transact-sql,
https://learn.microsoft.com/sql/t-sql/statements/alter-database-transact-sql-set-options,
https://learn.microsoft.com/sql/t-sql/statements/drop-database-transact-sql
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.engines.base import OWNED, owner_of
from harness.engines.sqlserver.deadlocks import drop_if_last, drop_leftovers
from harness.engines.sqlserver.driver import Refused, ask, connect, odbc
from harness.engines.sqlserver.probe import probe
from harness.engines.sqlserver.text import quote
from harness.errors import EngineError, HarnessError

if TYPE_CHECKING:
    import pyodbc

LOCKING, VERSIONING = "read committed", "read committed snapshot"

_OPTIONS = "SELECT is_read_committed_snapshot_on, snapshot_isolation_state FROM sys.databases WHERE name = ?"
_OWNED = "SELECT name FROM sys.databases WHERE LEFT(name, 4) = N'psh_' ORDER BY name"
_LIVING = "SELECT DISTINCT program_name FROM sys.dm_exec_sessions WHERE LEFT(program_name, 4) = N'psh:'"
_GUESTS = "SELECT session_id FROM sys.dm_exec_sessions WHERE database_id = DB_ID(?) AND session_id <> @@SPID"
_DROP_SECONDS, _PAUSE = 10.0, 0.1
_NO_SUCH_SESSION = 6106  # it is not an active process ID
_IN_USE = 3702  # cannot drop the database because it is currently in use


class SQLServerAdmin:
    """A connection to ``master``; ``capabilities`` say what the server was found able to do."""

    def __init__(self, url: str, run: str) -> None:
        """Log in. Raises LoginRefused, ServerError, DriverMissing, EngineError."""
        self._run = run
        self._connection: pyodbc.Connection = connect(url, f"psh:{run}/admin")
        try:
            self._facts = probe(self._connection)
            self.capabilities = self._facts.capabilities
            if self._facts.own_events:
                drop_leftovers(self._connection, self.living_runs() | {run})
        except HarnessError:
            self._disconnect()
            raise

    def create(self, name: str, levels: Sequence[str]) -> None:
        """Make an empty database able to give ``levels``: both row-versioning options are set, ON or OFF.

        Locking READ COMMITTED and READ COMMITTED SNAPSHOT are two states of one database option, so asking for both is
        an EngineError, and so is a server that can set neither the option nor has it as asked.
        """
        if LOCKING in levels and VERSIONING in levels:
            raise EngineError(
                f"database {name}: {LOCKING!r} and {VERSIONING!r} exclude each other in one database "
                "(READ_COMMITTED_SNAPSHOT is OFF for one, ON for the other): make two databases"
            )
        self._do(f"cannot create database {name}", f"CREATE DATABASE {quote(name)}")
        try:
            for option, position, wanted in (
                ("READ_COMMITTED_SNAPSHOT {state} WITH ROLLBACK IMMEDIATE", 0, VERSIONING in levels),
                ("ALLOW_SNAPSHOT_ISOLATION {state}", 1, "snapshot" in levels),
            ):
                self._set(name, option, position, wanted)
        except HarnessError:
            with contextlib.suppress(HarnessError):
                self.drop(name)
            raise

    def _set(self, name: str, option: str, position: int, wanted: bool) -> None:
        """Set one option. A server that refuses is forgiven if the option is as wanted already, or is Babelfish's."""
        change = option.replace("{state}", "ON" if wanted else "OFF")
        try:
            ask(self._connection, f"ALTER DATABASE {quote(name)} SET {change}")
        except Refused as error:
            state = ask(self._connection, _OPTIONS, name)
            if self._facts.babelfish or (state and bool(state[0][position]) == wanted):
                return
            raise EngineError(f"cannot set {change} in database {name}: {error}") from None

    def drop(self, name: str) -> None:
        """Drop it and disconnect whoever is in it; silent if it is not there. EngineError for a name not of the harness."""
        if not name.startswith(OWNED):
            raise EngineError(f"database {name!r} was not made by the harness: not dropped")
        deadline = time.monotonic() + _DROP_SECONDS
        while ask(self._connection, "SELECT 1 FROM sys.databases WHERE name = ?", name):
            with contextlib.suppress(Refused):  # there is no SINGLE_USER in Azure SQL Database, nor in a Babelfish
                ask(self._connection, f"ALTER DATABASE {quote(name)} SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
            try:
                ask(self._connection, f"DROP DATABASE IF EXISTS {quote(name)}")
            except Refused as error:
                # In use although it was closed to all: another login was faster, or it cannot be closed to all here.
                in_use = error.number == _IN_USE or "in use" in str(error)
                if not in_use or time.monotonic() > deadline:
                    raise EngineError(f"cannot drop database {name}: {error}") from None
                self._throw_out(name)
            else:
                return

    def _throw_out(self, name: str) -> None:
        """End the sessions in a database; they are gone a little later."""
        with contextlib.suppress(Refused):
            for row in ask(self._connection, _GUESTS, name):
                with contextlib.suppress(Refused):  # gone meanwhile
                    ask(self._connection, f"KILL {int(row[0])}")
        time.sleep(_PAUSE)  # KILL tells nobody when it is done

    def end_session(self, database: str, pid: str) -> None:
        """KILL a session (it takes no parameter: the number is checked to be one); it rolls back."""
        try:
            ask(self._connection, f"KILL {int(pid)}")
        except Refused as error:
            if error.number != _NO_SUCH_SESSION:
                raise EngineError(f"cannot end session {pid}: {error}") from None

    def owned(self) -> list[str]:
        """Databases here whose name says that the harness made them."""
        return [str(row[0]) for row in self._rows(_OWNED) if str(row[0]).startswith(OWNED)]

    def living_runs(self) -> set[str]:
        """Runs with a session here, by program name.

        A login that may not see the sessions of others cannot tell the living from the dead: then every run that owns a
        database counts as living, so that nobody's database is taken for a leftover.
        """
        names = [str(row[0]) for row in self._rows(_LIVING)]
        living = {name.removeprefix("psh:").split("/", 1)[0] for name in names if name.startswith("psh:")}
        return living if self._facts.sees_all else living | {owner_of(name) for name in self.owned()}

    def close(self) -> None:
        """Drop the run's event session unless somebody of the run still uses it, and disconnect."""
        if self._facts.own_events:
            with contextlib.suppress(HarnessError):
                drop_if_last(self._connection, self._run)
        self._disconnect()

    def _disconnect(self) -> None:
        with contextlib.suppress(odbc().Error):
            self._connection.close()

    def _do(self, failure: str, sql: str) -> None:
        try:
            ask(self._connection, sql)
        except Refused as error:
            raise EngineError(f"{failure}: {error}") from None

    def _rows(self, sql: str) -> list[tuple[object, ...]]:
        return ask(self._connection, sql)
