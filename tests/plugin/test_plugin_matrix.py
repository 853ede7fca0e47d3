"""The isolation matrix after pytest's run: one table, from one process or two, and its files beside the report."""

from __future__ import annotations

import json

import pytest
from lost_update import LOST

from .conftest import Project, scenario


@pytest.fixture
def lost(project: Project) -> Project:
    project.scenario("lost", LOST)
    return project


@pytest.mark.parametrize("processes", [[], ["-n", "2"]], ids=["one", "two"])
def test_the_table_stands_once_after_the_run_and_its_files_beside_the_report(
    lost: Project, processes: list[str]
) -> None:
    result = lost.run("-m", "matrix", *processes)
    result.assert_outcomes(passed=2)
    text = result.stdout.str()
    assert text.count("isolation matrix") == 1
    result.stdout.fnmatch_lines(
        [
            "PostgreSQL * (promptsales)",
            "read committed * ✗ *",
            "repeatable read * ✓br *",
            "matrix: results/*/matrix.html",
        ]
    )
    folder = lost.path / "results" / "latest"
    rows = json.loads((folder / "matrix.json").read_text("utf-8"))["rows"]
    assert [row["name"] for row in rows] == ["read committed", "repeatable read"]
    assert {"matrix.md", "matrix.html"} <= {file.name for file in folder.iterdir()}
    assert 'href="matrix.html"' in (folder / "report.html").read_text("utf-8")


def test_a_cell_that_is_not_as_expected_fails_its_test_and_is_marked(lost: Project) -> None:
    lost.scenario("lost", LOST.replace("finds: lost update", "finds: nothing"))
    result = lost.run("-m", "matrix")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["read committed * ✗! *", "! lost*read_committed*: not as its scenario expects*"])


def test_a_run_without_such_scenarios_says_nothing_of_it(project: Project) -> None:
    project.scenario("other", scenario())
    result = project.run()
    result.assert_outcomes(passed=1)
    assert "isolation matrix" not in result.stdout.str()
    folder = project.path / "results" / "latest"
    assert not (folder / "matrix.json").exists()
    assert "matrix.html" not in (folder / "report.html").read_text("utf-8")
