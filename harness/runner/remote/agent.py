"""Runs on the other machine: opens sessions there, runs their steps, says what became of them.

Its source, and that of the engines, travels when a way to the machine is opened (:mod:`harness.runner.remote.source`): there
need be nothing but Python and the driver. One agent serves all sessions of its machine. Sessions that can be polled are
driven by its main thread through their sockets, others have a thread each, as at home.

It never outlives the controller for long. When the way is closed, or no sign of life has come for a while, it ends, and
with the process end its connections and their locks.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from harness.engines import engine
from harness.engines.base import (
    Outcome,
    PollableSession,
    Session,
    SessionOptions,
    Statement,
    pollable,
    surprise,
    surprised,
)
from harness.engines.waiting import readable
from harness.errors import DriverMissing, EngineError, HarnessError
from harness.runner.remote.drivers import DRIVERS, driver, how_to_install
from harness.runner.remote.questions import QUESTIONS
from harness.runner.remote.wire import ALONE, told, unpacked

LAST_CANCEL = 0.5
"""Seconds that statements have to be cancelled in before the process ends."""


class Channel(Protocol):
    """The part of execnet's channel that is used here."""

    def send(self, item: object) -> None:
        """Send it; OSError if the other side is gone."""
        ...

    def setcallback(self, callback: Any, endmarker: object = ...) -> None:
        """Have a thread call it for each item, and with the marker at the end."""
        ...


@dataclass(slots=True)
class Held:
    """A session that is held for the controller, under the number that it gave."""

    number: int
    session: Session
    polled: PollableSession | None  # the same, if its socket can be asked
    began: float = 0.0  # seconds since 1970
    running: bool = False
    inbox: SimpleQueue[Statement | None] = field(default_factory=SimpleQueue)  # of its thread, if it has one


