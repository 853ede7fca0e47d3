"""One case from nothing to its History: databases, set-up, sessions, run, and everything put away again."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from harness.answers import DeadlockReport, ErrorKind, ErrorRecord
from harness.engines.base import Outcome, pollable, surprised
from harness.engines.base import Session as Connection
from harness.errors import EngineError, ScenarioError, SetupFailed
from harness.history import Event, EventKind, History, HostRecord, Phase, RunEnd, ScheduledStep, StepPlan
from harness.runner.arrivals import Arrivals
from harness.runner.board import NO_COMMAND
from harness.runner.coordinator import Coordinator
from harness.runner.databases import Databases
from harness.runner.driver import Prepared, captured, prepare
from harness.runner.freerun import FreeRun
from harness.runner.meanwhile import Meanwhile
from harness.runner.plans import StepPlans
from harness.runner.recorder import Recorder
from harness.runner.remote.places import HERE, Hosts
from harness.runner.secrecy import Secrecy
from harness.runner.stage import Stage
from harness.runner.touching import StepTouches
from harness.runner.worker import Worker, stop_all, worker_for
from harness.scenario.conflicts_model import Access
from harness.scenario.model import Case, Item, Statements

SETUP_ATTEMPTS = 3
"""A set-up that loses an unplanned deadlock is tried again; a scenario never is."""

MOST_SHOWN = 200
"""Characters of a statement that an error's line repeats."""


def run_case(case: Case, databases: Databases, hosts: Hosts | None = None) -> History:
    """Run ``case`` once on throw-away databases.

    Raises ServerUnavailable (skip), ServerError, EngineError, HostError, SetupFailed, ScenarioError. Whatever happens,
    sessions are closed and databases dropped when it returns.
    """
    with Stage(case, databases, hosts=hosts) as stage:
        return Play(case, stage).run().history()


