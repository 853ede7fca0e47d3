"""What breaks between PCs: two network namespaces, each with an sshd, stand for them (tests/namespaces).

The servers are of this run, as with ``--tx``: they listen for the PCs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import psycopg
import pytest
from leftovers import Server, databases, own
from namespaces import Network
from polling import eventually

from harness.errors import HostError
from harness.evidence.deadlock import find
from harness.evidence.model import Evidence, Status
from harness.history import EventKind, RunEnd
from harness.runner.remote.specs import host_specs
from harness.runner.remote.wire import ALONE, PULSE, SILENCE
from harness.scenario.files import scenario_files
from harness.scenario.kinds import Kind, kind_of
from harness.scenario.model import Case, FreeRunning
from harness.suite import Settings, Suite
from harness.vocabulary import Phenomenon

ROOT = Path(__file__).resolve().parents[3]
TWO_HOSTS = ROOT / "scenarios/deadlock/two_hosts.yaml"
TWO_SERVERS = ROOT / "scenarios/deadlock/two_hosts_two_servers.yaml"

HOLDS = """
title: One holds, the other one waits
database: promptsales
hosts: [pc1, pc2]
setup: ["CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 10)"]
sessions:
  A: {on: pc1, setup: begin, steps: {hold: UPDATE t SET v = 1, go_on: commit}}
  B: {on: pc2, setup: begin, steps: {want: UPDATE t SET v = 2, then: commit}}
