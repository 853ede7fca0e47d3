"""This machine, watched through psutil: processors, memory, load, disk and network, and what the harness itself takes of it.

Processes are gone through once for all samplers of a process. On Linux their numbers come from /proc, one reading each: that
takes a fraction of what psutil takes for the same, and the sampler is to cost little.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from harness.monitor.base import Kind, Raw, Spec
from harness.servers.base import Target, is_loopback
from harness.vocabulary import PORTS

SPECS = (
    Spec("cpu", "%", group="cpu", about="of all processors"),
    Spec("cpu_harness", "%", group="cpu", about="of all processors: the harness's own processes"),
    Spec("cpu_servers", "%", group="cpu", about="of all processors: the servers watched that run on this machine"),
    Spec("cpu_monitor", "%", group="cpu", about="of all processors: the sampler"),
    Spec("memory", "MB", group="memory", about="in use"),
    Spec("memory_harness", "MB", group="memory", about="resident: the harness's own processes"),
    Spec("load", "processes", group="load", about="that run or want to, over the last minute"),
    Spec("disk_read", "MB/s", Kind.rate, "disk"),
    Spec("disk_written", "MB/s", Kind.rate, "disk"),
    Spec("network_in", "MB/s", Kind.rate, "network", "loopback among it"),
    Spec("network_out", "MB/s", Kind.rate, "network", "loopback among it"),
)

CPU = Spec("cpu", "%", group="cpu", about="of all processors of this machine, which it runs on: the server's processes")
"""In the series of a server that runs here."""

_PROGRAMS = ("postgres", "valkey", "redis", "mongod", "sqlservr", "python", "secantus")
"""How the names of server processes begin. What forwards a container's port is none."""

_FRESH = 0.2
"""Seconds in which processes are not gone through again."""


@dataclass(frozen=True, slots=True)
class Process:
    """What one process is, and has taken so far: seconds of processors, those of its ended children; bytes."""

    parent: int
    seconds: float
    ended: float
    memory: int


