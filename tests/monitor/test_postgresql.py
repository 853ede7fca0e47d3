"""PostgreSQL is watched, on a real server that nobody else uses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from polling import eventually

from harness.monitor.base import Lost, Raw, Refused, login_name
from harness.monitor.postgresql import SPECS, PostgreSQLSampler, PostgreSQLWatching
from harness.monitor.statements import Statements
from harness.monitor.turning import Row, Turning
from harness.servers.base import Target

from .conftest import Base, Link

SECRET = "hunter2"
WATCHING = PostgreSQLWatching()


class Look:
    """A sampler with a login of its own, and its rows."""

    def __init__(self, url: str, run: str) -> None:
        self.name = login_name(run, "a1")
        self.url = WATCHING.enrol(url, self.name, run)
        self.sampler: PostgreSQLSampler = WATCHING.open(self.url, run)
        self._turning = Turning(SPECS)
        self.row()

    def row(self) -> Row:
        return self._turning.row(time.time(), time.monotonic(), self.sampler.sample())


@pytest.fixture
def look(postgres: Target, run: str) -> Iterator[Look]:
    made = Look(postgres.url, run)
    yield made
    made.sampler.close()
    WATCHING.expel(postgres.url, made.name)


@pytest.fixture
def two(base: Base) -> Iterator[tuple[Link, Link]]:
    with base.connect("one") as one, base.connect("other") as other:
        yield one, other


def update(link: Link, row: int) -> None:
    link.execute("UPDATE t SET v = v + 1 WHERE id = %s", (row,))


def in_thread(link: Link, row: int, errors: list[psycopg.Error]) -> threading.Thread:
    def work() -> None:
        try:
            update(link, row)
        except psycopg.Error as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_sessions_are_told_apart(look: Look, base: Base) -> None:
    quiet = eventually(lambda: (row := look.row()).values["idle"] == 1 and row).values  # who made the table has left
    assert [quiet[name] for name in ("active", "waiting", "idle", "in_transaction", "observers")] == [0, 0, 1, 0, 0]
    with (
        base.connect("idle"),
        base.connect("open") as open_,
        base.connect("psh:x/observer"),
        base.connect("psh:x"),
        base.connect("psh:y/monitor"),
    ):
        open_.execute("BEGIN; SELECT 1")
        values = look.row().values
    assert [values[name] for name in ("active", "waiting", "idle", "in_transaction", "observers")] == [0, 0, 2, 1, 2]


def test_a_blocked_session_waits_for_a_lock(look: Look, two: tuple[Link, Link]) -> None:
    one, other = two
    one.execute("BEGIN")
    update(one, 1)
    thread = in_thread(other, 1, [])

    def waiting() -> Row | None:
        row = look.row()
        return row if row.values["waiting"] else None

    row = eventually(waiting, "nobody waits")
    assert row is not None
    assert row.values["waiting"] == row.values["active"] == 1
    assert row.waits == {"Lock:transactionid": 1}
    assert row.values["locks_waiting"] == 1
    assert row.values["locks_held"]
    one.execute("COMMIT")
    thread.join()
    assert look.row().values["locks_waiting"] == 0


def test_a_deadlock_is_counted_once(look: Look, two: tuple[Link, Link]) -> None:
    one, other = two
    errors: list[psycopg.Error] = []
    for link in two:
        link.execute("SET deadlock_timeout = '10ms'; BEGIN")
    update(one, 1)
    update(other, 2)
    threads = [in_thread(one, 2, errors), in_thread(other, 1, errors)]
    for thread in threads:
        thread.join()
    assert [error.sqlstate for error in errors] == ["40P01"]
    for link in two:
        link.execute("ROLLBACK; SELECT pg_stat_force_next_flush()")
    counted = [look.row().values["deadlocks"]]
    eventually(lambda: counted.append(look.row().values["deadlocks"]) or sum(map(float, filter(None, counted))) > 0)
    counted += [look.row().values["deadlocks"] for _ in range(3)]
    assert sum(map(float, filter(None, counted))) == 1


def test_transactions_are_counted_and_its_own_are_not(look: Look, two: tuple[Link, Link]) -> None:
    two[0].execute("SELECT pg_stat_force_next_flush()")  # its log-in is a transaction, too
    eventually(lambda: look.row().grown["transactions"] == 0)
    for _ in range(5):
        assert look.row().grown["transactions"] == 0
    for _ in range(50):
        update(two[0], 1)
    two[0].execute("BEGIN; SELECT 1; ROLLBACK")
    two[0].execute("SELECT pg_stat_force_next_flush()")
    # The session writes its numbers down a moment after it has answered.
    rows: list[Row] = []
    eventually(lambda: rows.append(look.row()) or sum(row.grown["rows_updated"] for row in rows) == 50)
    grown = sum(row.grown["transactions"] for row in rows)
    assert grown == 52
    assert sum(row.grown["rollbacks"] for row in rows) == 1


def test_a_database_that_is_dropped_takes_nothing_away(look: Look, postgres: Target, two: tuple[Link, Link]) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE short_lived")
        look.row()
        admin.execute("DROP DATABASE short_lived")
    row = look.row()
    assert not row.anew
    assert row.values["transactions"] is not None
    assert any("1 databases were dropped" in note for note in look.sampler.last_notes())


def test_counters_that_somebody_resets_are_a_gap(look: Look, base: Base) -> None:
    with base.connect() as link:
        for _ in range(5):
            update(link, 1)
        link.execute("SELECT pg_stat_force_next_flush()")
        eventually(lambda: look.row().values["transactions"])
        link.execute("SELECT pg_stat_reset()")
    row = look.row()
    assert row.anew
    assert row.values["transactions"] is None
    assert look.row().values["transactions"] is not None


def test_top_statements_have_no_values(look: Look, two: tuple[Link, Link]) -> None:
    statements = Statements()
    assert statements.look(look.sampler) == []
    one = two[0]
    for number in range(7):
        one.execute(f"UPDATE t SET v = {number} WHERE id = 1 AND '{SECRET}' <> ''")
    one.execute(f"CREATE ROLE someone PASSWORD '{SECRET}'")
    one.execute("DROP ROLE someone")
    top = {each.text: each for each in statements.look(look.sampler)}
    assert top["UPDATE t SET v = $1 WHERE id = $2 AND $3 <> $4"].calls == 7
    assert top["UPDATE t SET v = $1 WHERE id = $2 AND $3 <> $4"].rows == 7
    assert "CREATE ROLE …" in top
    assert SECRET not in str(top)
    assert not [text for text in top if "pg_stat" in text], "its own are no part of it"


def test_statements_of_before_are_left_out(look: Look, two: tuple[Link, Link]) -> None:
    update(two[0], 1)
    statements = Statements()
    statements.look(look.sampler)
    update(two[0], 1)
    (top,) = [each for each in statements.look(look.sampler) if each.text.startswith("UPDATE t")]
    assert top.calls == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM t",
        "INSERT INTO t VALUES (3, 30)",
        "SET default_transaction_read_only = off; DELETE FROM t",
        "CREATE TABLE mine (id int)",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT rolpassword FROM pg_authid",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "CREATE ROLE friend",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_its_login_may_look_and_nothing_else(look: Look, base: Base, statement: str) -> None:
    with (
        psycopg.connect(look.url, dbname=base.name, autocommit=True) as link,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)),
    ):
        link.execute(statement.encode())


def test_its_login_is_narrow(look: Look, postgres: Target) -> None:
    with psycopg.connect(look.url) as link:
        settings = [link.execute(f"SHOW {name}".encode()).fetchone() for name in ("statement_timeout", "jit")]
    assert settings == [("5s",), ("off",)]
    with psycopg.connect(postgres.url) as admin:
        role = admin.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit, "
            "ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid) "
            "FROM pg_roles r WHERE rolname = %s",
            (look.name,),
        ).fetchone()
    assert role == (False, False, False, False, False, 3, ["pg_read_all_stats"])


def roles(target: Target) -> set[str]:
    with psycopg.connect(target.url) as admin:
        return {name for (name,) in admin.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'psh%%monitor%%'")}


def test_the_password_is_in_nothing_that_is_kept(look: Look, postgres: Target) -> None:
    password = psycopg.conninfo.conninfo_to_dict(look.url)["password"]
    with psycopg.connect(postgres.url, dbname="postgres") as admin:
        (log,) = admin.execute("SELECT pg_read_file(pg_current_logfile())").fetchone() or ("",)
        statements = str(admin.execute("SELECT query FROM pg_stat_statements").fetchall())
    assert password not in log + statements


def test_a_dead_runs_login_is_swept_and_a_living_ones_is_not(postgres: Target, run: str) -> None:
    living, dead = login_name(f"{run}b", "1"), login_name(f"{run}c", "1")
    url = WATCHING.enrol(postgres.url, living, f"{run}b")
    with closing(WATCHING.open(url, f"{run}b")):
        WATCHING.enrol(postgres.url, dead, f"{run}c")  # nobody is in by it
        assert dead in roles(postgres)
        mine = login_name(run, "1")
        WATCHING.enrol(postgres.url, mine, run)
        assert living in roles(postgres)
        assert dead not in roles(postgres)
    for name in (living, mine):
        WATCHING.expel(postgres.url, name)
    assert not roles(postgres) & {living, mine}


def test_what_a_weak_login_does_not_see_is_said(look: Look, postgres: Target, base: Base) -> None:
    with psycopg.connect(postgres.url, dbname="postgres", autocommit=True) as admin:
        admin.execute("CREATE ROLE weak LOGIN PASSWORD 'x'; REVOKE SELECT ON pg_stat_database FROM PUBLIC")
        try:
            url = postgres.url.replace(postgres.url.split("//")[1].split("@")[0], "weak:x")
            with closing(WATCHING.open(url, "weak")) as sampler:
                raw: Raw = sampler.sample()
                notes = " ".join(sampler.notes)
        finally:
            admin.execute("GRANT SELECT ON pg_stat_database TO PUBLIC; DROP ROLE weak")
    assert "transactions" not in raw.totals
    assert raw.gauges["locks_held"] >= 0
    assert "no transactions and deadlocks: permission denied for view pg_stat_database" in notes
    assert "not a member of pg_read_all_stats" in notes


def test_a_server_that_is_not_there_is_lost_in_one_line() -> None:
    with pytest.raises(Lost) as lost:
        WATCHING.open(f"postgresql://ana:{SECRET}@127.0.0.1:1/x", "r")
    assert SECRET not in str(lost.value)
    assert "\n" not in str(lost.value)
    with pytest.raises(Refused) as refused:
        WATCHING.enrol(f"postgresql://ana:{SECRET}@127.0.0.1:1/x", "psh_r_monitor_1", "r")
    assert SECRET not in str(refused.value)


def test_it_stands_in_nobodys_way(look: Look, base: Base, postgres: Target) -> None:
    """A database that is being copied or dropped must not have its session in it."""
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE copied TEMPLATE {base.name}")
        look.row()
        admin.execute("DROP DATABASE copied")
