"""Each kind of change is found by the next reading, once, and nothing else is."""

from __future__ import annotations

from datetime import date
from typing import Any

import psycopg
import pytest
from following import Follower, following, truth

from fixtures.databases import Database

pytestmark = [pytest.mark.etl, pytest.mark.data("sample")]
DAY = date(2026, 3, 1)


@pytest.fixture
def ads(promptads_db: Database) -> Any:
    return _stand_in(promptads_db)


@pytest.fixture
def crm(promptcrm_db: Database) -> Any:
    return _stand_in(promptcrm_db)


def _stand_in(database: Database) -> Any:
    if database.engine != "postgresql":
        pytest.skip("there is a procedure there: EXEC dbo.changes_since")
    return database.connect()


def check(connection: Any, logical: str, changes: list[tuple[str, set[tuple[Any, ...]]]]) -> None:
    """Make each change, and hold what is read after it against what it is to be; nothing comes twice."""
    follower = following(connection, logical)
    for statement, keys in changes:
        connection.execute(statement)
        assert follower.read() == keys, statement
        assert not follower.whole
        assert follower.state == truth(connection, logical)
        assert follower.read() == set()


def test_changes_of_promptads(ads: Any) -> None:
    check(
        ads,
        "promptads",
        [
            ("UPDATE campaign SET name = 'Spring 2' WHERE id = 1", {("campaign", 1)}),
            ("UPDATE campaign SET id = id", {("campaign", 1), ("campaign", 2), ("campaign", 3)}),
            ("UPDATE ad SET content_id = NULL WHERE id IN (1, 2)", {("ad", 1), ("ad", 2)}),
            ("UPDATE metric_day SET clicks = 51 WHERE ad_id = 1 AND day = '2026-03-01'", {("metric_day", 1, DAY)}),
            ("UPDATE budget SET amount = 601 WHERE id = 1", set()),
            (
                "INSERT INTO metric_day (ad_id, day, impressions, clicks, conversions, cost) "
                "VALUES (5, '2026-03-01', 9, 1, 0, 1)",
                {("metric_day", 5, DAY)},
            ),
            ("DELETE FROM metric_day WHERE day = '2026-03-01' AND ad_id <> 2",
             {("metric_day", 1, DAY, "gone"), ("metric_day", 5, DAY, "gone")}),
            ("DELETE FROM metric_day WHERE false", set()),
            ("UPDATE campaign SET name = 'nobody' WHERE false", set()),
            ("INSERT INTO ad (id, campaign_id, channel_id, headline, status) VALUES (9, 1, 1, 'x', 'active')", {("ad", 9)}),
            ("DELETE FROM ad WHERE id = 9", {("ad", 9, "gone")}),
        ],
    )  # fmt: skip


def test_changes_of_promptcrm(crm: Any) -> None:
    clients = {("client", id) for (id,) in crm.execute("SELECT id FROM client WHERE city_id = 1").fetchall()}
    assert clients
    (sale,) = crm.execute("SELECT min(id) FROM sale").fetchone()
    check(
        crm,
        "promptcrm",
        [
            ("UPDATE client SET credit = credit + 1 WHERE id = 1", {("client", 1)}),
            ("UPDATE client SET email_hash = '\\x01' WHERE id = 1", {("client", 1)}),
            ("UPDATE city SET country = 'XX' WHERE id = 1", clients),
            ("UPDATE city SET population = 1 WHERE id = 1", set()),
            ("UPDATE city SET country = 'XX' WHERE id = 1", set()),
            (f"UPDATE sale SET status = 'cancelled' WHERE id = {sale}", {("sale", sale)}),
            ("INSERT INTO interaction (id, client_id, kind, happened_at, note) VALUES (77, 1, 'call', '2026-01-01', '')",
             {("interaction", 77)}),
            ("DELETE FROM interaction WHERE id = 77", {("interaction", 77, "gone")}),
            (f"DELETE FROM sale_line WHERE sale_id = {sale}", set()),
            (f"DELETE FROM sale WHERE id = {sale}", {("sale", sale, "gone")}),
        ],
    )  # fmt: skip


