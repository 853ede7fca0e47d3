"""Anomalies to be planted, in short.

``a: rA rB1`` is a transaction of session a that reads object A as it was before, and B as it is after version 1; ``w``
writes a version of a register and appends to a list, ``i`` increments a counter to a version. ``!`` after the session: it
failed; ``?``: nobody knows. ``p/2-3``: from moment 2 to moment 3; all others are under way from 0 to 9. A list's reads have
all its versions (``rA12``), other objects' only the last one. ``ends``: what is there afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.checker.model import Key, MicroOp, Observed, Status, Transaction, Workload

from .simulated import BALANCE, Store

FAR = 1_000_000
"""How far a counter's version 9, which nobody left, is from where it was."""


@dataclass(frozen=True)
class Plant:
    name: str
    transactions: tuple[str, ...]
    ends: str = ""
    besides: frozenset[str] = frozenset()  # what else may be found
    realtime: bool = False  # it needs real-time order


def plant(name: str, text: str, ends: str = "", besides: str = "", *, realtime: bool = False) -> Plant:
    return Plant(name, tuple(text.split(" | ")), ends, frozenset(besides.split()), realtime)


LISTS = [
    plant("G0", "a: wA1 wB1 | b: wA2 wB2 | c: rA12 rB21", "A12 B21"),
    plant("G0", "a: wA1 wB1 | b: wA2 wC1 | c: wC2 wB2 | d: rA12 rB21 rC12", "A12 B21 C12"),
    plant("G1a", "a!: wA1 | b: rA1", "A1", "dirty-update"),
    plant("G1b", "a: wA1 wA2 | b: rA1", "A12"),
    plant("G1c", "a: wA1 rB1 | b: wA2 wB1 | c: rA12", "A12 B1"),
    plant("G1c", "a: wA1 rB1 | b: wB1 rA1", "A1 B1"),
    plant("G1c", "a: wA1 rB1 | b: wB1 rC1 | c: wC1 rA1", "A1 B1 C1"),
    plant("G-single", "a: rA rB1 | b: wA1 wB1", "A1 B1"),
    plant("G-single", "a: rA rB1 | b: wA1 wC1 | c: rC1 wB1", "A1 B1 C1"),
    plant("G-single", "a: rA wA2 | b: wA1 | c: rA12", "A12"),
    plant("G-nonadjacent", "a: rA wD2 | b: wA1 wB1 | c: wB2 rC | d: wC1 wD1 | e: rB12 rD12", "A1 B12 C1 D12"),
    plant("long-fork", "a: wA1 | b: wB1 | c: rA1 rB | d: rA rB1", "A1 B1"),
    plant("G2-item", "a: rA wB1 | b: rB wA1", "A1 B1"),
    plant("G2-item", "a: rA wB1 | b: rB wC1 | c: rC wA1", "A1 B1 C1"),
    plant("G2-item", "a: rA rB wB1 | b: rB rA wA1 | c: rA1 rB1", "A1 B1"),
    plant("lost-update", "a: rA wA1 | b: rA wA2", "A12"),
    plant("lost-update", "a: rA wA1 | b: rA wA2 | c: rA wA3", "A123"),
    plant("internal", "a: wA1 rA", "A1"),
    plant("internal", "a: rA wA1 rA", "A1"),
    plant("internal", "a: rA wA1 rA12 | b: wA2", "A12", "G1c G-single"),
    plant("future-read", "a: rA1 wA1", "A1"),
    plant("duplicate-elements", "a: wA1 | b: rA11", "A1", "incompatible-order"),
    plant("garbage-read", "a: rA9", "A9"),
    plant("incompatible-order", "a: wA1 | b: wA2 | c: rA12 | d: rA21", "A12"),
    plant("dirty-update", "a!: wA1 | b: wA2 | c: rA12", "A12", "G1a"),
    plant("G0-process", "p/0-1: wA1 | p/2-3: wA2 | c: rA21", "A21"),
    plant("G1c-process", "p/0-1: rA1 | p/2-3: wA1", "A1"),
    plant("G-single-process", "p/0-1: wA1 | p/2-3: rA", "A1"),
    plant("G-nonadjacent-process", "a: rA rD1 | p/0-1: wA1 | p/2-3: rC | d: wC1 wD1", "A1 C1 D1"),
    plant("G2-item-process", "p/0-1: wB1 | p/2-3: rA | q/0-3: wA1 rB", "A1 B1"),
    plant("G0-realtime", "p/0-1: wA1 | q/2-3: wA2 | c: rA21", "A21", realtime=True),
    plant("G1c-realtime", "p/0-1: rA1 | q/2-3: wA1", "A1", realtime=True),
    plant("G-single-realtime", "p/0-1: wA1 | q/2-3: rA", "A1", realtime=True),
    plant("G-nonadjacent-realtime", "a: rA rD1 | p/0-1: wA1 | q/2-3: rC | d: wC1 wD1", "A1 C1 D1", realtime=True),
    plant("G2-item-realtime", "p/0-1: wB1 | q/2-3: rA | r/0-3: wA1 rB", "A1 B1", realtime=True),
]
"""For lists."""

