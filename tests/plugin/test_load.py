"""``pytest -m load``: a load file is a test; its result is kept; whoever is killed leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest
from polling import eventually

from harness.load.result import read_results
from harness.monitor.series import read_series

from .conftest import OTHERS, Project, family, gone, kill

MOVES = """
title: Money between a few budgets
data: tiny
load:
  users: {planner: {weight: 1, tasks: {move budget: 1, campaign budgets: 1}, among: 20}}
  count: 4
  seconds: %(seconds)s
  think: 0.001
expect:
  postgresql: {done: [move budget]}
checks:
  - {title: the sum of all budgets, on: promptads, run: SELECT SUM(amount) FROM budget, unchanged: true}
  - {title: budgets below zero, on: promptads, run: SELECT COUNT(*) FROM budget WHERE amount < 0, equals: %(below)s}
"""


def moves(project: Project, seconds: int = 1, below: int = 0) -> Path:
    return project.scenario("moves", MOVES % {"seconds": seconds, "below": below})


def test_a_load_is_a_test_and_its_result_is_kept(project: Project) -> None:
    moves(project)
    result = project.run("-m", "load", "--junitxml=junit.xml", "--load-seconds=1", "--load-users=3")
    result.assert_outcomes(passed=1)
    (load,) = read_results(project.path / "results" / "latest")
    assert (load.name, load.file, load.status) == ("moves", "scenarios/moves.yaml", "passed")
    assert max(users.users for users in load.users) == 3
    assert {one.database for one in load.requests} == {"promptads@postgresql-standin"}
    junit = (project.path / "junit.xml").read_text("utf-8")
    assert 'name="evidence" value="results/' in junit
    assert "/load/moves/load.json" in junit
    # What the servers did meanwhile stands beside it, on the same clock.
    rows = (project.path / "results" / "latest" / "monitor" / "promptads.csv").read_text("utf-8").splitlines()[1:]
    times = [float(row.split(",")[0]) for row in rows]
    assert [at for at in times if load.began - 1 <= at <= load.began + load.seconds + 1]
    page = (project.path / "results" / "latest" / "report.html").read_text("utf-8")
    assert "Money between a few budgets" in page


def test_loads_in_two_workers_take_turns_and_each_has_samples_of_its_servers(project: Project) -> None:
    moves(project)
    project.scenario("more", (project.path / "scenarios" / "moves.yaml").read_text("utf-8"))
    project.run("-m", "load", "-n", "2", "--load-seconds=1").assert_outcomes(passed=2)
    one, other = read_results(project.path / "results" / "latest")
    assert one.began + one.seconds <= other.began
    (series,) = [made for made in read_series(project.path / "results" / "latest") if made.name == "promptads"]
    for load in (one, other):
        assert [at for at in series.at if load.began - 1 <= at <= load.began + load.seconds + 1]


def test_two_processes_and_the_open_loop_from_the_command_line(project: Project) -> None:
    moves(project)
    result = project.run("-m", "load", "--processes=2", "--load-arrivals=60", "--load-seconds=2")
    result.assert_outcomes(passed=1)
    (load,) = read_results(project.path / "results" / "latest")
    assert (load.processes, load.arrivals) == (2, "open")
    assert load.intended
    assert sum(one.done for one in load.requests) <= load.intended


def test_what_is_not_as_expected_fails_without_a_traceback(project: Project) -> None:
    moves(project, below=7)
    result = project.run("-m", "load")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "budgets below zero (promptads@postgresql-standin): it is 0, expected 7" in text
    assert "Traceback" not in text
    (load,) = read_results(project.path / "results" / "latest")
    assert load.status == "failed"
    assert len(load.mismatches) == 1


def test_a_wrong_file_is_one_error_with_its_place(project: Project) -> None:
    file = moves(project)
    file.write_text(file.read_text("utf-8").replace("planner", "plannner"), "utf-8")
    result = project.run("-m", "load")
    result.assert_outcomes(errors=1)
    assert "moves.yaml:5:11: unknown kind of user 'plannner', did you mean 'planner'?" in result.stdout.str()


def test_a_load_whose_database_is_not_there_is_skipped(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMPTADS_URL")
    moves(project)
    result = project.run("-m", "load", "-rs")
    result.assert_outcomes(skipped=1)
    assert "promptads: no URL given; set PROMPTADS_URL" in result.stdout.str()


def test_pytest_itself_is_never_patched(project: Project) -> None:
    moves(project)
    project.pytester.makeconftest(
        """
        def pytest_sessionfinish():
            import sys
            assert "gevent.monkey" not in sys.modules
            assert "locust" not in sys.modules
        """
    )
    result = project.run("-m", "load")
    result.assert_outcomes(passed=1)
    assert result.ret == 0


@pytest.mark.skipif(os.name != "posix", reason="a terminal is made by pty")
def test_a_terminal_shows_how_far_it_is(project: Project) -> None:
    moves(project, seconds=2)
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *OTHERS, "-m", "load"]
    process = subprocess.Popen(command, cwd=project.path, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side is closed
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)
    assert process.wait() == 0, said
    assert b"filling promptads" in said
    assert re.search(rb"moves: \d of 2 s, 4 users, [\d,]+ done", said), said


SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'psh:%%/load' AND starts_with(datname, %s)"
)

BUSY = """
SELECT max(xact_commit) FROM pg_stat_database WHERE datname IN (
    SELECT datname FROM pg_stat_activity WHERE application_name LIKE 'psh:%%/load' AND starts_with(datname, %s))
