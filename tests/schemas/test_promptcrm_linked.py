"""PromptCrm and PromptAds as linked servers of each other: queries over both, and how linking goes wrong.

On the stand-ins by postgres_fdw; over TDS, test_tds.py.
"""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql
from tds import ask, run

from fixtures.databases import Database
from harness.schemas import PROMPTSALES

pytestmark = [pytest.mark.queries, pytest.mark.data("sample")]

RETURN = [
    (1, "Spring", Decimal("1000.00"), 2, Decimal("160.00")),
    (2, "Summer", Decimal("1000.00"), 1, Decimal("200.00")),
    (3, "Christmas", Decimal("1000.00"), 0, Decimal("0.00")),
]
COST = [
    (1, "Spring", Decimal("42.75"), 2, Decimal("21.38")),
    (2, "Summer", Decimal("20.00"), 1, Decimal("20.00")),
    (3, "Christmas", Decimal("0.00"), 0, None),
]
REVENUE = [
    (1, "Spring", Decimal("42.75"), Decimal("160.00")),
    (2, "Summer", Decimal("20.00"), Decimal("200.00")),
    (3, "Christmas", Decimal("0.00"), Decimal("0.00")),
]


@pytest.fixture
def both(promptads_db: Database, promptcrm_db: Database) -> tuple[Database, Database]:
    if "sqlserver" in (promptads_db.engine, promptcrm_db.engine):
        pytest.skip("these are the tests of postgres_fdw; test_tds.py has those of T-SQL")
    return promptads_db, promptcrm_db


def arguments(database: Database, **other: Any) -> list[Any]:
    """Host, port, database, user and password of a database."""
    given = conninfo.conninfo_to_dict(database.url) | other
    return [given["host"], int(given["port"]), given["dbname"], given["user"], given.get("password", "")]


def link(connection: Any, name: str, database: Database, **other: Any) -> None:
    connection.execute(f"SELECT {name}(%s, %s, %s, %s, %s)", arguments(database, **other))


def test_the_queries_over_both(both: tuple[Database, Database]) -> None:
    ads, crm = both
    link(crm.connect(), "link_ads", ads)
    link(ads.connect(), "link_crm", crm)
    assert ask(crm, "campaign_return") == RETURN
    assert ask(crm, "cost_per_client") == COST
    assert ask(ads, "campaign_revenue") == REVENUE
    run(ads, "UPDATE campaign SET budget = 7 WHERE id = 2")
    run(
        crm,
        "INSERT INTO sale (id, client_id, campaign_id, opportunity_id, sold_on, status, total) VALUES "
        "(4, 2, 3, NULL, '2026-12-01', 'open', 9), (5, 2, 3, NULL, '2026-12-01', 'cancelled', 9)",
    )
    assert [row[2:] for row in ask(crm, "campaign_return")] == [(1000, 2, 160), (7, 1, 200), (1000, 0, 9)]
    assert ask(ads, "campaign_revenue")[2] == (3, "Christmas", Decimal("0.00"), Decimal("9.00"))


def test_linking_again(both: tuple[Database, Database]) -> None:
    ads, crm = both
    connection = crm.connect()
    for _ in range(2):
        link(connection, "link_ads", ads)
        assert ask(crm, "campaign_return", connection) == RETURN


def test_the_files_of_the_server_apply_again_by_several_at_once(both: tuple[Database, Database]) -> None:
    for database in both:
        (file,) = (PROMPTSALES / database.logical / "postgresql" / "server").glob("60_*.sql")
        connections = [database.connect() for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(psycopg.Connection.execute, connections, [file.read_text()] * 4))
    link(both[1].connect(), "link_ads", both[0])
    assert ask(both[1], "campaign_return") == RETURN


def test_a_name_that_needs_quotes(both: tuple[Database, Database]) -> None:
    ads, crm = both
    user, password = f"o'Brien \"{secrets.token_hex(4)}", 'it\'s\\ a "secret"'
    connection = ads.connect()
    who = sql.Identifier(user)
    connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(who, password))
    try:
        connection.execute(sql.SQL("GRANT SELECT ON campaign, budget, channel TO {}").format(who))
        link(crm.connect(), "link_ads", ads, user=user, password=password)
        assert ask(crm, "campaign_return") == RETURN
        with pytest.raises(Exception, match="permission denied for table campaign"):
            run(crm, "UPDATE ads.campaign SET budget = 0")
    finally:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(who))
        connection.execute(sql.SQL("DROP ROLE {}").format(who))


def test_nothing_sensitive_is_linked(both: tuple[Database, Database]) -> None:
    ads, crm = both
    link(ads.connect(), "link_crm", crm)
    columns = run(ads, "SELECT column_name FROM information_schema.columns WHERE table_schema = 'crm'")
    assert ("client_id",) in columns
    assert not [name for (name,) in columns if "cipher" in name or "hash" in name]


def test_a_wrong_password(both: tuple[Database, Database]) -> None:
    ads, crm = both
    connection = crm.connect()
    with pytest.raises(Exception, match="could not connect to server") as caught:
        link(connection, "link_ads", ads, password="n0tIt")
    assert "n0tIt" not in everything(caught.value)
    link(connection, "link_ads", ads)  # nothing is left of the failure
    with pytest.raises(Exception, match="could not connect to server"):
        link(connection, "link_ads", ads, password="n0tIt")
    assert ask(crm, "campaign_return", connection) == RETURN  # and what was linked before still is


@pytest.mark.parametrize("name", ["link_ads", "link_crm"])
def test_a_statement_that_fails_does_not_show_the_password(both: tuple[Database, Database], name: str) -> None:
    """PostgreSQL puts the statement that failed into an error's context."""
    ads, crm = both
    here, there = (crm, ads) if name == "link_ads" else (ads, crm)
    with pytest.raises(Exception, match="syntax error") as caught:  # a NULL where the user should be
        here.connect().execute(f"SELECT {name}('127.0.0.1', 1, 'x', NULL, 'n0tIt')")
    assert "n0tIt" not in everything(caught.value)
    assert there.name != here.name


def everything(error: Any) -> str:
    """All that the server says of an error."""
    fields = ("message_primary", "message_detail", "context", "internal_query", "statement_position")
    return " ".join(str(getattr(error.diag, field)) for field in fields) + str(error)


@pytest.mark.parametrize("name", ["link_ads", "link_crm"])
def test_a_database_without_the_tables(both: tuple[Database, Database], name: str) -> None:
    here = both[1] if name == "link_ads" else both[0]
    with pytest.raises(Exception, match=r"has no tables of PromptAds|does not exist"):
        link(here.connect(), name, here, dbname="postgres")
    assert run(here, "SELECT COUNT(*) FROM pg_foreign_server") == [(0,)]


def test_only_who_may_links(both: tuple[Database, Database]) -> None:
    ads, crm = both
    connection, role = crm.connect(), f"psh_{secrets.token_hex(4)}"
    connection.execute(f"CREATE ROLE {role}")
    try:
        connection.execute(f"SET ROLE {role}")
        with pytest.raises(Exception, match="permission denied for function link_ads"):
            link(connection, "link_ads", ads)
        connection.execute("RESET ROLE")
        link(connection, "link_ads", ads)
        connection.execute(f"SET ROLE {role}")
        with pytest.raises(Exception, match="permission denied for schema ads"):
            connection.execute("SELECT * FROM ads.campaign")
    finally:
        connection.execute("RESET ROLE")
        connection.execute(f"DROP ROLE {role}")
