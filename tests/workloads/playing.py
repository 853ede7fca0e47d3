"""What the tests of workloads share: what a serial run must show, a server's answers made up, workloads on real servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.answers import ErrorKind, ErrorRecord, ResultSet, TransactionEnd
from harness.engines.base import Outcome, Statement
from harness.evidence.checker.model import Key, MicroOp, Observed, Status, Transaction, Workload
from harness.workloads.clients.base import Dialogue, Done
from harness.workloads.generate import BALANCE, Program, generate
from harness.workloads.model import Declared

LEVEL = {"promptsales": "read committed", "promptcontent": "snapshot", "cache": "atomic commands"}
"""A level of each database; for what is done by one session any will do."""


def serially(declared: Declared) -> list[tuple[MicroOp, ...]]:
    """What each transaction shows if they are run one after the other."""
    programs = generate(declared)
    now: dict[Key, Any] = {}
    for key in programs.keys:
        now[key] = {
            Workload.list_append: (),
            Workload.rw_register: None,
            Workload.bank: (BALANCE, 0),
            Workload.counter: 0,
        }[declared.kind]
    return [_one(program, now) for program in (*programs.transactions, *programs.final)]


def _one(program: Program, now: dict[Key, Any]) -> tuple[MicroOp, ...]:
    if program.amount:
        return _transfer(program, now)
    done = []
    for op in program.ops:
        if op.f == "r":
            done.append(MicroOp("r", op.key, now[op.key]))
            continue
        if op.f == "append":
            now[op.key] = (*now[op.key], op.value)
            done.append(op)
        elif op.f == "inc":
            now[op.key] += op.value[0]
            done.append(MicroOp("inc", op.key, (op.value[0], now[op.key])))
        else:
            now[op.key] = op.value
            done.append(op)
    return tuple(done)


def _transfer(program: Program, now: dict[Key, Any]) -> tuple[MicroOp, ...]:
    one, other = (op.key for op in program.ops[:2])
    reads = [MicroOp("r", key, now[key]) for key in (one, other)]
    if now[one][0] < program.amount:
        return tuple(reads)
    now[one] = (now[one][0] - program.amount, program.tag)
    now[other] = (now[other][0] + program.amount, program.tag)
    return (*reads, *(MicroOp("w", key, now[key]) for key in (one, other)))


def well_formed(observed: Observed) -> None:
    """What is true of every history: one order of positions, a process does one thing at a time."""
    transactions = observed.transactions
    assert [one.index for one in transactions] == list(range(len(transactions)))
    invoked = [one.invoked for one in transactions]
    assert invoked == sorted(invoked)
    positions = invoked + [one.completed for one in transactions if one.completed is not None]
    assert sorted(positions) == list(range(len(positions)))
    by_process: dict[Key, Transaction] = {}
    for one in transactions:
        assert one.began is not None
        assert one.ended is None or one.ended >= one.began
        before = by_process.get(one.process)
        if before is not None:
            assert before.completed is not None
            assert before.completed < one.invoked
            assert before.status is not Status.info, "nobody knows, so that process is over"
        by_process[one.process] = one
    assert all(one.error for one in transactions if one.status is not Status.ok)


def ok(*rows: Sequence[Any], affected: int | None = None, columns: Sequence[str] = ()) -> Outcome:
    """An answer."""
    return Outcome([ResultSet(columns=list(columns), rows=[list(row) for row in rows], affected=affected)])


def refused(kind: ErrorKind, code: str = "X", ended: TransactionEnd | None = None) -> Outcome:
    """A refusal."""
    return Outcome(error=ErrorRecord(kind, code, "no"), ended=ended)


def play(dialogue: Dialogue, *answers: Outcome) -> tuple[Done, list[Statement]]:
    """Answer a dialogue in a server's place; gives what came of it and what was asked. Every answer must be used."""
    asked = [next(dialogue)]
    for number, answer in enumerate(answers, 1):
        try:
            asked.append(dialogue.send(answer))
        except StopIteration as end:
            assert number == len(answers), "not all was asked for"
            return end.value, asked
    raise AssertionError(f"it asks for more: {asked[-1]}")
