from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from polling import eventually

from harness.errors import ServerError
from harness.servers import runfolder
from harness.servers.embedded import embedded_servers, run_folder
from harness.servers.processes import is_alive, started_at
from harness.servers.runfolder import Record, RunFolder, base_folder, reap

from .conftest import Script, new_run_id

OWNER = """
import json, os, sys
from harness.servers.embedded import embedded_servers
servers = embedded_servers(sys.argv[1], os.getpid())
servers.prefetch(["promptads", "cache", "promptcontent"])
records = {r.server: [r.pid, r.created] for r in servers.folder.records()}
print(json.dumps({"folder": str(servers.folder.path), "records": records}), flush=True)
sys.stdin.read()
"""


def start_owner(script: Callable[..., Script], tmp: Path) -> tuple[Script, Path, dict[str, Any]]:
    owner = script(OWNER, new_run_id(), tmp=tmp)
    told = json.loads(owner.line())
    assert set(told["records"]) == {"pg1", "valkey", "secantus", "watchdog"}
    return owner, Path(told["folder"]), told["records"]


def all_gone(records: dict[str, Any]) -> bool:
    return not any(is_alive(pid, created) for pid, created in records.values())


def test_a_killed_owner_leaves_nothing(script: Callable[..., Script], private_tmp: Path) -> None:
    owner, folder, records = start_owner(script, private_tmp)
    owner.process.kill()
    eventually(lambda: all_gone(records) and not folder.exists(), "servers, watchdog and folder are gone")
    assert [path.name for path in private_tmp.iterdir() if not path.name.startswith("promptsales-harness")] == []


def test_the_next_run_reaps_what_a_killed_watchdog_left(script: Callable[..., Script], private_tmp: Path) -> None:
    owner, folder, records = start_owner(script, private_tmp)
    psutil.Process(records["watchdog"][0]).kill()
    owner.process.kill()
    owner.process.wait()
    assert folder.exists()
    assert is_alive(*records["pg1"])
    servers = embedded_servers(new_run_id(), os.getpid())
    try:
        servers.target("cache")
        assert all_gone(records)
        assert not folder.exists()
    finally:
        servers.stop()


def test_a_living_run_is_not_reaped(private_tmp: Path) -> None:
    servers = embedded_servers(new_run_id(), os.getpid())
    try:
        url = servers.target("cache").url
        assert reap(base_folder()) == []
        assert embedded_servers(servers.folder.path.name.removeprefix("run-"), os.getpid()).target("cache").url == url
    finally:
        servers.stop()


def test_reaping_spares_a_process_that_only_has_the_same_pid(private_tmp: Path) -> None:
    folder = run_folder(new_run_id(), os.getpid())
    base_folder()
    folder.path.mkdir()
    created = started_at(os.getpid())
    assert created is not None
    (folder.path / "owner.json").write_text(json.dumps({"pid": os.getpid(), "created": created - 60}))
    folder.write(Record("pg1", True, os.getpid(), created - 60))  # our own pid: we would not survive
    assert reap(base_folder()) == [folder.path]
    assert not folder.path.exists()


def test_the_watchdog_ends_when_the_run_does(private_tmp: Path) -> None:
    servers = embedded_servers(new_run_id(), os.getpid())
    servers.target("cache")
    watchdog = servers.folder.read("watchdog")
    assert watchdog is not None
    assert watchdog.alive
    servers.stop()
    eventually(lambda: not watchdog.alive, "the watchdog ended")


def test_a_server_that_is_started_while_the_run_ends_is_stopped(private_tmp: Path) -> None:
    servers = embedded_servers(new_run_id(), os.getpid())
    servers.target("cache")
    (servers.folder.path / runfolder.CLOSING).touch()  # what stop() does first
    with pytest.raises(ServerError, match="the run is over"):
        servers.target("promptads")
    homes = [str(servers.folder.path / "pg1")]
    assert not [
        p for p in psutil.process_iter(["cmdline"]) if any(h in " ".join(p.info["cmdline"] or []) for h in homes)
    ]
    servers.stop()


def test_a_run_whose_owner_is_gone_starts_nothing(script: Callable[..., Script], private_tmp: Path) -> None:
    gone = script("pass")
    gone.process.wait()
    with pytest.raises(ServerError, match="which is to own the servers, is gone"):
        embedded_servers(new_run_id(), gone.process.pid).target("cache")


@pytest.mark.skipif(os.name != "posix", reason="folder modes are POSIX")
def test_a_folder_that_others_can_write_is_refused(private_tmp: Path) -> None:
    base_folder().chmod(0o777)
    with pytest.raises(ServerError, match="not a folder that only you can write"):
        base_folder()


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_a_planted_link_is_refused(private_tmp: Path) -> None:
    (private_tmp / "elsewhere").mkdir()
    (private_tmp / f"promptsales-harness-{os.getuid()}").symlink_to(private_tmp / "elsewhere")
    with pytest.raises(ServerError, match="not a folder that only you can write"):
        base_folder()


def test_closing_what_is_not_there_is_fine(private_tmp: Path) -> None:
    RunFolder(private_tmp / "nothing").close()


def test_a_worker_that_outlives_the_run_starts_nothing(private_tmp: Path) -> None:
    servers = embedded_servers(new_run_id(), os.getpid())
    servers.target("cache")
    servers.folder.close()  # as the watchdog does
    with pytest.raises(ServerError, match="the run is over"):
        servers.target("promptads")
    assert not servers.folder.path.exists()
