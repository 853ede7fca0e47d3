"""The monitor whole: a process of its own, real servers, and all that may go wrong around it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from polling import eventually
from prometheus_client.parser import text_string_to_metric_families

from harness.errors import ServerError
from harness.monitor.monitor import Monitor
from harness.monitor.series import Series, read_series
from harness.servers import processes
from harness.servers.base import Target
from harness.servers.embedded import EmbeddedServers
from harness.servers.urls import make_target
from harness.servers.valkey import binary

from .conftest import Base

QUICK = 0.05
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, run: str) -> Path:
    """A run's folder, named as a run is."""
    return tmp_path / run


def roles(target: Target, run: str) -> set[str]:
    with psycopg.connect(target.url, autocommit=True) as admin:
        rows = admin.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", (f"psh_{run}_monitor",))
        return {name for (name,) in rows}


def sessions(target: Target, run: str) -> int:
    with psycopg.connect(target.url, autocommit=True) as admin:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        (number,) = admin.execute(query, (f"psh:{run}/monitor",)).fetchone() or (0,)
        return int(number)


def rows_of(folder: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        return len(named(folder, name).at)
    return 0


def named(folder: Path, name: str) -> Series:
    return next(one for one in read_series(folder) if one.name == name)


def test_servers_are_watched_and_it_is_kept(
    own_servers: EmbeddedServers, postgres: Target, base: Base, folder: Path, run: str
) -> None:
    targets = {name: own_servers.target(name) for name in ("promptsales", "promptads", "cache")}
    with Monitor(targets, folder, QUICK) as monitor, base.connect() as link:
        assert len(roles(postgres, run)) == 1
        assert sessions(postgres, run) == 1, "two databases on one server are watched once"
        for _ in range(30):
            link.execute("UPDATE t SET v = v + 1 WHERE id = 1")
        link.execute("SELECT pg_stat_force_next_flush()")
        eventually(lambda: any(named(folder, "promptsales").columns.get("rows_updated", ())))
    assert not roles(postgres, run)
    assert not sessions(postgres, run)
    read = {series.name: series for series in read_series(folder)}
    assert list(read) == ["cache", "promptsales", "host"]
    sales = read["promptsales"]
    assert sales.label == "promptsales@postgresql, promptads@postgresql-standin"
    assert sales.databases == ["promptsales", "promptads"]
    assert sales.interval == QUICK
    assert max(filter(None, sales.columns["transactions"])) > 0
    assert [top.calls for top in sales.statements if top.text == "UPDATE t SET v = v + $1 WHERE id = $2"] == [30]
    assert all(later > sooner for sooner, later in zip(sales.at, sales.at[1:], strict=False))
    assert {"cpu", "cpu_harness", "cpu_monitor", "memory", "load"} <= read["host"].columns.keys()
    for series in read.values():
        assert series.cost is not None
        assert series.cost.samples >= 1
        assert series.cost.failed == 0
        assert 0 < series.cost.milliseconds <= series.cost.most
        assert series.cost.cpu is not None
    summary = monitor.summary
    assert summary.line.startswith(f"2 servers and this machine every {QUICK} s, ")
    assert "s of a processor in" in summary.line
    assert summary.cpu > 0
    assert list(folder.iterdir()) == [folder / "monitor"]
    assert not list((folder / "monitor").glob(".*")), "nothing of its own is left beside the files"


def test_a_server_added_later_is_watched_too(own_servers: EmbeddedServers, postgres: Target, folder: Path) -> None:
    with Monitor({"cache": own_servers.target("cache")}, folder, QUICK) as monitor:
        monitor.add(postgres)
        monitor.wait_first()
        assert rows_of(folder, "promptsales") >= 1
        monitor.add(postgres)
    assert {series.name for series in read_series(folder)} == {"cache", "promptsales", "host"}


def test_without_a_folder_nothing_is_kept(postgres: Target, run: str) -> None:
    monitor = Monitor({"promptsales": postgres}, None, QUICK, run=run, tell=True)
    monitor.start()
    names = set()
    for row in monitor.rows():
        names.add(row["name"])
        if names == {"host", "promptsales"}:
            break
    assert monitor.stop().problem == ""
    assert not roles(postgres, run)


# -- servers that die


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[tuple[Target, Path]]:
    """A server that may be killed, and the file that says which process it is now."""
    port, password = processes.free_port(), secrets.token_hex(8)
    home = tmp_path / "valkey"
    home.mkdir()
    yield (
        make_target("cache", f"redis://:{password}@127.0.0.1:{port}/0", "embedded"),
        home,
    )
    for pid in map(int, (home / "pids").read_text().split()):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def start_valkey(target: Target, home: Path) -> subprocess.Popen[bytes]:
    port, password = target.url.rsplit(":", 1)[1].split("/")[0], target.url.split(":")[2].split("@")[0]
    options = ["--port", port, "--requirepass", password, "--save", "", "--bind", "127.0.0.1", "--dir", str(home)]
    server = subprocess.Popen([str(binary()), *options], stdout=subprocess.DEVNULL)
    with (home / "pids").open("a") as pids:
        pids.write(f"{server.pid}\n")
    eventually(lambda: _answers(target))
    return server


def _answers(target: Target) -> bool:
    try:
        with redis.Redis.from_url(target.url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def test_a_server_killed_in_between_is_a_gap_a_note_and_comes_back(valkey: tuple[Target, Path], folder: Path) -> None:
    target, home = valkey
    server = start_valkey(target, home)

    def gap() -> bool:
        return named(folder, "cache").columns["memory"][-1] is None

    with Monitor({"cache": target}, folder, QUICK) as monitor:
        eventually(lambda: rows_of(folder, "cache") > 2)
        server.kill()
        server.wait()
        eventually(gap, "no gap")
        start_valkey(target, home)
        eventually(lambda: not gap(), "it did not come back")
    cache = named(folder, "cache")
    known = [value is not None for value in cache.columns["memory"]]
    assert known[0]
    assert known[-1]
    assert not all(known)
    assert min(value for value in cache.columns["commands"] if value is not None) >= 0
    assert len([note for note in cache.notes if " no samples: " in note]) == 1
    assert cache.cost is not None
    assert cache.cost.failed == known.count(False)
    assert monitor.summary.problem == ""
    assert "more failed" in monitor.summary.line
    with redis.Redis.from_url(target.url, decode_responses=True) as client:
        assert client.acl_users() == ["default"], "its user is gone, on the new server too"


def test_a_session_that_the_server_ends_is_opened_again(postgres: Target, folder: Path, run: str) -> None:
    with Monitor({"promptsales": postgres}, folder, QUICK):
        with psycopg.connect(postgres.url, autocommit=True) as admin:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
            assert admin.execute(query, (f"psh:{run}/monitor",)).fetchall() == [(True,)]
        eventually(lambda: None in named(folder, "promptsales").columns["active"])
        eventually(lambda: named(folder, "promptsales").columns["active"][-1] is not None)
    assert not roles(postgres, run)


def test_a_login_that_somebody_removes_is_made_again(postgres: Target, folder: Path, run: str) -> None:
    with Monitor({"promptsales": postgres}, folder, QUICK):
        (role,) = roles(postgres, run)
        with psycopg.connect(postgres.url, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,))
            admin.execute(f'DROP ROLE "{role}"')
        eventually(lambda: roles(postgres, run) - {role})
        eventually(lambda: named(folder, "promptsales").columns["active"][-1] is not None)
    assert not roles(postgres, run)


def test_a_server_that_was_never_there_ends_nothing(folder: Path, postgres: Target) -> None:
    nowhere = make_target("cache", f"redis://:hunter2@127.0.0.1:{processes.free_port()}/0", "embedded")
    with Monitor({"cache": nowhere, "promptsales": postgres}, folder, QUICK) as monitor:
        eventually(lambda: rows_of(folder, "promptsales") > 2)
    notes = " ".join(named(folder, "cache").notes)
    assert "Connection refused" in notes
    assert "hunter2" not in notes + str(monitor.summary)
    assert named(folder, "promptsales").columns["active"]


def test_the_successor_of_a_dead_server_is_watched(
    valkey: tuple[Target, Path], own_servers: EmbeddedServers, folder: Path
) -> None:
    target, home = valkey
    server = start_valkey(target, home)
    with Monitor({"cache": target}, folder, QUICK) as monitor:
        server.kill()
        server.wait()
        monitor.add(own_servers.target("cache"))
        eventually(lambda: any("replaced" in note for note in named(folder, "cache").notes))
        eventually(lambda: named(folder, "cache").columns["memory"][-1] is not None)


# -- who started it dies, or it does itself

PARENT = """
import json, sys, time
from pathlib import Path
from harness.monitor.monitor import Monitor
from harness.servers.base import Target
told = json.loads(sys.stdin.readline())
monitor = Monitor({"promptsales": Target(**told["target"])}, Path(told["folder"]), 0.05)
monitor.__enter__()
print(monitor.pid, flush=True)
FORK
sys.stdin.read()
"""


def start_parent(target: Target, folder: Path, code: str = PARENT) -> tuple[subprocess.Popen[str], psutil.Process]:
    parent = subprocess.Popen(
        [sys.executable, "-c", code.replace("FORK", "")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert parent.stdin
    assert parent.stdout
    parent.stdin.write(json.dumps({"target": asdict(target), "folder": str(folder)}) + "\n")
    parent.stdin.flush()
    return parent, psutil.Process(int(parent.stdout.readline()))


def ended(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("forked", [False, True], ids=["alone", "a fork of it lives on"])
def test_a_run_that_is_killed_leaves_its_samples_and_nothing_else(
    postgres: Target, folder: Path, run: str, *, forked: bool
) -> None:
    code = PARENT.replace("FORK", "import os\nif not os.fork(): time.sleep(30); os._exit(0)" if forked else "")
    parent, sampler = start_parent(postgres, folder, code)
    children = [sampler]
    try:
        eventually(lambda: rows_of(folder, "promptsales") > 2)
        eventually(lambda: len(psutil.Process(parent.pid).children()) == 1 + forked)
        children = psutil.Process(parent.pid).children()
        parent.kill()
        eventually(lambda: ended(sampler), "the sampler has outlived its run")
    finally:
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        parent.communicate()
    assert not roles(postgres, run)
    sales = named(folder, "promptsales")
    assert len(sales.at) > 2
    assert sales.cost is not None, "it had the time to write down what it cost"


def test_a_sampler_that_is_killed_leaves_its_samples_and_its_login_is_swept(
    postgres: Target, folder: Path, run: str, tmp_path: Path
) -> None:
    monitor = Monitor({"promptsales": postgres}, folder, QUICK)
    with monitor:
        eventually(lambda: rows_of(folder, "promptsales") > 2)
        os.kill(monitor.pid, signal.SIGKILL)
    assert "died" in monitor.summary.problem
    assert len(named(folder, "promptsales").at) > 2
    assert len(roles(postgres, run)) == 1
    eventually(lambda: not sessions(postgres, run))
    with Monitor({"promptsales": postgres}, tmp_path / "next", QUICK):
        assert not roles(postgres, run)


def test_a_second_monitor_of_a_run_leaves_it_to_the_first(postgres: Target, folder: Path) -> None:
    with Monitor({"promptsales": postgres}, folder, QUICK) as first:
        with Monitor({"promptsales": postgres}, folder, QUICK) as second:
            assert second.joined
        assert second.summary.joined
        assert second.summary.problem == ""
        assert not first.joined
    with Monitor({"promptsales": postgres}, folder, QUICK) as third:
        assert not third.joined


GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent
turns = 0
def turn():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.001)
other = gevent.spawn(turn)
""" + PARENT.replace("print(monitor.pid", "assert turns > 3, 'the hub stood still'\nprint(monitor.pid").replace(
    "sys.stdin.read()", "gevent.sleep(0.3); monitor.stop(); print(monitor.summary.line, monitor.summary.problem)"
)


def test_it_works_in_a_process_that_gevent_has_patched(postgres: Target, folder: Path, run: str) -> None:
    parent, sampler = start_parent(postgres, folder, GEVENT)
    output, _ = parent.communicate(timeout=30)
    assert parent.returncode == 0
    assert output.startswith("1 server and this machine every 0.05 s, ")
    assert ended(sampler)
    assert not roles(postgres, run)
    assert len(named(folder, "promptsales").at) > 2


# -- somebody else's server


def test_a_server_of_somebody_else_is_left_as_it_is(postgres: Target, folder: Path, run: str) -> None:
    external = replace(postgres, origin="external")
    with Monitor({"promptsales": external}, folder, QUICK):
        assert not roles(postgres, run)
        assert sessions(postgres, run) == 1
    (note, *_) = named(folder, "promptsales").notes
    assert "PROMPTSALES_MONITOR_URL" in note


def test_it_is_watched_by_the_login_that_is_given_for_it(postgres: Target, folder: Path) -> None:
    external = replace(postgres, origin="external")
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("CREATE ROLE watcher LOGIN PASSWORD 'hunter2' IN ROLE pg_monitor")
        try:
            url = f"postgresql://watcher:hunter2@{postgres.url.rpartition('@')[2]}"
            environ = os.environ | {"PROMPTSALES_MONITOR_URL": url}
            with Monitor({"promptsales": external}, folder, QUICK, environ=environ):
                rows = admin.execute(
                    "SELECT usename FROM pg_stat_activity WHERE application_name LIKE 'psh:%%/monitor'"
                )
                assert rows.fetchall() == [("watcher",)]
        finally:
            admin.execute("DROP ROLE watcher")
    assert named(folder, "promptsales").notes == []


# -- Prometheus


def test_prometheus_reads_it(own_servers: EmbeddedServers, base: Base, folder: Path) -> None:
    targets = {name: own_servers.target(name) for name in ("promptads", "cache")}
    port = processes.free_port()

    def scrape() -> dict[str, dict[str, float]]:
        with urllib.request.urlopen(monitor.url) as answer:
            text = answer.read().decode()
        return {
            sample.name: {"/".join(sample.labels.values()): sample.value for sample in family.samples}
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    with Monitor(targets, folder, QUICK, prometheus=str(port)) as monitor, base.connect() as link:
        assert monitor.url == f"http://127.0.0.1:{port}/metrics"
        for _ in range(20):
            link.execute("UPDATE t SET v = v + 1 WHERE id = 1")
        link.execute("SELECT pg_stat_force_next_flush()")
        eventually(
            lambda: scrape().get("promptsales_rows_updated_total", {}).get("promptads/postgresql/sqlserver") == 20
        )
        found = scrape()
    labels = {"promptads/postgresql/sqlserver", "cache/redis/", "host/host/"}
    assert found["promptsales_up"] == dict.fromkeys(labels, 1.0)
    assert found["promptsales_sample_seconds"].keys() == labels
    assert found["promptsales_memory_bytes"]["cache/redis/"] > 1e5
    assert 0 <= found["promptsales_cpu_ratio"]["host/host/"] <= 1
    assert found["promptsales_active"].keys() == labels - {"host/host/"}
    assert found["promptsales_deadlocks_total"]["promptads/postgresql/sqlserver"] == 0


def test_a_port_that_is_taken_is_one_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"--prometheus {port}: the port is taken"):
            Monitor({}, folder, QUICK, prometheus=str(port)).start()
    with pytest.raises(ServerError, match="that is no port"):
        Monitor({}, folder, QUICK, prometheus="x").start()
