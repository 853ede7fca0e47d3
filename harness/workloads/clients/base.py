"""The seam between a workload and an engine: a transaction as a dialogue of statements and what the server answers.

A dialogue is a generator: it yields a statement and is sent its outcome. So it knows nothing of threads and sockets, one
thread can hold many of them, and a test can answer in a server's place.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.answers import ErrorKind, ErrorRecord, TransactionEnd
from harness.engines.base import Outcome, Statement, Verb
from harness.evidence.checker.model import Key, MicroOp, Status, Workload
from harness.workloads.generate import BALANCE, Program


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a transaction; ``ops`` have the values that were read. ``lost``: the session cannot go on."""

    status: Status
    ops: tuple[MicroOp, ...]
    error: str = ""
    lost: bool = False


Dialogue = Generator[Statement, Outcome, Done]


class Client(Protocol):
    """A workload on an engine. In a dialogue an operation is noted before it is sent, and again with what it gave."""

    def settings(self) -> Sequence[Statement]:
        """What a session is told when it has been opened; a refusal is a note, no more."""
        ...

    def setup(self, keys: Sequence[Key]) -> Sequence[Statement]:
        """What makes the objects, all of them there before the first transaction."""
        ...

    def transaction(self, program: Program) -> Dialogue:
        """A transaction."""
        ...


class Refused(Exception):
    """Inside a dialogue: a statement failed, so the transaction is over."""

    def __init__(self, error: ErrorRecord) -> None:
        super().__init__(error.code)
        self.error = error


def moved(program: Program, balances: Sequence[int]) -> list[MicroOp]:
    """The writes of a transfer that has seen these balances; none if the first account has too little."""
    if balances[0] < program.amount:
        return []
    after = (balances[0] - program.amount, balances[1] + program.amount)
    return [MicroOp("w", op.key, (balance, program.tag)) for op, balance in zip(program.ops[2:], after, strict=True)]


def initial(kind: Workload, keys: Sequence[Key]) -> dict[Key, Any]:
    """What objects hold before the first transaction; lists are empty and registers have nothing."""
    if kind is Workload.bank:
        return {key: (BALANCE, 0) for key in keys}
    return {key: 0 for key in keys} if kind is Workload.counter else {}


def said(error: ErrorRecord) -> str:
    """An error in one line.

    >>> said(ErrorRecord(ErrorKind.deadlock, "40P01", "deadlock detected"))
    '40P01: deadlock detected'
    """
    return f"{error.code}: {' '.join(error.message.split())}"


def ask(statement: Statement) -> Generator[Statement, Outcome, Outcome]:
    """One statement of a dialogue. Raises Refused."""
    outcome = yield statement
    if outcome.error is not None:
        raise Refused(outcome.error)
    return outcome


_DOUBTFUL = (ErrorKind.connection, ErrorKind.cancelled, ErrorKind.lock_timeout)


def committed(outcome: Outcome, ops: Sequence[MicroOp]) -> Done:
    """What a COMMIT's outcome means: refused with a definite code is ``fail``, no word from the server is ``info``.

    An error says nothing if it is not the server's: the connection was lost, or the wait was given up.
    """
    error = outcome.error
    if error is None:
        if outcome.ended is TransactionEnd.committed:
            return Done(Status.ok, tuple(ops))
        if outcome.ended is TransactionEnd.aborted:  # COMMIT of a transaction that had failed
            return Done(Status.fail, tuple(ops), "rolled back at COMMIT")
        return Done(Status.info, tuple(ops), "no transaction was open at COMMIT", lost=True)
    if outcome.ended is TransactionEnd.committed and error.kind not in _DOUBTFUL:
        return Done(Status.ok, tuple(ops), said(error))  # MongoDB: only its write concern was not met
    if error.kind in _DOUBTFUL or gone(error) or outcome.ended is not TransactionEnd.aborted:
        return Done(Status.info, tuple(ops), said(error), lost=True)
    return Done(Status.fail, tuple(ops), said(error))


def played(
    program: Program, done: list[MicroOp], do: Callable[[MicroOp], Generator[Statement, Outcome, MicroOp]]
) -> Generator[Statement, Outcome, None]:
    """A program's operations, one after the other; a transfer's writes follow from what it has read."""
    for op in program.ops[:2] if program.amount else program.ops:
        done.append(op)
        done[-1] = yield from do(op)
    for op in moved(program, [seen.value[0] for seen in done]) if program.amount else ():
        done.append(op)
        yield from do(op)


def whole(ops: Generator[Statement, Outcome, None], done: list[MicroOp]) -> Dialogue:
    """``ops`` as one transaction: begin, commit; rolled back if one of them is refused. ``done`` gathers what they did."""
    try:
        yield from ask(Statement(Verb.begin))
        yield from ops
    except Refused as refused:
        return (yield from undone(refused, done))
    outcome = yield Statement(Verb.commit)
    return committed(outcome, done)


def undone(refused: Refused, done: Sequence[MicroOp]) -> Dialogue:
    """Roll back after a refusal: nothing of it was committed, as nobody has asked for that."""
    lost = gone(refused.error)
    if not lost:
        outcome = yield Statement(Verb.rollback)
        lost = outcome.error is not None
    return Done(Status.fail, tuple(done), said(refused.error), lost=lost)


def gone(error: ErrorRecord) -> bool:
    """Whether a session is of no more use after this."""
    return error.kind is ErrorKind.connection or error.code == "harness"


def piecemeal(ops: Generator[Statement, Outcome, None], done: list[MicroOp]) -> Dialogue:
    """``ops`` without a transaction. If one is refused when others have written already, that is no clean failure."""
    try:
        yield from ops
    except Refused as refused:
        wrote = any(op.f != "r" for op in done[:-1])  # the last one is what was refused
        doubtful = done[-1].f != "r" and (refused.error.kind in _DOUBTFUL or gone(refused.error))
        status = Status.info if doubtful or wrote else Status.fail
        return Done(status, tuple(done), said(refused.error), lost=gone(refused.error))
    return Done(Status.ok, tuple(done))