class Agent:
    """Serves one channel until it is closed."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._orders: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._held: dict[int, Held] = {}
        self._heard = time.monotonic()

    def serve(self) -> None:
        """Serve; when there is nobody left to serve, the process ends."""
        threading.Thread(target=self._listen_for_life, name="life", daemon=True).start()
        self._channel.setcallback(self._hear, endmarker=("over",))
        with contextlib.suppress(OSError):  # the other side is gone
            while self._serve_once():
                pass
        self._end()

    # -- in the thread that reads the channel

    def _hear(self, order: tuple[Any, ...]) -> None:
        self._heard = time.monotonic()
        if order[0] == "ping":  # at once, whatever else is done
            with contextlib.suppress(OSError):
                self._channel.send(("pong", order[1], time.time()))
        else:
            self._order(*order)

    def _order(self, *order: Any) -> None:
        self._orders.put(order)
        with contextlib.suppress(OSError):  # full: it is awake already
            self._waker.send(b".")

    def _listen_for_life(self) -> None:
        looked = time.monotonic()
        while looked - self._heard < ALONE:
            time.sleep(0.2)  # silence is no event
            now = time.monotonic()
            if now - looked > ALONE / 2:  # we slept ourselves: whether anybody spoke we cannot know
                self._heard = now
            looked = now
        self._end()

    # -- in the main thread

    def _serve_once(self) -> bool:
        """Wait for an order or an answer; False when it is over."""
        polled = [held for held in self._held.values() if held.polled is not None]
        numbers = [held.polled.fileno() for held in polled if held.polled is not None]
        open_ones = [number for number in numbers if number != -1]
        ready = readable([self._woken.fileno(), *open_ones])
        for held, number in zip(polled, numbers, strict=True):
            if number == -1 or number in ready:
                self._look(held)
        with contextlib.suppress(OSError):
            self._woken.recv(4096)
        try:
            while True:
                kind, *rest = self._orders.get_nowait()
                if kind == "over":
                    return False
                getattr(self, f"_on_{kind}")(*rest)
        except Empty:
            return True

    def _on_open(self, number: int, name: str, url: str, options: bytes) -> None:
        threading.Thread(target=self._open, args=(number, name, url, unpacked(options)), daemon=True).start()

    def _open(self, number: int, name: str, url: str, options: SessionOptions) -> None:
        try:
            session = opened(name, url, options)
        except HarnessError as error:
            with contextlib.suppress(OSError):  # the other side is gone
                self._channel.send(("refused", number, type(error).__name__, str(error)))
            return
        held = Held(number, session, session if pollable(session) else None)
        if held.polled is None:
            threading.Thread(target=self._work, args=(held,), name=options.name, daemon=True).start()
        self._order("held", held, driver(name))

    def _on_held(self, held: Held, driver: str) -> None:
        self._held[held.number] = held
        session = held.session
        self._channel.send(("opened", held.number, session.pid, session.observed_level, list(session.notes), driver))

    def _on_run(self, number: int, data: bytes) -> None:
        held, statement = self._held[number], unpacked(data)
        held.running, held.began = True, time.time()
        if held.polled is None:
            held.inbox.put(statement)
            return
        try:
            held.polled.send(statement)
        except Exception as error:  # noqa: BLE001 - a driver's surprise must end the step, not the agent
            self._ended(held, surprised(error))
        else:
            self._look(held)

    def _look(self, held: Held) -> None:
        """Whatever has come over the socket of a session that can be polled."""
        session = held.polled
        assert session is not None
        if not held.running:
            if session.fileno() != -1:
                self._tell_notifications(held)
            return
        try:
            outcome = session.receive()
        except Exception as error:  # noqa: BLE001 - a driver's surprise must end the step, not the agent
            outcome = surprised(error)
        if outcome is not None:
            self._tell_notifications(held)
            self._ended(held, outcome)
        elif notices := session.take_notices():
            self._channel.send(("said", held.number, [(notice.text, notice.after_results) for notice in notices]))

    def _tell_notifications(self, held: Held) -> None:
        assert held.polled is not None
        if heard := held.polled.take_notifications():
            self._channel.send(("notified", held.number, [(one.channel, one.payload, one.pid) for one in heard]))

    def _work(self, held: Held) -> None:
        """The thread of a session whose driver blocks."""
        while (statement := held.inbox.get()) is not None:
            try:
                outcome = held.session.run(statement)
            except Exception as error:  # noqa: BLE001 - a driver's surprise must end the step, not the thread
                outcome = surprised(error)
            self._ended(held, outcome)

    def _ended(self, held: Held, outcome: Outcome) -> None:
        held.running = False
        self._channel.send(("ended", held.number, told(outcome, held.began, time.time())))

    def _on_cancel(self, number: int) -> None:
        if held := self._held.get(number):  # in a thread: it asks the server, over a connection of its own
            threading.Thread(target=held.session.cancel, daemon=True).start()

    def _on_close(self, number: int) -> None:
        if held := self._held.pop(number, None):
            held.inbox.put(None)
            threading.Thread(target=self._close, args=(held,), daemon=True).start()

    def _close(self, held: Held) -> None:
        held.session.close()
        with contextlib.suppress(OSError):
            self._channel.send(("closed", held.number))

    def _on_ask(self, number: int, question: str, *arguments: Any) -> None:
        threading.Thread(target=self._ask, args=(number, question, *arguments), daemon=True).start()

    def _ask(self, number: int, question: str, *arguments: Any) -> None:
        words: tuple[object, ...]
        try:
            words = ("answered", number, json.dumps(QUESTIONS[question](*arguments)))
        except Exception as error:  # noqa: BLE001 - a driver that is imported may raise anything
            words = ("refused", number, "EngineError", f"{question}: {surprise(error)}")
        with contextlib.suppress(OSError):  # the other side is gone
            self._channel.send(words)

    def _end(self) -> None:
        """Ask the servers to stop what still runs, then end the process: the system closes its connections."""
        for held in list(self._held.values()):
            if held.running:
                threading.Thread(target=held.session.cancel, daemon=True).start()
        if any(held.running for held in list(self._held.values())):
            time.sleep(LAST_CANCEL)  # the process ends after it, whatever the servers say
        os._exit(0)


def opened(name: str, url: str, options: SessionOptions) -> Session:
    """A session on a database, from here. Raises HarnessError."""
    try:
        return engine(name).open(url, options)
    except ImportError as missing:
        raise DriverMissing(f"{DRIVERS[name]} cannot be imported there ({missing}): {how_to_install(name)}") from None
    except HarnessError:
        raise
    except Exception as error:  # noqa: BLE001 - a driver's surprise is why there is no session
        raise EngineError(surprise(error)) from None


def serve(channel: Channel) -> None:
    """What the source that travels begins with."""
    Agent(channel).serve()
