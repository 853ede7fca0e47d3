"""Explorations as rows of a run's page: what was spared, and what happened in those that were run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from pydantic import ValidationError

from harness.errors import StoreError
from harness.exploring.model import Exploration, Outcome

FILES = "exploration-*.json"


@dataclass(frozen=True, slots=True)
class OutcomeView:
    """What happened in several schedules, with an example's evidence; ``link`` is empty if that was not kept."""

    outcome: Outcome
    link: str


@dataclass(frozen=True, slots=True)
class ExplorationView:
    """An exploration on the page."""

    exploration: Exploration
    status: str
    proof: str  # empty: nothing was to be proved
    outcomes: list[OutcomeView]


def read_explorations(folder: Path) -> list[Exploration]:
    """Those of the run in ``folder``, by their names. Raises StoreError."""
    made = []
    for file in sorted(folder.glob(FILES)):
        try:
            made.append(Exploration.model_validate_json(file.read_text(encoding="utf-8")))
        except (OSError, ValidationError) as error:
            raise StoreError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
    return made


def exploration_views(explorations: Sequence[Exploration]) -> list[ExplorationView]:
    """The explorations of a run with the links of their outcomes."""
    return [_view(one) for one in explorations]


def _view(one: Exploration) -> ExplorationView:
    proof = ""
    if one.proof is not None:
        proof = f"proved: the {one.proof.checked:,} spared ones did nothing else" if one.proof.holds else "refuted"
    failed = one.failing or (one.proof is not None and not one.proof.holds)
    return ExplorationView(
        exploration=one,
        status="failed" if failed else "passed",
        proof=proof,
        outcomes=[OutcomeView(outcome, _link(outcome.evidence)) for outcome in one.outcomes],
    )


def _link(evidence: str) -> str:
    """A case's evidence as seen from the run's page, which lies beside the case's folder."""
    return quote("/".join(PurePosixPath(evidence).parts[-2:]), safe="@+/") if evidence else ""
