"""Histories of stores that are nowhere but here: a serial one, one with snapshots, one that reads what is committed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.checker.model import Key, MicroOp, Observed, Status, Transaction, Workload

SERIAL, SNAPSHOT, COMMITTED = "serial", "snapshot", "read committed"
BALANCE = 100


@dataclass(slots=True)
class Session:
    name: Key
    state: str = "idle"
    wanted: list[tuple[str, Key, Any]] = field(default_factory=list)
    ops: list[MicroOp] = field(default_factory=list)
    view: dict[Key, Any] = field(default_factory=dict)  # what it sees: its snapshot, and what it wrote
    written: dict[Key, list[MicroOp]] = field(default_factory=dict)
    versions: dict[Key, int] = field(default_factory=dict)
    invoked: int = 0
    place: int = -1
    fate: Status = Status.ok


class Store:
    """A store and its sessions: one step of one session at a time, which one by chance."""

    def __init__(
        self,
        workload: Workload,
        isolation: str = SERIAL,
        seed: int = 0,
        *,
        sessions: int = 5,
        keys: int = 4,
        longest: int = 4,
        failing: float = 0.06,
        unknown: float = 0.06,
        fresh: int = 0,
        until: int = 10**9,
    ) -> None:
        self.random = random.Random(seed)
        self.workload = workload
        self.isolation = isolation
        self.longest = longest
        self.failing, self.unknown = failing, unknown
        self.fresh = fresh  # so many appends, then the key is left for a new one; 0: never
        self.until = until  # the balance of each account at most
        self.keys: list[Key] = (
            [f"k{number}" for number in range(keys)] if workload is Workload.bank else list(range(keys))
        )
        self.newest = keys
        self.state: dict[Key, Any] = {}
        if workload is Workload.bank:
            self.state = dict.fromkeys(self.keys, (BALANCE, "initial"))
        self.initial = dict(self.state)
        self.version: dict[Key, int] = {}
        self.element = 0
        self.made: list[Transaction | None] = []
        self.position = 0
        self.sessions = [Session(number) for number in range(sessions)]
        self.crashed = 0

    def run(self, transactions: int) -> None:
        """Begin so many transactions, and end all of them."""
        wanted = len(self.made) + transactions
        while True:
            open_ = [one for one in self.sessions if one.state != "idle" or len(self.made) < wanted]
            if not open_:
                return
            self.step(self.random.choice(open_))

    def observed(self) -> Observed:
        return Observed(
            self.workload,
            tuple(one for one in self.made if one is not None),
            self.initial,
            len(self.keys) * BALANCE if self.workload is Workload.bank else None,
            "simulated",
        )

    def tick(self) -> int:
        self.position += 1
        return self.position - 1

    def step(self, session: Session) -> None:
        if session.state == "idle":
            chance = self.random.random()
            session.fate = (
                Status.fail
                if chance < self.failing
                else Status.info
                if chance < self.failing + self.unknown
                else Status.ok
            )
            session.invoked, session.place = self.tick(), len(self.made)
            self.made.append(None)
            session.wanted, session.ops, session.written = self.invent(), [], {}
            session.state = "invoked"
        elif session.state == "invoked":
            session.view = self.now(session)
            session.versions = {key: self.version.get(key, 0) for _, key, _ in session.wanted}
            session.state = "begun"
            if self.isolation == SERIAL:
                self.execute(session)
                self.commit(session)
                session.state = "over"
        elif session.state == "begun":
            if self.isolation == SNAPSHOT or not session.wanted:
                self.execute(session)
                self.commit(session)
                session.state = "over"
            else:
                kept = dict(session.view)
                session.view = self.now(session)
                for key, ops in session.written.items():
                    session.view[key] = self.replay(self.state.get(key), ops, kept[key])
                self.one(session, session.wanted.pop(0))
        else:
            self.end(session)

    def now(self, session: Session) -> dict[Key, Any]:
        """The state of what a transaction works on."""
        keys = {key: None for _, key, _ in session.wanted} | dict.fromkeys(session.written)
        return {key: self.state[key] for key in keys if key in self.state}

    def execute(self, session: Session) -> None:
        while session.wanted:
            self.one(session, session.wanted.pop(0))

    def one(self, session: Session, wanted: tuple[str, Key, Any]) -> None:
        f, key, value = wanted
        view = session.view
        if f == "append":
            view[key] = (*view.get(key, ()), value)
        elif f == "w":
            if callable(value):
                value = value(view)
            view[key] = value
        elif f == "inc":
            view[key] = view.get(key, 0) + value
            value = (value, view[key])
        else:
            value = view.get(key, {Workload.list_append: (), Workload.counter: 0}.get(self.workload))
        op = MicroOp(f, key, value)
        session.ops.append(op)
        if f != "r":
            session.written.setdefault(key, []).append(op)

    def replay(self, value: Any, ops: list[MicroOp], own: Any) -> Any:
        if self.workload is Workload.list_append:
            return (*(value or ()), *(op.value for op in ops))
        return own

    def commit(self, session: Session) -> None:
        clash = any(self.version.get(key, 0) != session.versions.get(key, 0) for key in session.written)
        if self.isolation == SNAPSHOT and clash:
            session.fate = Status.fail if session.fate is Status.ok else session.fate
            return
        if session.fate is Status.fail or (session.fate is Status.info and self.random.random() < 0.5):
            return
        for key, ops in session.written.items():
            self.state[key] = self.replay(self.state.get(key), ops, session.view[key])
            self.version[key] = self.version.get(key, 0) + 1

    def end(self, session: Session) -> None:
        ops = session.ops
        if session.fate is Status.info:
            ops = [self.forgotten(op) for op in ops]
        completed = None if session.fate is Status.info and self.random.random() < 0.5 else self.tick()
        self.made[session.place] = Transaction(
            session.place, session.name, session.fate, tuple(ops), session.invoked, completed
        )
        session.state = "idle"
        if session.fate is Status.info:
            self.crashed += 1
            session.name = len(self.sessions) * 1000 + self.crashed

    def forgotten(self, op: MicroOp) -> MicroOp:
        if op.f == "r":
            return MicroOp("r", op.key)
        return MicroOp("inc", op.key, (op.value[0], None)) if op.f == "inc" else op

    def invent(self) -> list[tuple[str, Key, Any]]:
        """What a transaction wants to do."""
        if self.workload is Workload.bank:
            return self.transfer()
        found: list[tuple[str, Key, Any]] = []
        for _ in range(self.random.randint(1, self.longest)):
            place = self.random.randrange(len(self.keys))
            key = self.keys[place]
            if self.random.random() < 0.5:
                found.append(("r", key, None))
            elif self.workload is Workload.counter:
                found.append(("inc", key, self.random.randint(1, 3)))
            else:
                self.element += 1
                found.append(("append" if self.workload is Workload.list_append else "w", key, self.element))
                if self.fresh and self.element % self.fresh == 0:
                    self.keys[place] = self.newest
                    self.newest += 1
        return found

    def transfer(self) -> list[tuple[str, Key, Any]]:
        if self.random.random() < 0.4:
            return [("r", key, None) for key in self.random.sample(self.keys, len(self.keys))]
        source, target = self.random.sample(self.keys, 2)
        amount, self.element = self.random.randint(1, 5), self.element + 1
        tag = f"t{self.element}"

        def change(key: Key, by: int) -> Callable[[Mapping[Key, Any]], tuple[int, str]]:
            return lambda view: (view[key][0] + by, tag)

        return [
            ("r", source, None),
            ("r", target, None),
            ("w", source, change(source, -amount)),
            ("w", target, change(target, amount)),
        ]


def simulate(workload: Workload, isolation: str, transactions: int, seed: int, **options: Any) -> Observed:
    """A history of so many transactions."""
    store = Store(workload, isolation, seed, **options)
    store.run(transactions)
    return store.observed()


def kinds() -> Iterator[Workload]:
    yield from Workload
