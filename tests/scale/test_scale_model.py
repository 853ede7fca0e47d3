"""The model's arithmetic, by examples that were computed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import DataError
from harness.scale.fit import fit, spread
from harness.scale.model import AXES, HELD, Need, Size, first_breaks, judge, nodes_of

DISK = Need("store", "disk", "bytes", 1_000, "told", "by hand", base=100, clients=2, reach={"clients": (10, 50)})
BOTH = Need("store", "processors", "processors", 10, "told", "by hand", users=0.01, both=1e-6)
ALONE = Need("copy", "memory", "bytes", 500, "told", "by hand", base=50, clients=5, shared_out=False)


def test_a_line_goes_through_points_that_lie_on_one():
    line = fit([(0, 4), (2, 8), (5, 14)])
    assert (line.base, line.slope) == pytest.approx((4, 2))
    assert (line.least, line.most, line.off) == (0, 5, 0)
    assert line.at(10) == pytest.approx(24)


def test_of_points_beside_the_line_the_farthest_is_told():
    line = fit([(0, 1), (1, 3), (2, 2)])  # means 1 and 2, slope 1/2
    assert (line.base, line.slope) == (1.5, 0.5)
    assert line.off == pytest.approx(0.5)  # 1.5 instead of 1


def test_a_line_never_says_less_than_nothing():
    assert fit([(1, 0), (2, 10)]).at(0) == 0


@pytest.mark.parametrize("points", [[], [(1, 1)], [(1, 1), (1, 3)]], ids=["none", "one", "of one size"])
def test_no_line_without_two_sizes(points):
    with pytest.raises(DataError, match="two sizes"):
        fit(points)


def test_spread_is_a_share_of_the_mean():
    assert spread([8, 12, 10]) == pytest.approx(0.4)
    assert spread([0, 0]) == 0


def test_what_is_needed_is_the_line():
    assert DISK.amount(Size(clients=300, users=7, cases=9)) == 700
    assert BOTH.amount(Size(clients=1_000_000, users=100)) == pytest.approx(1 + 100)


def test_where_one_node_ends():
    assert DISK.breaks("clients") == 450  # 100 + 2 * 450 = 1000
    assert DISK.breaks("users") is None
    # 1000 users of 0.01 take the 10 whole: nothing is left for a client.
    assert BOTH.breaks("clients", Size(users=1_000)) == 0
    # 100 users take 1, each client 1e-4 more: 9 / 1e-4.
    assert BOTH.breaks("clients", Size(users=100)) == 90_000
    # With 90,000 clients each user takes 0.1.
    assert BOTH.breaks("users", Size(clients=90_000)) == 100


@pytest.mark.parametrize("need", [DISK, BOTH, ALONE], ids=lambda need: need.resource)
@pytest.mark.parametrize("axis", AXES)
def test_it_fits_up_to_the_number_said_and_not_beyond(need, axis):
    held = Size(clients=100, users=50, cases=1)
    at = need.breaks(axis, held)
    if at is None:
        assert need.amount(replace(held, **{axis: 10**9})) == need.amount(held)
        return
    assert need.amount(replace(held, **{axis: at})) <= need.limit * (1 + 1e-9)
    assert need.amount(replace(held, **{axis: at + 1})) > need.limit


def test_what_is_full_already_breaks_at_nothing():
    assert replace(DISK, base=2_000).breaks("clients") == 0


def test_nodes_carry_what_can_be_shared_out_and_no_number_of_them_the_rest():
    judged = {one.need.resource: one for one in judge([DISK, ALONE], Size(clients=1_000, users=0))}
    assert (judged["disk"].share, judged["disk"].nodes) == (2.1, 3)
    assert (judged["memory"].share, judged["memory"].nodes) == (10.1, 0)
    assert nodes_of(judged.values()) == {"store": 3, "copy": 1}
    at_the_limit = judge([DISK], Size(clients=450))
    assert at_the_limit[0].nodes == 1


def test_those_furthest_over_a_node_come_first():
    judged = judge([DISK, ALONE, BOTH], Size(clients=1_000, users=10))
    assert [one.need.resource for one in judged] == ["memory", "disk", "processors"]


def test_of_a_part_the_resource_that_ends_first_counts():
    found = first_breaks([DISK, BOTH, ALONE], "clients", Size(users=100))
    assert [(at, need.part, need.resource) for at, need in found] == [(90, "copy", "memory"), (450, "store", "disk")]


def test_what_lies_beyond_the_measured_is_marked():
    (inside,) = judge([DISK], Size(clients=50))
    (beyond,) = judge([DISK], Size(clients=51, users=10**6))
    assert inside.extrapolated == ()
    assert beyond.extrapolated == ("clients",)  # users change nothing of it


@pytest.mark.parametrize("size", [Size(clients=0), Size(users=-1), Size(cases=-1)])
def test_sizes_that_cannot_be_are_refused(size):
    with pytest.raises(DataError, match="no such size"):
        judge([DISK], size)


def test_the_others_are_held_at_what_the_page_says():
    assert (HELD.clients, HELD.users) == (500_000, 1_000)
