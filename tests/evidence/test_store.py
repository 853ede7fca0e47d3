from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.answers import DeadlockReport
from harness.errors import StoreError
from harness.evidence.model import Evidence
from harness.evidence.store import LONGEST_NAME, Store, find_run, folder_name, read_evidence, read_run
from harness.evidence.verdict import judge
from harness.scenario.model import Expectation
from harness.vocabulary import Phenomenon

from .histories import build
from .test_deadlock import ring


def evidence(case: str = "lost[promptsales@postgresql-read_committed]", **more: Any) -> Evidence:
    history = build("r1(x=0) r2(x=0) w1(x=1) c1 w2(x=2) c2", x=0).history(case=case, **more)
    expectation = Expectation(finds=(Phenomenon.lost_update,), blocks=())
    return Evidence(run="r1", history=history, expectation=expectation.as_record(), verdict=judge(history, expectation))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "results", "r1")
    made.open()
    return made


def test_a_case_is_kept_and_read_again(store: Store) -> None:
    kept = evidence(reports=[DeadlockReport(database="db", source="log", text="Process 1 waits")])
    path = store.keep(kept, {"timeline.svg": "<svg/>"}, 1.23456)
    assert path == store.folder / "lost@promptsales-postgresql-read_committed" / "evidence.json"
    assert read_evidence(path) == read_evidence(path.parent) == kept
    assert sorted(str(file.relative_to(path.parent)) for file in path.parent.rglob("*")) == [
        "deadlock",
        os.path.join("deadlock", "db-1.log"),
        "evidence.json",
        "timeline.svg",
    ]
    run = store.close({"seconds": 2, "odd": Path("x")})
    assert run["cases"] == [
        {
            "id": kept.history.case,
            "file": "case.yaml",
            "title": "A case",
            "engine": "postgresql",
            "level": "read committed",
            "seed": None,
            "stand_in": False,
            "status": "passed",
            "summary": "lost update, as expected",
            "found": ["lost update"],
            "victim": "",
            "folder": path.parent.name,
            "seconds": 1.235,
        }
    ]
    assert read_run(store.folder) == (json.loads(json.dumps(run, default=str)), [kept])


def test_what_was_found_is_what_the_verdict_says(store: Store) -> None:
    """A cycle that nobody ended is a hang, not a deadlock, in the list of cases too."""
    history = ring().history()
    store.keep(Evidence(history=history, verdict=judge(history, Expectation())), {}, 0)
    assert store.close({})["cases"][0]["found"] == []


def test_a_case_run_twice_has_two_folders(store: Store) -> None:
    first, second, third = (store.keep(evidence(), {}, 0).parent.name for _ in range(3))
    assert (second, third) == (f"{first}-2", f"{first}-3")
    assert len(store.close({})["cases"]) == 3


def test_two_cases_with_names_alike(store: Store) -> None:
    """Two scenarios of one name in two folders, and ids too long to tell apart by their beginning."""
    store.keep(evidence(file="a/x.yaml"), {}, 0)
    store.keep(evidence(file="b/x.yaml"), {}, 0)
    assert [one.history.file for one in read_run(store.folder)[1]] == ["a/x.yaml", "b/x.yaml"]
    long = "x" * 300
    names = {folder_name(f"{long}[{level}]") for level in ("one", "two")}
    assert len(names) == 2
    assert all(len(name) == LONGEST_NAME for name in names)


@pytest.mark.parametrize("case", ["a[b@c-d]", "../../etc", "a/b\\c:d*e", "con .", "ä[ö]", ".hidden"])
def test_folder_names_are_plain(case: str) -> None:
    name = folder_name(case)
    assert name
    assert name[0] not in ".-"
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+@-")


# -- latest


def test_latest_is_the_run_opened_last(tmp_path: Path) -> None:
    for run in ("r1", "r2"):
        Store(tmp_path, run).open()
        Store(tmp_path, run).keep(evidence(), {}, 0)
    assert os.readlink(tmp_path / "latest") == "r2"
    assert find_run(tmp_path) == (tmp_path / "r2").resolve()
    assert find_run(tmp_path, "r1") == (tmp_path / "r1").resolve()
    assert find_run(tmp_path, str(tmp_path / "r1")) == (tmp_path / "r1").resolve()


def test_without_links_a_file_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "symlink_to", raising(errno.EPERM))
    store = Store(tmp_path, "r1")
    store.open()
    store.keep(evidence(), {}, 0)
    assert (tmp_path / "latest.txt").read_text() == "r1"
    assert find_run(tmp_path) == store.folder.resolve()


