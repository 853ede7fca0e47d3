from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from polling import eventually

from harness.errors import ServerError
from harness.servers import kept, open_servers
from harness.servers.login import log_in
from harness.servers.runfolder import RunFolder

from .conftest import Script, new_run_id

UP = """
import sys
from pathlib import Path
from harness.servers import kept
for entry in kept.up(Path(sys.argv[1]), logicals=["promptads", "cache"]):
    print(entry.target.url)
"""


@pytest.fixture
def root(private_tmp: Path) -> Iterator[Path]:
    folder = private_tmp / "project"
    folder.mkdir()
    yield folder
    kept.down(folder)


def test_up_outlives_its_command_and_is_found_by_a_run(script: Callable[..., Script], root: Path) -> None:
    urls = script(UP, root, tmp=root.parent).output().splitlines()
    assert len(urls) == 2
    places = {entry.logical: entry.target for entry in kept.status(root)}
    assert [name for name, place in places.items() if place] == ["promptsales", "promptads", "cache"]

    servers = open_servers(None, run_id=new_run_id(), owner_pid=os.getpid(), root=root, environ={})
    assert [servers.target(name).url for name in ("promptads", "cache")] == urls
    assert servers.target("promptads").origin == "up"
    assert servers.target("promptads").label == "promptads@postgresql-standin"
    assert servers.describe("promptads") == ("postgresql", True)
    servers.stop()
    for url in urls:
        log_in(url)  # a run does not stop what it only found

    lines: list[str] = []
    assert kept.down(root, progress=lines.append) == ["pg1", "valkey"]
    assert lines == ["pg1: stopped", "valkey: stopped"]
    assert not (root / kept.FOLDER).exists()
    assert kept.find(root) == {}
    assert kept.down(root) == []


def test_up_adds_what_is_missing_and_tells_it(root: Path) -> None:
    lines: list[str] = []
    (first,) = kept.up(root, logicals=["cache"], progress=lines.append)
    assert first.target is not None
    assert lines == [f"cache: {first.target.public}"]
    assert "***" in lines[0]
    again, content = kept.up(root, logicals=["cache", "promptcontent"])
    assert again.target == first.target
    assert content.target is not None
    assert (root / kept.FOLDER / ".gitignore").read_text() == "*\n"
    assert (root / kept.FOLDER / kept.STATE).stat().st_mode & 0o077 == 0


def test_up_again_after_the_servers_died(root: Path) -> None:
    (first,) = kept.up(root, logicals=["cache"])
    (record,) = RunFolder(root / kept.FOLDER / "set").records()
    psutil.Process(record.pid).kill()
    eventually(lambda: not record.alive, "valkey is gone")
    assert kept.find(root) == {}
    (second,) = kept.up(root, logicals=["cache"])
    assert second.target is not None
    assert second.target != first.target
    log_in(second.target.url)


def test_containers_and_urls_go_before_a_kept_set(root: Path) -> None:
    kept.up(root, logicals=["cache"])
    run = {"run_id": new_run_id(), "owner_pid": os.getpid(), "root": root}
    given = open_servers(None, environ={"CACHE_URL": "redis://elsewhere/0"}, **run)  # type: ignore[arg-type]
    assert given.target("cache").url == "redis://elsewhere/0"
    external = open_servers("external", environ={}, **run)  # type: ignore[arg-type]
    with pytest.raises(ServerError, match="CACHE_URL"):
        external.target("cache")
    containers = open_servers("containers", environ={}, **run)  # type: ignore[arg-type]
    assert containers.describe("promptads") == ("sqlserver", False)


def test_external_servers_are_not_ours_to_keep(root: Path) -> None:
    with pytest.raises(ServerError, match="not ours to start"):
        kept.up(root, mode="external")


def test_what_cannot_be_had_is_an_entry_and_leaves_no_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    (entry,) = kept.up(root, logicals=["cache"])
    assert entry.target is None
    assert "no embedded Redis for Windows" in entry.problem
    assert not (root / kept.FOLDER).exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root's PostgreSQL is another user")
def test_a_project_that_only_root_may_enter(root: Path) -> None:
    root.chmod(0o700)
    (entry,) = kept.up(root, logicals=["promptads"])
    assert entry.target is not None
    log_in(entry.target.url)
    assert kept.find(root)["promptads"] == entry.target