schedule: [hold, want: blocks, go_on, then]
deadline: 60
expect: {postgresql: {any: {}}}
"""

SLEEPS = HOLDS.replace("go_on: commit", "nap: SELECT pg_sleep(60), go_on: commit").replace(
    "[hold, want: blocks, go_on, then]", "[hold, want: blocks, nap, go_on, then]"
)
"""While the other one waits, the holder does something that takes its time."""


class Desk:
    """A run whose sessions are on the PCs."""

    def __init__(self, pcs: Network, folder: Path) -> None:
        self.pcs = pcs
        self.folder = folder
        self.suites: list[Suite] = []
        self.suite = self.open()

    def open(self, **python: Path) -> Suite:
        """A run; ``pc1=PATH`` says which Python to take there."""
        texts = [self.tx(pc.name, python.get(pc.name)) for pc in self.pcs.pcs]
        made = Suite(
            Settings(
                root=ROOT, results=self.folder / "results", mode="embedded", environ={}, hosts=tuple(host_specs(texts))
            )
        )
        self.suites.append(made)
        return made

    def tx(self, name: str, python: Path | None = None) -> str:
        return f"ssh={name}//ssh_config={self.pcs.ssh_config}" + (f"//python={python}" if python else "")

    def cases(self, text: str | Path, suite: Suite | None = None) -> list[Case]:
        file = text if isinstance(text, Path) else self.folder / "case.yaml"
        if isinstance(text, str):
            file.write_text(text, "utf-8")
        return [case for case in (suite or self.suite).cases(file) if not case.reason]

    def run(self, text: str | Path, suite: Suite | None = None) -> Evidence:
        """Run the first case."""
        return (suite or self.suite).run(self.cases(text, suite)[0]).evidence

    def begin(self, text: str | Path) -> Callable[[], Evidence]:
        """Run the first case in a thread; what is given back waits for its evidence."""
        ended: SimpleQueue[Evidence | BaseException] = SimpleQueue()
        (case, *_) = self.cases(text)
        self.suite.prefetch([case])

        def work() -> None:
            try:
                ended.put(self.suite.run(case).evidence)
            except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
                ended.put(error)

        threading.Thread(target=work, daemon=True).start()

        def end() -> Evidence:
            made = ended.get(timeout=60)
            if isinstance(made, BaseException):
                raise made
            return made

        return end

    def look(self) -> Server:
        """A look at the server beside the harness."""
        return psycopg.connect(self.suite.servers.target("promptsales").url, autocommit=True)

    def close(self) -> None:
        for suite in self.suites:
            suite.close()
            suite.servers.stop()


@pytest.fixture(scope="module")
def one_desk(pcs: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(pcs, tmp_path_factory.mktemp("desk"))
    yield desk
    desk.close()


@pytest.fixture
def desk(one_desk: Desk, mended: Network) -> Desk:
    """The run of all tests here, with whole links; what a test has broken, the next case mends."""
    one_desk.suite.hosts._given_up.clear()
    return one_desk


@pytest.fixture(autouse=True)
def nothing_stays(desk: Desk) -> Iterator[None]:
    """After each test: no session of the run from a PC, no database of it; what was broken or not."""
    yield
    with desk.look() as connection:
        for pc in desk.pcs.pcs:
            eventually(lambda pc=pc: not on(connection, pc.address), f"no session from {pc.name} is left")  # type: ignore[misc]
        there = set(databases(connection, own(desk.suite)))
        assert there <= desk.suite.databases.templates


@pytest.fixture
def server(desk: Desk) -> Iterator[Server]:
    desk.suite.prefetch(desk.cases(TWO_HOSTS))
    with desk.look() as connection:
        yield connection


def waiting(server: Server) -> list[int]:
    """The sessions that wait for a lock."""
    rows = server.execute(
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'psh:%'"
    )
    return [int(row[0]) for row in rows]  # type: ignore[call-overload]


def alive(server: Server, pids: Sequence[str]) -> bool:
    """Whether any of these sessions is still there, and with it its locks."""
    row = server.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s::int[])", (list(pids),)).fetchone()
    return row != (0,)


def on(server: Server, address: str) -> list[str]:
    """The sessions that come from an address."""
    rows = server.execute("SELECT pid FROM pg_stat_activity WHERE client_addr = %s::inet", (address,))
    return [str(row[0]) for row in rows]


def ends(evidence: Evidence, step: str) -> EventKind:
    return [event.kind for event in evidence.history.events if event.step == step][-1]


# -- all is well


def test_a_deadlock_between_two_pcs(desk: Desk) -> None:
    evidence = desk.run(TWO_HOSTS)
    history = evidence.history
    assert evidence.verdict.status is Status.passed
    assert [(one.name, one.host) for one in history.sessions] == [("Ana", "pc1"), ("Luis", "pc2")]
    assert [(one.name, one.hostname, one.address) for one in history.hosts] == [
        (pc.name, pc.name, pc.address) for pc in desk.pcs.pcs
    ]
    assert all(host.clock_error < host.round_trip and not host.lost for host in history.hosts)
    pids = [one.pids["db"] for one in history.sessions]
    assert len(set(pids)) == 2
    (report,) = history.reports
    assert all(f"Process {pid} waits for" in report.text for pid in pids)
    (found,) = find(history)
    assert (found.victim, found.code) == ("Luis", "40P01")
    ended = [event for event in history.events if event.kind in (EventKind.ok, EventKind.error)]
    assert all(event.host_began and event.host_ended for event in ended)


def test_the_server_sees_the_addresses_of_the_pcs(desk: Desk, server: Server) -> None:
    end = desk.begin(SLEEPS)
    eventually(lambda: waiting(server), "B waits")
    seen = {pc.name: on(server, pc.address) for pc in desk.pcs.pcs}
    assert [len(pids) for pids in seen.values()] == [1, 1]
    server.execute("SELECT pg_terminate_backend(%s)", (seen["pc1"][0],))
    evidence = end()
    assert {one.host: one.pids["db"] for one in evidence.history.sessions} == {
        name: pids[0] for name, pids in seen.items()
    }


def test_a_deadlock_over_two_servers_and_two_pcs(desk: Desk) -> None:
    evidence = desk.run(TWO_SERVERS)
    assert evidence.verdict.status is Status.passed
    assert evidence.verdict.phenomena == [Phenomenon.hidden_deadlock]
    assert len({database.server for database in evidence.history.databases}) == 2
    assert [one.host for one in evidence.history.sessions] == ["pc1", "pc2"]


def test_python_and_the_driver_are_enough_there(desk: Desk) -> None:
    suite = desk.open(pc1=desk.pcs["pc1"].bare_python(), pc2=desk.pcs["pc2"].bare_python())
    assert desk.run(TWO_HOSTS, suite).verdict.status is Status.passed


PARTS = 4
"""A scenario takes two seconds there: several processes share them."""


@pytest.mark.parametrize("part", range(PARTS))
def test_every_scenario_on_a_bad_link(desk: Desk, part: int) -> None:
    """20 ms each way and 1 % of all packets lost: each scenario, on each engine that it runs on here."""
    seen: dict[tuple[Path, str], Case] = {}
    for file in scenario_files([ROOT / "scenarios"]):
        if kind_of(file) is not Kind.scenario:
            continue
        for case in desk.suite.cases(file):
            if not case.reason:
                seen.setdefault((file, case.databases[0].label), case)
    assert len(seen) > 30
    mine = list(seen.values())[part::PARTS]
    desk.suite.prefetch(mine)
    wrong = {}
    for pc in desk.pcs.pcs:
        pc.slow(20, 1)
    for case in mine:
        if case.scenario.free_running:
            case = _shorter(case)
        verdict = desk.suite.run(case).evidence.verdict
        if verdict.status is not Status.passed:
            wrong[case.id] = verdict.mismatches
    assert not wrong


def _shorter(case: Case) -> Case:
    """A free run of fewer transactions: four hundred would take most of a minute on this link."""
    free = FreeRunning(4, 15)
    counts = {name: 60 if count == 400 else count for name, count in case.expectation.counts.items()}
    return replace(
        case,
        scenario=replace(case.scenario, free_running=free),
        expectation=replace(case.expectation, counts=counts),
    )


def test_clocks_five_seconds_apart(desk: Desk) -> None:
    suite = desk.open(pc2=desk.pcs["pc2"].skewed_python(5))
    evidence = desk.run(TWO_HOSTS, suite)
    history = evidence.history
    assert evidence.verdict.status is Status.passed
    right, wrong = history.hosts
    assert abs(right.clock_offset) < 0.5
    assert abs(wrong.clock_offset - 5) <= wrong.clock_error + 0.001
    order = [event.step for event in history.events if event.kind in (EventKind.ok, EventKind.error)]
    assert order.index("luis_gives_1") < order.index("ana_gives_2") < order.index("ana_commits")
    on_their_clocks = {event.step: event.host_ended for event in history.events if event.host_ended}
    assert on_their_clocks["luis_rolls_back"] > on_their_clocks["ana_commits"]  # and yet it came before
    assert any("pc2: its clock is" in note for note in evidence.verdict.notes)


# -- and now it breaks


def test_a_pc_that_cannot_be_reached_at_the_start(desk: Desk) -> None:
    desk.pcs["pc2"].kill(r"^sshd: .*\[listener\]")
    suite = desk.open()
    with pytest.raises(HostError, match=r"^pc2 cannot be reached: .*Connection refused") as caught:
        suite.prefetch(desk.cases(TWO_HOSTS))
    assert "pc1" not in str(caught.value)
    assert not suite.store.folder.exists()


def test_the_agent_is_killed_in_mid_step(desk: Desk, server: Server) -> None:
    end = desk.begin(SLEEPS)
    eventually(lambda: waiting(server), "B waits")
    holder = on(server, desk.pcs["pc1"].address)
    desk.pcs["pc1"].kill("python.*readline")
    evidence = end()
    _lost(evidence, "pc1: the agent there has ended, or was killed")
    assert not alive(server, holder)
    assert desk.run(TWO_HOSTS).verdict.status is Status.passed  # the next case reaches it anew


def test_the_link_is_cut_while_a_session_holds_a_lock(desk: Desk, server: Server) -> None:
    """Noticed within 3 s, the other side's statement cancelled, the lock released within 5 s: what the issue asks for."""
    end = desk.begin(SLEEPS)
    eventually(lambda: waiting(server), "B waits")
    holder = on(server, desk.pcs["pc1"].address)
    assert len(holder) == 1
    desk.pcs["pc1"].cut()
    cut = time.monotonic()
    evidence = end()
    assert time.monotonic() - cut < 5
    _lost(evidence, f"pc1 is cut off: nothing was heard from it for {SILENCE:g} s")
    assert not alive(server, holder)
    assert SILENCE + PULSE < 3


