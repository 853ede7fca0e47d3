"""What PromptSales must hold, computed from its sources in the plainest way: no window, no difference, no SQL of the ETL's.

A row counts if what it refers to is there. Sums that are nothing but zeros have no row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

TABLES = {
    "content": "SELECT id, title, hashtags FROM content",
    "campaign": "SELECT id, name, status, starts_on, ends_on, budget, content_id, version FROM campaign",
    "client": "SELECT id, name, country, credit, created_on FROM client",
    "campaign_month": (
        "SELECT campaign_id, month, impressions, clicks, conversions, cost, sales, revenue FROM campaign_month"
    ),
    "client_month": "SELECT client_id, month, sales, revenue, interactions FROM client_month",
    "content_month": "SELECT content_id, month, impressions, clicks, interactions, views, likes FROM content_month",
    "month_summary": "SELECT month, cost, sales, revenue, interactions FROM month_summary",
}
"""How each table of PromptSales is looked at."""

_KEYS = {"campaign_month": 2, "client_month": 2, "content_month": 2}

Rows = dict[tuple[Any, ...], tuple[Any, ...]]


def held(sales: Any) -> dict[str, Rows]:
    """What PromptSales holds, by table and key; ``sales`` is a psycopg connection."""
    found: dict[str, Rows] = {}
    for table, sql in TABLES.items():
        n = _KEYS.get(table, 1)
        found[table] = {tuple(row[:n]): _frozen(row[n:]) for row in sales.execute(sql).fetchall()}
    for table in (*_KEYS, "month_summary"):
        found[table] = {key: sums for key, sums in found[table].items() if any(sums)}
    return found


def expected(ads: Any, crm: Any, content: Any, activity: Iterable[tuple[int, str, Any]] = ()) -> dict[str, Rows]:
    """What it must hold: ``ads`` and ``crm`` psycopg connections, ``content`` pymongo's database.

    ``activity``: (content's id, "view" or "like", day) of the entries that the cache's stream has ever held.
    """
    contents = {one["_id"]: (one["title"], tuple(one["hashtags"])) for one in content["content"].find()}
    campaigns = _by_id(ads, "SELECT id, name, status, starts_on, ends_on, budget, content_id, version FROM campaign")
    clients = _by_id(
        crm, "SELECT c.id, c.name, y.country, c.credit, c.created_on FROM client c JOIN city y ON y.id = c.city_id"
    )
    campaign_month, client_month, content_month = _Sums(6), _Sums(3), _Sums(5)
    months = _Sums(4)

    for campaign, shown, day, impressions, clicks, conversions, cost in ads.execute(
        "SELECT campaign_id, content_id, day, impressions, clicks, conversions, cost "
        "FROM metric_day JOIN ad ON ad.id = ad_id"
    ).fetchall():
        if campaign in campaigns and (shown is None or shown in contents):
            month = day.replace(day=1)
            campaign_month.add((campaign, month), impressions, clicks, conversions, cost, 0, 0)
            months.add((month,), cost, 0, 0, 0)
            if shown is not None:
                content_month.add((shown, month), impressions, clicks, 0, 0, 0)
    for client, campaign, day, total in crm.execute(
        "SELECT client_id, campaign_id, sold_on, total FROM sale WHERE status <> 'cancelled'"
    ).fetchall():
        if client in clients and (campaign is None or campaign in campaigns):
            month = day.replace(day=1)
            client_month.add((client, month), 1, total, 0)
            months.add((month,), 0, 1, total, 0)
            if campaign is not None:
                campaign_month.add((campaign, month), 0, 0, 0, 0, 1, total)
    for client, campaign, about, at in crm.execute(
        "SELECT client_id, campaign_id, content_id, happened_at FROM interaction"
    ).fetchall():
        if client in clients and (campaign is None or campaign in campaigns) and (about is None or about in contents):
            month = at.date().replace(day=1)
            client_month.add((client, month), 0, 0, 1)
            months.add((month,), 0, 0, 0, 1)
            if about is not None:
                content_month.add((about, month), 0, 0, 1, 0, 0)
    for about, kind, day in activity:
        if about in contents:
            content_month.add((about, day.replace(day=1)), 0, 0, 0, kind == "view", kind == "like")
    return {
        "content": {(key,): row for key, row in contents.items()},
        "campaign": {(key,): row for key, row in campaigns.items()},
        "client": {(key,): row for key, row in clients.items()},
        "campaign_month": campaign_month.rows(),
        "client_month": client_month.rows(),
        "content_month": content_month.rows(),
        "month_summary": months.rows(),
    }


def differences(there: dict[str, Rows], wanted: dict[str, Rows]) -> list[str]:
    """A line for each row that is not as it must be, at most five of a table; empty if all is right."""
    lines = []
    for table, rows in wanted.items():
        wrong = [key for key in sorted({*rows, *there[table]}, key=repr) if rows.get(key) != there[table].get(key)]
        lines += [f"{table} {key}: {there[table].get(key)}, not {rows.get(key)}" for key in wrong[:5]]
        lines += [f"{table}: {len(wrong) - 5} more"] if len(wrong) > 5 else []
    return lines


class _Sums:
    def __init__(self, width: int) -> None:
        self._sums: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0] * width)

    def add(self, key: tuple[Any, ...], *values: Any) -> None:
        sums = self._sums[key]
        for index, value in enumerate(values):
            sums[index] += value

    def rows(self) -> Rows:
        return {key: tuple(sums) for key, sums in self._sums.items() if any(sums)}


def _by_id(connection: Any, sql: str) -> dict[int, tuple[Any, ...]]:
    return {row[0]: _frozen(row[1:]) for row in connection.execute(sql).fetchall()}


def _frozen(row: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)
