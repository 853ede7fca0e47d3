"""Logins that we make for a while on somebody's PostgreSQL: random password, few rights, dropped afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote as escaped
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

Connection = psycopg.Connection[tuple[Any, ...]]

_NOTHING = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"


def make_role(
    link: Connection,
    name: str,
    groups: Iterable[str],
    *,
    settings: Sequence[str] = (),
    most: int = 3,
    until: datetime | None = None,
    password: str | None = None,
) -> str:
    """Make a role that logs in and is a member of ``groups``, nothing else; gives its password. Raises psycopg.Error.

    ``most``: sessions at once. ``until``: nobody logs in by the password after that. ``settings`` hold from its login on.
    ``password``: the one to have, instead of a random one.
    """
    password = password or secrets.token_urlsafe(24)
    role = sql.Identifier(name)
    # Hashed here: whoever reads the server's log, or its statements, does not learn the password.
    hashed = link.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    valid = sql.SQL("VALID UNTIL {}").format(sql.Literal(until.isoformat() if until else "infinity"))
    rights = sql.SQL("{} CONNECTION LIMIT {} {}").format(sql.SQL(_NOTHING), sql.Literal(most), valid)
    with link.transaction():
        link.execute(sql.SQL("CREATE ROLE {} {} PASSWORD {}").format(role, rights, sql.Literal(hashed)))
        for group in groups:
            link.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), role))
        for setting in settings:
            link.execute(sql.SQL("ALTER ROLE {} SET {}").format(role, sql.SQL(setting)))
    return password


def drop_role(link: Connection, name: str) -> None:
    """Drop a role; whoever is in by it is put out, and waited for. Raises psycopg.Error."""
    link.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", (name,))
    link.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def with_login(url: str, name: str, password: str) -> str:
    """``url`` with another login.

    >>> with_login("postgresql://ana:secret@db:5432/shop?a=1", "bo", "x/y")
    'postgresql://bo:x%2Fy@db:5432/shop?a=1'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{name}:{escaped(password, safe='')}@{host}"))
