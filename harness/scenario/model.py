"""A scenario, checked and ready: what the rest of the harness sees.

A :class:`Scenario` is one file. A :class:`Case` is what is run once: the scenario on its databases, at a level, in one
schedule, with the expectation that holds there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from harness.answers import ErrorKind
from harness.errors import Location
from harness.history import MatrixPlace
from harness.scenario.written_expect import ANY
from harness.scenario.written_steps import Body
from harness.vocabulary import LEVELS, Phenomenon, label

VERBS = ("begin", "commit", "rollback")

DEFAULT = "default"
"""The name of the only schedule of a scenario; it does not show in ids."""

FREE_RUNNING = "free-running"
"""The name of a free run's schedule, which has no entries."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its statement per engine (``*`` for all others; None: nothing to do there), and what it reads and writes."""

    name: str
    session: str
    database: str  # alias
    bodies: Mapping[str, Body | None]
    reads: Mapping[str, str] = field(default_factory=dict)  # item → column, "" for the first
    writes: Mapping[str, Any] = field(default_factory=dict)  # item → value, expression, or ""
    names: Mapping[str, Any] = field(default_factory=dict)  # i, n, next of a copied session
    place: Location | None = None
    plan: bool = False  # how the server executed it is to be kept

    def body(self, engine: str) -> Body | None:
        """The statement for ``engine``; None if the step does nothing there."""
        return self.bodies[engine] if engine in self.bodies else self.bodies.get("*")


@dataclass(frozen=True, slots=True)
class Session:
    """A session and its steps in order; ``databases`` are the aliases that it speaks to, its own first."""

    name: str
    steps: tuple[Step, ...]
    setup: tuple[Step, ...] = ()
    teardown: tuple[Step, ...] = ()  # run after the schedule, whatever became of it
    databases: tuple[str, ...] = ()
    deadlock_priority: str = "normal"
    host: str = ""  # the role of the machine that it runs on; "": any


@dataclass(frozen=True, slots=True)
class Item:
    """A value of the database that the scenario is about: read by the harness before and after the run."""

    name: str
    database: str
    bodies: Mapping[str, Body | None]
    column: str = ""
    predicate: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a step's ending is not written down yet, although it may be there: isolationtester's markers.

    No ``step``: held back once, at the first look, ``(*)``. A ``step``: while that step is running, ``(other)``. With
    ``notices``: until that step's session has sent so many of them since this entry was begun, ``(other notices 3)``.
    """

    step: str = ""
    notices: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a schedule. ``blocks``: True/False if the entry claims so; ``until``: completes only after that step.

    Those two are claims, judged afterwards; ``holds`` steer the run, in strict schedules only.
    """

    step: str
    blocks: bool | None = None
    until: str = ""
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """One interleaving. Unless ``strict``, entries of a blocked session wait their turn while other sessions go on.

    Strict is isolationtester's order: an entry whose session is still busy waits for it, endings are written down in
    the order in which their steps began, and steps may stand in it in any order, or more than once.
    """

    name: str
    entries: tuple[Entry, ...]
    strict: bool = False
    expect: Mapping[str, Mapping[str, Expectation]] = field(default_factory=dict)
    seed: int | None = None  # of one that was drawn at random
    made: Made | None = None  # what it is one of, if the harness made it


@dataclass(frozen=True, slots=True)
class Made:
    """Schedules that the harness makes for each case, ``NAME-1`` and on: :mod:`harness.scenario.made` does it.

    ``count`` is how many are drawn of kind random; of the other kinds, how many are kept at most (0: all of them), the
    first ones, or, with a ``seed``, some drawn by it. ``steps`` are those that have a place in them (None: every step).
    """

    name: str
    kind: str  # all, reduced, random
    count: int = 0
    seed: int | None = None
    strict: bool = False
    steps: frozenset[str] | None = None
    place: Location | None = field(default=None, compare=False)  # in its file


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must come out at one engine and level; whatever is not named must not happen."""

    finds: tuple[Phenomenon, ...] = ()
    allows: tuple[Phenomenon, ...] = ()
    victim: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)  # step → kind or code
    blocks: tuple[str, ...] | None = None
    sees: Mapping[str, Any] = field(default_factory=dict)
    final: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    output: tuple[str, ...] | None = None  # transcripts as isolationtester prints them: any of these, and nothing else
    may_refuse: tuple[str, ...] = ()  # kinds and codes with which the server may refuse any step
    holds: tuple[str, ...] = ()  # expressions that are true at the end: see harness.evidence.holding

    def as_record(self) -> dict[str, object]:
        """Plain values for the evidence; what was not said is left out. :meth:`from_record` is its inverse."""
        full: dict[str, object] = {
            "finds": [item.value for item in self.finds],
            "allows": [item.value for item in self.allows] or None,
            "victim": self.victim or None,
            "errors": dict(self.errors) or None,
            "blocks": list(self.blocks) if self.blocks is not None else None,  # none at all is said, too
            "sees": dict(self.sees) or None,
            "final": dict(self.final) or None,
            "counts": dict(self.counts) or None,
            "output": list(self.output) if self.output is not None else None,
            "may_refuse": list(self.may_refuse) or None,
            "holds": list(self.holds) or None,
        }
        return {key: value for key, value in full.items() if value is not None}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Expectation:
        """The expectation that a record was made of. Raises ValueError for what no record holds."""
        if foreign := set(record) - {field.name for field in fields(cls)}:
            raise ValueError(f"an expectation says nothing of {', '.join(sorted(foreign))}")
        made = dict(record)
        for key in ("finds", "allows"):
            made[key] = tuple(map(Phenomenon, record.get(key, ())))
        for key in ("blocks", "output", "may_refuse", "holds"):
            if record.get(key) is not None:
                made[key] = tuple(record[key])
        return cls(**made)


@dataclass(frozen=True, slots=True)
class FreeRunning:
    """N workers × M iterations of the one session's steps, started together."""

    workers: int
    iterations: int


