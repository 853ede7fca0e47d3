"""What is kept of a specification's permutations, beside what they print; and that nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from polling import eventually

from harness.evidence.model import Detector, Evidence
from harness.history import ENDINGS, EventKind, Phase
from harness.servers.urls import VARIABLE
from harness.specs import SpecResult, Specs
from harness.suite import Suite
from tests.specs.conftest import DATA, of, well_formed

Run = Callable[..., SpecResult]


@pytest.fixture
def run(apart: Suite, tmp_path: Path) -> Iterator[Run]:
    """Run a specification, a file or a text, without the C program."""
    specs = Specs(apart, tmp_path, timeout=10)

    def run(spec: Path | str) -> SpecResult:
        if isinstance(spec, str):
            (tmp_path / "written.spec").write_text(spec, "utf-8")
            spec = tmp_path / "written.spec"
        result = specs.run(specs.read(spec))
        for permutation in result.permutations:
            well_formed(permutation.result.evidence)
        return result

    yield run
    specs.close()


def evidences(result: SpecResult) -> list[Evidence]:
    return [permutation.result.evidence for permutation in result.permutations]


def test_a_deadlock_has_a_victim_and_a_cycle(run: Run) -> None:
    two, three, *_ = evidences(run(DATA / "deadlock.spec"))
    for evidence, cycle, waits in (
        (two, {"s1", "s2"}, {("s1", "s2"), ("s2", "s1")}),
        (three, {"s1", "s2", "s3"}, {("s1", "s2"), ("s2", "s3"), ("s3", "s1")}),
    ):
        (deadlock,) = evidence.verdict.deadlocks
        assert deadlock.victim == "s2"
        assert set(deadlock.cycle) == cycle
        assert {(wait.waiter, wait.holder) for wait in deadlock.waits} == waits
        assert (deadlock.ended_by, deadlock.code) == (Detector.server, "40P01")
        assert deadlock.picture in [picture.seq for picture in evidence.history.pictures]
    assert [one.victim_step for one in (two.verdict.deadlocks[0], three.verdict.deadlocks[0])] == ["d2", "b2"]


def test_who_waits_and_for_whom(run: Run) -> None:
    first, *_ = evidences(run(DATA / "chain.spec"))
    blocked = {event.step: event for event in of(first, EventKind.blocked)}
    assert {step: event.waits_for for step, event in blocked.items()} == {
        "w1b": ["b"],
        "w2b": ["w1"],
        "w3b": ["w2"],
    }
    texts = [event.text for event in blocked.values()]
    assert all("transaction" in text for text in texts), texts
    ended = [event.step for event in of(first, *ENDINGS) if event.phase is Phase.schedule]
    assert ended == ["b1", "w1a", "w2a", "bc", "w1b", "w1c", "w2b", "w2c", "w3b", "w3r"]


def test_a_wait_that_only_a_marker_makes_is_not_the_servers(run: Run) -> None:
    result = run("session s1 step a { SELECT 1; } session s2 step b { SELECT 2; } permutation a(*) b(a)")
    (evidence,) = evidences(result)
    assert of(evidence, EventKind.blocked) == []
    assert [(event.step, event.text) for event in of(evidence, EventKind.held)] == [
        ("a", "held back at the first look"),
        ("b", "held back by a"),
    ]


def test_notifications_stand_at_the_step_that_heard_them(run: Run) -> None:
    result = run(
        "session s1 step l { LISTEN a; } step x { SELECT 1; } teardown { SELECT 1; }\n"
        "session s2 step n { NOTIFY a, 'p'; }\npermutation l n\npermutation x\n"
    )
    first, second = evidences(result)
    assert of(first, EventKind.notification) == []
    (heard,) = of(second, EventKind.notification)
    assert (heard.step, heard.text) == ("x", 'NOTIFY "a" with payload "p" from s2')


def test_an_empty_set_up_is_told_in_words(run: Run) -> None:
    result = run("setup { } session s1 step a { SELECT 1; } permutation a permutation a")
    assert len(result.permutations) == 1
    assert "set-up fails on" in result.problem
    assert "there is no command in it" in result.problem


def test_bytes_that_are_no_utf_8_do_not_end_the_run(run: Run) -> None:
    """The C program writes them as they are; JSON cannot."""
    result = run(
        "session s1\nstep a { SET client_encoding = 'LATIN1'; SELECT chr(228) AS x, 'b' AS y; }\n"
        "step b { DO $x$ BEGIN RAISE NOTICE '%', chr(228); RAISE EXCEPTION '%', chr(228); END $x$; }\n"
        "step c { RESET client_encoding; SELECT chr(228) AS x; }\npermutation a b c\npermutation c\n"
    )
    assert len(result.permutations) == 2
    assert result.output.count("\ufffd") == 3
    assert result.output.endswith("x \n--\nä\n(1 row)\n\n")


RUN = """
import sys
from pathlib import Path
from harness.specs import Specs
from harness.suite import Settings, Suite

