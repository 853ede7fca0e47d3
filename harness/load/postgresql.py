"""A user's connection to PostgreSQL under gevent: libpq's asynchronous calls, waited for by gevent's own loop.

psycopg itself works under gevent too, but waits by a selector that it makes anew for each answer, and finds types, cursors
and rows anew for each call (docs/load.md has the numbers). Here a statement is prepared when it is first used, its values go
as text for the server to read, and the hub watches the socket.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import gevent
import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from harness.answers import ErrorKind, ErrorRecord
from harness.engines.postgresql_server import error_record
from harness.load.policy import Refused

T = TypeVar("T")
Row = tuple[Any, ...]

_READ, _WRITE = 1, 2  # libev's
_FAILED = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE})
_COPY = frozenset({ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH})
_CONNECT_SECONDS = 10


class PostgreSQLClient:
    """One connection, for one greenlet at a time. ``name`` is shown in the server's session list.

    Every method raises :class:`Refused` for what the server says, and if it is gone.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._connect()

    def _connect(self) -> None:
        try:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                application_name=self._name[:63],
                connect_timeout=_CONNECT_SECONDS,
                client_encoding="utf8",
            )
        except psycopg.Error as error:
            raise Refused(error_record(error)) from None
        with contextlib.suppress(psycopg.Error):  # before 14, and not on every system
            # If we are killed, a statement that waits or sleeps shall end too: by itself it would never look.
            self._connection.execute("SET client_connection_check_interval = '500ms'")
        self._pgconn = self._connection.pgconn
        self._pgconn.nonblocking = 1
        self._values = Transformer(self._connection)
        self._prepared: dict[str, bytes] = {}
        self._hub = gevent.get_hub()
        self._readable = self._hub.loop.io(self._pgconn.socket, _READ)

    @property
    def pid(self) -> int:
        """The server's id of this session."""
        return self._connection.info.backend_pid

    def query(self, sql: str, *values: Any) -> list[Row]:
        """Run one statement, its ``$1``, ``$2``, … bound to ``values``; gives its rows, none if it has none.

        The server says what type a parameter is; write ``$1::int`` where it cannot tell.
        """
        result = self._run(sql, values)
        if not result.nfields:
            return []
        self._values.set_pgresult(result)
        try:
            return self._values.load_rows(0, result.ntuples, tuple)
        except psycopg.DataError as error:  # a value that Python has no type for: 'infinity'::date
            raise Refused(ErrorRecord(ErrorKind.other, "harness", " ".join(str(error).split()))) from None

    def execute(self, sql: str, *values: Any) -> int:
        """Run one statement; gives how many rows it changed."""
        return self._run(sql, values).command_tuples or 0

    def transaction(self, work: Callable[[PostgreSQLClient], T], level: str = "") -> T:
        """Run ``work`` in one transaction, at an isolation level or the server's default; a refusal undoes all of it.

        ``level`` is one of :data:`harness.vocabulary.LEVELS`.
        """
        self._run(f"BEGIN ISOLATION LEVEL {_LEVELS[level]}" if level else "BEGIN", ())
        try:
            made = work(self)
            self._run("COMMIT", ())
        except BaseException:
            self._undo()
            raise
        return made

    def reset(self) -> None:
        """No transaction is open any more; a lost connection is made anew."""
        if self._pgconn.status == ConnStatus.OK:
            self._undo()
        if self._pgconn.status != ConnStatus.OK:
            self.close()
            self._connect()

    def close(self) -> None:
        """Disconnect; the server rolls back."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._readable.close()
            self._connection.close()

    def _undo(self) -> None:
        """Roll back what is open. A connection that is in the middle of something cannot be gone on with."""
        status = self._pgconn.transaction_status
        if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with contextlib.suppress(Refused):
                self._run("ROLLBACK", ())
        elif status == TransactionStatus.ACTIVE:
            self._pgconn.finish()

    def _run(self, sql: str, values: Sequence[Any]) -> PGresult:
        pgconn = self._pgconn
        try:
            name = self._prepared.get(sql)
            if name is None:
                name = self._prepare(sql)
            pgconn.send_query_prepared(name, self._texts(values))
            return self._answer()
        except psycopg.Error as error:  # libpq's own word: the connection is gone, most of the time
            raise Refused(error_record(error)) from None

    def _prepare(self, sql: str) -> bytes:
        name = b"load%d" % len(self._prepared)
        self._pgconn.send_prepare(name, sql.encode())
        self._answer()
        self._prepared[sql] = name
        return name

    def _texts(self, values: Sequence[Any]) -> list[bytes | None]:
        texts = []
        for value in values:
            dump = _DUMPS.get(type(value))
            texts.append(dump(value) if dump else self._other(value))
        return texts

    def _other(self, value: Any) -> Any:
        """As psycopg writes it: arrays, ranges, JSON, …"""
        return self._values.dump_sequence([value], [PyFormat.TEXT])[0]

    def _answer(self) -> PGresult:
        """Wait for the answer, and let others go on meanwhile. Raises Refused, psycopg.Error."""
        pgconn, wait, readable = self._pgconn, self._hub.wait, self._readable
        if pgconn.flush():
            self._send_rest()
        wait(readable)
        pgconn.consume_input()
        while pgconn.is_busy():
            wait(readable)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            raise psycopg.OperationalError("the server gave no answer")
        while (more := pgconn.get_result()) is not None:
            if more.status in _COPY:
                break
            result = more
        if result.status in _FAILED:
            error = psycopg.errors.error_from_result(result, "utf-8")
            raise Refused(error_record(error))
        if result.status in _COPY:
            pgconn.finish()
            raise psycopg.NotSupportedError("COPY is nothing that a user of the load can do")
        return result

    def _send_rest(self) -> None:
        """A statement larger than the socket takes at once."""
        both = self._hub.loop.io(self._pgconn.socket, _READ | _WRITE)
        try:
            while self._pgconn.flush():
                self._hub.wait(both)
                self._pgconn.consume_input()
        finally:
            both.close()


def _text(value: Any) -> bytes:
    return str(value).encode()


def _bytea(value: bytes) -> bytes:
    return b"\\x" + value.hex().encode()


_DUMPS: dict[type, Callable[[Any], bytes | None]] = {
    int: b"%d".__mod__,
    str: str.encode,
    float: lambda value: repr(value).encode(),
    Decimal: _text,
    bool: lambda value: b"t" if value else b"f",
    type(None): lambda value: None,
    date: _text,
    datetime: _text,
    bytes: _bytea,
}
"""The quick ways; PostgreSQL reads these texts whatever the parameter's type is."""

_LEVELS = {
    "read committed": "READ COMMITTED",
    "repeatable read": "REPEATABLE READ",
    "serializable": "SERIALIZABLE",
}
