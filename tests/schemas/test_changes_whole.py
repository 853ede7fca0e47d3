"""Who cannot be told what changed since is told everything, and that this is so. Purged tombstones are one reason."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from following import Follower, following, truth

from fixtures.databases import Database
from fixtures.giving import Giving

pytestmark = [pytest.mark.etl, pytest.mark.data("sample")]


@pytest.fixture
def crm(promptcrm_db: Database) -> Database:
    if promptcrm_db.engine != "postgresql":
        pytest.skip("there is a procedure there: EXEC dbo.changes_since")
    return promptcrm_db


@pytest.fixture
def follower(crm: Database) -> Follower:
    return following(crm.connect(), "promptcrm")


def all_is_read(follower: Follower) -> bool:
    """The next window is whole, right, and the one after it is none."""
    follower.read()
    whole = follower.whole
    assert follower.state == truth(follower.connection, "promptcrm")
    assert follower.read() == set()
    assert not follower.whole
    return whole


@pytest.mark.parametrize(
    "watermark",
    [
        None,
        "",
        "nonsense",
        "5",
        "9:8:",
        "1:2:9",
        "0x00000000000007E3",
        "1:99999999999:",
        "99999999999:99999999999:",
        "٣:٤:",
    ],
)
def test_a_watermark_that_is_none_or_from_the_future(follower: Follower, watermark: str | None) -> None:
    follower.watermark = watermark
    assert all_is_read(follower)


@pytest.mark.parametrize("origin", [None, "", "another", "x' OR true --"])
def test_an_origin_that_is_another(follower: Follower, origin: str | None) -> None:
    follower.origin = origin
    assert all_is_read(follower)


@pytest.mark.parametrize("table", ["interaction", "client", "city", "tombstone", "sale"])
def test_a_table_is_truncated(crm: Database, follower: Follower, table: str) -> None:
    crm.connect().execute(f"TRUNCATE {table} CASCADE")
    assert all_is_read(follower)


def test_a_truncation_that_is_rolled_back_is_none(crm: Database, follower: Follower) -> None:
    with crm.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute("TRUNCATE interaction")
    assert not all_is_read(follower)


def test_rows_that_the_triggers_did_not_see(crm: Database, follower: Follower) -> None:
    connection = crm.connect()
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM interaction WHERE id = 1")
    assert follower.read() == set(), "or there is nothing to tell"
    connection.execute("SELECT renew_origin()")
    assert all_is_read(follower)


def test_a_copy_of_the_database_is_another_one(crm: Database, follower: Follower, giving: Giving) -> None:
    """Its rows are the same, the identity in its table too."""
    with giving.database("promptcrm", "sample") as other:
        copied = crm.connect().execute("SELECT origin FROM etl_origin").fetchone()
        connection = other.connect()
        connection.execute("UPDATE etl_origin SET origin = %s", copied)
        moved = Follower(connection)
        moved.origin, moved.watermark = follower.origin, follower.watermark
        moved.read()
        assert moved.whole
        assert str(follower.origin).split()[:-1] == str(moved.origin).split()[:-1]


def test_without_an_identity_it_says_what_to_do(crm: Database, follower: Follower) -> None:
    connection = crm.connect()
    connection.execute("DELETE FROM etl_origin")
    with pytest.raises(psycopg.Error, match=r"SELECT renew_origin\(\) makes one"):
        follower.read()
    connection.execute("SELECT renew_origin()")
    assert all_is_read(follower)


def test_there_is_one_identity(crm: Database) -> None:
    connection = crm.connect()
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("INSERT INTO etl_origin DEFAULT VALUES")
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("INSERT INTO etl_origin (one) VALUES (2)")


def test_rows_from_a_server_that_was_further_on_are_read_once(crm: Database, follower: Follower) -> None:
    """A dump has the row_version of where it was made, which this server has yet to come to."""
    connection = crm.connect()
    connection.execute("SET session_replication_role = replica")
    connection.execute("UPDATE client SET row_version = '4000000000', name = 'restored' WHERE id = 1")
    connection.execute("SELECT renew_origin()")
    assert all_is_read(follower)
    connection.execute("SET session_replication_role = DEFAULT")
    connection.execute("UPDATE client SET name = 'changed' WHERE id = 1")
    assert follower.read() == {("client", 1)}


def test_what_was_read_outlives_a_crash_of_the_server(crm: Database, follower: Follower) -> None:
    """Else the numbers of transactions that a crash undoes would be given again, below the watermark."""
    writer = crm.connect(options="-c synchronous_commit=off")
    for n in range(20):
        writer.execute("UPDATE client SET credit = %s WHERE id = 1", [n])
    (written,) = writer.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert follower.read() == {("client", 1)}
    (behind,) = writer.execute("SELECT pg_wal_lsn_diff(%s, pg_current_wal_flush_lsn())", [written]).fetchone()
    assert behind <= 0


# -- tombstones


def purge(connection: Any, before: str = "'infinity'") -> int:
    (count,) = connection.execute(f"SELECT purge_tombstones({before})").fetchone()
    return int(count)


def test_who_has_read_them_does_not_miss_them(crm: Database, follower: Follower) -> None:
    connection = crm.connect()
    connection.execute("DELETE FROM interaction")
    gone = follower.read()
    assert gone
    assert purge(connection) == len(gone)
    assert connection.execute("SELECT count(*) FROM tombstone").fetchone() == (0,)
    assert not all_is_read(follower)


def test_who_has_not_read_them_reads_everything(crm: Database, follower: Follower) -> None:
    connection = crm.connect()
    connection.execute("DELETE FROM interaction")
    assert purge(connection) > 0
    assert all_is_read(follower)


def test_what_is_purged_later_does_not_hide_what_was_purged_before(crm: Database, follower: Follower) -> None:
    connection = crm.connect()
    connection.execute("DELETE FROM interaction WHERE id = 1")
    assert purge(connection) == 1
    assert purge(connection) == 0
    assert all_is_read(follower)


def test_only_the_old_ones_go(crm: Database, follower: Follower) -> None:
    connection = crm.connect()
    connection.execute("DELETE FROM interaction WHERE id = 1")
    connection.execute("UPDATE tombstone SET deleted_at = deleted_at - interval '31 days'")
    follower.read()
    connection.execute("DELETE FROM interaction WHERE id = 2")
    assert purge(connection, "") == 1
    assert follower.read() == {("interaction", 2, "gone")}
    assert not follower.whole


def test_one_that_is_committed_late_and_purged_at_once_is_not_missed(crm: Database, follower: Follower) -> None:
    late, connection = crm.connect(autocommit=False), crm.connect()
    late.execute("DELETE FROM interaction WHERE id = 1")
    connection.execute("UPDATE client SET credit = 7 WHERE id = 1")
    assert follower.read() == {("client", 1)}
    late.commit()
    assert purge(connection) == 1
    assert all_is_read(follower)
