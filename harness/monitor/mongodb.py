"""MongoDB, watched by serverStatus and $currentOp.

Manual pages followed: serverStatus (connections, opcounters, opLatencies, globalLock, locks, wiredTiger.cache, transactions,
metrics.operation), $currentOp (active, waitingForLock, idleConnections), Built-In Roles (clusterMonitor). Where none of
it is to be had, as on a stand-in, the part stays empty and a note says so. MongoDB keeps no account of statements
without its profiler.

On MongoDB itself this has not run: it was tested on documents as the manual prints them, and on SecantusDB.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from urllib.parse import quote as escaped

from harness.engines.mongodb_wire import error_record, name_of, operations
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
    Spec("active", "sessions", group="sessions", about="operations that run; those that wait are among them"),
    Spec("waiting", "sessions", group="sessions", about="of these, wait for a lock"),
    Spec("idle", "sessions", group="sessions", about="connections without an operation"),
    Spec("observers", "sessions", group="sessions", about="the harness's own, which make databases and ask who waits"),
    Spec("connections", "sessions", group="sessions", about="all of them; the sampler's own two are among them"),
    Spec("locks_waiting", "locks", group="locks", about="operations queued for the global lock"),
    Spec("lock_waits", "1/s", Kind.rate, "locks", "locks that were not had at once"),
    Spec("operations", "1/s", Kind.rate, "transactions", "insert, query, update, delete, getmore, command"),
    Spec("transactions", "1/s", Kind.rate, "transactions", "committed and aborted, of several documents"),
    Spec("aborted", "1/s", Kind.rate, "transactions", "of these, aborted"),
    Spec("open_transactions", "transactions", group="open transactions", about="active and inactive"),
    Spec("write_conflicts", "conflicts", Kind.count, "deadlocks", "since the sample before"),
    Spec("cache_hit", "%", Kind.share, "cache", "pages found in WiredTiger's cache", "hits", "reads"),
    Spec("cache_used", "MB", group="memory", about="of WiredTiger's cache"),
    Spec("memory", "MB", group="memory", about="resident"),
    Spec("read_latency", "ms", Kind.mean, "latency", "", "read_ms", "read_ops"),
    Spec("write_latency", "ms", Kind.mean, "latency", "", "write_ms", "write_ops"),
    Spec("command_latency", "ms", Kind.mean, "latency", "", "command_ms", "command_ops"),
)

_OPERATIONS = [
    {"$currentOp": {"allUsers": True, "idleConnections": True}},
    {"$project": {"active": 1, "waitingForLock": 1, "appName": 1, "clientMetadata": 1, "opid": 1}},
]

_PARTS = {
    "connections": "connections",
    "opcounters": "operations a second",
    "opLatencies": "latencies",
    "globalLock": "operations queued for a lock",
    "locks": "waits for locks",
    "wiredTiger": "WiredTiger's cache",
    "transactions": "transactions",
}
"""Parts of serverStatus, and what goes missing without them."""


class MongoSampler:
    """One client with one connection."""

    def __init__(self, url: str, run: str) -> None:
        import pymongo

        self._url = url
        self._operations = True
        self._asked = 0
        with _asking(url):
            self._client: Any = pymongo.MongoClient(
                url,
                appname=connection_name(run),
                maxPoolSize=1,
                serverSelectionTimeoutMS=int(SECONDS * 1000),
                connectTimeoutMS=int(SECONDS * 1000),
                socketTimeoutMS=int(SECONDS * 1000),
                heartbeatFrequencyMS=60_000,
                serverMonitoringMode="poll",
                retryReads=False,
            )
        try:
            with _asking(url):
                self._build: dict[str, Any] = self._client.admin.command("buildInfo")
                status = self._client.admin.command("serverStatus")
        except Lost:
            self.close()
            raise
        secantus = self._build.get("secantusVersion")
        self.version = f"{secantus} (SecantusDB)" if secantus else str(self._build.get("version", ""))
        missing = [what for part, what in _PARTS.items() if part not in status]
        if "writeConflicts" not in _at(status, "metrics", "operation"):
            missing.append("write conflicts")
        self.notes: list[str] = []
        if missing:
            self.notes.append(f"serverStatus of this server does not tell: {', '.join(missing)}")
        self.notes.append("no top statements: MongoDB keeps no account of them without its profiler, which costs")

    def sample(self) -> Raw:
        """One serverStatus, one $currentOp."""
        with _asking(self._url):
            # What costs and is not looked at is left out.
            without = dict.fromkeys(("repl", "tcmalloc", "sharding", "electionMetrics", "logicalSessionRecordCache"), 0)
            status = self._client.admin.command({"serverStatus": 1, **without})
        raw = from_status(status)
        raw.own["operations"] = float(self._asked)
        self._asked += 1
        self._take_operations(raw)
        return raw

    def _take_operations(self, raw: Raw) -> None:
        import pymongo.errors

        if not self._operations:
            return
        why = "$currentOp of this server is a stub"
        self._asked += 1
        try:
            with _asking(self._url, but=pymongo.errors.OperationFailure):
                seen = list(self._client.admin.aggregate(_OPERATIONS))
        except pymongo.errors.OperationFailure as error:
            seen, why = [], f"$currentOp: {scrub(one_line(error), self._url)}"
        if not any("opid" in operation for operation in seen):  # a real one shows this very question
            self._operations = False
            self.notes.append(f"no active, waiting and idle sessions: {why}")
            return
        add_operations(raw, seen)

    def statements(self) -> Mapping[str, Numbers]:
        """None."""
        return {}

    def texts(self, keys: Sequence[str]) -> Mapping[str, str]:
        """None."""
        return {}

    def last_notes(self) -> list[str]:
        """Nothing more."""
        return []

    def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(Exception):
            self._client.close()


def _at(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """A document in a document; an empty one if it is not there."""
    for name in path:
        found = document.get(name)
        document = found if isinstance(found, Mapping) else {}
    return document


def from_status(status: Mapping[str, Any]) -> Raw:
    """What serverStatus says; whatever it does not have is left out."""
    raw = Raw(epoch=f"{status.get('pid', '')} {status.get('host', '')}")
    totals, gauges = raw.totals, raw.gauges
    if counts := _at(status, "opcounters"):
        names = ("insert", "query", "update", "delete", "getmore", "command")
        totals["operations"] = float(sum(counts.get(name, 0) for name in names))
    if "current" in (connections := _at(status, "connections")):
        gauges["connections"] = float(connections["current"])
    if "currentQueue" in (lock := _at(status, "globalLock")):
        gauges["locks_waiting"] = float(_at(lock, "currentQueue").get("total", 0))
    if locks := _at(status, "locks"):
        totals["lock_waits"] = float(
            sum(sum(_at(locks, name, "acquireWaitCount").values()) for name in locks if _at(locks, name))
        )
    if done := _at(status, "transactions"):
        totals["aborted"] = float(done.get("totalAborted", 0))
        totals["transactions"] = float(done.get("totalCommitted", 0)) + totals["aborted"]
        gauges["open_transactions"] = float(done.get("currentOpen", 0))
    if "writeConflicts" in (metrics := _at(status, "metrics", "operation")):
        totals["write_conflicts"] = float(metrics["writeConflicts"])
    if cache := _at(status, "wiredTiger", "cache"):
        reads = float(cache.get("pages read into cache", 0))
        totals["hits"] = max(0.0, float(cache.get("pages requested from the cache", 0)) - reads)
        totals["reads"] = reads
        gauges["cache_used"] = float(cache.get("bytes currently in the cache", 0)) / 1e6
    if "resident" in (memory := _at(status, "mem")):
        gauges["memory"] = float(memory["resident"]) * 2**20 / 1e6
    for name in ("read", "write", "command"):
        if latency := _at(status, "opLatencies", f"{name}s"):
            totals[f"{name}_ms"] = float(latency.get("latency", 0)) / 1e3
            totals[f"{name}_ops"] = float(latency.get("ops", 0))
    return raw


def add_operations(raw: Raw, operations: Sequence[Mapping[str, Any]]) -> None:
    """Who is active, waits or is idle, as $currentOp tells; connections of samplers, and the server's own, are left out."""
    count = dict.fromkeys(("active", "waiting", "idle", "observers"), 0.0)
    for operation in operations:
        name = str(name_of(operation) or "")
        if name.endswith(SUFFIX) or not (name or "clientMetadata" in operation):
            continue
        if is_observer(name):
            count["observers"] += 1
        elif operation.get("waitingForLock"):
            count["active"] += 1
            count["waiting"] += 1
            raw.waits["lock"] = raw.waits.get("lock", 0.0) + 1
        elif operation.get("active"):
            count["active"] += 1
        else:
            count["idle"] += 1
    raw.gauges |= count


