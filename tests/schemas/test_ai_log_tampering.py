"""The AI log: whatever somebody does behind its triggers, the chain shows it, or the anchor that lies elsewhere."""

from __future__ import annotations

import pytest
from ai_log_chain import Connection, fill, looked, said_by_server

from fixtures.databases import Database
from harness.ai_log.model import Anchor
from harness.ai_log.read import open_reader
from harness.ai_log.verify import Verdict

pytestmark = pytest.mark.mcp


@pytest.fixture
def connection(promptsales_db: Database) -> Connection:
    return promptsales_db.connect()


def rehashed(connection: Connection, first: int) -> None:
    """Write the hashes anew from an entry on, as somebody would who knows how they are made."""
    connection.execute(
        "DO $$ DECLARE one ai_log; before bytea; BEGIN "
        f"FOR one IN SELECT * FROM ai_log WHERE number >= {first} ORDER BY number LOOP "
        "  one.previous_hash := coalesce((SELECT hash FROM ai_log WHERE number = one.number - 1), "
        "    decode(repeat('00', 32), 'hex')); "
        "  one.hash := sha256(convert_to(ai_log_text(one), 'UTF8')); "
        "  UPDATE ai_log SET previous_hash = one.previous_hash, hash = one.hash WHERE number = one.number; "
        "END LOOP; "
        "UPDATE ai_log_head SET (number, hash) = (SELECT number, hash FROM ai_log ORDER BY number DESC LIMIT 1); END $$"
    )


