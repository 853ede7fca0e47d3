"""A login for a while on SQL Server: a login of the server, its user in the database, one role.

Written from Microsoft's documentation, tested with a fake of the driver, run on Babelfish, never on SQL Server. Pages,
below https://learn.microsoft.com/sql/t-sql/statements/: create-login-transact-sql, create-user-transact-sql,
alter-role-transact-sql, drop-login-transact-sql; and language-elements/kill-transact-sql. A login of SQL Server has no last
moment as PostgreSQL's VALID UNTIL: what a killed maker leaves is taken away by the next.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from datetime import timedelta
from types import TracebackType
from typing import Any

from harness.engines.sqlserver.driver import Refused, ask, connect, parse
from harness.engines.sqlserver.text import quote
from harness.errors import HarnessError, LoginRefused
from harness.servers.roles import with_login
from harness.servers.urls import scrub


class SQLServerLogin:
    """The URL of the new login ``name``, whose user in the URL's database is a member of ``group`` and of nothing else.

    Entering raises LoginRefused if it cannot be made, ServerError if the server does not answer, DriverMissing. Logins
    that begin with ``prefix`` and whose maker is not connected any more are dropped first.
    """

    def __init__(self, url: str, name: str, group: str, prefix: str, valid: timedelta | None = None) -> None:
        self._admin, self._name, self._group, self._prefix = url, name, group, prefix
        self._password = f"Aa1-{secrets.token_urlsafe(24)}"  # the server's policy asks for three kinds of characters
        self.url = with_login(url, name, self._password)
        """Works once the login is made."""
        self._link: Any = None
        self._one_at_a_time = threading.Lock()
        self._over = False

    def __repr__(self) -> str:
        return f"<login {self._name} of {self._group}>"

    def __enter__(self) -> str:
        with self._one_at_a_time:
            try:
                self._enter(first=True)
            except HarnessError:
                self._let_go()
                raise
        return self.url

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._one_at_a_time:
            self._over = True
            with contextlib.suppress(HarnessError):  # it is swept by the next
                if not self._is_there():
                    self._link = connect(self._admin, self._maker(self._name))
            if self._link is not None:
                self._drop(self._name)
            self._let_go()

    def keep(self) -> None:
        """Connect again if that was lost, make the login again if it is gone. Raises as entering does."""
        with self._one_at_a_time:
            if not self._over and not (self._is_there() and self._known()):
                self._let_go()
                self._enter(first=False)

    def _is_there(self) -> bool:
        try:
            if self._link is not None:
                ask(self._link, "SELECT 1")
                return True
        except HarnessError:
            self._let_go()
        return False

    def _known(self) -> bool:
        """Whether login and user are there."""
        with contextlib.suppress(HarnessError):
            return bool(
                ask(
                    self._link,
                    "SELECT 1 FROM sys.server_principals AS l, sys.database_principals AS u WHERE l.name = ? AND u.name = ?",
                    self._name,
                    self._name,
                )
            )
        return False

    def _enter(self, *, first: bool) -> None:
        """Connect, sweep, and make what is not there. Raises LoginRefused, ServerError, DriverMissing."""
        self._link = connect(self._admin, self._maker(self._name))
        made = False
        try:
            self._sweep()
            if first or not self._known():
                made = True
                self._make()
        except Refused as error:
            if made:
                self._drop(self._name)
            raise LoginRefused(scrub(scrub(" ".join(str(error).split()), self._admin), self.url)) from None

    def _make(self) -> None:
        name = quote(self._name)
        database = parse(self._admin).database or "master"
        # What a sweeper has left half, while we were away: a user without its login is nobody.
        ask(self._link, f"DROP USER IF EXISTS {name}")
        with contextlib.suppress(Refused):
            ask(self._link, f"DROP LOGIN {name}")
        # CREATE LOGIN takes no parameters; the password has no quote in it.
        ask(
            self._link,
            f"CREATE LOGIN {name} WITH PASSWORD = N'{self._password}', DEFAULT_DATABASE = {quote(database)}",
        )
        ask(self._link, f"CREATE USER {name} FOR LOGIN {name}")
        ask(self._link, f"ALTER ROLE {quote(self._group)} ADD MEMBER {name}")

    def _drop(self, name: str) -> None:
        """Drop user and login; whoever is in by it is put out. Never raises: the next one sweeps."""
        with contextlib.suppress(HarnessError):
            ask(self._link, f"ALTER LOGIN {quote(name)} DISABLE")
        with contextlib.suppress(HarnessError):
            rows = ask(self._link, "SELECT session_id FROM sys.dm_exec_sessions WHERE login_name = ?", name)
            for (session,) in rows:
                with contextlib.suppress(Refused):  # it has ended by itself
                    ask(self._link, f"KILL {int(session)}")
        for statement in (f"DROP USER IF EXISTS {quote(name)}", f"DROP LOGIN {quote(name)}"):
            with contextlib.suppress(HarnessError):
                ask(self._link, statement)

    def _sweep(self) -> None:
        """Drop the logins whose maker is not connected any more."""
        rows = ask(
            self._link,
            "SELECT name FROM sys.server_principals WHERE type = 'S' AND LEFT(name, LEN(?)) = ?",
            self._prefix,
            self._prefix,
        )
        programs = ask(
            self._link,
            "SELECT DISTINCT program_name FROM sys.dm_exec_sessions WHERE LEFT(program_name, 4) = N'psh:'",
        )
        living = {str(program) for (program,) in programs}
        for (name,) in rows:
            if str(name).startswith(self._prefix) and self._maker(str(name)) not in living:
                self._drop(str(name))

    def _let_go(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(Exception):  # the driver's own classes; it is over in any case
                link.close()

    @staticmethod
    def _maker(name: str) -> str:
        return f"psh:{name}/admin"
