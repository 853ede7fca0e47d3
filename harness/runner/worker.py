"""A session's own thread. Steps go in one at a time; what became of them comes out of a queue that all sessions share."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from harness.engines.base import Outcome
from harness.history import ErrorKind, ErrorRecord
from harness.runner.driver import Driver, Prepared
from harness.scenario.model import Step

STOP_GRACE = 3.0
"""Seconds that a cancelled step has to end before its thread is left behind."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A step that has ended; ``finished`` is the monotonic clock of the thread that ran it."""

    session: str
    step: Step
    outcome: Outcome
    finished: float


class Worker(Protocol):
    """A session that can be given steps: here a thread, elsewhere an agent on another machine."""

    driver: Driver

    def start(self, step: Step, prepared: Prepared) -> None:
        """Begin a step; its Completion arrives on the queue that the worker was made with."""
        ...

    def cancel(self) -> None:
        """Stop the step that is running; its Completion still arrives."""
        ...

    def leave(self) -> None:
        """Begin to end: no step comes after the one that may be running, and that one is cancelled."""
        ...

    def stop(self) -> None:
        """End: roll back, disconnect; waits a little for a step that is still running."""
        ...


class ThreadWorker:
    """A driver in a thread of its own."""

    def __init__(self, driver: Driver, completions: SimpleQueue[Completion]) -> None:
        self.driver = driver
        self._completions = completions
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
            self._completions.put(Completion(name, step, outcome, time.perf_counter()))

    def cancel(self) -> None:
        """Ask the server to stop the statement."""
        self.driver.cancel()

    def leave(self) -> None:
        """Cancel what runs; the thread ends after it."""
        if not self._left:
            self._left = True
            self._inbox.put(None)
            if self._busy:
                self.driver.cancel()

    def stop(self) -> None:
        """Cancel what runs, end the thread, close the connections."""
        self.leave()
        deadline = time.monotonic() + STOP_GRACE
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._thread.join(0.1)
            if self._busy:  # again: the first time it may not have reached the server yet
                self.driver.cancel()
        self.driver.close()


def stop_all(workers: Collection[Worker]) -> None:
    """End them side by side: first all are told, then each is waited for."""
    for worker in workers:
        worker.leave()
    for worker in workers:
        worker.stop()


def surprised(error: Exception) -> Outcome:
    """What a driver raised and no engine foresaw, as the end of a step."""
    text = f"the driver raised {type(error).__name__}: {' '.join(str(error).split())}"
    return Outcome(error=ErrorRecord(kind=ErrorKind.other, code="harness", message=text))
