"""Schedules that the harness makes: how they are written, what a case's are called, and that they are always the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ScenarioError
from harness.scenario.cases import cases
from harness.scenario.conflicts import conflicts_of
from harness.scenario.made import made_schedules, number_made, restricted
from harness.scenario.model import Made, Placed, Scenario, Schedule
from harness.scenario.schedules import interleavings

from .files import changed, loaded, scheduled
from .test_errors import refused

TWO = """\
title: Two writers
database: promptsales
levels: {postgresql: [read committed, serializable]}
sessions:
  A: {setup: begin, steps: {a1: SELECT x FROM t, a2: UPDATE t SET x = 1, a3: commit}}
  B: {setup: begin, steps: {b1: SELECT x FROM t, b2: UPDATE t SET x = 2, b3: commit}}
FORM
expect: {postgresql: {}}
"""
PLACED = (Placed("db", "promptsales", "postgresql", level="read committed"),)


def names(folder: Path, form: str) -> list[str]:
    """The names of a level's schedules."""
    made = [schedule.name for schedule in scheduled(loaded(folder, changed("FORM", form, TWO)))]
    assert made[: len(made) // 2] == made[len(made) // 2 :], "both levels have the same ones"
    return made[: len(made) // 2]


def numbered(name: str, count: int) -> list[str]:
    return [f"{name}-{number:0{len(str(count))}}" for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("schedule: all", numbered("all", 20)),
        ("schedules: all", numbered("all", 20)),
        ("schedule: {all: strict}", numbered("all", 20)),
        ("schedules: {all: strict}", numbered("all", 20)),
        ("schedule: {random: 5, seed: 3}", numbered("random", 5)),
        ("schedule: {random: {count: 5, seed: 3}}", numbered("random", 5)),
        ("schedules: {random: 5, seed: 3}", numbered("random", 5)),
        ("schedules: {random: {count: 5, seed: 3}}", numbered("random", 5)),
        ("schedules: {every: all}", numbered("every", 20)),
        ("schedules: {every: {all: strict}}", numbered("every", 20)),
        ("schedules: {some: {random: {count: 5}}}", numbered("some", 5)),
        ("schedules: {some: {random: 5, seed: 2}}", numbered("some", 5)),
        ("schedules: {random: [a1, b1]}", ["random"]),
        ("schedules: {all: [a1], reduced: {steps: [b1]}, random: {steps: [a2]}}", ["all", "reduced", "random"]),
        (
            "schedules: {by_hand: [a1, b1], some: {random: {count: 3, seed: 7}}, other: {steps: [b1]}, every: all}",
            ["by_hand", "other", *numbered("some", 3), *numbered("every", 20)],
        ),
        ("schedules: {by_hand: [a1, b1], random: {count: 3}}", ["by_hand", *numbered("random", 3)]),
    ],
)
def test_every_form(tmp_path: Path, form: str, found: list[str]) -> None:
    assert names(tmp_path, form) == found


def same(folder: Path, *forms: str) -> None:
    one, *others = (
        [(made.entries, made.strict, made.seed) for made in scheduled(loaded(folder, changed("FORM", form, TWO)))]
        for form in forms
    )
    assert one
    assert all(other == one for other in others)


def test_old_and_new_forms_say_the_same(tmp_path: Path) -> None:
    same(tmp_path, "schedule: all", "schedules: all", "schedules: {every: all}")
    same(tmp_path, "schedule: reduced", "schedules: reduced", "schedules: {rest: reduced}")
    same(tmp_path, "schedule: {all: strict}", "schedules: {all: strict}", "schedules: {every: {all: strict}}")
    forms = ("{random: 5, seed: 3}", "{random: {count: 5, seed: 3}}")
    same(tmp_path, *(f"{key}: {form}" for key in ("schedule", "schedules") for form in forms))
    same(tmp_path, "schedules: {some: {random: {count: 5, seed: 3}}}", f"schedule: {forms[0]}")
    same(tmp_path, "schedule: {random: 5}", "schedules: {random: {count: 5, seed: 1}}")


def test_a_made_one_says_what_it_is_one_of(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, changed("FORM", "schedules: {by_hand: [a1, b1], every: all}", TWO))
    assert [schedule.name for schedule in scenario.schedules] == ["by_hand"]
    assert scenario.made == (Made("every", "all"),)
    first, second, *_ = scheduled(scenario)
    assert first.made is None
    assert second.made == scenario.made[0]
    assert number_made(scenario, scenario.made[0]) == 20
    assert str(scenario.made[0].place).endswith("case.yaml:7:32")
    assert scenario.unused_steps == ()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("schedules: al", "7:1: unknown set of schedules 'al', did you mean 'all'? (known: all, reduced)"),
        ("schedules: [a1, b1]", "7:1: schedules are a mapping (name: a list of steps, all, reduced, or {random: 100})"),
        (
            "schedules: 5",
            "7:1: schedules are a mapping (name: a list of steps, all, reduced, or {random: 100}), all or ",
        ),
        ("schedules: {rest: reducd}", "7:13: unknown schedule 'reducd', did you mean 'reduced'? (known: all, reduced)"),
        ("schedules: {rest: 5}", "7:13: a schedule is a list of steps, all, reduced, or {random: 100}, not 5"),
        ("schedules: {rest: {count: 5}}", "7:13: drawn at random? Then say {random: {count: 50, seed: 1}}"),
        ("schedules: {some: {random: {cuont: 5}}}", "7:29: unknown key 'cuont', did you mean 'count'?"),
        ("schedules: {random: {cuont: 5}}", "7:22: unknown key 'cuont', did you mean 'count'?"),
        ("schedules: {random: {seed: 5}}", "7:13: schedules.random lacks 'count'"),
        ("schedules: {random: {count: 0}}", "7:22: schedules.random.count must be greater than or equal to 1, not 0"),
        ("schedules: {some: {random: many}}", "7:20: schedules.some.random must be a whole number, not 'many'"),
        ("schedules: {some: {random: {count: 5, seed: x}}}", "7:39: schedules.some.random.seed must be a whole number"),
        ("schedule: {random: {count: 5, seed: 1}, seed: 2}", "7:1: the seed stands here twice"),
        ("schedules: {every: {all: strikt}}", "7:21: unknown form 'strikt', did you mean 'strict'?"),
        ("schedules: {every: {stpes: [a1]}}", "7:21: unknown key 'stpes', did you mean 'steps'?"),
        ("schedules: {every-2: [a1], every: all}", "7:13: 'every-2' may also be one of those that are made as 'every'"),
        ("schedules: {a b: all}", "7:13: 'a b' is no name for a schedule"),
        ("schedules: all\nschedule: [a1]", "7:1: give one of 'schedule', 'schedules' and 'free_running', not several"),
    ],
)
def test_mistakes(tmp_path: Path, form: str, said: str) -> None:
    found = refused(tmp_path, changed("FORM", form, TWO))
    assert found.startswith(f"case.yaml:{said}")
    assert "\n" not in found


