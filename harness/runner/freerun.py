"""Free-running mode: N workers × M iterations of one transaction program, started together, with no schedule.

For anomalies that need load: what a chosen interleaving shows once, this shows as a count.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.answers import ErrorKind
from harness.engines.base import Outcome, Statement, Verb, surprised
from harness.errors import ScenarioError
from harness.history import RunEnd
from harness.runner.driver import Driver, Prepared
from harness.runner.recorder import Recorder, Run, ending
from harness.scenario.model import Case, Session, Step

CANCEL_GRACE = 5.0
"""Seconds that the workers have to end after their statements were cancelled."""


def sessions_of(case: Case) -> list[Session]:
    """The sessions of a case; in a free run the scenario's one, once for each worker: ``T`` becomes T1, T2, …"""
    if case.scenario.free_running is None:
        return list(case.scenario.sessions)
    session = case.scenario.sessions[0]
    return [_renamed(session, f"{session.name}{i}") for i in range(1, case.scenario.free_running.workers + 1)]


def _renamed(session: Session, name: str) -> Session:
    def steps(of: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(replace(step, session=name) for step in of)

    return replace(session, name=name, steps=steps(session.steps), setup=steps(session.setup), teardown=())


class FreeRun:
    """Runs the program; :attr:`counts` holds ``attempted``, ``committed``, ``refused`` and each kind of error."""

    def __init__(self, case: Case, drivers: Sequence[Driver], recorder: Recorder) -> None:
        self._case = case
        self._drivers = drivers
        self._recorder = recorder
        self._lock = threading.Lock()  # recorder, counts and the preparing of steps: one worker at a time
        self._start = threading.Barrier(len(drivers))
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self._end = (RunEnd.completed, "")
        self.counts: Counter[str] = Counter()

    def run(self) -> tuple[RunEnd, str]:
        """Run all workers to their end or to the case's deadline. Raises ScenarioError (a value that fails)."""
        threads = [
            threading.Thread(target=self._work, args=(driver,), name=driver.session.name, daemon=True)
            for driver in self._drivers
        ]
        try:
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + self._case.scenario.case_deadline
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            if any(thread.is_alive() for thread in threads):
                self._end = (
                    RunEnd.hung,
                    f"free run not done after {self._case.scenario.case_deadline:g} s "
                    f"({self.counts['attempted']} iterations): raise 'case_deadline:'",
                )
        finally:  # also when a thread could not be started, or somebody pressed Ctrl-C
            self._end_all([thread for thread in threads if thread.is_alive()])
        if self._failed:
            raise self._failed
        return self._end

    def _end_all(self, threads: list[threading.Thread]) -> None:
        self._stop.set()
        if threads:
            self._start.abort()
        deadline = time.monotonic() + CANCEL_GRACE
        while threads and time.monotonic() < deadline:
            for driver in self._drivers:  # again and again: a worker may have been between two statements
                driver.cancel()
            threads[0].join(0.1)
            threads = [thread for thread in threads if thread.is_alive()]

    def _work(self, driver: Driver) -> None:
        free = self._case.scenario.free_running
        try:
            self._start.wait()
            for iteration in range(1, (free.iterations if free else 0) + 1):
                if self._stop.is_set():
                    return
                kind = self._iterate(driver, iteration)
                with self._lock:
                    self.counts["attempted"] += 1
                    self.counts["committed" if kind is None else "refused"] += 1
                    if kind is not None:
                        self.counts[kind.value] += 1
        except threading.BrokenBarrierError:
            return
        except BaseException as error:  # noqa: BLE001 - a worker that dies unheard would be missing in the counts
            self._failed = self._failed or error
            self._stop.set()

    def _iterate(self, driver: Driver, iteration: int) -> ErrorKind | None:
        """One transaction; the kind of error that refused it, or None."""
        in_transaction: dict[str, Step] = {}  # database → the step after which it has a transaction open
        for step in (*driver.session.setup, *driver.session.steps):
            if self._stop.is_set():
                self._roll_back(driver, in_transaction, iteration)
                return ErrorKind.cancelled
            with self._lock:
                prepared = self._prepare(driver, step)
                if prepared is None:
                    continue
                self._recorder.start(Run(step, iteration), prepared)
            outcome = self._run(driver, step, prepared, iteration)
            if outcome.in_transaction:
                in_transaction[step.database] = step
            else:
                in_transaction.pop(step.database, None)
            if outcome.error is None:
                continue
            if outcome.error.kind is ErrorKind.connection:
                self._end = (RunEnd.lost, f"{driver.session.name} lost its connection: {outcome.error.message}")
                self._stop.set()
            else:
                self._roll_back(driver, in_transaction, iteration)
            return outcome.error.kind
        return None

    def _prepare(self, driver: Driver, step: Step) -> Prepared | None:
        try:
            return driver.prepare(step)
        except ScenarioError as error:
            raise ScenarioError(f"step {step.name!r}: {error.message}", step.place) from None

    def _run(self, driver: Driver, step: Step, prepared: Prepared, iteration: int) -> Outcome:
        started = time.perf_counter()
        try:
            outcome = driver.run(step, prepared)
        except Exception as error:  # noqa: BLE001 - a driver's surprise ends the step, not the worker
            outcome = surprised(error)
        seconds = time.perf_counter() - started
        with self._lock:
            operations = driver.operations(step, prepared, outcome)
            self._recorder.end(Run(step, iteration), ending(outcome), outcome, operations, seconds)
        return outcome

    def _roll_back(self, driver: Driver, in_transaction: Mapping[str, Step], iteration: int) -> None:
        for step in in_transaction.values():
            undo = Step("rollback", driver.session.name, step.database, {"*": "rollback"})
            prepared = Prepared(Statement(Verb.rollback), "rollback")
            with self._lock:
                self._recorder.start(Run(undo, iteration), prepared)
            self._run(driver, undo, prepared, iteration)
