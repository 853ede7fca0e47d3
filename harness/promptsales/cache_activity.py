"""What people do with contents, as a stream in the cache: the ETL adds it up. An entry's time is that of its id.

The stream is bounded: what nobody has read before about a million others came is gone. ``entries-added`` of ``XINFO STREAM``
says how many there were in all, so a reader who comes too late can tell how many it has missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, did_you_mean
from harness.promptsales.cache_keys import Keys, conventions
from harness.promptsales.cache_server import asking

if TYPE_CHECKING:
    import redis

KINDS = ("view", "like")

KEPT = 1_000_000
"""Entries, about: Redis removes whole nodes of its tree. Eleven minutes of 1,500 a second."""

_BATCH = 1_000  # entries in one pipeline


class Activity:
    """Records views and likes. Safe to use from several threads, as its client is.

    Every method raises DataError if the server cannot be reached.
    """

    def __init__(self, client: redis.Redis, keys: Keys | None = None) -> None:
        self._client = client
        self._stream = (keys or conventions()).key("activity").text

    def record(self, content_id: int, kind: str) -> str:
        """Add an entry; its id. Raises DataError also if ``kind`` is neither view nor like, or the content no id."""
        entry = _entry(content_id, kind)
        with asking():
            made = self._client.xadd(self._stream, entry, maxlen=KEPT, approximate=True)
        return made.decode() if isinstance(made, bytes) else str(made)

    def record_all(self, entries: Iterable[tuple[int, str]]) -> int:
        """Add entries (content, kind), a thousand to a round trip; how many they were. Raises DataError as :meth:`record`.

        Those of a batch are all there or, if the server was lost, some of them from its beginning on.
        """
        count = 0
        batch: list[dict[Any, Any]] = []
        for content_id, kind in entries:
            batch.append(_entry(content_id, kind))
            if len(batch) == _BATCH:
                count += self._add(batch)
                batch = []
        return count + self._add(batch)

    def _add(self, batch: list[dict[Any, Any]]) -> int:
        if batch:
            with asking(), self._client.pipeline(transaction=False) as pipeline:
                for entry in batch:
                    pipeline.xadd(self._stream, entry, maxlen=KEPT, approximate=True)
                pipeline.execute()
        return len(batch)


def _entry(content_id: int, kind: str) -> dict[Any, Any]:
    if kind not in KINDS:
        raise DataError(
            f"{kind!r} is nothing that is done with a content{did_you_mean(kind, KINDS)}: {', '.join(KINDS)}"
        )
    if type(content_id) is not int or content_id < 1:
        raise DataError(f"{content_id!r} is no id of a content: a whole number from 1")
    return {"content": str(content_id), "kind": kind}
