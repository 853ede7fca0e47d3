"""PromptSales's queries, each with an answer that is known."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from harness.promptsales.queries import find, known

pytestmark = [pytest.mark.queries, pytest.mark.data("sample")]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def connection(promptsales_db):
    return promptsales_db.connect()


def answer(connection, name, **values):
    return connection.execute(*find("promptsales", "postgresql", name).bind(values)).fetchall()


def test_every_query_is_tested_here_or_as_a_tool():
    text = Path(__file__).read_text("utf-8")
    tools = (ROOT / "harness/mcp/promptsales.py").read_text("utf-8")
    for query in known("promptsales", "postgresql"):
        assert f'answer(connection, "{query.name}"' in text or f'_query("{query.name}")' in tools, query.name


def test_campaign_return(connection):
    connection.execute(
        "INSERT INTO campaign (id, name, status, starts_on, ends_on, budget) "
        "VALUES (4, 'Easter', 'draft', '2026-03-01', '2026-04-01', 10); "
        "INSERT INTO campaign_month (campaign_id, month, cost, revenue) "
        "VALUES (1, '2025-11-01', 100, 0), (2, '2026-02-01', 1, 999)"
    )
    assert answer(connection, "campaign_return", month_first="2025-11-01", month_last="2026-01-01") == [
        (3, "Christmas", 300, 600, 2, "good"),
        (1, "Spring", 200, 200, 1, "even"),
        (2, "Summer", 200, 100, Decimal("0.50"), "loss"),
        (4, "Easter", 0, 0, None, "no spend"),
    ]
    assert {
        row[-1] for row in answer(connection, "campaign_return", month_first="2020-01-01", month_last="2020-01-01")
    } == {"no spend"}


def test_budget_pace(connection):
    connection.execute(
        "UPDATE campaign_month SET cost = CASE campaign_id WHEN 1 THEN 950 WHEN 2 THEN 980 ELSE 1000.01 END; "
        "INSERT INTO campaign (id, name, status, starts_on, ends_on, budget) VALUES "
        "(4, 'Easter', 'active', '2026-03-01', '2026-04-01', 10), (5, 'Free', 'active', '2025-12-01', '2025-12-31', 0), "
        "(6, 'Idle', 'active', '2025-12-01', '2025-12-31', 10), (7, 'Draft', 'draft', '2025-12-01', '2025-12-31', 10)"
    )
    assert answer(connection, "budget_pace", day="2025-12-31") == [
        (1, "Spring", 1000, 950, 95, 100, "on pace"),
        (2, "Summer", 1000, 980, 98, Decimal("87.3"), "fast"),
        (3, "Christmas", 1000, Decimal("1000.01"), 100, Decimal("88.7"), "overspent"),
        (5, "Free", 0, 0, None, 100, "no budget"),
        (6, "Idle", 10, 0, 0, 100, "slow"),
    ]
    assert answer(connection, "budget_pace", day="2025-06-30")[1][2:6] == (
        1000,
        0,
        0,
        Decimal("12.2"),
    )  # 30 of 245 days


def test_clients_without_sales(connection):
    connection.execute(
        "INSERT INTO client (id, name, country, created_on) "
        "VALUES (4, 'Eva', 'PA', '2025-12-31'), (5, 'Leo', 'PA', '2026-01-02'); "
        "INSERT INTO client_month (client_id, month, sales, revenue, interactions) VALUES "
        "(1, '2026-01-01', 1, 100, 1), (2, '2026-01-01', 0, 0, 5), (2, '2026-02-01', 0, 0, 1)"
    )
    assert answer(connection, "clients_without_sales", day="2026-01-01") == [
        (2, "Tecnologias del Norte", "2025-12", 6),
        (3, "Luis Rojas", "2025-12", 0),
        (4, "Eva", "never", 0),
    ]


def test_content_return(connection):
    connection.execute(
        "INSERT INTO content (id, title) VALUES (3, 'Not shown'), (4, 'Not sold'); "
        "INSERT INTO campaign (id, name, status, starts_on, ends_on, budget, content_id) "
        "VALUES (4, 'Easter', 'draft', '2026-03-01', '2026-04-01', 10, 4), "
        "(5, 'Late', 'draft', '2026-03-01', '2026-04-01', 10, 1); "
        "INSERT INTO campaign_month (campaign_id, month, revenue) VALUES (2, '2026-01-01', 150)"
    )
    assert answer(connection, "content_return") == [
        (2, "A tree with lights", 1, 600, "Christmas", "selling"),
        (1, "A field of tulips", 3, 450, "Summer", "selling"),
        (3, "Not shown", 0, 0, "none yet", "unused"),
        (4, "Not sold", 1, 0, "none yet", "shown"),
    ]


def test_month_by_campaign(connection):
    connection.execute("UPDATE campaign SET content_id = NULL WHERE id = 2")
    assert answer(connection, "month_by_campaign", month=date(2025, 12, 1)) == [
        (3, "Christmas", "A tree with lights", 300, 600, 50, 60),
        (1, "Spring", "A field of tulips", 100, 200, Decimal("16.7"), 20),
        (2, "Summer", "no content", 200, 100, Decimal("33.3"), 10),
    ]
    assert answer(connection, "month_by_campaign", month=date(2026, 1, 1)) == []


def test_sources_behind(connection):
    connection.execute(
        "INSERT INTO etl_watermark (source, kind, upper_bound) VALUES ('cache', 'stream_id', '0-0'); "
        "INSERT INTO etl_run (source, status, started_at, finished_at, window_to, message) VALUES "
        "('promptads', 'succeeded', now() - interval '5 min', now(), '1', NULL), "
        "('promptcrm', 'succeeded', now() - interval '30 min', now(), '1', NULL), "
        "('promptcontent', 'succeeded', now() - interval '5 min', now(), '1', NULL), "
        "('promptcontent', 'failed', now() - interval '1 min', now(), NULL, 'the source is down'), "
        "('other', 'succeeded', now() - interval '5 min', now(), '1', NULL); "
        "INSERT INTO etl_quarantine (source, key, payload, reason, run_id) "
        "SELECT 'other', '7', '{}', 'no such client', id FROM etl_run WHERE source = 'other'"
    )
    rows = [(*row[:3], row[4]) for row in answer(connection, "sources_behind", allowed="22 minutes")]
    assert rows == [
        ("cache", "never succeeded", "", 0),
        ("other", "rows in quarantine", "", 1),
        ("promptcontent", "failed", "the source is down", 0),
        ("promptcrm", "behind", "", 0),
    ]
    assert len(answer(connection, "sources_behind", allowed="1 hour")) == 3
