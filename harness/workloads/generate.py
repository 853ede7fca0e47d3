"""The transactions of a workload, drawn from a seed: pure, so that the same seed gives the same ones anywhere.

As Jepsen's generators do: a few keys are in use at a time, each is written so often and then another one takes its place;
writes are unique for their key, so a value that is read names the one transaction that wrote it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from harness.evidence.checker.model import MicroOp, Workload
from harness.workloads.model import Declared

BALANCE = 100
"""What each account has at the beginning."""

_MOST_MOVED = 20  # of one transfer
_MOST_ADDED = 5  # by one increment
_READ_AT_ONCE = 50  # keys of one final read


@dataclass(frozen=True, slots=True)
class Program:
    """What a transaction is to do. Reads have no value yet. ``amount``: a transfer moves so much; ``tag`` is its mark."""

    ops: tuple[MicroOp, ...]
    amount: int = 0
    tag: int = 0


@dataclass(frozen=True, slots=True)
class Programs:
    """All transactions, in the order in which sessions take them, and the keys that must be there before."""

    transactions: tuple[Program, ...]
    keys: tuple[int, ...]

    @property
    def final(self) -> tuple[Program, ...]:
        """Reads of everything, for when all others have ended: what was written last is seen, too."""
        return tuple(
            Program(tuple(MicroOp("r", key) for key in self.keys[start : start + _READ_AT_ONCE]))
            for start in range(0, len(self.keys), _READ_AT_ONCE)
        )


def generate(declared: Declared) -> Programs:
    """The transactions of ``declared``."""
    chance = random.Random(f"{declared.kind.value}/{declared.seed}")
    if declared.kind is Workload.bank:
        return _bank(declared, chance)
    keys = _Keys(declared.keys, declared.writes_per_key)
    draw: dict[Workload, Callable[[], MicroOp]] = {
        Workload.list_append: lambda: keys.written("append", chance),
        Workload.rw_register: lambda: keys.written("w", chance),
        Workload.counter: lambda: MicroOp("inc", keys.any(chance), (chance.randint(1, _MOST_ADDED), None)),
    }
    write = draw[declared.kind]
    made = []
    for _ in range(declared.transactions):
        ops = [
            MicroOp("r", keys.any(chance)) if chance.random() < declared.reads else write()
            for _ in range(chance.randint(*declared.ops))
        ]
        made.append(Program(tuple(ops)))
    return Programs(tuple(made), tuple(range(keys.made)))


class _Keys:
    """The keys in use."""

    def __init__(self, count: int, most: int) -> None:
        self._most = most
        self._used = list(range(count))
        self._writes = [0] * count
        self.made = count

    def any(self, chance: random.Random) -> int:
        return chance.choice(self._used)

    def written(self, f: str, chance: random.Random) -> MicroOp:
        place = chance.randrange(len(self._used))
        self._writes[place] += 1
        op = MicroOp(f, self._used[place], self._writes[place])
        if self._writes[place] == self._most:
            self._used[place], self._writes[place] = self.made, 0
            self.made += 1
        return op


def _bank(declared: Declared, chance: random.Random) -> Programs:
    accounts = tuple(range(declared.keys))
    made = []
    for number in range(1, declared.transactions + 1):
        if chance.random() < declared.reads:
            made.append(Program(tuple(MicroOp("r", key) for key in chance.sample(accounts, len(accounts)))))
            continue
        pair = chance.sample(accounts, 2)
        ops = (*(MicroOp("r", key) for key in pair), *(MicroOp("w", key) for key in pair))
        made.append(Program(ops, amount=chance.randint(1, _MOST_MOVED), tag=number))
    return Programs(tuple(made), accounts)
