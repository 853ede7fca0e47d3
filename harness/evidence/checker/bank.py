"""Bank accounts: registers of a balance and the tag of who wrote it, whose sum never changes.

A balance without a tag (a plain number, as Jepsen's bank test has it) tells nothing of versions; the sum is checked all the
same.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from harness.evidence.checker.inference import shown
from harness.evidence.checker.model import Key, Observed, Status, Transaction
from harness.evidence.checker.registers import INITIAL, READ, WRITE, Register, Registers, Touch


def infer(observed: Observed, examples: int) -> Bank:
    """Infer the dependencies of accounts, and look at their sums."""
    return Bank(observed, examples)


def balance(value: Any) -> int | None:
    """The balance of a value, with or without a tag; None if there is none.

    >>> balance((10, "a")), balance(10), balance(None)
    (10, 10, None)
    """
    found = value[0] if isinstance(value, (tuple, list)) else value
    return found if isinstance(found, int) else None


class Bank(Registers):
    """What accounts give away."""

    def __init__(self, observed: Observed, examples: int) -> None:
        self.plain = 0
        super().__init__(observed, examples)
        self._totals()
        if self.plain:
            self.notes.append("balances without tags: whose a read shows cannot be told, only their sum was checked")

    def touches(self, transaction: Transaction) -> Iterable[Touch]:
        """What a transaction did."""
        found: list[Touch] = []
        for op in transaction.ops:
            number = self.number(op.key)
            value = op.value
            if isinstance(value, list):
                value = tuple(value)
            if not isinstance(value, tuple):
                self.plain += value is not None
            elif op.f == "w":
                found.append((number, WRITE, value))
            else:
                found.append((number, READ, self.version(self.registers[number], value)))
        return found

    def version(self, register: Register, value: Any) -> Hashable:
        """A value without a tag, or the initial one, is the initial version."""
        initial = register.initial
        if value[1] is None or value == initial or (isinstance(initial, list) and value == tuple(initial)):
            return INITIAL
        return tuple(value)

    def reads(self, number: int, register: Register) -> None:
        """The first version read that nobody wrote is the initial one, if nobody said which that is."""
        if register.initial is None:
            unwritten = (
                version
                for version in register.readers
                if version is not INITIAL and version not in register.writers and version not in register.aborted
            )
            found = next(unwritten, INITIAL)
            if found is not INITIAL:
                register.initial = found
                register.readers.setdefault(INITIAL, []).extend(register.readers.pop(found))
                register.updates.setdefault(INITIAL, []).extend(register.updates.pop(found, ()))
                register.follows.update({new: INITIAL for new, old in register.follows.items() if old == found})
        super().reads(number, register)

    def _totals(self) -> None:
        """Every transaction that reads all accounts must see what they have together."""
        observed = self.observed
        accounts = set(observed.initial) or set(self.keys)
        total = observed.total
        if total is None:
            balances = [balance(value) for value in observed.initial.values()]
            if not balances or any(one is None for one in balances):
                self.notes.append("what all accounts have together is not known: sums were not checked")
                return
            total = sum(one for one in balances if one is not None)
        negative: list[tuple[int, Key, int]] = []
        for position, transaction in enumerate(observed.transactions):
            if transaction.status is not Status.ok:
                continue
            read: dict[Key, int | None] = {}
            for op in transaction.ops:
                if op.f != "r":
                    read.setdefault(op.key, None)  # what it reads of this one later is not what it found
                elif op.key not in read:
                    read[op.key] = seen = balance(op.value)
                    if seen is not None and seen < 0:
                        negative.append((position, op.key, seen))
            known = [one for key, one in read.items() if one is not None and key in accounts]
            if len(known) == len(accounts) and sum(known) != total and self.singles.wanted("wrong-total"):
                parts = " + ".join(str(one) for one in known)
                self.singles.keep(
                    "wrong-total",
                    (position,),
                    f"{transaction.name} read all accounts, {parts} = {sum(known)}",
                    f"together they have {total}, whatever is transferred",
                )
        if negative:
            position, key, seen = negative[0]
            name = observed.transactions[position].name
            others = f", and {len(negative) - 1} other negative balances were read" if len(negative) > 1 else ""
            self.notes.append(f"{name} read a negative balance of {shown(key)}: {seen}{others}")
