from __future__ import annotations

import pytest

from harness.monitor.scrubbing import LONGEST, scrub_statement

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT * FROM client WHERE id = 42 AND name = 'Ana'", "SELECT * FROM client WHERE id = ? AND name = ?"),
        ("UPDATE t\n  SET v = $1,\n w=-1.5e3 -- Ana\n/* 7 */ WHERE id=$2", "UPDATE t SET v = $1, w=-? WHERE id=$2"),
        ('SELECT "Weird ""name""", t1.c2 FROM t1', 'SELECT "Weird ""name""", t1.c2 FROM t1'),
        (r"SELECT E'it\'s' || 'x'", "SELECT ? || ?"),
        ("SELECT 'it''s' || N'x' || U&'y' || B'101' || X'ff'", "SELECT ? || ? || ? || ? || ?"),
        ("INSERT INTO t VALUES (1, 'a', 2), ($1, $2, 3)", "INSERT INTO t VALUES (?, …), ($1, $2, ?)"),
        ("DO $$ BEGIN PERFORM 'x'; END $$", "DO ?"),
        ("SELECT $tag$ it's $tag$ AS x", "SELECT ? AS x"),
        ("EXEC register_sales @rows = 0x1F, @name = N'Ana'", "EXEC register_sales @rows = ?, @name = ?"),
        (
            "SELECT [client].[name] FROM dbo.[client] WHERE [id] = 7",
            "SELECT [client].[name] FROM dbo.[client] WHERE [id] = ?",
        ),
        ("SELECT '{1,2}'::int[], a[3]", "SELECT ?::int[], a[3]"),
        ('DROP DATABASE IF EXISTS "psh_20260101x_gw0x5" WITH (FORCE)', 'DROP DATABASE IF EXISTS "psh_…" WITH (FORCE)'),
    ],
)
def test_values_are_taken_out(statement: str, shown: str) -> None:
    assert scrub_statement(statement) == shown


@pytest.mark.parametrize(
    "statement",
    [
        f"ALTER ROLE ana WITH LOGIN PASSWORD '{SECRET}'",
        f"CREATE USER ana ENCRYPTED PASSWORD $${SECRET}$$",
        f"CREATE SUBSCRIPTION s CONNECTION 'host=x password={SECRET}' PUBLICATION p",
        f"CREATE USER MAPPING FOR ana SERVER crm OPTIONS (user 'ana', password '{SECRET}')",
        f"CREATE LOGIN [psh] WITH PASSWORD = N'{SECRET}'",
        f"OPEN MASTER KEY DECRYPTION BY PASSWORD = '{SECRET}'",
        f"SELECT dblink_connect('password={SECRET}')",
        f"SELECT 'not closed {SECRET}",
        f"SELECT $x$ not closed {SECRET}",
        f'ALTER ROLE "not closed {SECRET}',
        f"SELECT 1 /* {SECRET}",
        f"SELECT 1 -- {SECRET}",
        f"SET my.secret = '{SECRET}'",
        f"SELECT E'\\' {SECRET} '",
    ],
)
def test_no_secret_gets_through(statement: str) -> None:
    assert SECRET not in scrub_statement(statement)


def test_of_what_may_hold_a_secret_only_its_first_words_are_shown() -> None:
    assert scrub_statement(f"ALTER ROLE ana PASSWORD '{SECRET}'") == "ALTER ROLE …"


def test_a_long_one_is_cut() -> None:
    assert len(scrub_statement("SELECT " + ", ".join(f"column_{n}" for n in range(2000)))) == LONGEST
