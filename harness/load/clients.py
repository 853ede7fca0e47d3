"""Which client speaks to which engine."""

from __future__ import annotations

from harness.errors import ServerError
from harness.load.policy import Client
from harness.servers.base import Target


def open_client(target: Target, name: str) -> Client:
    """A connection of its own to a database; ``name`` is what the server shows. Raises Refused, DriverMissing."""
    match target.engine:  # drivers are imported when they are first needed
        case "postgresql":
            from harness.load.postgresql import PostgreSQLClient

            return PostgreSQLClient(target.url, name)
        case "sqlserver":
            from harness.load.sqlserver import SQLServerClient

            return SQLServerClient(target.url, name)
        case "mongodb":
            from harness.load.mongodb import MongoDBClient

            return MongoDBClient(target.url, name)
        case "redis":
            from harness.load.redis import RedisClient

            return RedisClient(target.url, name)
        case engine:
            raise ServerError(f"{target.label}: no load user speaks to {engine}")
