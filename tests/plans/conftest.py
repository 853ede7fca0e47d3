from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pymongo
import pytest

from harness.runner.databases import Made
from harness.suite import Suite

ROWS = 5000


@pytest.fixture
def table(suite: Suite) -> Iterator[Made]:
    """A database on PostgreSQL with a table ``t`` of 5,000 rows and two indexes."""
    made = suite.databases.make("promptsales", ())
    with psycopg.connect(made.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int CONSTRAINT pk_t PRIMARY KEY, v int NOT NULL, w int NOT NULL)")
        connection.execute(f"INSERT INTO t SELECT g, g % 500, g % 7 FROM generate_series(1, {ROWS}) AS g".encode())
        connection.execute("CREATE INDEX ix_t_v ON t (v)")
        connection.execute("CREATE INDEX ix_t_w ON t (w)")
        connection.execute("ANALYZE t")
    yield made
    suite.databases.drop(made)


@pytest.fixture
def collection(suite: Suite) -> Iterator[Made]:
    """A database on MongoDB's stand-in with a collection ``t`` of 300 documents and an index."""
    made = suite.databases.make("promptcontent", ())
    with pymongo.MongoClient(made.url) as client:
        database = client.get_default_database()
        database["t"].insert_many([{"_id": number, "v": number % 30} for number in range(300)])
        database["t"].create_index([("v", 1)], name="by_v")
    yield made
    suite.databases.drop(made)


def indexes(made: Made) -> list[str]:
    """The names of the indexes that are there now."""
    if made.engine.name == "mongodb":
        with pymongo.MongoClient(made.url) as client:
            found = client.get_default_database()["t"].list_indexes()
            return sorted(f"{one['name']}{' (hidden)' if one.get('hidden') else ''}" for one in found)
    with psycopg.connect(made.url) as connection:
        rows = connection.execute("SELECT indexname FROM pg_indexes WHERE tablename = 't' ORDER BY 1").fetchall()
    return [row[0] for row in rows]
