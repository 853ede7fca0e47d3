"""The AI log: only added to, a chain that shows each kind of tampering, one writer at a time."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from ai_log_chain import APPEND, fill, looked, said_by_server
from polling import eventually
from stopping import stop

from fixtures.databases import Database
from harness.ai_log.model import MOST_BYTES, Call, arguments_text
from harness.ai_log.store import AiLog
from harness.ai_log.verify import Verdict
from harness.errors import SourceError
from harness.servers.base import Target
from harness.sso.model import Caller

pytestmark = pytest.mark.mcp

ANA = Caller("7c1", "ana@example.com", frozenset({"reader"}), "claude", "https://sso.example.com", "5e55")


def call(**changed: Any) -> Call:
    values: dict[str, Any] = {
        "server": "promptads",
        "method": "tools/call",
        "target": "active_campaigns",
        "caller": ANA,
        "arguments": {"limit": 20, "share": 1.50, "word": "ñandú \u2028"},
        "outcome": "ok",
        "rows": 20,
        "milliseconds": 3.14159,
        "answer_sha256": hashlib.sha256(b"answer").hexdigest(),
        "error": None,
    }
    return Call(**values | changed)


@pytest.fixture
def connection(promptsales_db: Database) -> psycopg.Connection[Any]:
    return promptsales_db.connect()


@pytest.fixture
def log(promptsales_db: Database):
    """An AiLog whose login takes the role of the gate."""
    made = AiLog(Target("promptsales", "postgresql", gate_url(promptsales_db.url)))
    yield made
    made.close()


def gate_url(url: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}options=-c%20role%3Dpromptsales_mcp_gate"


# -- appending


def test_what_is_appended_is_what_is_read(promptsales_db, connection, log):
    before = datetime.now(UTC)
    assert [log.append(call()), log.append(call(outcome="refused", error="there is no campaign 7000", rows=None))] == [
        1,
        2,
    ]
    row = connection.execute(
        "SELECT server, method, target, subject, name, client, issuer, session, arguments, outcome, rows, "
        "milliseconds::float, encode(answer_sha256, 'hex'), error, written_by FROM ai_log WHERE number = 1"
    ).fetchone()
    assert row == (
        "promptads", "tools/call", "active_campaigns", "7c1", "ana@example.com", "claude", "https://sso.example.com", "5e55",
        {"limit": 20, "share": 1.5, "word": "ñandú \u2028"}, "ok", 20, 3.142, hashlib.sha256(b"answer").hexdigest(), None,
        connection.info.user,
    )  # fmt: skip
    times = [row[0] for row in connection.execute("SELECT happened_at FROM ai_log ORDER BY number")]
    assert times == sorted(times)
    assert abs((times[0] - before).total_seconds()) < 3600  # the server's own clock
    assert looked(promptsales_db) == Verdict(2, ())
    assert said_by_server(connection) == (2, None, None)


def test_the_hash_can_be_computed_with_nothing_but_the_description(connection):
    """As the head of 80_ai_log.sql says, from plain columns."""
    fill(connection, 2)
    previous = "00" * 32
    for row in connection.execute(
        "SELECT number, happened_at, written_by, arguments::text, encode(hash, 'hex') FROM ai_log ORDER BY number"
    ).fetchall():
        number, at, by, arguments, stored = row
        stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        fields = [
            "ai_log 1", previous, str(number), stamp, by, "promptads", "tools/call", "active_campaigns", "7c1",
            "ana@example.com", "claude", None, None, arguments, "ok", "3", "1.500", None, None,
        ]  # fmt: skip
        text = "".join("-," if field is None else f"{len(field.encode())}:{field}," for field in fields)
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert previous == stored


def test_no_two_different_entries_are_encoded_alike(connection):
    """Lengths stand before the texts: what moves from one column into the next one changes the hash; so does NULL for ''."""
    texts = {
        connection.execute(
            "SELECT ai_log_text(ROW(1, 'epoch', 'w', %s, %s, 't', 's', 'n', 'c', %s, NULL, '{}', 'ok', NULL, 0, NULL, NULL, "
            "''::bytea, ''::bytea)::ai_log)",
            [server, method, issuer],
        ).fetchone()[0]
        for server, method, issuer in [
            ("ab", "c", None),
            ("a", "bc", None),
            ("a", "b,1:c", None),
            ("ab", "c", ""),
            ("ab", "c", "-"),
        ]
    }
    assert len(texts) == 5


def test_nobody_chooses_number_time_login_or_hashes(promptsales_db, connection):
    fill(connection, 1)
    connection.execute(
        "INSERT INTO ai_log (number, happened_at, written_by, server, method, target, subject, name, client, arguments, "
        "outcome, milliseconds, previous_hash, hash) "
        "VALUES (99, '2001-01-01', 'somebody', 'a', 'b', 'c', 'd', 'e', 'f', '{}', 'ok', 1, '', ''), "
        "(99, '2001-01-01', 'somebody', 'a', 'b', 'c', 'd', 'e', 'f', '{}', 'ok', 1, '', '')"
    )
    rows = connection.execute(
        "SELECT number, happened_at > '2001-01-02', written_by FROM ai_log ORDER BY number"
    ).fetchall()
    assert rows == [(number, True, connection.info.user) for number in (1, 2, 3)]
    assert looked(promptsales_db) == Verdict(3, ())


def test_what_is_rolled_back_leaves_no_gap(promptsales_db, connection):
    fill(connection, 2)
    with connection.transaction(force_rollback=True):
        fill(connection, 3)
    fill(connection, 1)
    assert [row[0] for row in connection.execute("SELECT number FROM ai_log ORDER BY number")] == [1, 2, 3]
    assert looked(promptsales_db) == Verdict(3, ())


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_cannot_fork_the_chain(promptsales_db, connection, level):
    other = promptsales_db.connect()
    other.execute(f"BEGIN ISOLATION LEVEL {level}")
    other.execute("SELECT count(*) FROM ai_log")
    fill(connection, 1)
    with pytest.raises(psycopg.errors.SerializationFailure):
        other.execute(APPEND, ["{}"])
    other.execute("ROLLBACK")
    assert looked(promptsales_db) == Verdict(1, ())


def test_two_hundred_at_once_make_one_chain(promptsales_db, log):
    with ThreadPoolExecutor(40) as pool:
        numbers = list(pool.map(lambda n: log.append(call(arguments={"n": n})), range(200)))
    assert sorted(numbers) == list(range(1, 201))
    assert looked(promptsales_db) == Verdict(200, ())


def test_two_hundred_at_once_over_many_connections(promptsales_db, connection):
    connections = [promptsales_db.connect() for _ in range(20)]

    def ten(own: psycopg.Connection[Any]) -> None:
        for n in range(10):
            with own.transaction(force_rollback=n == 4):
                own.execute(APPEND, [json.dumps({"n": n})])

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(ten, connections))
    assert looked(promptsales_db) == Verdict(180, ())
    assert connection.execute("SELECT count(DISTINCT previous_hash) FROM ai_log").fetchone() == (180,)


# -- what no entry may be, and what every call can be written as


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": "x" * MOST_BYTES},
        {"zero": "a\0b", "half": "\ud800", "nan": float("nan"), "infinite": float("-inf")},
        {"big": 10**5000},
        {"power": [1e300] * 60},
        {"when": datetime(2026, 1, 1), "bytes": b"\xff", "set": {1}},
        {"a\0b": 1, "é": {"deep": [[[None, True]]]}},
    ],
)
def test_whatever_is_called_with_can_be_written_down(promptsales_db, connection, log, arguments):
    log.append(call(arguments=arguments))
    size = connection.execute("SELECT octet_length(arguments::text) FROM ai_log").fetchone()[0]
    assert 2 < size <= MOST_BYTES
    assert looked(promptsales_db).problems == ()


def test_deeply_nested_arguments(promptsales_db, log):
    nested: Any = 1
    for _ in range(3000):
        nested = [nested]
    log.append(call(arguments={"nested": nested}))
    assert looked(promptsales_db).problems == ()


def test_texts_that_are_too_long_are_cut(promptsales_db, connection, log):
    long = "x\0" * 4000
    caller = Caller(long, long, frozenset(), long, long, long)
    log.append(call(server=long, method=long, target=long, caller=caller, error=long, milliseconds=float("inf")))
    lengths = connection.execute(
        "SELECT length(server), length(method), length(target), length(subject), length(name), length(error) FROM ai_log"
    ).fetchone()
    assert lengths == (40, 40, 400, 200, 254, 2000)
    assert looked(promptsales_db).problems == ()


def test_the_size_that_is_written_is_told_of_what_was_left_out():
    text = arguments_text({"text": "x" * 20_000})
    assert "20012 bytes" in text
    assert "xxx" not in text


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("arguments", json.dumps({"x": "y" * MOST_BYTES})),
        ("arguments", "[1]"),
        ("outcome", "perhaps"),
        ("rows", -1),
        ("milliseconds", -1),
        ("milliseconds", "NaN"),
        ("answer_sha256", b"short"),
        ("error", "x" * 2001),
        ("name", None),
    ],
)
def test_the_table_has_bounds_of_its_own(connection, column, value):
    values = dict(
        server="a",
        method="b",
        target="c",
        subject="d",
        name="e",
        client="f",
        arguments="{}",
        outcome="ok",
        milliseconds=1,
    )
    values[column] = value
    with pytest.raises((psycopg.errors.IntegrityError, psycopg.errors.StringDataRightTruncation)):
        connection.execute(
            f"INSERT INTO ai_log ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})",
            list(values.values()),
        )
    assert said_by_server(connection)[0] == 0


# -- only added to


CHANGES = [
    "UPDATE ai_log SET outcome = 'ok'",
    "UPDATE ai_log SET number = number WHERE false",
    "DELETE FROM ai_log",
    "DELETE FROM ai_log WHERE false",
    "TRUNCATE ai_log",
    "TRUNCATE ai_log, ai_log_head CASCADE",
    "UPDATE ai_log_head SET number = 1",
    "DELETE FROM ai_log_head",
    "TRUNCATE ai_log_head",
    "INSERT INTO ai_log_head (number, hash) VALUES (7, '')",
    "MERGE INTO ai_log USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
    "INSERT INTO ai_log SELECT * FROM ai_log ON CONFLICT (number) DO UPDATE SET name = 'x'",
]


@pytest.mark.parametrize("statement", CHANGES)
@pytest.mark.parametrize("how", ["owner", "replica"])
def test_nothing_is_changed_or_removed_by_the_owner_either(promptsales_db, connection, statement, how):
    fill(connection, 3)
    if how == "replica":  # in which ordinary triggers do not fire
        connection.execute("SET session_replication_role = replica")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the AI log is only added to"):
        connection.execute(statement)
    connection.execute("RESET session_replication_role")
    assert looked(promptsales_db) == Verdict(3, ())


# -- the store, when the server does not do as it should


def test_a_connection_that_the_server_has_ended_is_replaced(promptsales_db, connection, log):
    assert log.append(call()) == 1
    ended = connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'psh:ai-log'"
    ).fetchall()
    assert ended == [(True,)]
    assert log.append(call()) == 2
    assert looked(promptsales_db) == Verdict(2, ())


def test_a_log_that_is_held_by_somebody_is_not_waited_for_without_end(promptsales_db):
    holder = promptsales_db.connect(autocommit=False)
    fill(holder, 1)
    short = AiLog(Target("promptsales", "postgresql", gate_url(promptsales_db.url)), seconds=0.3)
    try:
        with pytest.raises(SourceError, match="busy"):
            short.append(call())
        holder.rollback()
        assert short.append(call()) == 1
    finally:
        short.close()
    assert looked(promptsales_db) == Verdict(1, ())


@pytest.mark.parametrize(
    "url", ["postgresql://nobody:sesame@127.0.0.1:1/none", "postgresql://nobody:sesame@nowhere.invalid/x"]
)
def test_no_server_is_told_without_saying_where(url):
    gone = AiLog(Target("promptsales", "postgresql", url))
    with pytest.raises(SourceError) as told:
        gone.append(call())
    gone.close()
    gone.close()
    assert str(told.value) == "the AI log does not answer: try again later"


def test_a_login_that_may_not_is_told_so(promptsales_db):
    reader = gate_url(promptsales_db.url).replace("promptsales_mcp_gate", "promptsales_mcp")
    log = AiLog(Target("promptsales", "postgresql", reader))
    with pytest.raises(SourceError, match="cannot be written"):
        log.append(call())
    log.close()


def test_a_server_that_is_stopped_is_not_waited_for_without_end(promptsales_db, connection):
    """As if its machine hung: it answers nothing and closes nothing."""
    short = AiLog(Target("promptsales", "postgresql", gate_url(promptsales_db.url)), seconds=0.3)
    try:
        assert short.append(call()) == 1
        ((pid,),) = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'psh:ai-log'"
        ).fetchall()
        try:
            stop(pid)
        except (ProcessLookupError, PermissionError):
            pytest.skip("the server is not on this machine, or is not ours to stop")
        try:
            with pytest.raises(SourceError, match=r"^the AI log does not answer: try again later$"):
                short.append(call())
        finally:
            os.kill(pid, signal.SIGCONT)
        eventually(
            lambda: not connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchall(), "it ended"
        )
        assert short.append(call()) in (2, 3)  # what was asked of the stopped one may have been done since
    finally:
        short.close()
    assert looked(promptsales_db).problems == ()
