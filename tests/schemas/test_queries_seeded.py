"""The queries that only read, on seeded data, against the same question answered in Python from the plain rows.

``--data=kept`` asks what ``harness seed`` has put on the servers of ``harness up``, at whatever size.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from fixtures.databases import Database
from harness.promptsales.queries import find, known

pytestmark = pytest.mark.queries

Rows = list[tuple[Any, ...]]
Ask = Callable[..., Rows]


def asker(database: Database) -> Ask:
    """A function: a query's name and values, or a plain SELECT."""
    connection = database.connect()

    def ask(text: str, **values: object) -> Rows:
        if text.startswith("SELECT"):
            return list(connection.execute(text).fetchall())
        query = find(database.logical, database.engine, text)
        return list(connection.execute(*query.bind(values)).fetchall())

    return ask


@pytest.fixture(scope="module")
def ads(promptads_shared: Database) -> Ask:
    return asker(promptads_shared)


@pytest.fixture(scope="module")
def crm(promptcrm_shared: Database) -> Ask:
    return asker(promptcrm_shared)


@pytest.fixture(scope="module")
def sales(promptsales_shared: Database) -> Ask:
    return asker(promptsales_shared)


def test_except(ads: Ask) -> None:
    money = set(ads("SELECT campaign_id, channel_id FROM budget WHERE amount > 0"))
    ad = {row[0]: row[1:] for row in ads("SELECT id, campaign_id, channel_id FROM ad")}
    measured = {ad[row[0]] for row in ads("SELECT DISTINCT ad_id FROM metric_day")}
    code = dict(ads("SELECT id, code FROM channel"))
    expected = {(campaign, code[channel]) for campaign, channel in money - measured}
    assert expected
    assert {(row[0], row[2]) for row in ads("unmeasured_budgets")} == expected


def test_intersect(ads: Ask) -> None:
    shown = defaultdict(set)
    code = dict(ads("SELECT id, code FROM channel"))
    for content, channel in ads("SELECT content_id, channel_id FROM ad WHERE status = 'active'"):
        shown[code[channel]].add(content)
    one, two = sorted(shown, key=lambda channel: -len(shown[channel]))[:2]
    expected = sorted((shown[one] & shown[two]) - {None})
    assert expected
    assert [row[0] for row in ads("contents_on_both_channels", channel_1=one, channel_2=two)] == expected


