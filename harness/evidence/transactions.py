"""From events to transactions in Adya's sense: who read and wrote what, in which unit of work, and how that ended.

A transaction lasts from the step that opened it to the one that ended it, over all databases that its session has open
between; what the session does meanwhile on a database where it has none open belongs to it too. A session that never
opens one is taken as a single unit of work: its application means its steps as one, whether or not the store knows
transactions. In a session that opens some, a step outside of them is a transaction of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

from harness.answers import ErrorKind, TransactionEnd
from harness.history import ENDINGS, Event, EventKind, History, Operation


@dataclass(slots=True, eq=False)
class Op:
    """A read or a write, done some time between the events ``start`` and ``seq``.

    These are the beginning and the end of its step; of a write that Redis queued, those of the EXEC that did it. ``event``
    is its own step's end, for proofs. ``held``: its row stays locked from then on until the transaction ends.
    """

    action: str
    item: str
    value: Any
    known: bool
    predicate: bool
    step: str
    start: int
    seq: int
    event: int
    database: str
    held: bool
    transaction: Transaction = field(repr=False)
    queued: bool = False  # Redis has it, but has not done it yet
    version: Version | None = None  # of a read: what it saw; None if that cannot be told

    @property
    def until(self) -> int:
        """The event before which it could surely still be rolled back."""
        transaction = self.transaction
        return transaction.ends.get(self.database, transaction.end) if self.held else transaction.end

    def surely_before(self, other: Op) -> bool:
        """Whether this write was done before the other one, which ended later.

        Steps that overlap tell nothing, but for rows that both hold to the end: then the second waited for the first's.
        """
        return self.seq < other.start or (self.held and other.held and self.seq < other.seq)


@dataclass(slots=True, eq=False)
class Transaction:
    """``end`` is the event at which the step that ended it *began*; ``ends`` the same per database.

    Before that event it was surely still open. One that never ended counts as aborted: its session was closed. ``unknown``:
    nobody can say how it ended (the connection was lost while it committed).
    """

    name: str
    session: str
    explicit: bool = False
    committed: bool = False
    finished: bool = False
    unknown: bool = False
    end: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)

    def writes(self, item: str) -> list[Op]:
        """Its writes of ``item``, in order."""
        return [op for op in self.ops if op.action == "w" and op.item == item]

    @property
    def writes_nothing(self) -> bool:
        """Whether it is read-only."""
        return all(op.action == "r" for op in self.ops)


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an item: the write that made it, or None for the initial one."""

    item: str
    value: Any
    write: Op | None

    @property
    def writer(self) -> Transaction | None:
        """The transaction that made it."""
        return self.write.transaction if self.write else None


def transactions(history: History) -> list[Transaction]:
    """All transactions of a history, in the order of their first step. Their reads have no versions yet."""
    queueing = {database.alias for database in history.databases if database.engine == "redis"}
    made = [one for unit in _units(history) for one in _of_unit(unit, queueing)]
    made.sort(key=lambda one: one.ops[0].event if one.ops else one.end)
    seen: dict[str, int] = defaultdict(int)
    for transaction in made:  # a session with several numbers them: T1, T1#2, …
        seen[transaction.session] += 1
        if seen[transaction.session] > 1:
            transaction.name = f"{transaction.session}#{seen[transaction.session]}"
    return made


@dataclass(frozen=True, slots=True)
class _Ended:
    """A step that has ended: the number of the event that began it, its statement, and its last event."""

    start: int
    statement: str
    event: Event

    @property
    def aborted(self) -> bool:
        """Of a step that ended a transaction."""
        ended = self.event.ended
        return ended is TransactionEnd.aborted or (self.event.error is not None and ended is None)

    @property
    def unknown(self) -> bool:
        """Of a step that ended a transaction: it was to commit it, and what became of that was never heard."""
        error = self.event.error
        commits = self.statement.lstrip().lower().startswith(("commit", "exec"))
        return error is not None and commits and (error.kind is ErrorKind.connection or self.event.ended is None)


def _units(history: History) -> list[list[_Ended]]:
    """Ended steps by session, and in a free run by iteration too. A session runs one step at a time."""
    iterates = history.mode == "free-running"  # else a step that is run again is part of the same
    units: dict[tuple[str, int], list[_Ended]] = defaultdict(list)
    began: dict[str, Event] = {}
    for event in history.events:
        if event.kind is EventKind.start:
            began[event.session] = event
        elif event.kind in ENDINGS:
            start = began.get(event.session, event)
            units[event.session, event.attempt if iterates else 1].append(_Ended(start.seq, start.statement, event))
    return list(units.values())


def _of_unit(unit: list[_Ended], queueing: Set[str]) -> list[Transaction]:
    session = unit[0].event.session
    if not any(ended.event.in_transaction for ended in unit):
        whole = Transaction(session, session, committed=True, finished=True, end=unit[-1].event.seq)
        for ended in unit:
            _add(whole, ended, queued=False)
        return [whole] if whole.ops else []
    made: list[Transaction] = []
    current = Transaction(session, session)
    open_on: set[str] = set()
    aborted = False
    for ended in unit:
        event, database = ended.event, ended.event.database
        _add(current, ended, queued=event.in_transaction and database in queueing)
        if event.in_transaction:
            open_on.add(database)
            current.explicit = True
        elif database in open_on:
            open_on.discard(database)
            current.ends[database] = ended.start
            current.unknown |= ended.unknown
            aborted |= ended.aborted
            _execute(current, ended)
        if not open_on:
            current.finished, current.end = True, ended.start
            current.committed = not aborted and not current.unknown
            made.append(current)
            current, aborted = Transaction(session, session), False
    if open_on:
        current.end = unit[-1].event.seq + 1
        current.ops = [op for op in current.ops if not op.queued]
        made.append(current)
    return [one for one in made if one.ops or one.explicit]


def _add(to: Transaction, ended: _Ended, *, queued: bool) -> None:
    event = ended.event
    written = {operation.item for operation in event.operations if operation.action == "w"}
    for operation in event.operations:
        if operation.action == "r" and (operation.item in written or queued):
            continue  # UPDATE … RETURNING reads what it has just written; a queued command has not read anything yet
        to.ops.append(_op(to, ended, operation, queued=queued))


def _op(to: Transaction, ended: _Ended, operation: Operation, *, queued: bool) -> Op:
    event = ended.event
    return Op(
        action=operation.action,
        item=operation.item,
        value=operation.value,
        known=operation.known,
        predicate=operation.predicate,
        step=event.step,
        start=ended.start,
        seq=event.seq,
        event=event.seq,
        database=event.database,
        held=event.in_transaction and not queued,
        transaction=to,
        queued=queued,
    )


def _execute(transaction: Transaction, ended: _Ended) -> None:
    """What was queued on the database is done now, or never."""
    here = [op for op in transaction.ops if op.queued and op.database == ended.event.database]
    for op in here:
        op.start, op.seq, op.queued = ended.start, ended.event.seq, False
    if ended.aborted:
        transaction.ops = [op for op in transaction.ops if op not in here]
