"""Every mistake in a file: its place, what is wrong, what was meant. Nobody should need a traceback, or pydantic's words."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from harness.errors import ScenarioError
from harness.scenario.load import load

from .files import GOOD, HOSTS, changed, loaded

SCHEDULE = GOOD[GOOD.index("schedule:") : GOOD.index("expect:")]
SETUP = GOOD[GOOD.index("setup:") : GOOD.index("items:")]
T2 = GOOD[GOOD.index("  T2:") : GOOD.index("schedule:")]


def refused(folder: Path, text: str, **parameters: str) -> str:
    """What is said of a text that is no scenario, without its file's folder."""
    with pytest.raises(ScenarioError) as caught:
        loaded(folder, text, **parameters)
    said = str(caught.value).replace(f"{folder}{os.sep}", "")
    for noise in ("Input should", "[type=", "pydantic", "validation error", "Written", "Value error", "Traceback"):
        assert noise not in said
    assert all(re.match(r"case\.yaml:\d+:\d+: \S", line) for line in said.splitlines())
    return said


def one_change(cases: dict[str, tuple[str, str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("old", "new", "said"), list(cases.values()), ids=list(cases))


def test_the_good_one_is_good(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, GOOD)
    assert [entry.step for entry in scenario.schedules[0].entries] == ["read", "write", "look", "commit", "again"]
    assert scenario.expect["postgresql"]["read committed"].final == {"budget": "== initial_budget - 10"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "1:1: the file is empty: a scenario begins with 'title:'", id="empty"),
        pytest.param("# only a comment\n", "1:1: the file is empty", id="only a comment"),
        pytest.param("- a\n- b\n", "1:1: a scenario is a mapping that begins with 'title:'", id="a list"),
        pytest.param("hello", "1:1: a scenario is a mapping", id="a text"),
        pytest.param("title: x\n\tabout: y\n", "2:1: not valid YAML: a tab cannot indent, use spaces", id="tab"),
        pytest.param(
            "title: 'x\nabout: y\n", "3:1: not valid YAML: a quote is not closed, opened in line 1", id="quote"
        ),
        pytest.param(
            "title: a: b\n", "1:9: not valid YAML: mapping values are not allowed here: put a text", id="colon"
        ),
        pytest.param("title: {a: b", "1:13: not valid YAML: expected ',' or '}'", id="brace"),
        pytest.param(
            "title: a\ntitle: b\n", "2:1: 'title' stands here a second time (first in line 1)", id="key twice"
        ),
        pytest.param("title: a\n---\ntitle: b\n", "2:1: not valid YAML", id="two documents"),
        pytest.param("title: x\x00y", r"1:9: not valid YAML: the character '\x00' may not stand in it", id="character"),
        pytest.param("title: &x [*x]\n", "1:8: aliases make this file endless", id="endless"),
        pytest.param("title: *x\n", "1:8: not valid YAML: found undefined alias 'x'", id="no such alias"),
        pytest.param("title: !!python/name:os.system\n", "1:8: not valid YAML: could not determine", id="tag"),
        pytest.param("? [a]\n: b\n", "1:3: a key must be a plain word", id="key is a list"),
    ],
)
def test_what_is_no_yaml_mapping(tmp_path: Path, text: str, said: str) -> None:
    assert refused(tmp_path, text).startswith(f"case.yaml:{said}")


