"""Whole tests on the machines of ``--tx``, by pytest-xdist's workers; an ssh that stays here stands for the way there."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import fake_ssh
import psycopg
import pytest
from polling import eventually

import harness
from harness import __version__
from harness.evidence.store import read_evidence
from harness.plans.store import read_pairs
from harness.servers.runfolder import base_path

from .conftest import Project, kill, scenario

TWO = ("--tx", "ssh=pc1", "--tx", "ssh=pc2")


@pytest.fixture(autouse=True)
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh.install(tmp_path, monkeypatch)


def run_of(project: Project) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((project.path / "results/latest/run.json").read_text())
    return made


def properties(project: Project, junit: str = "junit.xml") -> dict[str, dict[str, str]]:
    """Of each test case in the JUnit file, by its name."""
    cases = ElementTree.parse(project.path / junit).getroot().iter("testcase")
    return {
        case.attrib["name"]: {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
        for case in cases
    }


def refused(result: pytest.RunResult, *said: str) -> None:
    """One clear line or a few, no test, no traceback."""
    text = result.stderr.str() + result.stdout.str()
    for words in said:
        assert words in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert " passed" not in text


def nothing_left(text: str) -> bool:
    """Of the run that printed ``text``: other tests have workers too."""
    (run,) = re.findall(r"evidence in \S*results/(\w+)", text)
    return not list(base_path().glob(f"run-{run}-*"))


@pytest.mark.parametrize(
    ("arguments", "workers"),
    [
        (("-n", "3", *TWO), "2 on pc1, 1 on pc2"),
        (("--dist=load", *TWO), "1 on pc1, 1 on pc2"),
        (("-d", "--tx", "2*ssh=pc1"), "2 on pc1"),
        (("--dist=loadfile", "--tx", "popen", "--tx", "ssh=pc1"), "1 on popen, 1 on pc1"),
        (("-n", "auto", "--maxprocesses=3", *TWO), "2 on pc1, 1 on pc2"),
        (("-n", "2", "--tx", "id=pc1//ssh=pc1"), "2 on pc1"),
    ],
)
def test_tests_are_spread_and_their_evidence_comes_home(
    project: Project, arguments: tuple[str, ...], workers: str
) -> None:
    for number in range(3):
        project.scenario(f"fine_{number}")
    project.scenario("failing", scenario(final=11))
    result = project.run(*arguments, "--junitxml=junit.xml")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines([f"promptsales-harness: workers: {workers}"])
    run = run_of(project)
    assert len(run["cases"]) == 4
    told = properties(project)
    for name, properties_ in told.items():
        evidence = read_evidence(project.path / properties_["evidence"])
        assert evidence.history.case == name
        assert properties_["evidence"].startswith(f"results/{run['run']}/")
    assert len({properties_["evidence"] for properties_ in told.values()}) == 4
    text = result.stdout.str()
    (failing,) = [properties_ for name, properties_ in told.items() if name.startswith("failing")]
    assert f"evidence: {failing['evidence']}" in text
    assert (project.path / "results/latest/report.html").exists()
    eventually(lambda: nothing_left(text), "the workers' folders go")


def test_plans_that_were_taken_there_come_home(project: Project) -> None:
    project.scenario(
        "pairs",
        """
        title: A month
        database: promptsales
        data: tiny
        plans:
          month:
            query: {postgresql: "SELECT * FROM campaign_month WHERE month = '2025-12-01'"}
            before: drop ix_campaign_month_month
            after: none
        """,
    )
    project.run("-n", "1", "--tx", "ssh=pc1", "--junitxml=junit.xml").assert_outcomes(passed=1)
    ((_, told),) = properties(project).items()
    (pair,) = read_pairs(project.path / "results/latest")
    assert told["evidence"] == f"results/{run_of(project)['run']}/{pair.folder}/plans.json"
    assert (project.path / told["evidence"]).is_file()
    assert (project.path / "results/latest" / pair.folder / "plans.svg").is_file()


def test_the_machine_of_a_test_stands_in_its_evidence(project: Project) -> None:
    project.scenario("fine")
    project.run("-n", "1", "--tx", "ssh=pc1", "--junitxml=junit.xml").assert_outcomes(passed=1)
    ((_, told),) = properties(project).items()
    evidence = read_evidence(project.path / told["evidence"])
    assert told["hosts"] == evidence.history.controller == os.uname().nodename
    assert run_of(project)["hosts"] == [os.uname().nodename]


@pytest.mark.parametrize(
    "path", ["scenarios", "scenarios/b.yaml", "{here}/scenarios/b.yaml", "scenarios/b.yaml::{case}"]
)
def test_paths_are_found_there(project: Project, path: str) -> None:
    project.scenario("a", scenario(mark="lost_update"))
    project.scenario("b")
    argument = path.format(here=project.path, case="b[promptsales@postgresql-read_committed]")
    result = project.run(argument, "-m", "deadlock", *TWO, "-n", "2")
    result.assert_outcomes(passed=1)


def test_a_path_outside_of_the_project_is_refused(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    project.scenario("a")
    outside = tmp_path_factory.mktemp("outside") / "b.yaml"
    outside.write_text(scenario())
    refused(project.run("--rootdir=.", str(outside), "-n", "2", *TWO), f"{outside}: this lies outside of")


def test_started_in_a_folder_of_the_project_it_runs_what_is_there(project: Project) -> None:
    project.scenario("a")
    below = project.path / "scenarios/below"
    below.mkdir()
    (below / "b.yaml").write_text(scenario())
    os.chdir(below)
    result = project.run("-n", "2", *TWO)
    result.assert_outcomes(passed=1)


def test_what_the_environment_adds_here_holds_there(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.scenario("a", scenario(mark="lost_update"))
    project.scenario("b")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-m deadlock")
    project.run("-n", "2", *TWO).assert_outcomes(passed=1)


def test_without_workers_the_machines_are_for_sessions(project: Project) -> None:
    project.scenario("fine")
    result = project.run("-n", "0", *TWO)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*sessions on pc1, pc2*"])


def test_python_tests_may_run_scenarios_there(project: Project) -> None:
    project.scenario("fine")
    project.pytester.makepyfile(
        """
        def test_it(run_scenario):
            assert [one.verdict.status.value for one in run_scenario("scenarios/fine.yaml")] == ["passed"]

        def test_again(run_scenario):
            run_scenario("scenarios/fine.yaml")
        """
    )
    result = project.run("test_python_tests_may_run_scenarios_there.py", "-n", "2", *TWO, "--junitxml=junit.xml")
    result.assert_outcomes(passed=2)
    paths = {told["evidence"] for told in properties(project).values()}
    assert len(paths) == 2
    assert all(read_evidence(project.path / path).verdict.status.value == "passed" for path in paths)


def test_evidence_that_is_kept_after_the_last_test_comes_home_too(project: Project) -> None:
    project.scenario("fine")
    project.pytester.makeconftest(
        """
        import pytest
        from pathlib import Path

        @pytest.fixture(scope="session")
        def late(suite):
            yield
            for case in suite.cases(Path("scenarios/fine.yaml")):
                suite.run(case)
        """
    )
    project.pytester.makepyfile(test_late="def test_it(late): pass")
    project.run("test_late.py", "-n", "1", "--tx", "ssh=pc1").assert_outcomes(passed=1)
    assert len(run_of(project)["cases"]) == 1


def test_specifications_are_spread_with_all_their_permutations(project: Project) -> None:
    folder = project.path / "specs/expected"
    folder.mkdir(parents=True)
    (folder.parent / "two.spec").write_text(
        'setup { CREATE TABLE t (n int); }\nteardown { DROP TABLE t; }\n'
        'session a step one { SELECT 1; }\nsession b step two { SELECT 2; }\n'
    )  # fmt: skip
    options = ("--isolation-specs=specs", "-n", "2", *TWO, "--junitxml=junit.xml")
    result = project.run(*options)
    result.assert_outcomes(failed=1)  # nothing is expected yet
    ((_, told),) = properties(project).items()
    assert told["permutations"] == "0 passed, 2 failed"
    kept = sorted(path.name for path in (project.path / told["evidence"]).glob("*evidence.json"))
    assert len(kept) == 2
    assert f"{base_path().name}/" not in result.stdout.str(), "a path that is not here"


# -- refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dist=each", *TWO), "--dist=each would run every test as a whole on every machine"),
        (("-n", "2", "--dist=each", *TWO), "--dist=each would run"),
        (("-n", "2", "--rsyncdir=scenarios", *TWO), "the project is not sent to other machines"),
        (("-n", "2", "--pdb", *TWO), "--pdb: there is no terminal on other machines"),
        (("-n", "2", "--tx", "socket=pc1:8888"), "use ssh=HOST"),
        (("-n", "2", "--tx", "ssh=ana:s3cret@pc1"), "a --tx has a password in it"),
        (("-n", "2", "--tx", "ssh=pc1", "--tx", "ssh=off2"), "off2 cannot be reached"),
        (("--dist=load", "--tx", "ssh=locked1", "--tx", "ssh=off2"), "locked1 cannot be reached"),
        (
            ("-n", "2", "--tx", "ssh=pc1//chdir=/nowhere/at/all"),
            "pc1: there is no folder /nowhere/at/all; put the project",
        ),
        (("-n", "2", "--tx", "ssh=pc1//python=/nowhere/python"), "pc1: there is no /nowhere/python that runs"),
    ],
)
def test_what_cannot_be_is_said_at_once(project: Project, arguments: tuple[str, ...], said: str) -> None:
    project.scenario("fine")
    result = project.run(*arguments)
    refused(result, said)
    assert "s3cret" not in result.stdout.str() + result.stderr.str()
    assert not (project.path / "results").exists()


def test_a_python_without_the_harness_is_told_what_it_needs(project: Project, tmp_path: Path) -> None:
    project.scenario("fine")
    bare = fake_ssh.without_packages(tmp_path)
    refused(
        project.run("-n", "2", "--tx", f"ssh=pc1//python={bare}"),
        "cannot run the harness (ModuleNotFoundError: No module named 'pytest')",
        "-m pip install -e .",
    )


@pytest.mark.parametrize(("version", "said"), [("0.0.1", "version 0.0.1"), (__version__, "another state")])
def test_another_harness_is_refused(project: Project, tmp_path: Path, version: str, said: str) -> None:
    project.scenario("fine")
    other = tmp_path / "project/harness"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text(f"__version__ = {version!r}")
    (other / "plugin.py").write_text("")
    result = project.run("-n", "2", "--tx", f"ssh=pc1//chdir={other.parent}")
    refused(
        result, f"pc1: {said} of the harness is there, and version {__version__} here; bring both to the same state"
    )


def test_line_ends_make_no_other_harness(project: Project, tmp_path: Path) -> None:
    project.scenario("fine")
    shutil.copytree(Path(harness.__file__).parent, tmp_path / "project/harness")
    (tmp_path / "project/pytest.ini").write_text("[pytest]\n")
    shutil.copytree(project.path / "scenarios", tmp_path / "project/scenarios")
    for file in (tmp_path / "project/harness").rglob("*.py"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    project.run("-n", "1", "--tx", f"ssh=pc1//chdir={tmp_path / 'project'}").assert_outcomes(passed=1)


# -- broken off


def test_x_loses_nobody(project: Project) -> None:
    for number in range(6):
        project.scenario(f"failing_{number}", scenario(final=11))
    result = project.run("-x", "-n", "2", *TWO)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "was lost" not in result.stdout.str()
    eventually(lambda: nothing_left(result.stdout.str()), "the workers' folders go")


def test_ctrl_c_loses_nobody_and_leaves_nothing(project: Project) -> None:
    project.pytester.makepyfile(
        test_it="import time\n\ndef test_it():\n    open('asleep', 'w')\n    time.sleep(60)\n",
    )
    process = project.start("test_it.py", "-n", "2", *TWO)
    eventually((project.path / "asleep").exists, "it sleeps")
    text = kill(process, signal.SIGINT)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "was lost" not in text
    eventually(lambda: nothing_left(text), "the workers are gone")


# -- lost

DIES = """
import os

