"""What runs the steps of one session: a thread of its own, or, where the driver lets it, the coordinator's through a socket.

Steps go in one at a time; what became of them arrives where all endings do, at :class:`~harness.runner.arrivals.Arrivals`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from queue import SimpleQueue
from typing import Protocol

from harness.engines.base import Notice, Notification, Outcome, Pollable, pollable, surprised
from harness.engines.waiting import readable
from harness.runner.arrivals import Arrivals, Completion
from harness.runner.driver import Driver, Prepared
from harness.scenario.model import Step

STOP_GRACE = 3.0
"""Seconds that a cancelled step has to end before its thread is left behind."""


class Worker(Protocol):
    """A session that can be given steps: here a thread or a socket, elsewhere an agent on another machine."""

    driver: Driver

    def start(self, step: Step, prepared: Prepared) -> None:
        """Begin a step; its Completion arrives at the Arrivals that the worker was made with."""
        ...

    def cancel(self) -> None:
        """Stop the step that is running; its Completion still arrives."""
        ...

    def notices(self, step: Step) -> list[Notice]:
        """What the server has said while the step runs, as far as the driver tells before its end."""
        ...

    def notifications(self, step: Step) -> list[Notification]:
        """What other sessions have sent to the connection that ran the step."""
        ...

    def connected(self, step: Step) -> bool:
        """Whether the connection that the step would use is there, as far as the driver knows."""
        ...

    def leave(self) -> None:
        """Begin to end: no step comes after the one that may be running, and that one is cancelled."""
        ...

    def stop(self, *, disconnect: bool = True) -> None:
        """End: roll back, disconnect (unless others go on with the connections); waits a little for a running step."""
        ...


class ThreadWorker:
    """A driver in a thread of its own."""

    def __init__(self, driver: Driver, arrivals: Arrivals) -> None:
        self.driver = driver
        self._arrivals = arrivals
        arrivals.threads_too()
        self._inbox: SimpleQueue[tuple[Step, Prepared] | None] = SimpleQueue()
        self._busy = False
        self._left = False
        # A daemon: a step that cannot be cancelled must not keep the harness from ending.
        self._thread = threading.Thread(target=self._work, name=driver.session.name, daemon=True)
        self._thread.start()

    def start(self, step: Step, prepared: Prepared) -> None:
        """Hand the step to the thread."""
        self._busy = True
        self._inbox.put((step, prepared))

    def _work(self) -> None:
        run, name = self.driver.run, self.driver.session.name
        while (order := self._inbox.get()) is not None:
            step, prepared = order
            try:
                outcome = run(step, prepared)
            except Exception as error:  # noqa: BLE001 - a driver's surprise must end the step, not the thread
                outcome = surprised(error)
            self._busy = False
            self._arrivals.put(Completion(name, step, outcome, time.perf_counter()))

    def cancel(self) -> None:
        """Ask the server to stop the statement."""
        self.driver.cancel()

    def notices(self, step: Step) -> list[Notice]:
        """None before the step's end: the driver blocks until then."""
        return []

    def notifications(self, step: Step) -> list[Notification]:
        """None: no driver of this kind hears of any."""
        return []

    def connected(self, step: Step) -> bool:
        """True: only the step itself could tell."""
        return True

    def leave(self) -> None:
        """Cancel what runs; the thread ends after it."""
        if not self._left:
            self._left = True
            self._inbox.put(None)
            if self._busy:
                self.driver.cancel()

    def stop(self, *, disconnect: bool = True) -> None:
        """Cancel what runs, end the thread, close the connections."""
        self.leave()
        deadline = time.monotonic() + STOP_GRACE
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._thread.join(0.1)
            if self._busy:  # again: the first time it may not have reached the server yet
                self.driver.cancel()
        if disconnect:
            self.driver.close()


class PolledWorker:
    """A driver whose connections can all be polled: its steps are begun and asked for by the coordinator's own thread."""

    def __init__(self, driver: Driver, arrivals: Arrivals) -> None:
        self.driver = driver
        self._arrivals = arrivals
        self._sessions = {alias: connection for alias, connection in driver.connections.items() if pollable(connection)}
        self._step: Step | None = None
        self._session: Pollable | None = None
        self._surprise: Outcome | None = None

    def start(self, step: Step, prepared: Prepared) -> None:
        """Send the step."""
        self._step, self._session = step, self._sessions[step.database]
        self._surprise = None
        try:
            self._session.send(prepared.statement)
        except Exception as error:  # noqa: BLE001 - a driver's surprise must end the step, not the run
            self._surprise = surprised(error)
        self._arrivals.poll(self)

    def fileno(self) -> int:
        """The socket of the connection that runs the step."""
        return self._session.fileno() if self._session is not None and self._surprise is None else -1

    def poll(self) -> Completion | None:
        """The step's end, if it has come."""
        if self._step is None or self._session is None:
            return None
        try:
            outcome = self._surprise or self._session.receive()
        except Exception as error:  # noqa: BLE001 - a driver's surprise must end the step, not the run
            outcome = surprised(error)
        if outcome is None:
            return None
        step, self._step = self._step, None
        self.driver.keep(step, outcome)
        return Completion(self.driver.session.name, step, outcome, time.perf_counter())

    def cancel(self) -> None:
        """Ask the server to stop the statement."""
        self.driver.cancel()

    def notices(self, step: Step) -> list[Notice]:
        """What has come over the socket so far."""
        return self._sessions[step.database].take_notices()

    def notifications(self, step: Step) -> list[Notification]:
        """What has come over the socket so far."""
        return self._sessions[step.database].take_notifications()

    def connected(self, step: Step) -> bool:
        """Whether the socket is open."""
        return self._sessions[step.database].fileno() != -1

    def leave(self) -> None:
        """Cancel what runs."""
        if self._step is not None:
            self.driver.cancel()

    def stop(self, *, disconnect: bool = True) -> None:
        """Wait a little for what was cancelled, close the connections."""
        deadline = time.monotonic() + STOP_GRACE
        while self._step is not None and self.poll() is None and time.monotonic() < deadline:
            if not readable([self.fileno()], 0.1):
                self.driver.cancel()  # again: the first time it may not have reached the server yet
        if disconnect:
            self.driver.close()


def worker_for(driver: Driver, arrivals: Arrivals) -> Worker:
    """Polled where every connection of the session can be, else a thread."""
    polled = all(pollable(connection) for connection in driver.connections.values())
    return PolledWorker(driver, arrivals) if polled else ThreadWorker(driver, arrivals)


def stop_all(workers: Collection[Worker], *, disconnect: bool = True) -> None:
    """End them side by side: first all are told, then each is waited for."""
    for worker in workers:
        worker.leave()
    for worker in workers:
        worker.stop(disconnect=disconnect)
