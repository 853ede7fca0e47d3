"""The monitor's own process: ``python -m harness.monitor.process``. It is told what to do in lines of JSON, on its input.

    in    {"run", "folder", "interval", "parent", "prometheus", "tell"}, then {"add": Target}, {"stop": true}
    out   {"ready": …}, {"first": true}, {"row": …} if they are wanted, {"end": …}, or {"error": "one line"}

URLs with their passwords come this way and no other: a command line can be read by everybody. When the input ends, or the
parent is another one, whoever started us is dead: then it writes down what it has, removes its logins and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from harness.errors import HarnessError
from harness.monitor.exporter import Exporter
from harness.monitor.sampling import Sampling
from harness.monitor.series import FOLDER
from harness.monitor.thread import Watched
from harness.monitor.turning import Row
from harness.servers.base import Target

_GRAIN = 0.5
"""Seconds between two looks at whether our parent is still there: a fork of it may hold our input open."""


class Teller:
    """Says things, a line each; silent once nobody listens."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def tell(self, **what: Any) -> None:
        """One line."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._out.write(json.dumps(what) + "\n")
            self._out.flush()

    def row(self, watched: Watched, row: Row) -> None:
        """A row, for who wants to see them at once."""
        series = watched.series
        self.tell(
            row={"name": series.name, "label": series.label, "at": row.at, "values": row.values, "waits": row.waits}
        )


def main() -> None:
    """Do as we are told, to the end."""
    told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(told,), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: told.put({"stop": True}))
    with contextlib.suppress(ValueError, OSError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's ^C goes to all; our parent ends us
    order = told.get()
    if "stop" in order:
        return
    teller = Teller(sys.stdout)
    folder = Path(order["folder"]) if order["folder"] else None
    exporter = Exporter()
    with contextlib.ExitStack() as stack:
        if folder and not stack.enter_context(_alone(folder)):
            teller.tell(ready={"joined": True, "prometheus": ""})
            _until_stop(told, order["parent"], None, teller)
            teller.tell(end={"joined": True})
            return
        try:
            if order["prometheus"]:
                exporter.start(order["prometheus"])
                stack.callback(exporter.stop)
        except HarnessError as error:
            teller.tell(error=str(error))
            return
        listeners = (*((exporter,) if exporter.url else ()), *((teller.row,) if order["tell"] else ()))
        sampling = Sampling(
            order["run"], folder, float(order["interval"]), root=int(order["parent"]), listeners=listeners
        )
        teller.tell(ready={"joined": False, "prometheus": exporter.url})
        _until_stop(told, order["parent"], sampling, teller)
        series = sampling.stop()
        teller.tell(end={"joined": False, **summary(series), "problems": sampling.problems})


def _listen(told: queue.SimpleQueue[dict[str, Any]]) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in sys.stdin:
            told.put(json.loads(line))
    told.put({"stop": True})


def _until_stop(
    told: queue.SimpleQueue[dict[str, Any]], parent: int, sampling: Sampling | None, teller: Teller
) -> None:
    while True:
        try:
            order = told.get(timeout=_GRAIN)
        except queue.Empty:
            if os.getppid() != parent:
                return
            continue
        if "stop" in order:
            return
        if sampling is None:
            if "first" in order:
                teller.tell(first=True)
            continue
        if "add" in order:
            sampling.add(Target(**order["add"] | {"addresses": tuple(order["add"]["addresses"])}))
        elif "first" in order:
            threading.Thread(target=_first, args=(sampling, float(order["first"]), teller), daemon=True).start()


def _first(sampling: Sampling, seconds: float, teller: Teller) -> None:
    sampling.wait_first(seconds)
    teller.tell(first=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other monitor keeps samples of this run: two would write into the same files."""
    from filelock import FileLock, Timeout

    where = folder / FOLDER
    try:
        where.mkdir(parents=True, exist_ok=True)
        lock = FileLock(where / ".lock", timeout=0, mode=0o600)
        lock.acquire()
    except Timeout:
        yield False
        return
    except OSError:
        yield True  # what cannot be written is said where it is to be written
        return
    try:
        yield True
    finally:
        (where / ".lock").unlink(missing_ok=True)
        lock.release()


def summary(series: list[Watched]) -> dict[str, Any]:
    """What all of it has cost, and what is to be said."""
    times = os.times()
    return {
        "cpu": round(times.user + times.system, 3),
        "seconds": round(time.monotonic() - _BEGAN, 3),
        "series": {
            one.series.name: {"label": one.series.label, "cost": asdict(one.cost()), "notes": one.series.notes}
            for one in series
        },
    }


_BEGAN = time.monotonic()

if __name__ == "__main__":
    main()
