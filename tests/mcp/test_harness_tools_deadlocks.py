"""Deadlocks in words, from the evidence of runs that were really made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import harness_world as world
import pytest
from harness_world import TESTER, Kept

from harness.evidence.verdict import judge_again
from harness.history import EventKind, History
from harness.mcp.harness_explain import Explanation, explain
from harness.mcp.harness_runs import Results
from harness.mcp.harness_tools import HarnessSettings, open_toolset

pytestmark = pytest.mark.mcp


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    made = Kept(tmp_path_factory.mktemp("harness"))
    yield made
    made.close()


def test_a_cascade_is_explained(kept: Kept) -> None:
    told = kept.real.explain_deadlock(TESTER, kept.cascade.run_id)
    assert (told.kind, told.cycle, told.victim, told.victim_step, told.code) == (
        "deadlock",
        ["T1", "T2", "T3"],
        "T3",
        "want_1",
        "40P01",
    )
    assert told.closed_by == "want_1 of T3"
    assert [(one.waiter, one.holder, one.holder_had_run[0].partition(":")[0]) for one in told.waits] == [
        ("T1", "T2", "hold_2"),
        ("T2", "T3", "hold_3"),
        ("T3", "T1", "hold_1"),
    ]
    assert told.ended_by == "server"
    assert "deadlock_timeout" in " ".join(told.why)
    assert "T3 low" in " ".join(told.why)
    assert set(told.pids.values()) == {"T1", "T2", "T3"}
    assert "blocked by process" in told.engine_report[0]
    assert told.afterwards[0].startswith("want_1 of T3 is ended (40P01 deadlock)")
    assert "commit_2: T2 commits" in told.afterwards
    assert "The ring closed with want_1 of T3" in told.text


def test_the_same_turned_round_names_others(kept: Kept) -> None:
    told = kept.tools.explain_deadlock(TESTER, kept.rotated.run_id, kept.rotated.cases[0].case_id)
    ring = told.cycle
    assert ring[ring.index("A") :] + ring[: ring.index("A")] == ["A", "B", "C"]
    assert (told.victim, told.closed_by) == ("A", "want_a of A")
    edge = next(one for one in told.waits if one.holder == "A")
    assert [one.partition(":")[0] for one in edge.holder_had_run] == ["hold_a", "look_a"]
    assert [one.closes for one in told.waits].count(True) == 1


def test_without_a_name_it_is_the_newest_deadlock(kept: Kept) -> None:
    assert kept.tools.explain_deadlock(TESTER).run_id == kept.rotated.run_id


def test_that_there_is_no_deadlock_is_said(kept: Kept, tmp_path: Path) -> None:
    told = kept.tools.explain_deadlock(TESTER, kept.fails.run_id, kept.fails.cases[0].case_id)
    assert told.kind == "none"
    assert "There is no deadlock in fails[" in told.text
    assert (
        kept.tools.explain_deadlock(TESTER, kept.fails.run_id).text
        == f"No case of run {kept.fails.run_id} shows a deadlock."
    )
    empty = open_toolset({}, HarnessSettings(kept.own, tmp_path / "none"))
    assert empty.explain_deadlock(TESTER).text == "No run that is kept here shows a deadlock."


def explained(kept: Kept, change: Callable[[History], History]) -> Explanation:
    """The cascade's explanation from a history that has been changed, judged anew."""
    results = Results(kept.results)
    run = results.run(kept.cascade.run_id)
    evidence = results.evidence(run, run.cases[0])
    evidence = evidence.model_copy(update={"history": change(evidence.history)})
    return explain(run, run.cases[0], evidence.model_copy(update={"verdict": judge_again(evidence)}), None)


def test_a_ring_that_nobody_saw_is_told_by_its_victim_alone(kept: Kept) -> None:
    told = explained(kept, lambda history: history.model_copy(update={"pictures": []}))
    assert (told.kind, told.cycle, told.waits, told.closed_by, told.victim) == ("deadlock", [], [], "", "T3")
    assert "its ring was not seen, only its victim's error" in told.text
    assert "blocked by process" in told.engine_report[0]


def test_what_closed_the_ring_is_not_guessed(kept: Kept) -> None:
    def change(history: History) -> History:
        events = [one for one in history.events if (one.kind, one.step) != (EventKind.blocked, "want_2")]
        return history.model_copy(update={"events": events})

    told = explained(kept, change)
    assert told.closed_by == ""
    assert not any(one.closes for one in told.waits)
    assert "The evidence does not tell which wait was the last to begin" in told.text


@pytest.mark.parametrize(
    ("engine", "product", "rule"),
    [
        ("sqlserver", "SQL Server 2022", "DEADLOCK_PRIORITY"),
        ("sqlserver", "Babelfish", "deadlock_timeout"),
        ("postgresql", "PostgreSQL", "deadlock_timeout"),
    ],
)
def test_the_rule_is_the_engines(kept: Kept, engine: str, product: str, rule: str) -> None:
    def change(history: History) -> History:
        databases = [one.model_copy(update={"engine": engine, "product": product}) for one in history.databases]
        return history.model_copy(update={"databases": databases, "engine": engine})

    why = " ".join(explained(kept, change).why)
    assert rule in why
    assert ("DEADLOCK_PRIORITY" in why) != ("deadlock_timeout" in why)


def test_a_deadlock_over_two_servers_is_told_as_hidden(tmp_path: Path) -> None:
    tools = open_toolset({}, HarnessSettings(world.SCENARIOS, tmp_path / "results"))
    run = tools.run_scenario(TESTER, "two_servers")
    assert run.as_expected
    told = tools.explain_deadlock(TESTER)
    assert (told.kind, told.ended_by, told.victim) == ("hidden deadlock", "harness", "refunds")
    assert {one.database for one in told.waits} == {"promptads", "promptcrm"}
    assert told.closed_by == "give_budget of refunds"
    assert "no server's detector could see it" in " ".join(told.why)
    assert "break_cycle" in " ".join(told.why)
    assert told.engine_report == []
    assert any("lock time-out" in one for one in told.avoid)
