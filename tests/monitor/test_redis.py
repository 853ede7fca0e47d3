"""Valkey is watched, on a real server that nobody else uses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from polling import eventually

from harness.monitor.base import Lost, login_name
from harness.monitor.redis import SPECS, RedisSampler, RedisWatching
from harness.monitor.statements import Statements
from harness.monitor.turning import Row, Turning
from harness.servers.embedded import EmbeddedServers

WATCHING = RedisWatching()
SECRET = "hunter2"
BUSY = "local n = 0; for i = 1, 10000000 do n = n + i end; return n"
NOT_ALLOWED = [["GET", "key"], ["SET", "key", "1"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ["FLUSHALL"]]


@pytest.fixture(scope="module")
def url(own_servers: EmbeddedServers) -> str:
    return own_servers.target("cache").url


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with redis.Redis.from_url(url, client_name="worker", decode_responses=True) as made:
        made.ping()
        yield made
        made.flushdb()


class Look:
    def __init__(self, url: str, run: str) -> None:
        self.name = login_name(run, "a1")
        self.url = WATCHING.enrol(url, self.name, run)
        self.sampler: RedisSampler = WATCHING.open(self.url, run)
        self._turning = Turning(SPECS)
        self.row()

    def row(self) -> Row:
        return self._turning.row(time.time(), time.monotonic(), self.sampler.sample())


@pytest.fixture
def look(url: str, run: str) -> Iterator[Look]:
    made = Look(url, run)
    yield made
    made.sampler.close()
    WATCHING.expel(url, made.name)


def test_commands_are_counted_and_its_own_are_not(look: Look, client: Any) -> None:
    for _ in range(3):
        look.row()
    assert look.row().grown["commands"] == 0
    for _ in range(20):
        client.set("key", SECRET)
    for _ in range(30):
        client.get("key")
    for _ in range(10):
        client.get("nothing")
    row = look.row()
    assert row.grown["commands"] == 60
    assert (row.grown["hits"], row.grown["misses"], row.values["cache_hit"]) == (30, 10, 75)
    assert row.values["active"] == 1
    with client.pipeline(transaction=True) as pipe:
        pipe.set("key", "x").execute()
    assert look.row().grown["transactions"] == 1


def test_a_blocked_session_is_seen_waiting(look: Look, url: str) -> None:
    with redis.Redis.from_url(url) as waiter:
        thread = threading.Thread(target=waiter.blpop, args=(["queue"], 20))
        thread.start()

        def waiting() -> Row | None:
            row = look.row()
            return row if row.values["waiting"] else None

        row = eventually(waiting, "nobody waits")
        assert row is not None
        assert row.waits == {"blocked: blpop": 1}
        with redis.Redis.from_url(url) as other:
            other.rpush("queue", "go")
        thread.join()
    assert look.row().values["waiting"] == 0


def test_slow_commands_are_counted_by_name_alone(look: Look, client: Any) -> None:
    before = client.config_get("slowlog-log-slower-than")["slowlog-log-slower-than"]
    client.config_set("slowlog-log-slower-than", "0")
    try:
        client.set("key", SECRET)
    finally:
        client.config_set("slowlog-log-slower-than", before)
    row = look.row()
    assert row.grown["slow"] >= 1
    assert look.row().grown["slow"] == 0
    notes = " ".join(look.sampler.last_notes())
    assert "SET 1 times" in notes
    assert SECRET not in notes


def test_latency_events_are_noted(look: Look, client: Any) -> None:
    client.eval(BUSY, 0)
    spike = look.row().values["spike"]
    assert spike is not None
    assert spike >= 10
    assert look.row().values["spike"] == 0
    assert "latency events: " in " ".join(look.sampler.last_notes())


def test_top_statements_are_commands(look: Look, client: Any) -> None:
    statements = Statements()
    statements.look(look.sampler)
    client.set("key", SECRET)
    client.get("key")
    look.row()
    top = {one.text: one.calls for one in statements.look(look.sampler)}
    assert top["SET"] == top["GET"] == 1
    assert not {"INFO", "SLOWLOG GET", "CLIENT LIST"} & top.keys()


@pytest.mark.parametrize(
    "command", [["GET", "key"], ["SET", "key", "1"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ["FLUSHALL"]]
)
def test_its_login_may_look_and_nothing_else(look: Look, client: Any, command: list[str]) -> None:
    with redis.Redis.from_url(look.url) as link, pytest.raises(redis.exceptions.NoPermissionError):
        link.execute_command(*command)


def test_a_dead_runs_login_is_swept(look: Look, url: str, client: Any, run: str) -> None:
    dead = login_name(f"{run}z", "1")
    WATCHING.enrol(url, dead, f"{run}z")
    assert dead in client.acl_users()
    mine = login_name(run, "b2")
    WATCHING.enrol(url, mine, run)
    assert dead not in client.acl_users()
    assert {look.name, mine} <= set(client.acl_users())
    WATCHING.expel(url, mine)


def test_a_server_that_is_not_there_is_lost_in_one_line() -> None:
    with pytest.raises(Lost) as lost:
        WATCHING.open(f"redis://:{SECRET}@127.0.0.1:1/0", "r")
    assert SECRET not in str(lost.value)


def test_the_login_is_in_the_url(look: Look) -> None:
    assert urlsplit(look.url).username == look.name
