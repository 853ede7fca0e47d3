"""Where the endings of steps arrive: from threads through a queue, from polled sessions through their sockets.

To the coordinator it is one queue. When nothing is polled it is exactly that; when something is, the calling thread waits
on the sockets itself, and a thread that ends a step meanwhile wakes it through a socket of its own.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

from harness.engines.base import Outcome
from harness.runner.meanwhile import Meanwhile
from harness.scenario.model import Step


@dataclass(frozen=True, slots=True)
class Completion:
    """A step that has ended; ``finished`` is the monotonic clock of the thread that ran it."""

    session: str
    step: Step
    outcome: Outcome
    finished: float


class Polled(Protocol):
    """Something that runs a step and is asked for its end by a socket."""

    def fileno(self) -> int:
        """The socket to wait on; -1 if there is none any more."""
        ...

    def poll(self) -> Completion | None:
        """The step's end, if it has come; never waits."""
        ...


class Arrivals:
    """A queue of completions. :meth:`get` and what is polled belong to one thread; :meth:`put` may come from any."""

    def __init__(self, meanwhile: Meanwhile | None = None) -> None:
        self._meanwhile = meanwhile or Meanwhile()
        self._queue: SimpleQueue[Completion] = SimpleQueue()
        self._polled: list[Polled] = []
        self._waker: socket.socket | None = None  # threads write to it, `get` waits on the other end
        self._woken: socket.socket | None = None

    def put(self, completion: Completion) -> None:
        """A thread's step has ended."""
        self._queue.put(completion)
        if self._waker is not None:
            with contextlib.suppress(OSError):  # full: it is awake already; closed: nobody waits any more
                self._waker.send(b".")

    def threads_too(self) -> None:
        """There are threads beside what is polled: let them wake the one that waits."""
        if self._waker is None:
            self._woken, self._waker = socket.socketpair()
            self._waker.setblocking(False)
            self._woken.setblocking(False)

    def poll(self, polled: Polled) -> None:
        """A step has been begun that is to be polled."""
        self._polled.append(polled)

    def get(self, timeout: float) -> Completion:
        """The next ending; waits up to ``timeout`` seconds, then raises ``queue.Empty``."""
        if not self._polled:
            return self._queue.get(timeout=timeout)
        deadline = time.perf_counter() + timeout
        while (left := deadline - time.perf_counter()) > 0:
            if (completion := self._look(left)) is not None:
                return completion
        raise Empty

    def get_nowait(self) -> Completion:
        """The next ending that is there; raises ``queue.Empty`` if none is."""
        if self._polled and (completion := self._look(0.0)) is not None:
            return completion
        return self._queue.get_nowait()

    def _look(self, seconds: float) -> Completion | None:
        """Wait for any socket, and take the first ending found: the step that was begun first comes first."""
        if not self._queue.empty():
            return self._queue.get_nowait()
        numbers = [polled.fileno() for polled in self._polled]
        if self._woken is not None:
            numbers.append(self._woken.fileno())
        ready = self._meanwhile.readable(numbers, seconds)
        if self._woken is not None and self._woken.fileno() in ready:
            with contextlib.suppress(OSError):
                self._woken.recv(4096)
        for polled, number in zip(self._polled, numbers, strict=False):
            if number in ready and (completion := polled.poll()) is not None:
                self._polled.remove(polled)
                return completion
        return None

    def close(self) -> None:
        """Close the sockets between threads."""
        for end in (self._waker, self._woken):
            if end is not None:
                end.close()
        self._waker = self._woken = None
