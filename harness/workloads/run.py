"""A workload on a server: a throw-away database, N free sessions, the history of what they saw."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from harness.engines.base import Session, SessionOptions, Statement
from harness.errors import HarnessError, ServerUnavailable, SetupFailed
from harness.evidence.checker.model import Observed, Workload
from harness.runner.databases import Databases, Made
from harness.vocabulary import DEFAULT_LEVEL
from harness.workloads.clients.base import Client, initial, said
from harness.workloads.clients.chosen import client_for
from harness.workloads.drive import Drive, Seat
from harness.workloads.generate import BALANCE, Programs, generate
from harness.workloads.model import Declared
from harness.workloads.record import Recorder

_SIDE_BY_SIDE = 8
"""So many connections are made at a time."""


@dataclass(slots=True)
class Ran:
    """What running a workload gave. ``seconds``: of the transactions alone."""

    observed: Observed
    seconds: float
    level: str  # as the sessions read it back
    product: str
    version: str
    late: bool = False
    interrupted: bool = False  # by Ctrl-C: the history is what was seen until then
    notes: list[str] = field(default_factory=list)


def run_workload(
    declared: Declared,
    logical: str,
    level: str,
    databases: Databases,
    *,
    source: str = "",
    client: Client | None = None,
    now: Callable[[str], None] | None = None,
) -> Ran:
    """Run ``declared`` on ``logical`` at ``level``; ``now`` is told how far it is.

    Raises ServerUnavailable (skip), SetupFailed, and any other HarnessError if it could not be run. Whatever happens,
    sessions are closed and the database is dropped. Ctrl-C ends the transactions; what was seen of them is given.
    """
    programs = generate(declared)
    made = databases.make(logical, [level])
    try:
        return _Running(declared, made, level, databases.run, client).run(programs, source, now)
    finally:
        with contextlib.suppress(HarnessError):  # a dead server has nothing to be dropped
            databases.drop(made)


class _Running:
    def __init__(self, declared: Declared, made: Made, level: str, run: str, client: Client | None) -> None:
        known = made.admin.capabilities.levels
        if known and level not in (*known, DEFAULT_LEVEL):
            product = made.admin.capabilities.product
            raise ServerUnavailable(f"{made.target.logical}: {product} does not give {level!r}")
        self._declared = declared
        self._made = made
        self._level = level
        self._label = f"psh:{run}/{declared.name}"
        self._client = client or client_for(made.engine, declared.kind, declared.units)
        self._opened: list[Session] = []
        self._notes: dict[str, None] = {}

    def run(self, programs: Programs, source: str, now: Callable[[str], None] | None) -> Ran:
        try:
            return self._run(programs, source, now)
        finally:
            for session in self._opened:
                session.close()

    def _run(self, programs: Programs, source: str, now: Callable[[str], None] | None) -> Ran:
        declared, recorder = self._declared, Recorder()
        self._set_up(programs)
        seats = self._seats()
        began = time.monotonic()

        def tell(ended: int) -> None:
            if now is not None:
                now(f"{ended} of {declared.transactions} transactions")

        drive = Drive(seats, self._client, recorder, began + declared.deadline, tell)
        interrupted = False
        try:
            drive.run(programs.transactions)
            seconds = time.monotonic() - began
            if not drive.late:  # what is there at the end, by one session and alone
                Drive(seats[:1], self._client, recorder, began + declared.deadline).run(programs.final)
        except BaseException as end:
            for seat in seats:
                seat.session.cancel()
            if not isinstance(end, KeyboardInterrupt) or not recorder.ended:
                raise
            interrupted, seconds = True, time.monotonic() - began
            self._note(f"interrupted: {recorder.ended} of {declared.transactions} transactions were run")
        if drive.late:
            self._note(
                f"not done after {declared.deadline:g} s: {recorder.ended} of {declared.transactions}; raise deadline"
            )
        total = BALANCE * len(programs.keys) if declared.kind is Workload.bank else None
        return Ran(
            observed=recorder.observed(declared.kind, initial(declared.kind, programs.keys), total, source),
            seconds=seconds,
            level=seats[0].session.observed_level,
            product=self._made.admin.capabilities.product,
            version=self._made.admin.capabilities.version,
            late=drive.late,
            interrupted=interrupted,
            notes=list(self._notes),
        )

    def _set_up(self, programs: Programs) -> None:
        engine = self._made.engine
        control = engine.open(self._made.url, SessionOptions(f"{self._label}/control", engine.levels[0]))
        self._opened.append(control)
        for statement in self._client.setup(programs.keys):
            outcome = control.run(statement)
            if outcome.error is not None:
                raise SetupFailed(f"{self._made.target.label}: the workload's set-up failed: {said(outcome.error)}")

    def _seats(self) -> list[Seat]:
        count = self._declared.sessions
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            opening = [pool.submit(Seat, number, count, self._connect) for number in range(count)]
        return [one.result() for one in opening]  # the first that failed says why

    def _connect(self, process: int) -> Session:
        session = self._made.engine.open(self._made.url, SessionOptions(f"{self._label}/{process}", self._level))
        self._opened.append(session)
        for note in session.notes:
            self._note(note)
        for statement in self._client.settings():
            self._settle(session, statement)
        return session

    def _settle(self, session: Session, statement: Statement) -> None:
        outcome = session.run(statement)
        if outcome.error is not None:
            self._note(f"{statement.body}: {said(outcome.error)}")

    def _note(self, text: str) -> None:
        self._notes[text] = None
