"""The order of PostgreSQL's isolationtester: entries to the letter, endings in the order in which their steps began.

What is begun and written down when is that of ``run_permutation`` and ``try_complete_step`` in isolationtester.c (its
README tells it in words: https://github.com/postgres/postgres/blob/master/src/test/isolation/README): after each step
those that wait are tried once, in their order; an entry whose session is still busy waits for it; a ``Hold`` keeps an
ending from being written down. Only the waiting is another: the C program looks every 10 ms at one session after the
other, here the sockets and one question about all sessions tell.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from harness.history import RunEnd, Wait
from harness.runner.board import LONGEST_PAUSE, Board, Running, releases
from harness.scenario.model import Entry, Hold, Step

CHAIN_GRACE = 0.01
"""Seconds that a step blocked by one which is itself still working has to get free: isolationtester looks after 10 ms."""


class Strict:
    """Runs entries on a board, as isolationtester would."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._waiting: list[Running] = []  # in the order in which they were begun
        self._seen: dict[Running, list[Wait]] = {}  # of all that were working at the last look: what each waited for
        self._fresh = True  # nothing has ended since that may have let one of them go
        self._notices: Counter[str] = Counter()  # session → how many it has sent
        self._targets: dict[tuple[Running, Hold], int] = {}
        self._new_notice = False
        self._session = {step.name: step.session for one in board.case.scenario.sessions for step in one.steps}

    def run(self, entries: Sequence[Entry], steps: dict[str, Step]) -> list[Entry]:
        """Run them all, or as far as the run goes; gives those that were not begun."""
        board = self._board
        for number, entry in enumerate(entries):
            step = steps[entry.step]
            self._wait_for_session(step.session)
            if board.going and not board.connected(step):
                board.finish(RunEnd.lost, f"{step.session} has lost its connection: {step.name} cannot be sent")
            if not board.going:
                return list(entries[number:])
            running = board.begin(step, entry=entry)
            if running is None:
                continue
            for hold in entry.holds:
                if hold.notices is not None:
                    self._targets[running, hold] = self._notices[self._session[hold.step]] + hold.notices
            ended = self._try(running, may_block=True, first=True)
            self._pass(may_block=True)
            if not ended and board.going:
                if entry.holds and any(one.completion is None for one in self._waiting):
                    self._let_run(running)
                self._waiting.append(running)
        self._pass(may_block=False)
        if self._waiting and board.going:
            names = ", ".join(running.step.name for running in self._waiting)
            board.finish(RunEnd.stuck, f"{names}: the schedule holds back each until another one has ended")
            board.cancel_all(board.end[1])
        return []

    def _wait_for_session(self, session: str) -> None:
        """Its step of before must have ended; whatever else ends meanwhile is written down too."""
        board = self._board
        began = time.perf_counter()
        while board.going and (old := board.running.get(session)):
            before = len(self._waiting)
            if self._try(old, may_block=False):
                self._waiting.remove(old)
            self._pass(may_block=True)
            if board.running.get(session) is old and len(self._waiting) == before and board.going:
                self._take(self._board.first_look)  # held back: only what the others do can change that
                self._give_up_after(old, 2 * board.case.scenario.deadline, began, held=True)

    def _pass(self, *, may_block: bool) -> None:
        """Try each step that waits, in order; again if one may have been held back by what then happened."""
        while True:
            before, held = len(self._waiting), False
            self._new_notice = False
            for running in list(self._waiting):
                if self._try(running, may_block=may_block):
                    self._waiting.remove(running)
                elif running.entry is not None and running.entry.holds:
                    held = True
                if not self._board.going:
                    return
            if not held or (len(self._waiting) == before and not self._new_notice):
                return

    def _try(self, running: Running, *, may_block: bool, first: bool = False) -> bool:
        """Wait until the step has ended, or is blocked if it may; True if its ending has been written down."""
        board = self._board
        holds = running.entry.holds if running.entry is not None else ()
        if first and any(not hold.step for hold in holds):
            board.recorder.held(running.run, "held back at the first look")
            return False
        ended = self._await(running, may_block=may_block, first=first)
        if not board.going or board.running.get(running.step.session) is not running:
            # Something was lost meanwhile, and then endings are written down as they come.
            return board.running.get(running.step.session) is not running
        self._hear(running)
        if not ended:
            if first:
                board.note({running: self._seen[running]}, complete=True)
            return False
        for hold in holds:
            if self._holds_back(running, hold):
                if first:
                    what = hold.step if hold.notices is None else f"{hold.notices} notices of {hold.step}"
                    board.recorder.held(running.run, f"held back by {what}")
                return False
        if running.completion is not None and (late := len(running.completion.outcome.notices)):
            self._notices[running.step.session] += late  # those after its first result are heard only now
            self._new_notice = True
        board.record(running)
        return True

    def _await(self, running: Running, *, may_block: bool, first: bool) -> bool:
        """Whether the step has ended: waits for that, or until the servers say that it is blocked."""
        board = self._board
        began = time.perf_counter()
        pause = self._board.first_look
        overdue = False
        while board.going and running.completion is None:
            if may_block and self._is_blocked(running, since=began):
                self._take(0)  # what the server said before it blocked the step is here by now
                break
            if self._take(pause):
                pause = self._board.first_look
                continue
            self._look(undecided=running if first else None)
            pause = min(pause * 2, LONGEST_PAUSE)
            if not board.case.scenario.cancel_late:
                board.over_time()
                continue
            late = time.perf_counter() - began
            if late > board.case.scenario.deadline and not overdue:
                overdue = running.timed_out = True
                running.why = f"cancelled by the harness after {int(late)} s"
                self._hear(running)  # it was said before
                board.recorder.overdue(running.run, late)
                running.worker.cancel()
            self._give_up_after(running, 2 * board.case.scenario.deadline, began)
        return running.completion is not None

    def _let_run(self, running: Running) -> None:
        """Leave the step that was begun last, if nobody has waited for it yet, the time that it has in isolationtester.

        That looks for 10 ms at each step that is blocked, and what was begun before goes on meanwhile.
        """
        until = time.perf_counter() + CHAIN_GRACE
        pause = self._board.first_look
        while running.completion is None and self._board.going and (left := until - time.perf_counter()) > 0:
            if self._fresh and self._seen.get(running):
                return
            if not self._take(min(pause, left)):
                self._look(undecided=None)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _take(self, timeout: float) -> bool:
        """Take what has ended; True if anything had."""
        ended = self._board.take(timeout)
        self._fresh = self._fresh and not any(releases(running) for running in ended)
        return bool(ended)

    def _look(self, undecided: Running | None) -> None:
        """Ask about all that is working; whether ``undecided`` is written down as blocked is its own question."""
        found = self._board.ask(self._board.running.values())
        if found is not None:
            self._seen, self._fresh = dict(found), True
            self._board.note({one: waits for one, waits in found.items() if one is not undecided}, complete=True)

    def _is_blocked(self, running: Running, since: float) -> bool:
        if not self._fresh or not self._seen.get(running):
            return False
        return self._stable(running) or time.perf_counter() - since > CHAIN_GRACE

    def _stable(self, running: Running) -> bool:
        """Whether all that it waits for, at whatever distance, waits too or does nothing: then it stays blocked."""
        met, todo = {running}, [running]
        while todo:
            for wait in self._seen.get(todo.pop(), ()):
                holder = self._board.running.get(wait.holder)
                if holder is None or holder.completion is not None or holder in met:
                    continue
                if not self._seen.get(holder):
                    return False
                met.add(holder)
                todo.append(holder)
        return True

    def _give_up_after(self, running: Running, limit: float, began: float, *, held: bool = False) -> None:
        """End the run if the step was waited for longer than ``limit`` seconds; in isolationtester's words."""
        seconds = time.perf_counter() - began
        if seconds <= limit:
            return
        board = self._board
        text = f"step {running.step.name} timed out after {int(seconds)} seconds"
        if held:
            sessions = board.case.scenario.sessions
            active = [board.running[one.name].step.name for one in sessions if one.name in board.running]
            text += f"; active steps are: {' '.join(active)}"
        else:
            self._hear(running)
        board.finish(RunEnd.hung, text)
        board.cancel_all(text)

    def _hear(self, running: Running) -> None:
        """Write down what the server has said to the session so far."""
        heard = running.worker.notices(running.step)
        if running.completion is not None:  # those between its results are written down with these
            outcome = running.completion.outcome
            heard += [notice for notice in outcome.notices if not notice.after_results]
            outcome.notices = [notice for notice in outcome.notices if notice.after_results]
        for notice in heard:
            self._board.recorder.notice(running.run, notice)
            self._notices[running.step.session] += 1
            self._new_notice = True

    def _holds_back(self, running: Running, hold: Hold) -> bool:
        if not hold.step:
            return False
        if hold.notices is not None:
            return self._notices[self._session[hold.step]] < self._targets[running, hold]
        other = self._board.running.get(self._session[hold.step])
        return other is not None and other.step.name == hold.step