"""


def at_work(project: Project, process: object, server: psycopg.Connection) -> str:
    """Wait until the users of the run have done something; gives the beginning of its databases' names."""

    def run() -> str:
        assert process.poll() is None, process.communicate()[0]  # type: ignore[attr-defined]
        latest = project.path / "results" / "latest"
        name = f"psh_{latest.resolve().name}_" if latest.exists() else ""
        found = server.execute(SESSIONS, (name,)).fetchone() if name else None
        return name if found == (4,) and (server.execute(BUSY, (name,)).fetchone() or (0,))[0] > 100 else ""

    return eventually(run, "users are at work", 40)


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_in_the_middle_it_leaves_no_process_and_no_session(project: Project, processes: int) -> None:
    moves(project, seconds=120)
    process = project.start("-m", "load", f"--processes={processes}")
    with psycopg.connect(project.urls["PROMPTADS_URL"], autocommit=True) as server:
        beginning = at_work(project, process, server)
        everybody = family(psutil.Process(process.pid))
        assert len(everybody) >= 2 + (processes if processes > 1 else 0)
        kill(process, all_of_it=False)  # nobody tells the others
        eventually(lambda: gone(everybody), "no process of the run is left", 15)
        eventually(lambda: server.execute(SESSIONS, (beginning,)).fetchone() == (0,), "its sessions have ended", 10)
        # Its databases go with the next run that comes to the server.
        moves(project)
        project.run("-m", "load").assert_outcomes(passed=1)
        left = server.execute(
            "SELECT count(*) FROM pg_database WHERE starts_with(datname, %s)", (beginning,)
        ).fetchone()
        assert left == (0,)


@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_ends_cleanly_and_what_came_is_kept(project: Project, processes: int) -> None:
    moves(project, seconds=120)
    process = project.start("-m", "load", f"--processes={processes}")
    with psycopg.connect(project.urls["PROMPTADS_URL"], autocommit=True) as server:
        beginning = at_work(project, process, server)
        everybody = family(psutil.Process(process.pid))
        said = kill(process, signal.SIGINT)
        assert process.returncode == pytest.ExitCode.INTERRUPTED
        assert "Traceback" not in said
        eventually(lambda: gone(everybody), "no process of the run is left", 10)
        left = server.execute(
            "SELECT count(*) FROM pg_database WHERE starts_with(datname, %s)", (beginning,)
        ).fetchone()
        assert left == (0,)
    (load,) = read_results(project.path / "results" / "latest")
    assert load.notes == ["ended by Ctrl-C"]
    assert sum(one.done for one in load.requests) > 0
    assert json.loads((project.path / "results" / "latest" / "run.json").read_text("utf-8"))["cases"] == []
