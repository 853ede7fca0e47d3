"""Specifications run one after the other, here or in several processes that share a run; no pytest is involved.

Each process is a part of the run as one of pytest-xdist's workers is: the same run, servers that whoever needs them first
starts, its own databases. The parent hands out one specification at a time, so that one that dies costs no other.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, ServerUnavailable, StoreError
from harness.history import RunEnd
from harness.specs import Specs, difference
from harness.suite import Settings, Suite

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext

GRACE = 10.0
"""Seconds that a process has to put its things away."""

_CAN_BLOCK = hasattr(signal, "pthread_sigmask")


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
            if _CAN_BLOCK:
                # Begun now because it unblocks SIGINT when it begins; see _start.
                resource_tracker.ensure_running()
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
        here = self.suite.settings
        settings = {
            "root": here.root,
            "results": here.results,
            "run_id": here.run_id,
            "owner_pid": here.owner_pid,
            "mode": self.suite.mode,
            "worker": f"w{self._started}",
        }
        context = _context()
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, settings, self.task), daemon=True)
        with _no_interrupt():  # it is heard again when the process is ready to put things away
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
        worker.process.join(GRACE)
        worker.connection.close()
        if said is not None:  # its last word
            self.suite.hear(said)
        if worker.file:
            if self.files:
                self._start()
            yield Outcome(worker.file, problem=f"the process that ran it {_end_of(worker.process)}")

    def _end(self) -> None:
        """End those that are still there, as Ctrl-C would, and by force if they do not."""
        for worker in self._workers:
            if _CAN_BLOCK and worker.process.pid and worker.process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGINT)
            else:
                worker.process.terminate()
        until = time.monotonic() + GRACE
        for worker in self._workers:
            worker.process.join(max(until - time.monotonic(), 0.1))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self._workers.clear()


def _context() -> SpawnContext | ForkContext:
    """A copy of this process is there at once, a new one takes half a second; but only one without threads is copied."""
    if sys.platform == "linux" and threading.active_count() == 1:
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


def _end_of(process: BaseProcess) -> str:
    code = process.exitcode
    if code is None:
        return "hung up"
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Hold SIGINT back: a process that is started meanwhile does not hear it before it says so."""
    if not _CAN_BLOCK:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, settings: Mapping[str, Any], task: Task) -> None:
    """What a process of the pool does: run what it is told, until it is told nothing more."""
    collect_rarely()
    suite = Suite(Settings(**settings))
    specs = task.specs(suite)
    try:
        signal.signal(signal.SIGINT, _interrupted)
        if _CAN_BLOCK:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        threading.Thread(target=_follow_parent, daemon=True).start()
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
        signal.signal(signal.SIGINT, signal.SIG_IGN)
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


def _interrupted(number: int, frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: what follows is putting things away
    raise KeyboardInterrupt


def _follow_parent() -> None:
    """End when the parent does, in the middle of a step, too: nobody would hear what comes of it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    if _CAN_BLOCK:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(GRACE)
    os._exit(1)
