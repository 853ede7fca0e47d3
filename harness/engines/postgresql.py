"""PostgreSQL, through psycopg 3: sessions and their steps. What the server says beside them: ``postgresql_server``."""

from __future__ import annotations

import contextlib
import re
import select
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import abc
from psycopg.adapt import PyFormat, Transformer
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from harness.answers import ErrorKind, ErrorRecord, ResultSet, TransactionEnd
from harness.engines.base import Notice, Notification, Outcome, SessionOptions, Statement, Verb, plain
from harness.engines.plans_postgresql import AutoExplain, PostgreSQLBench, PostgreSQLExplainer
from harness.engines.postgresql_server import PostgreSQLAdmin, PostgreSQLObserver, error_record, quote
from harness.engines.waiting import readable
from harness.errors import LoginRefused, ServerError
from harness.vocabulary import DEFAULT_LEVEL, LEVELS

_CONNECT_SECONDS = 10
_NAME = "application_name"
_DEADLOCK_TIMEOUT = {"low": "100ms", "normal": "", "high": "60s"}

# Commands that let nobody go who was already waiting: the locks that end with them were taken by themselves, and
# the step itself never waited (the coordinator sees to that), so nobody can have queued behind those. What is not seen
# is an advisory unlock inside a function that a write calls: then whoever it lets go is heard of one step later.
_KEEPS_LOCKS = frozenset(b"SELECT INSERT UPDATE DELETE MERGE BEGIN SET SHOW SAVEPOINT RELEASE FETCH LOCK".split())
_FAILED = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE})
_NO_RESULT = _FAILED | {ExecStatus.EMPTY_QUERY}
_IN_TRANSACTION = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE")
_MIGHT_UNLOCK = re.compile(r"unlock|pg_(cancel|terminate)_backend", re.IGNORECASE)


class PostgreSQL:
    """PostgreSQL 12 and newer, and whatever speaks its protocol and has its views."""

    name = "postgresql"
    levels = LEVELS["postgresql"]

    def admin(self, url: str, run: str) -> PostgreSQLAdmin:
        """Log in to the server's maintenance database. Raises LoginRefused or ServerError."""
        return PostgreSQLAdmin(_connect(url, f"psh:{run}"))

    def database_url(self, url: str, name: str) -> str:
        """The URL of the database ``name`` on the server of ``url``."""
        return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))

    def open(self, url: str, options: SessionOptions) -> PostgreSQLSession:
        """Open a session whose transactions begin at ``options.level``."""
        settings = dict(options.settings)
        name = settings.pop(_NAME, options.name)  # what RESET comes back to; the session's own is set on top of it
        return PostgreSQLSession(_connect(url, name, settings), options)

    def observe(self, url: str, run: str) -> PostgreSQLObserver:
        """Open the connection that asks who waits for whom."""
        return PostgreSQLObserver(_connect(url, f"psh:{run}/observer"))

    def bench(self, url: str, run: str, *, disposable: bool) -> PostgreSQLBench:
        """Open a connection for plans without and with an index."""
        return PostgreSQLBench(_connect(url, f"psh:{run}/plans"))

    def explainer(self, url: str, run: str) -> PostgreSQLExplainer:
        """Open a connection for the plans of other sessions' statements."""
        return PostgreSQLExplainer(_connect(url, f"psh:{run}/plans"))

    def placeholder(self, number: int) -> str:
        """``$1``, ``$2``, …"""
        return f"${number}"

    def quote(self, identifier: str) -> str:
        """``"identifier"``, quotes in it doubled."""
        return quote(identifier)


