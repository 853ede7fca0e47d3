"""Cycles of dependencies: their edges, their names, and those that are kept.

The names are Adya's G0, G1c, G2-item; Elle's G-single and G-nonadjacent; and the long fork (Sovran et al., *Transactional
storage for geo-replicated systems*, SOSP 2011).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from harness.evidence.checker.graph import PROCESS, REALTIME, RW, VIA, WR

UPDATES: Final = frozenset({"G-nonadjacent", "long-fork", "G2-item", "G2"})
"""Cycles that are Adya's G-update if at most one of their transactions only read."""


class Step(NamedTuple):
    """An edge of a cycle: nodes, kind, and the numbers of the objects that it lies on."""

    source: int
    target: int
    kind: int
    places: tuple[int, ...]


@dataclass(slots=True)
class Cycles:
    """The cycles found: all are counted by name, the shortest few of each are kept."""

    examples: int
    predicates: frozenset[int] = frozenset()  # the numbers of objects that are conditions
    only_read: Callable[[int], bool] = lambda _: False  # whether a transaction wrote nothing
    rows: set[str] = field(default_factory=set)  # names of cycles of which no rw lies on conditions only
    facets: set[str] = field(default_factory=set)  # what there is besides, by names that are not counted
    counts: dict[str, int] = field(default_factory=dict)
    kept: dict[str, list[tuple[int, tuple[int, ...], tuple[Step, ...]]]] = field(default_factory=dict)
    limited: list[str] = field(default_factory=list)  # names whose search came to its limit
    told: dict[frozenset[int], int] = field(default_factory=dict)  # transactions told together, by the stage
    closed: dict[tuple[int, int, int], int] = field(default_factory=dict)  # edges told, by the stage

    def add(self, name: str, cycle: Sequence[Step]) -> None:
        """Count a cycle; keep it if it is one of the shortest. A write skew over a condition is Adya's G2."""
        phantom = any(self.on_predicate(step) for step in cycle)
        if name.startswith("G2-item") and phantom:
            name = name.replace("G2-item", "G2")
        if not phantom:
            self.rows.add(name)
        self.counts[name] = self.counts.get(name, 0) + 1
        if name in UPDATES and sum(self.only_read(step.source) for step in cycle) <= 1:
            self.facets.add("G-update")
        kept = self.kept.setdefault(name, [])
        insort(kept, (len(cycle), tuple(step.source for step in cycle), tuple(cycle)))
        del kept[self.examples :]

    def on_predicate(self, step: Step) -> bool:
        """Whether it is an anti-dependency that lies on conditions only."""
        return step.kind == RW and bool(step.places) and self.predicates.issuperset(step.places)


def adjacent(steps: Sequence[Step]) -> bool:
    """Whether two rw follow each other on the way round."""
    kinds = [step.kind for step in steps if step.kind != VIA]
    return any(one == RW == other for one, other in zip(kinds, kinds[1:] + kinds[:1], strict=True))


def without_hubs(steps: list[Step], transactions: int) -> list[Step]:
    """Two edges through a hub are the one that they stand for."""
    if all(step.kind != VIA for step in steps):
        return steps
    start = next(place for place, step in enumerate(steps) if step.source < transactions)
    whole: list[Step] = []
    for step in steps[start:] + steps[:start]:
        if step.kind == VIA:
            whole[-1] = Step(whole[-1].source, step.target, whole[-1].kind, whole[-1].places)
        else:
            whole.append(step)
    return whole


def together(steps: list[Step]) -> list[Step]:
    """Edges of one order of time that follow each other are one."""
    start = next((place for place, step in enumerate(steps) if step.kind not in (PROCESS, REALTIME)), 0)
    whole: list[Step] = []
    for step in steps[start:] + steps[:start]:
        if whole and step.kind in (PROCESS, REALTIME) and whole[-1].kind == step.kind:
            whole[-1] = Step(whole[-1].source, step.target, step.kind, ())
        else:
            whole.append(step)
    return whole


def name(steps: Sequence[Step]) -> str:
    """What a cycle is called.

    >>> name([Step(0, 1, WR, (0,)), Step(1, 0, RW, (1,))])
    'G-single'
    """
    kinds = [step.kind for step in steps]
    anti = kinds.count(RW)
    suffix = "-realtime" if REALTIME in kinds else "-process" if PROCESS in kinds else ""
    if not anti:
        return ("G1c" if WR in kinds else "G0") + suffix
    if anti == 1:
        return "G-single" + suffix
    if adjacent(steps):
        return "G2-item" + suffix
    return "long-fork" if is_long_fork(steps) else "G-nonadjacent" + suffix


def is_long_fork(steps: Sequence[Step]) -> bool:
    """Two readers that saw two writers in opposite orders: wr, rw, wr, rw, on two objects.

    Sovran et al., *Transactional storage for geo-replicated systems*, SOSP 2011.
    """
    if len(steps) != 4:
        return False
    turned = list(steps) if steps[0].kind == WR else [*steps[1:], steps[0]]
    if [step.kind for step in turned] != [WR, RW, WR, RW]:
        return False
    first = set(turned[0].places) & set(turned[3].places)
    second = set(turned[1].places) & set(turned[2].places)
    return any(one != other for one in first for other in second)
