"""``harness check history``: histories nobody here made, and a scenario's evidence."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.evidence.checker.model import Report
from harness.evidence.elle.read import read_history
from tests.evidence.histories import build

from .conftest import environment

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SKEW = """\
{:type :invoke :process 0 :f :txn :value [[:append :x 1] [:r :y nil]]}
{:type :invoke :process 1 :f :txn :value [[:append :y 1] [:r :x nil]]}
{:type :ok :process 0 :f :txn :value [[:append :x 1] [:r :y nil]]}
{:type :ok :process 1 :f :txn :value [[:append :y 1] [:r :x nil]]}
{:type :invoke :process 0 :f :txn :value [[:r :x nil] [:r :y nil]]}
{:type :ok :process 0 :f :txn :value [[:r :x [1]] [:r :y [1]]]}
"""
STALE = """\
{:type :invoke :process 0 :f :txn :value [[:append :x 1]]}
{:type :ok :process 0 :f :txn :value [[:append :x 1]]}
{:type :invoke :process 1 :f :txn :value [[:r :x nil]]}
{:type :ok :process 1 :f :txn :value [[:r :x nil]]}
{:type :invoke :process 1 :f :txn :value [[:r :x nil]]}
{:type :ok :process 1 :f :txn :value [[:r :x [1]]]}
"""


@pytest.fixture
def cli(tmp_path: Path) -> Run:
    """The command line without any server."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "harness.cli", "check", "history", *map(str, arguments)],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        return done

    return run


def test_what_is_found_is_told_with_its_proof(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "skew.edn").write_text(SKEW)
    done = cli("skew.edn")
    assert done.returncode == 1
    assert "✗ 1 G2-item" in done.stdout
    assert "G2-item: write skew" in done.stdout
    assert "a contradiction!" in done.stdout
    assert "serializable" in done.stdout


def test_a_level_decides(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "skew.edn").write_text(SKEW)
    weaker = cli("skew.edn", "--level", "Snapshot-Isolation")
    assert (weaker.returncode, weaker.stdout.splitlines()[-1]) == (0, "snapshot isolation: nothing here excludes it")
    stronger = cli("skew.edn", "--level", "serializable")
    assert (stronger.returncode, stronger.stdout.splitlines()[-1]) == (1, "serializable: excluded by this history")
    unknown = cli("skew.edn", "--level", "serialisable")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith(
        "harness: --level: unknown isolation level 'serialisable', did you mean 'serializable'? (known:"
    )


def test_real_time_counts_if_it_is_asked_for(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "stale.edn").write_text(STALE)
    assert cli("stale.edn").returncode == 0
    done = cli("stale.edn", "--realtime")
    assert done.returncode == 1
    assert "realtime" in done.stdout


def test_pictures_a_page_and_the_history_again(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "skew.edn").write_text(SKEW)
    done = cli("skew.edn", "--svg", "pictures", "--html", "page.html", "--export", "again.json")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-3:] == [
        "history: again.json", "pictures: pictures/01-G2-item.svg", "page: page.html"
    ]  # fmt: skip
    assert "<svg" in (tmp_path / "pictures" / "01-G2-item.svg").read_text()
    assert "G2-item: write skew" in (tmp_path / "page.html").read_text()
    assert read_history(tmp_path / "again.json").transactions == read_history(tmp_path / "skew.edn").transactions
    assert cli("again.json").returncode == 1


def test_as_json(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "skew.edn").write_text(SKEW)
    (tmp_path / "stale.edn").write_text(STALE)
    done = cli("skew.edn", "stale.edn", "--json")
    first, second = (Report.model_validate_json(line) for line in done.stdout.splitlines())
    assert (first.source, first.counts, second.clean) == ("skew.edn", {"G2-item": 1}, True)
    assert done.returncode == 1


def test_the_evidence_of_a_scenario(cli: Run, tmp_path: Path) -> None:
    history = build("r1(x=0) r2(x=0) w1(x=1) c1 w2(x=2) c2 r3(x=2) c3", x=0).history()
    (tmp_path / "evidence.json").write_text(json.dumps({"history": json.loads(history.model_dump_json())}))
    done = cli("evidence.json")
    assert done.returncode == 1
    assert "lost-update" in done.stdout


def test_a_bad_file_is_a_line_and_the_others_are_checked(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "skew.edn").write_text(SKEW)
    (tmp_path / "bad.edn").write_text("{:type :ok :process 1 :f :cas :value [1 2]}")
    (tmp_path / "binary.edn").write_bytes(b"\x7fELF\xff\x00")
    done = cli("bad.edn", "binary.edn", "missing.edn", "skew.edn", "--svg", "p")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["bad.edn", "binary.edn", "missing.edn cannot be read"]
    assert lines[0].startswith("harness: bad.edn:1:1: operation 1: :f :cas, :value [1 2] is none that is known")
    assert (tmp_path / "p" / "skew-01-G2-item.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workload", "list-apend"], "there is no workload 'list-apend', did you mean 'list-append'?; there are"),
        (["--workload", "bank"], 'skew.edn:3:1: operation 3: [:append "x" 1] is no micro-operation of bank'),
        (["--export", "h.xml"], "h.xml cannot be written: a history's file ends with .edn, .json, .jsonl"),
        (["--html", "skew.edn/page.html"], "skew.edn/page.html cannot be written: "),
        (["skew.edn", "--html", "page.html"], "--html is of one history, and 2 are given"),
    ],
    ids=["workload", "other", "suffix", "folder", "two"],
)
def test_what_cannot_be_done_is_one_line(cli: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "skew.edn").write_text(SKEW)
    done = cli("skew.edn", *arguments)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(f"harness: {message}")
    assert len(done.stderr.splitlines()) == 1


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    pair = "".join(
        f"{{{{:type :{kind} :process 0 :f :txn :value [[:append {{0}} 1]]}}}}\n" for kind in ("invoke", "ok")
    )
    (tmp_path / "big.edn").write_text("".join(pair.format(number) for number in range(60_000)))
    command = [sys.executable, "-m", "harness.cli", "check", "history", "big.edn", "--export", "out.edn"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        for _ in range(2000):
            if list(tmp_path.glob(".out.edn-*")):  # it is writing
                break
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in said
    assert not list(tmp_path.glob(".*")), "half a file is none"
