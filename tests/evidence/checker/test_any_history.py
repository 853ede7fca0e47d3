"""Whatever a history holds, it gets a report: values that collide, reads of what never was, ends that nobody knows."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.checker.check import check
from harness.evidence.checker.levels import excluded
from harness.evidence.checker.model import MicroOp, Observed, Status, Transaction, Workload


def anything(workload: Workload, seed: int) -> Observed:
    rng = random.Random(seed)
    size, most = rng.randint(0, 8), rng.choice((2, 4))

    def op() -> MicroOp:
        key, value, read = rng.randrange(2), rng.randrange(most), rng.random() < 0.5
        if workload is Workload.list_append:
            seen = tuple(rng.randrange(most) for _ in range(rng.randrange(4)))
            return MicroOp("r", key, rng.choice((None, seen, seen))) if read else MicroOp("append", key, value)
        if workload is Workload.rw_register:
            return MicroOp("r" if read else "w", key, rng.choice((None, value, value)) if read else value)
        if workload is Workload.bank:
            balance = rng.choice((value, (value, None), (value, "t"), (value, f"t{rng.randrange(3)}")))
            return MicroOp("r" if read else "w", key, balance)
        if read:
            return MicroOp("r", key, rng.choice((None, value)))
        return MicroOp("inc", key, (rng.choice((-1, 1, 1, 2, 0)), rng.choice((None, value, value, value))))

    places = list(range(2 * size))
    rng.shuffle(places)
    made = []
    for index, (one, other) in enumerate(sorted(sorted(places[2 * n : 2 * n + 2]) for n in range(size))):
        status = rng.choice((Status.ok, Status.ok, Status.ok, Status.info, Status.fail))
        ops = tuple(op() for _ in range(rng.randint(0, 4)))
        made.append(Transaction(index, rng.randrange(3), status, ops, one, rng.choice((other, other, None))))
    initial = rng.choice(({}, {0: {Workload.list_append: (), Workload.bank: (1, None)}.get(workload, 1)}))
    return Observed(workload, tuple(made), initial)


@pytest.mark.parametrize("workload", list(Workload))
@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**9))
def test_it_gets_a_report_whose_parts_agree(workload: Workload, seed: int) -> None:
    observed = anything(workload, seed)
    report = check(observed, realtime=True, examples=3)
    statuses = [transaction.status for transaction in observed.transactions]
    assert {found.name for found in report.found} == set(report.counts)
    assert set(excluded(report.counts)) <= set(report.excluded)
    assert not set(report.possible) & set(report.excluded)
    for found in report.found:
        assert sum(other.name == found.name for other in report.found) == min(3, report.counts[found.name])
        assert found.transactions
        assert found.proof[-1].endswith(("a contradiction!", "."))
        for edge, following in zip(found.cycle, [*found.cycle[1:], *found.cycle[:1]], strict=True):
            assert edge.target == following.source != edge.source
            assert statuses[edge.source] is not Status.fail  # what failed is in no cycle
            if edge.kind in ("process", "realtime"):
                assert statuses[edge.source] is Status.ok


@pytest.mark.parametrize("workload", list(Workload))
@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**9))
def test_without_orders_of_time_the_same_is_found_but_for_what_needs_them(workload: Workload, seed: int) -> None:
    observed = anything(workload, seed)
    plain = check(observed, process=False)
    full = check(observed, realtime=True)
    timed = {name: count for name, count in full.counts.items() if name.endswith(("-process", "-realtime"))}
    assert plain.counts == {name: count for name, count in full.counts.items() if name not in timed}
