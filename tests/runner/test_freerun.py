"""Workers that run freely: started together, counted, refused by kind, ended."""

from __future__ import annotations

import gc
import re
import sys
import threading

import pytest

from harness.errors import ScenarioError
from harness.evidence.model import Status
from harness.history import EventKind, RunEnd
from harness.scenario.expressions import Expression

from .conftest import Play

ADD = """
free_running: {{workers: {workers}, iterations: {iterations}}}
items: {{v: SELECT v FROM t WHERE id = 1}}
sessions:
  T:
    setup: begin
    steps:
      look: {{run: SELECT v FROM t WHERE id = 1, reads: v}}
      add: {{run: "UPDATE t SET v = ${{v + 1}} WHERE id = 1", writes: {{v: "${{v + 1}}"}}}}
      finish: commit
"""


def test_every_worker_runs_every_iteration(play: Play) -> None:
    evidence = play.table(ADD.format(workers=4, iterations=5) + "levels: {postgresql: [serializable]}")
    counts = evidence.history.transactions
    assert counts["attempted"] == 20
    assert counts["committed"] + counts["refused"] == 20
    assert counts["refused"] == counts.get("serialization failure", 0) > 0
    assert evidence.history.final["v"] == 10 + counts["committed"]  # serializable: no update is lost
    for worker in ("T1", "T2", "T3", "T4"):
        attempts = [
            e.attempt for e in evidence.history.events if e.session == worker and e.step == "look" and e.seconds
        ]
        assert attempts == [1, 2, 3, 4, 5]


def test_workers_start_together(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[int] = []
    real = threading.Barrier.wait

    def wait(self: threading.Barrier, timeout: float | None = None) -> int:
        waiting.append(self.parties)
        return real(self, timeout)

    monkeypatch.setattr(threading.Barrier, "wait", wait)
    play.table(ADD.format(workers=3, iterations=1))
    assert waiting == [3, 3, 3]


def test_the_deadline_ends_all_workers(play: Play) -> None:
    evidence = play.table("""
        free_running: {workers: 3, iterations: 2}
        sessions: {T: {setup: begin, steps: {nap: SELECT pg_sleep(60), finish: commit}}}
        case_deadline: 0.5
    """)
    assert evidence.history.end is RunEnd.hung
    assert evidence.history.end_text == "free run not done after 0.5 s (0 iterations): raise 'case_deadline:'"
    assert evidence.history.transactions["cancelled"] == 3
    assert "committed" not in evidence.history.transactions


def test_a_lost_connection_ends_the_run(play: Play) -> None:
    evidence = play.table("""
        free_running: {workers: 2, iterations: 50}
        sessions: {T: {steps: {die: SELECT pg_terminate_backend(pg_backend_pid())}}}
    """)
    assert evidence.history.end is RunEnd.lost
    assert re.match(r"T\d lost its connection: terminating connection", evidence.history.end_text)
    assert evidence.verdict.status is Status.error


def test_a_value_that_cannot_be_computed_ends_the_run(play: Play) -> None:
    with pytest.raises(ScenarioError, match=r"case_\d+\.yaml:\d+:\d+: step 'use': cannot compute"):
        play.table("""
            free_running: {workers: 2, iterations: 5}
            sessions:
              T:
                steps:
                  look: {run: SELECT v FROM t WHERE id = 99, reads: v}
                  use: "UPDATE t SET v = ${v + 1} WHERE id = 1"
        """)


def test_a_drivers_surprise_is_counted_and_the_workers_go_on(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.engines.postgresql import PostgreSQLSession

    real = PostgreSQLSession.run

    def run(self: PostgreSQLSession, statement: object) -> object:
        if "surprise" in str(statement.body):  # type: ignore[attr-defined]
            raise ValueError("nobody foresaw this")
        return real(self, statement)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgreSQLSession, "run", run)
    evidence = play.table("""
        free_running: {workers: 2, iterations: 3}
        sessions: {T: {steps: {one: SELECT 1 AS surprise}}}
    """)
    assert evidence.history.transactions == {"attempted": 6, "refused": 6, "other": 6}


def test_a_refused_transaction_is_rolled_back_in_all_its_databases(play: Play) -> None:
    evidence = play("""
        title: Two databases
        databases: {sales: promptsales, ads: promptads}
        setup:
          sales: ["CREATE TABLE t (id int PRIMARY KEY)"]
          ads: ["CREATE TABLE t (id int PRIMARY KEY)", INSERT INTO t VALUES (1)]
        free_running: {workers: 1, iterations: 2}
        sessions:
          T:
            setup: [{run: begin, on: sales}, {run: begin, on: ads}]
            steps:
              first: {run: INSERT INTO t VALUES (1), on: sales}
              refused: {run: INSERT INTO t VALUES (1), on: ads}
              commit_sales: {run: commit, on: sales}
              commit_ads: {run: commit, on: ads}
        expect: {postgresql: {any: {}}}
    """)
    # Were the first transaction still open, the second begin would be warned about, and 'first' would be refused.
    assert evidence.history.transactions == {"attempted": 2, "refused": 2, "constraint": 2}
    assert not [event for event in evidence.history.events if event.kind is EventKind.notice]
    errors = [event.step for event in evidence.history.events if event.kind is EventKind.error]
    assert errors == ["refused", "refused"]
    undone = [(e.database, e.attempt) for e in evidence.history.events if e.step == "rollback" and e.ended]
    assert sorted(undone) == [("ads", 1), ("ads", 2), ("sales", 1), ("sales", 2)]


class Litter:
    """Garbage whose collection runs code, so that another thread may go on in the middle of a parse."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        sum(range(50))


def test_values_are_computed_in_many_threads_at_a_time() -> None:
    # Python 3.11's parser raises SystemError if one thread enters it while another is inside.
    wrong: list[object] = []

    def compute() -> None:
        try:
            for number in range(200):
                Litter()
                Expression(f"[x + {number} for x in rows][0] * ((({number})))").evaluate({"rows": [1]})
        except BaseException as error:  # noqa: BLE001
            wrong.append(error)

    threads = [threading.Thread(target=compute) for _ in range(8)]
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*threshold)
    assert wrong == []
