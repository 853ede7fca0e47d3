"""The tools of PromptCrm on seeded rows, by logins of their own; every answer beside one computed here."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from crm_tools import ANALYST, STEWARD, Plain, entered

from fixtures.databases import Database
from harness.errors import SourceError, ToolRefused
from harness.mcp.catalogue import offers
from harness.mcp.promptcrm import LOGINS, BestClient, ClientNear, Event, PromptCrm, open_toolset
from harness.mcp.sql import SqlSource
from harness.servers.base import Target
from harness.servers.logins import LoginFor

pytestmark = pytest.mark.mcp


@pytest.fixture(scope="module")
def own(promptcrm_shared: Database) -> Iterator[Mapping[LoginFor, Target]]:
    """The database by logins with the rights of one role each: what works here needs no more."""
    with entered(promptcrm_shared) as targets:
        yield targets


@pytest.fixture(scope="module")
def tools(own: Mapping[LoginFor, Target]) -> Iterator[PromptCrm]:
    made = open_toolset(own)
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(promptcrm_shared: Database) -> Plain:
    connection = promptcrm_shared.connect()
    return lambda text, *values: connection.execute(text, values).fetchall()


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


def away_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """By the angle between two vectors: another way than the database's."""

    def vector(latitude: float, longitude: float) -> tuple[float, float, float]:
        up, round_ = math.radians(latitude), math.radians(longitude)
        return math.cos(up) * math.cos(round_), math.cos(up) * math.sin(round_), math.sin(up)

    a, b = vector(*one), vector(*other)
    cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return 6371.0088 * math.atan2(math.hypot(*cross), sum(x * y for x, y in zip(a, b, strict=True)))


# -- clients near a place


def test_clients_near(tools: PromptCrm, plain: Plain) -> None:
    clients = plain("SELECT id, latitude, longitude FROM client")
    _, *here = clients[0]
    for reach in (5.0, 100.0, 500.0):
        expected = sorted(
            (km, id_) for id_, *where in clients if (km := away_km((here[0], here[1]), (where[0], where[1]))) <= reach
        )
        found: list[ClientNear] = all_pages(
            lambda reach=reach, **page: tools.clients_near(ANALYST, *here, kilometres=reach, **page), 3
        )
        assert [one.client_id for one in found] == [id_ for _, id_ in expected]
        assert [one.kilometres for one in found] == pytest.approx([km for km, _ in expected], abs=0.002)
    ((name, city),) = plain(
        "SELECT c.name, t.name FROM client c JOIN city t ON t.id = city_id WHERE c.id = %s", clients[0][0]
    )
    first = tools.clients_near(ANALYST, *here, kilometres=1).items[0]
    assert (first.name, first.city, first.kilometres) == (name, city, 0)


@pytest.mark.data("tiny")
def test_pages_have_each_client_once_with_ties(promptcrm_db: Database) -> None:
    promptcrm_db.connect().execute("UPDATE client SET latitude = 9.93 + 0.01 * (id % 3), longitude = -84.08")
    with entered(promptcrm_db) as targets:
        tools = open_toolset(targets)
        for limit in (1, 7, 100):
            found = all_pages(lambda **page: tools.clients_near(ANALYST, 9.93, -84.08, kilometres=10, **page), limit)
            assert [one.client_id for one in found] == sorted(range(1, 201), key=lambda id_: (id_ % 3, id_))


def test_at_the_ends_of_the_earth(tools: PromptCrm) -> None:
    for place in ((90, 0), (-90, 180), (0, 180), (0, -180), (-89.99, 45)):
        assert tools.clients_near(ANALYST, *place, kilometres=500).items == []


# -- a client's history


def busiest(plain: Plain) -> int:
    """A client of whom there is everything."""
    rows = plain(
        "SELECT id FROM client c WHERE EXISTS (SELECT FROM opportunity WHERE client_id = c.id) "
        "AND EXISTS (SELECT FROM sale WHERE client_id = c.id) "
        "ORDER BY (SELECT count(*) FROM interaction WHERE client_id = c.id) DESC, id LIMIT 1"
    )
    return int(rows[0][0])


