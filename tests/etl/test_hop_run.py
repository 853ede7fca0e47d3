"""The real Hop, run: what it says, what it is told and by which way, how it ends; what passes through its bulk loader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
from etl_world import World, world
from polling import eventually

from fixtures.giving import Giving
from harness.errors import EtlError, ServerUnavailable
from harness.etl.connections import variables
from harness.etl.hop import Ended, Hop
from harness.etl.hop_errors import Errors
from harness.servers.urls import secrets_of

pytestmark = pytest.mark.etl


@pytest.fixture
def there(giving: Giving, hop: Hop) -> Iterator[World]:
    try:
        with world(giving, hop) as found:
            yield found
    except ServerUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def java(tmp_path: Path) -> Hop:
    """A Hop whose Java is a script that says something and stays."""
    script = tmp_path / "java"
    script.write_text("#!/bin/sh\necho begun\nsleep 60 &\nwait\n")
    script.chmod(0o755)
    (tmp_path / "home").mkdir()
    return Hop(tmp_path / "home", script)


def test_it_says_what_it_does_and_what_goes_wrong(java: Hop, tmp_path: Path) -> None:
    assert java.java is not None
    line = "2026/11/28 21:27:37 - read.0 - "
    java.java.write_text(
        f"#!/bin/sh\necho '{line}ERROR: Error running transform'\necho '{line}no such table'\nexit 3\n"
    )
    told: list[str] = []
    ended = java.run("delta", {}, told.append, log=tmp_path / "log")
    assert ended == Ended(3, ("read: no such table",), tmp_path / "log")
    assert (
        ended.log.read_text().splitlines() == told == [f"{line}ERROR: Error running transform", f"{line}no such table"]
    )


def test_kill_ends_all_of_it(java: Hop, tmp_path: Path) -> None:
    running = java.start("delta", {"A": "b"}, log=tmp_path / "log")
    processes = _with_children(running.pid)
    with pytest.raises(TimeoutError):
        running.wait(0.01)
    running.kill()
    assert running.wait().code == 128 + signal.SIGKILL
    eventually(lambda: not any(map(_alive, processes)))


def test_stop_asks_it_to_end(java: Hop, tmp_path: Path) -> None:
    with java.start("delta", {}, log=tmp_path / "log") as running:
        eventually(lambda: "begun" in (tmp_path / "log").read_text())
        running.stop()
        assert running.wait(10).code == 128 + signal.SIGTERM


def test_it_ends_with_whoever_started_it(java: Hop, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from harness.etl.hop import Hop\n"
        "home, java, log = map(Path, sys.argv[1:])\n"
        "running = Hop(home, java).start('delta', {}, log=log)\n"
        "print(running.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(java.home), str(java.java), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        processes = _with_children(int(starter.stdout.readline()))
        os.kill(starter.pid, signal.SIGKILL)
    eventually(lambda: not any(map(_alive, processes)))


def test_a_java_that_is_not_there(java: Hop, tmp_path: Path) -> None:
    ended = Hop(java.home, tmp_path / "none").run("delta", {}, log=tmp_path / "log")
    assert ended.code == 127
    assert "No such file" in ended.log.read_text()


def test_a_workflow_that_is_not_there(java: Hop) -> None:
    with pytest.raises(EtlError, match="no_such: neither a workflow nor a pipeline of"):
        java.start("no_such", {})


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            [
                "merge.0 - ERROR: Unexpected error",
                "merge.0 - ERROR: org.apache.hop.core.exception.HopDatabaseException: ",
                "merge.0 - An error occurred executing SQL:",
                "merge.0 - SELECT 1",
                "merge.0 - ERROR: nothing was staged",
                "merge.0 -   Where: PL/pgSQL",
                "merge.0 - ",
                "merge.0 - \tat org.apache.X.y(X.java:1)",
                "merge.0 - Caused by: org.postgresql.util.PSQLException: ERROR: nothing was staged",
                "merge.0 - \t... 4 more",
            ],
            ("merge: nothing was staged",),
        ),
        (
            [
                "ask.0 - ERROR: An error occurred, processing will be stopped: ",
                "ask.0 - Error occurred while trying to connect",
                "ask.0 - Error connecting to database: (using class x.Driver)",
                "ask.0 - Connection to 127.0.0.1:1 refused.",
            ],
            ("ask: Connection to 127.0.0.1:1 refused.",),
        ),
        (
            ["some failed - ERROR: Seen row nr 4 : round 7: not merged: cache"],
            ("some failed: round 7: not merged: cache",),
        ),
        (["a.0 - ERROR: one", "b.0 - fine", "a.0 - ERROR: two"], ("a: one", "a: two")),
        (["delta - Finished action [merge] (result=[true])"], ()),
    ],
)
def test_errors_are_found_in_a_log(said: list[str], found: tuple[str, ...]) -> None:
    errors = Errors()
    for line in said:
        errors.line(f"2026/11/28 21:27:37 - {line}")
    assert errors.found() == found


def test_secrets_are_on_no_command_line_and_in_no_log(there: World, tmp_path: Path) -> None:
    secrets = {secret for target in there.targets.values() for secret in secrets_of(target.url)}
    assert secrets
    shown: list[str] = []
    with there.hop.start("delta", variables(there.targets), level="Rowlevel", log=tmp_path / "log") as running:
        eventually(lambda: "Starting action [read PromptAds]" in (tmp_path / "log").read_text())
        java = psutil.Process(running.pid)
        for one in [java, java.parent()]:
            assert one is not None
            shown += [Path(f"/proc/{one.pid}/{what}").read_text(errors="replace") for what in ("cmdline", "environ")]
        assert running.wait(120).code == 0
    said = (tmp_path / "log").read_text()
    assert shown
    assert len(said) > 10_000
    for secret in secrets:
        assert secret not in said
        assert not any(secret in text for text in shown)


def test_what_passes_through_the_bulk_loader(there: World) -> None:
    """Everything that may be in a column, from a source into staging: as it was."""
    texts = [
        "plain",
        "tab\there",
        'quote " and ""',
        "back\\slash \\N \\.",
        "line\nbreak\r\n",
        "Ñandú ☃ 🎈",
        "",
        "a,b;c|d",
        " s ",
        None,
    ]
    budgets = [Decimal("0.10"), Decimal("-12345678901234.5678"), Decimal("1E+3"), None]
    days = [date(1, 1, 1), date(1582, 10, 15), date(2026, 3, 29), date(9999, 12, 31), None]
    there.sales.execute(
        "CREATE TABLE odd AS SELECT number, (ARRAY[true, false, null])[1 + number %% 3] AS deleted,"
        " (%s::text[])[1 + number %% %s] AS name, (%s::numeric[])[1 + number %% %s] AS budget,"
        " (%s::date[])[1 + number %% %s] AS day FROM generate_series(0, 120) AS number",
        [texts, len(texts), budgets, len(budgets), days, len(days)],
    )
    changes = (
        "SELECT 'campaign' AS kind, deleted, number::bigint AS id, NULL::bigint AS campaign_id, NULL::bigint AS content_id,"
        " name, 'active'::text AS status, day AS starts_on, NULL::date AS ends_on, budget, 1 AS version, NULL::date AS day,"
        " NULL::bigint AS impressions, NULL::bigint AS clicks, NULL::bigint AS conversions, NULL::numeric AS cost,"
        " NULL::boolean AS whole, NULL::text AS origin, NULL::text AS upper_bound FROM odd"
        " WHERE ?::text IS NULL AND ?::text IS NULL"
    )
    round_ = there.sales.execute("SELECT etl_begin()").fetchone()[0]
    told = variables(there.targets)
    told |= {"PROMPTADS_JDBC_URL": told["PROMPTSALES_JDBC_URL"], "PROMPTADS_USER": told["PROMPTSALES_USER"]}
    told |= {"PROMPTADS_PASSWORD": told["PROMPTSALES_PASSWORD"], "PROMPTADS_CHANGES": changes, "ROUND": str(round_)}
    ended = there.hop.run("promptads", told)
    assert (ended.code, ended.errors) == (0, ())
    was = there.sales.execute("SELECT number, deleted, name, budget, day FROM odd ORDER BY 1").fetchall()
    staged = there.sales.execute(
        "SELECT id, deleted, name, budget, starts_on FROM staging.campaign WHERE round = %s ORDER BY 1", [round_]
    ).fetchall()
    assert staged == was


def test_times_to_the_millisecond_and_in_no_zone(there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that no clock in the machine's zone has shown."""
    monkeypatch.setenv("TZ", "Europe/Madrid")
    times = [
        datetime(2026, 3, 29, 2, 30, 0, 123_000),
        datetime(2026, 10, 25, 2, 30, 0, 1_000),
        datetime(1999, 12, 31, 23, 59, 59),
    ]
    there.sales.execute(
        "CREATE TABLE times AS SELECT * FROM unnest(%s::timestamp[]) WITH ORDINALITY AS times (happened_at, id)",
        [times],
    )
    changes = (
        "SELECT 'interaction' AS kind, false AS deleted, id, 1::bigint AS client_id, NULL::bigint AS campaign_id,"
        " NULL::bigint AS content_id, NULL::text AS name, NULL::text AS country, NULL::numeric AS credit, NULL::date AS day,"
        " NULL::text AS status, NULL::numeric AS total, happened_at, NULL::boolean AS whole, NULL::text AS origin,"
        " NULL::text AS upper_bound FROM times WHERE ?::text IS NULL AND ?::text IS NULL"
    )
    round_ = there.sales.execute("SELECT etl_begin()").fetchone()[0]
    told = variables(there.targets)
    told |= {"PROMPTCRM_JDBC_URL": told["PROMPTSALES_JDBC_URL"], "PROMPTCRM_USER": told["PROMPTSALES_USER"]}
    told |= {"PROMPTCRM_PASSWORD": told["PROMPTSALES_PASSWORD"], "PROMPTCRM_CHANGES": changes, "ROUND": str(round_)}
    assert there.hop.run("promptcrm", told).code == 0
    staged = there.sales.execute("SELECT happened_at FROM staging.interaction WHERE round = %s ORDER BY id", [round_])
    assert [row[0] for row in staged] == times


