"""The MongoDB engine on SecantusDB, a stand-in, started as a process of its own; MongoDB itself is only simulated
where the stand-in tells nothing ($currentOp's waits)."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from polling import eventually
from serving import free_port, stop_server

from harness.answers import ErrorKind, TransactionEnd
from harness.engines import mongodb, mongodb_session
from harness.engines.base import Outcome, SessionOptions, Statement, Verb
from harness.engines.mongodb import LEVELS, MongoAdmin, MongoDB, MongoSession
from harness.engines.mongodb_wire import kind_of, operations, refusal_in
from harness.errors import EngineError, LoginRefused, ServerError

ENGINE = MongoDB()
SECRET = "s3cret-w0rd"


def start_server(folder: Path, *words: str) -> tuple[subprocess.Popen[bytes], str]:
    program = shutil.which("secantusd-py") or str(Path(sys.executable).with_name("secantusd-py"))
    if not Path(program).exists() or importlib.util.find_spec("pymongo") is None:
        pytest.skip("secantusdb or pymongo is not installed")
    port = free_port()
    server = subprocess.Popen(
        [program, "--host", "127.0.0.1", "--port", str(port), *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listens() -> bool:
        assert server.poll() is None, "secantusd-py ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    eventually(listens, "it listens", 60)
    return server, f"mongodb://127.0.0.1:{port}/?directConnection=true"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server, url = start_server(tmp_path_factory.mktemp("secantus"), "--storage-path", ":memory:")
    yield url
    stop_server(server)


@pytest.fixture
def admin(url: str) -> Iterator[MongoAdmin]:
    admin = ENGINE.admin(url, "t1")
    yield admin
    for name in admin.owned():
        admin.drop(name)
    admin.close()


@pytest.fixture
def database(admin: MongoAdmin, url: str) -> str:
    admin.create("psh_t1_1", LEVELS)
    return ENGINE.database_url(url, "psh_t1_1")


@pytest.fixture
def open_session(database: str) -> Iterator[Callable[..., MongoSession]]:
    opened: list[MongoSession] = []

    def open_one(level: str = "snapshot", name: str = "psh:t1 buyer") -> MongoSession:
        opened.append(ENGINE.open(database, SessionOptions(name, level)))
        return opened[-1]

    yield open_one
    for session in opened:
        session.close()


def do(session: MongoSession, command: Mapping[str, Any] | Verb) -> Outcome:
    return session.run(Statement(command))


def well(session: MongoSession, command: Mapping[str, Any] | Verb) -> Outcome:
    outcome = do(session, command)
    assert outcome.error is None
    return outcome


def put(session: MongoSession, identity: object, **values: object) -> None:
    well(session, {"insert": "budgets", "documents": [{"_id": identity, **values}]})


def change(identity: object, **values: object) -> dict[str, Any]:
    return {"update": "budgets", "updates": [{"q": {"_id": identity}, "u": {"$set": values}}]}


def add(identity: object, amount: int) -> dict[str, Any]:
    return {"update": "budgets", "updates": [{"q": {"_id": identity}, "u": {"$inc": {"amount": amount}}}]}


def amount(session: MongoSession, identity: object) -> object:
    outcome = well(session, {"find": "budgets", "filter": {"_id": identity}, "projection": {"_id": 0, "amount": 1}})
    return outcome.results[0].rows[0][0]


def test_capabilities_are_what_the_server_said(admin: MongoAdmin) -> None:
    found = admin.capabilities
    assert found.product == "SecantusDB"
    assert "speaks MongoDB" in found.version
    assert not found.waits
    assert not found.locks
    assert found.levels == LEVELS
    assert any("deadline" in note for note in found.notes)


@pytest.mark.parametrize("level", LEVELS)
def test_a_session_reads_its_level_back(open_session: Callable[..., MongoSession], level: str) -> None:
    session = open_session(level)
    assert session.observed_level == level
    assert session.pid.startswith("psh:t1 buyer#")
    assert any("what it accepted" in note for note in session.notes)
    assert session.pid != open_session(level).pid


def test_the_level_is_read_from_the_servers_own_words(
    open_session: Callable[..., MongoSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As MongoDB shows it: a weaker level than was asked for must come to light."""
    session = open_session("snapshot")
    shown = [
        {"lsid": {"id": b"another"}},
        {"lsid": session._session.session_id, "transaction": {"parameters": {"readConcern": {"level": "majority"}}}},
    ]
    monkeypatch.setattr(mongodb_session, "operations", lambda client: shown)
    seen = mongodb_session.read_back(session._client, session._session, session._database, "snapshot")
    assert seen == ("majority", "")
    assert not session._session.in_transaction


