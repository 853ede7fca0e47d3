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
