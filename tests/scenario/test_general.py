"""A scenario in other orders than its own: which schedules it gets, and what is expected of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.scenario.general import DRAWN, REFUSALS, Wish, explorable, explored, general
from harness.scenario.model import Expectation, Made, Scenario
from harness.vocabulary import Phenomenon

from .files import changed, loaded, scheduled

TWO = """\
title: Two writers
database: promptsales
levels: {postgresql: [read committed, serializable]}
items: {x: SELECT x FROM t}
sessions:
  A: {setup: begin, steps: {a1: SELECT x FROM t, a2: commit, undo: rollback}}
  B: {setup: begin, steps: {b1: UPDATE t SET x = 2, b2: commit}}
schedule: [a1, b1, b2, a2]
expect:
  postgresql:
    read committed: {finds: lost update, blocks: [], sees: {a1: 1}, holds: x > 0}
    any: {errors: {a2: P0001}, final: {x: 5}, may_refuse: [lock timeout, "1205"]}
"""
SCHEDULE = "schedule: [a1, b1, b2, a2]"


def scenario(folder: Path, schedule: str = SCHEDULE) -> Scenario:
    return loaded(folder, changed(SCHEDULE, schedule, TWO))


def names(one: Scenario) -> list[str]:
    made = [schedule.name for schedule in scheduled(one)]
    return made[: len(made) // 2]  # of the first level


def test_what_is_general() -> None:
    full = Expectation(
        finds=(Phenomenon.phantom,),
        allows=(Phenomenon.lost_update,),
        victim="A",
        errors={"a": "22012"},
        blocks=("a",),
        sees={"a": 1},
        final={"x": 1},
        may_refuse=("1205",),
        holds=("x > 0",),
    )
    assert general(full) == Expectation(
        allows=(Phenomenon.phantom, Phenomenon.lost_update), may_refuse=(*REFUSALS, "1205", "22012"), holds=("x > 0",)
    )
    assert {"deadlock", "serialization failure", "constraint", "other"} <= set(REFUSALS)
    assert not {"cancelled", "connection lost"} & set(REFUSALS)
    assert replace(general(general(full)), may_refuse=()) == replace(general(full), may_refuse=())


def test_the_same_steps_in_other_orders(tmp_path: Path) -> None:
    own = scenario(tmp_path)
    made = explored(own, Wish("all"))
    assert made.schedules == ()
    assert made.made == (Made("all", "all", steps=frozenset({"a1", "a2", "b1", "b2"})),)
    assert names(made) == [f"all-{number}" for number in range(1, 7)]
    assert made.expect["postgresql"]["read committed"] == general(own.expect["postgresql"]["read committed"])
    assert made.expect["postgresql"]["serializable"].may_refuse == (*REFUSALS, "1205", "P0001")
    assert set(made.expect["postgresql"]) == {"read committed", "serializable"}


def test_each_choice_of_steps_is_explored_by_itself(tmp_path: Path) -> None:
    text = "schedules: {commits: [a1, b1, b2, a2], again: [b1, b2, a1, a2], undoes: [a1, undo, b1]}"
    made = explored(scenario(tmp_path, text), Wish("all"))
    assert names(made) == [
        *(f"commits-all-{number}" for number in range(1, 7)),
        *(f"undoes-all-{n}" for n in (1, 2, 3)),
    ]


def test_what_schedules_expect_of_themselves_is_allowed_too(tmp_path: Path) -> None:
    own = "{steps: [a1, b1, b2, a2], expect: {postgresql: {finds: phantom, errors: {b2: 'X0001'}, holds: x == 7}}}"
    made = explored(scenario(tmp_path, f"schedules: {{one: {own}, two: [b1, b2, a1, a2]}}"), Wish("all"))
    expected = made.expect["postgresql"]["read committed"]
    assert expected.allows == (Phenomenon.lost_update, Phenomenon.phantom)
    assert expected.may_refuse == (*REFUSALS, "X0001")
    assert expected.holds == ("x > 0",)


@pytest.mark.parametrize(
    "schedule",
    [
        "schedules: {one: {steps: [a1, b1], strict: true}}",
        "schedule: {all: strict}",
        "schedule: [a1, b1]\nshared: true",
    ],
)
def test_what_is_strict_or_shared_stays_as_it_is(tmp_path: Path, schedule: str) -> None:
    own = scenario(tmp_path, schedule)
    assert not explorable(own)
    assert explored(own, Wish("all", 3)) is own


def test_one_session_has_one_order(tmp_path: Path) -> None:
    text = changed(TWO[TWO.index("  B:") : TWO.index("schedule:")], "", TWO)
    own = loaded(tmp_path, changed(SCHEDULE, "schedule: [a1, a2]", text))
    assert explored(own, Wish("all")) is own


def test_a_free_run_has_no_order(tmp_path: Path) -> None:
    text = changed(TWO[TWO.index("  B:") : TWO.index("expect:")], "free_running: {workers: 2, iterations: 2}\n", TWO)
    own = loaded(tmp_path, text[: text.index("expect:")] + "expect: {postgresql: {}}\n")
    assert explored(own, Wish("all")) is own


def test_an_expectation_of_made_schedules_is_general_already(tmp_path: Path) -> None:
    own = scenario(tmp_path, "schedule: reduced")
    made = explored(own, Wish("all", 4))
    assert made.made == (Made("all", "all", count=4),)
    assert made.expect == own.expect


@pytest.mark.parametrize(
    ("wish", "made"),
    [
        (Wish("random"), Made("random", "random", count=DRAWN)),
        (Wish("random", 7, 5), Made("random", "random", count=7, seed=5)),
        (Wish("reduced"), Made("reduced", "reduced")),
        (Wish("reduced", 7), Made("reduced", "reduced", count=7)),
        (Wish("all", 7, 5), Made("all", "all", count=7, seed=5)),
    ],
)
def test_how_many(tmp_path: Path, wish: Wish, made: Made) -> None:
    assert explored(scenario(tmp_path, "schedule: all"), wish).made == (made,)


@pytest.mark.parametrize(
    ("form", "wish", "made"),
    [
        ("all", Wish("", 5), Made("x", "all", count=5)),
        ("all", Wish("", 5, 3), Made("x", "all", count=5, seed=3)),
        ("all", Wish("", None, 3), Made("x", "all")),
        ("{random: 20}", Wish("", 5), Made("x", "random", count=5, seed=1)),
        ("{random: 20}", Wish("", 50, 3), Made("x", "random", count=20, seed=3)),
        ("{random: 20}", Wish("", None, 3), Made("x", "random", count=20, seed=3)),
    ],
)
def test_without_a_kind_only_made_ones_are_cut_or_drawn_again(
    tmp_path: Path, form: str, wish: Wish, made: Made
) -> None:
    own = scenario(tmp_path, f"schedules: {{by_hand: [a1, b1], x: {form}}}")
    cut = explored(own, wish)
    assert cut.schedules == own.schedules
    assert cut.made == (made,)
    assert cut.expect == own.expect
