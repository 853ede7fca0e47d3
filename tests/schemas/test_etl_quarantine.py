"""What cannot be merged: why, that the rest goes on, and its way back."""

from __future__ import annotations

from datetime import date

import pytest
from etl_round import document, entry, held, merge_activity, merge_contents, merge_rows, quarantine, stream_id

pytestmark = pytest.mark.etl

JANUARY = date(2025, 1, 1)
CAMPAIGN = ("spring", "active", "2025-01-01", "2025-12-31", 100, 1, 1)
CLIENT = ("Ana", "CR", 5, "2025-01-01")


@pytest.fixture
def connection(promptsales_db):
    return promptsales_db.connect()


@pytest.fixture
def filled(connection):
    merge_contents(connection, [document(1)], [], 10)
    merge_rows(
        connection,
        "promptads",
        True,
        campaign=[(False, 1, *CAMPAIGN)],
        ad=[(False, 1, 1, 1)],
        metric_day=[(False, 1, "2025-01-05", 100, 10, 1, 5)],
    )
    merge_rows(
        connection,
        "promptcrm",
        True,
        client=[(False, 1, *CLIENT)],
        sale=[(False, 1, 1, 1, "2025-01-09", "open", 30)],
        interaction=[(False, 1, 1, 1, 1, "2025-01-31")],
    )
    merge_activity(connection, [(stream_id(JANUARY, 1), "1", "view")], f"{stream_id(JANUARY, 1)} 1")
    return connection


@pytest.mark.parametrize(
    ("source", "kind", "row", "key", "reason"),
    [
        ("promptads", "campaign", (9, None, *CAMPAIGN[1:]), "campaign 9", "it has no name"),
        (
            "promptads",
            "campaign",
            (9, "x" * 121, *CAMPAIGN[1:]),
            "campaign 9",
            "the name is longer than 120 characters",
        ),
        ("promptads", "campaign", (9, "c", "done", *CAMPAIGN[2:]), "campaign 9", "the status is none"),
        ("promptads", "campaign", (9, "c", "draft", None, "2025-01-01", 5), "campaign 9", "a date is missing"),
        ("promptads", "campaign", (9, "c", "draft", "2025-01-01", "infinity", 5), "campaign 9", "a date is missing"),
        (
            "promptads",
            "campaign",
            (9, "c", "draft", "2025-01-02", "2025-01-01", 5),
            "campaign 9",
            "it ends before it starts",
        ),
        ("promptads", "campaign", (9, *CAMPAIGN[:4], -1), "campaign 9", "the budget is negative"),
        ("promptads", "campaign", (9, *CAMPAIGN[:4], "NaN"), "campaign 9", "the budget is none"),
        ("promptads", "campaign", (9, *CAMPAIGN[:4], "9999999999.996"), "campaign 9", "the budget is none"),
        ("promptads", "campaign", (9, *CAMPAIGN[:4], None), "campaign 9", "the budget is none"),
        ("promptads", "campaign", (3000000000, *CAMPAIGN), "campaign 3000000000", "the id is none"),
        ("promptads", "campaign", (None, *CAMPAIGN), "campaign ?", "the id is none"),
        ("promptads", "campaign", (9, *CAMPAIGN[:5], 3000000000), "campaign 9", "the content is none"),
        ("promptads", "ad", (9, 7, None), "ad 9", "there is no campaign 7"),
        ("promptads", "ad", (9, None, None), "ad 9", "it has no campaign"),
        ("promptads", "ad", (9, 1, 7), "ad 9", "there is no content 7"),
        ("promptads", "metric_day", (7, "2025-01-01", 1, 1, 1, 1), "metric_day 7 2025-01-01", "there is no ad 7"),
        ("promptads", "metric_day", (1, None, 1, 1, 1, 1), "metric_day 1", "the day is missing"),
        ("promptads", "metric_day", (1, "2025-01-01", 1, -1, 1, 1), "metric_day 1 2025-01-01", "a count is negative"),
        ("promptads", "metric_day", (1, "2025-01-01", 1, None, 1, 1), "metric_day 1 2025-01-01", "a count is missing"),
        ("promptads", "metric_day", (1, "2025-01-01", 1, 1, 1, -1), "metric_day 1 2025-01-01", "the cost is negative"),
        ("promptads", "metric_day", (1, "2025-01-01", 1, 1, 1, None), "metric_day 1 2025-01-01", "the cost is none"),
        ("promptcrm", "client", (9, "x" * 121, *CLIENT[1:]), "client 9", "the name is longer than 120 characters"),
        ("promptcrm", "client", (9, "x", "CRI", *CLIENT[2:]), "client 9", "the country has not two letters"),
        ("promptcrm", "client", (9, "x", None, *CLIENT[2:]), "client 9", "the country has not two letters"),
        ("promptcrm", "client", (9, "x", "CR", "NaN", "2025-01-01"), "client 9", "the credit is none"),
        ("promptcrm", "client", (9, "x", "CR", 1, None), "client 9", "the day is missing"),
        ("promptcrm", "sale", (9, 7, None, "2025-01-01", "open", 1), "sale 9", "there is no client 7"),
        ("promptcrm", "sale", (9, 1, 7, "2025-01-01", "open", 1), "sale 9", "there is no campaign 7"),
        ("promptcrm", "sale", (9, 1, None, "2025-01-01", "lost", 1), "sale 9", "the status is none"),
        ("promptcrm", "sale", (9, 1, None, "2025-01-01", "open", -1), "sale 9", "the total is negative"),
        ("promptcrm", "sale", (9, 1, None, "2025-01-01", "open", "NaN"), "sale 9", "the total is none"),
        ("promptcrm", "sale", (9, 1, None, None, "open", 1), "sale 9", "the day is missing"),
        ("promptcrm", "sale", (9, 7, 8, None, "lost", -1), "sale 9", "the day is missing"),  # one reason, the first
        ("promptcrm", "interaction", (9, 7, None, None, "2025-01-01"), "interaction 9", "there is no client 7"),
        ("promptcrm", "interaction", (9, 1, 7, None, "2025-01-01"), "interaction 9", "there is no campaign 7"),
        ("promptcrm", "interaction", (9, 1, None, 7, "2025-01-01"), "interaction 9", "there is no content 7"),
        ("promptcrm", "interaction", (9, 1, None, None, None), "interaction 9", "the time is missing"),
    ],
)
def test_rows_that_cannot_be_merged(filled, source, kind, row, key, reason):
    before = held(filled)
    own = {"promptads": {"campaign": [(False, 5, *CAMPAIGN)]}, "promptcrm": {"client": [(False, 5, *CLIENT)]}}[source]
    rows = own | {kind: [*own.get(kind, []), (False, *row)]}
    assert merge_rows(filled, source, **rows) == (2, 1, 0, 0, 1, None)  # the run goes on
    assert quarantine(filled) == {key: reason}
    assert {table: rows for table, rows in held(filled).items() if rows != before[table]}.keys() == own.keys()
    (payload,) = filled.execute("SELECT payload FROM etl_quarantine").fetchone()
    assert payload["id"] == row[0]
    assert merge_rows(filled, source) == (0, 0, 0, 0, 0, None)  # tried again
    assert quarantine(filled) == {key: reason}
    assert merge_rows(filled, source, **{kind: [(True, *row[: 2 if kind == "metric_day" else 1])]})[:2] == (1, 0)
    assert quarantine(filled) == {}  # deleted at the source


