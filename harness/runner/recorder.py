"""Numbers and keeps what happens. The one place where values are hidden before they are written anywhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from harness.engines.base import Outcome, plain
from harness.history import (
    ErrorKind,
    ErrorRecord,
    Event,
    EventKind,
    Operation,
    ResultSet,
    Wait,
    WaitPicture,
)
from harness.runner.driver import Prepared
from harness.scenario.model import Step

HIDDEN = "‹hidden›"


class Recorder:
    """Events and wait pictures of one case, in one order. Used by one thread at a time (the coordinator's)."""

    def __init__(self, sensitive: frozenset[str] = frozenset()) -> None:
        self.began = time.perf_counter()
        self.pictures: list[WaitPicture] = []
        self._noted: list[dict[str, Any]] = []  # fields of events: checked and built after the run, not during it
        self._seq = 0
        self._sensitive = sensitive
        self._secrets: set[str] = set()

    @property
    def events(self) -> list[Event]:
        """What has been noted so far."""
        return [Event(**fields) for fields in self._noted]

    def begin(self) -> None:
        """Time counts from here."""
        self.began = time.perf_counter()

    def _next(self) -> tuple[int, float]:
        self._seq += 1
        return self._seq, round(time.perf_counter() - self.began, 6)

    def _note(self, kind: EventKind, step: Step, attempt: int, **fields: Any) -> None:
        seq, at = self._next()
        fields |= {"seq": seq, "at": at, "kind": kind, "attempt": attempt}
        self._noted.append(fields | {"session": step.session, "step": step.name, "database": step.database})

    def start(self, step: Step, prepared: Prepared, attempt: int = 1) -> None:
        """A step is about to run."""
        parameters = [plain(value) for value in prepared.statement.parameters]
        if self._secrets:
            parameters = [HIDDEN if str(value) in self._secrets else value for value in parameters]
        self._note(EventKind.start, step, attempt, statement=self._scrub(prepared.shown), parameters=parameters)

    def blocked(self, step: Step, waits_for: list[str], resource: str, attempt: int = 1) -> None:
        """The server says that the step waits."""
        self._note(EventKind.blocked, step, attempt, waits_for=waits_for, text=resource)

    def end(
        self,
        step: Step,
        kind: EventKind,
        outcome: Outcome,
        operations: list[Operation],
        seconds: float,
        attempt: int = 1,
        text: str = "",
    ) -> None:
        """A step has ended; ``text`` says why, where the harness ended it."""
        results = self.hide(outcome.results)  # first: it learns the values that must not be shown
        for notice in outcome.notices:
            self._note(EventKind.notice, step, attempt, text=self._scrub(notice))
        self._note(
            kind,
            step,
            attempt,
            results=results,
            error=self._error(outcome.error),
            operations=[self._operation(operation) for operation in operations],
            in_transaction=outcome.in_transaction,
            ended=outcome.ended,
            seconds=round(seconds, 6),
            text=text,
        )

    def skipped(self, step: Step, why: str, attempt: int = 1) -> None:
        """A step is not run."""
        self._note(EventKind.skipped, step, attempt, text=why)

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
        self.pictures.append(
            WaitPicture(
                seq=seq, at=at, reason=reason, waits=waits, cycle=cycle, servers=servers, seen_by_server=seen,
                locks=[{key: self._scrub(value) for key, value in lock.items()} for lock in locks],
            )
        )  # fmt: skip

    def hide(self, results: list[ResultSet]) -> list[ResultSet]:
        """Results with the values of sensitive columns replaced."""
        if not self._sensitive:
            return results
        made = []
        for result in results:
            hidden = {index for index, column in enumerate(result.columns) if column in self._sensitive}
            for row in result.rows:
                self._secrets |= {str(row[index]) for index in hidden if row[index] not in (None, "")}
            rows = [[HIDDEN if index in hidden else value for index, value in enumerate(row)] for row in result.rows]
            made.append(result.model_copy(update={"rows": rows}))
        return made

    def items(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values of items, those of sensitive ones replaced."""
        return {item: HIDDEN if item in self._sensitive else value for item, value in values.items()}

    def _operation(self, operation: Operation) -> Operation:
        if operation.item in self._sensitive:
            return operation.model_copy(update={"value": HIDDEN, "known": False})
        return operation

    def _error(self, error: ErrorRecord | None) -> ErrorRecord | None:
        if error is None or not self._secrets:
            return error
        return error.model_copy(update={"message": self._scrub(error.message), "detail": self._scrub(error.detail)})

    def _scrub(self, text: str) -> str:
        for secret in self._secrets:
            if len(secret) > 2:
                text = text.replace(secret, HIDDEN)
        return text


def ending(outcome: Outcome, *, timed_out: bool = False, broken: bool = False) -> EventKind:
    """The kind of event that an outcome is."""
    if outcome.error is None:
        return EventKind.ok
    if timed_out:
        return EventKind.timeout
    if broken:
        return EventKind.cancelled
    return EventKind.conflict if outcome.error.kind is ErrorKind.conflict else EventKind.error
