"""Pinecone's data plane in a thread: what its SDK asks of an index, over HTTP on this machine, answered by exact search."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

Vector = dict[str, Any]


@dataclass
class Pinecone:
    """An index. ``failing`` is a status that every request is answered with."""

    key: str
    dimensions: int
    host: str = ""
    failing: int = 0
    requests: list[str] = field(default_factory=list)
    namespaces: dict[str, dict[str, Vector]] = field(default_factory=dict)

    def upsert(self, asked: dict[str, Any]) -> dict[str, Any]:
        vectors = asked["vectors"]
        if len(vectors) > 1000 or any(len(one["values"]) != self.dimensions for one in vectors):
            raise ValueError(f"Vector dimension does not match the dimension of the index {self.dimensions}")
        space = self.namespaces.setdefault(asked.get("namespace", ""), {})
        space.update({one["id"]: one for one in vectors})
        return {"upsertedCount": len(vectors)}

    def query(self, asked: dict[str, Any]) -> dict[str, Any]:
        vector = np.array(asked["vector"])
        found = [
            (float(vector @ values / np.linalg.norm(vector) / np.linalg.norm(values)), one["id"])
            for one in self.namespaces.get(asked.get("namespace", ""), {}).values()
            if _fits(one.get("metadata", {}), asked.get("filter") or {})
            for values in [np.array(one["values"])]
        ]
        best = sorted(found, key=lambda match: -match[0])[: asked["topK"]]
        return {"matches": [{"id": one, "score": score, "values": []} for score, one in best], "namespace": ""}

    def delete(self, asked: dict[str, Any]) -> dict[str, Any]:
        for one in asked["ids"]:
            self.namespaces.get(asked.get("namespace", ""), {}).pop(one, None)
        return {}

    def stats(self, asked: dict[str, Any]) -> dict[str, Any]:
        counts = {name: {"vectorCount": len(space)} for name, space in self.namespaces.items()}
        total = sum(len(space) for space in self.namespaces.values())
        return {"namespaces": counts, "dimension": self.dimensions, "indexFullness": 0, "totalVectorCount": total}


def _fits(metadata: dict[str, Any], wanted: dict[str, Any]) -> bool:
    for name, condition in wanted.items():
        ((operator, value),) = condition.items()
        assert operator == "$eq"
        has = metadata.get(name)
        if not (value in has if isinstance(has, list) else value == has):
            return False
    return True


@contextmanager
def pinecone_server(key: str, dimensions: int) -> Iterator[Pinecone]:
    """Serve an empty index; ``host`` says where."""
    index = Pinecone(key, dimensions)
    answers = {
        "/vectors/upsert": index.upsert,
        "/query": index.query,
        "/vectors/delete": index.delete,
        "/describe_index_stats": index.stats,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            index.requests.append(self.path)
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            try:
                if self.headers.get("Api-Key") != index.key:
                    self._answer(401, {"message": f"Invalid API Key {self.headers.get('Api-Key')}"})
                elif index.failing:
                    self._answer(index.failing, {"message": "no"})
                else:
                    self._answer(200, answers[self.path](asked))
            except ValueError as error:
                self._answer(400, {"code": 3, "message": str(error), "details": []})

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index.host = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
