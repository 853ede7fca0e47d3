"""Processes that share a run: how they are started, how they hear Ctrl-C once, and how they end with their parent.

What they do is others' business: :mod:`harness.spec_pool` for specifications, :mod:`harness.exploring.pool` for schedules.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext

    from harness.suite import Suite

GRACE = 10.0
"""Seconds that a process has to put its things away."""

CAN_BLOCK = hasattr(signal, "pthread_sigmask")
"""Whether a thread can hold a signal back here."""


def context() -> SpawnContext | ForkContext:
    """A copy of this process is there at once, a new one takes half a second; but only one without threads is copied."""
    if sys.platform == "linux" and threading.active_count() == 1:
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


def settings_for(suite: Suite, worker: str) -> dict[str, Any]:
    """The settings of another process of the run, which is called ``worker``."""
    here = suite.settings
    return {
        "root": here.root,
        "results": here.results,
        "run_id": here.run_id,
        "owner_pid": here.owner_pid,
        "mode": suite.mode,
        "worker": worker,
        "parameters": dict(here.parameters),
        "schemas": here.schemas,
        **({} if here.environ is os.environ else {"environ": dict(here.environ)}),
    }


def ready_to_start() -> None:
    """To be called before the first process: what unblocks SIGINT when it begins is begun now."""
    if CAN_BLOCK:
        resource_tracker.ensure_running()


@contextlib.contextmanager
def no_interrupt() -> Iterator[None]:
    """Hold SIGINT back: a process that is started meanwhile does not hear it before it says so (:func:`begin`)."""
    if not CAN_BLOCK:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin() -> None:
    """In a process that was started so, once it is ready to put things away: hear Ctrl-C, once, and end with the parent."""
    signal.signal(signal.SIGINT, _interrupted)
    if CAN_BLOCK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    threading.Thread(target=_follow_parent, daemon=True).start()


def deaf() -> None:
    """In such a process: what follows is putting things away, and Ctrl-C does not keep it from that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupted(number: int, frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: what follows is putting things away
    raise KeyboardInterrupt


def _follow_parent() -> None:
    """End when the parent does, in the middle of a step, too: nobody would hear what comes of it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    if CAN_BLOCK:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(GRACE)
    os._exit(1)


def end(processes: Sequence[BaseProcess]) -> None:
    """End those that are still there, as Ctrl-C would, and by force if they do not."""
    for process in processes:
        if CAN_BLOCK and process.pid and process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)
        else:
            process.terminate()
    until = time.monotonic() + GRACE
    for process in processes:
        process.join(max(until - time.monotonic(), 0.1))
        if process.is_alive():
            process.kill()
            process.join()


def end_of(process: BaseProcess) -> str:
    """How a process ended, in words."""
    code = process.exitcode
    if code is None:
        return "hung up"
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
