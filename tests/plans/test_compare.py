"""What changed, in words."""

from __future__ import annotations

import pytest

from harness.plans.compare import access_of, costly, findings, misestimates, ratio
from harness.plans.model import Access, Node

from .making import over, plan, scan, seek, side


def test_a_scan_that_becomes_a_seek_with_rows_pages_and_time() -> None:
    before = side(over("Sort", scan()), median=80, examined=5000, buffers=2000)
    after = side(seek(index="ix_client_place"), median=2, examined=10, buffers=20)
    assert findings(before, after) == [
        "client: scan → seek (ix_client_place)",
        "the sort is gone: the index gives the rows in order",
        "rows looked at: 5,000 → 10, 500× fewer",
        "pages touched: 2,000 → 20, 100× fewer",
        "time: 80.0 ms → 2.00 ms, 40× faster (median of 7 warm runs)",
    ]


def test_an_index_that_makes_no_difference_is_said() -> None:
    same = side(scan(), examined=5, median=1)
    said = findings(same, same)
    assert said[0] == "the plan stayed the same: the index makes no difference to it"
    assert "the runs overlap" in said[-1]


def test_joins_sorts_and_another_index() -> None:
    before = side(over("Hash Join", scan("sale"), over("Hash", seek(index="a"))))
    after = side(over("Sort", over("Nested Loop", seek("sale", "b"), seek(index="c"))))
    assert findings(before, after) == [
        "sale: scan → seek (b)",
        "client: seek by another index (c)",
        "a sort has come",
        "join: Hash Join → Nested Loop",
    ]


def test_documents_and_keys_are_mongodbs_words() -> None:
    before = side(scan("content"), engine="mongodb", examined=120, keys=0)
    after = side(seek("content", "tags"), engine="mongodb", examined=6, keys=6)
    assert findings(before, after)[1:] == ["documents examined: 120 → 6, 20× fewer", "index keys examined: 0 → 6"]


def test_the_worst_way_to_read_a_table_is_told_and_a_lookup_is_its_index_s() -> None:
    lookup = Node(operator="Bitmap Heap Scan", access=Access.lookup, object="client", children=[seek()])
    assert access_of(plan(lookup), "client") is Access.seek
    assert access_of(plan(over("Nested Loop", lookup, scan())), "client") is Access.scan
    assert access_of(plan(lookup), "sale") is None


def test_ten_times_is_right_and_more_is_not() -> None:
    assert misestimates(plan(scan(estimated_rows=10, actual_rows=100))) == []
    (wrong,) = misestimates(plan(scan(estimated_rows=10, actual_rows=101)))
    assert wrong.misestimate == pytest.approx(10.1)
    assert misestimates(plan(scan(estimated_rows=0, actual_rows=9))) == []  # both are at least one row


def test_a_node_that_a_limit_stopped_was_not_wrong() -> None:
    stopped = scan(estimated_rows=5000, actual_rows=10)
    assert misestimates(plan(over("Limit", stopped))) == []
    assert misestimates(plan(over("Limit", over("Nested Loop", stopped)))) == []
    assert misestimates(plan(over("Limit", over("Sort", stopped)))) == [stopped]  # a sort has them all
    more = scan(estimated_rows=10, actual_rows=5000)
    assert misestimates(plan(over("Limit", more))) == [more]


def test_one_wrong_estimate_that_goes_up_the_tree_is_told_once_and_where_it_begins() -> None:
    low = scan(estimated_rows=10, actual_rows=5000)
    high = over("Hash Join", low, estimated_rows=10, actual_rows=5000)
    assert misestimates(plan(high)) == [low]
    said = findings(side(high), side(seek()))
    assert "before: Seq Scan on client: 10 rows expected, 5,000 came (500×)" in said


def test_the_costly_node_by_time_else_by_what_it_looked_at() -> None:
    slow = scan(own_milliseconds=9)
    assert costly(plan(over("Sort", slow, own_milliseconds=1))) is slow
    much = scan(examined=900)
    assert costly(plan(over("Sort", much, actual_rows=5))) is much


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [(100, 1, ", 100× fewer"), (1, 2.5, ", 2.5× more"), (10, 10, ", the same"), (100, 101, ", about the same"),
     (0, 5, ""), (5, 0, ""), (0, 0, ", the same")],
)  # fmt: skip
def test_ratios(was: float, now: float, said: str) -> None:
    assert ratio(was, now) == said
