"""What PromptSales's users have in common: their ids, a second database, statements of ``schemas/``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import gevent
import gevent.event
import gevent.lock
from locust.exception import StopUser

from harness.answers import ErrorKind, ErrorRecord
from harness.load.arrivals import Arrivals
from harness.load.clients import open_client
from harness.load.drawing import SKEW, Ids, Known
from harness.load.policy import Client, Refused
from harness.load.statements import Asked, query
from harness.load.tally import clock
from harness.load.user import HarnessUser, Load, load_of
from harness.servers.base import Target

_PATIENCE = 5.0  # seconds that users wait for those that are still connecting

_NO_SUCH_TABLE = ("42P01", "208")  # PostgreSQL, SQL Server

_asking = gevent.lock.RLock()
_known: dict[int, Known] = {}  # by the load's identity: one for each process and run


class Book:
    """The open loop of one process: arrivals begin when all its users are ready, and what became of them is counted."""

    def __init__(self, users: Callable[[], int], begin: Callable[[], None]) -> None:
        self.begun = 0
        self.spared = 0  # taken by a user who was waiting for its moment when the run ended
        self._users = users
        self._begin = begin
        self._ready = 0
        self._open = gevent.event.Event()

    def wait(self) -> None:
        """A user is ready: connecting is no part of anybody's time."""
        self._ready += 1
        if not self._open.is_set() and (self._ready >= self._users() or not self._open.wait(_PATIENCE)):
            self.open()

    def open(self) -> None:
        """Begin, if it has not begun."""
        if not self._open.is_set():
            self._begin()
            self._open.set()


class PromptUser(HarnessUser):
    """A user of PromptSales. ``skew``, ``among`` and ``level`` are what its load file says."""

    abstract = True
    skew: ClassVar[float] = SKEW
    among: ClassVar[int | None] = None
    level: ClassVar[str] = ""
    book: ClassVar[Book | None] = None
    """Open loop: what this process's users have begun."""

    def on_start(self) -> None:
        """Connect, and know what there is to work on."""
        try:
            super().on_start()
            with _asking:  # the first one asks, the others wait
                self.learn()
        except Refused as error:  # in a line: there is no fault in the code
            missing = error.record.code in _NO_SUCH_TABLE
            self._tell(empty(self.target, "tables of PromptSales") if missing else error)
            raise StopUser from None
        if self.book is not None:
            self.book.wait()

    def learn(self) -> None:
        """Ask for ids. Raises Refused if there is nothing to work on."""

    def ids(self, what: str, ask: Callable[[], Sequence[int]], least: int = 1) -> Ids:
        """The ids of ``what``, asked for once in a process. Raises Refused if there are fewer than ``least``."""
        known = _known.setdefault(id(self.load), Known())
        found = known.ids((self.logical, what), ask, self.skew, self.among)
        if len(found) < least:
            raise empty(self.target, what)
        return found

    def column(self, sql: str) -> list[int]:
        """The first column of a statement's rows."""
        return [int(row[0]) for row in self.client.query(sql)]

    def statement(self, name: str) -> Asked:
        """A query of ``schemas/`` for this user's engine."""
        return query(self.logical, self.target.engine, name)

    def own(self, statements: dict[str, str]) -> str:
        """The one of these statements that is this user's engine's."""
        return statements[self.target.engine]

    def _await(self, arrivals: Arrivals) -> None:
        book = self.book
        intended = arrivals.next()
        if intended is None or book is None:
            raise StopUser
        try:
            if (early := intended - clock()) > 0:
                self._sleep(early)
        except gevent.GreenletExit:
            book.spared += 1  # it was to begin when the run is over
            raise
        self._intended = intended
        book.begun += 1


class Beside:
    """A user's connection to another database than its own; what it asks there is counted under that one's name."""

    # It has all that these need of a user.
    request: Any = HarnessUser.request
    _again: Any = HarnessUser._again
    _recover: Any = HarnessUser._recover

    def __init__(self, user: HarnessUser, logical: str) -> None:
        self.load: Load = load_of(user.environment)
        self.target: Target = self.load.targets[logical]
        self.client: Any = open_client(self.target, f"psh:{self.load.run}/load")
        self._kinds: dict[str, Any] = {}
        self._intended = 0.0

    def close(self) -> None:
        """Disconnect; never raises."""
        client: Client = self.client
        client.close()


def empty(target: Target, what: str) -> Refused:
    """What to say where there is nothing to work on."""
    text = f"{target.label} has no {what}: fill the databases with 'harness seed small'"
    return Refused(ErrorRecord(ErrorKind.other, "empty", text))
