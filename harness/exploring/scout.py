"""Learns what a scenario's steps touch, before any of its interleavings is run: from its statements, and from the
servers.

The scenario is run one session after the other, in two orders, each statement in a transaction of its own (on
PostgreSQL what is deferred is done after each, and a COMMIT AND CHAIN follows), so that whatever a statement locks is
seen as its own: parents of foreign keys, tables of triggers, of views, of functions. The catalog tells primary keys,
and what hangs on each table. Where the server's word is not enough (a function that notifies, rolls back a part of
what it did, or is written in another language), a step touches everything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.engines.touching import Catalog, Cataloguing, Relation
from harness.exploring.routines import Routines
from harness.history import ENDINGS, EventKind
from harness.runner.case import Play
from harness.runner.stage import Stage
from harness.runner.touching import unknown
from harness.scenario.conflicts_model import SERVER, SOURCE, Access, Footprint, Table
from harness.scenario.conflicts_read import footprints, widened
from harness.scenario.conflicts_sql import DIALECTS, called
from harness.scenario.conflicts_transactions import places
from harness.scenario.model import Case, Entry, Schedule, Session, Step

if TYPE_CHECKING:
    from harness.suite import Suite

_DEFERRED = "deferred"
_UNPREDICTABLE = frozenset(
    {"SORT", "SORT_RO", "MIGRATE", "WAIT", "WAITAOF", "XREAD", "XREADGROUP", "BLMOVE", "BLMPOP", "BZMPOP"}
)


class Learned(dict[str, Footprint]):
    """Footprints by step; ``notes`` say what could not be learned, one line each."""

    def __init__(self, made: Mapping[str, Footprint], notes: Collection[str] = ()) -> None:
        super().__init__(made)
        self.notes = list(dict.fromkeys(notes))

    @property
    def footprints(self) -> dict[str, Footprint]:
        """The same, as a plain mapping."""
        return dict(self)


@dataclass(slots=True)
class _Seen:
    """What the serial runs showed."""

    touched: dict[str, set[Access]] = field(default_factory=dict)
    went: set[str] = field(default_factory=set)  # steps that ended well at least once
    catalogs: dict[str, Catalog] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def scout(suite: Suite, case: Case) -> Learned:
    """The footprints of the case's steps. Runs it twice, keeps no evidence; raises what running a case may raise."""
    scenario = case.scenario
    engine_of = {placed.alias: placed.engine for placed in case.databases}
    apart = alone(case)
    seen = _Seen()
    for order in (apart, tuple(reversed(apart))):
        _run(suite, case, apart, order, seen)
    known = {alias: Routines(one, _said(case, alias, engine_of[alias])) for alias, one in seen.catalogs.items()}
    tables = {alias: tables_of(known[alias], catalog) for alias, catalog in seen.catalogs.items()}
    usable = {alias: frozenset(routines.usable()) for alias, routines in known.items()}
    own = {alias: one.own for alias, one in seen.catalogs.items()}
    told = footprints(scenario, engine_of, tables, usable, own)
    made, loose = {}, set()
    for session in scenario.sessions:
        for step in session.steps:
            footprint = _Learning(seen, step, told[step.name], known.get(step.database)).footprint()
            more = footprint.accesses - told[step.name].accesses
            loose |= {access.where for access in more if access.keys is None}
            made[step.name] = footprint
    return Learned(widened(made, loose), seen.notes)


# -- the runs


def alone(case: Case) -> tuple[Session, ...]:
    """The sessions of a case with each statement of PostgreSQL in a transaction of its own, without tear-downs."""
    engine_of = {placed.alias: placed.engine for placed in case.databases}
    levels = {placed.alias: placed.level or case.level for placed in case.databases}
    told = footprints(case.scenario, engine_of)
    return tuple(
        replace(
            session,
            steps=tuple(
                part
                for place in places(session, told, levels)
                for part in _parts(place.step, place.footprint, place.alone)
            ),
            teardown=(),
        )
        for session in case.scenario.sessions
    )


def _parts(step: Step, footprint: Footprint, outside: bool) -> Iterator[Step]:
    body = step.body(footprint.engine)
    # A murky session's transactions are not known: its steps are run as they stand.
    known = (
        isinstance(body, str) and footprint.engine == "postgresql" and called(body, DIALECTS["postgresql"]) is not None
    )
    wrapped = known and footprint.kind == "statement" and not _commands(str(body))
    if wrapped and outside:
        yield _beside(step, "begin", "begin")
    yield step
    if wrapped:
        yield _beside(step, _DEFERRED, "SET CONSTRAINTS ALL IMMEDIATE")
        yield _beside(step, "after", "commit" if outside else "COMMIT AND CHAIN")


