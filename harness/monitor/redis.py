"""Redis and Valkey, watched by INFO, SLOWLOG and LATENCY, which tell no keys and no values to what is kept here.

The own login is an ACL user that may run these commands and sees no key and no channel. Pages followed: INFO, CLIENT LIST,
SLOWLOG, LATENCY LATEST, LATENCY HISTORY, ACL SETUSER. What SLOWLOG has of arguments is thrown away: a command's name is
all that is shown.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote as escaped
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.monitor.base import (
    LOGIN,
    SECONDS,
    SUFFIX,
    Kind,
    Lost,
    Numbers,
    Raw,
    Refused,
    Spec,
    connection_name,
    is_observer,
    one_line,
    run_of_login,
)
from harness.servers.urls import scrub

SPECS = (
    Spec("active", "sessions", group="sessions", about="said something within the last second"),
    Spec("waiting", "sessions", group="sessions", about="inside BLPOP, WAIT and the like"),
    Spec("idle", "sessions", group="sessions"),
    Spec("observers", "sessions", group="sessions", about="the harness's own, which make databases and ask who waits"),
    Spec("commands", "1/s", Kind.rate, "transactions", "of any kind"),
    Spec("transactions", "1/s", Kind.rate, "transactions", "EXEC, of MULTI or WATCH"),
    Spec("cache_hit", "%", Kind.share, "cache", "keys that were looked up and found", "hits", "misses"),
    Spec("hits", "1/s", Kind.rate, "keys", "looked up and found"),
    Spec("misses", "1/s", Kind.rate, "keys", "looked up and not found"),
    Spec("evicted", "1/s", Kind.rate, "keys", "thrown out for want of memory"),
    Spec("expired", "1/s", Kind.rate, "keys"),
    Spec("memory", "MB", group="memory"),
    Spec("slow", "commands", Kind.count, "latency", "new in the slow log since the sample before"),
    Spec("spike", "ms", group="latency", about="the longest event that LATENCY has noted since the sample before"),
)

_MANY = 1_000
"""Clients: CLIENT LIST goes through all of them while everybody else waits."""

_RIGHTS = (
    *("resetkeys", "resetchannels", "-@all", "+ping", "+hello", "+info", "+client|list", "+client|setname"),
    *("+client|setinfo", "+slowlog|get", "+slowlog|len", "+latency|latest", "+latency|history"),
)
"""What the own user may do; it may read no key."""

_THRESHOLD = 10
"""Milliseconds from which on an event is noted by LATENCY, on servers that are ours and note none so far."""


class RedisSampler:
    """One connection."""

    def __init__(self, url: str, run: str) -> None:
        self._url = url
        self.notes: list[str] = []
        self._asked = 0
        self._slow_begin: int | None = None
        self._slow = 0
        self._slowest: dict[str, tuple[int, float]] = {}  # by command: how many, and the slowest in milliseconds
        self._spikes: dict[str, tuple[int, int]] = {}  # by event: when last, and the longest in milliseconds
        self._looked = False
        self._statements: Mapping[str, Numbers] = {}
        with _asking(url):
            self._link: Any = _client(url, connection_name(run))
            info = self._info()
        self.version = str(info.get("valkey_version") or info.get("redis_version") or "")
        self._can = {name: True for name in ("clients", "slowlog", "latency")}

    def _info(self) -> dict[str, Any]:
        self._asked += 1
        return dict(self._link.info("everything"))

    def sample(self) -> Raw:
        """INFO, and with it the clients, the slow log and the latency events."""
        with _asking(self._url):
            own = float(self._asked)  # INFO counts what was said before it
            info = self._info()
            raw = Raw(epoch=str(info.get("run_id", "")), own={"commands": own})
            number = float(info.get("connected_clients", 0))
            raw.gauges["memory"] = float(info.get("used_memory", 0)) / 1e6
            raw.gauges["waiting"] = float(info.get("blocked_clients", 0))
            names = {
                "commands": "total_commands_processed",
                "hits": "keyspace_hits",
                "misses": "keyspace_misses",
                "evicted": "evicted_keys",
                "expired": "expired_keys",
            }
            raw.totals |= {name: float(info[key]) for name, key in names.items() if key in info}
            raw.totals["transactions"] = float(info.get("cmdstat_exec", {}).get("calls", 0))
            self._take_clients(raw, number)
            self._take_slow(raw)
            self._take_spikes(raw)
        self._statements = _commands(info)
        return raw

    def _try(self, name: str, what: str, *words: str) -> Any:
        """A command's answer; None if this login or server does not permit it, which is noted once."""
        if not self._can[name]:
            return None
        try:
            self._asked += 1
            return self._link.execute_command(*words)
        except redis.ResponseError as error:
            self._can[name] = False
            self.notes.append(f"no {what}: {scrub(one_line(error), self._url)}")
            return None

    def _take_clients(self, raw: Raw, number: float) -> None:
        if number > _MANY:
            if self._can["clients"]:
                self._can["clients"] = False
                self.notes.append(f"more than {_MANY} clients: which of them are active is not asked any more")
            return
        clients = self._try("clients", "active and idle sessions", "CLIENT", "LIST")
        if clients is None:
            return
        listed = [one for one in _client_list(clients) if not one.get("name", "").endswith(SUFFIX)]
        watching = [one for one in listed if is_observer(one.get("name", ""))]
        working = [one for one in listed if one not in watching]
        waiting = [one for one in working if "b" in one.get("flags", "")]
        active = [one for one in working if one.get("idle") == "0" and one not in waiting]
        raw.gauges |= {
            "active": float(len(active) + len(waiting)),
            "waiting": float(len(waiting)),
            "idle": float(len(working) - len(active) - len(waiting)),
            "observers": float(len(watching)),
        }
        for one in waiting:
            wait = f"blocked: {one.get('cmd', '?')}"
            raw.waits[wait] = raw.waits.get(wait, 0.0) + 1

    def _take_slow(self, raw: Raw) -> None:
        """The slow log's new entries; their numbers grow, whoever empties it."""
        entries = self._try("slowlog", "slow log", "SLOWLOG", "GET", "128")
        if entries is None:
            return
        found = [_slow(entry) for entry in entries if not _client_of(entry).endswith(SUFFIX)]
        newest = max((number for number, _, _ in found), default=-1)
        if self._slow_begin is None:
            self._slow_begin = newest
        if newest < self._slow_begin:  # the server began anew
            self._slow_begin = -1
        for number, command, milliseconds in found:
            if number > self._slow_begin:
                self._slow += 1
                count, most = self._slowest.get(command, (0, 0.0))
                self._slowest[command] = (count + 1, max(most, milliseconds))
        self._slow_begin = max(self._slow_begin, newest)
        raw.totals["slow"] = float(self._slow)

    def _take_spikes(self, raw: Raw) -> None:
        """LATENCY's events that are new; of one that has more of them within a second, its HISTORY tells the longest."""
        latest = self._try("latency", "latency events", "LATENCY", "LATEST")
        if latest is None:
            return
        longest = 0
        for event in latest:
            name, when, milliseconds = _text(event[0]), int(event[1]), int(event[2])
            before, most = self._spikes.get(name, (0, 0))
            if when > before and self._looked:
                history = self._try("latency", "latency events", "LATENCY", "HISTORY", name) or []
                milliseconds = max([milliseconds, *(int(ms) for at, ms in history if int(at) > before)])
                longest = max(longest, milliseconds)
                most = max(most, milliseconds)
            self._spikes[name] = (when, most)
        self._looked = True
        raw.gauges["spike"] = float(longest)

    def statements(self) -> Mapping[str, Numbers]:
        """INFO's commandstats: calls and time of each command."""
        if not self._statements:
            with _asking(self._url):
                self._statements = _commands(self._info())
        return self._statements

    def texts(self, keys: Sequence[str]) -> Mapping[str, str]:
        """A command's name is its text."""
        return {key: key for key in keys}

    def last_notes(self) -> list[str]:
        """The slow log's and LATENCY's sums."""
        made = []
        if self._slowest:
            told = [
                f"{name} {count} times, at most {most:.1f} ms"
                for name, (count, most) in sorted(self._slowest.items(), key=lambda item: -item[1][1])[:5]
            ]
            made.append(f"slow log: {'; '.join(told)}")
        if spikes := [f"{name} at most {most} ms" for name, (_, most) in sorted(self._spikes.items()) if most]:
            made.append(f"latency events: {'; '.join(spikes)}")
        return made

    def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(Exception):
            self._link.close()


