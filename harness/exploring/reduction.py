"""Which interleavings need not be run: what its steps touch decides, and what a run then shows may change that.

*Representatives* are the least of their class in the lexical order of the sessions (see :mod:`harness.scenario.schedules`).
Footprints only grow: a class is split then, never joined, so what was run before still stands for one of the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, product
from typing import TYPE_CHECKING

from harness.exploring.model import Kind, Order, Pair
from harness.scenario.conflicts import Access, Conflicts, Footprint, footprints
from harness.scenario.model import Case, Step
from harness.scenario.schedules import interleavings, normal_form

if TYPE_CHECKING:
    from harness.exploring.explore import Plan
    from harness.suite import Suite


class Reduction:
    """The classes of a case's interleavings. ``known``: step → its footprint, else what the statements tell."""

    def __init__(self, case: Case, known: Mapping[str, Footprint] | None = None) -> None:
        self._case = case
        self._steps: dict[str, Step] = {step.name: step for one in case.scenario.sessions for step in one.steps}
        self.footprints = dict(known if known is not None else static(case))
        self._renew()

    def _renew(self) -> None:
        levels = {placed.alias: placed.level for placed in self._case.databases}
        self.conflicts = Conflicts(self._case.scenario.sessions, self.footprints, levels)

    def grow(self, touched: Mapping[str, frozenset[Access]]) -> bool:
        """Take in what a run showed; whether anything of it was unforeseen."""
        from harness.exploring.scout import grown

        made = grown(self.footprints, touched)
        if made == self.footprints:
            return False
        self.footprints = dict(made)
        self._renew()
        return True

    def representatives(self, instead: str) -> Iterator[Order]:
        """One interleaving of each class. Raises ScenarioError, with the advice ``instead``, if there are too many."""
        sessions = self._case.scenario.sessions
        for schedule in interleavings(sessions, "reduced", instead=instead, conflicts=self.conflicts):
            yield tuple(entry.step for entry in schedule.entries)

    def class_of(self, order: Order) -> Order:
        """The normal form of an interleaving: that of all interleavings which cannot behave differently."""
        return normal_form([self._steps[name] for name in order], self.conflicts)

    def pairs(self) -> list[Pair]:
        """The pairs of steps whose order matters, and why."""
        made = []
        for one, other in combinations(self._case.scenario.sessions, 2):
            for first, second in product(one.steps, other.steps):
                if self.conflicts.conflict(first, second):
                    why = self.conflicts.why(first, second)
                    made.append(
                        Pair(first=first.name, second=second.name, why=why, learned=self._learned(first, second))
                    )
        return made

    def _learned(self, first: Step, second: Step) -> bool:
        """Whether the statements alone would not have told."""
        plain = Conflicts(
            self._case.scenario.sessions,
            static(self._case),
            {placed.alias: placed.level for placed in self._case.databases},
        )
        return not plain.conflict(first, second)


def static(case: Case) -> Mapping[str, Footprint]:
    """What the statements tell of the steps' footprints."""
    return footprints(case.scenario, {placed.alias: placed.engine for placed in case.databases})


def reduction_of(suite: Suite, case: Case, plan: Plan, now: Callable[[str], None]) -> Reduction | None:
    """The reduction that an exploration asks for; its footprints from the server, too, unless the plan says no.

    Raises what running the case may raise.
    """
    if plan.kind is not Kind.reduced:
        return None
    if not plan.server:
        return Reduction(case)
    from harness.exploring.scout import scout

    return Reduction(case, scout(suite, case))