def test_replies_become_rows(open_session: Callable[..., MongoSession]) -> None:
    session = open_session("local")
    when = datetime(2026, 1, 2, tzinfo=UTC)
    documents = [{"_id": 1, "amount": 5}, {"_id": 2, "when": when, "tags": ["a"], "deep": {"x": 1.5}}]
    inserted = well(session, {"insert": "budgets", "documents": documents}).results[0]
    assert (inserted.columns, inserted.rows, inserted.affected) == (["n"], [[2]], 2)
    found = well(session, {"find": "budgets", "sort": {"_id": 1}}).results[0]
    assert found.columns == ["_id", "amount", "when", "tags", "deep"]
    assert found.rows == [[1, 5, None, None, None], [2, None, "2026-01-02 00:00:00", ["a"], {"x": 1.5}]]
    updated = well(session, change(1, amount=6)).results[0]
    assert (updated.columns, updated.rows, updated.affected) == (["n", "nModified"], [[1, 1]], 1)
    same = well(session, change(1, amount=6)).results[0]
    assert (same.rows, same.affected) == ([[1, 0]], 1)  # matched, and what it sets is what is there: a write
    assert well(session, change(9, amount=6)).results[0].affected == 0
    taken = well(
        session, {"findAndModify": "budgets", "query": {"_id": 1}, "update": {"$inc": {"amount": 1}}, "new": True}
    )
    assert taken.results[0].rows == [[{"_id": 1, "amount": 7}]]
    assert well(session, {"count": "budgets"}).results[0].rows == [[2]]
    assert well(session, {"distinct": "budgets", "key": "amount"}).results[0].rows == [[[7]]]
    pipeline = [{"$group": {"_id": None, "total": {"$sum": "$amount"}}}]
    assert well(session, {"aggregate": "budgets", "pipeline": pipeline, "cursor": {}}).results[0].rows == [[None, 7]]
    assert well(session, {"delete": "budgets", "deletes": [{"q": {}, "limit": 0}]}).results[0].affected == 2
    generated = well(session, {"insert": "budgets", "documents": [{"a": 1}]})
    assert generated.error is None
    assert json.dumps(well(session, {"find": "budgets", "projection": {"a": 0}}).results[0].rows)


def test_all_batches_of_a_cursor_are_read(open_session: Callable[..., MongoSession]) -> None:
    session = open_session("majority")
    well(session, {"insert": "many", "documents": [{"_id": number} for number in range(350)]})
    assert len(well(session, {"find": "many"}).results[0].rows) == 350
    well(session, Verb.begin)
    assert len(well(session, {"find": "many", "batchSize": 0}).results[0].rows) == 350
    well(session, Verb.commit)


def test_verbs_and_what_they_say(open_session: Callable[..., MongoSession]) -> None:
    session = open_session()
    put(session, 1, amount=1)
    for verb in (Verb.commit, Verb.rollback):
        nothing = well(session, verb)
        assert (nothing.ended, nothing.in_transaction) == (None, False)
    begun = well(session, Verb.begin)
    assert (begun.in_transaction, begun.may_release) == (True, False)
    again = do(session, Verb.begin)
    assert again.error
    assert again.in_transaction
    written = well(session, add(1, 1))
    assert (written.in_transaction, written.may_release, written.ended) == (True, False, None)
    assert not well(session, {"find": "budgets"}).may_release
    done = well(session, Verb.commit)
    assert (done.ended, done.in_transaction, done.may_release) == (TransactionEnd.committed, False, True)
    assert amount(session, 1) == 2
    well(session, Verb.begin)
    well(session, add(1, 1))
    done = well(session, Verb.rollback)
    assert (done.ended, done.in_transaction, done.may_release) == (TransactionEnd.aborted, False, True)
    assert amount(session, 1) == 2
    assert well(session, add(1, 1)).may_release


