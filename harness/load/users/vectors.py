"""Users of the vector index (pgvector, in PromptSales's database): contents that mean what is asked for."""

from __future__ import annotations

import random

from locust import tag, task

from harness.load.users.base import PromptUser, empty

_QUESTIONS = 64

_SIMILAR = """
    SELECT content_id, 1 - (embedding <=> $1::vector) AS score
    FROM content_embedding
    ORDER BY embedding <=> $1::vector
    LIMIT 10"""


class Searcher(PromptUser):
    """Searches. Its questions are stored embeddings, each a little moved: no model is needed."""

    logical = "promptsales"

    def learn(self) -> None:
        """Questions."""
        sql = f"SELECT embedding::text FROM content_embedding ORDER BY content_id LIMIT {_QUESTIONS}"  # noqa: S608
        self._vectors = [[float(one) for one in row[0].strip("[]").split(",")] for row in self.client.query(sql)]
        if not self._vectors:
            raise empty(self.target, "vectors of contents")
        self._questions = [_moved(vector) for vector in self._vectors]

    @tag("read")
    @task
    def similar_contents(self) -> None:
        """The ten contents that are nearest."""
        question = self._questions[int(len(self._questions) * random.random() ** self.skew)]
        self.request("similar contents", lambda client: client.query(_SIMILAR, question))


def _moved(vector: list[float]) -> str:
    """As pgvector reads it."""
    return "[" + ",".join(f"{number + random.gauss(0, 0.01):.6f}" for number in vector) + "]"
