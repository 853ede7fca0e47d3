"""``harness etl`` as a person has it: what is shown, and with which exit code it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fake_hop import WHOLE, FakeHop, stage, variables
from stopping import hears_ctrl_c
from typer.testing import CliRunner, Result

from fixtures.databases import Database
from harness.errors import HarnessError
from harness.etl.log import open_log
from harness.etl_cli import app
from harness.servers.urls import VARIABLE

pytestmark = pytest.mark.etl

PROJECT = Path(__file__).resolve().parents[2]
Ended = subprocess.CompletedProcess[str]


def command(*arguments: str, cwd: Path, **environ: str) -> Ended:
    """The command line as a process of its own."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLE.values()}
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "etl", *arguments],
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(PROJECT), "COLUMNS": "120", "PROMPTSALES_SERVERS": "embedded"} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr, "no ANSI in a pipe"
    return done


@pytest.mark.parametrize("word", ["run", "log", "state"])
def test_no_servers(tmp_path: Path, word: str) -> None:
    done = command(word, cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr == "harness: promptsales: not up: start it with 'harness up', or give its URL\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--whole", "promptad"], "there is no source 'promptad', did you mean 'promptads'?"),
        (["serve", "--every", "soon"], "--every soon: write seconds, minutes or hours"),
        (["serve", "--rounds", "0"], "'--rounds'"),
        (["log", "--last", "many"], "'--last' / '-n'"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_wrong_options(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stderr).split())


def test_a_hop_that_is_none(tmp_path: Path) -> None:
    done = command("setup", cwd=tmp_path, PROMPTSALES_HOP=str(tmp_path))
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1


def test_promptsales_without_the_etls_tables(tmp_path: Path, promptsales_db: Database) -> None:
    promptsales_db.connect().execute("DROP VIEW etl_log; ALTER TABLE etl_run DROP COLUMN round CASCADE")
    done = command("run", cwd=tmp_path, PROMPTSALES_URL=promptsales_db.url)
    assert done.returncode == 3
    assert "promptsales has no tables of the ETL, or older ones" in done.stderr


def test_log_and_state_as_json(tmp_path: Path, promptsales_db: Database) -> None:
    connection = promptsales_db.connect()
    empty = command("log", cwd=tmp_path, PROMPTSALES_URL=promptsales_db.url)
    assert (empty.returncode, empty.stdout) == (0, "no round was run yet: 'harness etl run' runs one\n")
    (number,) = connection.execute("SELECT etl_begin()").fetchone()
    stage(connection, number, "promptcontent")
    connection.execute("SELECT etl_fail(%s, 'cache', 'it is down')", [number])
    log = command("log", "--json", cwd=tmp_path, PROMPTSALES_URL=promptsales_db.url)
    assert json.loads(log.stdout)["rounds"][0]["runs"][0]["source"] == "promptcontent"
    state = command("state", "--json", cwd=tmp_path, PROMPTSALES_URL=promptsales_db.url)
    assert state.returncode == 1, "a source failed"
    assert {one["source"]: one["last_status"] for one in json.loads(state.stdout)["sources"]}["cache"] == "failed"
    shown = command("state", cwd=tmp_path, PROMPTSALES_URL=promptsales_db.url)
    assert "✗ failed" in shown.stdout
    assert "nothing is in quarantine" in shown.stdout
    full = command("log", "--round", str(number), cwd=tmp_path, PROMPTSALES_URL=promptsales_db.url)
    assert "it is down" in full.stdout
    none = command("log", "--round", "9", cwd=tmp_path, PROMPTSALES_URL=promptsales_db.url)
    assert (none.returncode, none.stderr) == (1, "harness: there is no round 9 in the log of promptsales\n")


def test_hops_variables_as_a_file_for_its_owner_only(tmp_path: Path) -> None:
    urls = {
        "PROMPTSALES_URL": "postgresql://ana:hunter2@db:5432/promptsales",
        "PROMPTADS_URL": "mssql://ana:hunter2@ads:1433/promptads",
        "PROMPTCRM_URL": "mssql://ana:hunter2@crm:1433/promptcrm",
        "PROMPTCONTENT_URL": "mongodb://ana:hunter2@content:27017/promptcontent",
    }
    done = command("variables", "v.json", cwd=tmp_path, PROMPTSALES_SERVERS="external", **urls)
    assert (done.returncode, done.stderr) == (3, "harness: cache: no URL given\n")
    done = command(
        "variables",
        "v.json",
        cwd=tmp_path,
        PROMPTSALES_SERVERS="external",
        CACHE_URL="redis://:hunter2@c:6379/0",
        **urls,
    )
    assert done.returncode == 0, done.stderr
    assert "hunter2" not in done.stdout
    file = tmp_path / "v.json"
    assert file.stat().st_mode & 0o077 == 0
    names = {one["name"]: one["value"] for one in json.loads(file.read_text())["variables"]}
    assert names["PROMPTSALES_PASSWORD"] == "hunter2"


