"""A load's result as the terminal shows it, and what is held against its file's expectation."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from harness.load.checks import broken, mismatches
from harness.load.data import places
from harness.load.plan import read_load
from harness.load.result import LoadResult, Requests, write_result
from harness.load.text import result_renderable
from harness.load.written import CheckWritten
from harness.servers.base import Target
from harness.suite import Suite

ADS = Target("promptads", "postgresql", "postgresql://x/y", stand_in="sqlserver")


def request(name: str = "move budget", done: int = 10, **more: object) -> Requests:
    return Requests.model_validate(
        {"name": name, "database": ADS.label, "done": done, "percentiles": {"50": 0.4, "95": 12.3, "99": 1000.4}} | more
    )


def result(*requests: Requests, **more: object) -> LoadResult:
    base = {"name": "moves", "title": "Money", "arrivals": "closed", "shape": "steady", "began": 1.0, "seconds": 2.0}
    return LoadResult.model_validate(base | {"requests": list(requests)} | more)


def shown(one: LoadResult) -> str:
    console = Console(width=110, force_terminal=False)
    with console.capture() as captured:
        console.print(result_renderable(one))
    return captured.get()


def test_the_table_says_done_percentiles_and_every_kind():
    text = shown(
        result(
            request(most=1000.4, retried={"deadlock": 3, "serialization failure": 1}, failed={"lock timeout": 2}),
            notes=["worker x was lost"],
            mismatches=["too few"],
            status="failed",
        )
    )
    assert "✗ moves: 10 done in 2.0 s (5/s); 4 tried again (deadlock 3, serialization failure 1); 2 failed" in text
    (row,) = [line for line in text.splitlines() if line.startswith("  move budget")]
    assert row.split()[2:8] == ["10", "5.0", "0.40", "12.3", "1,000", "1,000"]
    assert "lock timeout 2" in row
    assert ADS.label in text
    assert "! worker x was lost" in text
    assert "✗ too few" in text


def test_the_open_loop_tells_both_times():
    text = shown(result(request(service={"99": 0.9}), arrivals="open", intended=12, late=5))
    assert "12 were to begin, 5 of them began more than 1 ms late" in text
    assert "move budget: p99 1,000 from the intended start, 0.90 from the real one" in text


@pytest.mark.parametrize(
    ("expect", "requests", "said"),
    [
        ("{}", [request()], []),
        ("{}", [request(done=0)], ["not one request ended well"]),
        ("{}", [request(retried={"deadlock": 1})], []),
        ("{postgresql: {}}", [request(failed={"deadlock": 2})], ["2 ended with 'deadlock'; nothing may end a request"]),
        ("{postgresql: {errors: deadlock}}", [request(failed={"deadlock": 2})], []),
        (
            "{postgresql: {errors: deadlock}}",
            [request(failed={"other 42P01": 1})],
            ["1 ended with 'other 42P01'; only deadlock may end a request"],
        ),
        ("{postgresql: {errors: other}}", [request(failed={"other 42P01": 1})], []),
        ("{postgresql: {sees: deadlock}}", [request()], ["postgresql: no deadlock was seen"]),
        ("{postgresql: {sees: deadlock}}", [request(retried={"deadlock": 1})], []),
        ("{postgresql: {done: [moved budget]}}", [request()], ["did you mean 'move budget'?"]),
        (
            "{postgresql: {done: [other]}}",
            [request(), request("other", 0, failed={})],
            ["postgresql: 'other' did not end well once"],
        ),
        ("{sqlserver: {sees: deadlock}}", [request()], []),  # nothing ran there
    ],
)
def test_what_is_expected_is_held_against_what_was(tmp_path, expect, requests, said):
    file = tmp_path / "x.yaml"
    file.write_text(f"title: x\nload: {{users: {{planner: 1}}}}\nexpect: {expect}\n", "utf-8")
    found = list(mismatches(read_load(file).written, result(*requests), {"promptads": ADS}))
    assert len(found) == len(said)
    for line, part in zip(found, said, strict=True):
        assert part in line


def test_checks_that_do_not_hold_say_what_is_and_what_was():
    same = CheckWritten.model_validate({"title": "sum", "on": "promptads", "run": "SELECT 1", "unchanged": True})
    five = CheckWritten.model_validate({"title": "sum", "on": "promptads", "run": "SELECT 1", "equals": 5})
    assert broken(same, ADS.label, 7, 7) == broken(five, ADS.label, None, 5) == ""
    assert broken(same, ADS.label, 7, 6) == f"sum ({ADS.label}): it is 6, before the run it was 7"
    assert broken(five, ADS.label, None, 6) == f"sum ({ADS.label}): it is 6, expected 5"


def test_harness_load_show(project_folder, capsys):
    from harness.load_cli import show

    write_result(project_folder / "results" / "r1", result(request()))
    (project_folder / "results" / "r1" / "run.json").write_text("{}", "utf-8")
    show("r1", project_folder / "results")
    assert "move budget" in capsys.readouterr().out


@pytest.fixture
def project_folder(tmp_path: Path) -> Path:
    return tmp_path


def test_throw_away_databases_are_filled_and_dropped(suite: Suite):
    with places(suite.databases, ["promptads"], "tiny") as found:
        target = found["promptads"]
        import psycopg

        with psycopg.connect(target.url) as connection:
            assert connection.execute("SELECT count(*) FROM campaign").fetchone() == (20,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(target.url)
