"""A reader of ``changes_since`` that keeps a copy of what it follows, and what the copy has to be, asked another way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

State = dict[tuple[Any, ...], tuple[Any, ...]]
"""By kind and key, the other columns that the ETL carries."""

COLUMNS = {
    "campaign": ("name", "status", "starts_on", "ends_on", "budget", "content_id", "version"),
    "ad": ("campaign_id", "content_id"),
    "metric_day": ("impressions", "clicks", "conversions", "cost"),
    "client": ("name", "country", "credit", "day"),
    "sale": ("client_id", "campaign_id", "day", "status", "total"),
    "interaction": ("client_id", "campaign_id", "content_id", "happened_at"),
}
KINDS = {"promptads": ("campaign", "ad", "metric_day"), "promptcrm": ("client", "sale", "interaction")}

_TRUTH = {
    "campaign": "SELECT id, name, status, starts_on, ends_on, budget, content_id, version FROM campaign",
    "ad": "SELECT id, campaign_id, content_id FROM ad",
    "metric_day": "SELECT ad_id, day, impressions, clicks, conversions, cost FROM metric_day",
    "client": "SELECT c.id, c.name, (SELECT country FROM city WHERE id = city_id), credit, created_on FROM client c",
    "sale": "SELECT id, client_id, campaign_id, sold_on, status, total FROM sale",
    "interaction": "SELECT id, client_id, campaign_id, content_id, happened_at FROM interaction",
}


def truth(connection: Any, logical: str) -> State:
    """What the source holds."""
    found: State = {}
    for kind in KINDS[logical]:
        keys = 2 if kind == "metric_day" else 1
        for row in connection.execute(_TRUTH[kind]).fetchall():
            found[(kind, *row[:keys])] = tuple(row[keys:])
    return found


class Follower:
    """Reads windows, one after the other; ``state`` is what they come to."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.state: State = {}
        self.origin: str | None = None
        self.watermark: str | None = None
        self.whole = False

    def read(self) -> set[tuple[Any, ...]]:
        """The keys of the next window, with "gone" behind those that were deleted."""
        rows = self._rows()
        window = rows[0]
        assert window["kind"] == "window"
        assert window["deleted"] is None
        self.whole, self.origin, self.watermark = window["whole"], window["origin"], window["upper_bound"]
        before, keys = dict(self.state), set()
        if self.whole:
            self.state = {}
        for row in rows[1:]:
            kind = row["kind"]
            key = (kind, row["id"], row["day"]) if kind == "metric_day" else (kind, row["id"])
            keyed = {"kind", "deleted", "id"} | ({"day"} if kind == "metric_day" else set())
            assert (row["whole"], row["origin"], row["upper_bound"]) == (None, None, None)
            assert key not in keys, "twice in a window"
            assert (*key, "gone") not in keys, "gone and there"
            columns = () if row["deleted"] else COLUMNS[kind]
            others = [name for name, value in row.items() if name not in {*keyed, *columns} and value is not None]
            assert others == []
            if row["deleted"]:
                assert not self.whole
                keys.add((*key, "gone"))
                self.state.pop(key, None)
            else:
                keys.add(key)
                self.state[key] = tuple(row[name] for name in columns)
        return {key for key in keys if self.whole is False or before.get(key) != self.state.get(key)}

    def _rows(self) -> list[dict[str, Any]]:
        cursor = self.connection.execute("SELECT * FROM changes_since(%s, %s)", [self.origin, self.watermark])
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def following(connection: Any, logical: str) -> Follower:
    """A reader that has read all there is."""
    follower = Follower(connection)
    follower.read()
    assert follower.whole
    assert follower.state == truth(connection, logical)
    return follower


def snapshots(connection: Any, follower: Follower, logical: str) -> Iterator[set[tuple[Any, ...]]]:
    """Window after window; each is held against the source in the very snapshot in which it was read."""
    while True:
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            keys = follower.read()
            assert follower.state == truth(connection, logical)
        yield keys
