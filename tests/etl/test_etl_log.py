"""What PromptSales's log says of rounds, read and written as text."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace

import pytest
from fake_hop import stage
from rich.console import Console

from fixtures.databases import Database
from harness.errors import DataError, EtlError, LoginRefused, ServerError
from harness.etl.log import open_log
from harness.etl.model import SOURCES
from harness.etl.text import (
    ago,
    as_json,
    failures,
    quarantine_table,
    round_line,
    round_table,
    rounds_table,
    states_table,
)
from harness.servers.roles import with_login

pytestmark = pytest.mark.etl


@pytest.fixture
def rounds(promptsales_db: Database) -> Database:
    """Two rounds: the first one succeeded, in the second one promptads failed and promptcrm still runs."""
    connection = promptsales_db.connect()
    (first,) = connection.execute("SELECT etl_begin()").fetchone()
    for source in SOURCES:
        stage(connection, first, source)
    (second,) = connection.execute("SELECT etl_begin()").fetchone()
    assert (first, second) == (1, 2)
    stage(connection, 2, "promptcontent")
    connection.execute("SELECT etl_fail(2, 'promptads', 'it is down')")
    connection.execute("UPDATE etl_run SET rows_read = 9, rows_inserted = 1200, rows_deleted = 3 WHERE id = 3")
    return promptsales_db


def quarantine(database: Database) -> None:
    database.connect().execute(
        "INSERT INTO etl_quarantine (source, key, payload, reason, run_id, resolved_at) "
        "SELECT 'promptcrm', 'sale ' || n, '{}', CASE WHEN n > 3 THEN 'no campaign' ELSE 'no client' END, 1, "
        "CASE WHEN n = 1 THEN now() END FROM generate_series(1, 12) AS n"
    )


def shown(what: object) -> str:
    console = Console(file=io.StringIO(), width=160, no_color=True)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_rounds_with_their_runs_in_the_order_of_the_sources(rounds: Database) -> None:
    with open_log(rounds.url) as log:
        assert log.last_number() == 2
        first, second = log.rounds()
        assert [one.number for one in log.rounds(last=1)] == [2]
        assert [one.number for one in log.rounds(after=1)] == [2]
        assert [one.number for one in log.rounds(upto=1)] == [1]
        assert log.round(1) == first
        with pytest.raises(DataError, match="no round 3"):
            log.round(3)
    assert [run.source for run in first.runs] == list(SOURCES)
    assert first.succeeded
    assert first.moved == 1203
    assert [run.status for run in second.runs] == ["succeeded", "failed", "running", "running"]
    assert not second.succeeded
    assert second.runs[1].message == "it is down"
    assert second.runs[2].finished_at is None
    assert second.runs[2].seconds is None
    assert (first.runs[1].window_from, first.runs[1].window_to) == (None, "800:800:")
    assert second.runs[0].window_from == "5"


def test_states_and_quarantine(rounds: Database) -> None:
    quarantine(rounds)
    with open_log(rounds.url) as log:
        states = log.states()
        found = log.quarantine()
    assert [state.source for state in states] == list(SOURCES)
    ads, crm = states[1], states[2]
    assert (ads.last_status, ads.last_message, ads.upper_bound) == ("failed", "it is down", "800:800:")
    assert ads.lag is not None
    assert ads.lag >= 0
    assert crm.quarantined == 11
    assert [(one.source, one.reason, one.count) for one in found] == [
        ("promptcrm", "no campaign", 9),
        ("promptcrm", "no client", 2),
    ]
    assert found[0].keys == ("sale 4", "sale 5", "sale 6", "sale 7", "sale 8")
    assert "sale 8, …" in shown(quarantine_table(found))
    assert "11" in shown(states_table(states))


def test_runs_end_as_failed_once(rounds: Database) -> None:
    with open_log(rounds.url) as log:
        assert log.fail(2, "promptcrm", "why")
        assert not log.fail(2, "promptcrm", "again")
        assert log.round(2).runs[2].message == "why"


def test_a_source_is_forgotten_and_the_cache_is_not(rounds: Database) -> None:
    with open_log(rounds.url) as log:
        log.forget("promptads")
        assert {state.source: state.upper_bound for state in log.states()}["promptads"] is None
        with pytest.raises(DataError, match="promptsales: the cache cannot be read anew"):
            log.forget("cache")
        assert log.last_number() == 2, "the connection goes on"


def test_the_round_whose_sessions_are_there_is_under_way(rounds: Database) -> None:
    with open_log(rounds.url) as log:
        assert log.under_way() is None, "it says that it runs, but nobody does"
        rounds.connect(application_name="promptsales-etl 1")
        assert log.under_way() is None, "nothing of it runs"
        rounds.connect(application_name="promptsales-etl 2")
        found = log.under_way()
        assert found is not None
        assert found[0] == 2
        log.end_sessions(2)
        assert log.under_way() is None


def test_the_grid_is_the_one_of_promptsales(promptsales_db: Database) -> None:
    """What we wait for is what etl_due says: the next slot begins when the wait is over."""
    with open_log(promptsales_db.url) as log:
        assert log.due(3600)
        promptsales_db.connect().execute("SELECT etl_begin()")
        assert not log.due(7 * 24 * 3600) or log.until_due(7 * 24 * 3600) > 7 * 24 * 3600 - 60
        assert 0 < log.until_due(660) <= 660
        time.sleep(log.until_due(0.5))  # the one wait that is what is tested
        assert log.due(0.5)


def test_what_is_not_there_is_one_line(promptsales_db: Database) -> None:
    connection = promptsales_db.connect()
    connection.execute("DROP VIEW etl_log; ALTER TABLE etl_run DROP COLUMN round CASCADE")
    with open_log(promptsales_db.url) as log, pytest.raises(EtlError, match="no tables of the ETL, or older ones"):
        log.last_number()
    with pytest.raises(ServerError, match="does not answer"), open_log("postgresql://ana:secret@127.0.0.1:1/x"):
        pass
    with open_log(promptsales_db.url) as log:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'psh:etl' AND datname = current_database()"
        )
        with pytest.raises(ServerError, match="promptsales went away"):
            log.states()


def test_a_login_that_is_refused_is_told_without_its_password(promptsales_db: Database) -> None:
    url = with_login(promptsales_db.url, "nobody_of_that_name", "hunter2")
    with pytest.raises(LoginRefused) as raised, open_log(url):
        pass
    assert "hunter2" not in str(raised.value)


def test_as_text(rounds: Database) -> None:
    with open_log(rounds.url) as log:
        first, second = log.rounds()
    table = shown(round_table(first))
    assert " all " in table
    assert "1,200" in table
    assert "✓  promptads" in table
    failed = shown(round_table(second))
    assert "changes" in failed
    assert "✗  promptads" in failed
    assert "it is down" not in failed, "the line says it, where there is room"
    assert round_line(first).startswith("✓ round 1, ")
    assert "inserted 1,200, deleted 3" in round_line(first)
    assert "promptads failed: it is down" in round_line(second)
    assert "✗ failed" in shown(rounds_table([first, second]))
    assert failures(second) == "promptads failed: it is down"
    same = replace(second, runs=tuple(replace(one, status="failed", message="x") for one in second.runs))
    assert failures(same) == "all failed: x"
    assert (ago(42.4), ago(663)) == ("42 s", "0:11:03")


def test_as_json(rounds: Database) -> None:
    quarantine(rounds)
    with open_log(rounds.url) as log:
        made = json.loads(json.dumps(as_json(log.rounds(), log.states(), log.quarantine())))
    assert [one["round"] for one in made["rounds"]] == [1, 2]
    assert made["rounds"][0]["succeeded"] is True
    assert made["rounds"][0]["runs"][0]["started_at"].startswith("20")
    assert made["rounds"][1]["runs"][2]["finished_at"] is None
    assert made["sources"][2]["quarantined"] == 11
    assert made["quarantine"][0]["keys"][0] == "sale 4"
