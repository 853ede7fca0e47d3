"""Plans of steps: told by the step's own session or a second one, and nothing of what happens is otherwise for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.engines.plans_base import AUTO_EXPLAIN
from harness.errors import ScenarioError
from harness.evidence.model import Evidence, Status
from harness.evidence.store import Store
from harness.history import EventKind, StepPlan
from harness.plans.reading import read_plan
from harness.suite import Settings, Suite

from .conftest import Play, end_of, of

CONFLICT = """
levels: {postgresql: [repeatable read]}
items: {v: SELECT v FROM t WHERE id = 1}
sessions:
  T1:
    setup: begin
    steps:
      look: {run: SELECT v FROM t WHERE id = 1, reads: v, plan: true}
      raise: {run: UPDATE t SET v = v + 1 WHERE id = 1, plan: true}
      keep: commit
  T2:
    setup: begin
    steps:
      count: SELECT count(*) FROM t
      wants: {run: UPDATE t SET v = v + 2 WHERE id = 1, plan: true}
      after: rollback
      again: {run: SELECT v FROM t WHERE id = 1, plan: true}
schedule: [look, count, raise, wants, keep, after, again]
expect: {postgresql: {any: {errors: {wants: serialization failure}, blocks: [wants], final: {v: 11}}}}
"""
HEAD = """
title: A test
database: promptsales
setup:
  - CREATE TABLE t (id int PRIMARY KEY, v int)
  - INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)
"""


def plans(evidence: Evidence) -> dict[str, StepPlan]:
    return {plan.step: plan for plan in evidence.history.plans}


def told(evidence: Evidence) -> list[tuple[Any, ...]]:
    """All that happened, but the times and the ids of this run."""
    return [
        (event.kind, event.session, event.step, event.statement, event.results, event.error and event.error.code,
         event.operations, event.in_transaction, event.ended, event.waits_for, event.after_results)
        for event in evidence.history.events
    ]  # fmt: skip


def test_with_and_without_plans_the_same_happens(play: Play, either: str) -> None:
    asked, plain = play(HEAD + CONFLICT), play(HEAD + CONFLICT.replace(", plan: true", ""))
    assert told(asked) == told(plain)
    assert asked.verdict == plain.verdict
    assert asked.verdict.status is Status.passed
    assert plain.history.plans == []
    assert [plan.step for plan in asked.history.plans] == ["look", "raise", "wants", "again"]
    assert {plan.way for plan in asked.history.plans} == {AUTO_EXPLAIN}


def test_a_plan_is_that_of_the_execution_itself(play: Play, either: str) -> None:
    found = plans(play(HEAD + CONFLICT))
    look, update = (read_plan("postgresql", found[name].text) for name in ("look", "raise"))
    assert (look.rows, look.root.object, look.root.actual_rows) == (1, "t", 1)
    assert look.buffers is not None
    assert (update.root.operator, update.root.children[0].actual_rows) == ("Update", 1)
    assert (found["wants"].text, found["wants"].note) == ("", "no plan: the step failed")
    assert read_plan("postgresql", found["again"].text).rows == 1


LATER = """
sessions:
  T1:
    steps:
      ask: {run: SELECT v FROM t WHERE id = 1, plan: true}
      begin: begin
      fails: {run: SELECT 1 / v FROM t WHERE id = 4 OR v / (v - v) = 1, plan: true}
      rollback: rollback
      duration: SHOW auto_explain.log_min_duration
      level: SHOW auto_explain.log_level
expect: {postgresql: {any: {errors: {fails: '22012'}}}}
"""


def test_after_the_step_it_is_switched_off_even_if_its_transaction_had_failed(play: Play) -> None:
    evidence = play(HEAD + LATER)
    assert end_of(evidence, "duration").results[0].rows == [["-1"]]
    assert end_of(evidence, "level").results[0].rows == [["log"]]
    assert [plan.step for plan in evidence.history.plans] == ["ask", "fails"]


NOTICES = """
sessions:
  T1:
    steps:
      talks:
        run: |
          DO $$ BEGIN RAISE NOTICE 'mine'; RAISE INFO 'duration: 5 ms'; PERFORM count(*) FROM t; END $$;
          SELECT v FROM t WHERE id = 1;
          SELECT count(*) FROM t
        plan: true
      quiet: {run: SET LOCAL work_mem = '4MB', plan: true}
expect: {postgresql: {any: {}}}
"""


def test_a_sessions_own_messages_are_events_and_plans_are_not(play: Play, either: str) -> None:
    evidence = play(HEAD + NOTICES)
    said = [event.text for event in of(evidence, "talks", EventKind.notice)]
    assert said == ["NOTICE: mine", "INFO: duration: 5 ms"]
    of_talks = [plan for plan in evidence.history.plans if plan.step == "talks"]
    assert len(of_talks) == 3  # one for each statement that has a plan; those of a block are the session's, too
    assert plans(evidence)["quiet"].note == "no plan: the statement has none"


def test_statements_with_parameters_tell_theirs_without_the_values(play: Play) -> None:
    evidence = play(
        HEAD
        + "sessions: {T1: {steps: {look: {run: 'SELECT v FROM t WHERE id = ${who}', plan: true}}}}\n"
        + "parameters: {who: 2}\nexpect: {postgresql: {any: {}}}\n"
    )
    text = plans(evidence)["look"].text
    assert read_plan("postgresql", text).rows == 1
    assert "Query Parameters" not in text


def test_what_is_sensitive_is_hidden_in_plans_too(play: Play) -> None:
    evidence = play(
        """
