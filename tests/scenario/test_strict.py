"""What a scenario says of sessions as isolationtester has them: strict orders, holds, tear-downs, settings, outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.scenario.model import Entry, Expectation, Hold

from .files import changed, loaded, scheduled
from .test_errors import one_change, refused

STRICT = """\
title: Two sessions
database: promptsales
levels: {postgresql: default}
sessions:
  s1:
    setup: begin
    steps: {r1: SELECT 1, w1: SELECT 2}
    teardown: rollback
  s2:
    steps: {r2: SELECT 3}
schedules:
  a:
    strict: true
    steps: [r1, r2, w1]
expect: {postgresql: {}}
"""


def strict(old: str, new: str) -> str:
    return changed(old, new, STRICT)


# -- keys of the file


def test_what_is_not_said(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, STRICT)
    assert (scenario.shared, scenario.as_text, scenario.cancel_late) == (False, False, False)
    assert (scenario.settings, scenario.database_name) == ({}, "")


def test_what_is_said(tmp_path: Path) -> None:
    keys = """\
shared: true
values: text
late_steps: cancel
database_name: shop
deadline: 86400
settings: {postgresql: {work_mem: 64, x.y: true, z: 0.5, TimeZone: UTC}, redis: {}}
sessions:
"""
    scenario = loaded(tmp_path, strict("sessions:\n", keys))
    assert (scenario.shared, scenario.as_text, scenario.cancel_late) == (True, True, True)
    assert scenario.database_name == "shop"
    assert scenario.settings == {
        "postgresql": {"work_mem": "64", "x.y": "true", "z": "0.5", "TimeZone": "UTC"},
        "redis": {},
    }
    scenario = loaded(tmp_path, strict("sessions:\n", "values: typed\nlate_steps: end\nsessions:\n"))
    assert (scenario.as_text, scenario.cancel_late) == (False, False)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("shared: maybe", "4:1: shared must be true or false, not 'maybe'"),
        ("values: texts", "4:1: unknown form 'texts', did you mean 'text'? (known: typed, text)"),
        ("late_steps: cancle", "4:1: unknown treatment 'cancle', did you mean 'cancel'? (known: end, cancel)"),
        ("database_name: [a]", "4:1: database_name must be text, not a list"),
        ("settings: {postgres: {}}", "4:12: unknown engine 'postgres', did you mean 'postgresql'?"),
        ("settings: {TimeZone: UTC}", "4:12: "),
        ("settings: {postgresql: {a: [1]}}", "4:25: this is a number, a text, true or false, not a list"),
        ("settings: {postgresql: {a: }}", "4:25: this is a number, a text, true or false, not nothing"),
        ("settings: {postgresql: {' ': 1}}", "4:25: a setting has a name"),
        ("setings: {}", "4:1: unknown key 'setings', did you mean 'settings'?"),
        ("deadline: 90000", "4:1: deadline must be less than or equal to 86400, not 90000"),
        (f"deadline: {'9' * 5000}", "4:11: this number has too many digits"),
    ],
)
def test_keys_of_the_file(tmp_path: Path, line: str, said: str) -> None:
    assert refused(tmp_path, strict("sessions:\n", f"{line}\nsessions:\n")).startswith(f"case.yaml:{said}")


# -- the level that is none


def test_default_level(tmp_path: Path) -> None:
    assert loaded(tmp_path, STRICT).levels == {"postgresql": ("default",)}
    text = strict("{postgresql: default}", "{postgresql: [default, serializable]}")
    text = changed("{postgresql: {}}", "{postgresql: {'default, serializable': {finds: nothing}}}", text)
    assert set(loaded(tmp_path, text).expect["postgresql"]) == {"default", "serializable"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "{postgresql: default}",
            "{postgresql: defalt}",
            "3:10: unknown level of postgresql 'defalt', did you mean 'de",
        ),
        (
            "{postgresql: default}",
            "{redis: default}",
            "3:10: unknown level of redis 'default' (known: atomic commands)",
        ),
        ("{postgresql: {}}", "{redis: {default: {finds: nothing}}}", "15:18: unknown level 'default' in redis"),
        (
            "levels: {postgresql: default}",
            "levels: {postgresql: serializable}",
            "",
        ),
    ],
)
def test_levels(tmp_path: Path, old: str, new: str, said: str) -> None:
    if said:
        assert refused(tmp_path, strict(old, new)).startswith(f"case.yaml:{said}")
    else:
        loaded(tmp_path, strict(old, new))


# -- sessions


def test_teardown(tmp_path: Path) -> None:
    first, second = loaded(tmp_path, STRICT).sessions
    assert [(step.name, step.bodies) for step in first.teardown] == [("rollback", {"*": "rollback"})]
    assert second.teardown == ()
    text = strict("teardown: rollback", "teardown: [rollback, SELECT 4, {run: '', on: db}]")
    assert [(step.name, step.bodies["*"]) for step in loaded(tmp_path, text).sessions[0].teardown] == [
        ("rollback", "rollback"),
        ("teardown 2", "SELECT 4"),
        ("teardown 3", ""),
    ]


def test_a_teardown_is_on_its_database_and_knows_what_was_read(tmp_path: Path) -> None:
    text = strict("database: promptsales", "databases: {a: promptsales, b: promptads}\nitems: {i: SELECT 1}")
    text = changed("r1: SELECT 1,", "r1: {run: SELECT 1, reads: i},", text)
    text = changed("teardown: rollback", "teardown: {run: 'SELECT ${i}', on: b}", text)
    assert loaded(tmp_path, text).sessions[0].databases == ("a", "b")


@one_change(
    {
        "unknown name": (
            "rollback",
            "SELECT ${x}",
            "8:5: step 'teardown 1' uses 'x', but no earlier step of its session",
        ),
        "unknown alias": ("rollback", "{run: x, on: y}", "8:5: unknown database alias 'y' in on (known: db)"),
        "in a list": ("rollback", "[x, {run: y, on: z}]", "8:28: unknown database alias 'z' in on (known: db)"),
        "empty": (
            "rollback",
            "''",
            "8:5: a statement is a text, a command document or a list of words, not '' (it is e",
        ),
        "nothing": ("rollback", "{on: db}", "8:5: it says nothing to run: give it a statement"),
        "null": ("rollback", "[x, ~]", "8:19: it says nothing to run: give it a statement"),
    }
)
def test_wrong_teardowns(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert refused(tmp_path, strict(f"teardown: {old}", f"teardown: {new}")).startswith(f"case.yaml:{said}")


@pytest.mark.parametrize("name", ["the other one", "1", "a: b", "T-1", "ä", "{", "${x}", "begin"])
def test_session_names(tmp_path: Path, name: str) -> None:
    scenario = loaded(tmp_path, strict("  s2:", f"  '{name}':"))
    assert [session.name for session in scenario.sessions] == ["s1", name]


@pytest.mark.parametrize("name", ["", " ", "\\t", "a\\nb", "\\x7f", "\\x85", "\\xA0"])
def test_session_names_that_are_none(tmp_path: Path, name: str) -> None:
    said = refused(tmp_path, strict("  s2:", f'  "{name}":'))
    assert said.startswith("case.yaml:9:3: ")
    assert said.endswith(" is no name for a session: it is blank or has control characters")


@pytest.mark.parametrize("name", ["a b", "", " ", "5", "a: b", "é", "a'' b", "${x}", "*", "begin", "setup 1"])
def test_step_names(tmp_path: Path, name: str) -> None:
    text = strict("w1: SELECT 2", f"'{name}': SELECT 2")
    text = changed("r2, w1", f"{{r2: {{hold: {{until: r1}}}}}}, '{name}'", text)
    text = changed("{postgresql: {}}", f"{{postgresql: {{errors: {{'{name.replace('${', '$${')}': '40001'}}}}}}", text)
    scenario = loaded(tmp_path, text)
    assert scenario.sessions[0].steps[1].name == name.replace("''", "'")
    assert scenario.expect["postgresql"]["any"].errors == {name.replace("''", "'"): "40001"}


def test_an_empty_statement_is_written_out(tmp_path: Path) -> None:
    for empty in ("", " ", "\\n"):
        scenario = loaded(tmp_path, strict("w1: SELECT 2", f'w1: {{run: "{empty}"}}'))
        assert scenario.step("w1").bodies == {"*": empty.replace("\\n", "\n")}
    assert refused(tmp_path, strict("w1: SELECT 2", "w1: ' '")).startswith("case.yaml:7:27: a statement is a text")
    text = strict("database: promptsales", "database: cache").replace("postgresql: default", "redis: atomic commands")
    text = text.replace("SELECT 2", "{run: ''}").replace("{postgresql: {}}", "{redis: {}}")
    assert refused(tmp_path, text).startswith("case.yaml:7:32: an empty statement is SQL's: Redis has none")


# -- schedules


def test_any_order_and_more_than_once(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, strict("[r1, r2, w1]", "[w1, r1, r1, r2, w1]"))
    assert [entry.step for entry in scenario.schedules[0].entries] == ["w1", "r1", "r1", "r2", "w1"]


@pytest.mark.parametrize(
    ("hold", "holds"),
    [
        ('"*"', (Hold(),)),
        ('["*"]', (Hold(),)),
        ("{until: r1}", (Hold("r1"),)),
        ("{until: w1, notices: 0}", (Hold("w1", 0),)),
        ('[{until: r1, notices: 3}, "*", {until: w1}, "*"]', (Hold("r1", 3), Hold(), Hold("w1"), Hold())),
        ("[]", ()),
    ],
)
def test_holds(tmp_path: Path, hold: str, holds: tuple[Hold, ...]) -> None:
    scenario = loaded(tmp_path, strict("[r1, r2, w1]", f"[r1, {{r2: {{hold: {hold}, blocks: true}}}}, w1]"))
    assert scenario.schedules[0].entries[1] == Entry("r2", True, "", holds)


def test_holds_of_copies(tmp_path: Path) -> None:
    text = strict("  s2:\n", "  s2:\n    copies: 2\n")
    text = changed("[r1, r2, w1]", "[r1, r2: {hold: {until: r1}}, r1: {hold: {until: r2_2}}]", text)
    assert loaded(tmp_path, text).schedules[0].entries == (
        Entry("r1"),
        Entry("r2_1", holds=(Hold("r1"),)),
        Entry("r2_2", holds=(Hold("r1"),)),
        Entry("r1", holds=(Hold("r2_2"),)),
    )


@pytest.mark.parametrize(
    ("hold", "said"),
    [
        ("'**'", "14:23: a hold is '*', {until: step} or {until: step, notices: 3}, not '**'"),
        ("5", "14:23: schedules.a.steps.1.r2.hold must be a list, not 5"),
        ("[r1]", "14:30: a hold is '*', {until: step} or {until: step, notices: 3}, not 'r1'"),
        ("{notices: 3}", "14:23: schedules.a.steps.1.r2.hold lacks 'until'"),
        ("{until: ''}", "14:23: until names no step: '*' holds an ending back once"),
        ("{untill: r1}", "14:30: unknown key 'untill', did you mean 'until'? (known: until, notices)"),
        ("{until: r1, notices: -1}", "14:41: schedules.a.steps.1.r2.hold.notices must be greater than or equal to 0"),
        ("{until: r1, notices: x}", "14:41: schedules.a.steps.1.r2.hold.notices must be a whole number, not 'x'"),
        ("{until: r0}", "14:23: unknown step 'r0' in hold (known: r1, w1, r2)"),
        ('["*", {until: r0}]', "14:35: unknown step 'r0' in hold"),
        ("{until: r2}", "14:23: step 'r2' cannot be held back by 'r2' of its own session"),
        ("{until: w1}", "14:23: step 'w1', which holds 'r2' back, is not in this schedule"),
    ],
)
def test_wrong_holds(tmp_path: Path, hold: str, said: str) -> None:
    text = strict("[r1, r2, w1]", f"[r1, {{r2: {{hold: {hold}}}}}]")
    assert refused(tmp_path, text).startswith(f"case.yaml:{said}")


def test_holds_are_for_strict_schedules(tmp_path: Path) -> None:
    said = ": 'r2' is held back: that is for a strict schedule, under 'schedules:' with 'strict: true'"
    text = strict("[r1, r2, w1]", '[r1, {r2: {hold: "*"}}]').replace("    strict: true\n", "")
    assert refused(tmp_path, text) == f"case.yaml:13:23{said}"
    text = STRICT[: STRICT.index("schedules:")] + 'schedule: [r1, {r2: {hold: "*"}}]\nexpect: {postgresql: {}}\n'
    assert refused(tmp_path, text) == f"case.yaml:11:22{said}"


def test_any_order_is_for_strict_schedules(tmp_path: Path) -> None:
    text = strict("[r1, r2, w1]", "[w1, r1]").replace("    strict: true\n", "")
    assert refused(tmp_path, text).startswith("case.yaml:13:17: step 'r1' stands here twice, or out of the order of")


def made(form: str) -> str:
    return STRICT[: STRICT.index("schedules:")] + f"schedule: {form}\nexpect: {{postgresql: {{}}}}\n"


def test_every_interleaving(tmp_path: Path) -> None:
    loose, kept = (scheduled(loaded(tmp_path, made(form))) for form in ("all", "{all: strict}"))
    assert [schedule.strict for schedule in loose] == [False] * 3
    assert [schedule.strict for schedule in kept] == [True] * 3
    assert [(one.name, one.entries) for one in loose] == [(one.name, one.entries) for one in kept]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("{all: strikt}", "11:12: unknown form 'strikt', did you mean 'strict'? (known: strict)"),
        ("{all: true}", "11:12: schedule.all must be text, not true"),
        ("{all: strict, seed: 1}", "11:25: unknown key 'seed' (known: all)"),
        ("{reduced: strict}", "11:12: unknown key 'reduced'"),
        ("strict", "11:1: unknown schedule 'strict'"),
    ],
)
def test_wrong_forms(tmp_path: Path, form: str, said: str) -> None:
    assert refused(tmp_path, made(form)).startswith(f"case.yaml:{said}")


# -- outputs


def test_outputs(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, strict("{postgresql: {}}", '{postgresql: {output: "a\\n"}}'))
    assert scenario.expect["postgresql"] == {"any": Expectation(output=("a\n",))}
    text = strict("{postgresql: {}}", "{postgresql: {any: {output: [a, 'b '], blocks: []}, default: {output: []}}}")
    assert loaded(tmp_path, text).expect["postgresql"] == {
        "any": Expectation(output=("a", "b "), blocks=()),
        "default": Expectation(output=()),
    }
    text = strict("    strict: true\n", "    strict: true\n    expect: {postgresql: {output: a}}\n")
    assert loaded(tmp_path, text).schedules[0].expect == {"postgresql": {"any": Expectation(output=("a",))}}


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("{postgresql: {output: 5}}", "15:23: expect.postgresql.output must be a list, not 5"),
        ("{postgresql: {output: [5]}}", "15:32: expect.postgresql.output.0 must be text, not 5"),
        ("{postgresql: {outptu: a}}", "15:23: unknown key 'outptu', did you mean 'output'?"),
        ("{sqlserver: {output: a}}", "15:22: expect.output says nothing here: isolationtester runs on PostgreSQL, not"),
        (
            "{postgresql: {}, redis: {any: {output: []}}}",
            "15:40: expect.output says nothing here: isolationtester runs",
        ),
    ],
)
def test_wrong_outputs(tmp_path: Path, expect: str, said: str) -> None:
    assert refused(tmp_path, strict("{postgresql: {}}", expect)).startswith(f"case.yaml:{said}")


def test_a_free_run_has_no_output(tmp_path: Path) -> None:
    text = strict("{postgresql: {}}", "{postgresql: {output: a}}")
    text = text[: text.index("  s2:")] + "free_running: {workers: 2, iterations: 2}\n" + text[text.index("expect:") :]
    assert refused(tmp_path, text).startswith("case.yaml:10:23: expect.output says nothing here: a free run's steps")
