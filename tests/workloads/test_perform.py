"""A workload in a run: what is kept of it, what the report and the other commands tell, and evidence from elsewhere."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.evidence.checker.model import Report, Workload
from harness.evidence.elle.read import read_history
from harness.evidence.store import find_run, read_run
from harness.report.whole import whole_report
from harness.scenario.load import load
from harness.spread import pack, unpack
from harness.suite import Settings, Suite
from harness.workloads.model import Declared, Expected
from harness.workloads.perform import Kept, Trial, perform, trials
from harness.workloads.result import read_results
from harness.workloads.run import Ran, run_workload

DECLARED = Declared(
    Workload.list_append,
    "lists",
    title="Lists <b>",
    transactions=150,
    levels={"postgresql": ("read committed", "serializable")},
    expect={"postgresql": {"any": Expected(level="serializable")}},
)


@pytest.fixture
def kept_suite(suite: Suite, tmp_path: Path) -> Suite:
    """A run of its own, on the servers of the tests' one."""
    settings = Settings(
        root=tmp_path, results=tmp_path / "results", servers=suite.servers, run_id=suite.settings.run_id
    )
    return Suite(dataclasses.replace(settings, worker=f"{suite.settings.worker}w"))


def performed(suite: Suite, *, away: bool = False, level: str = "read committed") -> Kept:
    suite.settings.away = away
    trial = next(one for one in trials(DECLARED, suite) if one.level == level)
    try:
        return perform(suite, trial)
    finally:
        suite.close()


def test_a_trial_for_each_level_and_a_reason_where_nothing_is_said(suite: Suite) -> None:
    there = list(trials(dataclasses.replace(DECLARED, logicals=("promptsales", "promptads", "cache")), suite))
    assert [one.id for one in there] == [
        "lists[promptsales@postgresql-read_committed]",
        "lists[promptsales@postgresql-serializable]",
        "lists[promptads@postgresql-standin-read_committed]",
        "lists[promptads@postgresql-standin-serializable]",
        "lists[cache@redis]",
    ]
    assert there[-1].reason == "runs only on postgresql; cache is on redis here"
    of_crm = dataclasses.replace(DECLARED, logicals=("promptcrm",), expect={"sqlserver": {}})
    (skipped,) = trials(of_crm, suite)
    assert skipped.reason.endswith("a stand-in for sqlserver: set PROMPTCRM_URL or take --servers=containers")


def test_history_report_pictures_and_page_are_kept_and_can_be_read_again(kept_suite: Suite) -> None:
    kept = performed(kept_suite)
    folder = kept.path.parent
    assert folder.name == "lists@promptsales-postgresql-read_committed"
    assert Report.model_validate_json((folder / "check.json").read_text("utf-8")) == kept.report
    again = read_history(folder / "history.jsonl")
    assert [(one.status, one.ops, one.process) for one in again.transactions] == [
        (one.status, one.ops, one.process) for one in kept.observed.transactions
    ]
    page = (folder / "check.html").read_text("utf-8")
    assert "G-single" in page
    assert kept.result.pictures
    for name in kept.result.pictures:
        assert (folder / name).read_text("utf-8").startswith("<svg")
    assert load(folder / "scenario.yaml").title.endswith("found at random")
    assert read_results(kept_suite.store.folder) == [kept.result]
    assert kept.result.status == "failed"
    assert any("which serializable does not allow" in line for line in kept.result.mismatches)
    assert (kept.result.ok, kept.result.observed_level) == (kept.report.ok, "read committed")


def test_the_same_twice_has_two_folders(kept_suite: Suite) -> None:
    names = [performed(kept_suite, level="serializable").path.parent.name for _ in range(2)]
    assert names == ["lists@promptsales-postgresql-serializable", "lists@promptsales-postgresql-serializable-2"]


def test_the_runs_page_lists_it_with_links_and_escapes_it(kept_suite: Suite) -> None:
    kept = performed(kept_suite)
    folder = kept_suite.store.folder
    kept_suite.store.close({})
    run, evidences = read_run(folder)
    page = whole_report(folder, run, evidences)
    assert "Lists &lt;b&gt;" in page
    assert "<b>" not in page.split('id="workloads"')[1].split("</table>")[0]
    for name in ("check.html", "history.jsonl", "scenario.yaml", "cycle-1.svg"):
        assert f'href="{kept.result.folder}/{name}"' in page
    assert "1 random workload" in page
    assert "which serializable does not allow" in page
    assert "No case ran" not in page


def test_run_json_names_it(kept_suite: Suite) -> None:
    performed(kept_suite)
    kept_suite._report({})
    run = json.loads((find_run(kept_suite.settings.results) / "run.json").read_text("utf-8"))
    assert run["workloads"] == ["lists@promptsales-postgresql-read_committed"]


def test_a_result_that_cannot_be_read_is_said_on_the_page(kept_suite: Suite) -> None:
    kept = performed(kept_suite)
    kept.path.write_text("{}", encoding="utf-8")
    folder = kept_suite.store.folder
    with pytest.raises(StoreError, match=r"workload\.json cannot be read"):
        read_results(folder)
    assert "workload.json cannot be read" in whole_report(folder, {"run": "x"}, [])


def test_a_folder_that_cannot_be_written_is_told_in_one_line(kept_suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="results"):
        performed(kept_suite)


def test_what_was_kept_on_another_machine_comes_home(kept_suite: Suite, tmp_path: Path) -> None:
    there = performed(kept_suite, away=True)
    packed = json.loads(json.dumps(pack(kept_suite.outgoing(), kept_suite.store.folder, str)))
    here = Suite(Settings(root=tmp_path, results=tmp_path / "here", mode="external"))
    names = unpack(packed, here, str)
    (result,) = read_results(here.store.folder)
    assert result == there.result
    home = here.store.folder / result.folder
    assert names[str(there.path.parent)] == str(home)
    for file in there.path.parent.iterdir():
        assert (home / file.name).read_text("utf-8") == file.read_text("utf-8"), file.name
    broken = {"folders": ["/there/x", "x"], "kind": "workloads", "text": '{"result": 3}', "pictures": {}}
    with pytest.raises(StoreError, match="from another machine cannot be read"):
        unpack({"folders": ["/there", "there"], "kept": [], "beside": [broken]}, here, str)


def test_what_is_as_expected_has_passed(kept_suite: Suite) -> None:
    trial = Trial(DECLARED, "promptsales", "postgresql", False, "read committed", Expected(level="read committed"))
    try:
        result = perform(kept_suite, trial).result
    finally:
        kept_suite.close()
    assert (result.status, result.mismatches) == ("passed", [])


def test_sessions_that_had_another_level_than_was_asked_for_are_not_as_expected(
    kept_suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(*arguments: object, **more: object) -> Ran:
        return dataclasses.replace(run_workload(*arguments, **more), level="read uncommitted")  # type: ignore[arg-type]

    monkeypatch.setattr("harness.workloads.perform.run_workload", other)
    trial = Trial(DECLARED, "promptsales", "postgresql", False, "read committed")
    try:
        result = perform(kept_suite, trial).result
    finally:
        kept_suite.close()
    assert result.mismatches == ["asked for read committed, the sessions had read uncommitted"]