title: A secret
database: promptsales
setup: ["CREATE TABLE t (id int PRIMARY KEY, card text)", "INSERT INTO t VALUES (1, '4111222233334444')"]
sessions:
  T1:
    steps:
      read: {run: SELECT card FROM t, reads: card, plan: true}
      look: {run: "SELECT id FROM t WHERE card = '4111222233334444'", plan: true}
sensitive: card
expect: {postgresql: {any: {}}}
"""
    )
    assert "4111222233334444" not in evidence.model_dump_json()
    assert "‹hidden›" in plans(evidence)["look"].text
    assert read_plan("postgresql", plans(evidence)["look"].text).rows == 1


# -- where auto_explain may not be loaded


@pytest.fixture
def plain_role(suite: Suite, tmp_path: Path) -> Iterator[Play]:
    """The same server, as a role that may make databases and nothing more."""
    url = suite.servers.target("promptsales").url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE psh_plain LOGIN CREATEDB PASSWORD 'plain'")
    head, _, tail = url.partition("://")
    environ = {"PROMPTSALES_URL": f"{head}://psh_plain:plain@{tail.rpartition('@')[2]}"}
    made = Suite(Settings(root=tmp_path, results=tmp_path / "results", mode="external", environ=environ))
    yield Play(made, tmp_path)
    made.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE psh_plain")


def test_who_may_not_load_it_is_told_the_plan_of_a_second_session(plain_role: Play) -> None:
    asked, plain = plain_role(HEAD + CONFLICT), plain_role(HEAD + CONFLICT.replace(", plan: true", ""))
    assert told(asked) == told(plain)
    assert asked.verdict.status is Status.passed
    found = plans(asked)
    assert {plan.way for plan in found.values()} == {"EXPLAIN in a second session, not executed"}
    plan = read_plan("postgresql", found["look"].text)
    assert (plan.root.object, plan.root.actual_rows) == ("t", None)
    assert any("auto_explain" in note for note in asked.history.sessions[0].notes)


def test_a_second_session_does_not_wait_for_what_the_scenario_locks(plain_role: Play) -> None:
    evidence = plain_role(
        HEAD
        + "sessions: {T1: {setup: begin, steps: {lock: LOCK TABLE t, look: {run: SELECT v FROM t, plan: true}, "
        + "end: commit}}}\n"
        + "expect: {postgresql: {any: {}}}\n"
    )
    assert plans(evidence)["look"].note.startswith("no plan: canceling statement due to lock timeout")
    assert evidence.verdict.status is Status.passed


# -- the other engines


@pytest.fixture(scope="session")
def documents(suite: Suite) -> None:
    """The run's own client of MongoDB is there, and with it its threads."""
    suite.databases.drop(suite.databases.make("promptcontent", ()))


def test_mongodbs_is_asked_for_in_a_second_session(documents: None, play: Play) -> None:
    evidence = play(
        """
title: Documents
database: promptcontent
setup: {mongodb: [{insert: t, documents: [{_id: 1, v: 1}]}]}
sessions: {T1: {steps: {look: {run: {find: t, filter: {v: 1}}, plan: true}}}}
expect: {mongodb: {any: {}}}
"""
    )
    found = plans(evidence)["look"]
    assert found.way == "explain in a second session, not executed"
    assert read_plan("mongodb", found.text).root.operator == "COLLSCAN"


def test_redis_has_none_and_that_is_said(play: Play) -> None:
    evidence = play(
        "title: Keys\ndatabase: cache\nsessions: {T1: {steps: {look: {run: GET a, plan: true}}}}\n"
        "expect: {redis: {any: {}}}\n"
    )
    assert plans(evidence)["look"].note == "no plan: Redis has none"


# -- where it is kept, where it may stand


def test_raw_plans_are_kept_in_the_cases_folder(play: Play, tmp_path: Path) -> None:
    store = Store(tmp_path / "results", "run")
    store.open()
    path = store.keep(play(HEAD + CONFLICT).model_copy(update={"run": "run"}), {}, 0.1)
    files = sorted(file.name for file in (path.parent / "plans").iterdir())
    assert files == ["T1-look.json", "T1-raise.json", "T2-again.json"]
    assert json.loads((path.parent / "plans" / "T1-look.json").read_text("utf-8"))["Plan"]
    several = store.keep(play(HEAD + NOTICES).model_copy(update={"run": "run"}), {}, 0.1)
    assert sorted(file.name for file in (several.parent / "plans").iterdir()) == [
        "T1-talks-2.json",
        "T1-talks-3.json",
        "T1-talks.json",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sessions: {T1: {setup: [{run: begin, plan: true}], steps: {a: SELECT 1}}}", "not of a session's setup"),
        ("sessions: {T1: {steps: {a: {run: SELECT 1, plan: true}}}}\nfree_running: {workers: 2, iterations: 2}",
         "not of a free run"),
        ("sessions: {T1: {steps: {a: {run: SELECT 1, plan: maybe}}}}", "plan must be true or false, not 'maybe'"),
    ],
)  # fmt: skip
def test_where_no_plan_can_be_asked_for(play: Play, text: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said) as caught:
        play(HEAD + text + "\nexpect: {postgresql: {any: {}}}\n")
    assert ".yaml:" in str(caught.value)


def test_a_session_whose_steps_do_not_ask_loads_nothing(play: Play) -> None:
    evidence = play(
        HEAD
        + "sessions: {T1: {steps: {a: 'SELECT count(*) FROM pg_settings WHERE name LIKE ''auto_explain.%'''}}}\n"
        + "expect: {postgresql: {any: {}}}\n"
    )
    assert end_of(evidence, "a").results[0].rows == [[0]]
