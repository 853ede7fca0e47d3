"""Cycles and their names: Adya's G0, G1c and G2-item, Elle's G-single and G-nonadjacent, the long fork.

Every dependency that can close a cycle is asked once, kind by kind, for the most basic cycle that it closes: a ww for a
path back of ww (G0), a wr for one of ww and wr (G1c), an rw for one of ww and wr (G-single), then for one in which no two rw
follow each other (G-nonadjacent: Cerone and Gotsman, *Analysing Snapshot Isolation*, JACM 2018), then for any (G2-item).
Transactions that were told together are not told together again under a less basic name. Whether there is a cycle of a kind
at all is known from components and so for certain; which ones there are is searched for, and the search has a limit.
"""

from __future__ import annotations

import sys
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from harness.evidence.checker.graph import NAMES, PROCESS, REALTIME, RW, VIA, WR, WW, Graph
from harness.evidence.checker.search import Budget, components, large, reverse, shortest, topological

STEPS: Final = 4_000_000
"""How many edges each stage of a search looks at, at most; the first cycle of a stage is found whatever it takes."""


MOST_FRACTURED: Final = 256
"""So many read skews between two transactions are looked at more closely."""


NEAR: Final = 50_000
"""How many of them for one cycle: whoever is further away is looked for only if nothing else was found."""


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
    counts: dict[str, int] = field(default_factory=dict)
    kept: dict[str, list[tuple[int, tuple[int, ...], tuple[Step, ...]]]] = field(default_factory=dict)
    limited: list[str] = field(default_factory=list)  # names whose search came to its limit
    told: dict[frozenset[int], int] = field(default_factory=dict)  # transactions told together, by the stage
    closed: dict[tuple[int, int, int], int] = field(default_factory=dict)  # edges told, by the stage
    fractured: list[tuple[Step, ...]] = field(default_factory=list)  # a few of those of two, by wr and by rw

    def add(self, name: str, cycle: Sequence[Step]) -> None:
        """Count a cycle; keep it if it is one of the shortest."""
        self.counts[name] = self.counts.get(name, 0) + 1
        pair = name == "G-single" and len(cycle) == 2 and WW not in (cycle[0].kind, cycle[1].kind)
        if pair and len(self.fractured) < MOST_FRACTURED:
            self.fractured.append(tuple(cycle))
        kept = self.kept.setdefault(name, [])
        insort(kept, (len(cycle), tuple(step.source for step in cycle), tuple(cycle)))
        del kept[self.examples :]


Group = dict[int, set[int]]
"""For each transaction the lost updates (by number) that it is part of."""


@dataclass(slots=True)
class Part:
    """What lies in strongly connected components of a graph, renumbered: nodes in their own order, edges by kind."""

    nodes: list[int]
    transactions: int  # nodes from here on (in the graph) are hubs
    out: list[list[list[int]]]  # by kind
    places: list[dict[int, tuple[int, ...]]]  # by kind, of source * len(nodes) + target

    def merged(self, kinds: Iterable[int]) -> list[list[int]]:
        """Neighbours by edges of any of these kinds, and through hubs."""
        chosen = [self.out[kind] for kind in (*kinds, VIA)]
        return [
            list(dict.fromkeys(target for out in chosen for target in out[node])) for node in range(len(self.nodes))
        ]

    def doubled(self, others: Iterable[int]) -> list[list[int]]:
        """Each node twice: reached by rw (node + size), or not. From the former no rw leads on."""
        size = len(self.nodes)
        plain = [self.out[kind] for kind in others]
        rw, via = self.out[RW], self.out[VIA]
        first, second = [], []
        for node in range(size):
            free = list(dict.fromkeys(target for out in plain for target in out[node]))
            first.append(free + [target + size for target in rw[node]] + via[node])
            second.append(free + [target + size for target in via[node]])
        return first + second

    def edges(self, kind: int) -> Iterable[tuple[int, int]]:
        """All edges of a kind, each once."""
        size = len(self.nodes)
        return (divmod(code, size) for code in self.places[kind])


def part(graph: Graph, kinds: Sequence[int]) -> Part | None:
    """The strongly connected part of a graph with edges of these kinds only; None if no cycle is in it."""
    out: list[list[int]] = [[] for _ in range(graph.size)]
    for kind in (*kinds, VIA):
        for source, target in zip(graph.sources[kind], graph.targets[kind], strict=True):
            out[source].append(target)
    component = components(out)
    wanted = large(component)
    if not any(wanted):
        return None
    nodes = [node for node, number in enumerate(component) if wanted[number]]
    local = {node: place for place, node in enumerate(nodes)}
    size = len(nodes)
    found = Part(nodes, graph.transactions, [[[] for _ in nodes] for _ in NAMES], [{} for _ in NAMES])
    for kind in (*kinds, VIA):
        places, neighbours = found.places[kind], found.out[kind]
        edges = zip(graph.sources[kind], graph.targets[kind], graph.places[kind], strict=True)
        for source, target, place in edges:
            if component[source] == component[target] and wanted[component[source]]:
                near, far = local[source], local[target]
                code = near * size + far
                known = places.get(code)
                if known is None:
                    places[code] = (place,)
                    neighbours[near].append(far)
                elif place not in known:
                    places[code] = (*known, place)
    return found


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
        budget = Budget(STEPS)
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
                steps = loop if not _adjacent(loop) else rest
                break
            else:
                return steps

    def tell(self, stage: int, steps: list[Step]) -> None:
        """Name a cycle and count it, unless its transactions were told together before, by a name as basic."""
        nodes = self.part.nodes
        whole = _together(_without_hubs([Step(nodes[a], nodes[b], kind, at) for a, b, kind, at in steps], self.part))
        for step in steps:
            edge = (step.kind, nodes[step.source], nodes[step.target])
            self.cycles.closed[edge] = min(stage, self.cycles.closed.get(edge, 9))
        members = frozenset(step.source for step in whole)
        if self.cycles.told.get(members, 9) <= stage:
            return
        self.cycles.told[members] = stage
        if not self.is_lost(whole):
            first = min(range(len(whole)), key=lambda place: whole[place].source)
            self.cycles.add(name(whole), whole[first:] + whole[:first])

    def is_lost(self, steps: Sequence[Step]) -> bool:
        """Whether it is a lost update, which is told as such: all between transactions that lost one, on that object."""
        if all(step.kind != RW for step in steps):
            return False
        groups = set.intersection(*(self.lost.get(step.source, set()) for step in steps))
        return any(all(self.lost_places[group] in step.places for step in steps) for group in groups)


def _adjacent(steps: Sequence[Step]) -> bool:
    kinds = [step.kind for step in steps if step.kind != VIA]
    return any(one == RW == other for one, other in zip(kinds, kinds[1:] + kinds[:1], strict=True))


def _without_hubs(steps: list[Step], found: Part) -> list[Step]:
    """Two edges through a hub are the one that they stand for."""
    if all(step.kind != VIA for step in steps):
        return steps
    start = next(place for place, step in enumerate(steps) if step.source < found.transactions)
    whole: list[Step] = []
    for step in steps[start:] + steps[:start]:
        if step.kind == VIA:
            whole[-1] = Step(whole[-1].source, step.target, whole[-1].kind, whole[-1].places)
        else:
            whole.append(step)
    return whole


def _together(steps: list[Step]) -> list[Step]:
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
    if _adjacent(steps):
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
