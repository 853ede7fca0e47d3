"""What is compared of the databases that are not asked in SQL: contents and their pictures, and the keys of the cache."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.promptsales.coherence import Tally
from harness.promptsales.coherence_sources import Row, Side, Sources
from harness.promptsales.content import BUCKET

_CONTENT = "promptcontent"
_LOOKED_AT = 40
"""Pictures whose bytes are read: half of them the first, half the last."""


def _contents(database: Any) -> Iterator[Row]:
    for one in database["content"].find({}, {"_id": 1}).sort("_id", 1):
        yield (one["_id"],)


def _texts(database: Any) -> Iterator[Row]:
    for one in database["content"].find({}, {"title": 1, "hashtags": 1}).sort("_id", 1):
        yield one["_id"], one["title"], list(one["hashtags"])


def _pictures_of(database: Any) -> Iterator[Row]:
    for one in database["content"].find({"image": {"$exists": True}}, {"image.file_id": 1}).sort("image.file_id", 1):
        yield (one["image"]["file_id"],)


def _files(database: Any) -> Iterator[Row]:
    for one in database[f"{BUCKET}.files"].find({}, {"_id": 1}).sort("_id", 1):
        yield (one["_id"],)


CONTENT_IDS = Side(_CONTENT, find=_contents)
CONTENT_TEXTS = Side(_CONTENT, find=_texts)
PICTURES_OF = Side(_CONTENT, find=_pictures_of)
PICTURE_FILES = Side(_CONTENT, find=_files)


def _looked_at(database: Any) -> Iterator[Row]:
    """Content, what it says of its picture, and the picture's bytes: of the first and the last ones."""
    query: dict[str, Any] = {"image": {"$exists": True}}
    seen = set()
    for order in (1, -1):
        found = database["content"].find(query, {"image": 1}).sort("_id", order).limit(_LOOKED_AT // 2)
        for one in found:
            if one["_id"] in seen:
                continue
            seen.add(one["_id"])
            chunks = database[f"{BUCKET}.chunks"].find({"files_id": one["image"]["file_id"]}).sort("n", 1)
            yield one["_id"], one["image"], b"".join(bytes(chunk["data"]) for chunk in chunks)


@dataclass(frozen=True, slots=True)
class Pictures:
    """A sample of pictures is what their contents say: a PNG of that size and hash."""

    name: str = "pictures are what their contents say (a sample)"
    needs: tuple[str, ...] = (_CONTENT,)

    def run(self, sources: Sources) -> Tally:
        """Read some."""
        tally = Tally()
        for content, image, data in sources.rows(Side(_CONTENT, find=_looked_at)):
            tally.checked += 1
            size = (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
            if not data.startswith(b"\x89PNG\r\n\x1a\n") or size != (image["width"], image["height"]):
                tally.breaks(f"content {content}: no PNG of {image['width']} × {image['height']}")
            elif hashlib.sha256(data).hexdigest() != image["sha256"]:
                tally.breaks(f"content {content}: another hash")
        return tally


def _cached(kind: str) -> Side:
    """(id, how many keys), sorted, of the keys ``kind:id…``."""

    def find(client: Any) -> Iterator[Row]:
        ids: Counter[int] = Counter()
        for key in client.scan_iter(f"{kind}:*", count=1000):
            number = str(key).split(":")[1]
            if number.isdecimal():
                ids[int(number)] += 1
        yield from sorted(ids.items())

    return Side("cache", find=find)


CACHE_IDS: Mapping[str, Side] = {kind: _cached(kind) for kind in ("client", "campaign", "content", "plan")}
"""By the kind of thing: (id, how many keys), sorted, of what the cache holds."""