root = Path(sys.argv[2])
suite = Suite(Settings(root=root, results=root / "results", mode="external"))
specs = Specs(suite, root)
specs.run(specs.read(Path(sys.argv[1])))
"""

WAITS = """
setup { CREATE TABLE t (n int); INSERT INTO t VALUES (1); }
session s1 step b1 { BEGIN; UPDATE t SET n = 2; } step c1 { COMMIT; }
session s2 step w2 { SELECT pg_sleep(300); }
session s3 step w3 { UPDATE t SET n = 4; }
permutation b1 w3 w2 c1
"""


@pytest.mark.skipif(os.name != "posix", reason="processes are killed by signals")
def test_a_killed_run_leaves_no_session_behind(suite: Suite, tmp_path: Path) -> None:
    """One of them sleeps, one waits, one is idle: with their client gone, all of them go."""
    (tmp_path / "killed.spec").write_text(WAITS)
    url = suite.servers.target("promptsales").url
    environ = dict(os.environ, **{VARIABLE["promptsales"]: url})
    process = subprocess.Popen([sys.executable, "-c", RUN, tmp_path / "killed.spec", tmp_path], env=environ)
    try:
        with psycopg.connect(url, autocommit=True) as server:

            def states(like: str) -> list[tuple[str, ...]]:
                ask = (
                    "SELECT split_part(application_name, '/', 3), state, coalesce(wait_event, '') FROM pg_stat_activity "
                    "WHERE application_name LIKE %s ORDER BY 1"
                )
                return server.execute(ask, [like]).fetchall()

            def sleeping() -> bool:
                found = states("isolation/killed/s%")
                return [(state, event) for _, state, event in found if state == "active"] == [
                    ("active", "PgSleep"),
                    ("active", "transactionid"),
                ]

            eventually(sleeping, "one sleeps, one waits")
            process.send_signal(signal.SIGKILL)
            process.wait()
            eventually(lambda: not states("isolation/killed/%"), "all sessions are gone", 5)
    finally:
        process.kill()
        process.wait()


BLIND = """
setup { CREATE TABLE t (n int); INSERT INTO t VALUES (1); }
teardown { DROP TABLE t; }
session s1
step blind { SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
  WHERE application_name LIKE 'psh:%/observer' AND datname = current_database(); }
step slow { SELECT pg_sleep(0.05); }
step b1 { BEGIN; UPDATE t SET n = 2; }
step c1 { COMMIT; }
session s2
step w2 { UPDATE t SET n = 3; }
permutation blind slow
permutation b1 w2 c1
"""


def test_an_observer_that_is_gone_is_replaced(run: Run) -> None:
    """What needs none goes on, each ending is written down once, and the next permutation is watched again."""
    result = run(BLIND)
    first, second = evidences(result)
    assert [event.step for event in of(first, *ENDINGS)] == ["blind", "slow"]
    assert [(event.step, event.waits_for) for event in of(second, EventKind.blocked)] == [("w2", ["s1"])]
