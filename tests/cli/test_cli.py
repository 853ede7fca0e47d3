"""The command line, as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import psycopg
import pytest
from polling import eventually
from stopping import hears_ctrl_c

from harness.suite import Suite

from .conftest import Run, environment

PROJECT = Path(__file__).resolve().parents[2]
CASCADE = PROJECT / "scenarios" / "deadlock" / "cascade.yaml"
CASE = "cascade[promptsales@postgresql-read_committed]"

GOOD = """
title: Reads one row
marks: [deadlock]
database: promptsales
setup: ["CREATE TABLE t (v int)", INSERT INTO t VALUES (10)]
items: {v: SELECT v FROM t}
sessions: {T1: {steps: {look: {run: SELECT v FROM t, reads: v}}}}
expect: {postgresql: {any: {final: {v: 10}}}}
"""


def one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, (done.stdout, done.stderr)
    (line,) = done.stderr.splitlines()
    assert line.startswith("harness: ")
    return line


def test_run_show_and_report(cli: Run, tmp_path: Path) -> None:
    ran = cli("run", CASCADE, "-k", "promptsales@postgresql-read_committed")
    assert ran.returncode == 0, ran.stderr
    assert f"✓ {CASE}: deadlock: " in ran.stdout
    found = re.search(r"report: (results/(\w+)/report\.html)", ran.stdout)
    assert found
    assert (tmp_path / found[1]).is_file()

    table = cli("show")
    assert table.returncode == 0
    assert table.stdout.startswith(f"Run {found[2]}")
    assert re.search(r"✓ passed +deadlock +T3", table.stdout)
    whole = cli("show", "--case", "cascade")
    assert "40P01" in whole.stdout
    assert "T3 ──waits for──▶ T1" in whole.stdout
    assert cli("show", found[2], "-k", "cascade").stdout == whole.stdout
    assert "no case of this run has 'nothing'" in one_line(cli("show", "--case", "nothing"), 2)
    assert "no run 'nix' in results" in one_line(cli("show", "nix"), 1)

    page = tmp_path / found[1]
    page.unlink()
    again = cli("report")
    assert again.returncode == 0
    assert again.stdout.strip() == str(page)
    assert page.is_file()


def test_a_failing_verdict_and_a_case_that_cannot_be_run_fail_but_stop_nothing(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "a_wrong.yaml").write_text(GOOD.replace("v: 10", "v: 11"), "utf-8")
    (tmp_path / "b_broken.yaml").write_text(GOOD.replace("INSERT INTO t", "INSERT INTO nowhere"), "utf-8")
    (tmp_path / "c_good.yaml").write_text(GOOD, "utf-8")
    done = cli("run", "-q", tmp_path)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert re.match(r"✗ a_wrong\[\S+\]: expected v to be 11 at the end, it is 10", lines[0])
    assert re.match(r"✗ b_broken\[.*b_broken\.yaml: set-up fails on promptsales@postgresql: .* in: INSERT", lines[1])
    assert any(re.match(r"✓ c_good\[\S+\]: no anomaly, as expected", line) for line in lines)


def test_set_reaches_the_scenario(cli: Run) -> None:
    done = cli("run", PROJECT / "scenarios/deadlock/ring.yaml", "--set", "n=3", "-q")
    assert done.returncode == 0, done.stdout
    assert "T1 → T2 → T3 → T1, victim T3" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "nowhere.yaml"), 2, "nowhere.yaml: there is no such file or folder"),
        (("check", "nowhere.yaml"), 2, "nowhere.yaml: there is no such file or folder"),
        (("run", CASCADE, "--servers", "bogus"), 3, "unknown kind of servers 'bogus'; known: embedded, containers"),
        (("run", CASCADE, "--set", "n"), 2, "--set n: write it as name=value"),
        (("run", CASCADE, "-k", "nothing"), 2, "no case has 'nothing' in its id; the first one is cascade["),
        (("show",), 1, "no run 'latest' in results: run some scenarios first"),
        (("report", "nix"), 1, "no run 'nix' in results"),
        (("schema", "foo"), 2, "there is no schema of 'foo': scenario, plans, load, workload, evidence"),
        (("up", "--servers", "external"), 3, "servers of the mode 'external' are not ours to start or stop"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(
    cli: Run, tmp_path: Path, arguments: tuple[object, ...], code: int, said: str
) -> None:
    assert one_line(cli(*arguments), code).startswith(f"harness: {said}")
    assert not (tmp_path / "results").exists()


def test_wrong_logins_and_results_are_one_line(cli: Run, suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD, "utf-8")
    wrong = re.sub(r":[^:@]+@", ":s3cret-wrong@", suite.servers.target("promptsales").url)
    refused = cli("run", "good.yaml", PROMPTSALES_URL=wrong)
    assert refused.returncode == 1
    assert "refuses the login" in refused.stdout
    assert "s3cret-wrong" not in refused.stdout + refused.stderr
    (tmp_path / "results").write_text("a file", "utf-8")
    assert "results cannot be written to" in one_line(cli("run", "-q", "good.yaml"), 1)


def test_check_tells_every_file_and_exits_with_2_if_one_is_wrong(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD, "utf-8")
    (tmp_path / "b.yaml").write_text(GOOD.replace("marks: [deadlock]", "marks: [deadlok]"), "utf-8")
    fine = cli("check", "a.yaml")
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "a.yaml: Reads one row\n", "")
    mixed = cli("check", ".")
    assert mixed.returncode == 2
    assert mixed.stdout == "a.yaml: Reads one row\n"
    assert re.match(r"b\.yaml:3:\d+: unknown mark 'deadlok', did you mean 'deadlock'\?", mixed.stderr)
    every = cli("check", PROJECT / "scenarios")
    assert every.returncode == 0
    assert every.stderr == ""


def test_schemas_are_json_schemas_that_describe_what_is_there(cli: Run, tmp_path: Path) -> None:
    import yaml

    scenario = json.loads(cli("schema").stdout)
    jsonschema.validate(yaml.safe_load(CASCADE.read_text("utf-8")), scenario)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"title": "no sessions"}, scenario)
    evidence = json.loads(cli("schema", "evidence").stdout)
    assert cli("run", CASCADE, "-q", "-k", "promptsales@postgresql-read_committed").returncode == 0
    written = next((tmp_path / "results" / "latest").glob("*/evidence.json"))
    jsonschema.validate(json.loads(written.read_text("utf-8")), evidence)


def test_who_reads_only_the_beginning_gets_no_traceback(cli: Run, tmp_path: Path) -> None:
    assert cli("run", CASCADE, "-q", "-k", "promptsales@postgresql-read_committed").returncode == 0
    for arguments in ("show", "show --case cascade", "schema"):
        done = subprocess.run(
            ["sh", "-c", f"{sys.executable} -m harness.cli {arguments} | head -1"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        assert len(done.stdout.splitlines()) == 1


def test_servers_that_are_up_are_used_by_run_and_pytest_and_stay(cli: Run, tmp_path: Path) -> None:
    none = {"PROMPTSALES_URL": ""}
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "good.yaml").write_text(GOOD, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    up = cli("up", "promptsales", **none)
    try:
        assert up.returncode == 0, up.stderr
        found = re.match(r"promptsales +postgresql://[^@]+@(127\.0\.0\.1:\d+)/promptsales", up.stdout)
        assert found
        assert found[1] in cli("status", **none).stdout
        assert cli("up", "promptsales", **none).stdout == up.stdout, "started once"
        ran = cli("run", "scenarios", **none)
        assert ran.returncode == 0
        assert f" at {found[1]}" in ran.stdout
        tests = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:faker"],
            cwd=tmp_path,
            env=environment(**none),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "1 passed" in tests.stdout
        evidence = next((tmp_path / "results" / "latest").glob("*/evidence.json"))
        assert json.loads(evidence.read_text("utf-8"))["history"]["databases"][0]["server"] == found[1]
        assert found[1] in cli("status", **none).stdout, "it stays"
    finally:
        down = cli("down", **none)
    assert down.returncode == 0
    assert "pg1: stopped" in down.stdout
    assert cli("down", **none).stdout == "nothing was up\n"
    assert not (tmp_path / ".servers").exists()


def test_up_of_an_unknown_database_says_which_there_are(cli: Run) -> None:
    done = cli("up", "promptsale", PROMPTSALES_URL="")
    assert done.returncode == 3
    assert "unknown logical database 'promptsale'" in done.stdout


STUCK = """
title: A step that waits for ever
marks: [deadlock]
database: promptsales
setup: ["CREATE TABLE t (v int)", INSERT INTO t VALUES (10)]
sessions:
  T1: {setup: begin, steps: {hold: UPDATE t SET v = 1}}
  T2: {steps: {want: UPDATE t SET v = 2}}
schedule: [hold, want]
deadline: 300
expect: {postgresql: {any: {}}}
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal")
def test_ctrl_c_ends_cleanly(suite: Suite, tmp_path: Path) -> None:
    url = suite.servers.target("promptsales").url
    (tmp_path / "stuck_cli.yaml").write_text(STUCK, "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "run", "stuck_cli.yaml"],
        cwd=tmp_path,
        env=environment(PROMPTSALES_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs us in the background may have us ignore Ctrl-C, and that would be handed down.
        preexec_fn=hears_ctrl_c,
    )
    ask = (
        "SELECT datname FROM pg_stat_activity "
        "WHERE application_name LIKE 'psh:%/stuck_cli/T2' AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(url, autocommit=True) as server:

        def blocked() -> list[tuple[object, ...]]:
            assert process.poll() is None, process.communicate()
            return server.execute(ask).fetchall()

        waiting = eventually(blocked, "its second session waits")
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in printed[0] + printed[1]
        assert server.execute("SELECT 1 FROM pg_database WHERE datname = %s", waiting[0]).fetchall() == []
