"""Scenarios that run: verdicts, texts, JUnit, workers, bad situations in one line each."""

from __future__ import annotations

import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import psycopg
import pytest

from harness.evidence.store import read_evidence

from .conftest import Project, scenario

JUNIT = ("--junitxml=junit.xml",)


def no_traceback(text: str) -> None:
    assert "Traceback" not in text
    assert "self = <" not in text
    assert "plugin.py" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_junit_is_valid_and_every_case_carries_its_evidence(project: Project, workers: tuple[str, ...]) -> None:
    for number in range(3):
        project.scenario(f"fine_{number}")
    project.scenario("failing", scenario(final=11))
    result = project.run(*workers, *JUNIT)
    result.assert_outcomes(passed=3, failed=1)
    root = ElementTree.parse(project.path / "junit.xml").getroot()
    (suite,) = root.iter("testsuite")
    assert suite.attrib | {"tests": "4", "failures": "1", "errors": "0", "skipped": "0"} == suite.attrib
    cases = list(root.iter("testcase"))
    assert {case.attrib["name"].split("[")[0] for case in cases} == {"fine_0", "fine_1", "fine_2", "failing"}
    for case in cases:
        assert {"file", "line"} <= case.attrib.keys(), "xunit1"
        properties = {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
        evidence = read_evidence(project.path / properties["evidence"])
        assert evidence.history.case == case.attrib["name"]
        assert properties["verdict"] == evidence.verdict.summary
    runs = [path for path in (project.path / "results").iterdir() if path.is_dir() and not path.is_symlink()]
    assert len(runs) == 1
    with psycopg.connect(project.urls["PROMPTSALES_URL"]) as server:
        ask = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        assert server.execute(ask, (f"psh_{runs[0].name}",)).fetchall() == []
    assert (runs[0] / "report.html").is_file()
    assert (project.path / "results" / "latest").resolve() == runs[0].resolve()
    assert re.search(
        rf"evidence: results/{runs[0].name}  report: results/{runs[0].name}/report\.html", result.stdout.str()
    )


def test_a_failing_case_tells_what_was_expected_what_happened_and_the_timeline(project: Project) -> None:
    project.scenario("failing", scenario(final=11))
    result = project.run()
    text = result.stdout.str()
    no_traceback(text)
    body = text[text.index("Reads one row") :]
    for said in (
        "expected:",
        "v is 11 at the end",
        "what happened instead:",
        "expected v to be 11 at the end, it is 10",
        "SELECT v FROM t",
        "evidence: results/",
    ):
        assert said in body, said
        body = body[body.index(said) :]
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_x_stops_at_the_first(project: Project) -> None:
    project.scenario("a_failing", scenario(final=11))
    project.scenario("b_fine")
    project.run("-x").assert_outcomes(failed=1)


BAD = {
    "set_up": (
        scenario().replace("INSERT INTO t VALUES", "INSERT INTO nowhere VALUES"),
        r'scenarios/set_up\.yaml: set-up fails on promptsales@postgresql: relation "nowhere" does not exist \(42P01\), in: '
        r"INSERT INTO nowhere VALUES \(1, 10\)",
    ),
    "value": (
        scenario().replace("{look: {run: SELECT v FROM t, reads: v}}", '{look: "SELECT ${1 / 0}"}'),
        r"scenarios/value\.yaml:9:\d+: step 'look': cannot compute \$\{1 / 0\}: division by zero",
    ),
}


def test_cases_that_cannot_be_run_are_one_line_each(project: Project) -> None:
    for name, (text, _) in BAD.items():
        project.scenario(name, text)
    result = project.run("-rN")
    text = result.stdout.str()
    result.assert_outcomes(failed=2)
    no_traceback(text)
    for _, said in BAD.values():
        assert len([line for line in result.outlines if re.search(said, line)]) == 1, said
    assert not (project.path / "results").exists(), "nothing was run, nothing is left"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: re.sub(r":[^:@]+@", ":s3cret-wrong@", url), "refuses the login"),
        (lambda url: "postgresq://somewhere/db", "unknown scheme 'postgresq://', did you mean 'postgresql'?"),
    ],
)
def test_a_wrong_url_is_one_line(project: Project, monkeypatch: pytest.MonkeyPatch, change: object, said: str) -> None:
    monkeypatch.setenv("PROMPTSALES_URL", change(project.urls["PROMPTSALES_URL"]))  # type: ignore[operator]
    project.scenario("one")
    result = project.run("-rN")
    text = result.stdout.str()
    no_traceback(text)
    assert len([line for line in result.outlines if said in line]) == 1, text
    assert "s3cret-wrong" not in text
    assert result.ret not in (0, pytest.ExitCode.INTERNAL_ERROR)