def test_too_many_are_told_at_their_place(tmp_path: Path) -> None:
    steps = ", ".join(f"{{0}}{number}: SELECT {number}" for number in range(8))
    text = TWO
    for name in "AB":
        old = text[text.index(f"  {name}: ") :].split("\n")[0]
        text = changed(old, f"  {name}: {{steps: {{{steps.replace('{0}', name)}}}}}", text)
    said = refused(tmp_path, changed("FORM", "schedules: {few: {random: 3}, every: all}", text))
    assert said.startswith("case.yaml:7:31: 12,870 interleavings are too many (at most 10,000): say ")


# -- for a case


def made_of(folder: Path, made: Made) -> list[Schedule]:
    return list(made_schedules(loaded(folder, changed("FORM", "schedule: all", TWO)), made, PLACED))


def orders(made: list[Schedule]) -> list[list[str]]:
    return [[entry.step for entry in schedule.entries] for schedule in made]


def test_no_more_than_asked_for(tmp_path: Path) -> None:
    every = made_of(tmp_path, Made("all", "all"))
    first = made_of(tmp_path, Made("all", "all", count=3))
    assert orders(first) == orders(every)[:3]
    drawn = made_of(tmp_path, Made("all", "all", count=3, seed=5))
    assert orders(drawn) == orders(made_of(tmp_path, Made("all", "all", count=3, seed=5)))
    assert orders(drawn) not in (orders(first), orders(made_of(tmp_path, Made("all", "all", count=3, seed=6))))
    assert {one.name: one.entries for one in drawn}.items() <= {one.name: one.entries for one in every}.items()
    assert len(made_of(tmp_path, Made("all", "all", count=99, seed=5))) == len(every) == 20


