"""``harness spec``, as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from polling import eventually
from stopping import hears_ctrl_c
from two import TWO, TWO_OUT, spec

from harness.evidence.store import read_evidence
from harness.scenario.load import load

from .conftest import Run, environment

PROJECT = Path(__file__).resolve().parents[2]
DATA = PROJECT / "tests" / "postgresql_isolation"

ASLEEP = "session s1 step z { SELECT pg_sleep(300); }\n"


def last(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("processes", [1, 2])
def test_each_is_one_line_and_the_last_line_counts(cli: Run, tmp_path: Path, processes: int) -> None:
    spec(tmp_path, "a-fine")
    spec(tmp_path, "b-fine-too")
    spec(tmp_path, "c-differs", out=TWO_OUT.replace("10\n", "12\n"))
    spec(tmp_path, "d-wrong", TWO + "permutation r1 w3")
    spec(tmp_path, "e-fine")
    done = cli("spec", "run", "specs", "-n", processes)
    assert last(done, 1) == "3 passed, 2 failed"
    lines = done.stdout.splitlines()
    for name in ("a-fine", "b-fine-too", "e-fine"):
        assert len([one for one in lines if re.fullmatch(rf"ok   {name} +2 permutations   \d+ ms", one)]) == 1
    (wrong,) = [one for one in lines if "d-wrong" in one]
    assert re.fullmatch(r"FAIL d-wrong +specs/d-wrong\.spec:6:16: .*'w3'.*", wrong)
    (where,) = [number for number, one in enumerate(lines) if one.startswith("FAIL c-differs")]
    assert re.search(
        r"   2 permutations   \d+ ms   1 of 2 permutations print something else than expected: ", lines[where]
    )
    difference = lines[where + 1 : where + 14]
    assert difference[:2] == ["--- c-differs.out", "+++ what happened"]
    assert {"-12", "+10"} <= set(difference)
    evidence = next(one for one in lines[where:] if one.startswith("evidence: "))
    read = read_evidence(tmp_path / evidence.removeprefix("evidence: "))
    assert read.history.case.startswith("c-differs[promptsales@postgresql")
    assert re.fullmatch(r"evidence: (results/\w+)  report: \1/report\.html", lines[-2])
    assert (tmp_path / lines[-2].split("report: ")[1]).is_file()
    assert len(list((tmp_path / "results" / "latest").glob("*/*.evidence.json"))) == 8
    assert done.stderr == ""


def test_the_processes_leave_nothing_on_the_server(cli: Run, tmp_path: Path, url: str) -> None:
    for number in range(3):
        spec(tmp_path, f"fine-{number}")
    assert last(cli("spec", "run", "specs", "-n", 8), 0) == "3 passed, 0 failed"
    run = (tmp_path / "results" / "latest").resolve().name
    assert left(url, run) == []
    assert f'"run": "{run}"' in (tmp_path / "results" / "latest" / "run.json").read_text("utf-8")


def left(url: str, run: str) -> list[str]:
    with psycopg.connect(url) as server:
        rows = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (f"psh_{run}_",))
        return [str(row[0]) for row in rows]


def test_outputs_and_differences_are_written_where_out_says(cli: Run, tmp_path: Path) -> None:
    spec(tmp_path, "fine")
    spec(tmp_path, "differs", out=TWO_OUT.replace("UPDATE", "update"))
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / "fine.diff").write_text("of a run before", "utf-8")
    assert last(cli("spec", "run", "specs/fine.spec", "specs/differs.spec", "--out", "got"), 1) == "1 passed, 1 failed"
    assert {file.name for file in (tmp_path / "got").iterdir()} == {"fine.out", "differs.out", "differs.diff"}
    assert (tmp_path / "got" / "fine.out").read_text("utf-8") == TWO_OUT
    assert (tmp_path / "got" / "differs.out").read_text("utf-8") == TWO_OUT
    assert "+step w2: UPDATE t" in (tmp_path / "got" / "differs.diff").read_text("utf-8")


def test_a_long_difference_is_shortened_and_whole_in_a_file(cli: Run, tmp_path: Path) -> None:
    spec(tmp_path, "long", "session s step b { SELECT g FROM generate_series(1, 200) g; }", "Parsed test spec\n")
    done = cli("spec", "run", "specs")
    assert last(done, 1) == "0 passed, 1 failed"
    found = re.search(r"^\.\.\. (\d+) more lines: (results/\w+/long\.diff)$", done.stdout, re.MULTILINE)
    assert found
    whole = (tmp_path / found[2]).read_text("utf-8").splitlines()
    assert len(whole) == 60 + int(found[1])
    assert "\n".join(whole[:60]) in done.stdout
    assert len(done.stdout.splitlines()) < 70


def test_accept_writes_what_was_never_expected_and_overwrites_nothing(cli: Run, tmp_path: Path) -> None:
    spec(tmp_path, "known", out=TWO_OUT.replace("10\n", "12\n"))
    spec(tmp_path, "new", out=None)
    missing = cli("spec", "run", "specs/new.spec")
    assert last(missing, 1) == "0 passed, 1 failed"
    assert "no expected output: there is no new.out" in missing.stdout
    assert "to take what it printed as expected: harness spec run --accept specs/new.spec" in missing.stdout
    assert not (tmp_path / "expected" / "new.out").exists()

    done = cli("spec", "run", "specs", "--accept")
    assert last(done, 1) == "1 passed, 1 failed"
    assert re.search(r"^ok   new +2 permutations   \d+ ms   accepted as expected/new\.out$", done.stdout, re.MULTILINE)
    assert (tmp_path / "expected" / "new.out").read_text("utf-8") == TWO_OUT
    assert "12\n" in (tmp_path / "expected" / "known.out").read_text("utf-8")
    assert last(cli("spec", "run", "specs/new.spec"), 0) == "1 passed, 0 failed"


def test_expected_outputs_may_be_elsewhere(cli: Run, tmp_path: Path) -> None:
    spec(tmp_path, "one", out="another one")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "one.out").write_text("of another version", "utf-8")
    (tmp_path / "elsewhere" / "one_3.out").write_text(TWO_OUT, "utf-8")
    assert last(cli("spec", "run", "specs", "--expected", "elsewhere"), 0) == "1 passed, 0 failed"


def test_selection_and_unused_steps(cli: Run, tmp_path: Path) -> None:
    out = TWO_OUT[: TWO_OUT.index("\nstarting permutation: w2")]
    file = spec(tmp_path, "unused", TWO + "session s3 step idle { SELECT 1; }\npermutation r1 w2", out)
    file.with_name("other.spec").write_text("nonsense", "utf-8")
    expected = "unused step name: idle\n" + out.replace("2 sessions", "3 sessions")
    (tmp_path / "expected" / "unused.out").write_text(expected, "utf-8")
    done = cli("spec", "run", "specs", "-k", "unus")
    assert last(done, 0) == "1 passed, 0 failed"
    assert done.stderr == "warning: specs/unused.spec: step 'idle' is used in no permutation\n"
    none = cli("spec", "run", "specs", "-k", "nothing")
    assert last(none, 1) == "0 passed, 0 failed"
    assert "no specification has 'nothing' in its name; the first one is other" in none.stdout


def test_a_step_that_takes_too_long_is_cancelled(cli: Run, tmp_path: Path) -> None:
    out = (
        "Parsed test spec with 1 sessions\n\nstarting permutation: z\nisolationtester: canceling step z after 1 seconds\n"
        "step z: SELECT pg_sleep(300);\nERROR:  canceling statement due to user request\n"
    )
    spec(tmp_path, "late", ASLEEP, out)
    assert last(cli("spec", "run", "specs", "--timeout", "1"), 0) == "1 passed, 0 failed"
    assert last(cli("spec", "run", "specs", PG_TEST_TIMEOUT_DEFAULT="0.5"), 0) == "1 passed, 0 failed"


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "said"),
    [
        (("nowhere",), {}, 2, "nowhere: there is no such file or folder"),
        (("specs", "--expected", "nowhere"), {}, 2, "nowhere: there is no such folder"),
        (("specs", "--servers", "bogus"), {}, 3, "unknown kind of servers 'bogus'; known: embedded, containers"),
        (("specs", "--timeout", "0"), {}, 2, "a step's timeout is more than 0 and at most 86400 seconds, not 0"),
        (("specs", "--timeout", "nan"), {}, 2, "a step's timeout is more than 0 and at most 86400 seconds, not nan"),
        (("specs",), {"PG_TEST_TIMEOUT_DEFAULT": "long"}, 2, "PG_TEST_TIMEOUT_DEFAULT=long: "),
        (("specs", "--out", "a-file"), {}, 1, "a-file cannot be written to: File exists"),
        (("specs", "--out", "a-file/below"), {}, 1, "a-file/below cannot be written to: Not a directory"),
        (("specs", "--results", "a-file", "-n", "2"), {}, 1, "results cannot be written to "),
        (("specs", "specs/deeper", "--out", "got"), {}, 2, "--out: two specifications are called one"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    cli: Run, tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], code: int, said: str
) -> None:
    file = spec(tmp_path, "one")
    spec(tmp_path, "two")
    (tmp_path / "specs" / "deeper").mkdir()
    (tmp_path / "specs" / "deeper" / "one.spec").write_bytes(file.read_bytes())
    (tmp_path / "a-file").touch()
    done = cli("spec", "run", *arguments, **environ)
    assert done.returncode == code, (done.stdout, done.stderr)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"harness: {said}")
    assert not (tmp_path / "results").exists()


def test_an_empty_folder_a_server_that_is_not_there_and_one_that_cannot_be_had(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = cli("spec", "run", "empty")
    assert last(empty, 1) == "0 passed, 0 failed"
    assert empty.stderr == "harness: empty: there is no .spec file in it\n"

    spec(tmp_path, "one")
    unreachable = cli("spec", "run", "specs", PROMPTSALES_URL="postgresql://u:s3cret-word@127.0.0.1:1/postgres")
    assert last(unreachable, 1) == "0 passed, 1 failed"
    assert re.match(r"FAIL one   .*127\.0\.0\.1:1", unreachable.stdout)
    assert "s3cret-word" not in unreachable.stdout + unreachable.stderr

    nothing = {"PROMPTSALES_URL": "", "PROMPTSALES_SERVERS": "external"}
    for processes in (1, 2):
        spec(tmp_path, f"more-{processes}")
        done = cli("spec", "run", "specs", "-n", processes, **nothing)
        assert last(done, 1) == "0 passed, 0 failed"
        assert re.search(r"^skip one .*promptsales: no URL given; set PROMPTSALES_URL$", done.stdout, re.MULTILINE)
        assert f"{processes + 1} skipped: none was run\n" in done.stdout
    assert not (tmp_path / "results").exists()


def test_check_and_run_take_specifications_too(cli: Run, tmp_path: Path) -> None:
    spec(tmp_path, "one")
    assert cli("check", "specs").stdout == "specs/one.spec: one\n"
    ran = cli("run", "-q", "specs", "-k", "all-2")
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.startswith("✓ one[promptsales@postgresql-")
    spec(tmp_path, "two", out=TWO_OUT.replace("10\n", "12\n"))
    assert cli("run", "-q", "specs").returncode == 1
    (tmp_path / "specs" / "one.spec").write_text("session", "utf-8")
    wrong = cli("check", "specs")
    assert wrong.returncode == 2
    assert re.match(r"specs/one\.spec:1:\d+: ", wrong.stderr)


def test_to_yaml_gives_a_scenario_that_does_the_same(cli: Run, tmp_path: Path) -> None:
    spec(tmp_path, "one")
    printed = cli("spec", "to-yaml", "specs/one.spec")
    assert printed.returncode == 0
    assert cli("spec", "to-yaml", "specs/one.spec", "-o", "one.yaml").returncode == 0
    assert (tmp_path / "one.yaml").read_text("utf-8") == printed.stdout
    assert len(load(tmp_path / "one.yaml").schedules) == 2
    ran = cli("run", "-q", "one.yaml")
    assert (ran.returncode, ran.stdout.count("✓ one[")) == (0, 2), ran.stdout
    wrong = cli("spec", "to-yaml", "nowhere.spec")
    assert wrong.returncode == 2
    assert len(wrong.stderr.splitlines()) == 1


# -- signals


@contextmanager
def started(tmp_path: Path, url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "spec", "run", "specs", *arguments],
        cwd=tmp_path,
        env=environment(PROMPTSALES_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs us in the background may have us ignore Ctrl-C, and that would be handed down.
        preexec_fn=hears_ctrl_c,
        start_new_session=True,  # a group of its own, as a terminal gives it
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def sleeping(process: subprocess.Popen[str], url: str, name: str, number: int) -> list[str]:
    """Wait until so many sessions of specifications called ``name``… sleep; gives their databases."""
    ask = "SELECT datname FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND starts_with(application_name, %s)"
    with psycopg.connect(url, autocommit=True) as server:

        def asleep() -> list[str]:
            assert process.poll() is None, process.communicate()
            rows = server.execute(ask, (f"isolation/{name}",)).fetchall()
            return [str(row[0]) for row in rows] if len(rows) == number else []

        return eventually(asleep, "the steps sleep")


def gone(processes: list[psutil.Process]) -> bool:
    return not [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def run_of(database: str) -> str:
    return database.split("_")[1]


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal")
@pytest.mark.parametrize(("processes", "to_all"), [(1, False), (2, False), (2, True)])
def test_ctrl_c_ends_all_and_leaves_nothing(tmp_path: Path, url: str, processes: int, to_all: bool) -> None:
    for number in range(processes + 1):
        spec(tmp_path, f"c-asleep-{processes}{to_all}-{number}", ASLEEP)
    with started(tmp_path, url, "-n", str(processes)) as process:
        databases = sleeping(process, url, f"c-asleep-{processes}{to_all}", processes)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT) if to_all else process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in stdout + stderr
        assert f"harness: interrupted: 0 of {processes + 1} specifications were run" in stderr
        eventually(lambda: gone(children), "no process of the run is left", 8)
        assert left(url, run_of(databases[0])) == []


@pytest.mark.skipif(os.name != "posix", reason="processes are killed by signals")
def test_a_process_that_dies_costs_one_specification(tmp_path: Path, url: str) -> None:
    for name in ("d-asleep-1", "d-asleep-2", "e-fine"):
        spec(tmp_path, name, *([ASLEEP + "permutation z permutation z permutation z"] if "asleep" in name else []))
    with started(tmp_path, url, "-n", "2") as process:
        sleeping(process, url, "d-asleep", 2)
        for child in psutil.Process(process.pid).children():
            if "resource_tracker" not in " ".join(child.cmdline()):
                child.kill()
        stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "Traceback" not in stdout + stderr
    lines = stdout.splitlines()
    for name in ("d-asleep-1", "d-asleep-2"):
        assert f"FAIL {name}   the process that ran it was killed by SIGKILL" in lines
    assert any(line.startswith("ok   e-fine ") for line in lines)
    assert lines[-1] == "1 passed, 2 failed"


@pytest.mark.skipif(os.name != "posix", reason="processes are killed by signals")
def test_the_processes_end_with_their_parent(tmp_path: Path, url: str) -> None:
    for number in range(2):
        spec(tmp_path, f"f-asleep-{number}", ASLEEP)
    with started(tmp_path, url, "-n", "2") as process:
        databases = sleeping(process, url, "f-asleep", 2)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        eventually(lambda: gone(children), "no process of the run is left", 12)
        assert left(url, run_of(databases[0])) == []
