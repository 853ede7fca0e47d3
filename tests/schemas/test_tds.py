"""T-SQL on a server that speaks TDS: set PROMPTSALES_TEST_TDS_URL to one whose login may create databases.

With it, the tests of queries and procedures in this folder run on that server too; without it, all of that is skipped. It
need not be a SQL Server: what it lacks is found by asking, and skips what needs it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Any

import pytest
from tds import TABLES, URL, WITHOUT, Tds, ask, run
from test_promptcrm_linked import COST, RETURN, REVENUE

from fixtures.databases import Database
from harness.errors import DataError
from harness.schemas import PROMPTSALES, Wanted, apply, scripts

if not URL:
    pytest.skip(WITHOUT, allow_module_level=True)


@pytest.fixture
def ads(tds: Tds) -> Iterator[Database]:
    database = tds.database("promptads")
    yield database
    database.close()


@pytest.fixture
def crm(tds: Tds) -> Iterator[Database]:
    database = tds.database("promptcrm")
    yield database
    database.close()


@pytest.mark.parametrize("logical", ["promptads", "promptcrm"])
def test_every_file_applies(tds: Tds, logical: str) -> None:
    database = tds.database(logical)
    if tds.left_out[logical]:
        print(f"{tds.product}: left out {tds.left_out[logical]}")
    tables = run(database, "SELECT name FROM sys.tables WHERE name <> 'sysdiagrams'")
    assert {name for (name,) in tables} == set(TABLES[logical])
    database.close()


def test_files_of_the_server_apply_twice(tds: Tds, ads: Database) -> None:
    every = scripts(PROMPTSALES, "promptads", "sqlserver", Wanted.empty, server=True)
    again = [script for script in every if script.file.parent.name == "server"]
    assert again
    apply(tds.engine, ads.url, tds.able(again))


def test_a_file_that_fails_is_named_with_its_line(tds: Tds, ads: Database) -> None:
    tables = scripts(PROMPTSALES, "promptads", "sqlserver", Wanted.empty, server=False)[:1]
    with pytest.raises(DataError, match=r"10_tables\.sql:1:1: 2714 .*channel"):
        apply(tds.engine, ads.url, tables)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("INSERT INTO dbo.channel VALUES (1, 'new', N'New')", 2627),
        ("INSERT INTO dbo.channel VALUES (9, 'search', N'New')", 2627),
        ("INSERT INTO dbo.budget VALUES (9, 99, 1, 1, 1)", 547),
        ("INSERT INTO dbo.budget VALUES (9, 3, 1, -1, 1)", 547),
        ("INSERT INTO dbo.channel VALUES (9, 'new', NULL)", 515),
    ],
)
def test_constraints(ads: Database, sql: str, code: int) -> None:
    with pytest.raises(Exception, match=rf"\({code}\)"):
        run(ads, sql)


def test_the_tax_id_hash_is_unique_where_there_is_one(crm: Database) -> None:
    run(crm, "UPDATE dbo.client SET tax_id_hash = 0x01 WHERE id = 1")
    with pytest.raises(Exception, match="ux_client_tax_id_hash"):
        run(crm, "UPDATE dbo.client SET tax_id_hash = 0x01 WHERE id = 2")


@pytest.fixture
def linked(tds: Tds, ads: Database, crm: Database) -> Iterator[tuple[Database, Database]]:
    """Both databases, linked to each other. The names of linked servers are the server's, so they must be free."""
    connection = crm.connect()
    servers = [str(name) for (name,) in connection.execute("SELECT name FROM sys.servers").fetchall()]
    if {"ads", "crm"} & set(servers):
        pytest.skip("this server has a linked server 'ads' or 'crm' already")
    link = "EXEC dbo.{} @data_source = ?, @database = ?, @user = ?, @password = ?"
    try:
        connection.execute(link.format("link_ads"), tds.link_arguments("promptads"))
        ads.connect().execute(link.format("link_crm"), tds.link_arguments("promptcrm"))
        yield ads, crm
    finally:
        for name, owner in (("ads", crm), ("crm", ads)):
            if run(owner, f"SELECT name FROM sys.servers WHERE name = '{name}'"):
                owner.connect().execute(f"EXEC sp_dropserver '{name}', 'droplogins'")


