"""MongoDB, through PyMongo: one client and one client session per session; a step is a command document.

Levels are read concerns. Outside a transaction the session's level is put on ``find``, ``aggregate``, ``count`` and
``distinct`` where the step names none; ``begin`` starts a transaction with it and with write concern majority. Any
error that the server answers inside a transaction has aborted it there: the step's outcome says so, further steps get
251 NoSuchTransaction, until ``rollback`` (or ``commit``, which fails) cleans the session.

``pid`` is the session's application name, made unique: it is what ``$currentOp`` shows of a session whether it runs an
operation or idles in a transaction, while connection and operation ids change.

Documents know no deadlock: a transaction that finds a document changed is refused at once (112), and a plain write
waits by trying again until the transaction is over.

Manual pages followed: Transactions, Read Concern, ``$currentOp``, ``killOp``, ``killSessions``, ``dropDatabase``,
Connection Strings.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from harness import vocabulary
from harness.answers import DeadlockReport
from harness.engines.base import OWNED, Capabilities, ServerWait, SessionOptions
from harness.engines.mongodb_session import MongoSession, read_back
from harness.engines.mongodb_wire import MARKER, connect, driver, error_record, name_of, operations, where
from harness.engines.plans_mongodb import MongoBench, MongoExplainer
from harness.errors import EngineError, did_you_mean

LEVELS = vocabulary.LEVELS["mongodb"]
_NO_HOLDER = "the server names no holder: all open transactions of the run are listed"


class MongoObserver:
    """Sees which operations wait. The server names no holder: all open transactions of the run are listed."""

    def __init__(self, url: str, run: str) -> None:
        self._where = where(url)
        self._client = connect(url, f"psh:{run}")
        self._conflicts: dict[tuple[str, str], int] = {}

    def _operations(self) -> list[dict[str, Any]]:
        try:
            return operations(self._client)
        except driver().errors.PyMongoError as error:
            raise EngineError(f"MongoDB at {self._where} does not say what it runs: {error}") from error

    def waits(self, waiting: Sequence[str], run: Sequence[str]) -> list[ServerWait]:
        """Sessions whose operation waits for a lock, or has met more conflicts than when it was first seen.

        A plain write that finds its document held by a transaction tries again and again, and counts each time
        (``writeConflicts``). It counts as waiting from the first growth until its operation is over.
        """
        found = self._operations()
        holders = dict.fromkeys(name_of(operation) for operation in found if "transaction" in operation)
        first_seen, self._conflicts = self._conflicts, {}
        waits = []
        for operation in found:
            pid = name_of(operation)
            if pid not in waiting or not operation.get("active"):
                continue
            conflicts = int(operation.get("writeConflicts") or 0) + int(operation.get("prepareReadConflicts") or 0)
            key = (pid, str(operation.get("opid")))
            self._conflicts[key] = first_seen.get(key, conflicts)
            others = tuple(holder for holder in holders if holder in run and holder != pid)
            if others and (operation.get("waitingForLock") or conflicts > self._conflicts[key]):
                how = "a lock" if operation.get("waitingForLock") else f"a document ({conflicts} conflicts)"
                resource = f"{how} in {operation.get('ns', '?')}; {_NO_HOLDER}"
                waits.append(ServerWait(waiter=pid, holders=others, resource=resource))
        return waits

    def lock_table(self, pids: Sequence[str]) -> list[dict[str, str]]:
        """Locks and transaction of each session's operations; empty if the server shows no locks."""
        fields = (
            "type",
            "op",
            "ns",
            "active",
            "secs_running",
            "waitingForLock",
            "locks",
            "writeConflicts",
            "numYields",
        )
        return [
            {"pid": name_of(operation)}
            | {field: str(operation[field]) for field in fields if field in operation}
            | ({"transaction": str(operation["transaction"])} if "transaction" in operation else {})
            for operation in self._operations()
            if name_of(operation) in pids and "locks" in operation
        ]

    def deadlock_reports(self, pids: Sequence[str]) -> list[DeadlockReport]:
        """None: MongoDB has no deadlocks between documents."""
        return []

    def close(self) -> None:
        """Disconnect; never raises."""
        with contextlib.suppress(Exception):
            self._client.close()


