"""What must be true at the end, and what is said where it is not."""

from __future__ import annotations

import pytest

from harness.evidence.holding import broken, committed, outcome
from harness.evidence.verdict import judge
from harness.history import EventKind, History, RunEnd
from harness.scenario.model import Expectation

from .histories import LOST, SERIALIZATION, Builder, build


def of(text: str, **final: object) -> History:
    return build(text, budget=1000).history(final=final)


BOTH = of("r1(budget=1000) w1(budget=900) c1 r2(budget=900) w2(budget=800) c2", budget="800.00")
LOST_ONE = of("r1(budget=1000) r2(budget=1000) w1(budget=900) c1 w2(budget=900) c2", budget=900)
ONE = of("r1(budget=1000) w1(budget=900) c1 r2(budget=900) w2(budget=800) a2", budget=900)
INVARIANT = "budget == initial_budget - 100 * (committed_T1 + committed_T2)"


@pytest.mark.parametrize(
    ("history", "text", "said"),
    [
        (BOTH, INVARIANT, []),
        (ONE, INVARIANT, []),
        (LOST_ONE, INVARIANT, [f"{INVARIANT}: 900 == 800 is not so"]),
        (LOST_ONE, "budget < initial_budget and budget != 900", ["budget != 900: 900 != 900 is not so"]),
        (LOST_ONE, "800 <= budget <= 900", []),
        (LOST_ONE, "budget in (1, 2)", ["budget in (1, 2): it is not so (budget is 900)"]),
        (LOST_ONE, "not committed_T1", ["not committed_T1: it is not so (committed_T1 is 1)"]),
        (LOST_ONE, "budget > 1000 or committed_T2 == 1", []),
        (LOST_ONE, "min(budget, 5) > 5", ["min(budget, 5) > 5: 5 > 5 is not so"]),
        (BOTH, "budget / 3 == 800 / 3", []),
        (BOTH, "budget == '800'", []),
        (ONE, "price == 5", ["price == 5: nobody knows price at the end"]),
        (ONE, "budget / committed_T2 == 1", [
            "budget / committed_T2 == 1: cannot be computed (budget is 900, committed_T2 is 0)"
        ]),
        (of("c1", budget=None), "budget == 5", ["budget == 5: nothing == 5 is not so"]),
        (of("c1", budget=None), "budget + 1 == 5", ["budget + 1 == 5: cannot be computed (budget is nothing)"]),
    ],
)  # fmt: skip
def test_what_holds(history: History, text: str, said: list[str]) -> None:
    assert list(broken(history, (text,))) == said


def test_a_verdict_says_each_thing_that_is_not_so() -> None:
    verdict = judge(
        LOST_ONE,
        Expectation(
            allows=tuple(judge(LOST_ONE, Expectation()).phenomena), holds=(INVARIANT, "budget > 900", "budget == 900")
        ),
    )
    assert verdict.mismatches == [f"{INVARIANT}: 900 == 800 is not so", "budget > 900: 900 > 900 is not so"]
    assert verdict.summary == f"{INVARIANT}: 900 == 800 is not so (and 1 more)"


def test_of_a_lost_run_nobody_knows_the_end() -> None:
    lost = ONE.model_copy(update={"end": RunEnd.lost, "end_text": "gone"})
    assert judge(lost, Expectation(holds=("budget == 5",))).mismatches == ["gone"]


def test_who_committed() -> None:
    assert committed(BOTH) == {"T1": 1, "T2": 1}
    assert committed(ONE) == {"T1": 1, "T2": 0}
    assert committed(of("w1(budget=1) c1 w1(budget=2) c1 w1(budget=3) a1")) == {"T1": 2}
    # What a session does after its transaction is none of its transactions.
    assert committed(of("w1(budget=1) c1 R1(budget=1)")) == {"T1": 1}
    assert committed(of("w1(budget=1) a1 R1(budget=1000)")) == {"T1": 0}


def test_who_committed_without_a_transaction() -> None:
    builder = Builder()
    builder.step("A", "one")
    builder.step("A", "two")
    builder.step("B", "three")
    builder.step("B", "four", kind=EventKind.error, error=SERIALIZATION)
    assert committed(builder.history()) == {"A": 1, "B": 0}


def test_nobody_knows_what_became_of_a_commit_that_was_lost() -> None:
    builder = build("w1(x=1)", x=0)
    builder.step("T1", "commit", kind=EventKind.error, error=LOST, statement="commit")
    assert committed(builder.history()) == {"T1": 0}


def test_names() -> None:
    assert outcome(BOTH) == {"initial_budget": 1000, "budget": 800, "committed_T1": 1, "committed_T2": 1}
    free = Builder(x=0).history(
        mode="free-running", transactions={"committed": 8, "lock timeout": 1}, final={"x": "8.5"}
    )
    assert outcome(free) == {
        "initial_x": 0, "x": 8.5, "attempted": 0, "committed": 8, "refused": 0, "lock_timeout": 1
    }  # fmt: skip
    builder = Builder()
    builder.step("the other one", "a")
    assert list(broken(builder.history(), ("committed_the_other_one == 1",))) == []
