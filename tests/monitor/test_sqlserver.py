"""SQL Server is watched, as its manual says: a fake of the driver answers. No server was there."""

from __future__ import annotations

from typing import Any

import pytest
import sqlglot

from harness.engines.sqlserver.driver import Refused as Answer
from harness.errors import LoginRefused
from harness.monitor import sqlserver
from harness.monitor.base import Lost, Numbers, Raw, Refused
from harness.monitor.sqlserver import SQLServerWatching, count_sessions, take_counters
from harness.monitor.statements import Statements
from harness.monitor.turning import Turning

URL = "mssql://sa:hunter2@127.0.0.1:1433/promptads"
WATCHING = SQLServerWatching()

COUNTERS = [
    ("SQLServer:SQL Statistics", "Batch Requests/sec", "", 1000),
    ("SQLServer:Databases", "Transactions/sec", "_Total", 500),
    ("SQLServer:Databases", "Transactions/sec", "promptads", 400),
    ("SQLServer:Locks", "Number of Deadlocks/sec", "_Total", 3),
    ("SQLServer:Locks", "Number of Deadlocks/sec", "Key", 3),
    ("SQLServer:Buffer Manager", "Buffer cache hit ratio", "", 1980),
    ("SQLServer:Buffer Manager", "Buffer cache hit ratio base", "", 2000),
    ("SQLServer:Buffer Manager", "Page life expectancy", "", 300),
    ("SQLServer:Buffer Node", "Page life expectancy", "000", 299),
    ("SQLServer:Memory Manager", "Total Server Memory (KB)", "", 1000),
]


