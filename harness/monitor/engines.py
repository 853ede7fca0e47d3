"""Which module watches which engine. Drivers are imported when they are needed."""

from __future__ import annotations

from harness.errors import EngineError
from harness.monitor.base import Watching


def watching(engine: str) -> Watching:
    """How an engine is watched. Raises EngineError for one that is not known."""
    if engine == "postgresql":
        from harness.monitor.postgresql import PostgreSQLWatching

        return PostgreSQLWatching()
    if engine == "sqlserver":
        from harness.monitor.sqlserver import SQLServerWatching

        return SQLServerWatching()
    if engine == "mongodb":
        from harness.monitor.mongodb import MongoWatching

        return MongoWatching()
    if engine == "redis":
        from harness.monitor.redis import RedisWatching

        return RedisWatching()
    raise EngineError(f"nobody knows how to watch {engine!r}")
