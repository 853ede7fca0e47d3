"""The whole ETL, with the real Hop: what PromptSales holds follows from its sources, whatever happens."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
import pytest
from etl_world import World, world
from polling import eventually

from harness.errors import HarnessError, ServerError, ServerUnavailable
from harness.etl.connections import variables
from harness.etl.hop import Hop, Running
from harness.etl.model import SOURCES, Round
from harness.etl.run import UnderWay, run
from harness.promptsales.coherence import check

pytestmark = pytest.mark.etl


@pytest.fixture
def there(giving, hop) -> Iterator[World]:
    """A world of its own for the test."""
    try:
        with world(giving, hop) as made:
            yield made
    except ServerUnavailable as error:
        pytest.skip(str(error))


def moved(done: Round) -> dict[str, tuple[int, int, int, int]]:
    """Of each source: rows read, inserted, updated, deleted."""
    return {one.source: (one.read, one.inserted, one.updated, one.deleted) for one in done.runs}


SALE = "INSERT INTO sale (id, client_id, campaign_id, sold_on, status, total)"
NOTHING = dict.fromkeys(SOURCES, (0, 0, 0, 0))


def test_the_first_round_brings_all_the_second_nothing_the_third_what_changed(there: World):
    first = there.round()
    assert first.succeeded
    assert there.wrong() == []
    places = {name: (one.engine, one.url) for name, one in there.databases.items()}
    found = check(places)
    # What no source has (plans) and what is not there (pictures' vectors) is none of the ETL's business.
    assert [one.rule for one in found.findings if one.broken and "promptsales" in one.databases] in (
        [], ["each content has its vector, each vector its content"],
        ["what the cache holds of a plan exists"],
    )  # fmt: skip

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
    insert = "INSERT INTO sale (id, client_id, campaign_id, sold_on, status, total) VALUES (%s, 1, 1, '2026-01-05', 'open', 70)"
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
    assert "promptcrm" in (said or "").lower()
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


def test_two_at_once(there: World):
    ended: list[Any] = []

    def go() -> None:
        try:
            ended.append(run(there.targets, there.hop).round)
        except UnderWay as problem:
            ended.append(problem)

    threads = [threading.Thread(target=go) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(ended) == 2
    rounds = [one for one in ended if isinstance(one, Round)]
    assert [one.succeeded for one in rounds] in ([True], [True, True])
    assert there.wrong() == []
    assert moved(there.round()) == NOTHING


class Killed:
    """A Hop that gets SIGKILL some time after its start."""

    def __init__(self, hop: Hop, after: float) -> None:
        self._hop = hop
        self._after = after

    def start(self, workflow: str, variables: Mapping[str, str], on_line: Callable[[str], None]) -> Running:
        running = self._hop.start(workflow, variables, on_line)

        def kill() -> None:
            with contextlib.suppress(OSError):
                os.kill(running.pid, 9)

        timer = threading.Timer(self._after, kill)
        timer.daemon = True
        timer.start()
        return running


KILLS = 20


def test_killed_at_twenty_moments_nothing_is_lost_and_nothing_comes_twice(there: World, record_property):
    """Every second time whoever launched it dies too, so that nobody tidies up."""
    begin = time.monotonic()
    there.round()
    usual = time.monotonic() - begin
    chance = random.Random(20)
    states: list[str] = []
    for number in range(KILLS):
        there.change(chance, 25)
        after = chance.uniform(0.1, 1.0) * usual
        before = there.sales.execute("SELECT coalesce(max(round), 0) FROM etl_run").fetchone()[0]
        if number % 2:
            with contextlib.suppress(HarnessError):
                run(there.targets, Killed(there.hop, after))
        else:
            start = there.hop.start("workflows/delta.hwf", variables(there.targets), lambda line: None)
            with start as running, contextlib.suppress(TimeoutError):
                running.wait(after)
        states.append(reached(there, before))
        if number % 5 == 4:
            complete(there)
            assert there.wrong() == []
    record_property("killed", ", ".join(states))
    complete(there)
    assert there.wrong() == []
    assert moved(there.round()) == NOTHING
    assert there.sales.execute("SELECT count(*) FROM etl_run WHERE status = 'running'").fetchone() == (0,)


def reached(there: World, before: int) -> str:
    """How far a killed round came: how many sources it merged."""
    rows = there.sales.execute("SELECT status FROM etl_run WHERE round > %s", [before]).fetchall()
    return "not begun" if not rows else f"{[status for (status,) in rows].count('succeeded')} of 4 merged"


def complete(there: World) -> Round:
    """A round from beginning to end, begun as soon as the one that was killed is known to be dead."""

    def begun() -> Round | None:
        try:
            return there.round()
        except UnderWay:
            return None

    done = eventually(begun)
    assert done.succeeded, done
    return done


WRITERS, TRANSACTIONS = 4, 10_000


def test_ten_thousand_transactions_meanwhile(there: World):
    there.round()
    failures: list[BaseException] = []

    def write(number: int) -> None:
        chance = random.Random(number)
        try:
            mine = World(there.databases, there.hop)
            for _ in range(TRANSACTIONS // WRITERS):
                mine.change(chance)
        except BaseException as problem:  # noqa: BLE001 - told by the test
            failures.append(problem)

    writers = [threading.Thread(target=write, args=[number]) for number in range(WRITERS)]
    for one in writers:
        one.start()
    rounds = 0
    while any(one.is_alive() for one in writers):
        done = there.round()
        assert done.succeeded, done
        rounds += 1
    for one in writers:
        one.join()
    assert failures == []
    assert rounds >= 2
    assert there.round().succeeded
    assert there.wrong() == []
    assert moved(there.round()) == NOTHING
