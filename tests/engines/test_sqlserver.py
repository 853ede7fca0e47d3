"""The SQL Server engine without a server: against a fake of the *driver* (the module pyodbc), never of the server.

The fake answers what a test tells it to answer. What SQL Server itself does is not tested here: see
test_sqlserver_live.py, which needs one. The SQL that the engine sends is checked with sqlglot's T-SQL dialect, which
says that it is T-SQL, not that the server has those views.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
import sqlglot

from harness.answers import ErrorKind, TransactionEnd
from harness.engines import engine
from harness.engines.base import SessionOptions, Statement, Verb
from harness.engines.sqlserver import SQLServer, admin, babelfish, deadlocks, driver, faults, observer, probe, session
from harness.engines.sqlserver.text import bare, quote, read
from harness.engines.sqlserver.touching import TOUCHED, touches
from harness.engines.touching import Touch
from harness.errors import DriverMissing, EngineError, LoginRefused, ServerError

URL = "mssql://sa:s3cret@db.example:1444/psh_k3x9_1?Encrypt=yes&trustservercertificate=yes"
DRIVER_PREFIX = "[Microsoft][ODBC Driver 18 for SQL Server]"
PREFIX = "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]"


class OdbcError(Exception):
    """What pyodbc calls Error."""


def odbc_error(
    state: str, number: int, text: str, *, prefix: str = PREFIX, function: str = "SQLExecDirectW"
) -> OdbcError:
    return OdbcError(state, f"[{state}] {prefix}{text} ({number}) ({function})")


DEADLOCK = odbc_error(
    "40001", 1205, "Transaction (Process ID 55) was deadlocked on lock resources. Rerun the transaction."
)
DUPLICATE = odbc_error("23000", 2627, "Violation of PRIMARY KEY constraint 'pk'.")


@dataclass
class Rows:
    columns: list[str] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    count: int = -1
    messages: list[str] = field(default_factory=list)
    error: Exception | None = None  # raised after the rows


Answer = list[Rows | Exception]
Respond = Callable[[str, tuple[Any, ...]], Answer | None]


class FakeCursor:
    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection
        self._answer: Iterator[Rows | Exception] = iter(())
        self._now = Rows()
        self.cancelled = 0

    def execute(self, sql: str, *parameters: Any) -> FakeCursor:
        self.connection.sent.append(sql)
        self.connection.bound.append(parameters)
        self._answer = iter(self.connection.respond(sql, parameters) or [Rows()])
        self.nextset()
        return self

    def nextset(self) -> bool:
        self._now = Rows()
        following = next(self._answer, None)
        if following is None:
            return False
        if isinstance(following, Exception):
            raise following
        self._now = following
        return True

    @property
    def description(self) -> list[tuple[str]] | None:
        return [(column,) for column in self._now.columns] or None

    @property
    def rowcount(self) -> int:
        return self._now.count

    @property
    def messages(self) -> list[tuple[str, str]]:
        return [("[01000] (0)", message) for message in self._now.messages]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        yield from self._now.rows
        if self._now.error:
            raise self._now.error

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self)

    def cancel(self) -> None:
        self.cancelled += 1

    def close(self) -> None:
        pass


class FakeConnection:
    def __init__(self, text: str, respond: Respond) -> None:
        self.text = text
        self._respond = respond
        self.sent: list[str] = []
        self.bound: list[tuple[Any, ...]] = []
        self.closed = False

    def respond(self, sql: str, parameters: tuple[Any, ...]) -> Answer | None:
        return self._respond(sql, parameters)

    def cursor(self) -> FakeCursor:
        return FakeCursor(self)

    def add_output_converter(self, number: int, convert: Callable[[bytes], Any]) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class FakeDriver:
    """Stands for the module pyodbc; ``answers`` maps a piece of SQL to what comes back, first match wins."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.connections: list[FakeConnection] = []
        self.refusal: Exception | None = None
        self.known = ["ODBC Driver 18 for SQL Server"]
        module = ModuleType("pyodbc")
        module.Error = OdbcError  # type: ignore[attr-defined]
        module.pooling = True  # type: ignore[attr-defined]
        module.drivers = lambda: self.known  # type: ignore[attr-defined]
        module.connect = self.connect  # type: ignore[attr-defined]
        self.module = module

    def connect(self, text: str, *, autocommit: bool, timeout: int) -> FakeConnection:
        assert autocommit
        assert timeout == 10
        if self.refusal:
            raise self.refusal
        self.connections.append(FakeConnection(text, self.respond))
        return self.connections[-1]

    def respond(self, sql: str, parameters: tuple[Any, ...]) -> Answer | None:
        for piece, answer in self.answers.items():
            if piece in sql:
                return answer
        return None

    @property
    def sent(self) -> list[str]:
        return [sql for connection in self.connections for sql in connection.sent]