Statements = Mapping[str, tuple[Body, ...]]
"""Statements by engine, ``*`` for all others."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file, checked."""

    id: str  # the file's stem
    file: Path
    title: str
    about: str
    marks: tuple[str, ...]
    placements: tuple[Mapping[str, str], ...]  # each: alias → logical database; each is run
    levels: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Any]
    setup: Mapping[str, Statements]  # by alias
    teardown: Mapping[str, Statements]
    items: tuple[Item, ...]
    sessions: tuple[Session, ...]
    schedules: tuple[Schedule, ...]
    expect: Mapping[str, Mapping[str, Expectation]]  # engine → level (or "any") → expectation
    free_running: FreeRunning | None = None
    break_cycle: str = ""
    sensitive: frozenset[str] = frozenset()
    deadline: float = 15.0
    case_deadline: float = 60.0
    shared: bool = False  # its cases share one database and the same connections, one case after the other
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # engine → setting → value, of each session
    as_text: bool = False  # values are kept as the server writes them
    cancel_late: bool = False  # a step past its deadline is cancelled and the run goes on; past twice that, it ends
    data: str = (
        ""  # what its databases have in them: "empty" (the objects of schemas/), "sample" (and rows); "": nothing
    )
    hosts: tuple[str, ...] = ()  # the roles of the machines that its sessions name
    database_name: str = ""  # the database must be called so, because statements name it
    matrix: Mapping[str, MatrixPlace] = field(default_factory=dict)  # by engine: the cell of the isolation matrix
    made: tuple[Made, ...] = ()  # schedules besides, which are made for each case

    def step(self, name: str) -> Step:
        """The step called ``name`` (KeyError if there is none)."""
        for session in self.sessions:
            for step in session.steps:
                if step.name == name:
                    return step
        raise KeyError(name)

    @property
    def unused_steps(self) -> tuple[str, ...]:
        """Steps that stand in no schedule, in the order of the file."""
        if any(made.steps is None for made in self.made):
            return ()
        used = {entry.step for schedule in self.schedules for entry in schedule.entries}
        used |= {name for made in self.made for name in made.steps or ()}
        return tuple(step.name for session in self.sessions for step in session.steps if step.name not in used)

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that it speaks of, in the order of its file."""
        per_schedule = [engine for schedule in self.schedules for engine in schedule.expect]
        return tuple(dict.fromkeys([*self.levels, *self.expect, *per_schedule]))

    def levels_on(self, engine: str) -> tuple[str, ...]:
        """The levels to run at on ``engine``: those of the file, else the engine's default."""
        return tuple(self.levels.get(engine) or LEVELS[engine][:1])

    def expectation(self, schedule: Schedule | None, engine: str, level: str) -> Expectation | None:
        """What is expected there: the schedule's own word before the scenario's, a level's before ``any``.

        None for ``schedule`` asks for the scenario's.
        """
        for by_engine in (schedule.expect if schedule else {}, self.expect):
            by_level = by_engine.get(engine, {})
            if found := by_level.get(level, by_level.get(ANY)):
                return found
        return None


@dataclass(frozen=True, slots=True)
class Placed:
    """A database of a case: which one it is, and on which kind of server it will run."""

    alias: str
    logical: str
    engine: str
    stand_in: str = ""
    level: str = ""

    @property
    def label(self) -> str:
        """``promptads@postgresql-standin``."""
        return label(self.logical, self.engine, stand_in=bool(self.stand_in))


@dataclass(frozen=True, slots=True)
class Case:
    """What is run once. ``reason`` says why it cannot be run here; then it is skipped with that text."""

    id: str
    scenario: Scenario
    databases: tuple[Placed, ...]
    level: str
    schedule: Schedule
    expectation: Expectation
    reason: str = ""

    @property
    def engine(self) -> str:
        """The engine of the first database: expectations and levels are looked up by it."""
        return self.databases[0].engine


def matches(kind: ErrorKind, code: str, wanted: str) -> bool:
    """Whether an error is the one that an expectation names, by kind or by code."""
    return wanted in (kind.value, code)
