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
from harness.history import ENDINGS, Event, History, TransactionEnd

INITIAL = "the initial version"


@dataclass(slots=True)
class Op:
    """A read or a write. ``seq`` is that of the event that ended its step."""

    action: str
    item: str
    value: Any
    known: bool
    predicate: bool
    step: str
    seq: int
    database: str
    transaction: Transaction = field(repr=False)
    version: Version | None = None  # of a read: what it saw; None if that cannot be told


@dataclass(slots=True, eq=False)
class Transaction:
    """``end`` is the seq at which it ended; ``ends`` the same per database. Unfinished ones count as aborted."""

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
    endings = [event for event in history.events if event.kind in ENDINGS]
    made: list[Transaction] = []
    for group in _by_unit(endings).values():
        made += _of_unit(group)
    made.sort(key=lambda one: one.ops[0].seq if one.ops else one.end)
    _name(made)
    _attribute(made, history)
    return made


def _by_unit(endings: Iterable[Event]) -> dict[tuple[str, int], list[Event]]:
    """Events by session, and in a free run by iteration too."""
    units: dict[tuple[str, int], list[Event]] = defaultdict(list)
    for event in endings:
        units[event.session, event.attempt].append(event)
    return units


def _of_unit(events: list[Event]) -> list[Transaction]:
    first = events[0]
    if not any(event.in_transaction for event in events):
        whole = Transaction(first.session, first.session, explicit=False, attempt=first.attempt)
        for event in events:
            _add(whole, event)
        whole.committed = whole.finished = True
        whole.end = events[-1].seq
        return [whole] if whole.ops else []
    made: list[Transaction] = []
    current: Transaction | None = None
    open_on: set[str] = set()
    failed = False
    for event in events:
        if current is None:
            current = Transaction(first.session, first.session, explicit=False, attempt=first.attempt)
            failed = False
        _add(current, event)
        if event.in_transaction:
            open_on.add(event.database)
            current.explicit = True
        else:
            open_on.discard(event.database)
            current.ends[event.database] = event.seq
            failed |= event.ended is TransactionEnd.aborted or event.error is not None
        if not open_on:
            current.finished, current.committed, current.end = True, not failed, event.seq
            made.append(current)
            current = None
    if current is not None:
        current.end = events[-1].seq + 1
        made.append(current)
    return [one for one in made if one.ops or one.explicit]


def _add(to: Transaction, event: Event) -> None:
    written = {operation.item for operation in event.operations if operation.action == "w"}
    for operation in event.operations:
        if operation.action == "r" and operation.item in written:
            continue  # UPDATE … RETURNING reads what it has just written
        to.ops.append(
            Op(operation.action, operation.item, operation.value, operation.known, operation.predicate,
               event.step, event.seq, event.database, to)
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
    before = [write for write in equal if write.seq < read.seq]
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
        unknown = [write for write in writes if not write.known and write.seq < read.seq]
        writers = {id(write.transaction) for write in unknown}
        if len(writers) == 1:
            return Version(read.item, read.value, unknown[-1])
    return None
