"""One other machine: its agent, the sessions there, its clock, and whether it can still be spoken to."""

from __future__ import annotations

import contextlib
import itertools
import json
import statistics
import threading
import time
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

from execnet.gateway_base import Channel

from harness import errors
from harness.engines.base import SessionOptions
from harness.errors import EngineError, HarnessError, HostError
from harness.history import HostRecord
from harness.runner.remote.gateway import Gateway, open_gateway
from harness.runner.remote.session import RemoteSession
from harness.runner.remote.source import START, sources
from harness.runner.remote.specs import HostSpec
from harness.runner.remote.wire import PULSE, SILENCE, packed
from harness.servers.urls import seen_from

EXCHANGES = 30
"""Looks at the other machine's clock; the quickest one counts."""

OPEN_SECONDS = 20.0
"""Seconds that a session may take to be opened there; drivers give up before."""

_WATCHFUL = {
    "postgresql": {
        "tcp_user_timeout": "3000",
        "tcp_keepalives_idle": "1",
        "tcp_keepalives_interval": "1",
        "tcp_keepalives_count": "2",
    }
}
"""Settings of a server with which it sees by itself that a session's machine is gone; without, it keeps locks for minutes.

https://www.postgresql.org/docs/current/runtime-config-connection.html
"""


@dataclass(frozen=True, slots=True)
class Clock:
    """Another machine's clock: seconds that it is ahead, give or take ``error``, as the quickest exchange has it.

    ``median`` is the round trip of an ordinary exchange, in seconds.
    """

    offset: float = 0.0
    error: float = 0.0
    round_trip: float = 0.0
    median: float = 0.0


