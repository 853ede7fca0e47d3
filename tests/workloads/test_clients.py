"""How each engine's transactions are done: with answers that are made up, and alone on real servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.answers import ErrorKind, ResultSet, TransactionEnd
from harness.engines import engine
from harness.engines.base import Outcome, Verb
from harness.errors import EngineError
from harness.evidence.checker.check import check
from harness.evidence.checker.model import MicroOp, Status, Workload
from harness.suite import Suite
from harness.workloads.clients.base import initial
from harness.workloads.clients.mongodb import MongoClient
from harness.workloads.clients.redis import RedisClient
from harness.workloads.clients.sql import SqlClient
from harness.workloads.generate import Program
from harness.workloads.model import COMMANDS, TRANSACTIONS, UNITS, Declared
from harness.workloads.run import run_workload

from .playing import LEVEL, ok, play, refused, serially, well_formed

LISTS, BANK, COUNTER = Workload.list_append, Workload.bank, Workload.counter
APPEND = Program((MicroOp("r", 1), MicroOp("append", 1, 7)))
BEGUN, DONE = Outcome(), Outcome(ended=TransactionEnd.committed)
READ, WRITTEN = ok(["1 2 "]), ok(affected=1)
SEEN = (MicroOp("r", 1, (1, 2)), MicroOp("append", 1, 7))


def sql(kind: Workload = LISTS, units: str = TRANSACTIONS) -> SqlClient:
    return SqlClient(kind, units, engine("postgresql"))


# -- a transaction, and how it may end


def test_a_transaction_is_begun_done_and_committed() -> None:
    done, asked = play(sql().transaction(APPEND), BEGUN, READ, WRITTEN, DONE)
    assert (done.status, done.ops, done.error, done.lost) == (Status.ok, SEEN, "", False)
    assert [asked[0].body, asked[-1].body] == [Verb.begin, Verb.commit]
    assert [one.parameters for one in asked[1:-1]] == [(1,), ("7 ", 1)]


@pytest.mark.parametrize(
    ("outcome", "status", "lost"),
    [
        (DONE, Status.ok, False),
        (Outcome(ended=TransactionEnd.aborted), Status.fail, False),  # COMMIT answered with ROLLBACK
        (Outcome(), Status.info, True),  # there was none: who knows what has ended it
        (refused(ErrorKind.serialization, "40001", TransactionEnd.aborted), Status.fail, False),
        (refused(ErrorKind.deadlock, "40P01", TransactionEnd.aborted), Status.fail, False),
        (refused(ErrorKind.conflict, "112", TransactionEnd.aborted), Status.fail, False),
        (refused(ErrorKind.constraint, "23505", TransactionEnd.aborted), Status.fail, False),
        (refused(ErrorKind.other, "64", TransactionEnd.committed), Status.ok, False),  # only the write concern was not met
        (refused(ErrorKind.connection, "57P01", TransactionEnd.aborted), Status.info, True),
        (refused(ErrorKind.connection, "AutoReconnect"), Status.info, True),
        (refused(ErrorKind.cancelled, "57014", TransactionEnd.aborted), Status.info, True),
        (refused(ErrorKind.lock_timeout, "1222"), Status.info, True),
        (refused(ErrorKind.other, "harness", TransactionEnd.aborted), Status.info, True),
        (refused(ErrorKind.other, "50"), Status.info, True),  # MongoDB: the result is unknown, so nobody says how it ended
    ],
    ids=["ok", "rolled-back", "none-open", "serialization", "deadlock", "conflict", "constraint", "write-concern",
         "connection", "reconnect", "cancelled", "timeout", "harness", "unknown"],
)  # fmt: skip
def test_what_the_answer_to_commit_means(outcome: Outcome, status: Status, lost: bool) -> None:
    done, _ = play(sql().transaction(APPEND), BEGUN, READ, WRITTEN, outcome)
    assert (done.status, done.lost, done.ops) == (status, lost, SEEN)
    assert bool(done.error) is (outcome.error is not None or status is not Status.ok)


@pytest.mark.parametrize("kind", [ErrorKind.deadlock, ErrorKind.cancelled, ErrorKind.lock_timeout, ErrorKind.other])
def test_what_is_refused_before_commit_has_failed_and_is_rolled_back(kind: ErrorKind) -> None:
    done, asked = play(sql().transaction(APPEND), BEGUN, READ, refused(kind, "1"), BEGUN)
    assert (done.status, done.lost, done.error) == (Status.fail, False, "1: no")
    assert done.ops == SEEN, "what it asked for stays: an aborted read would be one of that"
    assert asked[-1].body is Verb.rollback


def test_a_connection_that_is_lost_before_commit_has_failed_and_the_session_is_over() -> None:
    done, asked = play(sql().transaction(APPEND), BEGUN, READ, refused(ErrorKind.connection))
    assert (done.status, done.lost) == (Status.fail, True)
    assert Verb.rollback not in [one.body for one in asked]
    failed_too, _ = play(sql().transaction(APPEND), BEGUN, refused(ErrorKind.deadlock), refused(ErrorKind.connection))
    assert (failed_too.status, failed_too.lost) == (Status.fail, True)


def test_without_transactions_what_has_been_written_is_not_undone() -> None:
    program = Program((MicroOp("append", 1, 7), MicroOp("append", 2, 8)))

    def ended(*answers: Outcome) -> tuple[Status, bool]:
        done, asked = play(sql(units=COMMANDS).transaction(program), *answers)
        assert Verb.begin not in [one.body for one in asked]
        return done.status, done.lost

    assert ended(WRITTEN, WRITTEN) == (Status.ok, False)
    assert ended(refused(ErrorKind.deadlock)) == (Status.fail, False)
    assert ended(WRITTEN, refused(ErrorKind.deadlock)) == (Status.info, False)
    assert ended(refused(ErrorKind.connection)) == (Status.info, True)
    reading = Program((MicroOp("r", 1), MicroOp("r", 2)))
    done, _ = play(sql(units=COMMANDS).transaction(reading), READ, refused(ErrorKind.connection))
    assert (done.status, done.lost) == (Status.fail, True), "what only reads has changed nothing"


def test_an_object_that_is_not_there_is_our_mistake_and_told() -> None:
    dialogue = sql().transaction(APPEND)
    next(dialogue)
    dialogue.send(BEGUN)
    with pytest.raises(EngineError, match="object 1 should be one row, and is 0"):
        dialogue.send(ok())


def test_a_transfer_writes_what_follows_from_what_it_read() -> None:
    program = Program(tuple(MicroOp(f, key) for f in "rw" for key in (3, 4)), amount=30, tag=9)
    done, asked = play(sql(BANK).transaction(program), BEGUN, ok([100, 0]), ok([70, 5]), WRITTEN, WRITTEN, DONE)
    assert [op.value for op in done.ops] == [(100, 0), (70, 5), (70, 9), (100, 9)]
    assert [one.parameters for one in asked[3:5]] == [(70, 9, 3), (100, 9, 4)]
    poor, _ = play(sql(BANK).transaction(program), BEGUN, ok([20, 0]), ok([70, 5]), DONE)
    assert [op.f for op in poor.ops] == ["r", "r"]


def test_sql_server_has_its_own_words() -> None:
    client = SqlClient(COUNTER, TRANSACTIONS, engine("sqlserver"))
    program = Program((MicroOp("inc", 1, (2, None)),))
    done, asked = play(client.transaction(program), BEGUN, ok([12]), DONE)
    assert done.ops == (MicroOp("inc", 1, (2, 12)),)
    assert asked[1].body == "UPDATE counters SET value = value + ? OUTPUT inserted.value WHERE id = ?"
    assert SqlClient(LISTS, TRANSACTIONS, engine("sqlserver")).setup([1])[0].body == (
        "CREATE TABLE lists (id int NOT NULL PRIMARY KEY, elements varchar(max) NOT NULL)"
    )
    assert not client.settings()


def test_many_objects_are_made_in_several_statements() -> None:
    statements = sql(BANK).setup(range(1200))
    assert [len(one.parameters) for one in statements] == [0, 1500, 1500, 600]
    assert len(MongoClient(LISTS, TRANSACTIONS).setup(range(2500))) == 3
    assert len(RedisClient(BANK, TRANSACTIONS).setup(range(1200))) == 3


def test_in_redis_a_transaction_sees_its_own_writes_although_they_wait_for_exec() -> None:
    program = Program(
        (MicroOp("append", 1, 7), MicroOp("r", 1), MicroOp("r", 2), MicroOp("append", 1, 8), MicroOp("r", 1))
    )
    one, none = ok(["5"]), ok()
    answers = [BEGUN, one, none, one, BEGUN, BEGUN, BEGUN]
    executed = Outcome([ResultSet(rows=[[2], [3]])], ended=TransactionEnd.committed)
    done, asked = play(RedisClient(LISTS, TRANSACTIONS).transaction(program), *answers, executed)
    assert [op.value for op in done.ops] == [7, (5, 7), (), 8, (5, 7, 8)]
    assert asked[0].body == ["WATCH", "list:1", "list:2"]
    assert [one.body for one in asked[4:]] == [
        Verb.begin,
        ["RPUSH", "list:1", "7"],
        ["RPUSH", "list:1", "8"],
        Verb.commit,
    ]
    conflict = refused(ErrorKind.conflict, "EXEC nil", TransactionEnd.aborted)
    assert play(RedisClient(LISTS, TRANSACTIONS).transaction(program), *answers, conflict)[0].status is Status.fail


def test_in_redis_an_increment_is_told_by_exec() -> None:
    program = Program((MicroOp("inc", 1, (2, None)), MicroOp("r", 1)))
    executed = Outcome([ResultSet(rows=[[12]])], ended=TransactionEnd.committed)
    done, _ = play(RedisClient(COUNTER, TRANSACTIONS).transaction(program), BEGUN, ok(["10"]), BEGUN, BEGUN, executed)
    assert done.ops == (MicroOp("inc", 1, (2, 12)), MicroOp("r", 1, 12))


# -- alone on a real server


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", list(Workload), ids=lambda kind: kind.value)
@pytest.mark.parametrize("logical", LEVEL)
def test_one_session_shows_what_a_serial_run_must_show(suite: Suite, logical: str, kind: Workload, units: str) -> None:
    declared = Declared(kind, "serial", sessions=1, transactions=40, keys=3, writes_per_key=6, units=units)
    observed = run_workload(declared, logical, LEVEL[logical], suite.databases).observed
    well_formed(observed)
    assert {one.status for one in observed.transactions} == {Status.ok}
    assert [one.ops for one in observed.transactions] == serially(declared)
    assert observed.initial == initial(kind, sorted({op.key for one in observed.transactions for op in one.ops}))
    assert check(observed, realtime=True).counts == {}


@pytest.mark.parametrize("logical", LEVEL)
def test_registers_that_nobody_wrote_have_nothing(suite: Suite, logical: str) -> None:
    declared = Declared(Workload.rw_register, "serial", sessions=1, transactions=3, reads=1.0)
    observed = run_workload(replace(declared, units=COMMANDS), logical, LEVEL[logical], suite.databases).observed
    assert {op.value for one in observed.transactions for op in one.ops} == {None}
