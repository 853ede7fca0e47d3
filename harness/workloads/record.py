"""What happens in a run of a workload, as it happens: invocations and completions in one order of positions."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.evidence.checker.model import Key, MicroOp, Observed, Status, Transaction, Workload
from harness.workloads.clients.base import Done
from harness.workloads.generate import Program


@dataclass(slots=True)
class Entry:
    """A transaction that was begun; nothing is known of its end until ``done``."""

    program: Program
    process: int
    invoked: int
    began: int
    done: Done | None = None
    completed: int | None = None
    ended: int | None = None


class Recorder:
    """Safe to use from several threads: a position is taken in one step, which nobody else can take again."""

    def __init__(self) -> None:
        self._positions = itertools.count()
        self._entries: list[Entry] = []
        self._zero = time.monotonic_ns()
        self.ended = 0  # how many have ended, about; for a line that tells how far it is

    def begin(self, process: int, program: Program) -> Entry:
        """A session is about to send a transaction's first statement."""
        entry = Entry(program, process, next(self._positions), time.monotonic_ns() - self._zero)
        self._entries.append(entry)
        return entry

    def end(self, entry: Entry, done: Done) -> None:
        """The server's last word on it has come, or will not come."""
        entry.ended = time.monotonic_ns() - self._zero
        entry.completed = next(self._positions)
        entry.done = done
        self.ended += 1

    def observed(self, kind: Workload, initial: Mapping[Key, Any], total: int | None, source: str) -> Observed:
        """All of it as a history; what never ended is ``info``, with all that it was to write."""
        entries = sorted(self._entries, key=lambda entry: entry.invoked)
        made = tuple(_transaction(index, entry) for index, entry in enumerate(entries))
        return Observed(kind, made, dict(initial), total, source)


def _transaction(index: int, entry: Entry) -> Transaction:
    done = entry.done or Done(Status.info, _asked(entry.program), "nothing was heard of it")
    return Transaction(
        index=index,
        process=entry.process,
        status=done.status,
        ops=done.ops,
        invoked=entry.invoked,
        completed=entry.completed,
        began=entry.began,
        ended=entry.ended,
        error=done.error,
    )


def _asked(program: Program) -> tuple[MicroOp, ...]:
    """What a program would do; a transfer's writes depend on what it reads, so nobody knows them."""
    return tuple(op for op in program.ops if not (op.f == "w" and op.value is None))
