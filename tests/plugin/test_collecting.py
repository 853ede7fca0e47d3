"""Scenario files as tests: ids, selection, what is not done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import Project, scenario

MARKS = ("deadlock", "dirty_read", "lost_update", "incorrect_summary")


@pytest.fixture
def families(project: Project) -> Project:
    for mark in MARKS:
        project.scenario(f"about_{mark}", scenario(mark))
    return project


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def test_ids_are_readable_and_stable_and_collecting_starts_and_writes_nothing(
    families: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in families.urls:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PROMPTSALES_SERVERS", "embedded")
    monkeypatch.setenv("TMPDIR", str(families.path / "tmp"))
    (families.path / "tmp").mkdir()
    result = families.run("--collect-only", "-q")
    assert ids(result) == [
        f"scenarios/about_{mark}.yaml::about_{mark}[promptsales@postgresql-read_committed]" for mark in sorted(MARKS)
    ]
    assert result.ret == 0
    assert list((families.path / "tmp").glob("promptsales-harness*")) == []
    assert not (families.path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        *((("-m", mark), [mark]) for mark in MARKS),
        (("-m", "isolation"), sorted(MARKS)),
        (("-m", "isolation and not deadlock"), sorted(MARKS)[1:]),
        (("-k", "dirty"), ["dirty_read"]),
        (("-k", "read_committed and promptsales and lost"), ["lost_update"]),
        (("scenarios/about_deadlock.yaml",), ["deadlock"]),
        (("scenarios/about_deadlock.yaml::about_deadlock[promptsales@postgresql-read_committed]",), ["deadlock"]),
    ],
)
def test_selection(families: Project, arguments: tuple[str, ...], found: list[str]) -> None:
    # In this process: --collect-only needs no server, and a dozen interpreters would take their time.
    result = families.pytester.runpytest_inprocess("--collect-only", "-q", "-p", "no:cacheprovider", *arguments)
    assert [re.findall(r"about_(\w+)\.yaml", line)[0] for line in ids(result)] == found


def test_a_project_without_scenarios_starts_and_writes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in project.urls:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PROMPTSALES_SERVERS", "embedded")
    temporary = project.path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    project.pytester.makepyfile("def test_one(): pass")
    (project.path / "compose.yaml").write_text("services: {}", "utf-8")  # a YAML file that is none of ours
    result = project.run()
    result.assert_outcomes(passed=1)
    assert "evidence" not in "\n".join(result.outlines[4:])
    assert list(temporary.glob("promptsales-harness*")) == []
    assert not (project.path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--servers=bogus",), "unknown kind of servers 'bogus'; known: embedded, containers, external"),
        (("--servers=embeded",), "unknown kind of servers 'embeded', did you mean 'embedded'?"),
        (("--set", "n"), "--set n: write it as name=value"),
    ],
)
def test_a_wrong_option_is_a_usage_error_in_one_line(project: Project, arguments: tuple[str, ...], said: str) -> None:
    result = project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in (*result.outlines, *result.errlines) if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith(f"ERROR: {said}")


def test_a_wrong_file_is_one_collection_error_with_its_place(project: Project) -> None:
    project.scenario("wrong", scenario().replace("database: promptsales", "database: promptsale"))
    project.scenario("right")
    result = project.run()
    text = result.stdout.str()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(errors=1)
    assert re.search(r"scenarios/wrong\.yaml:4:\d+: unknown database 'promptsale', did you mean 'promptsales'\?", text)
    assert "Traceback" not in text
    assert "self = <" not in text
    assert "plugin.py" not in text


def test_a_scenario_with_an_unknown_parameter_of_another_file_still_runs(project: Project) -> None:
    project.scenario("one")
    result = project.run("--set", "n=3", "--set=m=4")
    result.assert_outcomes(passed=1)


def test_skips_name_the_scenario_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMPTADS_URL")
    text = (
        scenario()
        .replace("database: promptsales", "database: promptads")
        .replace("postgresql: {any", "sqlserver: {any")
    )
    project.scenario("elsewhere", text)
    project.scenario("other_engine", scenario().replace("postgresql: {any", "sqlserver: {any"))
    result = project.run("-rs")
    result.assert_outcomes(skipped=2)
    text = result.stdout.str()
    assert "plugin.py" not in text
    assert "scenarios/other_engine.yaml" in text
    assert re.search(r"SKIPPED .*scenarios/elsewhere\.yaml.*promptads: no URL given; set PROMPTADS_URL", text)
    assert not Path(project.path / "results").exists()
