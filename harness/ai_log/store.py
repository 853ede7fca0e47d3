"""Adds calls to the AI log of PromptSales: one call, one committed entry."""

from __future__ import annotations

import logging
import selectors
import threading
import time
from typing import Any

import psycopg
from psycopg import errors as answers

from harness.ai_log.model import CANNOT, Call, written
from harness.errors import SourceError
from harness.servers.base import Target
from harness.servers.cutting import cut_after

NAME = "psh:ai-log"
"""What its connections are called on the server."""

CONNECTIONS = 4
SECONDS = 10.0
"""That an append may take, waiting for others included."""

GRACE = 1.0
"""Seconds more that the server has to say that they are over: then it is sure that nothing was written."""

_APPEND = "SELECT ai_log_append(%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s::numeric, %s, %s)"
Connection = psycopg.Connection[Any]

_log = logging.getLogger(__name__)


class AiLog:
    """The log in the PromptSales of ``target``, a login that may call ``ai_log_append``. Connects when it is first used.

    Safe to use from several threads.
    """

    def __init__(self, target: Target, *, seconds: float = SECONDS) -> None:
        self._url = target.url
        self._seconds = seconds
        self._turns = threading.BoundedSemaphore(CONNECTIONS)
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    def append(self, call: Call) -> int:
        """Add an entry and give its number; it is committed. Raises SourceError: whether it was written cannot be told."""
        values = written(call)
        deadline = time.monotonic() + self._seconds
        if not self._turns.acquire(timeout=self._seconds):
            raise SourceError("the AI log is busy: try again later")
        try:
            try:
                return self._append(values, deadline)
            except (psycopg.DataError, answers.CheckViolation):  # nobody thought of that: better little than nothing
                return self._append((*values[:8], CANNOT, *values[9:]), deadline)
        except psycopg.Error as error:
            # For whoever runs the server: class and code only.
            _log.warning("the AI log: %s (%s)", type(error).__name__, error.sqlstate or "no code")
            if isinstance(error, answers.LockNotAvailable | answers.QueryCanceled):
                raise SourceError("the AI log is busy: try again later") from None
            if isinstance(error, answers.UndefinedFunction | answers.InsufficientPrivilege):
                raise SourceError("the AI log cannot be written: ask whoever runs this server") from None
            raise SourceError("the AI log does not answer: try again later") from None
        finally:
            self._turns.release()

    def close(self) -> None:
        """Let go of the connections. May be called twice."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _append(self, values: tuple[Any, ...], deadline: float) -> int:
        connection = self._taken(deadline)
        try:
            with cut_after(connection, max(0.0, deadline - time.monotonic()) + GRACE):
                row = connection.execute(_APPEND, values).fetchone()
            assert row is not None
            return int(row[0])
        finally:
            with self._lock:
                kept = not (self._closed or connection.closed)
                if kept:
                    self._idle.append(connection)
            if not kept:
                connection.close()

    def _taken(self, deadline: float) -> Connection:
        """One that waits, if the server has not ended it meanwhile, or a new one."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._new(deadline)
            if not _spoken_to(connection):
                return connection
            connection.close()

    def _new(self, deadline: float) -> Connection:
        wait = max(2, int(deadline - time.monotonic()))
        connection: Connection = psycopg.connect(
            self._url, autocommit=True, application_name=NAME, connect_timeout=wait
        )
        try:
            with cut_after(connection, wait):  # the URL may have options of its own: they stay
                connection.execute(f"SET statement_timeout = {int(self._seconds * 1000)}")
                connection.execute("SET synchronous_commit = on")  # an entry whose number is given outlives a crash
        except psycopg.Error:
            connection.close()
            raise
        return connection


def _spoken_to(connection: Connection) -> bool:
    """Whether the server has said something to a connection that asked nothing: that it ends it."""
    if connection.closed:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))