def one(*values: Any) -> Answer:
    return [Rows(columns=[f"c{number}" for number in range(len(values))], rows=[values])]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    made = FakeDriver()
    made.answers = {
        "BabelfishVersion": one(None, "Microsoft SQL Server 2022"),
        "ProductVersion": one("16.0.4135.4", 3, "Developer Edition (64-bit)", "CU14"),
        "SELECT @@SPID": one(55),
        "transaction_isolation_level": one(2, False, 0),
        "HAS_PERMS_BY_NAME": one(1),
        "system_health": one(1),
        "SYSUTCDATETIME": one(__import__("datetime").datetime(2026, 1, 1)),
        "@@TRANCOUNT, XACT_STATE": one(0, 0),
    }
    monkeypatch.setitem(sys.modules, "pyodbc", made.module)
    monkeypatch.delenv(driver.DRIVER_VARIABLE, raising=False)
    return made


def opened(level: str = "read committed", priority: str = "normal") -> session.SQLServerSession:
    return SQLServer().open(URL, SessionOptions("psh:k3x9/case/a", level, priority))


# -- the way there


def test_url_is_taken_apart() -> None:
    address = driver.parse("sqlserver://us%40er:p%3Aw@h/db%20x?encrypt=no")
    assert (address.host, address.port, address.database) == ("h", 1433, "db x")
    assert (address.user, address.password, address.options) == ("us@er", "p:w", (("Encrypt", "no"),))
    assert "p:w" not in repr(address)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://h/db", "begins with mssql://"),
        ("mssql://h:port/db", "not a SQL Server URL"),
        ("mssql://h/db?encript=yes", "did you mean 'encrypt'"),
        ("mssql://h/db?DRIVER=/tmp/evil.so", "unknown option 'DRIVER'"),
        ("mssql://h;UID=x/db", "no host name"),
    ],
)
def test_wrong_urls_are_refused(url: str, said: str) -> None:
    with pytest.raises(ServerError, match=said):
        driver.parse(url)


def test_values_cannot_become_keywords() -> None:
    address = driver.Address("h", 1433, "d;UID=sa", "u", "x};Encrypt=no;PWD={y", (("Encrypt", "yes"),))
    text = driver.connection_string(address, "D 18", "psh:k3x9/case one/a")
    assert text == (
        "DRIVER={D 18};SERVER=h,1433;DATABASE={d;UID=sa};UID=u;PWD={x}};Encrypt=no;PWD={y};"
        "APP={psh:k3x9/case one/a};ConnectRetryCount=0;Encrypt=yes"
    )


def test_database_url_keeps_the_rest() -> None:
    assert SQLServer().database_url(URL, "psh_k3x9_2") == URL.replace("psh_k3x9_1", "psh_k3x9_2")
    assert driver.parse(SQLServer().database_url("mssql://h", "a/b?c")).database == "a/b?c"


def test_a_session_says_who_it_is_and_pools_nothing(fake: FakeDriver) -> None:
    opened()
    text = fake.connections[0].text
    assert "SERVER=db.example,1444;DATABASE=psh_k3x9_1;UID=sa;PWD=s3cret;APP=" in text
    assert "APP={psh:k3x9/case/a}" in text or "APP=psh:k3x9/case/a" in text
    assert fake.module.pooling is False


