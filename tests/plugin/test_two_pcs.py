"""pytest on two PCs: network namespaces, each with an sshd, stand for them. The servers are of the run itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import psutil
import pytest
from namespaces import Network, mended, pcs
from polling import eventually
from stopping import hears_ctrl_c

from harness.answers import ErrorKind
from harness.evidence.store import read_evidence
from harness.servers import MODE_VARIABLE
from harness.servers.urls import VARIABLE
from harness.vocabulary import Phenomenon

from .conftest import OTHERS, family, gone, kill, scenario

__all__ = ["mended", "pcs"]

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ("--tx", "ssh=pc1", "--tx", "ssh=pc2")

SLEEPS = """
import time
from pathlib import Path

import pytest

@pytest.mark.parametrize("number", range(4))
def test_it(worker_id, number):
    Path(f"asleep-{worker_id}").touch()
    while not Path("go_on").exists():
        time.sleep(0.02)
"""


class Desk:
    """A project, here and at the same path on the PCs."""

    def __init__(self, network: Network, path: Path) -> None:
        self.network = network
        self.path = path
        self.environ = network.environment
        for name in ("PYTEST_ADDOPTS", MODE_VARIABLE, *VARIABLE.values()):
            self.environ.pop(name, None)
        (path / "pytest.ini").write_text("[pytest]\njunit_family = xunit1\naddopts = --strict-markers\n")

    def scenario(self, name: str, text: str = "") -> None:
        file = self.path / "scenarios" / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text or scenario())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *OTHERS, *arguments],
            cwd=self.path,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=hears_ctrl_c,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        try:
            text = process.communicate(timeout=120)[0]
        finally:
            if process.poll() is None:
                kill(process)
        return process.returncode, text

    @property
    def told(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads((self.path / "results/latest/run.json").read_text())
        return made

    def cases(self) -> list[tuple[str, dict[str, str]]]:
        """The test cases of the JUnit file, with their properties."""
        return [
            (case.attrib["name"], {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")})
            for case in ElementTree.parse(self.path / "junit.xml").getroot().iter("testcase")
        ]

    @property
    def asleep(self) -> list[Path]:
        """One file for each worker that is in a test which sleeps."""
        return list(self.path.glob("asleep-*"))

    def workers(self) -> list[str]:
        """What of pytest runs on the PCs."""
        return [line for pc in self.network.pcs for line in pc.processes(r"python.* -c ").values()]

    def left(self) -> list[Path]:
        """What of workers' evidence still lies on the PCs."""
        folders = [pc.folder / "tmp" / f"promptsales-harness-{os.getuid()}" for pc in self.network.pcs]
        return [path for folder in folders for path in folder.glob("run-*")]


@pytest.fixture
def desk(mended: Network, tmp_path: Path) -> Desk:
    return Desk(mended, tmp_path)


def test_two_pcs_deadlock_and_bring_home_one_evidence_and_one_junit_case(desk: Desk) -> None:
    """The command of the README."""
    for name in ("scenarios", "schemas"):
        shutil.copytree(ROOT / name, desk.path / name, ignore=shutil.ignore_patterns("*.py"))
    code, text = desk.run("-m", "two_host", *HOSTS, "--junitxml=junit.xml")
    assert code == 0, text
    cases = desk.cases()
    assert len({name.split("[")[0] for name, _ in cases}) == 2, "over one server, and over two"
    for name, told in cases:
        evidence = read_evidence(desk.path / told["evidence"])
        history = evidence.history
        assert history.case == name
        assert told["hosts"] == "pc1 (pc1), pc2 (pc2)"
        assert [host.hostname for host in history.hosts] == ["pc1", "pc2"]
        assert all(host.address and host.clock_error > 0 for host in history.hosts)
        assert {session.host for session in history.sessions} == {"pc1", "pc2"}
        pids = [pid for session in history.sessions for pid in session.pids.values()]
        assert len(set(pids)) == len(pids) >= 2
        order = [event.seq for event in history.events]
        assert order == sorted(set(order))
        (found,) = evidence.verdict.phenomena
        victims = [event.error for event in history.events if event.error and event.error.kind is ErrorKind.deadlock]
        if name.startswith("two_hosts_two_servers"):
            assert (found, victims, history.reports) == (Phenomenon.hidden_deadlock, [], [])
        else:
            assert found is Phenomenon.deadlock
            assert [error.code for error in victims] == ["40P01"]
            assert history.reports, "the server's own word"
    assert sorted(case["id"] for case in desk.told["cases"]) == sorted(name for name, _ in cases)
    assert desk.told["hosts"][1:] == ["pc1", "pc2"]


def test_the_same_files_run_on_this_machine_alone(desk: Desk) -> None:
    for name in ("scenarios", "schemas"):
        shutil.copytree(ROOT / name, desk.path / name, ignore=shutil.ignore_patterns("*.py"))
    code, text = desk.run("-m", "two_host", "--junitxml=junit.xml")
    assert code == 0, text
    assert all("hosts" not in told for _, told in desk.cases())


def test_a_whole_suite_is_spread_over_two_pcs(desk: Desk) -> None:
    for number in range(6):
        desk.scenario(f"fine_{number}")
    code, text = desk.run("-n", "2", *HOSTS, "--junitxml=junit.xml")
    assert code == 0, text
    assert "workers: 1 on pc1, 1 on pc2" in text
    cases = desk.cases()
    assert len(cases) == 6
    assert {told["hosts"] for _, told in cases} == {"pc1", "pc2"}
    for name, told in cases:
        history = read_evidence(desk.path / told["evidence"]).history
        assert (history.case, history.controller) == (name, told["hosts"])
    assert desk.told["hosts"][1:] == ["pc1", "pc2"]
    assert desk.told["cases"]
    assert "://" not in text, "no URL, no login"
    assert desk.left() == []


def test_a_pc_whose_cable_is_pulled_ends_the_run_and_what_was_done_is_kept(desk: Desk) -> None:
    for number in range(2):
        desk.scenario(f"fine_{number}")
    (desk.path / "test_sleeps.py").write_text(SLEEPS)
    process = desk.start("scenarios", "test_sleeps.py", "-n", "2", "--maxschedchunk=1", *HOSTS)
    try:
        eventually(lambda: len(desk.asleep) == 2, "both sleep")
        with desk.network["pc2"].cut():
            (desk.path / "go_on").touch()  # for pc1; what pc2 has to say nobody hears
            text = process.communicate(timeout=60)[0]
    finally:
        if process.poll() is None:
            kill(process)
    assert process.returncode == pytest.ExitCode.TESTS_FAILED, text
    assert "on pc2 was lost" in text
    assert "INTERNALERROR" not in text
    assert [case["status"] for case in desk.told["cases"]] == ["passed", "passed"]
    eventually(lambda: not desk.workers(), "the worker of pc2 ends when the cable is back")
    eventually(lambda: not desk.left(), "its folder goes")


def test_a_killed_controller_leaves_no_worker_and_no_folder(desk: Desk) -> None:
    (desk.path / "test_sleeps.py").write_text(SLEEPS)
    process = desk.start("test_sleeps.py", "-n", "2", *HOSTS)
    eventually(lambda: len(desk.asleep) == 2, "both sleep")
    here = family(psutil.Process(process.pid))
    assert len(desk.workers()) == len(desk.left()) == 2
    kill(process)
    eventually(lambda: gone(here), "all of it is gone here")
    eventually(lambda: not desk.workers(), "they end there")
    eventually(lambda: not desk.left(), "their folders go")
