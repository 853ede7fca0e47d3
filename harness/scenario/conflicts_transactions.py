"""The steps of sessions as parts of transactions: which one each belongs to, what it ends, whose snapshot it may
take."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.scenario import expressions
from harness.scenario.conflicts_model import Access, Footprint
from harness.scenario.conflicts_read import Reader
from harness.scenario.model import Session, Step
from harness.vocabulary import DEFAULT_LEVEL

_SETS = re.compile(r"\s*set\s[^;]*;?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """A step in its transaction. ``transaction``: all that it may touch, on the same database.

    ``alone``: a statement outside of a transaction. ``murky``: nobody knows where the session's transactions begin
    and end. ``snapshot``: it may be the statement that takes its transaction's snapshot.
    """

    step: Step
    index: int  # in its session
    footprint: Footprint
    level: str
    unit: tuple[str, str, int]  # session, alias, number of the transaction
    transaction: frozenset[Access]
    alone: bool = False
    murky: bool = False
    snapshot: bool = False
    opaque: bool = False

    @property
    def session(self) -> str:
        """The session's name."""
        return self.step.session


class _Alias:
    """What is known of a session on one database, step after step."""

    def __init__(self, level: str) -> None:
        self.asked = level
        self.level = level
        self.open = False
        self.begun = False  # a statement has certainly taken the snapshot
        self.number = 0

    def next(self) -> None:
        self.number += 1
        self.begun = False


def places(session: Session, footprints: Mapping[str, Footprint], levels: Mapping[str, str]) -> list[Place]:
    """The session's steps in order."""
    engines = {step.database: footprints[step.name].engine for step in session.steps}
    states = {alias: _Alias(levels.get(alias, DEFAULT_LEVEL)) for alias in engines}
    held: dict[tuple[str, int], set[Access]] = {}
    unclear = not _set_up(session, engines, states, held)
    murky = unclear or any(footprints[step.name].kind == "unknown" for step in session.steps)
    # Nobody asks what else a set-up's statements hold.
    opaque = {(session.name, alias, number) for alias, number in held}
    made = []
    for index, step in enumerate(session.steps):
        footprint = footprints[step.name]
        if murky and footprint.acts:
            footprint = Footprint(everything=True, engine=footprint.engine, kind="unknown")
        state = states[step.database]
        if footprint.kind == "begin":
            if not state.open:
                state.next()
            state.open, state.level = True, footprint.level or state.asked
        alone = footprint.kind == "statement" and not state.open
        if alone:
            state.next()
            state.level = state.asked
        unit = (session.name, step.database, state.number)
        snapshot = footprint.kind == "statement" and not state.begun
        if (
            footprint.engine == "postgresql"
            and footprint.kind == "statement"
            and not _skippable(step, footprint.engine)
        ):
            state.begun = True
        held.setdefault(unit[1:], set()).update(footprint.accesses)
        if footprint.everything or footprint.late:  # at the end, too, it may read, wait, fail
            opaque.add(unit)
        made.append((step, index, footprint, state.level, unit, alone, snapshot))
        if footprint.kind == "end":
            state.open = False
            state.next()
            state.level = state.asked
    return [
        Place(
            step,
            index,
            replace(footprint, everything=footprint.everything or (footprint.kind == "end" and unit in opaque)),
            "" if murky else level,
            unit,
            frozenset(held.get(unit[1:], ())),
            alone,
            murky,
            snapshot or murky,
            unit in opaque,
        )
        for step, index, footprint, level, unit, alone, snapshot in made
    ]


def _set_up(
    session: Session,
    engines: Mapping[str, str],
    states: Mapping[str, _Alias],
    held: dict[tuple[str, int], set[Access]],
) -> bool:
    """What the session's set-up leaves open, and holds then. False if that cannot be told."""
    steps = [step for step in session.setup if step.database in engines and engines[step.database] != "redis"]
    reader = Reader({**engines, **{step.database: engines[step.database] for step in steps}})
    one = Session(session.name, tuple(steps))
    read = reader.footprints([one]) if len({step.name for step in steps}) == len(steps) else {}
    for step in steps:
        body, engine, state = step.body(engines[step.database]), engines[step.database], states[step.database]
        footprint = read.get(step.name) or reader.footprints([Session(session.name, (step,))])[step.name]
        if footprint.everything and isinstance(body, str) and engine == "postgresql" and _SETS.fullmatch(body):
            state.asked = state.level = DEFAULT_LEVEL  # it may have been the level that was set
            continue
        if footprint.everything:
            return False
        if footprint.kind == "begin":
            state.open, state.level = True, footprint.level or state.asked
        elif footprint.kind == "end":
            state.open = False
            state.next()
        elif footprint.kind == "statement" and state.open:
            held.setdefault((step.database, state.number), set()).update(footprint.accesses)
    return True


def _skippable(step: Step, engine: str) -> bool:
    """Whether the step is not run if an earlier one could not read what it needs."""
    return any(True for _ in _used(step, engine))


def _used(step: Step, engine: str) -> Iterator[expressions.Expression]:
    yield from expressions.used_in(step.body(engine))
    yield from expressions.used_in(step.writes)


def all_places(
    sessions: Sequence[Session], footprints: Mapping[str, Footprint], levels: Mapping[str, str]
) -> list[Place]:
    """Those of all sessions, session by session."""
    return [place for session in sessions for place in places(session, footprints, levels)]
