from __future__ import annotations

import pytest

from harness.matrix.hermitage import hermitage
from harness.matrix.levels import NONE, given
from harness.matrix.model import Outcome
from harness.vocabulary import HERMITAGE

from .made import level, table


def outcomes(allowed: str) -> dict[str, Outcome]:
    return {name: Outcome.allowed if name in allowed.split() else Outcome.prevented for name in HERMITAGE}


@pytest.mark.parametrize(
    ("allowed", "name"),
    [
        ("", "serializable"),
        ("G2", "snapshot isolation"),
        ("G2-item G2", "snapshot isolation"),
        ("PMP G-single G2", "repeatable read"),
        ("PMP P4 G-single G2-item G2", "monotonic atomic view"),
        ("OTV PMP P4 G-single G2-item G2", "read committed"),
        ("G1a OTV PMP P4 G-single G2-item G2", "read uncommitted"),
        ("G0 PMP P4 G-single G2-item G2", NONE),
    ],
    ids=lambda text: text or "none",
)
def test_the_level_is_told_by_what_is_prevented(allowed: str, name: str) -> None:
    assert given(outcomes(allowed)) == name


@pytest.mark.parametrize("key", hermitage(), ids=" ".join)
def test_hermitages_own_rows_give_the_levels_that_hermitage_says(key: tuple[str, str]) -> None:
    told = hermitage()[key]
    assert (
        given({name: Outcome.prevented if said == "yes" else Outcome.allowed for name, said in told.prevented.items()})
        == told.given
    )


def test_what_was_cut_off_speaks_against_a_level_and_what_was_not_tried_does_not() -> None:
    every = outcomes("")
    assert given(every | {"G2": Outcome.unclear}) == "snapshot isolation"
    assert given({name: one for name, one in every.items() if name != "G1a"}) == "serializable"


def test_of_too_few_anomalies_no_level_is_told() -> None:
    assert given({"P4": Outcome.prevented}) == ""
    assert given({"G0": Outcome.prevented, "P4": Outcome.prevented}) == ""


WEAK = ("PMP", "P4", "G-single", "G2-item", "G2")


def test_two_names_of_one_level_are_told_as_one() -> None:
    matrix = table(*level("read uncommitted", WEAK), *level("read committed", WEAK), *level("serializable"))
    assert [(row.name, row.given, row.same_as) for row in matrix.rows] == [
        ("read uncommitted", "monotonic atomic view", "read committed"),
        ("read committed", "monotonic atomic view", ""),
        ("serializable", "serializable", ""),
    ]


def test_levels_that_differ_in_a_cell_are_two() -> None:
    matrix = table(*level("read uncommitted", ["G1a", *WEAK]), *level("read committed", WEAK))
    assert [(row.given, row.same_as) for row in matrix.rows] == [
        ("read uncommitted", ""),
        ("monotonic atomic view", ""),
    ]


def test_of_a_cell_alone_nothing_is_the_same() -> None:
    few = [
        one for name in ("read committed", "serializable") for one in level(name) if one.history.matrix.anomaly == "G1a"
    ]
    assert [(row.given, row.same_as) for row in table(*few).rows] == [("", ""), ("", "")]
