"""What a worker's command line and folders are called there and here; tests/plugin/test_workers.py tells the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report.beside import load_result, pair

from harness.errors import HostError, StoreError
from harness.load.keep import keep
from harness.load.result import read_results
from harness.plans.keep import keep_pair
from harness.plans.store import read_pairs
from harness.spread import arguments_there, pack, renamed, unpack
from harness.suite import Settings, Suite


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


def test_pairs_of_plans_and_loads_come_home_under_names_of_their_own(tmp_path: Path) -> None:
    there = Suite(Settings(root=tmp_path, results=tmp_path / "there", away=True, mode="external"))
    here = Suite(Settings(root=tmp_path, results=tmp_path / "here", mode="external"))
    made, load = pair(), load_result()
    pictures = {"plans.svg": "<svg/>", "../../escape.svg": "<svg/>"}
    there_pair, _ = keep_pair(there, made, {"plans.svg": "<svg/>"})
    there_load = keep(there, load)
    keep_pair(here, made, {})  # another worker has run it too
    told = json.loads(json.dumps(pack(there.outgoing(), there.store.folder, str)))
    told["beside"][0]["pictures"] = pictures
    names = unpack(told, here, str)
    assert there.outgoing() == []
    kept = Path(renamed(str(there_pair), names))
    assert kept.parent == here.store.folder / "plans" / f"{there_pair.parent.name}-2"
    assert {file.name for file in kept.parent.iterdir()} == {"plans.json", "before.json", "after.json", "plans.svg"}
    assert [one.folder for one in read_pairs(here.store.folder)] == [
        f"plans/{there_pair.parent.name}",
        f"plans/{there_pair.parent.name}-2",
    ]
    assert Path(renamed(str(there_load), names)).is_relative_to(here.store.folder)
    assert read_results(here.store.folder) == [load]
    assert not [file for file in tmp_path.rglob("escape.svg")]


@pytest.mark.parametrize("kind", ["plans", "load"])
def test_what_is_no_result_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    here = Suite(Settings(root=tmp_path, results=tmp_path / "here", mode="external"))
    beside = [{"folders": ["/there/x", "x"], "kind": kind, "text": '{"name": 3}', "pictures": {}}]
    with pytest.raises(StoreError, match="from another machine cannot be read"):
        unpack({"folders": ["/there", "there"], "kept": [], "beside": beside}, here, str)


def test_on_this_machine_nothing_travels(tmp_path: Path) -> None:
    suite = Suite(Settings(root=tmp_path, results=tmp_path, mode="external"))
    keep_pair(suite, pair(), {})
    assert suite.outgoing() == []
