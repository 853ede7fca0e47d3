"""The bench on SQL Server against a fake of the driver, never of the server: what it sends, and in which order.

That it is T-SQL is said by sqlglot's dialect; that a SQL Server does with it what the documentation says, by no test here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from types import ModuleType
from typing import Any

import pytest
import sqlglot

from harness.engines import engine
from harness.engines.base import Statement
from harness.engines.plans_base import Change, Planning
from harness.engines.sqlserver import plans
from harness.errors import EngineError

SHOWPLAN = "Microsoft SQL Server 2005 XML Showplan"
Results = list[tuple[list[str], list[tuple[Any, ...]]]]


class OdbcError(Exception):
    pass


class Cursor:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._results: Results = []

    def execute(self, sql: str, *parameters: Any) -> None:
        self._server.sent.append((sql, parameters))
        self._results = list(self._server.respond(sql)) or [([], [])]

    def nextset(self) -> bool:
        self._results.pop(0)
        return bool(self._results)

    @property
    def description(self) -> list[tuple[str]] | None:
        return [(name,) for name in self._results[0][0]] or None

    @property
    def rowcount(self) -> int:
        return -1

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._results[0][1]

    def close(self) -> None:
        pass


class Server:
    """What is sent to it, and what it answers."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, tuple[Any, ...]]] = []
        self.answers: dict[str, Results | Exception] = {
            "SERVERPROPERTY": [(["v"], [("16.0.4100.1",)])],
            "sys.indexes": [(["i", "o", "s"], [("ix_place", "client", "dbo")])],
        }

    def respond(self, sql: str) -> Results:
        for part, answer in self.answers.items():
            if part in sql:
                if isinstance(answer, Exception):
                    raise answer
                return answer
        return []

    def cursor(self) -> Cursor:
        return Cursor(self)

    def close(self) -> None:
        self.sent.append(("(closed)", ()))

    @property
    def texts(self) -> list[str]:
        return [sql for sql, _ in self.sent if "sys.indexes" not in sql and "SERVERPROPERTY" not in sql]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    module = ModuleType("pyodbc")
    module.Error = OdbcError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyodbc", module)
    monkeypatch.setattr(plans, "connect", lambda url, name: made)
    return made


def bench() -> Any:
    kind = engine("sqlserver")
    assert isinstance(kind, Planning)
    return closing(kind.bench("mssql://h", "test", disposable=False))


QUERY = Statement("SELECT id FROM dbo.client WHERE latitude > ?", (5,))


def test_a_state_is_a_savepoint_that_is_rolled_back(server: Server) -> None:
    with bench() as made:
        assert (made.product, made.version, made.indexes()) == ("SQL Server", "16.0.4100.1", {"ix_place": "client"})
        made.prepare((), Change(("ix_place",)), Change())
        with made.state(0):
            made.run(QUERY)
    assert server.texts == [
        "SET LOCK_TIMEOUT 5000",
        "BEGIN TRANSACTION",
        "SAVE TRANSACTION psh_plan",
        "DROP INDEX [ix_place] ON [dbo].[client]",
        "SAVE TRANSACTION psh_run",
        "SELECT id FROM dbo.client WHERE latitude > ?",
        "ROLLBACK TRANSACTION psh_run",
        "ROLLBACK TRANSACTION psh_plan",
        "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION",
        "(closed)",
    ]
    assert dict(server.sent)[str(QUERY.body)] == (5,)


def test_the_plan_is_the_result_set_that_comes_after_the_rows(server: Server) -> None:
    server.answers["FROM dbo.client"] = [(["id"], [(1,), (2,)]), ([SHOWPLAN], [("<ShowPlanXML/>",)])]
    with bench() as made:
        made.prepare((), Change(("ix_place",)), Change())
        assert made.explain(QUERY) == "<ShowPlanXML/>"
        assert made.run(QUERY) == 2
    texts = server.texts
    on = texts.index("SET STATISTICS XML ON")
    assert texts[on : on + 3] == ["SET STATISTICS XML ON", str(QUERY.body), "SET STATISTICS XML OFF"]


