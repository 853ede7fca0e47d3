"""The order that lets sessions pass: entries of a blocked session wait their turn while other sessions go on.

The same schedule then serves levels that block in different places. After a step that may have let somebody go, the
waiting sessions are asked about once, all together; those that are free again are waited for before the next step
begins, so the order of events does not depend on luck.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from harness.answers import ErrorKind, ErrorRecord
from harness.history import Phase
from harness.runner.board import LONGEST_PAUSE, Board, Running
from harness.scenario.model import Entry, Step

HOLDER_GRACE = 0.1
"""Seconds that a step which got its lock is kept back until the step that let it go has been heard of too."""

FAR_HOLDER_GRACE = 2.0
"""The same where sessions run on other machines: on the way from there a word may get lost and be sent again."""


class Flexible:
    """Runs entries on a board; what is left of them when the run has ended is returned."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._grace = FAR_HOLDER_GRACE if board.far else HOLDER_GRACE
        self._session = {step.name: step.session for one in board.case.scenario.sessions for step in one.steps}

    def run(self, entries: Sequence[Entry], steps: dict[str, Step]) -> list[Entry]:
        """Run them all, or as far as the run goes; gives those that were not begun."""
        board = self._board
        pending = list(entries)
        while board.going and (pending or board.running):
            index = self._next(pending)
            if index is not None:
                entry = pending.pop(index)
                board.begin(steps[entry.step], entry=entry)
                self.settle()
            elif board.running:
                self.await_any()
        return pending

    def perform(self, step: Step, phase: Phase) -> ErrorRecord | None:
        """Run one step to its end before anything else; what was wrong with it."""
        running = self._board.begin(step, phase)
        self.settle()
        while self._board.going and step.session in self._board.running:  # blocked before anything has begun
            self.await_any()
        return running.completion.outcome.error if running is not None and running.completion is not None else None

    def perform_together(self, steps: Sequence[Step], phase: Phase) -> Iterator[tuple[Step, ErrorRecord]]:
        """Run steps of different sessions side by side, none of which can block; gives what was wrong, in their order."""
        board = self._board
        begun = [running for step in steps if (running := board.begin(step, phase)) is not None]
        while board.going and any(running.completion is None for running in begun):
            board.take(LONGEST_PAUSE)
            board.over_time()
        for running in begun:
            if running.completion is not None and running.step.session in board.running:
                board.lost(running)
                board.record(running)
                if running.completion.outcome.error is not None:
                    yield running.step, running.completion.outcome.error

    def _next(self, pending: list[Entry]) -> int | None:
        """The first entry whose session is free, and which does not overtake one of its own session."""
        passed: set[str] = set()
        for index, entry in enumerate(pending):
            session = self._session[entry.step]
            if session not in self._board.running and session not in passed:
                return index
            passed.add(session)
        return None

    def settle(self) -> None:
        """Wait until every running step has ended or is blocked by the server's word."""
        board = self._board
        pause = board.first_look
        while board.going and any(not running.blocked for running in board.running.values()):
            if self._collect(pause):
                pause = board.first_look
            else:
                self._look([running for running in board.running.values() if not running.blocked])
                pause = min(pause * 2, LONGEST_PAUSE)
            if board.over_time():
                return

    def await_any(self) -> None:
        """All running steps are blocked and nothing else can start: wait until one of them ends, or time is up."""
        board = self._board
        pause = 0.001
        while board.going and board.running and not board.over_time():
            if self._collect(pause):
                self.settle()
                return
            self._look(list(board.running.values()))
            if any(not running.blocked for running in board.running.values()):
                self.settle()
                return
            pause = min(pause * 2, LONGEST_PAUSE)

    def _look(self, asked: list[Running]) -> None:
        found = self._board.ask(asked)
        if found is not None:
            self._board.note(found, complete=len(found) == len(self._board.running))

    def _collect(self, timeout: float) -> bool:
        """Take what has ended; True if anything had. If somebody may be free now, ask about those who wait."""
        board = self._board
        board.take(timeout)
        ask = anything = False
        while ready := [
            running for running in board.running.values() if running.completion and not self._keep_back(running)
        ]:
            anything = True
            for running in ready:
                board.lost(running)
                ask |= board.record(running)
        waiting = [running for running in board.running.values() if running.blocked]
        if ask and waiting:
            self._look(waiting)
        return anything

    def _keep_back(self, running: Running) -> bool:
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
        if time.perf_counter() - completion.finished > self._grace:
            return False
        return any(name in self._board.running and name != running.step.session for name in running.waited_for)
