"""Explorations on a run's page."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.exploring.model import Counterexample, Exploration, Kind, Outcome, Proof
from harness.report.explorations import exploration_views, read_explorations
from harness.report.whole import whole_report

LOST = Outcome(
    fingerprint="a", words="found: lost <update>", runs=6, status="failed", summary="found lost update",
    example="reduced-002", order=["r1", "r2"], facts={"found": "lost update"},
    evidence="results/run/case@promptsales-reduced-002/evidence.json",
)  # fmt: skip
RIGHT = LOST.model_copy(
    update={
        "fingerprint": "b",
        "status": "passed",
        "runs": 2,
        "words": "a: 70",
        "example": "reduced-001",
        "evidence": "",
    }
)
MADE = Exploration(
    case="transfer[promptsales]", scenario="transfer", title="Two <bookings>", file="t.yaml", engine="postgresql",
    level="read committed", kind=Kind.reduced, total=1680, planned=8, run=8, spared=1672, failing=6, outcomes=[LOST, RIGHT],
)  # fmt: skip


def page(folder: Path, *explorations: Exploration) -> str:
    for number, one in enumerate(explorations):
        (folder / f"exploration-{number}.json").write_text(one.model_dump_json(exclude_defaults=True), "utf-8")
    return whole_report(folder, {"run": folder.name, "cases": []}, [])


def test_outcomes_have_their_numbers_and_their_evidence(tmp_path: Path) -> None:
    html = page(tmp_path, MADE)
    assert '<a href="#explorations">Explorations</a>' in html
    assert "1,680 interleavings; 8 run (reduced); 1,672 spared" in html
    assert 'href="case@promptsales-reduced-002/evidence.json"' in html
    assert "found: lost &lt;update&gt;" in html
    assert "Two &lt;bookings&gt;" in html
    assert "<bookings>" not in html
    assert "1 exploration" in html
    assert "No case ran" not in html


def test_a_proof_is_told(tmp_path: Path) -> None:
    right = MADE.model_copy(update={"failing": 0, "proof": Proof(classes=8, checked=1672)})
    example = Counterexample(first="a", first_order=[], second="b", second_order=[], differences=[])
    wrong = right.model_copy(update={"proof": Proof(classes=8, checked=9, counterexample=example)})
    assert [(one.status, one.proof) for one in exploration_views([MADE, right, wrong])] == [
        ("failed", ""),
        ("passed", "proved: the 1,672 spared ones did nothing else"),
        ("failed", "refuted"),
    ]
    assert "proved: the 1,672 spared ones did nothing else" in page(tmp_path, right)


def test_without_any_nothing_is_said(tmp_path: Path) -> None:
    assert "explorations" not in page(tmp_path).split("</style>")[-1]


def test_what_cannot_be_read_is_told_and_the_page_is_there(tmp_path: Path) -> None:
    (tmp_path / "exploration-x.json").write_text("{", "utf-8")
    with pytest.raises(StoreError, match=r"exploration-x\.json cannot be read"):
        read_explorations(tmp_path)
    assert "exploration-x.json cannot be read" in page(tmp_path)
