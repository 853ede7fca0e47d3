"""What the documentation shows works: its whole scenarios run, the files that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.evidence.model import Status
from harness.evidence.verdict import judge
from harness.runner.case import run_case
from harness.suite import Suite

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCENARIOS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```yaml\n(title:.*?)```", page.read_text("utf-8"), re.DOTALL))
]


@pytest.mark.parametrize("text", SCENARIOS)
def test_a_scenario_shown_whole_gives_what_it_says(suite: Suite, tmp_path: Path, text: str) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text(text, "utf-8")
    cases = list(suite.cases(file))
    assert cases
    for case in cases:
        verdict = judge(run_case(case, suite.databases), case.expectation)  # kept nowhere: it is no result of the run
        assert verdict.status is Status.passed, verdict.mismatches


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    linked = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    named = re.findall(r"`((?:scenarios|schemas|fixtures|tests|harness|benchmarks|docs)/[\w./-]+\.\w+)`", text)
    missing = [target for target in linked if not (page.parent / target).exists()]
    missing += [target for target in named if not (ROOT / target).exists() and "mine" not in target]
    assert missing == []
