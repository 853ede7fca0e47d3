"""Scenarios in other orders than their own: what is run, what is said of it, how a failure goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .conftest import Project, scenario

SALES = """
title: Two sales against one budget
database: promptsales
levels: {postgresql: [read committed, repeatable read]}
setup:
  - CREATE TABLE campaign (id int PRIMARY KEY, budget int NOT NULL)
  - INSERT INTO campaign VALUES (1, 1000)
items: {budget: SELECT budget FROM campaign WHERE id = 1}
sessions:
  T1:
    setup: begin
    steps:
      read_1: {run: SELECT budget FROM campaign WHERE id = 1, reads: budget}
      write_1: {run: "UPDATE campaign SET budget = ${budget - 100} WHERE id = 1", writes: budget}
      commit_1: commit
    teardown: rollback
  T2:
    setup: begin
    steps:
      read_2: {run: SELECT budget FROM campaign WHERE id = 1, reads: budget}
      write_2: {run: "UPDATE campaign SET budget = ${budget - 30} WHERE id = 1", writes: budget}
      commit_2: commit
    teardown: rollback
schedule: [read_1, read_2, write_1, write_2: blocks, commit_1, commit_2]
expect:
  postgresql:
    read committed: {finds: lost update, final: {budget: 970}}
    repeatable read: {finds: nothing, errors: {write_2: "40001"}, holds: SUM}
"""
SUM = "budget == initial_budget - 100 * committed_T1 - 30 * committed_T2"
LEVELS = ("read_committed", "repeatable_read")


@pytest.fixture
def sales(project: Project) -> Project:
    project.scenario("sales", SALES.replace("SUM", f'"{SUM}"'))
    return project


def made(project: Project, schedule: str, expected: str) -> None:
    """A scenario whose own schedules are made."""
    own, _, _ = SALES.partition("schedule: [")
    project.scenario("sales", f"{own}{schedule}\nexpect: {{postgresql: {{{expected}}}}}\n")


def ids(result: pytest.RunResult) -> list[str]:
    """The schedules' names of the first level."""
    return re.findall(r"::sales\[promptsales@postgresql-read_committed-?(.*)\]", result.stdout.str())


def collected(project: Project, *arguments: str) -> list[str]:
    # In this process: --collect-only needs no server.
    return ids(project.pytester.runpytest_inprocess("--collect-only", "-q", "-p", "no:cacheprovider", *arguments))


def test_other_orders_in_place_of_its_own(sales: Project) -> None:
    assert collected(sales) == [""]
    every = [f"all-{number:02}" for number in range(1, 21)]
    assert collected(sales, "--schedules", "all") == every
    assert collected(sales, "--schedules=all", "--max-schedules=3") == every[:3]
    drawn = collected(sales, "--schedules=all", "--max-schedules=3", "--seed=4")
    assert len(drawn) == 3
    assert set(drawn) < set(every)
    assert collected(sales, "--schedules=random", "--max-schedules=5") == [f"random-{n}" for n in range(1, 6)]
    reduced = collected(sales, "--schedules", "reduced")
    assert 1 < len(reduced) < 20
    assert reduced[0] == "reduced-01"


def test_all_pass_by_what_is_true_of_every_order_and_the_spared_ones_are_counted(sales: Project) -> None:
    result = sales.run("--schedules=reduced", "-m", "isolation")
    (kept,) = {int(count) for count in re.findall(r"reduced: (\d+) of 20", result.stdout.str())}
    result.assert_outcomes(passed=2 * kept)
    result.stdout.fnmatch_lines(
        [
            "promptsales-harness: reduced schedules in place of the scenarios' own",
            f"promptsales-harness: 40 interleavings of 1 scenario file, {2 * kept} kept",
            f"scenarios/sales.yaml (at each of 2 levels): reduced: {kept} of 20 interleavings run, {20 - kept} spared",
        ]
    )
    results = sales.path / "results" / "latest"
    cases = [json.loads(file.read_text("utf-8")) for file in results.glob("*/evidence.json")]
    assert len(cases) == 2 * kept
    assert all(case["expectation"]["finds"] == [] for case in cases)
    assert {tuple(case["expectation"].get("allows", ())) for case in cases} == {("lost update",), ()}
    assert {tuple(case["expectation"].get("holds", ())) for case in cases} == {(SUM,), ()}
    # Not only those that were expected: orders in which nothing goes wrong, and others, were among them.
    found = {anomaly["phenomenon"] for case in cases for anomaly in case["verdict"].get("anomalies", ())}
    assert found == {"lost update"}
    assert any(not case["verdict"].get("anomalies") for case in cases)


def test_workers_of_xdist_share_the_schedules(sales: Project) -> None:
    result = sales.run("--schedules=random", "--max-schedules=4", "--seed=3", "-n", "2", "-v")
    result.assert_outcomes(passed=8)
    assert "promptsales-harness: random schedules in place of the scenarios' own (at most 4, seed 3)" in result.outlines
    ran = re.findall(r"\[(gw\d)\].*PASSED scenarios/sales.yaml::(\S+)", result.stdout.str())
    assert len({name for _, name in ran}) == 8
    assert {worker for worker, _ in ran} == {"gw0", "gw1"}
    assert "scenarios/sales.yaml (at each of 2 levels): random: 4 of 20 interleavings run, seed 3" in result.outlines


