"""Prove that a server is ready in the only way that counts: log in. Used for containers, whose logs promise too early."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.errors import DriverMissing, ServerError
from harness.servers.urls import SCHEMES, redact, scrub

_GRAIN = 0.2  # seconds between two attempts


def wait_for_login(
    url: str,
    what: str,
    *,
    seconds: float = 120,
    before: Callable[[str], None] = lambda url: None,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Do ``before`` (which logs in as well: make the database, say) and log in, again and again until both work.

    Raises DriverMissing at once, ServerError (without the password) after ``seconds``, or when ``alive`` says that
    the server has ended.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            before(url)
            return log_in(url)
        except DriverMissing:
            raise
        except Exception as problem:  # noqa: BLE001 - a driver's own classes, each for each
            reason = scrub(" ".join(str(problem).split()), url)
        if not alive():
            raise ServerError(f"{what} ended before anybody could log in ({reason})")
        if time.monotonic() > deadline:
            raise ServerError(f"{what} at {redact(url)} let nobody log in for {seconds:.0f} s ({reason})")
        time.sleep(_GRAIN)


def log_in(url: str) -> None:
    """Log in once and leave. Raises DriverMissing, or whatever the driver raises."""
    _LOGINS[SCHEMES[urlsplit(url).scheme]](url)


def _postgresql(url: str) -> None:
    import psycopg

    psycopg.connect(url, connect_timeout=5).close()


def _mongodb(url: str) -> None:
    import pymongo

    with pymongo.MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=3000) as client:
        client.admin.command("listDatabases", 1, nameOnly=True)  # a ping needs no login


def redis_login(url: str) -> None:
    """Log in to Redis or Valkey once. Raises redis.RedisError at once: by itself, the driver tries again for seconds."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5, retry=once) as client:
        client.ping()


def _sqlserver(url: str) -> None:
    sqlserver(url, "master", "SELECT 1")


def sqlserver(url: str, database: str, statement: str) -> None:
    """Run one statement on SQL Server, outside any transaction. Raises DriverMissing, pyodbc.Error."""
    pyodbc, driver = odbc()
    parts = urlsplit(url)
    password = unquote(parts.password or "").replace("}", "}}")
    words = [
        f"DRIVER={{{driver}}}",
        f"SERVER={parts.hostname},{parts.port or 1433};DATABASE={database}",
        f"UID={unquote(parts.username or '')};PWD={{{password}}};Encrypt=yes;TrustServerCertificate=yes",
    ]
    connection = pyodbc.connect(";".join(words), autocommit=True, timeout=5)
    try:
        connection.execute(statement)
    finally:
        connection.close()


def odbc() -> tuple[Any, str]:
    """The module pyodbc and the name of Microsoft's driver. Raises DriverMissing."""
    try:
        import pyodbc
    except ImportError as problem:  # the wheel is there, unixODBC is not
        raise DriverMissing(
            f"pyodbc cannot be loaded ({problem}); install unixODBC (Debian: apt install unixodbc)"
        ) from problem
    return pyodbc, _odbc_driver(pyodbc.drivers())


def _odbc_driver(registered: list[str]) -> str:
    """Microsoft's driver: as the user says, as the system knows it, or out of its wheel. Raises DriverMissing."""
    if chosen := os.environ.get("PROMPTSALES_ODBC_DRIVER"):
        return chosen
    names = sorted(name for name in registered if name.startswith("ODBC Driver ") and "SQL Server" in name)
    if names:
        return names[-1]
    spec = importlib.util.find_spec("mssql_python_odbc")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for library in sorted(Path(folder).rglob("libmsodbcsql*")):
            return str(library)
    raise DriverMissing("no ODBC driver for SQL Server: install msodbcsql18, or pip install mssql-python-odbc")


_LOGINS = {"postgresql": _postgresql, "mongodb": _mongodb, "redis": redis_login, "sqlserver": _sqlserver}
