"""MongoDB is watched: SecantusDB, its stand-in, and documents as the manual prints them. MongoDB itself was not there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pymongo
import pymongo.errors
import pytest
from polling import eventually

from harness.monitor.base import Lost, Raw, Refused, login_name
from harness.monitor.mongodb import SPECS, MongoWatching, _sweep, add_operations, from_status
from harness.monitor.turning import Turning
from harness.servers import processes, secantus
from harness.servers.embedded import EmbeddedServers

WATCHING = MongoWatching()

STATUS = {
    "host": "db:27017",
    "version": "8.0.4",
    "pid": 1,
    "connections": {"current": 12, "available": 800, "totalCreated": 90, "active": 4},
    "opcounters": {"insert": 10, "query": 100, "update": 20, "delete": 5, "getmore": 1, "command": 64},
    "opLatencies": {
        "reads": {"latency": 50_000, "ops": 100},
        "writes": {"latency": 70_000, "ops": 35},
        "commands": {"latency": 6_400, "ops": 64},
        "transactions": {"latency": 0, "ops": 0},
    },
    "globalLock": {
        "totalTime": 1,
        "currentQueue": {"total": 3, "readers": 1, "writers": 2},
        "activeClients": {"total": 0},
    },
    "locks": {
        "Global": {"acquireCount": {"r": 500, "w": 50}, "acquireWaitCount": {"r": 2}},
        "Collection": {"acquireCount": {"w": 50}, "acquireWaitCount": {"w": 5}},
    },
    "wiredTiger": {
        "cache": {
            "bytes currently in the cache": 40_000_000,
            "maximum bytes configured": 256_000_000,
            "pages requested from the cache": 1000,
            "pages read into cache": 100,
        }
    },
    "transactions": {
        "currentActive": 1,
        "currentInactive": 1,
        "currentOpen": 2,
        "totalCommitted": 7,
        "totalAborted": 3,
    },
    "metrics": {"operation": {"scanAndOrder": 0, "writeConflicts": 9}},
    "mem": {"resident": 100},
}

OPERATIONS = [
    {"opid": 1, "active": True, "appName": "shop", "waitingForLock": False},
    {"opid": 2, "active": True, "appName": "shop", "waitingForLock": True},
    {"opid": 3, "active": False, "clientMetadata": {"application": {"name": "shop"}}},
    {"opid": 4, "active": False, "clientMetadata": {"driver": {"name": "x"}}},
    {"opid": 5, "active": True, "appName": "psh:r/monitor", "waitingForLock": False},
    {"opid": 6, "active": True, "appName": "psh:r/observer", "waitingForLock": False},
    {"opid": 7, "active": True, "waitingForLock": False},  # the server's own work has no client
]


def test_a_status_as_the_manual_prints_it() -> None:
    raw = from_status(STATUS)
    assert raw.totals == {
        "operations": 200,
        "lock_waits": 7,
        "aborted": 3,
        "transactions": 10,
        "write_conflicts": 9,
        "hits": 900,
        "reads": 100,
        "read_ms": 50,
        "read_ops": 100,
        "write_ms": 70,
        "write_ops": 35,
        "command_ms": 6.4,
        "command_ops": 64,
    }
    assert raw.gauges == {
        "connections": 12,
        "locks_waiting": 3,
        "open_transactions": 2,
        "cache_used": 40,
        "memory": pytest.approx(104.8576),
    }


def test_two_statuses_make_a_row() -> None:
    turning = Turning(SPECS)
    turning.row(0, 0, from_status(STATUS))
    later = STATUS | {
        "opcounters": STATUS["opcounters"] | {"query": 150},  # type: ignore[operator]
        "opLatencies": {"reads": {"latency": 60_000, "ops": 120}},
        "metrics": {"operation": {"writeConflicts": 11}},
    }
    values = turning.row(2, 2, from_status(later)).values
    assert values["operations"] == 25
    assert values["read_latency"] == 0.5
    assert values["write_conflicts"] == 2
    assert values["transactions"] == 0


def test_operations_as_the_manual_prints_them() -> None:
    raw = Raw()
    add_operations(raw, OPERATIONS)
    assert raw.gauges == {"active": 2, "waiting": 1, "idle": 2, "observers": 1}
    assert raw.waits == {"lock": 1}


def test_a_status_without_anything_is_an_empty_sample() -> None:
    raw = from_status({"ok": 1.0})
    assert raw.totals == raw.gauges == {}


def test_the_stand_in_is_watched_as_far_as_it_goes(own_servers: EmbeddedServers, run: str) -> None:
    url = own_servers.target("promptcontent").url
    turning = Turning(SPECS)
    with closing(WATCHING.open(url, run)) as sampler, pymongo.MongoClient(url) as client:
        client.shop.t.insert_one({"n": 0})
        turning.row(0, time.monotonic(), sampler.sample())
        turning.row(0, time.monotonic(), sampler.sample())
        for number in range(20):
            client.shop.t.insert_one({"n": number})
        row = turning.row(1, time.monotonic(), sampler.sample())
        assert row.grown["operations"] >= 20
        assert "SecantusDB" in sampler.version
        assert row.values["active"] is None
        notes = " ".join(sampler.notes)
    for missing in ("WiredTiger's cache", "transactions", "$currentOp of this server is a stub", "no top statements"):
        assert missing in notes


def test_where_nobody_logs_in_no_login_is_made(own_servers: EmbeddedServers, run: str) -> None:
    with pytest.raises(Refused, match="asks nobody for a login"):
        WATCHING.enrol(own_servers.target("promptcontent").url, "psh_x_monitor_1", run)


def test_a_server_that_is_not_there_is_lost_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.monitor.mongodb.SECONDS", 0.05)
    with pytest.raises(Lost) as lost:
        WATCHING.open("mongodb://ana:hunter2@127.0.0.1:1/?directConnection=true", "r")
    assert "hunter2" not in str(lost.value)
    assert "\n" not in str(lost.value)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a SecantusDB that asks for a login."""
    pids: list[int] = []
    try:
        yield secantus.start(tmp_path_factory.mktemp("guarded"), pids.append, ("127.0.0.1",))
    finally:
        for pid in pids:
            processes.stop(pid, processes.started_at(pid) or 0.0, "kill")


