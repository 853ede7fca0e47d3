"""A run that is given up, cut off or killed leaves no process, no server and no database; two at once are refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

import harness_world as world
import psutil
import psycopg
import pytest
from harness_world import TESTER

from harness.errors import SourceError, ToolRefused
from harness.mcp import harness_run
from harness.mcp.harness_child import environ_of, servers_of
from harness.mcp.harness_tools import HarnessSettings, HarnessTools, open_toolset
from harness.mcp.model import GIVEN_UP
from harness.servers.embedded import EmbeddedServers
from harness.servers.listening import NOWHERE
from harness.servers.runfolder import base_path
from harness.suite import Suite
from tests import leftovers
from tests.polling import eventually

pytestmark = pytest.mark.mcp


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[HarnessTools]:
    made = open_toolset({}, HarnessSettings(world.scenarios(tmp_path / "scenarios"), tmp_path / "results"))
    yield made
    made.close()


class Call:
    """A call of run_scenario in a thread, as the core makes it."""

    def __init__(self, tools: HarnessTools, scenario: str = "slow") -> None:
        self.given_up = threading.Event()
        self.result: Future[object] = Future()
        self._before = {one.pid for one in world.family()}

        def work() -> None:
            GIVEN_UP.set(self.given_up)
            try:
                self.result.set_result(tools.run_scenario(TESTER, scenario))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test wants it
                self.result.set_exception(error)

        threading.Thread(target=work, daemon=True).start()

    def processes(self) -> list[psutil.Process]:
        """All that the call has started."""
        return [one for one in world.family() if one.pid not in self._before]

    def at_work(self) -> list[psutil.Process]:
        """The same, once the scenario's statement is at work on its server."""
        assert not self.result.done() or self.result.result(), "it ended too early"
        found = self.processes()
        return found if any(world.sleeps(one) for one in found) else []


def gone(processes: list[psutil.Process]) -> None:
    """Wait until all of them have ended, and the folders of their servers with them."""
    eventually(lambda: not world.alive(processes), "processes of the run are left", 30)


def folders() -> set[str]:
    return {one.name for one in base_path().glob("run-*")} if base_path().is_dir() else set()


def test_given_up_in_the_middle(tools: HarnessTools) -> None:
    before = folders()
    call = Call(tools)
    started = eventually(call.at_work, "the statement does not run", 60)
    made = folders() - before
    call.given_up.set()
    with pytest.raises(ToolRefused, match="nobody waits for the run any more"):
        call.result.result(timeout=30)
    gone(started)
    eventually(lambda: not made & folders(), "a server's data is left")
    assert tools.run_scenario(TESTER, "rotated").as_expected, "the next run can begin"


def test_the_server_ends_in_the_middle(tools: HarnessTools) -> None:
    call = Call(tools)
    started = eventually(call.at_work, "the statement does not run", 60)
    tools.close()
    with pytest.raises(ToolRefused, match="it was ended"):
        call.result.result(timeout=30)
    gone(started)


