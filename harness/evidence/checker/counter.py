"""Counters: an increment returns the new value, so it has read the one before and written the next.

Where all increments are positive, versions are in the order of their numbers. Two increments that left one value are a lost
update. An increment whose result nobody saw may have come anywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping
from itertools import islice
from typing import Any

from harness.evidence.checker.inference import Lost
from harness.evidence.checker.model import Observed, Status, Transaction
from harness.evidence.checker.registers import BLUR, NOBODY, READ, WRITE, Register, Registers, Touch


def infer(observed: Observed, examples: int) -> Counter:
    """Infer the dependencies of counters."""
    return Counter(observed, examples)


class Counter(Registers):
    """What counters give away."""

    def __init__(self, observed: Observed, examples: int) -> None:
        self._unseen: dict[int, list[int]] = {}  # increments that may have counted, whose results nobody saw
        self._falling: set[int] = set()  # counters that do not only grow
        self._same: dict[int, dict[Hashable, list[int]]] = {}  # who left a value that somebody else left, too
        self._ranges: dict[int, tuple[int, int]] = {}  # of counters with unseen increments, what they may have been
        self._orders: dict[int, list[int]] = {}  # the values of counters that only grow
        super().__init__(observed, examples)
        if self._unseen:
            count = sum(len(one) for one in self._unseen.values())
            self.notes.append(f"of {count} increments nobody saw the result: they may have come anywhere, or nowhere")

    def number(self, key: Any) -> int:
        """The number of a counter; it begins at 0 unless the history says otherwise."""
        number = super().number(key)
        if self.registers[number].initial is None:
            self.registers[number].initial = 0
        return number

    def touches(self, transaction: Transaction) -> Iterable[Touch]:
        """What a transaction did: an increment reads and writes."""
        found: list[Touch] = []
        for op in transaction.ops:
            number = self.number(op.key)
            initial = self.registers[number].initial
            if op.f == "r":
                if op.value is not None:
                    found.append((number, READ, None if op.value == initial else op.value))
                continue
            by, new = op.value
            if new is None:
                found.append((number, BLUR, by))
            else:
                found.append((number, READ, None if new - by == initial else new - by))
                found.append((number, WRITE, None if new == initial else new))
        return found

    def _read(self) -> None:
        for transaction in self.transactions:
            for op in transaction.ops:
                if op.f == "inc" and transaction.status is not Status.fail:
                    by, new = op.value
                    number = self.number(op.key)
                    if by <= 0:
                        self._falling.add(number)
                    if new is None or transaction.status is Status.info:
                        self._unseen.setdefault(number, []).append(by)
        super()._read()

    def repeated(self, number: int, version: Hashable, position: int) -> None:
        """Two increments that left one value: an update was lost, if both counted and values only grow."""
        register = self.registers[number]
        other = register.writers[version]
        mine, theirs = self._sure(position), other >= 0 and self._sure(other)
        if number in self._falling or other == position or not (mine or theirs):
            super().repeated(number, version, position)
        elif mine and not theirs and other >= 0:
            register.writers[version] = position  # the other one may not have counted at all
        elif mine and (theirs or other == NOBODY):
            same = self._same.setdefault(number, {})
            same.setdefault(version, [other] if other >= 0 else []).append(position)
            register.writers[version] = NOBODY

    def _sure(self, position: int) -> bool:
        return self.transactions[position].status is Status.ok

    def total(self, number: int, register: Register) -> list[Any] | None:
        """The numbers in their order, where none was lost: then a counter may have fallen."""
        if number in self._falling or (self.lost and self.lost[-1].place == number):
            return None
        versions = (version for version in register.writers if isinstance(version, int))
        self._orders[number] = sorted(version for version in versions if self.stayed(register, version))
        return list(self._orders[number])

    def following(self, number: int, version: Hashable, later: Mapping[Hashable, list[int]]) -> list[int]:
        """Whose value comes next: of one that nobody is known to have left, the next greater one."""
        order = self._orders.get(number)
        if version in later or not order or not isinstance(version, int):
            return later.get(version, [])
        writers = self.registers[number].writers
        mine = writers.get(version, NOBODY)  # of a value that its own transaction left behind
        places = range(bisect_right(order, version), len(order))
        return list(islice((writers[order[place]] for place in places if writers[order[place]] != mine), 1))

    def reachable(self, number: int, version: Hashable) -> bool:
        """Whether increments whose results nobody saw can have led to this value."""
        unseen = self._unseen.get(number)
        if not unseen or not isinstance(version, int):
            return False
        if number not in self._ranges:
            register = self.registers[number]
            reached = [register.initial, *(one for one in register.writers if isinstance(one, int))]
            low, high = (sum(by for by in unseen if (by < 0) == falling) for falling in (True, False))
            self._ranges[number] = (min(reached) + low, max(reached) + high)
        low, high = self._ranges[number]
        return low <= version <= high

    def lose(self, number: int, register: Register) -> None:
        """Lost updates: from one value, or to one value."""
        known = len(self.lost)
        super().lose(number, register)
        groups: dict[int, set[int]] = {}
        for place, one in enumerate(self.lost[known:]):
            for position in one.transactions:
                groups.setdefault(position, set()).add(place)
        for version, twice in self._same.get(number, {}).items():
            positions = list(dict.fromkeys(twice))
            if len(positions) > 1 and not set.intersection(*(groups.get(position, set()) for position in positions)):
                self.lost.append(Lost(number, self.said(number, version), tuple(positions)))