def _commands(text: str) -> bool:
    """Whether an SQL text does something else than to read and write rows: then it may refuse to stand in a
    transaction."""
    return re.match(r"\s*(select|with|insert|update|delete|merge|values|table)\b", text, re.IGNORECASE) is None


def _beside(step: Step, what: str, body: str) -> Step:
    return Step(f"{step.name}: {what}", step.session, step.database, {"*": body})


def _run(suite: Suite, case: Case, cast: tuple[Session, ...], order: tuple[Session, ...], seen: _Seen) -> None:
    entries = tuple(Entry(step.name) for session in order for step in session.steps)
    scenario = replace(case.scenario, sessions=cast, teardown={}, shared=False)
    run = replace(case, scenario=scenario, schedule=Schedule("scout", entries))
    with Stage(run, suite.databases, None, suite.meanwhile, suite.hosts) as stage:
        play = Play(run, stage, touching=True).run()
        ended = {event.step: event.kind is EventKind.ok for event in play.recorder.events if event.kind in ENDINGS}
        seen.went |= {step for step, well in ended.items() if well and ended.get(f"{step}: {_DEFERRED}", True)}
        for step, accesses in play.touched.items():
            seen.touched.setdefault(step.removesuffix(f": {_DEFERRED}"), set()).update(accesses)
        seen.notes += [note for note in play.notes if note not in seen.notes]
        for alias, observer in stage.observers.items():
            if alias not in seen.catalogs and isinstance(observer, Cataloguing):
                seen.catalogs[alias] = observer.catalog()


# -- what they mean


class _Learning:
    """One step: its statement's footprint and the server's word."""

    def __init__(self, seen: _Seen, step: Step, told: Footprint, routines: Routines | None) -> None:
        self._seen = seen
        self._routines = routines
        self._step = step
        self._told = told
        self._catalog = seen.catalogs.get(step.database)
        self._server = frozenset(map(self._added, seen.touched.get(step.name, ())))

    def _added(self, access: Access) -> Access:
        """What a trigger adds to a log is a row of its own."""
        logged = self._routines is not None and access.where.partition(".")[2] in self._routines.logs
        return replace(access, keys=frozenset({f"added by {self._step.name}"})) if logged else access

    def footprint(self) -> Footprint:
        told = self._learned()
        return replace(told, late=any(map(self._is_late, told.accesses)))

    def _is_late(self, access: Access) -> bool:
        """Whether something of a change may wait for the end of the transaction."""
        if self._catalog is None or self._routines is None or not access.writes:
            return False
        relation = self._catalog.relations.get(access.where.partition(".")[2])
        return relation is not None and self._routines.late(relation)

    def _learned(self) -> Footprint:
        told = self._told
        if told.kind != "statement":
            return told
        if told.everything:
            return self._resolved()
        if told.engine == "redis":
            return told.with_accesses(one for one in _uncovered(told, self._server) if not unknown(one))
        if self._catalog is None:
            return replace(told, everything=any(map(unknown, self._server))).with_accesses(
                _uncovered(told, self._server)
            )
        if why := self._hidden():
            self._seen.notes.append(f"{self._step.name} is taken to touch everything: {why}")
            return replace(told, everything=True)
        calls = self._calls()
        more = self._server if calls else _uncovered(told, self._server)
        told = told.with_accesses(more)
        return told.with_accesses(_uncovered(told, list(self._named(calls | self._fired()))))

    def _named(self, routines: Collection[str]) -> Iterator[Access]:
        """The tables that routines name in their sources: what they do with them may not have been their turn yet."""
        assert self._routines is not None
        for routine in routines:
            for table in sorted(self._routines.touches(routine) - self._routines.logs):
                yield Access(f"{self._step.database}.{table}", self._routines.changes(routine), learned=SOURCE)

    def _resolved(self) -> Footprint:
        """The footprint of a statement that cannot be read, if the server's word is enough: Redis's table of
        commands."""
        body = self._step.body(self._told.engine)
        name = str(body[0] if isinstance(body, list) else str(body).split(" ", 1)[0]).upper()
        enough = self._told.engine == "redis" and self._server and not any(map(unknown, self._server))
        if enough and name not in _UNPREDICTABLE:
            return replace(self._told, everything=False, accesses=self._server)
        self._seen.notes.append(f"{self._step.name} is taken to touch everything: its statement cannot be read")
        return self._told

    def _calls(self) -> set[str]:
        """The routines that it may call, by their names or by what it reads and writes."""
        assert self._catalog is not None
        body, own = self._step.body(self._told.engine), self._catalog.own
        named = (called(body, DIALECTS[self._told.engine], own) if isinstance(body, str) else None) or frozenset()
        calls = {*named, *self._catalog.unnamed} - self._catalog.steady
        for access in self._told.accesses | self._server:
            relation = self._catalog.relations.get(access.where.partition(".")[2])
            calls |= relation.calls if relation is not None else frozenset()
        return calls

    def _fired(self) -> set[str]:
        """The routines of the triggers that it may fire."""
        assert self._catalog is not None
        named = {access.where for access in self._told.accesses}
        fired: set[str] = set()
        for access in self._told.accesses | self._server:
            relation = self._catalog.relations.get(access.where.partition(".")[2])
            if relation is not None and access.writes:
                events = self._events() if access.where in named else {event for event, _ in relation.triggers}
                fired |= {routine for event, routine in relation.triggers if event in events}
        return fired

    def _hidden(self) -> str:
        """Why the server's word is not enough; empty if it is."""
        assert self._catalog is not None
        assert self._routines is not None
        for access in self._server:
            if unknown(access):
                return f"the server shows {access.where.partition('.')[2][1:]}"
        odd = ""
        for access in self._told.accesses | self._server:
            name = access.where.partition(".")[2]
            relation = self._catalog.relations.get(name)
            if name in self._catalog.sequences or name in self._routines.logs:
                continue
            if relation is None or relation.kind != "table" or relation.odd:
                odd = name
        fired = self._fired()
        if hiding := next((name for name in sorted(fired) if not self._routines.seen(name)), ""):
            return f"the server does not show all that the trigger function {hiding} may do"
        calls = self._calls()
        if hiding := next((name for name in sorted(calls) if not self._routines.seen(name)), ""):
            return f"the server does not show all that the function {hiding} may do"
        if (fired or odd or calls) and self._step.name not in self._seen.went:
            return f"it never succeeded, and {odd or 'what it calls'} may touch more than it names"
        return ""

    def _events(self) -> set[str]:
        """What its own words may do to the rows of a table that it names, with what foreign keys make of that."""
        words = set(re.findall(r"\w+", str(self._step.body(self._told.engine)).lower()))
        events = words & {"insert", "update", "delete"}
        if "merge" in words:
            events = {"insert", "update", "delete"}
        if "default" in words:
            events |= {"insert"}  # what a column's default calls
        return events | ({"update"} if "delete" in events else set())


