"""The tools of PromptAds and PromptCrm on a server that speaks TDS say what they say on the stand-in, of the same rows.

The login of PROMPTSALES_TEST_TDS_URL must be allowed to make logins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tds import URL, WITHOUT, Tds

from fixtures.databases import Database
from harness.engines.sqlserver.driver import database_url
from harness.errors import SourceError, ToolRefused
from harness.mcp import promptads, promptcrm
from harness.mcp.model import Answer
from harness.mcp.sql import SqlSource
from harness.promptsales.queries import Query
from harness.servers.base import Target
from harness.servers.logins import Entered, LoginFor, logins
from harness.servers.roles import with_login
from harness.sso.model import Caller

if not URL:
    pytest.skip(WITHOUT, allow_module_level=True)

pytestmark = [pytest.mark.mcp, pytest.mark.data("sample")]

ANALYST = Caller("local.test", "test@example.com", frozenset({"analyst"}), "test")


def target(database: Database) -> Target:
    return Target(database.logical, database.engine, database.url)


def plain(answer: Answer) -> Any:
    """An answer for comparing: distances are of an ellipsoid there and of a sphere here."""

    def rough(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: round(one, -1) if name == "kilometres" else rough(one) for name, one in value.items()}
        return [rough(one) for one in value] if isinstance(value, list) else value

    return rough(answer.model_dump(mode="json", exclude={"next_cursor"}))


def entered(database: Database, wanted: tuple[LoginFor, ...]) -> Any:
    return logins({database.logical: target(database)}, wanted, "psh_test_", valid=None)


@pytest.fixture
def ads(tds: Tds) -> Iterator[Entered]:
    database = tds.database("promptads")
    with entered(database, promptads.LOGINS) as made:
        assert made.own == promptads.LOGINS, made.notes
        yield made
    database.close()


@pytest.fixture
def crm(tds: Tds) -> Iterator[Entered]:
    database = tds.database("promptcrm")
    with entered(database, promptcrm.LOGINS) as made:
        assert made.own == promptcrm.LOGINS, made.notes
        yield made
    database.close()


def test_promptads(ads: Entered, promptads_db: Database) -> None:
    there = promptads.open_toolset(ads.targets)
    here = promptads.open_toolset({promptads.LOGINS[0]: target(promptads_db)})
    connection = promptads_db.connect()
    ids = [row[0] for row in connection.execute("SELECT id FROM campaign ORDER BY id")]
    (start,) = connection.execute("SELECT max(starts_on) FROM campaign WHERE status = 'active'").fetchone()
    word = connection.execute("SELECT name FROM campaign ORDER BY id").fetchone()[0][1:4]
    asked: list[Callable[[Any], Answer]] = [
        lambda tools: tools.active_campaigns(ANALYST, on=start),
        lambda tools: tools.active_campaigns(ANALYST, on=start, limit=1),
        lambda tools: tools.active_campaigns(ANALYST, on=start, objective="sales"),
        lambda tools: tools.find_campaigns(ANALYST, text=word.upper()),
        *(
            lambda tools, text=text: tools.find_campaigns(ANALYST, text=text)
            for text in ("%", "_", "[a-z]", "'", "?", "!")
        ),
        *(lambda tools, id_=id_: tools.campaign(ANALYST, id_) for id_ in ids),
        *(lambda tools, id_=id_: tools.campaign_days(ANALYST, id_) for id_ in ids),
        lambda tools: tools.compare_campaigns(ANALYST, ids[0], ids[1]),
    ]
    for ask in asked:
        assert plain(ask(there)) == plain(ask(here))
    assert here.active_campaigns(ANALYST, on=start).items
    page = there.active_campaigns(ANALYST, on=start, limit=1)
    if page.next_cursor:
        after = there.active_campaigns(ANALYST, on=start, cursor=page.next_cursor)
        assert after.items == there.active_campaigns(ANALYST, on=start).items[1:]
    with pytest.raises(ToolRefused, match="there is no campaign 7000"):
        there.campaign(ANALYST, 7000)
    assert "(SQL Server)" in there.schema(ANALYST)


def test_promptcrm(crm: Entered, promptcrm_db: Database) -> None:
    there = promptcrm.open_toolset(crm.targets)
    here = promptcrm.open_toolset(dict.fromkeys(promptcrm.LOGINS, target(promptcrm_db)))
    connection = promptcrm_db.connect()
    ids = [row[0] for row in connection.execute("SELECT id FROM client ORDER BY id")]
    (last,) = connection.execute("SELECT max(sold_on) FROM sale").fetchone()
    asked: list[Callable[[Any], Answer]] = [
        lambda tools: tools.best_clients(ANALYST, until=last),
        lambda tools: tools.best_clients(ANALYST, until=last, country="CR"),
        *(lambda tools, id_=id_: tools.client_history(ANALYST, id_) for id_ in ids),
    ]
    for ask in asked:
        assert plain(ask(there)) == plain(ask(here))
    whole = there.client_history(ANALYST, ids[0], limit=100).items
    found: list[Any] = []
    cursor = None
    for _ in whole:
        page = there.client_history(ANALYST, ids[0], limit=1, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
    assert (found, cursor) == (whole, None)


def test_clients_near(tds: Tds, crm: Entered, promptcrm_db: Database) -> None:
    there = promptcrm.open_toolset(crm.targets)
    try:
        tds.execute("promptcrm", "SELECT geography::Point(1, 1, 4326)")
    except Exception as error:  # noqa: BLE001 (whatever it says, it cannot)
        pytest.skip(f"this server ({tds.product}) has no geography: {error}")
    here = promptcrm.open_toolset(dict.fromkeys(promptcrm.LOGINS, target(promptcrm_db)))
    place = promptcrm_db.connect().execute("SELECT latitude, longitude FROM client ORDER BY id").fetchone()
    whole = there.clients_near(ANALYST, *place, kilometres=500, limit=100)
    assert plain(whole) == plain(here.clients_near(ANALYST, *place, kilometres=500, limit=100))
    near: list[Any] = []
    cursor = None
    for _ in whole.items:
        one = there.clients_near(ANALYST, *place, kilometres=500, limit=1, cursor=cursor)
        near += one.items
        cursor = one.next_cursor
    assert (near, cursor) == (whole.items, None)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM dbo.client",
        "SELECT email_cipher FROM dbo.client",
        "SELECT * FROM dbo.data_key",
        "SELECT * FROM dbo.contact",
        "SELECT * FROM dbo.tombstone",
        "UPDATE dbo.city SET name = 'x'",
        "DELETE FROM dbo.sale",
        "EXEC dbo.renew_origin",
        "CREATE TABLE dbo.mine (id int)",
    ],
)
def test_what_the_login_may_not(crm: Entered, statement: str) -> None:
    for one in promptcrm.LOGINS:
        with pytest.raises(SourceError, match=r"^promptcrm refuses this question"):
            SqlSource(crm.targets[one]).rows(Query("promptcrm", "sqlserver", "one", f"-- What?\n{statement}"), 1)


def test_how_it_fails(tds: Tds, ads: Entered) -> None:
    source = SqlSource(ads.targets[promptads.LOGINS[0]], seconds=1)
    question = Query("promptads", "sqlserver", "one", "-- Which?\nSELECT id FROM dbo.channel WHERE id >= @id")
    assert source.rows(question, 2, id=0) == source.rows(question, 100, id=0)[:2]
    other = tds.database("promptads").connect()
    other.autocommit = False
    other.execute("ALTER TABLE dbo.channel ADD more int NULL")
    with pytest.raises(SourceError, match=r"^promptads (is busy|took longer)"):
        source.rows(question, 2, id=0)
    other.rollback()
    for url in ("mssql://u:hunter2@127.0.0.1:1/x", with_login(URL, "nobody", "x"), database_url(URL, "none")):
        with pytest.raises(SourceError) as error:
            SqlSource(Target("promptads", "sqlserver", url)).rows(question, 1, id=0)
        assert str(error.value) in (
            "promptads does not answer: try again later",
            "promptads does not let this server in: whoever runs it should look at its login",
        )
