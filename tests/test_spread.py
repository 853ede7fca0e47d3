"""What a worker's command line and folders are called there and here; tests/plugin/test_workers.py tells the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HostError
from harness.spread import arguments_there, renamed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("project/scenarios/deadlock", "project/tests"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path / "project"


@pytest.mark.parametrize(
    ("here", "given", "there"),
    [
        (".", ["scenarios"], ["scenarios"]),
        (".", ["{root}/scenarios/deadlock"], ["scenarios/deadlock"]),
        (".", ["tests/a.py::test_it[scenarios]"], ["tests/a.py::test_it[scenarios]"]),
        ("scenarios", ["deadlock", "../tests/a.py::T::test"], ["scenarios/deadlock", "tests/a.py::T::test"]),
        ("scenarios", ["."], ["scenarios"]),
        ("scenarios", [], ["scenarios"]),
        (".", [], []),
        (".", ["."], ["."]),
    ],
)
def test_paths_are_told_from_the_projects_folder(root: Path, here: str, given: list[str], there: list[str]) -> None:
    paths = [argument.format(root=root) for argument in given]
    assert arguments_there(["-q", *paths], paths, root / here, root, {}) == ["-q", *there]


def test_what_is_no_path_stays_as_it_is_though_there_is_such_a_folder(root: Path) -> None:
    arguments = ["-k", "deadlock", "--results", "tests", "scenarios/deadlock"]
    assert arguments_there(arguments, ["scenarios/deadlock"], root, root, {}) == arguments


def test_the_environments_options_come_first(root: Path) -> None:
    environ = {"PYTEST_ADDOPTS": "-m 'deadlock and not slow' -q"}
    assert arguments_there(["-v"], [], root, root, environ) == ["-m", "deadlock and not slow", "-q", "-v"]


@pytest.mark.parametrize("path", ["..", "../other", "/etc"])
def test_what_lies_outside_is_not_there(root: Path, path: str) -> None:
    with pytest.raises(HostError, match="this lies outside of"):
        arguments_there([path], [path], root, root, {})


def test_the_longest_folder_is_renamed_first() -> None:
    names = {"/t/run": "results/1", "/t/run/a": "results/1/a-2", "/t/run/a-2": "results/1/a"}
    said = "see /t/run/a/evidence.json, /t/run/a-2/x and /t/run"
    assert renamed(said, names) == "see results/1/a-2/evidence.json, results/1/a/x and results/1"
