"""A round of the ETL by hand: rows are laid down in staging as Hop does, and merged. And what PromptSales must then hold.

``State`` is what the four sources hold; ``State.held`` computes from it, in plain Python, what PromptSales must.
"""

from __future__ import annotations

import json
from collections import defaultdict
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

COLUMNS = {
    "campaign": "id name status starts_on ends_on budget content_id version",
    "ad": "id campaign_id content_id",
    "metric_day": "id day impressions clicks conversions cost",
    "client": "id name country credit day",
    "sale": "id client_id campaign_id day status total",
    "interaction": "id client_id campaign_id content_id happened_at",
}
"""Of the staging tables that hold rows of SQL sources, without ``round`` and ``deleted``."""

KINDS = {"promptads": ("campaign", "ad", "metric_day"), "promptcrm": ("client", "sale", "interaction")}


class Merged(NamedTuple):
    """What etl_merge gives."""

    read: int
    inserted: int
    updated: int
    deleted: int
    quarantined: int
    message: str | None

    @property
    def moved(self) -> int:
        return self.inserted + self.updated + self.deleted


class Round:
    """A round that was begun."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        (self.number,) = connection.execute("SELECT etl_begin()").fetchone()

    def window(self, source: str) -> tuple[bool, str | None, str | None]:
        return self.connection.execute("SELECT * FROM etl_window(%s, %s)", [self.number, source]).fetchone()

    def stage_window(self, source: str, whole: bool, origin: str | None, upper: str | None) -> None:
        self.connection.execute(
            "INSERT INTO staging.source_window VALUES (%s, %s, %s, %s, %s)", [self.number, source, whole, origin, upper]
        )

    def stage(self, table: str, rows: list[tuple], columns: str = "") -> None:
        """Rows of the columns, or of ``COLUMNS`` after whether they are deleted."""
        names = ["round", *(columns or f"deleted {COLUMNS[table]}").split()]
        with self.connection.cursor().copy(f"COPY staging.{table} ({', '.join(names)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row((self.number, *row))

    def merge(self, source: str) -> Merged:
        row = self.connection.execute("SELECT * FROM etl_merge(%s, %s)", [self.number, source]).fetchone()
        return Merged(*row[:-1])  # its status is in the log

    def end(self) -> None:
        """What still runs fails, so that another round can begin at once."""
        self.connection.execute(
            "SELECT etl_fail(round, source, 'not wanted') FROM etl_run WHERE round = %s AND status = 'running'",
            [self.number],
        )


def stage_rows(own: Round, source: str, whole: bool, upper: str, rows: dict[str, list[tuple]]) -> None:
    """One SQL source: ``rows`` of each table, (deleted, …) as in COLUMNS; missing columns are NULL."""
    own.window(source)
    own.stage_window(source, whole, "here", upper)
    for table, given in rows.items():
        width = len(COLUMNS[table].split()) + 1
        own.stage(table, [(*row, *[None] * (width - len(row))) for row in given])


def stage_contents(own: Round, contents: list[Any] | None, entries: list[Any], upper: int | None, origin: str) -> None:
    """PromptContent: all of it (``contents``), or ``entries`` of the outbox. Texts are staged as they are."""
    own.window("promptcontent")
    own.stage_window("promptcontent", contents is not None, origin, None if upper is None else str(upper))
    texts = [("content", one) for one in contents or []] + [("outbox", one) for one in entries]
    own.stage(
        "content", [(kind, one if isinstance(one, str) else json.dumps(one)) for kind, one in texts], "kind document"
    )


def stage_activity(own: Round, entries: list[tuple], upper: str) -> None:
    """The cache: entries (id, content, kind)."""
    whole, *_ = own.window("cache")
    own.stage_window("cache", whole, "", upper)
    own.stage("activity", entries, "id content kind")


def merge_rows(connection: Any, source: str, whole: bool = False, upper: str = "9:9:", **rows: list[tuple]) -> Merged:
    """A round of one SQL source."""
    own = Round(connection)
    stage_rows(own, source, whole, upper, rows)
    merged = own.merge(source)
    own.end()
    return merged


def merge_contents(
    connection: Any, contents: list[Any] | None, entries: list[Any], upper: int | None = None, origin: str = "c"
) -> Merged:
    """A round of PromptContent."""
    own = Round(connection)
    stage_contents(own, contents, entries, upper, origin)
    merged = own.merge("promptcontent")
    own.end()
    return merged


def merge_activity(connection: Any, entries: list[tuple], upper: str) -> Merged:
    """A round of the cache."""
    own = Round(connection)
    stage_activity(own, entries, upper)
    merged = own.merge("cache")
    own.end()
    return merged


def document(number: int, title: str = "", hashtags: list[str] | None = None) -> dict[str, Any]:
    """A content as MongoDB's driver writes it."""
    return {
        "_id": number,
        "title": title or f"content {number}",
        "hashtags": ["#a"] if hashtags is None else hashtags,
        "likes": {"$numberLong": "5"},
        "created_at": {"$date": "2025-01-01T00:00:00Z"},
    }


def entry(position: int, number: int, content: dict[str, Any] | None = None) -> dict[str, Any]:
    """An entry of the outbox; without content: deleted."""
    made = {
        "position": {"$numberLong": str(position)},
        "content_id": number,
        "operation": "update" if content else "delete",
    }
    return made | ({"content": content} if content else {})


