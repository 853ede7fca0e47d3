"""PromptContent: contents as a pure function of seed and id, and the store that keeps them in MongoDB.

>>> contents(seed=7, first=1, last=1)[0].title
'A sandy beach at sunset'
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from harness.errors import DataError
from harness.promptsales import content_words as words
from harness.promptsales.content_changes import (
    Run,
    change_content,
    delete_content,
    purge_outbox,
    put_content,
    renew_origin,
    transact,
)
from harness.promptsales.images import CONTENT_TYPE, HEIGHT, WIDTH, picture
from harness.promptsales.images_scenes import Scene, number, scene

if TYPE_CHECKING:
    from pymongo.database import Database

Document = dict[str, Any]

BUCKET = "pictures"
MODEL, DIMENSIONS = "multilingual-e5-small", 384
_CHUNK = 255 * 1024  # bytes, as GridFS has it
_BATCH = 40

_FIRST_DAY = datetime(2023, 1, 1, 9, tzinfo=UTC)  # before every campaign
# Drafts expire, but not while other databases speak of them.
_DRAFTS_EXPIRE = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Content:
    """One content, without its picture: that is drawn when it is asked for."""

    id: int
    seed: int
    scene: Scene
    title: str
    description: str
    hashtags: tuple[str, ...]
    themes: tuple[str, ...]
    status: str
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None
    expires_at: datetime | None
    likes: int

    @property
    def text(self) -> str:
        """What is embedded as its vector, in English and Spanish."""
        return words.embedded(self.scene, self.id)

    def picture(self) -> bytes:
        """Its PNG."""
        return picture(self.id, self.seed)

    def document(self, image: bytes | None = None) -> Document:
        """Its document in MongoDB, with ``image`` described if there is one."""
        document: Document = {
            "_id": self.id,
            "title": self.title,
            "description": self.description,
            "hashtags": list(self.hashtags),
            "themes": list(self.themes),
            "status": self.status,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "likes": self.likes,
            "vector": {"model": MODEL, "dimensions": DIMENSIONS},
        }
        document |= {"published_at": self.published_at} if self.published_at else {"expires_at": self.expires_at}
        if image is not None:
            document["image"] = {
                "file_id": self.id,
                "width": WIDTH,
                "height": HEIGHT,
                "sha256": hashlib.sha256(image).hexdigest(),
                "content_type": CONTENT_TYPE,
            }
        return document


def contents(seed: int, first: int, last: int) -> list[Content]:
    """The contents of the ids ``first`` to ``last``, both included. Raises DataError if that is no range."""
    if first < 1 or last < first:
        raise DataError(f"contents {first} to {last}: ids begin with 1, and the last is not before the first")
    return [content(seed, content_id) for content_id in range(first, last + 1)]


def content(seed: int, content_id: int) -> Content:
    """The content of an id: eight of ten are published, one is archived, one is a draft."""
    shown = scene(seed, content_id)
    status = ("published",) * 8 + ("archived", "draft")
    chosen = status[number(seed, content_id, "status", len(status))]
    created = _FIRST_DAY + timedelta(days=number(seed, content_id, "created", 300))
    published = created + timedelta(days=1 + number(seed, content_id, "published", 20))
    updated = {
        "draft": created,
        "published": published,
        "archived": published + timedelta(days=30 + number(seed, content_id, "archived", 300)),
    }[chosen]
    # Few are liked much: a power of two that half of them do not reach, and so on.
    popular = number(seed, content_id, "popular", 2**12) + 1
    likes = 0 if chosen == "draft" else (2**12 // popular) * 20 + number(seed, content_id, "likes", 200)
    return Content(
        id=content_id,
        seed=seed,
        scene=shown,
        title=words.title(shown),
        description=words.description(shown, content_id),
        hashtags=words.hashtags(shown, content_id),
        themes=words.themes(shown),
        status=chosen,
        created_at=created,
        updated_at=updated,
        published_at=None if chosen == "draft" else published,
        expires_at=_DRAFTS_EXPIRE if chosen == "draft" else None,
        likes=likes,
    )


def write_contents(
    database: Database[Document],
    contents: Iterable[Content],
    with_images: bool = True,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write contents, and their pictures, into PromptContent in bulk; how many they were.

    Done twice, or again after it was killed, it leaves the same. ``progress`` is told after each batch how many were
    written with it. The outbox is passed by, and told so: who reads it reads all contents anew. Raises DataError.
    """
    return ContentStore(database).write(contents, with_images, progress)


