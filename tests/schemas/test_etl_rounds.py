"""Rounds: one at a time, the dead are buried, the overtaken are refused; when one is due; who may do it."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from etl_round import Round, merge_rows
from polling import eventually

pytestmark = pytest.mark.etl

SOURCES = ["cache", "promptads", "promptcontent", "promptcrm"]


@pytest.fixture
def connection(promptsales_db):
    return promptsales_db.connect()


def runs(connection, number: int) -> dict[str, tuple[str, str | None]]:
    found = connection.execute("SELECT source, status, message FROM etl_run WHERE round = %s", [number]).fetchall()
    return {source: (status, message) for source, status, message in found}


def silent(connection) -> None:
    """The running ones have not been heard of for a while."""
    connection.execute(
        "UPDATE etl_run SET started_at = started_at - interval '1 minute', touched_at = touched_at - interval '1 minute' "
        "WHERE status = 'running'"
    )


def test_a_round_has_a_run_of_each_source(connection):
    own = Round(connection)
    assert runs(connection, own.number) == dict.fromkeys(SOURCES, ("running", None))
    assert own.window("promptads") == (True, None, None)


def test_a_round_that_was_just_heard_of_is_under_way(connection):
    own = Round(connection)
    with pytest.raises(
        psycopg.Error, match=rf"round {own.number} is under way since .*: two do not overlap"
    ) as refused:
        Round(connection)
    assert refused.value.sqlstate == "PE001"
    silent(connection)
    own.window("promptcrm")  # a sign of life
    with pytest.raises(psycopg.Error, match="under way"):
        Round(connection)


def test_a_round_with_a_connection_of_its_name_is_under_way(promptsales_db, connection):
    own = Round(connection)
    silent(connection)
    other = promptsales_db.connect(application_name=f"promptsales-etl {own.number}")
    with pytest.raises(psycopg.Error, match="under way"):
        Round(connection)
    other.close()
    eventually(
        lambda: (
            connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()",
                [f"promptsales-etl {own.number}"],
            ).fetchone()
            == (0,)
        )
    )
    assert Round(connection).number > own.number


def test_a_round_whose_merge_is_at_work_is_under_way(promptsales_db, connection):
    own = Round(connection)
    own.window("promptads")
    own.stage_window("promptads", True, "here", "5:5:")
    silent(connection)
    with promptsales_db.connect(autocommit=False) as other:
        other.execute("SELECT * FROM etl_merge(%s, 'promptads')", [own.number])
        with pytest.raises(psycopg.Error, match="under way"):
            Round(connection)
        other.commit()
    assert runs(connection, own.number)["promptads"] == ("succeeded", None)


def test_a_dead_round_is_failed_swept_and_refused_from_then_on(connection):
    dead = Round(connection)
    dead.window("promptads")
    dead.stage_window("promptads", True, "here", "5:5:")
    dead.stage("campaign", [(False, 1, "c", "active", "2025-01-01", "2025-02-01", 5, None, 1)])
    silent(connection)
    own = Round(connection)
    assert runs(connection, dead.number) == dict.fromkeys(SOURCES, ("failed", "it ended without a word"))
    assert connection.execute("SELECT count(*) FROM staging.campaign").fetchone() == (0,)
    dead.stage_window("promptads", True, "here", "5:5:")  # it lives after all
    for refused in (lambda: dead.window("promptads"), lambda: dead.merge("promptads")):
        with pytest.raises(
            psycopg.Error, match=r"does not run any more: it failed \(it ended without a word\)"
        ) as error:
            refused()
        assert error.value.sqlstate == "PE002"
    assert runs(connection, own.number)["promptads"] == ("running", None)


def test_a_zombie_that_still_copies_holds_nobody_up(promptsales_db, connection):
    dead = Round(connection)
    with promptsales_db.connect(autocommit=False) as zombie:
        zombie.execute("INSERT INTO staging.campaign (round, id) VALUES (%s, 1)", [dead.number])
        connection.execute("INSERT INTO staging.campaign (round, id) VALUES (%s, 2)", [dead.number])
        silent(connection)
        connection.execute("SET lock_timeout = '5s'")
        own = Round(connection)
        zombie.commit()
    assert connection.execute("SELECT round, id FROM staging.campaign").fetchall() == [(dead.number, 1)]
    own.window("promptads")
    own.stage_window("promptads", True, "here", "5:5:")
    assert own.merge("promptads").read == 0
    assert connection.execute("SELECT count(*) FROM campaign").fetchone() == (0,)


def test_of_many_that_begin_at_once_one_does(promptsales_db, connection):
    def begin(own) -> int | None:
        with suppress(psycopg.Error):
            return own.execute("SELECT etl_begin()").fetchone()[0]
        return None

    with ThreadPoolExecutor(6) as pool:
        begun = list(pool.map(begin, [promptsales_db.connect() for _ in range(6)]))
    assert len([number for number in begun if number]) == 1
    assert connection.execute("SELECT count(*) FROM etl_run").fetchone() == (4,)


def test_two_merges_of_one_round_come_one_after_the_other(promptsales_db, connection):
    own = Round(connection)
    own.window("promptads")
    own.stage_window("promptads", True, "here", "5:5:")
    one, other = promptsales_db.connect(autocommit=False), promptsales_db.connect()
    one.execute("SELECT * FROM etl_merge(%s, 'promptads')", [own.number])
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(other.execute, "SELECT * FROM etl_merge(%s, 'promptads')", [own.number])
        pids = [one.info.backend_pid, other.info.backend_pid]
        eventually(lambda: connection.execute("SELECT %s = ANY (pg_blocking_pids(%s))", pids).fetchone()[0])
        one.commit()
        with pytest.raises(psycopg.Error, match="it has succeeded") as refused:
            second.result()
    assert refused.value.sqlstate == "PE002"


def test_merges_of_two_sources_wait_for_each_other_and_both_succeed(promptsales_db, connection):
    own = Round(connection)
    for source, table, row in (
        ("promptads", "campaign", (False, 1, "c", "active", "2025-01-01", "2025-12-31", 5, None, 1)),
        ("promptcrm", "client", (False, 1, "k", "CR", 5, "2025-01-01")),
    ):
        own.window(source)
        own.stage_window(source, True, "here", "5:5:")
        own.stage(table, [row])
    own.stage("sale", [(False, 1, 1, 1, "2025-01-02", "open", 7)])
    one, other = promptsales_db.connect(autocommit=False), promptsales_db.connect()
    one.execute("SELECT * FROM etl_merge(%s, 'promptads')", [own.number])
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(other.execute, "SELECT * FROM etl_merge(%s, 'promptcrm')", [own.number])
        pids = [one.info.backend_pid, other.info.backend_pid]
        eventually(lambda: connection.execute("SELECT %s = ANY (pg_blocking_pids(%s))", pids).fetchone()[0])
        one.commit()
        assert second.result().fetchone() == (2, 2, 0, 0, 0, None, "succeeded")  # it sees the campaign
    assert connection.execute("SELECT campaign_id, sales, revenue FROM campaign_month").fetchall() == [(1, 1, 7)]


def test_a_merge_that_is_killed_has_changed_nothing_and_can_be_done_again(promptsales_db, connection):
    own = Round(connection)
    own.window("promptads")
    own.stage_window("promptads", True, "here", "5:5:")
    own.stage("campaign", [(False, 1, "c", "active", "2025-01-01", "2025-12-31", 5, None, 1)])
    blocking, merging = promptsales_db.connect(autocommit=False), promptsales_db.connect()
    blocking.execute("LOCK TABLE etl_watermark IN EXCLUSIVE MODE")  # the last that a merge writes but for its log
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(merging.execute, "SELECT * FROM etl_merge(%s, 'promptads')", [own.number])
        pids = [blocking.info.backend_pid, merging.info.backend_pid]
        eventually(lambda: connection.execute("SELECT %s = ANY (pg_blocking_pids(%s))", pids).fetchone()[0])
        connection.execute("SELECT pg_terminate_backend(%s)", [merging.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            killed.result()
    blocking.rollback()
    assert connection.execute("SELECT count(*) FROM campaign").fetchone() == (0,)
    assert runs(connection, own.number)["promptads"] == ("running", None)
    assert own.merge("promptads")[:2] == (1, 1)


def test_nothing_staged_is_an_error(connection):
    own = Round(connection)
    own.window("promptads")
    with pytest.raises(psycopg.Error, match="nothing was staged of promptads in round") as refused:
        own.merge("promptads")
    assert refused.value.sqlstate == "PE003"


def test_a_watermark_that_moved_meanwhile_refuses_the_merge(connection):
    own = Round(connection)
    own.window("promptads")
    own.stage_window("promptads", True, "here", "5:5:")
    connection.execute("INSERT INTO etl_watermark (source, kind, upper_bound) VALUES ('promptads', 'xid8', '7:7:')")
    with pytest.raises(psycopg.Error, match="began at another watermark than there is now") as refused:
        own.merge("promptads")
    assert refused.value.sqlstate == "PE002"


def test_a_snapshot_that_cannot_see_other_merges_is_refused(promptsales_db):
    connection = promptsales_db.connect(autocommit=False)
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="needs READ COMMITTED"):
        connection.execute("SELECT * FROM etl_merge(1, 'promptads')")


def test_a_run_ends_once(connection):
    own = Round(connection)
    fail = "SELECT etl_fail(%s, 'promptads', %s)"
    assert connection.execute(fail, [own.number, "PromptAds is down"]).fetchone() == (True,)
    assert connection.execute(fail, [own.number, "again"]).fetchone() == (False,)
    assert connection.execute(fail, [own.number + 1, "again"]).fetchone() == (False,)
    connection.execute("SELECT etl_fail(%s, 'cache', ' ')", [own.number])
    told = runs(connection, own.number)
    assert told["promptads"] == ("failed", "PromptAds is down")
    assert told["cache"] == ("failed", "it failed and did not say why")


def test_the_watermark_is_remembered_and_forgotten(connection):
    merge_rows(connection, "promptads", True, "5:6:5")
    again = Round(connection)
    assert again.window("promptads") == (False, "here", "5:6:5")
    again.end()
    assert connection.execute("SELECT kind FROM etl_watermark").fetchone() == ("xid8",)
    assert connection.execute("SELECT etl_forget('promptads'), etl_forget('promptcrm')").fetchone() == (True, False)
    assert Round(connection).window("promptads") == (True, None, None)
    with pytest.raises(psycopg.Error, match="cannot be read anew") as refused:
        connection.execute("SELECT etl_forget('cache')")
    assert refused.value.sqlstate == "PE005"


def test_sql_servers_watermark_is_known_by_its_look(connection):
    merge_rows(connection, "promptcrm", True, "0x00000000000007D1")
    assert connection.execute("SELECT kind, upper_bound FROM etl_watermark").fetchone() == (
        "rowversion",
        "0x00000000000007D1",
    )


def test_a_round_is_due_once_in_each_slot_of_a_grid(connection):
    def due(every: str = "11 minutes") -> bool:
        return connection.execute("SELECT etl_due(%s::interval)", [every]).fetchone()[0]

    assert due()
    Round(connection).end()
    now = connection.execute("SELECT clock_timestamp()").fetchone()[0]
    grid = datetime(2000, 1, 1, tzinfo=UTC)
    begins = grid + (now - grid) // timedelta(days=1) * timedelta(days=1)
    for started, expected in ((begins, False), (begins - timedelta(milliseconds=1), True), (now, False)):
        connection.execute("UPDATE etl_run SET started_at = %s, finished_at = 'infinity'", [started])
        assert due("1 day") is expected
    connection.execute(
        "UPDATE etl_run SET started_at = %s, finished_at = 'infinity'", [now - timedelta(hours=5)]
    )  # many were missed: one is due
    assert due()


def test_runs_by_hand_are_none_of_a_round(connection):
    connection.execute("INSERT INTO etl_run (source) VALUES ('promptcontent')")
    assert connection.execute("SELECT etl_due()").fetchone() == (True,)


def test_the_log_for_people(connection):
    merge_rows(
        connection, "promptads", True, "5:5:", campaign=[(False, 1, "c", "active", "2025-01-01", "2025-02-01", 5)]
    )
    row = connection.execute(
        "SELECT status, window_from, window_to, rows_read, rows_inserted, rows_quarantined, seconds >= 0 FROM etl_log "
        "WHERE source = 'promptads'"
    ).fetchone()
    assert row == ("succeeded", None, "5:5:", 1, 1, 0, True)


@pytest.fixture
def login(promptsales_db, connection):
    """The URL parts of a login that is in promptsales_etl and nothing else."""
    name, password = f"psh{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
    connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE promptsales_etl")
    yield {"user": name, "password": password}
    promptsales_db.close()  # its connections
    with psycopg.connect(promptsales_db.url, autocommit=True) as own:
        own.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_login_of_the_etls_role_sees_who_is_at_work(promptsales_db, connection, login):
    own = promptsales_db.connect(**login)
    made = Round(connection)
    promptsales_db.connect(application_name=f"promptsales-etl {made.number}")  # another user's
    silent(connection)
    with pytest.raises(psycopg.Error, match="under way") as refused:
        Round(own)
    assert refused.value.sqlstate == "PE001"


def test_a_login_of_the_etls_role_does_a_whole_round(promptsales_db, login):
    own = promptsales_db.connect(**login)
    assert own.execute("SELECT etl_due()").fetchone() == (True,)
    made = Round(own)
    for source, upper in (("promptcontent", "3"), ("promptads", "5:5:"), ("promptcrm", "5:5:"), ("cache", "1-1 1")):
        made.window(source)
        made.stage_window(source, True, "", upper)
    made.stage("content", [("content", '{"_id": 1, "title": "t", "hashtags": []}'), ("content", "{")], "kind document")
    made.stage("campaign", [(False, 1, "c", "active", "2025-01-01", "2025-12-31", 5, 1, 1)])
    made.stage("ad", [(False, 1, 1, 1), (False, 2, 9, 1)])
    made.stage("metric_day", [(False, 1, "2025-01-02", 9, 8, 7, 6)])
    made.stage("client", [(False, 1, "k", "CR", 5, "2025-01-01")])
    made.stage("sale", [(False, number, 1, 1, "2025-01-02", "open", 7) for number in range(6000)])  # enough to analyse
    made.stage("interaction", [(False, 1, 1, None, 1, "2025-01-02")])
    made.stage("activity", [("1-1", "1", "view")], "id content kind")
    merged = [made.merge(source)[:2] for source in ("promptcontent", "promptads", "promptcrm", "cache")]
    assert merged == [(2, 1), (4, 3), (6002, 6002), (1, 1)]
    assert own.execute("SELECT sales FROM month_summary").fetchone() == (6000,)
    assert own.execute("SELECT quarantined FROM etl_state ORDER BY source").fetchall() == [(0,), (1,), (1,), (0,)]
    assert own.execute("SELECT reltuples FROM pg_class WHERE oid = 'fact.sale'::regclass").fetchone() == (6000,)
    assert own.execute("SELECT etl_forget('promptads')").fetchone() == (True,)
