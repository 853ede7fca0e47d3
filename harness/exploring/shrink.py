"""A failing schedule made small: fewer sessions, then fewer steps, then fewer switches between sessions.

Each candidate is run for real, on databases of its own. It counts as failing only if it fails *in the same way*: with the
same unexpected phenomenon, the same broken invariant, or the same kind of mismatch; and only if its steps do not fail so
with one session after the other: what is left shall need its interleaving, and a step without which nothing can be as
expected is not taken away. One that cannot run (a step needs what a step that is gone had read) is simply not failing.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise, permutations
from typing import TypeVar

from harness.errors import HarnessError, ServerUnavailable, StoreError
from harness.evidence.model import Evidence
from harness.exploring.behaviour import STRONG, invariants, signature
from harness.exploring.deltas import ddmin
from harness.exploring.ground import Ground
from harness.exploring.model import Order, Shrunk, Size
from harness.exploring.replay import replay_text
from harness.exploring.trial import attempt
from harness.history import EventKind
from harness.scenario.expressions import used_in
from harness.scenario.model import VERBS, Case, Entry, Expectation, Schedule, Step
from harness.scenario.schedules import interleavings, number_of
from harness.scenario.wanted import committed_name
from harness.suite import Suite

CONFIRMATIONS = 3
"""So often a failure is run again, at first and at the end: one that does not come each time is told of."""

PATIENCE = 10
LEAST_PATIENCE = 0.5
"""A step of a candidate may take so many times what the whole case took, and at least so many seconds."""

MOST_ORDERS = 3_000
"""If no more interleavings are left, the one with the fewest switches is looked for among all of them."""

MOST_TRIED = 150
"""So many of those are run at most."""

FEW = 3
"""Of so many sessions all serial orders are tried."""

SMALLEST = "smallest"
"""What the schedule of the replay is called."""

V = TypeVar("V")


def shrink(suite: Suite, case: Case, *, wanted: Sequence[str] = (), now: Callable[[str], None] | None = None) -> Shrunk:
    """The smallest case that fails as ``case`` does, and the text of a scenario that replays it.

    ``wanted`` are the kinds of failure to keep (see :func:`harness.exploring.behaviour.signature`); else the strongest one
    that the case shows. A case that does not fail when it is run again comes back as it is, and says so.
    Raises HarnessError if nothing can be run.
    """
    began = time.perf_counter()
    order: Order = tuple(entry.step for entry in case.schedule.entries)
    with closing(Ground(suite, case)) as ground:
        made = _Shrinking(suite, case, tuple(wanted), now or (lambda line: None), ground)
        before = made.size(order)
        confirmed, evidences = made.confirm(order)
        notes = made.notes(order, confirmed)
        if not notes:
            made.patience = max(LEAST_PATIENCE, PATIENCE * max(evidence.history.seconds for evidence in evidences))
            order = made.smallest(order)
            made.patience = math.inf
            confirmed, evidences = made.confirm(order)
    small = made.case(order)
    return Shrunk(
        case=small,
        schedule=small.schedule,
        wanted=made.wanted,
        before=before,
        after=made.size(order),
        runs=made.runs,
        confirmed=confirmed,
        confirmations=CONFIRMATIONS,
        text=replay_text(suite, small, case, evidences, made.wanted),
        seconds=time.perf_counter() - began,
        shown=made.shown(evidences, small),
        notes=notes,
    )


@dataclass(slots=True)
class _Shrinking:
    """Candidates of one case. A candidate is an order of some of its steps: sessions that have none are gone."""

    suite: Suite
    whole: Case
    wanted: tuple[str, ...]
    now: Callable[[str], None]
    ground: Ground
    runs: int = 0
    patience: float = math.inf  # seconds that a step of a candidate may take: one without its 'commit' hangs
    _known: dict[Order, bool] = field(default_factory=dict)
    _interleaved: dict[frozenset[str], bool] = field(default_factory=dict)
    _waits: dict[Order, bool] = field(default_factory=dict)  # of those that were run: whether somebody waited
    _steps: dict[str, Step] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._steps = {step.name: step for one in self.whole.scenario.sessions for step in one.steps}

    # -- candidates

    def case(self, order: Order) -> Case:
        """The case of an order: only its steps, and nothing expected of others."""
        scenario, kept = self.whole.scenario, set(order)
        sessions = [
            replace(one, steps=tuple(step for step in one.steps if step.name in kept)) for one in scenario.sessions
        ]
        left = tuple(one for one in sessions if one.steps)
        gone = [one.name for one in sessions if not one.steps]
        made = replace(
            scenario,
            sessions=left,
            schedules=(),
            made=(),
            deadline=min(scenario.deadline, self.patience),
            case_deadline=min(scenario.case_deadline, 4 * self.patience),
            break_cycle=scenario.break_cycle if scenario.break_cycle in kept else "",
            hosts=tuple(role for role in scenario.hosts if any(one.host == role for one in left)),
        )
        return replace(
            self.whole,
            id=f"{base_id(self.whole)}-{SMALLEST}]",
            scenario=made,
            schedule=Schedule(SMALLEST, tuple(map(Entry, order)), seed=self.whole.schedule.seed),
            expectation=_without(self.whole.expectation, kept, gone),
        )

    def fails(self, order: Order) -> bool:
        """Whether an order fails in the same way; it is run once."""
        if order not in self._known:
            can = bool(order) and self._can_run(order)
            self._known[order] = can and self._run(order) is not None and self.interleaved(order)
        return self._known[order]

    def interleaved(self, order: Order) -> bool:
        """Whether the steps of an order do not fail in this way in some serial order, which is then why it fails."""
        steps = frozenset(order)
        if steps not in self._interleaved:
            self._interleaved[steps] = any(self._run(one) is None for one in self._serial(order))
        return self._interleaved[steps]

    def _serial(self, order: Order) -> Iterator[Order]:
        """Serial orders of an order's steps: all of a few sessions, else those in which they begin, and the other way."""
        sessions = self._by(order, lambda step: step.session)
        some = permutations(sessions) if len(sessions) <= FEW else (sessions, sessions[::-1])
        return (_chained(one) for one in some)

    def notes(self, order: Order, confirmed: int) -> tuple[str, ...]:
        """Why there is nothing to be made smaller; empty if there is."""
        if not confirmed:
            return ("it did not fail again in this way: nothing was made smaller",)
        if not self.interleaved(order):
            return ("it fails in every serial order, too, so it is not the schedule's fault: nothing was made smaller",)
        return ()

    def _can_run(self, order: Order) -> bool:
        """Whether every value that a step uses is there: a parameter, or read by a step before it."""
        engines = {placed.alias: placed.engine for placed in self.whole.databases}
        known: dict[str, set[str]] = {}
        for session in self.whole.scenario.sessions:
            names = known[session.name] = set(self.whole.scenario.parameters)
            for step in session.setup:
                names |= set(step.reads)
        for step in (self._steps[name] for name in order):
            names = known[step.session]
            body = step.body(engines[step.database])
            used = {name for value in (body, dict(step.writes)) for one in used_in(value) for name in one.names()}
            if not used <= names | set(step.names):
                return False
            names |= set(step.reads)
        return True

    def _run(self, order: Order) -> Evidence | None:
        """Its evidence, if it failed in the same way."""
        case = self.case(order)
        self.runs += 1
        self.now(f"{self.whole.id}: {self.size(order)}; {self.runs} runs")
        try:
            evidence = attempt(self.suite, case, self.ground).evidence
        except (StoreError, ServerUnavailable):
            raise
        except HarnessError:
            return None
        self._waits[order] = any(event.kind is EventKind.blocked for event in evidence.history.events)
        shown = signature(evidence, case.expectation)
        if not self.wanted and shown:
            self.wanted = wanted_of(shown)
        if not shown:
            return None
        gone = {one.name for one in self.whole.scenario.sessions} - {one.name for one in case.scenario.sessions}
        return evidence if {_uncommitted(one, gone) for one in self.wanted} <= set(shown) else None

    def confirm(self, order: Order) -> tuple[int, list[Evidence]]:
        """How often of three times an order fails in the same way, and what it showed then."""
        evidences = [evidence for _ in range(CONFIRMATIONS) if (evidence := self._run(order)) is not None]
        return len(evidences), evidences

    def shown(self, evidences: Sequence[Evidence], small: Case) -> tuple[str, ...]:
        """All kinds of failure that these show, in the words of the whole case."""
        found = {one for evidence in evidences for one in signature(evidence, small.expectation)}
        gone = {one.name for one in self.whole.scenario.sessions} - {one.name for one in small.scenario.sessions}
        holds = [part for text in self.whole.expectation.holds for part in invariants(text)]
        renamed = {f"holds {_uncommitted(text, gone)}": f"holds {text}" for text in holds}
        return tuple(sorted(renamed.get(one, one) for one in found))

    # -- smaller ones

    def smallest(self, order: Order) -> Order:
        """The smallest order that still fails: each way of making it smaller is gone through until none helps."""
        self._known[order] = True
        while True:
            before = order
            order = self._parts(order, self._by(order, lambda step: step.session))
            order = self._parts(order, self._transactions(order))
            order = self._parts(order, [[name] for name in order])
            order = self._fewer_switches(order)
            if order == before:
                return order

    def _by(self, order: Order, key: Callable[[Step], str]) -> list[list[str]]:
        groups: dict[str, list[str]] = {}
        for name in order:
            groups.setdefault(key(self._steps[name]), []).append(name)
        return list(groups.values())

    def _transactions(self, order: Order) -> list[list[str]]:
        """Steps one by one, but 'begin' together with the step that ends its transaction."""
        units: list[list[str]] = []
        opened: dict[str, list[str]] = {}
        for name in order:
            step = self._steps[name]
            verb = next((body for body in step.bodies.values() if isinstance(body, str) and body in VERBS), "")
            if verb == "begin":
                opened[step.session] = [name]
                units.append(opened[step.session])
            elif verb and step.session in opened:
                opened.pop(step.session).append(name)
            else:
                units.append([name])
        return units

    def _parts(self, order: Order, units: Sequence[list[str]]) -> Order:
        """The order with as few of the units as it needs to fail."""

        def without_others(kept: Sequence[list[str]]) -> Order:
            names = {name for unit in kept for name in unit}
            return tuple(name for name in order if name in names)

        return without_others(ddmin(units, lambda kept: self.fails(without_others(kept))))

    def _fewer_switches(self, order: Order) -> Order:
        """An order with as few switches as it needs, of those the first in which nobody waits, if there is one."""
        sessions = self.case(order).scenario.sessions
        if number_of(sessions) > MOST_ORDERS:
            return self._merged(order)
        every = (tuple(entry.step for entry in one.entries) for one in interleavings(sessions, "all"))
        best: Order | None = None
        for one in islice(sorted(every, key=self.switches), MOST_TRIED):
            if self.switches(one) > self.switches(best or order):
                break
            if self.fails(one):
                if not self._waits.get(one, False):
                    return one
                best = best or one
        return best or order

    def _merged(self, order: Order) -> Order:
        """Blocks of a session's steps moved to its block before, or after, as long as that still fails."""
        while True:
            found = next((one for one in self._neighbours(order) if self.fails(one)), None)
            if found is None:
                return order
            order = found

    def _neighbours(self, order: Order) -> Iterator[Order]:
        blocks: list[list[str]] = []
        for name in order:
            if blocks and self._steps[blocks[-1][0]].session == self._steps[name].session:
                blocks[-1].append(name)
            else:
                blocks.append([name])
        for index, block in enumerate(blocks):
            same = [n for n, one in enumerate(blocks) if self._steps[one[0]].session == self._steps[block[0]].session]
            before = max((number for number in same if number < index), default=None)
            after = min((number for number in same if number > index), default=None)
            if before is not None:  # straight after the block before
                yield _chained([*blocks[: before + 1], block, *blocks[before + 1 : index], *blocks[index + 1 :]])
            if after is not None:  # straight before the block after
                yield _chained([*blocks[:index], *blocks[index + 1 : after], block, *blocks[after:]])

    # -- sizes

    def switches(self, order: Order) -> int:
        """How often the session changes."""
        owners = [self._steps[name].session for name in order]
        return sum(one != other for one, other in pairwise(owners))

    def size(self, order: Order) -> Size:
        """How large it is."""
        return Size(len({self._steps[name].session for name in order}), len(order), self.switches(order))


