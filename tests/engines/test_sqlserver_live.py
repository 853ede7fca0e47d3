"""The SQL Server engine against a real server that speaks TDS: set PROMPTSALES_TEST_TDS_URL to one, else all is skipped.

The login must be allowed to create databases. The tests adapt to what the server is found able to do (a Babelfish reads
without locks and has no database options), never by weakening what an able server must show.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from polling import eventually

from harness.answers import ErrorKind, TransactionEnd
from harness.engines.base import Outcome, Session, SessionOptions, Statement, Verb
from harness.engines.sqlserver import SQLServer
from harness.errors import EngineError, LoginRefused, ServerError

URL = os.environ.get("PROMPTSALES_TEST_TDS_URL", "")
if not URL:
    pytest.skip("no SQL Server to test with: PROMPTSALES_TEST_TDS_URL is not set", allow_module_level=True)
RUN = "t" + format(time.time_ns() // 1000 % 36**6, "x")

ENGINE = SQLServer()
PATIENCE = 10.0


@dataclass
class Server:
    admin: Any
    url: str
    name: str

    @property
    def babelfish(self) -> bool:
        return bool(self.admin.capabilities.product == "Babelfish")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    admin = ENGINE.admin(URL, RUN)
    name = f"psh_{RUN}_1"
    try:
        admin.create(name, ["read committed", "snapshot"])
        try:
            yield Server(admin, ENGINE.database_url(URL, name), name)
        finally:
            admin.drop(name)
    finally:
        admin.close()


@pytest.fixture
def table(server: Server) -> Iterator[str]:
    made = ENGINE.open(server.url, SessionOptions(f"psh:{RUN}/table", "read committed"))
    try:
        for sql in (
            "DROP TABLE IF EXISTS spend",
            "DROP TABLE IF EXISTS campaign",
            "CREATE TABLE campaign (id int NOT NULL PRIMARY KEY, budget decimal(10, 2) NOT NULL)",
            "CREATE TABLE spend (id int NOT NULL PRIMARY KEY, campaign int NOT NULL REFERENCES campaign (id))",
            "INSERT INTO campaign VALUES (1, 100), (2, 200)",
        ):
            assert made.run(Statement(sql)).error is None, sql
        yield "campaign"
    finally:
        made.close()


@pytest.fixture
def opening(server: Server, table: str) -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def opened(name: str, level: str = "read committed", priority: str = "normal") -> Session:
        made.append(ENGINE.open(server.url, SessionOptions(f"psh:{RUN}/case/{name}", level, priority)))
        return made[-1]

    yield opened
    for session in made:
        session.close()


@pytest.fixture
def observer(server: Server, table: str) -> Iterator[Any]:
    made = ENGINE.observe(server.url, RUN)
    yield made
    made.close()


def ok(outcome: Outcome) -> Outcome:
    assert outcome.error is None, outcome.error
    return outcome


def do(session: Session, body: str | Verb, *parameters: Any) -> Outcome:
    return session.run(Statement(body, parameters))


class Running:
    """A step in a thread of its own."""

    def __init__(self, session: Session, body: str) -> None:
        self.outcome: Outcome | None = None
        self._thread = threading.Thread(target=self._run, args=(session, body), daemon=True)
        self._thread.start()

    def _run(self, session: Session, body: str) -> None:
        self.outcome = do(session, body)

    def end(self) -> Outcome:
        self._thread.join(PATIENCE)
        assert self.outcome is not None, "the step did not end"
        return self.outcome

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()


UPDATE = "UPDATE campaign SET budget = budget + 1 WHERE id = {id}"


def test_the_server_says_what_it_is(server: Server) -> None:
    found = server.admin.capabilities
    print(found)
    assert found.product
    assert found.version
    assert found.levels == ENGINE.levels


@pytest.mark.parametrize("level", [level for level in ENGINE.levels if level != "read committed snapshot"])
def test_levels_are_set_and_read_back(opening: Callable[..., Session], server: Server, level: str) -> None:
    session = opening("a", level)
    print(session.observed_level, session.notes)
    ok(do(session, Verb.begin))
    assert ok(do(session, "SELECT budget FROM campaign WHERE id = ?", 1)).results[0].rows == [[100]]
    ok(do(session, Verb.commit))
    assert session.pid.isdigit()
    if not server.babelfish:
        assert (session.observed_level, session.notes) == (level, [])


def test_versioned_read_committed_is_a_property_of_the_database(server: Server) -> None:
    name = f"psh_{RUN}_2"
    server.admin.create(name, ["read committed snapshot"])
    try:
        url = ENGINE.database_url(URL, name)
        session = ENGINE.open(url, SessionOptions(f"psh:{RUN}/case/a", "read committed snapshot"))
        print(session.observed_level, session.notes)
        session.close()
        if not server.babelfish:
            assert session.observed_level == "read committed snapshot"
    finally:
        server.admin.drop(name)


def test_results_values_and_messages(opening: Callable[..., Session]) -> None:
    session = opening("a")
    outcome = ok(
        do(
            session,
            "PRINT 'hello'; SELECT id, budget FROM campaign ORDER BY id; UPDATE campaign SET budget = 0 WHERE id = 1; "
            "SELECT CAST(1 AS bit) AS b, CAST('2026-01-02' AS date) AS d, CAST(0x01ff AS varbinary(8)) AS x, "
            "CAST(0.1 AS decimal(5, 2)) AS n, NULL AS nothing, N'ä' AS t",
        )
    )
    assert [notice.text for notice in outcome.notices] == ["hello"]
    first, update, last = outcome.results
    assert (first.columns, first.rows) == (["id", "budget"], [[1, 100], [2, 200]])
    assert update.affected == 1
    assert last.rows == [[True, "2026-01-02", "01ff", 0.1, None, "ä"]]
    assert not outcome.in_transaction
    assert outcome.ended is TransactionEnd.committed


def test_parameters_are_bound(opening: Callable[..., Session]) -> None:
    session = opening("a")
    text = "'; DROP TABLE campaign; --"
    outcome = ok(do(session, "SELECT ? AS t, id FROM campaign WHERE id = ?", text, 2))
    assert outcome.results[0].rows == [[text, 2]]
    assert ok(do(session, "UPDATE campaign SET budget = ? WHERE id = ?", 5, 1)).results[0].affected == 1


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("INSERT INTO campaign VALUES (1, 1)", "2627"),
        ("INSERT INTO spend VALUES (1, 99)", "547"),
        ("INSERT INTO campaign VALUES (3, NULL)", "515"),
    ],
)
def test_constraints(opening: Callable[..., Session], server: Server, sql: str, code: str) -> None:
    session = opening("a")
    ok(do(session, Verb.begin))
    outcome = do(session, sql)
    assert outcome.error is not None
    print(outcome.error)
    assert (outcome.error.kind, outcome.error.code) == (ErrorKind.constraint, code)
    assert outcome.in_transaction  # XACT_ABORT is OFF: the statement is undone, the transaction goes on
    assert ok(do(session, Verb.rollback)).ended is TransactionEnd.aborted


def test_results_before_an_error_are_kept(opening: Callable[..., Session]) -> None:
    outcome = do(opening("a"), "SELECT 1 AS one; INSERT INTO campaign VALUES (1, 1)")
    assert outcome.error is not None
    assert outcome.error.code == "2627"
    assert outcome.results[0].rows == [[1]]


def test_transactions_are_followed(opening: Callable[..., Session]) -> None:
    session = opening("a")
    assert ok(do(session, Verb.begin)).in_transaction
    assert ok(do(session, UPDATE.format(id=1))).in_transaction
    outcome = ok(do(session, "ROLLBACK"))
    assert (outcome.in_transaction, outcome.ended) == (False, TransactionEnd.aborted)
    assert ok(do(session, "BEGIN TRAN")).in_transaction
    assert ok(do(session, "EXEC sp_executesql N'UPDATE campaign SET budget = 7 WHERE id = 1'")).in_transaction
    assert ok(do(session, Verb.commit)).ended is TransactionEnd.committed
    assert ok(do(session, "SELECT budget FROM campaign WHERE id = 1")).results[0].rows == [[7]]
    assert ok(do(session, "BEGIN TRAN; SAVE TRAN s; UPDATE campaign SET budget = 8; ROLLBACK TRAN s")).in_transaction
    assert ok(do(session, Verb.commit)).ended is TransactionEnd.committed


def test_one_waits_for_the_other(opening: Callable[..., Session], observer: Any, server: Server) -> None:
    one, two = opening("one"), opening("two")
    ok(do(one, Verb.begin))
    ok(do(one, UPDATE.format(id=1)))
    assert observer.waits([two.pid], [one.pid, two.pid]) == []
    step = Running(two, UPDATE.format(id=1))
    if not server.admin.capabilities.waits:
        pytest.skip("this login may not see who waits")
    (wait,) = eventually(lambda: observer.waits([one.pid, two.pid], [one.pid, two.pid]))
    print(wait)
    assert (wait.waiter, wait.holders) == (two.pid, (one.pid,))
    assert wait.resource
    if server.admin.capabilities.locks:
        locks = observer.lock_table([one.pid, two.pid])
        print(*locks, sep="\n")
        assert {row["session"] for row in locks} == {one.pid, two.pid}
        assert all(isinstance(value, str) for row in locks for value in row.values())
        assert any("campaign" in row["object"] for row in locks)
        assert any(row["status"] not in ("GRANT", "GRANTED") for row in locks)
    assert not step.ended
    assert ok(do(one, Verb.commit)).may_release
    ok(step.end())
    assert observer.waits([one.pid, two.pid], [one.pid, two.pid]) == []


def test_readers_wait_only_under_locking_read_committed(
    opening: Callable[..., Session], observer: Any, server: Server
) -> None:
    writer, reader = opening("writer"), opening("reader")
    ok(do(writer, Verb.begin))
    ok(do(writer, UPDATE.format(id=1)))
    step = Running(reader, "SELECT budget FROM campaign WHERE id = 1")
    if reader.observed_level == "read committed" and not server.babelfish:
        eventually(lambda: observer.waits([reader.pid], [writer.pid, reader.pid]))
        ok(do(writer, Verb.rollback))
    assert ok(step.end()).results[0].rows == [[100]]
    ok(do(writer, Verb.rollback))


def test_deadlock(opening: Callable[..., Session], observer: Any, server: Server) -> None:
    steers = server.admin.capabilities.steers_victim
    victim, other = opening("victim", priority="low"), opening("other", priority="high")
    print(victim.notes)
    for session, row in ((victim, 1), (other, 2)):
        ok(do(session, Verb.begin))
        ok(do(session, UPDATE.format(id=row)))
    steps = [Running(victim, UPDATE.format(id=2)), Running(other, UPDATE.format(id=1))]
    outcomes = [step.end() for step in steps]
    errors = [outcome.error for outcome in outcomes]
    print(errors)
    (index,) = [number for number, error in enumerate(errors) if error]
    assert index == 0 or not steers
    found = errors[index]
    assert found is not None
    assert (found.kind, found.code) == (ErrorKind.deadlock, "1205")
    assert (outcomes[index].in_transaction, outcomes[index].ended) == (False, TransactionEnd.aborted)
    assert outcomes[1 - index].in_transaction
    # Really gone: a step of the victim now runs on its own.
    loser, winner = (victim, other) if index == 0 else (other, victim)
    assert ok(do(loser, "SELECT @@TRANCOUNT AS n")).results[0].rows == [[0]]
    ok(do(winner, Verb.commit))
    if server.admin.capabilities.reports:
        (report,) = observer.deadlock_reports([victim.pid, other.pid])
        assert "<victim-list>" in report.text
    else:
        assert observer.deadlock_reports([victim.pid, other.pid]) == []


def test_a_lock_timeout_is_told_from_other_errors(opening: Callable[..., Session], server: Server) -> None:
    one, two = opening("one"), opening("two")
    ok(do(one, Verb.begin))
    ok(do(one, UPDATE.format(id=1)))
    ok(do(two, "SET LOCK_TIMEOUT 200"))
    ok(do(two, Verb.begin))
    outcome = Running(two, UPDATE.format(id=1)).end()
    print(outcome.error, outcome.in_transaction)
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.lock_timeout
    if not server.babelfish:
        assert (outcome.error.code, outcome.in_transaction) == ("1222", True)


def test_snapshot_refuses_a_lost_update(opening: Callable[..., Session], server: Server) -> None:
    one, two = opening("one", "snapshot"), opening("two")
    ok(do(one, Verb.begin))
    ok(do(one, "SELECT budget FROM campaign WHERE id = 1"))
    ok(do(two, UPDATE.format(id=1)))
    outcome = do(one, UPDATE.format(id=1))
    print(outcome.error, outcome.in_transaction)
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.serialization
    if not server.babelfish:
        assert outcome.error.code == "3960"
        assert (outcome.in_transaction, outcome.ended) == (False, TransactionEnd.aborted)


def test_cancel_ends_a_waiting_step_and_keeps_the_session(
    opening: Callable[..., Session], observer: Any, server: Server
) -> None:
    one, two = opening("one"), opening("two")
    ok(do(one, Verb.begin))
    ok(do(one, UPDATE.format(id=1)))
    step = Running(two, UPDATE.format(id=1))
    eventually(lambda: observer.waits([two.pid], [one.pid, two.pid]))
    two.cancel()
    if server.babelfish:
        time.sleep(1)
        two.cancel()  # without pg_signal_backend only the second resort is left: the session is ended
    outcome = step.end()
    print(outcome.error)
    assert outcome.error is not None
    if server.babelfish and outcome.error.kind is ErrorKind.connection:
        ok(do(one, Verb.rollback))
        return
    assert outcome.error.kind is ErrorKind.cancelled
    ok(do(one, Verb.rollback))
    assert ok(do(two, "SELECT budget FROM campaign WHERE id = 1")).results[0].rows == [[100]]
    two.cancel()  # nothing runs: nothing happens
    ok(do(two, "SELECT 1 AS one"))


def test_close_gives_back_what_was_held(opening: Callable[..., Session]) -> None:
    one, two = opening("one"), opening("two")
    ok(do(one, Verb.begin))
    ok(do(one, UPDATE.format(id=1)))
    one.close()
    one.close()
    assert ok(Running(two, UPDATE.format(id=1)).end()).results[0].affected == 1


def test_closing_a_session_that_waits(opening: Callable[..., Session], observer: Any) -> None:
    one, two = opening("one"), opening("two")
    ok(do(one, Verb.begin))
    ok(do(one, UPDATE.format(id=1)))
    step = Running(two, UPDATE.format(id=1))
    eventually(lambda: observer.waits([two.pid], [one.pid, two.pid]))
    two.close()
    assert step.end().error is not None


def test_a_killed_session_is_a_lost_connection(opening: Callable[..., Session]) -> None:
    one, two = opening("one"), opening("two")
    ok(do(one, Verb.begin))
    outcome = do(two, f"KILL {int(one.pid)}")
    if outcome.error is not None:
        pytest.skip(f"KILL is refused: {outcome.error.message}")
    lost = eventually(lambda: do(one, "SELECT 1 AS one").error)
    print(lost)
    assert lost.kind is ErrorKind.connection


def test_databases_come_and_go(server: Server) -> None:
    name = f"psh_{RUN}_3"
    server.admin.create(name, ["serializable"])
    assert {server.name, name} <= set(server.admin.owned())
    guest = ENGINE.open(ENGINE.database_url(URL, name), SessionOptions(f"psh:{RUN}/case/guest", "read committed"))
    ok(do(guest, Verb.begin))
    ok(do(guest, "CREATE TABLE t (id int)"))
    server.admin.drop(name)
    server.admin.drop(name)
    assert name not in server.admin.owned()
    guest.close()
    with pytest.raises(LoginRefused):
        ENGINE.open(ENGINE.database_url(URL, name), SessionOptions(f"psh:{RUN}/case/guest", "read committed"))


def test_contradicting_levels_are_refused(server: Server) -> None:
    with pytest.raises(EngineError, match="exclude each other"):
        server.admin.create(f"psh_{RUN}_4", ["read committed", "read committed snapshot"])


def test_living_runs_are_seen(server: Server) -> None:
    other = ENGINE.observe(server.url, "zz" + RUN)
    try:
        assert {RUN, "zz" + RUN} <= server.admin.living_runs()
    finally:
        other.close()
    eventually(lambda: "zz" + RUN not in server.admin.living_runs())


def test_wrong_password_and_no_server() -> None:
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(URL)
    wrong = urlunsplit(parts._replace(netloc=f"{parts.username}:n0tIt@{parts.hostname}:{parts.port or 1433}"))
    with pytest.raises(LoginRefused) as caught:
        ENGINE.admin(wrong, RUN)
    print(caught.value)
    assert "n0tIt" not in str(caught.value)
    nobody = urlunsplit(parts._replace(netloc=f"sa:n0tIt@{parts.hostname}:1"))
    with pytest.raises(ServerError, match="cannot be reached") as caught:
        ENGINE.admin(nobody, RUN)
    print(caught.value)
