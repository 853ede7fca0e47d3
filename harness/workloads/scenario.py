"""What was found in a random history as an ordinary scenario: its transactions as sessions, every interleaving of them.

Each object becomes a register with unique values, whatever it was: who wrote before whom, and who saw what, is the same for
an append, a transfer or an increment. Operations on what only one of the transactions touches are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from harness.errors import DataError
from harness.evidence.checker.model import Found, Key, MicroOp, Observed, Report, Status, Transaction, Workload
from harness.workloads.model import TRANSACTIONS

_REFUSALS = ["serialization failure", "deadlock", "write conflict"]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a workload ran."""

    logical: str
    engine: str
    level: str
    units: str = TRANSACTIONS


def scenario_of(found: Found, observed: Observed, placed: Placed) -> str:
    """The YAML of a scenario whose sessions are the transactions that ``found`` lies between, with ``schedules: reduced``.

    'harness check FILE' takes it, and 'harness explore FILE' tries its interleavings. Raises DataError if there is nothing
    in it that two sessions could disagree about.
    """
    from harness.scenario.yaml_text import Line, Lines, Row, dumped

    chosen = _chosen(found, observed)
    kept = _kept(chosen)
    if len({one.process for one in chosen}) < 2 or not any(kept.values()):
        raise DataError(
            f"{found.name} does not lie between sessions that touch the same: no scenario can be made of it"
        )
    writer = _WRITERS[placed.engine](placed.units == TRANSACTIONS)
    names = _names(kept)
    sessions = {}
    for session, transactions in _sessions(chosen).items():
        steps: dict[str, Any] = {}
        for number, one in enumerate(transactions):
            for name, step in writer.steps(one, [_register(op, one, names, observed) for op in kept[one.index]]):
                first = number == 0 and step == "begin"
                if not first:
                    steps[_unused(f"t{one.index}_{name}", steps)] = Line(step) if isinstance(step, Mapping) else step
        begun = {"setup": "begin"} if writer.begins else {}
        sessions[session] = {**begun, "steps": steps}
    where = observed.source or observed.workload.value
    made: dict[str, Any] = {
        "title": f"{found.title or found.name}, found at random",
        "about": f"The transactions of a {found.name} in {where}: their operations on what several touch; each object "
        "is a register.",
        "database": placed.logical,
        "levels": Line({placed.engine: Row([placed.level])}),
        "setup": Lines(writer.setup(names.values())),
        "items": {f"x{name}": writer.item(name) for name in names.values()},
        "sessions": sessions,
        "schedules": "reduced",
        "expect": {placed.engine: {placed.level: Line(finds="nothing", may_refuse=Row(_REFUSALS))}},
    }
    head = [f"{found.name} ({found.title}), found in {where}.", *(found.proof or found.shown)]
    return "".join(f"# {' '.join(line.split())}\n" for text in head for line in text.splitlines()) + dumped(made)


def first_scenario(report: Report, observed: Observed, placed: Placed) -> tuple[Found, str] | None:
    """The first cycle that a scenario can be made of, and its text; None if there is none."""
    for found in report.found:
        with suppress(DataError):
            if found.cycle:
                return found, scenario_of(found, observed, placed)
    return None


def _chosen(found: Found, observed: Observed) -> list[Transaction]:
    """The transactions, in the order of their invocations."""
    in_cycle = {index for edge in found.cycle for index in (edge.source, edge.target)}
    indexes = in_cycle or set(found.transactions)
    return [one for one in observed.transactions if one.index in indexes]


def _kept(chosen: Sequence[Transaction]) -> dict[int, list[MicroOp]]:
    """Of each transaction, by its index: the operations on what several sessions touch."""
    touched: dict[Key, set[Key]] = {}
    for one in chosen:
        for op in one.ops:
            touched.setdefault(op.key, set()).add(one.process)
    return {one.index: [op for op in one.ops if len(touched[op.key]) > 1] for one in chosen}


def _names(kept: Mapping[int, Sequence[MicroOp]]) -> dict[Key, int]:
    """The registers' numbers: the objects' own, where those are numbers."""
    keys = list(dict.fromkeys(op.key for ops in kept.values() for op in ops))
    if all(isinstance(key, int) for key in keys):
        return {key: int(key) for key in sorted(keys)}
    return {key: number for number, key in enumerate(keys, 1)}


def _sessions(chosen: Sequence[Transaction]) -> dict[str, list[Transaction]]:
    """One session for each process: what one did after another, it does so again."""
    by_process: dict[Key, list[Transaction]] = {}
    for one in chosen:
        by_process.setdefault(one.process, []).append(one)
    return {some[0].name if len(some) == 1 else f"P{process}": some for process, some in by_process.items()}


@dataclass(frozen=True, slots=True)
class _Op:
    """An operation on a register; ``value`` is None for a read."""

    register: int
    value: int | None = None