def test_without_the_permission_no_plan_comes_and_that_is_said(server: Server) -> None:
    server.answers["FROM dbo.client"] = [(["id"], [(1,)])]
    with bench() as made, pytest.raises(EngineError, match="needs the permission SHOWPLAN"):
        made.explain(QUERY)


def test_it_is_switched_off_again_when_the_statement_fails(server: Server) -> None:
    server.answers["FROM dbo.client"] = OdbcError(
        "42S02", "[42S02] [Microsoft][SQL Server]Invalid object name (208) (x)"
    )
    with bench() as made, pytest.raises(EngineError, match=r"SQL Server says 208 .*Invalid object name"):
        made.explain(QUERY)
    assert "SET STATISTICS XML OFF" in server.texts


def test_a_new_index_is_dropped_in_the_other_state(server: Server) -> None:
    listed: Callable[[], Results] = lambda: [  # noqa: E731
        (["i", "o", "s"], [("ix_place", "client", "dbo"), *([("ix_new", "sale", "dbo")] if created() else [])])
    ]

    def created() -> bool:
        return any(sql.startswith("CREATE INDEX") for sql, _ in server.sent)

    class Listing(dict[str, Any]):
        def items(self) -> Any:
            return [*super().items(), ("sys.indexes", listed())]

    del server.answers["sys.indexes"]
    server.answers = Listing(server.answers)
    with bench() as made:
        made.prepare((), Change(), Change((), ("CREATE INDEX ix_new ON dbo.sale (sold_on)",)))
        with made.state(0):
            pass
        with made.state(1):
            pass
    assert server.texts.count("DROP INDEX [ix_new] ON [dbo].[sale]") == 1


@pytest.mark.parametrize("body", ["COMMIT", "SELECT 1; ROLLBACK TRANSACTION", "SET IMPLICIT_TRANSACTIONS OFF"])
def test_nothing_of_a_pair_ends_the_transaction(server: Server, body: str) -> None:
    with bench() as made:
        made.prepare((), Change((), (body,)), Change())
        with pytest.raises(EngineError, match="a pair does not begin or end transactions"), made.state(0):
            pass
        with pytest.raises(EngineError, match="a pair does not begin or end transactions"):
            made.run(Statement(body))
    assert body not in server.texts


def test_an_index_that_is_not_there(server: Server) -> None:
    with bench() as made:
        made.prepare((), Change(("ix_plaec",)), Change())
        with pytest.raises(EngineError, match="no index 'ix_plaec' here, did you mean 'ix_place'"), made.state(0):
            pass


def test_another_sessions_plan_comes_from_the_cache_and_says_which_kind(server: Server) -> None:
    kind = engine("sqlserver")
    assert isinstance(kind, Planning)
    with closing(kind.explainer("mssql://h", "test")) as explainer:
        server.answers["dm_exec_connections"] = [(["p", "a"], [("<ShowPlanXML/>", 1)])]
        told = explainer.plan_of("57", QUERY)
        assert (told.format, told.text) == ("xml", "<ShowPlanXML/>")
        assert "dm_exec_query_plan_stats" in told.way
        assert server.sent[-1][1] == (57,)
        server.answers["dm_exec_connections"] = [(["p", "a"], [("<ShowPlanXML/>", 0)])]
        assert "as compiled" in explainer.plan_of("57", QUERY).way
        server.answers["dm_exec_connections"] = [(["p", "a"], [])]
        assert explainer.plan_of("57", QUERY).note == "no plan: it is not in the plan cache (any more)"
        server.answers["dm_exec_connections"] = OdbcError(
            "42000", "[42000] [Microsoft][SQL Server]VIEW SERVER STATE (300) (x)"
        )
        assert "VIEW SERVER STATE" in explainer.plan_of("57", QUERY).note


@pytest.mark.parametrize("sql", [plans._INDEXES, plans._LAST_PLAN, plans._VERSION])
def test_what_is_asked_is_t_sql(sql: str) -> None:
    assert sqlglot.parse_one(sql, dialect="tsql")
