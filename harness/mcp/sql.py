"""Reading from a SQL database for the tools: PostgreSQL or SQL Server, bounded in every way, and failing in one line.

A connection per call: nothing of one caller's is left for the next, a server that was started anew is simply there again,
and a login costs a few milliseconds. What goes wrong is a SourceError that names neither host, login nor statement.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import threading
from concurrent import futures
from typing import Any

import psycopg
from psycopg.rows import dict_row

from harness.engines.sqlserver.driver import connect as connect_tds
from harness.engines.sqlserver.driver import odbc
from harness.engines.sqlserver.faults import diagnostics
from harness.errors import DriverMissing, LoginRefused, ServerError, SourceError
from harness.promptsales.queries import Query
from harness.servers.base import Target
from harness.servers.cutting import cut, cut_after

MOST_BYTES = 4_000_000
"""How much text and bytes an answer may have: some rows of a table are a few kilobytes, so this is a mistake."""

PROGRAM = "promptsales-mcp"
_GRACE = 2.0
"""Seconds after a statement's time-out in which the server should have said so."""

_log = logging.getLogger(__name__)

# By SQLSTATE, its class, or SQL Server's number: https://www.postgresql.org/docs/current/errcodes-appendix.html;
# https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors
_SLOW = {"57014", "HYT00", "HY008"}
_BUSY = {"55P03", "53300", "53400", "40001", "40P01", "25P03", 1222, 1205, 3960, 10928, 10929, 17809}
_LOGIN = {"28P01", "28000", "3D000", 18456, 18452, 4060, 18470, 18487, 18488, 18486}
_AWAY = {"57P01", "57P02", "57P03", "57P05", "08S01", "08001", "HYT01", 596, 10053, 10054, 6005}


