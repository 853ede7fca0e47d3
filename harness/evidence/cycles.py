"""Cycles of the serialization graph: a history has an equivalent serial order if, and only if, there are none.

Looked for as Elle does (Kingsbury & Alvaro, *Elle: Inferring Isolation Anomalies from Experimental Observations*, VLDB
2020): first those of few kinds of edges, which only weak levels allow, then with one anti-dependency, then with several;
each by the shortest way back from one of its edges, so that the work grows with the graph and not with its cycles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from harness.evidence.graph import Dependency, dependencies
from harness.evidence.proof import Finding, finding, shown
from harness.evidence.transactions import Transaction
from harness.vocabulary import Phenomenon

Members = frozenset[object]
"""Between whom something was found: transactions, or in a free run sessions."""

_PASSES = (
    ("ww", ("ww",)),  # G0
    ("wr", ("ww", "wr")),  # G1c
    ("rw", ("ww", "wr")),  # G-single
    ("rw", ("ww", "wr", "rw")),  # G2
)
"""The kind of edge that closes a cycle, and the kinds of the way back."""


def cycles(committed: Sequence[Transaction], told: Sequence[Members], *, by_session: bool) -> Iterator[Finding]:
    """Cycles, the most basic first. One between members of which something was ``told`` already is left out."""
    known = list(told)

    def members(edges: Sequence[Dependency]) -> Members:
        ends = [one for edge in edges for one in (edge.source, edge.target)]
        return frozenset(one.session if by_session else one for one in ends)

    def is_told(edges: Sequence[Dependency]) -> bool:
        between = members(edges)
        return any(before <= between for before in known)

    edges = list(dependencies(committed))
    for closing, back in _PASSES:
        closers = [edge for edge in edges if edge.kind == closing and not is_told([edge])]
        for cycle in _shortest(closers, [edge for edge in edges if edge.kind in back]):
            if not is_told(cycle):
                known.append(members(cycle))
                yield _finding(cycle)


def _shortest(closers: Sequence[Dependency], back: Sequence[Dependency]) -> list[list[Dependency]]:
    """For each closing edge the shortest way back from its end to its beginning, if there is one; short cycles first."""
    if not closers:
        return []
    import networkx as nx  # here, not above: it takes a tenth of a second, and few histories come this far

    between: dict[tuple[int, int], list[Dependency]] = defaultdict(list)
    for edge in back:
        between[id(edge.source), id(edge.target)].append(edge)
    graph: nx.DiGraph[int] = nx.DiGraph(list(between))
    both: nx.DiGraph[int] = nx.DiGraph([*between, *((id(edge.source), id(edge.target)) for edge in closers)])
    ring = {node: number for number, nodes in enumerate(nx.strongly_connected_components(both)) for node in nodes}
    found = []
    for edge in closers:
        if ring[id(edge.source)] != ring[id(edge.target)]:
            continue  # nothing leads back: a serial history is seen to be one in a single walk
        try:
            nodes = nx.shortest_path(graph, id(edge.target), id(edge.source))
        except (nx.NetworkXNoPath, nx.NodeNotFound):
            continue
        steps = list(pairwise(nodes))
        way = [_best(between[step], edge if step == steps[-1] else None) for step in steps]
        found.append([edge, *way])
    return sorted(found, key=lambda cycle: (len(cycle), max(edge.second.event for edge in cycle)))


def _best(edges: Sequence[Dependency], closing: Dependency | None) -> Dependency:
    """Of several dependencies between two transactions, the one that proves most: ww before wr before rw.

    At the end of the way, that the reader saw the item's next version too comes before all others.
    """
    again = [edge for edge in edges if closing and edge.kind == "wr" and edge.item == closing.item]
    return (again or sorted(edges, key=lambda edge: ("ww", "wr", "rw").index(edge.kind)))[0]


def _finding(cycle: Sequence[Dependency]) -> Finding:
    phenomenon, adya = _classify(cycle)
    proof = [_sentence(edge, "Let" if index == 0 else "Then") for index, edge in enumerate(cycle)]
    ring = " before ".join([*(edge.source.name for edge in cycle), cycle[0].source.name])
    proof.append(f"However, then {ring} in any serial order: a contradiction. ∎")
    ops = [op for edge in cycle for op in (edge.first, edge.second)]
    return finding(phenomenon, [edge.source for edge in cycle], ops, proof, adya)


def _classify(cycle: Sequence[Dependency]) -> tuple[Phenomenon, str]:
    """The phenomenon that a cycle is. Its first edge is an anti-dependency, if it has any."""
    anti = [edge for edge in cycle if edge.kind == "rw"]
    if not anti:
        only_ww = all(edge.kind == "ww" for edge in cycle)
        return (Phenomenon.dirty_write, "G0") if only_ww else (Phenomenon.circular_information_flow, "G1c")
    if any(edge.predicate for edge in anti):
        return (Phenomenon.phantom, "PMP") if len(anti) == 1 else _skew(cycle, "G2")
    if len(anti) == 1:
        overwritten, last = anti[0], cycle[-1]
        if last.kind == "wr" and last.item == overwritten.item:
            return Phenomenon.non_repeatable_read, "G-single"
        if all(edge.item == overwritten.item for edge in cycle):
            return Phenomenon.lost_update, "P4"
        if last.kind == "wr" and last.source is overwritten.target and last.second.seq < overwritten.first.seq:
            return Phenomenon.observed_transaction_vanishes, "OTV"
        return Phenomenon.read_skew, "G-single"
    if len({edge.item for edge in cycle}) == 1 and all(edge.source.writes(edge.item) for edge in anti):
        return Phenomenon.lost_update, "P4"
    return _skew(cycle, "G2-item")


def _skew(cycle: Sequence[Dependency], adya: str) -> tuple[Phenomenon, str]:
    reads_only = any(edge.source.writes_nothing for edge in cycle)
    return (Phenomenon.read_only_anomaly if reads_only else Phenomenon.write_skew), adya


def _sentence(edge: Dependency, opening: str) -> str:
    one, other, item = edge.source.name, edge.target.name, edge.item
    if edge.kind == "rw":
        overwrite = "overwrite" if opening == "Let" else "overwrote"
        text = (
            f"{one} read {item} = {shown(edge.first.value)} in {edge.first.step}, and {other} {overwrite} that version"
        )
        text += f" in {edge.second.step}"
    elif edge.kind == "wr":
        text = f"{other} read {item} = {shown(edge.second.value)} in {edge.second.step}, "
        text += f"which {one} had written in {edge.first.step}"
    else:
        text = (
            f"{other} wrote {item} in {edge.second.step} over the version that {one} had written in {edge.first.step}"
        )
    return f"{opening} {text}: {one} comes before {other}."
