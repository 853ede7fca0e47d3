"""Odd corners of isolation specifications: what the harness prints is what PostgreSQL's C program prints, to the byte.

Where the C program's output is a matter of luck (it looks every 10 ms) or where it never ends (COPY in a step; a step that
is blocked after it has begun to answer) there is no specification here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.history import RunEnd
from harness.runner import board, worker
from harness.servers.embedded import embedded_servers
from harness.servers.urls import VARIABLE
from harness.suite import Settings, Suite, new_run_id
from tests.specs.conftest import DATA, Both, Runner, isolationtester, well_formed

FILES = sorted(DATA.glob("*.spec"))
TOO_LONG = sorted((DATA / "too_long").glob("*.spec"))
"""A step of theirs is waited for until its time is up."""

ALONE = {"safe_snapshot"}
"""A safe snapshot is waited for until every serializable transaction of the server has ended, those of other tests too."""

SECONDS = 2


def without_pids(printed: str) -> str:
    """A notification that comes from no session has a process id in it."""
    return re.sub(r" from PID \d+$", " from PID", printed, flags=re.MULTILINE)


def the_same(made: Both) -> None:
    assert without_pids(made.here.output).split("\n") == without_pids(made.printed).split("\n")
    ends = [evidence.history.end for evidence in made.evidences]
    assert (ends[-1] is RunEnd.completed) == (made.code == 0)
    assert set(ends[:-1]) <= {RunEnd.completed}
    if made.code:
        assert made.here.problem.startswith(made.here.permutations[-1].case.schedule.name)
    for evidence in made.evidences:
        well_formed(evidence)


def test_the_same_where_time_is_up(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them at once, each in a run of its own: they only wait."""
    monkeypatch.setattr(board, "CANCEL_GRACE", 0.1)  # what cannot be cancelled is given up soon
    monkeypatch.setattr(worker, "STOP_GRACE", 0.1)
    program, url = isolationtester(), suite.servers.target("promptsales").url

    def run(file: Path) -> Both:
        folder = tmp_path / file.stem
        folder.mkdir()
        environ = {VARIABLE["promptsales"]: url}
        own = Suite(Settings(root=folder, results=folder / "results", mode="external", environ=environ))
        runner = Runner(own, program, folder)
        try:
            return runner.at_once(file, SECONDS)
        finally:
            runner.close()
            own.close()

    with ThreadPoolExecutor(len(TOO_LONG)) as pool:
        for made in pool.map(run, TOO_LONG):
            the_same(made)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """On a server that is nobody else's."""
    program, folder = isolationtester(), tmp_path_factory.mktemp("alone")
    servers = embedded_servers(new_run_id(), os.getpid())
    environ = {VARIABLE["promptsales"]: servers.target("promptsales").url}
    own = Suite(Settings(root=folder, results=folder / "results", mode="external", environ=environ))
    runner = Runner(own, program, folder)
    yield runner
    runner.close()
    own.close()
    servers.stop()


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_the_same(request: pytest.FixtureRequest, file: Path) -> None:
    runner: Runner = request.getfixturevalue("alone" if file.stem in ALONE else "both")
    made = runner(file)
    the_same(made)
    if made.code == 0 and without_pids(made.printed) == made.printed:
        assert made.here.problem == ""
