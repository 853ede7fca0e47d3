"""A process that is stopped, as on a machine that hangs: its connections stay, and nothing is answered; or by Ctrl-C."""

from __future__ import annotations

import os
import signal

import psutil
from polling import eventually


def stop(pid: int) -> None:
    """Stop it, and wait until it is: the signal is under way for a moment, in which a question could still be answered."""
    os.kill(pid, signal.SIGSTOP)
    threads = [psutil.Process(one.id) for one in psutil.Process(pid).threads()]
    eventually(lambda: all(_stopped(one) for one in threads), "all its threads are stopped")


def _stopped(thread: psutil.Process) -> bool:
    try:
        return thread.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def hears_ctrl_c() -> None:
    """For ``preexec_fn``: whoever runs the tests may ignore SIGINT (a shell's background), and a child inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
