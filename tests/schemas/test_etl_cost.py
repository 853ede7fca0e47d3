"""What a merge costs goes with what changed: nothing large is read from its beginning to its end."""

from __future__ import annotations

from typing import Any

import pytest
from etl_round import document, merge_activity, merge_contents, merge_rows

pytestmark = pytest.mark.etl

CLIENTS = 30_000
LARGE = ("client", "client_month", "fact.sale", "fact.interaction", "fact.metric_day")
CAMPAIGN = ("spring", "active", "2025-01-01", "2025-12-31", 100, 1, 1)


@pytest.fixture
def connection(promptsales_db):
    """Many clients, each with a sale and an interaction, of 40 campaigns; days of metrics."""
    own = promptsales_db.connect()
    merge_contents(own, [document(1), document(2)], [], 10)
    merge_rows(
        own,
        "promptads",
        True,
        campaign=[(False, number, *CAMPAIGN) for number in range(40)],
        ad=[(False, number, number % 40, 1) for number in range(400)],
        metric_day=[
            (False, number, f"2025-{month:02}-{day:02}", 9, 1, 1, 1)
            for number in range(400)
            for month in range(1, 6)
            for day in range(1, 11)
        ],
    )
    merge_rows(
        own,
        "promptcrm",
        True,
        client=[(False, number, "Ana", "CR", 5, "2025-01-01") for number in range(CLIENTS)],
        sale=[(False, number, number, number % 40, "2025-01-09", "open", 30) for number in range(CLIENTS)],
        interaction=[(False, number, number, None, 1, "2025-01-31") for number in range(CLIENTS)],
    )
    own.execute("ANALYZE")
    return own


def read(connection: Any) -> dict[str, int]:
    """Rows and index entries that have been read, by table."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    found = connection.execute(
        "SELECT relid::regclass::text, seq_tup_read + (SELECT sum(greatest(idx_tup_read, idx_tup_fetch)) "
        "FROM pg_stat_user_indexes AS i WHERE i.relid = t.relid) FROM pg_stat_user_tables AS t"
    ).fetchall()
    return {table: int(rows) for table, rows in found if table in LARGE}


def most(connection: Any, before: dict[str, int]) -> int:
    """The most rows that were read of a large table since ``before``."""
    return max(now - before[table] for table, now in read(connection).items())


def test_a_delta_scans_no_large_table(connection):
    before = read(connection)
    merged = merge_rows(
        connection,
        "promptcrm",
        client=[
            (False, 7, "Eva", "CR", 5, "2025-01-01"),
            (True, 8),
            (False, CLIENTS + 1, "Eva", "CR", 5, "2025-01-01"),
        ],
        sale=[
            (False, 7, 9, 3, "2025-02-09", "open", 30),
            (True, 11),
            (False, CLIENTS, 12, None, "2025-01-01", "open", 1),
        ],
        interaction=[(False, 7, 9, None, 2, "2025-01-31"), (True, 11), (False, CLIENTS, 12, 1, 1, "2025-01-31")],
    )
    assert merged.moved == 11  # client 8 takes a sale and an interaction with it
    merged = merge_rows(
        connection,
        "promptads",
        campaign=[(False, 7, "other", *CAMPAIGN[1:])],
        ad=[(False, 7, 8, 1)],
        metric_day=[(False, 9, "2025-01-01", 10, 1, 1, 1), (True, 10, "2025-01-01")],
    )
    assert merged.moved == 4
    merge_activity(connection, [("1-1", "1", "view")], "1-1 1")
    assert 0 < most(connection, before) < 200


def test_a_campaign_that_goes_takes_its_facts_along_without_a_search(connection):
    before = read(connection)
    assert merge_rows(connection, "promptads", campaign=[(True, 7)]).deleted == 1 + 10 + 500
    assert merge_rows(connection, "promptads", campaign=[(False, 7, *CAMPAIGN)]).inserted == 1 + 10 + 500
    assert 500 < most(connection, before) < 12_000  # 750 sales and 500 metrics, looked up a few times


def test_a_run_that_moves_nothing_reads_nothing(connection):
    before = read(connection)
    for source in ("promptads", "promptcrm"):
        assert merge_rows(connection, source).moved == 0
    assert merge_contents(connection, None, []).moved == 0
    assert merge_activity(connection, [], "0-0 0").moved == 0
    assert most(connection, before) < 100  # the planner looks at the ends of indexes


def test_a_whole_read_reads_all(connection):
    """So the measure measures something."""
    before = read(connection)
    merge_rows(connection, "promptcrm", True)
    assert most(connection, before) >= CLIENTS