class MongoAdmin:
    """Makes and drops databases. Its connection is called ``psh:RUN``."""

    def __init__(self, url: str, run: str) -> None:
        self._mongo = driver()
        self._where = where(url)
        self._client = connect(url, f"psh:{run}")
        self.capabilities = self._ask("describe", self._capabilities)

    def _ask(self, what: str, question: Any, *arguments: Any) -> Any:
        try:
            return question(*arguments)
        except self._mongo.errors.PyMongoError as error:
            record = error_record(error)
            raise EngineError(f"MongoDB at {self._where}: {what}: {record.code} {record.message}") from error

    def _capabilities(self) -> Capabilities:
        build = self._client.admin.command("buildInfo")
        hello = self._client.admin.command("hello")
        shows = any("waitingForLock" in operation for operation in operations(self._client))
        notes = []
        if not shows:
            notes.append("$currentOp does not tell who waits: a blocked step is noticed by its deadline only")
            notes.append("$currentOp shows no locks: no lock picture")
        if not (hello.get("setName") or hello.get("msg") == "isdbgrid"):
            notes.append("not a replica set: no transactions")
        levels = [level for level in LEVELS if self._accepts(level, notes)]
        stand_in = "secantusVersion" in build
        if stand_in:
            notes.append("SecantusDB reads at snapshot outside a transaction without pinning a time")
            notes.append("SecantusDB cancels by closing the connection: a waiting write may still take effect later")
        product = "SecantusDB" if stand_in else "FerretDB" if "ferretdb" in build else "MongoDB"
        version = f"{build['secantusVersion']} (speaks MongoDB {build['version']})" if stand_in else build["version"]
        return Capabilities(
            product=product, version=version, waits=shows, locks=shows, levels=tuple(levels), notes=tuple(notes)
        )

    def _accepts(self, level: str, notes: list[str]) -> bool:
        with self._client.start_session(causal_consistency=False) as session:
            try:
                # Not the URL's database: transactions are refused in admin, config and local.
                read_back(self._client, session, self._client[f"{OWNED}probe"], level)
            except self._mongo.errors.OperationFailure as error:
                notes.append(f"read concern {level} is refused: {error.code}")
                return False
        return True

    def create(self, name: str, levels: Sequence[str]) -> None:
        """Make the database by its marker collection. Raises EngineError if it is there already.

        A document, because ``create`` is content with a collection that is there and has the same options.
        """
        self._ask(f"create {name}", self._client[name][MARKER].insert_one, {"_id": "database"})

    def drop(self, name: str) -> None:
        """End every session that was opened on it, then drop it; silent if it is not there.

        A killed client's transaction would hold the database for another minute (SecantusDB then hangs). The marker
        collection knows the sessions, on every server, and only those of this database.
        """
        self._ask(f"drop {name}", self._drop, self._client[name])

    def _drop(self, database: Any) -> None:
        sessions = [{"id": document["_id"]} for document in database[MARKER].find({"name": {"$exists": True}})]
        if sessions:
            with contextlib.suppress(self._mongo.errors.OperationFailure):
                self._client.admin.command({"killSessions": sessions})
        self._client.drop_database(database.name)

    def end_session(self, database: str, pid: str) -> None:
        """Kill a session that was opened on a database, and with it its transaction."""

        def kill() -> None:
            found = [{"id": document["_id"]} for document in self._client[database][MARKER].find({"name": pid})]
            if found:
                self._client.admin.command({"killSessions": found})

        self._ask(f"end session {pid}", kill)

    def owned(self) -> list[str]:
        """Names that begin with ``OWNED``; the marker collection makes a database exist before its first write."""
        names = self._ask("list databases", self._client.list_database_names)
        return sorted(name for name in names if name.startswith(OWNED))

    def living_runs(self) -> set[str]:
        """Runs in the application names of all connections, idle ones too; a killed client's go with its sockets."""
        names = [name_of(operation) for operation in self._ask("list connections", operations, self._client)]
        return {found[1] for name in names if (found := re.match(r"psh:([0-9a-z]+)", name))}

    def close(self) -> None:
        """Disconnect; never raises."""
        with contextlib.suppress(Exception):
            self._client.close()


class MongoDB:
    """The engine."""

    name = "mongodb"
    levels: tuple[str, ...] = LEVELS

    def admin(self, url: str, run: str) -> MongoAdmin:
        """Log in. Raises LoginRefused, ServerError, DriverMissing."""
        return MongoAdmin(url, run)

    def database_url(self, url: str, name: str) -> str:
        """The URL with another path; whom the login is checked against stays what it was.

        >>> MongoDB().database_url("mongodb://u:p@h:1/?replicaSet=rs", "psh_a_1")
        'mongodb://u:p@h:1/psh_a_1?replicaSet=rs&authSource=admin'
        """
        parts = urlsplit(url)
        options = {key.lower(): value for key, value in parse_qsl(parts.query)}
        query = parts.query
        if "@" in parts.netloc and "authsource" not in options:
            # Without authSource, SCRAM asks the path's database, or admin; the other mechanisms ask outside.
            scram = options.get("authmechanism", "SCRAM").startswith("SCRAM")
            source = (parts.path.strip("/") or "admin") if scram else quote("$external")
            query = "&".join(filter(None, [query, f"authSource={source}"]))
        return urlunsplit(parts._replace(path=f"/{quote(name)}", query=query))

    def open(self, url: str, options: SessionOptions) -> MongoSession:
        """Open a session and read its level back. Raises EngineError for a level unknown or refused."""
        if options.level not in self.levels:
            hint = did_you_mean(options.level, self.levels)
            raise EngineError(f"MongoDB has no level {options.level!r}{hint}: it has {', '.join(self.levels)}")
        return MongoSession(url, options)

    def observe(self, url: str, run: str) -> MongoObserver:
        """Open the second connection."""
        return MongoObserver(url, run)

    def bench(self, url: str, run: str, *, disposable: bool) -> MongoBench:
        """Open a client for plans without and with an index."""
        return MongoBench(url, run, disposable=disposable)

    def explainer(self, url: str, run: str) -> MongoExplainer:
        """Open a client for the plans of other sessions' commands."""
        return MongoExplainer(url, run)

    def placeholder(self, number: int) -> str:
        """MongoDB has no placeholders: raises EngineError."""
        raise EngineError("MongoDB has no placeholders: a step is a command document")

    def quote(self, identifier: str) -> str:
        """MongoDB has no identifiers to quote: raises EngineError."""
        raise EngineError("MongoDB has no SQL identifiers: a step is a command document")
