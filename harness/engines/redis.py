"""Redis and Valkey, through redis-py: one plain connection per session, every word of a step sent as it stands.

A step is a list of words, one command line. Redis runs commands one at a time, so there is one level, ``atomic
commands``; WATCH/MULTI/EXEC and scripts make several of them one. The session follows MULTI, EXEC and DISCARD on the
wire and so knows whether a transaction is open; an EXEC that answers nil is a conflict (a watched key changed).

A *database* of the harness is one of the server's numbered databases, leased: the key ``psh:lease`` in it holds the
harness's name for it. So ``DBSIZE`` counts one key more, and ``KEYS *`` shows it. Database 0 is never leased: that is
where everybody else's data lies. Leasing, looking up and giving back are Lua scripts, which the server runs as one.

Manual pages followed: Transactions, EVAL, CLIENT LIST, CLIENT UNBLOCK, SCRIPT KILL, HELLO (RESP3, for maps), INFO.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from harness.answers import DeadlockReport, ErrorKind, ErrorRecord, ResultSet, TransactionEnd
from harness.engines.base import OWNED, Capabilities, Notice, Outcome, ServerWait, SessionOptions, Statement, Verb
from harness.engines.redis_wire import LEASE, Link, clients, error_record, result_of, walk
from harness.engines.touching import Touch
from harness.errors import EngineError, did_you_mean
from harness.vocabulary import LEVELS

(LEVEL,) = LEVELS["redis"]

# A step must answer once, and stay in the database that its case was given.
_REFUSED = {
    "SELECT": "it leaves the case's own database",
    "SWAPDB": "it exchanges databases of other runs",
    "FLUSHALL": "it empties the databases of other runs too",
    "FLUSHDB": "it would give the case's database back to other runs; a case begins with an empty one anyway",
    "SHUTDOWN": "it stops the server",
    "HELLO": "it changes the protocol of the session",
    "AUTH": "a session logs in through its URL",
    "RESET": "it forgets what the session is",
    "QUIT": "the harness closes its sessions",
    "MONITOR": "it answers more than once",
    "SUBSCRIBE": "it answers more than once",
    "PSUBSCRIBE": "it answers more than once",
    "SSUBSCRIBE": "it answers more than once",
}

# Commands after which no blocked session can go on: they write nothing.
_QUIET = frozenset(
    {"MULTI", "WATCH", "UNWATCH", "DISCARD", "PING", "ECHO", "TIME", "DBSIZE", "EXISTS", "TTL", "PTTL", "TYPE"}
    | {"GET", "MGET", "STRLEN", "HGET", "HMGET", "HGETALL", "HLEN", "LRANGE", "LLEN", "LINDEX"}
    | {"SMEMBERS", "SCARD", "SISMEMBER", "ZRANGE", "ZSCORE", "ZCARD"}
)

_KEYLESS = frozenset({"MULTI", "EXEC", "DISCARD", "UNWATCH", "PING", "ECHO", "TIME"})
_SCRIPTS = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})


class RedisSession:
    """One connection. ``pid`` is its CLIENT ID."""

    def __init__(self, url: str, options: SessionOptions) -> None:
        self._url = url
        self._link = Link(url, options.name)
        self.pid = str(self._link.ask("CLIENT", "ID"))
        self.observed_level = LEVEL
        self.notes: list[str] = []
        if options.deadlock_priority != "normal":
            self.notes.append("Redis has no deadlocks: the deadlock priority does nothing")
        self._link.wait_for_ever()
        self._multi = self._watching = False
        self._idle = threading.Event()
        self._idle.set()

    def run(self, statement: Statement) -> Outcome:
        """Send one command line. Raises EngineError for what is no step: text, parameters, a command that is
        refused."""
        words = self._words(statement)
        if not words:  # commit or rollback with nothing open
            return Outcome(may_release=False)
        command = words[0].upper()
        driver = self._link.driver
        self._idle.clear()
        try:
            reply = self._link.call(*words)
        except driver.ResponseError as error:
            return self._refused(command, error_record(error))
        except (driver.RedisError, OSError) as error:
            # The server forgets MULTI and WATCH with the connection.
            ended = TransactionEnd.aborted if self._multi else None
            self._multi = self._watching = False
            self._link.close()
            code = getattr(error, "status_code", None) or type(error).__name__
            return Outcome(error=ErrorRecord(kind=ErrorKind.connection, code=code, message=str(error)), ended=ended)
        finally:
            self._idle.set()
        return self._answered(command, reply)

    def _words(self, statement: Statement) -> list[Any]:
        """The command line of a step; empty if there is nothing to say."""
        body = statement.body
        if statement.parameters:
            raise EngineError("a Redis step takes no parameters: its values are words of the command line")
        if isinstance(body, Verb):
            if body is Verb.begin:
                return ["MULTI"]
            if body is Verb.commit:
                return ["EXEC"] if self._multi else []
            return ["DISCARD"] if self._multi else ["UNWATCH"] if self._watching else []
        if isinstance(body, str | Mapping) or not body:
            raise EngineError("a Redis step is a list of words, one command line: [SET, key, value]")
        words = [word if isinstance(word, str | bytes | int | float) else str(word) for word in body]
        words[0] = str(words[0])
        second = str(words[1]).upper() if len(words) > 1 else ""
        name = words[0].upper()
        why = _REFUSED.get(name) or ("it silences answers" if (name, second) == ("CLIENT", "REPLY") else "")
        if why:
            raise EngineError(f"a step may not run {name}: {why}")
        return [str(word).lower() if isinstance(word, bool) else word for word in words]

    def _refused(self, command: str, error: ErrorRecord) -> Outcome:
        """The outcome of an error reply. Inside MULTI it does not end the transaction: EXEC will refuse."""
        ended = None
        if command == "EXEC":
            ended = TransactionEnd.aborted if self._multi else None
            self._multi = self._watching = False
        return Outcome(error=error, in_transaction=self._multi, ended=ended)

    def _answered(self, command: str, reply: Any) -> Outcome:
        """The outcome of a reply that is no error, and what it did to the transaction."""
        if reply == "QUEUED" and self._multi:
            queued = ResultSet(columns=[command.lower()], status="QUEUED")
            return Outcome(results=[queued], in_transaction=True, may_release=False)
        outcome = Outcome(results=[result_of(command, reply)], may_release=command not in _QUIET)
        if command == "MULTI":
            self._multi = True
        elif command == "WATCH":
            self._watching = True
        elif command in ("UNWATCH", "DISCARD", "EXEC"):
            was_open, self._multi, self._watching = self._multi, False, False
            if command == "DISCARD":
                outcome.ended = TransactionEnd.aborted
            elif command == "EXEC" and was_open:
                self._executed(reply, outcome)
        outcome.in_transaction = self._multi
        return outcome

    @staticmethod
    def _executed(reply: Any, outcome: Outcome) -> None:
        """EXEC: nil is a conflict; one command's error is an error of the step, though the others have run."""
        if reply is None:
            outcome.results = []
            outcome.ended = TransactionEnd.aborted
            outcome.error = ErrorRecord(kind=ErrorKind.conflict, code="EXEC nil", message="a watched key changed")
            return
        outcome.ended = TransactionEnd.committed
        failed = next((item for item in reply if isinstance(item, Exception)), None)
        if failed is not None:
            outcome.error = error_record(failed)
            outcome.notices.append(Notice("EXEC does not roll back: the other commands have taken effect"))

    def cancel(self) -> None:
        """Unblock a blocking command; kill a script; if neither is possible, the connection. Never raises."""
        if self._idle.is_set():
            return
        try:
            self._cancel(time.monotonic() + 2.0)
        except Exception:  # noqa: BLE001 - never raises; then at least our own end of the connection is closed
            if not self._idle.is_set():
                self._link.abort()

    def _cancel(self, deadline: float) -> None:
        """From a second connection, which a server held by a script still answers."""
        link = Link(self._url, "", select=False)
        try:
            # A step may have been sent but not yet read by the server: ask until it is blocked or has ended.
            while time.monotonic() < deadline:
                try:
                    if link.call("CLIENT", "UNBLOCK", self.pid, "ERROR") == 1:
                        return
                except link.driver.ResponseError as error:
                    if error_record(error).code != "BUSY":
                        raise
                    self._kill_script(link)
                if self._idle.wait(0.005):
                    return
            link.call("CLIENT", "KILL", "ID", self.pid)
        finally:
            link.close()

    @staticmethod
    def _kill_script(link: Link) -> None:
        """SCRIPT KILL or FUNCTION KILL; raises if the script has written (then only SHUTDOWN NOSAVE ends it)."""
        try:
            link.call("SCRIPT", "KILL")
        except link.driver.ResponseError as error:
            code = error_record(error).code
            if code == "BUSY":  # a function runs, not a script
                link.call("FUNCTION", "KILL")
            elif code != "NOTBUSY":
                raise

    def close(self) -> None:
        """Disconnect: the server discards an open MULTI."""
        self._multi = self._watching = False
        self._link.close()


