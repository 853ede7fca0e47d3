"""What the cache has invalidated, in order, for those who keep copies of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import DataError
from harness.promptsales.cache_keys import Keys, conventions
from harness.promptsales.cache_server import asking

if TYPE_CHECKING:
    import redis


_BEGINNING = ("0", "0-0")


class InvalidationsLost(DataError):
    """Entries after the reader's position are gone from the stream: it must drop all its copies and start anew."""


@dataclass(frozen=True, slots=True)
class Invalidation:
    """One entry: the key that was invalidated."""

    id: str
    key: str


class Invalidations:
    """Reads the stream from after ``position`` on, an id that an earlier reader ended with; "0" is its beginning.

    Every method raises DataError if the server cannot be reached.
    """

    def __init__(self, client: redis.Redis, position: str = "0", keys: Keys | None = None) -> None:
        self.position = position
        self._client = client
        self._stream = (keys or conventions()).key("invalidation").text
        if not re.fullmatch(r"\d+(-\d+)?", position, re.ASCII):
            raise DataError(f"{position!r} is no position in the stream of invalidations: a number, or two with -")

    @classmethod
    def from_now(cls, client: redis.Redis, keys: Keys | None = None) -> Invalidations:
        """A reader of what comes after this call."""
        reader = cls(client, "0", keys)
        with asking():
            last: Any = client.xrevrange(reader._stream, count=1)
        reader.position = _text(last[0][0]) if last else "0"
        return reader

    def read(self, count: int = 100, wait_ms: int | None = None) -> list[Invalidation]:
        """The next ones, at most ``count``; waits for the first of them up to ``wait_ms`` if there is none yet.

        Raises InvalidationsLost if some were removed from the stream before they were read.
        """
        with asking():
            answer: Any = self._client.xread({self._stream: self.position}, count=count, block=wait_ms)
        if isinstance(answer, dict):  # RESP3: by stream, in one list more
            entries = [entry for lists in answer.values() for one in lists for entry in one]
        else:
            entries = [entry for _, one in answer or [] for entry in one]
        found, position = [], self.position
        for entry, written in entries:
            fields = {_text(name): _text(value) for name, value in written.items()}
            if position not in _BEGINNING and fields.get("after") != position:
                raise InvalidationsLost(
                    f"invalidations after {position} were removed before they were read: drop all copies and start anew"
                )
            position = _text(entry)
            found.append(Invalidation(position, fields["key"]))
        self.position = position
        return found

    def follow(self, wait_ms: int = 1000) -> Iterator[Invalidation]:
        """All of them, as they come, without end; ``position`` is that of the last one given."""
        while True:
            for one in self._ahead(wait_ms):
                self.position = one.id
                yield one

    def _ahead(self, wait_ms: int) -> list[Invalidation]:
        before = self.position
        found = self.read(wait_ms=wait_ms)
        self.position = before
        return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