@pytest.mark.parametrize(
    ("content", "key", "reason"),
    [
        ("{", None, "it is no document"),
        ('"text"', None, "it is no document"),
        ('{"_id": "x", "title": "t", "hashtags": []}', None, "the id is none"),
        ('{"_id": 3000000000, "title": "t", "hashtags": []}', "content 3000000000", "the id is none"),
        ('{"_id": 9, "title": 5, "hashtags": []}', "content 9", "it has no title"),
        ('{"_id": 9, "hashtags": []}', "content 9", "it has no title"),
        (
            '{"_id": 9, "title": "' + "x" * 121 + '", "hashtags": []}',
            "content 9",
            "the title is longer than 120 characters",
        ),
        ('{"_id": 9, "title": "t"}', "content 9", "it has no hashtags"),
        ('{"_id": 9, "title": "t", "hashtags": ["a", 5]}', "content 9", "a hashtag is no text"),
        ('{"_id": 9, "title": "t", "hashtags": [null]}', "content 9", "a hashtag is no text"),
        ('{"_id": 9, "title": "a\\u0000b", "hashtags": []}', None, "it is no document"),
    ],
)
def test_contents_that_cannot_be_merged(connection, content, key, reason):
    assert merge_contents(connection, [document(1), content], [], 1)[:5] == (2, 1, 0, 0, 1)
    assert list(quarantine(connection).values()) == [reason]
    assert key is None or list(quarantine(connection)) == [key]
    assert merge_contents(connection, [document(1), content], [], 1)[:5] == (2, 0, 0, 0, 1)  # as it was
    assert merge_contents(connection, None, []) == (0, 0, 0, 0, 0, None)  # tried again
    assert connection.execute("SELECT count(*) FROM etl_quarantine").fetchone() == (1,)
    assert list(quarantine(connection).values()) == [reason]
    assert merge_contents(connection, [document(1)], [], 1).moved == 0
    assert quarantine(connection) == {}


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        ("1", "share", "the kind is neither view nor like"),
        ("1", None, "it has no kind"),
        ("one", "view", "it names no content"),
        (None, "view", "it names no content"),
        ("7", "view", "there is no content 7"),
        ("99999999999999999999", "view", "it names no content"),
    ],
)
def test_activity_that_cannot_be_merged(filled, content, kind, reason):
    one = stream_id(date(2025, 2, 1), 1)
    assert merge_activity(filled, [(one, content, kind)], f"{one} 2") == (1, 0, 0, 0, 1, None)
    assert quarantine(filled) == {f"activity {one}": reason}


