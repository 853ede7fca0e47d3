"""Numbers and keeps what happens."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from harness.answers import ErrorKind
from harness.engines.base import Notice, Outcome, plain
from harness.history import Event, EventKind, Operation, Phase, Wait, WaitPicture
from harness.runner.driver import Prepared
from harness.runner.secrecy import Secrecy
from harness.scenario.model import Step

_EVENTS = TypeAdapter(list[Event])


@dataclass(frozen=True, slots=True)
class Run:
    """A step on its ``attempt``-th run: the same step may run more than once."""

    step: Step
    attempt: int = 1
    phase: Phase = Phase.schedule


_Noted = tuple[int, float, EventKind, Run, dict[str, Any]]


def _fields(seq: int, at: float, kind: EventKind, run: Run, fields: dict[str, Any]) -> dict[str, Any]:
    step = run.step
    made = {
        "seq": seq,
        "at": round(at, 6),
        "kind": kind,
        "session": step.session,
        "step": step.name,
        "database": step.database,
        "attempt": run.attempt,
        "phase": run.phase,
        **fields,
    }
    if isinstance(results := made.get("results"), Outcome):
        made["results"] = results.results
    return made


class Recorder:
    """Events and wait pictures of one case, in one order. Used by one thread at a time.

    What it holds is still in the clear: :meth:`Secrecy.sealed` hides what is sensitive in the whole History, at the
    end, when all that must not be told is known.
    """

    def __init__(self, secrecy: Secrecy | None = None) -> None:
        self.began = time.perf_counter()
        self.pictures: list[WaitPicture] = []
        self.deadlocks: list[str] = []  # the database of each step that a server ended as a deadlock's victim
        self.last = 0  # seq of the last event before the run ended, if that was before its time
        self._noted: list[_Noted] = []  # made into events after the run, not during it
        self._seq = 0
        self._secrecy = secrecy or Secrecy()

    @property
    def events(self) -> list[Event]:
        """What has been noted so far."""
        return _EVENTS.validate_python([_fields(*noted) for noted in self._noted])

    def mark_end(self) -> None:
        """The run ends here, before its time."""
        self.last = self._seq

    def begin(self) -> None:
        """Time counts from here."""
        self.began = time.perf_counter()

    def _next(self) -> tuple[int, float]:
        self._seq += 1
        return self._seq, time.perf_counter() - self.began

    def _note(self, kind: EventKind, run: Run, **fields: Any) -> None:
        self._noted.append((*self._next(), kind, run, fields))

    def start(self, run: Run, prepared: Prepared) -> None:
        """A step is about to run."""
        self._secrecy.learn_writes(prepared.writes)
        parameters = [plain(value) for value in prepared.statement.parameters]
        self._note(EventKind.start, run, statement=prepared.shown, parameters=parameters)

    def blocked(self, run: Run, waits_for: list[str], resource: str) -> None:
        """The server says that the step waits."""
        self._note(EventKind.blocked, run, waits_for=waits_for, text=resource)

    def held(self, run: Run, why: str) -> None:
        """The schedule says that what became of the step is not written down yet."""
        self._note(EventKind.held, run, text=why)

    def overdue(self, run: Run, seconds: float) -> None:
        """The step is cancelled: it was waited for too long."""
        self._note(EventKind.overdue, run, seconds=round(seconds, 6))

    def notice(self, run: Run, notice: Notice) -> None:
        """The server has said something."""
        self._note(EventKind.notice, run, text=notice.text, after_results=notice.after_results)

    def notification(self, run: Run, text: str) -> None:
        """Another session's message was heard when the step ended."""
        self._note(EventKind.notification, run, text=text)

    def end(
        self, run: Run, kind: EventKind, outcome: Outcome, operations: list[Operation], seconds: float, text: str = ""
    ) -> None:
        """A step has ended; ``text`` says why, where the harness ended it."""
        for notice in outcome.notices:
            self.notice(run, notice)
        if outcome.error is not None and outcome.error.kind is ErrorKind.deadlock and kind is EventKind.error:
            self.deadlocks.append(run.step.database)
        self._note(
            kind,
            run,
            results=self._secrecy.hide(outcome.results, run.step.reads) if self._secrecy.names else outcome,
            error=outcome.error,
            operations=[self._secrecy.operation(operation) for operation in operations],
            in_transaction=outcome.in_transaction,
            ended=outcome.ended,
            seconds=round(seconds, 6),
            text=text,
            **({"host_began": outcome.clock[0], "host_ended": outcome.clock[1]} if outcome.clock else {}),
        )

    def skipped(self, run: Run, why: str) -> None:
        """A step is not run."""
        self._note(EventKind.skipped, run, text=why)

    def picture(
        self,
        reason: str,
        waits: list[Wait],
        cycle: list[str],
        servers: list[str],
        seen: bool | None,
        locks: list[dict[str, str]],
    ) -> None:
        """Who waits for whom at this moment."""
        seq, at = self._next()
        at = round(at, 6)
        self.pictures.append(
            WaitPicture(
                seq=seq,
                at=at,
                reason=reason,
                waits=waits,
                cycle=cycle,
                servers=servers,
                seen_by_server=seen,
                locks=locks,
            )
        )


def ending(outcome: Outcome, *, timed_out: bool = False, broken: bool = False) -> EventKind:
    """The kind of event that an outcome is."""
    if outcome.error is None:
        return EventKind.ok
    if timed_out:
        return EventKind.timeout
    if broken:
        return EventKind.cancelled
    return EventKind.conflict if outcome.error.kind is ErrorKind.conflict else EventKind.error