def _register(op: MicroOp, one: Transaction, names: Mapping[Key, int], observed: Observed) -> _Op:
    if op.f == "r":
        return _Op(names[op.key])
    if observed.workload is Workload.counter:
        return _Op(names[op.key], 1000 * (one.index + 1) + one.ops.index(op))
    return _Op(names[op.key], int(op.value[1] if observed.workload is Workload.bank else op.value))


def _unused(name: str, known: Mapping[str, Any]) -> str:
    """``name``, ``name_2`` and so on: a transaction may read twice."""
    number, made = 1, name
    while made in known:
        number += 1
        made = f"{name}_{number}"
    return made


def _plain(ops: Sequence[_Op]) -> list[tuple[str, _Op]]:
    return [(f"{'read' if op.value is None else 'write'}_x{op.register}", op) for op in ops]


def _end(one: Transaction) -> str:
    return "rollback" if one.status is Status.fail else "commit"


class _Sql:
    """Statements of PostgreSQL and SQL Server."""

    def __init__(self, whole: bool) -> None:
        self.begins = whole

    def setup(self, registers: Any) -> list[str]:
        rows = ", ".join(f"({name}, 0)" for name in registers)
        return [
            "CREATE TABLE registers (id int NOT NULL PRIMARY KEY, value int NOT NULL)",
            "INSERT INTO registers (id, value) VALUES {rows}".replace("{rows}", rows),
        ]

    def item(self, register: int) -> Any:
        return self._read(register)

    def steps(self, one: Transaction, ops: Sequence[_Op]) -> list[tuple[str, Any]]:
        made = [(name, self._step(op)) for name, op in _plain(ops)]
        return [("begin", "begin"), *made, (_end(one), _end(one))] if self.begins else made

    def _step(self, op: _Op) -> dict[str, Any]:
        name = f"x{op.register}"
        if op.value is None:
            return {"run": self._read(op.register), "reads": name}
        return {
            "run": _CHANGE.replace("{id}", str(op.register)).replace("{value}", str(op.value)),
            "writes": {name: op.value},
        }

    def _read(self, register: int) -> str:
        return _READ.replace("{id}", str(register))


_READ = "SELECT value FROM registers WHERE id = {id}"
_CHANGE = "UPDATE registers SET value = {value} WHERE id = {id}"


class _MongoDB:
    """Command documents."""

    def __init__(self, whole: bool) -> None:
        self.begins = whole

    def setup(self, registers: Any) -> list[Any]:
        return [{"insert": "registers", "documents": [{"_id": name, "value": 0} for name in registers]}]

    def item(self, register: int) -> Any:
        return {"run": self._read(register), "column": "value"}

    def steps(self, one: Transaction, ops: Sequence[_Op]) -> list[tuple[str, Any]]:
        made = [(name, self._step(op)) for name, op in _plain(ops)]
        return [("begin", "begin"), *made, (_end(one), _end(one))] if self.begins else made

    def _step(self, op: _Op) -> dict[str, Any]:
        name = f"x{op.register}"
        if op.value is None:
            return {"run": self._read(op.register), "reads": {name: "value"}}
        updates = [{"q": {"_id": op.register}, "u": {"$set": {"value": op.value}}}]
        return {"run": {"update": "registers", "updates": updates}, "writes": {name: op.value}}

    def _read(self, register: int) -> dict[str, Any]:
        return {"find": "registers", "filter": {"_id": register}}


class _Redis:
    """Command lines: what is read under WATCH, then what is written between MULTI and EXEC."""

    begins = False

    def __init__(self, whole: bool) -> None:
        self._whole = whole

    def setup(self, registers: Any) -> list[str]:
        return [f"SET x{name} 0" for name in registers]

    def item(self, register: int) -> Any:
        return f"GET x{register}"

    def steps(self, one: Transaction, ops: Sequence[_Op]) -> list[tuple[str, Any]]:
        made = [(name, self._step(op)) for name, op in _plain(ops)]
        if not self._whole:
            return made
        watched = " ".join(dict.fromkeys(f"x{op.register}" for op in ops))
        own: set[int] = set()
        reads, writes = [], []
        for op, named in zip(ops, made, strict=True):
            if op.value is not None:
                own.add(op.register)
                writes.append(named)
            elif op.register not in own:  # what it has written itself, it does not ask the server for
                reads.append(named)
        last = ("discard", "DISCARD") if one.status is Status.fail else ("exec", "EXEC")
        return [("watch", f"WATCH {watched}"), *reads, ("multi", "MULTI"), *writes, last]

    def _step(self, op: _Op) -> dict[str, Any]:
        name = f"x{op.register}"
        if op.value is None:
            return {"run": f"GET {name}", "reads": name}
        return {"run": f"SET {name} {op.value}", "writes": {name: op.value}}


_WRITERS: Mapping[str, Any] = {"postgresql": _Sql, "sqlserver": _Sql, "mongodb": _MongoDB, "redis": _Redis}
