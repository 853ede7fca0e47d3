"""What a merge makes of each kind of change of each source, and that the same again changes nothing."""

from __future__ import annotations

from datetime import date

import pytest
from etl_round import (
    Round,
    document,
    entry,
    held,
    merge_activity,
    merge_contents,
    merge_rows,
    quarantine,
    stream_id,
)

pytestmark = pytest.mark.etl

JANUARY, FEBRUARY = date(2025, 1, 1), date(2025, 2, 1)
CAMPAIGN = ("spring", "active", "2025-01-01", "2025-12-31", 100, 1, 1)


@pytest.fixture
def connection(promptsales_db):
    return promptsales_db.connect()


@pytest.fixture
def filled(connection):
    """Two contents, two campaigns with an ad each, two clients with a sale and an interaction each."""
    merge_contents(connection, [document(1), document(2)], [], 10)
    merge_rows(
        connection,
        "promptads",
        True,
        campaign=[(False, 1, *CAMPAIGN), (False, 2, *CAMPAIGN)],
        ad=[(False, 1, 1, 1), (False, 2, 2, 2)],
        metric_day=[(False, 1, "2025-01-05", 100, 10, 1, 5), (False, 2, "2025-01-05", 200, 20, 2, 7)],
    )
    merge_rows(
        connection,
        "promptcrm",
        True,
        client=[(False, 1, "Ana", "CR", 5, "2025-01-01"), (False, 2, "Luis", "PA", 5, "2025-01-01")],
        sale=[(False, 1, 1, 1, "2025-01-09", "open", 30), (False, 2, 2, None, "2025-01-09", "closed", 40)],
        interaction=[(False, 1, 1, 1, 1, "2025-01-31 23:59:59.999"), (False, 2, 2, None, None, "2025-02-01")],
    )
    return connection


def campaign_month(connection) -> dict:
    return held(connection)["campaign_month"]


def test_what_is_merged_at_first(filled):
    there = held(filled)
    assert there["content"] == {1: ("content 1", ("#a",)), 2: ("content 2", ("#a",))}
    assert there["campaign_month"] == {(1, JANUARY): (100, 10, 1, 5, 1, 30), (2, JANUARY): (200, 20, 2, 7, 0, 0)}
    assert there["client_month"] == {
        (1, JANUARY): (1, 30, 1),
        (2, JANUARY): (1, 40, 0),
        (2, FEBRUARY): (0, 0, 1),
    }
    assert there["content_month"] == {(1, JANUARY): (100, 10, 1, 0, 0), (2, JANUARY): (200, 20, 0, 0, 0)}
    assert there["month_summary"] == {JANUARY: (12, 2, 70, 1), FEBRUARY: (0, 0, 0, 1)}
    assert quarantine(filled) == {}


