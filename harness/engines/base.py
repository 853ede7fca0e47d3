"""The seam between the harness and a kind of database: what every engine module offers.

An engine is asked, never assumed: what a server can do is found at connect (:class:`Capabilities`) and kept in the
evidence. Nothing here knows of scenarios or pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol, TypeGuard, runtime_checkable

from harness.answers import DeadlockReport, ErrorKind, ErrorRecord, ResultSet, TransactionEnd


def plain(value: Any) -> Any:
    """A driver's value as JSON has it: numbers stay numbers as long as that loses nothing, the rest is text.

    >>> plain(Decimal("100.00")), plain(Decimal("0.1")), plain(b"\\x01")
    (100, 0.1, '01')
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return int(value)
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


class Verb(StrEnum):
    """What a step may say instead of a statement; each engine has its own words for it."""

    begin = "begin"
    commit = "commit"
    rollback = "rollback"


@dataclass(frozen=True, slots=True)
class Statement:
    """One step, ready to run.

    ``body`` is SQL text with the engine's own placeholders, a MongoDB command document, a Redis argument list, or
    a :class:`Verb`. ``parameters`` are bound by the driver, never formatted into the text. ``plan``: the session shall tell
    how the server executed it, if it can (:attr:`Outcome.plans`).
    """

    body: str | Mapping[str, Any] | Sequence[str] | Verb
    parameters: tuple[Any, ...] = ()
    plan: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """A message beside the results. ``text`` is whole, as the client library shows it."""

    text: str
    after_results: int = 0  # of its step, that had come before it


@dataclass(frozen=True, slots=True)
class Notification:
    """A message from another session (PostgreSQL's NOTIFY); ``pid`` is the server's id of the sender."""

    channel: str
    payload: str
    pid: str


class Outcome:
    """What a step gave. ``error`` is None if it went well.

    ``may_release`` is False only if the engine is sure that the step let nobody go, so that the coordinator need
    not ask the server about the waiting sessions. ``empty``: there was no command in it. ``later`` makes the results when
    they are first looked at: on the way from one step to the next nobody does. ``plans``: of its statements, as the engine
    gives them; None if the session cannot tell.
    """

    __slots__ = (
        "_later", "_results", "clock", "empty", "ended", "error", "in_transaction", "may_release", "notices", "plans",
    )  # fmt: skip

    def __init__(
        self,
        results: list[ResultSet] | None = None,
        error: ErrorRecord | None = None,
        *,
        in_transaction: bool = False,
        ended: TransactionEnd | None = None,
        may_release: bool = True,
        later: Callable[[], list[ResultSet]] | None = None,
    ) -> None:
        self._results = results if results is not None else []
        self._later = later
        self.error = error
        self.in_transaction = in_transaction
        self.ended = ended
        self.may_release = may_release
        self.empty = False
        self.clock: tuple[float, float] | None = None
        self.notices: list[Notice] = []
        self.plans: list[str] | None = None

    @property
    def results(self) -> list[ResultSet]:
        """The results of its statements, in order."""
        if self._later is not None:
            self._results, self._later = self._later(), None
        return self._results

    @results.setter
    def results(self, value: list[ResultSet]) -> None:
        self._results, self._later = value, None


def surprise(error: Exception) -> str:
    """What a driver raised and no engine foresaw, on one line."""
    return f"the driver raised {type(error).__name__}: {' '.join(str(error).split())}"


def surprised(error: Exception) -> Outcome:
    """The same as the end of a step."""
    return Outcome(error=ErrorRecord(kind=ErrorKind.other, code="harness", message=surprise(error)))


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server was found able to do. ``notes`` say in one line each what is missing, and the consequence."""

    product: str  # "PostgreSQL", "Babelfish", "SecantusDB", …
    version: str
    waits: bool = False  # tells who waits for whom
    locks: bool = False  # shows its lock table
    reports: bool = False  # gives its own deadlock report
    steers_victim: bool = False  # a session can be made the likely victim
    levels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_record(self) -> dict[str, str]:
        """Flat text for the evidence."""
        flags = {
            name: "yes" if getattr(self, name) else "no" for name in ("waits", "locks", "reports", "steers_victim")
        }
        return flags | ({"notes": "; ".join(self.notes)} if self.notes else {})


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session is opened. ``name`` is shown in the server's session list.

    ``level`` may be :data:`harness.vocabulary.DEFAULT_LEVEL`: then nothing is asked, and what the server gives is read.
    """

    name: str
    level: str
    deadlock_priority: str = "normal"  # low: the likely victim; high: the unlikely one
    settings: Mapping[str, str] = field(default_factory=dict)  # of the server, in force from the start
    as_text: bool = False  # values and messages as the server writes them
    plans: bool = False  # some of its statements will ask for their plans


@dataclass(frozen=True, slots=True)
class ServerWait:
    """One server's word that the session ``waiter`` waits for the sessions ``holders`` (the server's own ids)."""

    waiter: str
    holders: tuple[str, ...]
    resource: str = ""
    asked: str = ""
    held: str = ""


class Session(Protocol):
    """One connection, driven by one thread at a time; only :meth:`cancel` may come from another thread."""

    pid: str  # the server's own id of this session, as it appears in ServerWait
    observed_level: str  # read back from the server, in the names of `Engine.levels`
    notes: list[str]  # what could not be had as asked, one line each

    def run(self, statement: Statement) -> Outcome:
        """Run one step to its end. Database errors come back in the outcome, they are never raised."""
        ...

    def cancel(self) -> None:
        """Ask the server to stop what the session is doing now; safe from any thread, never raises."""
        ...

    def close(self) -> None:
        """Roll back and disconnect; never raises."""
        ...


