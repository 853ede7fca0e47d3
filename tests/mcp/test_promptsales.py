"""PromptSales's tools: numbers against plain SQL, pages that read each row once, refusals, what their login may not."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from fixtures.databases import Database
from harness.errors import SourceError, ToolRefused
from harness.mcp.model import ANALYSTS, ANYBODY, PromptSpec, ResourceSpec, ToolSpec
from harness.mcp.pages import cursor_of
from harness.mcp.promptsales import LOGINS, PromptSales, open_toolset
from harness.mcp.sql import SqlSource
from harness.promptsales.queries import Query
from harness.servers.base import Target
from harness.servers.logins import logins
from harness.sso.model import Caller

pytestmark = pytest.mark.mcp

ANA = Caller("1", "ana@example.com", frozenset({"analyst"}), "test")


def toolset(database: Database) -> PromptSales:
    return open_toolset({LOGINS[0]: Target("promptsales", "postgresql", database.url)})


@pytest.fixture(scope="module")
def seeded(promptsales_shared: Database) -> Iterator[PromptSales]:
    made = toolset(promptsales_shared)
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(promptsales_shared: Database) -> Any:
    connection = promptsales_shared.connect()
    return lambda text, *values: connection.execute(text, values or None).fetchall()


@pytest.fixture
def own(promptsales_db: Database) -> Iterator[PromptSales]:
    """Over a database that the test may write to."""
    made = toolset(promptsales_db)
    yield made
    made.close()


def pages(ask: Any, **arguments: Any) -> list[list[Any]]:
    found, cursor = [], None
    while True:
        page = ask(ANA, cursor=cursor, **arguments)
        found.append(page.items)
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert page.items, "a page that is not the last one has something on it"


# -- numbers


def test_months_are_the_sums_of_their_sources(seeded, plain):
    first, last = plain("SELECT min(month), max(month) FROM month_summary")[0]
    cost = dict(plain("SELECT month, sum(cost) FROM campaign_month GROUP BY month"))
    earned = {
        row[0]: row[1:]
        for row in plain("SELECT month, sum(sales), sum(revenue), sum(interactions) FROM client_month GROUP BY month")
    }
    found = seeded.month_summary(ANA, f"{first:%Y-%m}", f"{last:%Y-%m}")
    assert [one.month for one in found.months] == sorted(cost.keys() | earned.keys())
    for one in found.months:
        assert one.cost == cost.get(one.month, 0)
        assert (one.sales, one.revenue, one.interactions) == earned.get(one.month, (0, 0, 0))
        assert one.margin == one.revenue - one.cost
    assert found.cost == sum(cost.values())
    assert found.revenue == sum(row[1] for row in earned.values())
    assert found.sales == sum(row[0] for row in earned.values())
    assert found.interactions == sum(row[2] for row in earned.values())
    assert found.return_on_spend == pytest.approx(float(found.revenue / found.cost), abs=0.006)
    assert len(seeded.month_summary(ANA, f"{last:%Y-%m}", f"{last:%Y-%m}").months) == 1
    assert seeded.month_summary(ANA, "1990-01", "1990-12").months == []
    assert seeded.month_summary(ANA, "1990-01", "1990-12").return_on_spend is None


def test_campaigns_of_a_month_in_each_order_and_each_once(seeded, plain):
    month = plain("SELECT month FROM campaign_month GROUP BY month ORDER BY count(*) DESC, month LIMIT 1")[0][0]
    rows = plain("SELECT campaign_id, revenue, cost, clicks, sales FROM campaign_month WHERE month = %s", month)
    assert len(rows) > 4
    keys = {
        "revenue": lambda row: row[1],
        "cost": lambda row: row[2],
        "return": lambda row: round(row[1] / row[2], 4) if row[2] else Decimal(-1),
    }
    for order, key in keys.items():
        expected = sorted(rows, key=lambda row: (-key(row), row[0]))
        for limit in (2, 100):
            found = pages(seeded.campaigns_of_month, month=f"{month:%Y-%m}", order_by=order, limit=limit)
            assert all(len(page) <= limit for page in found)
            flat = [(one.campaign_id, one.revenue, one.cost, one.clicks, one.sales) for page in found for one in page]
            assert flat == expected


def test_the_history_of_a_campaign(seeded, plain):
    campaign = plain("SELECT campaign_id FROM campaign_month GROUP BY campaign_id ORDER BY count(*) DESC, 1 LIMIT 1")[
        0
    ][0]
    found = seeded.campaign_history(ANA, campaign)
    assert [(one.month, one.cost, one.revenue, one.impressions) for one in found.months] == plain(
        "SELECT month, cost, revenue, impressions FROM campaign_month WHERE campaign_id = %s ORDER BY month", campaign
    )
    assert (found.name, found.status, found.starts_on, found.ends_on, found.budget, found.content_id) == plain(
        "SELECT name, status, starts_on, ends_on, budget, content_id FROM campaign WHERE id = %s", campaign
    )[0]


def test_the_reach_of_contents(seeded, plain):
    impressions = dict(plain("SELECT content_id, sum(impressions) FROM content_month GROUP BY content_id"))
    contents = dict(plain("SELECT id, hashtags FROM content"))
    expected = sorted(contents, key=lambda one: (-impressions.get(one, 0), one))
    found = pages(seeded.content_reach, limit=7)
    assert [one.content_id for page in found for one in page] == expected
    assert all(one.impressions == impressions.get(one.content_id, 0) for page in found for one in page)
    tag = next(iter(contents[expected[0]]))
    tagged = [one for one in expected if tag in contents[one]]
    for said in (tag, tag.removeprefix("#"), tag.upper()):
        assert [one.content_id for page in pages(seeded.content_reach, hashtag=said, limit=3) for one in page] == tagged
    assert seeded.content_reach(ANA, hashtag="#nosuchtag").items == []


@pytest.mark.data("sample")
def test_pages_with_nothing_but_ties(promptsales_db, own):
    connection = promptsales_db.connect()
    connection.execute(
        "INSERT INTO campaign (id, name, status, starts_on, ends_on, budget) "
        "SELECT id, 'C' || id, 'active', '2025-01-01', '2026-12-31', 1 FROM generate_series(100, 130) AS id; "
        "INSERT INTO campaign_month (campaign_id, month, cost, revenue) "
        "SELECT id, '2026-03-01', CASE WHEN id % 3 = 0 THEN 0 ELSE 10 END, 20 FROM generate_series(100, 130) AS id; "
        "INSERT INTO content (id, title) SELECT id, 'T' || id FROM generate_series(100, 130) AS id"
    )
    for order in ("revenue", "cost", "return"):
        for limit in (1, 4, 31, 32):
            found = pages(own.campaigns_of_month, month="2026-03", order_by=order, limit=limit)
            seen = [one.campaign_id for page in found for one in page]
            assert sorted(seen) == list(range(100, 131))
            assert len(seen) == 31
    last = pages(own.campaigns_of_month, month="2026-03", order_by="return", limit=100)[0][-1]
    assert (last.return_on_spend, last.cost) == (None, 0)
    seen = [one.content_id for page in pages(own.content_reach, limit=4) for one in page]
    assert len(seen) == len(set(seen)) == 33


# -- the ETL


def ran(connection: psycopg.Connection[Any], *rows: tuple[Any, ...]) -> None:
    for row in rows:
        connection.execute(
            "INSERT INTO etl_run (round, source, status, started_at, finished_at, window_from, window_to, rows_read, "
            "rows_updated, message) VALUES (%s, %s, %s, now() - %s::interval, "
            "CASE WHEN %s <> 'running' THEN now() - %s::interval + interval '1 s' END, NULL, '7', %s, %s, %s)",
            [row[0], row[1], row[2], row[3], row[2], row[3], row[4], row[4], row[5]],
        )


def test_no_round_yet(own):
    found = own.etl_state(ANA)
    assert (found.sources, found.period_seconds) == ([], 660)
    assert "no round" in found.in_words
    assert own.etl_rounds(ANA).items == []


def test_what_is_late_and_why(promptsales_db, own):
    connection = promptsales_db.connect()
    said = (
        "promptcrm does not answer: connection to server at \"10.1.2.3\", port 1433 (db.internal:1433) failed for user 'sa' "
        "jdbc:sqlserver://db.internal;user=sa postgresql://u:p@h/x"
    )
    ran(
        connection,
        (1, "promptcrm", "succeeded", "2 hours", 5, None),
        (1, "promptads", "succeeded", "2 hours", 5, None),
        (2, "promptcrm", "failed", "5 min", 0, said),
        (2, "promptads", "succeeded", "5 min", 3, None),
        (2, "promptcontent", "succeeded", "30 min", 3, None),
        (3, "cache", "failed", "1 min", 0, "why"),
    )
    connection.execute(
        "INSERT INTO etl_watermark (source, kind, upper_bound, updated_at) "
        "VALUES ('promptads', 'xid8', '7', now() - interval '4 min'); "
        "INSERT INTO etl_quarantine (source, key, payload, reason, run_id) "
        "SELECT 'promptads', 'ad ' || i, '{}', 'why', (SELECT min(id) FROM etl_run) FROM generate_series(1, 2) AS i"
    )
    found = own.etl_state(ANA)
    state = {one.source: one for one in found.sources}
    assert list(state) == ["promptcontent", "promptads", "promptcrm", "cache"]
    assert {name: one.late for name, one in state.items()} == {
        "promptcontent": True,
        "promptads": False,
        "promptcrm": True,
        "cache": True,
    }
    assert found.in_words == "late: promptcontent, promptcrm, cache"
    ads, crm = state["promptads"], state["promptcrm"]
    assert (ads.last_status, ads.rows_read, ads.rows_updated, ads.quarantined) == ("succeeded", 3, 3, 2)
    assert 299 < ads.lag_seconds < 360
    assert 239 < ads.watermark_age_seconds < 300
    assert ads.in_words == "up to date: 5 minutes behind at most; 2 rows wait in quarantine"
    assert crm.in_words == "it is late: 2 hours behind, and a round is due every 11 minutes; its last run failed"
    assert state["cache"].in_words == "it was never loaded; its last run failed"
    assert (crm.last_status, crm.watermark_age_seconds) == ("failed", None)
    assert "promptcrm does not answer" in crm.message
    for secret in ("10.1.2.3", "1433", "db.internal", "'sa'", "user=sa", "u:p@h"):
        assert secret not in crm.message
        assert secret not in own.etl_rounds(ANA).model_dump_json()


def test_rounds_are_read_each_once_and_whole(promptsales_db, own):
    connection = promptsales_db.connect()
    sources = ("promptcontent", "promptads", "promptcrm", "cache")
    for number in range(1, 8):
        state = "failed" if number == 5 else "succeeded"
        ran(
            connection,
            *(
                (number, source, state, f"{80 - number} min", number, "why" if number == 5 else None)
                for source in sources
            ),
        )
    ran(connection, (None, "promptads", "succeeded", "1 min", 1, None), (9, "promptads", "running", "1 s", 0, None))
    found = [one for page in pages(own.etl_rounds, limit=3) for one in page]
    assert [one.round for one in found] == [9, 7, 6, 5, 4, 3, 2, 1]
    assert [len(one.runs) for one in found] == [1, 4, 4, 4, 4, 4, 4, 4]
    assert [one.succeeded for one in found] == [False, True, True, False, True, True, True, True]
    assert found[0].finished_at is None
    assert found[1].runs[0].rows_read == 7
    assert (found[1].runs[0].seconds, found[1].runs[0].whole) == (1.0, True)


# -- refusals


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-02", "2026-01", "2026-02 is after 2026-01"),
        ("2016-01", "2026-01", "more than 120 months"),
        ("0000-01", "2026-01", "is no month"),
        ("2026-13", "2026-01", "is no month"),
        ("x", "y", "is no month"),
    ],
)
def test_spans_that_are_none(own, first, last, said):
    with pytest.raises(ToolRefused, match=said):
        own.month_summary(ANA, first, last)


def test_exactly_ten_years_are_not_too_many(own):
    assert own.month_summary(ANA, "2016-02", "2026-01").months == []


def test_a_campaign_that_is_not_there(own):
    with pytest.raises(ToolRefused, match=r"^there is no campaign 7000$"):
        own.campaign_history(ANA, 7000)


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "",
        cursor_of("content_reach", "", 1, 1),
        cursor_of("campaigns_of_month", "2026-01", "revenue", "1", "1"),
        cursor_of("campaigns_of_month", "2026-02", "revenue", "1", 1),
        cursor_of("campaigns_of_month", "2026-01", "cost", "1", 1),
        cursor_of("campaigns_of_month", "2026-01", "revenue", "NaN", 1),
        cursor_of("campaigns_of_month", "2026-01", "revenue", "1e999", 1),
        cursor_of("campaigns_of_month", "2026-01", "revenue", "1; DROP TABLE plan", 1),
        cursor_of("campaigns_of_month", "2026-01", "revenue", "1", 2**40),
    ],
)
def test_cursors_that_were_not_given(own, cursor):
    with pytest.raises(ToolRefused, match="cursor"):
        own.campaigns_of_month(ANA, "2026-01", cursor=cursor)


def test_a_cursor_of_another_hashtag(own):
    with pytest.raises(ToolRefused, match="another hashtag"):
        own.content_reach(ANA, hashtag="#beach", cursor=cursor_of("content_reach", "", 1, 1))
    with pytest.raises(ToolRefused, match="cursor"):
        own.etl_rounds(ANA, cursor=cursor_of("etl_rounds", "7"))


def test_a_hashtag_is_a_value_and_nothing_else(seeded):
    for tag in ("' OR true --", "%", "{a,b}", "\\"):
        assert seeded.content_reach(ANA, hashtag=tag).items == []


def test_a_database_that_is_not_there_is_told_in_a_line():
    gone = open_toolset({LOGINS[0]: Target("promptsales", "postgresql", "postgresql://u:sesame@127.0.0.1:1/none")})
    with pytest.raises(SourceError) as told:
        gone.etl_state(ANA)
    assert str(told.value) == "promptsales does not answer: try again later"
    gone.close()
    gone.close()


# -- resources, prompts, roles


def test_the_schema_names_every_table_and_view(seeded, plain):
    text = seeded.schema(ANA)
    there = plain(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') "
        "AND relname NOT IN ('seed_range', 'content_embedding')"
    )
    assert [name for (name,) in there if f"## {name}\n" not in text and f"**{name}**" not in text] == []
    assert "| campaign_id | int | key; refers to campaign |" in text


def test_the_month_board_is_the_summary(seeded, plain):
    rows = list(csv.DictReader(io.StringIO(seeded.month_board(ANA))))
    expected = plain("SELECT month, cost, revenue, interactions FROM month_summary ORDER BY month")
    assert [
        (date.fromisoformat(row["month"]), Decimal(row["cost"]), Decimal(row["revenue"]), int(row["interactions"]))
        for row in rows
    ] == expected[-120:]


def test_prompts_name_tools_that_there_are(own):
    tools = {name for name, spec, _ in own.offered() if isinstance(spec, ToolSpec)}
    review = own.monthly_review(ANA, "2026-01")
    assert "from 2025-01 to 2026-01" in review
    said = review + own.why_is_data_old(ANA)
    assert {name for name in tools if name in said} == tools - {"content_reach"}
    with pytest.raises(ToolRefused):
        own.monthly_review(ANA, "January")


def test_who_may_use_what(own):
    offered = {name: spec for name, spec, _ in own.offered()}
    assert {name for name, spec in offered.items() if spec.roles == ANALYSTS} == {
        "campaigns_of_month",
        "campaign_history",
        "monthly_review",
    }
    assert {name for name, spec in offered.items() if spec.roles == ANYBODY} == {
        "month_summary", "content_reach", "etl_state", "etl_rounds", "schema", "month_board", "why_is_data_old",
    }  # fmt: skip
    assert {type(spec) for spec in offered.values()} == {ToolSpec, ResourceSpec, PromptSpec}


@pytest.mark.data("sample")
def test_its_login_reads_what_the_tools_read_and_nothing_of_people(promptsales_db):
    target = Target("promptsales", "postgresql", promptsales_db.url)
    with logins({"promptsales": target}, LOGINS, "psh_mcp_", valid=None) as entered:
        assert entered.own == LOGINS, entered.notes
        tools = open_toolset(entered.targets)
        assert tools.month_summary(ANA, "2025-12", "2025-12").months
        assert tools.campaigns_of_month(ANA, "2025-12").items
        assert tools.campaign_history(ANA, 1).months
        assert tools.content_reach(ANA).items
        tools.etl_state(ANA)
        tools.etl_rounds(ANA)
        tools.month_board(ANA)
        source = SqlSource(entered.targets[LOGINS[0]])
        for table in (
            "client",
            "client_value",
            "client_month",
            "identity",
            "sso_session",
            "audit_log",
            "ai_log",
            "etl_quarantine",
        ):
            with pytest.raises(SourceError, match="refuses"):
                source.rows(Query("promptsales", "postgresql", "x", f"-- x\nSELECT * FROM {table}"), 1)
        with psycopg.connect(entered.targets[LOGINS[0]].url, autocommit=True) as connection:
            for statement in (
                "UPDATE campaign SET budget = 0",
                "CREATE TABLE mine (id int)",
                "SELECT upper_bound FROM etl_watermark",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        tools.close()
        source.close()
