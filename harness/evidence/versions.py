"""Which version each read saw: the only write, or the initial value, that its value can have come from.

A value is the only trace that a version leaves, so all writes of an item must be declared. A read proves nothing if two
writes of different transactions left its value, or if a write whose value nobody told us could have left it. If an item
has a single such write, a value that no other one can have left must be its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.transactions import Op, Transaction, Version
from harness.evidence.values import key
from harness.history import History


@dataclass(slots=True)
class _Writes:
    """All writes of an item: those of each value, and those of which the value is not known."""

    of_value: dict[Hashable, list[Op]] = field(default_factory=lambda: defaultdict(list))
    unknown: list[Op] = field(default_factory=list)


def attribute(made: Sequence[Transaction], history: History) -> None:
    """Set the version of every read whose version can be told."""
    ops = sorted((op for one in made for op in one.ops), key=lambda op: op.seq)
    writes: dict[str, _Writes] = defaultdict(_Writes)
    for op in ops:
        if op.action == "w" and op.known:
            writes[op.item].of_value[key(op.value)].append(op)
        elif op.action == "w":
            writes[op.item].unknown.append(op)
    _infer(writes, ops, history)
    for transaction in made:
        own: dict[str, Op] = {}
        for op in transaction.ops:
            if op.action == "w":
                own[op.item] = op
            elif op.known:
                op.version = _seen_by(op, writes[op.item], own.get(op.item), history.initial)


def _infer(writes: dict[str, _Writes], ops: Iterable[Op], history: History) -> None:
    """Give the single unknown write of an item the value that nothing else can have left, if one was seen."""
    seen: dict[str, list[Any]] = defaultdict(list)
    for op in ops:
        if op.action == "r" and op.known:
            seen[op.item].append(op.value)
    for item, of_item in writes.items():
        if len(of_item.unknown) != 1 or item not in history.initial:
            continue
        write = of_item.unknown[0]
        values = [*seen[item], *([history.final[item]] if item in history.final else [])]
        told = {key(history.initial[item]), *of_item.of_value}
        new = {key(value): value for value in values if key(value) not in told}
        if len(new) == 1:
            (write.value,) = new.values()
            of_item.of_value[key(write.value)].append(write)
            of_item.unknown.clear()


def _seen_by(read: Op, writes: _Writes, own: Op | None, initial: dict[str, Any]) -> Version | None:
    value = key(read.value)
    if own is not None and (own not in writes.unknown and key(own.value) == value):
        return Version(read.item, read.value, own)
    if own is not None and own.held and own in writes.unknown:
        return Version(read.item, read.value, own)  # nobody else can have written it since
    by_writer = {id(write.transaction): write for write in writes.of_value.get(value, ()) if write.start < read.seq}
    candidates = [Version(read.item, read.value, write) for write in by_writer.values()]
    if read.item in initial and key(initial[read.item]) == value:
        candidates.append(Version(read.item, read.value, None))
    unknown = {id(write.transaction): write for write in writes.unknown if write.start < read.seq}
    candidates += [Version(read.item, read.value, write) for write in unknown.values()]
    return candidates[0] if len(candidates) == 1 else None
