"""What a delta costs when the tables are ten times as large: the same changes, a source with many clients and one with few.

    python3 run.py python benchmarks/etl_delta.py [--rounds 5] [--few 50000] [--many 500000] [--changes 5000]
                                                  [--table docs/etl.md]

Both worlds are seeded, and a first round of the real Hop brings all of them into PromptSales (its time is told, too). Then,
in turn, both get the same number of changes (clients changed; a tenth of that each: sales added, sales changed, interactions
deleted) and a round. Seconds are those of PromptCrm's run by the log, and of the whole command; pages are what the two
databases looked at (pg_stat_database). What counts is the ratio of many to few within a round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from tables import renew

from fixtures.seed import plan_of
from fixtures.seed.run import Place, seed
from harness.etl.hop import setup
from harness.etl.run import run
from harness.runner.databases import Databases
from harness.runner.furnishing import schema
from harness.schemas import PROMPTSALES, Wanted
from harness.servers.base import Target
from harness.suite import Settings, Suite

LOGICALS = ("promptsales", "promptads", "promptcrm", "promptcontent", "cache")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one round."""

    whole: float  # seconds of the command
    crm: float  # of them PromptCrm's
    read: int
    moved: int
    source_pages: int
    target_pages: int


class World:
    """Seeded sources with so many clients, and PromptSales."""

    def __init__(self, databases: Databases, hop: Any, clients: int) -> None:
        self.clients = clients
        self._hop = hop
        self._targets: dict[str, Target] = {}
        for logical in LOGICALS:
            made = databases.make(logical, (), furnishing=schema(PROMPTSALES, Wanted("empty"), server=True))
            target = made.target
            self._targets[logical] = Target(logical, target.engine, made.url, target.stand_in)
        plan = plan_of("full", clients=clients, campaigns=1000)
        places = {name: Place(one.engine, one.url) for name, one in self._targets.items() if name != "promptsales"}
        seed(places, plan, workers=2)
        self._crm, self._sales = (
            psycopg.connect(self._targets[name].url, autocommit=True) for name in ("promptcrm", "promptsales")
        )
        self._number = 0

    def round(self) -> Cost:
        """One, with what it cost."""
        before = self._pages()
        begin = time.monotonic()
        done = run(self._targets, self._hop).round
        seconds = time.monotonic() - begin
        assert done.succeeded, done
        crm = next(one for one in done.runs if one.source == "promptcrm")
        source, target = (now - then for now, then in zip(self._pages(), before, strict=True))
        return Cost(seconds, crm.seconds or 0.0, crm.read, crm.moved, source, target)

    def _pages(self) -> tuple[int, int]:
        return tuple(  # type: ignore[return-value]
            link.execute(
                "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()[0]
            for link in (self._crm, self._sales)
        )

    def change(self, count: int) -> None:
        """So many clients all over the table, and a tenth of it each of the other kinds of change."""
        self._number += 1
        step = self.clients // count
        offset = self._number % step if step > 1 else 0
        few = count // 10
        self._crm.execute("UPDATE client SET credit = credit + 1 WHERE id %% %s = %s", [step, offset])
        self._crm.execute(
            "INSERT INTO sale (id, client_id, sold_on, status, total) "
            "SELECT nextval('sale_id'), 1 + (n * %s + %s) %% %s, '2026-01-05', 'open', 10 FROM generate_series(1, %s) AS n",
            [10 * step, offset, self.clients, few],
        )
        self._crm.execute(
            "UPDATE sale SET total = total + 1 WHERE id IN ("
            "SELECT min(id) FROM sale WHERE client_id %% %s = %s AND id < 10^12 GROUP BY client_id LIMIT %s)",
            [step * 5, offset, few],
        )
        self._crm.execute(
            "DELETE FROM interaction WHERE id IN ("
            "SELECT min(id) FROM interaction WHERE client_id %% %s = %s GROUP BY client_id LIMIT %s)",
            [step * 5, offset, few],
        )
        self._crm.execute("SELECT pg_stat_force_next_flush()")


def table(few: Sequence[Cost], many: Sequence[Cost], sizes: tuple[int, int], first: tuple[Cost, Cost]) -> str:
    """All of it, as Markdown."""

    def row(what: str, get: Callable[[Cost], float], form: str) -> str:
        ratios = [get(more) / get(less) for less, more in zip(few, many, strict=True)]
        shown = [format(statistics.median(map(get, one)), form) for one in (few, many)]
        return (
            f"| {what} | {shown[0]} | {shown[1]} "
            f"| **{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )

    lines = [
        f"| a delta of {few[0].read:,} rows read, {few[0].moved:,} moved; median of {len(few)} rounds "
        f"| {sizes[0]:,} clients | {sizes[1]:,} clients | ratio (least to most) |",
        "|---|---|---|---|",
        row("seconds of PromptCrm's run", lambda one: one.crm, ".2f"),
        row("seconds of the whole command", lambda one: one.whole, ".2f"),
        row("pages that PromptCrm looked at", lambda one: one.source_pages, ",.0f"),
        row("pages that PromptSales looked at", lambda one: one.target_pages, ",.0f"),
        f"| the first round, for comparison: seconds | {first[0].whole:.1f} | {first[1].whole:.1f} | |",
        f"| rows that PromptCrm gave in it | {first[0].read:,} | {first[1].read:,} | |",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--few", type=int, default=50_000)
    parser.add_argument("--many", type=int, default=500_000)
    parser.add_argument("--changes", type=int, default=5_000)
    parser.add_argument("--table", type=Path, help="a page whose table is to be renewed")
    given = parser.parse_args()
    hop = setup()
    suite = Suite(Settings(root=Path.cwd(), results=Path("results").resolve()))
    try:
        worlds = [World(suite.databases, hop, clients) for clients in (given.few, given.many)]
        first = worlds[0].round(), worlds[1].round()
        print(f"first rounds: {first[0].whole:.1f} s, {first[1].whole:.1f} s", flush=True)
        costs: tuple[list[Cost], list[Cost]] = ([], [])
        for number in range(given.rounds):
            for which in (0, 1) if number % 2 else (1, 0):
                worlds[which].change(given.changes)
                costs[which].append(worlds[which].round())
                print(worlds[which].clients, costs[which][-1], flush=True)
        made = table(*costs, (given.few, given.many), first)
    finally:
        suite.close()
    print(made)
    if given.table:
        renew(given.table, "delta", made)


if __name__ == "__main__":
    main()
