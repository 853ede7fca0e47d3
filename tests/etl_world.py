"""PromptSales and its four sources, seeded, for one test; changes to the sources; rounds with the real Hop."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import etl_oracle

from fixtures.databases import Database
from fixtures.giving import Giving
from harness.etl.model import SOURCES, Round
from harness.etl.run import Hop, Launched, run
from harness.promptsales.cache_activity import Activity
from harness.promptsales.content import ContentStore
from harness.servers.base import Target


def moved(done: Round) -> dict[str, tuple[int, int, int, int]]:
    """Of each source: rows read, inserted, updated, deleted."""
    return {one.source: (one.read, one.inserted, one.updated, one.deleted) for one in done.runs}


NOTHING = dict.fromkeys(SOURCES, (0, 0, 0, 0))


@dataclass
class World:
    """Five databases and a Hop."""

    databases: Mapping[str, Database]
    hop: Hop

    def __post_init__(self) -> None:
        self.sales, self.ads, self.crm, self.content, self.cache = (
            self.databases[name].connect()
            for name in ("promptsales", "promptads", "promptcrm", "promptcontent", "cache")
        )
        self.store = ContentStore(self.content)
        self.activity = Activity(self.cache)
        self.targets = {name: Target(name, one.engine, one.url, one.stand_in) for name, one in self.databases.items()}

    def launch(self, **changed: str) -> Launched:
        """One round; ``changed``: other URLs, by logical name."""
        targets = {name: replace(one, url=changed.get(name, one.url)) for name, one in self.targets.items()}
        return run(targets, self.hop)

    def round(self, **changed: str) -> Round:
        """The same: what became of it."""
        return self.launch(**changed).round

    def wrong(self) -> list[str]:
        """What PromptSales holds that does not follow from its sources, or lacks."""
        return etl_oracle.differences(etl_oracle.held(self.sales), self.expected())

    def expected(self) -> dict[str, etl_oracle.Rows]:
        """What it must hold."""
        return etl_oracle.expected(self.ads, self.crm, self.content, self.entries())

    def entries(self) -> list[tuple[int, str, date]]:
        """What the stream of the cache holds."""
        found: Any = self.cache.xrange("activity")
        return [(int(said["content"]), said["kind"], _day(entry)) for entry, said in found]

    def change(self, chance: random.Random, count: int = 1) -> None:
        """Some changes, each a transaction of its own, all over the sources."""
        for _ in range(count):
            chance.choice(_CHANGES)(self, chance)

    def some(self, connection: Any, table: str, chance: random.Random) -> int:
        """The id of a row that is there, or was there a moment ago: any of the first ones, or the newest."""
        first, newest = connection.execute(f"SELECT min(id), max(id) FROM {table}").fetchone()
        if chance.random() < 0.2:
            return int(newest)
        wanted = chance.randint(first, min(newest, _SEEDED))
        row = connection.execute(f"SELECT id FROM {table} WHERE id >= %s ORDER BY id LIMIT 1", [wanted]).fetchone()
        return int(row[0]) if row else int(newest)


_SEEDED = 200 * 100 + 99
"""About the largest id that the seeder gives in a tiny world."""


def _day(entry: str) -> date:
    return datetime.fromtimestamp(int(entry.split("-")[0]) / 1000, UTC).date()


def _client(world: World, chance: random.Random) -> None:
    client = world.some(world.crm, "client", chance)
    world.crm.execute(
        "UPDATE client SET name = left(name, 40) || '~' || credit, credit = credit + 1 WHERE id = %s", [client]
    )


def _sale(world: World, chance: random.Random) -> None:
    world.crm.execute(
        "INSERT INTO sale (id, client_id, campaign_id, sold_on, status, total) "
        "VALUES (nextval('sale_id'), %s, %s, %s, 'open', %s)",
        [
            world.some(world.crm, "client", chance),
            chance.choice([None, world.some(world.ads, "campaign", chance)]),
            date(2026, chance.randint(1, 12), chance.randint(1, 28)),
            chance.randint(0, 90_000) / 100,
        ],
    )


def _sale_moves(world: World, chance: random.Random) -> None:
    world.crm.execute(
        "UPDATE sale SET client_id = %s, total = total + 3, sold_on = sold_on + 20, status = %s WHERE id = %s",
        [
            world.some(world.crm, "client", chance),
            chance.choice(["open", "closed", "cancelled"]),
            world.some(world.crm, "sale", chance),
        ],
    )


def _interaction(world: World, chance: random.Random) -> None:
    world.crm.execute(
        "INSERT INTO interaction (id, client_id, content_id, kind, happened_at, note) "
        "VALUES (%s, %s, %s, 'call', %s, '') ON CONFLICT DO NOTHING",
        [
            10**12 + chance.randrange(10**12),
            world.some(world.crm, "client", chance),
            chance.choice([None, 1, 2]),
            datetime(2026, chance.randint(1, 12), 28, 23, 59, 59),
        ],
    )


def _interaction_goes(world: World, chance: random.Random) -> None:
    world.crm.execute("DELETE FROM interaction WHERE id = %s", [world.some(world.crm, "interaction", chance)])


def _metrics(world: World, chance: random.Random) -> None:
    world.ads.execute(
        "UPDATE metric_day SET impressions = impressions + 9, clicks = clicks + 2, cost = cost + 0.25 WHERE ad_id = %s",
        [world.some(world.ads, "ad", chance)],
    )


def _campaign(world: World, chance: random.Random) -> None:
    campaign = world.some(world.ads, "campaign", chance)
    world.ads.execute("UPDATE campaign SET budget = budget + 5, version = version + 1 WHERE id = %s", [campaign])


def _ad_moves(world: World, chance: random.Random) -> None:
    campaign, ad = world.some(world.ads, "campaign", chance), world.some(world.ads, "ad", chance)
    world.ads.execute("UPDATE ad SET campaign_id = %s WHERE id = %s", [campaign, ad])


def _content(world: World, chance: random.Random) -> None:
    world.store.change(chance.choice([1, 2, 3, 4]), {"$set": {"title": f"Another title {chance.randint(1, 10**6)}"}})


def _activity(world: World, chance: random.Random) -> None:
    world.activity.record(chance.choice([1, 2, 3, 4]), chance.choice(["view", "like"]))


_CHANGES = (
    _client, _sale, _sale_moves, _interaction, _interaction_goes, _metrics, _campaign, _ad_moves, _content, _activity,
)  # fmt: skip


@contextlib.contextmanager
def world(giving: Giving, hop: Hop, sources: str = "tiny") -> Iterator[World]:
    """Sources seeded, PromptSales empty. Raises ServerUnavailable."""
    with contextlib.ExitStack() as stack:
        given = {name: stack.enter_context(giving.database(name, sources)) for name in SOURCES}
        given["promptsales"] = stack.enter_context(giving.database("promptsales", "empty"))
        yield World(given, hop)
