"""What the coordinator promises, on a real PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from leftovers import Server, sessions
from polling import eventually

from harness.answers import ErrorKind
from harness.errors import ScenarioError
from harness.evidence.model import Status
from harness.history import EventKind, RunEnd
from harness.suite import Suite

from .conftest import TABLE, Play, end_of, endings, of

SCENARIOS = Path(__file__).parents[2] / "scenarios"

TWO = """
sessions:
  T1:
    setup: begin
    steps:
      hold: UPDATE t SET v = v + 1 WHERE id = 1
      commit_1: commit
  T2:
    steps:
      want: UPDATE t SET v = v + 1 WHERE id = 1
      other: UPDATE t SET v = v + 1 WHERE id = 2
"""


def test_a_slow_step_is_not_blocked_and_is_waited_for(play: Play) -> None:
    evidence = play.table("""
        sessions:
          T1: {steps: {slow: SELECT pg_sleep(0.3)}}
          T2: {steps: {quick: SELECT 1}}
        schedule: [slow: does not block, quick]
    """)
    assert not of(evidence, "slow", EventKind.blocked)
    assert of(evidence, "quick", EventKind.start)[0].seq > end_of(evidence, "slow").seq
    assert evidence.verdict.status is Status.passed
    assert evidence.history.pictures == []


def test_blocked_by_the_servers_word_and_soon(play: Play) -> None:
    evidence = play.table(TWO + "schedule: [hold, want: {blocks: true, until: commit_1}, commit_1, other]")
    (blocked,) = of(evidence, "want", EventKind.blocked)
    (start,) = of(evidence, "want", EventKind.start)
    assert blocked.waits_for == ["T1"]
    assert blocked.attempt == 1
    assert re.match(r"transaction \d+, row \(0,1\) of t", blocked.text)
    assert start.seq < blocked.seq < of(evidence, "commit_1", EventKind.start)[0].seq
    assert evidence.verdict.status is Status.passed, evidence.verdict.mismatches
    assert endings(evidence)[1:] == ["hold", "commit_1", "want", "other"]


@pytest.mark.usefixtures("either")
def test_a_commit_comes_before_the_step_that_it_lets_go(play: Play) -> None:
    for _ in range(8):  # the two answers race each time
        evidence = play.table(TWO + "schedule: [hold, want, commit_1, other]")
        assert endings(evidence)[1:] == ["hold", "commit_1", "want", "other"]


def test_entries_of_a_blocked_session_wait_their_turn(play: Play) -> None:
    evidence = play.table(TWO + "schedule: [hold, want, other, commit_1]")
    assert endings(evidence)[1:] == ["hold", "commit_1", "want", "other"]
    assert evidence.history.end is RunEnd.completed


def test_the_seed_of_a_drawn_schedule_is_kept(play: Play) -> None:
    assert play.table(TWO + "schedule: {random: 1, seed: 77}\n").history.seed == 77
    assert play.table(TWO + "schedule: [hold, commit_1]\n").history.seed is None


def test_a_strict_schedule_lets_nobody_pass(play: Play) -> None:
    strict = "schedules: {strict: {strict: true, steps: [hold, want, %s]}}\ndeadline: 0.4\n"
    stuck = play.table(TWO + strict % "other, commit_1")
    assert stuck.history.end is RunEnd.hung
    assert [event.kind for event in of(stuck, "commit_1")] == [EventKind.skipped]
    fine = play.table(TWO + strict % "commit_1, other")
    assert endings(fine)[1:] == ["hold", "commit_1", "want", "other"]


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("hold, want: {until: commit_1}, commit_1, other", ""),
        ("want: {until: hold}, other, hold, commit_1", "want completes only after hold, it did before"),
        ("hold: blocks, want, commit_1, other", "hold blocks, it did not"),
        ("hold, want: runs, commit_1, other", "want does not block, it did"),
    ],
)
def test_what_entries_claim_is_checked(play: Play, schedule: str, said: str) -> None:
    evidence = play.table(TWO + f"schedule: [{schedule}]")
    assert said in " ".join(evidence.verdict.mismatches)
    assert (evidence.verdict.status is Status.passed) == (not said)


@pytest.mark.usefixtures("either")
def test_a_step_that_hangs_is_cancelled_at_its_deadline(play: Play, suite: Suite, server: Server) -> None:
    before = sessions(server, suite)
    evidence = play.table("""
        sessions:
          T1: {steps: {hang: SELECT pg_sleep(60), after: SELECT 1}}
        deadline: 0.3
    """)
    end = end_of(evidence, "hang")
    assert end.kind is EventKind.timeout
    assert end.error is not None
    assert end.error.kind is ErrorKind.cancelled
    assert end.text.startswith("cancelled by the harness: step 'hang' of T1 had not ended after 0.3 s")
    assert of(evidence, "after")[0].kind is EventKind.skipped
    assert of(evidence, "after")[0].attempt == 1
    assert evidence.history.end is RunEnd.hung
    assert "no server calls it blocked" in evidence.history.end_text
    assert not sessions(server, suite) - before


@pytest.mark.usefixtures("either")
def test_a_schedule_that_blocks_for_ever_says_who_waits_for_whom_and_what_to_do(play: Play) -> None:
    evidence = play.table(TWO + "schedule: [hold, want, other]\ndeadline: 0.4")
    text = evidence.history.end_text
    assert "step 'want' of T2 had not ended after 0.4 s: it waits for T1 (transaction" in text
    assert "end its transaction in the schedule" in text
    assert evidence.verdict.summary.startswith(text)
    picture = evidence.history.pictures[-1]
    assert picture.reason == "a deadline passed"
    assert [(wait.waiter, wait.holder) for wait in picture.waits] == [("T2", "T1")]
    assert {lock["who"] for lock in picture.locks} == {"T1", "T2"}
    assert any(lock["status"] == "waiting" and "UPDATE t" in lock["query"] for lock in picture.locks)
    assert end_of(evidence, "want").kind is EventKind.timeout


def test_a_set_up_that_hangs_ends_the_case(play: Play) -> None:
    evidence = play.table("""
        sessions:
          T1: {setup: [begin, UPDATE t SET v = 0 WHERE id = 1], steps: {one: SELECT 1}}
          T2: {setup: [UPDATE t SET v = 1 WHERE id = 1], steps: {two: SELECT 1}}
          T3: {setup: [begin], steps: {three: SELECT 1}}
        schedule: [one, two, three]
        deadline: 0.3
    """)
    assert evidence.history.end is RunEnd.hung
    assert not [event for event in evidence.history.events if event.session == "T3" and event.kind is EventKind.start]


def test_a_lock_time_out_is_the_servers_own(play: Play) -> None:
    evidence = play(
        TABLE.replace("any: {}", "any: {errors: {want: lock timeout}}")
        + """