# -- with a Hop that is quick


@pytest.fixture
def hop(monkeypatch: pytest.MonkeyPatch, promptsales_db: Database, tmp_path: Path) -> FakeHop:
    from harness.etl import connections
    from harness.etl import hop as real

    made = FakeHop(WHOLE)
    monkeypatch.setattr(real, "find", lambda: made)
    monkeypatch.setattr(connections, "variables", variables)
    monkeypatch.chdir(tmp_path)
    for name in VARIABLE.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PROMPTSALES_SERVERS", "external")
    monkeypatch.setenv("PROMPTSALES_URL", promptsales_db.url)
    monkeypatch.setenv("CACHE_URL", "redis://127.0.0.1:1/0")
    return made


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_run_shows_what_moved_and_keeps_it(hop: FakeHop, tmp_path: Path) -> None:
    done = invoke("run")
    assert done.exit_code == 0, done.output
    assert "promptads: no URL given; its run fails" in done.stdout
    assert "✓ round 1, " in done.stdout
    (run,) = (one for one in (tmp_path / "results").iterdir() if not one.is_symlink())
    assert (run / "etl" / "round-1" / "etl.json").is_file()
    page = (run / "report.html").read_text()
    assert "Round 1" in page
    assert 'id="etl-1"' in page
    assert invoke("run").exit_code == 0
    newest = (tmp_path / "results" / "latest" / "report.html").read_text()
    assert "Earlier rounds (1)" in newest
    assert "Since the run before" not in newest


def test_run_fails_if_a_source_does(hop: FakeHop, tmp_path: Path) -> None:
    hop.steps = [step for step in WHOLE if step != "merge:promptads"]
    hop.steps.append("fail:promptads:Connection refused")
    done = invoke("run")
    assert done.exit_code == 1
    assert "promptads failed: Connection refused" in done.stdout
    assert "all that Hop said: " in done.stdout
    assert "round 1, promptads: Connection refused" in (tmp_path / "results" / "latest" / "report.html").read_text()


def test_run_whole_forgets_first(hop: FakeHop, promptsales_db: Database) -> None:
    assert invoke("run").exit_code == 0
    assert invoke("run", "--whole", "promptads").exit_code == 0
    with open_log(promptsales_db.url) as log:
        begins = {one.source: one.window_from for one in log.round(2).runs}
    assert begins["promptads"] is None
    assert begins["promptcrm"] is not None
    refused = invoke("run", "--whole", "cache")
    assert isinstance(refused.exception, HarnessError)
    assert "the cache cannot be read anew" in str(refused.exception)


def test_serve_a_line_for_each_round(hop: FakeHop) -> None:
    hop.plans = [WHOLE, ["begin", "kill"]]
    done = invoke("serve", "--every", "0.2s", "--rounds", "3")
    lines = [line for line in done.stdout.splitlines() if " round " in line]
    assert lines[0].startswith("a round every 0.2 seconds")
    assert [re.split(r"[ ,]", line)[0:3] for line in lines[1:]] == [
        ["✓", "round", "1"],
        ["✗", "round", "2"],
        ["✓", "round", "3"],
    ], done.stdout
    assert "Hop was ended by signal 9" in lines[2]
    assert done.exit_code == 1, "one of them failed"
    assert done.stdout.count("promptads: no URL given") == 1, "said once"


@pytest.mark.parametrize(("sent", "why"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")])
def test_serve_ends_when_it_is_told(tmp_path: Path, promptsales_db: Database, sent: signal.Signals, why: str) -> None:
    """Between two rounds: the process of its own, which waits for the next slot."""
    promptsales_db.connect().execute("SELECT etl_begin()")
    hop = "import harness.etl.hop as hop, harness.cli as cli; hop.find = lambda: object(); cli.main()"
    environ = {**os.environ, "PYTHONPATH": str(PROJECT), "PROMPTSALES_URL": promptsales_db.url}
    child = subprocess.Popen(
        [sys.executable, "-c", hop, "etl", "serve", "--every", "1h"],
        cwd=tmp_path,
        env=environ | {"PROMPTSALES_SERVERS": "external"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=hears_ctrl_c,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "a round every 60 minutes; Ctrl-C ends it\n"
    child.send_signal(sent)
    out, _ = child.communicate(timeout=20)
    assert out == f"ended by {why}\n"
    assert child.returncode == 0
