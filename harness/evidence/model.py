"""What the evidence says: anomalies with their proofs, deadlocks, the verdict, and the file that holds them all."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from harness.answers import DeadlockReport
from harness.history import History, Record, Wait
from harness.vocabulary import ADYA, ALIASES, Phenomenon

__all__ = [
    "ADYA",
    "ALIASES",
    "Anomaly",
    "Deadlock",
    "Detector",
    "Evidence",
    "Phenomenon",
    "Status",
    "Verdict",
    "phenomena",
]


class Anomaly(Record):
    """A phenomenon with the operations that prove it, and the proof in words: Let … Then … However … ∎."""

    phenomenon: Phenomenon
    adya: str
    sessions: list[str]
    steps: list[str] = Field(description="names of the steps that prove it, in the order of the events")
    events: list[int] = Field(description="sequence numbers of the events that prove it")
    proof: list[str]


class Detector(StrEnum):
    """Who ended a deadlock."""

    server = "server"
    harness = "harness"
    nobody = "nobody"


class Deadlock(Record):
    """A cycle of waits and what became of it. ``waits`` are the cycle's edges in order."""

    cycle: list[str]
    waits: list[Wait]
    seen_by_server: bool
    ended_by: Detector
    victim: str = ""
    victim_step: str = ""
    code: str = ""
    picture: int | None = Field(default=None, description="seq of the wait picture that shows it")
    story: list[str] = Field(default_factory=list, description="what happened after the victim was chosen: the cascade")
    reports: list[DeadlockReport] = Field(default_factory=list)

    @property
    def phenomenon(self) -> Phenomenon | None:
        """What it counts as: a deadlock if its server said so, a hidden one if no server could, else nothing."""
        if not self.seen_by_server:
            return Phenomenon.hidden_deadlock
        return Phenomenon.deadlock if self.ended_by is Detector.server else None


def phenomena(anomalies: Sequence[Anomaly], deadlocks: Sequence[Deadlock]) -> list[Phenomenon]:
    """What was found, by name: see :attr:`Deadlock.phenomenon` for what a cycle counts as."""
    names = [anomaly.phenomenon for anomaly in anomalies]
    names += [one.phenomenon for one in deadlocks if one.phenomenon]
    return list(dict.fromkeys(names))


class Status(StrEnum):
    """A verdict: the expectation held, or not, or the case could not be judged."""

    passed = "passed"
    failed = "failed"
    error = "error"


class Verdict(Record):
    """What a History means beside its expectation. ``summary`` is one line; ``mismatches`` are empty if it passed."""

    status: Status
    summary: str
    expected: list[str] = Field(default_factory=list)
    mismatches: list[str] = Field(default_factory=list)
    anomalies: list[Anomaly] = Field(default_factory=list)
    deadlocks: list[Deadlock] = Field(default_factory=list)
    reads: list[str] = Field(default_factory=list, description="for every read of an item, whose version it saw")
    notes: list[str] = Field(default_factory=list)

    @property
    def phenomena(self) -> list[Phenomenon]:
        """What was found, by name."""
        return phenomena(self.anomalies, self.deadlocks)


class Evidence(Record):
    """``evidence.json``: the history, the expectation as it was declared, and the verdict that follows from the two."""

    version: int = 1
    run: str = ""
    history: History
    expectation: dict[str, object] = Field(default_factory=dict)
    verdict: Verdict