def test_too_long_a_run_is_ended(tools: HarnessTools, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tools._runner.run
    monkeypatch.setattr(tools._runner, "run", lambda *given: run(*given, seconds=4.0))
    call = Call(tools)
    with pytest.raises(ToolRefused, match="did not end within 4 s and was ended: choose one database"):
        call.result.result(timeout=60)
    gone(call.processes())


def test_a_second_run_is_refused_while_one_goes_on(tools: HarnessTools) -> None:
    call = Call(tools)
    started = eventually(call.at_work, "the statement does not run", 60)
    with pytest.raises(ToolRefused, match=r"a run is going on: slow, for \d+ s: try again"):
        tools.run_scenario(TESTER, "rotated")
    assert tools.list_scenarios(TESTER).items, "reading goes on"
    call.given_up.set()
    with pytest.raises(ToolRefused):
        call.result.result(timeout=30)
    gone(started)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_child_is_killed(tools: HarnessTools) -> None:
    call = Call(tools)
    started = eventually(call.at_work, "the statement does not run", 60)
    next(one for one in started if world.runs_harness(one)).kill()
    with pytest.raises(SourceError, match=r"the run's process was cut off \(signal 9\): run it again") as cut:
        call.result.result(timeout=30)
    assert str(Path.cwd()) not in str(cut.value)
    gone(started)
    assert tools.run_scenario(TESTER, "rotated").as_expected


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_guard_is_killed(tools: HarnessTools) -> None:
    call = Call(tools)
    started = eventually(call.at_work, "the statement does not run", 60)
    next(one for one in started if any("hop_guard" in word for word in one.cmdline())).kill()
    with pytest.raises(SourceError, match="the run's process was cut off"):
        call.result.result(timeout=30)
    gone(started)


PROGRAM = """
import sys
from pathlib import Path
from harness.mcp.harness_tools import HarnessSettings, open_toolset
from harness.sso.model import Caller
tools = open_toolset({}, HarnessSettings(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
tools.run_scenario(Caller("x", "x", frozenset({"tester"}), "stdio"), "slow")
"""


@contextmanager
def elsewhere(
    tmp_path: Path, mode: str, **environ: str
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], list[psutil.Process]]]]:
    """An MCP server's process that runs the slow scenario, and what comes of it."""
    scenarios = world.scenarios(tmp_path / "scenarios")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(scenarios), str(tmp_path / "results"), mode], env=os.environ | environ
    )
    try:
        yield process, lambda: world.family(process.pid)
    finally:
        with suppress(OSError):
            process.kill()
        process.wait()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_server_is_killed(tmp_path: Path) -> None:
    with elsewhere(tmp_path, "embedded") as (process, started):
        mine = eventually(lambda: [one for one in started() if world.sleeps(one)] and started(), "it does not run", 60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        gone(mine)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_server_is_killed_and_leaves_no_database_on_a_server_that_stays(suite: Suite, tmp_path: Path) -> None:
    url = suite.servers.target("promptsales").url
    with psycopg.connect(url, autocommit=True) as server:
        before = set(leftovers.databases(server, "psh_"))

        def fresh() -> set[str]:
            return set(leftovers.databases(server, "psh_")) - before

        def sleeping() -> bool:
            ask = "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY(%s) AND query LIKE 'SELECT pg_sleep%%'"
            row = server.execute(ask, (list(fresh()),)).fetchone()
            return bool(row and row[0])

        with elsewhere(tmp_path, "external", PROMPTSALES_URL=url) as (process, started):
            eventually(sleeping, "the statement does not run", 60)
            mine = started()
            process.send_signal(signal.SIGKILL)
            process.wait()
            gone(mine)
            eventually(lambda: not fresh(), "a database is left")


def test_a_url_in_the_environment_is_none_of_an_embedded_run(
    tools: HarnessTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTSALES_URL", "postgresql://nobody:secret@127.0.0.1:1/promptsales")
    monkeypatch.setenv("PROMPTSALES_SERVERS", "external")
    assert tools.run_scenario(TESTER, "rotated").as_expected


def test_where_a_run_may_go() -> None:
    given = {
        "PROMPTSALES_URL": "a",
        "CACHE_URL": "b",
        "PROMPTSALES_LISTEN": "c",
        "PROMPTSALES_SERVERS": "d",
        "HOME": "e",
    }
    assert environ_of("embedded", given) == environ_of("containers", given) == {"HOME": "e"}
    assert environ_of("external", given) == {
        name: text for name, text in given.items() if name != "PROMPTSALES_SERVERS"
    }
    assert (
        servers_of("external", "run", os.getpid(), Path.cwd(), given | {"PROMPTSALES_URL": "postgresql://x/y"})
        is not None
    )
    embedded = servers_of("embedded", "run", os.getpid(), Path.cwd(), given)
    assert isinstance(embedded, EmbeddedServers), "those that 'harness up' keeps are not asked"
    assert embedded.listening == NOWHERE


def test_servers_that_cannot_be_had_are_told_without_host_or_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PROMPTSALES_URL", "postgresql://ana:geheim@127.0.0.1:1/promptsales")
    settings = HarnessSettings(world.scenarios(tmp_path / "scenarios"), tmp_path / "results", "external")
    tools = open_toolset({}, settings)
    try:
        said = "; ".join(one.summary for one in tools.run_scenario(TESTER, "rotated").cases)
    except SourceError as error:
        said = str(error)
    assert said
    for secret in ("ana", "geheim", "127.0.0.1", "postgresql://"):
        assert secret not in said
    assert "log" in said
    assert caplog.records
    assert "geheim" not in caplog.text


def test_an_unknown_kind_of_servers_is_refused_at_once(tmp_path: Path) -> None:
    from harness.errors import ServerError

    with pytest.raises(ServerError, match="unknown kind of servers 'embeded', did you mean 'embedded'"):
        open_toolset({}, HarnessSettings(tmp_path, tmp_path, "embeded"))


def test_the_caller_is_still_there_when_a_run_is_ended() -> None:
    assert harness_run.MOST_SECONDS < harness_run.SECONDS


def test_after_closing_nothing_is_started(tools: HarnessTools) -> None:
    tools.close()
    tools.close()
    with pytest.raises(SourceError, match="the server is ending"):
        tools.run_scenario(TESTER, "rotated")
