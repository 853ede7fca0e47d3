"""A server that speaks TDS: the T-SQL side of PromptAds and PromptCrm on it.

It is the one of PROMPTSALES_TEST_TDS_URL, whose login must be allowed to create databases. It need not be a SQL Server: what
it cannot do is found by asking, and skips the test that needs it.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from fixtures.databases import Database
from harness.engines.sqlserver import SQLServer
from harness.engines.sqlserver.driver import connect, parse
from harness.promptsales import queries
from harness.schemas import PROMPTSALES, Wanted, apply, scripts

URL = os.environ.get("PROMPTSALES_TEST_TDS_URL", "")
WITHOUT = "no server that speaks TDS to test T-SQL with: PROMPTSALES_TEST_TDS_URL is not set"

PROBES = {
    "MERGE": "DECLARE @t TABLE (id int); MERGE INTO @t AS t USING (VALUES (1)) AS n (id) ON t.id = n.id "
    "WHEN NOT MATCHED THEN INSERT (id) VALUES (n.id);",
    "certificates": "SELECT CERT_ID(N'none')",
    "CREATE OR ALTER": "CREATE OR ALTER VIEW dbo.probe AS SELECT 1 AS one",
    "joining of varbinary by +": "SELECT 1 / CASE WHEN DATALENGTH(0x0102 + 0x03) = 3 THEN 1 ELSE 0 END",
}
"""What T-SQL a server may lack, each with a statement that fails there."""

NEEDS = {"50_encryption.sql": ("CREATE OR ALTER", "certificates")}
"""What a file needs of the server."""


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
            files = scripts(PROMPTSALES, logical, "sqlserver", Wanted.empty, server=True)
            self.left_out[logical] = [
                script.file.name for script in files if any(map(self.lacks, NEEDS.get(script.file.name, ())))
            ]
            kept = [script for script in files if script.file.name not in self.left_out[logical]]
            apply(self.engine, self.urls[logical], kept, self.run)
        return self.urls[logical]

    def database(self, logical: str) -> Database:
        """The database with the sample's rows and no others."""
        url = self.url(logical)
        sample = scripts(PROMPTSALES, logical, "sqlserver", Wanted.sample, server=False)[-1]
        connection = connect(url, f"psh:{self.run}/refill")
        try:
            for table in TABLES[logical]:
                connection.execute(f"DELETE FROM dbo.{table}")
        finally:
            connection.close()
        apply(self.engine, url, [sample], self.run)
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
    "promptads": ("metric_day", "ad", "budget", "campaign", "audience", "channel", "seed_range"),
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
    ),
}
"""The tables, those that refer to others first."""


def ask(database: Database, name: str, connection: Any = None, /, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query of that database, its values bound."""
    bound = queries.find(database.logical, database.engine, name).bind(values)
    cursor = (connection or database.connect()).execute(*bound)
    return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


def run(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a statement that both engines read alike."""
    cursor = database.connect().execute(sql)
    return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
