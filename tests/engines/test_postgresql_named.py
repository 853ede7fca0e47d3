"""Databases whose name is given, and what processes keep from each other on one server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from polling import eventually

from harness.engines.postgresql import PostgreSQL
from harness.engines.postgresql_server import PostgreSQLAdmin
from harness.errors import EngineError
from harness.suite import Suite


@pytest.fixture
def url(suite: Suite) -> str:
    return suite.servers.target("promptsales").url


@pytest.fixture
def two(url: str) -> Iterator[tuple[PostgreSQLAdmin, PostgreSQLAdmin]]:
    admins = PostgreSQL().admin(url, "named1"), PostgreSQL().admin(url, "named2")
    yield admins
    for admin in admins:
        admin.close()


@pytest.fixture
def foreign(url: str, suite: Suite) -> Iterator[str]:
    """A database that somebody else has made."""
    name = f"foreign_{suite.settings.run_id}_{suite.settings.worker or 'x'}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        yield name
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[call-overload]


def exists(url: str, name: str) -> bool:
    with psycopg.connect(url) as server:
        return server.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).rowcount == 1


def fill(url: str, name: str) -> None:
    with psycopg.connect(urlsplit(url)._replace(path=f"/{name}").geturl()) as link:
        link.execute("CREATE TABLE theirs (v int)")


def test_an_empty_one_of_somebody_else_is_used_and_stays(
    two: tuple[PostgreSQLAdmin, PostgreSQLAdmin], url: str, foreign: str
) -> None:
    two[0].create_named(foreign)
    two[0].drop(foreign)
    assert exists(url, foreign)


def test_one_with_something_in_it_is_refused_and_nobody_waits_for_it(
    two: tuple[PostgreSQLAdmin, PostgreSQLAdmin], url: str, foreign: str
) -> None:
    fill(url, foreign)
    for admin in two:  # the second one would wait for ever for a lock that the first one has kept
        with pytest.raises(EngineError, match="that the harness has not made, and it is not empty"):
            admin.create_named(foreign)
    assert exists(url, foreign)


def test_on_a_server_of_ours_it_is_made_anew(
    two: tuple[PostgreSQLAdmin, PostgreSQLAdmin], url: str, foreign: str
) -> None:
    fill(url, foreign)
    two[0].create_named(foreign, replace=True)
    two[0].drop(foreign)
    assert not exists(url, foreign)


def test_what_is_shared_is_held_together_and_what_is_had_alone_waits(
    two: tuple[PostgreSQLAdmin, PostgreSQLAdmin], suite: Suite
) -> None:
    name = f"test {suite.settings.worker}"
    order: list[str] = []

    def alone() -> None:
        with two[1].holding([], [name]):
            order.append("alone")

    with two[0].holding([name], []):
        with two[1].holding([name], []):
            order.append("together")
        thread = threading.Thread(target=alone)
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        order.append("first has ended")
    eventually(lambda: not thread.is_alive(), "the lock is had")
    assert order == ["together", "first has ended", "alone"]
