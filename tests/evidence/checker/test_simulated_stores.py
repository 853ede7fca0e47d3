"""What stores that are known to be right may never show: a serial one nothing, one with snapshots only write skew."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.checker.check import check
from harness.evidence.checker.levels import excluded
from harness.evidence.checker.model import Workload

from .simulated import COMMITTED, SERIAL, SNAPSHOT, simulate

STEADY = settings(max_examples=60, deadline=None, derandomize=True)
SIZES = {
    "transactions": st.integers(0, 90),
    "seed": st.integers(0, 10**9),
    "sessions": st.integers(1, 8),
    "keys": st.integers(2, 5),
    "longest": st.integers(1, 6),
}


@pytest.mark.parametrize("workload", list(Workload))
@STEADY
@given(**SIZES, fresh=st.sampled_from([0, 7]), failing=st.sampled_from([0, 0.2]), unknown=st.sampled_from([0, 0.2]))
def test_a_serial_history_is_clean(
    workload: Workload,
    transactions: int,
    seed: int,
    sessions: int,
    keys: int,
    longest: int,
    fresh: int,
    failing: float,
    unknown: float,
) -> None:
    observed = simulate(
        workload,
        SERIAL,
        transactions,
        seed,
        sessions=sessions,
        keys=keys,
        longest=longest,
        fresh=fresh if workload is Workload.list_append else 0,
        failing=failing,
        unknown=unknown,
    )
    report = check(observed, process=True, realtime=True)
    assert report.counts == {}
    assert report.found == []
    assert report.possible == ["strict serializable"]


@pytest.mark.parametrize("workload", list(Workload))
@STEADY
@given(**SIZES)
def test_snapshots_show_write_skew_at_most(
    workload: Workload, transactions: int, seed: int, sessions: int, keys: int, longest: int
) -> None:
    observed = simulate(workload, SNAPSHOT, transactions, seed, sessions=sessions, keys=keys, longest=longest)
    report = check(observed, process=True, realtime=True)
    assert {name.removesuffix("-process").removesuffix("-realtime") for name in report.counts} <= {"G2-item"}
    assert "strong snapshot isolation" not in report.excluded


@pytest.mark.parametrize("workload", [Workload.list_append, Workload.counter])
def test_snapshots_do_show_write_skew(workload: Workload) -> None:
    counts = [check(simulate(workload, SNAPSHOT, 60, seed)).counts.get("G2-item", 0) for seed in range(10)]
    assert sum(counts) >= 2


@pytest.mark.parametrize("workload", list(Workload))
def test_what_is_only_committed_shows_lost_updates_and_read_skew_and_no_aborted_read(workload: Workload) -> None:
    names: set[str] = set()
    for seed in range(40):
        report = check(simulate(workload, COMMITTED, 80, seed))
        names |= set(report.counts)
        # Without locks what it appended itself may turn out to stand elsewhere; but nothing that it saw vanishes.
        assert "monotonic atomic view" not in set(report.excluded) - set(excluded(report.counts))
        for found in report.found:
            assert found.proof[0] == "Let:"
            assert found.proof[len(found.shown) + 1] == "Then:"
            assert found.title
            if found.cycle:
                sources = [edge.source for edge in found.cycle]
                assert [edge.target for edge in found.cycle] == [*sources[1:], sources[0]]
                assert len(set(sources)) == len(sources)
                assert all(edge.because for edge in found.cycle)
    assert {"lost-update", "G-single"} <= names
    assert not {"G1a", "garbage-read", "duplicate-elements"} & names


def test_the_same_history_has_the_same_report() -> None:
    observed = simulate(Workload.list_append, COMMITTED, 400, 7)
    assert check(observed, realtime=True) == check(observed, realtime=True)
