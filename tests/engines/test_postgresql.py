"""The PostgreSQL engine on a real server of the run."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from harness.answers import ErrorKind, TransactionEnd
from harness.engines.base import Session, SessionOptions, Statement, Verb
from harness.engines.postgresql import PostgreSQL
from harness.engines.postgresql_server import deadlock_entries
from harness.errors import LoginRefused, ServerError
from harness.runner.databases import Made
from harness.suite import Suite

ENGINE = PostgreSQL()
PAIR = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 20)"


@pytest.fixture
def made(suite: Suite) -> Iterator[Made]:
    database = suite.databases.make("promptsales", ["read committed"])
    yield database
    suite.databases.drop(database)


@pytest.fixture
def sessions(made: Made) -> Iterator[list[Session]]:
    opened = [ENGINE.open(made.url, SessionOptions(f"psh:test/{n}", "read committed")) for n in range(3)]
    opened[0].run(Statement(PAIR))
    yield opened
    for session in opened:
        session.close()


class Background:
    """A step in a thread of its own."""

    def __init__(self, session: Session, sql: str) -> None:
        self.thread = threading.Thread(target=self._run, args=(session, sql))
        self.thread.start()

    def _run(self, session: Session, sql: str) -> None:
        self.outcome = session.run(Statement(sql))

    def end(self):
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.outcome


def until_waiting(made: Made, waiter: Session, run: list[Session]):
    """Ask until the server says that it waits; pytest's own time-out is the deadline."""
    observer = ENGINE.observe(made.url, "test")
    try:
        for _ in range(2000):
            if waits := observer.waits([waiter.pid], [one.pid for one in run]):
                return waits[0], observer.lock_table([one.pid for one in run])
        raise AssertionError("the server never called it blocked")
    finally:
        observer.close()


@pytest.mark.parametrize("level", ENGINE.levels)
def test_the_level_is_read_back(made: Made, level: str) -> None:
    session = ENGINE.open(made.url, SessionOptions("psh:test", level))
    session.run(Statement(Verb.begin))
    shown = session.run(Statement("SHOW transaction_isolation")).results[0].rows
    session.close()
    assert session.observed_level == level
    assert shown == [[level]]


def test_transactions_are_followed(sessions: list[Session]) -> None:
    one = sessions[0]
    assert one.run(Statement("SELECT 1")).ended is TransactionEnd.committed  # its own transaction
    begun = one.run(Statement(Verb.begin))
    assert begun.in_transaction
    assert begun.ended is None
    assert one.run(Statement("UPDATE t SET v = 11 WHERE id = 1")).in_transaction
    assert one.run(Statement(Verb.commit)).ended is TransactionEnd.committed
    one.run(Statement(Verb.begin))
    failed = one.run(Statement("SELECT 1/0"))
    assert failed.in_transaction
    assert failed.error is not None
    ended = one.run(Statement(Verb.commit))  # PostgreSQL answers ROLLBACK
    assert (ended.ended, ended.in_transaction) == (TransactionEnd.aborted, False)


def test_values_are_bound_and_every_result_is_kept(sessions: list[Session]) -> None:
    one = sessions[0]
    hostile = "1'; DROP TABLE t; --"
    assert one.run(Statement("SELECT $1::text AS said", (hostile,))).results[0].rows == [[hostile]]
    several = one.run(Statement("SELECT 1 AS a; SELECT NULL AS b, '' AS c; UPDATE t SET v = v WHERE id < 9"))
    assert [result.columns for result in several.results] == [["a"], ["b", "c"], []]
    assert several.results[1].rows == [[None, ""]]
    assert several.results[2].affected == 2


@pytest.mark.parametrize(
    ("sql", "kind", "code"),
    [
        ("INSERT INTO t VALUES (1, 0)", ErrorKind.constraint, "23505"),
        ("SELEC 1", ErrorKind.other, "42601"),
        ("SET statement_timeout = 20; SELECT pg_sleep(10)", ErrorKind.cancelled, "57014"),
    ],
)
def test_errors_have_a_meaning_and_keep_their_code(
    sessions: list[Session], sql: str, kind: ErrorKind, code: str
) -> None:
    error = sessions[0].run(Statement(sql)).error
    assert error is not None
    assert (error.kind, error.code) == (kind, code)


def test_lock_timeout(made: Made, sessions: list[Session]) -> None:
    holder, waiter, _ = sessions
    holder.run(Statement("BEGIN; UPDATE t SET v = 0 WHERE id = 1"))
    error = waiter.run(Statement("SET lock_timeout = '30ms'; UPDATE t SET v = 1 WHERE id = 1")).error
    assert error is not None
    assert error.kind is ErrorKind.lock_timeout