def test_a_kind_that_the_pipeline_does_not_know(there: World) -> None:
    told = variables(there.targets)
    columns = (
        "deleted, id, campaign_id, content_id, name, status, starts_on, ends_on, budget, version, day, impressions,"
    )
    columns += " clicks, conversions, cost, whole, origin, upper_bound"
    told["PROMPTADS_CHANGES"] = (
        f"SELECT replace(kind, 'campaign', 'novelty') AS kind, {columns} FROM changes_since(?, ?)"
    )
    ended = there.hop.run("delta", told)
    assert ended.code == 1
    assert "unknown kind: a kind of row that this pipeline does not know" in ended.errors
    runs = _runs(there)
    assert {source: status for source, (status, _) in runs.items()} == {
        "promptcontent": "succeeded", "promptads": "failed", "promptcrm": "succeeded", "cache": "succeeded",
    }  # fmt: skip
    assert runs["promptads"][1] == "unknown kind: a kind of row that this pipeline does not know"


def test_a_source_that_is_away_does_not_stop_the_others(there: World) -> None:
    told = variables(there.targets)
    ended = there.hop.run(
        "delta", {**told, "CACHE_PORT": "1", "PROMPTCRM_JDBC_URL": "jdbc:postgresql://127.0.0.1:1/none"}
    )
    assert ended.code == 1
    runs = _runs(there)
    assert runs["cache"] == ("failed", "read the stream: Redis at 127.0.0.1:1: Connection refused")
    assert runs["promptcrm"][0] == "failed"
    assert "Connection to 127.0.0.1:1 refused" in runs["promptcrm"][1]
    assert runs["promptads"][0] == runs["promptcontent"][0] == "succeeded"
    assert any("not merged: promptcrm cache" in error for error in ended.errors)