def test_driver_from_the_environment_comes_first(fake: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    assert driver.find_driver() == "ODBC Driver 18 for SQL Server"
    fake.known = ["ODBC Driver 17 for SQL Server", "PostgreSQL"]
    assert driver.find_driver() == "ODBC Driver 17 for SQL Server"
    monkeypatch.setenv(driver.DRIVER_VARIABLE, "/opt/x.so")
    assert driver.find_driver() == "/opt/x.so"


def test_no_driver_says_what_to_install(fake: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.known = []
    monkeypatch.setattr(driver, "_packaged_driver", lambda: None)
    with pytest.raises(DriverMissing, match=r"apt install unixodbc.*pip install mssql-python-odbc"):
        opened()


def test_no_pyodbc_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyodbc", None)
    with pytest.raises(DriverMissing, match="pip install pyodbc"):
        opened()


def test_packaged_driver_is_found_without_importing_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for family in ("rhel", "debian_ubuntu"):
        for machine in ("x86_64", "arm64"):
            folder = tmp_path / "mssql_python_odbc" / "libs" / "linux" / family / machine / "lib"
            folder.mkdir(parents=True)
            (folder / "libmsodbcsql-18.6.so.2.1").touch()
    (tmp_path / "mssql_python_odbc" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(driver.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(driver, "_family", lambda: "debian_ubuntu")
    found = driver._packaged_driver()
    assert found is not None
    assert found.parts[-4:] == ("debian_ubuntu", "arm64", "lib", "libmsodbcsql-18.6.so.2.1")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (odbc_error("28000", 18456, "Login failed for user 'sa'."), LoginRefused, "refuses the login of 'sa'"),
        (odbc_error("42000", 4060, 'Cannot open database "x".'), LoginRefused, "Cannot open database"),
        (
            odbc_error("HYT00", 0, "Login timeout expired", prefix=DRIVER_PREFIX),
            ServerError,
            r"cannot be reached: Login timeout expired \(no route\)",
        ),
        (odbc_error("42000", 911, "No such database."), LoginRefused, "No such database"),
        (
            odbc_error("08001", -1, "SSL Provider: certificate verify failed", prefix=DRIVER_PREFIX),
            ServerError,
            "TrustServerCertificate=yes",
        ),
        (
            odbc_error("01000", 0, "Can't open lib 'x.so' : file not found", prefix="[unixODBC][Driver Manager]"),
            DriverMissing,
            "cannot be loaded",
        ),
        (odbc_error("08001", 0, "odd: PWD=s3cret", prefix=DRIVER_PREFIX), ServerError, "PWD=\\*\\*\\*"),
    ],
)
def test_login_errors_are_one_line_without_the_password(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception], said: str
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("no route")

    monkeypatch.setattr(driver.socket, "create_connection", unreachable)
    fake.refusal = error
    with pytest.raises(kind, match=said) as caught:
        opened()
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert type(caught.value) is kind


# -- what errors mean


@pytest.mark.parametrize(
    ("state", "number", "kind"),
    [
        ("40001", 1205, ErrorKind.deadlock),
        ("42000", 3960, ErrorKind.serialization),
        ("42000", 3961, ErrorKind.serialization),
        ("HYT00", 1222, ErrorKind.lock_timeout),
        ("23000", 2627, ErrorKind.constraint),
        ("23000", 2601, ErrorKind.constraint),
        ("23000", 547, ErrorKind.constraint),
        ("23000", 515, ErrorKind.constraint),
        ("42000", 3930, ErrorKind.in_failed_transaction),
        ("42000", 3998, ErrorKind.in_failed_transaction),
        ("HY008", 0, ErrorKind.cancelled),
        ("HYT00", 0, ErrorKind.cancelled),
        ("08S01", 10054, ErrorKind.connection),
        ("08S01", 0, ErrorKind.connection),
        ("42S02", 208, ErrorKind.other),
        ("42000", 33557097, ErrorKind.other),
    ],
)
def test_error_numbers(state: str, number: int, kind: ErrorKind) -> None:
    record = faults.error_record(odbc_error(state, number, "It (really) happened."))
    assert (record.kind, record.code, record.message) == (kind, str(number or state), "It (really) happened.")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("could not serialize access due to concurrent update", ErrorKind.serialization),
        ("canceling statement due to lock timeout", ErrorKind.lock_timeout),
        ("canceling statement due to user request", ErrorKind.cancelled),
        ('relation "x" does not exist', ErrorKind.other),
    ],
)
def test_babelfish_has_one_number_for_many_errors(text: str, kind: ErrorKind) -> None:
    record = faults.error_record(odbc_error("42000", 33557097, text))
    assert (record.kind, record.code, record.message) == (kind, "33557097", text)


def test_further_records_become_the_detail() -> None:
    error = OdbcError(
        "01000",
        f"[01000] {PREFIX}The statement has been terminated. (3621) (SQLExecDirectW); "
        f"[01000] {PREFIX}Duplicate; key. (2627)",
    )
    record = faults.error_record(error)
    assert (record.code, record.message, record.detail) == (
        "2627",
        "Duplicate; key.",
        "The statement has been terminated.",
    )


def test_an_error_of_another_form_is_kept_as_it_is() -> None:
    record = faults.error_record(OdbcError("The cursor's connection has been closed."))
    assert (record.kind, record.code, record.message) == (
        ErrorKind.other,
        "HY000",
        "The cursor's connection has been closed.",
    )


# -- what a text gives away


def test_strings_comments_and_names_are_no_words() -> None:
    assert bare("select 'it''s commit' -- rollback\n, [save] /* exec /* kill */ use */ x").split() == [
        "SELECT",
        ",",
        "X",
    ]


@pytest.mark.parametrize(
    ("sql", "asks", "keeps"),
    [
        ("SELECT * FROM t", False, True),
        ("SELECT 'COMMIT'", False, True),
        ("WITH c AS (SELECT 1 AS x) SELECT x FROM c", False, True),
        ("SET LOCK_TIMEOUT 100", False, True),
        ("SELECT * INTO u FROM t", False, False),
        ("UPDATE t SET x = 1", False, False),
        ("WITH c AS (SELECT 1 AS x) DELETE FROM t", False, False),
        ("BEGIN TRAN", True, False),
        ("begin distributed transaction", True, False),
        ("BEGIN SELECT 1 END", False, False),
        ("COMMIT", True, False),
        ("IF @@TRANCOUNT > 0 ROLLBACK", True, False),
        ("SAVE TRAN s", True, False),
        ("EXEC p", True, False),
        ("sp_who", True, False),
        ("SET IMPLICIT_TRANSACTIONS ON", True, False),
        ("USE master", False, False),
        ("FETCH NEXT FROM c", False, False),
        ("SELECT pg_advisory_unlock(1)", False, False),
        ("", True, False),
    ],
)
def test_reading_a_batch(sql: str, asks: bool, keeps: bool) -> None:
    assert (read(sql).asks, read(sql).keeps_locks) == (asks, keeps)