def test_floor(ads: Ask) -> None:
    width = Decimal("7.50")
    bands: dict[Decimal, list[Decimal]] = defaultdict(list)
    for (cost,) in ads("SELECT cost FROM metric_day"):
        bands[cost // width * width].append(cost)
    expected = [(band, len(costs), sum(costs)) for band, costs in sorted(bands.items())]
    assert len(expected) > 3
    assert ads("cost_bands", width=width) == expected


def test_ceiling(ads: Ask) -> None:
    campaign = dict(ads("SELECT id, campaign_id FROM ad"))
    impressions: dict[int, int] = defaultdict(int)
    for ad, number in ads("SELECT ad_id, impressions FROM metric_day"):
        impressions[campaign[ad]] += number
    price = Decimal("2.35")
    expected = [(one, number, -(-number // 1000) * price) for one, number in sorted(impressions.items())]
    assert [(row[0], row[2], row[3]) for row in ads("impressions_due", price=price)] == expected


def test_lower(ads: Ask) -> None:
    headlines = ads("SELECT id, headline FROM ad ORDER BY id")
    word = headlines[0][1].split()[0]
    expected = [id_ for id_, headline in headlines if word.lower() in headline.lower()]
    assert [row[0] for row in ads("ads_about", word=word.upper())] == expected


def revenues(crm: Ask) -> tuple[dict[int, Decimal], dict[int, str]]:
    """What each client bought for, and each client's country."""
    bought: dict[int, Decimal] = defaultdict(Decimal)
    for client, total in crm("SELECT client_id, total FROM sale WHERE status <> 'cancelled'"):
        bought[client] += total
    country = crm("SELECT client.id, country FROM client JOIN city ON city.id = city_id")
    return bought, dict(country)


def test_cte(crm: Ask) -> None:
    bought, country = revenues(crm)
    buyers = defaultdict(list)
    for client, revenue in bought.items():
        buyers[country[client]].append(revenue)
    average = {where: sum(all_, Decimal()) / len(all_) for where, all_ in buyers.items()}
    expected = {client for client, revenue in bought.items() if revenue > average[country[client]]}
    assert expected
    assert {row[0] for row in crm("clients_above_average")} == expected


def test_rank(crm: Ask) -> None:
    bought, country = revenues(crm)
    best: dict[str, list[tuple[Decimal, int]]] = defaultdict(list)
    for client, revenue in bought.items():
        best[country[client]].append((revenue, client))
    expected = {
        (where, 1 + sum(revenue > other for revenue, _ in all_), client, other)
        for where, all_ in best.items()
        for other, client in sorted(all_, reverse=True)[:3]
        if sum(revenue > other for revenue, _ in all_) < 3
    }
    found = crm("best_clients", day_first=date(1990, 1, 1), day_last=date(2200, 1, 1), places=3)
    assert {(row[0], row[1], row[2], row[4]) for row in found} >= expected
    assert len({row[0] for row in found}) == len(best)


def test_partition(crm: Ask) -> None:
    first, last = 1, 200
    so_far: dict[int, Decimal] = defaultdict(Decimal)
    rows = crm("revenue_growth", client_first=first, client_last=last)
    for client, _, revenue, running in rows:
        so_far[client] += revenue
        assert running == so_far[client]
    bought, _ = revenues(crm)
    assert so_far == {client: revenue for client, revenue in bought.items() if first <= client <= last}


def test_recursive_cte(crm: Ask) -> None:
    children = defaultdict(list)
    for client, parent in crm("SELECT id, referred_by FROM client WHERE referred_by IS NOT NULL"):
        children[parent].append(client)

    def depth(client: int) -> int:
        return 1 + max(map(depth, children[client]), default=0) if client in children else 0

    root = max(list(children), key=depth)
    expected, level, deep = {root: 0}, [root], 0
    while level := [child for parent in level for child in children.get(parent, ())]:
        deep += 1
        expected |= dict.fromkeys(level, deep)
    assert deep >= 2
    assert {row[0]: row[2] for row in crm("referral_chain", client_id=root, depth=50)} == expected


def haversine(one: tuple[float, float], two: tuple[float, float]) -> float:
    (a, b), (c, d) = (map(math.radians, place) for place in (one, two))
    h = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(h))


def test_distance(crm: Ask) -> None:
    (city,) = crm("SELECT latitude, longitude FROM city ORDER BY population DESC LIMIT 1")
    reach = 25.0
    distances = [haversine((row[1], row[2]), city) for row in crm("SELECT id, latitude, longitude FROM client")]
    # Who lives on the very edge may be counted either way: the two radii of the earth differ in their digits.
    surely, perhaps = (sum(km <= reach * factor for km in distances) for factor in (0.999, 1.001))
    found = crm("clients_near", latitude=city[0], longitude=city[1], km=reach, places=10_000_000)
    assert 0 < surely <= len(found) <= perhaps
    assert [row[2] for row in found] == sorted(row[2] for row in found)


def test_joins_coalesce_and_case(sales: Ask) -> None:
    cost = dict(sales("SELECT campaign_id, sum(cost) FROM campaign_month GROUP BY campaign_id"))
    campaigns = sales("SELECT id FROM campaign")
    found = sales("SELECT id, cost, band FROM campaign_performance")
    assert {row[0]: row[1] for row in found} == {one: cost.get(one, 0) for (one,) in campaigns}
    assert {row[2] for row in found if not row[1]} == {"no spend"}


@pytest.mark.parametrize("logical", ["promptads", "promptcrm", "promptsales"])
def test_every_query_that_reads_can_be_asked_of_what_is_seeded(logical: str, request: pytest.FixtureRequest) -> None:
    """Planned by the server with values of no type: names, types and parameters fit the seeded tables."""
    database: Database = request.getfixturevalue(f"{logical}_shared")
    connection = database.connect()
    asked = 0
    for query in known(database.logical, database.engine):
        if "linked server" in query.answers or not query.text.split("\n", 1)[1].lstrip().startswith(("SELECT", "WITH")):
            continue
        sql, values = query.bind(dict.fromkeys(query.parameters))
        connection.execute(f"EXPLAIN {sql}", values)
        asked += 1
    assert asked >= 5