class RedisObserver:
    """Sees which sessions are blocked (flag ``b`` of CLIENT LIST). The server does not say by whom."""

    def __init__(self, url: str, run: str) -> None:
        self._link = Link(url, f"psh:{run}")

    def waits(self, waiting: Sequence[str], run: Sequence[str]) -> list[ServerWait]:
        """Sessions inside BLPOP, WAIT and the like; any other session of the run may end it, so all are named."""
        return [
            ServerWait(
                waiter=client["id"],
                holders=tuple(pid for pid in run if pid != client["id"]),
                resource=f"blocked command {client.get('cmd', '?')} (any session may end it)",
            )
            for client in clients(self._link)
            if client.get("id") in waiting and "b" in client.get("flags", "")
        ]

    def lock_table(self, pids: Sequence[str]) -> list[dict[str, str]]:
        """Redis has no locks; what comes nearest: open MULTI, watched keys, and whether one of them has changed."""
        return [
            {
                "pid": client["id"],
                "name": client.get("name", ""),
                "command": client.get("cmd", ""),
                "blocked": "yes" if "b" in client.get("flags", "") else "no",
                "in MULTI": "yes" if "x" in client.get("flags", "") else "no",
                "queued commands": client.get("multi", ""),
                "watched keys": client.get("watch", ""),
                "a watched key changed": "yes" if "d" in client.get("flags", "") else "no",
            }
            for client in clients(self._link)
            if client.get("id") in pids
        ]

    def touched(self, pid: str, statement: Statement) -> list[Touch]:
        """The keys that a command names, by the server's own table of commands (COMMAND GETKEYSANDFLAGS, since 7.0).

        A script may use others than those it is given: it is unknown. So is a command that the server finds no keys
        in, unless it is one that reads nothing.
        """
        body = statement.body
        if isinstance(body, Verb | str | Mapping) or not body:
            return []
        try:
            found = self._link.call("COMMAND", "GETKEYSANDFLAGS", *body)
        except (self._link.driver.RedisError, OSError):
            return [] if str(body[0]).upper() in _KEYLESS else [Touch(str(body[0]).upper(), writes=True, unknown=True)]
        if str(body[0]).upper() in _SCRIPTS:
            return [Touch(str(body[0]).upper(), writes=True, unknown=True)]
        return [Touch(str(key), bool({"RW", "OW", "RM"} & {str(flag) for flag in flags})) for key, flags in found]

    def deadlock_reports(self, pids: Sequence[str]) -> list[DeadlockReport]:
        """None: Redis has no deadlocks."""
        return []

    def close(self) -> None:
        """Disconnect; never raises."""
        self._link.close()


