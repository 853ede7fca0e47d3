"""Runs a program and sees to it that it ends when whoever started us does, however that ends.

``hop_guard.py PROGRAM …``, or ``hop_guard.py --ask SECONDS PROGRAM …`` for one that shall have so long to end tidily.

Run as a file (``python -I -S``): it stands on nothing of the package. Its standard input is a pipe that our parent keeps
open. The program leads a process group of its own; our first line is ``pid N``. We end with its exit code, or with 128 +
signal if one ended it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

_GRAIN = 0.2  # seconds between two looks at our parent: a fork of it may hold our input open


def main(command: list[str]) -> int:
    """Run it, watch over it, give its exit code."""
    ask = 0.0
    if command[0] == "--ask":
        ask, command = float(command[1]), command[2:]
    if os.name != "posix":
        return _elsewhere(command)
    parent = os.getppid()
    pid = os.fork()
    if pid == 0:
        _become(command)
    watched = [0]
    handle = -1
    with contextlib.suppress(AttributeError, OSError):
        handle = os.pidfd_open(pid)
        watched.append(handle)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            _end(pid)
            return code if code >= 0 else 128 - code
        ready, _, _ = select.select(watched, [], [], _GRAIN if handle >= 0 else 0.05)
        if os.getppid() != parent or (0 in ready and not os.read(0, 4096)):
            if ask:
                _ask(pid, ask)
            _end(pid)
            return 1


def _ask(pid: int, seconds: float) -> None:
    """Have it end by itself (SIGTERM), for so long."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not os.waitpid(pid, os.WNOHANG)[0]:
        time.sleep(0.02)


def _become(command: list[str]) -> None:
    """In the child: the program, in a session of its own, killed when we are."""
    try:
        os.setsid()
        if sys.platform == "linux":
            import ctypes

            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.write(1, f"pid {os.getpid()}\n".encode())
        os.execv(command[0], command)
    except OSError as problem:
        os.write(2, f"{command[0]}: {problem.strerror}\n".encode())
    os._exit(127)


def _end(group: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)


def _elsewhere(command: list[str]) -> int:
    """Without fork: a child that is ended when our input is."""
    import threading

    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    sys.stdout.write(f"pid {child.pid}\n")
    sys.stdout.flush()

    def watch() -> None:
        sys.stdin.read()
        child.kill()

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