def _client(url: str, name: str) -> Any:
    return redis.Redis.from_url(
        url,
        client_name=name,
        protocol=2,
        single_connection_client=True,
        decode_responses=True,
        encoding_errors="backslashreplace",
        socket_timeout=SECONDS,
        socket_connect_timeout=SECONDS,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
    )


@contextlib.contextmanager
def _asking(url: str) -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise Lost(scrub(one_line(error), url)) from None


def _commands(info: Mapping[str, Any]) -> dict[str, Numbers]:
    """``cmdstat_get: calls=21,usec=175,…`` as numbers, without what a sampler says itself."""
    made = {}
    for key, value in info.items():
        name = key.removeprefix("cmdstat_").replace("|", " ").upper()
        if key.startswith("cmdstat_") and isinstance(value, Mapping):
            if name.split(" ")[0] in ("INFO", "SLOWLOG", "LATENCY", "HELLO", "ACL") or name == "CLIENT LIST":
                continue
            made[name] = Numbers(int(value.get("calls", 0)), float(value.get("usec", 0)) / 1e3)
    return made


def _slow(entry: Any) -> tuple[int, str, float]:
    """Number, command and milliseconds of a slow log's entry, as the driver gives it; its arguments are not looked at."""
    if isinstance(entry, Mapping):
        number, micro, command = entry["id"], entry["duration"], entry["command"]
    else:
        number, _, micro, command = entry[:4]
    first = command[0] if isinstance(command, list | tuple) else str(_text(command)).split(" ", 1)[0]
    return int(number), _text(first).upper()[:40], float(micro) / 1e3


