"""The routine with a cursor, and the views, each with an answer that is known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal

import pytest
from polling import eventually

pytestmark = pytest.mark.data("sample")


@pytest.fixture
def connection(promptsales_db):
    return promptsales_db.connect()


def close(connection, day) -> int:
    return connection.execute("CALL close_finished_campaigns(%s)", [day]).fetchone()[0]


def states(connection) -> dict[str, tuple[str, int]]:
    return {name: rest for name, *rest in connection.execute("SELECT name, status, version FROM campaign").fetchall()}


@pytest.mark.parametrize(
    ("day", "finished"),
    [
        ("2025-12-31", []),  # the last day is a day of the campaign
        ("2026-01-01", ["Spring"]),
        ("2026-01-07", ["Spring", "Christmas"]),
        ("2027-01-01", ["Spring", "Summer", "Christmas"]),
    ],
)
def test_active_campaigns_past_their_end_are_finished(connection, day, finished):
    assert close(connection, day) == len(finished)
    for name, (status, version) in states(connection).items():
        assert (status, version) == (("finished", 2) if name in finished else ("active", 1))
    assert close(connection, day) == 0
    audited = connection.execute("SELECT count(*) FROM audit_log WHERE operation = 'UPDATE'").fetchone()[0]
    assert audited == len(finished)


@pytest.mark.parametrize("status", ["draft", "paused", "finished"])
def test_others_stay(connection, status):
    connection.execute("UPDATE campaign SET status = %s", [status])
    assert close(connection, "2027-01-01") == 0


def test_without_a_day_nothing_is_over(connection):
    assert close(connection, None) == 0


def test_a_campaign_that_was_prolonged_meanwhile_goes_on(promptsales_db, connection):
    """The cursor waits for its row, and looks at it again when it has it."""
    editor, asking = promptsales_db.connect(autocommit=False), promptsales_db.connect()
    editor.execute("UPDATE campaign SET ends_on = '2028-01-01' WHERE name = 'Summer'")
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(close, connection, "2027-01-01")
        pids = [editor.info.backend_pid, connection.info.backend_pid]
        eventually(lambda: asking.execute("SELECT %s = ANY (pg_blocking_pids(%s))", pids).fetchone()[0])
        editor.commit()
        assert closing.result() == 2
    assert states(connection)["Summer"] == ["active", 1]


def test_campaign_performance(connection):
    connection.execute(
        "INSERT INTO campaign (id, name, status, starts_on, ends_on, budget) "
        "VALUES (4, 'Easter', 'draft', '2026-03-01', '2026-04-01', 10); "
        "INSERT INTO campaign_month (campaign_id, month, impressions, clicks, conversions, cost, sales, revenue) "
        "VALUES (1, '2025-11-01', 10, 1, 0, 0, 9, 200), (3, '2025-11-01', 10, 1, 0, 100, 0, 1000.01)"
    )
    rows = connection.execute(
        "SELECT name, content, impressions, conversions, cost, revenue, cost_per_conversion, return_on_spend, band "
        "FROM campaign_performance ORDER BY id"
    ).fetchall()
    assert rows == [
        ("Spring", "A field of tulips", 10010, 10, 100, 400, 10, 4, "excellent"),
        ("Summer", "A field of tulips", 20000, 20, 200, 100, 10, Decimal("0.50"), "loss"),
        ("Christmas", "A tree with lights", 30010, 60, 400, Decimal("1600.01"), Decimal("6.67"), 4, "excellent"),
        ("Easter", "no content", 0, 0, 0, 0, None, None, "no spend"),
    ]


@pytest.mark.parametrize(
    ("cost", "revenue", "band"),
    [
        (0, 0, "no spend"),
        (0, 50, "no spend"),
        (100, 99.99, "loss"),
        (100, 100, "even"),
        (100, 199.99, "even"),
        (100, 200, "good"),
        (100, 399.99, "good"),
        (100, 400, "excellent"),
    ],
)
def test_bands_begin_where_they_say(connection, cost, revenue, band):
    connection.execute("UPDATE campaign_month SET cost = %s, revenue = %s WHERE campaign_id = 1", [cost, revenue])
    assert connection.execute("SELECT band FROM campaign_performance WHERE id = 1").fetchone() == (band,)


def test_client_value(connection):
    connection.execute(
        "INSERT INTO client (id, name, country, created_on) "
        "VALUES (4, 'Eva', 'PA', '2025-12-01'), (5, 'Leo', 'PA', '2025-12-01'); "
        "INSERT INTO client_month (client_id, month, sales, revenue, interactions) VALUES "
        "(1, '2026-01-01', 1, 100.01, 0), (2, '2026-01-01', 0, 0, 5), (4, '2026-01-01', 0, 0, 2), (5, '2026-01-01', 1, 7, 0)"
    )
    rows = connection.execute(
        "SELECT id, sales, revenue, interactions, average_sale, last_sale_month, kind FROM client_value ORDER BY id"
    ).fetchall()
    december, january = date(2025, 12, 1), date(2026, 1, 1)
    assert rows == [
        (1, 4, Decimal("400.01"), 2, 100, january, "returning"),
        (2, 2, 400, 6, 200, december, "returning"),
        (3, 2, 300, 0, 150, december, "returning"),
        (4, 0, 0, 2, None, None, "prospect"),
        (5, 1, 7, 0, 7, january, "once"),
    ]


def test_content_reach(connection):
    connection.execute(
        "INSERT INTO content (id, title) VALUES (3, 'Not shown yet'); UPDATE campaign SET status = 'paused' WHERE id = 2"
    )
    rows = connection.execute(
        "SELECT id, campaigns, active_campaigns, impressions, clicks, interactions, click_rate FROM content_reach "
        "ORDER BY id"
    ).fetchall()
    assert rows == [
        (1, 2, 1, 30000, 500, 2, Decimal("1.67")),
        (2, 1, 1, 30000, 900, 1, 3),
        (3, 0, 0, 0, 0, 0, None),
    ]


def test_month_board(connection):
    connection.execute(
        "INSERT INTO client_month (client_id, month, sales, revenue) VALUES "
        "(1, '2026-01-01', 1, 1500), (1, '2026-02-01', 1, 1500), (1, '2026-03-01', 1, 500), (1, '2026-05-01', 1, 1)"
    )
    rows = connection.execute(
        "SELECT month, margin, return_on_spend, growth, trend FROM month_board ORDER BY month"
    ).fetchall()
    assert rows == [
        (date(2025, 12, 1), 400, Decimal("1.67"), None, "first"),
        (date(2026, 1, 1), 1500, None, 50, "up"),
        (date(2026, 2, 1), 1500, None, 0, "same"),
        (date(2026, 3, 1), 500, None, Decimal("-66.7"), "down"),
        (date(2026, 5, 1), 1, None, None, "first"),  # nothing in April
    ]
