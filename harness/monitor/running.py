"""The monitor of a run: watches whatever servers the run uses, and tells at the end what it cost. Used by both doors."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from harness.errors import HarnessError
from harness.monitor.monitor import Monitor, Summary
from harness.monitor.noticing import Noticing
from harness.monitor.series import FOLDER
from harness.servers.base import Target

LEAST, MOST = 0.05, 3600
"""Seconds between two samples: one takes some milliseconds on each server."""


class RunMonitor:
    """Starts when the run first uses a server. ``open_folder`` makes the run's folder; ``folder`` is that."""

    def __init__(
        self,
        servers: Noticing,
        folder: Path,
        run: str,
        interval: float,
        prometheus: str = "",
        open_folder: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.problem = ""
        self._monitor = Monitor({}, folder, interval, run=run, prometheus=prometheus)
        self._open_folder = open_folder
        self._started = False
        self._lock = threading.Lock()
        self._servers = servers
        if prometheus:
            self.start()

    def begin(self) -> None:
        """Watch the servers that are used from now on."""
        self._servers.tell(self.watch)

    def start(self) -> None:
        """Start sampling, if that has not been done. Raises HarnessError."""
        with self._lock:
            if not self._started:
                self._started = True
                self._open_folder()
                self._monitor.start()

    def watch(self, target: Target) -> None:
        """A server that the run uses. Never raises: a run goes on without a monitor."""
        try:
            self.start()
        except HarnessError as error:
            self.problem = str(error)
        self._monitor.add(target)

    def look_up(self, logical: str, *, anew: bool) -> None:
        """A worker uses this database: find its server, anew if the worker was given another one. Never raises."""
        with contextlib.suppress(HarnessError):
            if anew:
                self._servers.forget(logical)
            self._servers.target(logical)

    @property
    def url(self) -> str:
        """Where Prometheus finds the samples."""
        return self._monitor.url

    def stop(self) -> Summary:
        """Stop; never raises, may be called twice."""
        self._servers.tell(lambda target: None)
        summary = self._monitor.stop()
        self.problem = self.problem or summary.problem
        return summary

    def lines(self, short: Callable[[Path], str]) -> list[str]:
        """What is to be said at the end."""
        summary = self._monitor.summary
        if not summary.line:
            return []
        made = [f"monitor: {summary.line}", f"monitor: kept in {short(self.folder / FOLDER)}"]
        if summary.notes:
            more = f" (and {len(summary.notes) - 1} more, in its .json files)" if len(summary.notes) > 1 else ""
            made.append(f"monitor: {summary.notes[0]}{more}")
        return made


def seconds_of(text: str) -> float:
    """``--monitor``'s value. Raises ValueError with what a person reads."""
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(
            f"--monitor {text}: that is no number of seconds; write --monitor=1, or put --monitor behind the files"
        ) from None
    if not LEAST <= seconds <= MOST:
        raise ValueError(f"--monitor={text}: seconds between two samples are {LEAST} to {MOST}")
    return seconds