# -- sessions


@pytest.mark.parametrize(
    ("asked", "answer", "observed", "notes"),
    [
        ("read committed", (2, False, 0), "read committed", 0),
        ("read committed", (2, True, 0), "read committed snapshot", 1),
        ("read committed snapshot", (2, True, 0), "read committed snapshot", 0),
        ("snapshot", (5, False, 1), "snapshot", 0),
        ("snapshot", (5, False, 0), "snapshot", 1),
        ("serializable", (4, True, 0), "serializable", 0),
    ],
)
def test_the_level_is_read_back(
    fake: FakeDriver, asked: str, answer: tuple[Any, ...], observed: str, notes: int
) -> None:
    fake.answers["transaction_isolation_level"] = one(*answer)
    made = opened(asked)
    assert (made.observed_level, len(made.notes), made.pid) == (observed, notes, "55")


def test_the_level_is_read_otherwise_where_the_view_is_hidden(fake: FakeDriver) -> None:
    hidden = odbc_error("42000", 300, "VIEW SERVER STATE permission was denied.")
    fake.answers["transaction_isolation_level"] = [hidden]
    fake.answers["DBCC USEROPTIONS"] = [
        Rows(["Set Option", "Value"], [("textsize", "1"), ("isolation level", "repeatable read")])
    ]
    made = opened("repeatable read")
    assert (made.observed_level, made.notes) == ("repeatable read", [])
    fake.answers["DBCC USEROPTIONS"] = [hidden]
    made = opened("repeatable read")
    assert made.observed_level == "repeatable read"
    assert "could not be read back" in made.notes[0]


def test_level_and_priority_are_set(fake: FakeDriver) -> None:
    opened("read committed snapshot", "low")
    assert "SET TRANSACTION ISOLATION LEVEL READ COMMITTED" in fake.sent
    assert "SET DEADLOCK_PRIORITY LOW" in fake.sent


def test_every_result_is_kept(fake: FakeDriver) -> None:
    made = opened()
    fake.answers = {
        "SELECT budget": [
            Rows(messages=[PREFIX + "Hello"]),
            Rows(["budget", "x"], [(Decimal("100.00"), b"\x01"), (None, True)]),
            Rows(count=3),
        ]
    }
    outcome = made.run(Statement("SELECT budget", (1,)))
    assert outcome.error is None
    assert [notice.text for notice in outcome.notices] == ["Hello"]
    assert [(result.rows, result.status, result.affected) for result in outcome.results] == [
        ([[100, "01"], [None, True]], "rows: 2", None),
        ([], "rows: 3", 3),
    ]
    assert fake.connections[0].bound[-1] == (1,)
    assert outcome.ended is TransactionEnd.committed


def test_rows_of_a_write_count_as_affected(fake: FakeDriver) -> None:
    made = opened()
    fake.answers["OUTPUT"] = [Rows(["id"], [(1,), (2,)])]
    assert made.run(Statement("INSERT t OUTPUT inserted.id VALUES (1), (2)")).results[0].affected == 2


def test_an_error_keeps_the_results_before_it(fake: FakeDriver) -> None:
    made = opened()
    fake.answers["-- a"] = [Rows(["x"], [(1,)]), DUPLICATE, Rows(count=1)]
    outcome = made.run(Statement("SELECT 1 -- a"))
    assert outcome.error is not None
    assert (outcome.error.code, len(outcome.results)) == ("2627", 1)
    fake.answers["-- b"] = [Rows(["x"], [(1,)], error=DEADLOCK), Rows(count=1)]
    outcome = made.run(Statement("SELECT x -- b"))
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.results[0].rows) == (ErrorKind.deadlock, [[1]])
    fake.answers["-- c"] = [DUPLICATE, Rows(count=7)]
    outcome = made.run(Statement("INSERT x -- c"))
    assert [result.affected for result in outcome.results] == [7]


def test_a_parameter_that_cannot_be_bound_is_an_error_of_the_step(fake: FakeDriver) -> None:
    made = opened()
    fake.answers["SELECT ?"] = [TypeError("Invalid parameter type")]
    outcome = made.run(Statement("SELECT ?", (object(),)))
    assert outcome.error is not None
    assert outcome.error.message == "Invalid parameter type"


