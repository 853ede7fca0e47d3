"""What the evidence says: phenomena, deadlocks, verdict, and the file that holds them all.

Names are the field's: Adya, *Weak Consistency* (PhD thesis, MIT 1999) for G0…G2; Berenson et al., *A Critique of
ANSI SQL Isolation Levels* (SIGMOD 1995) for P4; Bailis et al., *Highly Available Transactions* (VLDB 2013) for OTV;
Fekete, O'Neil & O'Neil, *A Read-Only Transaction Anomaly under Snapshot Isolation* (SIGMOD Record 2004).
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from harness.history import DeadlockReport, History, Record, Wait


class Phenomenon(StrEnum):
    """What a run can show, by its plain name."""

    dirty_write = "dirty write"
    dirty_read = "dirty read"
    intermediate_read = "intermediate read"
    circular_information_flow = "circular information flow"
    observed_transaction_vanishes = "observed transaction vanishes"
    lost_update = "lost update"
    non_repeatable_read = "non-repeatable read"
    read_skew = "read skew"
    phantom = "phantom"
    write_skew = "write skew"
    read_only_anomaly = "read-only anomaly"
    deadlock = "deadlock"
    hidden_deadlock = "hidden deadlock"  # a cycle over servers: no server's own detector can see it


ADYA = {
    Phenomenon.dirty_write: "G0",
    Phenomenon.dirty_read: "G1a",
    Phenomenon.intermediate_read: "G1b",
    Phenomenon.circular_information_flow: "G1c",
    Phenomenon.observed_transaction_vanishes: "OTV",
    Phenomenon.lost_update: "P4",
    Phenomenon.non_repeatable_read: "G-single",
    Phenomenon.read_skew: "G-single",
    Phenomenon.phantom: "PMP",
    Phenomenon.write_skew: "G2-item",
    Phenomenon.read_only_anomaly: "G2",
    Phenomenon.deadlock: "",
    Phenomenon.hidden_deadlock: "",
}
"""Each phenomenon's usual code; an :class:`Anomaly` carries the one that was really found (G2 for a write skew over
a predicate, say)."""

ALIASES = {
    "incorrect summary": Phenomenon.read_skew,
    "fuzzy read": Phenomenon.non_repeatable_read,
    "unrepeatable read": Phenomenon.non_repeatable_read,
    "aborted read": Phenomenon.dirty_read,
}
"""Other names that people use in scenarios."""


class Anomaly(Record):
    """A phenomenon with the operations that prove it, and the proof in words: Let … Then … However … ∎."""

    phenomenon: Phenomenon
    adya: str
    sessions: list[str]
    steps: list[str] = Field(description="names of the steps that prove it, in the proof's order")
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
    story: list[str] = Field(default=[], description="what happened after the victim was chosen: the cascade")
    reports: list[DeadlockReport] = []


class Status(StrEnum):
    """A verdict: the expectation held, or not, or the case could not be judged."""

    passed = "passed"
    failed = "failed"
    error = "error"


class Verdict(Record):
    """What a History means beside its expectation. ``summary`` is one line; ``mismatches`` are empty if it passed."""

    status: Status
    summary: str
    expected: list[str] = []
    mismatches: list[str] = []
    anomalies: list[Anomaly] = []
    deadlocks: list[Deadlock] = []
    reads: list[str] = Field(default=[], description="for every read of an item, whose version it saw")
    notes: list[str] = []


class Evidence(Record):
    """``evidence.json``: the history, the expectation as it was declared, and the verdict."""

    version: int = 1
    run: str = ""
    history: History
    expectation: dict[str, object] = {}
    verdict: Verdict