def test_many_aliases(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too many values" in refused(tmp_path, "\n".join(lines))


def test_other_encodings(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_bytes(b"title: ok\nabout: caf\xe9\n")
    with pytest.raises(ScenarioError, match=r"case.yaml:2:11: is not UTF-8 text \(byte 0xe9\)"):
        load(file)
    file.write_bytes(GOOD.encode("utf-8-sig"))
    assert load(file).title == "A reader and a writer"


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ScenarioError, match=r"cannot be read: Is a directory"):
        load(tmp_path)


@one_change(
    {
        "at the top": ("title:", "titel:", "1:1: unknown key 'titel', did you mean 'title'?"),
        "of a session": ("    setup: begin", "    setpu: begin", "14:5: unknown key 'setpu', did you mean 'setup'?"),
        "of a step": ("        writes:", "        wirtes:", "19:9: unknown key 'wirtes', did you mean 'writes'?"),
        "of an item": (
            "budget: SELECT budget FROM campaign WHERE id = 1\nsessions",
            "budget: {run: SELECT 1, colum: x}\nsessions",
            "11:27: unknown key 'colum', did you mean 'column'?",
        ),
        "of a claim": ("look: runs", "look: {bloks: false}", "28:12: unknown key 'bloks', did you mean 'blocks'?"),
        "of an expectation": ("finds: nothing", "findz: nothing", "34:7: unknown key 'findz', did you mean 'finds'?"),
        "of a random schedule": (
            SCHEDULE,
            "schedule: {randm: 5}\n",
            "25:12: unknown key 'randm', did you mean 'random'?",
        ),
        "of a schedule": (
            SCHEDULE,
            "schedules: {a: {steps: [read], expct: 1}}\n",
            "25:32: unknown key 'expct', did you mean 'expect'?",
        ),
        "of a schedule's expectation": (
            SCHEDULE,
            "schedules: {a: {steps: [read], expect: {postgresql: {findz: x}}}}\n",
            "25:54: unknown key 'findz', did you mean 'finds'?",
        ),
        "of a free run": (
            SCHEDULE,
            "free_running: {worker: 5}\n",
            "25:16: unknown key 'worker', did you mean 'workers'?",
        ),
    }
)
def test_unknown_keys(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert refused(tmp_path, changed(old, new)).startswith(f"case.yaml:{said} (known: ")


def test_several_mistakes_are_a_line_each(tmp_path: Path) -> None:
    text = changed("title:", "titel:", changed("        writes:", "        wirtes:"))
    assert refused(tmp_path, text).startswith("case.yaml:1:1: unknown key 'titel'")
    text = changed("dirty_read", "dirty", changed("        writes:", "        wirtes:"))
    assert [line.split(": ")[0] for line in refused(tmp_path, text).splitlines()] == [
        "case.yaml:2:9",
        "case.yaml:19:9",
    ]


@one_change(
    {
        "title": ("title: A reader and a writer\n", "", "1:1: the scenario lacks 'title'"),
        "empty title": ("title: A reader and a writer", "title: ''", "1:1: title is empty"),
        "title is a number": ("title: A reader and a writer", "title: 5", "1:1: title must be text, not 5"),
        "sessions": (GOOD[GOOD.index("sessions:") : GOOD.index("schedule:")], "", "1:1: the scenario lacks 'sessions'"),
        "expect": (GOOD[GOOD.index("expect:") :], "", "1:1: the scenario lacks 'expect'"),
        "empty expect": (GOOD[GOOD.index("expect:") :], "expect: {}\n", "31:1: expect is empty"),
        "expect of an engine": (
            GOOD[GOOD.index("expect:") :],
            "expect: {postgresql: }\n",
            "31:10: expect.postgresql must be a mapping (key: value), not nothing",
        ),
        "steps": ("    steps:\n      look", "    setup:\n      look", "21:3: sessions.T2 lacks 'steps'"),
        "no steps": (T2, "  T2: {steps: {}}\n", "21:8: sessions.T2.steps is empty"),
        "a step's text": ("commit: commit", "commit:", "20:7: it says nothing to run: give it a statement"),
        "any engine's text": ("commit: commit", "commit: {run: }", "20:7: it says nothing to run"),
        "where it runs": ("database: promptsales\n", "", "1:1: say where it runs: either 'database: promptsales'"),
        "where it runs, twice": (
            "database: promptsales\n",
            "database: promptsales\ndatabases: {a: cache}\n",
            "4:1: say where it runs: either 'database: promptsales' (or a list: on each of them), "
            "or 'databases: {alias: promptsales, …}' (on all at once), not both",
        ),
        "an expectation": (
            "    read committed:\n",
            "    serializable:\n",
            "32:3: no expectation for postgresql at 'read committed': add it under expect",
        ),
    }
)
def test_what_is_missing(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert refused(tmp_path, changed(old, new)).startswith(f"case.yaml:{said}")


def test_the_default_level_needs_an_expectation_too(tmp_path: Path) -> None:
    text = changed(
        "levels:\n  postgresql: [read committed]\n", "", changed("    read committed:\n", "    serializable:\n")
    )
    assert "no expectation for postgresql at 'read committed'" in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("schedule: []", "25:1: the schedule is empty: list the steps in the order in which they run"),
        ("schedules: {a: []}", "25:13: the schedule is empty"),
        ("schedules: {a: {steps: []}}", "25:17: the schedule is empty"),
        ("", "1:1: no schedule: list the steps in order under 'schedule:', or say 'schedule: all'"),
        ("schedule: al", "25:1: unknown schedule 'al', did you mean 'all'? (known: all, reduced)"),
        ("schedule: 5", "25:1: a schedule is a list of steps, all, reduced, or {random: 100}, not 5"),
        ("schedule: {random: 0}", "25:12: schedule.random must be greater than or equal to 1, not 0"),
        ("schedule: {random: many}", "25:12: schedule.random must be a whole number, not 'many'"),
        ("schedule: {random: 3, seed: x}", "25:23: schedule.seed must be a whole number, not 'x'"),
        ("schedule: [read, comit]", "25:18: unknown step 'comit' in the schedule, did you mean 'commit'? (known: "),
        ("schedules: {a: [read, comit]}", "25:23: unknown step 'comit' in the schedule, did you mean 'commit'?"),
        ("schedules: {a: {steps: [comit]}}", "25:25: unknown step 'comit' in the schedule, did you mean 'commit'?"),
        ("schedule: [5]", "25:12: an entry is one step's name, or 'step: blocks', not 5"),
        (
            "schedule: [{read: blocks, look: runs}]",
            "25:12: an entry is one step's name, or 'step: blocks', not a mapping",
        ),
        (
            "schedule: [write, read]",
            "25:19: step 'read' stands here twice, or out of the order of its session T1 (read, ",
        ),
        ("schedule: [read, read]", "25:18: step 'read' stands here twice, or out of the order of its session T1"),
        ("schedule: [look: blocs]", "25:12: unknown claim 'blocs', did you mean 'blocks'? (known: blocks, runs, "),
        ("schedule: [{look: {blocks: maybe}}]", "25:20: schedule.0.look.blocks must be true or false, not 'maybe'"),
        ("schedule: [{look: {until: again}}, again]", "25:20: step 'look' cannot wait for 'again' of its own session"),
        ("schedule: [{look: {until: comit}}]", "25:20: unknown step 'comit' in until, did you mean 'commit'?"),
        ("schedule: [{look: {until: commit}}]", "25:20: step 'look' would wait for ever: 'commit' is not in this sch"),
        ("schedules: {a b: [read]}", "25:13: 'a b' is no name for a schedule"),
        ("schedule: all\nschedules: {a: [read]}", "26:1: give one of 'schedule', 'schedules' and 'free_running'"),
        ("free_running: {workers: 2, iterations: 2}", "25:1: free_running needs exactly one session"),
        ("free_running: {workers: 0, iterations: 2}", "25:16: free_running.workers must be greater than or equal to 1"),
    ],
)
def test_schedules(tmp_path: Path, written: str, said: str) -> None:
    assert refused(tmp_path, changed(SCHEDULE, f"{written}\n" if written else "")).startswith(f"case.yaml:{said}")


@one_change(
    {
        "engine of levels": (
            "  postgresql: [",
            "  postgres: [",
            "5:3: unknown engine 'postgres', did you mean 'postgresql'?",
        ),
        "level": (
            "[read committed]",
            "[read comitted]",
            "5:16: unknown level of postgresql 'read comitted', did you mean",
        ),
        "level twice": (
            "[read committed]",
            "[read committed, read committed]",
            "5:3: 'read committed' stands in this list",
        ),
        "engine of expect": (
            "  postgresql:\n",
            "  postgre:\n",
            "32:3: unknown engine 'postgre', did you mean 'postgresql'?",
        ),
        "level of expect": (
            "    read committed:\n",
            "    read comitted:\n",
            "33:5: unknown level 'read comitted' in postgresql, did you mean 'read committed'?",
        ),
        "level of expect twice": (
            "    read committed:\n",
            "    any, read committed, any:\n",
            "33:5: postgresql at 'any' is expected twice",
        ),
        "phenomenon": (
            "finds: nothing",
            "finds: lost updat",
            "34:7: unknown phenomenon 'lost updat', did you mean 'lost ",
        ),
        "code of several": (
            "finds: nothing",
            "finds: G-single",
            "34:7: 'G-single' may be non-repeatable read or read skew",
        ),
        "nothing and more": ("finds: nothing", "finds: [nothing, P4]", "34:7: 'nothing' stands alone"),
        "mark": ("[dirty_read]", "[dirty_reed]", "2:9: unknown mark 'dirty_reed', did you mean 'dirty_read'?"),
        "database": (
            "database: prompts",
            "database: promts",
            "3:1: unknown database 'promtsales', did you mean 'promptsal",
        ),
        "database of two": (
            "database: promptsales",
            "database: [cache, cach]",
            "3:19: unknown database 'cach', did you",
        ),
        "database twice": (
            "database: promptsales",
            "database: [cache, cache]",
            "3:1: 'cache' stands in this list twice",
        ),
        "alias is an engine": (
            "database: promptsales",
            "databases: {redis: cache}",
            "3:1: 'redis' is an engine's name",
        ),
        "step that sees": (
            "{look: 1000",
            "{lok: 1000",
            "36:14: unknown step 'lok' in expect.sees, did you mean 'look'?",
        ),
        "item": (
            "final: {budget:",
            "final: {bugdet:",
            "37:15: unknown item 'bugdet' in expect.final, did you mean 'budget'?",
        ),
        "step that blocks": (
            "blocks: []",
            "blocks: [comit]",
            "35:16: unknown step 'comit' in expect.blocks, did you mean",
        ),
        "victim": ("blocks: []", "victim: T3", "35:7: unknown session 'T3' in expect.victim (known: T1, T2)"),
        "step with an error": (
            "blocks: []",
            "errors: {comit: deadlock}",
            "35:16: unknown step 'comit' in expect.errors, did",
        ),
        "kind of error": (
            "blocks: []",
            "errors: {commit: deadlok}",
            "35:16: unknown kind of error 'deadlok', did you mean",
        ),
        "kind that may refuse": (
            "blocks: []",
            "may_refuse: [deadlock, deadlok]",
            "35:30: unknown kind of error 'deadlok', did you mean 'deadlock'?",
        ),
        "kind that may refuse, twice": (
            "blocks: []",
            "may_refuse: [40001, 40001]",
            "35:7: '40001' stands in this list",
        ),
        "name in what holds": (
            "blocks: []",
            "holds: [budget > 0, bugdet == 1]",
            "35:27: 'bugdet == 1': unknown name 'bugdet', did you mean 'budget'? (known: budget, initial_budget, "
            "committed_T1, committed_T2)",
        ),
        "parameter in what holds": (
            "blocks: []",
            "holds: budget == amount",
            "35:7: 'budget == amount': write the parameter as ${amount}",
        ),
        "what holds is no expression": (
            "blocks: []",
            "holds: [budget = 1]",
            "35:15: 'budget = 1' is not an expression ('equals' is ==)",
        ),
        "what holds has no left side": (
            "blocks: []",
            "holds: ['== 1']",
            "35:15: '== 1' lacks its left side: say 'budget ",
        ),
        "what holds is no text": (
            "blocks: []",
            "holds: [true]",
            "35:15: expect.postgresql.read committed.holds.0 must",
        ),
        "count": ("blocks: []", "counts: {comitted: 5}", "35:16: unknown count 'comitted', did you mean 'committed'?"),
        "count of a scheduled run": (
            "blocks: []",
            "counts: {committed: 5}",
            "35:7: expect.counts says nothing here: only a",
        ),
        "break_cycle": (
            "schedule:\n",
            "break_cycle: comit\nschedule:\n",
            "25:1: unknown step 'comit' in break_cycle, did",
        ),
        "alias of a step": (
            "look: {run:",
            "look: {on: ads, run:",
            "23:14: unknown database alias 'ads' in on (known: db)",
        ),
        "alias of a session": (
            "  T2:\n",
            "  T2:\n    on: ads\n",
            "22:5: unknown database alias 'ads' in on (known: db)",
        ),
        "alias in a text": (
            "UPDATE c",
            "UPDATE ${databases.ads}.c",
            "18:9: unknown database alias 'ads' in ${databases.…}",
        ),
        "priority": (
            "    setup: begin\n",
            "    deadlock_priority: lo\n",
            "14:5: deadlock_priority is low, normal or high, not",
        ),
        "deadline": ("schedule:\n", "deadline: 0\nschedule:\n", "25:1: deadline must be greater than 0, not 0"),
        "deadline in words": (
            "schedule:\n",
            "deadline: soon\nschedule:\n",
            "25:1: deadline must be a number, not 'soon'",
        ),
        "step in two sessions": ("      look:", "      write:", "23:7: step 'write' is in session 'T1' already"),
        "item's name": ("writes: budget", "writes: b-c", "19:9: 'b-c' is no name here"),
        "parameter's name": ("amount: 10", "a-b: 10", "6:14: 'a-b' is no name here"),
        "parameter's value": ("amount: 10", "amount: [1]", "6:14: this is a number, a text, true or false, not a list"),
    }
)
def test_unknown_words(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert refused(tmp_path, changed(old, new)).startswith(f"case.yaml:{said}")


@one_change(
    {
        "syntax": ("${budget - amount}", "${budget -}", "18:9: ${budget -} is not an expression"),
        "empty": ("${budget - amount}", "${}", "18:9: ${} is not an expression"),
        "not closed": ("${budget - amount}", "${budget", "18:9: '${budget WHERE id = 1' is not closed by '}'"),
        "unknown name": (
            "${budget - amount}",
            "${bugdet}",
            "18:9: step 'write' uses 'bugdet', but no earlier step of its session reads it, did you mean 'budget'?",
        ),
        "read by another session": (
            "again: {run: SELECT budget FROM campaign WHERE id = 1",
            "again: {run: 'SELECT ${mine}'",
            "24:15: step 'again' uses 'mine', but no earlier step of its session reads it (known: ",
        ),
        "in quotes": (
            "${budget - amount}",
            "'${budget}'",
            "18:9: ${budget} stands inside quotes: write it without them",
        ),
        "in a name": ("budget = ${", 'budget = "x${', "18:9: ${budget - amount} stands inside quotes"),
        "in a comment": ("${budget - amount}", "1 /* ${budget} */", "18:9: ${budget} stands inside a comment"),
        "in a written value": (
            "writes: budget",
            'writes: {budget: "${x}"}',
            "19:18: step 'write' uses 'x', but no earlier",
        ),
        "in set-up": (
            "VALUES (1, 1000)",
            "VALUES (1, ${amont})",
            "9:5: setup uses 'amont', but it is no parameter, did",
        ),
        "in an item": (
            "budget: SELECT budget FROM campaign WHERE id = 1\nsessions",
            "budget: SELECT ${x}\nsessions",
            "11:3: item 'budget' uses 'x', but it is no parameter (known: ",
        ),
        "relation": (
            '"== initial_budget - ${amount}"',
            '"== initial_budget -"',
            "37:15: '== initial_budget -': 'initial",
        ),
        "relation's name": ("initial_budget", "inital_budget", "37:15: '== inital_budget - 10': unknown name"),
        "relation's parameter": ('${amount}"', 'amount"', "37:15: '== initial_budget - amount': write the"),
        "key": ("{look: 1000", '{"look_${x}": 1000', "36:14: cannot compute ${x}"),
    }
)
def test_expressions(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert refused(tmp_path, changed(old, new)).startswith(f"case.yaml:{said}")


@pytest.mark.parametrize(
    ("copies", "said"),
    [
        ("x", "copies must be a number from 1 to 256, not 'x'"),
        ("0", "copies must be a number from 1 to 256, not 0"),
        ("257", "copies must be a number from 1 to 256, not 257"),
        ("2.5", "copies must be a number from 1 to 256, not 2.5"),
        ("true", "copies must be a number from 1 to 256, not true"),
        ("${n}", "cannot compute ${n}: 'n' is not defined"),
        ("${amount / 0}", "cannot compute ${amount / 0}: division by zero"),
        ("[1]", "this is a number, a text, true or false, not a list"),
    ],
)
def test_copies(tmp_path: Path, copies: str, said: str) -> None:
    assert refused(tmp_path, changed("  T2:\n", f"  T2:\n    copies: {copies}\n")).startswith(f"case.yaml:22:5: {said}")


def test_names_of_copies_are_taken(tmp_path: Path) -> None:
    said = refused(tmp_path, changed("  T2:\n", "  T:\n    copies: 2\n"))
    assert said == "case.yaml:21:3: session 'T1' is there already: a copy has the same name"
    said = refused(tmp_path, changed("      look:", "      commit:", changed("  T2:\n", "  T2:\n    copies: 1\n")))
    assert said.startswith("case.yaml:20:7: 'commit' is this step's name, and stands for the copies of another one")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"amount": "x"}, "6:14: --set amount=x: this parameter is a whole number, like 10"),
        ({"amount": "2.5"}, "6:14: --set amount=2.5: this parameter is a whole number, like 10"),
        ({"ratio": "half"}, "6:26: --set ratio=half: this parameter is a number, like 0.5"),
        ({"loud": "yes"}, "6:38: --set loud=yes: this parameter is true or false, like False"),
    ],
)
def test_set_values(tmp_path: Path, given: dict[str, str], said: str) -> None:
    assert refused(tmp_path, GOOD, **given) == f"case.yaml:{said}"


