"""Runs a case over its workers: the sessions' set-ups, the schedule in its order, the sessions' tear-downs.

No sleeps and no guessed time-outs: a step has either answered, or the server calls its session blocked by another one
of the run, or it is still working and is waited for (:mod:`harness.runner.board`). The order is flexible or, where the
schedule says so, strict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from harness.history import Phase, RunEnd
from harness.runner.arrivals import Arrivals
from harness.runner.board import Board
from harness.runner.flexible import Flexible
from harness.runner.plans import StepPlans
from harness.runner.recorder import Recorder
from harness.runner.strict import Strict
from harness.runner.touching import StepTouches
from harness.runner.watch import Watch
from harness.runner.worker import Worker
from harness.scenario.model import Case, Step

_BEGINS = re.compile(r"\s*(begin|start\s+transaction)\b[\w\s,]*;?\s*", re.IGNORECASE)


class Coordinator:
    """One case's schedule over its workers. :meth:`run` is called once."""

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
        self._case = case
        self._board = Board(case, workers, watch, recorder, arrivals, plans, touches)
        self._alone = Flexible(self._board)

    def run(self) -> tuple[RunEnd, str]:
        """Run the sessions' set-ups, the schedule and the tear-downs; says how it ended. Nothing runs when it returns.

        Raises ScenarioError (a value that cannot be computed): then steps may still run, the workers' end ends them.
        """
        board = self._board
        sessions = self._case.scenario.sessions
        for error in self._set_up([step for session in sessions for step in session.setup]):
            if self._case.scenario.shared:  # every case after it would begin in a wrong state
                board.finish(RunEnd.not_begun, error)
        steps = {step.name: step for session in sessions for step in session.steps}
        order = Strict(board) if self._case.schedule.strict else self._alone
        left = list(self._case.schedule.entries) if not board.going else order.run(self._case.schedule.entries, steps)
        for step in [step for session in sessions for step in session.teardown]:
            if board.going:
                self._alone.perform(step, Phase.teardown)
        if board.running:  # something was lost: give the others a moment to say so themselves
            if not board.cut_off:  # what they wait for will not come
                board.collect_endings()
            board.cancel_all(f"the run had ended: {board.end[1]}")
        for entry in left:
            board.skip(steps[entry.step], "the run had ended")
        return board.end

    def _set_up(self, steps: Sequence[Step]) -> Iterator[str]:
        """Run the sessions' set-ups, as far as the run goes; says what fails."""
        one_each = len({step.session for step in steps}) == len(steps)
        if self._case.scenario.shared and one_each and all(map(_only_begins, steps)):
            failing = list(self._alone.perform_together(steps, Phase.setup))
        else:
            failing = []
            for step in steps:
                if self._board.going and (error := self._alone.perform(step, Phase.setup)):
                    failing = [(step, error)]
                    if self._case.scenario.shared:
                        break
        for step, error in failing:
            yield f"set-up of {step.session} fails: {error.message} ({error.code})"


def _only_begins(step: Step) -> bool:
    """Whether a set-up only opens its session's transaction: then it does not matter which session is first."""
    return all(isinstance(body, str) and _BEGINS.fullmatch(body) is not None for body in step.bodies.values())