class Server:
    """Answers by what is asked for; remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.answers: dict[str, Any] = {
            "ProductVersion": [("16.0.4135.4", "16")],
            "dm_os_sys_info": [("2026-01-01T00:00:00",)],
            "dm_exec_sessions AS s": [("shop", "sleeping", 0, None, None)],
            "dm_tran_locks": [("GRANT", 7), ("WAIT", 2)],
            "dm_os_performance_counters": COUNTERS,
            "dm_os_wait_stats": [("LCK_M_X", 1000), ("WAITFOR", 99999), ("PREEMPTIVE_OS_X", 1), ("SLEEP_TASK", 1)],
            "database_query_store_options": [(2,)],
            "query_store_runtime_stats": [("1", 10, 20.0, 10)],
            "query_store_query_text": [("1", "SELECT name FROM client WHERE id = 7")],
            "dm_exec_query_stats AS s": [("AB", "SELECT 1")],
            "dm_exec_query_stats GROUP": [("AB", 1, 1.0, 1)],
        }

    def ask(self, connection: object, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        self.said.append(sql)
        for words, answer in self.answers.items():
            if words in sql:
                if isinstance(answer, Exception):
                    raise answer
                return list(answer)
        return []

    def connect(self, url: str, program: str) -> Server:
        assert url.endswith("/master"), "a session in a database is in the way of who wants to alter it"
        assert program.endswith("/monitor")
        return self

    def close(self) -> None:
        self.said.append("close")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(sqlserver, "ask", made.ask)
    monkeypatch.setattr(sqlserver, "connect", made.connect)
    return made


def test_a_sample(server: Server) -> None:
    raw = WATCHING.open(URL, "r").sample()
    assert raw.gauges["locks_held"] == 7
    assert raw.gauges["locks_waiting"] == 2
    assert raw.gauges["idle"] == 1
    assert raw.wait_totals == {"LCK_M_X": 1.0}, "waits that say nothing are left out"
    assert raw.epoch == "2026-01-01T00:00:00"


def test_it_never_waits_for_anybody(server: Server) -> None:
    WATCHING.open(URL, "r")
    assert "READ UNCOMMITTED" in server.said[0]
    assert "DEADLOCK_PRIORITY LOW" in server.said[0]


def test_counters_grow_whatever_their_names_say() -> None:
    turning, before, after = Turning(sqlserver.SPECS), Raw(), Raw()
    take_counters(before, COUNTERS)
    more = {"Batch Requests/sec": 100, "Transactions/sec": 50, "Number of Deadlocks/sec": 1}
    take_counters(after, [(*row[:3], row[3] + more.get(str(row[1]), 0)) for row in COUNTERS])
    turning.row(0, 0, before)
    values = turning.row(2, 2, after).values
    assert (values["batches"], values["transactions"], values["deadlocks"]) == (50, 25, 1)
    assert (values["cache_hit"], values["page_life"], values["memory"]) == (99, 300, 1.024)


def test_sessions_are_told_apart() -> None:
    rows = [
        ("shop", "running", 1, "running", 0),
        ("shop", "running", 1, "suspended", 53),
        ("shop", "sleeping", 1, None, None),
        ("shop", "sleeping", 0, None, None),
        ("psh:r/observer", "sleeping", 0, None, None),
        ("psh:r/monitor", "running", 0, "running", 0),
    ]
    assert count_sessions(rows) == {"active": 2, "waiting": 1, "idle": 2, "in_transaction": 1, "observers": 1}


def test_statements_come_from_query_store_without_values(server: Server) -> None:
    sampler, statements = WATCHING.open(URL, "r"), Statements()
    statements.look(sampler)
    server.answers["query_store_runtime_stats"] = [("1", 15, 50.5, 15)]
    (top,) = statements.look(sampler)
    assert "FROM [promptads].sys.query_store_runtime_stats" in " ".join(server.said)
    assert (top.text, top.calls, top.milliseconds, top.rows) == ("SELECT name FROM client WHERE id = ?", 5, 30.5, 5)


def test_without_query_store_they_come_from_the_plan_cache(server: Server) -> None:
    server.answers["database_query_store_options"] = [(0,)]
    sampler = WATCHING.open(URL, "r")
    assert sampler.statements() == {"AB": Numbers(1, 1.0, 1)}
    assert "Query Store is off" in sampler.notes[0]


def test_what_may_not_be_asked_is_said_once(server: Server) -> None:
    server.answers["dm_os_wait_stats"] = Answer("VIEW SERVER PERFORMANCE STATE permission was denied (300)", 300)
    sampler = WATCHING.open(URL, "r")
    assert sampler.sample().wait_totals == sampler.sample().wait_totals == {}
    (note,) = sampler.notes
    assert note.startswith("no waits: VIEW SERVER PERFORMANCE STATE permission was denied")


def test_a_lost_session_is_lost(server: Server) -> None:
    sampler = WATCHING.open(URL, "r")
    server.answers["dm_os_wait_stats"] = Answer("communication link failure (0)", 0)
    with pytest.raises(Lost):
        sampler.sample()


@pytest.mark.parametrize(("major", "right"), [("16", "VIEW SERVER PERFORMANCE STATE"), ("15", "VIEW SERVER STATE")])
def test_its_login_may_look_and_nothing_else(server: Server, major: str, right: str) -> None:
    server.answers["ProductVersion"] = [("x", major)]
    server.answers["server_principals"] = [("psh_dead_monitor_1",), ("psh_alive_monitor_1",), ("psh_other",)]
    server.answers["DISTINCT program_name"] = [("psh:alive/monitor",)]
    url = WATCHING.enrol(URL, "psh_r_monitor_a1", "r")
    assert f"GRANT {right} TO [psh_r_monitor_a1]" in server.said
    assert "GRANT CONNECT ANY DATABASE TO [psh_r_monitor_a1]" in server.said
    assert [said for said in server.said if said.startswith("DROP")] == ["DROP LOGIN [psh_dead_monitor_1]"]
    assert len([said for said in server.said if said.startswith(("GRANT", "ALTER"))]) == 2
    assert url.startswith("mssql://psh_r_monitor_a1:")
    WATCHING.expel(URL, "psh_r_monitor_a1")
    assert server.said[-2:] == ["DROP LOGIN [psh_r_monitor_a1]", "close"]


def test_a_refused_login_is_one_line_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, program: str) -> Any:
        raise LoginRefused("refuses the login of 'sa': hunter2")

    monkeypatch.setattr(sqlserver, "connect", refuse)
    for problem, do in ((Lost, WATCHING.open), (Refused, lambda url, run: WATCHING.enrol(url, "psh_r_monitor_1", run))):
        with pytest.raises(problem) as raised:
            do(URL, "r")
        assert "hunter2" not in str(raised.value)


QUESTIONS = ("SESSIONS", "LOCKS", "WAITS", "COUNTERS", "STORE_NUMBERS", "STORE_TEXTS", "STATS_NUMBERS", "STATS_TEXTS")


@pytest.mark.parametrize("name", QUESTIONS)
def test_its_questions_are_t_sql(name: str) -> None:
    assert sqlglot.parse_one(getattr(sqlserver, name), dialect="tsql")
