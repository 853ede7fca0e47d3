"""Schedules run by several processes that share a run and its servers; each has its own databases.

The parent hands out one schedule at a time and says, when it has heard what came of it, whether its evidence is to be kept.
What a process was at when it died is given to another one, once: a schedule that two of them died of is told of.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from harness import processes
from harness.errors import HarnessError, StoreError
from harness.exploring.explore import Runs
from harness.exploring.ground import Ground
from harness.exploring.model import Ran, Task
from harness.exploring.trial import Here, Keeping, Trial, bases, keep, tried
from harness.scenario.model import Case
from harness.suite import Settings, Suite

DEATHS = 2
"""A schedule that so many processes died of is not tried again."""


def runner(suite: Suite, base: Case, number: int, *, touching: bool = False) -> Runs:
    """What runs the schedules of a case: this process, or ``number`` of them."""
    return Here(suite, base, touching) if number < 2 else Pool(suite, base, number, touching)


@dataclass(frozen=True, slots=True)
class _Do:
    """What a process is told: whether to keep the evidence of what it has just run, and what comes next."""

    keep: bool
    task: Task | None


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a process says when it has kept an evidence."""

    path: str


@dataclass(slots=True)
class _Worker:
    name: str
    process: BaseProcess
    connection: Connection
    task: Task | None = None  # what it has to do
    ran: Ran | None = None  # what it has done and now keeps the evidence of


@dataclass(slots=True)
class Pool:
    """Runs schedules in ``number`` processes, for as long as there are some; begun anew for each lot of them."""

    suite: Suite
    base: Case
    number: int
    touching: bool = False
    _workers: list[_Worker] = field(default_factory=list)
    _tasks: deque[Task] = field(default_factory=deque)
    _deaths: dict[int, int] = field(default_factory=dict)
    _started: int = 0

    @property
    def processes(self) -> int:
        """How many."""
        return self.number

    def runs(self, tasks: Sequence[Task], keeping: Keeping) -> Iterator[Ran]:
        """What becomes of each one, as it comes. Raises StoreError, and what kept the processes from beginning.

        Closed early, or by Ctrl-C, it ends all processes.
        """
        self._tasks = deque(tasks)
        self._deaths.clear()
        try:
            processes.ready_to_start()
            for _ in range(min(self.number, len(tasks))):
                self._start()
            while self._workers:
                ready = wait([thing for one in self._workers for thing in (one.connection, one.process.sentinel)])
                for worker in list(self._workers):
                    if worker.connection in ready or worker.process.sentinel in ready:
                        yield from self._hear(worker, keeping)
        finally:
            self._end()

    def _start(self) -> None:
        self._started += 1
        name = f"e{self._started}"
        context = processes.context()
        ours, theirs = context.Pipe()
        told = (theirs, processes.settings_for(self.suite, name), _Base.of(self.base), self.touching)
        process = context.Process(target=_work, args=told, daemon=True)
        with processes.no_interrupt():  # it is heard again when the process is ready to put things away
            process.start()
        theirs.close()
        worker = _Worker(name, process, ours)
        self._workers.append(worker)
        self._give(worker, kept=False)

    def _give(self, worker: _Worker, *, kept: bool) -> None:
        """The next one to do, or the word that there is none."""
        worker.task = self._tasks.popleft() if self._tasks else None
        with contextlib.suppress(OSError):  # it has died: that is heard next
            worker.connection.send(_Do(kept, worker.task))

    def _hear(self, worker: _Worker, keeping: Keeping) -> Iterator[Ran]:
        try:
            # If it ended between its last word and this moment, the word is still there.
            said = worker.connection.recv() if worker.connection.poll() else None
        except (EOFError, OSError):
            said = None
        if isinstance(said, Ran):
            wanted = keeping.wants(said)
            self._give(worker, kept=wanted)
            if wanted:
                worker.ran = said
            else:
                yield said
        elif isinstance(said, _Kept) and worker.ran is not None:
            worker.ran.evidence, ran, worker.ran = said.path, worker.ran, None
            yield ran
        elif isinstance(said, HarnessError):
            raise said
        else:
            yield from self._bury(worker, said)

    def _bury(self, worker: _Worker, said: Mapping[str, list[str]] | None) -> Iterator[Ran]:
        """A process has ended: with its last word, or before."""
        self._workers.remove(worker)
        worker.process.join(processes.GRACE)
        worker.connection.close()
        if said is not None:  # its last word
            self.suite.hear(said)
        else:
            self.suite.databases.drop_of(worker.name)
        if worker.ran is not None:
            yield worker.ran  # it was run, and only its evidence is lost
        if worker.task is None:
            return
        deaths = self._deaths[worker.task.number] = self._deaths.get(worker.task.number, 0) + 1
        if deaths < DEATHS:
            self._tasks.appendleft(worker.task)
        else:
            problem = (
                f"{deaths} processes that ran it ended before it did: the last one {processes.end_of(worker.process)}"
            )
            yield Ran(worker.task, status="error", summary=problem, problem=problem, signature=("could not be run",))
        if self._tasks:
            self._start()

    def _end(self) -> None:
        processes.end([worker.process for worker in self._workers])
        for worker in self._workers:
            worker.connection.close()
            self.suite.databases.drop_of(worker.name)
        self._workers.clear()


@dataclass(frozen=True, slots=True)
class _Base:
    """By what another process finds the case: a case itself is not sent."""

    file: Path
    id: str

    @classmethod
    def of(cls, case: Case) -> _Base:
        """The case's."""
        return cls(case.scenario.file, case.id)

    def find(self, suite: Suite) -> Case:
        """The case there."""
        return next(case for case in bases(suite, self.file) if case.id == self.id)


def _work(connection: Connection, settings: Mapping[str, Any], wanted: _Base, touching: bool) -> None:
    """What a process of the pool does: run what it is told, until it is told nothing more."""
    suite = Suite(Settings(**settings))
    last: Any = None
    ground: Ground | None = None
    try:
        processes.begin()
        base = wanted.find(suite)
        ground = Ground(suite, base)
        trial: Trial | None = None
        while (do := _next(connection)) is not None:
            if do.keep and trial is not None:
                connection.send(_Kept(suite.relative(keep(suite, trial))))
            if do.task is None:
                break
            ran, trial = tried(suite, base, do.task, ground, touching=touching)
            connection.send(ran)
    except KeyboardInterrupt:
        pass  # the parent wants us to end
    except OSError:
        pass  # nobody hears us
    except HarnessError as error:
        last = _plain(error)
    finally:
        processes.deaf()
        if ground is not None:
            ground.forget()
        suite.close()
        with contextlib.suppress(OSError):
            connection.send(last if last is not None else suite.tell())


def _next(connection: Connection) -> _Do | None:
    try:
        do: _Do = connection.recv()
    except (EOFError, OSError):  # the parent has ended
        return None
    return do


def _plain(error: HarnessError) -> HarnessError:
    """An error that can be sent: its kind and its text."""
    kind = type(error)
    try:
        return kind(str(error))
    except TypeError:
        return StoreError(str(error))