def _client_of(entry: Any) -> str:
    """The name of the connection that a slow log's entry comes from."""
    if isinstance(entry, Mapping):
        return _text(entry.get("client_name", ""))
    return _text(entry[5]) if len(entry) > 5 else ""


def _client_list(answer: Any) -> list[dict[str, str]]:
    if isinstance(answer, list):
        return [{str(key): str(value) for key, value in one.items()} for one in answer]
    return [dict(pair.split("=", 1) for pair in line.split(" ") if "=" in pair) for line in _text(answer).splitlines()]


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


class RedisWatching:
    """The engine."""

    specs: Sequence[Spec] = SPECS

    def open(self, url: str, run: str) -> RedisSampler:
        """Connect. Raises Lost."""
        return RedisSampler(url, run)

    def enrol(self, url: str, name: str, run: str) -> str:
        """Make the ACL user, and have LATENCY note events if it noted none so far. Raises Refused."""
        password = secrets.token_urlsafe(24)
        with _admin(url, run) as link:
            _sweep(link)
            link.execute_command("ACL", "SETUSER", name, "reset", "on", f">{password}", *_RIGHTS)
            with contextlib.suppress(redis.ResponseError):
                if str(link.config_get("latency-monitor-threshold").get("latency-monitor-threshold")) == "0":
                    link.config_set("latency-monitor-threshold", _THRESHOLD)
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{name}:{escaped(password, safe='')}@{host}", path="/0"))

    def expel(self, url: str, name: str) -> None:
        """Remove the user; its connections end with it. Raises Refused."""
        with _admin(url, "") as link:
            link.execute_command("ACL", "DELUSER", name)


@contextlib.contextmanager
def _admin(url: str, run: str) -> Iterator[Any]:
    try:
        with _client(url, connection_name(run) if run else f"psh{SUFFIX}") as link:
            yield link
    except (redis.RedisError, OSError) as error:
        raise Refused(scrub(one_line(error), url)) from None


def _sweep(link: Any) -> None:
    """Remove the users of samplers whose run has no connection any more."""
    names = [one.get("name", "") for one in _client_list(link.execute_command("CLIENT", "LIST"))]
    living = {name.split("/", 1)[0].removeprefix("psh:") for name in names if name.startswith("psh:")}
    for user in link.execute_command("ACL", "USERS"):
        owner = run_of_login(_text(user))
        if _text(user).startswith(LOGIN) and owner is not None and owner not in living:
            link.execute_command("ACL", "DELUSER", user)
