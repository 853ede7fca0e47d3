"""The harness's own tools, on runs that were really made once for this module."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import harness_world as world
import pytest
from harness_world import TESTER, Kept

from harness.errors import ToolRefused
from harness.mcp import harness_evidence, harness_scenarios
from harness.mcp.harness_tools import READERS, HarnessSettings, HarnessTools, open_toolset
from harness.mcp.model import TESTERS, PromptSpec, ResourceSpec, ToolSpec
from harness.scenario.files import read_scenario

pytestmark = pytest.mark.mcp


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    made = Kept(tmp_path_factory.mktemp("harness"))
    yield made
    made.close()


@pytest.fixture
def spoilt(kept: Kept, tmp_path: Path) -> tuple[HarnessTools, Path]:
    """A copy of the results that may be spoilt, and tools on it."""
    shutil.copytree(kept.results, tmp_path / "results", symlinks=True)
    return open_toolset({}, HarnessSettings(kept.own, tmp_path / "results")), tmp_path / "results"


# -- scenarios


def test_scenarios_are_listed_in_pages_and_each_once(kept: Kept) -> None:
    every = kept.real.list_scenarios(TESTER, limit=100)
    seen, cursor = [], None
    while True:
        page = kept.real.list_scenarios(TESTER, limit=7, cursor=cursor)
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == every.items
    assert len({one.id for one in seen}) == len(seen) >= 25
    assert not [one.problem for one in seen if one.problem]
    cascade = next(one for one in seen if one.id == "cascade")
    assert (cascade.family, cascade.databases, cascade.sessions) == (
        "deadlock",
        ["promptsales", "promptads"],
        ["T1", "T2", "T3"],
    )
    assert cascade.expects["postgresql read committed"] == "deadlock, victim T3"


def test_a_broken_file_is_told_with_its_place_and_the_rest_is_listed(kept: Kept) -> None:
    lines = {one.id: one for one in kept.tools.list_scenarios(TESTER).items}
    assert set(lines) == {"broken", "no_yaml", "fails", "refused", "rotated", "slow", "one.same", "two.same"}
    assert lines["broken"].problem.startswith("bad/broken.yaml:7:")
    assert "did you mean 'look'" in lines["broken"].problem
    assert lines["no_yaml"].problem.startswith("bad/no_yaml.yaml:")
    assert not lines["rotated"].problem
    with pytest.raises(ToolRefused, match=r"broken cannot be read: bad/broken.yaml:7:"):
        kept.tools.run_scenario(TESTER, "broken")
    assert kept.tools.scenario_text(TESTER, "broken") == world.BROKEN


def test_scenarios_are_filtered(kept: Kept) -> None:
    named = {one.id for one in kept.real.list_scenarios(TESTER, shows_what="write skew").items}
    assert {"write_skew", "predicate_write_skew"} <= named
    assert "cascade" not in named
    assert {one.family for one in kept.real.list_scenarios(TESTER, family="lost_update").items} == {"lost_update"}
    mongo = kept.real.list_scenarios(TESTER, engine="mongodb", limit=100).items
    assert mongo
    assert all("mongodb" in one.levels for one in mongo)
    assert kept.real.list_scenarios(TESTER, shows_what="nothing that there is").items == []


def test_a_scenario_in_full(kept: Kept) -> None:
    told = kept.real.describe_scenario(TESTER, "cascade")
    assert [case.id for case in told.cases][:1] == ["cascade[promptsales@postgresql-read_committed]"]
    assert "the victim is T3" in told.cases[0].expected
    assert [step.name for step in told.sessions[2].steps] == ["hold_3", "want_1", "rollback_3"]
    assert told.sessions[2].deadlock_priority == "low"
    assert told.schedules[0].entries[4] == "want_3 (blocks, ends after want_1)"
    for line in kept.real.list_scenarios(TESTER, limit=100).items:
        assert len(kept.real.describe_scenario(TESTER, line.id).model_dump_json()) < 200_000


def test_made_schedules_are_told_too(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    sessions = "{A: {steps: {a: SELECT 1}}, B: {steps: {b: SELECT 2}}}"
    file.write_text(
        f"title: Two\ndatabase: promptsales\nsessions: {sessions}\nschedules: {{by_hand: [b, a], every: all}}\n"
        "expect: {postgresql: {finds: phantom}}\n"
    )
    scenario = read_scenario(file)
    told = harness_scenarios.told(
        harness_scenarios.Entry("two", file, "two.yaml", scenario), scenario, lambda logical: ("postgresql", False)
    )
    assert [(one.name, one.entries) for one in told.schedules] == [
        ("by_hand", ["b", "a"]),
        ("every-1", ["a", "b"]),
        ("every-2", ["b", "a"]),
    ]
    assert told.scenario.expects == {"postgresql read committed": "phantom"}


def test_a_scenario_is_found_by_its_file_too_and_guessed(kept: Kept) -> None:
    assert kept.real.describe_scenario(TESTER, "deadlock/cascade.yaml").scenario.id == "cascade"
    with pytest.raises(ToolRefused, match=r"did you mean 'cascade'\? list_scenarios says"):
        kept.real.describe_scenario(TESTER, "cascades")


@pytest.mark.parametrize(
    "name", ["../scenarios/own/rotated", "/etc/passwd", "own/rotated", "rotated.yaml", "x" * 200, "a\0b", ""]
)
def test_only_ids_that_are_listed_can_be_run(kept: Kept, name: str) -> None:
    with pytest.raises(ToolRefused, match=r"there is no scenario .* list_scenarios says"):
        kept.tools.run_scenario(TESTER, name)


def test_a_link_out_of_the_folder_is_no_scenario(kept: Kept, tmp_path: Path) -> None:
    folder = world.scenarios(tmp_path / "scenarios")
    (folder / "own" / "linked.yaml").symlink_to(world.SCENARIOS / "deadlock" / "cascade.yaml")
    (folder / "linked").symlink_to(world.SCENARIOS / "deadlock")
    found = open_toolset({}, HarnessSettings(folder, tmp_path / "results")).list_scenarios(TESTER, limit=100).items
    assert {one.id for one in found}.isdisjoint({"linked", "cascade"})


# -- runs


def test_a_run_says_for_each_case_what_came_of_it(kept: Kept) -> None:
    run = kept.cascade
    assert run.as_expected
    assert [(one.case_id, one.status, one.victims, one.found) for one in run.cases] == [
        ("cascade[promptsales@postgresql-read_committed]", "passed", ["T3"], ["deadlock"])
    ]
    assert run.cases[0].levels_observed == ["read committed"]
    assert (kept.results / run.cases[0].files / "evidence.json").is_file()
    assert (kept.results / run.page).is_file()
    assert "1 passed" in kept.tools.report(TESTER, run.run_id)


def test_what_is_not_as_expected_is_said_to_be_so(kept: Kept) -> None:
    run = kept.fails
    assert not run.as_expected
    assert [(one.status, one.as_expected) for one in run.cases] == [("failed", False)]
    assert "expected deadlock, found nothing" in run.cases[0].mismatches[0]


def test_a_setup_that_fails_is_told(kept: Kept, tmp_path: Path) -> None:
    tools = open_toolset({}, HarnessSettings(kept.own, tmp_path / "results"))
    run = tools.run_scenario(TESTER, "refused")
    assert not run.as_expected
    assert all(one.status != "passed" for one in run.cases)
    assert "nowhere" in run.cases[0].summary


def test_a_case_that_there_is_not_is_refused(kept: Kept) -> None:
    with pytest.raises(ToolRefused, match="no case at 'read comitted', did you mean 'read committed'"):
        kept.real.run_scenario(TESTER, "cascade", "promptsales", "read comitted")
    with pytest.raises(ToolRefused, match="no case on cache that can be run here, only on promptsales, promptads"):
        kept.real.run_scenario(TESTER, "cascade", "cache")
    with pytest.raises(ToolRefused, match="no case that can be run here: runs only on sqlserver"):
        kept.real.run_scenario(TESTER, "same_instance")


def test_runs_are_listed_newest_first_in_pages(kept: Kept) -> None:
    first = kept.tools.list_runs(TESTER, limit=2)
    second = kept.tools.list_runs(TESTER, limit=2, cursor=first.next_cursor)
    ids = [one.run_id for one in (*first.items, *second.items)]
    assert ids == sorted(ids, reverse=True)
    assert {kept.cascade.run_id, kept.rotated.run_id, kept.fails.run_id} == set(ids)
    assert second.next_cursor is None
    counts = {
        one.run_id: (one.cases, one.passed, one.failed, one.errors, one.finished) for one in first.items + second.items
    }
    assert counts[kept.cascade.run_id] == (1, 1, 0, 0, True)
    assert counts[kept.fails.run_id] == (1, 0, 1, 0, True)
    assert not any(one.also for one in first.items)
    with pytest.raises(ToolRefused, match="the cursor is none that list_cases has given"):
        kept.tools.list_cases(TESTER, cursor=first.next_cursor)


def test_evidence_comes_in_pages_that_leave_nothing_out(kept: Kept) -> None:
    run, case = kept.cascade.run_id, kept.cascade.cases[0].case_id
    stored = json.loads((kept.results / kept.cascade.cases[0].files / "evidence.json").read_text())
    events, cursor = [], None
    while True:
        page = kept.tools.read_evidence(TESTER, run, case, "events", 4, cursor)
        events += page.events
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [one.seq for one in events] == [one["seq"] for one in stored["history"]["events"]]
    victim = next(one for one in events if one.kind == "victim")
    assert (victim.session, victim.step) == ("T3", "want_1")
    assert victim.error.startswith("40P01 deadlock detected")
    waits = kept.tools.read_evidence(TESTER, run, case, "waits", 100).waits
    assert [(one.waiter, one.holder) for one in waits if one.in_cycle] == [("T1", "T2"), ("T2", "T3"), ("T3", "T1")]
    statements = kept.tools.read_evidence(TESTER, run, case, "statements").statements
    assert next(one for one in statements if one.step == "want_2").waited_for == ["T2"]
    summary = kept.tools.read_evidence(TESTER, run, case).summary
    assert summary is not None
    assert summary.levels_observed == {"T1": "read committed", "T2": "read committed", "T3": "read committed"}
    with pytest.raises(ToolRefused, match="the cursor is of another part than waits"):
        kept.tools.read_evidence(
            TESTER, run, case, "waits", 1, kept.tools.read_evidence(TESTER, run, case, "events", 1).next_cursor
        )


def test_a_page_of_long_rows_is_shorter(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness_evidence, "MOST_PAGE", 100)
    run, case = kept.cascade.run_id, kept.cascade.cases[0].case_id
    page = kept.tools.read_evidence(TESTER, run, case, "events", 100)
    assert len(page.events) == 1
    assert page.next_cursor
    monkeypatch.setattr(harness_evidence, "MOST_EVIDENCE", 100)
    cut = json.loads(kept.tools.evidence_text(TESTER, run, kept.cascade.cases[0].files.rpartition("/")[2]))
    assert "read_evidence" in cut["cut"]


def test_resources_give_what_the_answers_point_to(kept: Kept) -> None:
    key = kept.cascade.cases[0].evidence.rpartition("/")[2]
    assert kept.tools.waits_picture(TESTER, kept.cascade.run_id, key).startswith("<svg")
    assert json.loads(kept.tools.evidence_text(TESTER, kept.cascade.run_id, key))["run"] == kept.cascade.run_id
    assert json.loads(kept.tools.scenario_schema(TESTER))["$schema"]
    assert kept.fails.run_id in kept.tools.latest_report(TESTER)
    assert "✗ fails[" in kept.tools.latest_report(TESTER)
    assert "sessions:" in kept.tools.scenario_guide(TESTER)


def test_two_runs_are_compared(kept: Kept) -> None:
    told = kept.tools.compare_runs(TESTER, kept.cascade.run_id, kept.fails.run_id)
    assert [(one.kind, one.worse) for one in told.differences] == [("new", True), ("gone", False)]
    assert kept.tools.compare_runs(TESTER, kept.cascade.run_id, kept.cascade.run_id).same == 1


# -- hostile names, spoilt results

HOSTILE = ["../../etc/passwd", "/etc/passwd", "..", ".", "", "a\0b", "x" * 400, "latest/../..", "C:\\x", "\ud800", "*"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_find_nothing(kept: Kept, name: str) -> None:
    for ask in (
        lambda: kept.tools.read_evidence(TESTER, name, kept.cascade.cases[0].case_id),
        lambda: kept.tools.read_evidence(TESTER, kept.cascade.run_id, name),
        lambda: kept.tools.evidence_text(TESTER, kept.cascade.run_id, name),
        lambda: kept.tools.waits_picture(TESTER, name, name),
        lambda: kept.tools.list_cases(TESTER, name),
        lambda: kept.tools.report(TESTER, name),
        lambda: kept.tools.scenario_text(TESTER, name),
        lambda: kept.tools.compare_runs(TESTER, name, kept.fails.run_id),
        lambda: kept.tools.explain_deadlock(TESTER, kept.cascade.run_id, name),
    ):
        with pytest.raises(ToolRefused) as refused:
            ask()
        assert len(str(refused.value)) < 600
        assert "\n" not in str(refused.value)


def test_links_are_not_followed(kept: Kept, spoilt: tuple[HarnessTools, Path], tmp_path: Path) -> None:
    tools, results = spoilt
    run, case = kept.cascade.run_id, kept.cascade.cases[0]
    outside = tmp_path / "outside"
    shutil.move(results / case.files, outside)
    (results / case.files).symlink_to(outside)
    with pytest.raises(ToolRefused, match="is not there, or cannot be read"):
        tools.read_evidence(TESTER, run, case.case_id)
    (results / case.files).unlink()
    (results / case.files).mkdir()
    (results / case.files / "evidence.json").symlink_to(outside / "evidence.json")
    with pytest.raises(ToolRefused, match="is not there, or cannot be read"):
        tools.read_evidence(TESTER, run, case.case_id)
    (results / "elsewhere").symlink_to(kept.results / kept.fails.run_id)
    with pytest.raises(ToolRefused, match="there is no run 'elsewhere'"):
        tools.list_cases(TESTER, "elsewhere")


def test_a_run_json_that_points_elsewhere_is_broken(kept: Kept, spoilt: tuple[HarnessTools, Path]) -> None:
    tools, results = spoilt
    file = results / kept.cascade.run_id / "run.json"
    run = json.loads(file.read_text())
    run["cases"][0]["folder"] = f"../{kept.fails.cases[0].files}"
    file.write_text(json.dumps(run))
    with pytest.raises(ToolRefused, match=r"the run.json of run .* is broken"):
        tools.list_cases(TESTER, kept.cascade.run_id)


@pytest.mark.parametrize(
    "text", ["", "{", '{"version": 1}', "[]", "[" * 100_000, '{"run": "x", "surprise": 1}', "\xff"]
)
def test_evidence_that_is_half_written_is_told_as_such(
    kept: Kept, spoilt: tuple[HarnessTools, Path], text: str
) -> None:
    tools, results = spoilt
    case = kept.cascade.cases[0]
    (results / case.files / "evidence.json").write_bytes(text.encode("latin-1"))
    for ask in (
        lambda: tools.read_evidence(TESTER, kept.cascade.run_id, case.case_id),
        lambda: tools.explain_deadlock(TESTER, kept.cascade.run_id),
    ):
        with pytest.raises(ToolRefused, match=r"is broken, or of another version|cannot be read") as refused:
            ask()
        assert str(results) not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"cases": 7}', '{"cases": [1]}', '{"cases": [{"id": "x"}]}', "[" * 100_000]
)
def test_a_broken_run_is_listed_beside_the_others(kept: Kept, spoilt: tuple[HarnessTools, Path], text: str) -> None:
    tools, results = spoilt
    (results / kept.cascade.run_id / "run.json").write_text(text)
    lines = {one.run_id: one for one in tools.list_runs(TESTER).items}
    assert "is broken" in lines[kept.cascade.run_id].problem
    assert lines[kept.rotated.run_id].passed == 1
    assert tools.explain_deadlock(TESTER).run_id == kept.rotated.run_id
    assert "is broken" in tools.report(TESTER, kept.cascade.run_id)
    with pytest.raises(ToolRefused, match="is broken"):
        tools.read_evidence(TESTER, kept.cascade.run_id, kept.cascade.cases[0].case_id)


def test_a_run_that_was_cut_off_is_told_as_far_as_it_came(kept: Kept, spoilt: tuple[HarnessTools, Path]) -> None:
    tools, results = spoilt
    folder = results / kept.cascade.run_id
    line = json.dumps(json.loads((folder / "run.json").read_text())["cases"][0])
    (folder / "run.json").unlink()
    (folder / ".cases-77.jsonl").write_text(f"{line}\n{line[:40]}")
    (folder / "etl").mkdir()
    told = next(one for one in tools.list_runs(TESTER).items if one.run_id == kept.cascade.run_id)
    assert told.also == ["etl"]
    assert (told.finished, told.cases) == (False, 1)
    assert tools.explain_deadlock(TESTER, kept.cascade.run_id).victim == "T3"


@pytest.mark.parametrize("made", [True, False])
def test_no_results_yet(kept: Kept, tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "results").mkdir()
    tools = open_toolset({}, HarnessSettings(kept.own, tmp_path / "results"))
    assert tools.list_runs(TESTER).items == []
    for ask in (lambda: tools.latest_report(TESTER), lambda: tools.read_evidence(TESTER, "latest", "x")):
        with pytest.raises(ToolRefused, match="no run is kept here yet: run_scenario makes one"):
            ask()


# -- roles, prompts


def test_only_testers_run_and_nobody_else_reads_but_three_roles(kept: Kept) -> None:
    for name, spec, _ in kept.tools.offered():
        assert spec.roles == (TESTERS if name == "run_scenario" else READERS), name
        if isinstance(spec, ToolSpec):
            assert spec.changes == (name == "run_scenario")
        else:
            assert isinstance(spec, ResourceSpec | PromptSpec)


def test_the_example_of_the_prompt_runs(kept: Kept, tmp_path: Path) -> None:
    text = kept.tools.write_a_scenario(TESTER, "two budgets")
    (tmp_path / "scenarios").mkdir()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "scenarios" / "example.yaml").write_text(example)
    tools = open_toolset({}, HarnessSettings(tmp_path / "scenarios", tmp_path / "results"))
    run = tools.run_scenario(TESTER, "example")
    assert [(one.status, one.found) for one in run.cases] == [("passed", ["lost update"]), ("passed", [])]


def test_the_other_prompts(kept: Kept) -> None:
    assert "case_id='x[y]'" in kept.tools.explain_this_deadlock(TESTER, "r", "x[y]")
    assert "run_scenario with level='read committed'" in kept.tools.is_this_level_enough(
        TESTER, "read committed", "postgresql"
    )
    with pytest.raises(ToolRefused, match="did you mean 'postgresql'"):
        kept.tools.is_this_level_enough(TESTER, "read committed", "postgres")
    with pytest.raises(ToolRefused, match="mongodb has no level 'serializable'"):
        kept.tools.is_this_level_enough(TESTER, "serializable", "mongodb")


def test_evidence_that_is_broken_hides_no_older_deadlock(kept: Kept, spoilt: tuple[HarnessTools, Path]) -> None:
    tools, results = spoilt
    (results / kept.rotated.cases[0].files / "evidence.json").write_text("{")
    assert tools.explain_deadlock(TESTER).run_id == kept.cascade.run_id


def test_a_file_that_is_nested_too_deeply_is_told_as_broken(tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text("title: " + "[" * 20_000)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00sessions")
    (tmp_path / "large.yaml").write_bytes(b"# " + b"x" * 2_000_000)
    tools = open_toolset({}, HarnessSettings(tmp_path, tmp_path / "results"))
    lines = {one.id: one.problem for one in tools.list_scenarios(TESTER).items}
    assert set(lines) == {"deep", "binary", "large"}
    assert all(lines.values())
    assert "more than 1 MiB" in lines["large"]


def test_permutations_of_a_specification_are_cases_too(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "two.spec").write_text(
        "setup { CREATE TABLE t (id int, v int); INSERT INTO t VALUES (1, 1); }\n"
        "teardown { DROP TABLE t; }\n"
        "session s1\nstep a { UPDATE t SET v = 2; }\n"
        "session s2\nstep b { SELECT v FROM t; }\n"
    )
    (tmp_path / "expected").mkdir()
    (tmp_path / "expected" / "two.out").write_text("Parsed test spec with 2 sessions\n")
    tools = open_toolset({}, HarnessSettings(tmp_path, tmp_path / "results"))
    run = tools.run_scenario(TESTER, "two")
    cases = tools.list_cases(TESTER, run.run_id).items
    assert len(cases) == len(run.cases) == 2
    assert len({one.key for one in cases}) == 2
    assert all("~" in one.key for one in cases)
    for one in cases:
        assert len(tools.read_evidence(TESTER, run.run_id, one.case_id, "statements").statements) >= 2
        assert json.loads(tools.evidence_text(TESTER, run.run_id, one.key))["history"]["case"] == one.case_id
    assert {one.evidence for one in run.cases} == {one.evidence for one in cases}
