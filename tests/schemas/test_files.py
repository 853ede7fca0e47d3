"""Which files make up a database, in which order, cut how; and what is said when they are not as they must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import DataError
from harness.schemas import Wanted, folder_for, has_schema, scripts


def put(root: Path, name: str, text: str) -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("20_indexes.sql", "10_tables.sql", "server/10_roles.sql", "notes.sql", "README.md", "queries/one.sql"):
        put(tmp_path, f"promptads/postgresql/{name}", f"-- {name}")
    return tmp_path


def names(root: Path, wanted: Wanted = Wanted.empty, *, server: bool = False) -> list[str]:
    made = scripts(root, "promptads", "postgresql", wanted, server=server)
    return [script.file.relative_to(root / "promptads").as_posix().removeprefix("postgresql/") for script in made]


def test_numbered_files_in_the_order_of_their_names(root: Path) -> None:
    assert names(root) == ["10_tables.sql", "20_indexes.sql"]


def test_those_of_the_server_come_after_and_only_if_wanted(root: Path) -> None:
    assert names(root, server=True) == ["10_tables.sql", "20_indexes.sql", "server/10_roles.sql"]


def test_the_sample_comes_last(root: Path) -> None:
    put(root, "promptads/sample.sql", "")
    assert names(root, Wanted.sample, server=True)[-2:] == ["server/10_roles.sql", "sample.sql"]


def test_an_engines_own_sample_goes_before_the_common_one(root: Path) -> None:
    put(root, "promptads/sample.sql", "")
    put(root, "promptads/postgresql/sample.sql", "")
    made = scripts(root, "promptads", "postgresql", Wanted.sample, server=False)
    assert made[-1].file == root / "promptads/postgresql/sample.sql"


def test_a_sample_that_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(
        DataError, match=r"no sample of promptads for postgresql: neither .*sample\.sql nor one folder up"
    ):
        names(root, Wanted.sample)


def test_no_schema_at_all_says_where_it_was_looked_for(root: Path) -> None:
    assert has_schema(root, "promptads", "postgresql")
    assert not has_schema(root, "promptads", "sqlserver")
    with pytest.raises(
        DataError, match=r"no schema of promptads for sqlserver: no file like 10_tables\.sql in .*sqlserver"
    ):
        scripts(root, "promptads", "sqlserver", Wanted.empty, server=False)


def test_t_sql_is_cut_at_go_and_each_batch_knows_its_line(tmp_path: Path) -> None:
    text = "CREATE TABLE a (x int)\nGO\n\n  CREATE TABLE b (go int)\n  go ;\nSELECT 'GO'\n-- GO on\nGO\n\n"
    put(tmp_path, "promptads/sqlserver/10_t.sql", text)
    (script,) = scripts(tmp_path, "promptads", "sqlserver", Wanted.empty, server=False)
    assert script.parts == (
        (1, "CREATE TABLE a (x int)"),
        (4, "CREATE TABLE b (go int)"),
        (6, "SELECT 'GO'\n-- GO on"),
    )
    assert script.where(4).endswith("10_t.sql:4:1")


def test_a_postgresql_file_stays_whole(tmp_path: Path) -> None:
    text = "CREATE FUNCTION f() RETURNS int AS $$ SELECT 1; $$ LANGUAGE sql;\nGO\n"
    put(tmp_path, "promptads/postgresql/10_t.sql", text)
    (script,) = scripts(tmp_path, "promptads", "postgresql", Wanted.empty, server=False)
    assert script.parts == ((1, text),)


def test_mongodbs_commands_with_their_lines(tmp_path: Path) -> None:
    put(
        tmp_path,
        "promptcontent/mongodb/10_c.yaml",
        "# two\n- create: content\n- createIndexes: content\n  indexes: []\n",
    )
    (script,) = scripts(tmp_path, "promptcontent", "mongodb", Wanted.empty, server=False)
    assert script.parts == ((2, {"create": "content"}), (3, {"createIndexes": "content", "indexes": []}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("create: content", r"10_c\.yaml: must be a list of command documents"),
        ("- create", r"10_c\.yaml: must be a list of command documents"),
        ("- {}", r"10_c\.yaml: must be a list of command documents"),
        ("- {create: content", r"10_c\.yaml:1:\d+: "),
        ("- a: 1\n- b: [", r"10_c\.yaml:2:\d+: "),
        ("", r"10_c\.yaml: must be a list of command documents"),
    ],
)
def test_what_is_no_list_of_commands_is_told(tmp_path: Path, text: str, said: str) -> None:
    put(tmp_path, "promptcontent/mongodb/10_c.yaml", text)
    with pytest.raises(DataError, match=said):
        scripts(tmp_path, "promptcontent", "mongodb", Wanted.empty, server=False)


def test_redis_libraries_and_commands(tmp_path: Path) -> None:
    put(tmp_path, "cache/redis/10_limiter.lua", "#!lua name=x\n")
    put(tmp_path, "cache/redis/sample.redis", "# known keys\nSET plan:7:price 100\n\nHSET h f 'two words'\n")
    library, sample = scripts(tmp_path, "cache", "redis", Wanted.sample, server=False)
    assert library.parts == ((1, ["FUNCTION", "LOAD", "REPLACE", "#!lua name=x\n"]),)
    assert sample.parts == ((2, ["SET", "plan:7:price", "100"]), (4, ["HSET", "h", "f", "two words"]))


def test_an_open_quote_in_redis_commands_is_told_with_its_line(tmp_path: Path) -> None:
    put(tmp_path, "cache/redis/10_limiter.lua", "#!lua name=x\n")
    put(tmp_path, "cache/redis/sample.redis", "SET a 1\nSET b 'open\n")
    with pytest.raises(DataError, match=r"sample\.redis:2:1: No closing quotation"):
        scripts(tmp_path, "cache", "redis", Wanted.sample, server=False)


def test_a_file_that_is_no_utf_8_is_told(tmp_path: Path) -> None:
    put(tmp_path, "promptads/postgresql/10_t.sql", "").write_bytes(b"-- caf\xe9")
    with pytest.raises(DataError, match=r"10_t\.sql: cannot be read"):
        scripts(tmp_path, "promptads", "postgresql", Wanted.empty, server=False)


def test_the_nearest_folder_above_a_scenario(tmp_path: Path) -> None:
    otherwise = tmp_path / "else"
    scenario = put(tmp_path, "a/scenarios/deadlock/one.yaml", "")
    assert folder_for(scenario, otherwise) == otherwise
    (tmp_path / "schemas").mkdir()
    assert folder_for(scenario, otherwise) == tmp_path / "schemas"
    (tmp_path / "a/schemas").mkdir()
    assert folder_for(scenario, otherwise) == tmp_path / "a/schemas"