REGISTERS = [
    plant("G0", "a: wA1 rB1 wB2 | b: wB1 rA1 wA2", "A2 B2", "G1b"),
    plant("G1a", "a!: wA1 | b: rA1", "A1"),
    plant("G1b", "a: wA1 wA2 | b: rA1", "A2"),
    plant("G1c", "a: wA1 rB1 | b: wB1 rA1", "A1 B1"),
    plant("G1c", "a: wA1 rB1 | b: wB1 rC1 | c: wC1 rA1", "A1 B1 C1"),
    plant("G-single", "a: rA rB1 | b: rA wA1 rB wB1", "A1 B1"),
    plant("G-nonadjacent", "a: rA rD1 wD2 | b: rA wA1 rB wB1 | c: rB1 wB2 rC | d: rC wC1 rD wD1", "A1 B2 C1 D2"),
    plant("long-fork", "a: rA wA1 | b: rB wB1 | c: rA1 rB | d: rA rB1", "A1 B1"),
    plant("G2-item", "a: rA rB wB1 | b: rB rA wA1", "A1 B1"),
    plant("lost-update", "a: rA wA1 | b: rA wA2", "A2"),
    plant("internal", "a: wA1 rA", "A1"),
    plant("future-read", "a: rA1 wA1", "A1"),
    plant("cyclic-versions", "a: rA2 wA1 | b: rA1 wA2", "A2", "G1c lost-update"),
    plant("garbage-read", "a: rA9"),
    plant("G1c-process", "p/0-1: rA1 | p/2-3: rA wA1", "A1"),
    plant("G-single-process", "p/0-1: rA wA1 | p/2-3: rA", "A1"),
    plant("G2-item-process", "p/0-1: rB wB1 | p/2-3: rA | q/0-3: rA wA1 rB", "A1 B1"),
    plant("G-single-realtime", "p/0-1: rA wA1 | q/2-3: rA", "A1", realtime=True),
]
"""For registers and accounts."""

COUNTERS = [
    plant("G0", "a: iA1 iB2 | b: iB1 iA2", "A2 B2"),
    plant("G1a", "a!: iA1 | b: rA1", "A1"),
    plant("G1b", "a: iA1 iA2 | b: rA1", "A2"),
    plant("G1c", "a: iA1 rB1 | b: iB1 rA1", "A1 B1"),
    plant("G-single", "a: rA rB1 | b: iA1 iB1", "A1 B1"),
    plant("long-fork", "a: iA1 | b: iB1 | c: rA1 rB | d: rA rB1", "A1 B1"),
    plant("G2-item", "a: rA iB1 | b: rB iA1", "A1 B1"),
    plant("lost-update", "a: iA1 | b: iA1", "A1"),
    plant("internal", "a: iA1 rA", "A1"),
    plant("garbage-read", "a: rA9"),
    plant("G-single-process", "p/0-1: iA1 | p/2-3: rA", "A1"),
    plant("G-single-realtime", "p/0-1: iA1 | q/2-3: rA", "A1", realtime=True),
]
"""For counters."""

