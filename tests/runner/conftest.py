from __future__ import annotations

import itertools
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from leftovers import Server, databases, own, sessions
from polling import eventually

from harness.evidence.model import Evidence
from harness.evidence.verdict import judge
from harness.history import ENDINGS, Event, EventKind, History
from harness.runner.case import run_case
from harness.runner.remote.places import Hosts
from harness.runner.remote.specs import host_specs
from harness.runner.worker import ThreadWorker
from harness.scenario.cases import cases
from harness.scenario.load import load
from harness.scenario.model import Case
from harness.suite import Settings, Suite

_numbers = itertools.count(1)

TABLE = """
title: A test
database: promptsales
setup:
  - CREATE TABLE t (id int PRIMARY KEY, v int)
  - INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)
expect: {postgresql: {any: {}}}
"""
"""The head of most scenarios here: one table, three rows, and nothing that must be found."""


class Play:
    """Writes a scenario, runs its cases on the run's servers, keeps nothing under results/."""

    hosts: Hosts | None = None  # the machines that sessions run on; here, if there are none

    def __init__(self, suite: Suite, folder: Path) -> None:
        self.suite = suite
        self.folder = folder

    def cases(self, text: str | Path, **parameters: object) -> list[Case]:
        file = text
        if isinstance(text, str):
            file = self.folder / f"case_{next(_numbers)}.yaml"
            file.write_text(textwrap.dedent(text), "utf-8")
        scenario = load(Path(file), {name: str(value) for name, value in parameters.items()})
        return [case for case in cases(scenario, self.suite.servers.describe) if not case.reason]

    def __call__(self, text: str | Path, **parameters: object) -> Evidence:
        case = self.cases(text, **parameters)[0]
        history = run_case(case, self.suite.databases, self.hosts)
        assert History.model_validate_json(history.model_dump_json()) == history
        well_formed(history)
        verdict = judge(history, case.expectation)
        return Evidence(history=history, verdict=verdict)

    def table(self, rest: str, **parameters: object) -> Evidence:
        """Run :data:`TABLE` with ``rest`` added."""
        return self(TABLE + textwrap.dedent(rest), **parameters)


def well_formed(history: History) -> None:
    """Whatever happened: numbers rise, times too, and what began has ended exactly once."""
    numbers = [event.seq for event in history.events]
    assert numbers == sorted(set(numbers))
    assert [event.at for event in history.events] == sorted(event.at for event in history.events)
    begun: set[tuple[str, str, int]] = set()
    for event in history.events:
        key = (event.session, event.step, event.attempt)
        if event.kind is EventKind.start:
            assert key not in begun
            begun.add(key)
        elif event.kind is not EventKind.skipped:
            assert key in begun, event
            if event.kind in ENDINGS:
                begun.remove(key)
    assert not begun, "begun and never ended"


def of(evidence: Evidence, step: str, *kinds: EventKind) -> list[Event]:
    return [event for event in evidence.history.events if event.step == step and (not kinds or event.kind in kinds)]


def end_of(evidence: Evidence, step: str) -> Event:
    (event,) = of(evidence, step, *ENDINGS)
    return event


def endings(evidence: Evidence) -> list[str]:
    """The steps in the order of their endings."""
    return [event.step for event in evidence.history.events if event.kind in ENDINGS]


@pytest.fixture
def play(suite: Suite, tmp_path: Path) -> Play:
    return Play(suite, tmp_path)


@pytest.fixture(params=["sockets", "threads", "agents"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, agents: Hosts) -> str:
    """All ways of driving a session: by its socket; as where the driver only blocks, by a thread; by another process."""
    kind: str = request.param
    if kind == "threads":
        monkeypatch.setattr("harness.runner.case.worker_for", ThreadWorker)
    if kind == "agents":
        monkeypatch.setattr(Play, "hosts", agents)
    return kind


@pytest.fixture(scope="session")
def agents() -> Iterator[Hosts]:
    """Two agents, in processes of their own on this machine."""
    hosts = Hosts(host_specs(["id=pc1//popen", "id=pc2//popen"]))
    hosts.connect()
    yield hosts
    hosts.close()


@pytest.fixture
def server(suite: Suite) -> Iterator[Server]:
    """A look at the server beside the harness."""
    with psycopg.connect(suite.servers.target("promptsales").url, autocommit=True) as connection:
        yield connection


@pytest.fixture(autouse=True)
def nothing_stays(suite: Suite, request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test: no thread, session or database of the harness more than before it.

    Before it there may be those that other tests of the process share, and templates.
    """
    if "agents" in request.fixturenames:  # they have threads, and stay
        request.getfixturevalue("agents")
    threads = set(threading.enumerate())
    url = suite.servers.target("promptsales").url
    with psycopg.connect(url, autocommit=True) as connection:
        connected, there = sessions(connection, suite), set(databases(connection, own(suite)))
        yield
        eventually(lambda: set(threading.enumerate()) <= threads, "all threads have ended")
        eventually(lambda: sessions(connection, suite) <= connected, "all sessions are closed")
        assert set(databases(connection, own(suite))) <= there | suite.databases.templates


@pytest.fixture
def own_suite(suite: Suite, tmp_path: Path) -> Iterator[Suite]:
    """A run of its own, with results of its own, on the PostgreSQL server of the tests' run."""
    environ = {"PROMPTSALES_URL": suite.servers.target("promptsales").url}
    made = Suite(Settings(root=tmp_path, results=tmp_path / "results", mode="external", environ=environ))
    yield made
    made.close()
