"""A case's whole way: set-up, end, notes, secrets, and servers that are not there or go away."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from leftovers import databases
from polling import eventually

from harness.errors import LoginRefused, ServerError, SetupFailed
from harness.evidence.model import Status
from harness.history import EventKind, RunEnd
from harness.runner.case import run_case
from harness.runner.databases import Databases
from harness.servers import processes
from harness.servers.embedded import embedded_servers
from harness.suite import Settings, Suite, new_run_id

from .conftest import TABLE, Play, end_of

ONE = "sessions: {T1: {steps: {one: SELECT 1}}}\n"


def test_a_set_up_that_fails_names_file_database_error_and_statement(play: Play) -> None:
    with pytest.raises(SetupFailed) as caught:
        play(TABLE.replace("INSERT INTO t VALUES (1", "INSERT INTO nowhere VALUES (1") + ONE)
    text = str(caught.value)
    assert re.search(r"case_\d+\.yaml: set-up fails on promptsales@postgresql: ", text)
    assert 'relation "nowhere" does not exist (42P01), in: INSERT INTO nowhere VALUES' in text
    assert "\n" not in text


def test_a_set_up_that_never_ends_is_cancelled(play: Play) -> None:
    with pytest.raises(
        SetupFailed, match=r"it had not ended after 0\.3 s \('case_deadline:'\): cancel.*in: SELECT pg_sl"
    ):
        play(TABLE.replace("setup:", "setup:\n  - SELECT pg_sleep(60)") + ONE + "case_deadline: 0.3")


def test_an_item_that_cannot_be_read_before_is_an_error(play: Play) -> None:
    with pytest.raises(SetupFailed, match=r"item 'v' cannot be read on promptsales@postgresql: .* in: SELECT w FROM t"):
        play(TABLE + ONE + "items: {v: SELECT w FROM t}")


def test_an_item_that_cannot_be_read_at_the_end_loses_nothing(play: Play) -> None:
    evidence = play(TABLE + "items: {v: SELECT sum(v) FROM t}\nsessions: {T1: {steps: {drop: DROP TABLE t}}}")
    assert end_of(evidence, "drop").kind is EventKind.ok
    assert evidence.history.initial == {"v": 60}
    assert evidence.history.final == {}
    (note,) = evidence.verdict.notes
    assert note.startswith("at the end: item 'v' cannot be read on promptsales@postgresql: relation")


def test_a_tear_down_that_fails_is_a_note(play: Play) -> None:
    evidence = play(TABLE + ONE + "teardown: [DROP TABLE nowhere]")
    assert evidence.verdict.status is Status.passed
    (note,) = evidence.verdict.notes
    assert note.startswith("tear-down fails on promptsales@postgresql: table")
    assert note.endswith("in: DROP TABLE nowhere")


# -- secrets

SECRETS = """
title: Secrets
database: promptsales
parameters: {card: "4111-1111", pin: 7391}
sensitive: [card, pin, mail, token]
setup:
  - CREATE TABLE client (id int PRIMARY KEY, name text, card text UNIQUE, pin int, mail text)
  - INSERT INTO client VALUES (1, 'Ana', '5500-0000', 8642, 'ana@example.org'), (2, 'Bea', '5500-0001', 1, NULL)
items:
  mail: SELECT mail FROM client WHERE id = 1
  ring: {run: "SELECT card, name FROM client WHERE id = 1", column: card}
sessions:
  T1:
    setup: begin
    steps:
      pay: "UPDATE client SET card = ${card}, pin = ${pin} WHERE id = 1"
      read: {run: "SELECT id, card, pin FROM client WHERE id = 1", reads: {pin: pin}}
      renamed: {run: SELECT mail AS m FROM client WHERE id = 1, reads: {mail: m}}
      literal: SELECT name FROM client WHERE mail = 'ana@example.org' OR card = '4111-1111'
      tell: DO $$ BEGIN RAISE NOTICE 'the card is 4111-1111'; END $$
      short: {run: "SELECT 'q7'", reads: {mail: ''}}
      made: {run: SELECT 'tok' || 'en-99' AS token}
      again: {run: "SELECT ${pin + 0} AS it, 17391 AS other", reads: {it: it}}
      commit_1: commit
  T2:
    steps:
      wait: "UPDATE client SET card = 'x' || '4111-1111' WHERE id = 1"
      twice: UPDATE client SET card = '5500-0001' WHERE id = 1