def test_serialization_failure(made: Made) -> None:
    one, other = (ENGINE.open(made.url, SessionOptions(f"psh:test/{n}", "repeatable read")) for n in range(2))
    one.run(Statement(PAIR))
    one.run(Statement("BEGIN; SELECT v FROM t"))
    other.run(Statement("UPDATE t SET v = 11 WHERE id = 1"))
    error = one.run(Statement("UPDATE t SET v = 12 WHERE id = 1")).error
    one.close()
    other.close()
    assert error is not None
    assert (error.kind, error.code) == (ErrorKind.serialization, "40001")


def test_who_waits_for_whom_and_the_lock_table(made: Made, sessions: list[Session]) -> None:
    holder, waiter, bystander = sessions
    holder.run(Statement("BEGIN; UPDATE t SET v = 0 WHERE id = 1"))
    background = Background(waiter, "UPDATE t SET v = 1 WHERE id = 1")
    wait, locks = until_waiting(made, waiter, sessions)
    assert (wait.waiter, wait.holders) == (waiter.pid, (holder.pid,))
    assert "row (0,1) of t" in wait.resource
    assert {row["status"] for row in locks if row["pid"] == waiter.pid} == {"waiting", "granted"}
    observer = ENGINE.observe(made.url, "test")
    assert observer.waits([bystander.pid], [one.pid for one in sessions]) == []
    observer.close()
    holder.run(Statement(Verb.rollback))
    assert background.end().error is None


def test_a_slow_step_is_not_blocked(made: Made, sessions: list[Session]) -> None:
    background = Background(sessions[0], "SELECT pg_sleep(0.2)")
    observer = ENGINE.observe(made.url, "test")
    asked = 0
    while background.thread.is_alive():
        assert observer.waits([sessions[0].pid], [one.pid for one in sessions]) == []
        asked += 1
    observer.close()
    assert asked > 5


def test_cancel_from_another_thread(made: Made, sessions: list[Session]) -> None:
    holder, waiter, _ = sessions
    holder.run(Statement("BEGIN; UPDATE t SET v = 0 WHERE id = 1"))
    background = Background(waiter, "UPDATE t SET v = 1 WHERE id = 1")
    until_waiting(made, waiter, sessions)
    waiter.cancel()
    error = background.end().error
    assert error is not None
    assert error.kind is ErrorKind.cancelled


def test_deadlock_victim_and_the_servers_own_report(made: Made, sessions: list[Session]) -> None:
    one = sessions[0]
    low = ENGINE.open(made.url, SessionOptions("psh:test/low", "read committed", "low"))
    observer = ENGINE.observe(made.url, "test")
    one.run(Statement("BEGIN; UPDATE t SET v = 0 WHERE id = 1"))
    low.run(Statement("BEGIN; UPDATE t SET v = 0 WHERE id = 2"))
    background = Background(one, "UPDATE t SET v = 1 WHERE id = 2")
    until_waiting(made, one, [*sessions, low])
    error = low.run(Statement("UPDATE t SET v = 1 WHERE id = 1")).error
    assert background.end().error is None
    reports = observer.deadlock_reports([one.pid, low.pid])
    strangers = observer.deadlock_reports(["1"])
    low.close()
    observer.close()
    assert error is not None
    assert (error.kind, error.code) == (ErrorKind.deadlock, "40P01")
    assert f"blocked by process {one.pid}" in error.detail
    assert len(reports) == 1
    assert "UPDATE t SET v = 1 WHERE id = 2" in reports[0].text
    assert strangers == []


@pytest.mark.parametrize(
    ("sql", "release"),
    [
        ("UPDATE t SET v = 1 WHERE id = 2", False),
        ("SELECT v FROM t", False),
        ("SELECT pg_advisory_unlock_all()", True),
        ("SAVEPOINT s", False),
        ("ROLLBACK TO s", True),
        ("COMMIT; BEGIN", True),
        ("COMMIT AND CHAIN", True),
        ("SELECT 1/0", True),
        ("ROLLBACK", True),
    ],
)
def test_what_may_let_somebody_go(sessions: list[Session], sql: str, release: bool) -> None:
    one = sessions[0]
    one.run(Statement("BEGIN; SAVEPOINT s; UPDATE t SET v = 0 WHERE id = 1"))
    assert one.run(Statement(sql)).may_release is release


def test_texts_are_utf_8_whatever_the_database_is_in(suite: Suite) -> None:
    url = suite.servers.target("promptsales").url
    name = f"psh_{suite.settings.run_id}_{suite.settings.worker}latin"
    admin = ENGINE.admin(url, suite.settings.run_id)
    admin._connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    session = ENGINE.open(
        ENGINE.database_url(suite.servers.target("promptsales").url, name), SessionOptions("t", "serializable")
    )
    said = session.run(Statement("SELECT 'año' AS \"año\", length('año')")).results[0]
    session.close()
    admin.drop(name)
    admin.close()
    assert (said.columns, said.rows) == (["año", "length"], [["año", 3]])


