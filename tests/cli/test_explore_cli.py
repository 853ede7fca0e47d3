"""``harness explore``, as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from polling import eventually
from stopping import hears_ctrl_c

from .conftest import PROJECT, Run, environment

EXAMPLE = PROJECT / "docs" / "examples" / "explore" / "transfer.yaml"

MEETING = """
title: Two that meet in one step
database: promptsales
levels: {postgresql: read committed}
setup: ["CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)"]
items: {third: SELECT v FROM t WHERE id = 3}
sessions:
  T1: {steps: {own_1: UPDATE t SET v = 1 WHERE id = 1, met_1: UPDATE t SET v = v + 10 WHERE id = 3}}
  T2: {steps: {own_2: UPDATE t SET v = 1 WHERE id = 2, met_2: UPDATE t SET v = v + 20 WHERE id = 3}}
schedules: reduced
expect: {postgresql: {finds: nothing, final: {third: 30}}}
"""

ASLEEP = """
title: It sleeps
database: promptsales
deadline: 600
case_deadline: 600
sessions:
  T1: {steps: {quick_1: SELECT 1}}
  T2: {steps: {quick_2: SELECT 2, sleep_2: SELECT pg_sleep(300)}}
schedule: [quick_1, quick_2]
expect: {postgresql: {finds: nothing}}
"""


@pytest.fixture
def meeting(tmp_path: Path) -> Path:
    file = tmp_path / "meeting.yaml"
    file.write_text(MEETING, "utf-8")
    return file


def results(tmp_path: Path) -> Path:
    return (tmp_path / "results" / "latest").resolve()


def test_one_of_each_class_is_run_and_the_rest_counted(cli: Run, meeting: Path, tmp_path: Path) -> None:
    done = cli("explore", meeting.name)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    found = re.fullmatch(
        r"6 interleavings; (\d) run; (\d) spared \(they differ only in the order of steps that cannot conflict\)",
        lines[1],
    )
    assert found
    assert int(found[1]) + int(found[2]) == 6
    assert int(found[2]) > 0
    assert re.fullmatch(r"none failing; .* a second", lines[2])
    assert any(line.split() == ["one", "outcome", "in", found[1], "interleavings"] for line in lines)
    assert re.search(r"met_1 – met_2 +met_1 writes db\.t row 3, met_2 writes db\.t row 3", done.stdout)
    (file,) = results(tmp_path).glob("exploration-*.json")
    assert json.loads(file.read_text("utf-8"))["spared"] == int(found[2])
    assert f"all of it: results/{results(tmp_path).name}/{file.name}" in done.stdout
    assert done.stderr == ""


def test_what_fails_is_made_small_and_its_file_passes(cli: Run, tmp_path: Path) -> None:
    done = cli(
        "explore", EXAMPLE, "--level", "read committed", "--schedules", "random", "--max-schedules", 6, "-n", 2,
        "--write", "kept/small.yaml",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "280 interleavings; 6 run, drawn at random with seed 1" in done.stdout
    assert "→ 2 sessions, 6 steps, 2 switches" in done.stdout
    assert "written to kept/small.yaml; replayed: the same" in done.stdout
    assert "run it: harness run kept/small.yaml" in done.stdout
    text = (tmp_path / "kept" / "small.yaml").read_text("utf-8")
    assert "blocks: [" in text  # who waited, or that nobody did, is said
    again = cli("run", "kept/small.yaml", "--quiet")
    assert again.returncode == 0, again.stdout
    assert "✓ small[promptsales@postgresql-read_committed-smallest]: lost update, as expected" in again.stdout
    run = json.loads((results(tmp_path) / "run.json").read_text("utf-8"))
    assert len(run["cases"]) == 1


def test_a_proof(cli: Run, meeting: Path) -> None:
    done = cli("explore", meeting.name, "--prove", "--no-server", "-n", 2)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^proved: none of the \d spared interleavings behaved differently: 6 run, \d classes$", done.stdout, re.M
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.yaml"], "harness: nowhere.yaml: there is no such file or folder"),
        (["bad.yaml"], "harness: bad.yaml:1:1: "),
        (["meeting.yaml", "--schedules", "some"], "harness: --schedules some: it is one of all, reduced, random"),
        (["meeting.yaml", "--prove", "--schedules", "all"], "harness: --prove shows what --schedules reduced spares"),
        (
            ["meeting.yaml", "--prove", "--max-schedules", "5"],
            "--prove runs all 6 interleavings, and at most 5 may be run",
        ),
        (["meeting.yaml", "--level", "snapshot"], "it does not run at 'snapshot': read committed"),
        (["meeting.yaml", "--on", "promptads"], "it does not run on 'promptads': promptsales"),
        (["meeting.yaml", "--write", "meeting.yaml"], "this is the scenario that is explored: give another file"),
        (["meeting.yaml", "--write", "bad.yaml"], "--write bad.yaml: it is there already, and is none of ours"),
        (["meeting.yaml", "--write", "."], "--write .: this is a folder: name a file in it"),
        (["meeting.yaml", "--write", "bad.yaml/x"], "--write bad.yaml/x: File exists: give another file"),
        (["meeting.yaml", "--prove", "--first"], "--prove runs all interleavings, --first stops early"),
    ],
    ids=[
        "missing",
        "bad",
        "kind",
        "prove all",
        "prove some",
        "level",
        "database",
        "itself",
        "other",
        "folder",
        "no folder",
        "first",
    ],
)
def test_what_cannot_be_explored_is_one_line(
    cli: Run, meeting: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "bad.yaml").write_text("sessions: 3\n", "utf-8")
    done = cli("explore", *arguments)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert meeting.read_text("utf-8") == MEETING


def test_what_declares_something_else_is_left_out(cli: Run, meeting: Path, tmp_path: Path) -> None:
    (tmp_path / "load.yaml").write_text("title: load\nload: {}\n", "utf-8")
    done = cli("explore", ".", "--schedules", "all", "--max-schedules", 2)
    assert done.returncode == 0, done.stderr
    assert "- load.yaml: declares load, which has no schedules" in done.stdout
    assert "6 interleavings; 2 run" in done.stdout
    assert "only the first 2 of them were run" in done.stdout
    alone = cli("explore", "load.yaml")
    assert alone.returncode == 2
    assert "load.yaml: there is nothing to explore" in alone.stderr


def test_one_of_several_that_does_not_run_there_is_left_out(cli: Run, meeting: Path, tmp_path: Path) -> None:
    free = (
        MEETING.replace("T2: {steps: {own_2", "T9: {steps: {own_9").split("  T9")[0].replace("schedules: reduced", "")
    )
    (tmp_path / "free.yaml").write_text(
        free + "free_running: {workers: 2, iterations: 2}\nexpect: {postgresql: {finds: nothing}}\n", "utf-8"
    )
    (tmp_path / "other.yaml").write_text(MEETING.replace("database: promptsales", "database: promptads"), "utf-8")
    done = cli("explore", ".", "--on", "promptsales", "--schedules", "all")
    assert done.returncode == 0, done.stderr
    assert "- free.yaml: a free run has no schedules to explore" in done.stdout
    assert "- other.yaml: it does not run on 'promptsales': promptads" in done.stdout
    assert "6 interleavings; 6 run" in done.stdout


def test_one_that_cannot_be_set_up_does_not_keep_the_others_back(cli: Run, meeting: Path, tmp_path: Path) -> None:
    (tmp_path / "a_wrong.yaml").write_text(MEETING.replace("INSERT INTO t", "INSERT INTO nowhere"), "utf-8")
    done = cli("explore", "a_wrong.yaml", meeting.name)
    assert done.returncode == 1, done.stderr
    assert re.search(r"^✗ a_wrong\[promptsales@postgresql-read_committed\]: .*nowhere", done.stdout, re.M)
    assert "none failing" in done.stdout


# -- Ctrl-C, kill -9


@contextmanager
def exploring(tmp_path: Path, url: str, name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Explore a scenario of its own name: tests that share the server shall not take its sessions for theirs."""
    (tmp_path / f"{name}.yaml").write_text(ASLEEP, "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "explore", f"{name}.yaml", "--schedules", "all", *arguments],
        cwd=tmp_path,
        env=environment(PROMPTSALES_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_ctrl_c,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def asleep(process: subprocess.Popen[str], url: str, name: str, number: int) -> list[str]:
    """Wait until so many sessions of the scenario sleep; gives their databases."""
    ask = (
        "SELECT datname FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
        "AND application_name LIKE %s AND starts_with(datname, 'psh_')"
    )
    with psycopg.connect(url, autocommit=True) as server:

        def there() -> list[str]:
            assert process.poll() is None, process.communicate()
            rows = server.execute(ask, (f"psh:%/{name}/%",)).fetchall()
            return [str(row[0]) for row in rows] if len(rows) == number else []

        return eventually(there, "the steps sleep")


def left(url: str, database: str) -> list[str]:
    with psycopg.connect(url, autocommit=True) as server:
        beginning = "_".join(database.split("_")[:2])
        rows = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (f"{beginning}_",))
        return [str(row[0]) for row in rows]


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal")
@pytest.mark.parametrize(("processes", "to_all"), [(1, False), (2, False), (2, True)])
def test_ctrl_c_keeps_what_was_done(tmp_path: Path, url: str, processes: int, to_all: bool) -> None:
    name = f"interrupted_{processes}_{to_all}"
    with exploring(tmp_path, url, name, "-n", str(processes)) as process:
        databases = asleep(process, url, name, processes)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT) if to_all else process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, (stdout, stderr)
    assert "Traceback" not in stdout + stderr
    assert "interrupted: 0 of 3 were run" in stdout
    assert "harness: interrupted: 0 of 3 interleavings were run" in stderr
    (file,) = results(tmp_path).glob("exploration-*.json")
    assert json.loads(file.read_text("utf-8"))["interrupted"] is True
    eventually(lambda: not [one for one in children if one.is_running() and one.status() != psutil.STATUS_ZOMBIE])
    assert left(url, databases[0]) == []


@pytest.mark.skipif(os.name != "posix", reason="processes are killed by signals")
def test_the_processes_end_with_their_parent(tmp_path: Path, url: str) -> None:
    with exploring(tmp_path, url, "orphaned", "-n", "2") as process:
        databases = asleep(process, url, "orphaned", 2)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        eventually(lambda: not [one for one in children if one.is_running() and one.status() != psutil.STATUS_ZOMBIE])
    eventually(lambda: left(url, databases[0]) == [], "what they had made is dropped")
