"""Applying files to a real database: all of it, or a line that says where it went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.databases import Database
from harness.engines import engine
from harness.errors import DataError
from harness.schemas import Wanted, apply, scripts


def given(tmp_path: Path, database: Database, text: str, name: str = "10_t.sql") -> None:
    folder = tmp_path / database.logical / database.engine
    folder.mkdir(parents=True)
    (folder / name).write_text(text, "utf-8")
    made = scripts(tmp_path, database.logical, database.engine, Wanted.empty, server=False)
    apply(engine(database.engine), database.url, made)


def test_a_postgresql_file_is_one_transaction(tmp_path: Path, promptsales_db: Database) -> None:
    with pytest.raises(DataError, match=r"10_t\.sql:1:1: 42P07 relation \"client\" already exists"):
        given(tmp_path, promptsales_db, "CREATE TABLE one (x int);\nCREATE TABLE client (x int);\n")
    assert promptsales_db.connect().execute("SELECT to_regclass('one')").fetchone() == (None,)


def test_several_statements_and_functions(tmp_path: Path, promptsales_db: Database) -> None:
    given(tmp_path, promptsales_db, "CREATE TABLE one (x int);\nDO $$ BEGIN INSERT INTO one VALUES (7); END $$;\n")
    assert promptsales_db.connect().execute("SELECT x FROM one").fetchone() == (7,)


def test_a_mongodb_command_that_fails_says_which(tmp_path: Path, promptcontent_db: Database) -> None:
    with pytest.raises(DataError, match=r"10_t\.yaml:2:\d+: \d* ?.*"):
        given(tmp_path, promptcontent_db, "- {create: one}\n- {noSuchCommand: 1}\n", "10_t.yaml")
    assert "one" in promptcontent_db.connect().list_collection_names()


def test_a_redis_library_that_is_none_is_told(tmp_path: Path, cache: Database) -> None:
    with pytest.raises(DataError, match=r"10_t\.lua:1:1: "):
        given(tmp_path, cache, "this is no library", "10_t.lua")


def test_the_login_is_in_no_error(tmp_path: Path, promptsales_db: Database) -> None:
    with pytest.raises(DataError) as caught:
        given(tmp_path, promptsales_db, "SELECT 1 / 0")
    assert "harness:" not in str(caught.value)
    assert promptsales_db.url not in repr(promptsales_db)