@pytest.mark.parametrize(
    ("source", "rows", "counts", "changed"),
    [
        pytest.param(
            "promptads", {"campaign": [(False, 1, "summer", *CAMPAIGN[1:])]}, (1, 0, 1, 0, 0), {}, id="campaign's name"
        ),
        pytest.param(
            "promptads",
            {"metric_day": [(False, 1, "2025-01-05", 101, 10, 1, 5.5)]},
            (1, 0, 1, 0, 0),
            {
                "campaign_month": {(1, JANUARY): (101, 10, 1, 5.5, 1, 30)},
                "content_month": {(1, JANUARY): (101, 10, 1, 0, 0)},
                "month_summary": {JANUARY: (12.5, 2, 70, 1)},
            },
            id="metric's values",
        ),
        pytest.param(
            "promptads",
            {"metric_day": [(False, 1, "2025-02-05", 1, 1, 1, 1), (True, 2, "2025-01-05")]},
            (2, 1, 0, 1, 0),
            {
                "campaign_month": {(1, FEBRUARY): (1, 1, 1, 1, 0, 0), (2, JANUARY): None},
                "content_month": {(1, FEBRUARY): (1, 1, 0, 0, 0), (2, JANUARY): None},
                "month_summary": {JANUARY: (5, 2, 70, 1), FEBRUARY: (1, 0, 0, 1)},
            },
            id="metric comes, metric goes",
        ),
        pytest.param(
            "promptads",
            {"ad": [(False, 2, 1, None)]},
            (1, 0, 1, 0, 0),
            {
                "campaign_month": {(1, JANUARY): (300, 30, 3, 12, 1, 30), (2, JANUARY): None},
                "content_month": {(2, JANUARY): None},
            },
            id="ad changes campaign and content: its metrics move",
        ),
        pytest.param(
            "promptads",
            {"ad": [(False, 2, 1, 1)], "metric_day": [(False, 2, "2025-01-05", 1, 1, 1, 1)]},
            (2, 0, 2, 0, 0),
            {
                "campaign_month": {(1, JANUARY): (101, 11, 2, 6, 1, 30), (2, JANUARY): None},
                "content_month": {(1, JANUARY): (101, 11, 1, 0, 0), (2, JANUARY): None},
                "month_summary": {JANUARY: (6, 2, 70, 1)},
            },
            id="ad and metric at once",
        ),
        pytest.param(
            "promptcrm",
            {"sale": [(False, 1, 1, 1, "2025-01-09", "cancelled", 30)]},
            (1, 0, 1, 0, 0),
            {
                "campaign_month": {(1, JANUARY): (100, 10, 1, 5, 0, 0)},
                "client_month": {(1, JANUARY): (0, 0, 1)},
                "month_summary": {JANUARY: (12, 1, 40, 1)},
            },
            id="sale cancelled",
        ),
        pytest.param(
            "promptcrm",
            {"sale": [(False, 1, 2, 2, "2025-02-09", "open", 31)]},
            (1, 0, 1, 0, 0),
            {
                "campaign_month": {(1, JANUARY): (100, 10, 1, 5, 0, 0), (2, FEBRUARY): (0, 0, 0, 0, 1, 31)},
                "client_month": {(1, JANUARY): (0, 0, 1), (2, FEBRUARY): (1, 31, 1)},
                "month_summary": {JANUARY: (12, 1, 40, 1), FEBRUARY: (0, 1, 31, 1)},
            },
            id="sale changes everything",
        ),
        pytest.param(
            "promptcrm",
            {
                "client": [(True, 2), (False, 3, "Eva", "CR", 0, "2025-01-02")],
                "sale": [(True, 2)],
                "interaction": [(True, 2)],
            },
            (4, 1, 0, 3, 0),
            {
                "client": {2: None, 3: ("Eva", "CR", 0, date(2025, 1, 2))},
                "client_month": {(2, JANUARY): None, (2, FEBRUARY): None},
                "month_summary": {JANUARY: (12, 1, 30, 1), FEBRUARY: None},
            },
            id="client goes with all it had",
        ),
        pytest.param("promptcrm", {"sale": [(True, 99)]}, (1, 0, 0, 0, 0), {}, id="what was never here goes"),
    ],
)
def test_changes(filled, source, rows, counts, changed):
    expected = held(filled)
    for table, by_key in changed.items():
        expected[table] = {key: row for key, row in (expected[table] | by_key).items() if row is not None}
    if "name" in str(rows) or rows.get("campaign"):
        expected["campaign"][1] = ("summer", *expected["campaign"][1][1:])
    assert merge_rows(filled, source, **rows)[:5] == counts
    assert held(filled) == expected
    again = merge_rows(filled, source, **rows)
    assert (again.moved, held(filled)) == (0, expected)


