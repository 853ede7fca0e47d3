"""What happened, in order: the typed record that the runner writes and the evidence reads.

A :class:`History` is the only thing a verdict is computed from, so it holds all that matters and nothing that
must stay secret (passwords, values of sensitive columns). It travels as JSON and comes back equal:
``History.model_validate_json(history.model_dump_json()) == history``.

Times are seconds on the controller's monotonic clock since the case began. ``seq`` counts events from 1 in the
order in which the controller saw them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness.answers import DeadlockReport, ErrorRecord, ResultSet, TransactionEnd


class Record(BaseModel):
    """Base of all records: immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EventKind(StrEnum):
    """What an event says. ``start`` opens a step; ``ok``, ``error``, ``conflict`` and ``timeout`` end it."""

    start = "start"
    blocked = "blocked"  # the server says: this session waits for another one of the run
    ok = "ok"
    error = "error"
    conflict = "conflict"
    timeout = "timeout"  # the deadline passed; the harness cancelled the step
    cancelled = "cancelled"  # the harness broke a cycle that no server could see
    skipped = "skipped"  # not run: its session was lost or the case ended before
    notice = "notice"
    held = "held"  # the schedule holds back what became of the step: see Hold
    overdue = "overdue"  # past its deadline: the harness asks the server to cancel it, and the run goes on
    notification = "notification"  # NOTIFY, heard when the step ended


ENDINGS = frozenset({EventKind.ok, EventKind.error, EventKind.conflict, EventKind.timeout, EventKind.cancelled})


class Phase(StrEnum):
    """When a step runs."""

    setup = "setup"
    schedule = "schedule"
    teardown = "teardown"


class Operation(Record):
    """A read or a write of a declared item, in Adya's sense: ``r(budget)=100``.

    ``value`` is None if ``known`` is False (a write whose value nobody told us).
    """

    action: str = Field(pattern="^[rw]$")
    item: str
    value: Any = None
    known: bool = True
    predicate: bool = False

    def __str__(self) -> str:
        return f"{self.action}({self.item}){'=' + str(self.value) if self.known else ''}"


class Event(Record):
    """One thing that happened. Only the fields that its kind needs are filled.

    ``transaction`` numbers the session's transactions from 1; ``began`` says that this step opened one explicitly.
    """

    seq: int
    at: float
    kind: EventKind
    session: str
    step: str
    database: str
    attempt: int = 1
    statement: str = ""
    parameters: list[Any] = Field(default_factory=list)
    results: list[ResultSet] = Field(default_factory=list)
    error: ErrorRecord | None = None
    operations: list[Operation] = Field(default_factory=list)
    in_transaction: bool = False
    ended: TransactionEnd | None = None
    text: str = ""
    seconds: float | None = None  # an ending: since its start event; overdue: since it was last waited for
    waits_for: list[str] = Field(default_factory=list)  # blocked: the sessions that hold it up
    phase: Phase = Phase.schedule
    after_results: int = 0  # a notice: how many results of its step had come before it
    host_began: float | None = None  # an ending on another machine: seconds since 1970 on that machine's own clock,
    host_ended: float | None = None  # which may be wrong by what HostRecord tells


class Wait(Record):
    """An edge of a wait-for graph: ``waiter`` cannot go on before ``holder`` lets go.

    Both are session names; ``holder`` is ``?pid`` for a session that is not of this run. ``resource`` says in the
    server's words what is waited for; ``asked`` and ``held`` are lock modes where the server tells them.
    """

    waiter: str
    holder: str
    database: str
    step: str = ""
    resource: str = ""
    asked: str = ""
    held: str = ""
    waiter_pid: str = ""
    holder_pid: str = ""


class WaitPicture(Record):
    """Who waited for whom at one moment, over all servers of the run.

    ``cycle`` names the sessions of a cycle in order, if there is one; ``servers`` are those whose edges form it.
    ``locks`` are rows of the servers' lock tables, taken where it mattered (a cycle, a hang).
    """

    seq: int
    at: float
    reason: str
    waits: list[Wait]
    cycle: list[str] = Field(default_factory=list)
    servers: list[str] = Field(default_factory=list)
    seen_by_server: bool | None = None  # of a cycle: can one server's own detector find it?
    locks: list[dict[str, str]] = Field(default_factory=list)


