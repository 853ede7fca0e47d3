"""Runs a schedule: starts each step in its turn and lets the *server* say whether it waits.

No sleeps and no guessed time-outs: a step has either answered, or the server calls its session blocked by another one
of the run, or it is still working and is waited for. After a step that may have let somebody go, the waiting
sessions are asked about once, all together; those that are free again are waited for before the next step
begins, so the order of events does not depend on luck.

Unless the schedule is strict, the entries of a blocked session wait their turn while other sessions go on: the same
schedule then serves levels that block in different places.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from queue import Empty

from harness.engines.base import Outcome
from harness.errors import EngineError, ScenarioError
from harness.history import ErrorKind, ErrorRecord, EventKind, RunEnd, Wait
from harness.runner.arrivals import Arrivals, Completion
from harness.runner.driver import Prepared
from harness.runner.recorder import Recorder, ending
from harness.runner.watch import Watch
from harness.runner.worker import Worker
from harness.scenario.model import Case, Entry, Step

FIRST_LOOK = 0.0003
"""Seconds that a step may take before the server is asked about it: a plain step on loopback has answered by then."""

LONGEST_PAUSE = 0.02
"""Seconds between two looks at a step that neither answers nor is blocked."""

HOLDER_GRACE = 0.1
"""Seconds that a step which got its lock is kept back until the step that let it go has been heard of too."""

LAST_WORDS = 1.0
"""Seconds that the other sessions have to end by themselves when one has lost its server."""

CANCEL_GRACE = 5.0
"""Seconds that a cancelled step has to end before its connection is given up."""


@dataclass(slots=True)
class _Running:
    step: Step
    worker: Worker
    started: float
    prepared: Prepared
    waits: list[Wait] = field(default_factory=list)
    was_blocked: bool = False
    waited_for: list[str] = field(default_factory=list)  # sessions, when it was last seen blocked
    why: str = ""  # the harness cancelled it, and this is why
    timed_out: bool = False
    broken: bool = False
    completion: Completion | None = None  # it has ended, but is kept back: see `_keep_back`

    @property
    def blocked(self) -> bool:
        return bool(self.waits)


class Coordinator:
    """One case's schedule over its workers. :meth:`run` is called once."""

    def __init__(
        self,
        case: Case,
        workers: Mapping[str, Worker],
        watch: Watch,
        recorder: Recorder,
        arrivals: Arrivals,
    ) -> None:
        self._case = case
        self._workers = workers
        self._watch = watch
        self._recorder = recorder
        self._arrivals = arrivals
        self._running: dict[str, _Running] = {}  # by session
        self._cycles: set[frozenset[tuple[str, str]]] = set()
        self._deadline = time.perf_counter() + case.scenario.case_deadline
        self._end: tuple[RunEnd, str] = (RunEnd.completed, "")
        self._last_words = 0.0
        self._steps = {step.name: step for session in case.scenario.sessions for step in session.steps}

    def run(self) -> tuple[RunEnd, str]:
        """Run the sessions' set-ups and the schedule; says how it ended. Nothing runs any more when it returns.

        Raises ScenarioError (a value that cannot be computed): then steps may still run, the workers' end ends them.
        """
        for step in [step for session in self._case.scenario.sessions for step in session.setup]:
            if self._going:
                self._start(step)
                self._settle()
            while self._going and step.session in self._running:  # blocked before anything has begun
                self._await_any()
        pending = list(self._case.schedule.entries)
        while self._going and (pending or self._running):
            index = self._next(pending)
            if index is not None:
                self._start(self._steps[pending.pop(index).step])
                self._settle()
            elif self._running:
                self._await_any()
        if self._running:  # something was lost: give the others a moment to say so themselves
            self._collect_endings()
            self._cancel_all(f"the run had ended: {self._end[1]}")
        for entry in pending:
            self._recorder.skipped(self._steps[entry.step], "the run had ended")
        return self._end

    @property
    def _going(self) -> bool:
        return self._end[0] is RunEnd.completed

    def _next(self, pending: list[Entry]) -> int | None:
        """The first entry whose session is free; strict: the first entry, if its session is free."""
        passed: set[str] = set()
        for index, entry in enumerate(pending):
            session = self._steps[entry.step].session
            if session not in self._running and session not in passed:
                return index
            if self._case.schedule.strict:
                return None
            passed.add(session)
        return None

    def _start(self, step: Step) -> None:
        worker = self._workers[step.session]
        if missing := worker.driver.missing(step):
            self._recorder.skipped(
                step, f"it needs {' and '.join(missing)}, which no step of {step.session} could read"
            )
            return
        try:
            prepared = worker.driver.prepare(step)
        except ScenarioError as error:
            raise ScenarioError(f"step {step.name!r}: {error.message}", step.place) from None
        if prepared is None:
            return  # this engine has nothing to do here
        self._recorder.start(step, prepared)
        self._running[step.session] = _Running(step, worker, time.perf_counter(), prepared)
        worker.start(step, prepared)

    # -- waiting

    def _settle(self) -> None:
        """Wait until every running step has ended or is blocked by the server's word."""
        pause = FIRST_LOOK
        while self._going and any(not running.blocked for running in self._running.values()):
            if self._collect(pause):
                pause = FIRST_LOOK
            else:
                self._look([running for running in self._running.values() if not running.blocked])
                pause = min(pause * 2, LONGEST_PAUSE)
            if self._over_time():
                return

    def _await_any(self) -> None:
        """All running steps are blocked and nothing else can start: wait until one of them ends, or time is up."""
        pause = 0.001
        while self._going and self._running and not self._over_time():
            if self._collect(pause):
                self._settle()
                return
            self._look(list(self._running.values()))
            if any(not running.blocked for running in self._running.values()):
                self._settle()
                return
            pause = min(pause * 2, LONGEST_PAUSE)

    def _collect(self, timeout: float, *, look: bool = True) -> bool:
        """Take what has ended; True if anything had. If somebody may be free now, ask about those who wait."""
        try:
            arrived = [self._arrivals.get(timeout=timeout)]
        except Empty:
            arrived = []
        while True:
            try:
                arrived.append(self._arrivals.get_nowait())
            except Empty:
                break
        for completion in arrived:
            if running := self._running.get(completion.session):
                running.completion = completion
                running.waits = []
        ask = anything = False
        while ready := [
            running for running in self._running.values() if running.completion and not self._keep_back(running)
        ]:
            anything = True
            for running in ready:
                ask |= self._record(running)
        waiting = [running for running in self._running.values() if running.blocked]
        if look and ask and waiting:
            self._look(waiting)
        return anything

    def _keep_back(self, running: _Running) -> bool:
        """Whether an ending is not written down yet, because its cause has not been heard of.

        A commit lets a waiting session go, and that session's answer may overtake the commit's own. What was waited for
        is still running then, so it is the one that ended: it comes first.
        """
        completion = running.completion
        if completion is None or not running.was_blocked or running.timed_out or running.broken:
            return False
        error = completion.outcome.error
        if error is not None and error.kind not in (ErrorKind.serialization, ErrorKind.constraint):
            return False  # a victim, a time-out: nobody had to let it go
        if time.perf_counter() - completion.finished > HOLDER_GRACE:
            return False
        return any(name in self._running and name != running.step.session for name in running.waited_for)

    def _record(self, running: _Running) -> bool:
        """Write down an ending; True if it may have let another session go."""
        completion = running.completion
        assert completion is not None
        del self._running[completion.session]
        outcome = completion.outcome
        kind = ending(outcome, timed_out=running.timed_out, broken=running.broken)
        operations = running.worker.driver.operations(running.step, running.prepared, outcome)
        why = running.why if kind in (EventKind.timeout, EventKind.cancelled) else ""
        self._recorder.end(running.step, kind, outcome, operations, completion.finished - running.started, text=why)
        if outcome.error is not None and outcome.error.kind is ErrorKind.connection:
            self._lose(f"{completion.session} lost its connection: {outcome.error.message}")
        return outcome.may_release or running.was_blocked or outcome.error is not None

    def _look(self, asked: list[_Running]) -> None:
        """Ask the servers about ``asked``; note who is blocked now and who no longer is."""
        asked = [running for running in asked if running.completion is None]
        try:
            found = self._watch.waits(running.step for running in asked)
        except EngineError as error:
            self._collect_endings()
            if self._running:
                self._lose(str(error))
            return
        news = False
        for running in asked:
            waits = found.get(running.step.session, [])
            holders = [wait.holder for wait in waits]
            if holders and holders != [wait.holder for wait in running.waits]:
                if not set(holders) <= set(running.waited_for):  # its first wait, or one for somebody new
                    self._recorder.blocked(running.step, holders, waits[0].resource)
                running.was_blocked = True
                running.waited_for = holders
                news = True
            running.waits = waits
        if news:
            try:
                self._new_picture(asked)
            except EngineError as error:
                self._lose(str(error))

    def _collect_endings(self) -> None:
        """Something is gone: let the sessions say so themselves, if they do within a second."""
        self._last_words = self._last_words or time.perf_counter() + LAST_WORDS
        while self._running and time.perf_counter() < self._last_words:
            self._collect(0.05, look=False)

    def _lose(self, why: str) -> None:
        if self._going:  # the first loss is the cause, others follow from it
            self._end = (RunEnd.lost, why)

    # -- what the waits mean

    def _all_waits(self) -> list[Wait]:
        return [wait for running in self._running.values() for wait in running.waits]

    def _new_picture(self, asked: list[_Running]) -> None:
        waits = self._all_waits()
        cycle = self._watch.cycle(waits)
        if cycle and len(asked) < len(self._running):
            # Older answers may be stale: a cycle is believed only if all its waits are seen in one look.
            fresh = self._watch.waits(running.step for running in self._running.values())
            for running in self._running.values():
                if running.completion is None:
                    running.waits = fresh.get(running.step.session, [])
            waits = self._all_waits()
            cycle = self._watch.cycle(waits)
        if not waits:
            return
        key = frozenset((wait.waiter, wait.holder) for wait in cycle)
        if not cycle or key in self._cycles:
            blocked = ", ".join(running.step.name for running in asked if running.blocked)
            self._recorder.picture(f"{blocked} blocked", waits, [], [], None, [])
            return
        self._cycles.add(key)
        seen = self._watch.seen_by_server(cycle)
        servers = self._watch.servers(cycle)
        reason = "a cycle" if seen else "a cycle that no server can see"
        names = [wait.waiter for wait in cycle]
        self._recorder.picture(reason, waits, names, servers, seen, self._watch.locks(servers))
        if not seen:
            self._break(names)

    def _break(self, ring: list[str]) -> None:
        """Cancel the step that the scenario appoints, if it is part of the cycle."""
        for running in self._running.values():
            if running.step.name == self._case.scenario.break_cycle and running.step.session in ring:
                running.broken = True
                running.why = (
                    f"cancelled by the harness, as 'break_cycle:' appoints: {' → '.join([*ring, ring[0]])} "
                    "is a deadlock that no server can see"
                )
                running.worker.cancel()

    # -- time

    def _over_time(self) -> bool:
        """True if a deadline has passed: then everything still running has been cancelled and recorded."""
        now = time.perf_counter()
        limit = self._case.scenario.deadline
        late = [running for running in self._running.values() if now - running.started > limit]
        if not late and now < self._deadline:
            return False
        if not self._running:
            return False
        text = self._why_hung(
            late or list(self._running.values()), limit if late else self._case.scenario.case_deadline
        )
        waits = self._all_waits()
        cycle = self._watch.cycle(waits)
        self._recorder.picture(
            "a deadline passed",
            waits,
            [wait.waiter for wait in cycle],
            self._watch.servers(cycle),
            self._watch.seen_by_server(cycle) if cycle else None,
            self._watch.locks(running.step.database for running in self._running.values()),
        )
        self._end = (RunEnd.hung, text)
        self._cancel_all(text)
        return True

    def _why_hung(self, late: list[_Running], seconds: float) -> str:
        running = late[0]
        said = f"step {running.step.name!r} of {running.step.session} had not ended after {seconds:g} s"
        if not running.blocked:
            return f"{said}, and no server calls it blocked by another session: it is slow, or 'deadline:' is too short"
        holders = " and ".join(dict.fromkeys(wait.holder for wait in running.waits))
        said += f": it waits for {holders} ({running.waits[0].resource})"
        if cycle := self._watch.cycle(self._all_waits()):
            ring = " → ".join([*(wait.waiter for wait in cycle), cycle[0].waiter])
            if not self._watch.seen_by_server(cycle):
                return f"{said}; {ring} is a deadlock that no server can see: name the step to cancel in 'break_cycle:'"
            return f"{said}; {ring} is a deadlock that the server has not ended in time: raise 'deadline:'"
        return f"{said}, which has no further step that would let it go: end its transaction in the schedule"

    def _cancel_all(self, why: str) -> None:
        """End everything that still runs; what does not end even then is given up."""
        for running in self._running.values():
            if running.completion is None:
                running.timed_out = True
                running.why = f"cancelled by the harness: {why}"
                running.worker.cancel()
        grace = time.perf_counter() + CANCEL_GRACE
        while self._running and time.perf_counter() < grace:
            self._collect(0.05, look=False)
        for running in list(self._running.values()):
            text = f"did not end within {CANCEL_GRACE:g} s after it was cancelled; its connection is given up"
            error = ErrorRecord(kind=ErrorKind.cancelled, code="harness", message=text)
            seconds = time.perf_counter() - running.started
            self._recorder.end(running.step, EventKind.timeout, Outcome(error=error), [], seconds, text=running.why)
        self._running.clear()
