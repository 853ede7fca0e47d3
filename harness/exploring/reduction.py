"""Which interleavings need not be run: what its steps touch decides, and what a run then shows may change that.

*Representatives* are the least of their class in the lexical order of the sessions (see :mod:`harness.scenario.schedules`).
Footprints only grow: a class is split then, never joined, so what was run before still stands for one of the parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING

from harness.exploring.model import Order, Pair
from harness.scenario.conflicts import Access, Footprint, conflicts_of, footprints
from harness.scenario.model import Case, Step
from harness.scenario.schedules import interleavings, normal_form

if TYPE_CHECKING:
    from harness.suite import Suite


class Reduction:
    """The classes of a case's interleavings. ``known``: step → its footprint, else what the statements tell."""

    def __init__(self, case: Case, known: Mapping[str, Footprint] | None = None, notes: Sequence[str] = ()) -> None:
        self._case = case
        self.notes = tuple(notes)  # what could not be learned
        self._steps: dict[str, Step] = {step.name: step for one in case.scenario.sessions for step in one.steps}
        self.footprints = dict(known if known is not None else static(case))
        self._renew()

    def _renew(self) -> None:
        self.conflicts = conflicts_of(self._case, self.footprints)

    def grow(self, touched: Mapping[str, frozenset[Access]]) -> bool:
        """Take in what a run showed; whether anything of it was unforeseen."""
        from harness.exploring.scout import grown

        made = grown(self.footprints, touched)
        if made is None:
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
        """The pairs of steps whose order matters, and why. ``learned``: the statements alone would not have told."""
        told, made = conflicts_of(self._case), []
        for one, other in combinations(self._case.scenario.sessions, 2):
            for first, second in product(one.steps, other.steps):
                if self.conflicts.conflict(first, second):
                    why, learned = self.conflicts.why(first, second), not told.conflict(first, second)
                    made.append(Pair(first=first.name, second=second.name, why=why, learned=learned))
        return made


def static(case: Case) -> Mapping[str, Footprint]:
    """What the statements tell of the steps' footprints."""
    return footprints(case.scenario, {placed.alias: placed.engine for placed in case.databases})


def reduction_of(suite: Suite, case: Case, *, server: bool = True) -> Reduction:
    """The reduction of a case; with ``server``, its footprints are what serial runs of it showed, too.

    Raises what running the case may raise.
    """
    if not server:
        return Reduction(case)
    from harness.exploring.scout import scout

    learned = scout(suite, case)
    return Reduction(case, learned.footprints, learned.notes)