class RedisAdmin:
    """Leases numbered databases and gives them back."""

    def __init__(self, url: str, run: str) -> None:
        self._link = Link(url, f"psh:{run}")
        info = dict(line.split(":", 1) for line in str(self._link.ask("INFO", "server")).splitlines() if ":" in line)
        valkey = "valkey_version" in info
        notes = [
            "CLIENT LIST says who is blocked, not by whom: all other sessions of the run are named",
            "no locks in Redis: the lock picture is each session's MULTI and WATCH state",
            f"a case's database holds one key of the harness, {LEASE}",
        ]
        if info.get("redis_mode") == "cluster":
            notes.append("a cluster: numbered databases may be missing, and with them room for cases")
        self.capabilities = Capabilities(
            product="Valkey" if valkey else "Redis",
            version=info["valkey_version" if valkey else "redis_version"],
            waits=True,
            locks=True,
            levels=(LEVEL,),
            notes=tuple(notes),
        )

    def create(self, name: str, levels: Sequence[str]) -> None:
        """Lease an empty numbered database. Raises EngineError if there is none, or ``name`` has one already."""
        number = walk(self._link, "lease", name)
        if number < 0:
            raise EngineError(f"Redis at {self._link.where}: database {-number} is already leased to {name}")
        if number == 0:
            raise EngineError(
                f"Redis at {self._link.where} has no empty numbered database left (0 is never taken): "
                "start the server with more of them (databases 1024), or drop the leftovers of dead runs"
            )

    def drop(self, name: str) -> None:
        """Empty the database of that name, lease and all; silent if it is not there."""
        walk(self._link, "drop", name)

    def end_session(self, database: str, pid: str) -> None:
        """Close a connection by its CLIENT ID: its MULTI and its WATCH go with it."""
        self._link.ask("CLIENT", "KILL", "ID", pid)

    def owned(self) -> list[str]:
        """Names in the lease keys of all numbered databases."""
        return sorted(name for name in walk(self._link, "list", "") if name.startswith(OWNED))

    def living_runs(self) -> set[str]:
        """Runs in the connection names of CLIENT LIST; a killed client's connection goes with its socket."""
        names = (client.get("name", "") for client in clients(self._link))
        return {found[1] for name in names if (found := re.match(r"psh:([0-9a-z]+)", name))}

    def close(self) -> None:
        """Disconnect; never raises."""
        self._link.close()


