"""A bench on PostgreSQL: both states, everything undone, and what goes wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from polling import eventually

from harness.engines import engine
from harness.engines.base import Statement
from harness.engines.plans_base import Bench, Change, Planning
from harness.errors import EngineError
from harness.plans.compare import access_of, indexes_of
from harness.plans.reading import read_plan
from harness.runner.databases import Made
from harness.suite import Suite

from .conftest import ROWS, indexes

BY_V = Statement("SELECT * FROM t WHERE v = $1", (7,))


@contextmanager
def bench_on(made: Made, url: str = "") -> Iterator[Bench]:
    kind = engine("postgresql")
    assert isinstance(kind, Planning)
    with closing(kind.bench(url or made.url, "test", disposable=False)) as bench:
        yield bench


def accesses(bench: Bench, statement: Statement = BY_V) -> list[str]:
    found = []
    for number in (0, 1):
        with bench.state(number):
            bench.warm(statement)
            plan = read_plan("postgresql", bench.explain(statement))
        access = access_of(plan, "t")
        found.append(f"{access.value if access else '-'} {','.join(indexes_of(plan, 't'))}".strip())
    return found


def test_without_an_index_and_with_it_and_it_is_there_after(table: Made) -> None:
    with bench_on(table) as bench:
        assert bench.indexes()["ix_t_v"] == "t"
        bench.prepare((), Change(("ix_t_v",)), Change())
        assert accesses(bench) == ["scan", "seek ix_t_v"]
        assert accesses(bench) == ["scan", "seek ix_t_v"]  # again: each visit undoes what it did
    assert indexes(table) == ["ix_t_v", "ix_t_w", "pk_t"]


def test_a_new_index_is_made_once_and_missing_before(table: Made) -> None:
    with bench_on(table) as bench:
        bench.prepare((), Change(("ix_t_v",)), Change(("ix_t_v",), ("CREATE INDEX ix_new ON t (v) INCLUDE (w)",)))
        assert accesses(bench) == ["scan", "seek ix_new"]
    assert indexes(table) == ["ix_t_v", "ix_t_w", "pk_t"]


def test_settings_are_a_state_too(table: Made) -> None:
    with bench_on(table) as bench:
        off = ("SET LOCAL enable_indexscan = off", "SET LOCAL enable_bitmapscan = off")
        bench.prepare((), Change((), off), Change())
        assert accesses(bench) == ["scan", "seek ix_t_v"]


def test_a_write_is_really_executed_and_undone(table: Made) -> None:
    write = Statement("DELETE FROM t WHERE v = $1", (7,))
    with bench_on(table) as bench:
        bench.prepare((), Change(("ix_t_v",)), Change())
        with bench.state(1):
            plan = read_plan("postgresql", bench.explain(write))
            assert (plan.root.operator, plan.root.children[0].actual_rows) == ("Delete", 10)
            assert bench.run(write) == 10
            assert bench.run(write) == 10  # the first one was undone
    with psycopg.connect(table.url) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (ROWS,)


def test_set_up_goes_with_the_rest(table: Made) -> None:
    with bench_on(table) as bench:
        bench.prepare(("CREATE TABLE u AS SELECT * FROM t", "CREATE INDEX ix_u ON u (v)"), Change(("ix_u",)), Change())
        with bench.state(0):
            assert bench.run(Statement("SELECT * FROM u WHERE v = 7")) == 10
    with psycopg.connect(table.url) as connection:
        assert connection.execute("SELECT to_regclass('u')").fetchone() == (None,)


def test_an_index_that_is_not_there_is_named_with_the_one_that_was_meant(table: Made) -> None:
    with bench_on(table) as bench:
        bench.prepare((), Change(("ix_t_x",)), Change())
        with pytest.raises(EngineError, match="no index 'ix_t_x' here, did you mean 'ix_t_") as caught, bench.state(0):
            pass
        assert "\n" not in str(caught.value)
        with bench.state(1):  # the bench goes on
            assert bench.run(BY_V) == 10


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("CREATE INDEX ix_bad ON t (nothing)", '42703 column "nothing" does not exist, in: CREATE INDEX ix_bad'),
        (
            "CREATE INDEX CONCURRENTLY ix_bad ON t (v)",
            "25001 CREATE INDEX CONCURRENTLY cannot run inside a transaction",
        ),
    ],
)
def test_a_statement_that_fails_is_one_line_that_names_it(table: Made, body: str, said: str) -> None:
    with bench_on(table) as bench, pytest.raises(EngineError) as caught:
        bench.prepare((), Change(), Change((), (body,)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_index_of_a_constraint_is_not_dropped_silently(table: Made) -> None:
    with bench_on(table) as bench:
        bench.prepare((), Change(("pk_t",)), Change())
        with pytest.raises(EngineError, match="2BP01 cannot drop index pk_t because constraint pk_t"), bench.state(0):
            pass


def test_who_does_not_own_the_table_may_not(table: Made) -> None:
    with psycopg.connect(table.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE psh_reader LOGIN PASSWORD 'reading'")
        connection.execute("GRANT SELECT ON t TO psh_reader")
    try:
        head, _, tail = table.url.partition("://")
        url = f"{head}://psh_reader:reading@{tail.rpartition('@')[2]}"
        with bench_on(table, url) as bench:
            bench.prepare((), Change(("ix_t_v",)), Change())
            with (
                pytest.raises(EngineError, match="42501 must be owner of index ix_t_v, in: DROP INDEX") as caught,
                bench.state(0),
            ):
                pass
            assert "reading" not in str(caught.value)
    finally:
        with psycopg.connect(table.url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY psh_reader")
            connection.execute("DROP ROLE psh_reader")


def test_a_table_that_others_hold_is_not_waited_for_for_ever(table: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.engines.plans_postgresql.LOCK_SECONDS", 0.2)
    with psycopg.connect(table.url) as other, bench_on(table) as bench:
        other.execute("SELECT count(*) FROM t")  # holds a lock until its transaction ends
        bench.prepare((), Change(("ix_t_v",)), Change())
        with (
            pytest.raises(EngineError, match="55P03 canceling statement due to lock timeout, in: DROP INDEX"),
            bench.state(0),
        ):
            pass


def test_who_is_killed_in_the_middle_has_changed_nothing(table: Made) -> None:
    script = Path(__file__).with_name("killed.py")
    with subprocess.Popen(
        [sys.executable, str(script), "postgresql", table.url, "killed"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        process.kill()
    eventually(lambda: _free(table), "the table stays locked")
    assert indexes(table) == ["ix_t_v", "ix_t_w", "pk_t"]


def _free(made: Made) -> bool:
    with psycopg.connect(made.url) as connection:
        try:
            connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT")
        except psycopg.errors.LockNotAvailable:
            return False
    return True


def test_engines_that_have_plans_say_so(suite: Suite) -> None:
    told = {name: isinstance(engine(name), Planning) for name in ("postgresql", "sqlserver", "mongodb", "redis")}
    assert told == {"postgresql": True, "sqlserver": True, "mongodb": True, "redis": False}


@pytest.mark.parametrize("body", ["COMMIT", " -- now\n/* really */ rollback", "end work", "BEGIN", "SAVEPOINT x"])
def test_no_statement_of_a_pair_ends_the_transaction_that_undoes_everything(table: Made, body: str) -> None:
    with bench_on(table) as bench:
        bench.prepare((), Change(("ix_t_v",), (body,)), Change())
        with pytest.raises(EngineError, match="a pair does not begin or end transactions: "), bench.state(0):
            pass
    assert "ix_t_v" in indexes(table)


@pytest.mark.parametrize("text", ["SELECT 1; COMMIT", "DELETE FROM t; COMMIT", "EXPLAIN SELECT 1; DELETE FROM t"])
def test_a_query_is_one_statement(table: Made, text: str) -> None:
    with bench_on(table) as bench:
        bench.prepare((), Change(("ix_t_v",)), Change())
        with bench.state(0):
            for way in (bench.warm, bench.explain, bench.run):
                with pytest.raises(EngineError, match="42601"):
                    way(Statement(text))
    assert "ix_t_v" in indexes(table)
    with psycopg.connect(table.url) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (ROWS,)


def test_a_second_session_executes_nothing_of_a_text_of_several_statements(table: Made) -> None:
    kind = engine("postgresql")
    assert isinstance(kind, Planning)
    with closing(kind.explainer(table.url, "test")) as explainer:
        told = explainer.plan_of("1", Statement("SELECT 1; CREATE TABLE u (a int)"))
        assert told.note.startswith("no plan: cannot insert multiple commands")
        assert explainer.plan_of("1", BY_V).text.lstrip().startswith("[")
    with psycopg.connect(table.url) as connection:
        assert connection.execute("SELECT to_regclass('u')").fetchone() == (None,)
