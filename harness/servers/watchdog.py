"""The watchdog: a process of its own that outlives a killed run, stops the run's servers and removes its folder.

``python -m harness.servers.watchdog FOLDER OWNER_PID OWNER_CREATED``. It ends by itself when the folder is gone,
which is what a normal end of the run looks like. It imports little, for it starts before the first server does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

from harness.servers import processes
from harness.servers.runfolder import RunFolder

_GRAIN = 0.5  # seconds between two looks at whether the folder is still there


def start(folder: Path, owner: int, created: float) -> int:
    """Start a watchdog for ``folder``, detached from us; gives its pid. Raises ServerError."""
    from harness.servers.runfolder import one_line

    # -P: the folder that it runs in is no place to import from.
    command = [sys.executable, "-P", "-m", __name__, str(folder), str(owner), repr(created)]
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    env = dict(os.environ, PYTHONPATH=path)
    try:
        return processes.spawn(command, folder / "watchdog.log", folder.parent, env).pid
    except OSError as problem:
        raise one_line(problem, "the watchdog of the servers cannot be started") from problem


def watch(folder: Path, owner: int, created: float) -> None:
    """Wait until ``owner`` is dead, then close the set in ``folder``; return earlier if the folder goes away."""
    while folder.exists():
        if not processes.is_alive(owner, created):
            RunFolder(folder).close(spare=os.getpid())
            return
        try:
            psutil.Process(owner).wait(timeout=_GRAIN)
        except psutil.Error:
            continue


if __name__ == "__main__":
    watch(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