def users(client: pymongo.MongoClient[dict[str, Any]]) -> set[str]:
    return {user["user"] for user in client.admin.command({"usersInfo": 1})["users"]}


def test_its_login_may_look_and_nothing_else(guarded: str, run: str) -> None:
    name = login_name(run, "a1")
    url = WATCHING.enrol(guarded, name, run)
    with (
        closing(WATCHING.open(url, run)) as sampler,
        pymongo.MongoClient[dict[str, Any]](url) as own,
        pymongo.MongoClient[dict[str, Any]](guarded) as admin,
    ):
        assert sampler.sample().totals["operations"] > 0
        admin.shop.t.insert_one({"n": 1})
        for refused in (lambda: own.shop.t.find_one(), lambda: own.shop.t.insert_one({"n": 2})):
            with pytest.raises(pymongo.errors.OperationFailure, match="not authorized"):
                refused()
        (role,) = admin.admin.command({"usersInfo": name})["users"][0]["roles"]
        assert role == {"role": "clusterMonitor", "db": "admin"}
        WATCHING.expel(guarded, name)
        assert users(admin) == {"harness"}


def test_a_dead_runs_login_is_swept(guarded: str, run: str) -> None:
    living, dead = login_name(f"{run}b", "1"), login_name(f"{run}c", "1")
    url = WATCHING.enrol(guarded, living, f"{run}b")
    WATCHING.enrol(guarded, dead, f"{run}c")
    with closing(WATCHING.open(url, f"{run}b")), pymongo.MongoClient[dict[str, Any]](guarded) as admin:

        def swept() -> bool:
            _sweep(admin)  # the server may take a moment to see that the one who made it has left
            return dead not in users(admin)

        eventually(swept)
        assert living in users(admin)
    WATCHING.expel(guarded, living)
