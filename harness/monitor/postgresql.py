"""PostgreSQL, watched by its own views: pg_stat_activity, pg_locks, pg_stat_database and what newer versions add.

Everything is one statement, so one answer costs one round trip, and all of it is of one moment. What a version, or the
login's rights, do not give is left out and said once. Manual: Monitoring Database Activity, pg_stat_statements.

The own login is a role in pg_read_all_stats (the part of pg_monitor that is about statistics, and no more): it sees whose
sessions do what, and reads no table. Databases come and go while the harness works, so totals are gathered for each one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import psycopg

from harness.monitor.base import (
    MARK,
    Kind,
    Lost,
    Numbers,
    Raw,
    Spec,
    connection_name,
    one_line,
)
from harness.monitor.postgresql_login import HOME, RIGHTS, enrol, expel
from harness.servers.roles import Connection
from harness.servers.urls import scrub

SPECS = (
    Spec("active", "sessions", group="sessions", about="run a statement; those that wait are among them"),
    Spec("waiting", "sessions", group="sessions", about="of these, wait for a lock of another one"),
    Spec("idle", "sessions", group="sessions", about="connected, no transaction"),
    Spec("in_transaction", "sessions", group="sessions", about="in a transaction, between two statements"),
    Spec("observers", "sessions", group="sessions", about="the harness's own, which make databases and ask who waits"),
    Spec("locks_held", "locks", group="locks"),
    Spec("locks_waiting", "locks", group="locks"),
    Spec("deadlocks", "deadlocks", Kind.count, "deadlocks", "found since the sample before"),
    Spec("transactions", "1/s", Kind.rate, "transactions", "committed and rolled back"),
    Spec("rollbacks", "1/s", Kind.rate, "transactions", "of these, rolled back"),
    Spec("cache_hit", "%", Kind.share, "cache", "blocks found in shared_buffers", "hits", "reads"),
    Spec("rows_read", "1/s", Kind.rate, "rows", "live rows that scans went through"),
    Spec("rows_inserted", "1/s", Kind.rate, "rows"),
    Spec("rows_updated", "1/s", Kind.rate, "rows"),
    Spec("rows_deleted", "1/s", Kind.rate, "rows"),
    Spec("temp_files", "files", Kind.count, "temporary files", "since the sample before"),
    Spec("temp_written", "MB/s", Kind.rate, "temporary files"),
    Spec("wal_written", "MB/s", Kind.rate, "WAL"),
    Spec("checkpoints", "checkpoints", Kind.count, "WAL", "since the sample before"),
)

_SESSIONS = """
SELECT json_agg(r) FROM (
  SELECT CASE WHEN application_name ~ '^psh:[^/]*(/(observer|admin))?$' THEN 'observer'
              ELSE coalesce(state, '') END AS state,
         CASE WHEN wait_event_type IS NULL THEN 'CPU' ELSE wait_event_type || ':' || wait_event END AS wait,
         count(*) AS n
  FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'psh%/monitor'
  GROUP BY 1, 2) r"""
_LOCKS = """
SELECT json_build_object('held', count(*) FILTER (WHERE granted), 'waiting', count(*) FILTER (WHERE NOT granted))
FROM pg_locks WHERE pid <> pg_backend_pid() AND locktype <> 'virtualxid'"""
_DATABASES = """
SELECT json_object_agg(datid, json_build_array(xact_commit, xact_rollback, deadlocks, tup_returned, tup_inserted,
       tup_updated, tup_deleted, temp_files, temp_bytes, blks_hit, blks_read, datname = current_database(), stats_reset))
