from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
from polling import eventually

from harness.monitor.host import (
    HostSampler,
    Process,
    Processes,
    ServerUsage,
    Usage,
    _all_processes,
    _from_psutil,
    server_pid,
)
from harness.servers.base import Target


def test_a_tree_is_a_process_and_all_below_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        tree = dict(Processes().tree(os.getpid()))
        assert {os.getpid(), child.pid} <= tree.keys()
        assert tree[child.pid].parent == os.getpid()
        assert child.pid not in dict(Processes().tree(os.getpid(), without=[child.pid]))
        child.communicate(b"\n")


def test_both_ways_to_look_at_processes_agree() -> None:
    mine, also_mine = _all_processes()[os.getpid()], _from_psutil()[os.getpid()]
    assert mine.parent == also_mine.parent == os.getppid()
    assert also_mine.seconds == pytest.approx(mine.seconds, abs=0.5)
    assert mine.memory == pytest.approx(also_mine.memory, rel=0.2)


def usage(*looks: dict[int, tuple[float, float]], ended: bool, monkeypatch: pytest.MonkeyPatch) -> float | None:
    """The last look's percentage; looks are a second apart, on one processor."""
    monkeypatch.setattr(psutil, "cpu_count", lambda: 1)
    moments = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(moments)))
    made, percent = Usage(ended=ended), None
    for look in looks:
        percent = made.percent([(pid, Process(1, own, gone, 0)) for pid, (own, gone) in look.items()])
    return percent


@pytest.mark.parametrize(
    ("looks", "ended", "percent"),
    [
        ([{1: (5.0, 0.0)}], False, None),
        ([{1: (5.0, 0.0)}, {1: (5.25, 0.0)}], False, 25),
        ([{1: (5.0, 0.0)}, {1: (5.0, 0.0), 2: (0.5, 0.0)}], False, 50),  # one that is new
        ([{1: (5.0, 0.0), 2: (9.0, 0.0)}, {1: (5.1, 9.0)}], False, 10),  # one that has ended
        ([{1: (5.0, 0.0), 2: (9.0, 0.0)}, {1: (5.1, 9.2)}], True, 30),  # of a server, its sessions
    ],
)
def test_what_processes_take(
    looks: list[dict[int, tuple[float, float]]], ended: bool, percent: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = usage(*looks, ended=ended, monkeypatch=monkeypatch)
    assert found == (None if percent is None else pytest.approx(percent))


def test_a_servers_process_is_found_by_its_port(postgres: Target) -> None:
    pid = server_pid(postgres)
    assert pid is not None
    assert psutil.Process(pid).name().startswith("postgres")
    assert server_pid(replace(postgres, origin="external")) is None
    assert server_pid(replace(postgres, url="postgresql://db.example.invalid:5432/x")) is None


def test_this_machine(postgres: Target) -> None:
    processes = Processes()
    server = ServerUsage(processes)
    server.find(postgres)
    sampler = HostSampler(os.getppid(), processes, {"it": server})  # ours would be the sampler itself
    sampler.sample()

    def both() -> bool:
        gauges = sampler.sample().gauges
        return {"cpu", "cpu_harness", "cpu_servers", "cpu_monitor", "memory", "load"} <= gauges.keys()

    eventually(both)
    raw = sampler.sample()
    assert 0 <= raw.gauges["cpu"] <= 100
    assert raw.gauges["memory"] > raw.gauges["memory_harness"] / 2 > 0
    assert raw.totals["network_in"] > 0
