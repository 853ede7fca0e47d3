"""Specifications run one after the other, here or in several processes that share a run; no pytest is involved.

Each process is a part of the run as one of pytest-xdist's workers is: the same run, servers that whoever needs them first
starts, its own databases. The parent hands out one specification at a time, so that one that dies costs no other.
"""

from __future__ import annotations

import contextlib
import gc
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from harness import processes
from harness.errors import HarnessError, ServerUnavailable, StoreError
from harness.history import RunEnd
from harness.specs import Specs, difference
from harness.suite import Settings, Suite


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a specification, small enough to be sent from one process to another."""

    file: Path
    problem: str = ""  # why it did not pass
    skipped: str = ""  # why it was not run
    permutations: int = 0  # that were run
    seconds: float = 0.0
    output: str | None = None  # all that was printed; None if it was not run
    difference: tuple[str, ...] = ()
    evidence: tuple[Path, ...] = ()  # of the permutations that printed something else
    expected: bool = True  # whether there is an output that is expected
    completed: bool = False  # whether every permutation went to its end


@dataclass(frozen=True, slots=True)
class Task:
    """How specifications are run."""

    expected: Path | None
    timeout: float

    def specs(self, suite: Suite) -> Specs:
        """What runs them in one process."""
        return Specs(suite, self.expected, self.timeout)


def attempt(specs: Specs, file: Path) -> Outcome:
    """Run one; what keeps it from being run is told in the outcome. Raises StoreError: no other could be kept either."""
    try:
        specification = specs.read(file)
        if reason := next((case.reason for case in specification.cases if case.reason), ""):
            return Outcome(file, skipped=reason)
        result = specs.run(specification)
    except StoreError:
        raise
    except ServerUnavailable as error:
        return Outcome(file, skipped=str(error))
    except HarnessError as error:
        return Outcome(file, problem=str(error))
    return Outcome(
        file,
        problem=result.problem,
        permutations=len(result.permutations),
        seconds=result.seconds,
        output=result.output,
        difference=() if result.passed else tuple(difference(result)),
        evidence=tuple(permutation.result.path for permutation in result.differing),
        expected=bool(specification.expected.variants),
        completed=all(one.result.evidence.history.end is RunEnd.completed for one in result.permutations),
    )


def collect_rarely() -> None:
    """Have Python look for garbage less often: a specification's thousands of records live until it has ended.

    Hardly anything here is garbage that only the collector would find, and looking costs a seventh of our time.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def run_here(suite: Suite, task: Task, files: Sequence[Path]) -> Generator[Outcome, None, None]:
    """Run them in this process, in their order."""
    collect_rarely()
    specs = task.specs(suite)
    try:
        for file, following in zip_longest(files, files[1:]):
            if following is not None:
                specs.read_ahead(following)
            yield attempt(specs, file)
    finally:
        specs.close()


# -- several processes


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    file: Path | None = None  # what it has to do


@dataclass(slots=True)
class Pool:
    """Runs specifications in ``number`` processes, in the order of ``files`` as far as there is one."""

    suite: Suite
    task: Task
    files: deque[Path]
    number: int
    _workers: list[_Worker] = field(default_factory=list)
    _started: int = 0

    @property
    def running(self) -> list[str]:
        """The names of those that are run now."""
        return [worker.file.stem for worker in self._workers if worker.file]

    def outcomes(self) -> Generator[Outcome, None, None]:
        """Each outcome as it comes. Raises StoreError. Closed early, or by Ctrl-C, it ends all processes."""
        try:
            processes.ready_to_start()
            for _ in range(min(self.number, len(self.files))):
                self._start()
            while self._workers:
                waited_for = [thing for one in self._workers for thing in (one.connection, one.process.sentinel)]
                ready = wait(waited_for)
                for worker in list(self._workers):
                    if worker.connection in ready or worker.process.sentinel in ready:
                        yield from self._hear(worker)
        finally:
            self._end()

    def _start(self) -> None:
        self._started += 1
        settings = processes.settings_for(self.suite, f"w{self._started}")
        context = processes.context()
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, settings, self.task), daemon=True)
        with processes.no_interrupt():  # it is heard again when the process is ready to put things away
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        self._give(worker)

    def _give(self, worker: _Worker) -> None:
        """The next one to do, or the word that there is none."""
        worker.file = self.files.popleft() if self.files else None
        with contextlib.suppress(OSError):  # it has died: that is heard next
            worker.connection.send(worker.file)

    def _hear(self, worker: _Worker) -> Iterator[Outcome]:
        try:
            # If it ended between its last word and this moment, the word is still there.
            said = worker.connection.recv() if worker.connection.poll() else None
        except (EOFError, OSError):
            said = None
        if isinstance(said, Outcome):
            self._give(worker)
            yield said
            return
        if isinstance(said, StoreError):
            raise said
        self._workers.remove(worker)
        worker.process.join(processes.GRACE)
        worker.connection.close()
        if said is not None:  # its last word
            self.suite.hear(said)
        if worker.file:
            if self.files:
                self._start()
            yield Outcome(worker.file, problem=f"the process that ran it {processes.end_of(worker.process)}")

    def _end(self) -> None:
        """End those that are still there, as Ctrl-C would, and by force if they do not."""
        processes.end([worker.process for worker in self._workers])
        for worker in self._workers:
            worker.connection.close()
        self._workers.clear()


def _work(connection: Connection, settings: Mapping[str, Any], task: Task) -> None:
    """What a process of the pool does: run what it is told, until it is told nothing more."""
    collect_rarely()
    suite = Suite(Settings(**settings))
    specs = task.specs(suite)
    try:
        processes.begin()
        while file := _next(connection):
            try:
                said: Outcome | StoreError = attempt(specs, file)
            except StoreError as error:
                said = StoreError(str(error))
            with contextlib.suppress(OSError):  # nobody hears it: the next word does not come
                connection.send(said)
    except KeyboardInterrupt:
        pass  # the parent wants us to end
    finally:
        processes.deaf()
        specs.close()
        suite.close()
        with contextlib.suppress(OSError):
            connection.send(suite.tell())


def _next(connection: Connection) -> Path | None:
    try:
        file: Path | None = connection.recv()
    except (EOFError, OSError):  # the parent has ended
        return None
    return file
