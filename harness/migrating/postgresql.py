"""Logins that stay on PostgreSQL: each component's role, with the rights of its work and no others; renewed at will.

https://www.postgresql.org/docs/current/role-membership.html tells of ADMIN, INHERIT and SET.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from harness.errors import DataError, ServerError
from harness.etl.logins import GROUPS as ETL_GROUPS
from harness.migrating.files import Login
from harness.servers.urls import scrub

Connection = psycopg.Connection[tuple[Any, ...]]

_PLAIN = "LOGIN NOSUPERUSER NOREPLICATION NOBYPASSRLS NOCREATEDB NOCREATEROLE"
_MAKES_LOGINS = "LOGIN NOSUPERUSER NOREPLICATION NOBYPASSRLS NOCREATEDB CREATEROLE"
_MAKES_DATABASES = "LOGIN NOSUPERUSER NOREPLICATION NOBYPASSRLS CREATEDB NOCREATEROLE"

_VECTORS = "promptcontent_mcp"
_MCP_GROUPS: Mapping[str, tuple[str, ...]] = {
    "promptads": ("promptads_mcp",),
    "promptcrm": ("promptcrm_mcp", "promptcrm_mcp_steward"),
    "promptsales": ("promptsales_mcp", "promptsales_mcp_gate", _VECTORS),
}
"""What :mod:`harness.mcp.opening` makes logins for."""

_GRANTED = """
SELECT CASE classid
         WHEN 'pg_class'::regclass THEN format('TABLE %%s', objid::regclass)
         WHEN 'pg_proc'::regclass THEN format('ROUTINE %%s', objid::regprocedure)
         WHEN 'pg_namespace'::regclass THEN format('SCHEMA %%s', objid::regnamespace)
       END
  FROM pg_shdepend
 WHERE deptype = 'a' AND refclassid = 'pg_authid'::regclass AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)
   AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_namespace'::regclass)
