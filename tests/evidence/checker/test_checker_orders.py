"""Process and real-time order: few edges, and all of the order in them."""

from __future__ import annotations

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.checker.graph import PROCESS, REALTIME, Graph
from harness.evidence.checker.inference import committed
from harness.evidence.checker.model import Observed, Status, Transaction, Workload
from harness.evidence.checker.orders import add_process, add_realtime, precedes

from .simulated import SERIAL, simulate


@st.composite
def intervals(draw: st.DrawFn) -> Observed:
    size = draw(st.integers(0, 10))
    ends = draw(st.permutations(range(2 * size)))
    pairs = sorted(tuple(sorted(ends[2 * n : 2 * n + 2])) for n in range(size))
    statuses = draw(
        st.lists(st.sampled_from([Status.ok, Status.ok, Status.info, Status.fail]), min_size=size, max_size=size)
    )
    return Observed(
        Workload.list_append,
        tuple(
            Transaction(n, n % 3, status, (), start, None if status is Status.info and end % 2 else end)
            for n, ((start, end), status) in enumerate(zip(pairs, statuses, strict=True))
        ),
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(intervals(), st.booleans())
def test_real_time_is_all_of_the_interval_order_and_no_more(observed: Observed, all_in: bool) -> None:
    count = len(observed.transactions)
    present = committed(observed)
    if all_in:
        present = bytearray(one.status is not Status.fail for one in observed.transactions)
    graph = Graph(count)
    add_realtime(graph, observed, present)
    edges = list(zip(graph.sources[REALTIME], graph.targets[REALTIME], strict=True))
    reached = set(nx.transitive_closure(nx.DiGraph(edges)).edges)
    order = {
        (first, second)
        for first, one in enumerate(observed.transactions)
        for second, other in enumerate(observed.transactions)
        if present[first] and present[second] and precedes(one, other)
    }
    assert reached == order
    assert set(edges) == set(nx.transitive_reduction(nx.DiGraph(sorted(order))).edges)


def test_real_time_has_as_many_edges_at_most_as_transactions_times_sessions() -> None:
    observed = simulate(Workload.list_append, SERIAL, 2000, 1, sessions=6)
    graph = Graph(2000)
    add_realtime(graph, observed, committed(observed))
    assert 2000 < len(graph.sources[REALTIME]) < 2000 * 6


def test_what_ends_where_another_begins_does_not_come_before_it() -> None:
    both = (Transaction(0, 0, Status.ok, (), 0, 5), Transaction(1, 1, Status.ok, (), 5, 6))
    graph = Graph(2)
    add_realtime(graph, Observed(Workload.list_append, both), bytearray(b"\1\1"))
    assert graph.sources[REALTIME] == []


def test_a_session_is_a_chain_of_what_it_committed() -> None:
    statuses = [Status.ok, Status.fail, Status.info, Status.ok, Status.info, Status.ok]
    observed = Observed(
        Workload.list_append,
        tuple(Transaction(n, "s", status, (), 2 * n, 2 * n + 1) for n, status in enumerate(statuses)),
    )
    graph = Graph(6)
    add_process(graph, observed, bytearray([1, 0, 1, 1, 0, 1]))
    assert list(zip(graph.sources[PROCESS], graph.targets[PROCESS], strict=True)) == [(0, 2), (0, 3), (3, 5)]
