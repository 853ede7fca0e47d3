"""Isolation specifications for the tests: PostgreSQL's own, and odd ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.scenario.model import Scenario, Session, Step

DATA = Path(__file__).parents[1] / "postgresql_isolation"
EXPECTED = DATA / "expected"
SPECS = sorted((DATA / "specs").glob("*.spec"))


def written(folder: Path, text: str, name: str = "x") -> Path:
    """A specification's file; its newlines stay."""
    file = folder / f"{name}.spec"
    file.write_bytes(text.encode())
    return file


def placeless(scenario: Scenario) -> Scenario:
    """``scenario`` without its file and its steps' places: two that say the same are equal then."""

    def bare(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(replace(step, place=None) for step in steps)

    def of(session: Session) -> Session:
        made = replace(session, steps=bare(session.steps), setup=bare(session.setup))
        return replace(made, teardown=bare(session.teardown))

    return replace(scenario, file=Path(), sessions=tuple(map(of, scenario.sessions)))
