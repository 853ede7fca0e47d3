"""Which cycles there are in a graph, the most basic ones first.

Every dependency that can close a cycle is asked once, kind by kind, for the most basic cycle that it closes: a ww for a
path back of ww (G0), a wr for one of ww and wr (G1c), an rw for one of ww and wr (G-single), then for one in which no two rw
follow each other (G-nonadjacent: Cerone and Gotsman, *Analysing Snapshot Isolation*, JACM 2018), then for any (G2-item).
Transactions that were told together are not told together again under a less basic name. Whether there is a cycle of a kind
at all is known from components and so for certain; which ones there are is searched for, and the search has a limit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from harness.evidence.checker.cycles import Cycles, Step, adjacent, name, together, without_hubs
from harness.evidence.checker.graph import REALTIME, RW, VIA, WR, WW, Graph
from harness.evidence.checker.part import Part, part
from harness.evidence.checker.search import Budget, components, reverse, shortest, topological

STEPS: Final = 1_000_000
"""How many edges each stage of a search looks at, at most; the first cycle of a stage is found whatever it takes."""

STEPS_EACH: Final = 100
"""How many more for each edge that may close a cycle."""

NEAR: Final = 50_000
"""How many of them for one cycle: whoever is further away is looked for only if nothing else was found."""

Group = dict[int, set[int]]
"""For each transaction the lost updates (by number) that it is part of."""


def classify(
    graph: Graph,
    lost: Group,
    places: Sequence[int],
    orders: Sequence[int],
    cycles: Cycles,
    jump: Callable[[int, int, int], bool],
) -> None:
    """Find the cycles of a graph that need edges of ``orders`` (process, real time; none: cycles of data alone).

    ``places``: on which object each of the lost updates is. ``jump``: whether an order (a kind) leads from one transaction
    to another, even if the graph has no edge of its own for that.
    """
    found = part(graph, (WW, WR, RW, *orders))
    if found is not None:
        _Search(found, lost, places, tuple(orders), cycles, jump).run()


Way = Callable[[int, int, Budget], list[Step] | None]
"""A search for the way back from an edge's target to its source."""


