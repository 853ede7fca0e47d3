"""Processors' seconds of our processes and of servers, for benchmarks/scale.py."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fixtures.seed.work import peak_memory
from harness.monitor.host import Processes, server_pid
from harness.servers.base import Target


@dataclass(frozen=True, slots=True)
class Spent:
    """Between two looks. ``own``: this process and its children that ended."""

    wall: float
    own: float
    servers: dict[str, float]
    peak: int


def cpu_of(pid: int) -> float:
    """Seconds of a process, of those below it, and of those that they have waited for."""
    return sum(one.seconds + one.ended for _, one in Processes().tree(pid))


def memory_of(pid: int) -> int:
    """Bytes resident of a process and of those below it."""
    return sum(one.memory for _, one in Processes().tree(pid))


def server_pids(targets: Mapping[str, Target]) -> dict[str, int]:
    """The process of each server, by the databases that are on it: ``promptads+promptsales``."""
    on: dict[int, list[str]] = {}
    for name, target in sorted(targets.items()):
        if pid := server_pid(target):
            on.setdefault(pid, []).append(name)
    return {"+".join(names): pid for pid, names in on.items()}


class Watch:
    """From when it is made until ``stop``."""

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self._pids = server_pids(targets)
        self._servers = self._now()
        self._own, self._at = self._ours(), time.perf_counter()

    def stop(self) -> Spent:
        wall, own, servers = time.perf_counter() - self._at, self._ours(), self._now()
        return Spent(
            wall,
            own - self._own,
            {name: round(seconds - self._servers[name], 3) for name, seconds in servers.items()},
            peak_memory(),
        )

    def _now(self) -> dict[str, float]:
        return {name: cpu_of(pid) for name, pid in self._pids.items()}

    @staticmethod
    def _ours() -> float:
        own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def tree_bytes(folder: Path) -> int:
    return sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(folder) for name in names)
