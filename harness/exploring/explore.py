"""A scenario explored at one placement and level: all its interleavings, one of each class, or some drawn at random.

``reduced`` runs one interleaving of each class that the steps' footprints make. When a run shows an access that was not
foreseen, the footprints grow, and interleavings that are thereby no longer spared are run too, until nothing grows:
dynamic partial-order reduction in rounds (after Flanagan & Godefroid, *Dynamic Partial-Order Reduction for Model Checking
Software*, POPL 2005).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count, islice, pairwise
from typing import TYPE_CHECKING, Protocol

from harness.errors import ScenarioError
from harness.exploring.behaviour import AT_THE_END, FOUND, telling
from harness.exploring.journal import Journal
from harness.exploring.model import Exploration, Kind, Order, Outcome, Pair, Ran, Task
from harness.exploring.trial import Keeping
from harness.scenario.model import Case
from harness.scenario.schedules import LIMIT, interleavings, number_of

if TYPE_CHECKING:
    from harness.exploring.reduction import Reduction

DRAWN = 100
"""So many are drawn at random unless it is said how many."""

INSTEAD = "say --schedules random --max-schedules 100, or explore fewer sessions or steps"

_DULL = re.compile(r"ok|\d+ affected|skipped|in failed transaction .*")
"""What most steps do in most outcomes, or because of what another one did."""

ROUNDS = 20
"""Footprints that still grow then are told of: everything that is known of them was run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to explore. ``most``: at most so many schedules; ``server``: learn from the server, too, what steps touch;
    ``first``: the first schedule that fails is the last one.
    """

    kind: Kind = Kind.reduced
    most: int | None = None
    seed: int = 1
    server: bool = True
    first: bool = False


class Runs(Protocol):
    """What runs schedules: this process (:class:`harness.exploring.trial.Here`), or several."""

    @property
    def processes(self) -> int:
        """How many there are."""

    def runs(self, tasks: Sequence[Task], keeping: Keeping) -> Iterator[Ran]:
        """What becomes of each one, as it comes."""


@dataclass(slots=True)
class Explored:
    """An exploration, and what it is made of: every run, and the reduction, if there was one."""

    base: Case
    exploration: Exploration
    runs: list[Ran]
    reduction: Reduction | None = None

    def fewest_switches(self) -> list[Ran]:
        """The failing runs, those first in which the session changes least often."""
        owner = {step.name: session.name for session in self.base.scenario.sessions for step in session.steps}

        def switches(ran: Ran) -> int:
            owners = [owner[name] for name in ran.task.order]
            return sum(one != other for one, other in pairwise(owners))

        return sorted((ran for ran in self.runs if ran.failing and not ran.problem), key=switches)


@dataclass(slots=True)
class Explorer:
    """Explores one case. ``now`` is told how it goes, ``journal`` gets a line for each run."""

    base: Case
    plan: Plan
    runner: Runs
    journal: Journal
    reduction: Reduction | None = None
    now: Callable[[str], None] = lambda line: None
    done: dict[Order, Ran] = field(default_factory=dict)
    interrupted: bool = False
    _stopped: bool = False  # at the first that failed
    _planned: int = 0
    _rounds: int = 0
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    keeping: Keeping = field(default_factory=Keeping)
    _notes: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.perf_counter)

    def explore(self) -> Explored:
        """Run what is to be run. Ctrl-C ends it early: what was done is told, and ``interrupted`` says so.

        Raises ScenarioError if there are too many interleavings, StoreError, ServerUnavailable.
        """
        try:
            if self.plan.kind is Kind.reduced:
                self._reduced()
            else:
                self.run(self._orders())
        except KeyboardInterrupt:
            self.interrupted = True
        return self.told()

    def _reduced(self) -> None:
        assert self.reduction is not None
        while True:
            self._rounds += 1
            covered = {self.reduction.class_of(order) for order in self.done}
            orders = [order for order in self.reduction.representatives(INSTEAD) if order not in covered]
            room = None if self.plan.most is None else self.plan.most - len(self.done)
            before = len(self.done)
            self.run(orders[:room])
            news = [ran.touched for ran in [*self.done.values()][before:] if ran.touched]
            if self._stopped or not any([self.reduction.grow(touched) for touched in news]):
                break
            if self._rounds == ROUNDS:
                self._notes.append(f"what the steps touch was still growing after {ROUNDS} rounds")
                break
            if room is not None and len(orders) >= room:
                break

    def check_proving(self) -> None:
        """Raises ScenarioError if not all interleavings may be run, which a proof needs."""
        total = number_of(self.base.scenario.sessions)
        most = LIMIT if self.plan.most is None else min(self.plan.most, LIMIT)
        if total > most:
            raise ScenarioError(
                f"{self.base.scenario.file}: --prove runs all {total:,} interleavings, and at most {most:,} may be "
                "run: explore fewer sessions or steps"
            )

    def all_orders(self) -> list[Order]:
        """All interleavings. Raises ScenarioError if there are too many."""
        made = interleavings(self.base.scenario.sessions, Kind.all.value, instead=INSTEAD)
        return [tuple(entry.step for entry in one.entries) for one in made]

    def _orders(self) -> list[Order]:
        """The interleavings that are to be run, of all or of random ones."""
        kind = self.plan.kind
        wanted = (self.plan.most or DRAWN) if kind is Kind.random else 0
        made = interleavings(self.base.scenario.sessions, kind.value, wanted, self.plan.seed, instead=INSTEAD)
        return [tuple(entry.step for entry in one.entries) for one in islice(made, self.plan.most)]

    def run(self, orders: Sequence[Order], name: str = "") -> None:
        """Run these. Raises KeyboardInterrupt, StoreError, ServerUnavailable."""
        tasks = [self._task(order, name or self.plan.kind.value) for order in orders]
        self._planned += len(tasks)
        began, at_first = time.perf_counter(), len(self.done)
        self._say(began, at_first)
        with closing(self.runner.runs(tasks, self.keeping)) as runs:  # type: ignore[type-var]
            for ran in runs:
                self.done[ran.task.order] = ran
                self.journal.add(ran)
                self._say(began, at_first)
                if self.plan.first and ran.failing:
                    self._stopped = True
                    break

    def _task(self, order: Order, kind: str) -> Task:
        number = next(self._numbers)
        return Task(number, f"{kind}-{number:03}", order, self.plan.seed if kind == Kind.random else None)

    def _say(self, began: float, at_first: int) -> None:
        rate = (len(self.done) - at_first) / max(time.perf_counter() - began, 1e-9)
        left = self._planned - len(self.done)
        failing = sum(ran.failing for ran in self.done.values())
        text = f"{self.base.id}: {len(self.done)} of {self._planned} interleavings"
        if rate > 0 and len(self.done) > at_first:
            text += f", {rate:.1f} a second, {_time(left / rate)} left"
        self.now(f"{text}, {failing} failing" if failing else text)

    # -- what it came to

    def told(self) -> Explored:
        """All that was found so far."""
        runs = sorted(self.done.values(), key=lambda ran: ran.task.number)
        scenario = self.base.scenario
        total = number_of(scenario.sessions)
        return Explored(
            base=self.base,
            runs=runs,
            reduction=self.reduction,
            exploration=Exploration(
                case=self.base.id,
                scenario=scenario.id,
                title=scenario.title,
                file=self.journal.suite.relative(scenario.file),
                engine=self.base.engine,
                level=self.base.level,
                kind=self.plan.kind,
                seed=self.plan.seed if self.plan.kind is Kind.random else None,
                sessions={session.name: [step.name for step in session.steps] for session in scenario.sessions},
                total=total,
                planned=self._planned,
                run=len(runs),
                spared=self._spared(total),
                failing=sum(ran.failing for ran in runs),
                outcomes=outcomes(runs),
                conflicts=self._pairs(),
                rounds=max(self._rounds, 1),
                notes=[*(self.reduction.notes if self.reduction else ()), *self._notes, *self._cut(total)],
                problems={ran.task.name: ran.problem for ran in runs if ran.problem},
                processes=self.runner.processes,
                seconds=round(time.perf_counter() - self._began, 3),
                interrupted=self.interrupted,
            ),
        )

    def _spared(self, total: int) -> int:
        cut = self.interrupted or self._stopped or (self.plan.most is not None and len(self.done) >= self.plan.most)
        return total - len(self.done) if self.plan.kind is Kind.reduced and not cut else 0

    def _cut(self, total: int) -> Iterator[str]:
        most = self.plan.most
        if self._stopped:
            yield f"stopped at the first that failed, of {self._planned} that were to be run"
        elif (
            most is not None and len(self.done) >= most and len(self.done) < total and self.plan.kind is not Kind.random
        ):
            yield f"only the first {most} of them were run, as --max-schedules says: the others begin differently"

    def _pairs(self) -> list[Pair]:
        return self.reduction.pairs() if self.reduction is not None else []


def outcomes(runs: Sequence[Ran]) -> list[Outcome]:
    """The runs by what happened in them: the most frequent first."""
    groups: dict[str, list[Ran]] = {}
    for ran in runs:
        if not ran.problem:
            groups.setdefault(ran.fingerprint, []).append(ran)
    told = telling([group[0].facts for group in groups.values()])
    made = []
    for fingerprint, group in groups.items():
        first = group[0]
        made.append(
            Outcome(
                fingerprint=fingerprint,
                words=_words(first, told),
                runs=len(group),
                status=first.status,
                summary=first.summary,
                signature=list(first.signature),
                example=first.task.name,
                order=list(first.task.order),
                facts=dict(first.facts),
                evidence=next((ran.evidence for ran in group if ran.evidence), ""),
            )
        )
    return sorted(made, key=lambda one: -one.runs)


def _words(ran: Ran, told: Sequence[str]) -> str:
    """The facts in which it differs from the other outcomes; all that was there at the end, if there is no other one.

    What was there at the end comes first, and that a statement went well is left out where others say more.
    """
    names = [name for name in told or ran.facts if name in ran.facts and (told or name.endswith(AT_THE_END))]
    more = [name for name in names if not _DULL.fullmatch(ran.facts[name])] or names
    ranked = sorted(more, key=lambda name: (not name.endswith(AT_THE_END), name != FOUND))
    return "; ".join(f"{name}: {ran.facts[name]}" for name in ranked)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