def test_two_transactions_conflict(open_session: Callable[..., MongoSession]) -> None:
    one, two = open_session(), open_session()
    put(one, 1, amount=100)
    well(one, Verb.begin)
    well(two, Verb.begin)
    well(one, add(1, -10))
    refused = do(two, add(1, -20))
    assert refused.error
    assert (refused.error.kind, refused.error.code) == (ErrorKind.conflict, "112")
    assert "TransientTransactionError" in refused.error.detail
    assert (refused.ended, refused.in_transaction, refused.may_release) == (TransactionEnd.aborted, False, True)
    after = do(two, {"find": "budgets"})
    assert after.error
    assert (after.error.kind, after.error.code) == (ErrorKind.in_failed_transaction, "251")
    assert after.ended is None
    assert well(two, Verb.rollback).ended is None
    assert well(one, Verb.commit).ended is TransactionEnd.committed
    assert amount(two, 1) == 90


def test_a_failed_transaction_is_also_cleaned_by_commit_or_begin(open_session: Callable[..., MongoSession]) -> None:
    session = open_session()
    put(session, 1, amount=1)
    for cleaning in (Verb.commit, Verb.begin):
        well(session, Verb.begin)
        broken = do(session, {"insert": "budgets", "documents": [{"_id": 1}]})
        assert broken.error
        assert (broken.error.kind, broken.error.code) == (ErrorKind.constraint, "11000")
        assert (broken.ended, broken.in_transaction) == (TransactionEnd.aborted, False)
        cleaned = do(session, cleaning)
        if cleaning is Verb.commit:
            assert cleaned.error
            assert cleaned.error.code == "251"
        assert cleaned.ended is None
        assert cleaned.in_transaction is (cleaning is Verb.begin)
    assert amount(session, 1) == 1


def test_a_snapshot_transaction_reads_one_moment(open_session: Callable[..., MongoSession]) -> None:
    reader, writer = open_session(), open_session("local")
    put(writer, 1, amount=1)
    well(reader, Verb.begin)
    assert amount(reader, 1) == 1
    well(writer, add(1, 1))
    assert amount(reader, 1) == 1
    well(reader, Verb.commit)
    assert amount(reader, 1) == 2


def test_snapshot_outside_a_transaction(open_session: Callable[..., MongoSession]) -> None:
    session = open_session()
    put(session, 1, amount=1)
    assert amount(session, 1) == 1
    counted = well(session, {"count": "budgets"})
    assert any("majority" in notice.text for notice in counted.notices)
    own = do(session, {"count": "budgets", "readConcern": {"level": "snapshot"}})
    assert own.error
    assert (own.error.kind, own.error.code) == (ErrorKind.serialization, "246")


