"""Samples a set of servers, and this machine: a thread each, one timetable for all."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.errors import EngineError
from harness.monitor.access import Access
from harness.monitor.base import server_key
from harness.monitor.engines import watching
from harness.monitor.host import SPECS, HostSampler, Processes, ServerUsage
from harness.monitor.series import Series
from harness.monitor.thread import PATIENCE, Listener, Timetable, Watched, WatchedHost, WatchedServer
from harness.servers.base import Target

_STAGGER = 0.01
"""Seconds between the samples of two servers."""


class Sampling:
    """The samplers of one process. ``folder`` is the run's, or None if nothing is to be kept."""

    def __init__(
        self,
        run: str,
        folder: Path | None,
        interval: float = 1.0,
        *,
        root: int = 0,
        environ: Mapping[str, str] | None = None,
        listeners: tuple[Listener, ...] = (),
    ) -> None:
        self._run = run
        self._folder = folder
        self._timetable = Timetable(interval)
        self._environ = os.environ if environ is None else environ
        self._listeners = listeners
        self._processes = Processes()
        self._lock = threading.Lock()
        self._servers: dict[str, WatchedServer] = {}
        self._usages: dict[str, ServerUsage] = {}
        self._problems: list[str] = []
        host = Series(name="host", label="this machine", engine="host", version="", measures=[])
        sampler = HostSampler(root or os.getpid(), self._processes, self._usages)
        self._host = WatchedHost(host, list(SPECS), self._timetable, folder, sampler)
        self._start(self._host)

    def _start(self, watched: Watched) -> None:
        watched.listeners += self._listeners
        watched.start()

    def add(self, target: Target) -> None:
        """Watch a database's server from now on; one that is watched already only learns that the database is there too.

        If the database was on another server so far, that one has died and this is its successor. Never raises.
        """
        with self._lock:
            key = server_key(target)
            before = next((one for one in self._servers.values() if target.logical in one.series.databases), None)
            there = self._servers.get(key)
            if there is not None:
                self._tell_also(there, target)
                return
            try:
                engine = watching(target.engine)
            except EngineError as error:
                self._problems.append(str(error))
                return
            access = Access(target, engine, self._run, self._environ)
            if before is not None:
                before.move(access)
                self._servers = {name: one for name, one in self._servers.items() if one is not before} | {key: before}
                return
            series = Series(
                name=target.logical,
                label=target.label,
                engine=target.engine,
                version="",
                measures=[],
                databases=[target.logical],
            )
            offset = min(_STAGGER, self._timetable.interval / 20) * (1 + len(self._servers))
            timetable = replace(self._timetable, offset=offset)
            made = WatchedServer(series, list(engine.specs), timetable, self._folder, access, self._processes)
            self._servers[key] = made
            self._usages[key] = made.usage
            self._start(made)

    @staticmethod
    def _tell_also(there: WatchedServer, target: Target) -> None:
        series = there.series
        if target.logical not in series.databases:
            series.databases.append(target.logical)
            series.label = f"{series.label}, {target.label}"
            there.write_facts()

    @property
    def watched(self) -> list[Watched]:
        """All series, the host's last."""
        return [*self._servers.values(), self._host]

    @property
    def problems(self) -> list[str]:
        """What is not watched at all, and why."""
        return list(self._problems)

    def wait_first(self, seconds: float) -> None:
        """Until everything was sampled once, or could not be; or for this long."""
        until = time.monotonic() + seconds
        for one in self.watched:
            one.first.wait(max(0.0, until - time.monotonic()))

    def stop(self) -> list[Watched]:
        """Take no more samples, remove the logins, write everything down; gives all series. Never raises."""
        every = self.watched
        for one in every:
            one.stop()
        until = time.monotonic() + PATIENCE
        for one in every:
            one.join(max(0.0, until - time.monotonic()))
        return every