def test_good_set_values(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, GOOD, amount="5", loud="True", ratio="1", who="you", of_another_file="x")
    assert scenario.parameters == {"amount": 5, "ratio": 1.0, "loud": True, "who": "you"}


def test_too_many_interleavings(tmp_path: Path) -> None:
    text = changed(SCHEDULE, "schedule: all\n", changed("  T2:\n", "  T2:\n    copies: 12\n"))
    text = text.replace("{look: 1000, again: 990}", "{}")
    assert re.match(
        r"case.yaml:\d+:1: about 10\^\d+ interleavings are too many \(at most 10,000\)", refused(tmp_path, text)
    )
    text = text.replace("copies: 12", "copies: 256").replace(
        "    steps:\n      look", "    setup: begin\n    steps:\n      look"
    )
    assert "interleavings are too many" in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "{mongodb: 'db.x.find()'}",
            "20:16: a MongoDB statement is a command document, {find: …}, or begin, commit, rollback, not",
        ),
        (
            "{mongodb: [find, x]}",
            "20:16: a MongoDB statement is a command document, {find: …}, or begin, commit, rollback, not a",
        ),
        ("{postgresql: {find: x}}", "20:16: an SQL statement is a text, not a mapping"),
        ("{redis: {find: x}}", "20:16: a Redis statement is a command line, a text or a list of words, not a mapping"),
        ("{redis: 'SET \"a'}", "20:16: not a command line: no closing quotation"),
        (
            "{redis: 'SET a ${int(budget) + 1}'}",
            "20:16: '${int(budget)' is torn apart: put a ${…} that has spaces in it",
        ),
        ("{redis: 'SET a ${databases.db}'}", "20:16: ${databases.db} can stand in SQL only"),
        ("{find: x}", "20:16: unknown key 'find' (known: run, postgresql"),
        ("5", "20:7: sessions.T1.steps.commit must be a mapping (key: value), not 5"),
        ("[a, [b]]", "20:7: a statement is a text, a command document or a list of words, not a list"),
        ("''", "20:7: a statement is a text, a command document or a list of words, not '' (it is empty)"),
    ],
)
def test_statements(tmp_path: Path, body: str, said: str) -> None:
    assert refused(tmp_path, changed("commit: commit", f"commit: {body}")).startswith(f"case.yaml:{said}")


