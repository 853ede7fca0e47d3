"""Counters that fall, and increments whose results nobody saw: what a serial store may do is no anomaly."""

from __future__ import annotations

import random
from typing import Any

import pytest

from harness.evidence.checker.check import check
from harness.evidence.checker.model import MicroOp, Observed, Report, Status, Transaction, Workload


def counter(*made: tuple[Any, ...], sessions: tuple[int, ...] = ()) -> Report:
    """``("ok", ("inc", "c", (1, 1)), …)`` each, one after the other."""
    transactions = tuple(
        Transaction(
            n, sessions[n] if sessions else n, Status(status), tuple(MicroOp(*op) for op in ops), 2 * n, 2 * n + 1
        )
        for n, (status, *ops) in enumerate(made)
    )
    return check(Observed(Workload.counter, transactions), realtime=True)


def inc(by: int, new: int | None) -> tuple[str, str, tuple[int, int | None]]:
    return ("inc", "c", (by, new))


def r(value: int) -> tuple[str, str, int]:
    return ("r", "c", value)


@pytest.mark.parametrize(
    ("made", "sessions"),
    [
        ([("ok", inc(1, 1)), ("info", inc(-1, None)), ("ok", inc(1, 1))], (0, 1, 0)),
        ([("ok", inc(5, 5)), ("ok", inc(1, 6)), ("info", inc(-1, None)), ("ok", inc(1, 6))], (0, 0, 1, 0)),
        ([("ok", inc(1, 1)), ("info", inc(-1, None)), ("ok", r(0))], (0, 1, 0)),
        ([("ok", inc(3, 3)), ("ok", r(3), inc(1, 4), inc(-1, 3))], ()),
        ([("ok", inc(0, 0)), ("ok", inc(0, 0)), ("ok", inc(-1, -1))], ()),
        ([("ok", inc(2, 2)), ("ok", inc(-2, 0)), ("ok", r(0))], (0, 0, 0)),
    ],
    ids=["to one value", "to one other value", "to the first value", "within a transaction", "by nothing", "and back"],
)
def test_a_counter_that_falls_comes_back_to_its_values(made: list[tuple[Any, ...]], sessions: tuple[int, ...]) -> None:
    report = counter(*made, sessions=sessions)
    assert report.counts == {}
    assert report.excluded == []
    assert report.notes[-1] == '"c" did not only grow: whose value a read shows cannot be told'


def test_a_counter_that_falls_has_a_range_and_each_transaction_agrees_with_itself() -> None:
    made = [("ok", inc(5, 5)), ("ok", inc(-2, 3)), ("fail", inc(1, None))]
    assert counter(*made, ("ok", r(-3))).counts == {"garbage-read": 1}
    assert counter(*made, ("ok", r(7))).counts == {"garbage-read": 1}
    assert counter(*made, ("ok", r(6))).counts == {"G1a": 1}
    assert counter(*made, ("ok", r(5), r(3))).counts == {"internal": 1}
    assert counter(*made, ("ok", r(4))).counts == {}


def test_a_value_that_came_back_after_a_lost_update_is_no_future_read() -> None:
    twice = counter(("ok", inc(1, 1)), ("ok", inc(1, 2)), ("ok", r(2), inc(1, 2)))
    assert "future-read" not in twice.counts
    assert "lost-update" in twice.counts
    assert "future-read" in counter(("ok", inc(1, 1)), ("ok", r(2), inc(1, 2))).counts


def test_counters_that_only_grow_are_judged_beside_one_that_falls() -> None:
    report = counter(("ok", inc(-1, -1)), ("ok", ("inc", "x", (1, 1))), ("ok", ("inc", "x", (1, 1))))
    assert report.counts == {"lost-update": 1}


def test_what_one_of_unknown_end_says_that_it_left_another_one_may_have_left() -> None:
    blind = ("info", inc(3, None))
    assert counter(("info", inc(3, 3), inc(2, 5)), blind, ("ok", inc(2, 5))).counts == {}
    assert counter(("info", inc(3, 3), inc(2, 5)), ("ok", inc(2, 5))).counts == {"G1b": 1}


def test_what_only_increments_that_failed_can_have_led_to_is_an_aborted_read() -> None:
    report = counter(("fail", inc(1, None)), ("ok", r(1)))
    assert report.counts == {"G1a": 1}
    assert "read uncommitted" not in report.excluded
    assert report.found[0].transactions == [0, 1]
    assert (
        report.found[0].proof[-1].startswith("  - However, without what increments that failed did (T0) that was never")
    )
    assert counter(("fail", inc(1, None)), ("ok", r(2))).counts == {"garbage-read": 1}
    assert counter(("fail", inc(1, None)), ("info", inc(1, None)), ("ok", r(1))).counts == {}


@pytest.mark.parametrize("least", [1, -1], ids=["growing", "falling"])
@pytest.mark.parametrize("unknown", [0, 2], ids=["sure", "unsure"])
def test_a_serial_store_shows_nothing(least: int, unknown: int) -> None:
    rng = random.Random(7)
    for _ in range(1500):
        state: dict[str, int] = {}
        made = []
        for n in range(rng.randint(2, 7)):
            status = rng.choices(("ok", "info", "fail"), (7, unknown, 1))[0]
            after, ops = dict(state), []
            for _ in range(rng.randint(1, 3)):
                key, seen = rng.choice("cd"), status == "ok" or rng.random() < 0.5
                if rng.random() < 0.35:
                    ops.append(MicroOp("r", key, after.get(key, 0) if seen else None))
                else:
                    by = rng.choice((1, 2, 3 * least))
                    after[key] = after.get(key, 0) + by
                    ops.append(MicroOp("inc", key, (by, after[key] if seen else None)))
            if status == "ok" or (status == "info" and rng.random() < 0.5):
                state = after
            session = 10 + n if status == "info" else rng.randrange(3)
            made.append(Transaction(n, session, Status(status), tuple(ops), 2 * n, 2 * n + 1))
        assert check(Observed(Workload.counter, tuple(made)), realtime=True).counts == {}
