"""Odd corners of isolation specifications: what the harness prints is what PostgreSQL's C program prints, to the byte.

Where the C program's output is a matter of luck (it looks every 10 ms) or where it never ends (COPY in a step; a step that
is blocked after it has begun to answer) there is no specification here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.history import RunEnd
from harness.runner import board, worker
from tests.specs.conftest import DATA, Runner, well_formed

FILES = sorted(DATA.glob("*.spec"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be cancelled is given up soon."""
    monkeypatch.setattr(board, "CANCEL_GRACE", 0.1)
    monkeypatch.setattr(worker, "STOP_GRACE", 0.1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_the_same(both: Runner, file: Path) -> None:
    made = both(file)
    assert made.here.output.split("\n") == made.printed.split("\n")
    assert made.here.output == made.printed
    ends = [evidence.history.end for evidence in made.evidences]
    assert (ends[-1] is RunEnd.completed) == (made.code == 0)
    assert set(ends[:-1]) <= {RunEnd.completed}
    if made.code:
        assert made.here.problem.startswith(made.here.permutations[-1].case.schedule.name)
    elif not file.stem.endswith("_timeout_2"):  # of these the output is not known when they begin
        assert made.here.problem == ""
    for evidence in made.evidences:
        well_formed(evidence)