def test_a_long_stream_comes_whole_and_once(there: World) -> None:
    assert there.hop.run("delta", variables(there.targets)).code == 0
    pipe = there.cache.pipeline()
    for number in range(3_500):
        pipe.xadd("activity", {"content": 1 + number % 3, "kind": "view"})
    pipe.execute()
    assert there.hop.run("delta", variables(there.targets)).code == 0
    said = "SELECT rows_read, status FROM etl_run WHERE source = 'cache' ORDER BY round DESC LIMIT 1"
    assert there.sales.execute(said).fetchone() == (3_500, "succeeded")


def test_every11_runs_what_is_due_and_survives_what_fails(there: World, tmp_path: Path) -> None:
    told = {**variables(there.targets), "CACHE_PORT": "1"}
    with there.hop.start("every11", told, log=tmp_path / "log") as running:
        for expected in (1, 2):
            eventually(lambda: _ended_rounds(there) == expected, seconds=60)  # noqa: B023 - called at once
            assert _runs(there)["cache"][0] == "failed"
            there.sales.execute("UPDATE etl_run SET started_at = started_at - interval '11 minutes'")
        assert running.running()
        running.stop()
        assert running.wait(20).code == 128 + signal.SIGTERM


def _ended_rounds(there: World) -> int:
    found: int = there.sales.execute(
        "SELECT count(*) FROM (SELECT round FROM etl_run GROUP BY round HAVING bool_and(status <> 'running')) AS ended"
    ).fetchone()[0]
    return found


def _runs(there: World) -> dict[str, tuple[str, str]]:
    rows: list[Any] = there.sales.execute(
        "SELECT source, status, message FROM etl_run WHERE round = (SELECT max(round) FROM etl_run)"
    ).fetchall()
    return {source: (status, message) for source, status, message in rows}


def _with_children(pid: int) -> list[psutil.Process]:
    """It, and what it has started, once that is there."""
    found = psutil.Process(pid)
    eventually(lambda: found.children())
    return [found, *found.children(recursive=True)]


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_round_that_is_under_way_is_not_overlapped(there: World) -> None:
    round_ = there.sales.execute("SELECT etl_begin()").fetchone()[0]
    there.sales.execute(f"SET application_name = 'promptsales-etl {round_}'")
    ended = there.hop.run("delta", variables(there.targets))
    assert ended.code == 1
    assert f"begin a round: round {round_} is under way since" in ended.errors[0]
    assert there.sales.execute("SELECT max(round), bool_and(status = 'running') FROM etl_run").fetchone() == (
        round_,
        True,
    )