def test_no_run_yet(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^no run 'latest' in .*: run some scenarios first"):
        find_run(tmp_path)
    Store(tmp_path, "r1").open()  # opened, but nothing was kept
    with pytest.raises(StoreError, match="no run 'latest'"):
        find_run(tmp_path)
    (tmp_path / "latest").unlink()
    (tmp_path / "latest.txt").write_text("latest")
    with pytest.raises(StoreError, match="no run 'latest'"):
        find_run(tmp_path)


def test_a_run_that_was_cut_off_can_be_read(store: Store) -> None:
    store.keep(evidence(), {}, 0)
    run, evidences = read_run(find_run(store.root))
    assert run == {"run": "r1"}
    assert len(evidences) == 1


# -- what cannot be read


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no evidence of this version: Invalid JSON"),
        (b'{"version": 1', "is no evidence of this version: Invalid JSON"),
        (b"[]", "is no evidence of this version: "),
        (b'{"version": 1}', "is no evidence of this version: history: Field required"),
        (b'{"odd": 1}', "is no evidence of this version: "),
        (b"\xff\xfe", "cannot be read: it is not UTF-8 text"),
    ],
)
def test_what_is_no_evidence(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "evidence.json"
    file.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        read_evidence(file)
    assert str(caught.value).startswith(f"{file} {said}")
    assert "\n" not in str(caught.value)


def test_no_evidence_at_all(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"evidence.json cannot be read: No such file"):
        read_evidence(tmp_path)


@pytest.mark.parametrize(("content", "said"), [("{", "it is not JSON"), ("[]", "it is not a JSON object")])
def test_a_broken_run_file(store: Store, content: str, said: str) -> None:
    (store.folder / "run.json").write_text(content)
    with pytest.raises(StoreError, match=rf"run.json cannot be read: {said}"):
        read_run(store.folder)


def test_a_process_killed_while_it_wrote_loses_its_last_entry_only(store: Store) -> None:
    store.keep(evidence(), {}, 0)
    (store.folder / ".cases-1.jsonl").write_text('{"id": "b", "file": "b.yaml"}\n{"id": "c", "fi')
    assert [line["id"] for line in store.close({})["cases"]] == ["b", evidence().history.case]
    assert not list(store.folder.glob(".cases-*"))


# -- a disk that says no


def raising(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "No space left on device; free some space, or give another folder by --results=DIR"),
        (errno.EACCES, "Permission denied; give another folder by --results=DIR"),
    ],
)
def test_the_disk_says_no(store: Store, monkeypatch: pytest.MonkeyPatch, number: int, said: str) -> None:
    monkeypatch.setattr(Path, "write_text", raising(number))
    with pytest.raises(StoreError) as caught:
        store.keep(evidence(), {}, 0)
    assert str(caught.value) == f"results cannot be written to {store.folder}: {said}"
    assert list(store.folder.iterdir()) == []  # half a case is none
    for call in (lambda: store.close({}), lambda: store.write("report.html", "x")):
        with pytest.raises(StoreError, match=r"^results cannot be written to "):
            call()


def test_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(StoreError, match=r"^results cannot be written to .*results/r1: (Not a directory|File exists)"):
        Store(tmp_path / "results", "r1").open()


def test_a_file_is_whole_or_not_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    file = store.write("report.html", "old")
    monkeypatch.setattr(Path, "replace", raising(errno.EIO))
    with pytest.raises(StoreError):
        store.write("report.html", "new")
    assert file.read_text() == "old"
    assert [one.name for one in store.folder.iterdir()] == ["report.html"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = shutil.which("mount")
    if sys.platform != "linux" or mount is None:
        pytest.skip("a tmpfs can be mounted on Linux only")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a tmpfs may not be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full(tiny_disk: Path) -> None:
    store = Store(tiny_disk, "r1")
    store.open()
    for name in ("first", "second"):
        store.keep(evidence(name), {}, 0)
    with pytest.raises(StoreError, match="No space left on device; free some space"):
        store.keep(evidence("third"), {"timeline.svg": "x" * 100_000}, 0)
    assert len(read_run(store.folder)[1]) == 2  # what was kept before is whole, of the third nothing is left
    store.keep(evidence("fourth"), {}, 0)


# -- several processes


def _keep(root: Path, worker: int) -> None:
    store = Store(root, "r1")
    store.open()
    for number in range(5):
        store.keep(evidence("same[case]", title=f"{worker}.{number}"), {"timeline.svg": "x" * 10_000}, 0)
        store.keep(evidence(f"own{worker}-{number}"), {}, 0)


def test_processes_write_into_one_run(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_keep, args=(tmp_path, number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0]
    run = Store(tmp_path, "r1").close({})
    assert len(run["cases"]) == len({case["folder"] for case in run["cases"]}) == 20
    _, evidences = read_run(find_run(tmp_path))
    titles = sorted(one.history.title for one in evidences if one.history.case == "same[case]")
    assert titles == [f"{worker}.{number}" for worker in range(2) for number in range(5)]
    assert not list(tmp_path.rglob("*.part"))
