"""A login for a while on SQL Server: a login of the server, its user in the database, one role.

Written from Microsoft's documentation, tested with a fake of the driver, run on Babelfish, never on SQL Server. Pages,
below https://learn.microsoft.com/sql/t-sql/statements/: create-login-transact-sql, create-user-transact-sql,
alter-role-transact-sql, drop-login-transact-sql; and language-elements/kill-transact-sql. A login of SQL Server has no last
moment as PostgreSQL's VALID UNTIL: what a killed launcher leaves is taken away by the next.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

from harness.engines.sqlserver.driver import Refused, ask, connect, parse
from harness.engines.sqlserver.text import quote
from harness.errors import HarnessError
from harness.servers.roles import with_login


@contextlib.contextmanager
def sqlserver_login(url: str, name: str, group: str, prefix: str, maker: Callable[[str], str]) -> Iterator[str]:
    """The URL of the new login ``name``, whose user in the URL's database is a member of ``group`` and of nothing else.

    Logins that begin with ``prefix`` and whose maker is not connected any more are dropped first. Raises LoginRefused,
    ServerError (it does not answer), DriverMissing, Refused.
    """
    connection = connect(url, maker(name))
    try:
        _sweep(connection, prefix, maker)
        password = f"Aa1-{secrets.token_urlsafe(24)}"  # the server's policy asks for three kinds of characters
        database = parse(url).database or "master"
        try:
            # CREATE LOGIN takes no parameters; the password has no quote in it.
            ask(
                connection,
                f"CREATE LOGIN {quote(name)} WITH PASSWORD = N'{password}', DEFAULT_DATABASE = {quote(database)}",
            )
            ask(connection, f"CREATE USER {quote(name)} FOR LOGIN {quote(name)}")
            ask(connection, f"ALTER ROLE {quote(group)} ADD MEMBER {quote(name)}")
            yield with_login(url, name, password)
        finally:
            _drop(connection, name)
    finally:
        with contextlib.suppress(Exception):  # the driver's own classes; it is over in any case
            connection.close()


def _drop(connection: Any, name: str) -> None:
    """Drop user and login; whoever is in by it is put out. Never raises: the next one sweeps."""
    with contextlib.suppress(HarnessError):
        ask(connection, f"ALTER LOGIN {quote(name)} DISABLE")
    with contextlib.suppress(HarnessError):
        rows = ask(connection, "SELECT session_id FROM sys.dm_exec_sessions WHERE login_name = ?", name)
        for (session,) in rows:
            with contextlib.suppress(Refused):  # it has ended by itself
                ask(connection, f"KILL {int(session)}")
    for what in ("USER", "LOGIN"):
        with contextlib.suppress(HarnessError):
            ask(connection, f"DROP {what} IF EXISTS {quote(name)}" if what == "USER" else f"DROP LOGIN {quote(name)}")


def _sweep(connection: Any, prefix: str, maker: Callable[[str], str]) -> None:
    """Drop the logins whose maker is not connected any more."""
    rows = ask(
        connection,
        "SELECT name FROM sys.server_principals WHERE type = 'S' AND LEFT(name, LEN(?)) = ?",
        prefix,
        prefix,
    )
    programs = ask(
        connection,
        "SELECT DISTINCT program_name FROM sys.dm_exec_sessions WHERE LEFT(program_name, 4) = N'psh:'",
    )
    living = {str(program) for (program,) in programs}
    for (name,) in rows:
        if str(name).startswith(prefix) and maker(str(name)) not in living:
            _drop(connection, str(name))
