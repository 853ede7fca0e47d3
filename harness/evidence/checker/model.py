"""What the checker is given, and what it says: transactions of micro-operations, dependencies, anomalies with their proofs.

The words are those of Elle (Kingsbury & Alvaro, *Elle: Inferring Isolation Anomalies from Experimental Observations*,
VLDB 2020) and of Adya (*Weak Consistency*, PhD thesis, MIT 1999). What goes in are plain dataclasses, since there are
hundreds of thousands of them; what comes out are records, which are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import Field

from harness.history import Record

Key = int | str
"""What an object is called: a list, a register, an account, a counter."""


class Workload(StrEnum):
    """The kind of object that transactions work on; it decides what can be inferred from a read."""

    list_append = "list-append"  # a read shows every append before it, in their order
    rw_register = "rw-register"  # a read shows the last write only; writes are unique
    bank = "bank"  # registers of a balance and the tag of who wrote it; the sum never changes
    counter = "counter"  # increments that return the new value


class Status(StrEnum):
    """What became of a transaction. ``info``: nobody can say, as when the connection was lost at COMMIT."""

    ok = "ok"
    fail = "fail"
    info = "info"


@dataclass(frozen=True, slots=True)
class MicroOp:
    """One operation on one object, as Elle writes it: ``[f, key, value]``.

    ``append``: the element. ``r``: what was seen: a tuple of elements (list-append), a register's value or None for one that
    nobody has written (rw-register), ``(balance, tag)`` (bank), the number (counter); None if it is not known.
    ``w``: the value; ``(balance, tag)`` (bank). ``inc``: ``(by, new)``, and ``new`` is None if nothing came back.
    """

    f: str  # append, r, w, inc
    key: Key
    value: Any = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction: what its client asked for, and what became of it.

    ``invoked`` and ``completed`` are positions in the history's order of invocations and completions, from 0;
    ``completed`` is None if nothing was ever heard. ``began`` and ``ended`` are the same in nanoseconds, if known.
    """

    index: int  # its place among the transactions
    process: Key  # which of the sessions it was
    status: Status
    ops: tuple[MicroOp, ...]
    invoked: int
    completed: int | None = None
    began: int | None = None
    ended: int | None = None
    error: str = ""  # why it failed, or is not known

    @property
    def name(self) -> str:
        """What a proof calls it.

        >>> Transaction(7, 0, Status.ok, (), 0).name
        'T7'
        """
        return f"T{self.index}"


@dataclass(frozen=True, slots=True)
class Observed:
    """A history of transactions, in the order of their invocations. ``initial``: values that objects had before.

    ``predicates``: registers that are a condition and not a row: who read one saw, or did not see, that rows came or went.
    """

    workload: Workload
    transactions: tuple[Transaction, ...]
    initial: Mapping[Key, Any] = field(default_factory=dict)
    total: int | None = None  # bank: what all accounts have together
    source: str = ""  # a file, a run
    predicates: tuple[Key, ...] = ()


class Edge(Record):
    """A dependency: ``source`` must come before ``target``. Both are transactions' indexes.

    ``ww``, ``wr``, ``rw`` are Adya's; ``process``: the same session did one after the other; ``realtime``: one had ended
    before the other began. ``before`` and ``after`` are the versions that the dependency lies between, in words.
    """

    kind: str = Field(pattern="^(ww|wr|rw|process|realtime)$")
    source: int
    target: int
    key: int | str | None = None
    before: str = ""
    after: str = ""
    predicate: bool = False
    because: str = Field(default="", description="the reason in words: 'T2 did not observe T1's append of 5 to x'")


class Found(Record):
    """An anomaly: its name, the transactions it lies between, the cycle if it is one, and the proof in lines."""

    name: str = Field(description="G0, G1a, G1b, G1c, G-single, G-nonadjacent, G2-item, G2, lost-update, long-fork, …")
    title: str = Field(description="the plain name: dirty write, aborted read, …")
    transactions: list[int]
    cycle: list[Edge] = Field(default_factory=list)
    proof: list[str] = Field(description="Let … Then … However … a contradiction, a line each")
    shown: list[str] = Field(default_factory=list, description="the transactions as Elle writes them, one a line")


class Report(Record):
    """What a history shows. ``counts`` has every anomaly's number; ``found`` only the smallest examples of each."""

    workload: Workload
    source: str = ""
    transactions: int
    operations: int
    ok: int
    failed: int
    info: int
    edges: dict[str, int] = Field(default_factory=dict, description="dependencies by kind")
    counts: dict[str, int] = Field(default_factory=dict)
    found: list[Found] = Field(default_factory=list)
    excluded: list[str] = Field(default_factory=list, description="levels that this history cannot have had")
    possible: list[str] = Field(default_factory=list, description="the strongest levels that nothing here excludes")
    notes: list[str] = Field(default_factory=list, description="what could not be told, and why")

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.counts
