"""One case from nothing to its History: databases, set-up, sessions, run, and everything put away again."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from harness.engines.base import Observer, Outcome, SessionOptions
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
from harness.runner.arrivals import Arrivals
from harness.runner.coordinator import Coordinator
from harness.runner.databases import Databases, Made
from harness.runner.driver import Driver, Endpoint, Prepared, captured, prepare
from harness.runner.freerun import FreeRun, workers_of
from harness.runner.recorder import Recorder
from harness.runner.secrecy import Secrecy
from harness.runner.watch import Watch
from harness.runner.worker import Worker, stop_all, surprised, worker_for
from harness.scenario.model import Case, Item, Session, Statements

SETUP_ATTEMPTS = 3
"""A set-up that loses an unplanned deadlock is tried again; a scenario never is."""

MOST_SHOWN = 200
"""Characters of a statement that an error's line repeats."""


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
        self.secrecy = Secrecy(case.scenario.sensitive, case.scenario.parameters)
        self.notes: list[str] = []

    def run(self) -> History:
        began = time.perf_counter()
        recorder = Recorder(self.secrecy)
        with ExitStack() as stack:
            self._make_databases(stack)
            controls = self._controls(stack)
            self._set_up(controls)
            initial = {name: self._item(item, controls) for name, item in self._known_items()}
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
                final = self._final(controls)
                self._tear_down(controls)
        history = History(
            case=self.case.id,
            scenario=self.scenario.id,
            title=self.scenario.title,
            about=self.scenario.about,
            file=str(self.scenario.file),
            engine=self.case.engine,
            level=self.case.level,
            schedule=self.case.schedule.name,
            seed=self.case.schedule.seed,
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
            initial=initial,
            final=final,
            predicates=sorted(predicates),
            events=recorder.events,
            pictures=recorder.pictures,
            reports=reports,
            end=end,
            end_text=text,
            seconds=round(time.perf_counter() - began, 6),
            transactions=dict(counts),
            notes=self.notes,
        )
        return self.secrecy.sealed(history)

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
        with contextlib.suppress(HarnessError):  # a dead server has nothing to be dropped; a live one is swept later
            self.databases.drop(made)

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

    def _controls(self, stack: ExitStack) -> Mapping[str, Connection]:
        """One connection per database, at the engine's default level, for set-up and items."""
        controls = {}
        for alias, endpoint in self.endpoints.items():
            options = SessionOptions(f"{self.label}/control", endpoint.engine.levels[0])
            controls[alias] = endpoint.engine.open(endpoint.url, options)
            stack.callback(controls[alias].close)
        return controls

    def _set_up(self, controls: Mapping[str, Connection]) -> None:
        for alias, statements in self.scenario.setup.items():
            if problem := self._all(statements, alias, controls[alias]):
                raise SetupFailed(f"{self.scenario.file}: set-up fails on {self._where(alias)}: {problem}")

    def _tear_down(self, controls: Mapping[str, Connection]) -> None:
        for alias, statements in self.scenario.teardown.items():
            if problem := self._all(statements, alias, controls[alias]):
                self.notes.append(f"tear-down fails on {self._where(alias)}: {problem}")

    def _where(self, alias: str) -> str:
        return next(placed.label for placed in self.case.databases if placed.alias == alias)

    def _all(self, statements: Statements, alias: str, control: Connection) -> str:
        """Run the engine's statements in order; what went wrong, if it stays after the attempts that it may have."""
        endpoint = self.endpoints[alias]
        for body in statements.get(endpoint.engine.name, statements.get("*", ())):
            try:
                prepared = prepare(body, self.scenario.parameters, endpoint, self.endpoints)
            except ScenarioError as error:
                return error.message
            for attempt in range(1, SETUP_ATTEMPTS + 1):
                error_record = self._ask(control, prepared).error
                if error_record is None:
                    break
                if error_record.kind is not ErrorKind.deadlock or attempt == SETUP_ATTEMPTS:
                    return f"{_said(error_record)}, in: {shortened(prepared.shown)}"
        return ""

    def _ask(self, control: Connection, prepared: Prepared) -> Outcome:
        """Run a statement of the harness's own; it may take as long as a case, not for ever."""
        seconds = self.scenario.case_deadline
        timer = threading.Timer(seconds, control.cancel)
        timer.daemon = True
        timer.start()
        try:
            outcome = control.run(prepared.statement)
        except Exception as error:  # noqa: BLE001 - a driver's surprise is what is wrong with the statement
            outcome = surprised(error)
        finally:
            timer.cancel()
        if outcome.error is not None and outcome.error.kind is ErrorKind.cancelled:
            message = f"it had not ended after {seconds:g} s ('case_deadline:'): {outcome.error.message}"
            outcome.error = outcome.error.model_copy(update={"message": message})
        return outcome

    def _known_items(self) -> Iterator[tuple[str, Item]]:
        """The items that can be read on these engines."""
        for item in self.scenario.items:
            if item.bodies.get(self.endpoints[item.database].engine.name, item.bodies.get("*")) is not None:
                yield item.name, item

    def _item(self, item: Item, controls: Mapping[str, Connection]) -> Any:
        """An item's value now, hidden if it is sensitive. Raises SetupFailed if it cannot be read."""
        endpoint = self.endpoints[item.database]
        body = item.bodies.get(endpoint.engine.name, item.bodies.get("*"))
        assert body is not None
        prepared = prepare(body, self.scenario.parameters, endpoint, self.endpoints)
        outcome = self._ask(controls[item.database], prepared)
        if outcome.error is not None:
            raise SetupFailed(
                f"{self.scenario.file}: item {item.name!r} cannot be read on {self._where(item.database)}: "
                f"{_said(outcome.error)}, in: {shortened(prepared.shown)}"
            )
        value = captured({item.name: item.column}, outcome.results)[item.name]
        return self.secrecy.item(item.name, item.column, outcome.results, value)

    def _final(self, controls: Mapping[str, Connection]) -> dict[str, Any]:
        """The items at the end. One that cannot be read is a note: what happened before must not be lost over it."""
        values = {}
        for name, item in self._known_items():
            try:
                values[name] = self._item(item, controls)
            except SetupFailed as error:
                self.notes.append(f"at the end: {str(error).removeprefix(f'{self.scenario.file}: ')}")
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
        arrivals = Arrivals()
        workers: dict[str, Worker] = {}
        try:
            for name, driver in drivers.items():
                workers[name] = worker_for(driver, arrivals)
            return Coordinator(self.case, workers, watch, recorder, arrivals).run()
        finally:
            stop_all(workers.values())
            arrivals.close()

    def _reports(self, watch: Watch, recorder: Recorder) -> list[Any]:
        where = [
            event.database
            for event in recorder.events
            if event.kind is EventKind.error and event.error and event.error.kind is ErrorKind.deadlock
        ]
        with contextlib.suppress(EngineError):
            return list(watch.deadlock_reports(where))
        return []


def _said(error: ErrorRecord) -> str:
    return f"{error.message} ({error.code})"


def shortened(text: str) -> str:
    """A statement as it fits into an error's line."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _session_record(driver: Driver) -> SessionRecord:
    return SessionRecord(
        name=driver.session.name,
        host=socket.gethostname(),
        pids={alias: connection.pid for alias, connection in driver.connections.items()},
        observed_levels={alias: connection.observed_level for alias, connection in driver.connections.items()},
        notes=[note for connection in driver.connections.values() for note in connection.notes],
    )
