"""For every read, whose version it saw, in words: that nothing was found is worth more if one can see why."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.proof import INITIAL, shown
from harness.evidence.transactions import Op, Transaction

MOST_TRANSACTIONS = 64
"""Of longer histories nothing is explained: nobody would read it."""


def explained(made: Sequence[Transaction]) -> list[str]:
    """A line for each read, in order: ``read_2 of T2: budget = 1000, the initial version``."""
    if len(made) > MOST_TRANSACTIONS:
        return []
    ops = sorted((op for transaction in made for op in transaction.ops), key=lambda op: op.event)
    writes = [op for op in ops if op.action == "w"]
    return [
        f"{op.step} of {op.transaction.name}: {op.item}{f' = {shown(op.value)}' if op.known else ''}, {_whose(op, writes)}"
        for op in ops
        if op.action == "r"
    ]


def _whose(read: Op, writes: Sequence[Op]) -> str:
    if not read.known:
        return "a value that is hidden"
    if read.version is None:
        return "a version that cannot be told apart from another"
    others = _uncommitted_at(read, writes)
    beside = f" ({others} not committed then, and was not seen)" if others else ""
    write = read.version.write
    if write is None:
        return INITIAL + beside
    writer = write.transaction
    if writer is read.transaction:
        return "its own write"
    said = f"written by {writer.name} in {write.step}"
    if not writer.committed and not writer.unknown:
        return f"{said}, which never committed"
    return said + beside


def _uncommitted_at(read: Op, writes: Sequence[Op]) -> str:
    """Who had written the item and surely not ended yet when it was read."""
    seen = read.version.write if read.version else None
    open_then = {
        write.transaction.name: write.step
        for write in writes
        if write.item == read.item
        and write is not seen
        and write.transaction is not read.transaction
        and write.transaction.explicit
        and write.seq < read.start
        and read.seq < write.until
    }
    return " and ".join(f"{name}'s {step} was" for name, step in open_then.items())