def events(plain: Plain, id_: int) -> list[tuple[Any, ...]]:
    """What happened with a client: the newest first, then by kind and id."""
    midnight = datetime.min.time()
    found = [
        (datetime.combine(day, midnight), "sale", number, status, total, campaign, None, None)
        for day, number, status, total, campaign in plain(
            "SELECT sold_on, id, status, total, campaign_id FROM sale WHERE client_id = %s", id_
        )
    ]
    found += [
        (datetime.combine(day, midnight), "opportunity", number, stage, amount, campaign, None, None)
        for day, number, stage, amount, campaign in plain(
            "SELECT opened_on, id, stage, amount, campaign_id FROM opportunity WHERE client_id = %s", id_
        )
    ]
    found += [
        (when, "interaction", number, kind, None, campaign, content, note)
        for when, number, kind, campaign, content, note in plain(
            "SELECT happened_at, id, kind, campaign_id, content_id, note FROM interaction WHERE client_id = %s", id_
        )
    ]
    return sorted(found, key=lambda row: (-(row[0] - datetime(1970, 1, 1)).total_seconds(), row[1], row[2]))


def test_a_reach_that_no_database_can_reckon_with_is_no_argument() -> None:
    """A number that small divided by another one is below what a double has, and the server refuses it."""
    (offer,) = [one for one in offers(["promptcrm"]) if one.name == "clients_near"]
    assert offer.arguments["properties"]["kilometres"]["minimum"] == 0.001


def test_history(tools: PromptCrm, plain: Plain) -> None:
    id_ = busiest(plain)
    expected = [(row[0].replace(tzinfo=UTC), *row[1:]) for row in events(plain, id_)]
    assert {row[1] for row in expected} == {"sale", "opportunity", "interaction"}
    for limit in (1, 4, 100):
        found: list[Event] = all_pages(lambda **page: tools.client_history(ANALYST, id_, **page), limit)
        assert [
            (one.happened_at, one.kind, one.id, one.what, one.amount, one.campaign_id, one.content_id, one.note)
            for one in found
        ] == expected
    card = tools.client_history(ANALYST, id_).client
    ((code, name, city, country, credit),) = plain(
        "SELECT c.code, c.name, t.name, t.country, c.credit FROM client c JOIN city t ON t.id = city_id WHERE c.id = %s",
        id_,
    )
    assert (card.code, card.name, card.city, card.country, card.credit) == (code, name, city, country, credit)


@pytest.mark.data("tiny")
def test_a_history_in_which_all_happened_at_once(promptcrm_db: Database) -> None:
    connection = promptcrm_db.connect()
    read: Plain = lambda text, *values: connection.execute(text, values).fetchall()  # noqa: E731
    id_ = busiest(read)
    connection.execute("UPDATE sale SET sold_on = '2025-01-01'")
    connection.execute(
        "UPDATE opportunity SET opened_on = '2025-01-01', closed_on = closed_on - closed_on + date '2025-01-02'"
    )
    connection.execute("UPDATE interaction SET happened_at = '2025-01-01'")
    with entered(promptcrm_db) as targets:
        tools = open_toolset(targets)
        for limit in (1, 2, 5):
            found = all_pages(lambda **page: tools.client_history(ANALYST, id_, **page), limit)
            assert [(one.kind, one.id) for one in found] == [(row[1], row[2]) for row in events(read, id_)]


def test_a_client_that_is_not_there(tools: PromptCrm) -> None:
    for who in (ANALYST, STEWARD):
        with pytest.raises(ToolRefused, match=r"^there is no client 7000: clients_near and best_clients tell ids$"):
            tools.client_history(who, 7000)


@pytest.mark.parametrize("cursor", ["'; DROP TABLE client; --", "x", "", "ñ", "%s", "[]"])
def test_a_cursor_is_checked(tools: PromptCrm, cursor: str) -> None:
    for ask in (
        lambda: tools.client_history(ANALYST, 1, cursor=cursor),
        lambda: tools.clients_near(ANALYST, 1, 1, cursor=cursor),
        lambda: tools.best_clients(ANALYST, cursor=cursor),
    ):
        with pytest.raises(ToolRefused, match="the cursor is none that"):
            ask()