PLANTS: dict[Workload, list[Plant]] = {
    Workload.list_append: LISTS,
    Workload.rw_register: REGISTERS,
    Workload.bank: REGISTERS,
    Workload.counter: COUNTERS,
}

_TRANSACTION = re.compile(r"(\w+)(?:/(\d)-(\d))?([!?]?): (.*)")


@dataclass
class _Made:
    """Versions of the planted objects as values."""

    workload: Workload
    keys: Mapping[str, Key]
    before: Mapping[Key, Any]
    fresh: Callable[[], int]
    elements: dict[tuple[str, str], int] = field(default_factory=dict)

    def element(self, name: str, version: str) -> int:
        if (name, version) not in self.elements:
            self.elements[name, version] = self.fresh()
        return self.elements[name, version]

    def value(self, name: str, versions: str) -> Any:
        """What a read sees."""
        base = self.before.get(self.keys[name])
        if self.workload is Workload.list_append:
            return (*(base or ()), *(self.element(name, version) for version in versions))
        if not versions or versions == "0":
            return (
                base if base is not None else {Workload.bank: (BALANCE, None), Workload.counter: 0}.get(self.workload)
            )
        if self.workload is Workload.counter:
            return (base or 0) + (FAR if versions[-1] == "9" else int(versions[-1]))
        element = self.element(name, versions[-1])
        if self.workload is Workload.bank:
            return ((base or (BALANCE,))[0], f"planted {element}")
        return element

    def op(self, text: str) -> MicroOp:
        f, name, versions = text[0], text[1], text[2:]
        key = self.keys[name]
        if f == "r":
            return MicroOp("r", key, self.value(name, versions))
        if f == "i":
            return MicroOp("inc", key, (1, self.value(name, versions)))
        if self.workload is Workload.list_append:
            return MicroOp("append", key, self.element(name, versions))
        return MicroOp("w", key, self.value(name, versions))


def plant_into(store: Store, what: Plant, keys: Mapping[str, Key], *, mixed: bool = False) -> list[int]:
    """Add a plant's transactions to a store's history; their indexes. ``mixed``: its own sessions go on meanwhile."""

    def fresh() -> int:
        store.element += 1
        return store.element

    made = _Made(store.workload, keys, dict(store.state), fresh)
    events = []
    for number, text in enumerate(what.transactions):
        match = _TRANSACTION.fullmatch(text)
        assert match, text
        session, start, end, mark, ops = match.groups()
        events += [(int(start or 0), 0, number), (int(end or 9), 1, number)]
        made_ops = tuple(made.op(one) for one in ops.split())
        status = {"!": Status.fail, "?": Status.info}.get(mark, Status.ok)
        what_it_is = Transaction(0, f"planted {session}", status, made_ops, 0)
        events[-1] = (*events[-1][:2], number, what_it_is)  # type: ignore[assignment]
    places: dict[int, tuple[int, int]] = {}
    for _, ended, number, *one in sorted(events, key=lambda event: event[:3]):
        if mixed:
            for _ in range(store.random.randrange(6)):
                store.step(store.random.choice(store.sessions))
        if not ended:
            places[number] = (len(store.made), store.tick())
            store.made.append(None)
        else:
            place, invoked = places[number]
            done = one[0]
            completed = store.tick()
            store.made[place] = Transaction(place, done.process, done.status, done.ops, invoked, completed)
    for end in what.ends.split():
        store.state[keys[end[0]]] = made.value(end[0], end[1:])
    return [place for place, _ in places.values()]


def alone(workload: Workload, what: Plant) -> Observed:
    """A history of nothing else, and at its end a transaction that reads what is there."""
    store = Store(workload, seed=0, keys=4)
    plant_into(store, what, dict(zip("ABCD", store.keys, strict=True)))
    reads = tuple(MicroOp("r", key, value) for key, value in store.state.items())
    store.made.append(Transaction(len(store.made), "last", Status.ok, reads, store.tick(), store.tick()))
    return store.observed()