SWAP = (
    "ALTER TABLE ai_log DROP CONSTRAINT pk_ai_log; UPDATE ai_log SET number = CASE number WHEN 3 THEN 4 ELSE 3 END "
    "WHERE number IN (3, 4)"
)
INSERT = (
    "UPDATE ai_log SET number = -number WHERE number > 3; UPDATE ai_log SET number = 1 - number WHERE number < 0; "
    "INSERT INTO ai_log SELECT 4, happened_at, written_by, server, method, target, subject, 'forged@example.com', client, "
    "issuer, session, arguments, outcome, rows, milliseconds, answer_sha256, error, hash, sha256('x') "
    "FROM ai_log WHERE number = 3"
)
TAMPERED: dict[str, tuple[str, str]] = {
    "a value": ("UPDATE ai_log SET name = 'eva@example.com' WHERE number = 3", "entry 3 was changed"),
    "a value to nothing": ("UPDATE ai_log SET rows = NULL WHERE number = 3", "entry 3 was changed"),
    "an argument": ("UPDATE ai_log SET arguments = '{\"n\": 30}' WHERE number = 3", "entry 3 was changed"),
    "the form of a number": ("UPDATE ai_log SET arguments = '{\"n\": 3.0}' WHERE number = 3", "entry 3 was changed"),
    "a microsecond": ("UPDATE ai_log SET happened_at = happened_at + '1 us' WHERE number = 3", "entry 3 was changed"),
    "a time that is none": ("UPDATE ai_log SET happened_at = 'infinity' WHERE number = 3", "entry 3 was changed"),
    "the hash": ("UPDATE ai_log SET hash = sha256('x') WHERE number = 3", "entry 3 was changed"),
    "the first": ("DELETE FROM ai_log WHERE number = 1", "entry 1 is missing"),
    "one in the middle": ("DELETE FROM ai_log WHERE number = 3", "entry 3 is missing"),
    "the tail": ("DELETE FROM ai_log WHERE number > 4", "entry 5 is missing, and all after it"),
    "all": ("DELETE FROM ai_log", "entry 1 is missing, and all after it"),
    "two swapped": (SWAP, "entry 3 was changed"),
    "one more": (INSERT, "entry 4 was changed"),
    "one more at the end": (
        "INSERT INTO ai_log SELECT 7, happened_at, written_by, server, method, target, subject, name, client, issuer, "
        "session, arguments, outcome, rows, milliseconds, answer_sha256, error, hash, sha256('x') "
        "FROM ai_log WHERE number = 6",
        "entry 7 was changed",
    ),
    "one with its hash": (
        "UPDATE ai_log AS e SET name = 'eva@example.com' WHERE number = 3; "
        "UPDATE ai_log AS e SET hash = sha256(convert_to(ai_log_text(e), 'UTF8')) WHERE number = 3",
        "entry 4 does not follow entry 3",
    ),
    "the last with its hash": (
        "UPDATE ai_log AS e SET name = 'eva@example.com' WHERE number = 6; "
        "UPDATE ai_log AS e SET hash = sha256(convert_to(ai_log_text(e), 'UTF8')) WHERE number = 6",
        "entry 6 is not",
    ),
    "the head": (
        "UPDATE ai_log_head SET number = 5, hash = (SELECT hash FROM ai_log WHERE number = 5)",
        "entry 6 is not",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_done_behind_the_triggers_is_found(promptsales_db, connection, what):
    fill(connection)
    statement, expected = TAMPERED[what]
    tamper(connection, statement)
    found = looked(promptsales_db)
    assert len(found.problems) == 1, found.problems  # one more would say that the server's own function disagrees
    entries, broken_at, problem = said_by_server(connection)
    assert entries == found.entries
    assert broken_at is not None
    if what == "the head":
        assert "entry 6 is not" in found.problems[0] or "entry 6 is not known" in found.problems[0]
    else:
        assert found.problems[0].startswith(expected)
        assert problem.startswith(expected.partition(" was")[0].partition(" is not")[0])


def tamper(connection: Connection, statement: str) -> None:
    for table in ("ai_log", "ai_log_head"):
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    if statement.startswith(INSERT[:10]) and "forged" in statement:
        connection.execute(
            "ALTER TABLE ai_log DROP CONSTRAINT ck_ai_log_number, DROP CONSTRAINT uq_ai_log_previous_hash"
        )
    if "SELECT 7" in statement:
        connection.execute("ALTER TABLE ai_log DROP CONSTRAINT uq_ai_log_previous_hash")
    connection.execute(statement)
    for table in ("ai_log", "ai_log_head"):
        connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")


CONSISTENT = {
    "written anew from entry 3 on": "UPDATE ai_log SET name = 'eva@example.com' WHERE number = 3",
    "without entry 3": "DELETE FROM ai_log WHERE number = 3; UPDATE ai_log SET number = number - 1 WHERE number > 3",
}


@pytest.mark.parametrize("what", CONSISTENT)
def test_what_was_written_anew_consistently_only_the_anchor_finds(promptsales_db, connection, what):
    fill(connection)
    anchor = anchored(promptsales_db)
    fill(connection, 2)
    assert looked(promptsales_db, anchor) == Verdict(8, (), anchor)
    tamper(connection, CONSISTENT[what])
    for table in ("ai_log", "ai_log_head"):
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    rehashed(connection, 3)
    assert looked(promptsales_db).problems == ()  # by itself the log is as it should be
    assert said_by_server(connection)[1:] == (None, None)
    (problem,) = looked(promptsales_db, anchor).problems
    assert problem.startswith("entry 6 is not the one that the anchor has seen")


def test_a_tail_that_was_cut_off_with_the_head_only_the_anchor_finds(promptsales_db, connection):
    fill(connection)
    anchor = anchored(promptsales_db)
    tamper(connection, "DELETE FROM ai_log WHERE number > 4")
    for table in ("ai_log", "ai_log_head"):
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    rehashed(connection, 5)
    assert looked(promptsales_db).problems == ()
    (problem,) = looked(promptsales_db, anchor).problems
    assert problem.startswith("entry 6, which the anchor has seen, is missing")


def anchored(database: Database) -> Anchor:
    with open_reader(database.url) as reader:
        anchor = reader.anchor(reader.head()[0])
    assert anchor is not None
    return anchor


def test_a_part_of_the_chain(connection):
    fill(connection)
    assert connection.execute("SELECT * FROM ai_log_verify(2, 4)").fetchone() == (3, None, None)
    assert connection.execute("SELECT * FROM ai_log_verify(5)").fetchone() == (2, None, None)
    assert connection.execute("SELECT * FROM ai_log_verify(5, 9)").fetchone() == (
        2,
        7,
        "entry 7 is missing, and all after it",
    )
    assert connection.execute("SELECT * FROM ai_log_verify(20, 21)").fetchone() == (0, 19, "entry 19 is missing")
    tamper(connection, "UPDATE ai_log SET name = 'x' WHERE number = 3")
    assert connection.execute("SELECT broken_at FROM ai_log_verify(2, 4)").fetchone() == (3,)
    assert connection.execute("SELECT broken_at FROM ai_log_verify(4, 6)").fetchone() == (None,)