class Link:
    """The way to a machine and its agent. Opened by :meth:`connect`; sessions may be opened from several threads."""

    def __init__(self, host: HostSpec) -> None:
        self.host = host
        self.name = host.name
        self.lost = ""  # why it cannot be spoken to any more
        self.clock = Clock()
        self._gateway: Gateway | None = None
        self._channel: Channel | None = None
        self._numbers = itertools.count(1)
        self._sessions: dict[int, RemoteSession] = {}
        self._opening: dict[int, SimpleQueue[tuple[Any, ...]]] = {}
        self._pongs: SimpleQueue[tuple[int, float]] = SimpleQueue()
        self._heard = 0.0
        self._driver = ""
        self._lock = threading.Lock()
        self._closing = threading.Event()

    # -- the way there

    def connect(self) -> None:
        """Reach the machine, start the agent, look at its clock. Raises HostError."""
        self._gateway = open_gateway(self.host)
        try:
            channel = self._channel = self._gateway.inner.remote_exec(START)
            channel.send(sources())
            self._heard = time.monotonic()
            channel.setcallback(self._hear, endmarker=("over",))
            self.clock = self._look_at_clock()
        except (OSError, Empty) as error:
            self.close()
            raise HostError(f"{self.name}: the agent did not start there: {error or 'it does not answer'}") from None
        threading.Thread(target=self._pulse, name=f"pulse of {self.name}", daemon=True).start()

    @property
    def controller(self) -> str:
        """This machine's address, as the other one sees it; empty for a process here."""
        return self._gateway.where.controller if self._gateway else ""

    @property
    def address(self) -> str:
        """The other machine's address; empty for a process here."""
        return self._gateway.where.address if self._gateway else ""

    def record(self) -> HostRecord:
        """What the evidence says of it."""
        assert self._gateway is not None
        where = self._gateway.where
        return HostRecord(
            name=self.name,
            hostname=where.hostname,
            address=where.address,
            system=where.system,
            python=where.python,
            driver=self._driver,
            pid=where.pid,
            node=where.node,
            clock_offset=round(self.clock.offset, 6),
            clock_error=round(self.clock.error, 6),
            round_trip=round(self.clock.round_trip, 6),
            lost=self.lost,
        )

    def close(self) -> None:
        """End the agent, and with it what is left there; who waits for an answer waits no more. Never raises."""
        self._closing.set()
        for waiting in list(self._opening.values()):
            waiting.put(("lost", "the way to it is closed"))
        if self._gateway is not None:
            self._gateway.close()

    def _look_at_clock(self) -> Clock:
        best, trips = Clock(round_trip=float("inf")), []
        for number in range(EXCHANGES):
            wall, began = time.time(), time.perf_counter()
            self._say("ping", number)
            told = self._pong(number)
            trip = time.perf_counter() - began
            trips.append(trip)
            if trip < best.round_trip:
                best = Clock(told - (wall + trip / 2), trip / 2, trip)
        return replace(best, median=statistics.median(trips))

    def _pong(self, number: int) -> float:
        deadline = time.monotonic() + OPEN_SECONDS  # the first one waits for the agent's modules
        while (left := deadline - time.monotonic()) > 0 and not self.lost:
            with contextlib.suppress(Empty):
                got, told = self._pongs.get(timeout=min(left, 0.2))
                if got == number:
                    return told
        raise OSError(self.lost or "it does not answer")

    def _pulse(self) -> None:
        """Give signs of life and look for some."""
        looked = time.monotonic()
        while not self._closing.wait(PULSE) and not self.lost:
            now = time.monotonic()
            if now - looked > PULSE + SILENCE / 2:  # we slept ourselves: whether it was silent we cannot know
                self._heard = now
            looked = now
            if now - self._heard > SILENCE:
                self._lose(f"{self.name} is cut off: nothing was heard from it for {SILENCE:g} s")
                return
            with contextlib.suppress(OSError):
                self._say("ping", -1)

    # -- sessions

    def open(self, engine: str, url: str, options: SessionOptions) -> RemoteSession:
        """Open a session from there. Raises what the engine raises there, HostError if the machine is lost."""
        if engine in _WATCHFUL:
            options = replace(options, settings=_WATCHFUL[engine] | dict(options.settings))
        number = next(self._numbers)
        self._wait_for("no session could be opened there", number, "open", engine, self.url(url), packed(options))
        with self._lock:
            return self._sessions[number]

    def ask(self, question: str, *arguments: Any) -> Any:
        """What the agent answers to one of :mod:`harness.runner.remote.questions`.

        Raises HostError if the machine is lost, EngineError if what it was to look at surprised it.
        """
        number = next(self._numbers)
        return self._wait_for("nothing could be asked there", number, "ask", question, *arguments)

    def _wait_for(self, otherwise: str, number: int, order: str, *arguments: Any) -> Any:
        """Give the order, wait for its answer. Raises HostError, saying ``otherwise``, and what the agent raises."""
        waiting = self._opening[number] = SimpleQueue()
        try:
            self._say(order, number, *arguments)
            kind, *rest = waiting.get(timeout=OPEN_SECONDS)
        except (OSError, Empty) as error:
            raise HostError(f"{self.name}: {otherwise}: {self.lost or error or 'it does not answer'}") from None
        finally:
            self._opening.pop(number, None)
        if kind == "lost":
            raise HostError(f"{self.name}: {otherwise}: {rest[0]}")
        if kind == "refused":
            raise self._refusal(*rest)
        return rest[0] if rest else None

    def url(self, url: str) -> str:
        """A database's URL as it is reached from there: what is loopback here has this machine's address there."""
        return seen_from(url, self.controller)

    def _refusal(self, kind: str, text: str) -> HarnessError:
        cls = getattr(errors, kind, EngineError)
        if not (isinstance(cls, type) and issubclass(cls, HarnessError)) or issubclass(cls, errors.ScenarioError):
            cls = EngineError
        return cls(f"from {self.name}: {text}")

    # -- from the thread that reads

    def _hear(self, item: Any) -> None:
        self._heard = time.monotonic()
        try:
            kind, *rest = item
            if kind == "pong":
                self._pongs.put((int(rest[0]), float(rest[1])))
            elif kind == "over":
                self._over()
            elif kind == "refused":
                self._answer(int(rest[0]), kind, str(rest[1]), str(rest[2]))
            elif kind == "opened":
                self._opened(*rest)
            elif kind == "answered":
                self._answer(int(rest[0]), kind, json.loads(rest[1]))
            elif session := self._sessions.get(rest[0]):
                session.hear(kind, *rest[1:])
                if kind == "closed":
                    del self._sessions[session.number]
        except (ValueError, TypeError, IndexError, KeyError) as error:
            self._lose(f"{self.name} is not understood: {error}")

    def _opened(self, number: int, pid: str, level: str, notes: list[str], driver: str) -> None:
        with self._lock:
            self._sessions[number] = RemoteSession(number, self._say, str(pid), str(level), [str(one) for one in notes])
        self._driver = str(driver)
        self._answer(number, "opened")

    def _answer(self, number: int, *what: Any) -> None:
        if waiting := self._opening.get(number):
            waiting.put(what)

    def _over(self) -> None:
        if not self._closing.is_set():
            status = self._gateway.status if self._gateway else None
            said = f" (ssh: exit status {status})" if status else ""
            self._lose(f"{self.name}: the agent there has ended, or was killed{said}")

    def _lose(self, why: str) -> None:
        """Nothing more can be said to it: all that waits for it is told so."""
        with self._lock:
            if self.lost:
                return
            self.lost = why
            sessions = list(self._sessions.values())
        for session in sessions:
            session.lose(why)
        for waiting in list(self._opening.values()):
            waiting.put(("lost", why))
        if self._gateway is not None:
            self._gateway.cut()

    def _say(self, *order: Any) -> None:
        if self.lost or self._channel is None:
            raise OSError(self.lost or "it is not connected")
        self._channel.send(order)
