"""A reader of dbo.changes_since that keeps a copy of what it follows, over TDS."""

from __future__ import annotations

from typing import Any

import following
from tds import changes

from fixtures.databases import Database

Keys = set[tuple[Any, ...]]


class Follower(following.Follower):
    """A reader of one database that asks as the ETL does."""

    def __init__(self, database: Database, connection: Any = None) -> None:
        super().__init__(connection or database.connect())
        self._logical = database.logical
        self._looking = database.connect()
        self._looking.execute("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")

    def _rows(self) -> list[dict[str, Any]]:
        cursor = changes(self.connection, self.origin, self.watermark)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def right(self) -> bool:
        """Whether what was read so far comes to what the source holds."""
        return bool(self.state == following.truth(self._looking, self._logical))

    def check(self, writer: Any, *steps: tuple[str, Keys]) -> None:
        """Make each change, and hold what is read after it against what it is to be; nothing comes twice."""
        for statement, keys in steps:
            writer.execute(f"SET NOCOUNT ON; {statement}")  # with counts, the driver would stop at the first one
            assert self.read() == keys, statement
            assert not self.whole
            assert self.right()
            assert self.read() == set()

    def reads_all(self) -> bool:
        """Whether the next window is whole. It is right, and the one after it is none."""
        self.read()
        whole = self.whole
        assert self.right()
        assert self.read() == set()
        assert not self.whole
        return whole