class _Search:
    def __init__(
        self,
        found: Part,
        lost: Group,
        places: Sequence[int],
        orders: tuple[int, ...],
        cycles: Cycles,
        jump: Callable[[int, int, int], bool],
    ) -> None:
        self.part = found
        self.lost = lost
        self.lost_places = places
        self.orders = orders
        self.cycles = cycles
        self.jump = jump
        self.size = len(found.nodes)
        self._writers: dict[int, list[int]] | None = None

    def run(self) -> None:
        """All stages, the most basic one first."""
        self.stage(0, WW, (WW, *self.orders))
        self.stage(1, WR, (WW, WR, *self.orders))
        self.anti((WW, WR, *self.orders))
        self.stage(4, RW, (WW, WR, RW, *self.orders))

    def stage(self, stage: int, closing: int, kinds: tuple[int, ...]) -> None:
        """Cycles of edges of ``kinds`` with one of the kind ``closing`` in them."""
        todo = [edge for edge in self.part.edges(closing) if not self.done(closing, edge, stage)]
        if not todo:
            return
        out = self.part.merged(kinds)
        component = components(out)
        todo = [edge for edge in todo if component[edge[0]] == component[edge[1]]]
        if not todo:
            return
        out = [[far for far in out[node] if component[far] == component[node]] for node in range(self.size)]
        into = reverse(out)

        def way(source: int, target: int, budget: Budget) -> list[Step] | None:
            barred = self.shadows(source, target) if closing == RW else ()
            nodes = shortest(out, into, target, source, budget, None, barred)
            return self.steps(nodes, kinds) if nodes else None

        self.close(stage, closing, todo, way)

    def anti(self, kinds: tuple[int, ...]) -> None:
        """Cycles with rw in which no two of them follow each other; those with only one first."""
        todo = [edge for edge in self.part.edges(RW) if not self.done(RW, edge, 3)]
        if not todo:
            return
        size = self.size
        double = self.part.doubled(kinds)
        component = components(double)
        todo = [edge for edge in todo if component[edge[0]] == component[edge[1] + size]]
        if not todo:
            return
        out = self.part.merged(kinds)
        into = reverse(out)
        ranks = topological(out, components(out))

        def single(source: int, target: int, budget: Budget) -> list[Step] | None:
            nodes = shortest(out, into, target, source, budget, ranks, self.shadows(source, target))
            return self.steps(nodes, kinds) if nodes else None

        self.close(2, RW, todo, single)
        todo = [edge for edge in todo if not self.done(RW, edge, 3)]
        if not todo:
            return
        double = [[far for far in double[node] if component[far] == component[node]] for node in range(2 * size)]
        back = reverse(double)

        def several(source: int, target: int, budget: Budget) -> list[Step] | None:
            barred = self.shadows(source, target)
            barred += [node + size for node in barred]
            nodes = shortest(double, back, target + size, source, budget, None, barred)
            return self.twofold(nodes, kinds) if nodes else None

        self.close(3, RW, todo, several)

    def close(self, stage: int, closing: int, todo: list[tuple[int, int]], way: Way) -> None:
        """Tell the cycles that edges close, each by the way back that is found for it within the search's limits."""
        budget = Budget(STEPS + STEPS_EACH * len(todo))
        cut: list[tuple[int, int]] = []
        told = 0
        for source, target in todo:
            if self.done(closing, (source, target), stage):
                continue
            path = self.shortcut(source, target)
            if path is None and budget.left > 0:
                near = Budget(min(NEAR, budget.left))
                path = way(source, target, near)
                budget.left -= min(NEAR, budget.left) - max(near.left, 0)
                if near.spent:
                    cut.append((source, target))
            elif path is None:
                cut.append((source, target))
            if path is not None:
                told += 1
                self.tell(stage, [self.step(source, target, closing), *path])
        while cut and not told:  # whether there is one is not a matter of limits
            source, target = cut.pop()
            path = way(source, target, Budget(sys.maxsize))
            if path is not None:
                told += 1
                self.tell(stage, [self.step(source, target, closing), *path])
        if cut:
            self.limited(stage)

    def shadows(self, source: int, target: int) -> list[int]:
        """Whose version the source of an rw had read.

        A way back through them goes round without the reader as well: they come right before the target (ww).
        """
        wr, ww = self.part.places[WR], self.part.places[WW]
        on = set(self.part.places[RW].get(source * self.size + target, ()))
        found = []
        for code in self.writers().get(source, ()):
            writer = code // self.size
            if not on.isdisjoint(wr[code]) and writer * self.size + target in ww:
                found.append(writer)
        return found

    def writers(self) -> dict[int, list[int]]:
        """For each reader the edges (wr) that lead to it."""
        if self._writers is None:
            self._writers = {}
            for code in self.part.places[WR]:
                self._writers.setdefault(code % self.size, []).append(code)
        return self._writers

    def done(self, kind: int, edge: tuple[int, int], stage: int) -> bool:
        """Whether an edge is in a cycle that was told, of a name at least as basic."""
        nodes = self.part.nodes
        return self.cycles.closed.get((kind, nodes[edge[0]], nodes[edge[1]]), 9) <= stage

    def limited(self, stage: int) -> None:
        suffix = "-realtime" if REALTIME in self.orders else "-process" if self.orders else ""
        name = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")[stage] + suffix
        if name not in self.cycles.limited:
            self.cycles.limited.append(name)

    def shortcut(self, source: int, target: int) -> list[Step] | None:
        """The way back by the order of time alone, or by that and one dependency: they may be far apart."""
        nodes, hubs = self.part.nodes, self.part.transactions
        goal, start = nodes[source], nodes[target]
        if goal >= hubs or start >= hubs:
            return None
        for order in self.orders:
            if self.jump(order, start, goal):
                return [Step(target, source, order, ())]
        for order in self.orders:
            for kind in (WW, WR):
                for middle in self.part.out[kind][target]:
                    if middle != source and nodes[middle] < hubs and self.jump(order, nodes[middle], goal):
                        return [self.step(target, middle, kind), Step(middle, source, order, ())]
        return None

    def step(self, source: int, target: int, kind: int) -> Step:
        places = self.part.places[kind].get(source * self.size + target, ())
        return Step(source, target, kind, places)

    def steps(self, nodes: Sequence[int], kinds: Sequence[int]) -> list[Step]:
        """The edges along a path, of the most basic kind that each can be."""
        found = []
        for source, target in pairwise(nodes):
            code = source * self.size + target
            kind = next(kind for kind in (*kinds, VIA) if code in self.part.places[kind])
            found.append(self.step(source, target, kind))
        return found

    def twofold(self, nodes: Sequence[int], kinds: Sequence[int]) -> list[Step]:
        """The same of a path over doubled nodes: what leads into the second half is an rw, or goes on through a hub."""
        found: list[Step] = []
        for source, target in pairwise(nodes):
            near, far = source % self.size, target % self.size
            if target < self.size:
                found += self.steps((near, far), kinds)
            else:
                found.append(self.step(near, far, RW if source < self.size else VIA))
        return found

    def simple(self, steps: list[Step]) -> list[Step]:
        """Cut a closed walk down to a cycle in which no two rw follow each other: there always is one."""
        while True:
            where: dict[int, int] = {}
            for place, step in enumerate(steps):
                if step.source not in where:
                    where[step.source] = place
                    continue
                first = where[step.source]
                loop, rest = steps[first:place], steps[:first] + steps[place:]
                steps = loop if not adjacent(loop) else rest
                break
            else:
                return steps

    def tell(self, stage: int, steps: list[Step]) -> None:
        """Name a cycle and count it, unless its transactions were told together before, by a name as basic."""
        nodes = self.part.nodes
        whole = together(
            without_hubs([Step(nodes[a], nodes[b], kind, at) for a, b, kind, at in steps], self.part.transactions)
        )
        for step in steps:
            edge = (step.kind, nodes[step.source], nodes[step.target])
            self.cycles.closed[edge] = min(stage, self.cycles.closed.get(edge, 9))
        if stage == 2 and not self.orders and all(self.carried(step) for step in steps):
            self.cycles.facets.add("causality-violation")
        members = frozenset(step.source for step in whole)
        if self.cycles.told.get(members, 9) <= stage:
            return
        self.cycles.told[members] = stage
        if not self.is_lost(whole):
            first = min(range(len(whole)), key=lambda place: whole[place].source)
            self.cycles.add(name(whole), whole[first:] + whole[:first])

    def carried(self, step: Step) -> bool:
        """Whether it is an anti-dependency, or something that was read leads along it."""
        return step.kind != WW or step.source * self.size + step.target in self.part.places[WR]

    def is_lost(self, steps: Sequence[Step]) -> bool:
        """Whether it is a lost update, which is told as such: all between transactions that lost one, on that object."""
        if all(step.kind != RW for step in steps):
            return False
        groups = set.intersection(*(self.lost.get(step.source, set()) for step in steps))
        return any(all(self.lost_places[group] in step.places for step in steps) for group in groups)
