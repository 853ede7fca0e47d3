"""The examples for CI parse, and what they call exists. Neither GitHub nor GitLab ever ran them: docs/report.md says so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from harness.cli import app

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "docs/ci").glob("*.yml"))


def strings(thing: Any) -> list[str]:
    """All texts of a YAML document."""
    if isinstance(thing, dict):
        return [text for one in thing.values() for text in strings(one)]
    if isinstance(thing, list):
        return [text for one in thing for text in strings(one)]
    return [thing] if isinstance(thing, str) else []


def commands(file: Path) -> list[list[str]]:
    """What is called by run.py: its words."""
    text = "\n".join(strings(yaml.safe_load(file.read_text("utf-8"))))
    return [found.split() for found in re.findall(r"python run\.py ([^;|&\n]*)", text)]


@pytest.fixture(scope="module")
def options() -> set[str]:
    """All options that pytest knows here."""
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return {"--junitxml", *re.findall(r"(?<![\w-])--?[\w-]+", said.stdout)}  # its help tells --junit-xml only


def test_there_is_one_for_both() -> None:
    assert [file.name for file in FILES] == ["github-actions.yml", "gitlab-ci.yml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_they_call_exists(file: Path, options: set[str]) -> None:
    called = commands(file)
    assert {words[0] for words in called} == {"test", "harness"}
    for words in called:
        if words[0] == "test":
            assert {word.partition("=")[0] for word in words if word.startswith("-")} <= options
            assert all((ROOT / word).exists() for word in words[1:] if re.fullmatch(r"[a-z/]+", word))
        else:
            group = typer.main.get_command(app)
            assert words[1] in group.commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_they_keep_junit_and_the_report_whatever_the_verdict(file: Path) -> None:
    text = file.read_text("utf-8")
    document = yaml.safe_load(text)
    if "jobs" in document:
        (job,) = document["jobs"].values()
        kept = [step for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
        assert [step["if"] for step in kept] == ["always()"]
        paths = kept[0]["with"]["path"].split()
    else:
        (job,) = document.values()
        assert job["artifacts"]["when"] == "always"
        assert job["artifacts"]["reports"]["junit"] == "results/junit.xml"
        paths = job["artifacts"]["paths"]
    assert any(path.startswith("results/") for path in paths)
    assert any("--junitxml=results/junit.xml" in words for words in commands(file))


def test_both_call_the_same() -> None:
    one, other = ([words for words in commands(file) if words[:2] != ["harness", "show"]] for file in FILES)
    assert one == other
