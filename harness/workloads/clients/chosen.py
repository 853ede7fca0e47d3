"""Which client speaks for a workload on an engine."""

from __future__ import annotations

from harness.engines.base import Engine
from harness.evidence.checker.model import Workload
from harness.workloads.clients.base import Client
from harness.workloads.clients.mongodb import MongoClient
from harness.workloads.clients.redis import RedisClient
from harness.workloads.clients.sql import SqlClient


def client_for(engine: Engine, kind: Workload, units: str) -> Client:
    """The client of ``engine``."""
    if engine.name == "mongodb":
        return MongoClient(kind, units)
    return RedisClient(kind, units) if engine.name == "redis" else SqlClient(kind, units, engine)