def test_verbs_are_known_without_asking(fake: FakeDriver) -> None:
    made = opened()
    fake.connections[0].sent.clear()
    steps = [made.run(Statement(verb)) for verb in (Verb.begin, Verb.commit, Verb.begin, Verb.rollback, Verb.commit)]
    assert [(step.in_transaction, step.ended) for step in steps] == [
        (True, None),
        (False, TransactionEnd.committed),
        (True, None),
        (False, TransactionEnd.aborted),
        (False, None),
    ]
    assert [step.may_release for step in steps] == [False, True, False, True, True]
    assert not [sql for sql in fake.connections[0].sent if "XACT_STATE" in sql]


def test_inner_transactions_only_count(fake: FakeDriver) -> None:
    made = opened()
    made.run(Statement(Verb.begin))
    made.run(Statement(Verb.begin))
    inner, outer = made.run(Statement(Verb.commit)), made.run(Statement(Verb.commit))
    assert (inner.in_transaction, inner.ended) == (True, None)
    assert (outer.in_transaction, outer.ended) == (False, TransactionEnd.committed)


def test_after_a_deadlock_nothing_is_open(fake: FakeDriver) -> None:
    made = opened()
    made.run(Statement(Verb.begin))
    fake.answers["UPDATE"] = [DEADLOCK]
    outcome = made.run(Statement("UPDATE t SET x = 1"))
    assert (outcome.in_transaction, outcome.ended, outcome.may_release) == (False, TransactionEnd.aborted, True)


@pytest.mark.parametrize(("count", "inside"), [((1, 1), True), ((0, 0), False)])
def test_after_another_error_the_server_is_asked(fake: FakeDriver, count: tuple[int, int], inside: bool) -> None:
    made = opened()
    made.run(Statement(Verb.begin))
    fake.answers = {"INSERT": [DUPLICATE], "XACT_STATE": one(*count)}
    outcome = made.run(Statement("INSERT t VALUES (1)"))
    assert outcome.in_transaction is inside
    assert outcome.ended is (None if inside else TransactionEnd.aborted)


@pytest.mark.parametrize(
    ("sql", "before", "after", "ended"),
    [
        ("BEGIN TRAN; UPDATE t SET x = 1", 0, 1, None),
        ("UPDATE t SET x = 1; COMMIT", 1, 0, TransactionEnd.committed),
        ("ROLLBACK", 1, 0, TransactionEnd.aborted),
        ("ROLLBACK TRAN s", 1, 1, None),
        ("COMMIT; BEGIN TRAN", 1, 1, TransactionEnd.committed),
        ("BEGIN TRAN; UPDATE t SET x = 1; COMMIT", 0, 0, TransactionEnd.committed),
        ("BEGIN TRAN; COMMIT", 1, 1, None),
        ("EXEC p", 1, 1, None),
    ],
)
def test_raw_text_that_touches_the_transaction(
    fake: FakeDriver, sql: str, before: int, after: int, ended: TransactionEnd | None
) -> None:
    made = opened()
    for _ in range(before):
        made.run(Statement(Verb.begin))
    fake.answers = {"XACT_STATE": one(after, int(after > 0))}
    outcome = made.run(Statement(sql))
    assert (outcome.in_transaction, outcome.ended) == (after > 0, ended)


def test_implicit_transactions_are_asked_about_ever_after(fake: FakeDriver) -> None:
    made = opened()
    fake.answers = {"XACT_STATE": one(1, 1)}
    made.run(Statement("SET IMPLICIT_TRANSACTIONS ON"))
    assert made.run(Statement("SELECT * FROM t")).in_transaction


def test_a_lost_connection_ends_the_transaction(fake: FakeDriver) -> None:
    made = opened()
    made.run(Statement(Verb.begin))
    fake.answers = {"SELECT": [odbc_error("08S01", 10054, "TCP Provider: Error code 0x2746")]}
    outcome = made.run(Statement("SELECT 1"))
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.ended) == (ErrorKind.connection, TransactionEnd.aborted)


def test_documents_are_refused(fake: FakeDriver) -> None:
    assert opened().run(Statement({"find": "t"})).error is not None


def test_cancel_only_what_runs(fake: FakeDriver) -> None:
    made = opened()
    made.cancel()
    assert made._cursor.cancelled == 0
    made._running = True
    made.cancel()
    assert made._cursor.cancelled == 1
    assert len(fake.connections) == 1
    made.cancel()  # the second time for the same step: from outside
    assert fake.connections[1].sent == ["KILL 55"]
    assert fake.connections[1].closed


def test_close_never_closes_under_a_running_statement(fake: FakeDriver) -> None:
    made = opened()
    made._running = True
    made.close()
    assert not fake.connections[0].closed
    assert fake.connections[1].sent == ["KILL 55"]
    made._running = False
    made.close()
    assert fake.connections[0].closed
    assert fake.connections[0].sent[-1] == "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"


# -- observer