def test_an_entry_that_is_none_of_a_stream_is_not_taken_for_one(filled):
    assert merge_activity(filled, [("*", "1", "view")], f"{stream_id(JANUARY, 1)} 1")[:2] == (1, 0)


def test_a_newer_version_takes_the_place_in_quarantine_or_comes_out(filled):
    merge_rows(filled, "promptcrm", sale=[(False, 9, 1, 7, "2025-01-01", "open", 1)])
    merge_rows(filled, "promptcrm", sale=[(False, 9, 1, 8, "2025-01-01", "open", 2)])
    assert quarantine(filled) == {"sale 9": "there is no campaign 8"}
    assert filled.execute("SELECT count(*) FROM etl_quarantine").fetchone() == (1,)
    assert merge_rows(filled, "promptcrm", sale=[(False, 9, 1, 1, "2025-01-01", "open", 3)])[:5] == (1, 1, 0, 0, 0)
    assert quarantine(filled) == {}
    assert held(filled)["client_month"][1, JANUARY] == (2, 33, 1)


def test_a_right_row_that_becomes_wrong_leaves_the_sums(filled):
    merged = merge_rows(filled, "promptcrm", sale=[(False, 1, 1, 1, "2025-01-09", "lost", 30)])
    assert merged[:5] == (1, 0, 0, 1, 1)
    assert held(filled)["client_month"][1, JANUARY] == (0, 0, 1)


def test_what_waits_is_tried_again_at_each_run_of_its_source(filled):
    """The campaign comes by hand: nobody says that there is something to try."""
    merge_rows(filled, "promptcrm", sale=[(False, 9, 1, 7, "2025-01-01", "open", 1)])
    waits = filled.execute("SELECT run_id, quarantined_at FROM etl_quarantine").fetchall()
    assert merge_rows(filled, "promptcrm") == (0, 0, 0, 0, 0, None)
    assert filled.execute("SELECT run_id, quarantined_at FROM etl_quarantine").fetchall() == waits
    filled.execute(
        "INSERT INTO campaign (id, name, status, starts_on, ends_on, budget) "
        "VALUES (7, 'late', 'active', '2025-01-01', '2025-12-31', 5)"
    )
    assert merge_rows(filled, "promptcrm") == (0, 1, 0, 0, 0, "1 came back from quarantine")
    assert quarantine(filled) == {}
    assert held(filled)["campaign_month"][7, JANUARY] == (0, 0, 0, 0, 1, 1)


def test_a_campaign_that_comes_late_brings_what_waits_for_it(filled):
    merge_rows(filled, "promptcrm", sale=[(False, 9, 1, 7, "2025-01-01", "open", 1)])
    merged = merge_rows(filled, "promptads", campaign=[(False, 7, *CAMPAIGN)])
    assert merged == (1, 1, 0, 0, 0, "1 came back from quarantine")
    assert held(filled)["campaign_month"][7, JANUARY] == (0, 0, 0, 0, 1, 1)