def test_cursors_of_the_right_form_with_wrong_keys(tools: PromptCrm) -> None:
    from harness.mcp.pages import cursor_of

    for key in (("no day", "sale", 1), ("2025-01-01T00:00:00+00:00", "sale", 1), ("2025-01-01", "x" * 13, 1)):
        with pytest.raises(ToolRefused, match="the cursor is none that client_history has given"):
            tools.client_history(ANALYST, 1, cursor=cursor_of("client_history", *key))
    assert tools.client_history(ANALYST, 1, cursor=cursor_of("client_history", "2025-01-01", "' OR 1=1--", 1))


# -- the best clients


def test_best_clients(tools: PromptCrm, plain: Plain) -> None:
    first, last = date(2025, 1, 16), date(2026, 1, 15)
    sums: dict[int, list[Any]] = defaultdict(lambda: [0, Decimal()])
    for id_, total in plain(
        "SELECT client_id, total FROM sale WHERE status <> 'cancelled' AND sold_on BETWEEN %s AND %s", first, last
    ):
        sums[id_] = [sums[id_][0] + 1, sums[id_][1] + total]
    country = dict(plain("SELECT c.id, t.country FROM client c JOIN city t ON t.id = city_id"))
    for where in (None, *sorted(set(country.values()))[:3], "XX"):
        some = {id_: row for id_, row in sums.items() if where in (None, country[id_])}
        revenues = [revenue for _, revenue in some.values()]
        expected = sorted((1 + sum(one > row[1] for one in revenues), id_, *row) for id_, row in some.items())
        for limit in (7, 100):
            found: list[BestClient] = all_pages(
                lambda where=where, **page: tools.best_clients(ANALYST, first, last, where, **page), limit
            )
            assert [(one.place, one.client_id, one.sales, one.revenue) for one in found] == expected
            assert all(one.country == country[one.client_id] for one in found)


@pytest.mark.data("tiny")
def test_best_clients_that_are_equal(promptcrm_db: Database) -> None:
    connection = promptcrm_db.connect()
    connection.execute("UPDATE sale SET status = 'closed', total = 10, sold_on = '2025-06-01'")
    with entered(promptcrm_db) as targets:
        tools = PromptCrm(*(SqlSource(targets[one]) for one in LOGINS), today=lambda: date(2025, 6, 1))
        counts = connection.execute("SELECT client_id, count(*) FROM sale GROUP BY 1").fetchall()
        expected = sorted((1 + sum(other > count for _, other in counts), id_) for id_, count in counts)
        for limit in (1, 100):
            found = all_pages(lambda **page: tools.best_clients(ANALYST, **page), limit)
            assert [(one.place, one.client_id) for one in found] == expected


def test_spans_that_cannot_be(tools: PromptCrm) -> None:
    with pytest.raises(ToolRefused, match="turn them around"):
        tools.best_clients(ANALYST, date(2025, 2, 1), date(2025, 1, 1))
    with pytest.raises(ToolRefused, match="more than 366 days"):
        tools.best_clients(ANALYST, date(2024, 1, 1), date(2025, 1, 1))
    assert tools.best_clients(ANALYST, date(2024, 1, 1), date(2024, 12, 31), limit=1).items


def test_schema_and_prompt(tools: PromptCrm) -> None:
    text = tools.schema(ANALYST)
    assert "| tax_id_cipher | bytea | yes | encrypted" in text
    assert "client 12 of" in tools.prepare_a_call(ANALYST, "12")


def test_the_server_is_away() -> None:
    away = Target("promptcrm", "postgresql", "postgresql://u:hunter2@127.0.0.1:1/x")
    tools = open_toolset(dict.fromkeys(LOGINS, away))
    with pytest.raises(SourceError, match=r"^promptcrm does not answer: try again later$"):
        tools.client_history(STEWARD, 1)
