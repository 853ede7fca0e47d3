"""``harness workload run | show``, and workloads among the files of ``harness check``, ``run`` and ``show``."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.suite import Suite

from .conftest import Run
from .test_cli import one_line

LISTS = """
title: Lists, at random
workload: list-append
database: promptsales
transactions: 150
levels: {postgresql: [read committed, serializable]}
expect: {postgresql: {any: {level: serializable}}}
"""
QUICK = ("--transactions", 150)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "lists.yaml"
    made.write_text(LISTS, encoding="utf-8")
    return made


def test_a_kind_at_a_level_that_keeps_its_promise(cli: Run) -> None:
    ran = cli("workload", "run", "list-append", "--on", "promptsales", "--level", "serializable", *QUICK, "--seed", 3)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "✓ list_append[promptsales@postgresql-serializable]: nothing found; " in ran.stdout
    assert "evidence and pictures: results/" in ran.stdout


def test_what_a_level_never_promised_is_told_with_its_proof_and_is_no_failure(cli: Run, tmp_path: Path) -> None:
    ran = cli("workload", "run", "list-append", *QUICK, "--scenario", "found.yaml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "✓ list_append[promptsales@postgresql-read_committed]" in ran.stdout
    assert "G-single: read skew" in ran.stdout
    assert "a contradiction!" in ran.stdout
    assert "as a scenario; every interleaving of it: harness explore found.yaml" in ran.stdout
    assert cli("check", "found.yaml").returncode == 0
    shown = cli("workload", "show")
    assert "G-single" in shown.stdout
    assert "a contradiction" not in shown.stdout
    assert "a contradiction!" in cli("workload", "show", "-k", "read_committed").stdout
    assert "no workload of this run has 'nothing'" in one_line(cli("workload", "show", "-k", "nothing"), 2)
    assert "list_append[promptsales@postgresql-read_committed]" in cli("show").stdout
    assert "Random workloads" in (tmp_path / "results" / "latest" / "report.html").read_text("utf-8")


def test_a_file_that_is_not_as_expected_ends_with_code_1(cli: Run, file: Path) -> None:
    ran = cli("workload", "run", file.name, "-q")
    assert ran.returncode == 1
    assert "✗ lists[promptsales@postgresql-read_committed]" in ran.stdout
    assert "which serializable does not allow" in ran.stdout
    assert "✓ lists[promptsales@postgresql-serializable]" in ran.stdout
    assert cli("workload", "run", ".", "-q", "--level", "serializable").returncode == 0
    assert cli("workload", "run", file.name, "-q", "-k", "serializable").returncode == 0


def test_other_commands_know_such_a_file(cli: Run, file: Path) -> None:
    assert cli("check", file.name).stdout == "lists.yaml: Lists, at random\n"
    assert "declares a workload: 'harness workload run'" in cli("run", file.name).stdout
    file.write_text(LISTS.replace("list-append", "lists"), encoding="utf-8")
    checked = cli("check", file.name)
    assert checked.returncode == 2
    assert checked.stderr.startswith("lists.yaml:3:1: unknown workload 'lists'")
    assert "lists.yaml:3:1: unknown workload 'lists'" in one_line(cli("workload", "run", file.name), 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list-apend",), "did you mean 'list-append'?"),
        (("none.yaml",), "none.yaml"),
        (("bank", "--on", "promptsale"), "did you mean 'promptsales'?"),
        (("bank", "--level", "serialisable"), "did you mean 'serializable'?"),
        (("bank", "--units", "command"), "did you mean 'commands'?"),
        (("bank", "--keys", "1"), "a transfer needs two accounts"),
        (("lists.yaml", "--level", "snapshot"), "nothing is run at snapshot"),
        (("lists.yaml", "-k", "nothing"), "with 'nothing' in its id"),
    ],
)
def test_a_mistake_is_one_line(cli: Run, file: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in one_line(cli("workload", "run", *arguments), 2)


def test_what_cannot_be_run_is_told_and_the_others_are_run(cli: Run, file: Path) -> None:
    ran = cli("workload", "run", "bank", file.name, "-q", PROMPTSALES_URL="postgresql://nobody@127.0.0.1:1/x")
    assert ran.returncode == 1
    assert ran.stdout.count("✗ ") == 3
    assert "cannot be reached" in ran.stdout


def test_a_run_without_workloads_says_so(cli: Run, tmp_path: Path, suite: Suite) -> None:
    assert "no run 'latest'" in one_line(cli("workload", "show"), 1)