def _chained(blocks: Sequence[Sequence[str]]) -> Order:
    return tuple(name for block in blocks for name in block)


def base_id(case: Case) -> str:
    """A case's id, without its schedule's name and the bracket."""
    return case.id.removesuffix("]").removesuffix(f"-{case.schedule.name}")


def wanted_of(shown: Sequence[str]) -> tuple[str, ...]:
    """The one kind of failure that is worth keeping: the first that says what is wrong with the data, else the first."""
    return tuple([*(one for one in shown if one.startswith(STRONG)), *shown][:1])


def _without(expectation: Expectation, kept: set[str], gone: Sequence[str]) -> Expectation:
    """What is expected, without what it says of steps that are gone, and with sessions that are gone as not committed."""

    def of_steps(given: dict[str, V]) -> dict[str, V]:
        return {step: value for step, value in given.items() if step in kept}

    return replace(
        expectation,
        errors=of_steps(dict(expectation.errors)),
        sees=of_steps(dict(expectation.sees)),
        blocks=None if expectation.blocks is None else tuple(step for step in expectation.blocks if step in kept),
        victim="" if expectation.victim in gone else expectation.victim,
        holds=tuple(_uncommitted(text, gone) for text in expectation.holds),
    )


def _uncommitted(text: str, gone: Sequence[str] | set[str]) -> str:
    """An invariant for a case in which some sessions are gone: none of their transactions committed.

    >>> _uncommitted("a == 3 * committed_T1 + committed_T3", ["T3"])
    'a == 3 * committed_T1 + 0'
    """
    for session in gone:
        text = re.sub(rf"\b{re.escape(committed_name(session))}\b", "0", text)
    return text
