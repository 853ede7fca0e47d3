"""The strongly connected part of a graph: there, and nowhere else, cycles are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.evidence.checker.graph import NAMES, RW, VIA, Graph
from harness.evidence.checker.search import components, large


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
