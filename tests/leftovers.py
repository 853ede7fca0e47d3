"""What a process of the tests has on the PostgreSQL server of the run."""

from __future__ import annotations

from typing import Any

import psycopg

from harness.suite import Suite

Server = psycopg.Connection[tuple[Any, ...]]


def own(suite: Suite) -> str:
    """How the names of the databases begin that this process makes (another worker of pytest-xdist makes its own)."""
    settings = suite.settings
    return f"psh_{settings.run_id}_{settings.worker}{'x' if settings.worker else ''}"


def sessions(server: Server, suite: Suite) -> set[int]:
    """The pids of who is connected to a database of this process; who watches may be."""
    ask = "SELECT pid FROM pg_stat_activity WHERE starts_with(datname, %s) AND application_name NOT LIKE '%%/observer'"
    return {row[0] for row in server.execute(ask, (own(suite),))}


def databases(server: Server, beginning: str) -> list[str]:
    """The databases whose names begin so, in order."""
    ask = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1"
    return [row[0] for row in server.execute(ask, (beginning,))]
