"""The lattice of levels, and what each anomaly excludes."""

from __future__ import annotations

import pytest

from harness.evidence.checker.check import check
from harness.evidence.checker.levels import (
    FORBIDS,
    IMPLIES,
    LATTICE,
    TITLES,
    excluded,
    forbidden,
    implied,
    level,
    possible,
    severity,
    title,
)
from harness.evidence.checker.model import Observed, Workload


def stronger(name: str) -> set[str]:
    found = {name}
    for one, weaker in LATTICE.items():
        if found.intersection(weaker):
            found.add(one)
    return found


def test_weaker_levels_come_first_and_the_strictest_is_stronger_than_all() -> None:
    seen: set[str] = set()
    for name, weaker in LATTICE.items():
        assert seen.issuperset(weaker)
        seen.add(name)
        assert "strict serializable" in stronger(name)
    assert set(FORBIDS) <= seen


@pytest.mark.parametrize(
    ("name", "weakest", "left"),
    [
        ("G0", {"read uncommitted"}, []),
        ("garbage-read", {"read uncommitted"}, []),
        ("G1a", {"read committed"}, ["strong read uncommitted"]),
        ("G1b", {"read committed"}, ["strong read uncommitted"]),
        ("G1c", {"read committed"}, ["strong read uncommitted"]),
        ("dirty-update", {"read committed"}, ["strong read uncommitted"]),
        ("cyclic-versions", {"read committed"}, ["strong read uncommitted"]),
        ("lost-update", {"cursor stability", "update atomic"}, None),
        ("G-single", {"consistent view", "parallel snapshot isolation", "repeatable read"}, None),
        (
            "long-fork",
            {"prefix", "repeatable read"},
            ["monotonic snapshot read", "parallel snapshot isolation", "update serializable", "strong read committed"],
        ),
        ("G-nonadjacent", {"repeatable read", "snapshot isolation"}, None),
        ("G2-item", {"repeatable read"}, ["update serializable", "strong snapshot isolation"]),
        ("G2", {"serializable"}, ["repeatable read", "update serializable", "strong snapshot isolation"]),
        ("G-single-process", {"strong session snapshot isolation"}, ["serializable", "strong read committed"]),
        ("G2-item-process", {"strong session serializable"}, ["serializable", "strong snapshot isolation"]),
        ("G1c-process", {"strong session read committed"}, ["serializable", "strong read uncommitted"]),
        ("G2-item-realtime", {"strict serializable"}, ["strong session serializable", "strong snapshot isolation"]),
        ("G0-realtime", {"strong read uncommitted"}, ["strong session serializable"]),
    ],
)
def test_what_an_anomaly_excludes(name: str, weakest: set[str], left: list[str] | None) -> None:
    out = excluded([name])
    assert set(out) == set().union(*(stronger(one) for one in weakest))
    if left is not None:
        assert possible([name]) == left


def test_repeatable_read_is_adyas() -> None:
    assert level("PL-2.99") == "repeatable read"
    assert "G2-item" in forbidden("repeatable read")
    assert "G2" not in forbidden("repeatable read")
    assert "snapshot isolation" not in excluded(["G2-item"])
    assert "lost-update" in forbidden("snapshot")


def test_what_a_level_forbids_excludes_it_and_nothing_else_does() -> None:
    for name in LATTICE:
        for anomaly in {*TITLES, *IMPLIES}:
            assert (anomaly in forbidden(name)) == (name in excluded([anomaly]))


def test_possible_levels_are_not_excluded_and_none_of_them_is_stronger_than_another() -> None:
    for name in {*TITLES, *IMPLIES}:
        left = possible([name])
        assert not set(left) & set(excluded([name]))
        assert all(other not in stronger(one) - {one} for one in left for other in left)


def test_names_are_forgiving_and_errors_help() -> None:
    assert [level(name) for name in ("pl-si", "READ_COMMITTED", "strong-session-serializable")] == [
        "snapshot isolation",
        "read committed",
        "strong session serializable",
    ]
    with pytest.raises(
        ValueError, match=r"unknown isolation level 'serialisable', did you mean 'serializable'\? \(known: "
    ):
        level("serialisable")


def test_titles_and_order() -> None:
    assert title("G0") == "dirty write"
    assert title("G2-item-process") == "write skew within sessions"
    assert title("new") == "new"
    names = ["G2-item-realtime", "G-single", "G0-process", "G2-item", "G0"]
    assert sorted(names, key=severity) == ["G0", "G-single", "G2-item", "G0-process", "G2-item-realtime"]
    assert "G2-realtime" in implied(["lost-update"])


def test_what_was_not_looked_at_is_not_possible() -> None:
    assert possible([], realtime=False) == ["strong session serializable"]
    assert possible([], process=False, realtime=False) == ["serializable"]
    assert possible(["G2-item"], process=False, realtime=False) == ["update serializable", "snapshot isolation"]
    assert check(Observed(Workload.list_append, ())).possible == ["strong session serializable"]
    assert check(Observed(Workload.list_append, ()), realtime=True).possible == ["strict serializable"]
