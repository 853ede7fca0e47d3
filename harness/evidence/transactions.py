"""From events to transactions in Adya's sense: who read and wrote which version of what, and how it ended.

A transaction lasts from the step that opened it to the one that ended it, over all databases that its session has open
between. A session that never opens one is taken as a single unit of work: its application means its steps as
one, whether or not the store knows transactions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.values import key, same
from harness.history import ENDINGS, Event, EventKind, History, TransactionEnd

INITIAL = "the initial version"


@dataclass(slots=True)
class Op:
    """A read or a write, done some time between the events ``start`` and ``seq``: the beginning and the end of its step."""

    action: str
    item: str
    value: Any
    known: bool
    predicate: bool
    step: str
    start: int
    seq: int
    database: str
    transaction: Transaction = field(repr=False)
    version: Version | None = None  # of a read: what it saw; None if that cannot be told


@dataclass(slots=True, eq=False)
class Transaction:
    """``end`` is the event at which the step that ended it *began*; ``ends`` the same per database.

    Before that event it was surely still open. One that never ended counts as aborted.
    """

    name: str
    session: str
    explicit: bool
    attempt: int = 1
    committed: bool = False
    finished: bool = False
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
    """All transactions of a history, in the order of their first step, their reads attributed to versions."""
    made: list[Transaction] = []
    for group in _by_unit(history.events).values():
        made += _of_unit(group)
    made.sort(key=lambda one: one.ops[0].seq if one.ops else one.end)
    _name(made)
    _attribute(made, history)
    return made


Ended = tuple[int, Event]
"""The number of the event that began a step, and the event that ended it."""


def _by_unit(events: Iterable[Event]) -> dict[tuple[str, int], list[Ended]]:
    """Ended steps by session, and in a free run by iteration too. A session runs one step at a time."""
    units: dict[tuple[str, int], list[Ended]] = defaultdict(list)
    began: dict[str, int] = {}
    for event in events:
        if event.kind is EventKind.start:
            began[event.session] = event.seq
        elif event.kind in ENDINGS:
            units[event.session, event.attempt].append((began.get(event.session, event.seq), event))
    return units


def _of_unit(ended: list[Ended]) -> list[Transaction]:
    first = ended[0][1]
    if not any(event.in_transaction for _, event in ended):
        whole = Transaction(first.session, first.session, explicit=False, attempt=first.attempt)
        for start, event in ended:
            _add(whole, event, start)
        whole.committed = whole.finished = True
        whole.end = ended[-1][1].seq
        return [whole] if whole.ops else []
    made: list[Transaction] = []
    current: Transaction | None = None
    open_on: set[str] = set()
    failed = False
    for start, event in ended:
        if current is None:
            current = Transaction(first.session, first.session, explicit=False, attempt=first.attempt)
            failed = False
        _add(current, event, start)
        if event.in_transaction:
            open_on.add(event.database)
            current.explicit = True
        else:
            open_on.discard(event.database)
            current.ends[event.database] = start
            failed |= event.ended is TransactionEnd.aborted or event.error is not None
        if not open_on:
            current.finished, current.committed, current.end = True, not failed, start
            made.append(current)
            current = None
    if current is not None:
        current.end = ended[-1][1].seq + 1
        made.append(current)
    return [one for one in made if one.ops or one.explicit]


def _add(to: Transaction, event: Event, start: int) -> None:
    written = {operation.item for operation in event.operations if operation.action == "w"}
    for operation in event.operations:
        if operation.action == "r" and operation.item in written:
            continue  # UPDATE … RETURNING reads what it has just written
        to.ops.append(
            Op(operation.action, operation.item, operation.value, operation.known, operation.predicate,
               event.step, start, event.seq, event.database, to)
        )  # fmt: skip


def _name(made: list[Transaction]) -> None:
    """A session with several transactions numbers them: T1, T1#2, …"""
    seen: dict[str, int] = defaultdict(int)
    for transaction in made:
        seen[transaction.session] += 1
        if seen[transaction.session] > 1:
            transaction.name = f"{transaction.session}#{seen[transaction.session]}"


def _attribute(made: list[Transaction], history: History) -> None:
    """Find the version that each read saw: the only write, or the initial value, that equals what it returned."""
    writes: dict[str, list[Op]] = defaultdict(list)
    by_value: dict[tuple[str, str], list[Op]] = defaultdict(list)
    for op in sorted((op for one in made for op in one.ops if op.action == "w"), key=lambda op: op.seq):
        writes[op.item].append(op)
        if op.known:
            by_value[op.item, key(op.value)].append(op)
    for transaction in made:
        for op in transaction.ops:
            if op.action == "r":
                op.version = _seen_by(op, writes[op.item], by_value[op.item, key(op.value)], history)


def _seen_by(read: Op, writes: list[Op], equal: list[Op], history: History) -> Version | None:
    before = [write for write in equal if write.start < read.seq]
    own = [write for write in before if write.transaction is read.transaction]
    if own:
        return Version(read.item, read.value, own[-1])
    candidates = [Version(read.item, read.value, write) for write in before]
    if read.item in history.initial and same(history.initial[read.item], read.value):
        candidates.append(Version(read.item, read.value, None))
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        # No value that we know: it must be a write whose value nobody told us, if there is only one of these.
        unknown = [write for write in writes if not write.known and write.start < read.seq]
        writers = {id(write.transaction) for write in unknown}
        if len(writers) == 1:
            return Version(read.item, read.value, unknown[-1])
    return None
