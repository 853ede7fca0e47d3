"""What a server answers to a step, in the words of the harness: rows, refusals, its own report of a deadlock.

Plain dataclasses, which need nothing but Python: an engine can be sent to a machine that has only its driver
(:mod:`harness.runner.agent`). :mod:`harness.history` checks them and writes them down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ErrorKind(StrEnum):
    """What a database's refusal means, whatever its code is."""

    deadlock = "deadlock"  # chosen as victim: 40P01, 1205
    serialization = "serialization failure"  # 40001, 3960
    conflict = "write conflict"  # refused at once: MongoDB 112, Redis EXEC nil
    lock_timeout = "lock timeout"  # 55P03, 1222, MongoDB 24
    constraint = "constraint"  # class 23, 2627, 547, 11000
    in_failed_transaction = "in failed transaction"  # 25P02, 3930, MongoDB 251
    cancelled = "cancelled"  # 57014, by the harness or a statement time-out
    connection = "connection lost"
    other = "other"


class TransactionEnd(StrEnum):
    """How a step ended its session's transaction."""

    committed = "committed"
    aborted = "aborted"


@dataclass(frozen=True)
class ErrorRecord:
    """An error as the database gave it. ``detail`` may hold several lines (PostgreSQL's account of a deadlock).

    ``severity``, ``full`` and ``lost`` are filled where values are kept as text: the server's word (ERROR, FATAL), the
    whole message as the client library shows it, and what the library said when the connection then went away.
    """

    __pydantic_config__ = {"extra": "forbid"}

    kind: ErrorKind
    code: str
    message: str
    detail: str = ""
    severity: str = ""
    full: str = ""
    lost: str = ""


@dataclass(frozen=True)
class ResultSet:
    """Rows as they came: JSON values where JSON has the type, else text. ``status`` is the command tag, if any.

    ``affected`` counts the rows that a write changed; None where nothing says so.
    """

    __pydantic_config__ = {"extra": "forbid"}

    columns: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    status: str = ""
    affected: int | None = None


@dataclass(frozen=True)
class DeadlockReport:
    """The engine's own words about a deadlock: PostgreSQL's log, SQL Server's XML graph."""

    __pydantic_config__ = {"extra": "forbid"}

    database: str
    source: str
    text: str
