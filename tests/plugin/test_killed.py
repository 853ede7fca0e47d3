"""A run that is killed in the middle of a deadlock leaves nothing: no process, no folder, and soon no database."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from polling import eventually

from harness.servers.embedded import EmbeddedServers, embedded_servers
from harness.servers.urls import VARIABLE
from harness.suite import new_run_id

from .conftest import STUCK, Project, family, gone, kill, scenario

Server = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[EmbeddedServers]:
    """A server that is nobody else's: whatever run comes to a server drops the leftovers on it."""
    servers = embedded_servers(new_run_id(), os.getpid())
    yield servers
    servers.stop()


@pytest.fixture
def server(project: Project, elsewhere: EmbeddedServers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """It is the project's external server; here it is looked at beside the harness."""
    for name in ("promptsales", "promptads"):
        project.urls[VARIABLE[name]] = elsewhere.target(name).url
        monkeypatch.setenv(VARIABLE[name], elsewhere.target(name).url)
    with psycopg.connect(project.urls["PROMPTSALES_URL"], autocommit=True) as connection:
        yield connection


def waiting(server: Server) -> list[str]:
    """The runs whose sessions wait for a lock on the server, once for each session."""
    rows = server.execute(
        "SELECT application_name FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'psh:%'"
    )
    return [str(row[0]).removeprefix("psh:").split("/")[0] for row in rows]


def left(server: Server, run: str) -> list[str]:
    rows = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1", (f"psh_{run}_",))
    return [str(row[0]) for row in rows]


def in_a_deadlock(process: subprocess.Popen[str], server: Server, sessions: int = 2) -> str:
    """Wait until so many sessions of the run wait; gives the run."""

    def stuck() -> bool:
        assert process.poll() is None, process.communicate()[0]
        return len(waiting(server)) >= sessions

    eventually(stuck, "the deadlock")
    (run,) = set(waiting(server))
    return run


@pytest.mark.parametrize("workers", [0, 2])
def test_on_an_external_server_the_next_run_drops_what_is_left(project: Project, server: Server, workers: int) -> None:
    for number in range(max(workers, 1)):
        project.scenario(f"stuck_{number}", STUCK)
    options = ("-n", str(workers)) if workers else ()
    process = project.start(*options)
    run = in_a_deadlock(process, server, sessions=2 * max(workers, 1))
    processes = family(psutil.Process(process.pid))
    assert len(processes) >= 1 + workers
    databases = left(server, run)
    assert len(databases) == 2 * max(workers, 1)

    kill(process)
    eventually(lambda: gone(processes), "no process of the run is left", 8)
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, %s)"
    eventually(lambda: server.execute(asleep, (f"psh:{run}",)).fetchone() == (0,), "its sessions have ended", 8)

    for file in (project.path / "scenarios").glob("stuck_*"):
        file.unlink()
    project.scenario("next")
    result = project.run(*options)
    result.assert_outcomes(passed=1)
    assert left(server, run) == []
    (line,) = [line for line in result.outlines if "dead runs" in line]
    where = project.urls["PROMPTSALES_URL"].split("@")[1].split("/")[0]
    assert line.startswith("promptsales-harness: dropped what dead runs had left: ")
    assert sorted(re.findall(rf"{re.escape(where)}: (psh_\w+)", line)) == databases


def test_a_statement_that_sleeps_ends_with_its_run(project: Project, server: Server) -> None:
    text = scenario().replace("{run: SELECT v FROM t, reads: v}", "SELECT pg_sleep(300)") + "deadline: 300\n"
    project.scenario("asleep", text + "case_deadline: 300\n")
    process = project.start()
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    eventually(lambda: server.execute(asleep).fetchone() == (1,), "the step sleeps")
    kill(process)
    eventually(lambda: server.execute(asleep).fetchone() == (0,), "the server has noticed", 8)
    project.scenario("asleep")
    project.run().assert_outcomes(passed=1)


@pytest.mark.skipif(os.name != "posix", reason="processes of a run are looked for by their titles")
@pytest.mark.parametrize("workers", [0, 2])
def test_embedded_servers_and_their_data_go_with_the_run(project: Project, private_tmp: Path, workers: int) -> None:
    for number in range(max(workers, 1)):
        project.scenario(f"stuck_{number}", STUCK)
    environ = {
        "PROMPTSALES_SERVERS": "embedded",
        "TMPDIR": str(private_tmp),
        "PROMPTSALES_URL": "",
        "PROMPTADS_URL": "",
    }
    process = project.start(*(("-n", str(workers)) if workers else ()), **environ)
    run = psutil.Process(process.pid)

    def stuck() -> bool:
        assert process.poll() is None, process.communicate()[0]
        titles = [" ".join(_words(one)).rstrip() for one in family(run)]
        return len([title for title in titles if "psh_" in title and title.endswith("waiting")]) >= 2 * max(workers, 1)

    eventually(stuck, "the deadlock", 40)
    processes = family(run)
    (folder,) = private_tmp.glob("promptsales-harness-*/run-*")
    assert (folder / "pg1" / "data").is_dir()

    kill(process, all_of_it=False)  # nobody tells the workers
    eventually(lambda: gone(processes), "no process of the run is left", 10)
    eventually(lambda: not folder.exists(), "its data is gone", 10)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_ends_cleanly(project: Project, server: Server, workers: int) -> None:
    for number in range(max(workers, 1)):
        project.scenario(f"stuck_{number}", STUCK)
    process = project.start(*(("-n", str(workers)) if workers else ()))
    run = in_a_deadlock(process, server, sessions=2 * max(workers, 1))
    processes = family(psutil.Process(process.pid))
    printed = kill(process, signal.SIGINT)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in printed
    assert "Traceback" not in printed
    assert "INTERNALERROR" not in printed
    eventually(lambda: gone(processes), "no process of the run is left", 8)
    assert left(server, run) == []
