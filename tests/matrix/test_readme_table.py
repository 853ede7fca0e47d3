"""The tables of both READMEs are what a run gives today, whatever the servers' versions are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.evidence.model import Evidence, Status
from harness.evidence.verdict import judge
from harness.matrix.cells import tabulate
from harness.matrix.compare import Agreement, compare
from harness.matrix.markdown import CLOSING, OPENING, readme_markdown
from harness.matrix.model import Matrix
from harness.runner.case import run_case
from harness.suite import Suite

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted((ROOT / "scenarios" / "matrix").glob("*.yaml"))


@pytest.fixture(scope="module")
def matrix(suite: Suite) -> Matrix:
    """Every case of scenarios/matrix, run and judged; kept nowhere, for it is no result of the run."""
    if suite.mode != "embedded":
        pytest.skip("the READMEs' table is that of the embedded servers")
    evidences = []
    for file in SCENARIOS:
        for case in suite.cases(file):
            copy = case.databases[0].logical == "promptads" and evidences and file != SCENARIOS[0]
            if case.reason or copy:  # one file on the stand-in is enough to have its line
                continue
            history = run_case(case, suite.databases)
            verdict = judge(history, case.expectation)
            evidences.append(
                (Evidence(history=history, expectation=case.expectation.as_record(), verdict=verdict), case.id)
            )
    return tabulate(evidences)


def table_of(text: str) -> list[str]:
    """What stands between the markers, without the servers' versions."""
    inner = text.partition(OPENING)[2].partition(CLOSING)[0]
    assert inner.strip(), "the README has no table between its markers"
    return [re.sub(r"^(\| \w[\w ]*?) \d[\w.]*", r"\1", line) for line in inner.strip().splitlines()]


@pytest.mark.parametrize(("page", "spanish"), [("README.md", False), ("README.es.md", True)], ids=["en", "es"])
def test_the_readme_has_todays_table(matrix: Matrix, page: str, spanish: bool) -> None:
    today = f"{OPENING}{readme_markdown(matrix, spanish=spanish)}{CLOSING}"
    assert table_of((ROOT / page).read_text("utf-8")) == table_of(today), (
        f"write it again: harness matrix --markdown {page}"
    )


def test_every_verdict_is_as_its_scenario_expects(matrix: Matrix) -> None:
    assert [(one.case, Status.failed) for one in matrix.unexpected] == []


def test_postgresql_agrees_with_hermitage_in_every_cell(matrix: Matrix) -> None:
    told = [one for one in compare(matrix) if one.engine == "postgresql"]
    assert len(told) == 30
    assert [one for one in told if one.agreement is not Agreement.equal] == []
