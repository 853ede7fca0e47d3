"""The login by which a sampler looks at PostgreSQL: a role in pg_read_all_stats that can do nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg import sql

from harness.monitor.base import LOGIN, SECONDS, SUFFIX, Refused, connection_name, one_line, run_of_login
from harness.servers.roles import Connection, drop_role, make_role, with_login
from harness.servers.urls import scrub

HOME = "postgres"
"""Where a sampler connects to: nobody copies or drops that database, so its session is in nobody's way."""

RIGHTS = (
    "statement_timeout = '5s'",
    "lock_timeout = '1s'",
    "idle_in_transaction_session_timeout = '10s'",
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'read committed'",
    "jit = off",
)
"""What holds for a sampler's sessions; with a login of its own, from the moment of its login on."""


def enrol(url: str, name: str, run: str) -> str:
    """Make the role, in pg_read_all_stats and nothing else. Raises Refused."""
    with _admin(url, run) as link:
        _sweep(link)
        password = make_role(link, name, ["pg_read_all_stats"], settings=RIGHTS)
        with contextlib.suppress(psycopg.Error):  # its own statements are no part of what it looks at
            link.execute(sql.SQL("ALTER ROLE {} SET pg_stat_statements.track = 'none'").format(sql.Identifier(name)))
        with contextlib.suppress(psycopg.Error):  # not preloaded; or another sampler makes it right now
            link.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    return with_login(url, name, password)


def expel(url: str, name: str) -> None:
    """Drop the role; whoever is in by it is put out. Raises Refused."""
    with _admin(url, "") as link:
        drop_role(link, name)


@contextlib.contextmanager
def _admin(url: str, run: str) -> Iterator[Connection]:
    try:
        with psycopg.connect(
            url, dbname=HOME, autocommit=True, connect_timeout=5,
            application_name=connection_name(run)[:63] if run else f"psh{SUFFIX}",
            options=f"-c statement_timeout={int(SECONDS * 1000)}",
        ) as link:  # fmt: skip
            yield link
    except (psycopg.Error, OSError) as error:
        raise Refused(scrub(one_line(error), url)) from None


def _sweep(link: Connection) -> None:
    """Drop the roles of samplers whose run has no session any more."""
    rows = link.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", (LOGIN,)).fetchall()
    names = link.execute(
        "SELECT DISTINCT split_part(substr(application_name, 5), '/', 1) FROM pg_stat_activity "
        "WHERE starts_with(application_name, 'psh:')"
    ).fetchall()
    living = {name for (name,) in names}
    for (role,) in rows:
        owner = run_of_login(role)
        if owner is not None and owner not in living:
            with contextlib.suppress(psycopg.Error):  # another one may sweep too
                drop_role(link, role)
