"""Logins that stay on SQL Server: the login, its user in the database, its rights; encryption; linked servers.

Written from Microsoft's documentation, tested with a fake of the driver; the statements that Babelfish knows ran there.
Pages below https://learn.microsoft.com/sql/: t-sql/statements/create-login-transact-sql, alter-login-transact-sql,
relational-databases/security/authentication-access/server-level-roles (##MS_LoginManager##), grant-server-permissions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.engines.sqlserver.driver import ask, connect, database_url, parse
from harness.engines.sqlserver.text import quote
from harness.etl.logins import GROUPS as ETL_GROUPS
from harness.migrating.files import Login

Ask = Callable[..., list[tuple[Any, ...]]]

_MCP_GROUPS: Mapping[str, tuple[str, ...]] = {
    "promptads": ("promptads_mcp",),
    "promptcrm": ("promptcrm_mcp", "promptcrm_mcp_steward"),
}
_LINKED: Mapping[str, tuple[str, ...]] = {
    "promptads": ("ON dbo.campaign", "ON dbo.budget", "ON dbo.channel"),
    "promptcrm": (
        "ON dbo.client (id, code, name, kind, city_id, campaign_id, created_on)",
        "ON dbo.sale (id, client_id, campaign_id, sold_on, status, total)",
    ),
}

_LOAD: Mapping[str, tuple[str, ...]] = {
    "promptads": (
        "SELECT ON dbo.campaign",
        "SELECT, UPDATE ON dbo.budget",
        "SELECT ON dbo.channel",
        "SELECT ON dbo.ad",
    ),
    "promptcrm": (
        "SELECT ON dbo.client (id, code, name, kind, city_id, campaign_id, credit, created_on, latitude, longitude)",
        "SELECT ON dbo.city",
        "SELECT ON dbo.product",
        "SELECT ON dbo.sale",
        "EXECUTE ON dbo.register_sales",  # the tables it writes to are of the same owner: nothing more is asked for
        "EXECUTE ON TYPE::dbo.sale_row",
        "EXECUTE ON TYPE::dbo.sale_line_row",
    ),
}
"""What the users of ``harness/load/users`` do."""


def make_database(url: str) -> None:
    """Make the database that a URL names, if there is none of that name. Raises EngineError, ServerError."""
    name = parse(url).database or "master"
    link = connect(database_url(url, "master"), "psh:migrate")
    try:
        ask(link, f"IF DB_ID(N'{name.replace(chr(39), chr(39) * 2)}') IS NULL CREATE DATABASE {quote(name)}")
    finally:
        link.close()


def encrypt(url: str, master: str | None) -> None:
    """Set up PromptCrm's keys, as far as they are not there: ``dbo.set_up_encryption``. Raises EngineError."""
    link = connect(url, "psh:migrate")
    try:
        ask(link, "EXEC dbo.set_up_encryption @master_password = ?", master)
    finally:
        link.close()


def set_login(link: Any, login: Login, asked: Ask = ask) -> None:
    """Make the login and its user, or renew password and rights; what else it may do stays. Raises EngineError."""
    user, database = quote(login.user), quote(parse(login.url).database or "master")
    word = login.password.replace("'", "''")  # CREATE LOGIN takes no parameters
    there = asked(link, "SELECT 1 FROM sys.server_principals WHERE name = ?", login.user)
    if there:
        asked(link, f"ALTER LOGIN {user} WITH PASSWORD = N'{word}'")
    else:
        asked(link, f"CREATE LOGIN {user} WITH PASSWORD = N'{word}', DEFAULT_DATABASE = {database}")
    if not asked(link, "SELECT 1 FROM sys.database_principals WHERE name = ?", login.user):
        asked(link, f"CREATE USER {user} FOR LOGIN {user}")
    for statement in rights(login):
        asked(link, statement)
    for statement in server_rights(login):
        asked(link, f"USE [master]; {statement}; USE {database}")


def rights(login: Login) -> list[str]:
    """Of the user, in its database."""
    user = quote(login.user)
    match login.component:
        case "etl":
            return [f"ALTER ROLE {quote(ETL_GROUPS[login.logical])} ADD MEMBER {user}"]
        case "mcp":  # makes logins, their users, and members of these roles
            groups = _MCP_GROUPS[login.logical]
            return [
                f"GRANT ALTER ANY USER TO {user}",
                *(f"GRANT ALTER ON ROLE::{quote(group)} TO {user}" for group in groups),
            ]
        case "load":
            return [f"GRANT {right} TO {user}" for right in _LOAD[login.logical]]
        case "link":
            return [f"GRANT SELECT {table} TO {user}" for table in _LINKED[login.logical]]
    return []


def server_rights(login: Login) -> list[str]:
    """Of the login, on the server."""
    user = quote(login.user)
    match login.component:
        case "mcp":  # KILL for sessions of a login that it drops
            return [
                f"ALTER SERVER ROLE [##MS_LoginManager##] ADD MEMBER {user}",
                f"GRANT VIEW SERVER STATE TO {user}",
                f"GRANT ALTER ANY CONNECTION TO {user}",
            ]
        case "harness":  # docs/two-pcs-setup.md
            permissions = (
                "CREATE ANY DATABASE",
                "VIEW SERVER STATE",
                "ALTER ANY CONNECTION",
                "ALTER ANY EVENT SESSION",
            )
            return [f"GRANT {permission} TO {user}" for permission in permissions]
    return []


def link_servers(link: Any, procedure: str, other: Login, asked: Ask = ask) -> None:
    """Have this server see the other one, by ``link_ads`` or ``link_crm``. Raises EngineError."""
    parts = urlsplit(other.url)
    asked(
        link,
        f"EXEC dbo.{quote(procedure)} @data_source = ?, @database = ?, @user = ?, @password = ?",
        f"{parts.hostname},{parts.port or 1433}",
        unquote(parts.path.lstrip("/")),
        other.user,
        other.password,
    )
