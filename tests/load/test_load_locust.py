"""Locust as its users know it: ``locust -f harness/load/locustfile.py``, headless, over processes, with its web page."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from polling import eventually

import harness
from fixtures.databases import Database
from harness.load.result import LoadResult, read_results
from harness.servers.urls import VARIABLE

FILE = Path(harness.__file__).parent / "load" / "locustfile.py"
FILES = Path(harness.__file__).parent.parent / "scenarios" / "load"

MOVES = """
title: Money between a few budgets
load:
  users: {planner: {weight: 1, tasks: {%(task)s: 1}, among: %(among)s}}
  count: %(count)s
  seconds: %(seconds)s
  arrivals: %(arrivals)s
  retry: {tries: 50, first: 0.01, most: 0.1}
"""


def moves(
    folder: Path,
    among: int = 10,
    count: int = 6,
    seconds: int = 2,
    arrivals: str = "closed",
    task: str = "move budget",
) -> str:
    file = folder / "moves.yaml"
    said = {"among": among, "count": count, "seconds": seconds, "arrivals": arrivals, "task": task}
    file.write_text(MOVES % said, "utf-8")
    return str(file)


class Locust:
    """Locust in a folder, on the databases of a test."""

    def __init__(self, folder: Path, databases: list[Database]) -> None:
        self.folder = folder
        self.environ = {name: value for name, value in os.environ.items() if name not in VARIABLE.values()}
        self.environ |= {VARIABLE[one.logical]: one.url for one in databases}
        self.environ |= {"PROMPTSALES_SERVERS": "external"}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        if "--processes" in arguments:
            port = str(free_port())
            arguments += ("--master-bind-port", port, "--master-port", port, "--master-bind-host", "127.0.0.1")
        process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(FILE), *arguments],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def result(self) -> LoadResult:
        (result,) = read_results(self.folder / "results" / "latest")
        return result

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout:
                process.stdout.close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def ads(promptads_db: Database, tmp_path: Path) -> Iterator[Locust]:
    made = Locust(tmp_path, [promptads_db])
    yield made
    made.end()


def total(database: Database) -> Any:
    return database.connect().execute("SELECT sum(amount) FROM budget").fetchone()[0]


@pytest.mark.data("tiny")
def test_two_processes_count_what_the_server_counts(ads, promptads_db, tmp_path):
    """Deadlocks, above all: one is refused for each that PostgreSQL says it has broken, and none is hidden."""
    before = total(promptads_db)
    arguments = ("--scenario", moves(tmp_path), "--headless", "--processes", "2", "--csv", "mine")
    code, said = ads.run(*arguments)
    assert code == 0, said
    result = ads.result()
    assert (result.processes, result.notes) == (2, [])
    (one,) = result.requests
    assert (one.name, one.database) == ("move budget", "promptads@postgresql-standin")
    assert one.failed == {}
    assert one.done == sum(second.done for second in one.seconds)
    with psycopg.connect(promptads_db.url) as connection:
        ask = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert connection.execute(ask).fetchone() == (one.retried.get("deadlock", 0),)
    assert one.retried.get("deadlock", 0) > 0
    assert total(promptads_db) == before
    assert max(users.users for users in result.users) == 6
    # Locust's own files and table say the same.
    rows = (tmp_path / "mine_stats.csv").read_text("utf-8").splitlines()
    assert any(row.startswith(f"postgresql,move budget,{one.done},0,") for row in rows)
    assert "move budget: deadlock" in said
    run = json.loads((tmp_path / "results" / "latest" / "run.json").read_text("utf-8"))
    assert run["cases"] == []
    assert (tmp_path / "results" / "latest" / "report.html").stat().st_size > 1000


@pytest.mark.data("tiny")
def test_a_worker_hears_the_plan_from_its_master(ads, tmp_path):
    """As on two machines: the master knows no database, the worker no load file."""
    port = str(free_port())
    master = Locust(tmp_path, [])
    there = ("--master-port", port)
    worker = ads.start("--worker", "--master-host", "127.0.0.1", *there)
    code, said = master.run(
        "--scenario", moves(tmp_path, count=5), "--headless", "--master", "--expect-workers", "1",
        "--master-bind-host", "127.0.0.1", "--master-bind-port", port,
    )  # fmt: skip
    worker.wait(timeout=30)
    assert code == 0, said
    result = master.result()
    assert [one.name for one in result.requests] == ["move budget"]  # the plan's only task, not all a planner does
    assert max(users.users for users in result.users) == 5
    assert not (ads.folder / "results" / "latest" / "load" / "locust").exists()


@pytest.mark.data("tiny")
def test_a_worker_that_dies_is_said(ads, promptads_db, tmp_path):
    process = ads.start("--scenario", moves(tmp_path, among=20, seconds=8), "--headless", "--processes", "2")
    master = psutil.Process(process.pid)
    workers = eventually(lambda: _workers(master, promptads_db), "both workers have sessions")
    workers[0].kill()
    said, _ = process.communicate(timeout=60)
    result = ads.result()
    assert [note for note in result.notes if "was lost" in note], said
    assert result.requests[0].done > 0


def _workers(master: psutil.Process, database: Database) -> list[psutil.Process]:
    workers = [one for one in master.children() if "harness.monitor" not in " ".join(one.cmdline())]
    with psycopg.connect(database.url) as connection:
        ask = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%/load'"
        (sessions,) = connection.execute(ask).fetchone() or (0,)
    return workers if len(workers) == 2 and sessions >= 6 else []


@pytest.mark.data("tiny")
def test_killed_in_the_middle_it_leaves_no_process_and_no_session(ads, promptads_db, tmp_path):
    process = ads.start("--scenario", moves(tmp_path, among=20, seconds=60), "--headless", "--processes", "2")
    master = psutil.Process(process.pid)
    eventually(lambda: _workers(master, promptads_db), "both workers have sessions")
    everybody = [master, *master.children(recursive=True)]
    master.kill()
    process.wait()
    eventually(lambda: not any(_alive(one) for one in everybody), "no process is left", 15)
    ask = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'psh:%'"
    with psycopg.connect(promptads_db.url, autocommit=True) as connection:
        eventually(lambda: connection.execute(ask).fetchone() == (0,), "no session is left", 15)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@pytest.mark.data("tiny")
@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_ends_cleanly_and_what_came_is_kept(ads, promptads_db, tmp_path, processes):
    more = ("--processes", "2") if processes > 1 else ()
    process = ads.start("--scenario", moves(tmp_path, among=20, seconds=60), "--headless", *more)
    ask = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%/load'"
    with psycopg.connect(promptads_db.url, autocommit=True) as connection:
        eventually(lambda: connection.execute(ask).fetchone() == (6,), "users are at work")
        changed = "SELECT n_tup_upd > 20 FROM pg_stat_user_tables WHERE relname = 'budget'"
        eventually(lambda: connection.execute(changed).fetchone() == (True,), "they have done something")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    said, _ = process.communicate(timeout=30)
    assert "Traceback" not in said, said
    result = ads.result()
    assert result.requests[0].done > 0, said
    assert result.seconds < 60


@pytest.mark.data("tiny")
def test_the_open_loop_is_split_over_workers_and_none_is_dropped(ads, tmp_path):
    file = moves(tmp_path, among=100, count=8, seconds=3, arrivals="{open: 100}")
    code, said = ads.run("--scenario", file, "--headless", "--processes", "2")
    assert code == 0, said
    result = ads.result()
    assert result.arrivals == "open"
    assert result.intended is not None
    assert 150 <= result.intended <= 400  # 100 a second for 3 s, by chance; less what connecting took
    (one,) = result.requests
    unbegun = sum(int(note.split()[0]) for note in result.notes if "had not begun" in note)
    assert one.done + unbegun == result.intended, result.notes


@pytest.mark.data("tiny")
def test_a_stall_counts_for_all_that_should_have_begun_meanwhile(ads, promptads_db, tmp_path):
    """A lock held on every budget: from the intended start many were slow, from the real one only those who were in it."""
    file = moves(tmp_path, count=4, seconds=6, arrivals="{open: 60}", task="campaign budgets")
    process = ads.start("--scenario", file, "--headless")
    there = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%/load' AND datname = current_database()"
    )
    with psycopg.connect(promptads_db.url) as holder, psycopg.connect(promptads_db.url, autocommit=True) as looker:
        asked = "SELECT sum(seq_scan + idx_scan) > 50 FROM pg_stat_user_tables WHERE relname = 'campaign'"
        eventually(lambda: looker.execute(asked).fetchone() == (True,), "users are at work")
        holder.execute("LOCK TABLE budget IN ACCESS EXCLUSIVE MODE")
        waiting = f"{there} AND wait_event_type = 'Lock'"
        eventually(lambda: looker.execute(waiting).fetchone() == (4,), "all users wait")
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > 1, "a second has passed")
        holder.rollback()
        held = 1000 * (time.monotonic() - began)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    result = ads.result()
    (one,) = result.requests
    assert one.most >= held
    assert result.late >= 30  # the 60 of that second, less those who were let in
    assert one.service, "intended and real start differ"
    assert one.percentiles["90"] > 2 * one.service["90"]  # many were late without having waited for the lock themselves


@pytest.mark.data("tiny")
def test_classes_and_tags_choose(ads, tmp_path):
    code, said = ads.run("--headless", "-u", "2", "-r", "2", "-t", "1s", "Planner", "--tags", "read")
    assert code == 0, said
    assert [one.name for one in ads.result().requests] == ["campaign budgets"]
    assert ads.result().name == "locust"
    code, said = ads.run("--list")  # those whose databases are there
    assert "Planner" in said.split()
    assert "Seller" not in said.split()


def test_an_empty_database_is_told_in_a_line(ads, tmp_path):
    code, said = ads.run("--scenario", moves(tmp_path), "--headless", "-t", "1s")
    assert code == 1
    assert "promptads@postgresql-standin has no budget: fill the databases with 'harness seed small'" in said
    assert "Traceback" not in said, said


def test_a_database_without_tables_is_told_in_the_same_words(ads, promptads_db, tmp_path):
    with psycopg.connect(promptads_db.url) as connection:
        connection.execute("DROP TABLE budget CASCADE")
    code, said = ads.run("--scenario", moves(tmp_path), "--headless", "-t", "1s")
    assert code == 1
    assert "promptads@postgresql-standin has no tables of PromptSales: fill the databases with 'harness seed" in said
    assert "Traceback" not in said, said


def test_a_database_that_is_not_there_is_told_before_anything_starts(tmp_path):
    made = Locust(tmp_path, [])
    code, said = made.run("--scenario", moves(tmp_path), "--headless")
    assert code == 3
    assert said == "harness: promptads: no URL given (or give a URL: PROMPTADS_URL)\n"
    code, said = made.run("--list")
    assert code == 0
    assert {"Seller", "Planner", "Analyst", "Visitor", "Editor", "Searcher"} <= set(said.split())
    made.end()


def test_a_wrong_file_is_told_with_its_place(tmp_path):
    made = Locust(tmp_path, [])
    file = Path(moves(tmp_path))
    file.write_text(file.read_text("utf-8").replace("planner", "plannner"), "utf-8")
    code, said = made.run("--scenario", str(file), "--headless")
    made.end()
    assert code == 2
    assert said.startswith(f"harness: {file}:4:11: unknown kind of user 'plannner', did you mean 'planner'?")


@pytest.mark.data("tiny")
def test_the_web_page_starts_a_test_and_another_one(ads, tmp_path):
    port = free_port()
    page = f"http://127.0.0.1:{port}"
    process = ads.start("--scenario", moves(tmp_path), "--web-host", "127.0.0.1", "--web-port", str(port))

    def ask(path: str, form: dict[str, str] | None = None) -> Any:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"{page}{path}", data, timeout=10) as answer:
            return answer.read().decode()

    def there() -> bool:
        assert process.poll() is None, process.communicate()[0]
        try:
            return "Locust" in ask("/")
        except OSError:
            return False

    def at_work() -> bool:
        said = json.loads(ask("/stats/requests"))
        return said["state"] == "running" and said["stats"][0]["num_requests"] > 0

    eventually(there, "the page is there")
    for _ in range(2):
        ask("/swarm", {"user_count": "3", "spawn_rate": "3"})
        eventually(at_work, "requests are shown")
        ask("/stop", {})
        eventually(lambda: json.loads(ask("/stats/requests"))["state"] == "stopped", "it has stopped")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    results = read_results(tmp_path / "results" / "latest")
    assert [one.name for one in results] == ["moves", "moves-2"], said
    assert all(one.requests and one.requests[0].done > 0 for one in results), (said, results)
