"""A session's own thread. Steps go in one at a time; what became of them comes out of a queue that all sessions share."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from harness.engines.base import Outcome
from harness.history import ErrorKind, ErrorRecord
from harness.runner.driver import Driver, Prepared
from harness.scenario.model import Step


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

    def stop(self) -> None:
        """End: roll back, disconnect; waits a little for a step that is still running."""
        ...


class ThreadWorker:
    """A driver in a thread of its own."""

    def __init__(self, driver: Driver, completions: SimpleQueue[Completion]) -> None:
        self.driver = driver
        self._completions = completions
        self._inbox: SimpleQueue[tuple[Step, Prepared] | None] = SimpleQueue()
        # A daemon: a step that cannot be cancelled must not keep the harness from ending.
        self._thread = threading.Thread(target=self._work, name=driver.session.name, daemon=True)
        self._thread.start()

    def start(self, step: Step, prepared: Prepared) -> None:
        """Hand the step to the thread."""
        self._inbox.put((step, prepared))

    def _work(self) -> None:
        run, name = self.driver.run, self.driver.session.name
        while (order := self._inbox.get()) is not None:
            step, prepared = order
            try:
                outcome = run(step, prepared)
            except Exception as error:  # noqa: BLE001 - a driver's surprise must end the step, not the thread
                text = f"{type(error).__name__}: {error}"
                outcome = Outcome(error=ErrorRecord(kind=ErrorKind.other, code="harness", message=text))
            self._completions.put(Completion(name, step, outcome, time.perf_counter()))

    def cancel(self) -> None:
        """Ask the server to stop the statement."""
        self.driver.cancel()

    def stop(self) -> None:
        """Cancel what runs, end the thread, close the connections."""
        self._inbox.put(None)
        self._thread.join(0.2)
        if self._thread.is_alive():
            self.driver.cancel()
            self._thread.join(3.0)
        self.driver.close()