class Processes:
    """All processes of this machine, as of a moment ago. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._when = -1.0
        self._all: dict[int, Process] = {}

    def tree(self, root: int, without: Sequence[int] = ()) -> list[tuple[int, Process]]:
        """``root`` and all below it that still run, leaving out the trees of ``without``."""
        with self._lock:
            if time.monotonic() - self._when > _FRESH:
                self._all, self._when = _all_processes(), time.monotonic()
            every = self._all
        children: dict[int, list[int]] = {}
        for pid, one in every.items():
            children.setdefault(one.parent, []).append(pid)
        found, todo = [], [root]
        while todo:
            pid = todo.pop()
            if pid in every and pid not in without:
                found.append((pid, every[pid]))
                todo += children.get(pid, [])
        return found


def _all_processes() -> dict[int, Process]:
    return _from_proc() if sys.platform == "linux" else _from_psutil()


_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def _from_proc() -> dict[int, Process]:
    """proc_pid_stat(5): after the name, field 4 is the parent, 14 to 17 the times, 24 the resident pages."""
    made = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
                own, ended = (sum(map(int, fields[at : at + 2])) / _TICKS for at in (11, 13))
                made[int(name)] = Process(int(fields[1]), own, ended, int(fields[21]) * _PAGE)
    return made


def _from_psutil() -> dict[int, Process]:
    made = {}
    for one in psutil.process_iter(["ppid", "cpu_times", "memory_info"]):
        times, memory = one.info["cpu_times"], one.info["memory_info"]
        if times and memory:
            ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
            made[one.pid] = Process(one.info["ppid"] or 0, times.user + times.system, ended, memory.rss)
    return made


class Usage:
    """The share of all processors that processes take between two looks.

    ``ended``: what their ended children took counts too. A server's sessions are such children; the harness's own are
    servers that it started, which have a number of their own.
    """

    def __init__(self, *, ended: bool = False) -> None:
        self._ended = ended
        self._before: tuple[float, dict[int, float]] | None = None
        self._cores = psutil.cpu_count() or 1

    def percent(self, processes: Sequence[tuple[int, Process]]) -> float | None:
        """None at the first look. Of a process that is new, all that it took counts."""
        now = time.monotonic(), {pid: one.seconds + one.ended * self._ended for pid, one in processes}
        before, self._before = self._before, now
        if before is None or now[0] <= before[0]:
            return None
        if self._ended:  # who is gone is in its parent's number
            spent = sum(now[1].values()) - sum(before[1].values())
        else:
            spent = sum(seconds - before[1].get(pid, 0.0) for pid, seconds in now[1].items())
        return min(100.0, max(0.0, 100 * spent / (now[0] - before[0]) / self._cores))


def server_pid(target: Target) -> int | None:
    """The process that listens where ``target`` is, if that is a server on this machine; None if it is not known.

    Of a container, only the forwarder of its port is seen, which is not it.
    """
    parts = urlsplit(target.url)
    with contextlib.suppress(ValueError, psutil.Error, OSError):
        host, port = parts.hostname or "localhost", parts.port or PORTS[target.engine]
        if target.origin not in ("embedded", "up") or not (is_loopback(host) or host in target.addresses):
            return None
        pids = {
            one.pid
            for one in psutil.net_connections("tcp")
            if one.pid and one.laddr and one.status == psutil.CONN_LISTEN and one.laddr.port == port
        }
        for pid in sorted(pids):
            if psutil.Process(pid).name().lower().startswith(_PROGRAMS):
                return pid
    return None


class ServerUsage:
    """What a server on this machine takes of the processors; looked for again when it is gone."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._usage = Usage(ended=True)
        self.pid: int | None = None

    def find(self, target: Target) -> None:
        """Whose process it is; asked whenever a connection was made."""
        self.pid, self._usage = server_pid(target), Usage(ended=True)

    def percent(self) -> float | None:
        """Of all processors, since the last time."""
        return self._usage.percent(self._processes.tree(self.pid)) if self.pid else None


class HostSampler:
    """The machine. ``root`` is the harness's first process; ``servers`` tells the pids of servers that run here."""

    def __init__(self, root: int, processes: Processes, servers: Mapping[str, ServerUsage]) -> None:
        self.version = f"{sys.platform}, {psutil.cpu_count()} processors"
        self.notes: list[str] = []
        self._root = root
        self._processes = processes
        self._servers = servers
        self._harness, self._watched, self._own = Usage(), Usage(ended=True), Usage()
        psutil.cpu_percent()  # the first one has nothing to compare with

    def sample(self) -> Raw:
        """Ask the system."""
        raw = Raw()
        servers = [one.pid for one in list(self._servers.values()) if one.pid]
        me = os.getpid()
        harness = self._processes.tree(self._root, without=(*servers, me))
        watched = [one for pid in servers for one in self._processes.tree(pid)]
        memory = psutil.virtual_memory()
        gauges = {
            "cpu": psutil.cpu_percent(),
            "cpu_harness": self._harness.percent(harness),
            "cpu_servers": self._watched.percent(watched) if watched else None,
            "cpu_monitor": self._own.percent(self._processes.tree(me)),
            "memory": (memory.total - memory.available) / 1e6,
            "memory_harness": sum(one.memory for _, one in harness) / 1e6,
        }
        with contextlib.suppress(OSError, AttributeError):
            gauges["load"] = psutil.getloadavg()[0]
        raw.gauges = {name: value for name, value in gauges.items() if value is not None}
        with contextlib.suppress(OSError, RuntimeError):
            if disk := psutil.disk_io_counters():
                raw.totals |= {"disk_read": disk.read_bytes / 1e6, "disk_written": disk.write_bytes / 1e6}
        with contextlib.suppress(OSError, RuntimeError):
            if network := psutil.net_io_counters():
                raw.totals |= {"network_in": network.bytes_recv / 1e6, "network_out": network.bytes_sent / 1e6}
        return raw