class SqlSource:
    """A SQL database to read from; connects when first asked. Safe to use from many threads.

    ``seconds``: how long a statement may take; ``sessions``: how many at once. A call ends after a few times
    ``seconds`` in any case, also if the server is stopped in the middle of it.
    """

    def __init__(self, target: Target, *, seconds: float = 5, sessions: int = 8) -> None:
        if target.engine not in ("postgresql", "sqlserver"):
            raise ValueError(f"{target.label} is no SQL database")
        self.logical = target.logical
        self.engine = target.engine
        self._url = target.url
        self._seconds = seconds
        self._free = threading.BoundedSemaphore(sessions)
        self._lock = threading.Lock()
        self._live: set[psycopg.Connection[dict[str, Any]]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<SqlSource {self.logical} on {self.engine}>"

    def rows(self, query: Query, most: int, /, **values: Any) -> list[dict[str, Any]]:
        """The first rows, ``most`` of them, each as a mapping of column to value, read in one read-only transaction.

        Raises SourceError (away, too slow, busy, refused, too large), and DataError if the query takes other parameters.
        """
        sql, bound = query.bind(values)
        self._begin()
        rows = self._postgresql(sql, bound, most) if self.engine == "postgresql" else self._patiently(sql, bound, most)
        if sum(len(value) for row in rows for value in row.values() if isinstance(value, str | bytes)) > MOST_BYTES:
            raise SourceError(f"{self.logical}: the answer is too large: ask for less")
        return rows

    def row(self, query: Query, /, **values: Any) -> dict[str, Any] | None:
        """The first row, or None. Raises as :meth:`rows` does."""
        return next(iter(self.rows(query, 1, **values)), None)

    def close(self) -> None:
        """Let go of everything: whoever still reads gets SourceError. May be called twice."""
        with self._lock:
            self._closed = True
            for link in self._live:
                cut(link)

    def _begin(self) -> None:
        """Take one of the sessions; whoever reads gives it back."""
        if self._closed:
            raise SourceError(f"{self.logical} is not asked any more: this server is ending")
        if not self._free.acquire(timeout=self._seconds):
            raise self._error("busy", "all sessions are in use")

    # -- PostgreSQL

    def _postgresql(self, sql: str, values: Any, most: int) -> list[dict[str, Any]]:
        link: psycopg.Connection[dict[str, Any]] | None = None
        try:
            link = psycopg.connect(
                self._url,
                row_factory=dict_row,
                connect_timeout=max(2, min(5, math.ceil(self._seconds))),
                application_name=PROGRAM,
                options=_options(self._seconds),
            )
            with self._lock:
                self._live.add(link)
                if self._closed:
                    cut(link)
            with cut_after(link, self._seconds + _GRACE):
                # A cursor of the server: it sends no more rows than are fetched.
                with link.cursor("tool") as cursor:
                    cursor.execute(sql, values)
                    found: list[dict[str, Any]] = cursor.fetchmany(most)
                link.rollback()
        except psycopg.Error as error:
            state = error.sqlstate or (_refusal(str(error)) if link is None else None)
            away = link is None or link.closed or isinstance(error, psycopg.InterfaceError)
            raise self._said({state} if state else set(), away=away, name=type(error).__name__) from None
        else:
            return found
        finally:
            if link is not None:
                with self._lock, contextlib.suppress(psycopg.Error):
                    self._live.discard(link)
                    link.close()
            self._free.release()

    # -- SQL Server

    def _patiently(self, sql: str, values: Any, most: int) -> list[dict[str, Any]]:
        """In a thread of its own, which is left behind if the server is stopped: the driver then waits for ever.

        It keeps its session until the driver gives up or the server goes on, so no more of them are left than there are
        sessions.
        """
        answer: futures.Future[list[dict[str, Any]]] = futures.Future()

        def work() -> None:
            try:
                answer.set_result(self._sqlserver(sql, values, most))
            except BaseException as error:  # noqa: BLE001 - raised by who waits
                answer.set_exception(error)
            finally:
                self._free.release()

        threading.Thread(target=work, daemon=True, name=f"{self.logical}-read").start()
        try:
            return answer.result(2 * self._seconds + _GRACE)
        except futures.TimeoutError:
            raise self._error("away", "no answer at all") from None

    def _sqlserver(self, sql: str, values: Any, most: int) -> list[dict[str, Any]]:
        """The statement's time-out is the driver's, and what it waits for a lock the server's.

        Pages below https://learn.microsoft.com/sql/: t-sql/statements/set-lock-timeout-transact-sql;
        odbc/reference/syntax/sqlsetstmtattr-function (SQL_ATTR_QUERY_TIMEOUT); https://github.com/mkleehammer/pyodbc/wiki/Connection.
        There is no read-only transaction: that nothing is written is the login's rights, and it is rolled back.
        """
        try:
            link: Any = connect_tds(self._url, PROGRAM)
        except DriverMissing:
            raise SourceError(
                f"{self.logical} cannot be reached from here: whoever runs this server should see what 'harness doctor' says"
            ) from None
        except LoginRefused:
            raise self._error("login", "refused") from None
        except ServerError:
            raise self._error("away", "not reached") from None
        try:
            link.autocommit = False
            link.timeout = max(1, math.ceil(self._seconds))
            cursor = link.cursor()
            cursor.execute(f"SET NOCOUNT ON; SET LOCK_TIMEOUT {int(self._seconds * 500)}")
            cursor.execute(sql, values)
            names = [column[0] for column in cursor.description or ()]
            found = [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(most)] if names else []
            link.rollback()
        except odbc().Error as error:
            records = diagnostics(error)
            codes: set[str | int] = {one.state for one in records} | {one.number for one in records}
            if any("lock timeout" in one.text for one in records):  # a Babelfish has no number for it
                codes.add(1222)
            raise self._said(codes, away=False, name=type(error).__name__) from None
        else:
            return found
        finally:
            with contextlib.suppress(Exception):  # the driver's own classes; it is over in any case
                link.close()

    # -- what went wrong

    def _said(self, codes: set[Any], *, away: bool, name: str) -> SourceError:
        for kind, known in (("login", _LOGIN), ("busy", _BUSY), ("slow", _SLOW), ("away", _AWAY)):
            if not codes.isdisjoint(known):
                return self._error(kind, f"{name} {codes}")
        return self._error("away" if away else "refused", f"{name} {codes}")

    def _error(self, kind: str, detail: str) -> SourceError:
        """``detail`` is for whoever runs the server: class and code only."""
        _log.warning("%s: %s (%s)", self.logical, kind, detail)
        return SourceError(f"{self.logical} {_TEXTS[kind].format(seconds=self._seconds)}")


_TEXTS = {
    "away": "does not answer: try again later",
    "slow": "took longer than {seconds:g} s: ask for less, or try again later",
    "busy": "is busy: try again later",
    "login": "does not let this server in: whoever runs it should look at its login",
    "refused": "refuses this question: whoever runs this server should look at its log and at its login's rights",
}

# What a server says to somebody who comes to its door; libpq passes on no code there, only the text.
_AT_THE_DOOR = {
    "28P01": re.compile(
        r"password|authentication failed|pg_hba|not permitted to log in|permission denied for database"
    ),
    "3D000": re.compile(r"FATAL: .* does not exist"),
    "53300": re.compile(r"too many (?:connections|clients)|connection slots"),
}


def _refusal(text: str) -> str | None:
    return next((state for state, form in _AT_THE_DOOR.items() if form.search(text)), None)


def _options(seconds: float) -> str:
    """What a session of PostgreSQL is told of time, and that it only reads."""
    whole = int(seconds * 1000)
    return (
        f"-c default_transaction_read_only=on -c statement_timeout={whole} -c lock_timeout={max(1, whole // 2)} "
        f"-c idle_in_transaction_session_timeout={2 * whole + 1000} -c cursor_tuple_fraction=1"
    )
