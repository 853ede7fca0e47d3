"""Redis and Valkey: a key for each object.

Transactions are optimistic (https://redis.io/docs/latest/develop/using-commands/transactions/): WATCH the keys, read, then
all writes between MULTI and EXEC, which is refused if somebody has written to a watched key. Without transactions each
command is atomic, and no more.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from harness.engines.base import Outcome, Statement, Verb
from harness.errors import EngineError
from harness.evidence.checker.model import Key, MicroOp, Status, Workload
from harness.workloads.clients.base import Dialogue, Done, Refused, ask, committed, moved, piecemeal, played, undone
from harness.workloads.generate import BALANCE, Program
from harness.workloads.model import TRANSACTIONS

PREFIXES = {
    Workload.list_append: "list",
    Workload.rw_register: "register",
    Workload.bank: "account",
    Workload.counter: "counter",
}
_AT_ONCE = 500  # keys of one MSET


class RedisClient:
    """A workload in Redis's commands."""

    def __init__(self, kind: Workload, units: str) -> None:
        self._kind = kind
        self._optimistic = units == TRANSACTIONS

    def settings(self) -> Sequence[Statement]:
        """None."""
        return []

    def setup(self, keys: Sequence[Key]) -> Sequence[Statement]:
        """Accounts and counters; a list or register that nobody has written is not there."""
        first = {Workload.bank: f"{BALANCE} 0", Workload.counter: "0"}.get(self._kind)
        if first is None:
            return []
        pairs = [[self._name(key), first] for key in keys]
        return [
            Statement(["MSET", *(word for pair in pairs[start : start + _AT_ONCE] for word in pair)])
            for start in range(0, len(pairs), _AT_ONCE)
        ]

    def _name(self, key: Key) -> str:
        return f"{PREFIXES[self._kind]}:{key}"

    def transaction(self, program: Program) -> Dialogue:
        """A transaction of the workload."""
        done: list[MicroOp] = []
        if self._optimistic:
            return self._whole(program, done)
        return piecemeal(played(program, done, self._piece), done)

    # -- each operation by itself

    def _piece(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        if op.f == "r":
            return (yield from self._read(op))
        outcome = yield from ask(Statement(self._words(op)))
        return _told(op, outcome.results[-1].rows[-1][0])

    def _read(self, op: MicroOp) -> Generator[Statement, Outcome, MicroOp]:
        name = self._name(op.key)
        listed = self._kind is Workload.list_append
        outcome = yield from ask(Statement(["LRANGE", name, "0", "-1"] if listed else ["GET", name]))
        rows = outcome.results[-1].rows
        return MicroOp("r", op.key, tuple(int(row[0]) for row in rows) if listed else self._value(rows[0][0]))

    def _value(self, text: str | None) -> Any:
        if self._kind is Workload.bank:
            balance, tag = (text or "").split()
            return int(balance), int(tag)
        return None if text is None else int(text)

    def _words(self, op: MicroOp) -> list[str]:
        name = self._name(op.key)
        if op.f == "append":
            return ["RPUSH", name, str(op.value)]
        if op.f == "inc":
            return ["INCRBY", name, str(op.value[0])]
        return ["SET", name, " ".join(map(str, op.value)) if self._kind is Workload.bank else str(op.value)]

    # -- WATCH, MULTI, EXEC

    def _whole(self, program: Program, done: list[MicroOp]) -> Dialogue:
        try:
            writes = yield from self._until_exec(program, done)
        except Refused as refused:
            return (yield from undone(refused, done))
        outcome = yield Statement(Verb.commit)
        made = committed(outcome, done)
        if made.status is not Status.ok:
            return made
        answers = [row[0] for row in outcome.results[-1].rows] if outcome.results else []
        if len(answers) != len(writes):
            raise EngineError(f"EXEC of {len(writes)} commands has given {len(answers)} answers")
        for place, answer in zip(writes, answers, strict=True):
            done[place] = _told(done[place], answer)
        return Done(Status.ok, tuple(done))

    def _until_exec(self, program: Program, done: list[MicroOp]) -> Generator[Statement, Outcome, list[int]]:
        """All but EXEC; gives the places of the writes in ``done``."""
        names = dict.fromkeys(self._name(op.key) for op in program.ops)
        yield from ask(Statement(["WATCH", *names]))
        ops = program.ops[:2] if program.amount else program.ops
        for op in ops:
            done.append(op)
            if op.f == "r":
                seen = yield from self._read(op)
                done[-1] = self._with_own(seen, done[:-1])
        if program.amount:
            done += moved(program, [seen.value[0] for seen in done])
        writes = [place for place, op in enumerate(done) if op.f != "r"]
        yield from ask(Statement(Verb.begin))
        for place in writes:
            yield from ask(Statement(self._words(done[place])))
        return writes

    def _with_own(self, seen: MicroOp, before: Sequence[MicroOp]) -> MicroOp:
        """What a transaction sees that has written itself: its writes wait for EXEC, so the client adds them."""
        value = seen.value
        for op in before:
            if op.key != seen.key or op.f == "r":
                continue
            if op.f == "append":
                value = (*value, op.value)
            elif op.f == "inc":
                value += op.value[0]
            else:
                value = op.value
        return MicroOp("r", seen.key, value)


def _told(op: MicroOp, answer: Any) -> MicroOp:
    """An operation with what the server gave back: only an increment has something to tell."""
    return MicroOp("inc", op.key, (op.value[0], int(answer))) if op.f == "inc" else op
