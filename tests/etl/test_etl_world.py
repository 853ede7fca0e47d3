"""The whole ETL, with the real Hop: what PromptSales holds follows from its sources, whatever happens."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import tempfile
import threading
from collections.abc import Iterator

import psycopg
import pytest
from etl_world import NOTHING, World, moved

from harness.errors import HarnessError, ServerError
from harness.etl.model import SOURCES
from harness.promptsales.coherence import check

pytestmark = pytest.mark.etl


SALE = "INSERT INTO sale (id, client_id, campaign_id, sold_on, status, total)"


def test_the_first_round_brings_all_the_second_nothing_the_third_what_changed(there: World):
    first = there.round()
    assert first.succeeded
    assert there.wrong() == []
    places = {name: (one.engine, one.url) for name, one in there.databases.items()}
    found = check(places)
    # Plans come from no source; the cache was seeded with their prices.
    assert [one.rule for one in found.findings if one.broken] == ["what the cache holds of a plan exists"]
    assert [one.rule for one in found.findings if one.left_out] == [
        "each content has its vector, each vector its content"
    ]

    assert moved(there.round()) == NOTHING

    there.crm.execute("UPDATE client SET credit = credit + 1 WHERE id IN (1, 2, 3)")
    there.crm.execute("DELETE FROM interaction WHERE id IN (SELECT id FROM interaction ORDER BY id LIMIT 2)")
    there.ads.execute("UPDATE campaign SET name = 'Renamed' WHERE id = 1")
    there.store.change(1, {"$set": {"title": "Another one"}})
    there.activity.record(2, "like")
    third = there.round()
    assert moved(third) == {
        "promptcontent": (1, 0, 1, 0),
        "promptads": (1, 0, 1, 0),
        "promptcrm": (5, 0, 3, 2),
        "cache": (1, 1, 0, 0),
    }
    assert there.wrong() == []
    assert moved(there.round()) == NOTHING


def test_a_late_commit_is_not_lost(there: World):
    there.round()
    insert = f"{SALE} VALUES (%s, 1, 1, '2026-01-05', 'open', 70)"
    late = there.databases["promptcrm"].connect(autocommit=False)
    late.execute(insert, [900_001])
    there.crm.execute(insert, [900_002])
    assert moved(there.round())["promptcrm"] == (1, 1, 0, 0)
    late.commit()
    assert moved(there.round())["promptcrm"] == (1, 1, 0, 0)
    assert there.wrong() == []


def test_what_cannot_be_merged_waits_in_quarantine_and_comes_when_it_can(there: World):
    there.round()
    there.crm.execute(f"{SALE} VALUES (900001, 1, 777, '2026-01-05', 'open', 70)")
    there.crm.execute("UPDATE client SET credit = 5 WHERE id = 2")
    done = there.round()
    assert done.succeeded
    crm = next(one for one in done.runs if one.source == "promptcrm")
    assert (crm.updated, crm.inserted, crm.quarantined) == (1, 0, 1)
    reasons = there.sales.execute("SELECT source, key, reason FROM etl_quarantine WHERE resolved_at IS NULL").fetchall()
    assert len(reasons) == 1
    assert "777" in reasons[0][2]
    assert there.wrong() == []  # a sale of a campaign that is not there counts nowhere
    there.ads.execute(
        "INSERT INTO campaign (id, code, name, objective, status, starts_on, ends_on, budget, audience_id) "
        "SELECT 777, 'C-777', 'Late', objective, status, starts_on, ends_on, budget, audience_id FROM campaign WHERE id = 1"
    )
    assert there.round().succeeded
    assert there.wrong() == []
    assert there.sales.execute("SELECT count(*) FROM etl_quarantine WHERE resolved_at IS NULL").fetchone() == (0,)


def test_a_source_that_is_down_does_not_keep_the_others(there: World):
    chance = random.Random(5)
    there.change(chance, 20)
    url = there.databases["promptcrm"].url
    down = url.replace(f":{psycopg.conninfo.conninfo_to_dict(url)['port']}/", ":1/")
    done = there.round(promptcrm=down)
    assert {one.source: one.status for one in done.runs} == {
        name: "failed" if name == "promptcrm" else "succeeded" for name in SOURCES
    }
    said = next(one.message for one in done.runs if one.source == "promptcrm")
    assert "refused" in (said or "")
    password = psycopg.conninfo.conninfo_to_dict(url).get("password")
    assert not password or password not in said
    assert there.round().succeeded
    assert there.wrong() == []


def test_promptsales_that_is_down_is_one_line(there: World):
    url = there.databases["promptsales"].url
    with pytest.raises(ServerError, match="promptsales") as caught:
        there.round(promptsales=url.replace(f":{psycopg.conninfo.conninfo_to_dict(url)['port']}/", ":1/"))
    assert "\n" not in str(caught.value)


def test_promptsales_that_goes_away_in_the_middle(there: World):
    there.round()
    chance = random.Random(6)
    there.change(chance, 30)
    stop = threading.Event()

    def disturb() -> None:
        # Whoever is at work for the ETL is put out, over and over.
        with psycopg.connect(there.databases["promptsales"].url, autocommit=True) as killer:
            while not stop.wait(0.05):
                killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND application_name LIKE 'promptsales-etl %%'"
                )

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        with contextlib.suppress(HarnessError):
            assert not there.round().succeeded
    finally:
        stop.set()
        disturber.join()
    assert there.sales.execute("SELECT count(*) FROM etl_run WHERE status = 'running'").fetchone() == (0,)
    assert there.round().succeeded
    assert there.wrong() == []


@pytest.fixture
def small_disk(there: World) -> Iterator[str]:
    """A tablespace of PromptSales's server that is soon full."""
    uid = os.stat(there.sales.execute("SHOW data_directory").fetchone()[0]).st_uid
    folder = tempfile.mkdtemp(prefix="promptsales-small-", dir="/tmp")  # where the server's user gets to
    os.chmod(folder, 0o755)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        os.rmdir(folder)
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    name = f"small_{os.getpid()}"
    try:
        os.chown(folder, uid, -1)
        there.sales.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'")
        yield name
    finally:
        there.sales.execute("ALTER TABLE staging.sale SET TABLESPACE pg_default")
        there.sales.execute(f"DROP TABLESPACE IF EXISTS {name}")
        subprocess.run(["umount", folder], check=True)
        os.rmdir(folder)


