"""Load users who think in between, a window without start and end of each run, for benchmarks/scale.py."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from scale_tools import cpu_of, memory_of, server_pids

from harness.load.launch import How, Moment, run
from harness.load.plan import Plan, read_load
from harness.load.result import LoadResult
from harness.scale.measured import Loading
from harness.suite import Suite

FILE = Path(__file__).resolve().parents[1] / "scenarios" / "load" / "day.yaml"
THINK = (0.5, 1.5)
WARM = 3.0  # seconds that users have to connect and learn


@dataclass(slots=True)
class Look:
    """At one moment."""

    at: float
    locust: float
    servers: dict[str, float]


@dataclass(slots=True)
class Looking:
    """Hears how far Locust is, and looks at processes: first when all users are there, last before they go."""

    pids: Mapping[str, int]
    until: float
    first: Look | None = None
    last: Look | None = None
    memory: int = 0
    sessions: dict[str, list[int]] = field(default_factory=dict)

    def __call__(self, moment: Moment) -> None:
        if not moment.numbers or not WARM <= moment.seconds <= self.until:
            return
        children = [one for one in psutil.Process().children() if "locust" in " ".join(one.cmdline())]
        if not children:
            return
        pid = children[0].pid
        self.last = Look(time.time(), cpu_of(pid), {name: cpu_of(one) for name, one in self.pids.items()})
        self.first = self.first or self.last
        self.memory = max(self.memory, memory_of(pid))
        if not self.sessions and moment.seconds > (WARM + self.until) / 2:
            self.sessions = {name: _sessions(one) for name, one in self.pids.items()}


def measure_load(suite: Suite, users: Sequence[int], seconds: float, *, kinds: bool) -> Mapping[str, object]:
    """The day with so many users, one run each; then each kind of user alone, who thinks less."""
    plan = _thinking(read_load(FILE), THINK)
    found = [_run(suite, plan.changed(users=count, seconds=WARM + seconds), "") for count in users]
    if kinds:
        for kind in plan.load.users:
            alone = _only(_thinking(plan, (0.05, 0.15)), kind)
            found.append(_run(suite, alone.changed(users=10, seconds=WARM + seconds / 2), kind))
    return {"loading": found}


def _sessions(server: int) -> list[int]:
    """Bytes that each of a PostgreSQL server's client backends has alone."""
    found = []
    for one in psutil.Process(server).children():
        with contextlib.suppress(psutil.Error):
            if "127.0.0.1" in " ".join(one.cmdline()):
                found.append(one.memory_full_info().uss)
    return found


def _thinking(plan: Plan, think: tuple[float, float]) -> Plan:
    return _with(plan, load=plan.load.model_copy(update={"think": think}))


def _only(plan: Plan, kind: str) -> Plan:
    users = {kind: plan.load.users[kind]}
    return _with(plan, load=plan.load.model_copy(update={"users": users}), checks=[], expect={})


def _with(plan: Plan, **changed: Any) -> Plan:
    return replace(plan, written=plan.written.model_copy(update=changed))


def _run(suite: Suite, plan: Plan, kind: str) -> Loading:
    suite.servers.prefetch(plan.databases)
    targets = {name: suite.servers.target(name) for name in plan.databases}
    looking = Looking(server_pids(targets), plan.load.seconds - 0.5)
    result, _ = run(suite, plan, How(), looking)
    first, last = looking.first, looking.last
    assert first is not None
    assert last is not None
    assert last.at > first.at, "the run was too short"
    done, retried, failed = _counted(result, first.at, last.at)
    sessions = {name: found for name, found in looking.sessions.items() if found}
    made = Loading(
        users=plan.load.count,
        kind=kind,
        seconds=round(last.at - first.at, 3),
        requests=done,
        retried=retried,
        failed=failed,
        locust_cpu=round(last.locust - first.locust, 3),
        locust_memory=looking.memory,
        server_cpu={name: round(now - first.servers[name], 3) for name, now in last.servers.items()},
        sessions={name: len(found) for name, found in sessions.items()},
        session_memory={name: sum(found) // len(found) for name, found in sessions.items()},
        p95={one.name: one.percentiles["95"] for one in result.requests if "95" in one.percentiles},
    )
    print(made.users, kind or "users of the day:", sum(done.values()), "requests", file=sys.stderr)
    return made


def _counted(result: LoadResult, since: float, until: float) -> tuple[dict[str, int], int, int]:
    """By database, of the seconds that began in the window."""
    done: dict[str, int] = {}
    retried = failed = 0
    for one in result.requests:
        logical = one.database.partition("@")[0]
        for second in one.seconds:
            if since <= second.at < until:
                done[logical] = done.get(logical, 0) + second.done
                retried += second.retried
                failed += second.failed
    return done, retried, failed
