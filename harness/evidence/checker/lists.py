"""A list, and the words for what lies between two transactions on it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.checker.graph import WR, WW
from harness.evidence.checker.inference import Reason, shown
from harness.evidence.checker.model import Key, Transaction

Value = tuple[Hashable, ...]

NOBODY = -1
"""Who wrote an element that nobody appended, or that two transactions did."""


@dataclass(slots=True)
class List:
    """One list: who appended what, and who saw what."""

    writers: dict[Hashable, int] = field(default_factory=dict)  # positions of transactions, by element
    readers: list[int] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)  # what the readers saw
    updates: list[tuple[int, Value]] = field(
        default_factory=list
    )  # who read it and then appended, and what it had read
    early: set[Hashable] = field(default_factory=set)  # appended by one that then appended more
    order: Value = ()  # the version order, as far as it is certain
    whole: bool = True  # it is certain to the end
    unseen: list[int] = field(default_factory=list)  # who appended what no read shows, after all the others

    def saw(self, element: Hashable) -> list[tuple[int, Value]]:
        """Who saw an element, and as what; those who saw least first."""
        pairs = zip(self.readers, self.values, strict=True)
        return sorted(((reader, value) for reader, value in pairs if element in value), key=lambda pair: len(pair[1]))

    def appended(self, transaction: Transaction, key: Key, writer: int) -> list[Hashable]:
        """What a transaction, the one at the position ``writer``, appended and nobody else did, in its order."""
        values = [op.value for op in transaction.ops if op.f == "append" and op.key == key]
        return [value for value in values if self.writers[value] == writer]


def misplaced(value: Value, own: Mapping[int, Sequence[Hashable]], one: List) -> Iterator[tuple[int, int, Hashable]]:
    """Where elements stand without what their transaction appended before them: the place, who it is, what should be there.

    ``own``: what each transaction that is looked at appended, in its order.
    """
    come: dict[int, set[Hashable]] = {writer: set() for writer in own}
    for place, element in enumerate(value):
        writer = one.writers.get(element, NOBODY)
        if writer in own and element not in come[writer]:  # one that is there twice is told as such
            missing = own[writer][len(come[writer])]
            come[writer].add(element)
            if missing != element:
                yield place, writer, missing


def first_repeated(value: Value) -> int | None:
    """Where an element stands that has been there before."""
    if len(set(value)) == len(value):
        return None
    seen: set[Hashable] = set()
    for place, element in enumerate(value):
        if element in seen:
            return place
        seen.add(element)
    return None


def distinct(values: list[Value]) -> list[Value]:
    """The longest value, and those that are no prefix of it."""
    longest = max(values, key=len, default=())
    return [longest, *(value for value in values if longest[: len(value)] != value)]


def reason(one: List, key: Key, kind: int, source: int, target: int, ends: tuple[Transaction, Transaction]) -> Reason:
    """The reason of an edge on a list, in words. ``source`` and ``target`` are the positions of its ends."""
    first, second = ends
    name, other, where = first.name, second.name, shown(key)
    appended = [op.value for op in second.ops if op.f == "append" and op.key == key]
    if kind == WR:
        values = (op.value for op in second.ops if op.f == "r" and op.key == key and op.value)
        seen = shown(next(value[-1] for value in values if one.writers.get(value[-1]) == source))
        return Reason(seen, seen, f"{other} observed {name}'s append of {seen} to {where}")
    if kind == WW:
        own = [op.value for op in first.ops if op.f == "append" and op.key == key]
        before, after = (shown(element) for element in _step(own, appended, one))
        return Reason(before, after, f"{other} appended {after} after {name} appended {before} to {where}")
    reads = [tuple(op.value) for op in first.ops if op.f == "r" and op.key == key and op.value is not None]
    value, element = _missed(reads, appended, one, source)
    after = shown(element)
    if not value:
        words = f"{name} observed the initial (empty) state of {where}, which {other} changed by appending {after}"
        return Reason(shown(()), after, words)
    return Reason(shown(value[-1]), after, f"{name} did not observe {other}'s append of {after} to {where}")


def _step(own: list[Any], appended: list[Any], one: List) -> tuple[Any, Any]:
    """The last of the source's elements before the target's first one after it."""
    where = {element: position for position, element in enumerate(one.order)}
    end = len(where)
    best: tuple[int, Any, Any] | None = None
    for before in own:
        for after in appended:
            distance = where.get(after, end) - where.get(before, end)
            if distance > 0 and (best is None or distance < best[0]):
                best = (distance, before, after)
    return best[1:] if best else (own[-1], appended[0])


def _missed(reads: list[Value], appended: list[Any], one: List, reader: int) -> tuple[Value, Any]:
    """The read and the target's first append that it does not show."""
    where = {element: position for position, element in enumerate(one.order)}
    end = len(where)
    best: tuple[int, Value, Any] | None = None
    for value in reads:
        if value and one.writers.get(value[-1]) == reader:
            continue  # it shows what the reader itself appended
        for after in appended:
            distance = where.get(after, end) - len(value)
            if distance >= 0 and after not in value and (best is None or distance < best[0]):
                best = (distance, value, after)
    return best[1:] if best else (reads[0], appended[0])
