"""What exploring gives: the runs of a scenario in one schedule after the other, and what they came to.

An *exploration* is one scenario on its databases at one level, run in many schedules. Two runs are the same *outcome* if
nothing that a client or the database's end tells of them differs: see :mod:`harness.exploring.behaviour`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from harness.history import Record
from harness.scenario.model import Case, Schedule

if TYPE_CHECKING:
    from harness.scenario.conflicts import Access

Order = tuple[str, ...]
"""An interleaving: the names of its steps."""


class Kind(StrEnum):
    """Which interleavings are run."""

    all = "all"
    reduced = "reduced"
    random = "random"


@dataclass(frozen=True, slots=True)
class Task:
    """A schedule that is to be run: its number, from 1, its name, its steps in order."""

    number: int
    name: str
    order: Order
    seed: int | None = None  # of one that was drawn at random


@dataclass(slots=True)
class Ran:
    """What became of a schedule; small enough to be sent from one process to another. ``problem``: it could not be run."""

    task: Task
    facts: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    status: str = ""
    summary: str = ""
    signature: tuple[str, ...] = ()  # of a failure: what kind of failure it is
    seconds: float = 0.0
    touched: Mapping[str, frozenset[Access]] = field(default_factory=dict)  # step → what the server says it touched
    problem: str = ""
    evidence: str = ""  # of one that was kept: the path of its evidence, from the run's root

    @property
    def failing(self) -> bool:
        """Whether it was not as expected, or could not be run."""
        return self.status != "passed"


class Difference(Record):
    """What differs between two runs: a fact, as the first and as the second has it."""

    fact: str
    first: str
    second: str


class Outcome(Record):
    """Schedules in which the same happened; ``example`` is the first of them."""

    fingerprint: str
    words: str = Field(description="how it differs from the others, in short")
    runs: int
    status: str
    summary: str
    signature: list[str] = Field(default_factory=list)
    example: str
    order: list[str]
    facts: dict[str, str]
    evidence: str = ""


class Pair(Record):
    """Two steps of different sessions whose order matters, and why. ``learned``: only the server told."""

    first: str
    second: str
    why: str
    learned: bool = False


class Counterexample(Record):
    """Two schedules that the reduction takes for the same, which are not. ``stable``: each did so each time it was run."""

    first: str
    first_order: list[str]
    second: str
    second_order: list[str]
    differences: list[Difference]
    stable: bool = True


class Proof(Record):
    """Whether all schedules of each class did the same. ``checked`` are those that the reduction spares."""

    classes: int
    checked: int
    counterexample: Counterexample | None = None

    @property
    def holds(self) -> bool:
        """Whether no spared schedule behaved differently."""
        return self.counterexample is None


class Exploration(Record):
    """A scenario, explored. ``total`` interleavings there are; ``planned`` are those that were to be run."""

    case: str
    scenario: str
    title: str
    file: str
    engine: str
    level: str
    kind: Kind
    seed: int | None = None
    sessions: dict[str, list[str]] = Field(default_factory=dict, description="session → its steps")
    total: int
    planned: int
    run: int
    spared: int = 0
    failing: int = 0
    outcomes: list[Outcome] = Field(default_factory=list)
    conflicts: list[Pair] = Field(default_factory=list, description="reduced: the pairs whose order matters")
    rounds: int = Field(default=1, description="reduced: how often something unforeseen made more schedules run")
    notes: list[str] = Field(default_factory=list)
    problems: dict[str, str] = Field(default_factory=dict, description="schedule → why it could not be run")
    proof: Proof | None = None
    processes: int = 1
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether everything that was planned was run."""
        return self.run == self.planned and not self.interrupted


@dataclass(frozen=True, slots=True)
class Size:
    """How large a failing case is."""

    sessions: int
    steps: int
    switches: int

    def __str__(self) -> str:
        return (
            f"{_counted(self.sessions, 'session')}, {_counted(self.steps, 'step')}, {_counted(self.switches, 'switch')}"
        )


def _counted(number: int, thing: str) -> str:
    plural = thing + ("es" if thing.endswith("ch") else "s")
    return f"{number} {thing if number == 1 else plural}"


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A failing case made as small as it goes. ``text`` is a scenario that replays it; ``file`` where that was written."""

    case: Case
    schedule: Schedule
    wanted: tuple[str, ...]  # the signature that was kept
    before: Size
    after: Size
    runs: int
    confirmed: int  # of `confirmations` runs of the smallest one, so many failed in the same way
    confirmations: int
    text: str
    seconds: float
    shown: tuple[str, ...] = ()  # all kinds of failure that the smallest one shows
    file: Path | None = None
    replayed: bool | None = None  # whether the file, run as it is, passed; None: not tried
    notes: tuple[str, ...] = ()