class Redis:
    """The engine. Stateless: which number a database has is asked of the server each time."""

    name = "redis"
    levels: tuple[str, ...] = (LEVEL,)

    def admin(self, url: str, run: str) -> RedisAdmin:
        """Log in. Raises LoginRefused, ServerError, DriverMissing."""
        return RedisAdmin(url, run)

    def database_url(self, url: str, name: str) -> str:
        """The URL with the number that ``name`` leases, found over a short connection. Raises EngineError if none."""
        link = Link(url, "")
        try:
            number = walk(link, "find", name)
        finally:
            link.close()
        if not number:
            raise EngineError(f"Redis at {link.where}: no numbered database is leased to {name}")
        parts = urlsplit(url)
        query = [(key, value) for key, value in parse_qsl(parts.query) if key != "db"]  # it would win over the path
        path = f"/{number}"
        if parts.scheme == "unix":
            path, query = parts.path, [*query, ("db", str(number))]
        return urlunsplit(parts._replace(path=path, query=urlencode(query)))

    def open(self, url: str, options: SessionOptions) -> RedisSession:
        """Open a session. Raises EngineError for an unknown level."""
        if options.level not in self.levels:
            hint = did_you_mean(options.level, self.levels)
            raise EngineError(f"Redis has no level {options.level!r}{hint}: it has {LEVEL!r}")
        return RedisSession(url, options)

    def observe(self, url: str, run: str) -> RedisObserver:
        """Open the second connection."""
        return RedisObserver(url, run)

    def placeholder(self, number: int) -> str:
        """Redis has no placeholders: raises EngineError."""
        raise EngineError("Redis has no placeholders: a step is a list of words")

    def quote(self, identifier: str) -> str:
        """Redis has no identifiers to quote: raises EngineError."""
        raise EngineError("Redis has no identifiers: a step is a list of words")
