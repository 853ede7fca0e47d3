"""Lists: each read shows every append before it, so the order of the versions can be read off (Elle, sections 3 and 4).

The longest read of a list is its version order, as far as all other reads are prefixes of it; where they are not, the order
ends. An append that a committed transaction made and that no read shows came after all that were read. A version is a
transaction's last append to a list; to read an earlier one is G1b, and no dependency besides.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from harness.evidence.checker.graph import RW, WR, WW, Graph
from harness.evidence.checker.inference import Lost, Reason, Singles, committed, shown
from harness.evidence.checker.lists import NOBODY, List, Value, distinct, first_repeated, misplaced, reason
from harness.evidence.checker.model import Key, Observed, Status


def infer(observed: Observed, examples: int) -> ListAppend:
    """Infer the dependencies of lists. Unhashable elements raise TypeError."""
    return ListAppend(observed, examples)


class ListAppend:
    """What lists give away."""

    def __init__(self, observed: Observed, examples: int) -> None:
        self.transactions = observed.transactions
        self.graph = Graph(len(self.transactions))
        self.present = committed(observed)
        self.failed = bytearray(transaction.status is Status.fail for transaction in self.transactions)
        self.keys: list[Key] = []
        self.lists: list[List] = []
        self.singles = Singles(examples)
        self.lost: list[Lost] = []
        self.notes: list[str] = []
        self.twice = 0
        self._numbers: dict[Key, int] = {}
        self._read(observed.initial)
        self._admit()
        for number in range(len(self.lists)):
            self._order(number)
        for number in range(len(self.lists)):
            self._connect(number)
            self._lost(number)
        if self.twice:
            self.notes.append(
                f"{self.twice} elements were appended more than once to one list: whose a read shows cannot be told"
            )

    def _list(self, key: Key) -> int:
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.lists)
            self.keys.append(key)
            self.lists.append(List())
        return number

    def _read(self, initial: Any) -> None:
        """One way through all transactions: appends, reads, and what contradicts itself within a transaction."""
        for key, value in initial.items():
            one = self.lists[self._list(key)]
            one.writers.update(dict.fromkeys(value or (), NOBODY))
        numbers, lists, find = self._numbers, self.lists, self._list
        for position, transaction in enumerate(self.transactions):
            status = transaction.status
            ok = status is Status.ok
            state: dict[int, Value] = {}  # what the next read must show; of ``tails`` only how it must end
            tails: dict[int, Hashable] = {}
            own: dict[int, Hashable] = {}
            told = False
            for op in transaction.ops:
                key, value = op.key, op.value
                number = numbers.get(key)
                if number is None:
                    number = find(key)
                one = lists[number]
                if op.f == "append":
                    if value in one.writers:
                        self.twice += 1
                        one.writers[value] = NOBODY
                    else:
                        one.writers[value] = position
                    if number in own:
                        one.early.add(own[number])
                    elif ok and number in state:
                        one.updates.append((position, state[number]))
                    own[number] = value
                    if number in state:
                        state[number] = (*state[number], value)
                    else:
                        state[number] = (value,)
                        tails[number] = value
                elif value is not None and status is not Status.fail:
                    if type(value) is not tuple:
                        value = tuple(value)
                    expected = state.get(number)
                    if expected is None:
                        pass
                    elif number in tails:
                        if value[-len(expected) :] != expected and not told and ok:
                            told = True
                            self._internal(position, key, value, f"… {shown(expected)[1:-1]}")
                    elif value != expected and not told and ok:
                        told = True
                        self._internal(position, key, value, shown(expected))
                    tails.pop(number, None)
                    if ok and (expected is None or value != expected or number in own):
                        one.readers.append(position)
                        one.values.append(value)
                    state[number] = value
            if ok and own and not told:
                self._future(position)

    def _internal(self, position: int, key: Key, value: Value, expected: str) -> None:
        if self.singles.wanted("internal"):
            name = self.transactions[position].name
            self.singles.keep(
                "internal",
                (position,),
                f"{name} read {shown(value)} of {shown(key)}",
                f"by what it had itself read and appended before, that had to be {expected}",
            )

    def _future(self, position: int) -> None:
        """A read that shows what its own transaction appends only later."""
        ops = self.transactions[position].ops
        for place, op in enumerate(ops):
            if op.f != "r" or not op.value:
                continue
            for later in ops[place + 1 :]:
                if later.f == "append" and later.key == op.key and later.value in op.value:
                    if self.singles.wanted("future-read"):
                        name = self.transactions[position].name
                        self.singles.keep(
                            "future-read",
                            (position,),
                            f"{name} read {shown(op.value)} of {shown(op.key)}",
                            f"it appended {shown(later.value)} only after that",
                        )
                    return

    def _order(self, number: int) -> None:
        """The version order of a list, and what its reads show that cannot be."""
        one = self.lists[number]
        longest: Value = max(one.values, key=len, default=())
        at = one.values.index(longest) if one.values else 0
        safe = len(longest)
        clash: tuple[int, Value] | None = None
        checked: set[int] = set()  # ids of values that were looked at
        odd: list[tuple[int, Value]] = []
        for reader, value in zip(one.readers, one.values, strict=True):
            if longest[: len(value)] == value or id(value) in checked:
                continue
            checked.add(id(value))
            odd.append((reader, value))
            same = next(place for place, (left, right) in enumerate(zip(longest, value, strict=False)) if left != right)
            if clash is None or same < safe:
                clash = (reader, value)
            safe = min(safe, same)
        if clash and self.singles.wanted("incompatible-order"):
            readers = (one.readers[at], clash[0])
            first, second = (self.transactions[reader].name for reader in readers)
            self.singles.keep(
                "incompatible-order",
                readers,
                f"{first} read {shown(longest)} of {shown(self.keys[number])}",
                f"{second} read {shown(clash[1])}: neither can have become the other by appends",
            )
        if one.values:
            reads = [(one.readers[at], longest), *odd]
            self._elements(number, reads)
            if one.early:
                safe = min(safe, self._own_order(number, reads))
        repeated = first_repeated(longest)
        if repeated is not None:
            safe = min(safe, repeated)
        one.order = longest[:safe]
        one.whole = safe == len(longest)

    def _own_order(self, number: int, reads: list[tuple[int, Value]]) -> int:
        """What a transaction appended is there in its order, and nothing of it without what it had appended before.

        How much of the longest read, the first one, that is true of.
        """
        one, key = self.lists[number], self.keys[number]
        own: dict[int, list[Hashable]] = {}
        for element in one.early:
            writer = one.writers[element]
            if writer >= 0 and not self.failed[writer] and writer not in own:
                own[writer] = one.appended(self.transactions[writer], key, writer)
        safe = len(reads[0][1])
        told: set[int] = set()
        for reader, value in reads:
            for place, writer, missing in misplaced(value, own, one):
                if value is reads[0][1]:
                    safe = min(safe, place)
                if writer not in told and self.singles.wanted("incompatible-order"):
                    names = self.transactions[reader].name, self.transactions[writer].name
                    self.singles.keep(
                        "incompatible-order",
                        (writer, reader),
                        f"{names[0]} read {shown(value)} of {shown(key)}",
                        f"{names[1]} appended {shown(missing)} to it before {shown(value[place])}",
                    )
                told.add(writer)
        return safe

    def _elements(self, number: int, reads: list[tuple[int, Value]]) -> None:
        """Elements that nobody appended, that failed transactions did, or that are there twice."""
        one, key = self.lists[number], self.keys[number]
        seen: set[Hashable] = set()
        doubled: set[Hashable] = set()
        for reader, value in reads:
            name = self.transactions[reader].name
            here: set[Hashable] = set()
            for element in value:
                if element in here and element not in doubled:
                    doubled.add(element)
                    if self.singles.wanted("duplicate-elements"):
                        times = value.count(element)
                        self.singles.keep(
                            "duplicate-elements",
                            (reader, *(() if one.writers.get(element, NOBODY) < 0 else (one.writers[element],))),
                            f"{name} read {shown(value)} of {shown(key)}",
                            f"{shown(element)} is there {times} times, and was appended once",
                        )
                here.add(element)
                if element in seen:
                    continue
                seen.add(element)
                writer = one.writers.get(element)
                if writer is None:
                    if self.singles.wanted("garbage-read"):
                        first, short = one.saw(element)[0]
                        self.singles.keep(
                            "garbage-read",
                            (first,),
                            f"{self.transactions[first].name} read {shown(short)} of {shown(key)}",
                            f"nobody ever appended {shown(element)} to it",
                        )
                elif writer >= 0 and self.failed[writer]:
                    self._aborted(number, element, writer)

    def _aborted(self, number: int, element: Hashable, writer: int) -> None:
        one, key = self.lists[number], self.keys[number]
        if not self.singles.wanted("G1a"):
            return
        readers = one.saw(element)
        reader, value = readers[0]
        names = self.transactions[reader].name, self.transactions[writer].name
        others = len({position for position, _ in readers}) - 1
        self.singles.keep(
            "G1a",
            (writer, reader),
            f"{names[0]} observed {names[1]}'s append of {shown(element)} to {shown(key)}: it read {shown(value)}",
            f"{names[1]} failed, so that append never happened"
            + (f" ({others} other transactions observed it too)" if others else ""),
        )

    def _admit(self) -> None:
        """Transactions of unknown end whose appends were read did commit; what they read counts then, too."""
        unsure = bytearray(transaction.status is Status.info for transaction in self.transactions)
        if not any(unsure):
            return
        pending = [(one, value) for one in self.lists for value in distinct(one.values)]
        while pending:
            one, value = pending.pop()
            for element in value:
                writer = one.writers.get(element, NOBODY)
                if writer < 0 or not unsure[writer]:
                    continue
                self.present[writer] = 1
                unsure[writer] = 0
                state: dict[Key, Value | None] = {}  # None of a list that it has appended to
                for op in self.transactions[writer].ops:
                    seen = self.lists[self._numbers[op.key]]
                    if op.f == "append":
                        before = state.get(op.key)
                        state[op.key] = None
                        if before is not None:
                            seen.updates.append((writer, before))
                    elif op.value is not None:
                        value = tuple(op.value)
                        if op.key not in state or state[op.key] is not None:
                            state[op.key] = value
                        seen.readers.append(writer)
                        seen.values.append(value)
                        pending.append((seen, value))

    def _connect(self, number: int) -> None:
        """The edges of one list."""
        one, add, present = self.lists[number], self.graph.add, self.present
        order, writers = one.order, one.writers
        writer_at = [writers.get(element, NOBODY) for element in order]
        last = NOBODY
        for writer in writer_at:
            if writer >= 0 and present[writer] and writer != last:
                if last >= 0:
                    add(WW, last, writer, number)
                last = writer
        if one.whole:
            observed = set(order)
            unseen = {
                writer: None
                for element, writer in writers.items()
                if element not in observed and writer >= 0 and present[writer]
            }
            one.unseen = [writer for writer in unseen if writer != last]
            if last >= 0:
                for writer in one.unseen:
                    add(WW, last, writer, number)
        early, length = one.early, len(order)
        at_end: dict[int, None] = {}
        for reader, value in zip(one.readers, one.values, strict=True):
            size = len(value)
            writer = NOBODY
            if size:
                element = value[-1]
                writer = writers.get(element, NOBODY)
                if writer == reader:
                    continue  # its own; what came before and comes after it is told by ww
                if writer >= 0 and present[writer]:
                    add(WR, writer, reader, number)
                if element in early and writer >= 0:
                    self._intermediate(number, reader, writer, value)
            if size > length or (size == length and not one.whole):
                continue
            place = size
            while place < length:
                following = writer_at[place]
                if following >= 0 and present[following] and following != writer:
                    if following != reader:
                        add(RW, reader, following, number)
                    break
                place += 1
            else:
                if one.whole and one.unseen:
                    at_end[reader] = None
        if at_end:
            self.graph.every(RW, list(at_end), one.unseen, number)

    def _intermediate(self, number: int, reader: int, writer: int, value: Value) -> None:
        element, key = value[-1], shown(self.keys[number])
        own = [op.value for op in self.transactions[writer].ops if op.f == "append" and op.key == self.keys[number]]
        if self.failed[writer] or own[-1] in value or not self.singles.wanted("G1b"):
            return
        names = self.transactions[reader].name, self.transactions[writer].name
        self.singles.keep(
            "G1b",
            (writer, reader),
            f"{names[0]} observed {names[1]}'s append of {shown(element)} to {key}, and nothing after it",
            f"{names[1]} appended {shown(own[-1])} to {key} later: that was not its last word",
        )

    def _lost(self, number: int) -> None:
        """Lost updates, and updates of what failed transactions had appended."""
        one, key = self.lists[number], self.keys[number]
        groups: dict[tuple[int, Hashable], dict[int, Value]] = {}
        if len(one.updates) > 1:
            for position, value in one.updates:
                if value and one.writers.get(value[-1]) == position:
                    continue  # it read what it appended only later, which is told as such
                groups.setdefault((len(value), value[-1] if value else None), {})[position] = value
        for group in groups.values():
            if len(group) > 1 and len(set(group.values())) == 1:
                self.lost.append(Lost(number, shown(next(iter(group.values()))), tuple(sorted(group))))
        before, dirty = NOBODY, None
        for element in one.order:
            writer = one.writers.get(element, NOBODY)
            if writer < 0:
                continue
            if self.failed[writer]:
                before, dirty = writer, element
            elif self.present[writer]:
                if before >= 0 and self.singles.wanted("dirty-update"):
                    names = self.transactions[before].name, self.transactions[writer].name
                    self.singles.keep(
                        "dirty-update",
                        (before, writer),
                        f"{names[1]} appended {shown(element)} to {shown(key)} after {names[0]} appended {shown(dirty)}",
                        f"{names[0]} failed, and its append lives on in what {names[1]} committed",
                    )
                before = NOBODY

    def why(self, kind: int, source: int, target: int, place: int) -> Reason:
        """The reason of an edge, from the two transactions and the list it lies on."""
        ends = self.transactions[source], self.transactions[target]
        return reason(self.lists[place], self.keys[place], kind, source, target, ends)

    def sight(self, writer: int, reader: int, place: int) -> tuple[int, int]:
        """When a reader first saw an append of a writer, to any list, and when it last missed one to this list."""
        seen = missed = -1
        mine = self.keys[place]
        theirs: dict[Key, list[Hashable]] = {}
        for op in self.transactions[writer].ops:
            if op.f == "append" and self.lists[self._numbers[op.key]].writers[op.value] == writer:
                theirs.setdefault(op.key, []).append(op.value)
        for at, op in enumerate(self.transactions[reader].ops):
            if op.f == "r" and op.value is not None and op.key in theirs:
                shows = [element in op.value for element in theirs[op.key]]
                if seen < 0 and any(shows):
                    seen = at
                if op.key == mine and not all(shows):
                    missed = at
        return seen, missed