def test_a_disk_that_is_full(there: World, small_disk: str):
    there.round()
    there.sales.execute(f"ALTER TABLE staging.sale SET TABLESPACE {small_disk}")
    there.crm.execute(f"{SALE} SELECT 900000 + n, 1, 1, '2026-01-05', 'open', 1 FROM generate_series(1, 9000) AS n")
    there.store.change(1, {"$set": {"title": "Meanwhile"}})
    done = there.round()
    assert {one.source: one.status for one in done.runs if one.status == "failed"} == {"promptcrm": "failed"}
    assert "No space left" in (done.runs[SOURCES.index("promptcrm")].message or "")
    there.sales.execute("ALTER TABLE staging.sale SET TABLESPACE pg_default")
    assert moved(there.round())["promptcrm"] == (9000, 9000, 0, 0)
    assert there.wrong() == []


def test_an_outbox_that_was_purged_too_early_fails_once_and_is_read_whole(there: World):
    there.round()
    there.store.change(1, {"$set": {"title": "Never seen"}})
    there.store.purge(1)
    there.store.change(2, {"$set": {"title": "Seen"}})
    launched = there.launch()
    content = launched.round.runs[0]
    assert (content.status, launched.code) == ("failed", 1)
    assert "the next run reads all of it" in (content.message or "")
    assert [one.status for one in launched.round.runs[1:]] == ["succeeded"] * 3
    assert there.round().succeeded
    assert there.wrong() == []


def test_a_source_that_was_filled_anew_is_read_whole(there: World):
    there.round()
    there.crm.execute("TRUNCATE interaction")
    there.crm.execute("DELETE FROM sale WHERE id % 2 = 0 AND id NOT IN (SELECT sale_id FROM sale_line)")
    done = there.round()
    assert done.succeeded
    assert there.wrong() == []
    assert there.sales.execute("SELECT count(*) FROM fact.interaction").fetchone() == (0,)


def test_contents_that_leave_no_entry_are_found_once_a_day(there: World):
    there.round()
    there.content["content"].delete_one({"_id": 3})  # as the TTL index does with a draft
    assert moved(there.round())["promptcontent"] == (0, 0, 0, 0)
    there.sales.execute("UPDATE etl_watermark SET compared_at = now() - interval '25 hours'")
    assert moved(there.round())["promptcontent"] == (11, 0, 0, 1)
    assert there.wrong() == []
    assert moved(there.round()) == NOTHING
