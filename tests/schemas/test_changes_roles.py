"""The ETL's role may ask what changed, and nothing else: no table, no encrypted column, no other routine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fixtures.databases import Database
from fixtures.giving import Giving

pytestmark = pytest.mark.etl

LOGICAL = ("promptads", "promptcrm")
FILE = "schemas/{}/postgresql/server/10_roles.sql"
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=LOGICAL)
def database(request: pytest.FixtureRequest) -> Database:
    request.node.add_marker(pytest.mark.data("sample"))
    found: Database = request.getfixturevalue(f"{request.param}_db")
    if found.engine != "postgresql":
        pytest.skip("there the role is the database's own")
    return found


@pytest.fixture
def login(database: Database) -> Iterator[Any]:
    """A connection of a login that is in the role and in no other one."""
    name, admin = f"etl_{uuid.uuid4().hex[:8]}", database.connect()
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'words' IN ROLE {database.logical}_etl")
    try:
        with psycopg.connect(database.url, user=name, password="words", autocommit=True) as connection:
            yield connection
    finally:
        admin.execute(f"DROP OWNED BY {name}")
        admin.execute(f"DROP ROLE {name}")


def test_the_role_has_one_right(database: Database) -> None:
    connection, role = database.connect(), f"{database.logical}_etl"
    called = connection.execute(
        "SELECT proname FROM pg_proc AS p "
        "WHERE pronamespace = 'public'::regnamespace AND has_function_privilege(%s, oid, 'EXECUTE') "
        "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')",  # postgres_fdw's own
        [role],
    ).fetchall()
    assert called == [("changes_since",)]
    read = connection.execute(
        "SELECT relname FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f', 'S') "
        "AND CASE relkind WHEN 'S' THEN has_sequence_privilege(%s, oid, 'USAGE, SELECT, UPDATE') "
        "ELSE has_any_column_privilege(%s, oid, 'SELECT, INSERT, UPDATE') "
        "OR has_table_privilege(%s, oid, 'DELETE, TRUNCATE') END",
        [role, role, role],
    ).fetchall()
    assert read == []
    assert connection.execute("SELECT has_schema_privilege(%s, 'public', 'CREATE')", [role]).fetchone() == (False,)
    flags = "rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls"
    assert not any(connection.execute(f"SELECT {flags} FROM pg_roles WHERE rolname = %s", [role]).fetchone())


def test_it_reads_changes_of_all_tables_also_as_they_come(database: Database, login: Any) -> None:
    rows = login.execute("SELECT * FROM changes_since(NULL, NULL)").fetchall()
    assert len({row[0] for row in rows}) == 4
    origin, watermark = rows[0][-2:]
    table = {"promptads": "campaign", "promptcrm": "client"}[database.logical]
    database.connect().execute(f"UPDATE {table} SET name = 'x' WHERE id = 1")
    again = login.execute("SELECT kind, id FROM changes_since(%s, %s)", [origin, watermark]).fetchall()
    assert again == [("window", None), (table, 1)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM {table}",
        "UPDATE {table} SET name = 'x'",
        "DELETE FROM {table}",
        "TRUNCATE {table}",
        "SELECT * FROM tombstone",
        "INSERT INTO tombstone (kind, id) VALUES ('x', 1)",
        "UPDATE etl_origin SET purged_to = NULL",
        "SELECT renew_origin()",
        "SELECT purge_tombstones(now()::timestamp)",
        "SELECT * FROM seed_range",
        "CREATE TABLE mine (id int)",
        "ALTER FUNCTION changes_since(text, text) SECURITY INVOKER",
    ],
)
def test_it_can_do_nothing_else(database: Database, login: Any, statement: str) -> None:
    table = {"promptads": "campaign", "promptcrm": "client"}[database.logical]
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName)):
        login.execute(statement.format(table=table))


def test_a_table_of_its_own_does_not_come_before_the_right_one(database: Database, login: Any) -> None:
    table = {"promptads": "campaign", "promptcrm": "client"}[database.logical]
    login.execute(f"CREATE TEMP TABLE {table} (id int, row_version xid8)")
    login.execute("CREATE TEMP TABLE etl_origin (origin text, purged_to xid8)")
    rows = login.execute("SELECT kind FROM changes_since(NULL, NULL)").fetchall()
    assert (table,) in rows


def test_others_may_not_ask(database: Database) -> None:
    admin, name = database.connect(), f"other_{uuid.uuid4().hex[:8]}"
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'words'")
    try:
        with (
            psycopg.connect(database.url, user=name, password="words", autocommit=True) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT * FROM changes_since(NULL, NULL)")
    finally:
        admin.execute(f"DROP ROLE {name}")


def test_who_may_only_delete_leaves_a_tombstone(database: Database) -> None:
    admin, name = database.connect(), f"deleter_{uuid.uuid4().hex[:8]}"
    table, key = {"promptads": ("metric_day", "ad_id"), "promptcrm": ("interaction", "id")}[database.logical]
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'words'")
    try:
        admin.execute(f"GRANT SELECT, UPDATE, DELETE, TRUNCATE ON {table} TO {name}")
        with psycopg.connect(database.url, user=name, password="words", autocommit=True) as connection:
            connection.execute(f"DELETE FROM {table} WHERE {key} = 1")
            connection.execute(f"UPDATE {table} SET {key} = {key}")
            (before,) = admin.execute("SELECT origin FROM etl_origin").fetchone()
            connection.execute(f"TRUNCATE {table}")
        assert admin.execute("SELECT DISTINCT kind, id FROM tombstone").fetchall() == [(table, 1)]
        assert admin.execute("SELECT origin FROM etl_origin").fetchone() != (before,)
    finally:
        admin.execute(f"DROP OWNED BY {name}")
        admin.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize("logical", LOGICAL)
def test_the_file_may_be_run_twice_and_by_several_at_once(logical: str, giving: Giving) -> None:
    text = (ROOT / FILE.format(logical)).read_text()
    with ExitStack() as stack:
        databases = [stack.enter_context(giving.database(logical, "empty")) for _ in range(2)]
        if databases[0].engine != "postgresql":
            pytest.skip("there the role is the database's own")

        def run(number: int) -> None:
            with psycopg.connect(databases[number % 2].url, autocommit=True) as connection:
                for _ in range(3):
                    connection.execute(text)  # type: ignore[arg-type]

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(run, range(6))) == [None] * 6
