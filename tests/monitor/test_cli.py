"""``harness monitor`` and ``harness run --monitor``, as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from rich.console import Console
from stopping import hears_ctrl_c

from harness.monitor.series import read_series
from harness.monitor_cli import line, spelled_out, table
from harness.servers.base import Target
from harness.servers.urls import VARIABLE

PROJECT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

SCENARIO = """
title: Reads one row
marks: [deadlock]
database: promptsales
setup: ["CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 10)"]
sessions: {T1: {steps: {look: {run: SELECT v FROM t}}}}
expect: {postgresql: {any: {}}}
"""


def environment(postgres: Target) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLE.values()}
    return clean | {"PYTHONPATH": str(PROJECT), "FORCE_COLOR": "", "PROMPTSALES_URL": postgres.url, "TZ": "UTC"}


@pytest.fixture
def cli(postgres: Target, tmp_path: Path) -> Run:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "harness.cli", *arguments],
            cwd=tmp_path, env=environment(postgres), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout
        return done

    return run


def test_without_keep_nothing_is_kept(cli: Run, tmp_path: Path) -> None:
    assert cli("monitor", "promptsales", "--for", "0.1s", "--interval", "0.05").returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["promptsale"], "there is no database 'promptsale', did you mean 'promptsales'?", 2),
        (["cache"], "cache: not up: start it with 'harness up'", 3),
        (["--for", "soon"], "--for soon: write how long, as 30s, 5m or 1h", 2),
        (["--interval", "0"], "--interval 0: seconds between two samples are 0.05 to 3600", 2),
        (["--prometheus", "localhost"], "--prometheus localhost: that is no port", 3),
    ],
)
def test_what_cannot_be_is_one_line(cli: Run, arguments: list[str], said: str, code: int) -> None:
    done = cli("monitor", *arguments)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode == code


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_in_a_pipe_there_are_lines_until_ctrl_c(postgres: Target, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "monitor", "--interval", "0.05", "--keep"],
        cwd=tmp_path, env=environment(postgres), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=hears_ctrl_c,
    )  # fmt: skip
    assert process.stdout
    lines: list[str] = []
    for text in process.stdout:
        lines += [text] if " promptsales@postgresql active=" in text else []
        if len(lines) == 2:
            break
    assert " waiting=0 " in lines[0]
    assert "transactions=" in lines[1]
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert "monitor: 1 server and this machine every 0.05 s, " in output
    assert "Traceback" not in errors
    assert process.returncode == 0
    (run,) = (tmp_path / "results").iterdir()
    assert f"kept in results/{run.name}/monitor" in output
    assert [series.name for series in read_series(run)] == ["promptsales", "host"]
    with psycopg.connect(postgres.url) as admin:
        assert not admin.execute("SELECT 1 FROM pg_roles WHERE rolname LIKE 'psh%%monitor%%'").fetchall()


def test_a_run_may_be_watched(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(SCENARIO)
    done = cli("run", "-q", "--monitor", "one.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "monitor: 1 server and this machine every 1 s, " in done.stdout
    (run,) = [path for path in (tmp_path / "results").iterdir() if path.name != "latest"]
    assert [series.name for series in read_series(run)] == ["promptsales", "host"]
    wrong = cli("run", "--monitor=soon", "one.yaml")
    assert "--monitor soon: that is no number of seconds" in wrong.stderr


ROW = {
    "name": "promptsales",
    "label": "promptsales@postgresql, promptads@postgresql-standin",
    "at": 1767225601.0,
    "values": {
        "active": 3.0,
        "waiting": 2.0,
        "idle": 1.0,
        "transactions": 1234.5,
        "cache_hit": 99.5,
        "deadlocks": None,
    },
    "waits": {"Lock:tuple": 1.0, "Lock:transactionid": 2.0},
}


def test_a_row_as_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert line(ROW) == (
        "00:00:01 promptsales@postgresql+promptads@postgresql-standin active=3 waiting=2 idle=1 transactions=1234 "
        "cache_hit=99.5 waits: Lock:transactionid 2, Lock:tuple 1"
    )


def test_rows_as_a_table() -> None:
    host = {"name": "host", "label": "this machine", "at": 1.0, "values": {"cpu": 51.2}, "waits": {}}
    dead = {"name": "cache", "label": "cache@redis", "at": 1.0, "values": {"active": None}, "waits": {}}
    console = Console(file=StringIO(), width=150)
    console.print(table({"host": host, "promptsales": ROW, "cache": dead}))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    first, second, third, fourth, fifth = text.splitlines()
    assert (
        " ".join(first.split()) == "database active waiting idle locks waited for deadlocks tx, ops/s hit % cpu waits"
    )
    assert second.split()[:6] == ["promptsales@postgresql", "3", "2", "1", "1,234", "100"]
    assert "Lock:transactionid 2, Lock:tuple 1" in second
    assert third.strip() == "promptads@postgresql-standin"
    assert fourth.split() == ["cache@redis", "no", "answer"]
    assert fifth.split() == ["this", "machine", "51", "%"]


def test_a_bare_option_takes_no_file_for_its_value() -> None:
    assert spelled_out(["run", "--monitor", "x.yaml"]) == ["run", "--monitor=1", "x.yaml"]
    assert spelled_out(["run", "x.yaml", "--monitor"]) == ["run", "x.yaml", "--monitor=1"]
    assert spelled_out(["run", "--monitor", ".5", "x.yaml"]) == ["run", "--monitor", ".5", "x.yaml"]
    assert spelled_out(["run", "--monitor=2"]) == ["run", "--monitor=2"]
