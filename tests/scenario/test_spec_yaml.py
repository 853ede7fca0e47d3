"""A specification written as YAML: what is loaded from that is equal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from harness.errors import ScenarioError
from harness.scenario.load import load
from harness.scenario.model import DEFAULT, Entry, Expectation, FreeRunning, Item, Scenario, Schedule, Step
from harness.scenario.source import parse, read_text
from harness.scenario.spec_load import load_spec
from harness.scenario.spec_yaml import to_yaml
from harness.scenario.written import schema

from .files import GOOD, loaded
from .specs import EXPECTED, SPECS, placeless, written

VALIDATOR = Draft202012Validator(schema())


def again(folder: Path, scenario: Scenario) -> Scenario:
    """What is loaded from the YAML that ``scenario`` is written as."""
    file = folder / f"{scenario.id}.yaml"
    file.write_text(to_yaml(scenario), encoding="utf-8", newline="")
    return load(file)


def check(folder: Path, scenario: Scenario) -> str:
    """The YAML, which loads as the same scenario and which the schema allows."""
    assert placeless(again(folder, scenario)) == placeless(scenario)
    text = read_text(folder / f"{scenario.id}.yaml")
    assert [error.message for error in VALIDATOR.iter_errors(parse(text, folder).data)] == []
    return text


@pytest.mark.parametrize("outputs", [None, EXPECTED, EXPECTED / "none"], ids=["no outputs", "outputs", "missing"])
@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_postgresqls_own(tmp_path: Path, file: Path, outputs: Path | None) -> None:
    check(tmp_path, load_spec(file, outputs))


def spec(folder: Path, text: str, **outputs: str) -> Scenario:
    for name, output in outputs.items():
        (folder / f"{name}.out").write_bytes(output.encode())
    return load_spec(written(folder, text), folder if outputs else None)


NAMES = [
    "a b",
    "a: b",
    "a:b",
    ":",
    "- a",
    "-",
    "?",
    "? a",
    "#a",
    "a #b",
    '""a""',
    "it's",
    "[a]",
    "{a",
    "a, b",
    "&a",
    "*a",
    "!a",
    "|",
    ">",
    "%a",
    "@a",
    "`a",
    "=",
    "<<",
    "1",
    "1.5",
    "1e3",
    "0o17",
    "0x1F",
    "12:30",
    "2026-11-24",
    "true",
    "on",
    "No",
    "null",
    "~",
    ".inf",
    " a",
    "a ",
    "\u00e4\u00f6 \u65e5\u672c",
    "\U0001f600",
    "a\\nb",
    "${a}",
    "$${a}",
    "any",
    "setup",
    "permutation",
    "x" * 300,
    "x " * 100 + "x",
    "\u00a0a",
    "a\u2028b",
    "\ufeffa",
    "blocks",
]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names(tmp_path: Path, name: str) -> None:
    text = f'session "{name}" setup {{begin}} step "{name}" {{x}} step b {{y}}\nsession t step c {{z}}\n'
    text += f'permutation "{name}" b c("{name}", "{name}" notices 2, *)'
    scenario = spec(tmp_path, text)
    assert scenario.sessions[0].name == name.replace('""', '"')
    check(tmp_path, scenario)


@pytest.mark.parametrize("name", ["\t", "a\tb", "\x7f", "\r", "\x01", "\x85"])
def test_control_characters_in_a_steps_name(tmp_path: Path, name: str) -> None:
    check(tmp_path, spec(tmp_path, f'session s step "{name}" {{x}} step b {{y}} permutation "{name}" b "{name}"'))


SQL = [
    "",
    "\n",
    "\n\n",
    " \n \n",
    "\n\t\n",
    "x",
    "\nx\n",
    "\n\nx\n\n\n",
    "x\n",
    "x\n\n",
    "x\n \ny",
    "x \t\ny\t \nz",
    "\n\tGRANT;\n\t\tx\n",
    "\n    x\n  y\n",
    "\n  x\ny\n      z",
    "x\n   ",
    "x\n\t",
    "x\n  \n",
    "\n   \nx",
    "\n# no comment\nx # neither",
    "-- a: b\n- c",
    "x\n---\n...\ny",
    "SELECT '${a' || '$${' || '$$${';",
    "a: b",
    "- a",
    "'quoted'",
    '"quoted"',
    "begin",
    "commit",
    "rollback",
    "BEGIN",
    "begin;",
    "null",
    "1",
    "1e3",
    "true",
    "~",
    "yes",
    "*",
    "|",
    "x\r\ny",
    "x\ry",
    "x\x85y",
    "x\u2028y\n\u2029z",
    "\u00e4\n\u65e5\u672c \U0001f600\n",
    "x\u00a0\ny",
    "\u00a0",
    "x\x0by\x0cz\n",
    "x\x01\x7f\n\x80",
    "\ufeffx\ny\ufffe\uffff",
    "x " * 200 + "x",
    "x" * 500,
    "SELECT '" + "a  b " * 40 + "'",
    "\\n \\",
    "%s %",
    "x\n" * 300,
    "\n" + " " * 9 + "x\n y",
]


@pytest.mark.parametrize("sql", SQL)
def test_odd_sql(tmp_path: Path, sql: str) -> None:
    block = f"{{{sql}}}"
    text = f"session s setup {block} step a {block} step b {{x}} teardown {block} session t step c {{y}}"
    scenario = spec(tmp_path, (f"setup {block} setup {{y}} teardown {block} " if sql else "") + text)
    check(tmp_path, scenario)


@pytest.mark.parametrize("output", [text for text in SQL if text])
def test_odd_outputs(tmp_path: Path, output: str) -> None:
    one = f"head\n\nstarting permutation: a\n{output}"
    text = "session s step a {x} permutation a"
    assert check(tmp_path, spec(tmp_path, text, x=one)).count("output:") == 1
    check(tmp_path, spec(tmp_path, text, x=one, x_1=f"{one} ", x_2=one))


def test_every_marker_and_repeated_steps(tmp_path: Path) -> None:
    text = "session s step a {x} step b {x} session t step c {x} step d {x}\n"
    text += "permutation b a a c d c\npermutation a(*) b(c) c(a notices 0, b, *, *) d a\n" * 6
    check(tmp_path, spec(tmp_path, text))


def test_every_interleaving(tmp_path: Path) -> None:
    text = "session s step a {x} step b {x} session t step c {x}"
    assert "\nschedule: {all: strict}\n" in check(tmp_path, spec(tmp_path, text))
    assert "schedules:" in check(tmp_path, spec(tmp_path, text, x="h\n\nstarting permutation: a b c\n"))


def test_one_session_alone(tmp_path: Path) -> None:
    check(tmp_path, spec(tmp_path, "session s step a {x}"))


def test_a_comment_of_any_kind(tmp_path: Path) -> None:
    text = "# a: b # 'c' \x01\u00e4 " + "long " * 100 + "\n#- {d}\nsession s step a {x}"
    check(tmp_path, spec(tmp_path, text))


def test_a_database_and_a_time_of_its_own(tmp_path: Path) -> None:
    file = written(tmp_path, "session s step a { GRANT x ON DATABASE isolation_regression TO y; }")
    for timeout in (0.5, 2, 86400):
        assert check(tmp_path, load_spec(file, timeout=timeout)).count("isolation_regression") == 2


def test_odd_file_names(tmp_path: Path) -> None:
    for name in ("1", "null", "a b", "a: b", "\u00e4", "# x", "it's"):
        file = written(tmp_path, "session s step a {x}", name)
        assert check(tmp_path, load_spec(file)).startswith(
            f"# Exported from the isolation specification {name}.spec.\n"
        )


def test_it_reads_well(tmp_path: Path) -> None:
    text = """\
