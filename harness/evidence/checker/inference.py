"""What each kind of object gives to the checker: dependencies, what is wrong without any cycle, and the words for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from harness.evidence.checker.graph import Graph
from harness.evidence.checker.model import Key, MicroOp, Observed, Status, Transaction


class Reason(NamedTuple):
    """Why one transaction comes before another: the versions that the dependency lies between, and the words."""

    before: str
    after: str
    because: str


@dataclass(frozen=True, slots=True)
class Single:
    """An anomaly that is none of a cycle. ``transactions`` are positions; ``proof`` its lines after ``Then:``."""

    name: str
    transactions: tuple[int, ...]
    proof: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """Transactions that read one version of an object and wrote the object: at most one of the updates counts."""

    place: int
    version: str
    transactions: tuple[int, ...]


@dataclass(slots=True)
class Singles:
    """Anomalies without a cycle: all are counted, the first few of each name are kept."""

    examples: int
    counts: dict[str, int] = field(default_factory=dict)
    kept: list[Single] = field(default_factory=list)

    def wanted(self, name: str) -> bool:
        """Count one more, and say whether it shall be put into words."""
        self.counts[name] = self.counts.get(name, 0) + 1
        return self.counts[name] <= self.examples

    def keep(self, name: str, transactions: Sequence[int], *proof: str) -> None:
        """Keep one that is wanted."""
        self.kept.append(Single(name, tuple(dict.fromkeys(transactions)), proof))


class Inference(Protocol):
    """What was inferred from a history."""

    graph: Graph
    present: bytearray  # for each transaction whether it is in the graph: it committed, as far as anybody can tell
    keys: list[Key]  # objects by their numbers
    singles: Singles
    lost: list[Lost]
    notes: list[str]

    def why(self, kind: int, source: int, target: int, place: int) -> Reason:
        """The reason of an edge of the graph (ww, wr or rw), in words."""
        ...

    def sight(self, writer: int, reader: int, place: int) -> tuple[int, int]:
        """Of a transaction whose write to an object another did not see: when that one first saw anything of it, and when
        it last missed that write, as places in its order; -1 for never."""
        ...


class Infer(Protocol):
    """One kind of object: list-append, registers, bank accounts, counters."""

    def __call__(self, observed: Observed, examples: int) -> Inference:
        """Infer everything from a history; keep so many examples of each anomaly that is none of a cycle."""
        ...


def shown(value: Any) -> str:
    """A value as a proof names it: Elle's way, which is Clojure's, without its colons for keys.

    >>> shown((1, 2)), shown(None), shown("a")
    ('[1 2]', 'nil', '"a"')
    """
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (tuple, list)):
        return f"[{' '.join(shown(one) for one in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{shown(key)} {shown(one)}" for key, one in value.items()) + "}"
    return str(value)


def operation(op: MicroOp) -> str:
    """A micro-operation in Elle's words.

    >>> operation(MicroOp("r", "x", (1, 2)))
    '[:r "x" [1 2]]'
    """
    return f"[:{op.f} {shown(op.key)} {shown(op.value)}]"


def line(transaction: Transaction) -> str:
    """A transaction in Elle's words, in one line.

    >>> line(Transaction(1, 0, Status.ok, (MicroOp("append", 3, 1), MicroOp("r", 4, (1,))), 0))
    'T1 = {:index 1, :process 0, :type :ok, :value [[:append 3 1] [:r 4 [1]]]}'
    """
    error = f", :error {shown(transaction.error)}" if transaction.error else ""
    ops = " ".join(operation(op) for op in transaction.ops)
    return (
        f"{transaction.name} = {{:index {transaction.index}, :process {shown(transaction.process)},"
        f" :type :{transaction.status.value}{error}, :value [{ops}]}}"
    )


def committed(observed: Observed) -> bytearray:
    """For each transaction, 1 if it is known to have committed."""
    return bytearray(transaction.status is Status.ok for transaction in observed.transactions)
