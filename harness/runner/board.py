"""The steps of a case that are running now: begun, asked about, ended, cancelled. In which order is not decided here.

A step has either answered, or the server calls its session blocked by another one of the run, or it is still working.
:mod:`harness.runner.flexible` and :mod:`harness.runner.strict` say what is begun next and which ending is written down
first.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from queue import Empty

from harness.answers import ErrorKind, ErrorRecord
from harness.engines.base import Outcome
from harness.errors import EngineError, ScenarioError
from harness.history import EventKind, Phase, RunEnd, Wait
from harness.runner.arrivals import Arrivals, Completion
from harness.runner.driver import Prepared
from harness.runner.plans import StepPlans
from harness.runner.recorder import Recorder, Run, ending
from harness.runner.remote.places import HERE
from harness.runner.touching import StepTouches
from harness.runner.watch import Watch
from harness.runner.worker import Worker
from harness.scenario.model import Case, Entry, Step

FIRST_LOOK = 0.0003
"""Seconds that a step may take before the server is asked about it: a plain step on loopback has answered by then."""

MOST_JITTER = 0.002
"""Seconds that another machine's answer is given at most, beyond a round trip, before the server is asked about the step."""

LONGEST_PAUSE = 0.02
"""Seconds between two looks at a step that neither answers nor is blocked."""

LAST_WORDS = 1.0
"""Seconds that the other sessions have to end by themselves when one has lost its server."""

CANCEL_GRACE = 5.0
"""Seconds that a cancelled step has to end before its connection is given up."""


NO_COMMAND = ErrorRecord(kind=ErrorKind.other, code="harness", message="there is no command in it")
"""What isolationtester holds against a set-up or a tear-down that is empty. A step may be."""


@dataclass(slots=True, eq=False)
class Running:
    """A step that has begun and whose ending is not written down yet."""

    step: Step
    worker: Worker
    started: float
    prepared: Prepared
    run: Run
    entry: Entry | None = None
    waits: list[Wait] = field(default_factory=list)
    was_blocked: bool = False
    waited_for: list[str] = field(default_factory=list)  # sessions, when it was last seen blocked
    why: str = ""  # the harness cancelled it, and this is why
    timed_out: bool = False
    broken: bool = False
    completion: Completion | None = None  # it has ended

    @property
    def blocked(self) -> bool:
        """Whether the server called it blocked when it was last asked."""
        return bool(self.waits)


