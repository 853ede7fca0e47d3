"""Reads and writes of what was not committed yet: G0 at its root, G1a, G1b, and the dirty read of Berenson (P1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from harness.evidence.proof import Finding, finding, shown
from harness.evidence.transactions import Op, Transaction
from harness.vocabulary import Phenomenon


def dirty_writes(made: Sequence[Transaction]) -> Iterator[Finding]:
    """G0 at its root: a write over another's write whose transaction had not ended (Berenson's P0)."""
    writes: dict[str, list[Op]] = defaultdict(list)
    for transaction in made:
        for op in transaction.ops:
            if op.action == "w" and not op.predicate:
                writes[op.item].append(op)
    for item, ops in writes.items():
        ops.sort(key=lambda op: op.seq)
        told = set()
        for index, first in enumerate(ops):
            for second in ops[index + 1 :] if first.held else ():
                if second.seq > first.until:
                    break
                one, other = first.transaction, second.transaction
                if one is other or second.start < first.seq or (one, other) in told:
                    continue
                told.add((one, other))
                yield finding(
                    Phenomenon.dirty_write,
                    [one, other],
                    [first, second],
                    [
                        f"Let {one.name} write {item} in {first.step}.",
                        f"Then {other.name} wrote {item} in {second.step} before {one.name} had ended.",
                        "However, a write must not go over another one that may still be rolled back. ∎",
                    ],
                )


def dirty_reads(made: Sequence[Transaction]) -> Iterator[Finding]:
    """G1a (of a transaction that aborted), G1b (of a value that was not its last), and P1 (before it committed)."""
    told = set()
    for transaction in made:
        for read in transaction.ops:
            write = read.version.write if read.action == "r" and read.version else None
            if write is None or write.transaction is transaction:
                continue
            pair = (transaction, write.transaction, read.item)
            if pair not in told and (found := _dirty_read(read, write)):
                told.add(pair)
                yield found


def _dirty_read(read: Op, write: Op) -> Finding | None:
    reader, writer = read.transaction, write.transaction
    last = writer.writes(read.item)[-1]
    let = f"Let {writer.name} write {read.item} = {shown(read.value)} in {write.step}."
    then = f"Then {reader.name} read {read.item} = {shown(read.value)} in {read.step}"
    if not writer.committed and not writer.unknown:
        how = "rolled back" if writer.finished else "never committed"
        proof = [
            let,
            f"{then}: that version, and no other.",
            f"However, {writer.name} {how}: {reader.name} saw a value that never was. ∎",
        ]
        return finding(Phenomenon.dirty_read, [writer, reader], [write, read], proof)
    if not writer.explicit:
        return None
    if write is not last:
        proof = [
            let,
            f"{then}.",
            f"However, {writer.name} wrote {read.item} again in {last.step}: the value was never final. ∎",
        ]
        return finding(Phenomenon.intermediate_read, [writer, reader], [write, read, last], proof)
    if read.seq < write.until:
        proof = [
            let,
            f"{then}.",
            f"However, {writer.name} had not committed then, and could have rolled back. ∎",
        ]
        return finding(Phenomenon.dirty_read, [writer, reader], [write, read], proof, "P1")
    return None
