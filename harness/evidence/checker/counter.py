"""Counters: an increment returns the new value, so it has read the one before and written the next.

Where all increments are positive, versions are in the order of their numbers. Two increments that left one value are a lost
update. An increment whose result nobody saw may have come anywhere: then only what certainly committed tells whose a value
is, and nobody does once an update was lost. A counter that may fall comes back to its values, so they are no versions: its
reads are held against their own transactions and what it can have been, and nothing else is inferred.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping
from itertools import islice
from typing import Any, Final

from harness.evidence.checker.inference import Lost, shown
from harness.evidence.checker.model import Observed, Status, Transaction
from harness.evidence.checker.registers import BLUR, INITIAL, NOBODY, READ, WRITE, Register, Registers, Touch

MOST_NAMED: Final = 5
"""So many counters, or transactions, are named in a line."""


def infer(observed: Observed, examples: int) -> Counter:
    """Infer the dependencies of counters."""
    return Counter(observed, examples)


class Counter(Registers):
    """What counters give away."""

    def __init__(self, observed: Observed, examples: int) -> None:
        self._unseen: dict[int, list[int]] = {}  # increments that may have counted, whose results nobody saw
        self._all: dict[int, list[int]] = {}  # all increments that may have counted
        self._failed: dict[int, list[tuple[int, int, bool]]] = {}  # who failed, how much it was, whether it was seen
        self._blind: set[int] = set()  # counters with increments of which nobody says at all what they left
        self._futures: list[tuple[int, int, Hashable]] = []  # who read what it left only after that
        self._falling: set[int] = set()  # counters that do not only grow
        self._same: dict[int, dict[Hashable, list[int]]] = {}  # who left a value that somebody else left, too
        self._ranges: dict[tuple[int, bool], tuple[int, int]] = {}  # what counters may have been
        self._orders: dict[int, list[int]] = {}  # the values of counters that only grow
        super().__init__(observed, examples)
        if self._unseen:
            count = sum(len(one) for one in self._unseen.values())
            self.notes.append(f"of {count} increments nobody saw the result: they may have come anywhere, or nowhere")
        if self._falling:
            names = ", ".join(shown(self.keys[number]) for number in sorted(self._falling)[:MOST_NAMED])
            more = f" and {len(self._falling) - MOST_NAMED} more" if len(self._falling) > MOST_NAMED else ""
            self.notes.append(f"{names}{more} did not only grow: whose value a read shows cannot be told")

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
        for position, transaction in enumerate(self.transactions):
            for op in transaction.ops:
                if op.f == "inc":
                    self._count(position, transaction.status, self.number(op.key), *op.value)
        super()._read()
        for position, number, version in self._futures:
            alone = self.registers[number].writers.get(version) == position
            if number in self._falling or number in self._blind or not alone:
                self._saw(position, number, version, INITIAL)
            else:
                super()._future(position, number, version)
        for number in self._falling:
            old = self.registers[number]
            self.registers[number] = Register(old.initial, readers=old.readers)
        for number in self._blind - self._falling:  # what one of unknown end says that it left, another may have left
            writers = self.registers[number].writers
            for version in [version for version, writer in writers.items() if writer >= 0 and not self._sure(writer)]:
                del writers[version]

    def _count(self, position: int, status: Status, number: int, by: int, new: int | None) -> None:
        if by <= 0:
            self._falling.add(number)
        if status is not Status.fail:
            self._all.setdefault(number, []).append(by)
            if new is None:
                self._blind.add(number)
            if new is None or status is Status.info:
                self._unseen.setdefault(number, []).append(by)
        else:
            self._failed.setdefault(number, []).append((position, by, new is not None))

    def _saw(self, position: int, number: int, version: Hashable, written: Hashable) -> None:
        if number in self._falling:
            self.registers[number].readers.setdefault(version, []).append(position)
        else:
            super()._saw(position, number, version, written)

    def _future(self, position: int, number: int, version: Hashable) -> None:
        self._futures.append((position, number, version))  # whether somebody else left it, too, is known only later

    def repeated(self, number: int, version: Hashable, position: int) -> None:
        """Two increments that left one value: an update was lost, if both counted and values only grow."""
        if number in self._falling:
            return
        register = self.registers[number]
        other = register.writers[version]
        mine, theirs = self._sure(position), other >= 0 and self._sure(other)
        if other == position or not (mine or theirs):
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
        if self.lost and self.lost[-1].place == number:
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
        """Whether increments whose results nobody saw can have led to this value; if it falls, whether any can."""
        return (number in self._falling or number in self._unseen) and self._within(number, version)

    def _within(self, number: int, version: Hashable, *, failed: bool = False) -> bool:
        """Whether a value is in reach, perhaps with increments that failed."""
        if (number, failed) not in self._ranges:
            register = self.registers[number]
            steps = [*(self._all if number in self._falling else self._unseen).get(number, ())]
            if failed:
                steps += [by for _, by in self._suspects(number)]
            reached = [register.initial, *(one for one in register.writers if isinstance(one, int | float))]
            low, high = (sum(by for by in steps if (by < 0) == falling) for falling in (True, False))
            self._ranges[number, failed] = (min(reached) + low, max(reached) + high)
        low, high = self._ranges[number, failed]
        return isinstance(version, int | float) and low <= version <= high

    def _suspects(self, number: int) -> list[tuple[int, int]]:
        """Who failed, and by how much, if what it left can be anything."""
        return [(at, by) for at, by, seen in self._failed.get(number, ()) if not seen or number in self._falling]

    def _garbage(self, number: int, version: Hashable, readers: list[int]) -> None:
        """A value that nothing but increments that failed can have led to is an aborted read."""
        writers = tuple(dict.fromkeys(position for position, _ in self._suspects(number)))
        if not writers or not self._within(number, version, failed=True):
            super()._garbage(number, version, readers)
        elif self.singles.wanted("G1a"):
            name, key = self.transactions[readers[0]].name, shown(self.keys[number])
            names = ", ".join(self.transactions[position].name for position in writers[:MOST_NAMED])
            self.singles.keep(
                "G1a",
                (*writers, readers[0]),
                f"{name} read {key} = {self.said(number, version)}",
                f"without what increments that failed did ({names}) that was never there",
            )

    def _intermediate(self, number: int, version: Hashable, writer: int, reader: int) -> None:
        if number not in self._blind:
            super()._intermediate(number, version, writer, reader)

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
        if number in self._blind and len(self.lost) > known:
            register.writers, register.early = {}, {}