def pytest_collection_finish(session):
    if getattr(session.config, "workerinput", {}).get("workerid") == "gw1":
        os._exit(0)
"""


def test_a_worker_that_dies_before_its_first_test_does_not_make_a_green_run(project: Project) -> None:
    for number in range(4):
        project.scenario(f"fine_{number}")
    project.pytester.makeconftest(DIES)
    result = project.run("-n", "2", *TWO)
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    result.stdout.fnmatch_lines(["promptsales-harness: the worker gw1 on pc2 was lost: *"])
    eventually(lambda: nothing_left(result.stdout.str()), "the workers' folders go")


def test_a_worker_that_dies_in_a_test_keeps_the_evidence_of_those_before(project: Project) -> None:
    project.scenario("fine")
    project.pytester.makepyfile(test_zz="import os\n\ndef test_it(): os._exit(3)\n")
    result = project.run("scenarios/fine.yaml", "test_zz.py", "-n", "1", "--tx", "ssh=pc1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=1)
    assert [case["status"] for case in run_of(project)["cases"]] == ["passed"]
    result.stdout.fnmatch_lines(["promptsales-harness: the worker gw0 on pc1 was lost: *"])


def test_what_a_lost_worker_left_on_a_server_is_dropped_though_a_session_is_in_it(project: Project) -> None:
    project.pytester.makepyfile(
        test_it="""
        import os, subprocess, sys

        HOLD = "import psycopg, sys, time; c = psycopg.connect(sys.argv[1]); print(flush=True); time.sleep(60)"

        def test_it(suite):
            made = suite.databases.make("promptsales", ["read committed"])
            holder = subprocess.Popen([sys.executable, "-c", HOLD, made.url], stdout=subprocess.PIPE, start_new_session=True)
            holder.stdout.readline()
            print(made.name, file=open("made", "w"))
            os._exit(3)
        """
    )
    result = project.run("test_it.py", "-n", "1", "--tx", "ssh=pc1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    made = (project.path / "made").read_text().strip()
    assert "_gw0x" in made
    with psycopg.connect(project.urls["PROMPTSALES_URL"]) as server:
        assert server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (made,)).fetchall() == []


def test_a_worker_whose_project_is_wrong_does_not_make_a_green_run(project: Project) -> None:
    project.scenario("fine")
    project.pytester.makeconftest(
        "def pytest_configure(config):\n    if hasattr(config, 'workerinput'): raise RuntimeError('the disk is full')\n"
    )
    result = project.run("-n", "2", *TWO)
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert "the disk is full" in result.stdout.str() + result.stderr.str()


def test_results_that_cannot_be_written_here_end_the_run(project: Project) -> None:
    for number in range(4):
        project.scenario(f"fine_{number}")
    (project.path / "file").write_text("")
    result = project.run("-n", "2", *TWO, "--results=file/results")
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert "results cannot be written to" in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()


def test_a_database_that_is_not_given_is_skipped_there_with_its_reason(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROMPTSALES_URL")
    project.scenario("fine")
    result = project.run("-n", "2", *TWO, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*promptsales: no URL given; set PROMPTSALES_URL"])
