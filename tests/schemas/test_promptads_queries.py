"""PromptAds's queries, each with the answer that the sample's rows have."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from tds import ask, run

from fixtures.databases import Database

pytestmark = pytest.mark.queries


def test_unmeasured_budgets_except(ads_sql: Database) -> None:
    assert ask(ads_sql, "unmeasured_budgets") == [
        (2, "Summer", "social"),
        (3, "Christmas", "social"),
        (3, "Christmas", "email"),
    ]
    run(
        ads_sql,
        "INSERT INTO metric_day (ad_id, day, impressions, clicks, conversions, cost) VALUES "
        "(5, '2026-12-01', 10, 1, 0, 1)",
    )
    run(ads_sql, "UPDATE budget SET amount = 0 WHERE id = 6")
    assert ask(ads_sql, "unmeasured_budgets") == [(2, "Summer", "social")]


def test_contents_on_both_channels_intersect(ads_sql: Database) -> None:
    channels = {"channel_1": "search", "channel_2": "social"}
    assert ask(ads_sql, "contents_on_both_channels", **channels) == [(1,)]  # the ad of content 2 on social is paused
    run(ads_sql, "UPDATE ad SET status = 'active' WHERE id = 4")
    assert ask(ads_sql, "contents_on_both_channels", **channels) == [(1,), (2,)]
    assert ask(ads_sql, "contents_on_both_channels", channel_1="search", channel_2="email") == []


def test_record_metric_day_merge(ads_sql: Database, request: pytest.FixtureRequest) -> None:
    if ads_sql.engine == "sqlserver" and "tds" in request.fixturenames:
        request.getfixturevalue("tds").need("MERGE")
    day: dict[str, Any] = {
        "day": date(2026, 3, 2),
        "impressions": 700,
        "clicks": 30,
        "conversions": 2,
        "cost": Decimal("11.50"),
    }
    ask(ads_sql, "record_metric_day", ad_id=1, **day)
    ask(ads_sql, "record_metric_day", ad_id=2, **day)
    rows = run(ads_sql, "SELECT ad_id, impressions, clicks, conversions, cost FROM metric_day WHERE day = '2026-03-02'")
    assert sorted(rows) == [(1, 700, 30, 2, Decimal("11.50")), (2, 700, 30, 2, Decimal("11.50"))]
    assert run(ads_sql, "SELECT COUNT(*) FROM metric_day") == [(5,)]
    with pytest.raises(Exception, match="ck_metric_day_funnel"):
        ask(ads_sql, "record_metric_day", ad_id=1, **day | {"clicks": 701})
    with pytest.raises(Exception, match="fk_metric_day_ad"):
        ask(ads_sql, "record_metric_day", ad_id=99, **day)


def test_headlines_to_tidy_ltrim(ads_sql: Database) -> None:
    assert ask(ads_sql, "headlines_to_tidy") == [
        (1, "  Fresh colours for the garden ", "Fresh colours for the garden "),
    ]


@pytest.mark.parametrize(
    ("word", "ids"), [("sun", [4]), ("SPRING", [2]), ("the", [1, 3]), ("winter", []), ("%", []), ("' OR 1 = 1 --", [])]
)
def test_ads_about_lower(ads_sql: Database, word: str, ids: list[int]) -> None:
    assert [row[0] for row in ask(ads_sql, "ads_about", word=word)] == ids


def test_cost_bands_floor(ads_sql: Database) -> None:
    assert ask(ads_sql, "cost_bands", width=10) == [(10, 2, Decimal("22.75")), (20, 2, Decimal("40.00"))]
    assert ask(ads_sql, "cost_bands", width=Decimal("12.5")) == [
        (0, 1, Decimal("10.25")),
        (Decimal("12.5"), 3, Decimal("52.50")),
    ]


def test_impressions_due_ceiling(ads_sql: Database) -> None:
    assert ask(ads_sql, "impressions_due", price=Decimal("2.50")) == [
        (1, "Spring", 2300, Decimal("7.50")),
        (2, "Summer", 2000, Decimal("5.00")),
    ]


def test_refresh_spent_update_from_select(ads_sql: Database) -> None:
    run(ads_sql, "UPDATE metric_day SET cost = 21 WHERE ad_id = 1 AND day = '2026-03-01'")
    run(
        ads_sql,
        "INSERT INTO metric_day (ad_id, day, impressions, clicks, conversions, cost) VALUES "
        "(4, '2026-06-02', 10, 1, 0, 1)",
    )
    run(
        ads_sql,
        "INSERT INTO ad (id, campaign_id, channel_id, content_id, headline, status) VALUES "
        "(6, 1, 1, NULL, 'Another one of the same channel', 'active')",
    )
    run(
        ads_sql,
        "INSERT INTO metric_day (ad_id, day, impressions, clicks, conversions, cost) VALUES "
        "(6, '2026-03-01', 10, 1, 0, 2)",
    )
    cursor = ads_sql.connect()
    ask(ads_sql, "refresh_spent", cursor)
    assert run(ads_sql, "SELECT id, spent FROM budget ORDER BY id") == [
        (1, Decimal("33.25")),
        (2, Decimal("12.50")),
        (3, Decimal("20.00")),
        (4, Decimal("1.00")),
        (5, 0),
        (6, 0),
    ]


def test_refresh_spent_touches_only_what_differs(ads_sql: Database) -> None:
    from harness.promptsales.queries import find

    bound = find("promptads", ads_sql.engine, "refresh_spent").bind()
    assert ads_sql.connect().execute(*bound).rowcount == 0
    run(ads_sql, "UPDATE budget SET spent = 1 WHERE id IN (2, 3)")
    assert ads_sql.connect().execute(*bound).rowcount == 2