def test_a_text_for_everyone_must_do_for_everyone(tmp_path: Path) -> None:
    text = (
        GOOD.replace("promptsales", "promptcontent").replace("postgresql", "mongodb").replace("read committed", "local")
    )
    assert refused(tmp_path, text).startswith("case.yaml:16:14: a MongoDB statement is a command document")
    loaded(
        tmp_path, changed("database: promptsales", "database: [promptsales, promptcontent]")
    )  # expected of no MongoDB


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ("{postgres: [a]}", "7:9: setup is a list of statements, or such lists by engine or by data"),
        ("{db: [a], postgresql: [b]}", "7:9: setup is a list of statements, or such lists by engine or by data"),
        ("5", "7:1: a statement is a text, a command document or a list of words, not 5"),
        ("[SELECT 1, 5]", "7:19: a statement is a text, a command document or a list of words, not 5"),
        ("[~]", "7:9: a statement is a text, a command document or a list of words, not nothing"),
        ("[SELECT 1, {find: x}]", "7:19: an SQL statement is a text, not a mapping"),
        ("[SELECT 1, {sqlserver: \"'${amount}'\"}]", "7:20: ${amount} stands inside quotes"),
        ("{'*': [{postgresql: x}]}", "7:15: a statement by engine cannot stand under '*'"),
    ],
)
def test_set_up(tmp_path: Path, setup: str, said: str) -> None:
    assert refused(tmp_path, changed(SETUP, f"setup: {setup}\n")).startswith(f"case.yaml:{said}")