@runtime_checkable
class Pollable(Protocol):
    """A session whose steps can also be begun and asked for by its socket: one thread then drives many of them.

    A thread and a hand-over per session cost more than the step itself (docs/performance.md). Drivers that only block,
    pyodbc's and pymongo's, do not offer this and get a thread each.
    """

    def fileno(self) -> int:
        """The socket to wait on; -1 once the connection is lost."""
        ...

    def send(self, statement: Statement) -> None:
        """Begin a step; waits for nothing but the socket's room, never raises for what the database says."""
        ...

    def receive(self) -> Outcome | None:
        """The outcome if the step has ended, None if more has to come; never waits."""
        ...

    def take_notices(self) -> list[Notice]:
        """The messages that have come since they were last taken, without waiting for a step to end."""
        ...

    def take_notifications(self) -> list[Notification]:
        """What other sessions have sent to this one and nobody has taken yet; never waits."""
        ...


class PollableSession(Session, Pollable, Protocol):
    """A session that is both."""


def pollable(session: Session) -> TypeGuard[PollableSession]:
    """Whether the session's steps can be begun and asked for by its socket."""
    return _is_pollable(type(session))


@lru_cache
def _is_pollable(kind: type) -> bool:
    return issubclass(kind, Pollable)  # slow, and asked for each statement


class Observer(Protocol):
    """A second connection that asks the server about the sessions of the run. Used by one thread at a time."""

    def waits(self, waiting: Sequence[str], run: Sequence[str]) -> list[ServerWait]:
        """Of the sessions ``waiting``, those that wait for another session now.

        ``run`` are all sessions of the run on this server: a wait for a foreign session (autovacuum, say) counts
        only if the engine cannot tell it apart. Raises EngineError if the server is gone.
        """
        ...

    def lock_table(self, pids: Sequence[str]) -> list[dict[str, str]]:
        """The server's lock table for these sessions, one flat row each; empty if it shows none."""
        ...

    def deadlock_reports(self, pids: Sequence[str]) -> list[DeadlockReport]:
        """The engine's own reports of deadlocks among ``pids`` that were not given before (``database`` empty)."""
        ...

    def close(self) -> None:
        """Disconnect; never raises."""
        ...


class Admin(Protocol):
    """A connection that makes and drops the harness's own databases. Their names all begin with ``OWNED``."""

    capabilities: Capabilities

    def create(self, name: str, levels: Sequence[str]) -> None:
        """Make an empty database, able to give ``levels`` (SQL Server's RCSI and SNAPSHOT are database options)."""
        ...

    def drop(self, name: str) -> None:
        """Drop it, whoever is still connected; silent if it is not there."""
        ...

    def end_session(self, database: str, pid: str) -> None:
        """End a session on ``database`` whose client is gone, and with it its locks; silent if it is not there.

        Raises EngineError if the server refuses, or is gone.
        """
        ...

    def owned(self) -> list[str]:
        """Names of the databases on this server that some run of the harness made."""
        ...

    def living_runs(self) -> set[str]:
        """Run ids with a connection to this server now; a run's sessions carry ``psh:RUN`` as their name."""
        ...

    def close(self) -> None:
        """Disconnect; never raises."""
        ...


@runtime_checkable
class Sharing(Protocol):
    """An Admin on whose server several processes can agree who has what for itself."""

    def holding(self, shared: Sequence[str], alone: Sequence[str]) -> AbstractContextManager[None]:
        """Hold these names for the time of the context, some together with others who share them, some alone.

        Waits until all of them can be had at once.
        """
        ...


@runtime_checkable
class Naming(Protocol):
    """An Admin that can also make a database whose name is given, because statements name it."""

    def create_named(self, name: str, *, replace: bool = False) -> None:
        """Make it; waits while another process has it.

        If one is there that the harness has not made, it is borrowed while nothing is in it, else EngineError is raised;
        with ``replace``, on a server that is ours, it is made anew.
        """
        ...


@runtime_checkable
class Copying(Protocol):
    """An Admin whose server can make a database as a copy of another one, faster than by filling it."""

    def create_copy(self, name: str, template: str) -> None:
        """Make ``name`` as a copy of ``template``, a database of ours that nobody is connected to. Raises EngineError."""
        ...


OWNED = "psh_"  # psh_<run id>_<number>: run ids are [0-9a-z]+


def owner_of(database: str) -> str:
    """The run id in a database name that the harness made.

    >>> owner_of("psh_k3x9_12")
    'k3x9'
    """
    return database.removeprefix(OWNED).split("_", 1)[0]


class Engine(Protocol):
    """One kind of database. Stateless: one instance serves all threads. Drivers are imported when first used."""

    name: str  # "postgresql", "sqlserver", "mongodb", "redis"
    levels: tuple[str, ...]  # the first one is the default

    def admin(self, url: str, run: str) -> Admin:
        """Log in. Raises LoginRefused, ServerError (unreachable), DriverMissing: one clear line each."""
        ...

    def database_url(self, url: str, name: str) -> str:
        """The URL of the database ``name`` on the server of ``url``."""
        ...

    def open(self, url: str, options: SessionOptions) -> Session:
        """Open a session at a level and read the level back."""
        ...

    def observe(self, url: str, run: str) -> Observer:
        """Open the second connection that asks who waits for whom."""
        ...

    def placeholder(self, number: int) -> str:
        """How the engine's SQL writes parameter ``number`` (from 1): ``$1``, ``?``."""
        ...

    def quote(self, identifier: str) -> str:
        """An identifier, quoted so that nothing in it can be read as SQL."""
        ...
