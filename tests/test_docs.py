"""What the documentation shows works: its whole scenarios run, the files that it names exist."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from harness.cli import app
from harness.evidence.model import Status
from harness.evidence.verdict import judge
from harness.load.plan import read_load
from harness.plans.grounds import Grounds
from harness.plans.run import Plans
from harness.runner.case import run_case
from harness.scenario.kinds import Kind, kind_of
from harness.suite import Suite
from harness.workloads.load import load as read_workload

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "README.es.md", *sorted((ROOT / "docs").glob("*.md"))]
SCENARIOS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```yaml\n(title:.*?)```", page.read_text("utf-8"), re.DOTALL))
]


@pytest.mark.parametrize("text", SCENARIOS)
def test_a_scenario_shown_whole_gives_what_it_says(suite: Suite, tmp_path: Path, text: str) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text(text, "utf-8")
    if kind_of(file) is Kind.plans:
        here = Suite(replace(suite.settings, results=tmp_path, servers=suite.servers, environ={}))
        plans = Plans(here, grounds=Grounds(suite.databases, kept=False))
        assert [plans.run(trial).pair.mismatches for trial in plans.trials(file)] == [[]]
        return
    if kind_of(file) is Kind.load:
        assert read_load(file).written.expect  # right as it is; those of scenarios/load are run
        return
    if kind_of(file) is Kind.workload:
        assert read_workload(file).expect  # likewise
        return
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_headings_that_exist(page: Path) -> None:
    linked = re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", page.read_text("utf-8"))
    assert [(to, heading) for to, heading in linked if heading not in headings(page.parent / to if to else page)] == []


def headings(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_options_shown_exist(page: Path) -> None:
    """Lines of ``harness WORD … --option`` in blocks of code."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line.partition(" # ")[0] for block in blocks for line in block.splitlines()]
    wrong = []
    for line in lines:
        for words in re.findall(r"(?:^|&& |\| |run\.py )harness (\S.*?)(?= &&| \||$)", line):
            wrong += [f"harness {words}: {what}" for what in unknown(words.split())]
    assert wrong == []


def unknown(words: list[str]) -> list[str]:
    """What the command line does not know of a command and its options."""
    command = typer.main.get_command(app)
    while words and words[0] in (commands := getattr(command, "commands", {})):
        command = commands[words.pop(0)]
    if command.name == app.info.name:
        return ["no such command"]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    # a group that takes files besides words: harness check FILES
    for one in getattr(command, "commands", {}).values():
        known |= {option for parameter in one.params for option in parameter.opts}
    words = words[: words.index("--")] if "--" in words else words  # what follows is pytest's
    return [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]


def commands(page: Path) -> list[str]:
    """The lines of a page's blocks of code, without what is said about them."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [re.sub(r"\s+# .*$", "", line).rstrip() for block in blocks for line in block.splitlines()]


def test_the_readme_says_the_same_in_spanish() -> None:
    """The same commands, the same scenario, the same sections, the same links and pictures, in the same order."""
    english, spanish = ROOT / "README.md", ROOT / "README.es.md"
    assert commands(spanish) == commands(english)
    structure = re.compile(r"^(#+) |\]\(([^)]+)\)|^(\|)", re.MULTILINE)
    told, retold = (structure.findall(page.read_text("utf-8")) for page in (english, spanish))
    assert [one for one in told if one[1] != "README.es.md"] == [one for one in retold if one[1] != "README.md"]


SAYS = (
    "cannot be reached",
    "something there writes before Python does",
    "or newer is needed",
    "cannot be imported there",
    "its URL says a loopback address",
    "listens on 127.0.0.1 only",
    "is cut off: nothing was heard from it",
    "victim not steered",
    "server log not readable over SQL",
    "its clock is",
    "no case was run",
)
"""What the table of two-pcs.md is looked up by."""


@pytest.mark.parametrize("text", SAYS)
def test_what_is_looked_up_is_what_is_said(text: str) -> None:
    assert text in (ROOT / "docs/two-pcs.md").read_text("utf-8")
    assert any(text in file.read_text("utf-8") for file in (ROOT / "harness").rglob("*.py"))