class Play:
    """A case, run once on a stage; a ``shared`` scenario leaves its sessions connected.

    Running it and telling of it are two things: while the next case runs there is time for the second.
    """

    def __init__(self, case: Case, stage: Stage, *, touching: bool = False) -> None:
        self.case = case
        self.touched: Mapping[str, frozenset[Access]] = {}  # by step, if ``touching``
        self._touching = touching
        self.scenario = case.scenario
        self.stage = stage
        self.secrecy = Secrecy(case.scenario.sensitive, case.scenario.parameters)
        self.recorder = Recorder(self.secrecy)
        self.end = (RunEnd.completed, "")
        self.notes: list[str] = []
        self.control: list[Event] = []
        self._initial: dict[str, Any] = {}
        self._final: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._reports: list[DeadlockReport] = []
        self._plans: list[StepPlan] = []
        self._hosts: list[HostRecord] = []
        self._seconds = 0.0

    def run(self) -> Self:
        """Run it. Raises as :func:`run_case`."""
        began = time.perf_counter()
        try:
            self._run(self.recorder)
        finally:
            self._seconds = round(time.perf_counter() - began, 6)
        return self

    def _run(self, recorder: Recorder) -> None:
        stage, scenario = self.stage, self.scenario
        if scenario.shared:
            stage.connect_once(self.case)
        else:
            stage.connect_controls()
        try:
            self._set_up()
        except SetupFailed as error:
            if not scenario.shared:
                raise
            recorder.mark_end()
            self.end = (RunEnd.not_begun, str(error))
            return
        self._initial = {name: self._item(item) for name, item in self._known_items()}
        if not scenario.shared:
            stage.connect_sessions(self.case)
        recorder.begin()
        if scenario.free_running:
            free = FreeRun(self.case, list(stage.drivers.values()), recorder)
            self.end = free.run()
            self._counts = dict(free.counts)
            stage.end_lost_sessions()
        else:
            self.end = self._coordinate(recorder)
        end = self.end[0]
        self._hosts = stage.hosts()
        cut_off = any(host.lost for host in self._hosts)
        if cut_off:  # a victim there cannot tell any more that it was one: the servers may
            self._reports = self._deadlock_reports(list(stage.endpoints))
        elif end is not RunEnd.lost:
            self._reports = self._deadlock_reports(recorder.deadlocks)
        if not scenario.shared:
            stage.close_sessions()  # before the final read: an open transaction may block it
        if end is RunEnd.completed or (end is not RunEnd.lost and not scenario.shared):
            self._final = self._read_final()
            self._tear_down()

    def history(self) -> History:
        """What happened, once it has been run."""
        scenario, schedule = self.scenario, self.case.schedule
        history = History(
            case=self.case.id,
            scenario=scenario.id,
            title=scenario.title,
            about=scenario.about,
            file=str(scenario.file),
            engine=self.case.engine,
            level=self.case.level,
            schedule=schedule.name,
            seed=schedule.seed,
            matrix=scenario.matrix.get(self.case.engine),
            mode="free-running" if scenario.free_running else "scheduled",
            entries=[
                ScheduledStep(
                    step=entry.step,
                    session=scenario.step(entry.step).session,
                    must_block=entry.blocks,
                    after=entry.until,
                )
                for entry in schedule.entries
            ],
            databases=self.stage.records(),
            sessions=self.stage.sessions(),
            hosts=self._hosts,
            controller=HERE.name if self._hosts else "",
            initial=self._initial,
            final=self._final,
            predicates=sorted(item.name for item in scenario.items if item.predicate),
            events=self.recorder.events,
            control=self.control,
            pictures=self.recorder.pictures,
            reports=self._reports,
            plans=self._plans,
            end=self.end[0],
            end_text=self.end[1],
            last=self.recorder.last if self.end[0] is not RunEnd.completed else 0,
            seconds=self._seconds,
            transactions=self._counts,
            notes=self.notes,
        )
        return self.secrecy.sealed(history)

    # -- the harness's own sessions

    def _set_up(self) -> None:
        for alias, statements in self.scenario.setup.items():
            if problem := self._all(statements, alias, Phase.setup):
                raise SetupFailed(f"{self.scenario.file}: set-up fails on {self.stage.where(alias)}: {problem}")

    def _tear_down(self) -> None:
        for alias, statements in self.scenario.teardown.items():
            if problem := self._all(statements, alias, Phase.teardown):
                self.notes.append(f"tear-down fails on {self.stage.where(alias)}: {problem}")

    def _all(self, statements: Statements, alias: str, phase: Phase) -> str:
        """Run the engine's statements in order; what went wrong, if it stays after the attempts that it may have."""
        endpoint = self.stage.endpoints[alias]
        for body in statements.get(endpoint.engine.name, statements.get("*", ())):
            try:
                prepared = prepare(body, self.scenario.parameters, endpoint, self.stage.endpoints)
            except ScenarioError as error:
                return error.message
            for attempt in range(1, SETUP_ATTEMPTS + 1):
                outcome = self._ask(self.stage.controls[alias], prepared)
                if outcome.empty and self.scenario.as_text:
                    outcome.error = NO_COMMAND
                error_record = outcome.error
                if error_record is None:
                    break
                if error_record.kind is not ErrorKind.deadlock or attempt == SETUP_ATTEMPTS:
                    break
            self._note(outcome, alias, phase, prepared)
            if error_record is not None:
                return f"{_said(error_record)}, in: {shortened(prepared.shown)}"
        return ""

    def _note(self, outcome: Outcome, alias: str, phase: Phase, prepared: Prepared) -> None:
        """Keep what a set-up or a tear-down showed, where that is more than that it was done."""
        if not self.scenario.as_text or not (outcome.error or any(result.columns for result in outcome.results)):
            return
        kind = EventKind.error if outcome.error else EventKind.ok
        self.control.append(
            Event(
                seq=len(self.control) + 1,
                at=0.0,
                kind=kind,
                session="",
                step="",
                database=alias,
                statement=prepared.shown,
                results=outcome.results,
                error=outcome.error,
                phase=phase,
            )
        )

    def _ask(self, control: Connection, prepared: Prepared) -> Outcome:
        """Run a statement of the harness's own; it may take as long as a case, not for ever."""
        seconds = self.scenario.case_deadline
        try:
            outcome = within(control, prepared, seconds, self.stage.meanwhile)
        except Exception as error:  # noqa: BLE001 - a driver's surprise is what is wrong with the statement
            outcome = surprised(error)
        if outcome.error is not None and outcome.error.kind is ErrorKind.cancelled:
            message = f"it had not ended after {seconds:g} s ('case_deadline:'): {outcome.error.message}"
            outcome.error = replace(outcome.error, message=message)
        return outcome

    def _known_items(self) -> Iterator[tuple[str, Item]]:
        """The items that can be read on these engines."""
        for item in self.scenario.items:
            if item.bodies.get(self.stage.endpoints[item.database].engine.name, item.bodies.get("*")) is not None:
                yield item.name, item

    def _item(self, item: Item) -> Any:
        """An item's value now, hidden if it is sensitive. Raises SetupFailed if it cannot be read."""
        endpoint = self.stage.endpoints[item.database]
        body = item.bodies.get(endpoint.engine.name, item.bodies.get("*"))
        assert body is not None
        prepared = prepare(body, self.scenario.parameters, endpoint, self.stage.endpoints)
        outcome = self._ask(self.stage.controls[item.database], prepared)
        if outcome.error is not None:
            raise SetupFailed(
                f"{self.scenario.file}: item {item.name!r} cannot be read on {self.stage.where(item.database)}: "
                f"{_said(outcome.error)}, in: {shortened(prepared.shown)}"
            )
        value = captured({item.name: item.column}, outcome.results)[item.name]
        return self.secrecy.item(item.name, item.column, outcome.results, value)

    def _read_final(self) -> dict[str, Any]:
        """The items at the end. One that cannot be read is a note: what happened before must not be lost over it."""
        values = {}
        for name, item in self._known_items():
            try:
                values[name] = self._item(item)
            except SetupFailed as error:
                self.notes.append(f"at the end: {str(error).removeprefix(f'{self.scenario.file}: ')}")
        return values

    # -- the scenario's sessions

    def _coordinate(self, recorder: Recorder) -> tuple[RunEnd, str]:
        arrivals = Arrivals(self.stage.meanwhile)
        plans = StepPlans(self.stage.endpoints, self.stage.databases.run)
        touches = StepTouches(self.stage.observers, self.stage.endpoints) if self._touching else None
        workers: dict[str, Worker] = {}
        try:
            for name, driver in self.stage.drivers.items():
                workers[name] = worker_for(driver, arrivals)
            return Coordinator(self.case, workers, self.stage.watch, recorder, arrivals, plans, touches).run()
        finally:
            plans.close()
            self._plans = plans.plans
            if touches is not None:
                self.touched = touches.touched
                self.notes += touches.notes
            self.stage.end_lost_sessions()
            stop_all(workers.values(), disconnect=not self.scenario.shared)
            arrivals.close()

    def _deadlock_reports(self, where: Sequence[str]) -> list[DeadlockReport]:
        """The servers' own reports about these databases."""
        if not where:
            return []
        with contextlib.suppress(EngineError):
            return list(self.stage.watch.deadlock_reports(where))
        return []


def within(session: Connection, prepared: Prepared, seconds: float, meanwhile: Meanwhile) -> Outcome:
    """Run a statement; after ``seconds`` it is cancelled."""
    if not pollable(session):
        timer = threading.Timer(seconds, session.cancel)
        timer.daemon = True
        timer.start()
        try:
            return session.run(prepared.statement)
        finally:
            timer.cancel()
    deadline = time.monotonic() + seconds
    session.send(prepared.statement)
    while (outcome := session.receive()) is None:
        if not meanwhile.readable([session.fileno()], max(0.0, deadline - time.monotonic())):
            session.cancel()
            deadline = time.monotonic() + 1.0  # again: the first time it may not have reached the server yet
    return outcome


def _said(error: ErrorRecord) -> str:
    return f"{error.message} ({error.code})"


def shortened(text: str) -> str:
    """A statement as it fits into an error's line."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]}…"
