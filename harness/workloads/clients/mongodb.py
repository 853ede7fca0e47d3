"""MongoDB: one collection of a workload's objects, one command for each operation.

In transactions, at the session's read concern, or without them: then each command is atomic for its document, and no more.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from harness.engines.base import Outcome, Statement
from harness.errors import EngineError
from harness.evidence.checker.model import Key, MicroOp, Workload
from harness.workloads.clients.base import Dialogue, ask, piecemeal, played, whole
from harness.workloads.generate import BALANCE, Program
from harness.workloads.model import TRANSACTIONS

COLLECTIONS = {
    Workload.list_append: "lists",
    Workload.rw_register: "registers",
    Workload.bank: "accounts",
    Workload.counter: "counters",
}
_FIRST: dict[Workload, dict[str, Any]] = {
    Workload.list_append: {"elements": []},
    Workload.rw_register: {"value": None},
    Workload.bank: {"balance": BALANCE, "tag": 0},
    Workload.counter: {"value": 0},
}
_AT_ONCE = 1000  # documents of one insert


class MongoClient:
    """A workload in MongoDB's commands."""

    def __init__(self, kind: Workload, units: str) -> None:
        self._kind = kind
        self._unit = whole if units == TRANSACTIONS else piecemeal
        self._collection = COLLECTIONS[kind]
        self._do = {"r": self._read, "append": self._write, "w": self._write, "inc": self._increment}

    def settings(self) -> Sequence[Statement]:
        """None."""
        return []

    def setup(self, keys: Sequence[Key]) -> Sequence[Statement]:
        """A document for each key."""
        documents = [{"_id": key} | _FIRST[self._kind] for key in keys]
        return [
            Statement({"insert": self._collection, "documents": documents[start : start + _AT_ONCE]})
            for start in range(0, len(documents), _AT_ONCE)
        ]

    def transaction(self, program: Program) -> Dialogue:
        """A transaction of the workload."""
        done: list[MicroOp] = []
        return self._unit(played(program, done, lambda op: self._do[op.f](op)), done)

    def _read(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        outcome = yield from ask(Statement({"find": self._collection, "filter": {"_id": op.key}, "limit": 1}))
        found = outcome.results[-1]
        if len(found.rows) != 1:
            raise EngineError(f"the workload's object {op.key} should be one document, and is {len(found.rows)}")
        return MicroOp("r", op.key, self._value(dict(zip(found.columns, found.rows[0], strict=True))))

    def _value(self, document: Mapping[str, Any]) -> Any:
        if self._kind is Workload.list_append:
            return tuple(document["elements"])
        return (document["balance"], document["tag"]) if self._kind is Workload.bank else document["value"]

    def _write(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        change: dict[str, Any]
        if op.f == "append":
            change = {"$push": {"elements": op.value}}
        elif self._kind is Workload.bank:
            change = {"$set": {"balance": op.value[0], "tag": op.value[1]}}
        else:
            change = {"$set": {"value": op.value}}
        updates = [{"q": {"_id": op.key}, "u": change}]
        outcome = yield from ask(Statement({"update": self._collection, "updates": updates}))
        if (affected := outcome.results[-1].affected) not in (1, None):
            raise EngineError(f"a write to the workload's object {op.key} should change one document, not {affected}")
        return op

    def _increment(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        by, _ = op.value
        change = {"query": {"_id": op.key}, "update": {"$inc": {"value": by}}, "new": True}
        outcome = yield from ask(Statement({"findAndModify": self._collection} | change))
        found = outcome.results[-1]
        document = found.rows[0][found.columns.index("value")]
        return MicroOp("inc", op.key, (by, document["value"]))