def test_a_value_without_a_python_type_is_kept_as_text(sessions: list[Session]) -> None:
    sessions[0].run(Statement(Verb.begin))
    outcome = sessions[0].run(Statement("SELECT 'infinity'::date AS day, 1 AS n, NULL AS nothing"))
    assert outcome.error is None
    assert outcome.in_transaction
    assert outcome.results[0].rows == [["infinity", "1", None]]


def test_copy_is_refused_as_an_outcome(sessions: list[Session]) -> None:
    one, other, _ = sessions
    assert "cannot send data to COPY" in str(one.run(Statement("COPY t FROM STDIN")).error)
    assert one.run(Statement("SELECT 1")).error is None
    refused = other.run(Statement("COPY t TO STDOUT"))
    assert "cannot take data from COPY" in str(refused.error)
    assert refused.ended is TransactionEnd.aborted


def test_a_statement_larger_than_the_socket_takes_at_once(sessions: list[Session]) -> None:
    assert sessions[0].run(Statement(f"SELECT length('{'x' * 3_000_000}')")).results[0].rows == [[3_000_000]]


def test_a_lost_server_session_is_an_outcome(made: Made, sessions: list[Session]) -> None:
    one, other, _ = sessions
    other.run(Statement("SELECT pg_terminate_backend($1)", (int(one.pid),)))
    outcome = one.run(Statement("SELECT 1"))
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.connection
    one.cancel()  # neither may raise on a dead connection
    one.close()


def test_databases_are_owned_and_runs_are_seen_living(suite: Suite, made: Made) -> None:
    admin = ENGINE.admin(suite.servers.target("promptsales").url, "otherrun1")
    session = ENGINE.open(made.url, SessionOptions("psh:abc123/case/T1", "read committed"))
    assert made.name in admin.owned()
    assert {"otherrun1", "abc123", suite.settings.run_id} <= admin.living_runs()
    session.close()
    admin.create("psh_gone_1", ["serializable"])
    admin.drop("psh_gone_1")
    admin.drop("psh_gone_1")  # silent
    assert "psh_gone_1" not in admin.owned()
    admin.close()


def test_capabilities_are_found(made: Made) -> None:
    found = made.admin.capabilities
    assert found.product == "PostgreSQL"
    assert (found.waits, found.locks, found.reports, found.steers_victim) == (True, True, True, True)


def test_a_role_without_rights_is_told(suite: Suite, made: Made) -> None:
    control = ENGINE.open(made.url, SessionOptions("psh:test", "read committed"))
    control.run(Statement("DROP ROLE IF EXISTS weak"))
    control.run(Statement("CREATE ROLE weak LOGIN PASSWORD 'weak'"))
    host = made.url.rpartition("@")[2]
    admin = ENGINE.admin(f"postgresql://weak:weak@{host}", "weakrun")
    session = ENGINE.open(f"postgresql://weak:weak@{host}", SessionOptions("psh:weak", "read committed", "low"))
    notes, found = session.notes, admin.capabilities
    session.close()
    admin.close()
    control.run(Statement("DROP ROLE weak"))
    control.close()
    assert "deadlock_timeout" in notes[0]
    assert not found.steers_victim
    assert not found.reports
    assert found.waits


def test_a_wrong_password_is_one_line_without_it(made: Made) -> None:
    host = made.url.rpartition("@")[2]
    with pytest.raises(LoginRefused) as refused:
        ENGINE.admin(f"postgresql://postgres:s3cret-word@{host}", "r")
    assert "s3cret-word" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unreachable_server_is_one_line() -> None:
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:1 cannot be reached"):
        ENGINE.admin("postgresql://x:y@127.0.0.1:1/z", "r")


def test_quote_and_url() -> None:
    assert ENGINE.quote('a"b') == '"a""b"'
    assert ENGINE.database_url("postgresql://u:p@h:1/old?sslmode=require", "new") == (
        "postgresql://u:p@h:1/new?sslmode=require"
    )
    assert ENGINE.placeholder(2) == "$2"


def test_deadlock_entries_are_cut_out_of_a_log() -> None:
    log = (
        "2026-01-01 00:00:00.000 UTC [7] app LOG:  process 7 still waiting\n"
        "2026-01-01 00:00:00.001 UTC [7] app ERROR:  deadlock detected\n"
        "2026-01-01 00:00:00.001 UTC [7] app DETAIL:  Process 7 waits for process 8.\n\tProcess 8 waits for process 7.\n"
        "2026-01-01 00:00:00.001 UTC [7] app STATEMENT:  UPDATE t\n"
        "2026-01-01 00:00:00.002 UTC [8] app LOG:  process 8 acquired\n"
        "2026-01-01 00:00:00.003 UTC [7] app LOG:  something else\n"
        "2026-01-01 00:00:00.004 UTC [9] app ERROR:  deadlock detected\n"
    )
    (entry,) = deadlock_entries(log, {"7", "8"})
    assert entry.count("\n") == 4
    assert "something else" not in entry