sessions:
  T1: {setup: begin, steps: {hold: UPDATE t SET v = 1 WHERE id = 1, commit_1: commit}}
  T2: {steps: {patience: "SET lock_timeout = '80ms'", want: UPDATE t SET v = 2 WHERE id = 1, again: SELECT 1}}
schedules: {strict: {strict: true, steps: [patience, hold, want: blocks, again, commit_1]}}
"""
    )
    end = end_of(evidence, "want")
    assert end.error is not None
    assert end.error.kind is ErrorKind.lock_timeout
    assert endings(evidence)[-3:] == ["want", "again", "commit_1"]
    assert evidence.verdict.status is Status.passed, evidence.verdict.mismatches


QUEUE = """
sessions:
  T1: {setup: begin, steps: {one: UPDATE t SET v = v + 1 WHERE id = 1, commit_1: commit}}
  T2: {setup: begin, steps: {two: UPDATE t SET v = v * 2 WHERE id = 1, commit_2: commit}}
  T3: {setup: begin, steps: {three: UPDATE t SET v = v - 3 WHERE id = 1, commit_3: commit}}
"""


def test_two_in_one_queue_go_on_one_after_the_other(play: Play) -> None:
    evidence = play.table(
        QUEUE
        + "items: {v: SELECT v FROM t WHERE id = 1}\n"
        + "schedule: [one, two: blocks, three: blocks, commit_1, commit_2, commit_3]"
    )
    # Who is first is a race inside the server; that the other one waits for the winner's commit is not.
    first = ["one", "commit_1", "two", "commit_2", "three", "commit_3"]
    second = ["one", "commit_1", "three", "commit_3", "two", "commit_2"]
    assert endings(evidence)[3:] in (first, second)
    assert evidence.history.final == {"v": 19 if endings(evidence)[3:] == first else 16}
    assert evidence.verdict.status is Status.passed, evidence.verdict.mismatches


@pytest.mark.usefixtures("either")
def test_who_is_let_go_may_block_again_on_another_lock(play: Play) -> None:
    evidence = play.table("""
        sessions:
          T1: {setup: begin, steps: {one: UPDATE t SET v = 1 WHERE id = 1, commit_1: commit}}
          T2: {setup: begin, steps: {two: UPDATE t SET v = 2 WHERE id = 2, commit_2: commit}}
          T3: {steps: {both: "UPDATE t SET v = v + 5 WHERE id IN (1, 2)"}}
        schedule: [one, two, both: {blocks: true, until: commit_2}, commit_1, commit_2]
    """)
    assert [event.waits_for for event in of(evidence, "both", EventKind.blocked)] == [["T1"], ["T2"]]
    first, second = of(evidence, "both", EventKind.blocked)
    assert first.seq < end_of(evidence, "commit_1").seq < second.seq < end_of(evidence, "commit_2").seq
    assert endings(evidence)[-1] == "both"
    assert [picture.waits[0].holder for picture in evidence.history.pictures] == ["T1", "T2"]


def test_a_step_whose_value_was_not_read_is_skipped_with_the_reason(play: Play) -> None:
    evidence = play.table("""
        sessions:
          T1:
            steps:
              look: {run: SELECT v / 0 AS v FROM t WHERE id = 1, reads: {x: v}}
              use: "UPDATE t SET v = ${x + 1} WHERE id = 1"
              tell: {run: UPDATE t SET v = 7 WHERE id = 1, writes: {y: "${x}"}}
              go_on: SELECT 1
        schedule: [look, use, tell, go_on]
    """)
    for name in ("use", "tell"):
        (event,) = of(evidence, name)
        assert event.kind is EventKind.skipped
        assert event.text == "it needs x, which no step of T1 could read"
    assert end_of(evidence, "go_on").kind is EventKind.ok


@pytest.mark.usefixtures("either")
def test_a_value_that_cannot_be_computed_ends_the_case_and_what_still_runs(play: Play, server: Server) -> None:
    with pytest.raises(ScenarioError, match=r"case_\d+\.yaml:\d+:\d+: step 'use': cannot compute \$\{x - 1\}"):
        play.table("""
            sessions:
              T1: {setup: begin, steps: {hold: UPDATE t SET v = 1 WHERE id = 1, commit_1: commit}}
              T2: {steps: {want: UPDATE t SET v = 1 WHERE id = 1}}
              T3:
                steps:
                  look: {run: SELECT v FROM t WHERE id = 99, reads: {x: v}}
                  use: "UPDATE t SET v = ${x - 1} WHERE id = 1"
            schedule: [hold, want, look, use, commit_1]
        """)
    open_ = "SELECT application_name FROM pg_stat_activity WHERE application_name ~ '^psh:.*/case_[0-9]+/(T|control)'"
    eventually(lambda: server.execute(open_).fetchall() == [], "every session is closed")


@pytest.mark.usefixtures("either")
def test_a_hidden_deadlock_is_broken_at_the_appointed_step(play: Play) -> None:
    evidence = play(SCENARIOS / "deadlock/two_databases.yaml")
    end = end_of(evidence, "want_summary")
    assert end.kind is EventKind.cancelled
    assert "as 'break_cycle:' appoints: T" in end.text
    assert evidence.verdict.status is Status.passed, evidence.verdict.mismatches


def test_a_hidden_deadlock_without_an_appointment_hangs_and_says_so(play: Play) -> None:
    text = (SCENARIOS / "deadlock/two_databases.yaml").read_text("utf-8")
    text = re.sub(r"(?m)^break_cycle:.*$", "deadline: 0.4", text)
    evidence = play(text)
    assert evidence.history.end is RunEnd.hung
    assert re.search(
        r"T\d → T\d → T\d is a deadlock that no server can see: name the step to cancel in 'break_cycle:'",
        evidence.history.end_text,
    )


@pytest.mark.usefixtures("either")
def test_a_ring_of_thirty_two(play: Play) -> None:
    evidence = play(SCENARIOS / "deadlock/ring.yaml", n=32)
    assert len(evidence.history.sessions) == 32
    assert len(evidence.verdict.deadlocks[0].cycle) == 32
    assert evidence.verdict.status is Status.passed, evidence.verdict.mismatches


def test_statements_notices_and_nothing_in_one_step(play: Play) -> None:
    evidence = play.table("""
        sessions:
          T1:
            steps:
              several: >-
                SELECT NULL AS nothing, 1.50 AS number, ARRAY[1, 2] AS list;
                DO $$ BEGIN RAISE NOTICE 'halfway'; END $$;
                UPDATE t SET v = 0 WHERE id = 1
              broken: UPDATE t SET v = 99 WHERE id = 2; SELECT 1 / 0; UPDATE t SET v = 99 WHERE id = 3
              rest: SELECT sum(v) FROM t
        schedule: [several, broken, rest]
    """)
    several = end_of(evidence, "several")
    assert several.results[0].rows == [[None, 1.5, [1, 2]]]
    assert several.results[-1].affected == 1
    (notice,) = of(evidence, "several", EventKind.notice)
    assert notice.text == "NOTICE: halfway"
    assert notice.attempt == 1
    broken = end_of(evidence, "broken")
    assert broken.error is not None
    assert broken.error.code == "22012"
    assert end_of(evidence, "rest").results[0].rows == [[50]]  # one text is one transaction: all of it or nothing


@pytest.mark.parametrize(
    ("either", "method"), [("threads", "run"), ("sockets", "send"), ("sockets", "receive")], indirect=["either"]
)
def test_a_drivers_surprise_ends_the_step_in_one_line(
    play: Play, either: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.engines.postgresql import PostgreSQLSession

    asked: set[PostgreSQLSession] = set()

    def surprising(name: str) -> None:
        real = getattr(PostgreSQLSession, name)

        def do(self: PostgreSQLSession, *arguments: object) -> object:
            if "SELECT 1" in str(arguments):
                asked.add(self)
            if name == method and self in asked:
                asked.remove(self)
                raise ValueError("a driver\nnobody foresaw")
            return real(self, *arguments)

        monkeypatch.setattr(PostgreSQLSession, name, do)

    surprising("send" if method == "receive" else method)
    surprising("receive")
    evidence = play.table("""
        sessions:
          T1: {steps: {one: SELECT 1}}
          T2: {steps: {two: SELECT 2}}
        schedule: [one, two]
    """)
    end = end_of(evidence, "one")
    assert end.kind is EventKind.error
    assert end.error is not None
    assert end.error.message == "the driver raised ValueError: a driver nobody foresaw"
    assert end_of(evidence, "two").kind is EventKind.ok
    assert "one ended with other" in evidence.verdict.summary


@pytest.mark.usefixtures("either")
def test_a_lost_connection_ends_the_run_and_every_step(play: Play) -> None:
    evidence = play.table("""
        sessions:
          T1:
            setup: begin
            steps: {hold: UPDATE t SET v = 1 WHERE id = 1, die: SELECT pg_terminate_backend(pg_backend_pid())}
          T2: {setup: begin, steps: {keep: UPDATE t SET v = 1 WHERE id = 2}}
          T3: {steps: {want: "UPDATE t SET v = 1 WHERE id IN (1, 2)", after: SELECT 1}}
        schedule: [hold, keep, want, die, after]
    """)
    assert evidence.history.end is RunEnd.lost
    assert evidence.history.end_text.startswith("T1 lost its connection: terminating connection")
    assert evidence.verdict.status is Status.error
    want = end_of(evidence, "want")  # nobody let it go: the harness ended it, and says why
    assert want.text.startswith("cancelled by the harness: the run had ended: T1 lost its connection")
    assert of(evidence, "after")[0].kind is EventKind.skipped


def test_an_observer_that_is_gone_ends_the_run(play: Play, suite: Suite, server: Server) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE application_name = 'psh:{suite.settings.run_id}/observer' AND datname = current_database()"
    )
    evidence = play.table(f"""
        sessions:
          T1: {{setup: begin, steps: {{hold: UPDATE t SET v = 1 WHERE id = 1, kill: "{kill}"}}}}
          T2: {{steps: {{want: UPDATE t SET v = 1 WHERE id = 1}}}}
        schedule: [hold, kill, want]
        deadline: 20
    """)
    assert evidence.history.end is RunEnd.lost
    assert "no longer answers" in evidence.history.end_text
    want = end_of(evidence, "want")  # ended for this, not by its deadline
    assert want.kind is EventKind.timeout
    assert want.text.startswith("cancelled by the harness: the run had ended")