def stream_id(day: date, number: int) -> str:
    """The id of an entry of that day."""
    return f"{int((day - date(1970, 1, 1)) / timedelta(milliseconds=1))}-{number}"


@dataclass
class State:
    """What the sources hold: rows by key, without the key."""

    content: dict[int, tuple] = field(default_factory=dict)
    campaign: dict[int, tuple] = field(default_factory=dict)
    ad: dict[int, tuple] = field(default_factory=dict)
    metric_day: dict[tuple[int, date], tuple] = field(default_factory=dict)
    client: dict[int, tuple] = field(default_factory=dict)
    sale: dict[int, tuple] = field(default_factory=dict)
    interaction: dict[int, tuple] = field(default_factory=dict)
    activity: list[tuple[int, str, date]] = field(default_factory=list)

    def copy(self) -> State:
        return deepcopy(self)

    def held(self) -> dict[str, Any]:
        """What PromptSales must hold: a row counts if it is right and what it refers to counts."""
        contents = {key: row for key, row in self.content.items() if row[0] is not None and len(row[0]) <= 120}
        campaigns = {
            key: row
            for key, row in self.campaign.items()
            if row[1] in ("draft", "active", "paused", "finished") and row[3] >= row[2] and row[4] >= 0
        }
        clients = {key: row for key, row in self.client.items() if len(row[0]) <= 120}
        ads = {
            key: row for key, row in self.ad.items() if row[0] in campaigns and (row[1] is None or row[1] in contents)
        }
        of_campaign, of_client, of_content = Sums(6), Sums(3), Sums(5)
        of_month = Sums(4)
        for (ad, day), (impressions, clicks, conversions, cost) in self.metric_day.items():
            if ad in ads and min(impressions, clicks, conversions, cost) >= 0:
                campaign, content = ads[ad]
                of_campaign.add((campaign, day.replace(day=1)), impressions, clicks, conversions, cost, 0, 0)
                of_month.add(day.replace(day=1), cost, 0, 0, 0)
                if content is not None:
                    of_content.add((content, day.replace(day=1)), impressions, clicks, 0, 0, 0)
        for client, campaign, day, status, total in self.sale.values():
            if (
                client in clients
                and (campaign is None or campaign in campaigns)
                and status in ("open", "closed")
                and total >= 0
            ):
                of_client.add((client, day.replace(day=1)), 1, total, 0)
                of_month.add(day.replace(day=1), 0, 1, total, 0)
                if campaign is not None:
                    of_campaign.add((campaign, day.replace(day=1)), 0, 0, 0, 0, 1, total)
        for client, campaign, content, at in self.interaction.values():
            there = (campaign is None or campaign in campaigns) and (content is None or content in contents)
            if client in clients and there:
                month = at.date().replace(day=1)
                of_client.add((client, month), 0, 0, 1)
                of_month.add(month, 0, 0, 0, 1)
                if content is not None:
                    of_content.add((content, month), 0, 0, 1, 0, 0)
        for content, kind, day in self.activity:
            if content in contents and kind in ("view", "like"):
                of_content.add((content, day.replace(day=1)), 0, 0, 0, kind == "view", kind == "like")
        return {
            "content": contents,
            "campaign": campaigns,
            "client": clients,
            "campaign_month": of_campaign.rows(),
            "client_month": of_client.rows(),
            "content_month": of_content.rows(),
            "month_summary": of_month.rows(),
        }


class Sums:
    """Sums by key; those of nothing have no row."""

    def __init__(self, width: int) -> None:
        self._sums: dict[Any, list] = defaultdict(lambda: [0] * width)

    def add(self, key: Any, *values: Any) -> None:
        self._sums[key] = [mine + value for mine, value in zip(self._sums[key], values, strict=True)]

    def rows(self) -> dict[Any, tuple]:
        return {key: tuple(sums) for key, sums in self._sums.items() if any(sums)}


def held(connection: Any) -> dict[str, Any]:
    """What PromptSales holds, in the form of ``State.held``."""

    def rows(sql: str, keys: int = 1) -> dict[Any, tuple]:
        found = connection.execute(sql).fetchall()
        return {
            row[0] if keys == 1 else row[:keys]: tuple(tuple(v) if isinstance(v, list) else v for v in row[keys:])
            for row in found
        }

    return {
        "content": rows("SELECT id, title, hashtags FROM content"),
        "campaign": rows("SELECT id, name, status, starts_on, ends_on, budget, content_id, version FROM campaign"),
        "client": rows("SELECT id, name, country, credit, created_on FROM client"),
        "campaign_month": rows(
            "SELECT campaign_id, month, impressions, clicks, conversions, cost, sales, revenue FROM campaign_month", 2
        ),
        "client_month": rows("SELECT client_id, month, sales, revenue, interactions FROM client_month", 2),
        "content_month": rows(
            "SELECT content_id, month, impressions, clicks, interactions, views, likes FROM content_month", 2
        ),
        "month_summary": rows("SELECT month, cost, sales, revenue, interactions FROM month_summary"),
    }


def quarantine(connection: Any) -> dict[str, str]:
    """Why what waits does: reason by key."""
    found = connection.execute("SELECT key, reason FROM etl_quarantine WHERE resolved_at IS NULL ORDER BY key")
    return dict(found.fetchall())


def at(day: date) -> datetime:
    """Noon."""
    return datetime(day.year, day.month, day.day, 12)
