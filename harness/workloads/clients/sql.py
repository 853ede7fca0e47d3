"""PostgreSQL and SQL Server: one table of a workload's objects, one statement for each operation, values bound.

A list is a text to which an UPDATE appends; nothing is read and written back by the client, except where that is the
workload: a transfer of the bank.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.answers import ResultSet
from harness.engines.base import Engine, Outcome, Statement
from harness.errors import EngineError
from harness.evidence.checker.model import Key, MicroOp, Workload
from harness.workloads.clients.base import Dialogue, ask, piecemeal, played, whole
from harness.workloads.generate import BALANCE, Program
from harness.workloads.model import TRANSACTIONS


@dataclass(frozen=True, slots=True)
class Table:
    """A workload's table and statements: ``{1}``, ``{2}`` are parameters, other words in braces the dialect's."""

    create: str
    insert: str
    read: str
    change: str
    first: tuple[Any, ...]  # what a row holds beside its id


TABLES = {
    Workload.list_append: Table(
        create="CREATE TABLE lists (id int NOT NULL PRIMARY KEY, elements {text} NOT NULL)",
        insert="INSERT INTO lists (id, elements) VALUES {rows}",
        read="SELECT elements FROM lists WHERE id = {1}",
        change="UPDATE lists SET elements = elements {concat} {1} WHERE id = {2}",
        first=("",),
    ),
    Workload.rw_register: Table(
        create="CREATE TABLE registers (id int NOT NULL PRIMARY KEY, value int)",
        insert="INSERT INTO registers (id, value) VALUES {rows}",
        read="SELECT value FROM registers WHERE id = {1}",
        change="UPDATE registers SET value = {1} WHERE id = {2}",
        first=(None,),
    ),
    Workload.bank: Table(
        create="CREATE TABLE accounts (id int NOT NULL PRIMARY KEY, balance int NOT NULL, tag int NOT NULL)",
        insert="INSERT INTO accounts (id, balance, tag) VALUES {rows}",
        read="SELECT balance, tag FROM accounts WHERE id = {1}",
        change="UPDATE accounts SET balance = {1}, tag = {2} WHERE id = {3}",
        first=(BALANCE, 0),
    ),
    Workload.counter: Table(
        create="CREATE TABLE counters (id int NOT NULL PRIMARY KEY, value int NOT NULL)",
        insert="INSERT INTO counters (id, value) VALUES {rows}",
        read="SELECT value FROM counters WHERE id = {1}",
        change="UPDATE counters SET value = value + {1} {output} WHERE id = {2} {returning}",
        first=(0,),
    ),
}

_DIALECTS = {
    "postgresql": {"text": "text", "concat": "||", "output": "", "returning": "RETURNING value"},
    "sqlserver": {"text": "varchar(max)", "concat": "+", "output": "OUTPUT inserted.value", "returning": ""},
}
_AT_ONCE = 500  # rows of one INSERT: SQL Server takes 2100 parameters

_QUICK_DEADLOCKS = "SET deadlock_timeout = '5ms'"
"""Transactions at random run into deadlocks all the time; a second's wait for each would be most of the run."""


def in_dialect(text: str, engine: Engine) -> str:
    """A statement of :data:`TABLES` as ``engine`` takes it."""
    for word, replacement in _DIALECTS[engine.name].items():
        text = text.replace(f"{{{word}}}", replacement)
    for number in (1, 2, 3):
        text = text.replace(f"{{{number}}}", engine.placeholder(number))
    return " ".join(text.split())


class SqlClient:
    """A workload in SQL, in the dialect of ``engine``."""

    def __init__(self, kind: Workload, units: str, engine: Engine) -> None:
        self._kind = kind
        self._unit = whole if units == TRANSACTIONS else piecemeal
        self._engine = engine
        self._table = TABLES[kind]
        self._do = {"r": self._read, "append": self._append, "w": self._write, "inc": self._increment}
        self._read_text = in_dialect(self._table.read, engine)
        self._change_text = in_dialect(self._table.change, engine)

    def settings(self) -> Sequence[Statement]:
        """Deadlocks are to be noticed at once."""
        return [Statement(_QUICK_DEADLOCKS)] if self._engine.name == "postgresql" else []

    def setup(self, keys: Sequence[Key]) -> Sequence[Statement]:
        """A table with a row for each key."""
        made = [Statement(in_dialect(self._table.create, self._engine))]
        for start in range(0, len(keys), _AT_ONCE):
            rows = [(key, *self._table.first) for key in keys[start : start + _AT_ONCE]]
            values = tuple(value for row in rows for value in row)
            made.append(Statement(self._table.insert.replace("{rows}", self._places(len(rows))), values))
        return made

    def _places(self, rows: int) -> str:
        width = len(self._table.first) + 1
        numbers = [range(width * row + 1, width * (row + 1) + 1) for row in range(rows)]
        return ", ".join(f"({', '.join(map(self._engine.placeholder, row))})" for row in numbers)

    def transaction(self, program: Program) -> Dialogue:
        """A transaction of the workload."""
        done: list[MicroOp] = []
        return self._unit(played(program, done, lambda op: self._do[op.f](op)), done)

    def _read(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        outcome = yield from ask(Statement(self._read_text, (op.key,)))
        return MicroOp("r", op.key, self._value(_row(outcome, op)))

    def _value(self, row: Sequence[Any]) -> Any:
        if self._kind is Workload.list_append:
            return tuple(map(int, row[0].split()))
        return tuple(row) if self._kind is Workload.bank else row[0]

    def _append(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        outcome = yield from ask(Statement(self._change_text, (f"{op.value} ", op.key)))
        return _changed(outcome, op)

    def _write(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        values = op.value if self._kind is Workload.bank else (op.value,)
        outcome = yield from ask(Statement(self._change_text, (*values, op.key)))
        return _changed(outcome, op)

    def _increment(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        by, _ = op.value
        outcome = yield from ask(Statement(self._change_text, (by, op.key)))
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