def test_the_whole_again_changes_nothing_and_what_is_missing_goes(filled):
    before = held(filled)
    rows = {
        "client": [(False, 1, "Ana", "CR", 5, "2025-01-01"), (False, 2, "Luis", "PA", 5, "2025-01-01")],
        "sale": [(False, 1, 1, 1, "2025-01-09", "open", 30), (False, 2, 2, None, "2025-01-09", "closed", 40)],
        "interaction": [(False, 1, 1, 1, 1, "2025-01-31 23:59:59.999"), (False, 2, 2, None, None, "2025-02-01")],
    }
    assert merge_rows(filled, "promptcrm", True, **rows).moved == 0
    assert held(filled) == before
    rows["interaction"] = []
    assert merge_rows(filled, "promptcrm", True, **rows)[:5] == (4, 0, 0, 2, 0)
    assert held(filled)["client_month"] == {(1, JANUARY): (1, 30, 0), (2, JANUARY): (1, 40, 0)}
    assert merge_rows(filled, "promptcrm", True)[:5] == (0, 0, 0, 4, 0)
    assert (held(filled)["client"], held(filled)["client_month"]) == ({}, {})
    assert campaign_month(filled)[1, JANUARY] == (100, 10, 1, 5, 0, 0)  # what PromptAds says of it stays


def test_sums_that_were_there_before_their_facts_are_taken_over(connection):
    """The seeder fills PromptSales with sums: the first run changes nothing but facts, and mends what is wrong."""
    connection.execute(
        "INSERT INTO client (id, name, country, credit, created_on) VALUES (1, 'Ana', 'CR', 5, '2025-01-01'); "
        "INSERT INTO client_month (client_id, month, sales, revenue) VALUES "
        "(1, '2025-01-01', 1, 30), (1, '2025-03-01', 9, 9)"
    )
    kept = "SELECT month, ctid FROM client_month ORDER BY month"
    right, _ = connection.execute(kept).fetchall()
    first = merge_rows(
        connection,
        "promptcrm",
        True,
        client=[(False, 1, "Ana", "CR", 5, "2025-01-01")],
        sale=[(False, 1, 1, None, "2025-01-09", "open", 30)],
    )
    assert first[:5] == (2, 1, 0, 0, 0)
    assert connection.execute(kept).fetchall() == [right]  # the very same row
    assert held(connection)["month_summary"] == {JANUARY: (0, 1, 30, 0)}


def test_contents_by_the_outbox(filled):
    entries = [
        entry(11, 1, document(1, "first")),
        entry(13, 3, document(3)),
        entry(12, 2),
        entry(14, 1, document(1, "second", ["#x", "#y"])),
        entry(15, 4, document(4)),
        entry(16, 4),
    ]
    merged = merge_contents(filled, None, entries)
    assert merged[:2] == (6, 1)
    assert held(filled)["content"] == {1: ("second", ("#x", "#y")), 3: ("content 3", ("#a",))}
    mark = "SELECT kind, upper_bound, origin FROM etl_watermark WHERE source = 'promptcontent'"
    assert filled.execute(mark).fetchone() == ("outbox", "16", "c")
    assert merge_contents(filled, None, [])[:5] == (0, 0, 0, 0, 0)
    assert filled.execute(mark).fetchone() == ("outbox", "16", "c")
    assert merge_contents(filled, None, entries).moved == 0  # all of them before the watermark
    assert merge_contents(filled, [document(1, "second", ["#x", "#y"])], [], 16)[:4] == (1, 0, 0, 1)


@pytest.mark.parametrize(
    ("entries", "origin", "said"),
    [
        ([entry(15, 1, document(1))], "c", "entries 11 to 14 of the outbox were purged before they were read"),
        ([entry(11, 1, document(1)), entry(13, 1)], "c", "entry 12 of the outbox was purged before it was read"),
        ([{"content_id": 1}], "c", "an entry of the outbox has no position"),
        (["nonsense"], "c", "an entry of the outbox has no position"),
        ([entry(11, 1, document(1))], "other", "PromptContent began anew"),
    ],
)
def test_an_outbox_that_cannot_be_gone_on_with_fails_and_all_is_read_next(filled, entries, origin, said):
    before = held(filled)
    merged = merge_contents(filled, None, entries, origin=origin)
    assert merged.message == f"{said}: the next run reads all of it"
    assert (merged.moved, held(filled)) == (0, before)
    assert filled.execute(
        "SELECT last_status, last_message, upper_bound FROM etl_state WHERE source = 'promptcontent'"
    ).fetchone() == ("failed", merged.message, None)
    again = Round(filled)
    assert again.window("promptcontent") == (True, None, None)
    again.end()
    assert filled.execute("SELECT count(*) FROM staging.content").fetchone() == (0,)


