"""The vector index on pgvector: a table of PostgreSQL, by default in promptsales, with an HNSW index by cosine.

Source: pgvector 0.8, README (HNSW, iterative index scans).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString

from harness.errors import DataError
from harness.promptsales.content import DIMENSIONS, MODEL
from harness.promptsales.vectors import Filter, Item, Match, Vector, checked, checked_count
from harness.schemas import PROMPTSALES

if TYPE_CHECKING:
    import psycopg

DDL = PROMPTSALES / "promptcontent" / "pgvector" / "10_embedding.sql"

_UPSERT = """
INSERT INTO content_embedding (content_id, model, embedding, metadata) VALUES (%s, %s, %s::vector, %s::jsonb)
ON CONFLICT (content_id, model) DO UPDATE SET embedding = EXCLUDED.embedding, metadata = EXCLUDED.metadata
"""
_QUERY = """
SELECT content_id, 1 - (embedding <=> %(vector)s::vector)
FROM content_embedding
WHERE model = %(model)s {conditions}
ORDER BY embedding <=> %(vector)s::vector
LIMIT %(top_k)s
"""
# A value may be alone, or one of a list.
_CONDITION = "AND (metadata @> %(value_{n})s::jsonb OR metadata @> %(list_{n})s::jsonb)"


_DIGITS: tuple[LiteralString, ...] = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make table and indexes, if they are not there. Raises DataError where PostgreSQL has no pgvector."""
    import psycopg

    try:
        text = DDL.read_bytes()
        with connection.transaction():
            connection.execute(text)
    except OSError as error:
        raise DataError(f"{DDL}: cannot be read: {error}") from error
    except (psycopg.errors.UndefinedFile, psycopg.errors.FeatureNotSupported) as error:
        raise DataError(
            "this PostgreSQL has no extension 'vector': install pgvector there (Debian: postgresql-18-pgvector), "
            "or use the image pgvector/pgvector, or the embedded servers"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise DataError(
            f"this login may not make the table of vectors ({error.diag.message_primary}): have a superuser run "
            "CREATE EXTENSION vector, or use another login"
        ) from error
    except psycopg.Error as error:
        raise DataError(f"the table of vectors cannot be made: {error}") from error


class PgVectorIndex:
    """Vectors of one model in ``content_embedding``; :func:`prepare` makes the table."""

    def __init__(self, connection: psycopg.Connection[Any], model: str = MODEL) -> None:
        self._connection = connection
        self._model = model

    def upsert(self, items: Iterable[Item]) -> int:
        """All of them or none. See :class:`~harness.promptsales.vectors.VectorIndex`."""
        rows = [
            (item.id, self._model, _text(checked(item.vector, DIMENSIONS)), json.dumps(dict(item.metadata)))
            for item in items
        ]
        with self._asking() as cursor:
            cursor.executemany(_UPSERT, rows)
        return len(rows)

    def query(self, vector: Vector, top_k: int = 10, where: Filter | None = None) -> list[Match]:
        """See :class:`~harness.promptsales.vectors.VectorIndex`."""
        numbers, most = checked(vector, DIMENSIONS), checked_count(top_k)
        statement, values = _asked(where or {})
        values |= {"vector": _text(numbers), "model": self._model, "top_k": most}
        with self._asking() as cursor:
            # As many candidates as are asked for, and more of them while the filter leaves too few.
            cursor.execute("SELECT set_config('hnsw.ef_search', %s, true)", [str(max(100, most))])
            cursor.execute("SELECT set_config('hnsw.iterative_scan', 'strict_order', true)")
            cursor.execute(statement, values)
            return [Match(content_id, float(score)) for content_id, score in cursor]

    def delete(self, ids: Sequence[int]) -> None:
        """See :class:`~harness.promptsales.vectors.VectorIndex`."""
        with self._asking() as cursor:
            cursor.execute(
                "DELETE FROM content_embedding WHERE model = %s AND content_id = ANY(%s)", [self._model, list(ids)]
            )

    def count(self) -> int:
        """See :class:`~harness.promptsales.vectors.VectorIndex`."""
        with self._asking() as cursor:
            cursor.execute("SELECT count(*) FROM content_embedding WHERE model = %s", [self._model])
            return int((cursor.fetchone() or [0])[0])

    @contextmanager
    def _asking(self) -> Iterator[psycopg.Cursor[Any]]:
        import psycopg

        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                yield cursor
        except psycopg.errors.UndefinedTable as error:
            raise DataError(
                f"there is no table of vectors: apply {DDL.name} of schemas/promptcontent/pgvector"
            ) from error
        except psycopg.Error as error:
            raise DataError(f"pgvector: {error}") from error


def _asked(where: Filter) -> tuple[LiteralString, dict[str, Any]]:
    """The query with a condition for each name of ``where``, and what is bound to them."""
    if len(where) > len(_DIGITS):
        raise DataError(f"a filter of {len(where)} names: at most {len(_DIGITS)}")
    values: dict[str, Any] = {}
    conditions: LiteralString = ""
    for name, value in where.items():
        n = len(values) // 2
        conditions += _CONDITION.replace("{n}", _DIGITS[n])
        values |= {f"value_{n}": json.dumps({name: value}), f"list_{n}": json.dumps({name: [value]})}
    return _QUERY.replace("{conditions}", conditions), values


def _text(numbers: Sequence[float]) -> str:
    return f"[{','.join(map(repr, numbers))}]"
