"""The seam for execution plans: what an engine may offer beside :class:`harness.engines.base.Engine`.

Not every engine does (Redis has no plans), so whoever wants them asks ``isinstance(engine, Planning)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from harness.engines.base import Statement
from harness.errors import EngineError

OWN_INDEX = "psh_plan_"
"""So begin the names of indexes that a bench makes on a server where they cannot be rolled back."""

AUTO_EXPLAIN = "auto_explain in the step's own session"
"""The way of plans that a session tells itself: those of the very execution."""

LOCK_SECONDS = 5
"""Seconds that a bench waits for a lock on a table: on a database in use others would queue behind it."""


class NotTimed(EngineError):
    """The statement can be explained, but not run: what it writes could not be undone."""


@dataclass(frozen=True, slots=True)
class Change:
    """How a state of the database differs from what it is: indexes that are not there, statements that were run."""

    drops: tuple[str, ...] = ()
    statements: tuple[str | Mapping[str, Any], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.drops or self.statements)


@dataclass(frozen=True, slots=True)
class Told:
    """A statement's plan as the engine gives it, and the way it was had."""

    way: str
    format: str = ""  # json, xml; empty: there is none, and note says why
    text: str = ""
    note: str = ""


class Bench(Protocol):
    """One connection on which a statement is explained and run in two states of a database that stays as it is.

    What is done to get into a state is undone in any case: rolled back where the engine can, else taken back, if need be
    by the next bench there.
    """

    product: str
    version: str
    notes: list[str]  # what could not be had as asked, one line each

    def indexes(self) -> dict[str, str]:
        """The names of the indexes here, and their tables."""
        ...

    def prepare(self, setup: Sequence[str | Mapping[str, Any]], before: Change, after: Change) -> None:
        """Make what both states need. Raises EngineError in one line: no such index, no permission, a lock not had."""
        ...

    def state(self, number: int) -> AbstractContextManager[None]:
        """Be in the state ``before`` (0) or ``after`` (1) for the time of the context. Raises EngineError."""
        ...

    def explain(self, statement: Statement) -> str:
        """The plan of one real execution, as the engine gives it; a write is undone. Raises EngineError."""
        ...

    def warm(self, statement: Statement) -> None:
        """Have the server know again what a change of state has made it forget. Raises EngineError."""
        ...

    def run(self, statement: Statement) -> int:
        """Execute it and read all of its rows: how many there were. A write is undone. Raises NotTimed, EngineError."""
        ...

    def close(self) -> None:
        """Undo everything and disconnect; never raises."""
        ...


class Explainer(Protocol):
    """A second session that asks how the server executes, or would execute, another session's statement."""

    def plan_of(self, pid: str, statement: Statement) -> Told:
        """The plan of what the session ``pid`` has just run. Never raises: the note says why there is none."""
        ...

    def close(self) -> None:
        """Disconnect; never raises."""
        ...


@runtime_checkable
class Planning(Protocol):
    """An Engine that shows how statements are executed."""

    def bench(self, url: str, run: str, *, disposable: bool) -> Bench:
        """Open one on the database ``url``; ``disposable``: it is the run's own, nobody else is in it.

        Raises LoginRefused, ServerError, DriverMissing, EngineError.
        """
        ...

    def explainer(self, url: str, run: str) -> Explainer:
        """Open one on the database ``url``. Raises as :meth:`bench`."""
        ...


def creates_index(body: str | Mapping[str, Any]) -> bool:
    """Whether a statement makes an index: then it is made once and missing in the other state, not made over and over.

    >>> creates_index("create unique index ix ON t (a)"), creates_index("ANALYZE t"), creates_index({"createIndexes": "t"})
    (True, False, True)
    """
    if not isinstance(body, str):
        return next(iter(body), "") == "createIndexes"
    words = body.replace("\n", " ").upper().split()
    return words[:1] == ["CREATE"] and "INDEX" in words[:4]
