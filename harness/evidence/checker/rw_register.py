"""Read-write registers: every write of a register leaves a value that no other one does."""

from __future__ import annotations

from collections.abc import Iterable

from harness.evidence.checker.model import Observed, Status, Transaction
from harness.evidence.checker.registers import READ, WRITE, Registers, Touch


def infer(observed: Observed, examples: int) -> RwRegister:
    """Infer the dependencies of registers. Unhashable values raise TypeError."""
    return RwRegister(observed, examples)


class RwRegister(Registers):
    """What registers give away. A read of None by a transaction of unknown end is one whose result is not known."""

    def touches(self, transaction: Transaction) -> Iterable[Touch]:
        """What a transaction did."""
        sure = transaction.status is Status.ok
        found: list[Touch] = []
        numbers, registers = self.numbers, self.registers
        for op in transaction.ops:
            number = numbers.get(op.key)
            if number is None:
                number = self.number(op.key)
            value = op.value
            version = None if value == registers[number].initial else value
            if op.f == "w":
                found.append((number, WRITE, version))
            elif sure or value is not None:
                found.append((number, READ, version))
        return found
