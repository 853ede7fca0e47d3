"""The tools of PromptAds on seeded rows, by the login of their own; every answer beside one computed here."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from fixtures.databases import Database
from harness.errors import SourceError, ToolRefused
from harness.mcp.promptads import (
    LOGINS,
    ActiveCampaign,
    CampaignDay,
    CampaignFound,
    PromptAds,
    containing,
    open_toolset,
)
from harness.mcp.sql import SqlSource
from harness.servers.base import Target
from harness.servers.logins import logins
from harness.sso.model import Caller

pytestmark = pytest.mark.mcp

READER = Caller("local.test", "test@example.com", frozenset({"reader"}), "test")
HOSTILE = ["'; DROP TABLE campaign; --", "%", "_", "[a-z]", "!", "%s", ":id", "${x}", "\\", "ñ", "🦉", "' OR '1'='1"]


@pytest.fixture(scope="module")
def own(promptads_shared: Database) -> Iterator[Target]:
    """The database by a login with the rights of promptads_mcp and no others: what works here needs no more."""
    target = Target("promptads", "postgresql", promptads_shared.url, stand_in="sqlserver")
    with logins({"promptads": target}, LOGINS, "psh_test_", valid=None) as entered:
        assert entered.own == LOGINS, entered.notes
        yield entered.targets[LOGINS[0]]


@pytest.fixture(scope="module")
def tools(own: Target) -> Iterator[PromptAds]:
    made = open_toolset({LOGINS[0]: own})
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(promptads_shared: Database) -> Callable[..., list[Any]]:
    connection = promptads_shared.connect()
    return lambda text, *values: connection.execute(text, values).fetchall()


Plain = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def busy_day(plain: Plain) -> date:
    """The day on which most campaigns run that are active."""
    spans = plain("SELECT starts_on, ends_on FROM campaign WHERE status = 'active'")
    days = {first + timedelta(days=n) for first, last in spans for n in range((last - first).days + 1)}
    return max(sorted(days), key=lambda day: sum(first <= day <= last for first, last in spans))


def all_pages(ask: Callable[..., Any], limit: int) -> list[Any]:
    items: list[Any] = []
    cursor = None
    while True:
        page = ask(limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        items += page.items
        cursor = page.next_cursor
        if cursor is None:
            return items
        assert len(page.items) == limit, "a page that is not the last one is full"


def test_active_campaigns(tools: PromptAds, plain: Plain, busy_day: date) -> None:
    spent: dict[int, Decimal] = defaultdict(Decimal)
    for campaign, day, cost in plain("SELECT campaign_id, day, cost FROM metric_day JOIN ad ON ad.id = ad_id"):
        if day <= busy_day:
            spent[campaign] += cost
    rows = plain("SELECT id, starts_on, ends_on, budget, objective, name FROM campaign WHERE status = 'active'")
    running = sorted((row for row in rows if row[1] <= busy_day <= row[2]), key=lambda row: (row[2], row[0]))
    assert len(running) >= 3
    answer = tools.active_campaigns(READER, on=busy_day, limit=100)
    assert answer.as_of == busy_day
    assert answer.measured_until == plain("SELECT max(day) FROM metric_day")[0][0]
    assert [(one.campaign_id, one.name, one.spent, one.budget) for one in answer.items] == [
        (id_, name, spent[id_], budget) for id_, _, _, budget, _, name in running
    ]
    for one, (_, first, last, budget, *_) in zip(answer.items, running, strict=True):
        time = ((busy_day - first).days + 1) / ((last - first).days + 1)
        assert one.share_of_time == pytest.approx(time, abs=1e-4)
        assert float(one.projected_spend) == pytest.approx(float(one.spent) / time, abs=0.01)
        assert one.share_spent == pytest.approx(float(one.spent / budget), abs=1e-4)
        ratio = float(one.spent / budget) / time
        assert one.pace == ("ahead" if ratio > 1.1 else "behind" if ratio < 0.9 else "on")
    for objective in ("awareness", "traffic", "leads", "sales"):
        some = tools.active_campaigns(READER, objective=objective, on=busy_day, limit=100)  # type: ignore[arg-type]
        assert [one.campaign_id for one in some.items] == [row[0] for row in running if row[4] == objective]


def test_today_is_taken_if_no_day_is_given(own: Target, busy_day: date) -> None:
    tools = PromptAds(SqlSource(own), today=lambda: busy_day)
    assert tools.active_campaigns(READER) == tools.active_campaigns(READER, on=busy_day)
    assert tools.active_campaigns(READER, on=date(2099, 1, 1)).items == []


@pytest.mark.data("tiny")
def test_pages_have_each_row_once_with_ties(promptads_db: Database, busy_day: date) -> None:
    promptads_db.connect().execute(
        "UPDATE campaign SET status = 'active', starts_on = %s, ends_on = %s", [busy_day, busy_day + timedelta(days=9)]
    )
    tools = open_toolset({LOGINS[0]: Target("promptads", "postgresql", promptads_db.url)})
    for limit in (1, 3, 20, 100):
        found: list[ActiveCampaign] = all_pages(
            lambda **page: tools.active_campaigns(READER, on=busy_day, **page), limit
        )
        assert [one.campaign_id for one in found] == list(range(1, 21))


def test_the_paces(own: Target) -> None:
    from harness.mcp.promptads import _active

    row: dict[str, Any] = {
        "campaign_id": 1, "campaign": "x", "objective": "sales",
        "starts_on": date(2026, 1, 1), "ends_on": date(2026, 1, 10), "budget": Decimal(100),
    }  # fmt: skip
    day = date(2026, 1, 5)  # half of its time
    made = [_active(row | {"spent": Decimal(spent)}, day).pace for spent in (44, 45, 50, 55, 56)]
    assert made == ["behind", "on", "on", "on", "ahead"]
    none = _active(row | {"budget": Decimal(0), "spent": Decimal(0)}, day)
    assert (none.share_spent, none.pace) == (None, "on")
    assert _active(row | {"budget": Decimal(0), "spent": Decimal(1)}, day).pace == "ahead"
    assert _active(row | {"spent": Decimal(30)}, day).model_dump(mode="json")["projected_spend"] == 60.0


def test_find_campaigns(tools: PromptAds, plain: Plain) -> None:
    names = plain("SELECT id, name FROM campaign ORDER BY id")
    word = names[0][1].split()[0]
    expected = [id_ for id_, name in names if word.lower() in name.lower()]
    assert expected
    found: list[CampaignFound] = all_pages(lambda **page: tools.find_campaigns(READER, text=word.upper(), **page), 2)
    assert [one.campaign_id for one in found] == expected
    assert tools.find_campaigns(READER, text=names[0][1]).items[0].name == names[0][1]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_texts(tools: PromptAds, plain: Plain, text: str) -> None:
    expected = [id_ for id_, name in plain("SELECT id, name FROM campaign ORDER BY id") if text.lower() in name.lower()]
    assert [one.campaign_id for one in tools.find_campaigns(READER, text=text, limit=100).items] == expected
    assert f"campaigns {text!r} and 'x'" in tools.compare_two_campaigns(READER, text, "x")
    with pytest.raises(ToolRefused, match="the cursor is none that find_campaigns has given"):
        tools.find_campaigns(READER, text="a", cursor=text)


@pytest.mark.data("sample")
def test_a_pattern_is_no_pattern(promptads_db: Database) -> None:
    connection = promptads_db.connect()
    (id_,) = connection.execute("SELECT min(id) FROM campaign").fetchone()
    tools = open_toolset({LOGINS[0]: Target("promptads", "postgresql", promptads_db.url)})
    for name in ("50 % off_now!", "[a-z] \\ 'x'"):
        connection.execute("UPDATE campaign SET name = %s WHERE id = %s", [name, id_])
        assert [one.name for one in tools.find_campaigns(READER, text=name[:8]).items] == [name]
        assert tools.find_campaigns(READER, text="%".join(name[:2])).items == []
    assert containing("a[b_c%d!") == "%a![b!_c!%d!!%"


def test_a_campaign(tools: PromptAds, plain: Plain) -> None:
    ((id_, name, budget),) = plain(
        "SELECT id, name, budget FROM campaign "
        "WHERE id = (SELECT campaign_id FROM ad GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)"
    )
    made = tools.campaign(READER, id_)
    assert (made.name, made.budget) == (name, budget)
    ads = plain("SELECT id, headline, status FROM ad WHERE campaign_id = %s ORDER BY id", id_)
    assert [(one.ad_id, one.headline, one.status) for one in made.ads] == ads
    assert not made.more_ads
    amounts = plain(
        "SELECT code, amount FROM budget JOIN channel ON channel.id = channel_id WHERE campaign_id = %s ORDER BY code",
        id_,
    )
    assert [(one.channel, one.budget) for one in made.channels if one.budget] == [row for row in amounts if row[1]]


def test_a_campaign_that_is_not_there(tools: PromptAds) -> None:
    for ask in (
        lambda: tools.campaign(READER, 7000),
        lambda: tools.campaign_days(READER, 7000),
        lambda: tools.compare_campaigns(READER, 1, 7000),
        lambda: tools.compare_campaigns(READER, 7000, 1),
    ):
        with pytest.raises(ToolRefused, match=r"^there is no campaign 7000: find_campaigns tells the ids$"):
            ask()


def test_days(tools: PromptAds, plain: Plain) -> None:
    (id_,) = plain("SELECT campaign_id FROM ad JOIN metric_day ON ad_id = ad.id GROUP BY 1 ORDER BY count(*) DESC, 1")[
        0
    ]
    sums: dict[date, list[Any]] = defaultdict(lambda: [0, 0, 0, Decimal()])
    for day, *values in plain(
        "SELECT day, impressions, clicks, conversions, cost FROM metric_day JOIN ad ON ad.id = ad_id WHERE campaign_id = %s",
        id_,
    ):
        sums[day] = [one + other for one, other in zip(sums[day], values, strict=True)]
    expected = [(day, *values) for day, values in sorted(sums.items())]
    assert len(expected) > 5
    for limit in (2, 100):
        found: list[CampaignDay] = all_pages(lambda **page: tools.campaign_days(READER, id_, **page), limit)
        assert [(one.day, one.impressions, one.clicks, one.conversions, one.cost) for one in found] == expected
    first, last = expected[1][0], expected[3][0]
    some = tools.campaign_days(READER, id_, since=first, until=last)
    assert [one.day for one in some.items] == [row[0] for row in expected[1:4]]
    with pytest.raises(ToolRefused, match="turn them around"):
        tools.campaign_days(READER, id_, since=last, until=first)


def test_comparing(tools: PromptAds, plain: Plain) -> None:
    ids = [row[0] for row in plain("SELECT DISTINCT campaign_id FROM ad JOIN metric_day ON ad_id = ad.id ORDER BY 1")][
        :2
    ]
    made = tools.compare_campaigns(READER, *ids)
    for id_, side in zip(ids, (made.first, made.second), strict=True):
        ((impressions, clicks, conversions, cost, days, first, last),) = plain(
            "SELECT sum(impressions), sum(clicks), sum(conversions), sum(cost), count(DISTINCT day), min(day), max(day) "
            "FROM metric_day JOIN ad ON ad.id = ad_id WHERE campaign_id = %s",
            id_,
        )
        total = side.total
        assert (total.impressions, total.clicks, total.conversions, total.cost) == (
            impressions,
            clicks,
            conversions,
            cost,
        )
        assert (side.campaign_id, side.days, side.first_day, side.last_day) == (id_, days, first, last)
        assert total.click_rate == pytest.approx(clicks / impressions, abs=1e-6)
        assert float(total.cost_per_click or 0) == pytest.approx(float(cost) / clicks, abs=1e-4)
        assert sum(one.cost for one in side.channels) == cost
        by_channel = plain(
            "SELECT code, sum(cost) FROM metric_day JOIN ad ON ad.id = ad_id JOIN channel ON channel.id = channel_id "
            "WHERE campaign_id = %s GROUP BY code",
            id_,
        )
        assert {one.channel: one.cost for one in side.channels if one.impressions} == dict(by_channel)
    rates = made.first.total.click_rate, made.second.total.click_rate
    assert rates[0] is not None
    assert rates[1] is not None
    assert made.better["click_rate"] == (
        "first" if rates[0] > rates[1] else "second" if rates[0] < rates[1] else "equal"
    )
    turned = tools.compare_campaigns(READER, *reversed(ids))
    assert (turned.first, turned.second) == (made.second, made.first)
    with pytest.raises(ToolRefused, match="the same campaign"):
        tools.compare_campaigns(READER, 1, 1)


@pytest.mark.data("sample")
def test_a_campaign_of_which_nothing_was_measured(promptads_db: Database) -> None:
    promptads_db.connect().execute("DELETE FROM metric_day")
    tools = open_toolset({LOGINS[0]: Target("promptads", "postgresql", promptads_db.url)})
    one, other = (row[0] for row in promptads_db.connect().execute("SELECT id FROM campaign ORDER BY id LIMIT 2"))
    made = tools.compare_campaigns(READER, one, other)
    assert made.better == {}
    assert (made.first.days, made.first.first_day, made.first.total.click_rate) == (0, None, None)
    assert made.model_dump_json()


def test_schema(tools: PromptAds) -> None:
    text = tools.schema(READER)
    assert text.startswith("# The tables of promptads (PostgreSQL)")
    assert "| budget | decimal(12, 2) |  | of all channels together;" in text
    assert "tombstone" not in text


def test_the_server_is_away() -> None:
    tools = open_toolset({LOGINS[0]: Target("promptads", "postgresql", "postgresql://u:hunter2@127.0.0.1:1/x")})
    with pytest.raises(SourceError, match=r"^promptads does not answer: try again later$"):
        tools.active_campaigns(READER)


# -- the role


@pytest.fixture
def inside(promptads_db: Database) -> Iterator[Any]:
    """A login that is in promptads_mcp and in no other role."""
    name, admin = f"mcp_{uuid.uuid4().hex[:8]}", promptads_db.connect()
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'words' IN ROLE promptads_mcp")
    try:
        with psycopg.connect(promptads_db.url, user=name, password="words", autocommit=True) as connection:
            yield connection
    finally:
        admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_what_the_role_may(promptads_db: Database) -> None:
    rows = promptads_db.connect().execute(
        "SELECT relname, bool_or(has_table_privilege('promptads_mcp', oid, 'SELECT')), "
        "bool_or(has_any_column_privilege('promptads_mcp', oid, 'INSERT, UPDATE, REFERENCES') "
        "OR has_table_privilege('promptads_mcp', oid, 'DELETE, TRUNCATE, TRIGGER')) "
        "FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f') GROUP BY 1"
    )
    found = {name: (read, write) for name, read, write in rows}
    assert not any(write for _, write in found.values())
    assert {name for name, (read, _) in found.items() if read} == {
        "channel", "audience", "campaign", "budget", "ad", "metric_day",
    }  # fmt: skip
    called = promptads_db.connect().execute(
        "SELECT proname FROM pg_proc AS p WHERE pronamespace = 'public'::regnamespace "
        "AND has_function_privilege('promptads_mcp', oid, 'EXECUTE') "
        "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')"
    )
    assert called.fetchall() == []


@pytest.mark.data("sample")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE campaign SET budget = 0",
        "DELETE FROM metric_day",
        "INSERT INTO channel VALUES (99, 'x', 'x')",
        "SELECT * FROM tombstone",
        "SELECT * FROM seed_range",
        "SELECT * FROM changes_since(NULL, NULL)",
        "CREATE TABLE mine (id int)",
        "SELECT pg_read_file('PG_VERSION')",
        "SET ROLE promptads_etl",
    ],
)
def test_what_it_may_not(inside: Any, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        inside.execute(statement)
