"""What the tests of the AI log share: entries, and what is said of the chain."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from fixtures.databases import Database
from harness.ai_log.model import Anchor
from harness.ai_log.read import open_reader
from harness.ai_log.verify import Verdict, verify

Connection = psycopg.Connection[Any]

APPEND = (
    "SELECT ai_log_append('promptads', 'tools/call', 'active_campaigns', '7c1', 'ana@example.com', 'claude', NULL, NULL, "
    "%s, 'ok', 3, 1.5, NULL, NULL)"
)


def looked(database: Database, anchor: Anchor | None = None) -> Verdict:
    """What Python's walk says; the server's own agrees, or that is among the problems."""
    with open_reader(database.url) as reader:
        return verify(reader, anchor)


def said_by_server(connection: Connection) -> tuple[int, int | None, str | None]:
    return connection.execute("SELECT * FROM ai_log_verify()").fetchone()


def fill(connection: Connection, count: int = 6) -> None:
    for number in range(1, count + 1):
        connection.execute(APPEND, [json.dumps({"n": number})])
