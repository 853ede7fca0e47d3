"""A round of the real Hop over a PromptCrm in T-SQL: set PROMPTSALES_TEST_TDS_URL to a server that speaks TDS, else it is
skipped. The other sources are those of every run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from etl_world import NOTHING, World, moved
from schemas.tds import URL, WITHOUT, Tds  # tests/schemas: this folder's neighbour

from fixtures.giving import Giving
from fixtures.seed import plan_of, seed_into
from harness.errors import ServerUnavailable
from harness.etl.connections import variables
from harness.etl.hop import Hop

if not URL:
    pytest.skip(WITHOUT, allow_module_level=True)

pytestmark = pytest.mark.etl


@pytest.fixture(scope="module")
def tds() -> Iterator[Tds]:
    server = Tds()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def mixed(giving: Giving, hop: Hop, tds: Tds) -> Iterator[World]:
    """Sources seeded, PromptCrm among them on that server; PromptSales empty."""
    crm = tds.empty("promptcrm")
    seed_into("promptcrm", "sqlserver", crm.url, plan_of("tiny"))
    with contextlib.ExitStack() as stack:
        stack.callback(crm.close)
        stack.enter_context(tds.chained("promptcrm"))
        try:
            given = {
                name: stack.enter_context(giving.database(name, "tiny" if name != "promptsales" else "empty"))
                for name in ("promptcontent", "promptads", "cache", "promptsales")
            }
        except ServerUnavailable as error:
            pytest.skip(str(error))
        yield World({**given, "promptcrm": crm}, hop)


def test_the_variables_are_of_that_server(mixed: World) -> None:
    made = variables(mixed.targets)
    assert made["PROMPTCRM_CONNECTION"] == "promptcrm-sqlserver"
    assert made["PROMPTCRM_JDBC_URL"].startswith("jdbc:sqlserver://")


def test_all_then_nothing_then_what_changed(mixed: World) -> None:
    first = mixed.launch()
    assert first.notes == ()  # it went in by a login of its own, there too
    assert first.round.succeeded
    assert mixed.wrong() == []
    counts = [mixed.crm.execute(f"SELECT COUNT(*) FROM {one}").fetchval() for one in ("client", "sale", "interaction")]
    assert moved(first.round)["promptcrm"][0] == sum(counts)
    assert moved(mixed.round()) == NOTHING

    mixed.crm.execute("UPDATE client SET credit = credit + 1, name = N'Ñandú ☃ 🎈' WHERE id IN (1, 2, 3)")
    mixed.crm.execute("DELETE FROM interaction WHERE id IN (SELECT TOP (2) id FROM interaction ORDER BY id)")
    mixed.crm.execute(
        "INSERT INTO sale (id, client_id, campaign_id, sold_on, status, total) "
        "VALUES (900001, 1, 1, '2026-01-05', 'open', 70.25)"
    )
    mixed.ads.execute("UPDATE campaign SET name = 'Renamed' WHERE id = 1")
    third = mixed.round()
    assert moved(third) == NOTHING | {"promptads": (1, 0, 1, 0), "promptcrm": (6, 1, 3, 2)}
    assert mixed.wrong() == []
    assert moved(mixed.round()) == NOTHING


def test_a_late_commit_is_not_lost(mixed: World) -> None:
    sale = "INSERT INTO sale (id, client_id, campaign_id, sold_on, status, total) VALUES (?, 1, 1, '2026-01-05', 'open', 70)"
    assert mixed.round().succeeded
    late = mixed.databases["promptcrm"].connect(autocommit=False)
    late.execute(sale, 900_001)
    mixed.crm.execute(sale, 900_002)
    assert moved(mixed.round())["promptcrm"][:2] == (1, 1)
    late.commit()
    assert moved(mixed.round())["promptcrm"][1] == 1  # read again: what was read already; it is as it was
    assert mixed.wrong() == []
    assert moved(mixed.round()) == NOTHING


def test_tables_read_anew(mixed: World) -> None:
    """What a truncation passes by: the source is read whole, and what is not there any more goes."""
    assert mixed.round().succeeded
    mixed.crm.execute("TRUNCATE TABLE interaction")
    mixed.crm.execute("EXEC dbo.renew_origin")
    assert mixed.round().succeeded
    assert mixed.wrong() == []
    assert mixed.sales.execute("SELECT count(*) FROM fact.interaction").fetchone() == (0,)


def test_what_the_server_says_is_in_the_log(mixed: World, tds: Tds) -> None:
    """The run of that source fails with what the server said; the others go on."""
    tds.execute("promptcrm", "DELETE FROM etl_origin")
    done = mixed.round()
    assert {one.source: one.status for one in done.runs} == {
        name: "failed" if name == "promptcrm" else "succeeded" for name in NOTHING
    }
    said = next(one.message for one in done.runs if one.source == "promptcrm")
    assert "EXEC dbo.renew_origin makes one" in (said or "")
    tds.execute("promptcrm", "EXEC dbo.renew_origin")
    assert mixed.round().succeeded
    assert mixed.wrong() == []
