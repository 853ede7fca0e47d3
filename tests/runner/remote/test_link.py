"""One machine and its agent: here the machine is a process on this one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fake_ssh
import psutil
import psycopg
import pytest
from polling import eventually

from harness.answers import ErrorKind, ErrorRecord, ResultSet, TransactionEnd
from harness.engines.base import Notice, Notification, Outcome, SessionOptions, Statement, Verb
from harness.errors import DriverMissing, EngineError, HostError, LoginRefused, ServerError
from harness.runner.remote import link as link_module
from harness.runner.remote import wire
from harness.runner.remote.link import Link
from harness.runner.remote.session import RemoteSession
from harness.runner.remote.source import sources
from harness.suite import Suite

RC = SessionOptions("psh:test/T1", "read committed")
Connect = Callable[..., Link]


@pytest.fixture
def url(suite: Suite) -> str:
    return suite.servers.target("promptsales").url


def opened(link: Link, url: str, options: SessionOptions = RC) -> RemoteSession:
    return link.open("postgresql", url, options)


def rows(session: RemoteSession, sql: str, *values: object) -> list[list[Any]]:
    outcome = session.run(Statement(sql, values))
    assert outcome.error is None, outcome.error
    return outcome.results[-1].rows


def test_an_outcome_comes_back_as_it_was() -> None:
    error = ErrorRecord(ErrorKind.deadlock, "40P01", "deadlock detected", "Process 1 waits …\nProcess 2 waits …")
    outcome = Outcome(
        [ResultSet(["a", "b"], [[1, None], ["ñ\ud800", {"x": [1.5, True]}]], "SELECT 2"), ResultSet(affected=3)],
        error,
        in_transaction=True,
        ended=TransactionEnd.aborted,
        may_release=False,
    )
    outcome.notices = [Notice("NOTICE: hello", 1)]
    back = wire.heard(wire.told(outcome, 1.5, 2.5))
    assert (back.results, back.error) == (outcome.results, error)
    assert (back.in_transaction, back.ended, back.may_release) == (True, TransactionEnd.aborted, False)
    assert (back.notices, back.clock, back.empty) == (outcome.notices, (1.5, 2.5), False)
    assert json.loads(wire.told(Outcome(), 0, 0))[1] is None


def test_a_session_there_is_a_session(link: Connect, url: str) -> None:
    session = opened(link(), url, SessionOptions("psh:test/T1", "serializable"))
    assert session.observed_level == "serializable"
    assert rows(session, "SELECT pg_backend_pid(), current_setting('application_name')") == [
        [int(session.pid), "psh:test/T1"]
    ]
    assert rows(session, "SELECT $1::int + 1, $2::text", 41, "ñ' OR 1=1") == [[42, "ñ' OR 1=1"]]
    begun = session.run(Statement(Verb.begin))
    assert begun.in_transaction
    refused = session.run(Statement("SELEC 1"))
    assert refused.error is not None
    assert (refused.error.code, refused.in_transaction) == ("42601", True)
    assert session.run(Statement(Verb.rollback)).ended is TransactionEnd.aborted


def test_its_server_is_told_to_look_whether_it_is_still_there(link: Connect, url: str) -> None:
    session = opened(link(), url)
    names = ["tcp_user_timeout", "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"]
    shown = {name: rows(session, f"SHOW {name}")[0][0] for name in names}
    assert shown == {
        "tcp_user_timeout": "3000",  # ms
        "tcp_keepalives_idle": "1",
        "tcp_keepalives_interval": "1",
        "tcp_keepalives_count": "2",
    }


def test_notices_come_while_a_step_runs(link: Connect, url: str) -> None:
    session = opened(link(), url)
    session.send(Statement("DO $$ BEGIN RAISE NOTICE 'hello'; PERFORM pg_sleep(60); END $$"))
    heard: list[Notice] = []
    eventually(lambda: heard.extend(session.take_notices()) or heard == [Notice("NOTICE: hello")], "the notice is here")
    assert session.receive() is None
    session.cancel()
    eventually(lambda: (outcome := session.receive()) and outcome.error.code == "57014", "it is cancelled")


def test_notifications_come_to_a_session_that_does_nothing(link: Connect, url: str) -> None:
    one = link()
    listener, other = opened(one, url), opened(one, url)
    rows_of = listener.run(Statement("LISTEN news"))
    assert rows_of.error is None
    other.run(Statement("NOTIFY news, 'it rains'"))
    heard: list[Notification] = []
    eventually(lambda: heard.extend(listener.take_notifications()) or bool(heard), "it is heard")
    assert heard == [Notification("news", "it rains", other.pid)]


def test_several_sessions_of_one_agent_wait_and_go_on(link: Connect, url: str) -> None:
    one = link()
    first, second = opened(one, url), opened(one, url)
    first.run(Statement("SELECT pg_advisory_lock(7161)"))
    second.send(Statement("SELECT pg_advisory_lock(7161)"))
    assert rows(first, "SELECT 1") == [[1]]  # while the other one waits
    assert second.receive() is None
    first.run(Statement("SELECT pg_advisory_unlock(7161)"))
    eventually(lambda: (outcome := second.receive()) and outcome.error is None, "the other one has it")


def test_engines_whose_driver_blocks_have_a_thread_there(link: Connect, suite: Suite) -> None:
    session = link().open("redis", suite.servers.target("cache").url, SessionOptions("psh:test/T1", "atomic commands"))
    assert session.run(Statement(["PING"])).error is None
    session.send(Statement(["BLPOP", "nobody:fills:this", "0"]))
    assert session.receive() is None
    # Again and again: the first time it may not have reached the server yet.
    eventually(lambda: session.cancel() or session.receive() is not None, "it is cancelled")
    session.close()


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"harness:": "harness:wrong"}, LoginRefused, "from pc1: PostgreSQL at 127.0.0.1:"),
        ({"127.0.0.1:": "127.0.0.1:1?port="}, ServerError, "from pc1: "),
    ],
    ids=["password", "nobody there"],
)
def test_why_a_session_cannot_be_opened(
    link: Connect, url: str, change: Mapping[str, str], kind: type[Exception], said: str
) -> None:
    ((old, new),) = change.items()
    with pytest.raises(kind) as caught:
        opened(link(), url.replace(old, new))
    assert str(caught.value).startswith(said)
    assert psycopg.conninfo.conninfo_to_dict(url)["password"] not in str(caught.value)


def test_a_machine_without_the_driver(link: Connect, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh.install(tmp_path, monkeypatch)
    bare = fake_ssh.without_packages(tmp_path)
    with pytest.raises(
        DriverMissing, match=r"from pc1: psycopg cannot be imported there .* -m pip install 'psycopg\[bin"
    ):
        opened(link(f"ssh=pc1//python={bare}"), url)


def test_what_travels_needs_no_package_of_ours(link: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent without a single package: it starts, and has its own source, whatever else is installed."""
    fake_ssh.install(tmp_path, monkeypatch)
    one = link(f"ssh=pc1//python={fake_ssh.without_packages(tmp_path)}")
    assert one.record().pid.isdigit()
    assert "harness.runner.remote.agent" in sources()
    assert not [name for name, (text, _) in sources().items() if "pydantic" in text and "import pydantic" in text]


