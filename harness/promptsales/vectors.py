"""Vectors of contents: what an index of them must do, and how contents come into one and are found again.

Indexes are :class:`~harness.promptsales.vectors_pgvector.PgVectorIndex` (the embedded default) and
:class:`~harness.promptsales.vectors_pinecone.PineconeIndex`; embeddings come from ``vectors_embed``.

``python -m harness.promptsales.vectors`` renews the table of stored embeddings after the words of contents have changed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.errors import DataError, HarnessError
from harness.promptsales.content import Content

Vector = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]
Plain = str | int | bool
Metadata = Mapping[str, Plain | Sequence[str]]
Filter = Mapping[str, Plain]

MOST_MATCHES = 1000


@dataclass(frozen=True, slots=True)
class Item:
    """A content's vector, (384,), and what can be filtered by."""

    id: int
    vector: Vector
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """A content that was found; ``score`` is the cosine similarity, from -1 to 1."""

    id: int
    score: float


class VectorIndex(Protocol):
    """Vectors of contents by id. Every method raises DataError when the index cannot be reached or refuses."""

    def upsert(self, items: Iterable[Item]) -> int:
        """Put vectors there, in the place of those of the same ids; how many they were."""
        ...

    def query(self, vector: Vector, top_k: int = 10, where: Filter | None = None) -> list[Match]:
        """The nearest, best first, of those whose metadata have (or whose lists hold) all values of ``where``."""
        ...

    def delete(self, ids: Sequence[int]) -> None:
        """Remove the vectors of these ids; silent about those that are not there."""
        ...

    def count(self) -> int:
        """How many vectors there are."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors of length 1: (n, ``dimensions``), float32."""

    model: str
    dimensions: int

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Of texts that are to be found."""
        ...

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Of what is asked for."""
        ...


def index_contents(index: VectorIndex, contents: Iterable[Content], embedder: Embedder) -> int:
    """Embed contents into an index, with status and hashtags to filter by; how many they were. Raises DataError."""
    remaining, done = iter(contents), 0
    while batch := list(islice(remaining, 100)):
        vectors = embedder.passages([content.text for content in batch])
        done += index.upsert(
            Item(content.id, vector, {"status": content.status, "hashtags": list(content.hashtags)})
            for content, vector in zip(batch, vectors, strict=True)
        )
    return done


def search(
    index: VectorIndex, embedder: Embedder, text: str, top_k: int = 10, where: Filter | None = None
) -> list[Match]:
    """Contents whose words mean what ``text`` says, best first. Raises DataError."""
    if not text.strip():
        raise DataError("nothing to search for: the text is empty")
    return index.query(embedder.queries([text])[0], top_k, where)


def checked(vector: Vector, dimensions: int) -> list[float]:
    """A vector's numbers. Raises DataError if they are not ``dimensions`` finite ones, or are all 0."""
    numbers = np.asarray(vector, np.float32)
    if numbers.shape != (dimensions,):
        raise DataError(f"a vector of shape {numbers.shape}: this index holds vectors of {dimensions} numbers")
    if not np.isfinite(numbers).all() or not numbers.any():
        raise DataError("a vector of zeros only, or with numbers that are not finite")
    return [float(number) for number in numbers]


def checked_count(top_k: int) -> int:
    """``top_k``. Raises DataError if it is not from 1 to 1000."""
    if not 1 <= top_k <= MOST_MATCHES:
        raise DataError(f"the best {top_k} matches: from 1 to {MOST_MATCHES}")
    return top_k


def main() -> int:
    """Renew the stored embeddings; the exit code."""
    from harness.promptsales.vectors_embed import renew

    try:
        file, count = renew()
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{file}: {count} embeddings")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
