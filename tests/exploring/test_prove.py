"""The reduction, held against all interleavings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ScenarioError
from harness.exploring.explore import Explorer
from harness.exploring.prove import CONFIRMATIONS, prove
from harness.exploring.reduction import Reduction, static
from harness.exploring.text import proof_lines
from harness.scenario.conflicts import Footprint
from harness.scenario.model import Case

from .conftest import APART, LOST, written

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "explore" / "transfer.yaml"


@pytest.mark.parametrize("text", [APART, LOST], ids=["apart", "lost"])
def test_real_footprints_are_proved(explorer: Callable[..., Explorer], text: str) -> None:
    made = explorer(text)
    made.check_proving()
    before = made.explore().exploration
    exploration = prove(made).exploration
    assert exploration.proof is not None
    assert exploration.proof.holds
    assert exploration.proof.checked == before.spared > 0
    assert exploration.proof.classes == before.run
    assert (exploration.run, exploration.spared) == (before.run, before.spared)
    assert sum(one.runs for one in exploration.outcomes) == exploration.total == 20
    assert [*proof_lines(exploration.proof, 20)] == [
        f"proved: none of the {before.spared} spared interleavings behaved differently: 20 run, {before.run} classes"
    ]


def blind(case: Case, *steps: str) -> Reduction:
    """A reduction that believes of these steps that they touch nothing."""
    known = {
        name: Footprint(engine="postgresql", fallible=False) if name in steps else footprint
        for name, footprint in static(case).items()
    }
    return Reduction(case, known)


def test_wrong_footprints_are_refuted_by_two_schedules(
    explorer: Callable[..., Explorer], case_of: Callable[..., Case]
) -> None:
    base = case_of(LOST)
    made = explorer(base, reduction=blind(base, "read_1", "read_2", "write_1", "write_2", "commit_1", "commit_2"))
    assert made.explore().exploration.run == 1
    exploration = prove(made).exploration
    assert exploration.proof is not None
    found = exploration.proof.counterexample
    assert found is not None
    assert found.stable
    assert sorted(found.first_order) == sorted(found.second_order)
    assert found.first_order != found.second_order
    assert {one.fact for one in found.differences} >= {"T2: read_2", "a at the end"}
    text = "\n".join(proof_lines(exploration.proof, 20))
    assert text.startswith("refuted: two interleavings that were taken for the same behave differently")
    assert " ".join(found.second_order) in text
    assert "a at the end: 70   ≠   " in text


def test_one_forgotten_read_is_enough(explorer: Callable[..., Explorer], case_of: Callable[..., Case]) -> None:
    base = case_of(LOST)
    made = explorer(base, reduction=blind(base, "read_2"))
    made.explore()
    proof = prove(made).exploration.proof
    assert proof is not None
    assert not proof.holds


def test_what_differs_from_itself_is_told(explorer: Callable[..., Explorer], case_of: Callable[..., Case]) -> None:
    base = case_of(APART.replace("own_1: UPDATE t SET v = v + 1 WHERE id = 1", "own_1: SELECT pg_backend_pid()"))
    made = explorer(base, reduction=blind(base, "own_1"))
    made.explore()
    proof = prove(made).exploration.proof
    assert proof is not None
    assert proof.counterexample is not None
    assert not proof.counterexample.stable
    assert "does not do the same each time" in "\n".join(proof_lines(proof, 20))
    assert CONFIRMATIONS > 1


def test_what_cannot_be_proved_is_refused_before_anything_runs(
    explorer: Callable[..., Explorer], tmp_path: Path
) -> None:
    made = explorer(written(tmp_path, LOST))
    made.plan = replace(made.plan, most=19)
    with pytest.raises(ScenarioError, match=r"--prove runs all 20 interleavings, and at most 19 may be run"):
        made.check_proving()
    made.plan = replace(made.plan, most=20)
    made.check_proving()


def test_the_example_of_the_documentation_has_failures_that_shrink(case_of: Callable[..., Case]) -> None:
    base = case_of(EXAMPLE, "read committed")
    assert len(base.scenario.sessions) == 3
    assert base.expectation.holds
    assert base.expectation.may_refuse
