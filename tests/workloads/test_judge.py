"""What a history shows, held against what was expected of it."""

from __future__ import annotations

import pytest

from harness.evidence.checker.model import Found, Report, Workload
from harness.vocabulary import LEVELS
from harness.workloads.judge import mismatches, telling
from harness.workloads.model import ANYTHING, Expected, promised


def report(*names: str, ok: int = 3) -> Report:
    found = [Found(name=name, title="", transactions=[number], proof=[]) for name in names for number in (1, 2)]
    counts = dict.fromkeys(names, 2)
    return Report(
        workload=Workload.bank, transactions=5, operations=9, ok=ok, failed=2, info=0, counts=counts, found=found
    )


@pytest.mark.parametrize(
    ("expected", "names", "said"),
    [
        (Expected(), [], []),
        (Expected(), ["G0"], ["found G0, 2×: expected nothing"]),
        (Expected(finds=("G-single",)), ["G-single"], []),
        (Expected(finds=("G-single",)), [], ["expected to find G-single: it was not found"]),
        (Expected(finds=("G-single",)), ["G-single", "G0"], ["found G0, 2×: expected finds G-single; nothing else"]),
        (Expected(allows=("G-single",)), ["G-single"], []),
        (Expected(allows=("G-single",)), [], []),
        (Expected(allows=(ANYTHING,)), ["G0", "G1a"], []),
        (Expected(level="snapshot isolation"), ["G2-item", "G2-item-process"], []),
        (Expected(level="snapshot isolation"), ["G-single"], ["found G-single, 2×, which snapshot isolation does not allow"]),  # noqa: E501
        (Expected(level="read committed"), ["G-single", "lost-update", "wrong-total", "long-fork"], []),
        (Expected(level="read committed"), ["G1a"], ["found G1a, 2×, which read committed does not allow"]),
        (Expected(level="serializable"), ["G2-item"], ["found G2-item, 2×, which serializable does not allow"]),
        (Expected(allows=("G1a",), level="serializable"), ["G1a"], []),
    ],
)  # fmt: skip
def test_what_is_not_as_expected_has_a_line(expected: Expected, names: list[str], said: list[str]) -> None:
    assert mismatches(expected, report(*names)) == said


def test_a_run_in_which_nothing_was_committed_shows_nothing() -> None:
    assert mismatches(Expected(), report(ok=0)) == ["nothing was committed: 2 failed, of 0 nobody knows"]


def test_what_should_not_be_there_is_told_once_each() -> None:
    told = telling(Expected(level="snapshot isolation"), report("G2-item", "G-single"))
    assert [(one.name, one.transactions) for one in told.found] == [("G-single", [1])]
    assert [one.name for one in telling(None, report("G0", "G1a")).found] == ["G0", "G1a"]


@pytest.mark.parametrize("engine", LEVELS)
def test_every_level_of_every_engine_promises_a_level_of_the_literature(engine: str) -> None:
    from harness.evidence.checker.levels import LATTICE

    assert {promised(engine, level) for level in LEVELS[engine]} <= set(LATTICE)
    assert {promised(engine, level, "commands") for level in LEVELS[engine]} == {""}


def test_a_level_may_be_excluded_by_what_no_name_tells() -> None:
    """What a cycle is besides, of which the checker counts the cycle alone."""
    vanished = report("G-single").model_copy(update={"excluded": ["monotonic atomic view"]})
    assert mismatches(Expected(level="monotonic atomic view"), vanished) == [
        "what was found excludes monotonic atomic view"
    ]
    assert mismatches(Expected(level="read committed"), vanished) == []
