"""Which steps can influence each other, so that of schedules that differ only in the order of others one is enough.

Two steps of different sessions are *independent* if, wherever they stand next to each other in a schedule, their
order can change nothing that anybody sees: how each step ends, its rows, who waits, what is left. Schedules that such
swaps turn into each other are one class (a trace: Mazurkiewicz, *Concurrent Program Schemes and their
Interpretations*, DAIMI PB 78, 1977), and one of each is run (Godefroid, *Partial-Order Methods for the Verification
of Concurrent Systems*, LNCS 1032, 1996; Flanagan & Godefroid, *Dynamic Partial-Order Reduction*, POPL 2005). Whatever
is not sure, conflicts. Why it is sound, rule by rule:

1. *Accesses.* Two statements conflict if both may touch one row and one of them writes (or locks) it. On PostgreSQL,
   below serializable, a plain read and a write inside a transaction commute: the reader does not see the row before
   the commit.
2. *What a commit publishes.* The end of a transaction conflicts with each access to what it wrote (elsewhere than on
   PostgreSQL: what it touched), and a statement outside of a transaction is its own end.
3. *Snapshots.* A statement that may take the snapshot of its transaction also conflicts with ends that publish what
   any later statement of that transaction touches. BEGIN takes none.
4. *Waiting.* A step that may wait disables the rest of its session, and one that ends a transaction (or fails, which
   ends it on PostgreSQL) enables others: such pairs are dependent by definition. Entries of a waiting session stand
   back and run at once when it is let go (:mod:`harness.runner.flexible`), so whatever conflicts with them conflicts
   with what lets them go, too. Sessions that may wait for each other, directly or over others, are one *knot*: in it
   all that comes after the first step that may wait is ordered, and so is the choice of a deadlock's victim, which
   depends on who waited first.
5. *Serializable* on PostgreSQL (SSI: Ports & Grittner, VLDB 2012) refuses a transaction for what others have read and
   written: whole tables count, an end conflicts with every step of the transactions that are connected to it, over
   any number of others; and of three or more that are connected, every step with every one, since any of them may be
   refused at any statement, and then the others' dangers are gone.

Not seen: what time decides (time-outs, now()), and what a statement touches unnamed, if nobody has asked the server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from harness.scenario.conflicts_knots import certain, first_waits, joined, may_wait
from harness.scenario.conflicts_model import Access, Footprint, Table
from harness.scenario.conflicts_read import Reader, Tables, footprints
from harness.scenario.conflicts_transactions import Place, all_places
from harness.scenario.model import Case, Session, Step
from harness.vocabulary import DEFAULT_LEVEL

__all__ = [
    "Access",
    "AnyOf",
    "Conflicts",
    "Footprint",
    "Related",
    "Table",
    "Tables",
    "conflicts_of",
    "footprints",
    "unplaced",
]

_SSI = ("serializable", DEFAULT_LEVEL, "")
_NO_SNAPSHOT = ("read committed", "read uncommitted", "read committed snapshot", "atomic commands")


class Related(Protocol):
    """Says which steps conflict."""

    sessions: Sequence[Session]

    def conflict(self, a: Step, b: Step) -> bool:
        """Whether the order of the two may matter; always so for two steps of one session."""
        ...

    def why(self, a: Step, b: Step) -> str:
        """Why it may, in words; empty if it cannot."""
        ...


class Conflicts:
    """The relation over the steps of ``sessions``, on the engines that the footprints tell of, at these levels by
    alias."""

    def __init__(
        self, sessions: Sequence[Session], footprints: Mapping[str, Footprint], levels: Mapping[str, str]
    ) -> None:
        self.sessions: Sequence[Session] = tuple(sessions)
        self.footprints = footprints
        self._places = all_places(self.sessions, footprints, levels)
        self._number = {place.step.name: number for number, place in enumerate(self._places)}
        self._whys: dict[tuple[str, str], str] = {}
        self._near = [0] * len(self._places)
        self._group, self._few = self._connected_transactions()
        for one, two in self._pairs():
            if why := self._direct(one, two):
                self._note(one, two, why)
        for one, two, why in list(self._over_waits()):
            self._note(one, two, why)

    def conflict(self, a: Step, b: Step) -> bool:
        """Whether the order of the two may matter; always so for two steps of one session."""
        return a.session == b.session or bool(self._near[self._number[a.name]] >> self._number[b.name] & 1)

    def why(self, a: Step, b: Step) -> str:
        """Why it may, in words; empty if it cannot."""
        if a.session == b.session:
            return f"both are steps of {a.session}"
        return self._whys.get((a.name, b.name)) or self._whys.get((b.name, a.name), "")

    def __len__(self) -> int:
        """How many pairs of steps of different sessions conflict."""
        return sum(mask.bit_count() for mask in self._near) // 2

    def _note(self, one: Place, two: Place, why: str) -> None:
        first, second = self._number[one.step.name], self._number[two.step.name]
        self._whys.setdefault((one.step.name, two.step.name), why)
        self._near[first] |= 1 << second
        self._near[second] |= 1 << first

    def _pairs(self) -> Iterator[tuple[Place, Place]]:
        """Pairs of steps of different sessions that do something."""
        acting = [place for place in self._places if place.footprint.acts]
        for number, one in enumerate(acting):
            for two in acting[number + 1 :]:
                if one.session != two.session:
                    yield one, two

    # -- rules 1 to 3

    def _direct(self, one: Place, two: Place) -> str:
        for place in (one, two):
            if place.footprint.everything:
                return f"what {place.step.name} touches cannot be told"
        group = self._group.get(one.unit)
        if group is not None and group == self._group.get(two.unit):
            end = next((place for place in (one, two) if place.footprint.kind == "end"), None)
            if end is not None:
                return f"{end.step.name} ends a serializable transaction that is connected with the other one's"
            if not self._few:
                return "both belong to three or more connected serializable transactions"
        for mine in self._own(one):
            for other in self._own(two):
                if mine.conflicts(other) and self._matters(one, mine, two, other):
                    return f"{one.step.name} {mine}, {two.step.name} {other}"
        return self._publishes(one, two) or self._publishes(two, one)

    def _own(self, place: Place) -> frozenset[Access]:
        """What a step touches itself; whole tables where reads are locked or noted by ranges and pages."""
        return self._seen(place, place.footprint.accesses)

    def _seen(self, place: Place, accesses: frozenset[Access]) -> frozenset[Access]:
        by_rows = place.footprint.engine in ("redis", "mongodb") or place.level not in _SSI
        return accesses if by_rows else frozenset(access.whole() for access in accesses)

    def _lazy(self, place: Place) -> bool:
        """Whether readers there neither wait for writers nor see them before they commit, and nothing notes reads."""
        return place.footprint.engine == "postgresql" and place.level not in _SSI

    def _matters(self, one: Place, mine: Access, two: Place, other: Access) -> bool:
        if mine.writes and other.writes:
            return True
        writer = one if mine.writes else two
        return not (self._lazy(one) and self._lazy(two)) or writer.alone

    def _published(self, place: Place) -> frozenset[Access]:
        """What others can notice by the end of a transaction that this step is, or may be."""
        ends = place.footprint.kind == "end"
        if place.footprint.engine == "redis":
            return frozenset()  # EXEC is one statement with accesses of its own
        if not ends and not place.alone and place.footprint.engine == "postgresql":
            return frozenset()
        accesses = self._seen(place, place.transaction if ends else place.footprint.accesses)
        return frozenset(access for access in accesses if access.writes) if self._lazy(place) else accesses

    def _publishes(self, end: Place, other: Place) -> str:
        published = self._published(end)
        touched = self._published(other) if other.footprint.kind == "end" else self._own(other)
        if found := _first(published, touched):
            return f"{end.step.name} ends what {found[0]}; {other.step.name} is about what {found[1]}"
        if other.snapshot and other.level not in _NO_SNAPSHOT:
            if other.opaque and published:
                return f"{end.step.name} ends a transaction; {other.step.name} may take the snapshot of what cannot be told"
            found = _first(published, self._seen(other, other.transaction))
            if found:
                taker = f"{other.step.name} may take the snapshot of what"
                return f"{end.step.name} ends what {found[0]}; {taker} {found[1]}"
        return ""

    # -- rule 5

    def _connected_transactions(self) -> tuple[dict[tuple[str, str, int], int], bool]:
        """Serializable transactions of PostgreSQL by the number of what they are connected in; whether those are of
        two."""
        noted = [
            place for place in self._places
            if place.footprint.acts and place.footprint.engine == "postgresql" and place.level in _SSI
        ]  # fmt: skip
        units = {place.unit: place for place in noted}
        names = {unit: "/".join(map(str, unit)) for unit in units}
        pairs = [
            (names[one], names[two])
            for one, place in units.items()
            for two, other in units.items()
            if one < two and (one[0] == two[0] or self._meet(place, other))
        ]
        component = joined(names.values(), pairs)
        numbers = list(component.values())
        few = all(numbers.count(number) <= 2 for number in numbers) and not any(
            place.opaque or place.murky for place in noted
        )
        return {unit: component[name] for unit, name in names.items()}, few

    def _meet(self, one: Place, two: Place) -> bool:
        if one.opaque or two.opaque:
            return True
        return _first(self._seen(one, one.transaction), self._seen(two, two.transaction)) is not None

    # -- rule 4

    def _over_waits(self) -> Iterator[tuple[Place, Place, str]]:
        """Pairs that conflict since one may let go, or hold up, a session whose later steps are at stake."""
        pairs = [pair for pair in self._pairs() if may_wait(*pair, self._own)]
        first = first_waits(pairs)
        knot = joined(first, [(one.session, two.session) for one, two in pairs])
        near = list(self._near)
        waits = [0] * len(self._places)  # for each step, those that it may have to wait for
        for one, two in pairs:
            waits[self._number[one.step.name]] |= 1 << self._number[two.step.name]
            waits[self._number[two.step.name]] |= 1 << self._number[one.step.name]
        members: dict[str, int] = {}
        late: dict[int, int] = {}
        for number, place in enumerate(self._places):
            members[place.session] = members.get(place.session, 0) | 1 << number
            if place.session in first and place.index >= first[place.session] and place.footprint.acts:
                late[knot[place.session]] = late.get(knot[place.session], 0) | 1 << number
        stirs = {place.step.name for place in self._places if self._stirs(place, first)}
        touching = {number: _union(near, mask) for number, mask in late.items()}
        for one, two in self._pairs():
            for stirring, other in ((one, two), (two, one)):
                if stirring.step.name not in stirs:
                    continue
                own = knot[stirring.session]
                name = f"{stirring.step.name} may let a waiting session go on"
                before = members[stirring.session] & ((1 << self._number[stirring.step.name]) - 1)
                if waits[self._number[other.step.name]] & before:
                    yield stirring, other, f"{other.step.name} may wait for what {stirring.session} holds, and {name}"
                elif knot.get(other.session) == own and other.index > first[other.session]:
                    yield stirring, other, f"{name}, and {other.step.name} may come after a wait"
                elif other.step.name in stirs and knot[other.session] == own:
                    yield stirring, other, f"{name}, or {other.step.name} may"
                elif other.step.name in stirs and touching[own] & late[knot[other.session]]:
                    yield stirring, other, f"{name}, {other.step.name} another one, and those conflict"
                elif (
                    near[self._number[other.step.name]]
                    & late[own]
                    & ~(members[stirring.session] | members[other.session])
                ):
                    yield stirring, other, f"{name}, whose later steps conflict with {other.step.name}"

    def _stirs(self, place: Place, first: Mapping[str, int]) -> bool:
        """Whether the step may end a transaction that somebody waits for, by failing, too, or wait while it holds
        locks."""
        begins = first.get(place.session)
        if begins is None or place.index < begins or not place.footprint.acts:
            return False
        if not place.footprint.fallible and self._lazy(place):
            return False
        return place.index > begins or not certain(place)


def _union(masks: Sequence[int], chosen: int) -> int:
    made = 0
    for number, mask in enumerate(masks):
        if chosen >> number & 1:
            made |= mask
    return made


def _first(some: frozenset[Access], others: frozenset[Access]) -> tuple[Access, Access] | None:
    return next(((one, two) for one in some for two in others if one.conflicts(two)), None)


class AnyOf:
    """Steps conflict if they do by any of several relations over the same sessions."""

    def __init__(self, relations: Sequence[Related]) -> None:
        self.sessions: Sequence[Session] = relations[0].sessions
        self._relations = relations

    def conflict(self, a: Step, b: Step) -> bool:
        """Whether the order of the two may matter by any of them."""
        return any(one.conflict(a, b) for one in self._relations)

    def why(self, a: Step, b: Step) -> str:
        """The first one's reason."""
        return next((why for one in self._relations if (why := one.why(a, b))), "")