def _connect(url: str, name: str, settings: Mapping[str, str] | None = None) -> psycopg.Connection[tuple[Any, ...]]:
    try:
        options: dict[str, Any] = {"options": _options(url, settings)} if settings else {}
        return psycopg.connect(
            url,
            **options,
            autocommit=True,
            application_name=name[:63],  # the server cuts it there, with a notice
            connect_timeout=_CONNECT_SECONDS,
            client_encoding="utf8",  # whatever the database's is: texts are sent and read as UTF-8
            cursor_factory=psycopg.RawCursor,
            prepare_threshold=None,
        )
    except psycopg.OperationalError as error:
        text = " ".join(str(error).split())
        where = f"PostgreSQL at {_address(url)}"
        if "authentication failed" in text or "no password supplied" in text or "does not exist" in text:
            raise LoginRefused(
                f"{where} refuses the login: {text}; check user, password and database in the URL"
            ) from None
        raise ServerError(f"{where} cannot be reached: {text}") from None
    except psycopg.ProgrammingError as error:
        raise ServerError(f"not a PostgreSQL URL: {' '.join(str(error).split())}") from None


def _options(url: str, settings: Mapping[str, str]) -> str:
    """libpq's ``options``: settings in force from the connection's start, so that RESET comes back to them."""
    given = conninfo_to_dict(url).get("options")
    words = [str(given)] if given else []
    for name, value in settings.items():
        escaped = re.sub(r"([\\\s])", r"\\\1", value)
        words.append(f"-c {name}={escaped}")
    return " ".join(words)


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}"