class Board:
    """What is running in one case, by session."""

    def __init__(
        self,
        case: Case,
        workers: Mapping[str, Worker],
        watch: Watch,
        recorder: Recorder,
        arrivals: Arrivals,
        plans: StepPlans | None = None,
        touches: StepTouches | None = None,
    ) -> None:
        self.case = case
        self.recorder = recorder
        self.watch = watch
        self.running: dict[str, Running] = {}
        self.end: tuple[RunEnd, str] = (RunEnd.completed, "")
        self._workers = workers
        self._arrivals = arrivals
        self._plans = plans
        self._touches = touches
        self._times: Counter[tuple[Phase, str, str, str]] = (
            Counter()
        )  # phase, session, database, step → how often it was begun
        self._cycles: set[frozenset[tuple[str, str]]] = set()
        self._deadline = time.perf_counter() + case.scenario.case_deadline
        self._last_words = 0.0
        away = {id(worker.driver.place): worker.driver.place for worker in workers.values()}
        self._away = [place for place in away.values() if place is not HERE]
        farthest = max((place.round_trip for place in self._away), default=0.0)
        self.first_look = FIRST_LOOK + farthest + min(2 * farthest, MOST_JITTER)

    @property
    def going(self) -> bool:
        """Whether nothing has ended the run yet."""
        return self.end[0] is RunEnd.completed

    def finish(self, end: RunEnd, why: str) -> None:
        """The run is over; the first cause counts, others follow from it."""
        if self.going:
            self.end = (end, why)
            self.recorder.mark_end()

    # -- a step's way

    def begin(self, step: Step, phase: Phase = Phase.schedule, entry: Entry | None = None) -> Running | None:
        """Begin a step; None if there is nothing to run here. Raises ScenarioError (a value that cannot be computed)."""
        worker = self._workers[step.session]
        run = Run(step, self._begin_again(step, phase), phase)
        if missing := worker.driver.missing(step):
            self.recorder.skipped(run, f"it needs {' and '.join(missing)}, which no step of {step.session} could read")
            return None
        try:
            prepared = worker.driver.prepare(step)
        except ScenarioError as error:
            raise ScenarioError(f"step {step.name!r}: {error.message}", step.place) from None
        if prepared is None:
            return None  # this engine has nothing to do here
        self.recorder.start(run, prepared)
        running = self.running[step.session] = Running(step, worker, time.perf_counter(), prepared, run, entry)
        worker.start(step, prepared)
        return running

    def _begin_again(self, step: Step, phase: Phase) -> int:
        """How often it will have been begun, this time included."""
        key = phase, step.session, step.database, step.name
        self._times[key] += 1
        return self._times[key]

    def skip(self, step: Step, why: str) -> None:
        """Write down that a step is not run."""
        self.recorder.skipped(Run(step, self._begin_again(step, Phase.schedule)), why)

    def connected(self, step: Step) -> bool:
        """Whether the connection that the step would use is still there, as far as is known."""
        return self._workers[step.session].connected(step)

    def take(self, timeout: float = 0.0) -> list[Running]:
        """The steps that have ended since the last call, waiting up to ``timeout`` seconds for the first one.

        If a machine of the case is lost meanwhile, the run is over: what its sessions hold, nobody would ever give back.
        """
        arrived = []
        try:
            arrived.append(self._arrivals.get(timeout=timeout) if timeout > 0 else self._arrivals.get_nowait())
            while True:
                arrived.append(self._arrivals.get_nowait())
        except Empty:
            pass
        ended = []
        for completion in arrived:
            if running := self.running.get(completion.session):
                running.completion = completion
                running.waits = []
                ended.append(running)
        if why := self.cut_off:
            self.finish(RunEnd.lost, why)
        return ended

    @property
    def far(self) -> bool:
        """Whether sessions run on other machines."""
        return bool(self._away)

    @property
    def cut_off(self) -> str:
        """Why a machine that sessions run on can be spoken to no more; empty while all can."""
        return next((place.lost for place in self._away if place.lost), "")

    def record(self, running: Running) -> bool:
        """Write down an ending; True if it may have let another session go."""
        completion = running.completion
        assert completion is not None
        del self.running[completion.session]
        outcome = completion.outcome
        scheduled = running.run.phase is Phase.schedule
        if not scheduled and outcome.empty and self.case.scenario.as_text:
            outcome.error = NO_COMMAND
        kind = ending(outcome, timed_out=running.timed_out, broken=running.broken)
        operations = running.worker.driver.operations(running.step, running.prepared, outcome)
        why = running.why if kind in (EventKind.timeout, EventKind.cancelled) else ""
        self.recorder.end(running.run, kind, outcome, operations, completion.finished - running.started, text=why)
        if running.step.plan and self._plans is not None:
            pid = running.worker.driver.connections[running.step.database].pid
            self._plans.take(running.step, running.run.attempt, running.prepared.statement, outcome, pid)
        if scheduled and self._touches is not None:
            pid = running.worker.driver.connections[running.step.database].pid
            self._touches.take(running.step, running.prepared.statement, outcome, pid)
        # Those of a set-up or a tear-down wait for the session's next step of the schedule, in whatever case that is.
        for heard in running.worker.notifications(running.step) if scheduled else ():
            sender = self.watch.session(running.step.database, heard.pid) or f"PID {heard.pid}"
            text = f'NOTIFY "{heard.channel}" with payload "{heard.payload}" from {sender}'
            self.recorder.notification(running.run, text)
        return releases(running)

    def lost(self, running: Running) -> None:
        """End the run if the step's session has lost its connection."""
        error = running.completion.outcome.error if running.completion else None
        if running.run.phase is Phase.teardown or (running.run.phase is Phase.setup and self.case.scenario.shared):
            return  # what was to be seen has been seen; a set-up that fails is the end, whatever the reason
        if error is not None and error.kind is ErrorKind.connection:
            self.finish(RunEnd.lost, f"{running.step.session} lost its connection: {error.message}")

    # -- who is blocked

    def ask(self, asked: Iterable[Running]) -> Mapping[Running, list[Wait]] | None:
        """The servers' word about ``asked``; None if a server is gone, and then the run has ended or soon will."""
        asked = [running for running in asked if running.completion is None]
        try:
            found = self.watch.waits(running.step for running in asked)
        except EngineError as error:
            self.finish_lost(str(error))
            return None
        return {running: found.get(running.step.session, []) for running in asked}

    def note(self, found: Mapping[Running, list[Wait]], *, complete: bool) -> None:
        """Write down who is blocked now and was not before. ``complete``: all that run were asked in this one look."""
        news = False
        for running, waits in found.items():
            holders = [wait.holder for wait in waits]
            if holders and holders != [wait.holder for wait in running.waits]:
                if not set(holders) <= set(running.waited_for):  # its first wait, or one for somebody new
                    self.recorder.blocked(running.run, holders, waits[0].resource)
                running.was_blocked = True
                running.waited_for = holders
                news = True
            running.waits = waits
        if news:
            try:
                self._new_picture(found, complete=complete)
            except EngineError as error:
                self.finish(RunEnd.lost, str(error))

    def _new_picture(self, asked: Collection[Running], *, complete: bool) -> None:
        waits = self.all_waits()
        cycle = self.watch.cycle(waits)
        if cycle and not complete:
            # Older answers may be stale: a cycle is believed only if all its waits are seen in one look.
            fresh = self.watch.waits(running.step for running in self.running.values())
            for running in self.running.values():
                if running.completion is None:
                    running.waits = fresh.get(running.step.session, [])
            waits = self.all_waits()
            cycle = self.watch.cycle(waits)
        if not waits:
            return
        key = frozenset((wait.waiter, wait.holder) for wait in cycle)
        if not cycle or key in self._cycles:
            blocked = ", ".join(running.step.name for running in asked if running.blocked)
            self.recorder.picture(f"{blocked} blocked", waits, [], [], None, [])
            return
        self._cycles.add(key)
        seen = self.watch.seen_by_server(cycle)
        servers = self.watch.servers(cycle)
        reason = "a cycle" if seen else "a cycle that no server can see"
        names = [wait.waiter for wait in cycle]
        self.recorder.picture(reason, waits, names, servers, seen, self.watch.locks(servers))
        if not seen:
            self._break(names)

    def _break(self, ring: list[str]) -> None:
        """Cancel the step that the scenario appoints, if it is part of the cycle."""
        for running in self.running.values():
            if running.step.name == self.case.scenario.break_cycle and running.step.session in ring:
                running.broken = True
                running.why = (
                    f"cancelled by the harness, as 'break_cycle:' appoints: {' → '.join([*ring, ring[0]])} "
                    "is a deadlock that no server can see"
                )
                running.worker.cancel()

    def all_waits(self) -> list[Wait]:
        """The edges of the wait-for graph, as last seen."""
        return [wait for running in self.running.values() for wait in running.waits]

    # -- the end of things

    def over_time(self) -> bool:
        """True if a deadline has passed: then everything still running has been cancelled and recorded."""
        if not self.running:
            return False
        now = time.perf_counter()
        scenario = self.case.scenario
        late = [running for running in self.running.values() if now - running.started > scenario.deadline]
        if scenario.cancel_late:
            late = []  # the strict order cancels it by itself, and goes on
        if not late and now < self._deadline:
            return False
        limit = scenario.deadline if late else scenario.case_deadline
        text = self._why_hung(late or list(self.running.values()), limit)
        waits = self.all_waits()
        cycle = self.watch.cycle(waits)
        self.recorder.picture(
            "a deadline passed",
            waits,
            [wait.waiter for wait in cycle],
            self.watch.servers(cycle),
            self.watch.seen_by_server(cycle) if cycle else None,
            self.watch.locks(running.step.database for running in self.running.values()),
        )
        self.finish(RunEnd.hung, text)
        self.cancel_all(text)
        return True

    def _why_hung(self, late: list[Running], seconds: float) -> str:
        running = late[0]
        said = f"step {running.step.name!r} of {running.step.session} had not ended after {seconds:g} s"
        if not running.blocked:
            return f"{said}, and no server calls it blocked by another session: it is slow, or 'deadline:' is too short"
        holders = " and ".join(dict.fromkeys(wait.holder for wait in running.waits))
        said += f": it waits for {holders} ({running.waits[0].resource})"
        if cycle := self.watch.cycle(self.all_waits()):
            ring = " → ".join([*(wait.waiter for wait in cycle), cycle[0].waiter])
            if not self.watch.seen_by_server(cycle):
                return f"{said}; {ring} is a deadlock that no server can see: name the step to cancel in 'break_cycle:'"
            return f"{said}; {ring} is a ring of waits that the server has not ended in time: raise 'deadline:'"
        return f"{said}, which has no further step that would let it go: end its transaction in the schedule"

    def finish_lost(self, why: str) -> None:
        """A server is gone: let the sessions say so themselves, if they do within a second, else say it for them."""
        self.collect_endings()
        if self.running:
            self.finish(RunEnd.lost, why)

    def collect_endings(self) -> None:
        """Something is gone: write down what ends within a second, whatever the order."""
        self._last_words = self._last_words or time.perf_counter() + LAST_WORDS
        while self.running and time.perf_counter() < self._last_words:
            self._record_all(0.05)

    def _record_all(self, timeout: float) -> None:
        self.take(timeout)
        for running in list(self.running.values()):
            if running.completion is not None:
                self.lost(running)
                self.record(running)

    def cancel_all(self, why: str) -> None:
        """End everything that still runs; what does not end even then is given up."""
        for running in self.running.values():
            if running.completion is None:
                running.timed_out = True
                running.why = f"cancelled by the harness: {why}"
                running.worker.cancel()
        grace = time.perf_counter() + CANCEL_GRACE
        while self.running and time.perf_counter() < grace:
            self._record_all(0.05)
        for running in list(self.running.values()):
            text = f"did not end within {CANCEL_GRACE:g} s after it was cancelled; its connection is given up"
            error = ErrorRecord(kind=ErrorKind.cancelled, code="harness", message=text)
            seconds = time.perf_counter() - running.started
            self.recorder.end(running.run, EventKind.timeout, Outcome(error=error), [], seconds, text=running.why)
        self.running.clear()


def releases(running: Running) -> bool:
    """Whether the ending of a step may have let another session go."""
    outcome = running.completion.outcome if running.completion else None
    return outcome is None or outcome.may_release or running.was_blocked or outcome.error is not None