def conflicts_of(case: Case, learned: Mapping[str, Footprint] | None = None) -> Conflicts:
    """Those of a case, by its statements or by what was learned of its steps."""
    scenario = case.scenario
    engine_of = {placed.alias: placed.engine for placed in case.databases}
    told = learned if learned is not None else footprints(scenario, engine_of)
    levels = {
        placed.alias: DEFAULT_LEVEL
        if any("isolation" in name.lower() for name in scenario.settings.get(placed.engine, {}))
        else placed.level or case.level
        for placed in case.databases
    }
    return Conflicts(scenario.sessions, told, levels)


def unplaced(sessions: Sequence[Session], levels: Mapping[str, Sequence[str]] | None = None) -> Related:
    """Those of sessions that may be run on any engine that their statements name, by their texts alone.

    ``levels``: those of each engine that they may be run at; any one, if they are not given.
    """
    aliases = {step.database for session in sessions for step in (*session.setup, *session.steps)}
    named = {engine for session in sessions for step in session.steps for engine in step.bodies}
    engines = sorted(named - {"*"} | ({"postgresql", "sqlserver"} if "*" in named or not named else set()))
    relations: list[Related] = []
    for engine in engines:
        told = Reader(dict.fromkeys(aliases, engine)).footprints(sessions)
        for level in (levels or {}).get(engine) or (DEFAULT_LEVEL,):
            relations.append(Conflicts(sessions, told, dict.fromkeys(aliases, level)))
    return relations[0] if len(relations) == 1 else AnyOf(relations)
