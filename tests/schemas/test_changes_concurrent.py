"""Late commits, and many transactions at once while windows are read: no change is lost, none is read twice."""

from __future__ import annotations

import random
import threading
from typing import Any

import psycopg
import pytest
from following import Follower, following, snapshots, truth

from fixtures.databases import Database

pytestmark = [pytest.mark.etl, pytest.mark.data("sample")]

WRITERS, TRANSACTIONS = 6, 500


@pytest.fixture
def crm(promptcrm_db: Database) -> Database:
    if promptcrm_db.engine != "postgresql":
        pytest.skip("there is a procedure there: EXEC dbo.changes_since")
    return promptcrm_db


def test_a_commit_that_comes_late_is_in_the_next_window(crm: Database) -> None:
    reader = crm.connect()
    follower, early, late = following(reader, "promptcrm"), crm.connect(), crm.connect(autocommit=False)
    late.execute("UPDATE client SET name = 'late' WHERE id = 1")
    late.execute("DELETE FROM interaction WHERE id = 1")
    early.execute("UPDATE client SET name = 'early' WHERE id = 2")
    assert follower.read() == {("client", 2)}  # the later transaction without the earlier one: so it is in the source
    late.execute("UPDATE client SET name = 'late' WHERE id = 3")
    early.execute("UPDATE client SET name = 'early again' WHERE id = 2")
    late.commit()
    assert follower.read() == {("client", 1), ("client", 2), ("client", 3), ("interaction", 1, "gone")}
    assert follower.read() == set()
    assert follower.state == truth(reader, "promptcrm")


def test_what_came_after_a_late_one_is_not_read_again_with_it(crm: Database) -> None:
    follower, early, late = following(crm.connect(), "promptcrm"), crm.connect(), crm.connect(autocommit=False)
    late.execute("UPDATE client SET name = 'late' WHERE id = 1")
    for _ in range(5):
        early.execute("UPDATE client SET credit = credit + 1 WHERE id = 2")
        assert follower.read() == {("client", 2)}
        assert follower.read() == set()
    late.commit()
    assert follower.read() == {("client", 1)}


def test_an_old_snapshot_reads_what_it_sees_and_the_next_one_the_rest(crm: Database) -> None:
    connection, writer = crm.connect(autocommit=False), crm.connect()
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    follower = following(connection, "promptcrm")
    writer.execute("UPDATE client SET name = 'after the snapshot' WHERE id = 1")
    assert follower.read() == set()
    connection.rollback()
    assert follower.read() == {("client", 1)}


def test_a_prepared_transaction_is_a_late_commit(crm: Database) -> None:
    follower, writer = following(crm.connect(), "promptcrm"), crm.connect(autocommit=False)
    (allowed,) = writer.execute("SELECT current_setting('max_prepared_transactions')::int").fetchone()
    writer.rollback()
    if not allowed:
        pytest.skip("this server has no prepared transactions: max_prepared_transactions = 0")
    writer.execute("UPDATE client SET name = 'prepared' WHERE id = 1")
    writer.execute("PREPARE TRANSACTION 'later'")
    assert follower.read() == set()
    crm.connect().execute("COMMIT PREPARED 'later'")
    assert follower.read() == {("client", 1)}


def test_a_client_of_a_city_whose_country_changes_meanwhile_has_the_new_one(crm: Database) -> None:
    follower, moving, coming = (
        following(crm.connect(), "promptcrm"),
        crm.connect(autocommit=False),
        crm.connect(autocommit=False),
    )
    coming.execute("UPDATE client SET city_id = 1 WHERE id = 3")
    moving.execute("UPDATE city SET country = 'XX' WHERE id = 1")  # it does not see that one
    coming.commit()
    assert ("client", 3) in follower.read()
    moving.commit()
    assert ("client", 3) in follower.read()
    assert follower.state == truth(crm.connect(), "promptcrm")
    assert follower.state["client", 3][1] == "XX"


