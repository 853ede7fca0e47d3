"""Who may call dbo.changes_since on a server that speaks TDS, and what else: the ETL's role, and its login for a while.

The login of PROMPTSALES_TEST_TDS_URL must be allowed to make logins.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tds import URL, WITHOUT, Tds, changes

from fixtures.databases import Database
from harness.engines.sqlserver.driver import connect
from harness.errors import HarnessError
from harness.servers.logins_sqlserver import SQLServerLogin

if not URL:
    pytest.skip(WITHOUT, allow_module_level=True)


@pytest.fixture(params=["promptads", "promptcrm"])
def either(tds: Tds, request: pytest.FixtureRequest) -> Iterator[Database]:
    database = tds.database(request.param)
    yield database
    database.close()


@pytest.fixture
def login(either: Database) -> Iterator[Database]:
    """The database as the ETL's own login sees it."""
    name, group = f"psh_etl_{uuid.uuid4().hex[:12]}", f"{either.logical}_etl"
    with SQLServerLogin(either.url, name, group, "psh_etl_") as url:
        mine = Database(either.logical, "sqlserver", either.name, url)
        yield mine
        mine.close()
    with pytest.raises(HarnessError):
        connect(url, "psh:test").close()


def test_the_role_reads_changes_as_they_come(tds: Tds, either: Database, login: Database) -> None:
    with tds.chained(either.logical):
        check_role(either, login.connect())


def check_role(either: Database, connection: Any) -> None:
    rows = changes(connection).fetchall()
    assert len({row[0] for row in rows}) == 4
    table = {"promptads": "campaign", "promptcrm": "client"}[either.logical]
    either.connect().execute(f"UPDATE {table} SET name = 'x' WHERE id = 1")
    again = changes(connection, rows[0][-2], rows[0][-1]).fetchall()
    assert [(row[0], row[2]) for row in again] == [("window", None), (table, 1)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM dbo.{table}",
        "UPDATE dbo.{table} SET name = 'x'",
        "DELETE FROM dbo.{table}",
        "SELECT * FROM dbo.tombstone",
        "INSERT INTO dbo.tombstone (kind, id) VALUES ('x', 1)",
        "UPDATE dbo.etl_origin SET purged_to = NULL",
        "EXEC dbo.renew_origin",
        "EXEC dbo.purge_tombstones",
        "SELECT * FROM dbo.seed_range",
        "CREATE TABLE dbo.mine (id int)",
        "DROP PROCEDURE dbo.changes_since",
    ],
)
def test_it_can_do_nothing_else(either: Database, login: Database, statement: str) -> None:
    table = {"promptads": "campaign", "promptcrm": "client"}[either.logical]
    with pytest.raises(Exception, match=r"(?i)permission|must be owner|do(es)? not have"):
        login.connect().execute(statement.format(table=table))
    assert either.connect().execute("SELECT COUNT(*) FROM dbo.etl_origin").fetchval() == 1