def test_errors_keep_their_code(open_session: Callable[..., MongoSession]) -> None:
    session = open_session("local")
    validator = {"$jsonSchema": {"required": ["amount"]}}
    well(session, {"create": "strict", "validator": validator})
    refused = do(session, {"insert": "strict", "documents": [{"_id": 1}]})
    assert refused.error
    assert (refused.error.kind, refused.error.code) == (ErrorKind.constraint, "121")
    unknown = do(session, {"nonsense": 1})
    assert unknown.error
    assert (unknown.error.kind, unknown.error.code) == (ErrorKind.other, "59")
    unmet = do(session, {"insert": "budgets", "documents": [{"_id": 9}], "writeConcern": {"w": 5, "wtimeout": 1}})
    assert unmet.error
    assert unmet.error.code == "100"
    unsendable = do(session, {"insert": "budgets", "documents": [{"_id": object()}]})
    assert unsendable.error
    assert unsendable.error.code == "InvalidDocument"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (112, ErrorKind.conflict),
        (24, ErrorKind.lock_timeout),
        (50, ErrorKind.cancelled),
        (11601, ErrorKind.cancelled),
        (251, ErrorKind.in_failed_transaction),
        (246, ErrorKind.serialization),
        (11600, ErrorKind.connection),
        (59, ErrorKind.other),
    ],
)
def test_kinds(code: int, kind: ErrorKind) -> None:
    assert kind_of(code) is kind
    assert kind_of(code, ["TransientTransactionError"]) is (
        ErrorKind.serialization if kind is ErrorKind.other else kind
    )


def test_a_hidden_refusal_is_found() -> None:
    concern = {"code": 64, "codeName": "WriteConcernTimeout", "errmsg": "waited"}
    found = refusal_in({"ok": 1, "writeConcernError": concern})
    assert found
    assert found.code == "64"
    found = refusal_in({"ok": 1, "writeErrors": [{"code": 11000, "errmsg": "dup"}], "writeConcernError": concern})
    assert found
    assert found.code == "11000"
    assert refusal_in({"ok": 1}) is None


@pytest.mark.parametrize("body", ["{find: x}", ["find", "x"], {}, {"commitTransaction": 1}])
def test_what_is_no_step_is_refused(open_session: Callable[..., MongoSession], body: Any) -> None:
    session = open_session()
    with pytest.raises(EngineError):
        session.run(Statement(body))
    with pytest.raises(EngineError, match="parameters"):
        session.run(Statement({"find": "x"}, (1,)))


def running(admin: MongoAdmin, session: MongoSession, command: str) -> bool:
    """Is the session's last command this one, as the server sees it?"""
    shown = operations(admin._client)
    return any(mongodb.name_of(one) == session.pid and one.get("op") == command for one in shown)


def test_a_plain_write_waits_for_a_transaction(open_session: Callable[..., MongoSession], admin: MongoAdmin) -> None:
    holder, writer = open_session(), open_session("local")
    put(holder, 1, amount=1)
    well(holder, Verb.begin)
    well(holder, add(1, 1))
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(do, writer, add(1, 10))
        eventually(lambda: running(admin, writer, "update"))
        assert not step.done()
        well(holder, Verb.commit)
        assert step.result(15).error is None
    assert amount(writer, 1) == 12


def test_cancel_ends_a_waiting_write(open_session: Callable[..., MongoSession], admin: MongoAdmin) -> None:
    holder, writer = open_session(), open_session("local")
    put(holder, 1, amount=1)
    well(holder, Verb.begin)
    well(holder, add(1, 1))
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(do, writer, add(1, 10))
        eventually(lambda: running(admin, writer, "update"))
        writer.cancel()
        cancelled = step.result(15)
    assert cancelled.error
    assert cancelled.error.kind is ErrorKind.cancelled
    assert cancelled.may_release
    well(holder, Verb.rollback)
    assert amount(writer, 1) in (1, 11)  # the session lives; the stand-in may have written after all


def test_cancel_of_an_idle_session_does_nothing(open_session: Callable[..., MongoSession]) -> None:
    session = open_session()
    well(session, Verb.begin)
    well(session, {"find": "budgets"})
    session.cancel()
    assert well(session, {"find": "budgets"}).in_transaction
    session.close()
    session.cancel()
    session.close()


