"""What an isolation specification means as a scenario, and what it is expected to print."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import Location, ScenarioError
from harness.scenario.expected import Expected, read_expected, split
from harness.scenario.expressions import bind_sql
from harness.scenario.model import Entry, Expectation, Hold, Scenario
from harness.scenario.spec_load import load_spec

from .files import scheduled
from .specs import EXPECTED, SPECS, written

GOOD = """\
# What it
#  is about.

#
#more
setup { CREATE TABLE a (); }
# not this
setup { CREATE TABLE b (); }
teardown { DROP TABLE a, b; }
session s1
setup { BEGIN; }
step r1 { SELECT 1; }
step c1 { COMMIT; }
teardown { ABORT; }
session s2
setup { begin }
step r2 { SELECT 2; }
step w2 { SELECT 3; }
teardown { rollback }
permutation r1 r2 c1
permutation c1(*) r2(r1, c1 notices 0, *) r1 r1
"""


def loaded(folder: Path, text: str = GOOD, expected: dict[str, str] | None = None) -> Scenario:
    """The scenario of a text; ``expected`` are the expected files: name and text."""
    outputs = folder / "expected"
    outputs.mkdir(exist_ok=True)
    for name, output in (expected or {}).items():
        (outputs / name).write_bytes(output.encode())
    return load_spec(written(folder, text), None if expected is None else outputs)


def test_what_it_says(tmp_path: Path) -> None:
    scenario = loaded(tmp_path)
    assert (scenario.id, scenario.title, scenario.about) == ("x", "x", "What it is about. more")
    assert scenario.file == tmp_path / "x.spec"
    assert scenario.setup == {"db": {"*": ("CREATE TABLE a ();", "CREATE TABLE b ();")}}
    assert scenario.teardown == {"db": {"*": ("DROP TABLE a, b;",)}}
    assert [session.name for session in scenario.sessions] == ["s1", "s2"]
    assert scenario.step("r2").bodies == {"*": "SELECT 2;"}
    assert scenario.step("r2").place == Location(scenario.file, 17, 6)
    assert scenario.unused_steps == ("w2",)


def test_how_it_is_run(tmp_path: Path) -> None:
    scenario = loaded(tmp_path)
    assert scenario.placements == ({"db": "promptsales"},)
    assert scenario.engines == ("postgresql",)
    assert scenario.levels_on("postgresql") == ("default",)
    assert (scenario.shared, scenario.as_text, scenario.cancel_late) == (True, True, True)
    assert (scenario.deadline, scenario.case_deadline) == (360, 86400)
    assert scenario.marks == ("isolation",)
    assert scenario.settings == {
        "postgresql": {
            "TimeZone": "America/Los_Angeles",
            "DateStyle": "Postgres, MDY",
            "IntervalStyle": "postgres_verbose",
            "application_name": "isolation/x",
        }
    }
    assert load_spec(scenario.file, timeout=2.5).deadline == 2.5


def test_sessions_outer_steps(tmp_path: Path) -> None:
    first, second = loaded(tmp_path).sessions
    assert [(step.name, step.bodies["*"]) for step in first.setup] == [("setup 1", "BEGIN;")]
    assert [(step.name, step.bodies["*"]) for step in first.teardown] == [("teardown 1", "ABORT;")]
    assert [(step.name, step.bodies["*"]) for step in second.setup] == [("begin", "begin")]
    assert [(step.name, step.bodies["*"]) for step in second.teardown] == [("rollback", "rollback")]
    assert first.databases == ("db",)


def test_what_is_not_there_is_empty(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, "session s step a {x}")
    assert scenario.setup == {}
    assert scenario.teardown == {}
    assert scenario.about == ""
    assert scenario.sessions[0].setup == scenario.sessions[0].teardown == ()


def test_permutations(tmp_path: Path) -> None:
    first, second = loaded(tmp_path).schedules
    assert (first.name, second.name) == ("p1", "p2")
    assert first.strict
    assert second.strict
    assert first.entries == (Entry("r1"), Entry("r2"), Entry("c1"))
    assert second.entries == (
        Entry("c1", holds=(Hold(),)),
        Entry("r2", holds=(Hold("r1"), Hold("c1", 0), Hold())),
        Entry("r1"),
        Entry("r1"),
    )


def test_numbers_of_permutations_have_one_width(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, "session s step a {x}" + " permutation a" * 10)
    assert [schedule.name for schedule in scenario.schedules][::9] == ["p01", "p10"]


def test_every_interleaving(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, "session s step a {x} step b {x} session t step c {x}")
    made = scheduled(scenario)
    assert [schedule.name for schedule in made] == ["all-1", "all-2", "all-3"]
    assert [[entry.step for entry in one.entries] for one in made] == [
        ["a", "b", "c"],
        ["a", "c", "b"],
        ["c", "a", "b"],
    ]
    assert all(schedule.strict for schedule in made)
    assert scenario.unused_steps == ()


def test_too_many_interleavings(tmp_path: Path) -> None:
    steps = [" ".join(f"step {name}{number} {{x}}" for number in range(9)) for name in "ab"]
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, f"session s {steps[0]}\nsession t {steps[1]}")
    assert str(caught.value) == (
        f"{tmp_path / 'x.spec'}:1:9: 48,620 interleavings are too many (at most 10,000): "
        "list those to run, as permutations"
    )


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, "session s\nstep a {x} permutation b")
    assert str(caught.value) == f"{tmp_path / 'x.spec'}:2:24: unknown step 'b' in the permutation (known: a)"
    with pytest.raises(ScenarioError, match=r"none\.spec: cannot be read: No such file"):
        load_spec(tmp_path / "none.spec")


@pytest.mark.parametrize("sql", ["SELECT '${x'", "SELECT $$${$$", "a ${ $${ $$${ b", "DO $${$$", "$ {", "${${"])
def test_what_looks_like_an_expression_goes_to_the_server_as_it_is(tmp_path: Path, sql: str) -> None:
    scenario = loaded(tmp_path, f"setup {{{sql}}} session s setup {{{sql}}} step a {{{sql}}}")
    bodies = (scenario.setup["db"]["*"][0], scenario.sessions[0].setup[0].bodies["*"], scenario.step("a").bodies["*"])
    for body in bodies:
        assert isinstance(body, str)
        assert bind_sql(body, {}, str, str) == (sql, ())


def test_about_ends_where_the_file_begins(tmp_path: Path) -> None:
    assert loaded(tmp_path, "session s # not\nstep a {x}").about == ""
    assert loaded(tmp_path, "\n \t# a  b\r\n\n##c\nsession s step a {x}").about == "a b c"


# -- expected outputs

ONE = "Parsed test spec with 2 sessions\n\nstarting permutation: r1 r2 c1\nstep r1: SELECT 1;\n"
TWO = "\nstarting permutation: c1 r2 r1 r1\nstep c1: COMMIT;\n"


def outputs(scenario: Scenario) -> list[tuple[str, ...] | None]:
    found = [scenario.expectation(schedule, "postgresql", "default") for schedule in scenario.schedules]
    assert all(found)
    return [one.output for one in found if one]


def test_no_output_is_asked_for(tmp_path: Path) -> None:
    scenario = loaded(tmp_path)
    assert scenario.expect == {"postgresql": {"any": Expectation()}}
    assert outputs(scenario) == [None, None]


def test_each_permutation_has_its_own(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, expected={"x.out": ONE + TWO})
    assert outputs(scenario) == [(ONE.removeprefix("Parsed test spec with 2 sessions\n"),), (TWO,)]


def test_variants(tmp_path: Path) -> None:
    other = TWO.replace("COMMIT;", "COMMIT; <waiting ...>")
    files = {"x.out": ONE + TWO, "x_0.out": ONE + other, "x_9.out": ONE + TWO, "x_10.out": "no", "xy.out": "no"}
    first, second = outputs(loaded(tmp_path, expected=files))
    assert first is not None
    assert len(first) == 1
    assert second == (TWO, other)


def test_a_variant_that_ended_early(tmp_path: Path) -> None:
    assert outputs(loaded(tmp_path, expected={"x.out": ONE, "x_1.out": ONE + TWO}))[1] == (TWO,)
    assert outputs(loaded(tmp_path, expected={"x.out": ONE, "x_1.out": ONE}))[1] == ()


def test_nothing_is_right_if_nothing_is_known(tmp_path: Path) -> None:
    assert outputs(loaded(tmp_path, expected={"y.out": ONE + TWO})) == [(), ()]
    assert outputs(load_spec(written(tmp_path, GOOD), tmp_path / "none")) == [(), ()]


def test_bytes_stay(tmp_path: Path) -> None:
    raw = b"head\r\n\xff\n\nstarting permutation: a\n\xe9 \t\r\nx"
    (tmp_path / "x.out").write_bytes(raw)
    ((name, text),) = read_expected(tmp_path, "x").variants
    assert name == "x.out"
    assert text.encode(errors="surrogateescape") == raw
    assert split(text)[1] == ("\nstarting permutation: a\n\udce9 \t\r\nx",)


def test_an_output_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.out").mkdir()
    with pytest.raises(ScenarioError, match=r"x\.out: cannot be read: (Is a directory|Permission denied)"):
        read_expected(tmp_path, "x")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("", ())),
        ("head\n", ("head\n", ())),
        ("\nstarting permutation: a\n", ("", ("\nstarting permutation: a\n",))),
        (
            "h\n\nstarting permutation: a\n\n\nstarting permutation: b",
            ("h\n", ("\nstarting permutation: a\n\n", "\nstarting permutation: b")),
        ),
        ("h\nstarting permutation: a\n", ("h\nstarting permutation: a\n", ())),  # no empty line before it
        ("h\n\n starting permutation: a\n", ("h\n\n starting permutation: a\n", ())),
        ("h\n \nstarting permutation: a\n", ("h\n \nstarting permutation: a\n", ())),
        ("h\n\nstarting permutation a\n", ("h\n\nstarting permutation a\n", ())),
    ],
)  # fmt: skip
def test_where_an_output_is_split(text: str, parts: tuple[str, tuple[str, ...]]) -> None:
    assert split(text) == parts
    assert split(text)[0] + "".join(split(text)[1]) == text


def test_no_files_at_all() -> None:
    assert Expected().outputs() == ()


@pytest.mark.parametrize(
    ("sql", "output", "name"),
    [
        ("SELECT 1", "", ""),
        ("REVOKE ALL ON DATABASE isolation_regression", "", "isolation_regression"),
        ("SELECT 1", "on isolation_regression.", "isolation_regression"),
        ("SELECT 1", "isolation_regression_2, my_isolation_regression", ""),
    ],
)
def test_a_database_that_is_named(tmp_path: Path, sql: str, output: str, name: str) -> None:
    scenario = loaded(tmp_path, f"session s step a {{{sql}}}", {"x.out": "", "x_1.out": output})
    assert scenario.database_name == name


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_postgresqls_own(file: Path) -> None:
    """As many permutations as its isolationtester says, each of them in its order."""
    scenario = load_spec(file, EXPECTED)
    for _, text in read_expected(EXPECTED, file.stem).variants:
        head, parts = split(text)
        assert head == f"Parsed test spec with {len(scenario.sessions)} sessions\n"
        assert head + "".join(parts) == text
        assert [part.split("\n")[1] for part in parts] == [
            f"starting permutation: {' '.join(entry.step for entry in schedule.entries)}"
            for schedule in scenario.schedules
        ]
    for schedule, printed in zip(scenario.schedules, outputs(scenario), strict=True):
        assert printed
        for entry in schedule.entries:
            sql = scenario.step(entry.step).bodies["*"]
            assert all(f"\nstep {entry.step}: {sql}" in text for text in printed)