class DatabaseRecord(Record):
    """A database of the case and the server it lies on. ``stand_in`` names the engine it stands in for, if any."""

    alias: str
    logical: str
    engine: str
    version: str
    product: str
    server: str  # host:port, one string per server process: two aliases may share it
    name: str
    stand_in: str = ""
    capabilities: dict[str, str] = Field(default_factory=dict)


class HostRecord(Record):
    """Another machine that sessions of the case ran on, through an agent there.

    ``clock_offset`` is how many seconds its clock was ahead of the controller's, give or take ``clock_error``: the
    offset of the quickest of many exchanges, whose round trip took ``round_trip`` seconds (Cristian, *Probabilistic Clock
    Synchronization*, 1989).
    """

    name: str  # what the run calls it: the role that it has, or its own name
    hostname: str  # what it calls itself
    address: str = ""  # where the controller reached it
    system: str = ""
    python: str = ""
    driver: str = ""
    pid: str = ""  # of the agent
    node: str = ""  # of a cluster, where the machine is a pod
    clock_offset: float = 0.0
    clock_error: float = 0.0
    round_trip: float = 0.0
    lost: str = ""  # why it could not be spoken to any more, if that came to pass in this case

    @property
    def whereabouts(self) -> str:
        """Its own name, and the node that it is on."""
        return f"{self.hostname} on node {self.node}" if self.node else self.hostname


class SessionRecord(Record):
    """A session of the scenario: one connection per database that it speaks to (keys are aliases).

    ``host`` is the machine that it ran on: a :class:`HostRecord`'s name, else the controller's own host name.
    """

    name: str
    host: str
    pids: dict[str, str] = Field(default_factory=dict)
    observed_levels: dict[str, str] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)


class StepPlan(Record):
    """How a server executed, or would execute, a step whose plan was asked for: ``text`` as the engine gives it.

    ``way`` says how it was had, for it may not be the plan of the execution itself; without a text, ``note`` says why.
    """

    session: str
    step: str
    attempt: int = 1
    database: str  # alias
    engine: str
    way: str = ""
    format: str = ""  # json or xml
    text: str = ""
    note: str = ""


class ScheduledStep(Record):
    """One entry of a schedule: the step, its session, and what the entry claims."""

    step: str
    session: str
    must_block: bool | None = None
    after: str = ""  # completes only after this step has completed


class MatrixPlace(Record):
    """The cell of the isolation matrix that a case belongs to. ``row``: its name, where it is not the level's."""

    anomaly: str
    variant: str = ""
    row: str = ""


class RunEnd(StrEnum):
    """How the run of a case ended, before anyone judges it."""

    completed = "completed"
    hung = "hung"  # a deadline passed: something waited for ever
    stuck = "stuck"  # only the schedule's own holds keep steps from ending: they wait for each other
    lost = "lost"  # a server or a connection died
    not_begun = "not begun"  # a set-up failed


class History(Record):
    """One case, run once."""

    case: str
    scenario: str
    title: str
    about: str = ""
    file: str
    engine: str
    level: str
    schedule: str
    seed: int | None = None  # of a schedule that was drawn at random
    matrix: MatrixPlace | None = None
    mode: str = "scheduled"  # or "free-running"
    entries: list[ScheduledStep] = Field(default_factory=list)
    databases: list[DatabaseRecord]
    sessions: list[SessionRecord]
    hosts: list[HostRecord] = Field(default_factory=list)  # none: all ran where the controller did
    controller: str = ""  # the host name of the machine that the run was steered from
    initial: dict[str, Any] = Field(default_factory=dict)
    final: dict[str, Any] = Field(default_factory=dict)
    predicates: list[str] = Field(default_factory=list)
    events: list[Event] = Field(default_factory=list)
    control: list[Event] = Field(default_factory=list)  # the case's own set-up, tear-down: what gave rows or failed
    pictures: list[WaitPicture] = Field(default_factory=list)
    reports: list[DeadlockReport] = Field(default_factory=list)
    plans: list[StepPlan] = Field(default_factory=list)  # of the steps that asked for theirs
    end: RunEnd = RunEnd.completed
    end_text: str = ""
    last: int = 0  # not completed: seq of the last event before that end; what follows only puts things away
    seconds: float = 0.0
    transactions: dict[str, int] = Field(default_factory=dict)  # free-running: committed, refused by kind
    notes: list[str] = Field(default_factory=list)  # beside the run: a tear-down that failed, an item not to be read
