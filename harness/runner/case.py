"""One case from nothing to its History: databases, set-up, sessions, run, and everything put away again."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from typing import Any

from harness.engines.base import Observer, SessionOptions
from harness.engines.base import Session as Connection
from harness.errors import EngineError, HarnessError, ScenarioError, ServerUnavailable, SetupFailed
from harness.history import (
    DatabaseRecord,
    ErrorKind,
    ErrorRecord,
    EventKind,
    History,
    RunEnd,
    ScheduledStep,
    SessionRecord,
)
from harness.runner.coordinator import Coordinator
from harness.runner.databases import Databases, Made
from harness.runner.driver import Driver, Endpoint, captured, prepare
from harness.runner.freerun import FreeRun, workers_of
from harness.runner.recorder import Recorder
from harness.runner.watch import Watch
from harness.runner.worker import Completion, ThreadWorker
from harness.scenario.model import Case, Session, Statements

SETUP_ATTEMPTS = 3
"""A set-up that loses an unplanned deadlock is tried again; a scenario never is."""


def run_case(case: Case, databases: Databases) -> History:
    """Run ``case`` once on throw-away databases.

    Raises ServerUnavailable (skip), ServerError, EngineError, SetupFailed, ScenarioError. Whatever happens, sessions are
    closed and databases dropped when it returns.
    """
    return _Run(case, databases).run()


class _Run:
    def __init__(self, case: Case, databases: Databases) -> None:
        self.case = case
        self.scenario = case.scenario
        self.databases = databases
        self.label = f"psh:{databases.run}/{case.scenario.id}"
        self.made: dict[str, Made] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.notes: list[str] = []

    def run(self) -> History:
        began = time.perf_counter()
        with ExitStack() as stack:
            self._make_databases(stack)
            with self._controls() as controls:
                self._set_up(controls)
                initial = self._items(controls)
            recorder = Recorder(self.scenario.sensitive)
            predicates = frozenset(item.name for item in self.scenario.items if item.predicate)
            sessions = workers_of(self.case) if self.scenario.free_running else list(self.scenario.sessions)
            drivers = self._drivers(stack, sessions, predicates)
            watch = self._watch(stack, drivers)
            counts: Mapping[str, int] = {}
            recorder.begin()
            if self.scenario.free_running:
                free = FreeRun(self.case, list(drivers.values()), recorder)
                end, text = free.run()
                counts = dict(free.counts)
            else:
                end, text = self._coordinate(drivers, watch, recorder)
            reports = [] if end is RunEnd.lost else self._reports(watch, recorder)
            records = [_session_record(driver) for driver in drivers.values()]
            for driver in drivers.values():
                driver.close()  # before the final read: an open transaction may block it
            final: dict[str, Any] = {}
            if end is not RunEnd.lost:
                with self._controls() as controls:
                    final = self._items(controls)
                    self._tear_down(controls)
        return History(
            case=self.case.id,
            scenario=self.scenario.id,
            title=self.scenario.title,
            about=self.scenario.about,
            file=str(self.scenario.file),
            engine=self.case.engine,
            level=self.case.level,
            schedule=self.case.schedule.name,
            mode="free-running" if self.scenario.free_running else "scheduled",
            entries=[
                ScheduledStep(
                    step=entry.step,
                    session=self.scenario.step(entry.step).session,
                    must_block=entry.blocks,
                    after=entry.until,
                )
                for entry in self.case.schedule.entries
            ],
            databases=self._database_records(),
            sessions=records,
            initial=recorder.items(initial),
            final=recorder.items(final),
            predicates=sorted(predicates),
            events=recorder.events,
            pictures=recorder.pictures,
            reports=reports,
            end=end,
            end_text=text,
            seconds=round(time.perf_counter() - began, 6),
            transactions=dict(counts),
        )

    # -- databases

    def _make_databases(self, stack: ExitStack) -> None:
        for placed in self.case.databases:
            made = self.databases.make(placed.logical, [placed.level])
            stack.callback(self._drop, made)
            if made.engine.name != placed.engine:
                raise EngineError(
                    f"{placed.logical} is on {made.engine.name} now, it was {placed.engine} when tests were collected"
                )
            known = made.admin.capabilities.levels
            if known and placed.level not in known:
                product = made.admin.capabilities.product
                raise ServerUnavailable(f"{placed.logical}: {product} does not give {placed.level!r}")
            self.made[placed.alias] = made
            self.endpoints[placed.alias] = Endpoint(
                placed.alias, made.engine, made.url, placed.level, made.name, made.server
            )

    def _drop(self, made: Made) -> None:
        try:
            self.databases.drop(made)
        except HarnessError:
            self.databases.forget(made.target.logical)  # a dead server: its next user connects anew

    def _database_records(self) -> list[DatabaseRecord]:
        return [
            DatabaseRecord(
                alias=placed.alias,
                logical=placed.logical,
                engine=placed.engine,
                version=self.made[placed.alias].admin.capabilities.version,
                product=self.made[placed.alias].admin.capabilities.product,
                server=self.made[placed.alias].server,
                name=self.made[placed.alias].name,
                stand_in=placed.stand_in,
                capabilities=self.made[placed.alias].admin.capabilities.as_record(),
            )
            for placed in self.case.databases
        ]

    # -- the harness's own sessions

    @contextmanager
    def _controls(self) -> Iterator[Mapping[str, Connection]]:
        """One connection per database, at the engine's default level, for set-up and items."""
        with ExitStack() as stack:
            controls = {}
            for alias, endpoint in self.endpoints.items():
                level = endpoint.level if endpoint.engine.name == "sqlserver" else endpoint.engine.levels[0]
                control = endpoint.engine.open(endpoint.url, SessionOptions(f"{self.label}/control", level))
                stack.callback(control.close)
                controls[alias] = control
            yield controls

    def _set_up(self, controls: Mapping[str, Connection]) -> None:
        for alias, statements in self.scenario.setup.items():
            error = self._all(statements, alias, controls[alias])
            if error is not None:
                raise SetupFailed(
                    f"{self.scenario.file}: set-up fails on {self._where(alias)}: {error.message} ({error.code})"
                )

    def _tear_down(self, controls: Mapping[str, Connection]) -> None:
        for alias, statements in self.scenario.teardown.items():
            error = self._all(statements, alias, controls[alias])
            if error is not None:
                self.notes.append(f"tear-down fails on {self._where(alias)}: {error.message} ({error.code})")

    def _where(self, alias: str) -> str:
        return next(placed.label for placed in self.case.databases if placed.alias == alias)

    def _all(self, statements: Statements, alias: str, control: Connection) -> ErrorRecord | None:
        """Run the engine's statements in order; the first error, if it stays after the attempts it may have."""
        endpoint = self.endpoints[alias]
        bodies = statements.get(endpoint.engine.name, statements.get("*", ()))
        for body in bodies:
            try:
                prepared = prepare(body, self.scenario.parameters, endpoint, self.endpoints)
            except ScenarioError as error:
                return ErrorRecord(kind=ErrorKind.other, code="value", message=error.message)
            for attempt in range(1, SETUP_ATTEMPTS + 1):
                error_record = control.run(prepared.statement).error
                if error_record is None:
                    break
                if error_record.kind is not ErrorKind.deadlock or attempt == SETUP_ATTEMPTS:
                    return error_record
        return None

    def _items(self, controls: Mapping[str, Connection]) -> dict[str, Any]:
        values = {}
        for item in self.scenario.items:
            endpoint = self.endpoints[item.database]
            body = item.bodies.get(endpoint.engine.name, item.bodies.get("*"))
            if body is None:
                continue
            prepared = prepare(body, self.scenario.parameters, endpoint, self.endpoints)
            outcome = controls[item.database].run(prepared.statement)
            if outcome.error is not None:
                raise SetupFailed(
                    f"{self.scenario.file}: item {item.name!r} cannot be read on {self._where(item.database)}: "
                    f"{outcome.error.message} ({outcome.error.code})"
                )
            values[item.name] = captured({item.name: item.column}, outcome.results)[item.name]
        return values

    # -- the scenario's sessions

    def _drivers(self, stack: ExitStack, sessions: list[Session], predicates: frozenset[str]) -> dict[str, Driver]:
        drivers = {}
        for session in sessions:
            label = f"{self.label}/{session.name}"
            drivers[session.name] = Driver(session, self.endpoints, self.scenario.parameters, predicates, label)
            stack.callback(drivers[session.name].close)
        return drivers

    def _watch(self, stack: ExitStack, drivers: Mapping[str, Driver]) -> Watch:
        observers: dict[str, Observer] = {}
        if not self.scenario.free_running:
            for alias, endpoint in self.endpoints.items():
                if self.made[alias].admin.capabilities.waits:
                    observers[alias] = endpoint.engine.observe(endpoint.url, self.databases.run)
                    stack.callback(observers[alias].close)
        return Watch(observers, drivers, self.endpoints)

    def _coordinate(self, drivers: Mapping[str, Driver], watch: Watch, recorder: Recorder) -> tuple[RunEnd, str]:
        completions: SimpleQueue[Completion] = SimpleQueue()
        workers = {name: ThreadWorker(driver, completions) for name, driver in drivers.items()}
        try:
            return Coordinator(self.case, workers, watch, recorder, completions).run()
        finally:
            for worker in workers.values():
                worker.stop()

    def _reports(self, watch: Watch, recorder: Recorder) -> list[Any]:
        where = [
            event.database
            for event in recorder.events
            if event.kind is EventKind.error and event.error and event.error.kind is ErrorKind.deadlock
        ]
        with contextlib.suppress(EngineError):
            return list(watch.deadlock_reports(where))
        return []


def _session_record(driver: Driver) -> SessionRecord:
    return SessionRecord(
        name=driver.session.name,
        host=socket.gethostname(),
        pids={alias: connection.pid for alias, connection in driver.connections.items()},
        observed_levels={alias: connection.observed_level for alias, connection in driver.connections.items()},
        notes=[note for connection in driver.connections.values() for note in connection.notes],
    )
