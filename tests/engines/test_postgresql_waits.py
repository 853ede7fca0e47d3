"""The question who waits: what happens while the server answers it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from polling import eventually

from fixtures.databases import Database
from harness.engines import postgresql_server
from harness.engines.postgresql_server import _WAITS, PostgreSQLObserver, _server_wait

IS_BLOCKED = "pg_isolation_test_session_is_blocked(w.pid, $2::int[])"


def test_who_begins_to_wait_while_the_question_is_answered_has_its_lock(promptsales_db: Database) -> None:
    """``pg_locks`` is read once in a query: it must not be before the last of those who wait is found."""
    holders = [promptsales_db.connect(autocommit=False) for _ in range(2)]
    waiters = [promptsales_db.connect(autocommit=False) for _ in range(2)]
    look, gate = promptsales_db.connect(), promptsales_db.connect()
    observer = promptsales_db.connect(cursor_factory=psycopg.RawCursor)
    look.execute("CREATE TABLE t (n int PRIMARY KEY)")
    look.execute("INSERT INTO t VALUES (0), (1)")
    pids = sorted(waiter.info.backend_pid for waiter in waiters)
    waiters.sort(key=lambda waiter: waiter.info.backend_pid)
    run = [one.info.backend_pid for one in (*holders, *waiters)]

    def waits(pid: int) -> bool:
        return look.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() == (
            "Lock",
        )

    # The question stops before the second session, until we let it go on.
    assert IS_BLOCKED in _WAITS
    stops = f"CASE WHEN w.pid = {pids[1]} THEN pg_advisory_xact_lock_shared(7) IS NOT NULL ELSE true END"
    question = _WAITS.replace(IS_BLOCKED, f"CASE WHEN {stops} THEN {IS_BLOCKED} END")
    gate.execute("SELECT pg_advisory_lock(7)")
    with ThreadPoolExecutor() as pool:
        for number, holder in enumerate(holders):
            holder.execute("UPDATE t SET n = n WHERE n = %s", (number,))
        ends = [pool.submit(waiters[0].execute, "UPDATE t SET n = n WHERE n = 0")]
        eventually(lambda: waits(pids[0]), "the first one waits")
        answer = pool.submit(lambda: observer.execute(question, (pids, run)).fetchall())
        eventually(lambda: waits(observer.info.backend_pid), "the question stops")
        ends.append(pool.submit(waiters[1].execute, "UPDATE t SET n = n WHERE n = 1"))
        eventually(lambda: waits(pids[1]), "the second one waits")
        gate.execute("SELECT pg_advisory_unlock(7)")
        found = {int(wait.waiter): wait.resource for wait in map(_server_wait, answer.result())}
        for holder in holders:
            holder.rollback()
        for end in ends:
            end.result()
    assert found.keys() == set(pids)
    assert all(resource.startswith("transaction ") for resource in found.values()), found


def test_who_is_let_go_while_the_question_is_answered_does_not_wait(
    promptsales_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocked at its first half, by nobody at its second: an ending that is on its way must not lose its cause."""
    holder, waiter = (promptsales_db.connect(autocommit=False) for _ in range(2))
    look, gate = promptsales_db.connect(), promptsales_db.connect()
    connection = promptsales_db.connect(cursor_factory=psycopg.RawCursor)
    observer = PostgreSQLObserver(connection)
    look.execute("CREATE TABLE t (n int PRIMARY KEY)")
    look.execute("INSERT INTO t VALUES (0)")
    run = [str(one.info.backend_pid) for one in (holder, waiter)]

    def waits(pid: int) -> bool:
        asked = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
        return look.execute(asked, (pid,)).fetchone() == ("Lock",)

    stops = f"CASE WHEN {IS_BLOCKED} THEN pg_advisory_xact_lock_shared(7) IS NOT NULL END"
    monkeypatch.setattr(postgresql_server, "_WAITS", _WAITS.replace(IS_BLOCKED, stops))
    with ThreadPoolExecutor() as pool:
        holder.execute("UPDATE t SET n = n")
        end = pool.submit(waiter.execute, "UPDATE t SET n = n")
        eventually(lambda: waits(waiter.info.backend_pid), "it waits")
        assert [wait.holders for wait in observer.waits(run[1:], run)] == [(run[0],)]
        gate.execute("SELECT pg_advisory_lock(7)")
        answer = pool.submit(observer.waits, run[1:], run)
        eventually(lambda: waits(connection.info.backend_pid), "the question stops")
        holder.rollback()
        end.result()
        gate.execute("SELECT pg_advisory_unlock(7)")
        assert answer.result() == []
