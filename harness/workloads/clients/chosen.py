"""Which client speaks for a workload on an engine."""

from __future__ import annotations

from harness.engines.base import Engine
from harness.evidence.checker.model import Workload
from harness.workloads.clients.base import Client
from harness.workloads.clients.sql import SqlClient


def client_for(engine: Engine, kind: Workload, units: str) -> Client:
    """The client of ``engine``."""
    return SqlClient(kind, units, engine)
