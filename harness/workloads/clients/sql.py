"""PostgreSQL and SQL Server: one table of a workload's objects, one statement for each operation, values bound.

A list is a text to which an UPDATE appends; nothing is read and written back by the client, except where that is the
workload: a transfer of the bank.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from harness.answers import ResultSet
from harness.engines.base import Engine, Outcome, Statement
from harness.errors import EngineError
from harness.evidence.checker.model import Key, MicroOp, Workload
from harness.workloads.clients.base import Dialogue, ask, moved, piecemeal, whole
from harness.workloads.generate import BALANCE, Program
from harness.workloads.model import TRANSACTIONS

TABLES = {
    Workload.list_append: ("lists", "elements {text} NOT NULL"),
    Workload.rw_register: ("registers", "value int"),
    Workload.bank: ("accounts", "balance int NOT NULL, tag int NOT NULL"),
    Workload.counter: ("counters", "value int NOT NULL"),
}
_FIRST: dict[Workload, tuple[Any, ...]] = {
    Workload.list_append: ("",),
    Workload.rw_register: (None,),
    Workload.bank: (BALANCE, 0),
    Workload.counter: (0,),
}
_AT_ONCE = 500  # rows of one INSERT: SQL Server takes 2100 parameters

_QUICK_DEADLOCKS = "SET deadlock_timeout = '5ms'"
"""Transactions at random run into deadlocks all the time; a second's wait for each would be most of the run."""


class SqlClient:
    """A workload in SQL, in the dialect of ``engine``."""

    def __init__(self, kind: Workload, units: str, engine: Engine) -> None:
        self._kind = kind
        self._unit = whole if units == TRANSACTIONS else piecemeal
        self._engine = engine
        self._postgresql = engine.name == "postgresql"
        self._table, columns = TABLES[kind]
        self._columns = columns.replace("{text}", "text" if self._postgresql else "varchar(max)")
        self._names = [column.split()[0] for column in columns.split(", ")]
        self._do = {"r": self._read, "append": self._append, "w": self._write, "inc": self._increment}
        self._read_text = f"SELECT {', '.join(self._names)} FROM {self._table} WHERE id = {self._at(1)}"
        self._write_text = self._updating(", ".join(f"{name} = {self._at(i)}" for i, name in enumerate(self._names, 1)))
        self._append_text = self._updating(f"elements = elements {'||' if self._postgresql else '+'} {self._at(1)}")
        self._increment_text = self._updating(f"value = value + {self._at(1)}", given_back="value")

    def _at(self, number: int) -> str:
        return self._engine.placeholder(number)

    def _updating(self, change: str, given_back: str = "") -> str:
        where = f"WHERE id = {self._at(change.count(self._at(1)[0]) + 1)}"
        if not given_back:
            return f"UPDATE {self._table} SET {change} {where}"
        if self._postgresql:
            return f"UPDATE {self._table} SET {change} {where} RETURNING {given_back}"
        return f"UPDATE {self._table} SET {change} OUTPUT inserted.{given_back} {where}"

    def settings(self) -> Sequence[Statement]:
        """Deadlocks are to be noticed at once."""
        return [Statement(_QUICK_DEADLOCKS)] if self._postgresql else []

    def setup(self, keys: Sequence[Key]) -> Sequence[Statement]:
        """A table with a row for each key."""
        made = [Statement(f"CREATE TABLE {self._table} (id int NOT NULL PRIMARY KEY, {self._columns})")]
        width = len(self._names) + 1
        for start in range(0, len(keys), _AT_ONCE):
            rows = [(key, *_FIRST[self._kind]) for key in keys[start : start + _AT_ONCE]]
            places = ", ".join(
                f"({', '.join(self._at(width * row + column) for column in range(1, width + 1))})"
                for row in range(len(rows))
            )
            values = tuple(value for row in rows for value in row)
            made.append(Statement(f"INSERT INTO {self._table} (id, {', '.join(self._names)}) VALUES {places}", values))
        return made

    def transaction(self, program: Program) -> Dialogue:
        """A transaction of the workload."""
        done: list[MicroOp] = []
        ops = self._transfer(program, done) if program.amount else self._all(program, done)
        return self._unit(ops, done)

    def _all(self, program: Program, done: list[MicroOp]) -> Generator[Statement, Outcome, None]:
        for op in program.ops:
            done.append(op)
            done[-1] = yield from self._do[op.f](op)

    def _transfer(self, program: Program, done: list[MicroOp]) -> Generator[Statement, Outcome, None]:
        """Read both accounts, then write both."""
        balances = []
        for op in program.ops[:2]:
            done.append(op)
            done[-1] = seen = yield from self._read(op)
            balances.append(seen.value[0])
        for op in moved(program, balances):
            done.append(op)
            yield from self._write(op)

    def _read(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        outcome = yield from ask(Statement(self._read_text, (op.key,)))
        return MicroOp("r", op.key, self._value(_row(outcome, op)))

    def _value(self, row: Sequence[Any]) -> Any:
        if self._kind is Workload.list_append:
            return tuple(map(int, row[0].split()))
        return tuple(row) if self._kind is Workload.bank else row[0]

    def _append(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        outcome = yield from ask(Statement(self._append_text, (f"{op.value} ", op.key)))
        return _changed(outcome, op)

    def _write(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        values = op.value if self._kind is Workload.bank else (op.value,)
        outcome = yield from ask(Statement(self._write_text, (*values, op.key)))
        return _changed(outcome, op)

    def _increment(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        by, _ = op.value
        outcome = yield from ask(Statement(self._increment_text, (by, op.key)))
        return MicroOp("inc", op.key, (by, _row(outcome, op)[0]))


def _row(outcome: Outcome, op: MicroOp) -> Sequence[Any]:
    rows = _last(outcome).rows
    if len(rows) != 1:
        raise EngineError(f"the workload's object {op.key} should be one row, and is {len(rows)}")
    return rows[0]


def _changed(outcome: Outcome, op: MicroOp) -> MicroOp:
    if (affected := _last(outcome).affected) not in (1, None):
        raise EngineError(f"a write to the workload's object {op.key} should change one row, and changed {affected}")
    return op


def _last(outcome: Outcome) -> ResultSet:
    return outcome.results[-1] if outcome.results else ResultSet()