def test_windows_add_up_to_the_source_whatever_is_written_meanwhile(crm: Database) -> None:
    """Each window is held against the source in its own snapshot: the copy is never anything that the source was not."""
    clients = [id for (id,) in crm.connect().execute("SELECT id FROM client").fetchall()]
    problems: list[BaseException] = []
    written = threading.Event()

    def write(number: int) -> None:
        chance = random.Random(number)
        try:
            with psycopg.connect(crm.url, autocommit=True, options="-c deadlock_timeout=20ms") as connection:
                for _ in range(TRANSACTIONS):
                    try:
                        _transaction(connection, chance, clients)
                    except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
                        continue
                    except psycopg.errors.InternalError as problem:
                        # PostgreSQL 18 trips over a row that a savepoint, rolled back, had updated while others lock it.
                        if "new multixact has more than one updating member" not in str(problem):
                            raise
        except BaseException as problem:  # noqa: BLE001 (told below)
            problems.append(problem)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]

    def wait() -> None:
        for thread in threads:
            thread.join()
        written.set()

    reader = crm.connect()
    follower = following(reader, "promptcrm")
    windows = snapshots(reader, follower, "promptcrm")
    for thread in threads:
        thread.start()
    threading.Thread(target=wait, daemon=True).start()
    some = wholes = 0
    while not written.is_set():
        some += bool(next(windows))
        wholes += follower.whole
    assert problems == []
    next(windows)
    assert next(windows) == set()
    assert some > 10
    assert 0 < wholes < some, "the origin was renewed now and then"
    assert follower.state == truth(reader, "promptcrm")


def _transaction(connection: psycopg.Connection[Any], chance: random.Random, clients: list[int]) -> None:
    """A few changes, some undone, some in transactions that are rolled back or in which time passes."""
    with connection.transaction(force_rollback=chance.random() < 0.1):
        for _ in range(chance.randint(1, 3)):
            with connection.transaction(force_rollback=chance.random() < 0.15):  # a savepoint
                _change(connection, chance, clients)
        if chance.random() < 0.02:
            connection.execute("SELECT pg_sleep(0.02)")


def _change(connection: psycopg.Connection[Any], chance: random.Random, clients: list[int]) -> None:
    id, client = chance.randint(1, 40), chance.choice(clients)
    statement, *values = chance.choices(
        [
            ("UPDATE client SET credit = credit + 1 WHERE id = %s", client),
            ("UPDATE client SET city_id = %s WHERE id = %s", chance.randint(1, 2), client),
            ("UPDATE city SET country = %s WHERE id = %s", chance.choice(["AA", "BB"]), chance.randint(1, 2)),
            (
                "INSERT INTO interaction (id, client_id, kind, happened_at, note) VALUES (%s, %s, 'call', now(), '') "
                "ON CONFLICT (id) DO UPDATE SET happened_at = now()",
                id,
                client,
            ),
            ("DELETE FROM interaction WHERE id BETWEEN %s AND %s", id, id + 1),
            ("UPDATE interaction SET id = %s WHERE id = %s", chance.randint(1, 40), id),
            ("DELETE FROM interaction", None),
            ("SELECT renew_origin()", None),  # what TRUNCATE does; that one shows also in snapshots from before it
            ("SELECT purge_tombstones((now() AT TIME ZONE 'UTC') - interval '2 seconds')", None),
        ],
        [20, 10, 2, 25, 10, 5, 0.3, 0.1, 0.3],
    )[0]
    connection.execute(statement, [value for value in values if value is not None])


def test_several_readers_each_with_a_watermark_of_its_own(crm: Database) -> None:
    connection = crm.connect()
    one, other = following(connection, "promptcrm"), following(connection, "promptcrm")
    for name in ("a", "b", "c"):
        connection.execute("UPDATE client SET name = %s WHERE id = 1", [name])
        connection.execute("DELETE FROM interaction WHERE id = (SELECT min(id) FROM interaction)")
        one.read()
    other.read()
    assert not other.whole
    assert one.state == other.state == truth(connection, "promptcrm")


def test_a_watermark_that_is_used_again_gives_the_same_and_what_came_since(crm: Database) -> None:
    """A round that was read and never merged is read again."""
    connection = crm.connect()
    follower = following(connection, "promptcrm")
    old, state = follower.watermark, dict(follower.state)
    connection.execute("DELETE FROM interaction WHERE id = 1")
    assert follower.read() == {("interaction", 1, "gone")}
    connection.execute("UPDATE client SET name = 'x' WHERE id = 1")
    again = Follower(connection)
    again.origin, again.watermark, again.state = follower.origin, old, state
    assert again.read() == {("interaction", 1, "gone"), ("client", 1)}
    assert again.state == truth(connection, "promptcrm")