class PostgreSQLSession:
    """One connection; transactions are opened by the steps themselves.

    Steps go through libpq's asynchronous calls (https://www.postgresql.org/docs/current/libpq-async.html), so that one
    thread can drive many sessions by their sockets: see ``Pollable``.
    """

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], options: SessionOptions) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self.pid = str(connection.info.backend_pid)
        self.notes: list[str] = []
        self._as_text = options.as_text
        self._notices: list[Notice] = []
        self._sent: tuple[str, int] = ("", TransactionStatus.IDLE)
        self._results: list[PGresult] = []
        self._failed: psycopg.Error | None = None
        self._dying = False
        self._plans: AutoExplain | None = None
        self._pgconn.notice_handler = self._hear
        if options.level != DEFAULT_LEVEL:
            # Not a literal of ours: the level is bound, set_config takes it as a value.
            connection.execute("SELECT set_config('default_transaction_isolation', $1, false)", (options.level,))
        timeout = _DEADLOCK_TIMEOUT[options.deadlock_priority]
        if timeout:
            try:
                connection.execute("SELECT set_config('deadlock_timeout', $1, false)", (timeout,))
            except psycopg.errors.InsufficientPrivilege:
                self.notes.append(
                    "deadlock victim not steered: this role may not set deadlock_timeout "
                    "(GRANT SET ON PARAMETER deadlock_timeout TO it)"
                )
        if options.plans:
            self._plans = AutoExplain(connection)
            if self._plans.problem:
                self.notes.append(f"auto_explain cannot be used, a second session tells plans: {self._plans.problem}")
        self.observed_level, messages, query_id = _settled(connection, options)
        if options.as_text:
            with contextlib.suppress(psycopg.Error):  # not every role may: then texts are in the server's language
                if messages not in ("C", "POSIX") and not messages.startswith(("C.", "en_")):
                    connection.execute("SET lc_messages = 'C'")
            with contextlib.suppress(psycopg.Error):  # not every role may: then EXPLAIN may show a number more
                if query_id in ("auto", "on"):
                    connection.execute("SET compute_query_id = 'regress'")
        self._notices.clear()

    def _hear(self, result: PGresult) -> None:
        if self._plans is not None and self._plans.hears(result):
            return
        if self._as_text:
            text = self._decoded(result.error_message)
        else:
            severity, message = (
                self._decoded(result.error_field(field) or b"")
                for field in (DiagnosticField.SEVERITY, DiagnosticField.MESSAGE_PRIMARY)
            )
            text = f"{severity}: {message}"
        self._notices.append(Notice(text, len(self._results)))

    def _decoded(self, text: bytes) -> str:
        return text.decode(errors="replace")

    def take_notices(self) -> list[Notice]:
        """What the server has said so far, in order."""
        taken, self._notices = self._notices, []
        return taken

    def take_notifications(self) -> list[Notification]:
        """What NOTIFY brought, as far as it is here."""
        taken: list[Notification] = []
        with contextlib.suppress(psycopg.Error):
            self._pgconn.consume_input()
            while notify := self._pgconn.notifies():
                channel, payload = self._decoded(notify.relname), self._decoded(notify.extra)
                taken.append(Notification(channel, payload, str(notify.be_pid)))
        return taken

    def fileno(self) -> int:
        """The connection's socket; -1 once it is lost."""
        return self._pgconn.socket if self._pgconn.status == ConnStatus.OK else -1

    def send(self, statement: Statement) -> None:
        """Begin a step. What goes wrong comes out of :meth:`receive`."""
        text = statement.body.value.upper() if isinstance(statement.body, Verb) else str(statement.body)
        if self._plans is not None:
            self._plans.begin(self._pgconn, wanted=statement.plan)
        self._sent = (text, self._pgconn.transaction_status)
        self._results = []
        self._failed = None
        self._dying = False
        try:
            if statement.parameters:
                bound = Transformer(self._connection)
                values = bound.dump_sequence(statement.parameters, [PyFormat.AUTO] * len(statement.parameters))
                self._pgconn.send_query_params(text.encode(), values, bound.types, bound.formats)
            else:
                self._pgconn.send_query(text.encode())  # the simple protocol: several statements may stand in one text
            while self._pgconn.flush():  # a text larger than the socket takes at once
                select.select([], [self._pgconn.socket], [], 1.0)
        except psycopg.Error as error:
            self._failed = error

    def receive(self) -> Outcome | None:
        """The step's outcome, if it has ended; None if more has to come. Never waits."""
        pgconn = self._pgconn
        if self._failed is None:
            try:
                if not self._dying:
                    pgconn.consume_input()
                # After a FATAL nothing but the connection's end can come, and libpq says best what it was.
                while self._dying or not pgconn.is_busy():
                    result = pgconn.get_result()
                    if result is None:
                        return self._outcome()
                    self._take(result)
            except psycopg.Error as error:
                self._failed = error
        return self._outcome() if self._failed is not None else None

    def _take(self, result: PGresult) -> None:
        if result.status == ExecStatus.COPY_IN:
            self._pgconn.put_copy_end(b"a step cannot send data to COPY: use INSERT, or COPY from a file")
        elif result.status in (ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH):
            raise psycopg.NotSupportedError("a step cannot take data from COPY: use SELECT")
        else:
            self._results.append(result)
            if result.status == ExecStatus.FATAL_ERROR:
                self._dying = result.error_field(DiagnosticField.SEVERITY_NONLOCALIZED) in (b"FATAL", b"PANIC")

    def run(self, statement: Statement) -> Outcome:
        """Run one step to its end; every result of a multi-statement text is kept."""
        self.send(statement)
        while (outcome := self.receive()) is None:
            readable([self.fileno()])
        return outcome

    def _outcome(self) -> Outcome:
        text, before = self._sent
        failures = [result for result in self._results if result.status in _FAILED]
        good = [result for result in self._results if result.status not in _NO_RESULT]
        if self._as_text:
            outcome = Outcome(later=lambda: [_result_set(result, None) for result in good])
        else:
            values = Transformer(self._connection)
            outcome = Outcome([_result_set(result, values) for result in good])
        if failures or self._failed is not None:
            outcome.error = self._error(failures)
            if self._failed is not None and outcome.error.kind is not ErrorKind.connection:
                # Not the server's word: libpq's or ours, and whatever the server still sends must not be read as an answer.
                outcome.error = replace(outcome.error, code="harness")
                if self._pgconn.transaction_status == TransactionStatus.ACTIVE:
                    self._pgconn.finish()
        if self._notices:
            outcome.notices, self._notices = self._notices, []
        after = self._pgconn.transaction_status
        if self._plans is not None:
            outcome.plans = self._plans.end(self._pgconn)
        tags = [result.command_status or b"" for result in good]
        outcome.in_transaction = after in _IN_TRANSACTION
        outcome.ended = _ended(before, after, outcome.error, tags)
        outcome.may_release = _may_release(before, after, text, tags)
        outcome.empty = not good and outcome.error is None
        return outcome

    def _error(self, results: Sequence[PGresult]) -> ErrorRecord:
        """What went wrong: the server's word first, then what libpq says of the connection."""
        if not results:
            assert self._failed is not None
            record = error_record(self._failed)
            full = self._decoded(self._pgconn.error_message)
        else:
            record = error_record(psycopg.errors.error_from_result(results[0], self._connection.info.encoding))
            full = self._decoded(results[0].error_message)
        if not self._as_text:
            return record
        if results and (message := results[0].error_field(DiagnosticField.MESSAGE_PRIMARY)) is not None:
            record = replace(record, message=self._decoded(message))  # which may be an empty one
        severity = self._decoded(results[0].error_field(DiagnosticField.SEVERITY) or b"") if results else ""
        lost = self._decoded(results[-1].error_message) if len(results) > 1 else ""
        return replace(record, severity=severity, full=full, lost=lost)

    def cancel(self) -> None:
        """Ask the server to cancel what runs now (PQcancel)."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.cancel_safe(timeout=5)

    def close(self) -> None:
        """Disconnect; the server rolls back."""
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()


def _settled(connection: psycopg.Connection[tuple[Any, ...]], options: SessionOptions) -> tuple[str, str, str]:
    """The level of its transactions, the language of its messages, whether queries are numbered: all in one question.

    If the settings give it a name, it gets its own on top of that. And if we are killed, a statement that waits or
    sleeps shall end too: by itself it would never look.
    """
    parts = [
        "current_setting('transaction_isolation')",
        "current_setting('lc_messages')",
        "coalesce(current_setting('compute_query_id', true), '')",
    ]
    values = []
    if _NAME in options.settings:
        parts.append(f"set_config('{_NAME}', $1, false)")
        values.append(options.name)
    look = "set_config('client_connection_check_interval', '500ms', false)"
    try:
        row = connection.execute(f"SELECT {', '.join([*parts, look])}".encode(), values).fetchone()
    except psycopg.Error:  # before 14, and not on every system
        row = connection.execute(f"SELECT {', '.join(parts)}".encode(), values).fetchone()
    assert row is not None
    level, messages, query_id = map(str, row[:3])
    return level, messages, query_id


def _result_set(result: PGresult, values: abc.Transformer | None) -> ResultSet:
    """Rows and status; without ``values``, the values are texts as the server wrote them."""
    status = (result.command_status or b"").decode()
    affected = result.command_tuples if status.startswith(_WRITES) else None
    if not result.nfields:
        return _done(status, affected)
    columns = [(result.fname(index) or b"").decode(errors="replace") for index in range(result.nfields)]
    try:
        if values is None:
            rows = _texts(result)
        else:
            values.set_pgresult(result)
            rows = [[plain(value) for value in row] for row in values.load_rows(0, result.ntuples, tuple)]
    except psycopg.DataError:  # a value that Python has no type for ('infinity'::date): as the server wrote it
        rows = _texts(result)
    return ResultSet(columns=columns, rows=rows, status=status, affected=affected)


@lru_cache
def _done(status: str, affected: int | None) -> ResultSet:
    return ResultSet(status=status, affected=affected)


def _texts(result: PGresult) -> list[list[Any]]:
    columns = range(result.nfields)
    cells = [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]
    return [[None if cell is None else cell.decode(errors="replace") for cell in row] for row in cells]


def _ended(before: int, after: int, error: ErrorRecord | None, tags: Sequence[bytes]) -> TransactionEnd | None:
    if after != TransactionStatus.IDLE:
        return TransactionEnd.aborted if after == TransactionStatus.UNKNOWN else None
    last = tags[-1] if tags else b""
    if error or last == b"ROLLBACK":
        return TransactionEnd.aborted
    if before != TransactionStatus.IDLE or last:
        return TransactionEnd.committed
    return None


def _may_release(before: int, after: int, text: str, tags: Sequence[bytes]) -> bool:
    if before != after and (before, after) != (TransactionStatus.IDLE, TransactionStatus.INTRANS):
        return True
    words = {tag.split(b" ", 1)[0] for tag in tags}
    if not words <= _KEEPS_LOCKS or _MIGHT_UNLOCK.search(text):
        return True
    return b"SELECT" in words and "(" in text  # a function may do anything