def test_waits_are_gathered_by_waiter(fake: FakeDriver) -> None:
    resource = "keylock hobtid=72057594043039744 dbid=7 id=lock1f mode=X associatedObjectId=72057594043039744"
    fake.answers["sys.dm_os_waiting_tasks AS w"] = [
        Rows(
            list("abcde"),
            [
                (55, 57, "LCK_M_S", resource, "S"),
                (55, 58, "LCK_M_S", resource, "S"),
                (60, 55, "LCK_M_X", "ridlock", "X"),
            ],
        )
    ]
    waits = SQLServer().observe(URL, "k3x9").waits(["55", "57"], ["55", "57"])
    assert [(w.waiter, w.holders, w.asked, w.held) for w in waits] == [("55", ("57", "58"), "S", "X")]
    assert waits[0].resource == f"LCK_M_S {resource}"


def test_without_rights_nobody_is_called_waiting(fake: FakeDriver) -> None:
    fake.answers["sys.dm_os_waiting_tasks"] = [odbc_error("42000", 300, "VIEW SERVER STATE permission was denied")]
    watching = SQLServer().observe(URL, "k3x9")
    assert watching.waits(["55"], ["55"]) == []
    assert not watching._facts.capabilities.waits
    assert "GRANT VIEW SERVER STATE" in watching._facts.capabilities.notes[0]


def test_an_observer_without_an_answer_is_an_error(fake: FakeDriver) -> None:
    watching = SQLServer().observe(URL, "k3x9")
    fake.answers = {"AS w": [odbc_error("08S01", 0, "Communication link failure")]}
    with pytest.raises(EngineError, match="no longer answers the observer: Communication link failure"):
        watching.waits(["55"], ["55"])


def test_locks_have_names(fake: FakeDriver) -> None:
    fake.answers["sys.dm_tran_locks AS l\n"] = [
        Rows(
            list("abcdefgh"),
            [
                (55, "KEY", "", "psh_k3x9_1", 7205, "(8194443284a0)   ", "X", "GRANT"),
                (55, "OBJECT", "", "psh_k3x9_1", 99, "", "IX", "GRANT"),
                (57, "OBJECT", "COMPILE", None, None, None, None, "WAIT"),
            ],
        )
    ]
    fake.answers["[psh_k3x9_1].sys.objects"] = [
        Rows(list("abcde"), [(99, 7205, "dbo", "campaign", "pk"), (98, None, "dbo", "view", None)])
    ]
    rows = SQLServer().observe(URL, "k3x9").lock_table(["55", "57"])
    assert [row["object"] for row in rows] == ["dbo.campaign (pk)", "dbo.campaign", ""]
    assert rows[0]["description"] == "(8194443284a0)"
    assert rows[2]["type"] == "OBJECT COMPILE"
    assert all(isinstance(value, str) for row in rows for value in row.values())
    assert ("55,57",) in fake.connections[0].bound


# -- deadlock reports

EVENT = """<event name="xml_deadlock_report" package="sqlserver" timestamp="{at}"><data name="xml_report"><value>
<deadlock><victim-list><victimProcess id="p1"/></victim-list><process-list>
<process id="p1" spid="55"/><process id="p2" spid="57"/></process-list></deadlock></value></data></event>"""


def test_reports_of_these_sessions_since_the_observer_was_opened(fake: FakeDriver) -> None:
    watching = SQLServer().observe(URL, "k3x9")
    fake.answers["fn_xe_file_target_read_file"] = [
        Rows(["x"], [(EVENT.format(at=at),) for at in ("2026-01-01T00:00:01.5Z", "2025-12-31T23:59:59Z")] + [("<x",)])
    ]
    (report,) = watching.deadlock_reports(["57", "58"])
    assert report.source == "Extended Events"
    assert report.text.startswith("<deadlock><victim-list>")
    assert watching.deadlock_reports(["58"]) == []
    assert ("psh_k3x9_deadlocks*.xel",) in fake.connections[0].bound