def test_the_queries_over_both(tds: Tds, linked: tuple[Database, Database]) -> None:
    ads, crm = linked
    assert ask(crm, "campaign_return") == RETURN  # four-part names
    assert ask(crm, "cost_per_client") == COST  # OPENQUERY
    assert ask(ads, "campaign_revenue") == REVENUE
    name = tds.link_arguments("promptads")[1]
    assert run(crm, f"SELECT COUNT(*) FROM ads.[{name}].dbo.campaign") == [(3,)]
    run(ads, "UPDATE dbo.campaign SET budget = 7 WHERE id = 2")
    assert ask(crm, "campaign_return")[1][2] == 7
    columns = run(ads, "SELECT name FROM sys.columns WHERE object_id = OBJECT_ID('crm.client')")
    assert ("campaign_id",) in columns
    assert not [column for (column,) in columns if "cipher" in column or "hash" in column]


def test_linking_again(tds: Tds, linked: tuple[Database, Database]) -> None:
    _, crm = linked
    crm.connect().execute(
        "EXEC dbo.link_ads @data_source = ?, @database = ?, @user = ?, @password = ?", tds.link_arguments("promptads")
    )
    assert ask(crm, "campaign_return") == RETURN


@pytest.mark.parametrize(
    ("column", "value", "normal"),
    [
        ("email", "  Ana@Example.CR ", "ana@example.cr"),
        ("phone", "+506 8888-0000", "50688880000"),
        ("tax_id", "3-101-a b", "3101AB"),
        ("phone", "none", None),
        ("email", "  ", None),
        ("email", None, None),
    ],
)
def test_what_is_hashed(crm: Database, column: str, value: str | None, normal: str | None) -> None:
    assert crm.connect().execute("SELECT dbo.normalised(?, ?)", column, value).fetchval() == normal


def test_hmac(tds: Tds, crm: Database) -> None:
    tds.need("joining of varbinary by +")
    connection = crm.connect()

    def made(*values: Any) -> Any:
        return connection.execute("SELECT dbo.hmac_sha256(?, ?)", values).fetchval()

    for secret, message in ((b"Jefe", b"what do ya want for nothing?"), (b"\x0b" * 20, b"Hi There"), (b"s" * 64, b"")):
        assert made(secret, message) == hmac.digest(secret, message, "sha256")
    assert connection.execute("SELECT dbo.search_hash(0x01, 'email', 'A@x.y')").fetchval() != (
        connection.execute("SELECT dbo.search_hash(0x01, 'tax_id', 'A@x.y')").fetchval()
    )


def test_encryption(tds: Tds, crm: Database) -> None:
    tds.need("certificates")
    connection = crm.connect()
    connection.execute("EXEC dbo.set_up_encryption @master_password = ?", "only-for-a-test-4711!")
    connection.execute("EXEC dbo.set_up_encryption")  # what is there stays
    protect = "EXEC dbo.protect_client @client_id = ?, @tax_id = ?, @email = ?, @phone = ?"
    connection.execute(protect, (1, "3-101", "Ana@Example.CR", "+506 1"))
    connection.execute(protect, (2, "3-102", None, "+506 2"))
    values = "SELECT id, tax_id, email, phone FROM dbo.client_sensitive WHERE id < 3 ORDER BY id"
    clear = [(1, "3-101", "Ana@Example.CR", "+506 1"), (2, "3-102", None, "+506 2")]
    assert run(crm, values) == clear
    before = run(crm, "SELECT tax_id_cipher, tax_id_hash FROM dbo.client WHERE id = 1")
    assert b"3-101" not in before[0][0]
    for batch in (1, 1000):
        connection.execute("EXEC dbo.rotate_data_key @batch = ?", batch)
        assert run(crm, values) == clear
    after = run(crm, "SELECT tax_id_cipher, tax_id_hash FROM dbo.client WHERE id = 1")
    assert before[0][0] != after[0][0]
    assert before[0][1] == after[0][1]
    assert run(crm, "SELECT version FROM dbo.data_key WHERE version > 0 AND retired_at IS NULL") == [(3,)]
    for call in ("email ' ana@example.cr'", "tax_id '3101'", "phone '5061'"):
        column, value = call.split(" ", 1)
        assert run(crm, f"EXEC dbo.find_client_by_{column} {value}")[0][0] == 1
    run(crm, "UPDATE dbo.client SET tax_id_cipher = (SELECT tax_id_cipher FROM dbo.client WHERE id = 1) WHERE id = 2")
    assert run(crm, values)[1][1] is None  # a ciphertext of another client
    with pytest.raises(Exception, match=r"\(50024\)"):
        connection.execute("EXEC dbo.rotate_data_key")
    with pytest.raises(Exception, match=r"\(50023\)"):
        connection.execute(protect, (99, "1", "2", "3"))
