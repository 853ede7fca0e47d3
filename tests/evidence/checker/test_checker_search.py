"""Components, paths and orders against networkx's; names of cycles against all cycles of a small graph."""

from __future__ import annotations

import random
from itertools import pairwise, product

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.checker.classify import classify
from harness.evidence.checker.cycles import Cycles, Step, name
from harness.evidence.checker.graph import NAMES, PROCESS, RW, VIA, WR, WW, Graph
from harness.evidence.checker.levels import excluded
from harness.evidence.checker.search import Budget, components, large, reverse, shortest, topological

STEADY = settings(max_examples=100, deadline=None, derandomize=True)


@st.composite
def neighbours(draw: st.DrawFn) -> list[list[int]]:
    size = draw(st.integers(1, 12))
    edges = draw(st.sets(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=30))
    out: list[list[int]] = [[] for _ in range(size)]
    for source, target in sorted(edges):
        if source != target:
            out[source].append(target)
    return out


def graph_of(out: list[list[int]]) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(out)))
    graph.add_edges_from((source, target) for source, targets in enumerate(out) for target in targets)
    return graph


@STEADY
@given(neighbours())
def test_components_are_the_strongly_connected_ones_and_edges_lead_to_lower_numbers(out: list[list[int]]) -> None:
    found = components(out)
    groups: dict[int, set[int]] = {}
    for node, number in enumerate(found):
        groups.setdefault(number, set()).add(node)
    assert sorted(map(sorted, groups.values())) == sorted(map(sorted, nx.strongly_connected_components(graph_of(out))))
    assert all(found[target] <= found[source] for source, targets in enumerate(out) for target in targets)
    assert [large(found)[number] for number in sorted(groups)] == [len(groups[number]) > 1 for number in sorted(groups)]


@STEADY
@given(neighbours())
def test_ranks_never_fall_along_an_edge_and_are_one_within_a_component(out: list[list[int]]) -> None:
    found = components(out)
    ranks = topological(out, found)
    for source, targets in enumerate(out):
        for target in targets:
            assert ranks[source] <= ranks[target]
            assert (ranks[source] == ranks[target]) == (found[source] == found[target])


@STEADY
@given(neighbours(), st.booleans())
def test_a_path_is_as_short_as_any(out: list[list[int]], ranked: bool) -> None:
    graph = graph_of(out)
    ranks = topological(out, components(out)) if ranked else None
    for start, goal in product(range(len(out)), repeat=2):
        path = shortest(out, reverse(out), start, goal, Budget(10**6), ranks)
        if path is None:
            assert not nx.has_path(graph, start, goal)
        else:
            assert path[0] == start
            assert path[-1] == goal
            assert all(after in out[before] for before, after in pairwise(path))
            assert len(path) == len(nx.shortest_path(graph, start, goal))


def test_a_search_without_means_says_so() -> None:
    out = [[node + 1] for node in range(50)] + [[]]
    budget = Budget(5)
    assert shortest(out, reverse(out), 0, 50, budget) is None
    assert budget.spent


def test_a_long_chain_needs_no_recursion() -> None:
    size = 50_000
    out = [[node + 1] for node in range(size - 1)] + [[0]]
    assert set(components(out)) == {0}


def dependencies(seed: int) -> Graph:
    """A few transactions, edges by chance, and three sessions."""
    rng = random.Random(seed)
    size = rng.randint(2, 6)
    graph = Graph(size)
    weights = rng.choice(([1, 1, 1], [3, 3, 1], [1, 4, 4], [0, 1, 6], [0, 0, 1]))
    for _ in range(rng.randint(2, 10)):
        source, target = rng.sample(range(size), 2)
        graph.add(rng.choices((WW, WR, RW), weights)[0], source, target, rng.randrange(2))
    for session in range(rng.choice((0, 2, 3))):
        for before, after in pairwise([node for node in range(size) if node % 3 == session]):
            graph.add(PROCESS, before, after)
    return graph


def every_name(graph: Graph) -> set[str]:
    """The names of all simple cycles, found by trying all of them."""
    edges: dict[tuple[int, int], set[int]] = {}
    places: dict[tuple[int, int, int], set[int]] = {}
    for kind in range(len(NAMES)):
        for source, target, place in zip(graph.sources[kind], graph.targets[kind], graph.places[kind], strict=True):
            edges.setdefault((source, target), set()).add(kind)
            places.setdefault((source, target, kind), set()).add(place)
    found = set()
    for cycle in nx.simple_cycles(nx.DiGraph(list(edges))):
        pairs = list(pairwise([*cycle, cycle[0]]))
        for kinds in product(*(edges[pair] for pair in pairs)):
            steps = [Step(*pair, kind, tuple(places[*pair, kind])) for pair, kind in zip(pairs, kinds, strict=True)]
            found.add(name(steps))
    return found


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 10**9))
def test_what_is_named_excludes_what_all_cycles_together_exclude(seed: int) -> None:
    graph = dependencies(seed)
    every = every_name(graph)
    cycles = Cycles(8)
    for orders in ((), (PROCESS,)):
        classify(
            graph,
            {},
            (),
            orders,
            cycles,
            lambda order, source, target: source < target and source % 3 == target % 3 and bool(graph.sources[PROCESS]),
        )
    assert set(cycles.counts) <= every
    assert excluded(cycles.counts) == excluded(every)


def test_a_hub_is_the_edge_it_stands_for() -> None:
    readers, writers = list(range(20)), list(range(20, 30))
    graph = Graph(31)
    graph.every(RW, readers, writers, 0)
    assert graph.size == 32
    assert graph.dependencies() == {"rw": 200}
    assert len(graph.sources[VIA]) == 10
    graph.add(WR, 25, 3, 1)
    cycles = Cycles(8)
    classify(graph, {}, (), (), cycles, lambda *_: False)
    assert cycles.counts == {"G-single": 1}
    assert cycles.kept["G-single"][0][2] == (Step(3, 25, RW, (0,)), Step(25, 3, WR, (1,)))


def test_who_read_and_wrote_does_not_come_before_itself_through_a_hub() -> None:
    graph = Graph(20)
    graph.every(RW, list(range(10)), [9, *range(10, 20)], 0)
    cycles = Cycles(8)
    classify(graph, {}, (), (), cycles, lambda *_: False)
    assert not cycles.counts