def test_a_failure_says_where_the_smallest_one_is_and_how_more_are_found(project: Project) -> None:
    made(
        project, "schedules: {rest: reduced}", f"allows: lost update, may_refuse: serialization failure, holds: '{SUM}'"
    )
    result = project.run("-k", "read_committed", "--set", "n=3")
    text = result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["passed"] > 0, "serial ones are right"
    told = text.partition("short test summary info")[0]  # which repeats them, where CI is set
    files = re.findall(r"smallest: (results/\S+-smallest\.yaml) \(.* step.*, where 2 sessions, 6 steps", told)
    assert len(files) == result.parseoutcomes()["failed"]
    assert len(set(files)) == 1, "it is looked for once"
    assert Path(project.path / files[0]).is_file()
    command = "smallest: harness explore scenarios/sales.yaml --level 'read committed' --schedules reduced --set n=3"
    assert told.splitlines().count(command) == len(files)
    assert f"  {SUM}: 900 == 870 is not so" in result.outlines
    assert "Traceback" not in text


def test_the_command_draws_the_same_ones(project: Project) -> None:
    made(project, "schedule: {random: 4, seed: 9}", "finds: phantom")
    project.scenario(
        "sales",
        (project.path / "scenarios/sales.yaml")
        .read_text()
        .replace("database: promptsales", "database: [promptsales, promptads]"),
    )
    result = project.run("-k", "promptads and read_committed and random-1")
    result.assert_outcomes(failed=1, deselected=15)
    line = (
        "smallest: harness explore scenarios/sales.yaml --level 'read committed' --on promptads --schedules random "
        "--max-schedules 4 --seed 9"
    )
    assert line in result.outlines
    assert "scenarios/sales.yaml (at each of 4 levels): random: 4 of 20 interleavings run, seed 9" in result.outlines


def test_what_has_no_other_order_stays_as_it_is(project: Project) -> None:
    project.scenario("one")
    strict = SALES.replace("SUM", "budget > 0").replace("schedule: [", "schedules: {x: {strict: true, steps: [")
    project.scenario("sales", strict.replace("commit_1, commit_2]", "commit_1, commit_2]}}"))
    result = project.pytester.runpytest_inprocess("--collect-only", "-q", "--schedules=all", "-p", "no:cacheprovider")
    assert [line for line in result.outlines if "::" in line] == [
        "scenarios/one.yaml::one[promptsales@postgresql-read_committed]",
        *(f"scenarios/sales.yaml::sales[promptsales@postgresql-{level}-x]" for level in LEVELS),
    ]
    assert "interleavings" not in result.stdout.str()


def test_without_a_kind_made_ones_are_cut(project: Project) -> None:
    made(project, "schedules: {by_hand: [read_1, read_2], every: all}", "")
    assert collected(project, "--max-schedules=2") == ["by_hand", "every-01", "every-02"]
    result = project.run("--collect-only", "--max-schedules=2")
    result.stdout.fnmatch_lines(
        [
            "promptsales-harness: of made schedules: at most 2",
            "promptsales-harness: 40 interleavings of 1 scenario file, 4 kept",
            "*every (all): 2 of 20 interleavings run, no more than --max-schedules says",
        ]
    )


def test_too_many_are_one_error_that_says_what_to_do(project: Project) -> None:
    steps = ", ".join(f"{{0}}{number}: SELECT {number}" for number in range(9))
    sessions = "".join(f"\n  {name}: {{steps: {{{steps.replace('{0}', name)}}}}}" for name in "AB")
    text = f"title: Many\ndatabase: promptsales\nsessions:{sessions}\nschedule: [A0, B0, B1]\nexpect: {{postgresql: {{}}}}\n"
    project.scenario("many", text.replace("[A0, B0, B1]", f"[{', '.join(f'A{n}, B{n}' for n in range(9))}]"))
    result = project.run("--schedules=all")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    said = r"scenarios/many\.yaml: 48,620 interleavings are too many \(at most 10,000\): say --schedules random"
    assert re.search(said, result.stdout.str())
    assert "Traceback" not in result.stdout.str()
    project.run("--schedules=all", "--max-schedules=2").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--schedules=al",), "--schedules al: unknown kind, did you mean 'all'? (known: all, reduced, random)"),
        (("--max-schedules=0",), "--max-schedules 0: it is a whole number, 1 or more"),
        (("--max-schedules=x",), "--max-schedules x: it is a whole number, 1 or more"),
        (("--seed=-1",), "--seed -1: it is a whole number, 0 or more"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(project: Project, arguments: tuple[str, ...], said: str) -> None:
    result = project.pytester.runpytest_inprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in (*result.outlines, *result.errlines) if line.strip()]
    assert lines == [f"ERROR: {said}"]


def test_help_says_what_is_judged(project: Project) -> None:
    text = " ".join(project.pytester.runpytest_inprocess("--help").stdout.str().split())
    assert "--schedules=KIND" in text
    assert "what was to be found may be, the server may refuse" in text
    assert "--max-schedules=N" in text
    assert "--seed=N" in text


def test_a_project_without_made_schedules_says_nothing_of_them(project: Project) -> None:
    project.scenario("one", scenario())
    result = project.run()
    result.assert_outcomes(passed=1)
    assert "interleaving" not in result.stdout.str()
