"""A user's connection to SQL Server under gevent: pyodbc, whose calls block, in threads beside the loop.

A call of pyodbc waits in C, where no greenlet can take over: in the loop's own thread it would hold up every user of the
process. So each call goes to gevent's thread pool (https://www.gevent.org/api/gevent.threadpool.html), as large as there
are users, and pyodbc lets the others run meanwhile (it gives Python's lock away while ODBC waits). A connection is
used by one thread at a time: its user waits for each answer.

Nothing here was run against a SQL Server: its tests have a driver that blocks as pyodbc does. Errors and log-in are those of
:mod:`harness.engines.sqlserver`. Table-valued parameters: https://github.com/mkleehammer/pyodbc/wiki/Working-with-Table-Valued-Parameters-(TVP)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import gevent
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from harness.engines.sqlserver.driver import connect, odbc
from harness.engines.sqlserver.faults import error_record
from harness.load.policy import Refused

T = TypeVar("T")
Row = tuple[Any, ...]

_SPARE = 10  # threads for all else that gevent has them for: names of hosts, files
_UNDO = "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"


class SQLServerClient:
    """One connection, for one greenlet at a time. ``name`` is shown in the server's session list.

    Every method raises :class:`Refused` for what the server says, and if it is gone; connecting also DriverMissing,
    LoginRefused, ServerError.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._pool = _pool(+1)
        self._open = True
        self._pending: AsyncResult[Any] | None = None
        self._running: Any = None  # the cursor of the call that is waited for
        try:
            self._connect()
        except BaseException:
            self._leave_pool()
            raise

    def _connect(self) -> None:
        self._cursors: dict[str, Any] = {}
        self._lost = False
        self._connection = self._in_thread(connect, self._url, self._name)

    def query(self, sql: str, *values: Any) -> list[Row]:
        """Run one statement, its ``?`` bound to ``values``; gives the rows of its first result, none if it has none."""
        rows, _ = self._in_thread(self._run, sql, values)
        return rows

    def execute(self, sql: str, *values: Any) -> int:
        """Run one statement; gives how many rows it changed."""
        _, changed = self._in_thread(self._run, sql, values)
        return changed

    def transaction(self, work: Callable[[SQLServerClient], T], level: str = "") -> T:
        """Run ``work`` in one transaction, at an isolation level or the session's; a refusal undoes all of it.

        ``level`` is one of :data:`harness.vocabulary.LEVELS`. "read committed snapshot" is the database's own option.
        """
        before = f"SET TRANSACTION ISOLATION LEVEL {_LEVELS[level]}; " if level else ""
        self.execute(f"{before}BEGIN TRANSACTION")
        try:
            made = work(self)
            self.execute("COMMIT TRANSACTION")
        except BaseException:
            with contextlib.suppress(Refused):
                self._undo()
            raise
        return made

    def reset(self) -> None:
        """No transaction is open any more; a lost connection is made anew."""
        if not self._lost:
            with contextlib.suppress(Refused):
                self._undo()
        if self._lost:
            self._discard()
            self._connect()

    def close(self) -> None:
        """Disconnect; the server rolls back. Never raises; does not wait for a call that is still running."""
        if self._open:
            self._open = False
            self._discard()
            self._leave_pool()

    # -- in the loop's thread

    def _in_thread(self, work: Callable[..., T], *values: Any) -> T:
        """What ``work`` gives in a thread of the pool; other greenlets go on meanwhile. Raises Refused."""
        if self._pending is not None and not self._pending.ready():
            self._wait_for_last()
        pending = self._pending = self._pool.spawn(work, *values)
        try:
            made = cast(T, pending.get())
        except odbc().Error as error:
            record = error_record(error)
            self._lost = record.kind.name == "connection"
            raise Refused(record) from None
        except gevent.GreenletExit:
            # The user is ended while its call runs on: have the server stop it, so that the thread comes back.
            self._cancel()
            raise
        return made

    def _wait_for_last(self) -> None:
        assert self._pending is not None
        self._cancel()
        with contextlib.suppress(odbc().Error):
            self._pending.get()

    def _cancel(self) -> None:
        """Ask the server to stop what runs; SQLCancel may come from any thread."""
        if (running := self._running) is not None:
            with contextlib.suppress(Exception):
                running.cancel()

    def _undo(self) -> None:
        self._in_thread(self._run, _UNDO, ())

    def _discard(self) -> None:
        """Close the connection in a thread, after the call that may still run there. Never raises."""
        connection, pending = self.__dict__.pop("_connection", None), self._pending
        if connection is None:
            return

        def put_away() -> None:
            with contextlib.suppress(Exception):
                connection.close()

        if pending is not None and not pending.ready():
            self._cancel()
            pending.rawlink(lambda _: self._pool.spawn(put_away))
        else:
            self._pool.spawn(put_away)

    def _leave_pool(self) -> None:
        _pool(-1)

    # -- in a thread of the pool

    def _run(self, sql: str, values: tuple[Any, ...]) -> tuple[list[Row], int]:
        """The rows of the first result that has some, and how many rows were changed. All results are read to their end."""
        cursor = self._cursors.get(sql)
        if cursor is None:  # a cursor for each statement: pyodbc then prepares it once
            cursor = self._cursors[sql] = self._connection.cursor()
        self._running = cursor
        try:
            cursor.execute(sql, *values)
            rows: list[Row] | None = None
            changed = 0
            while True:
                if cursor.description and rows is None:
                    rows = [tuple(row) for row in cursor.fetchall()]
                elif not cursor.description:
                    changed += max(cursor.rowcount, 0)
                if not cursor.nextset():
                    return rows or [], changed
        finally:
            self._running = None


_users = 0


def _pool(more: int) -> ThreadPool:
    """gevent's threads, as many as there are users of SQL Server in this process and a few more."""
    global _users
    _users += more
    pool: ThreadPool = gevent.get_hub().threadpool
    if pool.maxsize < _users + _SPARE:
        pool.maxsize = _users + _SPARE
    return pool


_LEVELS = {
    "read uncommitted": "READ UNCOMMITTED",
    "read committed": "READ COMMITTED",
    "read committed snapshot": "READ COMMITTED",
    "repeatable read": "REPEATABLE READ",
    "snapshot": "SNAPSHOT",
    "serializable": "SERIALIZABLE",
}
