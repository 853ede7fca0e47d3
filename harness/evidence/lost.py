"""P4, the lost update: a committed update overwritten by one that was computed from an older version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from harness.evidence.graph import VersionOrder, version_order
from harness.evidence.proof import Finding, finding, shown, whose, wrote
from harness.evidence.transactions import Op, Transaction
from harness.vocabulary import Phenomenon

Update = tuple[Op, Op]
"""A read, and the write of the same item that was computed from it."""


def lost_updates(committed: Sequence[Transaction]) -> tuple[list[Finding], list[frozenset[Transaction]]]:
    """One finding per item (the first), and all pairs of transactions between which an update was lost."""
    orders = version_order(committed)
    found: list[Finding] = []
    pairs: list[frozenset[Transaction]] = []
    for item, updates in _updates(committed).items():
        groups = _same_version(updates)
        pairs += [frozenset(pair) for group in groups for pair in combinations(_writers(group), 2)]
        if groups:
            found.append(_from_the_same(item, groups))
            continue
        for one in _overwritten(item, updates, orders[item]):
            found.append(one)
            pairs.append(frozenset(one.involved))
    return found, pairs


def _updates(committed: Sequence[Transaction]) -> dict[str, list[Update]]:
    """Of each item, the transactions that read it before they wrote it: with the last such read, which decides."""
    by_item: dict[str, list[Update]] = defaultdict(list)
    for transaction in committed:
        for item in dict.fromkeys(op.item for op in transaction.ops if op.action == "w" and not op.predicate):
            write = transaction.writes(item)[-1]
            read = None
            for op in transaction.ops[: transaction.ops.index(write)]:
                own = op.version is not None and op.version.writer is transaction
                if op.action == "r" and op.item == item and not own:
                    read = op
            if read is not None and read.version is not None:
                by_item[item].append((read, write))
    return by_item


def _same_version(updates: Sequence[Update]) -> list[list[Update]]:
    """Groups of updates from one version: all of each but the last are lost. The earliest group first."""
    groups: dict[Op | None, list[Update]] = defaultdict(list)
    for read, write in updates:
        assert read.version is not None
        groups[read.version.write].append((read, write))
    several = [sorted(group, key=lambda pair: pair[1].seq) for group in groups.values() if len(group) > 1]
    return sorted(several, key=lambda group: group[0][1].seq)


def _writers(group: Sequence[Update]) -> list[Transaction]:
    return [write.transaction for _, write in group]


def _from_the_same(item: str, groups: Sequence[Sequence[Update]]) -> Finding:
    (read_1, write_1), (read_2, write_2) = groups[0][:2]
    one, other = write_1.transaction, write_2.transaction
    lost = sum(len(group) - 1 for group in groups)
    more = f" {lost} updates of {item} are lost in this way." if lost > 1 else ""
    which = (
        f"the second of them would have read what the first wrote: the update of {one.name} is lost."
        if write_1.surely_before(write_2)
        else "one of them would have read what the other wrote: one of the two updates is lost."
    )
    return finding(
        Phenomenon.lost_update,
        [one, other],
        [read_1, read_2, write_1, write_2],
        [
            f"Let {one.name} read {item} = {shown(read_1.value)} in {read_1.step}: {whose(read_1.version)}.",
            f"Then {other.name} read the same version in {read_2.step}.",
            f"{one.name} wrote {item}{wrote(write_1)} in {write_1.step} and committed; "
            f"{other.name} wrote {item}{wrote(write_2)} in {write_2.step} and committed.",
            f"However, in any serial order {which} ∎{more}",
        ],
    )


def _overwritten(item: str, updates: Sequence[Update], order: VersionOrder) -> Iterator[Finding]:
    """T1 read an older version, T2 wrote (without reading) and committed, T1 wrote over it."""
    if not order.certain:
        return
    for read, write in updates:
        assert read.version is not None
        base = order.position(read.version.writer)
        mine = order.position(write.transaction)
        if base is None or mine is None or mine - base < 2:
            continue
        between = order.versions[base + 1]
        yield finding(
            Phenomenon.lost_update,
            [write.transaction, between.transaction],
            [read, between, write],
            [
                f"Let {write.transaction.name} read {item} = {shown(read.value)} in {read.step}: {whose(read.version)}.",
                f"Then {between.transaction.name} wrote {item}{wrote(between)} in {between.step} and committed.",
                f"{write.transaction.name} wrote {item}{wrote(write)} in {write.step}, from what it had read before.",
                f"However, it never saw the version of {between.transaction.name}, whose update is lost. ∎",
            ],
        )