def test_the_link_is_cut_while_the_holder_does_nothing(desk: Desk, server: Server) -> None:
    """Between two steps of its session nobody waits for an answer from that PC, only for its lock."""
    text = HOLDS.replace(
        "schedule: [hold, want: blocks,",
        "  C: {on: pc2, steps: {nap: SELECT pg_sleep(60)}}\nschedule: [hold, want: blocks, nap,",
    )
    end = desk.begin(text)
    eventually(lambda: waiting(server), "B waits")
    desk.pcs["pc1"].cut()
    evidence = end()
    assert evidence.history.end is RunEnd.lost
    assert evidence.history.end_text.startswith("pc1 is cut off")
    assert ends(evidence, "hold") is EventKind.ok
    assert [ends(evidence, step) for step in ("want", "nap")] == [EventKind.timeout, EventKind.timeout]


def test_a_victim_that_cannot_tell(desk: Desk, server: Server) -> None:
    """The victim's PC is cut off before its error comes: no deadlock is called one, and the server's log is kept."""
    text = TWO_HOSTS.read_text("utf-8").replace("deadlock_priority: low", "deadlock_priority: high")
    end = desk.begin(text.replace("title:", "settings: {postgresql: {deadlock_timeout: 1s}}\ntitle:"))
    eventually(lambda: len(waiting(server)) == 2, "the ring")
    desk.pcs["pc1"].cut()
    evidence = end()
    assert evidence.history.end is RunEnd.lost
    assert Phenomenon.deadlock not in evidence.verdict.phenomena
    assert any(picture.cycle for picture in evidence.history.pictures)