# Two sessions.
setup
{
 CREATE TABLE a (b int);
 INSERT INTO a VALUES (1);
}
session s1
setup { BEGIN; }
step r1 { SELECT * FROM a; }
step w1 {
\tUPDATE a SET b = 2; \n\tSELECT 1;
}
step n1 { }
session "s 2"
step r2 { SELECT 2; }
permutation r1 w1 r2(w1)
"""
    output = "h\n\nstarting permutation: r1 w1 r2\nstep r1: SELECT * FROM a;\nb\n-\n1\n(1 row)\n\n"
    made = check(tmp_path, spec(tmp_path, text, x=output))
    assert (
        made[made.index("setup:") :]
        == """\
setup:
  - |2

     CREATE TABLE a (b int);
     INSERT INTO a VALUES (1);
sessions:
  s1:
    setup: BEGIN;
    steps:
      r1: SELECT * FROM a;
      w1: |2

        \tUPDATE a SET b = 2; \n        \tSELECT 1;
      n1: {run: ''}
  s 2:
    steps:
      r2: SELECT 2;
schedules:
  p1:
    strict: true
    steps: [r1, w1, {r2: {hold: {until: w1}}}]
    expect:
      postgresql:
        output: |2+

          starting permutation: r1 w1 r2
          step r1: SELECT * FROM a;
          b
          -
          1
          (1 row)

