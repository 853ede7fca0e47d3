"""Free sessions on real servers: what they see, what becomes of lost connections, of a deadline, of Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import redis
from leftovers import Server, databases, own
from polling import eventually
from stopping import hears_ctrl_c

from harness.engines import engine
from harness.engines.base import Statement, Verb
from harness.errors import EngineError, ServerUnavailable, SetupFailed
from harness.evidence.checker.check import check
from harness.evidence.checker.model import MicroOp, Status, Workload
from harness.evidence.elle.read import read_history
from harness.runner.databases import Databases, Made
from harness.suite import Suite
from harness.workloads.clients.base import Dialogue, ask
from harness.workloads.clients.redis import RedisClient
from harness.workloads.clients.sql import SqlClient
from harness.workloads.generate import Program
from harness.workloads.model import TRANSACTIONS, Declared
from harness.workloads.run import Ran, run_workload

from .dropping import Dropping
from .playing import well_formed

LISTS = Declared(Workload.list_append, "lists", transactions=400)
KINDS = pytest.mark.parametrize("kind", list(Workload), ids=lambda kind: kind.value)


@pytest.fixture
def server(suite: Suite) -> Iterator[Server]:
    with psycopg.connect(suite.servers.target("promptsales").url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def before(suite: Suite, server: Server) -> set[str]:
    """The databases of this process when the test begins."""
    return {*databases(server, own(suite))}


def run(suite: Suite, declared: Declared = LISTS, level: str = "serializable", **more: object) -> Ran:
    ran = run_workload(declared, "promptsales", level, suite.databases, **more)  # type: ignore[arg-type]
    well_formed(ran.observed)
    return ran


def found(ran: Ran) -> set[str]:
    return set(check(ran.observed).counts)


# -- what levels give


@KINDS
def test_serializable_is_clean_however_many_meet(suite: Suite, kind: Workload) -> None:
    ran = run(suite, replace(LISTS, kind=kind, keys=3))
    assert found(ran) == set()
    assert ran.level == "serializable"
    assert {one.process for one in ran.observed.transactions} == set(range(5))
    failed = [one for one in ran.observed.transactions if one.status is Status.fail]
    assert failed, "nobody met anybody"
    assert {one.error.split(":")[0] for one in failed} <= {"40001", "40P01"}


def test_read_committed_shows_two_moments(suite: Suite) -> None:
    assert "G-single" in found(run(suite, level="read committed"))


def test_the_cache_is_driven_by_threads_and_its_exec_is_serializable(suite: Suite) -> None:
    ran = run_workload(LISTS, "cache", "atomic commands", suite.databases)
    well_formed(ran.observed)
    assert found(ran) == set()
    assert {one.error.split(":")[0] for one in ran.observed.transactions if one.error} == {"EXEC nil"}


def test_how_far_it_is_is_told(suite: Suite) -> None:
    said: list[str] = []
    run(suite, replace(LISTS, transactions=1200), now=said.append)
    assert said
    assert all(one.endswith(" of 1200 transactions") for one in said)


# -- a client that is wrong is found out


class ReadsOutside(SqlClient):
    """It ends its transaction before each read, and begins another one after it."""

    def transaction(self, program: Program) -> Dialogue:
        done = yield from super().transaction(program)
        return done

    def _read(self, op: MicroOp):  # type: ignore[no-untyped-def]
        yield from ask(Statement(Verb.commit))
        seen = yield from super()._read(op)
        yield from ask(Statement(Verb.begin))
        return seen


def test_a_client_that_reads_outside_of_its_transaction_is_found_out(suite: Suite) -> None:
    broken = ReadsOutside(Workload.list_append, TRANSACTIONS, engine("postgresql"))
    names = found(run(suite, client=broken))
    assert names & {"G-single", "G2-item", "internal", "lost-update"}, names


class Forgets(SqlClient):
    """It says that its third transaction has been committed, and rolls it back."""

    count = 0

    def transaction(self, program: Program) -> Dialogue:
        dialogue = super().transaction(program)
        outcome = None
        self.count += 1
        forgets = self.count == 3
        while True:
            try:
                statement = dialogue.send(outcome)  # type: ignore[arg-type]
            except StopIteration as end:
                return end.value
            if forgets and statement.body is Verb.commit:
                yield Statement(Verb.rollback)
                statement = Statement("SELECT 1")
            outcome = yield statement


def test_a_server_that_forgets_what_it_has_committed_is_found_out(suite: Suite) -> None:
    forgetful = Forgets(Workload.list_append, TRANSACTIONS, engine("postgresql"))
    declared = replace(LISTS, sessions=1, transactions=60, keys=2, ops=(3, 5))
    assert found(run(suite, declared, client=forgetful)), "a read after it shows that its appends are not there"


# -- connections that are lost


def test_sessions_that_the_server_ends_have_failed_or_nobody_knows_and_others_take_their_places(
    suite: Suite, server: Server
) -> None:
    over = threading.Event()
    ended: list[int] = []

    def end_some() -> None:
        while not over.wait(0.05):
            pids = sorted(
                row[0]
                for row in server.execute(
                    "SELECT pid FROM pg_stat_activity WHERE starts_with(datname, %s) AND application_name ~ 'lists/[0-9]+$'"
                    " AND state <> 'idle'",
                    (own(suite),),
                )
            )
            for pid in pids[:1]:
                server.execute("SELECT pg_terminate_backend(%s)", (pid,))
                ended.append(pid)

    ending = threading.Thread(target=end_some)
    ending.start()
    try:
        ran = run(suite, replace(LISTS, transactions=1500))
    finally:
        over.set()
        ending.join()
    transactions = ran.observed.transactions
    assert ended
    lost = [
        one for one in transactions if one.status is not Status.ok and one.error.split(":")[0] not in ("40001", "40P01")
    ]
    assert lost
    assert max(int(one.process) for one in transactions) >= 5, "another process has taken the place"
    for one in lost:  # that process is over
        assert one.process not in {
            later.process for later in transactions[one.index + 1 :] if later.invoked > one.invoked
        }
    assert len(transactions) >= 1500
    assert found(ran) == set(), "what is known to have failed was never seen, what nobody knows may have been"


def test_the_cache_loses_connections_too(suite: Suite) -> None:
    cache = redis.Redis.from_url(suite.servers.target("cache").url)
    over = threading.Event()
    name = re.compile(rf"psh:{suite.databases.run}/lists/\d+")

    def end_some() -> None:
        while not over.wait(0.05):
            for one in [one for one in cache.client_list() if name.fullmatch(one["name"])][:1]:
                with contextlib.suppress(redis.ResponseError):  # it has gone by itself
                    cache.client_kill_filter(one["id"])

    ending = threading.Thread(target=end_some)
    ending.start()
    try:
        ran = run_workload(replace(LISTS, transactions=1200), "cache", "atomic commands", suite.databases)
    finally:
        over.set()
        ending.join()
        cache.close()
    well_formed(ran.observed)
    transactions = ran.observed.transactions
    assert [one for one in transactions if one.status is not Status.ok and not one.error.startswith("EXEC nil")]
    assert max(int(one.process) for one in transactions) >= 5
    assert found(ran) == set()


class Through:
    """Throw-away databases that are reached by another way."""

    def __init__(self, databases: Databases, way: Dropping) -> None:
        self._databases = databases
        self._way = way
        self.run = databases.run

    def make(self, logical: str, levels: list[str]) -> Made:
        made = self._databases.make(logical, levels)
        return replace(made, url=made.engine.database_url(self._way.url, made.name))

    def drop(self, made: Made) -> None:
        self._databases.drop(made)


@pytest.mark.parametrize("deliver", [True, False], ids=["committed", "not committed"])
def test_a_commit_whose_answer_is_lost_is_info(suite: Suite, deliver: bool) -> None:
    declared = replace(LISTS, sessions=2, transactions=60, keys=2, reads=0.3)
    with Dropping(suite.servers.target("promptsales").url, {10, 25}, deliver=deliver) as way:
        ran = run_workload(declared, "promptsales", "serializable", Through(suite.databases, way))  # type: ignore[arg-type]
    well_formed(ran.observed)
    transactions = ran.observed.transactions
    unknown = [one for one in transactions if one.status is Status.info]
    assert len(unknown) == 2
    assert {int(one.process) for one in transactions} > {0, 1}
    assert found(ran) == set()
    final = {op.key: op.value for one in transactions[-1:] for op in one.ops}
    for one in unknown:
        for op in one.ops:
            if op.f == "append":
                assert (op.value in final[op.key]) is deliver


# -- it comes to its end in any case


class Waits(SqlClient):
    """Its reads take a minute."""

    def _read(self, op: MicroOp):  # type: ignore[no-untyped-def]
        yield from ask(Statement("SELECT pg_sleep(60)"))
        return (yield from super()._read(op))


def test_at_its_deadline_what_runs_is_cancelled(suite: Suite, server: Server, before: set[str]) -> None:
    waits = Waits(Workload.list_append, TRANSACTIONS, engine("postgresql"))
    ran = run(suite, replace(LISTS, deadline=0.5), client=waits)
    assert ran.late
    assert "not done after 0.5 s" in ran.notes[-1]
    cancelled = [one for one in ran.observed.transactions if one.error.startswith("57014")]
    assert cancelled
    assert {one.status for one in cancelled} == {Status.fail}
    nothing_left(suite, server, before)


class Blocks(RedisClient):
    """Its reads take a minute."""

    def _read(self, op: MicroOp):  # type: ignore[no-untyped-def]
        yield from ask(Statement(["BLPOP", "nobody", "60"]))
        return (yield from super()._read(op))


def test_at_its_deadline_threads_are_cancelled_too(suite: Suite) -> None:
    blocks = Blocks(Workload.list_append, TRANSACTIONS)
    ran = run_workload(replace(LISTS, deadline=0.5), "cache", "atomic commands", suite.databases, client=blocks)
    well_formed(ran.observed)
    assert ran.late
    assert {one.status for one in ran.observed.transactions if one.error} == {Status.fail}
    assert len(ran.observed.transactions) < 100


def test_a_mistake_of_a_client_ends_it_and_leaves_nothing(suite: Suite, server: Server, before: set[str]) -> None:
    class Wrong(SqlClient):
        def _append(self, op: MicroOp):  # type: ignore[no-untyped-def]
            raise EngineError("no")
            yield

    with pytest.raises(EngineError, match="no"):
        run(suite, client=Wrong(Workload.list_append, TRANSACTIONS, engine("postgresql")))
    nothing_left(suite, server, before)


def test_a_set_up_that_fails_is_told(suite: Suite, server: Server, before: set[str]) -> None:
    class Wrong(SqlClient):
        def setup(self, keys: object) -> list[Statement]:
            return [Statement("CREATE TABLE")]

    with pytest.raises(SetupFailed, match="promptsales@postgresql: the workload's set-up failed: 42601"):
        run(suite, client=Wrong(Workload.list_append, TRANSACTIONS, engine("postgresql")))
    nothing_left(suite, server, before)


def test_a_level_that_a_server_does_not_give_skips(suite: Suite) -> None:
    with pytest.raises(ServerUnavailable, match="does not give 'nonsense'"):
        run(suite, level="nonsense")


def nothing_left(suite: Suite, server: Server, before: set[str]) -> None:
    """Other tests of this process may have databases, and sessions on them: none are there that were not ``before``."""
    eventually(lambda: {*databases(server, own(suite))} <= before | {*suite.databases.templates}, "they are dropped")


@pytest.mark.parametrize("kind", ["list-append", "bank"])
def test_ctrl_c_leaves_nothing_but_what_was_seen(suite: Suite, server: Server, tmp_path: Path, kind: str) -> None:
    url = suite.servers.target("promptsales").url
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "harness.cli",
            "workload",
            "run",
            kind,
            "--transactions",
            "60000",
            "--deadline",
            "300",
        ],
        cwd=str(tmp_path),
        env=os.environ | {"PROMPTSALES_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=hears_ctrl_c,
    )
    name = kind.replace("-", "_")
    ask_ = "SELECT datname FROM pg_stat_activity WHERE application_name ~ %s AND state = 'active'"
    try:
        pattern = f"^psh:.*/{name}/[0-9]+$"
        (database,) = eventually(
            lambda: {row[0] for row in server.execute(ask_, (pattern,)).fetchall()}, "it is at work"
        )
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[0]
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert databases(server, database) == []
    assert re.search(r"interrupted: \d+ of 60000 transactions were run", said), said
    (history,) = (tmp_path / "results").glob("2*/*/history.jsonl")  # not "latest" besides
    assert read_history(history).transactions
