"""What an error of SQL Server means: the driver's exception becomes an :class:`ErrorRecord`.

Numbers and texts: https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors.
The form of pyodbc's exceptions: ``args == (SQLSTATE, "[SQLSTATE] [Microsoft][ODBC Driver 18 for SQL Server][SQL
Server]text (number) (function)")``; on Windows the further diagnostic records follow after ``; ``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.answers import ErrorKind, ErrorRecord

_KINDS = {
    1205: ErrorKind.deadlock,
    3960: ErrorKind.serialization,  # snapshot: update conflict
    3961: ErrorKind.serialization,  # snapshot: the table was changed by DDL meanwhile
    41302: ErrorKind.serialization,  # memory-optimized tables: update conflict,
    41305: ErrorKind.serialization,  # repeatable-read validation,
    41325: ErrorKind.serialization,  # serializable validation,
    41301: ErrorKind.serialization,  # commit dependency
    1222: ErrorKind.lock_timeout,
    2627: ErrorKind.constraint,
    2601: ErrorKind.constraint,
    547: ErrorKind.constraint,
    515: ErrorKind.constraint,
    3930: ErrorKind.in_failed_transaction,
    3998: ErrorKind.in_failed_transaction,  # uncommittable transaction found at the end of the batch, rolled back
    596: ErrorKind.connection,  # the session is in the kill state
    10054: ErrorKind.connection,
    10053: ErrorKind.connection,
}
_STATES = {
    "HY008": ErrorKind.cancelled,
    "HYT00": ErrorKind.cancelled,  # without a number of its own: the driver's query time-out
    "HYT01": ErrorKind.connection,
}

# A Babelfish has one number for all that it has no number of SQL Server for: then PostgreSQL's text is all there is.
_ANY = 33557097
_TEXTS = {
    "could not serialize access": ErrorKind.serialization,
    "canceling statement due to lock timeout": ErrorKind.lock_timeout,
    "canceling statement due to": ErrorKind.cancelled,
    "current transaction is aborted": ErrorKind.in_failed_transaction,
}

TRANSACTION_GONE = frozenset({ErrorKind.deadlock, ErrorKind.connection})
"""Kinds after which nothing of the transaction is left, so that the server need not be asked."""

_RECORD = re.compile(r"; (?=\[\w{0,5}\] \[[^\]]*\]\[)")
_PARTS = re.compile(r"^(?:\[(?P<state>\w{5})\] )?(?P<text>.*?)(?: \((?P<number>-?\d+)\))?(?: \(\w+\))?$", re.DOTALL)
_PREFIX = re.compile(
    r"^(?:\[(?:Microsoft|unixODBC|SQL Server|ODBC Driver|Driver Manager|SQL Native Client)[^\]]*\])+\s*"
)
_TERMINATED = 3621  # "The statement has been terminated.": follows the real message


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One diagnostic record of the driver: SQLSTATE, the server's own number (0 if it is the driver's), the text."""

    state: str
    number: int
    text: str


def clean(text: str) -> str:
    """A message without the driver's prefixes.

    >>> clean("[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]Invalid object name 'x'.")
    "Invalid object name 'x'."
    """
    return " ".join(_PREFIX.sub("", text.strip()).split())


def diagnostics(error: Exception) -> list[Diagnostic]:
    """The records in a pyodbc exception, the decisive one first; one with number 0 if the text has another form."""
    args = error.args or ("",)
    state = str(args[0]) if len(args) > 1 else ""
    found = []
    for part in _RECORD.split(str(args[-1])):
        match = _PARTS.match(part.strip())
        if match is None:
            continue
        found.append(
            Diagnostic(match["state"] or state, int(match["number"] or 0), clean(match["text"]) or clean(part))
        )
    found.sort(key=lambda record: record.number == _TERMINATED)
    return found or [Diagnostic(state, 0, clean(str(error)))]


def kind_of(record: Diagnostic) -> ErrorKind:
    """What a diagnostic record means. The server's number decides; the SQLSTATE does where there is no number we know."""
    if record.number in _KINDS:
        return _KINDS[record.number]
    if record.state.startswith("08"):
        return ErrorKind.connection
    if record.state == "23000":
        return ErrorKind.constraint
    if record.number == _ANY:
        return next((kind for text, kind in _TEXTS.items() if record.text.startswith(text)), ErrorKind.other)
    if record.number == 0 or record.state == "HY008":
        return _STATES.get(record.state, ErrorKind.other)
    return ErrorKind.other


def error_record(error: Exception) -> ErrorRecord:
    """What an exception of the driver says: kind, SQL Server's number (else the SQLSTATE), text, further records."""
    first, *others = diagnostics(error)
    return ErrorRecord(
        kind=kind_of(first),
        code=str(first.number) if first.number else first.state or "HY000",
        message=first.text,
        detail="\n".join(record.text for record in others),
    )