def test_a_surprise_of_a_driver_is_an_error(link: Connect) -> None:
    with pytest.raises((EngineError, ServerError), match="from pc1: "):
        link().open("mongodb", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100&tls=maybe", RC)


def test_clock(link: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = link().record()
    assert 0 < record.clock_error < record.round_trip
    assert abs(record.clock_offset) <= record.clock_error + 0.001  # it is the same clock
    assert (record.name, record.address, record.lost) == ("pc1", "", "")


def test_a_url_as_it_is_reached_from_there(link: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh.install(tmp_path, monkeypatch)
    monkeypatch.setattr(Link, "controller", "192.168.7.1")
    there = link("ssh=pc1")
    assert there.url("postgresql://u:p%40@127.0.0.1:5433/db?a=1") == "postgresql://u:p%40@192.168.7.1:5433/db?a=1"
    assert there.url("redis://:p@localhost/0") == "redis://:p@192.168.7.1/0"
    assert there.url("postgresql://u:p@db.example:5432/db") == "postgresql://u:p@db.example:5432/db"
    assert there.url("mongodb://a,b:27018/?replicaSet=rs") == "mongodb://a,b:27018/?replicaSet=rs"
    monkeypatch.setattr(Link, "controller", "fd00::1")
    assert there.url("postgresql://u:p@127.0.0.1:5433/db") == "postgresql://u:p@[fd00::1]:5433/db"


def test_an_agent_that_is_killed(link: Connect, url: str) -> None:
    one = link()
    running, idle = opened(one, url), opened(one, url)
    running.send(Statement("SELECT pg_sleep(60)"))
    os.kill(int(one.record().pid), signal.SIGKILL)
    outcome = running.run(Statement("SELECT 1")) if running.fileno() == -1 else None
    eventually(lambda: outcome or running.receive(), "what ran has ended")
    assert one.lost.startswith("pc1: the agent there has ended, or was killed")
    error = idle.run(Statement("SELECT 1")).error
    assert error is not None
    assert (error.kind, error.code, error.message) == (ErrorKind.connection, "host lost", one.lost)
    assert idle.fileno() == -1
    with pytest.raises(HostError, match="pc1: no session could be opened there: pc1: the agent"):
        opened(one, url)
    idle.close()


def test_an_agent_that_says_nothing_is_cut_off(link: Connect, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PULSE", 0.05)
    monkeypatch.setattr(link_module, "SILENCE", 0.5)
    one = link()
    session = opened(one, url)
    agent = psutil.Process(int(one.record().pid))
    session.send(Statement("SELECT pg_sleep(60)"))
    agent.suspend()
    try:
        outcome = session.run(Statement("SELECT 1"))
        assert outcome.error is not None
        assert outcome.error.message == "pc1 is cut off: nothing was heard from it for 0.5 s"
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):  # who cuts it off ends it, too
            agent.kill()


def test_an_agent_that_hears_nothing_ends(
    link: Connect, url: str, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, package = sources()["harness.runner.remote.wire"]
    monkeypatch.setitem(sources(), "harness.runner.remote.wire", (text.replace("ALONE = 4.0", "ALONE = 0.5"), package))
    monkeypatch.setattr(Link, "_pulse", lambda self: None)
    one = link()
    session = opened(one, url)
    session.send(Statement("SELECT pg_sleep(60)"))
    eventually(lambda: one.lost, "the agent has ended")
    with psycopg.connect(url, autocommit=True) as look:
        count = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        eventually(lambda: look.execute(count, (session.pid,)).fetchone() == (0,), "its session is gone, and its locks")


def test_sessions_may_be_opened_side_by_side(link: Connect, url: str) -> None:
    one = link()
    made: list[RemoteSession] = []
    threads = [threading.Thread(target=lambda: made.append(opened(one, url))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({session.pid for session in made}) == 8
    for session in made:
        session.close()
    assert not one._sessions


def test_what_no_agent_says_ends_the_link(link: Connect) -> None:
    one = link()
    one._hear(("pong", "x", "y"))
    assert one.lost.startswith("pc1 is not understood")
