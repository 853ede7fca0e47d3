"""A session on another machine, as the coordinator sees it: like any other one that can be asked by its socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from harness.answers import ErrorKind, ErrorRecord, TransactionEnd
from harness.engines.base import Notice, Notification, Outcome, Statement
from harness.engines.waiting import readable
from harness.runner.remote.wire import heard, packed

CLOSE_SECONDS = 3.0
"""Seconds that a session may take to be closed there."""


class RemoteSession:
    """The near end of one. ``say`` sends an order to its agent, with this session's number; it raises OSError.

    What comes from the agent is put in by :meth:`hear`, from the thread that reads for the machine; a socket of this
    session's own wakes whoever waits for it.
    """

    def __init__(self, number: int, say: Callable[..., None], pid: str, level: str, notes: list[str]) -> None:
        self.number = number
        self.pid = pid
        self.observed_level = level
        self.notes = notes
        self._say = say
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._outcome: Outcome | None = None
        self._notices: list[Notice] = []
        self._notifications: list[Notification] = []
        self._gone = ""  # why it can do nothing more
        self._in_transaction = False
        self._closed = threading.Event()

    # -- from the thread that reads

    def hear(self, kind: str, *rest: Any) -> None:
        """Take in what the agent says. Raises ValueError, TypeError for what no agent of ours says."""
        if kind == "ended":
            self._end(heard(rest[0]))
        elif kind == "said":
            self._notices += [Notice(str(text), int(after)) for text, after in rest[0]]
        elif kind == "notified":
            self._notifications += [Notification(*map(str, one)) for one in rest[0]]
        elif kind == "closed":
            self._closed.set()

    def lose(self, why: str) -> None:
        """Its machine is lost: what runs ends with that, and nothing more can be run."""
        self._gone = why
        self._closed.set()
        self._end(self._lost())

    def _end(self, outcome: Outcome) -> None:
        if outcome.error is not None and outcome.error.kind is ErrorKind.connection:
            self._gone = self._gone or outcome.error.message
        self._in_transaction = outcome.in_transaction
        self._outcome = outcome
        with contextlib.suppress(OSError):  # closed: nobody waits any more
            self._far.send(b".")

    def _lost(self) -> Outcome:
        error = ErrorRecord(kind=ErrorKind.connection, code="host lost", message=self._gone)
        return Outcome(error=error, ended=TransactionEnd.aborted if self._in_transaction else None)

    # -- as the coordinator uses it

    def fileno(self) -> int:
        """The socket to wait on; -1 once the connection, or the machine, is lost."""
        return -1 if self._gone else self._near.fileno()

    def send(self, statement: Statement) -> None:
        """Begin a step there."""
        self._outcome = None
        if self._gone:
            self._end(self._lost())
            return
        try:
            self._say("run", self.number, packed(statement))
        except OSError as error:
            self.lose(f"the way to it is closed: {error}")

    def receive(self) -> Outcome | None:
        """The step's outcome, if it has been told; never waits."""
        with contextlib.suppress(OSError):
            self._near.recv(64)
        outcome, self._outcome = self._outcome, None
        if outcome is not None and self._notices:  # those that came before the end and nobody has asked for
            outcome.notices = [*self.take_notices(), *outcome.notices]
        return outcome

    def run(self, statement: Statement) -> Outcome:
        """Run one step to its end."""
        self.send(statement)
        while (outcome := self.receive()) is None:
            readable([self.fileno()])
        return outcome

    def take_notices(self) -> list[Notice]:
        """What its server has said so far, as far as it is here."""
        taken, self._notices = self._notices, []
        return taken

    def take_notifications(self) -> list[Notification]:
        """What other sessions have sent to it, as far as it is here."""
        taken, self._notifications = self._notifications, []
        return taken

    def cancel(self) -> None:
        """Have the agent ask its server to stop what runs."""
        with contextlib.suppress(OSError):
            self._say("cancel", self.number)

    def close(self) -> None:
        """Have it closed there: its server has rolled back when this returns, unless the machine is lost."""
        if not self._gone or not self._closed.is_set():
            with contextlib.suppress(OSError):
                self._say("close", self.number)
                self._closed.wait(CLOSE_SECONDS)
        self._near.close()
        self._far.close()
