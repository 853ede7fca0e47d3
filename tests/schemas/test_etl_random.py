"""Random histories: whatever the sources went through, after each merge PromptSales holds what follows from their state."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import pytest
from etl_round import (
    KINDS,
    State,
    at,
    document,
    entry,
    held,
    merge_activity,
    merge_contents,
    merge_rows,
    stream_id,
)

DAYS = [date(2025, 1, 1) + timedelta(days=9 * n) for n in range(12)]


class World:
    """The sources as they are, and as PromptSales has last read each."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now, self.read = State(), State()
        self.outbox: list[dict[str, Any]] = []
        self.outbox_read: int | None = None
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

    def merge(self, connection: Any, source: str) -> Any:
        """What the source has to say since it was read last; sometimes all of it, as at first."""
        if source == "cache":
            entries, self.entries_read = self.entries[self.entries_read :], len(self.entries)
            self.read.activity = list(self.now.activity)
            return merge_activity(
                connection, entries, f"{self.entries[-1][0] if self.entries else '0-0'} {len(self.entries)}"
            )
        whole = source not in self.merged_once or self.chance.random() < 0.15
        self.merged_once.add(source)
        if source == "promptcontent":
            self.read.content = dict(self.now.content)
            entries, self.outbox = self.outbox, []
            if whole:
                all_of_it = [document(key, title, list(tags)) for key, (title, tags) in self.now.content.items()]
                return merge_contents(connection, all_of_it, [], self.position)
            return merge_contents(connection, None, entries)
        staged: dict[str, list[tuple]] = {}
        for kind in KINDS[source]:
            before, after = getattr(self.read, kind), getattr(self.now, kind)
            rows = []
            for key in {*before, *after}:
                flat = key if isinstance(key, tuple) else (key,)
                if key not in after:
                    rows += [] if whole else [(True, *flat)]
                elif whole or before.get(key) != after[key] or self.chance.random() < 0.2:  # some are read twice
                    rows.append((False, *flat, *after[key]))
            self.chance.shuffle(rows)
            staged[kind] = rows
            setattr(self.read, kind, dict(after))
        return merge_rows(connection, source, whole, f"{self.chance.randint(1, 99)}:100:", **staged)


@pytest.mark.parametrize("seed", range(8))
def test_promptsales_follows_from_its_sources(promptsales_db, seed):
    connection, world = promptsales_db.connect(), World(seed)
    for step in range(40):
        for _ in range(world.chance.choice([0, 1, 3, 10, 30])):
            world.change()
        source = world.chance.choice(["promptcontent", "promptads", "promptcrm", "cache"])
        world.merge(connection, source)
        assert held(connection) == world.read.held(), f"step {step}, {source}"
    left = connection.execute("SELECT count(*) FROM etl_quarantine WHERE resolved_at IS NULL").fetchone()
    assert left != (0,)
    assert connection.execute("SELECT rebuild_month_summary()").fetchone() == (0,)