schedule: [pay, wait: blocks, read, renamed, literal, tell, short, made, again, commit_1, twice]
expect: {postgresql: {any: {errors: {twice: constraint}, allows: [lost update]}}}
"""
FORBIDDEN = ["4111-1111", "7391", "8642", "ana@example.org", "token-99", "5500-0000", "4242-4242"]


def test_secrets_and_passwords_are_nowhere_in_the_results(own_suite: Suite, play: Play) -> None:
    file = play.folder / "secrets.yaml"
    file.write_text(SECRETS, "utf-8")
    own_suite.settings.parameters["card"] = "4242-4242"
    file.write_text(SECRETS.replace("'4111-1111'", "'4242-4242'").replace("is 4111", "is 4242"), "utf-8")
    (case,) = own_suite.cases(file)
    result = own_suite.run(case)
    page = own_suite.finish({"arguments": ["--set", "card=4242-4242"]})
    assert page is not None
    assert result.evidence.history.end is RunEnd.completed
    url = own_suite.settings.environ["PROMPTSALES_URL"]
    password = url.split(":")[2].split("@")[0]
    assert len(password) > 20
    written = [path for path in (own_suite.settings.results).rglob("*") if path.is_file()]
    assert {"run.json", "report.html", "evidence.json", "timeline.svg"} <= {path.name for path in written}
    for path in written:
        text = path.read_text("utf-8")
        for secret in [*FORBIDDEN, password]:
            assert not re.search(rf"(?<!\d){re.escape(secret)}", text), f"{secret} is in {path}"
    read = result.evidence.history
    assert "17391" in read.model_dump_json()  # another number
    assert "Ana" in read.model_dump_json()
    assert "‹hidden›" in read.model_dump_json()
    assert read.final["mail"] == read.final["ring"] == "‹hidden›"
    short = next(event for event in read.events if event.step == "short" and event.results)
    assert short.results[0].rows == [["‹hidden›"]]  # too short to be looked for in texts, but its column is known
    twice = next(event for event in read.events if event.step == "twice" and event.error)
    assert twice.error is not None
    assert "5500-0001" not in twice.error.detail  # "Key (card)=(5500-0001) already exists": nobody had read it


# -- servers that are not there


def suite_at(url: str, folder: Path) -> Suite:
    environ = {"PROMPTSALES_URL": url}
    return Suite(Settings(root=folder, results=folder / "results", mode="external", environ=environ))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda url: re.sub(r":[^:@]+@", ":s3cret-wrong@", url), LoginRefused, "refuses the login: "),
        (lambda url: re.sub(r":\d+/", f":{processes.free_port()}/", url), ServerError, "cannot be reached: "),
        (lambda url: url.replace("127.0.0.1", "no-such-host.invalid"), ServerError, "cannot be reached: "),
    ],
)
def test_a_server_that_is_not_to_be_had_is_one_line(
    play: Play, suite: Suite, tmp_path: Path, change: object, error: type[ServerError], said: str
) -> None:
    url = change(suite.servers.target("promptsales").url)  # type: ignore[operator]
    other = suite_at(url, tmp_path)
    with pytest.raises(error) as caught:
        other.run(play.cases(TABLE + ONE)[0])
    text = str(caught.value)
    assert said in text
    assert "\n" not in text
    assert "s3cret-wrong" not in text
    assert not (tmp_path / "results").exists()
    assert other.finish() is None
    assert not (tmp_path / "results").exists()


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[tuple[Suite, int]]:
    """A run with a PostgreSQL server of its own, and the server's process."""
    run = new_run_id()
    made = Suite(Settings(root=tmp_path, results=tmp_path / "results", run_id=run, environ={}))
    made.servers.target("promptsales")
    servers = embedded_servers(run, os.getpid())
    (pid,) = [record.pid for record in servers.folder.records() if record.server == "pg1"]
    yield made, pid
    made.finish()


def test_a_server_that_dies_in_mid_case_fails_that_case_only(doomed: tuple[Suite, int], play: Play) -> None:
    suite, pid = doomed
    url = suite.servers.target("promptsales").url
    (case,) = play.cases(TABLE + "sessions: {T1: {steps: {nap: SELECT pg_sleep(60), after: SELECT 1}}}")
    watcher = psycopg.connect(url, autocommit=True)

    def kill() -> None:
        napping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        eventually(lambda: watcher.execute(napping).fetchone() == (1,), "the step sleeps")
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    result = suite.run(case)
    killer.join()
    history = result.evidence.history
    assert history.end is RunEnd.lost
    assert "T1 lost its connection" in result.evidence.verdict.summary
    assert result.evidence.verdict.status is Status.error
    (again,) = play.cases(TABLE + ONE)
    assert suite.run(again).evidence.verdict.status is Status.passed
    assert suite.servers.target("promptsales").url != url


def test_a_server_that_died_between_two_cases_is_replaced(doomed: tuple[Suite, int], play: Play) -> None:
    suite, pid = doomed
    (case,) = play.cases(TABLE + ONE)
    assert suite.run(case).evidence.verdict.status is Status.passed
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not processes.started_at(pid), "it is dead")
    assert suite.run(case).evidence.verdict.status is Status.passed


# -- leftovers


def test_leftovers_of_dead_runs_are_dropped_those_of_living_ones_stay(
    doomed: tuple[Suite, int], tmp_path: Path
) -> None:
    url = doomed[0].servers.target("promptsales").url  # a server where nobody else looks for leftovers
    dead, alive = f"d{new_run_id()}", f"a{new_run_id()}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE psh_{dead}_1")
        server.execute(f"CREATE DATABASE psh_{alive}_gw0x1")
        with psycopg.connect(url, application_name=f"psh:{alive}"):
            makers = Databases(suite_at(url, tmp_path).servers, new_run_id())
            makers.drop(makers.make("promptsales", ["read committed"]))
            makers.close()
        where = url.split("@")[1].split("/")[0]
        assert makers.swept == [f"{where}: psh_{dead}_1"]
        assert databases(server, "psh_") == [f"psh_{alive}_gw0x1"]


def test_close_drops_what_was_not_dropped(suite: Suite, tmp_path: Path) -> None:
    url = suite.servers.target("promptsales").url
    makers = Databases(suite_at(url, tmp_path).servers, new_run_id())
    made = makers.make("promptsales", ["read committed"])
    with psycopg.connect(url, autocommit=True) as server:
        assert databases(server, made.name) == [made.name]
        with psycopg.connect(made.url):  # somebody is still in it
            makers.close()
        assert databases(server, made.name) == []


def test_whatever_a_case_raises_it_cleans_up(play: Play, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.runner.coordinator import Coordinator

    def run(self: Coordinator) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Coordinator, "run", run)
    with pytest.raises(KeyboardInterrupt):
        run_case(play.cases(TABLE + ONE)[0], suite.databases)  # `nothing_stays` looks