class ContentStore:
    """Contents in a MongoDB database with the collections of ``schemas/promptcontent``."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database

    def write(
        self,
        contents: Iterable[Content],
        with_images: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """See :func:`write_contents`."""
        remaining, written = iter(contents), 0
        try:
            while batch := list(islice(remaining, _BATCH)):
                images = [one.picture() if with_images else None for one in batch]
                written += len(batch)
                self._write(batch, images)
                if progress:
                    progress(len(batch))
        finally:
            if written:  # or some of it
                with _told():
                    renew_origin(self._database.command)
        return written

    def put(self, content: Content | Document, with_image: bool = True) -> bool:
        """Have a content there as it is given, a new one or instead of what was there; whether it is a new one.

        The outbox says so. Of a :class:`Content` the picture is written too. Raises DataError.
        """
        document = content
        if isinstance(content, Content):
            image = content.picture() if with_image else None
            if image is not None:
                with _told():
                    self._write_pictures([(content, image)])
            document = content.document(image)
        assert isinstance(document, dict)
        return transact(self._database, lambda run: put_content(run, document))

    def change(self, content_id: int, update: Document) -> Document:
        """Change a content by MongoDB's update operators, as ``{"$inc": {"likes": 1}}``; the content after it.

        The outbox says so. Raises DataError, also if there is no such content.
        """
        return transact(self._database, lambda run: change_content(run, content_id, update))

    def delete(self, content_id: int) -> None:
        """Remove a content and its picture. The outbox says so. Raises DataError, also if there is no such content."""

        def work(run: Run) -> None:
            gone = delete_content(run, content_id)
            if "image" in gone:
                file_id = gone["image"]["file_id"]
                run({"delete": f"{BUCKET}.files", "deletes": [{"q": {"_id": file_id}, "limit": 1}]})
                run({"delete": f"{BUCKET}.chunks", "deletes": [{"q": {"files_id": file_id}, "limit": 0}]})

        transact(self._database, work)

    def purge(self, upto: int) -> int:
        """Remove what the ETL has merged from the outbox, up to its watermark; how many entries. Raises DataError."""
        with _told():
            return purge_outbox(self._database.command, upto)

    def _write_pictures(self, pictures: list[tuple[Content, bytes]]) -> None:
        """A picture's bytes before its entry, as GridFS does."""
        from pymongo import ReplaceOne, UpdateOne

        chunks: list[UpdateOne] = []
        files: list[ReplaceOne[Document]] = []
        for one, image in pictures:
            for n, start in enumerate(range(0, len(image), _CHUNK)):
                new = {"$set": {"data": image[start : start + _CHUNK]}, "$setOnInsert": {"_id": _chunk_id(one.id, n)}}
                chunks.append(UpdateOne({"files_id": one.id, "n": n}, new, upsert=True))
            files.append(ReplaceOne({"_id": one.id}, _file(one, image), upsert=True))
        self._database[f"{BUCKET}.chunks"].bulk_write(chunks, ordered=False)
        self._database[f"{BUCKET}.files"].bulk_write(files, ordered=False)

    def _write(self, batch: list[Content], images: list[bytes | None]) -> None:
        """Pictures before the contents that speak of them."""
        from pymongo import ReplaceOne
        from pymongo.errors import BulkWriteError, PyMongoError

        pictures = [(one, image) for one, image in zip(batch, images, strict=True) if image is not None]
        documents = [
            ReplaceOne({"_id": one.id}, one.document(image), upsert=True)
            for one, image in zip(batch, images, strict=True)
        ]
        try:
            if pictures:
                self._write_pictures(pictures)
            self._database["content"].bulk_write(documents, ordered=False)
        except BulkWriteError as error:
            failed = error.details.get("writeErrors") or [{}]
            index, why = failed[0].get("index", 0), str(failed[0].get("errmsg", error))
            raise DataError(
                f"PromptContent refuses {len(failed)} of contents {batch[0].id} to {batch[-1].id}; "
                f"the first is {batch[min(index, len(batch) - 1)].id}: {why}"
            ) from error
        except PyMongoError as error:
            raise _unwritten(error) from error

    def get(self, content_id: int) -> Document | None:
        """The document of a content, None if there is none."""
        return self._database["content"].find_one({"_id": content_id})

    def find_by_hashtag(self, hashtag: str, after: int = 0, limit: int = 20) -> list[Document]:
        """A page of the contents of a hashtag, by id; the next page is after the last id of this one.

        Raises DataError if ``hashtag`` is none, or ``limit`` is not from 1 to 1000.
        """
        if not isinstance(hashtag, str) or not hashtag.startswith("#") or hashtag != hashtag.lower():
            raise DataError(f"{hashtag!r} is no hashtag: lower-case, and it begins with #")
        if not 1 <= limit <= 1000:
            raise DataError(f"a page of {limit} contents: from 1 to 1000")
        page = self._database["content"].find({"hashtags": hashtag, "_id": {"$gt": after}})
        return list(page.sort("_id", 1).limit(limit))

    def picture(self, content_id: int) -> bytes:
        """The bytes of a content's picture. Raises DataError if it has none."""
        from gridfs import GridFSBucket
        from gridfs.errors import NoFile

        document = self._database["content"].find_one({"_id": content_id}, {"image.file_id": 1})
        if document is None or "image" not in document:
            raise DataError(f"content {content_id} has no picture" if document else f"there is no content {content_id}")
        try:
            with GridFSBucket(self._database, BUCKET).open_download_stream(document["image"]["file_id"]) as stream:
                return bytes(stream.read())
        except NoFile as error:
            raise DataError(f"the picture of content {content_id} is gone") from error


def _unwritten(error: Exception) -> DataError:
    return DataError(f"PromptContent cannot be written: {error}")


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the driver as DataError."""
    from pymongo.errors import PyMongoError

    try:
        yield
    except PyMongoError as error:
        raise _unwritten(error) from error


def _chunk_id(content_id: int, n: int) -> Any:
    from bson import ObjectId

    return ObjectId(content_id.to_bytes(8, "big") + n.to_bytes(4, "big"))


def _file(one: Content, image: bytes) -> Document:
    """The entry of a picture, as GridFS has it."""
    return {
        "_id": one.id,
        "length": len(image),
        "chunkSize": _CHUNK,
        "uploadDate": one.created_at,
        "filename": f"content-{one.id}.png",
        "metadata": {"content_id": one.id, "contentType": CONTENT_TYPE, "sha256": hashlib.sha256(image).hexdigest()},
    }
