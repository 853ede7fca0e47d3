"""What PromptSales knows of the ETL: its rounds, how far each source has come, what is in quarantine. Read with psycopg.

The few things that a launcher may change there are what the ETL's own functions offer: end a run as failed, forget a source.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import errors as answers

from harness.errors import DataError, EtlError, LoginRefused, ServerError
from harness.etl.model import PERIOD, SOURCES, Round, SourceRun, SourceState
from harness.servers.urls import redact, scrub

NAME = "psh:etl"
"""What our own connections are called on the server; those of a round are called ``promptsales-etl 7``."""

KEYS = 5
"""Keys that are told of each reason."""

_MISSING = (answers.UndefinedTable, answers.UndefinedFunction, answers.UndefinedColumn, answers.InvalidSchemaName)
_RUNS = """
SELECT round, source, status, started_at, finished_at, window_from, window_to,
       rows_read, rows_inserted, rows_updated, rows_deleted, rows_quarantined, message
FROM etl_run WHERE round IN (
    SELECT DISTINCT round FROM etl_run WHERE round > %(after)s AND round <= coalesce(%(upto)s, round)
    ORDER BY round DESC LIMIT %(last)s
)
ORDER BY round, id
"""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Open rows of one source that could not be merged for one reason; the first few keys of them."""

    source: str
    reason: str
    count: int
    keys: tuple[str, ...]


class Log:
    """One connection to PromptSales. Every method raises ServerError if it is not there (any more), EtlError if it has no
    tables of the ETL."""

    def __init__(self, connection: psycopg.Connection[Any], url: str) -> None:
        self._connection = connection
        self._url = url

    def rounds(self, last: int = 10, after: int = 0, upto: int | None = None) -> list[Round]:
        """The ``last`` rounds with numbers greater than ``after``, and not than ``upto``; the oldest first."""
        found: dict[int, list[SourceRun]] = {}
        for row in self._ask(_RUNS, {"last": last, "after": after, "upto": upto}):
            found.setdefault(row[0], []).append(SourceRun(*row))
        return [Round(number, tuple(sorted(runs, key=_place))) for number, runs in found.items()]

    def round(self, number: int) -> Round:
        """One round. Raises DataError if there is none of that number."""
        found = self.rounds(1, number - 1, number)
        if not found:
            raise DataError(f"there is no round {number} in the log of promptsales")
        return found[0]

    def last_number(self) -> int:
        """The number of the last round; 0 if there was none yet."""
        return int(self._ask("SELECT coalesce(max(round), 0) FROM etl_run")[0][0])

    def under_way(self) -> tuple[int, datetime] | None:
        """The round whose sessions are in PromptSales now, and since when; None if there is none."""
        rows = self._ask(
            "SELECT round, min(started_at) FROM etl_run WHERE status = 'running' AND EXISTS (SELECT 1 FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'promptsales-etl ' || round) GROUP BY round"
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def states(self) -> list[SourceState]:
        """How far each source has come, in the order of SOURCES; those that never ran are left out."""
        rows = self._ask(
            "SELECT source, upper_bound, last_status, last_message, extract(epoch FROM lag)::float8, quarantined "
            "FROM etl_state"
        )
        return sorted((SourceState(*row) for row in rows), key=_place)

    def quarantine(self) -> list[Quarantined]:
        """What is open in quarantine, by source and reason, the most frequent first."""
        rows = self._ask(
            "SELECT source, reason, count(*), (array_agg(key ORDER BY quarantined_at, id))[:%s] FROM etl_quarantine "
            "WHERE resolved_at IS NULL GROUP BY source, reason ORDER BY count(*) DESC, source, reason",
            [KEYS],
        )
        return [Quarantined(source, reason, count, tuple(keys)) for source, reason, count, keys in rows]

    def due(self, every: float = PERIOD) -> bool:
        """Whether no round was begun yet in the present slot of a grid of ``every`` seconds."""
        return bool(self._ask("SELECT etl_due(make_interval(secs => %s))", [every])[0][0])

    def until_due(self, every: float = PERIOD) -> float:
        """Seconds to the beginning of the next slot of that grid, by PromptSales's clock."""
        found = self._ask(
            "SELECT extract(epoch FROM date_bin(every, now, timestamptz '2000-01-01 00:00:00+00') + every - now)::float8 "
            "FROM (SELECT clock_timestamp() AS now, make_interval(secs => %s) AS every) AS clock",
            [every],
        )
        return float(found[0][0])

    def fail(self, number: int, source: str, message: str) -> bool:
        """End a run that is under way as failed; False if it is not."""
        return bool(self._ask("SELECT etl_fail(%s, %s, %s)", [number, source, message])[0][0])

    def forget(self, source: str) -> None:
        """The next run of this source reads everything. Raises DataError with PromptSales's words if that is refused."""
        self._ask("SELECT etl_forget(%s)", [source])

    def end_sessions(self, number: int) -> None:
        """End what sessions of a round are left in PromptSales, and wait for it: what they merge is rolled back."""
        with contextlib.suppress(DataError):  # they are another user's, whom we may not end
            self._ask(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = %s",
                [f"promptsales-etl {number}"],
            )

    def _ask(self, statement: str, parameters: Any = None) -> Sequence[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except _MISSING as error:
            raise EtlError(
                f"promptsales has no tables of the ETL, or older ones ({_first_line(error)}): "
                "'harness seed' makes them in an empty database"
            ) from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if not self._connection.broken and not self._connection.closed:
                raise DataError(f"promptsales: {scrub(_first_line(error), self._url)}") from None
            raise ServerError(f"promptsales went away: {scrub(_first_line(error), self._url)}") from None
        except psycopg.Error as error:
            raise DataError(f"promptsales: {scrub(_first_line(error), self._url)}") from None


@contextlib.contextmanager
def open_log(url: str, name: str = NAME) -> Iterator[Log]:
    """Look into the log of the PromptSales at ``url``. Raises ServerError, LoginRefused."""
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=5, application_name=name)
    except psycopg.Error as error:
        said = scrub(_first_line(error), url)
        if "authentication failed" in said or "no password supplied" in said:  # libpq hands on no SQLSTATE of a log-in
            raise LoginRefused(f"promptsales at {redact(url)} refuses the login: {said}") from None
        raise ServerError(f"promptsales at {redact(url)} does not answer: {said}") from None
    try:
        yield Log(connection, url)
    finally:
        connection.close()


def _place(one: SourceRun | SourceState) -> int:
    return SOURCES.index(one.source) if one.source in SOURCES else len(SOURCES)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