def test_a_campaign_goes_with_what_refers_to_it_and_comes_back_with_it(filled):
    before = held(filled)
    gone = merge_rows(filled, "promptads", campaign=[(True, 1)])
    assert gone == (1, 0, 0, 3, 0, "4 went to quarantine with what they refer to")
    assert quarantine(filled) == {
        "ad 1": "campaign 1 was deleted",
        "metric_day 1 2025-01-05": "ad 1 is in quarantine",
        "sale 1": "campaign 1 was deleted",
        "interaction 1": "campaign 1 was deleted",
    }
    there = held(filled)
    assert (there["campaign"], there["campaign_month"], there["client_month"], there["month_summary"]) == (
        {},
        {},
        {},
        {},
    )
    assert there["content_month"] == {(1, JANUARY): (0, 0, 0, 1, 0)}
    for source in ("promptads", "promptcrm"):
        assert merge_rows(filled, source).moved == 0
    assert quarantine(filled)["sale 1"] == "campaign 1 was deleted"
    assert merge_rows(filled, "promptads", campaign=[(False, 1, *CAMPAIGN)])[:5] == (1, 3, 0, 0, 0)
    assert (held(filled), quarantine(filled)) == (before, {})


def test_a_content_goes_with_what_refers_to_it_and_comes_back_with_it(filled):
    before = held(filled)
    assert merge_contents(filled, None, [entry(11, 1)])[:5] == (1, 0, 0, 1, 0)
    assert quarantine(filled) == {
        "ad 1": "content 1 was deleted",
        "metric_day 1 2025-01-05": "ad 1 is in quarantine",
        "interaction 1": "content 1 was deleted",
        "activity with content 1 in 2025-01": "content 1 was deleted",
    }
    assert held(filled)["content_month"] == {}
    assert held(filled)["campaign_month"] == {(1, JANUARY): (0, 0, 0, 0, 1, 30)}
    merge_contents(filled, None, [entry(12, 1, document(1))])
    assert (held(filled), quarantine(filled)) == (before, {})


def test_a_client_goes_with_what_refers_to_it_and_comes_back_with_it(filled):
    before = held(filled)
    assert merge_rows(filled, "promptcrm", client=[(True, 1)])[:5] == (1, 0, 0, 3, 0)
    assert quarantine(filled) == {"interaction 1": "client 1 was deleted", "sale 1": "client 1 was deleted"}
    assert held(filled)["client_month"] == {}
    assert merge_rows(filled, "promptcrm", client=[(False, 1, *CLIENT)])[:5] == (1, 3, 0, 0, 0)
    assert (held(filled), quarantine(filled)) == (before, {})


def test_a_campaign_in_quarantine_is_none(filled):
    merged = merge_rows(filled, "promptads", campaign=[(False, 1, "c", "done", *CAMPAIGN[2:])])
    assert (merged.deleted, merged.quarantined) == (3, 1)
    assert quarantine(filled)["sale 1"] == "campaign 1 is in quarantine"
    merge_rows(filled, "promptads", campaign=[(False, 1, *CAMPAIGN)])
    assert quarantine(filled) == {}


def test_a_whole_read_takes_out_what_is_not_there_any_more(filled):
    bad = (False, 9, 1, 7, "2025-01-01", "open", 1)
    good = (False, 1, 1, 1, "2025-01-09", "open", 30)
    rows = {"client": [(False, 1, *CLIENT)], "interaction": [(False, 1, 1, 1, 1, "2025-01-31")]}
    assert merge_rows(filled, "promptcrm", True, sale=[bad, good], **rows)[:5] == (4, 0, 0, 0, 1)
    assert merge_rows(filled, "promptcrm", True, sale=[bad, good], **rows)[:5] == (4, 0, 0, 0, 1)
    assert filled.execute("SELECT count(*) FROM etl_quarantine").fetchone() == (1,)
    assert merge_rows(filled, "promptcrm", True, sale=[good], **rows)[:5] == (3, 0, 0, 0, 0)
    assert quarantine(filled) == {}


def test_before_the_contents_come_all_waits_for_them(connection):
    rows = {
        "campaign": [(False, 1, *CAMPAIGN)],
        "ad": [(False, 1, 1, 1), (False, 2, 1, None)],
        "metric_day": [(False, 1, "2025-01-05", 1, 1, 1, 1), (False, 2, "2025-01-05", 2, 2, 2, 2)],
    }
    assert merge_rows(connection, "promptads", True, **rows)[:5] == (5, 3, 0, 0, 2)
    assert held(connection)["campaign_month"] == {(1, JANUARY): (2, 2, 2, 2, 0, 0)}
    assert merge_contents(connection, [document(1)], [], 1).message == "2 came back from quarantine"
    assert held(connection)["campaign_month"] == {(1, JANUARY): (3, 3, 3, 3, 0, 0)}
    assert held(connection)["content_month"] == {(1, JANUARY): (1, 1, 0, 0, 0)}
