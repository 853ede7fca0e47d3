"""What was found at random, as an ordinary scenario: it loads, and its interleavings show the same again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.evidence.checker.model import Edge, Found, MicroOp, Observed, Status, Transaction, Workload
from harness.evidence.model import Status as Verdict
from harness.evidence.verdict import judge
from harness.runner.case import run_case
from harness.scenario.load import load
from harness.scenario.model import Scenario
from harness.suite import Suite
from harness.vocabulary import Phenomenon
from harness.workloads.model import COMMANDS
from harness.workloads.scenario import Placed, scenario_of

SALES = Placed("promptsales", "postgresql", "repeatable read")
PLACES = (
    SALES,
    Placed("promptads", "sqlserver", "snapshot"),
    Placed("promptcontent", "mongodb", "snapshot"),
    Placed("promptcontent", "mongodb", "local", COMMANDS),
    Placed("cache", "redis", "atomic commands"),
    Placed("cache", "redis", "atomic commands", COMMANDS),
)


def transactions(*ops: Sequence[MicroOp], processes: Sequence[int] = (0, 1, 2, 3)) -> tuple[Transaction, ...]:
    return tuple(
        Transaction(number, processes[number], Status.ok, tuple(some), 2 * number, 2 * number + 1)
        for number, some in enumerate(ops)
    )


def cycle(*kinds: str) -> list[Edge]:
    return [Edge(kind=kind, source=at, target=(at + 1) % len(kinds)) for at, kind in enumerate(kinds)]


def skew(cycle_: Sequence[Edge] = ()) -> Found:
    edges = list(cycle_) or cycle("rw", "rw")
    return Found(name="G2-item", title="write skew", transactions=[0, 1], cycle=edges, proof=["Let:", "  a: b\n # c"])


SKEW = Observed(
    Workload.list_append,
    transactions(
        [MicroOp("r", 1, ()), MicroOp("append", 2, 1), MicroOp("append", 9, 1)],
        [MicroOp("r", 2, ()), MicroOp("append", 1, 1), MicroOp("r", 2, ())],
    ),
    source="lists[x]",
)


def made(tmp_path: Path, found: Found, observed: Observed, placed: Placed) -> Scenario:
    file = tmp_path / "found.yaml"
    file.write_text(scenario_of(found, observed, placed), encoding="utf-8")
    return load(file)


@pytest.mark.parametrize("placed", PLACES, ids=lambda one: f"{one.engine} {one.units}")
def test_it_is_a_scenario_of_each_engine(tmp_path: Path, placed: Placed) -> None:
    scenario = made(tmp_path, skew(), SKEW, placed)
    assert [session.name for session in scenario.sessions] == ["T0", "T1"]
    assert {item.name for item in scenario.items} == {"x1", "x2"}, "what only one of them touches is left out"
    assert scenario.levels == {placed.engine: (placed.level,)}
    assert [one.kind for one in scenario.made] == ["reduced"]
    steps = {step.name: step for session in scenario.sessions for step in session.steps}
    assert steps["t0_write_x2"].writes
    assert steps["t0_read_x1"].reads
    assert "t1_read_x2_2" in steps
    assert ("t0_commit" in steps or "t0_exec" in steps) is (placed.units != COMMANDS)
    assert scenario.expectation(None, placed.engine, placed.level).finds == ()  # type: ignore[arg-type,union-attr]


def test_its_head_tells_the_proof(tmp_path: Path) -> None:
    text = scenario_of(skew(), SKEW, SALES)
    assert text.startswith("# G2-item (write skew), found in lists[x].\n# Let:\n# a: b\n# # c\ntitle:")


@pytest.mark.parametrize(
    ("workload", "f", "values"),
    [
        (Workload.rw_register, "w", (4, 5)),
        (Workload.bank, "w", ((70, 4), (130, 5))),
        (Workload.counter, "inc", ((2, 9), (3, None))),
    ],
    ids=lambda one: getattr(one, "value", None),
)
def test_whatever_it_was_it_becomes_a_register_with_unique_values(
    tmp_path: Path, workload: Workload, f: str, values: tuple[object, object]
) -> None:
    observed = dataclasses.replace(
        SKEW,
        workload=workload,
        transactions=transactions(
            [MicroOp("r", "a"), MicroOp(f, "b", values[0])], [MicroOp("r", "b"), MicroOp(f, "a", values[1])]
        ),
    )
    scenario = made(tmp_path, skew(), observed, SALES)
    written = [str(step.bodies["*"]) for session in scenario.sessions for step in session.steps if step.writes]
    numbers = [text.split("value = ")[1].split()[0] for text in written]
    assert len(set(numbers)) == 2
    assert "0" not in numbers
    if workload is not Workload.counter:
        assert numbers == ["4", "5"]


def test_what_one_process_did_stays_in_one_session(tmp_path: Path) -> None:
    observed = dataclasses.replace(
        SKEW,
        transactions=transactions(
            [MicroOp("r", 1, ())], [MicroOp("append", 2, 1)], [MicroOp("r", 2, ()), MicroOp("append", 1, 1)],
            processes=(0, 0, 1),
        ),
    )  # fmt: skip
    found = Found(
        name="G2-item-process", title="", transactions=[0, 1, 2], cycle=cycle("process", "rw", "rw"), proof=[]
    )
    scenario = made(tmp_path, found, observed, SALES)
    first, other = scenario.sessions
    assert (first.name, other.name) == ("P0", "T2")
    assert [step.name for step in first.steps] == ["t0_read_x1", "t0_commit", "t1_begin", "t1_write_x2", "t1_commit"]


def test_what_has_failed_rolls_back(tmp_path: Path) -> None:
    one, other = SKEW.transactions
    observed = dataclasses.replace(SKEW, transactions=(dataclasses.replace(one, status=Status.fail), other))
    found = Found(name="G1a", title="aborted read", transactions=[0, 1], proof=[])
    steps = [step.name for session in made(tmp_path, found, observed, SALES).sessions for step in session.steps]
    assert "t0_rollback" in steps
    assert "t1_commit" in steps


def test_of_what_lies_within_one_session_there_is_no_scenario() -> None:
    alone = Found(name="internal", title="", transactions=[0], proof=[])
    with pytest.raises(DataError, match="does not lie between sessions"):
        scenario_of(alone, SKEW, SALES)


# -- on real servers


@pytest.mark.parametrize(
    ("level", "shown"),
    [("repeatable read", {Phenomenon.write_skew}), ("serializable", set())],
    ids=["shown", "refused"],
)
def test_its_interleavings_show_the_same_again_and_a_stronger_level_refuses_it(
    suite: Suite, tmp_path: Path, level: str, shown: set[Phenomenon]
) -> None:
    placed = dataclasses.replace(SALES, level=level)
    file = tmp_path / "found.yaml"
    text = scenario_of(skew(), SKEW, placed).replace("schedules: reduced", "schedules: all")
    file.write_text(text, encoding="utf-8")
    cases = list(suite.cases(file))
    assert len(cases) > 10
    some = cases[:: max(1, len(cases) // 12)]
    verdicts = [judge(run_case(case, suite.databases), case.expectation) for case in some]
    assert {one for verdict in verdicts for one in verdict.phenomena} == shown
    assert {verdict.status for verdict in verdicts} == ({Verdict.passed, Verdict.failed} if shown else {Verdict.passed})