def test_the_server_is_restarted(desk: Desk, server: Server) -> None:
    end = desk.begin(SLEEPS)
    eventually(lambda: waiting(server), "B waits")
    (postmaster,) = [one for one in desk.suite.servers.otherwise.folder.records() if one.server == "pg1"]  # type: ignore[attr-defined]
    os.kill(postmaster.pid, signal.SIGQUIT)
    evidence = end()
    assert evidence.verdict.status is Status.error
    assert evidence.history.end is RunEnd.lost
    assert ends(evidence, "hold") is EventKind.ok  # what had been seen is kept
    assert not any(host.lost for host in evidence.history.hosts)
    again = desk.run(TWO_HOSTS)  # on a new server, which listens for the PCs too
    assert again.verdict.status is Status.passed
    assert [one.host for one in again.history.sessions] == ["pc1", "pc2"]


def _lost(evidence: Evidence, why: str) -> None:
    """What is kept of a case whose holder A, on pc1, was lost while B waited for it."""
    history = evidence.history
    assert (history.end, evidence.verdict.status) == (RunEnd.lost, Status.error)
    assert why in history.end_text
    assert [host.lost != "" for host in history.hosts] == [True, False]
    assert ends(evidence, "hold") is EventKind.ok
    nap = next(event for event in history.events if event.step == "nap" and event.kind is EventKind.error)
    assert nap.error is not None
    assert nap.error.message.startswith(why)
    want = next(event for event in history.events if event.step == "want" and event.kind is EventKind.timeout)
    assert want.error is not None
    assert want.error.code == "57014"  # the server's word: its statement was cancelled, it did not get the lock
    assert ends(evidence, "go_on") is EventKind.skipped
    blocked = [event for event in history.events if event.kind is EventKind.blocked]
    assert [event.waits_for for event in blocked] == [["A"]]


# -- the controller is killed


@pytest.mark.parametrize("cut", [False, True], ids=["", "and the link is cut"])
def test_the_controller_is_killed(
    desk: Desk, server: Server, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """The agents end by themselves, within 5 s: at once if they hear of it, else when nothing comes any more."""
    assert ALONE < 5
    (pytester.path / "scenarios").mkdir()
    (pytester.path / "scenarios" / "sleeps.yaml").write_text(SLEEPS)
    url = desk.suite.servers.target("promptsales").url.replace("127.0.0.1", desk.pcs.address)
    words = [word for pc in desk.pcs.pcs for word in ("--tx", f"ssh={pc.name}")]
    before = {pc.name: set(pc.processes("python.*readline")) for pc in desk.pcs.pcs}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "scenarios", *words],
        cwd=pytester.path,
        env=desk.pcs.environment | {"PROMPTSALES_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        eventually(lambda: waiting(server), "B waits")
        agents = {pc.name: set(pc.processes("python.*readline")) - before[pc.name] for pc in desk.pcs.pcs}
        assert all(agents.values())
        sessions = [pid for pc in desk.pcs.pcs for pid in on(server, pc.address)]
        if cut:
            desk.pcs["pc1"].cut()
    finally:
        process.kill()
        process.wait()
    for pc in desk.pcs.pcs:
        eventually(lambda pc=pc: not agents[pc.name] & set(pc.processes()), f"the agent on {pc.name} has ended")  # type: ignore[misc]
    eventually(lambda: not alive(server, sessions), "their sessions are gone, and their locks")