def _uncovered(told: Footprint, server: Collection[Access]) -> frozenset[Access]:
    """Of the server's accesses, those that the footprint does not have."""
    return frozenset(one for one in server if not any(_covers(access, one) for access in told.accesses))


def _covers(access: Access, one: Access) -> bool:
    """A server names the table only: the statement's rows of it stand, unless more was done to it."""
    if not access.overlaps(one) or (one.writes and not access.writes):
        return False
    return one.keys is None or access.keys is None or one.keys <= access.keys


def grown(before: Mapping[str, Footprint], touched: Mapping[str, frozenset[Access]]) -> dict[str, Footprint] | None:
    """The footprints with what a run showed and nobody foresaw; None if it showed nothing new."""
    made = dict(before)
    for step, accesses in touched.items():
        footprint = before.get(step)
        if footprint is None or footprint.everything or footprint.kind != "statement":
            continue
        more = _uncovered(footprint, accesses)
        if any(map(unknown, more)):
            made[step] = replace(footprint, everything=True)
        elif more:
            made[step] = footprint.with_accesses(more)
    if made == dict(before):
        return None
    return widened(made, {access.where for one in made.values() for access in one.accesses if access.learned == SERVER})


# -- the catalog


def tables_of(routines: Routines, catalog: Catalog) -> dict[str, Table]:
    """What the catalog says of tables, as conflicts are told in; rows of views and the like are not told apart."""
    return {name: _table(relation, routines) for name, relation in catalog.relations.items()}


def _table(relation: Relation, routines: Routines) -> Table:
    apart = relation.kind == "table" and not relation.odd
    return Table(
        key=relation.key if apart else (),
        columns=relation.columns,
        shared=relation.shared,
        parents=relation.parents,
        children=relation.children,
        triggers=frozenset(event for event, _ in relation.triggers if not routines.harmless(relation, event)),
        drawn=relation.drawn,
    )


def _said(case: Case, alias: str, engine: str) -> set[str]:
    """All words of the statements that go to a database."""
    steps = [step for one in case.scenario.sessions for step in (*one.setup, *one.steps) if step.database == alias]
    items = [item for item in case.scenario.items if item.database == alias]
    bodies = [
        *(step.body(engine) for step in steps),
        *(item.bodies.get(engine, item.bodies.get("*")) for item in items),
    ]
    return {word for body in bodies if isinstance(body, str) for word in re.findall(r"\w+", body.lower())}