@contextlib.contextmanager
def _asking(url: str, but: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """Raises Lost for what the driver raises, ``but`` for this."""
    import pymongo.errors

    try:
        yield
    except but:
        raise
    except (pymongo.errors.PyMongoError, OSError) as error:
        record = error_record(error)
        raise Lost(scrub(f"{record.code} {' '.join(record.message.split())}"[:200], url)) from None


class MongoWatching:
    """The engine."""

    specs: Sequence[Spec] = SPECS

    def open(self, url: str, run: str) -> MongoSampler:
        """Connect. Raises Lost."""
        return MongoSampler(url, run)

    def enrol(self, url: str, name: str, run: str) -> str:
        """Make a user with the role clusterMonitor, where the server asks for a login at all. Raises Refused."""
        parts = urlsplit(url)
        if "@" not in parts.netloc:
            raise Refused("the server asks nobody for a login, so a login of its own would not narrow what it may do")
        password = secrets.token_urlsafe(24)
        with _admin(url, run) as client:
            _sweep(client)
            client.admin.command("createUser", name, pwd=password, roles=[{"role": "clusterMonitor", "db": "admin"}])
        host = parts.netloc.rpartition("@")[2]
        options = [(key, value) for key, value in parse_qsl(parts.query) if key.lower() not in ("authsource",)]
        query = urlencode([*options, ("authSource", "admin")])
        return urlunsplit(parts._replace(netloc=f"{name}:{escaped(password, safe='')}@{host}", path="/", query=query))

    def expel(self, url: str, name: str) -> None:
        """Remove the user. Raises Refused."""
        with _admin(url, "") as client:
            client.admin.command("dropUser", name)


@contextlib.contextmanager
def _admin(url: str, run: str) -> Iterator[Any]:
    import pymongo
    import pymongo.errors

    try:
        with pymongo.MongoClient[dict[str, Any]](
            url,
            appname=connection_name(run) if run else f"psh{SUFFIX}",
            serverSelectionTimeoutMS=int(SECONDS * 1000),
            socketTimeoutMS=int(SECONDS * 1000),
        ) as client:
            yield client
    except (pymongo.errors.PyMongoError, OSError) as error:
        raise Refused(scrub(one_line(error), url)) from None


def _sweep(client: Any) -> None:
    """Remove the users of samplers whose run has no connection any more."""
    found = client.admin.command({"usersInfo": 1}).get("users", [])
    ours = [str(user["user"]) for user in found if str(user["user"]).startswith(LOGIN)]
    if not ours:
        return
    names = [name_of(operation) for operation in operations(client)]
    living = {name.split("/", 1)[0].removeprefix("psh:") for name in names if name.startswith("psh:")}
    for user in ours:
        owner = run_of_login(user)
        if owner is not None and owner not in living:
            client.admin.command("dropUser", user)