def test_a_counter_that_went_back_is_a_source_that_was_restored(filled):
    assert "began anew" in merge_contents(filled, None, [], 7).message


def test_numbers_of_documents_in_every_form(connection):
    documents = [
        {"_id": one, "title": "t", "hashtags": []} for one in (1, {"$numberLong": "2"}, {"$numberInt": "3"}, 4.0)
    ]
    assert merge_contents(connection, documents, [], 1)[:2] == (4, 4)
    assert set(held(connection)["content"]) == {1, 2, 3, 4}


def test_activity(filled):
    one, two, three = (stream_id(day, n) for n, day in enumerate((JANUARY, JANUARY, date(2025, 2, 28))))
    merged = merge_activity(filled, [(one, "1", "view"), (two, "1", "like"), (three, "1", "view")], f"{three} 3")
    assert merged[:5] == (3, 3, 0, 0, 0)
    expected = {(1, JANUARY): (100, 10, 1, 1, 1), (1, FEBRUARY): (0, 0, 0, 1, 0)}
    assert held(filled)["content_month"] == expected | {(2, JANUARY): (200, 20, 0, 0, 0)}
    # Entries before the watermark and after the bound are none of this window; an entry that comes twice counts once.
    four, five = stream_id(date(2025, 3, 1), 9), stream_id(date(2025, 3, 1), 10)  # 10 is after 9
    entries = [(three, "1", "view"), (four, "1", "view"), (four, "1", "view"), (five, "1", "view")]
    assert merge_activity(filled, entries, f"{four} 4")[:2] == (4, 1)
    assert merge_activity(filled, entries, f"{five} 5")[:2] == (4, 1)
    assert held(filled)["content_month"][1, date(2025, 3, 1)] == (0, 0, 0, 2, 0)
    assert merge_activity(filled, [], f"{five} 5") == (0, 0, 0, 0, 0, None)


def test_activity_that_was_trimmed_is_told(filled):
    one = stream_id(JANUARY, 1)
    assert merge_activity(filled, [(one, "1", "view")], f"{one} 1").message is None
    late = stream_id(FEBRUARY, 1)
    told = merge_activity(filled, [(late, "1", "view")], f"{late} 7")
    assert (told.inserted, told.message) == (1, "5 entries of the stream had been trimmed before being read")


def test_a_stream_that_began_anew_is_added(filled):
    late, early = stream_id(FEBRUARY, 1), stream_id(JANUARY, 1)
    merge_activity(filled, [(late, "1", "view")], f"{late} 1")
    anew = merge_activity(filled, [(early, "1", "like")], f"{early} 1")
    assert (anew.inserted, anew.message) == (1, "the stream began anew")
    assert held(filled)["content_month"][1, JANUARY] == (100, 10, 1, 0, 1)
    assert held(filled)["content_month"][1, FEBRUARY] == (0, 0, 0, 1, 0)


def test_staging_is_empty_after_a_round(filled):
    tables = filled.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'staging'::regnamespace AND relkind = 'r' ORDER BY relname"
    ).fetchall()
    assert len(tables) > 10
    for (table,) in tables:
        assert filled.execute(f"SELECT count(*) FROM staging.{table}").fetchone() == (0,), table


def test_a_merge_leaves_what_other_sources_have_staged(connection):
    own = Round(connection)
    for source in ("promptads", "promptcrm"):
        own.window(source)
        own.stage_window(source, True, "here", "5:5:")
    own.stage("client", [(False, 1, "Ana", "CR", 5, "2025-01-01")])
    own.stage("sale", [(False, 1, 1, 1, "2025-01-09", "open", 30)])
    own.stage("campaign", [(False, 1, *CAMPAIGN)])
    assert own.merge("promptads")[:2] == (1, 1)
    assert own.merge("promptcrm")[:2] == (2, 2)
