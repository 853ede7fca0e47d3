"""Random histories: whatever the sources went through, after each merge PromptSales holds what follows from their state."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from etl_round import (
    KINDS,
    Round,
    State,
    at,
    document,
    entry,
    held,
    quarantine,
    stage_activity,
    stage_contents,
    stage_rows,
    stream_id,
)

from harness.etl.model import SOURCES

pytestmark = pytest.mark.etl

DAYS = [date(2025, 1, 1) + timedelta(days=9 * n) for n in range(12)]


class World:
    """The sources as they are, and as PromptSales has last read each."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now, self.read = State(), State()
        self.outbox: list[dict[str, Any]] = []
        self.outbox_read = 0
        self.entries: list[tuple[str, str, str]] = []
        self.entries_read = 0
        self.merged_once: set[str] = set()
        self.position = 0

    def change(self) -> None:
        """One change of one source, now and then one that is wrong or speaks of what is not there."""
        c, now = self.chance, self.now
        kind = c.choice(
            ["content", "campaign", "ad", "metric_day", "client", "sale", "interaction", "activity"] * 2 + ["sale"]
        )
        day, few, more = c.choice(DAYS), c.randint(1, 5), c.randint(1, 15)
        gone = c.random() < 0.25
        maybe = lambda most: c.choice([None, *range(1, most + 1)])  # noqa: E731
        if kind == "content":
            self.position += 1
            if gone:
                now.content.pop(few, None)
                self.outbox.append(entry(self.position, few))
            else:
                title = "x" * 121 if c.random() < 0.1 else f"t{c.randint(1, 3)}"
                now.content[few] = (title, (f"#{c.randint(1, 2)}",))
                self.outbox.append(entry(self.position, few, document(few, title, list(now.content[few][1]))))
            return
        if kind == "activity":
            what = c.choice(["view", "view", "like"])
            now.activity.append((few, what, day))
            # Ids of a stream only grow, days do not have to: the months are mixed by going on through them.
            day = DAYS[min(len(self.entries) // 4, len(DAYS) - 1)]
            now.activity[-1] = (few, what, day)
            self.entries.append((stream_id(day, len(self.entries)), str(few), what))
            return
        rows: dict[Any, tuple] = getattr(now, kind)
        key: Any = (more, day) if kind == "metric_day" else few if kind in ("campaign", "client") else more
        if gone:
            rows.pop(key, None)
            return
        rows[key] = {
            "campaign": lambda: (
                f"n{more}",
                c.choice(["active", "active", "done"] if c.random() < 0.3 else ["active", "draft"]),
                DAYS[0],
                DAYS[c.randint(0, 2)],
                more,
                maybe(5),
                c.randint(1, 3),
            ),
            "ad": lambda: (few, maybe(5)),
            "metric_day": lambda: (more * 10, more, c.choice([1, 1, 1, -1]), c.randint(0, 9)),
            "client": lambda: ("y" * 121 if c.random() < 0.1 else f"k{more}", "CR", more, day),
            "sale": lambda: (few, maybe(5), day, c.choice(["open", "closed", "cancelled"]), c.randint(0, 50)),
            "interaction": lambda: (few, maybe(5), maybe(5), at(day)),
        }[kind]()

    def stage(self, own: Round, source: str) -> Callable[[], None]:
        """Lay down what a source has to say since it was read last; sometimes all of it, as at first.

        What it gives is to be called when that has been merged: until then it will be said again.
        """
        whole = source not in self.merged_once or self.chance.random() < 0.15
        now = self.now.copy()
        if source == "cache":
            count = len(self.entries)
            last = self.entries[-1][0] if self.entries else "0-0"
            stage_activity(own, self.entries[self.entries_read :], f"{last} {count}")
        elif source == "promptcontent":
            count = self.position
            if whole:
                everything = [document(key, title, list(tags)) for key, (title, tags) in now.content.items()]
                stage_contents(own, everything, [], count, "c")
            else:
                stage_contents(own, None, self.outbox[self.outbox_read :], None, "c")
        else:
            count = 0
            rows = {kind: self.changes(kind, whole) for kind in KINDS[source]}
            stage_rows(own, source, whole, f"{self.chance.randint(1, 99)}:100:", rows)

        def merged() -> None:
            self.merged_once.add(source)
            if source == "cache":
                self.entries_read, self.read.activity = count, now.activity
            elif source == "promptcontent":
                self.outbox_read, self.read.content = count, now.content
            for kind in KINDS.get(source, ()):
                setattr(self.read, kind, getattr(now, kind))

        return merged

    def changes(self, kind: str, whole: bool) -> list[tuple]:
        """Rows of a SQL source as they are staged, in any order; some are read twice."""
        before, after = getattr(self.read, kind), getattr(self.now, kind)
        rows: list[tuple] = []
        for key in {*before, *after}:
            flat = key if isinstance(key, tuple) else (key,)
            if key not in after:
                rows += [] if whole else [(True, *flat)]
            elif whole or before.get(key) != after[key] or self.chance.random() < 0.2:
                rows.append((False, *flat, *after[key]))
        self.chance.shuffle(rows)
        return rows


@pytest.mark.parametrize("seed", range(5))
def test_promptsales_follows_from_its_sources(promptsales_db, seed):
    """In each round some sources are staged, then merged in their order; now and then one fails before its merge."""
    connection, world = promptsales_db.connect(), World(seed)
    waited = 0
    for step in range(30):
        for _ in range(world.chance.choice([0, 1, 3, 10, 30])):
            world.change()
        own = Round(connection)
        staged = world.chance.sample(SOURCES, world.chance.randint(1, 4))
        merged = {source: world.stage(own, source) for source in staged}
        for _ in range(world.chance.choice([0, 5])):
            world.change()  # what happens after the reading is for the next round
        for source in SOURCES:
            if source in merged and world.chance.random() < 0.9:
                own.merge(source)
                merged[source]()
                assert held(connection) == world.read.held(), f"step {step}, {source} of {staged}"
        own.end()
        waited += len(quarantine(connection))
    assert waited > 0
    assert connection.execute("SELECT rebuild_month_summary()").fetchone() == (0,)
