"""Servers of these tests' own: what is counted on them is what a test has done, and they may be killed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from harness.engines.postgresql import PostgreSQL
from harness.servers.base import Target
from harness.servers.embedded import EmbeddedServers, embedded_servers

Link = psycopg.Connection[tuple[Any, ...]]
_numbers = itertools.count()


@pytest.fixture(scope="session")
def own_servers() -> Iterator[EmbeddedServers]:
    made = embedded_servers(f"monitor{os.getpid()}", os.getpid())
    yield made
    made.stop()


@pytest.fixture(scope="session")
def postgres(own_servers: EmbeddedServers) -> Target:
    return own_servers.target("promptsales")


@pytest.fixture
def run() -> str:
    """A run's id that no other test has."""
    return f"test{os.getpid()}x{next(_numbers)}"


@dataclass
class Base:
    """A database with a table ``t`` of two rows."""

    url: str
    name: str

    def connect(self, name: str = "") -> Link:
        return psycopg.connect(self.url, autocommit=True, application_name=name, prepare_threshold=None)


@pytest.fixture
def base(postgres: Target) -> Iterator[Base]:
    name = f"watched{next(_numbers)}"
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        made = Base(PostgreSQL().database_url(postgres.url, name), name)
        with made.connect() as link:
            link.execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 10), (2, 20)")
        yield made
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
