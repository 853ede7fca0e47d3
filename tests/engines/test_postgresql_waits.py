"""The question who waits: what happens while the server answers it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
from polling import eventually

from fixtures.databases import Database
from harness.engines.postgresql_server import _WAITS, _server_wait

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