def test_reports_are_waited_for_as_long_as_the_server_counts_more(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answers["Number of Deadlocks"] = one(4)
    watching = SQLServer().observe(URL, "k3x9")
    assert watching.deadlock_reports(["55"]) == []  # nothing is due: asked once
    fake.answers["Number of Deadlocks"] = one(5)

    def written(seconds: float) -> None:
        fake.answers["fn_xe_file_target_read_file"] = [Rows(["x"], [(EVENT.format(at="2026-01-01T00:00:01Z"),)])]

    monkeypatch.setattr(deadlocks.time, "sleep", written)
    assert len(watching.deadlock_reports(["55"])) == 1


def test_the_event_session_is_shared_and_dropped_by_the_last(fake: FakeDriver) -> None:
    fake.answers["CREATE EVENT SESSION"] = [odbc_error("42000", 25631, "The event session already exists")]
    fake.answers["ALTER EVENT SESSION"] = [odbc_error("42000", 25705, "The event session has already been started")]
    fake.answers["SELECT COUNT(*) FROM sys.dm_exec_sessions"] = one(1)
    watching = SQLServer().observe(URL, "k3x9")
    assert watching._reports.source == "Extended Events"
    watching.close()
    assert "DROP EVENT SESSION [psh_k3x9_deadlocks] ON SERVER" not in fake.sent
    fake.answers["SELECT COUNT(*) FROM sys.dm_exec_sessions"] = one(0)
    SQLServer().observe(URL, "k3x9").close()
    assert "DROP EVENT SESSION [psh_k3x9_deadlocks] ON SERVER" in fake.sent


def test_a_running_event_session_is_joined(fake: FakeDriver) -> None:
    fake.answers["dm_xe_sessions WHERE name = ?"] = one(1)
    assert SQLServer().observe(URL, "k3x9")._reports.source == "Extended Events"
    assert not [sql for sql in fake.sent if "CREATE EVENT SESSION" in sql]


def test_without_the_right_system_health_must_do(fake: FakeDriver) -> None:
    fake.answers["HAS_PERMS_BY_NAME"] = one(0)
    watching = SQLServer().observe(URL, "k3x9")
    assert watching._reports.source == "system_health"
    watching.close()
    assert not [sql for sql in fake.sent if "EVENT SESSION [" in sql]


def test_no_run_id_no_file_name(fake: FakeDriver) -> None:
    with pytest.raises(EngineError, match="no run id"):
        SQLServer().observe(URL, "x'; DROP")


# -- admin


def test_what_the_server_is(fake: FakeDriver) -> None:
    found = SQLServer().admin(URL, "k3x9").capabilities
    assert (found.product, found.version) == ("SQL Server 2022", "16.0.4135.4 CU14 Developer Edition (64-bit)")
    assert (found.waits, found.locks, found.reports, found.steers_victim) == (True, True, True, True)
    assert found.levels == SQLServer.levels
    fake.answers["ProductVersion"] = one("12.0.2000.8", 5, "SQL Azure", None)
    cloud = SQLServer().admin(URL, "k3x9").capabilities
    assert (cloud.product, cloud.reports) == ("Azure SQL Database", False)


@pytest.mark.parametrize(
    ("levels", "options"),
    [
        (["read committed"], ["READ_COMMITTED_SNAPSHOT OFF WITH ROLLBACK IMMEDIATE", "ALLOW_SNAPSHOT_ISOLATION OFF"]),
        (
            ["read committed snapshot", "snapshot"],
            ["READ_COMMITTED_SNAPSHOT ON WITH ROLLBACK IMMEDIATE", "ALLOW_SNAPSHOT_ISOLATION ON"],
        ),
        (["serializable"], ["READ_COMMITTED_SNAPSHOT OFF WITH ROLLBACK IMMEDIATE", "ALLOW_SNAPSHOT_ISOLATION OFF"]),
    ],
)
def test_levels_become_database_options(fake: FakeDriver, levels: list[str], options: list[str]) -> None:
    SQLServer().admin(URL, "k3x9").create("psh_k3x9_1", levels)
    start = fake.sent.index("CREATE DATABASE [psh_k3x9_1]")
    assert fake.sent[start + 1 :] == [f"ALTER DATABASE [psh_k3x9_1] SET {option}" for option in options]


def test_both_kinds_of_read_committed_exclude_each_other(fake: FakeDriver) -> None:
    with pytest.raises(EngineError, match="exclude each other"):
        SQLServer().admin(URL, "k3x9").create("psh_k3x9_1", ["read committed", "read committed snapshot"])
    assert not [sql for sql in fake.sent if sql.startswith("CREATE DATABASE")]


def test_an_option_that_cannot_be_set_ends_the_creation(fake: FakeDriver) -> None:
    fake.answers["SET READ_COMMITTED_SNAPSHOT"] = [odbc_error("42000", 5069, "ALTER DATABASE statement failed.")]
    fake.answers["is_read_committed_snapshot_on, snapshot"] = one(False, 0)
    made = SQLServer().admin(URL, "k3x9")
    made.create("psh_k3x9_1", ["read committed"])  # as wanted already
    fake.answers["SELECT 1 FROM sys.databases"] = one(1)
    with pytest.raises(EngineError, match="cannot set READ_COMMITTED_SNAPSHOT ON"):
        made.create("psh_k3x9_1", ["read committed snapshot"])
    assert fake.sent[-1] == "DROP DATABASE IF EXISTS [psh_k3x9_1]"


def test_only_own_databases_are_dropped(fake: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_DROP_SECONDS", 0.2)
    made = SQLServer().admin(URL, "k3x9")
    with pytest.raises(EngineError, match="not made by the harness"):
        made.drop("master")
    made.drop("psh_gone_1")
    assert not [sql for sql in fake.sent if sql.startswith("DROP DATABASE")]
    fake.answers["SELECT 1 FROM sys.databases"] = one(1)
    made.drop("psh_k3x9_]1")
    assert fake.sent[-2:] == [
        "ALTER DATABASE [psh_k3x9_]]1] SET SINGLE_USER WITH ROLLBACK IMMEDIATE",
        "DROP DATABASE IF EXISTS [psh_k3x9_]]1]",
    ]
    fake.answers["DROP DATABASE"] = [odbc_error("42000", 3702, "it is currently in use.")]
    fake.answers["database_id = DB_ID"] = one(77)
    with pytest.raises(EngineError, match="cannot drop database psh_k3x9_1: it is currently in use"):
        made.drop("psh_k3x9_1")
    assert "KILL 77" in fake.sent


def test_living_runs(fake: FakeDriver) -> None:
    fake.answers["DISTINCT program_name"] = [Rows(["p"], [("psh:k3x9/admin",), ("psh:aa1/case/s",)])]
    fake.answers["sys.databases WHERE LEFT"] = [Rows(["n"], [("psh_zz_1",), ("PSH_x",)])]
    made = SQLServer().admin(URL, "k3x9")
    assert made.living_runs() == {"k3x9", "aa1"}
    assert made.owned() == ["psh_zz_1"]
    # Who cannot see the others' sessions must take every run for living.
    fake.answers["sys.dm_os_waiting_tasks"] = [odbc_error("42000", 300, "denied")]
    assert SQLServer().admin(URL, "k3x9").living_runs() == {"k3x9", "aa1", "zz"}


def test_leftover_event_sessions_are_dropped(fake: FakeDriver) -> None:
    fake.answers["DISTINCT program_name"] = [Rows(["p"], [("psh:aa1/case/s",)])]
    fake.answers["sys.server_event_sessions WHERE"] = [
        Rows(["n"], [("psh_dead_deadlocks",), ("psh_aa1_deadlocks",), ("psh_mine",), ("psh_k3x9_deadlocks",)])
    ]
    SQLServer().admin(URL, "k3x9")
    assert [sql for sql in fake.sent if sql.startswith("DROP")] == ["DROP EVENT SESSION [psh_dead_deadlocks] ON SERVER"]


# -- the SQL itself


@pytest.mark.parametrize(
    "sql",
    [
        observer.WAITS,
        observer.WAITS_WITHOUT_LOCKS,
        observer.LOCKS,
        observer.NAMES.replace("{database}", "[psh_k3x9_1]"),
        session._OBSERVED,
        session._OPEN_TRANSACTIONS,
        probe._PRODUCT,
        probe._WAITS,
        probe._LOCKS,
        probe._MAY_TRACE,
        probe._HEALTH,
        deadlocks._LISTED,
        deadlocks._RUNNING,
        deadlocks._USERS,
        deadlocks._READ,
        deadlocks._COUNT,
        deadlocks._NOW,
        admin._OPTIONS,
        admin._OWNED,
        admin._LIVING,
        babelfish.VERSION,
    ],
)
def test_questions_are_t_sql(sql: str) -> None:
    (statement,) = sqlglot.parse(sql, dialect="tsql")
    assert isinstance(statement, sqlglot.exp.Query)


def test_datetimeoffset_is_text() -> None:
    packed = struct.pack("<hHHHHHIhh", 2026, 1, 2, 3, 4, 5, 600, -5, -30)
    assert driver._datetimeoffset(packed) == "2026-01-02 03:04:05.0000006 -05:30"


def test_the_engine_is_found_by_name_and_quotes() -> None:
    found = engine("sqlserver")
    assert (found.name, found.levels[0], found.placeholder(2), found.quote("a]b")) == (
        "sqlserver",
        "read committed",
        "?",
        "[a]]b]",
    )
    assert quote("x") == "[x]"


# -- what a session touches


def test_locks_of_a_transaction_are_the_tables_it_touches(fake: FakeDriver) -> None:
    rows = [
        ("OBJECT", "IX", "campaign"),
        ("PAGE", "IX", "campaign"),
        ("KEY", "X", "campaign"),
        ("OBJECT", "IS", "Channel"),
        ("KEY", "RangeS-S", "Channel"),
        ("OBJECT", "Sch-S", "campaign"),
    ]
    fake.answers["l.request_session_id = ?"] = [Rows(["a", "b", "c"], rows)]
    observer = SQLServer().observe(URL, "k3x9")
    found = observer.touched("51", Statement("SELECT 1"))
    assert found == [Touch("campaign", writes=True), Touch("channel", writes=False)]
    assert (51,) in fake.connections[-1].bound


def test_a_lock_that_is_no_tables_is_unknown() -> None:
    rows = [("APPLICATION", "X", None), ("OBJECT", "Sch-M", "t")]
    assert touches(rows) == [
        Touch("X lock of APPLICATION", writes=True, unknown=True),
        Touch("Sch-M lock of OBJECT t", writes=True, unknown=True),
    ]


def test_the_question_for_what_was_touched_is_tsql() -> None:
    (statement,) = sqlglot.parse(TOUCHED, dialect="tsql")
    assert isinstance(statement, sqlglot.exp.Query)
    assert {table.name for table in statement.find_all(sqlglot.exp.Table)} == {"dm_tran_locks", "objects", "partitions"}