FROM pg_stat_database WHERE datid > 0"""
_TOTALS = (
    *("commits", "rollbacks", "deadlocks", "rows_read", "rows_inserted", "rows_updated", "rows_deleted"),
    *("temp_files", "temp_written", "hits", "reads"),
)
_IO = """
SELECT json_build_array(coalesce(sum(hits), 0), coalesce(sum(reads), 0)) FROM pg_stat_io
WHERE object = 'relation' AND backend_type IN ('client backend', 'background worker', 'autovacuum worker')"""
_WAL = "SELECT to_json(wal_bytes) FROM pg_stat_wal"
_CHECKPOINTS = "SELECT to_json(num_done) FROM pg_stat_checkpointer"  # 18; before, what was asked for
_CHECKPOINTS_17 = "SELECT to_json(num_timed + num_requested) FROM pg_stat_checkpointer"
_CHECKPOINTS_OLD = "SELECT to_json(checkpoints_timed + checkpoints_req) FROM pg_stat_bgwriter"

_NUMBERS = """
SELECT concat_ws('/', s.userid, s.dbid, s.queryid), sum(s.calls)::bigint, sum(s.total_exec_time), sum(s.rows)::bigint
FROM pg_stat_statements(false) s JOIN pg_roles u ON u.oid = s.userid
WHERE s.queryid IS NOT NULL AND u.rolname NOT LIKE 'psh\\_%\\_monitor\\_%' GROUP BY 1"""
_TEXTS = """
SELECT concat_ws('/', userid, dbid, queryid), min(query) FROM pg_stat_statements
WHERE concat_ws('/', userid, dbid, queryid) = ANY(%s) AND position('psh monitor' IN query) = 0 GROUP BY 1"""
_NO_STATEMENTS = "no top statements: pg_stat_statements is not to be had ({}); see docs/monitoring.md"


class PostgreSQLSampler:
    """One session."""

    def __init__(self, url: str, run: str) -> None:
        self._url = url
        self._run = run
        self.notes: list[str] = []
        self._prepared = False
        self._said = 0  # transactions of our own
        self._flushed = 0  # of these, those that the server has written down
        self._base = ""  # the database that pg_stat_statements is in
        self._databases: dict[str, list[Any]] = {}
        self._sums = dict.fromkeys(_TOTALS, 0.0)
        self._resets = 0
        self._gone = 0
        self._connection = self._connect(HOME)
        try:
            with _asked(url):
                (version,) = self._ask("SHOW server_version").fetchone() or ("",)
                self.version = str(version).split(" ")[0]
                self._parts = self._possible()
                self._question = self._whole()
                self._settle()
        except Lost:
            self.close()
            raise

    def _connect(self, database: str) -> Connection:
        """To ``database``, or to the URL's own where that is not permitted. Raises Lost."""
        options = " ".join(f"-c {right.replace(' ', '')}" for right in RIGHTS if "isolation" not in right)
        more: dict[str, Any] = {
            "autocommit": True,
            "connect_timeout": 5,
            "application_name": connection_name(self._run)[:63],
            "options": options.replace("'", ""),
        }
        with _asked(self._url):
            try:
                return psycopg.connect(self._url, dbname=database, **more)
            except psycopg.OperationalError as error:
                if not database or error.sqlstate not in (None, "3D000", "42501", "28000"):
                    raise
                return psycopg.connect(self._url, **more)

    def _possible(self) -> dict[str, str]:
        """The parts of the question that this server answers to this login."""
        number = self._connection.info.server_version
        wanted = {
            "sessions": (_SESSIONS, "sessions"),
            "locks": (_LOCKS, "locks"),
            "databases": (_DATABASES, "transactions and deadlocks"),
            "wal": (_WAL, "WAL"),
            "checkpoints": (
                _CHECKPOINTS if number >= 180000 else _CHECKPOINTS_17 if number >= 170000 else _CHECKPOINTS_OLD,
                "checkpoints",
            ),
        }
        if number >= 160000:
            wanted["io"] = (_IO, "the cache's hits")
        parts = {}
        for name, (query, what) in wanted.items():
            try:
                self._ask(query)
                parts[name] = query
            except psycopg.errors.Error as error:
                if self._connection.broken:
                    raise
                self.notes.append(f"no {what}: {one_line(error.diag.message_primary or error)}")  # type: ignore[arg-type]
        row = self._ask("SELECT pg_has_role('pg_read_all_stats', 'USAGE')").fetchone()
        if not (row and row[0]):
            self.notes.append("not a member of pg_read_all_stats: what other logins' sessions do is not seen")
        return parts

    @property
    def _flush(self) -> str:
        """Has the server write down at the transaction's end what it has counted, ours among it; from 15 on."""
        return "pg_stat_force_next_flush()" if self._connection.info.server_version >= 150000 else "NULL"

    def _whole(self) -> str:
        start = "(SELECT pg_postmaster_start_time()::text) AS start"
        columns = [start, *(f"({query}) AS {name}" for name, query in self._parts.items()), self._flush]
        return f"{MARK} SELECT {', '.join(columns)}"

    def _settle(self) -> None:
        """Wait a moment until the session that made our login has ended: its last transactions are counted then."""
        for _ in range(50):
            query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()"
            (others,) = self._ask(query, connection_name(self._run)[:63]).fetchone() or (0,)
            if not others:
                break
            time.sleep(0.01)  # there is no event for it
        self._ask(f"SELECT {self._flush}")
        self._flushed = self._said

    def _ask(self, query: str, *parameters: Any, prepare: bool | None = None) -> psycopg.Cursor[tuple[Any, ...]]:
        self._said += 1
        return self._connection.execute(query.encode(), parameters or None, prepare=prepare)

    def sample(self) -> Raw:
        """One statement, one row."""
        with _asked(self._url):
            self._said += not self._prepared  # to have it prepared is a transaction of its own
            self._prepared = True
            cursor = self._ask(self._question, prepare=True)
            row = cursor.fetchone() or ()
            names = [column.name for column in cursor.description or ()]
        found = dict(zip(names, row, strict=True))
        raw = Raw(epoch=str(found["start"]), own={"transactions": float(self._flushed)})
        self._flushed = self._said  # this question among them: it is counted at its end
        self._take_sessions(raw, found.get("sessions"), "sessions" in self._parts)
        if locks := found.get("locks"):
            raw.gauges |= {"locks_held": locks["held"], "locks_waiting": locks["waiting"]}
        if "databases" in self._parts:
            self._take_databases(raw, found["databases"] or {})
        if io := found.get("io"):
            raw.totals |= {"hits": float(io[0]), "reads": float(io[1])}
        if (wal := found.get("wal")) is not None:
            raw.totals["wal_written"] = float(wal) / 1e6
        if (checkpoints := found.get("checkpoints")) is not None:
            raw.totals["checkpoints"] = float(checkpoints)
        return raw

    @staticmethod
    def _take_sessions(raw: Raw, groups: Sequence[Mapping[str, Any]] | None, known: bool) -> None:
        if not known:
            return
        names = {"idle": "idle", "observer": "observers", "active": "active", "fastpath function call": "active"}
        count = dict.fromkeys(("active", "waiting", "idle", "in_transaction", "observers"), 0.0)
        for group in groups or ():
            state, wait, sessions = group["state"], group["wait"], float(group["n"])
            name = names.get(state, "in_transaction" if state.startswith("idle in transaction") else "")
            if name:
                count[name] += sessions
            if name == "active":
                raw.waits[wait] = raw.waits.get(wait, 0.0) + sessions
                if wait.startswith("Lock:"):
                    count["waiting"] += sessions
        raw.gauges |= count

    def _take_databases(self, raw: Raw, now: Mapping[str, list[Any]]) -> None:
        """Add what each database's counters have grown by: one that is new began at nothing, one that is dropped is gone."""
        for key, values in now.items():
            before = self._databases.get(key)
            if before is None and self._databases:
                before = [0] * len(_TOTALS)
            elif before is not None and any(new < old for new, old in zip(values, before, strict=False) if old):
                self._resets += 1  # somebody has reset them
                before = None
            if before is not None:
                for name, new, old in zip(_TOTALS, values, before, strict=False):
                    self._sums[name] += new - old
        self._gone += len(self._databases.keys() - now.keys())
        self._databases = {key: values[: len(_TOTALS)] for key, values in now.items()}
        raw.epoch += f" {self._resets}"
        raw.totals |= self._sums
        raw.totals["transactions"] = self._sums["commits"] + self._sums["rollbacks"]
        raw.totals["temp_written"] = self._sums["temp_written"] / 1e6

    def statements(self) -> Mapping[str, Numbers]:
        """pg_stat_statements without its texts, over a connection of the moment to the database that has it."""
        if not self._base:
            self._base = self._find_statements()
        if self._base == "-":
            return {}
        with self._beside() as link:
            rows = link.execute(f"{MARK} {_NUMBERS}".encode()).fetchall()
        return {str(key): Numbers(calls, milliseconds, rows_) for key, calls, milliseconds, rows_ in rows}

    def texts(self, keys: Sequence[str]) -> Mapping[str, str]:
        """The texts of these."""
        if self._base in ("", "-"):
            return {}
        with self._beside() as link:
            return {str(key): str(text) for key, text in link.execute(f"{MARK} {_TEXTS}".encode(), (list(keys),))}

    @contextlib.contextmanager
    def _beside(self) -> Iterator[Connection]:
        with _asked(self._url):
            if self._base == self._connection.info.dbname:
                self._said += 1
                yield self._connection
                return
            with self._connect(self._base) as link:
                yield link

    def _find_statements(self) -> str:
        """The database whose pg_stat_statements can be read: the one we are in, else the URL's; ``-`` if there is none."""
        why = "it is in none of the databases that this login gets into"
        for database in dict.fromkeys((self._connection.info.dbname, urlsplit(self._url).path.strip("/"))):
            if not database:
                continue
            self._base = database
            try:
                with self._beside() as link:
                    link.execute("SELECT 1 FROM pg_stat_statements(false) LIMIT 1")
            except Lost as error:
                why = str(error)
                continue
            return database
        self.notes.append(_NO_STATEMENTS.format(why))
        return "-"

    def last_notes(self) -> list[str]:
        """How many databases were dropped meanwhile."""
        if not self._gone:
            return []
        return [
            f"{self._gone} databases were dropped while watched: what their counters had grown by since the sample before "
            "(transactions, deadlocks, rows) is not in the numbers"
        ]

    def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(psycopg.Error, OSError, AttributeError):
            self._connection.close()


@contextlib.contextmanager
def _asked(url: str) -> Iterator[None]:
    """Raises Lost for what the driver raises."""
    try:
        yield
    except (psycopg.Error, OSError) as error:
        raise Lost(scrub(one_line(error), url)) from None


class PostgreSQLWatching:
    """The engine."""

    specs: Sequence[Spec] = SPECS

    def open(self, url: str, run: str) -> PostgreSQLSampler:
        """Connect. Raises Lost."""
        return PostgreSQLSampler(url, run)

    def enrol(self, url: str, name: str, run: str) -> str:
        """Make the role. Raises Refused."""
        return enrol(url, name, run)

    def expel(self, url: str, name: str) -> None:
        """Drop the role; whoever is in by it is put out. Raises Refused."""
        expel(url, name)
