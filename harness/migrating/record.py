"""What was migrated, kept in PromptSales: by database, the digest of the schema's files that it was made of.

The table is made here and not by a schema file: it says something about those. Its schema is called as no user is:
PostgreSQL would look for everything of the user ``harness`` in a schema of that name first.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from harness.migrating.postgresql import said
from harness.schemas import PROMPTSALES, Wanted, scripts

Connection = psycopg.Connection[tuple[Any, ...]]
_LOCK = 0x6D696772  # "migr"
_MAKE = """
CREATE SCHEMA IF NOT EXISTS migrating;
CREATE TABLE IF NOT EXISTS migrating.migration (
    logical text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
);
GRANT USAGE ON SCHEMA migrating TO PUBLIC;
GRANT SELECT ON migrating.migration TO PUBLIC;
"""


def digest(logical: str, engine: str) -> str:
    """SHA-256 of the files that a database's schema is made of, by name and content, in their order."""
    made = hashlib.sha256()
    for script in scripts(PROMPTSALES, logical, engine, Wanted.empty, server=True):
        made.update(script.file.name.encode() + b"\0" + script.file.read_bytes() + b"\0")
    return made.hexdigest()


@contextlib.contextmanager
def alone(url: str) -> Iterator[Connection]:
    """A connection to PromptSales, held while migrating: another migration waits. Raises ServerError, DataError."""
    with said("promptsales", url), _connected(url, "psh:migrate") as link:
        link.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        link.execute(_MAKE)
        yield link


def remember(link: Connection, logical: str, value: str) -> None:
    """Note down that a database is of these files. Raises psycopg.Error."""
    link.execute(
        "INSERT INTO migrating.migration (logical, digest) VALUES (%s, %s)"
        " ON CONFLICT (logical) DO UPDATE SET digest = excluded.digest, applied_at = now()"
        " WHERE migration.digest <> excluded.digest",
        [logical, value],
    )


def remembered(link: Connection) -> Mapping[str, str]:
    """By database, the digest of its files. Raises psycopg.Error."""
    if link.execute("SELECT to_regclass('migrating.migration')").fetchone() != ("migrating.migration",):
        return {}
    return {
        str(logical): str(value) for logical, value in link.execute("SELECT logical, digest FROM migrating.migration")
    }


def ask(url: str) -> Mapping[str, str]:
    """As :func:`remembered`, by a connection of its own. Raises ServerError, DataError."""
    with said("promptsales", url), _connected(url, "psh:wait") as link:
        return remembered(link)


def _connected(url: str, name: str) -> Connection:
    return psycopg.connect(url, autocommit=True, connect_timeout=10, application_name=name)
