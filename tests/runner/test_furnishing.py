"""What a throw-away database has in it: filled once, copied after; and what happens if it cannot be filled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness.engines.base import Engine
from harness.errors import DataError, EngineError
from harness.evidence.model import Status
from harness.history import RunEnd
from harness.runner.databases import Databases
from harness.runner.furnishing import Furnishing, schema, seeded
from harness.schemas import Wanted
from harness.servers.base import Target
from harness.suite import Suite, new_run_id

from .conftest import Play

ROOT = Path(__file__).parents[2]


@pytest.fixture
def makers(suite: Suite) -> Iterator[Databases]:
    made = Databases(suite.servers, new_run_id())
    yield made
    made.close()


class Filling:
    """A furnishing that makes one table, and counts."""

    def __init__(self, statement: str = "CREATE TABLE filled (x int)") -> None:
        self.times = 0
        self.statement = statement
        self.furnishing = Furnishing(statement, self.fill)

    def fill(self, target: Target, engine: Engine, url: str) -> None:
        self.times += 1
        with psycopg.connect(url) as connection:
            connection.execute(self.statement.encode())


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in rows}


def test_filled_once_and_copied_after(makers: Databases) -> None:
    filling = Filling()
    one, two = (makers.make("promptsales", (), furnishing=filling.furnishing) for _ in range(2))
    assert filling.times == 1
    with psycopg.connect(one.url) as connection:
        connection.execute("DROP TABLE filled")
    assert (tables(one.url), tables(two.url)) == (set(), {"filled"})
    third = makers.make("promptsales", (), furnishing=filling.furnishing)
    assert tables(third.url) == {"filled"}, "what was done to one copy is in no other"


def test_another_furnishing_and_another_logical_database_have_templates_of_their_own(makers: Databases) -> None:
    first, second = Filling(), Filling("CREATE TABLE other (x int)")
    makers.make("promptsales", (), furnishing=first.furnishing)
    made = makers.make("promptsales", (), furnishing=second.furnishing)
    assert tables(made.url) == {"other"}
    makers.make("promptads", (), furnishing=first.furnishing)
    assert (first.times, second.times) == (2, 1)
    assert len(makers.templates) == 3


def test_what_cannot_be_filled_leaves_nothing_behind(makers: Databases, suite: Suite) -> None:
    def fail(target: Target, engine: Engine, url: str) -> None:
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        makers.make("promptsales", (), furnishing=Furnishing("fails", fail))
    assert makers.templates == frozenset()
    with psycopg.connect(suite.servers.target("promptsales").url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_database WHERE datname LIKE %s", (f"psh_{makers.run}%",))
        assert row.fetchone() == (0,)


def test_templates_go_at_the_end(suite: Suite) -> None:
    made = Databases(suite.servers, new_run_id())
    made.make("promptsales", (), furnishing=Filling().furnishing)
    made.close()
    with psycopg.connect(suite.servers.target("promptsales").url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_database WHERE datname LIKE %s", (f"psh_{made.run}%",))
        assert row.fetchone() == (0,)


def test_a_copy_of_what_is_not_there_is_one_line(makers: Databases) -> None:
    made = makers.make("promptsales", ())
    with pytest.raises(EngineError, match=r'cannot create database .*: template database "nothing" does not exist'):
        made.admin.create_copy("psh_x_1", "nothing")  # type: ignore[attr-defined]


def test_an_engine_without_copies_fills_each_one(makers: Databases) -> None:
    first, second = (
        makers.make("promptcontent", (), furnishing=schema(ROOT / "schemas", Wanted.sample)) for _ in range(2)
    )
    assert first.name != second.name
    assert makers.templates == frozenset()


DATA = """
title: With data
database: promptsales
levels: {postgresql: [read committed]}
data: sample
items: {budget: SELECT budget FROM campaign WHERE id = 1}
sessions:
  T1:
    steps: {read: {run: SELECT budget FROM campaign WHERE id = 1, reads: budget}}
schedule: [read]
expect: {postgresql: {any: {sees: {read: 1000}}}}
"""


def test_a_scenario_with_data_has_the_business_tables(play: Play, suite: Suite) -> None:
    suite.databases.schemas = ROOT / "schemas"
    try:
        evidence = play(DATA)
    finally:
        suite.databases.schemas = None
    assert evidence.verdict.status is Status.passed, evidence.verdict.mismatches
    assert evidence.history.end is RunEnd.completed


def test_the_nearest_schemas_above_the_scenario_are_taken(play: Play) -> None:
    folder = play.folder / "schemas/promptsales/postgresql"
    folder.mkdir(parents=True)
    (folder / "10_t.sql").write_text("CREATE TABLE campaign (id int, budget int)", "utf-8")
    (folder / "sample.sql").write_text("INSERT INTO campaign VALUES (1, 1000)", "utf-8")
    assert play(DATA).verdict.status is Status.passed


def test_a_schema_that_is_wrong_is_told_with_its_file(play: Play) -> None:
    folder = play.folder / "schemas/promptsales/postgresql"
    folder.mkdir(parents=True)
    (folder / "10_t.sql").write_text("CREATE TABEL campaign (id int)", "utf-8")
    with pytest.raises(DataError, match=r'10_t\.sql:1:1: 42601 syntax error at or near "TABEL"'):
        play(DATA.replace("data: sample", "data: empty"))


def test_seeded_data_of_another_size_is_another_furnishing() -> None:
    made = [seeded("tiny"), seeded("small"), seeded("small", contents=36), seeded("small", contents=12)]
    assert len({one.name for one in made}) == 4
    assert seeded("small", contents=36).name == made[2].name
