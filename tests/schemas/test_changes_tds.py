"""The procedure dbo.changes_since on a server that speaks TDS: set PROMPTSALES_TEST_TDS_URL to one, else all is skipped.

What SQL Server promises is asked for, and no more: what was committed while an older transaction is under way may be read
twice, never lost. Sources are looked at in SNAPSHOT, so that nobody waits for a writer.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from following_tds import Follower
from tds import URL, WITHOUT, Tds, changes
from test_changes_tsql import declared

from fixtures.databases import Database

if not URL:
    pytest.skip(WITHOUT, allow_module_level=True)

DAY = date(2026, 3, 1)
INTERACTION = (
    "INSERT INTO interaction (id, client_id, kind, happened_at, note) VALUES (77, 1, 'call', '2026-01-01', '')"
)
PYTHON = {
    "text": str, "boolean": bool, "bigint": int, "int": int, "date": date, "numeric": Decimal, "timestamp": datetime,
}  # fmt: skip


def state_of(connection: Any) -> tuple[int, int]:
    """How many transactions a session is in, and its level."""
    row = connection.execute(
        "SELECT @@TRANCOUNT, transaction_isolation_level FROM sys.dm_exec_sessions WHERE session_id = @@SPID"
    ).fetchone()
    return int(row[0]), int(row[1])


@pytest.fixture
def ads(tds: Tds) -> Iterator[Database]:
    database = tds.database("promptads")
    yield database
    database.close()


@pytest.fixture
def crm(tds: Tds) -> Iterator[Database]:
    database = tds.database("promptcrm")
    yield database
    database.close()


@pytest.fixture(params=["promptads", "promptcrm"])
def either(tds: Tds, request: pytest.FixtureRequest) -> Iterator[Database]:
    database = tds.database(request.param)
    yield database
    database.close()


@pytest.fixture
def follower(crm: Database) -> Follower:
    """A reader that has read all there is."""
    made = Follower(crm)
    assert made.reads_all()
    return made


# -- what is read


def test_columns(either: Database) -> None:
    cursor = changes(either.connect())
    found = [(column[0], column[1]) for column in cursor.description]
    assert found == [(name, PYTHON[kind]) for name, kind in declared(either.logical)]


def test_all_then_nothing(either: Database) -> None:
    follower = Follower(either)
    assert follower.reads_all()
    assert follower.state
    assert not follower.reads_all()


def test_changes_of_promptads(ads: Database) -> None:
    follower = Follower(ads)
    follower.read()
    follower.check(
        ads.connect(),
        ("UPDATE campaign SET name = N'Primavera ñ' WHERE id = 1", {("campaign", 1)}),
        ("UPDATE campaign SET name = name", {("campaign", 1), ("campaign", 2), ("campaign", 3)}),
        ("UPDATE ad SET content_id = NULL WHERE id IN (1, 2)", {("ad", 1), ("ad", 2)}),
        ("UPDATE metric_day SET clicks = 51 WHERE ad_id = 1 AND day = '2026-03-01'", {("metric_day", 1, DAY)}),
        ("UPDATE budget SET amount = 601 WHERE id = 1", set()),
        (
            "INSERT INTO metric_day (ad_id, day, impressions, clicks, conversions, cost) "
            "VALUES (5, '2026-03-01', 9, 1, 0, 1)",
            {("metric_day", 5, DAY)},
        ),
        (
            "DELETE FROM metric_day WHERE day = '2026-03-01' AND ad_id <> 2",
            {("metric_day", 1, DAY, "gone"), ("metric_day", 5, DAY, "gone")},
        ),
        ("DELETE FROM metric_day WHERE 1 = 0", set()),
        ("UPDATE campaign SET name = 'nobody' WHERE 1 = 0", set()),
        ("INSERT INTO ad (id, campaign_id, channel_id, headline, status) VALUES (9, 1, 1, 'x', 'active')", {("ad", 9)}),
        ("DELETE FROM ad WHERE id = 9", {("ad", 9, "gone")}),
    )


def test_changes_of_promptcrm(crm: Database, follower: Follower) -> None:
    writer = crm.connect()
    follower.check(
        writer,
        ("UPDATE client SET credit = credit + 1 WHERE id = 1", {("client", 1)}),
        ("UPDATE client SET email_hash = 0x01 WHERE id = 1", {("client", 1)}),
        ("UPDATE sale SET status = 'cancelled' WHERE id = 1", {("sale", 1)}),
        (INTERACTION, {("interaction", 77)}),
        ("DELETE FROM interaction WHERE id = 77", {("interaction", 77, "gone")}),
        ("DELETE FROM sale_line WHERE sale_id = 1", set()),
        ("DELETE FROM sale WHERE id = 1", {("sale", 1, "gone")}),
    )


def test_a_city_that_changes_is_a_change_of_its_clients(crm: Database, follower: Follower) -> None:
    follower.check(crm.connect(), ("UPDATE city SET country = 'XX' WHERE id = 1", {("client", 1), ("client", 2)}))
    assert {row[1] for key, row in follower.state.items() if key[0] == "client"} == {"XX", "MX"}


def test_a_changed_key_is_a_row_that_is_gone_and_another_one(ads: Database) -> None:
    follower, moved = Follower(ads), date(2026, 3, 9)
    follower.read()
    follower.check(
        ads.connect(),
        (
            "UPDATE metric_day SET day = '2026-03-09' WHERE ad_id = 2",
            {("metric_day", 2, DAY, "gone"), ("metric_day", 2, moved)},
        ),
        (
            "UPDATE metric_day SET ad_id = 5 WHERE ad_id = 2",
            {("metric_day", 2, moved, "gone"), ("metric_day", 5, moved)},
        ),
        # The key goes on: one row leaves it, another one takes it.
        (
            "UPDATE metric_day SET day = '2026-03-03' WHERE ad_id = 1 AND day = '2026-03-02';"
            "UPDATE metric_day SET day = '2026-03-02' WHERE ad_id = 1 AND day = '2026-03-01'",
            {("metric_day", 1, DAY, "gone"), ("metric_day", 1, date(2026, 3, 2)), ("metric_day", 1, date(2026, 3, 3))},
        ),
    )


def test_another_id(crm: Database, follower: Follower) -> None:
    writer = crm.connect()
    follower.check(
        writer,
        (INTERACTION, {("interaction", 77)}),
        ("UPDATE interaction SET id = 78 WHERE id = 77", {("interaction", 77, "gone"), ("interaction", 78)}),
        ("UPDATE interaction SET id = id WHERE id = 78", {("interaction", 78)}),
    )


def test_a_row_that_is_deleted_and_made_again_is_there(crm: Database, follower: Follower) -> None:
    gone = "DELETE FROM interaction WHERE id = 77"
    follower.check(
        crm.connect(),
        (INTERACTION, {("interaction", 77)}),
        (f"{gone}; {INTERACTION}", {("interaction", 77)}),
        (f"BEGIN TRANSACTION; {gone}; {INTERACTION}; {gone}; COMMIT", {("interaction", 77, "gone")}),
        (f"{INTERACTION}; {gone}; {INTERACTION}; {gone}", {("interaction", 77, "gone")}),
        (INTERACTION, {("interaction", 77)}),
    )


def test_what_was_rolled_back_is_no_change(crm: Database, follower: Follower) -> None:
    writer = crm.connect(autocommit=False)
    writer.execute("UPDATE client SET name = 'never' WHERE id = 1")
    writer.execute("DELETE FROM interaction WHERE id = 1")
    writer.rollback()
    assert follower.read() == set()
    writer.execute("UPDATE client SET name = 'kept' WHERE id = 1")
    writer.execute("SAVE TRANSACTION s")
    writer.execute("UPDATE client SET name = 'not kept' WHERE id = 2")
    writer.execute("DELETE FROM interaction WHERE id = 1")
    writer.execute("ROLLBACK TRANSACTION s")
    writer.execute("UPDATE client SET name = 'kept too' WHERE id = 3")
    writer.commit()
    assert follower.read() == {("client", 1), ("client", 3)}
    assert follower.right()


# -- transactions


def test_a_commit_that_comes_late_is_not_lost(crm: Database, follower: Follower) -> None:
    late, early = crm.connect(autocommit=False), crm.connect()
    late.execute("UPDATE client SET name = 'late' WHERE id = 1")
    late.execute("DELETE FROM interaction WHERE id = 1")
    early.execute("UPDATE client SET name = 'early' WHERE id = 2")
    assert follower.read() == {("client", 2)}
    assert follower.right()
    assert follower.read() == {("client", 2)}  # read again for as long as an older transaction is under way
    late.execute("UPDATE client SET name = 'late' WHERE id = 3")
    late.commit()
    assert follower.read() == {("client", 1), ("client", 2), ("client", 3), ("interaction", 1, "gone")}
    assert follower.right()
    assert follower.read() == set()


def test_what_is_inserted_late_is_not_lost(crm: Database, follower: Follower) -> None:
    late, early = crm.connect(autocommit=False), crm.connect()
    late.execute(INTERACTION)
    early.execute("UPDATE client SET credit = credit + 1 WHERE id = 2")
    assert follower.read() == {("client", 2)}
    late.commit()
    assert ("interaction", 77) in follower.read()
    assert follower.right()


def test_no_change_of_many_writers_is_lost(crm: Database, follower: Follower) -> None:
    """Each transaction changes a row, stays a moment, and adds another one; some are rolled back."""
    problems: list[BaseException] = []

    def write(number: int, connection: Any) -> None:
        chance = random.Random(number)
        try:
            for turn in range(25):
                connection.execute("UPDATE client SET credit = credit + 1 WHERE id = ?", number)
                if turn % 3 == 2:
                    connection.execute("DELETE FROM interaction WHERE id = ?", number * 1000 + turn - 1)
                connection.execute(INTERACTION.replace("77", str(number * 1000 + turn)))
                (connection.rollback if chance.random() < 0.2 else connection.commit)()
        except BaseException as error:  # noqa: BLE001 (told below)
            problems.append(error)

    writers = [
        threading.Thread(target=write, args=(number, crm.connect(autocommit=False)), daemon=True)
        for number in (1, 2, 3)
    ]
    for writer in writers:
        writer.start()
    windows = 0
    while any(writer.is_alive() for writer in writers):
        follower.read()
        windows += 1
    assert problems == []
    assert windows, "or nothing was read meanwhile"
    follower.read()
    assert not follower.whole
    assert follower.right()
    assert follower.read() == set()


def test_a_session_that_is_in_snapshot_anyway_may_ask(crm: Database) -> None:
    connection, late, early = crm.connect(), crm.connect(autocommit=False), crm.connect()
    connection.execute("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
    follower = Follower(crm, connection)
    assert follower.reads_all()
    late.execute("UPDATE client SET name = 'late' WHERE id = 1")
    early.execute("UPDATE client SET name = 'early' WHERE id = 2")
    assert follower.read() == {("client", 2)}
    late.commit()
    assert ("client", 1) in follower.read()
    assert follower.right()


def test_it_refuses_within_a_transaction(crm: Database, follower: Follower) -> None:
    connection = follower.connection
    connection.execute("SET NOCOUNT ON; BEGIN TRANSACTION; UPDATE client SET credit = credit + 1 WHERE id = 1")
    with pytest.raises(Exception, match=r"outside of any transaction.*\(50031\)"):
        follower.read()
    connection.execute("IF @@TRANCOUNT > 0 ROLLBACK")
    assert follower.read() == set()
    assert follower.right()


def test_a_session_whose_statements_begin_transactions_may_ask(crm: Database) -> None:
    connection = crm.connect()
    connection.execute("SET IMPLICIT_TRANSACTIONS ON")
    follower = Follower(crm, connection)
    assert follower.reads_all()
    crm.connect().execute("UPDATE client SET credit = credit + 1 WHERE id = 1")
    assert follower.read() == {("client", 1)}
    assert follower.right()
    assert tuple(connection.execute("SELECT @@TRANCOUNT, @@OPTIONS & 2").fetchone()) == (0, 2)  # as it was


def test_the_session_is_as_before(crm: Database) -> None:
    connection = crm.connect()
    connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    before = state_of(connection)
    changes(connection).fetchall()
    assert state_of(connection) == before
    assert before[0] == 0


# -- whole


@pytest.mark.parametrize(
    "watermark",
    [None, "", "nonsense", "5", "0x", "0x00", "0xFFFFFFFFFFFFFFFF", "0x7FFFFFFFFFFFFFFF", "0xnothexadecimal", "1:2:9"],
)
def test_a_watermark_that_is_none_or_from_the_future(follower: Follower, watermark: str | None) -> None:
    follower.watermark = watermark
    assert follower.reads_all()


@pytest.mark.parametrize("origin", [None, "", "another", "x' OR 1 = 1 --"])
def test_an_origin_that_is_another(follower: Follower, origin: str | None) -> None:
    follower.origin = origin
    assert follower.reads_all()


def test_an_origin_that_is_renewed(crm: Database, follower: Follower) -> None:
    crm.connect().execute("EXEC dbo.renew_origin")
    assert follower.reads_all()


def test_without_an_identity_it_says_what_to_do(crm: Database, follower: Follower) -> None:
    connection = crm.connect()
    connection.execute("DELETE FROM etl_origin")
    with pytest.raises(Exception, match=r"EXEC dbo\.renew_origin makes one.*\(50032\)"):
        follower.read()
    assert state_of(follower.connection)[0] == 0
    connection.execute("EXEC dbo.renew_origin")
    assert follower.reads_all()


def test_there_is_one_identity(crm: Database) -> None:
    connection = crm.connect()
    with pytest.raises(Exception, match=r"\(2627\)"):
        connection.execute("INSERT INTO etl_origin DEFAULT VALUES")
    with pytest.raises(Exception, match=r"\(547\)"):
        connection.execute("INSERT INTO etl_origin (one) VALUES (2)")


# -- tombstones


def purge(connection: Any, before: datetime | None = datetime(9999, 1, 1)) -> int:
    return int(connection.execute("EXEC dbo.purge_tombstones @before = ?", before).fetchval())


def test_who_has_read_them_does_not_miss_them(crm: Database, follower: Follower) -> None:
    connection = crm.connect()
    connection.execute("DELETE FROM interaction")
    gone = follower.read()
    assert gone
    assert purge(connection) == len(gone)
    assert connection.execute("SELECT COUNT(*) FROM tombstone").fetchval() == 0
    assert not follower.reads_all()


def test_who_has_not_read_them_reads_everything(crm: Database, follower: Follower) -> None:
    connection = crm.connect()
    connection.execute("DELETE FROM interaction")
    assert purge(connection) > 0
    assert follower.reads_all()


def test_what_is_purged_later_does_not_hide_what_was_purged_before(crm: Database, follower: Follower) -> None:
    connection = crm.connect()
    connection.execute("DELETE FROM interaction WHERE id = 1")
    assert purge(connection) == 1
    assert purge(connection) == 0
    assert follower.reads_all()


def test_only_the_old_ones_go(crm: Database, follower: Follower) -> None:
    connection = crm.connect()
    connection.execute("DELETE FROM interaction WHERE id = 1")
    follower.read()
    connection.execute("UPDATE tombstone SET deleted_at = DATEADD(DAY, -31, deleted_at)")
    follower.read()
    connection.execute("DELETE FROM interaction WHERE id = 2")
    assert int(connection.execute("EXEC dbo.purge_tombstones").fetchval()) == 1
    assert follower.read() == {("interaction", 2, "gone")}
    assert not follower.whole


def test_one_that_is_committed_late_and_purged_at_once_is_not_missed(crm: Database, follower: Follower) -> None:
    late, connection = crm.connect(autocommit=False), crm.connect()
    late.execute("DELETE FROM interaction WHERE id = 1")
    connection.execute("UPDATE client SET credit = 7 WHERE id = 1")
    assert follower.read() == {("client", 1)}
    late.commit()
    assert purge(connection) == 1
    assert follower.reads_all()
