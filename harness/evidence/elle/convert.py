"""A scenario's History as transactions over registers, so that the checker can look at what a scenario did.

Registers want every write to be told from all others. A scenario may write one value twice; what the evidence knows about
versions (:mod:`harness.evidence.versions`) names the writes apart, and reads that it cannot attribute are left out.

A predicate is no register: two that insert rows into it overwrite nothing. It becomes one register for each transaction that
changed it. A read that saw it unchanged saw none of them; one that saw a change saw that one, and the others are not known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from harness.evidence.checker.model import Key, MicroOp, Observed, Status, Transaction, Workload
from harness.evidence.transactions import Op, Version, transactions
from harness.evidence.transactions import Transaction as Unit
from harness.evidence.values import key, number
from harness.evidence.versions import attribute
from harness.history import ENDINGS, Event, EventKind, History


def converted(history: History, source: str = "") -> tuple[Observed, list[str]]:
    """The transactions of a scenario, as registers, and what was left out of them, a line each."""
    units = transactions(history)
    attribute(units, history)
    names = _Names(units, history)
    spans = _spans(units, history)
    ranks = {event: rank for rank, event in enumerate(sorted({*spans.values_of_all()}))}
    made = []
    order = sorted(range(len(units)), key=lambda place: spans.began[place])
    for index, place in enumerate(order):
        unit, ended = units[place], spans.ended[place]
        made.append(
            Transaction(
                index,
                unit.session,
                Status.info if unit.unknown else Status.ok if unit.committed else Status.fail,
                tuple(op for one in unit.ops for op in names.micro(one)),
                ranks[spans.began[place]],
                None if ended is None else ranks[ended],
                spans.at(spans.began[place]),
                None if ended is None else spans.at(ended),
                "" if unit.finished or unit.unknown else "its session ended before it did",
            )
        )
    initial: dict[Key, Any] = {
        item: value for item, value in names.initial.items() if value is not None and item not in names.predicates
    }
    source = source or history.case
    observed = Observed(Workload.rw_register, tuple(made), initial, None, source, tuple(names.conditions()))
    return observed, names.notes()


class _Names:
    """What each version is called: its value; with its writer's name too, where several left that value."""

    def __init__(self, units: Sequence[Unit], history: History) -> None:
        self._writes: dict[str, list[Op]] = defaultdict(list)
        for op in (op for unit in units for op in unit.ops):
            if op.action == "w":
                self._writes[op.item].append(op)
        self.predicates = {op.item for unit in units for op in unit.ops if op.predicate} | set(history.predicates)
        self.dropped = {
            item
            for item, ops in self._writes.items()
            if item not in self.predicates and any(not _told(op) for op in ops)
        }
        self.initial = {item: _plain(value) for item, value in history.initial.items() if item not in self.dropped}
        self._of: dict[int, Any] = {}
        self._unattributed: Counter[str] = Counter()
        for item, ops in self._writes.items():
            if item not in self.dropped:
                self._name(item, ops)

    def _name(self, item: str, ops: Iterable[Op]) -> None:
        values = Counter(key(op.value) for op in ops)
        values.update([key(self.initial[item])] if item in self.initial else [])
        taken: Counter[str] = Counter()
        for op in ops:
            if values[key(op.value)] == 1 and op.value is not None:
                self._of[id(op)] = _plain(op.value)
                continue
            said = f"{'a change' if op.value is None else _plain(op.value)} by {op.transaction.name}"
            taken[said] += 1
            self._of[id(op)] = said if taken[said] == 1 else f"{said}, its write {taken[said]}"

    def micro(self, op: Op) -> Iterator[MicroOp]:
        """A read or a write as micro-operations; none if it cannot be told what it means."""
        if op.item in self.dropped:
            return
        if op.action == "w":
            yield MicroOp("w", self._register(op.item, op.transaction), self._of[id(op)])
        elif op.version is None:
            self._unattributed[op.item] += 1
        elif op.version.write is not None:
            yield MicroOp("r", self._register(op.item, op.version.write.transaction), self._version(op.version))
        elif op.item not in self.predicates:
            yield MicroOp("r", op.item, self._version(op.version))
        else:
            others = dict.fromkeys(self._register(op.item, one.transaction) for one in self._writes[op.item])
            yield from (MicroOp("r", register) for register in others)

    def conditions(self) -> Iterator[str]:
        """The registers that predicates became."""
        for item in sorted(self.predicates):
            yield from dict.fromkeys(self._register(item, one.transaction) for one in self._writes[item])

    def _register(self, item: str, writer: Unit) -> str:
        return f"{item} by {writer.name}" if item in self.predicates else item

    def _version(self, version: Version) -> Any:
        return self.initial.get(version.item) if version.write is None else self._of[id(version.write)]

    def notes(self) -> list[str]:
        """What was left out, and what the checker is not told."""
        said = [
            f"{item} is left out: nobody said what value some write of it left"
            for item in sorted(self.dropped)
        ]  # fmt: skip
        said += [
            f"{count} {'read' if count == 1 else 'reads'} of {item} left out: which write they saw cannot be told"
            for item, count in sorted(self._unattributed.items())
        ]
        return said


def _told(op: Op) -> bool:
    """Whether the value that a write left is known, be it that the evidence inferred it."""
    return op.known or op.value is not None


def _plain(value: Any) -> Any:
    """A value that engines write in different ways, in one: ``"100.00"`` is 100."""
    exact = number(value)
    if exact is not None and exact == exact.to_integral_value() and abs(exact) < Decimal(10) ** 18:
        return int(exact)
    if value is None or isinstance(value, str | int):
        return value
    return float(value) if isinstance(value, float) else str(value)


@dataclass(slots=True)
class _Spans:
    """For each transaction the events (``seq``) between which it lay; and when events were, in seconds."""

    began: list[int]
    ended: list[int | None]
    when: dict[int, float]

    def values_of_all(self) -> list[int]:
        """All events that begin or end one."""
        return [*self.began, *(one for one in self.ended if one is not None)]

    def at(self, event: int) -> int | None:
        """When it was, in nanoseconds."""
        return round(self.when[event] * 1e9) if event in self.when else None


def _spans(units: Sequence[Unit], history: History) -> _Spans:
    """From the first step that a session began after its transaction before, to the ending of the last one.

    So a BEGIN counts, which may have taken the snapshot; and nothing is said to be after what it may have overlapped.
    """
    starts: dict[str, list[int]] = defaultdict(list)
    endings: dict[tuple[str, int], int] = {}  # by session and the event that began the step
    running: dict[str, Event] = {}
    for event in history.events:
        if event.kind is EventKind.start:
            starts[event.session].append(event.seq)
            running[event.session] = event
        elif event.kind in ENDINGS and event.session in running:
            endings[event.session, running[event.session].seq] = event.seq
    began: list[int] = [0] * len(units)
    ended: list[int | None] = [None] * len(units)
    over: dict[str, int] = defaultdict(int)
    for place, unit in sorted(enumerate(units), key=lambda one: _first(one[1])):
        later = [seq for seq in starts[unit.session] if over[unit.session] < seq <= _first(unit)]
        began[place] = min(later, default=_first(unit))
        if unit.finished:
            end = endings.get((unit.session, unit.end), unit.end)
            ended[place] = max([end, *(op.seq for op in unit.ops)])
            over[unit.session] = ended[place] or 0
    return _Spans(began, ended, {event.seq: event.at for event in history.events})


def _first(unit: Unit) -> int:
    return min((op.start for op in unit.ops), default=unit.end)