expect:
  postgresql: {}
"""
    )


# -- what cannot be said


def refused(scenario: Scenario) -> str:
    with pytest.raises(ScenarioError) as caught:
        to_yaml(scenario)
    return str(caught.value)


@pytest.mark.parametrize("key", ["setup", "teardown"])
def test_an_empty_block_for_all(tmp_path: Path, key: str) -> None:
    scenario = spec(tmp_path, f"{key} {{ }} session s step a {{x}}")
    assert refused(scenario) == f"{tmp_path / 'x.spec'}: the {key} has an empty SQL block, which YAML cannot say"


@pytest.mark.parametrize("name", [" ", "\t", "a\x01", "\x85", "\u00a0"])
def test_session_names(tmp_path: Path, name: str) -> None:
    scenario = spec(tmp_path, f'session t step b {{x}}\nsession "{name}"\n  step a {{x}}')
    assert refused(scenario).startswith(f"{tmp_path / 'x.spec'}:3:8: YAML cannot say the session of this step: ")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.out").write_bytes(b"h\n\nstarting permutation: a\n\xff")
    scenario = load_spec(written(tmp_path, "session s step a {x} permutation a"), tmp_path)
    assert refused(scenario) == f"{tmp_path / 'x.spec'}: what p1 shall print is not UTF-8: YAML cannot say it"


def test_what_no_specification_says(tmp_path: Path) -> None:
    assert refused(loaded(tmp_path, GOOD)) == (
        f"{tmp_path / 'case.yaml'}: only what a specification can say is exported, not expectations beside the output, "
        "items, parameters, reads and writes"
    )
    good = load_spec(written(tmp_path, "session s step a {x} permutation a"))
    session = good.sessions[0]
    step = Step("a", "s", "db", {"*": "x", "redis": "y"}, names={"i": 1})
    changed = replace(
        good,
        placements=({"db": "promptsales"}, {"db": "promptads"}),
        items=(Item("i", "db", {"*": "x"}),),
        free_running=FreeRunning(1, 1),
        break_cycle="a",
        sensitive=frozenset({"x"}),
        deadline=1e6,
        sessions=(replace(session, steps=(step,), deadlock_priority="low"),),
        schedules=(Schedule("a", (), seed=1, expect={"postgresql": {"any": Expectation(victim="s")}}),),
    )
    assert refused(changed) == (
        f"{tmp_path / 'x.spec'}: only what a specification can say is exported, not a deadline of more than a day, "
        "break_cycle, copies, deadlock_priority, expectations beside the output, free_running, items, random schedules, "
        "sensitive, several databases, statements by engine"
    )


def test_claims_and_orders_that_are_not_strict(tmp_path: Path) -> None:
    good = load_spec(written(tmp_path, "session s step a {x} step b {x} session t step c {x} permutation a"))
    claims = (Entry("a", blocks=False), Entry("c", blocks=True, until="b"), Entry("b"))
    check(tmp_path, replace(good, schedules=(Schedule(DEFAULT, claims), Schedule("two", (Entry("b"),)))))
