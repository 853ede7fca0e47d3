from __future__ import annotations

import pytest

from harness.monitor.base import Kind, Raw, Spec
from harness.monitor.turning import Row, Turning

SPECS = (
    Spec("active", "sessions"),
    Spec("transactions", "1/s", Kind.rate),
    Spec("deadlocks", "deadlocks", Kind.count),
    Spec("cache_hit", "%", Kind.share, part="hits", rest="reads"),
    Spec("latency", "ms", Kind.mean, part="spent", rest="done"),
)


def turned(*samples: tuple[float, Raw]) -> Row:
    turning = Turning(SPECS)
    row = Row(0, {})
    for moment, raw in samples:
        row = turning.row(1000 + moment, moment, raw)
    return row


def totals(**values: float) -> Raw:
    return Raw(gauges={"active": 3}, totals=values)


def test_the_first_sample_has_gauges_and_no_rates() -> None:
    row = turned((0, totals(transactions=500, deadlocks=2)))
    assert row.values == {"active": 3, "transactions": None, "deadlocks": None, "cache_hit": None, "latency": None}


def test_rates_are_by_the_second_counts_are_not() -> None:
    row = turned((0, totals(transactions=500, deadlocks=2)), (2, totals(transactions=600, deadlocks=3)))
    assert row.values["transactions"] == 50
    assert row.values["deadlocks"] == 1
    assert row.grown == {"transactions": 100, "deadlocks": 1}


def test_shares_and_means_are_of_what_was_done_meanwhile() -> None:
    before, after = totals(hits=1000, reads=1000, spent=10, done=10), totals(hits=1090, reads=1010, spent=18, done=14)
    row = turned((0, before), (1, after))
    assert row.values["cache_hit"] == 90
    assert row.values["latency"] == 2


def test_where_nothing_was_done_there_is_no_share() -> None:
    row = turned((0, totals(hits=5, reads=5, spent=1, done=1)), (1, totals(hits=5, reads=5, spent=1, done=1)))
    assert row.values["cache_hit"] is None
    assert row.values["latency"] is None


def test_what_the_sampler_does_itself_is_taken_off() -> None:
    before, after = totals(transactions=10), totals(transactions=13)
    before.own, after.own = {"transactions": 5}, {"transactions": 6}
    assert turned((0, before), (1, after)).values["transactions"] == 2


@pytest.mark.parametrize("how", ["a counter is smaller", "another start", "in between there was no sample"])
def test_counters_that_began_anew_are_a_gap(how: str) -> None:
    turning = Turning(SPECS)
    turning.row(0, 0, totals(transactions=500))
    after = totals(transactions=3 if how == "a counter is smaller" else 900)
    if how == "another start":
        after.epoch = "later"
    if how == "in between there was no sample":
        turning.lost()
    row = turning.row(1, 1, after)
    assert row.values["transactions"] is None
    assert row.anew == (how != "in between there was no sample")
    after = totals(transactions=after.totals["transactions"] + 7)
    after.epoch = "later" if how == "another start" else ""
    assert turning.row(2, 2, after).values["transactions"] == 7


def test_waits_that_a_server_sums_up_are_sessions_on_average() -> None:
    before, after = Raw(wait_totals={"LCK_M_X": 10.0, "IO": 1.0}), Raw(wait_totals={"LCK_M_X": 14.0, "IO": 1.0})
    assert turned((0, before), (2, after)).waits == {"LCK_M_X": 2.0}
