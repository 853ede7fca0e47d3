from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

import gevent
import psycopg
import pytest
from polling import eventually

from fixtures.databases import Database
from harness.answers import ErrorKind
from harness.load.policy import Refused
from harness.load.postgresql import PostgreSQLClient


@pytest.fixture
def client(promptsales_db: Database) -> Iterator[PostgreSQLClient]:
    made = PostgreSQLClient(promptsales_db.url, "psh:test/load")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", 42), ("bigint", -(2**40)), ("text", "año 'x' \\ $1; --"), ("text", ""), ("numeric", Decimal("1234.50")),
        ("float8", 0.1), ("bool", True), ("bool", False), ("date", date(2026, 1, 15)), ("bytea", b"\x00\xff'"),
        ("timestamp", datetime(2026, 1, 15, 11, 11, 11)), ("int[]", [1, 2, 3]), ("text[]", ["a,b", 'c"d']), ("text", None),
    ],
)  # fmt: skip
def test_values_go_there_and_come_back(client, kind, value):
    assert client.query(f"SELECT $1::{kind}, $1::{kind} IS NULL", value) == [(value, value is None)]


def test_rows_and_counts(client):
    client.execute("CREATE TABLE t (id int, name text)")
    assert client.execute("INSERT INTO t SELECT n, 'x' FROM generate_series(1, $1::int) AS n", 5) == 5
    assert client.query("SELECT id FROM t WHERE id > $1 ORDER BY id", 3) == [(4,), (5,)]
    assert client.query("DELETE FROM t") == []


def test_a_statement_is_prepared_once(client):
    for number in range(3):
        client.query("SELECT $1::int", number)
    assert client.query("SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT $1::int'") == [(1,)]


@pytest.mark.parametrize(
    ("sql", "kind", "code"),
    [
        ("SELECT 1/0", ErrorKind.other, "22012"),
        ("SELEC", ErrorKind.other, "42601"),
        ("COPY (SELECT 1) TO STDOUT", ErrorKind.other, None),
    ],
)
def test_what_the_server_refuses_is_said_and_the_client_goes_on(client, sql, kind, code):
    with pytest.raises(Refused) as refused:
        client.query(sql)
    if code:
        assert (refused.value.record.kind, refused.value.record.code) == (kind, code)
    client.reset()
    assert client.query("SELECT 1") == [(1,)]


def test_a_value_that_python_has_no_type_for_is_said(client):
    with pytest.raises(Refused, match=r"infin|large"):
        client.query("SELECT 'infinity'::date")
    assert client.query("SELECT 1") == [(1,)]


def test_a_transaction_is_all_or_nothing(client):
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")

    def twice(mine: PostgreSQLClient) -> None:
        mine.execute("INSERT INTO t VALUES (1)")
        mine.execute("INSERT INTO t VALUES (1)")

    with pytest.raises(Refused) as refused:
        client.transaction(twice)
    assert refused.value.record.kind is ErrorKind.constraint
    assert client.query("SELECT count(*) FROM t") == [(0,)]
    assert client.transaction(lambda mine: mine.execute("INSERT INTO t VALUES (1)")) == 1
    assert client.query("SELECT count(*) FROM t") == [(1,)]


def test_a_fault_of_the_work_itself_rolls_back(client):
    client.execute("CREATE TABLE t (id int)")

    def work(mine: PostgreSQLClient) -> None:
        mine.execute("INSERT INTO t VALUES (1)")
        raise KeyError("mine")

    with pytest.raises(KeyError):
        client.transaction(work)
    assert client.query("SELECT count(*) FROM t") == [(0,)]


def test_a_transaction_has_the_level_that_was_asked_for(client):
    ask = "SELECT current_setting('transaction_isolation')"
    for level in ("read committed", "repeatable read", "serializable"):
        assert client.transaction(lambda mine: mine.query(ask), level) == [(level,)]


def test_a_write_that_is_too_late_is_a_serialization_failure(client, promptsales_db):
    client.execute("CREATE TABLE t (id int, n int)")
    client.execute("INSERT INTO t VALUES (1, 0)")
    other = promptsales_db.connect()

    def late(mine: PostgreSQLClient) -> None:
        mine.query("SELECT n FROM t")
        other.execute("UPDATE t SET n = n + 1")
        other.commit()
        mine.execute("UPDATE t SET n = n + 1")

    with pytest.raises(Refused) as refused:
        client.transaction(late, "repeatable read")
    assert refused.value.record.kind is ErrorKind.serialization


def test_others_go_on_while_one_waits(client):
    seen: list[str] = []

    def waiting() -> None:
        client.query("SELECT pg_sleep(0.3)")
        seen.append("answer")

    def other() -> None:
        for _ in range(5):
            gevent.sleep(0.01)
            seen.append("other")

    gevent.joinall([gevent.spawn(waiting), gevent.spawn(other)], raise_error=True)
    assert seen == ["other"] * 5 + ["answer"]


def test_a_statement_larger_than_the_socket_takes_goes_whole(client):
    assert client.query("SELECT length($1::text)", "x" * 20_000_000) == [(20_000_000,)]


def test_an_answer_of_many_rows_comes_whole(client):
    assert len(client.query("SELECT repeat('x', 100) FROM generate_series(1, 50000)")) == 50_000


def kill(database: Database, pid: int) -> None:
    with psycopg.connect(database.url, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_a_connection_that_was_lost_is_made_anew(client, promptsales_db):
    client.query("SELECT $1::int", 1)
    kill(promptsales_db, client.pid)
    with pytest.raises(Refused) as refused:
        client.query("SELECT $1::int", 1)
    assert refused.value.record.kind in (ErrorKind.connection, ErrorKind.other)  # 57P01: it says so before it goes
    client.reset()
    assert client.query("SELECT $1::int", 1) == [(1,)]


def test_a_server_that_is_not_there_is_one_line():
    with pytest.raises(Refused) as refused:
        PostgreSQLClient("postgresql://nobody@127.0.0.1:1/none", "x")
    assert refused.value.record.kind is ErrorKind.connection
    assert "\n" not in str(refused.value)


def test_a_greenlet_that_is_killed_in_the_middle_leaves_no_session(client, promptsales_db):
    busy = gevent.spawn(client.query, "SELECT pg_sleep(60)")
    ask = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep(60)'"
    )
    with psycopg.connect(promptsales_db.url, autocommit=True) as server:

        def asleep() -> bool:
            gevent.sleep(0)
            return server.execute(ask).fetchone() == (1,)

        eventually(asleep, "the statement runs")
        busy.kill()
        client.close()
        eventually(lambda: server.execute(ask).fetchone() == (0,), "the session ended")
