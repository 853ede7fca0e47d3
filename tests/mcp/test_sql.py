"""SqlSource on a real PostgreSQL: what it reads, and how it fails when the server does."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from polling import eventually
from stopping import stop

from fixtures.databases import Database
from harness.errors import DataError, DriverMissing, HarnessError, LoginRefused, ServerError, SourceError
from harness.mcp import sql
from harness.mcp.sql import SqlSource
from harness.promptsales.queries import Query
from harness.servers.base import Target
from harness.servers.embedded import EmbeddedServers, embedded_servers
from harness.servers.roles import with_login
from harness.servers.urls import secrets_of

pytestmark = [pytest.mark.mcp, pytest.mark.data("sample")]

AWAY = "promptads does not answer: try again later"
SLOW = "promptads took longer than 1 s: ask for less, or try again later"
BUSY = "promptads is busy: try again later"
NO = "promptads refuses this question: whoever runs this server should look at its log and at its login's rights"
LOGIN = "promptads does not let this server in: whoever runs it should look at its login"
HERE = "promptads cannot be reached from here: whoever runs this server should see what 'harness doctor' says"


def query(text: str) -> Query:
    return Query("promptads", "postgresql", "one", f"-- What?\n{text}")


def source_of(url: str, **options: Any) -> SqlSource:
    return SqlSource(Target("promptads", "postgresql", url, stand_in="sqlserver"), **options)


@pytest.fixture
def source(promptads_db: Database) -> Iterator[SqlSource]:
    made = source_of(promptads_db.url, seconds=1)
    yield made
    made.close()


def sessions(database: Database) -> int:
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"
    with psycopg.connect(database.url) as link:
        row = link.execute(count, [sql.PROGRAM]).fetchone()
    assert row
    return int(row[0])


def test_rows_by_name_bound_and_no_more_than_asked(promptads_db: Database, source: SqlSource) -> None:
    found = source.rows(
        query("SELECT n, :word::text AS word, 1.50::numeric AS m FROM generate_series(1, 10) n"), 2, word="%s'; --"
    )
    assert found == [
        {"n": 1, "word": "%s'; --", "m": Decimal("1.50")},
        {"n": 2, "word": "%s'; --", "m": Decimal("1.50")},
    ]
    assert source.row(query("SELECT 1 AS one WHERE false")) is None
    assert source.row(query("SELECT 1 AS one")) == {"one": 1}
    eventually(lambda: sessions(promptads_db) == 0, "no connection is left")


def test_no_more_than_asked_is_sent(source: SqlSource) -> None:
    """All the rows would take longer than the time-out."""
    many = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    assert [row["i"] for row in source.rows(query(many), 3)] == [1, 2, 3]


def test_a_wrong_parameter_is_a_mistake_of_ours(source: SqlSource) -> None:
    with pytest.raises(DataError, match="has no parameter"):
        source.rows(query("SELECT 1"), 1, other=1)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO campaign (id) VALUES (1) RETURNING id",
        "UPDATE campaign SET name = 'x' RETURNING id",
        "SELECT set_config('transaction_read_only', 'off', true), nextval('x')",
        "SELECT lo_create(0)",
        "SELECT secret FROM no_such_table",
        "SELECT 'x'::int",
        "SELECT 1; DROP TABLE campaign",
        "COMMIT",
    ],
)
def test_what_writes_or_is_wrong_is_refused(
    source: SqlSource, text: str, caplog: pytest.LogCaptureFixture, promptads_db: Database
) -> None:
    with caplog.at_level(logging.DEBUG, "harness"), pytest.raises(SourceError) as error:
        source.rows(query(text), 1)
    assert str(error.value) == NO
    said = caplog.text
    assert not any(secret in said for secret in secrets_of(promptads_db.url))
    assert "secret" not in said
    assert "127.0.0.1" not in said
    eventually(lambda: sessions(promptads_db) == 0)


def test_too_slow(promptads_db: Database, source: SqlSource) -> None:
    with pytest.raises(SourceError) as error:
        source.rows(query("SELECT pg_sleep(60)"), 1)
    assert str(error.value) == SLOW
    eventually(lambda: sessions(promptads_db) == 0)


def test_a_lock_is_waited_for_half_the_time(promptads_db: Database, source: SqlSource) -> None:
    other = promptads_db.connect(autocommit=False)
    other.execute("LOCK TABLE campaign")
    with pytest.raises(SourceError) as error:
        source.rows(query("SELECT id FROM campaign"), 1)
    assert str(error.value) == BUSY
    other.rollback()
    assert source.rows(query("SELECT id FROM campaign"), 1)


def test_too_large(source: SqlSource) -> None:
    with pytest.raises(SourceError, match=r"^promptads: the answer is too large: ask for less$"):
        source.rows(query("SELECT repeat('x', 1000000) AS x FROM generate_series(1, 5)"), 5)


def background(source: SqlSource, text: str, said: list[str]) -> threading.Thread:
    def ask() -> None:
        try:
            source.rows(query(text), 1)
            said.append("answered")
        except SourceError as error:
            said.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_no_more_sessions_at_once_than_said(promptads_db: Database) -> None:
    source = source_of(promptads_db.url, seconds=0.5, sessions=2)
    said: list[str] = []
    threads = [background(source, "SELECT pg_sleep(0.3)", said) for _ in range(3)]
    eventually(lambda: sessions(promptads_db) > 0 or said)
    for thread in threads:
        thread.join()
    assert said == ["answered"] * 3, "the third waits for its turn"
    said.clear()
    patient = source_of(promptads_db.url, seconds=20, sessions=1)
    first = background(patient, "SELECT pg_sleep(30)", said)
    eventually(lambda: sessions(promptads_db) == 1)
    patient._seconds = 0.05
    with pytest.raises(SourceError) as error:
        patient.rows(query("SELECT 1"), 1)
    assert str(error.value) == BUSY
    patient.close()
    first.join()
    assert said == [AWAY], "closing ends who still reads"
    with pytest.raises(SourceError, match="this server is ending"):
        patient.rows(query("SELECT 1"), 1)


def test_a_terminated_session(promptads_db: Database) -> None:
    source = source_of(promptads_db.url, seconds=30)
    said: list[str] = []
    thread = background(source, "SELECT pg_sleep(30)", said)
    admin = promptads_db.connect()
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND query ~ 'FETCH'"
    eventually(lambda: admin.execute(end, [sql.PROGRAM]).fetchall())
    thread.join()
    assert said == [AWAY]
    assert source.row(query("SELECT 1 AS one")) == {"one": 1}


def test_nobody_there_wrong_password_no_database(promptads_db: Database) -> None:
    where = promptads_db.url.rpartition("/")[0]
    for url, text in (
        ("postgresql://u:hunter2@127.0.0.1:1/x", AWAY),
        ("postgresql://u:hunter2@no-such-host.invalid:1/x", AWAY),
        (f"{where}/no_such_database", LOGIN),
        (with_login(promptads_db.url, "nobody", "hunter2"), LOGIN),
    ):
        with pytest.raises(SourceError) as error:
            source_of(url, seconds=1).rows(query("SELECT 1"), 1)
        assert str(error.value) == text
        assert error.value.__suppress_context__, "no driver's text is told with it"


def test_too_many_sessions_of_the_login(promptads_db: Database) -> None:
    name = f"mcp_test_{os.getpid()}"
    admin = promptads_db.connect()
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
    try:
        with pytest.raises(SourceError) as error:
            source_of(with_login(promptads_db.url, name, "x")).rows(query("SELECT 1"), 1)
        assert str(error.value) == BUSY
    finally:
        admin.execute(f"DROP ROLE {name}")


def test_its_words_show_no_login(promptads_db: Database, source: SqlSource) -> None:
    assert repr(source) == "<SqlSource promptads on postgresql>"
    with pytest.raises(ValueError, match="no SQL database"):
        SqlSource(Target("cache", "redis", "redis://:hunter2@x"))


# -- the server itself


@pytest.fixture
def servers() -> Iterator[EmbeddedServers]:
    made = embedded_servers(f"mcpsql{os.getpid()}", os.getpid())
    yield made
    made.stop()


def processes(url: str) -> list[int]:
    """The postmaster of the server, and its backends."""
    with psycopg.connect(url, autocommit=True) as link:
        folder = link.execute("SHOW data_directory").fetchone()
        assert folder
        with open(f"{folder[0]}/postmaster.pid", encoding="utf-8") as file:
            return [int(file.readline())]


def backend(url: str) -> int:
    def find() -> Any:
        with psycopg.connect(url, autocommit=True) as link:
            return link.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND query ~ 'FETCH'", [sql.PROGRAM]
            ).fetchone()

    return int(eventually(find)[0])


def test_a_server_that_is_stopped_or_killed_in_the_middle(servers: EmbeddedServers) -> None:
    """A stopped one answers nothing, and its machine still acknowledges what is sent: the call ends all the same."""
    url = servers.target("promptads").url
    source = source_of(url, seconds=1)
    (postmaster,) = processes(url)
    said: list[str] = []
    patient = source_of(url, seconds=1)
    thread = background(patient, "SELECT pg_sleep(0.9)", said)
    pid = backend(url)
    stop(pid)
    stop(postmaster)
    try:
        with pytest.raises(SourceError) as error:
            source.rows(query("SELECT 1"), 1)
        assert str(error.value) == AWAY
        thread.join(60)
        assert said == [AWAY]
    finally:
        os.kill(postmaster, signal.SIGCONT)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: source.row(query("SELECT 1 AS one")) == {"one": 1})
    said.clear()
    long = source_of(url, seconds=30)
    thread = background(long, "SELECT pg_sleep(30)", said)
    backend(url)
    os.kill(postmaster, signal.SIGQUIT)  # immediate shutdown, as after a crash
    thread.join(60)
    assert said == [AWAY]
    with pytest.raises(SourceError) as error:
        source.rows(query("SELECT 1"), 1)
    assert str(error.value) == AWAY


# -- SQL Server: a fake of the driver


class DriverError(Exception):
    pass


class Link:
    """A connection that answers what it is told to."""

    description = (("id",), ("name",))

    def __init__(self, answer: Any) -> None:
        self.answer, self.said, self.closed = answer, [], False

    def cursor(self) -> Link:
        return self

    def execute(self, text: str, values: Any = None) -> None:
        self.said.append((text, values))
        if values is not None and isinstance(self.answer, Exception):
            raise self.answer
        if values is not None and callable(self.answer):
            self.answer()

    def fetchmany(self, most: int) -> list[Any]:
        return [(1, "a"), (2, "b"), (3, "c")][:most]

    def rollback(self) -> None:
        self.said.append(("rollback", None))

    def close(self) -> None:
        self.closed = True


TSQL = Query("promptads", "sqlserver", "one", "-- Which?\nSELECT id, name FROM dbo.channel WHERE id > @id")


def tds(monkeypatch: pytest.MonkeyPatch, answer: Any, **options: Any) -> tuple[SqlSource, list[Link]]:
    links: list[Link] = []

    def connect(url: str, program: str) -> Link:
        if isinstance(answer, HarnessError):
            raise answer
        links.append(Link(answer))
        return links[-1]

    monkeypatch.setattr(sql, "connect_tds", connect)
    monkeypatch.setattr(sql, "odbc", lambda: SimpleNamespace(Error=DriverError))
    target = Target("promptads", "sqlserver", "mssql://sa:hunter2@db:1433/promptads")
    return SqlSource(target, **({"seconds": 1} | options)), links


def test_sqlserver_reads_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    source, links = tds(monkeypatch, None)
    assert source.rows(TSQL, 2, id=0) == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    (link,) = links
    assert [said for said, _ in link.said] == [
        "SET NOCOUNT ON; SET LOCK_TIMEOUT 500",
        "SELECT id, name FROM dbo.channel WHERE id > ?",
        "rollback",
    ]
    assert (link.closed, link.timeout, link.autocommit) == (True, 1, False)  # type: ignore[attr-defined]


PREFIX = "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]"


def odbc_error(state: str, text: str, number: int, prefix: str = PREFIX) -> DriverError:
    return DriverError(state, f"[{state}] {prefix}{text} ({number}) (SQLExecDirectW)")


DRIVERS = "[Microsoft][ODBC Driver 18 for SQL Server]"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (ServerError("SQL Server at db:1433 cannot be reached"), AWAY),
        (LoginRefused("refuses the login of 'sa'"), LOGIN),
        (DriverMissing("no driver"), HERE),
        (odbc_error("HYT00", "Query timeout expired", 0, DRIVERS), SLOW),
        (odbc_error("42000", "Lock request time out period exceeded.", 1222), BUSY),
        (odbc_error("40001", "Transaction was deadlocked.", 1205), BUSY),
        (odbc_error("42000", "The SELECT permission was denied on 'client'", 229), NO),
        (odbc_error("08S01", "Communication link failure", 0, DRIVERS), AWAY),
        (odbc_error("42000", "Cannot continue: the session is in the kill state.", 596), AWAY),
    ],
)
def test_sqlserver_says_no(monkeypatch: pytest.MonkeyPatch, answer: Exception, text: str) -> None:
    source, links = tds(monkeypatch, answer)
    with pytest.raises(SourceError) as error:
        source.rows(TSQL, 1, id=0)
    assert str(error.value) == text
    assert all(link.closed for link in links)


def test_sqlserver_that_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver waits for ever: the call does not, and no more threads are left behind than there are sessions."""
    go_on = threading.Event()
    source, links = tds(monkeypatch, go_on.wait, seconds=0.05, sessions=2)
    monkeypatch.setattr(sql, "_GRACE", 0.0)
    for text in (AWAY, AWAY, BUSY, BUSY):
        with pytest.raises(SourceError) as error:
            source.rows(TSQL, 1, id=0)
        assert str(error.value) == text
    assert len(links) == 2
    go_on.set()
    eventually(lambda: all(link.closed for link in links))
    eventually(lambda: source._free._value == 2)  # type: ignore[attr-defined]
    assert source.rows(TSQL, 1, id=0) == [{"id": 1, "name": "a"}]
