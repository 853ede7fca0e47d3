"""``pytest --monitor``: whatever servers a run uses are sampled, whoever uses them."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from pathlib import Path

import psutil
import psycopg
import pytest
from polling import eventually

from harness.monitor.series import read_series
from harness.servers import processes
from harness.servers.urls import VARIABLE
from harness.suite import Suite

from .conftest import STUCK, Project, gone, kill

EVERY = "--monitor=0.05"


def run_folder(project: Project) -> Path:
    return (project.path / "results/latest").resolve()


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["here", "in two workers"])
def test_the_servers_that_a_run_uses_are_sampled(project: Project, workers: tuple[str, ...]) -> None:
    project.scenario("one")
    project.scenario("two")
    result = project.run(EVERY, *workers)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["monitor: 1 server and this machine every 0.05 s, *", "monitor: kept in results/*/monitor"]
    )
    folder = run_folder(project)
    series = {one.name: one for one in read_series(folder)}
    assert list(series) == ["promptsales", "host"], "promptads was not used"
    assert series["promptsales"].cost is not None
    assert json.loads((folder / "run.json").read_text())["cases"]
    assert "psh_used" not in "".join(result.outlines + result.errlines)


def test_without_it_nothing_is_sampled(project: Project) -> None:
    project.scenario("one")
    result = project.run()
    result.stdout.no_fnmatch_line("monitor:*")
    assert not (run_folder(project) / "monitor").exists()


def test_a_run_that_uses_no_server_leaves_nothing(project: Project) -> None:
    project.pytester.makepyfile("def test_nothing(): pass")
    result = project.run(EVERY)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("monitor:*")
    assert not (project.path / "results").exists()


def test_tests_that_keep_no_evidence_are_sampled_too(project: Project) -> None:
    project.pytester.makepyfile("def test_server(suite): suite.servers.target('promptsales')")
    result = project.run(EVERY)
    result.assert_outcomes(passed=1)
    assert [one.name for one in read_series(run_folder(project))] == ["promptsales", "host"]


def test_embedded_servers_that_workers_start_are_sampled(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLE.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PROMPTSALES_SERVERS", "embedded")
    project.scenario("one")
    result = project.run(EVERY, "-n", "2")
    result.assert_outcomes(passed=1)
    (sales, _) = read_series(run_folder(project))
    assert sales.name == "promptsales"
    assert not [note for note in sales.notes if "login" in note], "it has a login of its own"


def test_prometheus_reads_it_while_tests_run(project: Project) -> None:
    port = processes.free_port()
    project.pytester.makepyfile(
        f"""
        import urllib.request
        def test_scrape(suite):
            suite.servers.target("promptsales")
            text = urllib.request.urlopen("http://127.0.0.1:{port}/metrics").read().decode()
            assert 'promptsales_up{{database="host"' in text
        """
    )
    result = project.run(EVERY, f"--prometheus={port}")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"monitor: samples for Prometheus at http://127.0.0.1:{port}/metrics"])
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")


def test_a_run_that_is_killed_leaves_its_samples_and_no_sampler(project: Project, suite: Suite) -> None:
    project.scenario("stuck", STUCK)
    process = project.start(EVERY)
    started = psutil.Process(process.pid)

    def sampling() -> list[psutil.Process]:
        return [one for one in started.children(recursive=True) if "harness.monitor.process" in one.cmdline()]

    def rows() -> bool:
        with contextlib.suppress(OSError, ValueError, StopIteration):
            return len(next(iter(read_series(run_folder(project)))).at) > 3
        return False

    try:
        eventually(rows)
        samplers = sampling()
        assert len(samplers) == 1
    finally:
        kill(process)
    eventually(lambda: gone(samplers), "it has outlived the run")
    series = read_series(run_folder(project))
    assert all(one.cost is not None and one.at for one in series)
    with psycopg.connect(suite.servers.target("promptsales").url) as server:
        found = server.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", (monitor_of(project),)
        )
        assert found.fetchone() == (0,)


def monitor_of(project: Project) -> str:
    return f"psh:{run_folder(project).name}/monitor"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prometheus=9187"], "*--prometheus shows what --monitor samples: give --monitor too"),
        (["--monitor", "scenarios"], "*--monitor scenarios: that is no number of seconds; write --monitor=1, or put*"),
        (["--monitor=0"], "*--monitor=0: seconds between two samples are 0.05 to 3600"),
        (["--monitor", "--prometheus=x"], "*--prometheus x: that is no port; write PORT or ADDRESS:PORT"),
    ],
)
def test_what_cannot_be_is_a_usage_error(project: Project, arguments: list[str], said: str) -> None:
    result = project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