def test_a_changed_key_is_a_row_that_is_gone_and_another_one(ads: Any) -> None:
    moved = date(2026, 3, 9)
    check(
        ads,
        "promptads",
        [
            ("UPDATE metric_day SET day = '2026-03-09' WHERE ad_id = 2",
             {("metric_day", 2, DAY, "gone"), ("metric_day", 2, moved)}),
            ("UPDATE metric_day SET ad_id = 5 WHERE ad_id = 2",
             {("metric_day", 2, moved, "gone"), ("metric_day", 5, moved)}),
            # The key goes on: one row leaves it, another one takes it.
            ("UPDATE metric_day SET day = day + 1 WHERE ad_id = 1 AND day = '2026-03-02';"
             "UPDATE metric_day SET day = '2026-03-02' WHERE ad_id = 1 AND day = '2026-03-01'",
             {("metric_day", 1, DAY, "gone"), ("metric_day", 1, date(2026, 3, 2)), ("metric_day", 1, date(2026, 3, 3))}),
        ],
    )  # fmt: skip


def test_a_row_that_is_deleted_and_made_again_is_there(crm: Any) -> None:
    again = "INSERT INTO interaction (id, client_id, kind, happened_at, note) VALUES (77, 1, 'call', '2026-01-01', '')"
    gone = "DELETE FROM interaction WHERE id = 77"
    check(
        crm,
        "promptcrm",
        [
            (again, {("interaction", 77)}),
            (f"{gone}; {again}", {("interaction", 77)}),
            (f"BEGIN; {gone}; {again}; {gone}; COMMIT", {("interaction", 77, "gone")}),
            (f"{again}; {gone}; {again}; {gone}", {("interaction", 77, "gone")}),
            (again, {("interaction", 77)}),
        ],
    )


def test_a_merge_and_an_upsert_are_changes_too(ads: Any) -> None:
    put = "INSERT INTO metric_day (ad_id, day, impressions, clicks, conversions, cost) VALUES (1, '2026-03-01', 7, 1, 0, 1) "
    check(
        ads,
        "promptads",
        [
            (put + "ON CONFLICT (ad_id, day) DO UPDATE SET impressions = 700", {("metric_day", 1, DAY)}),
            (put + "ON CONFLICT DO NOTHING", set()),
            ("MERGE INTO metric_day AS m USING (VALUES (1)) AS n (id) ON m.ad_id = n.id "
             "WHEN MATCHED AND m.day = '2026-03-01' THEN DELETE WHEN MATCHED THEN UPDATE SET clicks = m.clicks",
             {("metric_day", 1, DAY, "gone"), ("metric_day", 1, date(2026, 3, 2))}),
        ],
    )  # fmt: skip


def test_what_was_rolled_back_is_no_change(crm: Any, promptcrm_db: Database) -> None:
    follower, writer = following(crm, "promptcrm"), promptcrm_db.connect(autocommit=False)
    writer.execute("UPDATE client SET name = 'never' WHERE id = 1")
    writer.execute("DELETE FROM interaction")
    writer.rollback()
    assert follower.read() == set()
    writer.execute("UPDATE client SET name = 'kept' WHERE id = 1")
    writer.execute("SAVEPOINT s")
    writer.execute("UPDATE client SET name = 'not kept' WHERE id = 2")
    writer.execute("DELETE FROM interaction")
    writer.execute("ROLLBACK TO s")
    writer.execute("SAVEPOINT t")
    writer.execute("UPDATE client SET name = 'kept too' WHERE id = 3")
    writer.execute("RELEASE t")
    assert follower.read() == set()
    writer.commit()
    assert follower.read() == {("client", 1), ("client", 3)}
    assert follower.state == truth(crm, "promptcrm")


def test_what_an_exception_undoes_is_no_change(crm: Any) -> None:
    check(
        crm,
        "promptcrm",
        [
            (
                "DO $$ BEGIN BEGIN UPDATE client SET name = 'no' WHERE id = 1; RAISE EXCEPTION 'x'; "
                "EXCEPTION WHEN others THEN UPDATE client SET name = 'yes' WHERE id = 2; END; END $$",
                {("client", 2)},
            )
        ],
    )


def test_who_writes_cannot_say_when(ads: Any) -> None:
    follower = following(ads, "promptads")
    ads.execute("UPDATE campaign SET row_version = '3' WHERE id = 1")
    assert follower.read() == {("campaign", 1)}


def test_who_has_written_reads_what_is_committed_in_another_transaction(ads: Any) -> None:
    with ads.transaction(force_rollback=True):
        ads.execute("UPDATE campaign SET name = 'mine' WHERE id = 1")
        with pytest.raises(psycopg.Error, match="a transaction that has written nothing"):
            Follower(ads).read()


def test_a_transaction_may_read_twice(ads: Any) -> None:
    with ads.transaction():
        follower = Follower(ads)
        assert follower.read()
        assert follower.read() == set()
        assert not follower.whole
