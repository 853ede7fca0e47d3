"""What steps touch, by the servers' own word: PostgreSQL's lock table, Redis's table of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.engines import engine
from harness.engines.base import Statement
from harness.engines.touching import Cataloguing, Touch, Touching
from harness.runner.case import Play as Run
from harness.runner.stage import Stage
from harness.runner.touching import unknown
from harness.suite import Suite

from .conftest import TABLE, Play

TABLES = """
title: Tables that hang together
database: promptsales
setup:
  - CREATE TABLE parent (id int PRIMARY KEY, v int)
  - CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent)
  - CREATE TABLE log (what text)
  - CREATE VIEW look AS SELECT v FROM parent
  - CREATE SEQUENCE numbers
  - "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (1); RETURN NEW; END'"
  - CREATE TRIGGER noted AFTER UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION note()
  - "CREATE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT sum(id) FROM child'"
  - INSERT INTO parent VALUES (1, 1)
expect: {postgresql: {any: {}}}
"""


def touched(play: Play, text: str) -> dict[str, set[str]]:
    """``w table`` and ``r table`` by step; ``?…`` for what may be anything."""
    case = play.cases(text)[0]
    with Stage(case, play.suite.databases) as stage:
        run = Run(case, stage, touching=True).run()
    assert run.history().end.value == "completed"
    return {
        step: {
            one.where.partition(".")[2]
            if unknown(one)
            else f"{'w' if one.writes else 'r'} {one.where.partition('.')[2]}"
            for one in accesses
        }
        for step, accesses in run.touched.items()
    }


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("SELECT v FROM parent", {"r parent"}),
        ("UPDATE child SET id = 1", {"w child"}),
        ("INSERT INTO child VALUES (1, 1)", {"w child", "w parent"}),
        ("UPDATE parent SET v = 2", {"w parent", "w log"}),
        ("SELECT * FROM look", {"r look", "r parent"}),
        ("SELECT total()", {"r child"}),
        ("SELECT nextval('numbers')", {"w numbers"}),
        ("SELECT v FROM parent FOR UPDATE", {"w parent"}),
        ("SELECT pg_advisory_xact_lock(1)", {"?advisory lock"}),
        ("LOCK TABLE log", {"?AccessExclusiveLock of log"}),
        ("SELECT 1", set()),
    ],
)
def test_postgresql_shows_what_a_statement_does_not_name(play: Play, statement: str, what: set[str]) -> None:
    text = f'{TABLES}sessions: {{T: {{setup: begin, steps: {{one: "{statement}", end: commit}}}}}}\n'
    found = touched(play, text)
    assert found["one"] == what
    assert found["end"] == set()


def test_a_step_has_what_is_new_since_the_step_before(play: Play) -> None:
    text = f"""{TABLES}
sessions:
  T:
    setup: begin
    steps:
      first: SELECT v FROM parent
      again: SELECT v FROM parent
      more: UPDATE parent SET v = 3
      end: commit
      anew: begin
      after: SELECT v FROM parent
"""
    found = touched(play, text)
    assert found["first"] == {"r parent"}
    assert found["again"] == set()
    assert found["more"] == {"w parent", "w log"}
    assert found["after"] == {"r parent"}


def test_serializable_reads_are_noted_outside_of_transactions_too(play: Play) -> None:
    text = f"""{TABLES}
levels: {{postgresql: [serializable]}}
sessions: {{T: {{setup: begin, steps: {{one: SELECT v FROM parent}}}}}}
"""
    assert touched(play, text)["one"] == {"r parent"}


def test_nothing_is_asked_unless_it_is_wanted(play: Play) -> None:
    case = play.cases(TABLE + "sessions: {T: {steps: {one: SELECT 1}}}\n")[0]
    with Stage(case, play.suite.databases) as stage:
        assert not Run(case, stage).run().touched


def test_a_suite_gives_them_with_the_result(own_suite: Suite, tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(TABLES + "sessions: {T: {setup: begin, steps: {one: SELECT v FROM parent}}}\n", "utf-8")
    (case,) = own_suite.cases(file)
    assert {str(one) for one in own_suite.run(case, touching=True).touched["one"]} == {"reads db.parent"}
    assert own_suite.run(case).touched == {}


def test_redis_tells_the_keys_of_a_command(suite: Suite) -> None:
    target = suite.servers.target("cache")
    kind = engine("redis")
    observer = kind.observe(target.url, "touching")
    try:
        assert isinstance(observer, Touching)

        def asked(*words: str) -> list[Touch]:
            return observer.touched("1", Statement(words))

        assert asked("GET", "a") == [Touch("a", writes=False)]
        assert asked("MSET", "a", "1", "b", "2") == [Touch("a", writes=True), Touch("b", writes=True)]
        assert asked("RPOPLPUSH", "a", "b") == [Touch("a", writes=True), Touch("b", writes=True)]
        assert asked("PING") == []
        assert asked("EVAL", "return 1", "1", "a") == [Touch("EVAL", writes=True, unknown=True)]
        assert asked("DBSIZE") == [Touch("DBSIZE", writes=True, unknown=True)]
    finally:
        observer.close()


def test_postgresql_tells_what_its_database_is_made_of(play: Play) -> None:
    case = play.cases(
        TABLES.replace("setup:", "setup:\n  - CREATE TABLE drawn (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
        + "sessions: {T: {steps: {one: SELECT 1}}}\n"
    )[0]
    with Stage(case, play.suite.databases) as stage:
        Run(case, stage).run()
        observer = play.suite.databases.observer(stage.made["db"])
        assert isinstance(observer, Cataloguing)
        catalog = observer.catalog()
    parent, child, drawn = (catalog.relations[name] for name in ("parent", "child", "drawn"))
    assert (parent.key, dict(parent.columns)) == (("id",), {"id": "integer", "v": "integer"})
    assert (parent.children, parent.triggers) == ({"child"}, (("update", "note"),))
    assert (child.parents, child.shared) == ({"parent"}, {"parent"})
    assert (drawn.drawn, drawn.always) == (True, {"id"})
    assert catalog.relations["look"].kind == "view"
    assert catalog.sequences == {"drawn_id_seq": "drawn"}
    assert [one.language for one in catalog.routines["total"]] == ["sql"]
    assert "lower" in catalog.steady
    assert "nextval" not in catalog.steady