def test_a_driver_without_its_system_library_is_one_line(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.path / "pyodbc.py").write_text(
        "raise ImportError('libodbc.so.2: cannot open shared object file: No such file or directory')", "utf-8"
    )
    path = os.pathsep.join(filter(None, [str(project.path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("PROMPTADS_URL", "mssql://sa:s3cret-word@127.0.0.1:1/master")
    text = scenario().replace("database: promptsales", "database: promptads").replace("postgresql:", "sqlserver:")
    project.scenario("one", text)
    result = project.run("-rN")
    no_traceback(result.stdout.str())
    assert len([line for line in result.outlines if "libodbc.so.2" in line]) == 1
    assert "s3cret-word" not in result.stdout.str()
    result.assert_outcomes(failed=1)


def write_file(path: Path) -> None:
    path.write_text("not a folder", "utf-8")


def read_only(path: Path) -> None:
    path.mkdir(mode=0o500)
    if not os.access(path, os.W_OK):
        return
    done = subprocess.run(["chattr", "+i", path], capture_output=True, check=False)  # we are root
    if done.returncode:
        pytest.skip("we may write everywhere, and this file system knows no immutable folders")


@pytest.mark.parametrize(
    ("spoil", "reason", "workers"),
    [
        (write_file, "File exists|Not a directory", ()),
        (write_file, "File exists|Not a directory", ("-n", "2")),
        (read_only, "ermi", ()),
    ],
)
def test_results_that_cannot_be_written_fail_the_run_in_one_line(
    project: Project, spoil: object, reason: str, workers: tuple[str, ...]
) -> None:
    results = project.path / "results"
    spoil(results)  # type: ignore[operator]
    for number in range(2 if workers else 3):
        project.scenario(f"fine_{number}")
    try:
        result = project.run("-rN", *workers)
    finally:
        subprocess.run(["chattr", "-i", results], capture_output=True, check=False)
    text = result.stdout.str()
    no_traceback(text)
    assert result.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)  # the latter is pytest-xdist's
    assert re.search(
        rf"results cannot be written to .*results/\S+: .*({reason}).*; (free some space|give another folder)", text
    )
    if not workers:
        result.assert_outcomes(failed=1)  # what follows could not be kept either


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A disk of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    return folder


def test_a_full_disk_is_one_line(project: Project, tiny: Path) -> None:
    (tiny / "ballast").write_bytes(b"x" * 48 * 1024)
    project.scenario("one")
    try:
        result = project.run("-rN", f"--results={tiny}/results")
    finally:
        subprocess.run(["umount", tiny], check=True)
    text = result.stdout.str()
    no_traceback(text)
    assert re.search(r"results cannot be written to \S+: No space left on device; free some space", text)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_run_scenario_and_suite_are_fixtures(project: Project) -> None:
    project.scenario("one")
    project.pytester.makepyfile(
        """
        def test_it(run_scenario, suite):
            (evidence,) = run_scenario("scenarios/one.yaml")
            assert evidence.verdict.status == "passed"
            assert suite.servers.target("promptsales").engine == "postgresql"
        """
    )
    result = project.run("test_run_scenario_and_suite_are_fixtures.py", *JUNIT)
    result.assert_outcomes(passed=1)
    (one,) = [
        o for o in ElementTree.parse(project.path / "junit.xml").iter("property") if o.attrib["name"] == "evidence"
    ]
    assert Path(one.attrib["value"]).is_file()
