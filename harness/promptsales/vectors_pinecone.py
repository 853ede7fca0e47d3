"""The vector index on Pinecone, through its own SDK.

The key comes from the argument or from PINECONE_API_KEY, the index's host from the argument or from PINECONE_HOST; the key
is never shown. An index of 384 dimensions and metric cosine must be there. Source: Pinecone SDK for Python, data plane.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from harness.errors import DataError
from harness.promptsales.content import DIMENSIONS
from harness.promptsales.vectors import Filter, Item, Match, Vector, checked, checked_count

_BATCH = 100  # vectors of one request, of which Pinecone takes 2 MB

Answer = TypeVar("Answer")


class PineconeIndex:
    """Vectors in one namespace of an index of Pinecone."""

    def __init__(
        self,
        host: str | None = None,
        api_key: str | None = None,
        namespace: str = "content",
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Raises DataError if the SDK is not installed, or the key or the host is missing."""
        key = api_key or environ.get("PINECONE_API_KEY")
        host = host or environ.get("PINECONE_HOST")
        if not key:
            raise DataError("Pinecone needs an API key: set PINECONE_API_KEY")
        if not host:
            raise DataError("which index of Pinecone? Set PINECONE_HOST to its host, as its console shows it")
        try:
            import pinecone
        except ModuleNotFoundError:
            raise DataError("Pinecone's SDK is not installed: pip install 'promptsales-harness[pinecone]'") from None
        self._key = key
        self._namespace = namespace
        self._index: Any = self._asked(lambda: pinecone.Pinecone(api_key=key).Index(host=host))

    def __repr__(self) -> str:
        return f"PineconeIndex(namespace={self._namespace!r})"

    def upsert(self, items: Iterable[Item]) -> int:
        """In requests of a hundred. See :class:`~harness.promptsales.vectors.VectorIndex`."""
        remaining, done = iter(items), 0
        while batch := list(islice(remaining, _BATCH)):
            vectors = [
                {
                    "id": str(item.id),
                    "values": checked(item.vector, DIMENSIONS),
                    "metadata": {key: _plain(value) for key, value in item.metadata.items()},
                }
                for item in batch
            ]
            self._asked(partial(self._index.upsert, vectors=vectors, namespace=self._namespace))
            done += len(batch)
        return done

    def query(self, vector: Vector, top_k: int = 10, where: Filter | None = None) -> list[Match]:
        """See :class:`~harness.promptsales.vectors.VectorIndex`."""
        numbers, most = checked(vector, DIMENSIONS), checked_count(top_k)
        # Of a list of metadata, $eq holds if one of its values is equal.
        wanted = {key: {"$eq": value} for key, value in where.items()} if where else None
        answer = self._asked(
            lambda: self._index.query(vector=numbers, top_k=most, filter=wanted, namespace=self._namespace)
        )
        return [Match(int(match.id), float(match.score)) for match in answer.matches]

    def delete(self, ids: Sequence[int]) -> None:
        """See :class:`~harness.promptsales.vectors.VectorIndex`."""
        if ids:
            self._asked(lambda: self._index.delete(ids=[str(one) for one in ids], namespace=self._namespace))

    def count(self) -> int:
        """As Pinecone knows it: a little behind the last upsert. See :class:`~harness.promptsales.vectors.VectorIndex`."""
        stats = self._asked(lambda: self._index.describe_index_stats())
        summary = stats.namespaces.get(self._namespace)
        return int(summary.vector_count) if summary else 0

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        from pinecone.exceptions import PineconeException

        try:
            return question()
        except (PineconeException, OSError, ValueError) as error:
            text = str(error).replace(self._key, "…")
            raise DataError(f"Pinecone: {text or type(error).__name__}") from None


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | bool) else list(value)
