"""A server that speaks TDS: the T-SQL side of PromptAds and PromptCrm on it.

It is the one of PROMPTSALES_TEST_TDS_URL, whose login must be allowed to create databases. It need not be a SQL Server: what
it cannot do is found by asking, and skips the test that needs it.

A Babelfish has to be told first, by sp_babelfish_configure with 'ignore' and 'server', to go on at two things that it has in
its own way: escape_hatch_rowversion (there it is the number of the transaction), and
escape_hatch_set_transaction_isolation_level (in a procedure that does nothing: each statement there has its own snapshot).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fixtures.databases import Database
from harness.engines.sqlserver import SQLServer
from harness.engines.sqlserver.driver import connect, parse
from harness.promptsales import queries
from harness.schemas import PROMPTSALES, Wanted, apply, scripts
from harness.schemas.files import Script

URL = os.environ.get("PROMPTSALES_TEST_TDS_URL", "")
WITHOUT = "no server that speaks TDS to test T-SQL with: PROMPTSALES_TEST_TDS_URL is not set"

PROBES = {
    "MERGE": "DECLARE @t TABLE (id int); MERGE INTO @t AS t USING (VALUES (1)) AS n (id) ON t.id = n.id "
    "WHEN NOT MATCHED THEN INSERT (id) VALUES (n.id);",
    "certificates": "SELECT CERT_ID(N'none')",
    "CREATE OR ALTER": "CREATE OR ALTER VIEW dbo.probe AS SELECT 1 AS one",
    "joining of varbinary by +": "SELECT 1 / CASE WHEN DATALENGTH(0x0102 + 0x03) = 3 THEN 1 ELSE 0 END",
    "ALTER DATABASE": "IF 1 = 0 ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON",
    "MIN_ACTIVE_ROWVERSION": "SELECT MIN_ACTIVE_ROWVERSION()",
    "binary as hexadecimal text": "SELECT CONVERT(nvarchar(200), CAST(1 AS binary(8)), 1)",
}
"""What T-SQL a server may lack, each with a statement that fails there."""

NEEDS = {"50_encryption.sql": ("CREATE OR ALTER", "certificates")}
"""What a file needs of the server."""

PARTS_NEED = {"ALTER DATABASE": ("ALTER DATABASE",)}
"""What a part of a file needs, by a word in it. A server without ALTER DATABASE allows SNAPSHOT in any case."""

INSTEAD = {
    # Babelfish's rowversion is the number of the transaction: the oldest one under way.
    "MIN_ACTIVE_ROWVERSION": (
        "MIN_ACTIVE_ROWVERSION()",
        "dbo.min_active_rowversion()",
        "CREATE FUNCTION dbo.min_active_rowversion() RETURNS binary(8) AS BEGIN "
        "RETURN CAST(CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS varchar(20)) AS bigint) AS binary(8)) END",
    ),
    "binary as hexadecimal text": (
        "CONVERT(nvarchar(200), @upper, 1)",
        "dbo.as_hex(@upper)",
        "CREATE FUNCTION dbo.as_hex(@value binary(8)) RETURNS nvarchar(200) AS BEGIN "
        "RETURN CONCAT(N'0x', RIGHT(CONCAT('000000000000000', UPPER(to_hex(CAST(@value AS bigint)))), 16)) END",
    ),
}
"""What a Babelfish lacks and can be given: a text of the files, what is put in its place there, and the function for it."""

READ = {
    "promptads": ("campaign", "ad", "metric_day", "tombstone", "etl_origin"),
    "promptcrm": ("client", "city", "sale", "interaction", "tombstone", "etl_origin"),
}
"""The tables that changes_since reads."""


class Tds:
    """The server, its two databases, what it can do."""

    def __init__(self) -> None:
        engine, run = SQLServer(), f"t{time.time_ns() // 1000 % 36**6:x}"
        self.engine, self.admin = engine, engine.admin(URL, run)
        self.product = str(self.admin.capabilities.product)
        self.urls: dict[str, str] = {}
        self.left_out: dict[str, list[str]] = {}
        self.run = run
        self._lacking: dict[str, bool] = {}

    def url(self, logical: str) -> str:
        """The database's URL; it is made when first asked for."""
        if logical not in self.urls:
            name = f"psh_{self.run}_{logical}"
            self.admin.create(name, ["read committed"])
            self.urls[logical] = self.engine.database_url(URL, name)
            for _, call, function in map(INSTEAD.__getitem__, self._given()):
                self.execute(logical, function, f"GRANT EXECUTE ON {call.partition('(')[0]} TO public")
            files = scripts(PROMPTSALES, logical, "sqlserver", Wanted.empty, server=True)
            able = self.able(files)
            there = [(file.file.name, line) for file in able for line, _ in file.parts]
            self.left_out[logical] = [
                f"{file.file.name}:{line}"
                for file in files
                for line, _ in file.parts
                if (file.file.name, line) not in there
            ]
            apply(self.engine, self.urls[logical], able, self.run)
        return self.urls[logical]

    def able(self, files: list[Script]) -> list[Script]:
        """Files without what this server cannot read."""

        def kept(body: Any) -> bool:
            return not any(map(self.lacks, (one for word, all in PARTS_NEED.items() if word in body for one in all)))

        def said(body: Any) -> Any:
            for what in self._given():
                body = body.replace(*INSTEAD[what][:2])
            return body

        return [
            Script(one.file, tuple((line, said(body)) for line, body in one.parts if kept(body)))
            for one in files
            if not any(map(self.lacks, NEEDS.get(one.file.name, ())))
        ]

    @contextlib.contextmanager
    def chained(self, logical: str) -> Iterator[None]:
        """For a while, where a procedure cannot read for a caller who may not: the ETL's role may read what it reads."""
        what = [] if self.product != "Babelfish" else READ[logical]
        self.execute(logical, *(f"GRANT SELECT ON dbo.{table} TO {logical}_etl" for table in what))
        try:
            yield
        finally:
            self.execute(logical, *(f"REVOKE SELECT ON dbo.{table} FROM {logical}_etl" for table in what))

    def _given(self) -> list[str]:
        """What this server lacks and is given."""
        return [what for what in INSTEAD if self.product == "Babelfish" and self.lacks(what)]

    def execute(self, logical: str, *statements: str) -> None:
        """Run statements in a database, each a batch of its own."""
        connection = connect(self.url(logical), f"psh:{self.run}/own")
        try:
            for statement in statements:
                connection.execute(statement)
        finally:
            connection.close()

    def database(self, logical: str) -> Database:
        """The database with the sample's rows and no others."""
        database = self.empty(logical)
        sample = scripts(PROMPTSALES, logical, "sqlserver", Wanted.sample, server=False)[-1]
        apply(self.engine, database.url, [sample], self.run)
        return database

    def empty(self, logical: str) -> Database:
        """The database without rows; for whoever follows its changes it is another one than before."""
        url = self.url(logical)
        self.execute(logical, *(f"DELETE FROM dbo.{table}" for table in TABLES[logical]), "EXEC dbo.renew_origin")
        return Database(logical, "sqlserver", f"psh_{self.run}_{logical}", url)

    def lacks(self, what: str) -> bool:
        """Whether the server is without something of T-SQL."""
        if what not in self._lacking:
            any_url = next(iter(self.urls.values()))
            connection = connect(any_url, f"psh:{self.run}/probe")
            try:
                connection.execute(PROBES[what])
                self._lacking[what] = False
            except Exception as error:  # noqa: BLE001 (whatever it says, it cannot)
                print(f"{self.product} lacks {what}: {error}")
                self._lacking[what] = True
            finally:
                connection.close()
        return self._lacking[what]

    def need(self, what: str) -> None:
        """Skip the test if the server is without it."""
        if self.lacks(what):
            pytest.skip(f"this server ({self.product}) has no {what}")

    def link_arguments(self, logical: str) -> list[str]:
        """Data source, database, user and password with which this server reaches itself."""
        address = parse(self.url(logical))
        source = f"{address.host}:{address.port}" if self.product == "Babelfish" else "localhost"
        return [source, address.database, address.user, address.password]

    def close(self) -> None:
        """Drop the databases."""
        for logical in self.urls:
            self.admin.drop(f"psh_{self.run}_{logical}")
        self.admin.close()


TABLES = {
    "promptads": (
        "metric_day",
        "ad",
        "budget",
        "campaign",
        "audience",
        "channel",
        "seed_range",
        "tombstone",
        "etl_origin",
    ),
    "promptcrm": (
        "interaction",
        "sale_line",
        "sale",
        "opportunity",
        "contact",
        "client",
        "data_key",
        "product",
        "city",
        "seed_range",
        "tombstone",
        "etl_origin",
    ),
}
"""The tables, those that refer to others first; the last two are filled by what is done to the others."""


def ask(database: Database, name: str, connection: Any = None, /, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query of that database, its values bound."""
    bound = queries.find(database.logical, database.engine, name).bind(values)
    cursor = (connection or database.connect()).execute(*bound)
    return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


def run(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a statement that both engines read alike."""
    cursor = database.connect().execute(sql)
    return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


def changes(connection: Any, origin: str | None = None, watermark: str | None = None) -> Any:
    """What changed since, asked for as the ETL does: a cursor."""
    return connection.execute("EXEC dbo.changes_since @origin = ?, @watermark = ?", origin, watermark)