def test_only_steps_that_have_a_place(tmp_path: Path) -> None:
    made = made_of(tmp_path, Made("x", "all", steps=frozenset({"a1", "a3", "b2"})))
    assert orders(made) == [["a1", "a3", "b2"], ["a1", "b2", "a3"], ["b2", "a1", "a3"]]
    assert [one.name for one in made] == ["x-1", "x-2", "x-3"]
    scenario = loaded(tmp_path, changed("FORM", "schedule: all", TWO))
    assert [one.name for one in restricted(scenario.sessions, frozenset({"b1"}))] == ["B"]


MANY = """\
title: Very many
database: promptsales
sessions:
  A: {setup: begin, steps: {A_STEPS}}
  B: {setup: begin, steps: {B_STEPS}}
schedule: [a0, b0]
expect: {postgresql: {}}
"""


def many(folder: Path) -> Scenario:
    """12,870 interleavings."""
    text = MANY
    for row, name in enumerate("ab"):
        steps = (f"{name}{n}: UPDATE t SET x = {n} WHERE id = {row}" for n in range(8))
        text = text.replace(f"{{{name.upper()}_STEPS}}", f"{{{', '.join(steps)}}}")
    return loaded(folder, text)


def test_reduced_ones_are_those_of_the_engine_and_the_level(tmp_path: Path) -> None:
    text = changed("FORM", "schedule: reduced", TWO)
    scenario = loaded(tmp_path, text)
    committed = list(made_schedules(scenario, scenario.made[0], PLACED))
    serializable = list(made_schedules(scenario, scenario.made[0], (replace(PLACED[0], level="serializable"),)))
    assert len(committed) < len(serializable) <= 20
    case = next(cases(scenario, lambda logical: ("postgresql", False)))
    told = interleavings(scenario.sessions, "reduced", conflicts=conflicts_of(case))
    assert orders(committed) == orders(list(told))


def test_of_too_many_the_first_or_some_are_made_all_the_same(tmp_path: Path) -> None:
    scenario = many(tmp_path)
    first = list(made_schedules(scenario, Made("all", "all", count=3), PLACED))
    assert orders(first) == [
        [*(f"a{n}" for n in range(8)), *(f"b{n}" for n in range(8))],
        [*(f"a{n}" for n in range(7)), "b0", "a7", *(f"b{n}" for n in range(1, 8))],
        [*(f"a{n}" for n in range(7)), "b0", "b1", "a7", *(f"b{n}" for n in range(2, 8))],
    ]
    assert [one.name for one in first] == ["all-00001", "all-00002", "all-00003"]
    drawn = list(made_schedules(scenario, Made("all", "all", count=3, seed=5), PLACED))
    assert orders(drawn) == orders(list(made_schedules(scenario, Made("all", "all", count=3, seed=5), PLACED)))
    assert len({tuple(order) for order in orders(drawn)}) == 3
    with pytest.raises(
        ScenarioError, match=r"case\.yaml: 12,870 interleavings are too many .*: say --schedules random"
    ):
        list(made_schedules(scenario, Made("all", "all"), PLACED))