def test_a_connection_lost_in_a_transaction_aborts_it(
    open_session: Callable[..., MongoSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pymongo.errors

    session, other = open_session(), open_session("local")
    put(session, 1, amount=1)
    well(session, Verb.begin)
    well(session, add(1, 1))
    with monkeypatch.context() as patch:
        error = pymongo.errors.AutoReconnect("gone")
        patch.setattr(session._database, "command", lambda *_, **__: (_ for _ in ()).throw(error))
        lost = do(session, {"find": "budgets"})
    assert lost.error
    assert (lost.error.kind, lost.error.code) == (ErrorKind.connection, "AutoReconnect")
    assert (lost.ended, lost.in_transaction) == (TransactionEnd.aborted, False)
    well(other, add(1, 5))  # not held up any more
    after = do(session, {"find": "budgets"})
    assert after.error
    assert after.error.code == "251"
    well(session, Verb.rollback)
    assert amount(session, 1) == 6


def test_close_rolls_back(open_session: Callable[..., MongoSession]) -> None:
    holder, other = open_session(), open_session("local")
    put(holder, 1, amount=1)
    well(holder, Verb.begin)
    well(holder, add(1, 1))
    holder.close()
    well(other, add(1, 5))
    assert amount(other, 1) == 6


def test_the_observer_on_the_stand_in_sees_nothing(url: str, open_session: Callable[..., MongoSession]) -> None:
    session = open_session()
    observer = ENGINE.observe(url, "t1")
    assert observer.waits([session.pid], [session.pid]) == []
    assert observer.lock_table([session.pid]) == []
    assert observer.deadlock_reports([session.pid]) == []
    observer.close()


def test_the_observer_reads_what_mongodb_would_show(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents as the manual's page on $currentOp has them: a stand-in for the server's word, not for MongoDB."""
    idle = {
        "type": "idleSession",
        "appName": "psh:t1 a#1",
        "active": False,
        "transaction": {},
        "locks": {"Global": "w"},
    }
    foreign = {"type": "idleSession", "appName": "shop", "active": False, "transaction": {}}
    write = {"type": "op", "appName": "psh:t1 b#2", "active": True, "opid": 7, "op": "update", "ns": "d.c", "locks": {}}
    conflicts = iter([3, 3, 4, 4])
    shown: list[Mapping[str, Any]] = []
    monkeypatch.setattr(mongodb, "operations", lambda client: shown)
    observer = ENGINE.observe(url, "t1")
    pids = ["psh:t1 a#1", "psh:t1 b#2"]
    seen = []
    for count in conflicts:
        shown[:] = [idle, foreign, write | {"waitingForLock": False, "writeConflicts": count}]
        seen.append(observer.waits(pids, pids))
    assert [len(waits) for waits in seen] == [0, 0, 1, 1]
    assert (seen[2][0].waiter, seen[2][0].holders) == ("psh:t1 b#2", ("psh:t1 a#1",))
    assert "names no holder" in seen[2][0].resource
    shown[:] = [foreign, write | {"writeConflicts": 9}]
    assert observer.waits(pids, pids) == []  # nobody of the run holds anything
    shown[:] = [idle, write | {"opid": 8, "waitingForLock": True}]
    assert [wait.waiter for wait in observer.waits(pids, pids)] == ["psh:t1 b#2"]
    assert observer.waits([pids[0]], pids) == []
    assert [row["pid"] for row in observer.lock_table(pids)] == pids
    observer.close()


def test_databases_come_and_go(admin: MongoAdmin) -> None:
    admin.create("psh_t1_7", LEVELS)
    assert admin.owned() == ["psh_t1_7"]
    with pytest.raises(EngineError, match="11000"):
        admin.create("psh_t1_7", LEVELS)
    admin.drop("psh_t1_7")
    admin.drop("psh_t1_7")
    assert admin.owned() == []


def test_drop_does_not_wait_for_an_open_transaction(
    admin: MongoAdmin, open_session: Callable[..., MongoSession]
) -> None:
    holder = open_session()
    put(holder, 1, amount=1)
    well(holder, Verb.begin)
    well(holder, add(1, 1))
    admin.drop("psh_t1_1")
    assert admin.owned() == []
    lost = do(holder, {"find": "budgets"})
    assert lost.error
    assert lost.error.code == "251"


def test_a_killed_client_is_no_living_run_and_holds_nothing(admin: MongoAdmin, url: str) -> None:
    admin.create("psh_dead1_1", LEVELS)
    code = (
        "import sys; from harness.engines.mongodb import MongoDB\n"
        "from harness.engines.base import SessionOptions, Statement, Verb\n"
        "session = MongoDB().open(sys.argv[1], SessionOptions('psh:dead1 buyer', 'snapshot'))\n"
        "session.run(Statement(Verb.begin))\n"
        "session.run(Statement({'insert': 'budgets', 'documents': [{'_id': 1}]}))\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, ENGINE.database_url(url, "psh_dead1_1")]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline() == b"open\n"
    assert admin.living_runs() >= {"t1", "dead1"}
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    eventually(lambda: "dead1" not in admin.living_runs())
    assert "t1" in admin.living_runs()
    dropped = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: (admin.drop("psh_dead1_1"), dropped.set()))
        assert dropped.wait(10)  # its transaction would have lasted a minute
    assert admin.owned() == []


def test_an_unreachable_server_is_one_clear_line() -> None:
    with pytest.raises(ServerError, match="cannot be reached") as caught:
        ENGINE.admin(f"mongodb://user:{SECRET}@127.0.0.1:{free_port()}/?directConnection=true", "t1")
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["http://u:{}@h", "mongodb://u:{}@h:port/", "mongodb://u:{}@@/h:1"])
def test_what_is_no_url_is_refused_without_quoting_it(wrong: str) -> None:
    with pytest.raises(ServerError) as caught:
        ENGINE.admin(wrong.format(SECRET), "t1")
    assert SECRET not in str(caught.value)


def test_a_wrong_password_is_one_clear_line(tmp_path: Path) -> None:
    import pymongo

    storage = ("--storage-path", str(tmp_path / "data"))
    server, url = start_server(tmp_path, *storage)
    with pymongo.MongoClient(url) as client:
        client.admin.command("createUser", "maker", pwd=SECRET, roles=["root"])
    stop_server(server)
    server, url = start_server(tmp_path, *storage, "--auth")
    try:
        right = url.replace("mongodb://", f"mongodb://maker:{SECRET}@")
        for wrong in (right.replace(SECRET, "wr0ng-w0rd"), url):
            with pytest.raises(LoginRefused) as caught:
                ENGINE.admin(wrong, "t1")
            assert "wr0ng-w0rd" not in str(caught.value)
            assert "\n" not in str(caught.value)
        admin = ENGINE.admin(right, "t1")
        admin.create("psh_t1_1", LEVELS)
        session = ENGINE.open(ENGINE.database_url(right, "psh_t1_1"), SessionOptions("psh:t1 a", "snapshot"))
        put(session, 1, amount=1)
        session.close()
        admin.drop("psh_t1_1")
        admin.close()
    finally:
        stop_server(server)


@pytest.mark.parametrize(
    ("url", "path", "source"),
    [
        ("mongodb://h:1", "/d", None),
        ("mongodb://h:1/x?replicaSet=rs", "/d", None),
        ("mongodb://u:p@h:1,i:2", "/d", "admin"),
        ("mongodb://u:p@h:1/x", "/d", "x"),
        ("mongodb://u:p@h:1/x?authSource=y", "/d", "y"),
        ("mongodb://u@h:1/?authMechanism=MONGODB-X509", "/d", "$external"),
    ],
)
def test_a_database_url_keeps_the_login(url: str, path: str, source: str | None) -> None:
    parts = urlsplit(ENGINE.database_url(url, "d"))
    assert parts.path == path
    assert parts.netloc == urlsplit(url).netloc
    assert parse_qs(parts.query).get("authSource", [None]) == [source]


def test_an_unknown_level_and_sql_words_are_refused(database: str) -> None:
    with pytest.raises(EngineError, match="did you mean"):
        ENGINE.open(database, SessionOptions("psh:t1", "snapshots"))
    with pytest.raises(EngineError):
        ENGINE.placeholder(1)
    with pytest.raises(EngineError):
        ENGINE.quote("x")
