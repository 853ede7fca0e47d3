"""Free-running mode: N workers × M iterations of one transaction program, started together, with no schedule.

For anomalies that need load: what a chosen interleaving shows once, this shows as a count.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from harness.engines.base import Statement, Verb
from harness.errors import ScenarioError
from harness.history import ErrorKind, RunEnd
from harness.runner.driver import Driver
from harness.runner.recorder import Recorder, ending
from harness.scenario.model import Case, Session, Step


def workers_of(case: Case) -> list[Session]:
    """The one session of the scenario, once for each worker: ``T`` becomes T1, T2, …"""
    session = case.scenario.sessions[0]
    count = case.scenario.free_running.workers if case.scenario.free_running else 0
    return [_renamed(session, f"{session.name}{number}") for number in range(1, count + 1)]


def _renamed(session: Session, name: str) -> Session:
    def steps(of: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(replace(step, session=name) for step in of)

    return replace(session, name=name, steps=steps(session.steps), setup=steps(session.setup))


class FreeRun:
    """Runs the program; :attr:`counts` holds ``attempted``, ``committed``, ``refused`` and each kind of error."""

    def __init__(self, case: Case, drivers: Sequence[Driver], recorder: Recorder) -> None:
        self._case = case
        self._drivers = drivers
        self._recorder = recorder
        self._lock = threading.Lock()  # the recorder is one thread's: here they take turns
        self._barrier = threading.Barrier(len(drivers))
        self._stop = threading.Event()
        self._failed: ScenarioError | None = None
        self._end = (RunEnd.completed, "")
        self.counts: Counter[str] = Counter()

    def run(self) -> tuple[RunEnd, str]:
        """Run all workers to their end or to the case's deadline. Raises ScenarioError (a value that fails)."""
        threads = [
            threading.Thread(target=self._work, args=(driver,), name=driver.session.name, daemon=True)
            for driver in self._drivers
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + self._case.scenario.case_deadline
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            self._stop.set()
            seconds = self._case.scenario.case_deadline
            done = self.counts["attempted"]
            self._end = (
                RunEnd.hung,
                f"free run not done after {seconds:g} s ({done} iterations): raise 'case_deadline:'",
            )
            for driver in self._drivers:
                driver.cancel()
            for thread in threads:
                thread.join(5.0)
        if self._failed:
            raise self._failed
        return self._end

    def _work(self, driver: Driver) -> None:
        free = self._case.scenario.free_running
        self._barrier.wait()
        for iteration in range(1, (free.iterations if free else 0) + 1):
            if self._stop.is_set():
                return
            kind = self._iterate(driver, iteration)
            with self._lock:
                self.counts["attempted"] += 1
                if kind is None:
                    self.counts["committed"] += 1
                else:
                    self.counts["refused"] += 1
                    self.counts[kind.value] += 1

    def _iterate(self, driver: Driver, iteration: int) -> ErrorKind | None:
        """One transaction; the kind of error that refused it, or None."""
        for step in (*driver.session.setup, *driver.session.steps):
            try:
                prepared = driver.prepare(step)
            except ScenarioError as error:
                self._failed = ScenarioError(f"step {step.name!r}: {error.message}", step.place)
                self._stop.set()
                return ErrorKind.other
            if prepared is None:
                continue
            names = driver.values | dict(step.names)
            with self._lock:
                self._recorder.start(step, prepared, iteration)
            started = time.perf_counter()
            outcome = driver.run(step, prepared)
            seconds = time.perf_counter() - started
            operations = driver.operations(step, outcome, names)
            with self._lock:
                self._recorder.end(step, ending(outcome), outcome, operations, seconds, iteration)
            if outcome.error is not None:
                if outcome.error.kind is ErrorKind.connection:
                    self._end = (RunEnd.lost, f"{driver.session.name} lost its connection: {outcome.error.message}")
                    self._stop.set()
                elif outcome.in_transaction:
                    self._roll_back(driver, step, iteration)
                return outcome.error.kind
        return None

    def _roll_back(self, driver: Driver, step: Step, iteration: int) -> None:
        undo = Step("rollback", driver.session.name, step.database, {"*": "rollback"})
        outcome = driver.connections[step.database].run(Statement(Verb.rollback))
        with self._lock:
            self._recorder.end(undo, ending(outcome), outcome, [], 0.0, iteration)
