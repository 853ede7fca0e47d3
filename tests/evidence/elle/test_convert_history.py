from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import ScenarioError
from harness.evidence.checker.check import check
from harness.evidence.checker.model import MicroOp, Observed, Status, Workload
from harness.evidence.elle.convert import converted
from harness.evidence.elle.read import read_file, read_history
from harness.evidence.elle.write import write_history
from harness.history import EventKind, History
from tests.evidence.histories import LOST, Builder, build, read, write


def observed_of(history: History) -> Observed:
    return converted(history)[0]


def test_a_scenario_becomes_transactions_over_registers() -> None:
    made = observed_of(build("r1(x=0) w2(x=5) c2 r1(x=5) w1(y=7) a1", x=0, y=1).history())
    assert (made.workload, made.initial, made.source) == (Workload.rw_register, {"x": 0, "y": 1}, "case[db]")
    first, second = made.transactions
    assert (first.process, first.status, second.process, second.status) == ("T1", Status.fail, "T2", Status.ok)
    assert first.ops == (MicroOp("r", "x", 0), MicroOp("r", "x", 5), MicroOp("w", "y", 7))
    assert second.ops == (MicroOp("w", "x", 5),)
    assert (first.invoked, first.completed) == (0, 3)
    assert (second.invoked, second.completed) == (1, 2)
    assert (first.began or 0) < (first.ended or 0)


def test_what_engines_call_differently_is_one_value() -> None:
    builder = Builder(x="100.00")
    builder.step("A", "w", write("x", "7.00"))
    builder.step("B", "r", read("x", 7))
    made = observed_of(builder.history())
    assert made.initial == {"x": 100}
    assert [one.ops for one in made.transactions] == [(MicroOp("w", "x", 7),), (MicroOp("r", "x", 7),)]


def test_writes_of_one_value_are_told_apart() -> None:
    made, notes = converted(build("w1(x=5) c1 w2(x=5) c2 w3(x=0) r3(x=0) c3 r4(x=5) c4", x=0).history())
    assert [one.ops for one in made.transactions] == [
        (MicroOp("w", "x", "5 by T1"),),
        (MicroOp("w", "x", "5 by T2"),),
        (MicroOp("w", "x", "0 by T3"), MicroOp("r", "x", "0 by T3")),
        (),
    ]
    assert notes == ["1 read of x left out: which write they saw cannot be told"]


def test_a_write_that_nobody_tells_takes_its_item_out() -> None:
    made, notes = converted(build("w1(x) w1(y=1) c1 w2(x) c2 r3(x=7) r3(y=1) c3", x=0, y=0).history())
    assert [one.ops for one in made.transactions] == [(MicroOp("w", "y", 1),), (), (MicroOp("r", "y", 1),)]
    assert made.initial == {"y": 0}
    assert notes == ["x is left out: nobody said what value some write of it left"]


def test_a_write_that_the_evidence_infers_counts() -> None:
    made, notes = converted(build("w1(x) c1 r2(x=7) c2", x=0).history())
    assert [one.ops for one in made.transactions] == [(MicroOp("w", "x", 7),), (MicroOp("r", "x", 7),)]
    assert notes == []


def test_a_commit_that_nobody_heard_of_is_info() -> None:
    builder = build("w1(x=5)", x=0)
    builder.step("T1", "commit", kind=EventKind.error, error=LOST, statement="commit")
    made = observed_of(builder.history())
    assert [one.status for one in made.transactions] == [Status.info]


def test_one_that_never_ended_has_no_completion() -> None:
    made = observed_of(build("b1 w1(x=5) r2(x=0) c2", x=0).history())
    assert [(one.status, one.completed is None) for one in made.transactions] == [
        (Status.fail, True),
        (Status.ok, False),
    ]
    assert made.transactions[0].error == "its session ended before it did"


def test_a_begin_counts_for_when_it_began() -> None:
    """T2's BEGIN came before T1's commit, so nobody may say that T1 had ended before T2 began."""
    made = observed_of(build("w1(x=5) b2 c1 r2(x=0) c2", x=0).history())
    first, second = made.transactions
    assert first.completed is not None
    assert second.invoked < first.completed


def test_a_session_does_one_after_the_other() -> None:
    made = observed_of(build("w1(x=1) c1 w1(x=2) c1 r1(x=2) c1", x=0).history())
    places = [(one.invoked, one.completed) for one in made.transactions]
    assert places == [(0, 1), (2, 3), (4, 5)]


def test_a_predicate_is_a_register_for_each_that_changed_it() -> None:
    """Two that insert into what both have read: neither overwrites the other's, so no update is lost."""
    made, notes = converted(build("r1(p=0) r2(p=0) w1(p=1) w2(p=2) c1 c2 r3(p=2) c3", predicates=["p"], p=0).history())
    assert [one.ops for one in made.transactions] == [
        (MicroOp("r", "p by T1"), MicroOp("r", "p by T2"), MicroOp("w", "p by T1", 1)),
        (MicroOp("r", "p by T1"), MicroOp("r", "p by T2"), MicroOp("w", "p by T2", 2)),
        (MicroOp("r", "p by T2", 2),),
    ]
    assert made.initial == {}
    assert notes == []
    assert made.predicates == ("p by T1", "p by T2")
    report = check(made)
    assert report.counts == {"G2": 1}
    assert [edge.predicate for edge in report.found[0].cycle] == [True, True]
    assert "repeatable read" not in report.excluded
    assert "serializable" in report.excluded


def test_a_skew_of_rows_is_one_of_rows_beside_a_condition() -> None:
    made = observed_of(build("r1(x=0) r2(p=0) w1(p=1) w2(x=1) c1 c2 r3(p=1) c3", predicates=["p"], x=0, p=0).history())
    assert check(made).counts == {"G2": 1}  # one of its two anti-dependencies is over the condition
    made = observed_of(build("r1(x=0) r2(y=0) w1(y=1) w2(x=1) c1 c2", predicates=["p"], x=0, y=0).history())
    assert check(made).counts == {"G2-item": 1}


@pytest.mark.parametrize("whole", [True, False], ids=["evidence", "history"])
def test_evidence_is_read_as_a_history(tmp_path: Path, whole: bool) -> None:
    history = build("r1(x=0) r2(x=0) w1(x=1) w2(x=2) c1 c2", x=0).history()
    file = tmp_path / "evidence.json"
    said = json.loads(history.model_dump_json())
    file.write_text(json.dumps({"version": 1, "run": "r", "history": said} if whole else said, indent=1))
    made = read_file(file)
    assert made.observed.source == str(file)
    assert made.observed.transactions == observed_of(history).transactions
    write_history(made.observed, tmp_path / "h.edn")
    assert read_history(tmp_path / "h.edn") == made.observed
    with pytest.raises(ScenarioError, match="is one of rw-register, not of bank"):
        read_history(file, Workload.bank)