"""
"""What a role was given rights on in this database, quoted."""

_GROUP = (
    "DO $$ BEGIN CREATE ROLE {group} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END; $$"
)

_LINKED: Mapping[str, tuple[str, ...]] = {
    "promptads": ("campaign", "budget", "channel"),
    "promptcrm": (
        "client (id, code, name, kind, city_id, campaign_id, created_on)",
        "sale (id, client_id, campaign_id, sold_on, status, total)",
    ),
}
"""What the other server reads: the tables of schemas/*/postgresql/server/60_linked_*.sql."""


_LOAD: Mapping[str, tuple[str, ...]] = {
    "promptads": (
        "SELECT ON campaign, budget, channel, ad",
        "UPDATE ON budget",
        "SELECT, INSERT, UPDATE ON metric_day",
    ),
    "promptcrm": (
        "SELECT (id, code, name, kind, city_id, campaign_id, credit, created_on, latitude, longitude) ON client",
        "SELECT ON city, product, opportunity, sale, sale_line",
        "INSERT ON sale, sale_line",
        "USAGE ON SEQUENCE sale_id",
        "EXECUTE ON FUNCTION register_sales(sale_row[], sale_line_row[])",
        "EXECUTE ON FUNCTION distance_km",
    ),
    "promptsales": ("SELECT ON month_summary, campaign, content, campaign_month, month_board, campaign_performance",),
}
"""What the users of ``harness/load/users`` do, and what ``register_sales`` does for them."""


@contextlib.contextmanager
def said(logical: str, *urls: str) -> Iterator[None]:
    """PostgreSQL's errors as ours, in a line, without these URLs' passwords: ServerError if it is away, else DataError."""
    try:
        yield
    except psycopg.Error as problem:
        # Of a statement's error its first line only: the others may quote the statement.
        text = " ".join((problem.diag.message_primary or str(problem)).split())
        for url in urls:
            text = scrub(text, url)
        kind = ServerError if isinstance(problem, psycopg.OperationalError) else DataError
        raise kind(f"{logical}: {text}") from None


def set_login(link: Connection, login: Login) -> None:
    """Make the role, or renew its password and rights. Raises psycopg.Error, DataError (it is a superuser)."""
    user = sql.Identifier(login.user)
    found = link.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [login.user]).fetchone()
    if found and found[0]:
        raise DataError(f"{login.logical}: {login.user} is a superuser there: it is not made less")
    # Hashed here: whoever reads the server's log, or its statements, does not learn the password.
    hashed = link.pgconn.encrypt_password(login.password.encode(), login.user.encode(), b"scram-sha-256").decode()
    options = {"mcp": _MAKES_LOGINS, "harness": _MAKES_DATABASES}.get(login.component, _PLAIN)
    with link.transaction():
        link.execute("SELECT pg_advisory_xact_lock(hashtext('harness migrate logins'))")
        if not found:
            link.execute(sql.SQL("CREATE ROLE {}").format(user))
        else:  # rights of another time go: what follows is all that the role may do
            _take_back(link, login)
        link.execute(sql.SQL("ALTER ROLE {} {} PASSWORD {}").format(user, sql.SQL(options), sql.Literal(hashed)))
        for statement in _rights(login):
            link.execute(sql.SQL(statement).format(user=user))


def _take_back(link: Connection, login: Login) -> None:
    """Take away the rights that a role has in this database."""
    user = sql.Identifier(login.user)
    if login.component != "mcp":
        link.execute(sql.SQL("DROP OWNED BY {}").format(user))
        return
    # DROP OWNED BY would take back the memberships too that it gave: the logins of the MCP servers that are at work.
    for (what,) in link.execute(_GRANTED, [login.user]).fetchall():
        link.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.SQL(what), user))


def _rights(login: Login) -> list[str]:
    """GRANTs, ``{user}`` in each. Nothing of a caller is in them but names that stand in this file."""
    match login.component:
        case "etl":
            return [f"GRANT {ETL_GROUPS[login.logical]} TO {{user}}"]
        case "sso":
            return ["GRANT promptsales_sso TO {user}"]
        case "mcp":
            # Makes logins of these groups; while one lives, its maker has its rights, to put it out and drop it.
            groups = _MCP_GROUPS[login.logical]
            grants = [
                _GROUP.format(group=group) for group in groups
            ]  # that of the vectors comes with the first of them
            grants += [f"GRANT {group} TO {{user}} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE" for group in groups]
            # https://www.postgresql.org/docs/current/runtime-config-client.html
            return [*grants, "ALTER ROLE {user} SET createrole_self_grant = 'set, inherit'"]
        case "load":
            grants = [f"GRANT {right} TO {{user}}" for right in _LOAD[login.logical]]
            if login.logical == "promptsales":  # vectors come with the first contents: a role of theirs reads
                grants += [_GROUP.format(group=_VECTORS), f"GRANT {_VECTORS} TO {{user}}"]
            return ["GRANT USAGE ON SCHEMA public TO {user}", *grants]
        case "harness":  # databases of its own (psh_…); sees who waits for whom
            return ["GRANT SET ON PARAMETER deadlock_timeout TO {user}", "GRANT pg_read_all_stats TO {user}"]
        case "link":
            return [_select(table) for table in _LINKED[login.logical]]
    return []


def _select(table: str) -> str:
    name, _, columns = table.partition(" ")
    return f"GRANT SELECT {columns} ON {name} TO {{user}}".replace("  ", " ")


def link_servers(link: Connection, procedure: str, other: Login) -> None:
    """Have this database see the other one, by ``link_ads`` or ``link_crm``. Raises psycopg.Error."""
    parts = urlsplit(other.url)
    arguments = (parts.hostname, parts.port or 5432, unquote(parts.path.lstrip("/")), other.user, other.password)
    link.execute(sql.SQL("SELECT {}(%s, %s, %s, %s, %s)").format(sql.Identifier(procedure)), arguments)


def make_database(url: str) -> None:
    """Make the database that a URL names, if the server has none of that name. Raises ServerError, DataError."""
    name = unquote(urlsplit(url).path.lstrip("/"))
    with said(name, url):
        try:
            psycopg.connect(url, connect_timeout=10).close()
        except psycopg.OperationalError as problem:
            if "does not exist" not in str(problem) or "database" not in str(problem):
                raise
        else:
            return
        # Who comes second finds it made.
        with (
            psycopg.connect(url, dbname="postgres", autocommit=True, connect_timeout=10) as link,
            contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation),
        ):
            link.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
