"""A few connections to PromptSales for what asks about sessions: bounded in number and time, whole after a restart."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from harness.errors import SourceError
from harness.servers.cutting import cut_after

Connection = psycopg.Connection[Any]
T = TypeVar("T")

AWAY = "the sessions cannot be asked about now: PromptSales does not answer, try again later"


class Sessions:
    """At most ``most`` connections to ``url``, each call at most ``seconds`` long. Safe to use from several threads."""

    def __init__(self, url: str, *, most: int = 4, seconds: float = 5.0, name: str = "psh:sso") -> None:
        self._url = url
        self._seconds = seconds
        self._name = name
        self._free: list[Connection] = []
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(most)
        self._closed = False

    def run(self, work: Callable[[Connection], T], *, seconds: float | None = None) -> T:
        """What ``work`` gives for a connection in autocommit mode. Raises SourceError: away, too slow, or too many at once.

        Nothing is tried a second time: a token that is refreshed twice would end its session.
        """
        limit = self._seconds if seconds is None else seconds
        if not self._slots.acquire(timeout=self._seconds):
            raise SourceError("the sessions cannot be asked about now: too many ask at once, try again later")
        try:
            connection = self._take()
            try:
                with cut_after(connection, limit):
                    result = work(connection)
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)
        except psycopg.Error:
            raise SourceError(AWAY) from None
        else:
            return result
        finally:
            self._slots.release()

    def close(self) -> None:
        """Let go of the connections. May be called twice."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for connection in free:
            connection.close()

    def _take(self) -> Connection:
        while True:
            with self._lock:
                if self._closed:
                    raise SourceError(AWAY)
                connection = self._free.pop() if self._free else None
            if connection is None:
                return psycopg.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=max(2, int(self._seconds)),
                    application_name=self._name,
                    options="-c statement_timeout=5s -c lock_timeout=5s -c idle_in_transaction_session_timeout=10s",
                )
            if _stands(connection):
                return connection
            connection.close()

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            if not self._closed and not connection.closed:
                self._free.append(connection)
                return
        connection.close()


def _stands(connection: Connection) -> bool:
    """Whether nobody has closed it meanwhile: a server says nothing to who asks nothing, but that it ends."""
    try:
        return not connection.closed and not select.select([connection.pgconn.socket], [], [], 0)[0]
    except (psycopg.Error, OSError, ValueError):
        return False
