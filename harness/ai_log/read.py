"""Reads the AI log of a PromptSales, as it is at one moment, without holding all of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import psycopg
from psycopg import errors as answers

from harness.ai_log.model import Anchor, Entry
from harness.errors import DataError, LoginRefused, ServerError
from harness.servers.urls import redact, scrub

NAME = "psh:ai-log"
AT_ONCE = 500
"""Entries that are fetched together."""

_SHOWN = {
    "previous_hash": "encode(previous_hash, 'hex')",
    "number": "number",
    "happened_at": """to_char(happened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
    "arguments": "arguments::text",
    "rows": "rows::text",
    "milliseconds": "milliseconds::text",
    "answer_sha256": "encode(answer_sha256, 'hex')",
    "hash": "encode(hash, 'hex')",
}
_COLUMNS = ", ".join(_SHOWN.get(field.name, field.name) for field in fields(Entry))


class Reader:
    """One connection, and one moment: what is added meanwhile is not seen. Methods raise ServerError, DataError."""

    def __init__(self, connection: psycopg.Connection[Any], url: str) -> None:
        self._connection = connection
        self._url = url

    def entries(self, first: int = 1, upto: int | None = None) -> Iterator[Entry]:
        """In the order of their numbers."""
        with self._told(), self._connection.cursor(name="ai_log") as cursor:
            cursor.itersize = AT_ONCE
            cursor.execute(
                f"SELECT {_COLUMNS} FROM ai_log "  # noqa: S608 - names of this module
                "WHERE number >= %s AND (%s::bigint IS NULL OR number <= %s) ORDER BY number",
                [first, upto, upto],
            )
            for row in cursor:
                yield Entry(*row)

    def last(self, count: int) -> list[Entry]:
        """The last ones, the oldest of them first."""
        found = self._rows(f"SELECT {_COLUMNS} FROM ai_log ORDER BY number DESC LIMIT %s", [count])  # noqa: S608
        return [Entry(*row) for row in reversed(found)]

    def head(self) -> tuple[int, str]:
        """Number and hash of the last entry as the log's own head has them; 0 and zeros of an empty log."""
        rows = self._rows("SELECT number, encode(hash, 'hex') FROM ai_log_head")
        if not rows:
            raise DataError("the AI log has no head: somebody has deleted it")
        return rows[0][0], rows[0][1]

    def anchor(self, number: int) -> Anchor | None:
        """The entry of that number as an anchor; None if there is none."""
        rows = self._rows(
            f"SELECT number, encode(hash, 'hex'), {_SHOWN['happened_at']} FROM ai_log WHERE number = %s",  # noqa: S608
            [number],
        )
        return Anchor(*rows[0]) if rows else None

    def said_by_server(self) -> tuple[int, str | None]:
        """What ``ai_log_verify`` says: how many entries follow one another, and the first break."""
        rows = self._rows("SELECT entries, problem FROM ai_log_verify()")
        return rows[0][0], rows[0][1]

    def _rows(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with self._told():
            return self._connection.execute(statement, parameters).fetchall()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (answers.UndefinedTable, answers.UndefinedFunction, answers.UndefinedColumn):
            raise DataError(
                "promptsales has no AI log: its schema is older than schemas/promptsales/postgresql/80_ai_log.sql; "
                "'harness seed' makes all of it in an empty database"
            ) from None
        except answers.InsufficientPrivilege:
            raise DataError("this login may not read the AI log: use one of promptsales_admin") from None
        except psycopg.Error as error:
            said = scrub(_first_line(error), self._url)
            if self._connection.closed:
                raise ServerError(f"promptsales went away: {said}") from None
            raise DataError(f"promptsales: {said}") from None


@contextlib.contextmanager
def open_reader(url: str) -> Iterator[Reader]:
    """Read the log of the PromptSales at ``url``. Raises ServerError, LoginRefused."""
    try:
        connection = psycopg.connect(url, connect_timeout=5, application_name=NAME)
    except psycopg.Error as error:
        said = scrub(_first_line(error), url)
        if "authentication failed" in said or "no password supplied" in said:
            raise LoginRefused(f"promptsales at {redact(url)} refuses the login: {said}") from None
        raise ServerError(f"promptsales at {redact(url)} does not answer: {said}") from None
    try:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield Reader(connection, url)
    finally:
        connection.close()


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
