"""The direct serialization graph of a history: who depends on whom (Adya, *Weak Consistency*, 1999, section 3.1).

Nodes are committed transactions. ``ww``: the next version is the other's; ``wr``: it read the other's version;
``rw``: the other overwrote what it had read (an anti-dependency).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from harness.evidence.transactions import Op, Transaction


@dataclass(frozen=True, slots=True)
class Dependency:
    """An edge: ``source`` must come before ``target`` in any serial order that explains the history."""

    kind: str  # ww, wr, rw
    item: str
    source: Transaction
    target: Transaction
    first: Op  # the source's operation
    second: Op  # the target's
    predicate: bool = False


@dataclass(slots=True)
class VersionOrder:
    """The versions of an item: each committed transaction's last write, by the time at which it was done.

    ``certain``: that order is known, since no two of them were under way at once, or their rows were held.
    """

    versions: list[Op] = field(default_factory=list)
    certain: bool = True
    places: dict[Transaction, int] = field(default_factory=dict)

    def position(self, writer: Transaction | None) -> int | None:
        """Where the version of ``writer`` stands; -1 for the initial one, None for one that is not among them."""
        return -1 if writer is None else self.places.get(writer)

    def after(self, writer: Transaction | None, *, predicate: bool) -> list[Op]:
        """The versions that a read of this one did not see: the next one; of a set, every one that came later.

        All come after the initial version, whatever their order is.
        """
        position = self.position(writer)
        if position is None or not (self.certain or writer is None):
            return []
        end = None if predicate or not self.certain else position + 2
        return self.versions[position + 1 : end]


def version_order(committed: Sequence[Transaction]) -> dict[str, VersionOrder]:
    """The order of versions, by item."""
    orders: dict[str, VersionOrder] = defaultdict(VersionOrder)
    for transaction in committed:
        last = {op.item: op for op in transaction.ops if op.action == "w"}
        for item, op in last.items():
            orders[item].versions.append(op)
    for order in orders.values():
        order.versions.sort(key=lambda op: op.seq)
        order.places = {op.transaction: index for index, op in enumerate(order.versions)}
        any_before = loose_before = 0  # ends of the last write so far, and of the last one whose row was not held
        for op in order.versions:
            order.certain &= op.start > (loose_before if op.held else any_before)
            any_before = op.seq
            loose_before = loose_before if op.held else op.seq
    return orders


def dependencies(committed: Sequence[Transaction]) -> Iterator[Dependency]:
    """All edges of the graph."""
    members = set(committed)
    orders = version_order(committed)
    for item, order in orders.items():
        for one, other in pairwise(order.versions) if order.certain else ():
            if not (one.predicate or other.predicate):  # two rows in one set do not overwrite each other
                yield Dependency("ww", item, one.transaction, other.transaction, one, other)
    for transaction in committed:
        for read in transaction.ops:
            if read.action != "r" or read.version is None:
                continue
            write, writer = read.version.write, read.version.writer
            if writer is transaction or (writer is not None and writer not in members):
                continue  # its own; or a dirty read, which is told apart and has no place in the graph
            if write is not None:
                yield Dependency("wr", read.item, write.transaction, transaction, write, read, read.predicate)
            for op in orders[read.item].after(writer, predicate=read.predicate):
                if op.transaction is not transaction:
                    yield Dependency("rw", read.item, transaction, op.transaction, read, op, read.predicate)