def test_on_is_a_word(tmp_path: Path) -> None:
    text = changed("database: promptsales", "databases: {sales: promptsales, ads: promptads}")
    scenario = loaded(tmp_path, changed("look: {run:", "look: {on: ads, run:", text))
    assert scenario.step("look").database == "ads"
    assert scenario.step("again").database == "sales"
    assert [session.databases for session in scenario.sessions] == [("sales",), ("sales", "ads")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param(
            "on: pc1\n",
            "on: pc3\n",
            "6:5: unknown database alias or host 'pc3' in on, did you mean 'pc1'? (known: ads, crm, pc1, pc-2)",
            id="unknown host",
        ),
        pytest.param("[pc1, pc-2]\nsess", "[pc1, pc-2, ads]\nsess", "3:20: 'ads' is a database's alias", id="an alias"),
        pytest.param(
            "[pc1, pc-2]\nsess", "[pc1, pc-2, pc3]\nsess", "3:20: no session runs on 'pc3'", id="nobody there"
        ),
        pytest.param("[pc1, pc-2]\nsess", "[pc1, pc-2, pc1]\nsess", "3:1: 'pc1' stands in this list twice", id="twice"),
        pytest.param("[pc1, pc-2]\nsess", "[pc1, 'a b']\nsess", "'a b' is no name for a host", id="no name"),
        pytest.param(
            "on: pc1\n", "on: [pc1, pc-2]\n", "6:5: a session runs on one host, not on pc1 and pc-2", id="two"
        ),
        pytest.param(
            "[crm, pc-2]", "[crm, ads, pc-2]", "a session speaks to one database by itself", id="two databases"
        ),
        pytest.param("on: ads}", "on: pc1}", "unknown database alias 'pc1' in on (known: ads, crm)", id="a step's"),
    ],
)
def test_hosts(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert HOSTS.count(old) == 1
    assert said in refused(tmp_path, HOSTS.replace(old, new))
