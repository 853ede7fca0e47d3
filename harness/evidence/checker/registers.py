"""Objects of which a read shows the last write only: what registers, accounts and counters have in common.

Writes are unique, so a read tells whose version it saw (wr). The order of versions is known as far as transactions wrote
what they had read (a write follows its reads), and the initial version comes before all others; a counter that only grows
tells all of it. So each version has at most one that is known to come right before it. What was read comes before
every version that comes later in that order: between the two there is an rw and perhaps ww, or only ww, so that no cycle is
called more basic than it is (Elle, section 4.2).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.evidence.checker.graph import RW, WR, WW, Graph
from harness.evidence.checker.inference import Lost, Reason, Singles, committed, shown
from harness.evidence.checker.model import Key, Observed, Status, Transaction

READ: Final = 0
WRITE: Final = 1
BLUR: Final = 2  # a write of nobody knows what
NOBODY: Final = -1

INITIAL: Final = None
"""The version that nobody wrote."""

Touch = tuple[int, int, Any]
"""The number of an object, what was done to it, and its version."""


@dataclass(slots=True)
class Register:
    """One object: who wrote which version, and who read it."""

    initial: Any = None
    writers: dict[Hashable, int] = field(default_factory=dict)  # by version; NOBODY if two wrote it
    aborted: dict[Hashable, int] = field(default_factory=dict)  # the same, of transactions that failed
    early: dict[Hashable, int] = field(default_factory=dict)  # who overwrote a version of its own
    readers: dict[Hashable, list[int]] = field(default_factory=dict)
    updates: dict[Hashable, list[int]] = field(default_factory=dict)  # who wrote it after reading this version
    follows: dict[Hashable, Hashable] = field(default_factory=dict)  # for a version what its writer had read
    ambiguous: bool = False  # somebody wrote the value that was there initially


class Registers:
    """What registers give away. Subclasses say what an operation does to which version."""

    def __init__(self, observed: Observed, examples: int) -> None:
        self.observed = observed
        self.transactions = observed.transactions
        self.graph = Graph(len(self.transactions))
        self.present = committed(observed)
        self.keys: list[Key] = []
        self.registers: list[Register] = []
        self.singles = Singles(examples)
        self.lost: list[Lost] = []
        self.notes: list[str] = []
        self.numbers: dict[Key, int] = {}
        self.twice = 0
        self.unsure: dict[
            int, list[tuple[int, Hashable, Hashable]]
        ] = {}  # what those of unknown end read, and then wrote
        for key in observed.initial:
            self.number(key)
        self._read()
        self._admit()
        for number, register in enumerate(self.registers):
            self.reads(number, register)
        for number, register in enumerate(self.registers):
            self.lose(number, register)
            self._connect(number, register)
        self._note()

    def touches(self, transaction: Transaction) -> Iterable[Touch]:
        """What a transaction did, in its order. Reads whose result is not known are left out."""
        raise NotImplementedError

    def version(self, register: Register, value: Any) -> Hashable:
        """The version that a value is; :data:`INITIAL` for the one that was there before."""
        return INITIAL if value == register.initial else value

    def number(self, key: Key) -> int:
        """The number of an object, a new one if it has none."""
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.registers)
            self.keys.append(key)
            self.registers.append(Register(self.observed.initial.get(key)))
        return number

    def said(self, number: int, version: Hashable) -> str:
        """A version as a proof names it."""
        return shown(self.registers[number].initial if version is INITIAL else version)

    def _read(self) -> None:
        """One way through all transactions."""
        registers = self.registers
        for position, transaction in enumerate(self.transactions):
            status = transaction.status
            ok, failed = status is Status.ok, status is Status.fail
            state: dict[int, Hashable] = {}
            first: dict[int, Hashable] = {}
            last: dict[int, Hashable] = {}
            blurred: set[int] = set()
            own: set[tuple[int, Hashable]] = set()
            told = False
            for number, kind, version in self.touches(transaction):
                register = registers[number]
                if kind == READ:
                    if failed:
                        continue
                    if number in state:
                        if ok and not told and state[number] != version:
                            told = True
                            self._internal(position, number, version, state[number])
                    elif number not in blurred:
                        first[number] = version
                    state[number] = version
                elif kind == WRITE:
                    if number in last and not failed:
                        register.early[last[number]] = position
                    last[number] = state[number] = version
                    own.add((number, version))
                    if version is INITIAL:
                        register.ambiguous = register.ambiguous or not failed
                    elif failed:
                        register.aborted[version] = position
                    elif version in register.writers:
                        self.repeated(number, version, position)
                    else:
                        register.writers[version] = position
                else:
                    state.pop(number, None)
                    blurred.add(number)
            if ok:
                for number, version in first.items():
                    if version is not INITIAL and (number, version) in own:
                        self._future(position, number, version)
                        continue
                    self._saw(position, number, version, last.get(number, INITIAL))
            elif first:
                self.unsure[position] = [
                    (number, version, last.get(number, INITIAL)) for number, version in first.items()
                ]

    def _saw(self, position: int, number: int, version: Hashable, written: Hashable) -> None:
        register = self.registers[number]
        register.readers.setdefault(version, []).append(position)
        if written is not INITIAL:
            register.updates.setdefault(version, []).append(position)
            register.follows[written] = version

    def repeated(self, number: int, version: Hashable, position: int) -> None:
        """Two transactions wrote one version (or one did, twice): whose a read shows cannot be told."""
        self.twice += 1
        self.registers[number].writers[version] = NOBODY

    def _internal(self, position: int, number: int, version: Hashable, expected: Hashable) -> None:
        if self.singles.wanted("internal"):
            self.singles.keep(
                "internal",
                (position,),
                f"{self.transactions[position].name} read {shown(self.keys[number])} = {self.said(number, version)}",
                f"by what it had itself read or written before, that had to be {self.said(number, expected)}",
            )

    def _future(self, position: int, number: int, version: Hashable) -> None:
        if self.singles.wanted("future-read"):
            self.singles.keep(
                "future-read",
                (position,),
                f"{self.transactions[position].name} read {shown(self.keys[number])} = {self.said(number, version)}",
                "it wrote that only after it had read it",
            )

    def reads(self, number: int, register: Register) -> None:
        """What was read that could not be: garbage, aborted and intermediate versions."""
        for version, readers in register.readers.items():
            if version is INITIAL:
                continue
            writer = register.writers.get(version)
            if writer is None:
                if self.reachable(number, version):
                    continue
                if version in register.aborted:
                    self._aborted(number, version, register.aborted[version], readers)
                else:
                    self._garbage(number, version, readers)
            elif register.early.get(version) == writer:
                for reader in readers:
                    if reader != writer:
                        self._intermediate(number, version, writer, reader)

    def reachable(self, number: int, version: Hashable) -> bool:
        """Whether a version that nobody is known to have written may have been there all the same."""
        return False

    def _garbage(self, number: int, version: Hashable, readers: list[int]) -> None:
        if self.singles.wanted("garbage-read"):
            name, key = self.transactions[readers[0]].name, shown(self.keys[number])
            self.singles.keep(
                "garbage-read",
                readers[:1],
                f"{name} read {key} = {self.said(number, version)}",
                f"no transaction ever left that in {key}",
            )

    def _aborted(self, number: int, version: Hashable, writer: int, readers: list[int]) -> None:
        if self.singles.wanted("G1a"):
            names = self.transactions[readers[0]].name, self.transactions[writer].name
            others = len(readers) - 1
            self.singles.keep(
                "G1a",
                (writer, readers[0]),
                f"{names[0]} read {shown(self.keys[number])} = {self.said(number, version)}, which {names[1]} wrote",
                f"{names[1]} failed, so that write never happened"
                + (f" ({others} other transactions read it too)" if others else ""),
            )

    def _intermediate(self, number: int, version: Hashable, writer: int, reader: int) -> None:
        if self.singles.wanted("G1b"):
            names, key = (self.transactions[reader].name, self.transactions[writer].name), shown(self.keys[number])
            self.singles.keep(
                "G1b",
                (writer, reader),
                f"{names[0]} read {key} = {self.said(number, version)}, which {names[1]} wrote",
                f"{names[1]} wrote {key} again after that: it was not its last word",
            )

    def _admit(self) -> None:
        """Transactions of unknown end whose writes were read did commit; what they read counts then, too."""
        registers = self.registers
        pending = [(number, version) for number, register in enumerate(registers) for version in register.readers]
        while pending:
            number, version = pending.pop()
            writer = registers[number].writers.get(version, NOBODY)
            if writer < 0 or self.present[writer]:
                continue
            self.present[writer] = 1
            for other, seen, written in self.unsure.pop(writer, ()):
                self._saw(writer, other, seen, written)
                pending.append((other, seen))

    def _parents(self, number: int, register: Register) -> dict[Hashable, Hashable]:
        """For each version that stayed the one that is known to come before it: one of another that stayed, or the first."""
        stayed = {version for version in register.writers if self.stayed(register, version)}
        register.follows = {
            new: old for new, old in register.follows.items() if new != old and register.writers.get(new, NOBODY) >= 0
        }
        order = self.total(number, register)
        if order is not None:
            chain = [version for version in order if version in stayed]
            return dict(zip(chain, [INITIAL, *chain], strict=False))
        cyclic = self._cyclic(number, register)
        parents: dict[Hashable, Hashable] = {}
        for version in stayed:
            before = version
            while True:
                before = register.follows.get(before, INITIAL) if before not in cyclic else INITIAL
                if before is INITIAL or (before in stayed and before not in cyclic):
                    break
                if before in register.early:
                    before = INITIAL
                    break
            parents[version] = before
        return parents

    def stayed(self, register: Register, version: Hashable) -> bool:
        """Whether a version is one that a committed transaction left when it ended."""
        writer = register.writers.get(version, NOBODY)
        return writer >= 0 and bool(self.present[writer]) and register.early.get(version) != writer

    def total(self, number: int, register: Register) -> list[Any] | None:
        """All versions in their order, if that is known; None otherwise."""
        return None

    def _cyclic(self, number: int, register: Register) -> set[Hashable]:
        """Versions that come before themselves."""
        found: set[Hashable] = set()
        state: dict[Hashable, int] = {}
        follows = register.follows
        for index, start in enumerate(follows, 1):
            path: list[Hashable] = []
            version: Hashable = start
            while version is not INITIAL and version not in state and version in follows:
                state[version] = index
                path.append(version)
                version = follows[version]
            if version is not INITIAL and state.get(version) == index:
                cycle = path[path.index(version) :]
                found.update(cycle)
                self._told_cyclic(number, register, cycle)
        return found

    def _told_cyclic(self, number: int, register: Register, cycle: list[Hashable]) -> None:
        if not self.singles.wanted("cyclic-versions"):
            return
        cycle = cycle[::-1]
        before = dict(zip(cycle, [cycle[-1], *cycle], strict=False))
        writers = [register.writers.get(version, NOBODY) for version in cycle]
        lines = []
        for version, writer in zip(cycle, writers, strict=True):
            name = self.transactions[writer].name if writer >= 0 else "somebody"
            read = self.said(number, before[version])
            lines.append(
                f"{name} read {shown(self.keys[number])} = {read} and wrote {self.said(number, version)} after it"
            )
        self.singles.keep("cyclic-versions", [writer for writer in writers if writer >= 0], *lines)

    def _connect(self, number: int, register: Register) -> None:
        """The edges of one object."""
        add, present, writers = self.graph.add, self.present, register.writers
        later: dict[Hashable, list[int]] = {}
        for version, before in self._parents(number, register).items():
            writer = writers[version]
            later.setdefault(before, []).append(writer)
            if before is not INITIAL and writers[before] != writer:
                add(WW, writers[before], writer, number)
        for version, readers in register.readers.items():
            if version is INITIAL:
                if register.ambiguous:
                    continue
            else:
                writer = writers.get(version, NOBODY)
                if writer >= 0 and present[writer]:
                    for reader in readers:
                        if reader != writer:
                            add(WR, writer, reader, number)
            following = self.following(number, version, later)
            if following:
                self.graph.every(RW, readers, following, number)

    def following(self, number: int, version: Hashable, later: Mapping[Hashable, list[int]]) -> list[int]:
        """Who wrote the versions that come right after one, as far as is known."""
        return later.get(version, [])

    def lose(self, number: int, register: Register) -> None:
        """Lost updates: two transactions that committed, as far as anybody can tell, read one version, and both wrote."""
        for version, positions in register.updates.items():
            known = not register.ambiguous if version is INITIAL else register.writers.get(version, NOBODY) >= 0
            if len(positions) > 1 and known:
                self.lost.append(Lost(number, self.said(number, version), tuple(sorted(positions))))

    def _note(self) -> None:
        if self.twice:
            self.notes.append(
                f"{self.twice} writes left a value that another write left, too: whose a read shows cannot be told"
            )
        for number, register in enumerate(self.registers):
            if register.ambiguous and register.readers.get(INITIAL):
                self.notes.append(
                    f"the initial value of {shown(self.keys[number])} was written again: reads of it tell nothing"
                )

    def why(self, kind: int, source: int, target: int, place: int) -> Reason:
        """The reason of an edge, from the two transactions and the object it lies on."""
        key = shown(self.keys[place])
        first, second = self.transactions[source], self.transactions[target]
        if kind == WR:
            version = self._first_read(second, place)
            seen = self.said(place, version)
            return Reason(seen, seen, f"{first.name} wrote {key} = {seen}, which was read by {second.name}")
        after = self.said(place, self._last_written(second, place))
        if kind == WW:
            before = self.said(place, self._last_written(first, place))
            words = f"{first.name} set {key} to {before}, and {second.name} set it to {after}"
            return Reason(before, after, f"{words}, which came later in the version order")
        version = self._first_read(first, place)
        before = self.said(place, version)
        if version is INITIAL:
            words = f"{first.name} observed the initial state of {key} ({before}), which {second.name} set to {after}"
            return Reason(before, after, words)
        words = f"{first.name} read {key} = {before}, and {second.name} set it to {after}"
        return Reason(before, after, f"{words}, which came later in the version order")

    def sight(self, writer: int, reader: int, place: int) -> tuple[int, int]:
        """When a reader first read what a writer wrote, and when it last read the version of this object that it read
        first: a later one may be after the writer's."""
        seen = missed = -1
        transaction = self.transactions[reader]
        first = self._first_read(transaction, place)
        for at, (number, kind, version) in enumerate(self.touches(transaction)):
            if kind != READ:
                continue
            if number == place and version == first:
                missed = at
            elif seen < 0 and version is not INITIAL and self.registers[number].writers.get(version) == writer:
                seen = at
        return seen, missed

    def _first_read(self, transaction: Transaction, place: int) -> Hashable:
        return next(
            (version for number, kind, version in self.touches(transaction) if number == place and kind == READ),
            INITIAL,
        )

    def _last_written(self, transaction: Transaction, place: int) -> Hashable:
        found: Hashable = INITIAL
        for number, kind, version in self.touches(transaction):
            if number == place and kind == WRITE:
                found = version
        return found
