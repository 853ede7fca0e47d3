"""Histories by hand, in the notation of the field: ``run("w1(x=5) r2(x=5) a1 c2", x=0)``.

``b1`` begins (a session's first operation does so by itself), ``c1`` commits, ``a1`` aborts; ``r1(x=5)`` reads, ``w1(x=5)``
writes, ``w1(x)`` writes a value that nobody tells, ``W1(x=5)`` and ``R1(x=5)`` do so in autocommit. Anything finer (steps
that overlap, several databases) is built by :class:`Builder` itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from harness.answers import ErrorKind, ErrorRecord, ResultSet, TransactionEnd
from harness.evidence.anomalies import find
from harness.evidence.model import Anomaly
from harness.history import DatabaseRecord, Event, EventKind, History, Operation, SessionRecord, Wait, WaitPicture

SALES = DatabaseRecord(
    alias="db",
    logical="promptsales",
    engine="postgresql",
    version="18.6",
    product="PostgreSQL",
    server="localhost:5432",
    name="psh_x_1",
    capabilities={"waits": "yes"},
)


def database(alias: str, engine: str = "postgresql", **more: Any) -> DatabaseRecord:
    return SALES.model_copy(update={"alias": alias, "engine": engine, **more})


def read(item: str, value: Any, **more: Any) -> Operation:
    return Operation(action="r", item=item, value=value, **more)


def write(item: str, value: Any = None, **more: Any) -> Operation:
    return Operation(action="w", item=item, value=value, known=value is not None, **more)


def error(kind: ErrorKind, code: str = "x") -> ErrorRecord:
    return ErrorRecord(kind=kind, code=code, message=f"refused: {kind.value}")


DEADLOCK = error(ErrorKind.deadlock, "40P01")
CONFLICT = error(ErrorKind.conflict, "112")
SERIALIZATION = error(ErrorKind.serialization, "40001")
LOST = error(ErrorKind.connection, "08006")


class Builder:
    """Writes events as the runner does: a start and an end for each step, all numbered."""

    def __init__(self, predicates: Iterable[str] = (), **initial: Any) -> None:
        self.initial = initial
        self.predicates = set(predicates)
        self.events: list[Event] = []
        self.pictures: list[WaitPicture] = []
        self.open: set[tuple[str, str]] = set()
        self.databases = [SALES]
        self.sessions: dict[str, SessionRecord] = {}
        self._seq = 0

    def _event(self, kind: EventKind, session: str, step: str, **more: Any) -> Event:
        self._seq += 1
        self.sessions.setdefault(session, SessionRecord(name=session, host="here"))
        more.setdefault("database", "db")
        event = Event(seq=self._seq, at=self._seq / 1000, kind=kind, session=session, step=step, **more)
        self.events.append(event)
        return event

    def start(self, session: str, step: str, statement: str = "", **more: Any) -> None:
        self._event(EventKind.start, session, step, statement=statement, **more)

    def end(
        self,
        session: str,
        step: str,
        *operations: Operation,
        kind: EventKind = EventKind.ok,
        ended: TransactionEnd | None = None,
        database: str = "db",
        **more: Any,
    ) -> Event:
        if ended is not None or more.get("error") in (DEADLOCK, LOST):
            self.open.discard((session, database))
        return self._event(
            kind,
            session,
            step,
            operations=[one.model_copy(update={"predicate": one.item in self.predicates}) for one in operations],
            in_transaction=(session, database) in self.open,
            ended=ended,
            database=database,
            **more,
        )

    def step(self, session: str, step: str, *operations: Operation, **more: Any) -> Event:
        where = {key: more[key] for key in ("database", "attempt") if key in more}
        self.start(session, step, more.pop("statement", ""), **where)
        return self.end(session, step, *operations, **more)

    def begin(self, session: str, database: str = "db", **more: Any) -> None:
        self.open.add((session, database))
        self.step(session, "begin", database=database, **more)

    def commit(self, session: str, step: str = "commit", **more: Any) -> Event:
        return self.step(session, step, ended=TransactionEnd.committed, statement="commit", **more)

    def rollback(self, session: str, step: str = "rollback", **more: Any) -> Event:
        return self.step(session, step, ended=TransactionEnd.aborted, statement="rollback", **more)

    def blocked(self, session: str, step: str, *holders: str, database: str = "db") -> None:
        self._event(EventKind.blocked, session, step, waits_for=list(holders), database=database)

    def refused(self, session: str, step: str, why: ErrorRecord = DEADLOCK, **more: Any) -> Event:
        """The end of a step that the database refused, and its transaction with it."""
        more.setdefault("ended", TransactionEnd.aborted)
        return self.end(session, step, kind=more.pop("kind", EventKind.error), error=why, **more)

    def picture(self, *pairs: tuple[str, str], cycle: Sequence[str] = (), seen: bool | None = None) -> None:
        self._seq += 1
        waits = [Wait(waiter=waiter, holder=holder, database="db") for waiter, holder in pairs]
        self.pictures.append(
            WaitPicture(seq=self._seq, at=0.1, reason="a cycle", waits=waits, cycle=list(cycle), seen_by_server=seen)
        )

    def history(self, **more: Any) -> History:
        fields: dict[str, Any] = {
            "case": "case[db]",
            "scenario": "case",
            "title": "A case",
            "file": "case.yaml",
            "engine": "postgresql",
            "level": "read committed",
            "schedule": "default",
            "databases": self.databases,
            "sessions": list(self.sessions.values()),
            "initial": self.initial,
            "predicates": sorted(self.predicates),
            "events": self.events,
            "pictures": self.pictures,
        }
        return History(**(fields | more))


_TOKEN = re.compile(r"(?P<what>[bcarwRW])(?P<session>\d)(?:\((?P<item>\w+)(?:=(?P<value>-?\w+))?\))?\Z")


def build(text: str, predicates: Iterable[str] = (), **initial: Any) -> Builder:
    """A builder that has written ``text``. Steps are called after their token: ``r1(x)`` the first time, ``r1(x)'`` then."""
    builder = Builder(predicates, **initial)
    begun: set[str] = set()
    names: set[str] = set()
    for token in text.split():
        match = _TOKEN.match(token)
        assert match, token
        what, session = match["what"], f"T{match['session']}"
        name = f"{what}{match['session']}" + (f"({match['item']})" if match["item"] else "")
        while name in names:
            name += "'"
        names.add(name)
        if what in "brw" and session not in begun:
            builder.begin(session)
            begun.add(session)
        if what == "b":
            continue
        if what in "ca":
            (builder.commit if what == "c" else builder.rollback)(session, name)
            begun.discard(session)
            continue
        value = match["value"]
        made: Any = int(value) if value and value.lstrip("-").isdecimal() else value
        operation = read(match["item"], made) if what in "rR" else write(match["item"], made)
        builder.step(session, name, operation)
    return builder


def run(text: str, predicates: Iterable[str] = (), **initial: Any) -> list[Anomaly]:
    """What is found in it."""
    return find(build(text, predicates, **initial).history())


def kinds(anomalies: Sequence[Anomaly]) -> list[tuple[str, str]]:
    return [(one.phenomenon.value, one.adya) for one in anomalies]


def with_rows(*rows: list[Any]) -> list[ResultSet]:
    return [ResultSet(columns=["a", "b"][: len(rows[0])] if rows else ["a"], rows=list(rows))]
