"""The databases as what is compared: sorted rows that come one by one, however many there are."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from harness.errors import DataError, HarnessError, LoginRefused, ServerError
from harness.servers.urls import redact, scrub

Row = tuple[Any, ...]
Find = Callable[[Any], Iterable[Row]]
"""Rows of a database that is not asked in SQL, given pymongo's Database or redis-py's client."""

_NUMBERS = count(1)
_FETCHED = 5_000  # rows that are on their way at once
_MONTH_NO = re.compile(r"MONTH_NO\(([\w.]+)\)")
_MONTH_NOS = {
    "postgresql": r"CAST(EXTRACT(YEAR FROM \1) * 12 + EXTRACT(MONTH FROM \1) - 1 AS int)",
    "sqlserver": r"(YEAR(\1) * 12 + MONTH(\1) - 1)",
}


@dataclass(frozen=True, slots=True)
class Side:
    """Rows of one database. SQL serves both SQL engines; in it, ``MONTH_NO(x)`` is a date's year * 12 + month - 1."""

    logical: str
    sql: str = ""
    find: Find | None = None


class Sources:
    """Connections to the databases, opened when first needed; each database is seen as of one moment where it can be."""

    def __init__(self, places: Mapping[str, tuple[str, str]]) -> None:
        """``places``: engine and URL of each logical database."""
        self._places = places
        self._clients: dict[str, Any] = {}
        self._refused: dict[str, HarnessError] = {}
        self._closing = contextlib.ExitStack()

    def engine(self, logical: str) -> str:
        """The engine of a database."""
        return self._places[logical][0]

    def client(self, logical: str) -> Any:
        """psycopg's connection, pymongo's Database or redis-py's client. Raises ServerError, LoginRefused, each time."""
        if logical in self._refused:
            raise self._refused[logical].with_traceback(None)
        if logical not in self._clients:
            engine, url = self._places[logical]
            try:
                self._clients[logical] = _OPEN[engine](logical, url, self._closing)
            except HarnessError as problem:
                self._refused[logical] = problem
                raise
        return self._clients[logical]

    def rows(self, side: Side) -> Iterator[Row]:
        """The rows of a side, as they come. Raises DataError if they cannot be had."""
        engine, url = self._places[side.logical]
        client = self.client(side.logical)
        try:
            if side.find is not None:
                yield from side.find(client)
            elif engine == "postgresql":
                yield from _postgresql_rows(client, _sql(side.sql, engine))
            else:
                yield from _sqlserver_rows(url, _sql(side.sql, engine))
        except HarnessError:
            raise
        except Exception as problem:  # noqa: BLE001 - each driver's own classes
            if engine == "postgresql":  # the transaction is over
                self._clients.pop(side.logical, None)
            raise DataError(f"{side.logical}: {scrub(' '.join(str(problem).split()), url)[:300]}") from None

    def close(self) -> None:
        """Disconnect; never raises."""
        with contextlib.suppress(Exception):
            self._closing.close()


def _sql(text: str, engine: str) -> str:
    return _MONTH_NO.sub(_MONTH_NOS[engine], text)


def _postgresql(logical: str, url: str, closing: contextlib.ExitStack) -> Any:
    import psycopg

    try:
        connection = psycopg.connect(url, application_name="promptsales coherence", connect_timeout=10)
    except psycopg.Error as problem:
        raise _unreachable(logical, url, problem) from None
    closing.callback(connection.close)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    # A cursor is read to its end here, and is to be planned for that; the server plans for a tenth otherwise.
    connection.execute("SET cursor_tuple_fraction = 1")
    return connection


def _postgresql_rows(connection: Any, sql: str) -> Iterator[Row]:
    with connection.cursor(f"coherence_{next(_NUMBERS)}", binary=True) as cursor:
        cursor.itersize = _FETCHED
        cursor.execute(sql)
        yield from cursor


def _sqlserver(logical: str, url: str, closing: contextlib.ExitStack) -> Any:
    from harness.engines.sqlserver.driver import connect

    connection = connect(url, "promptsales coherence")
    closing.callback(connection.close)
    return connection


def _sqlserver_rows(url: str, sql: str) -> Iterator[Row]:
    """A connection for each query: without MARS one has one result at a time."""
    from harness.engines.sqlserver.driver import connect

    connection = connect(url, "promptsales coherence")
    try:
        cursor = connection.execute(sql)
        while rows := cursor.fetchmany(_FETCHED):
            yield from (tuple(row) for row in rows)
    finally:
        connection.close()


def _mongodb(logical: str, url: str, closing: contextlib.ExitStack) -> Any:
    from harness.engines.mongodb_wire import connect

    client = connect(url, "promptsales coherence", patient=True)
    closing.callback(client.close)
    return client.get_default_database(logical)


def _redis(logical: str, url: str, closing: contextlib.ExitStack) -> Any:
    import redis

    client = redis.Redis.from_url(url, decode_responses=True, socket_connect_timeout=10)
    closing.callback(client.close)
    try:
        client.ping()
    except redis.RedisError as problem:
        raise _unreachable(logical, url, problem) from None
    return client


def _unreachable(logical: str, url: str, problem: Exception) -> HarnessError:
    text = scrub(" ".join(str(problem).split()), url)[:300]
    refused = "authentication" in text.lower() or "WRONGPASS" in text or "NOAUTH" in text
    return (LoginRefused if refused else ServerError)(f"{logical} at {redact(url)} cannot be reached: {text}")


_OPEN: Mapping[str, Callable[[str, str, contextlib.ExitStack], Any]] = {
    "postgresql": _postgresql,
    "sqlserver": _sqlserver,
    "mongodb": _mongodb,
    "redis": _redis,
}
