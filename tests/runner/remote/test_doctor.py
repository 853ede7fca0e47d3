"""``harness doctor`` on two network namespaces that stand for PCs: what it finds, and what it says to do."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
from namespaces import Network
from polling import eventually

from harness.doctor import examine
from harness.doctor_facts import HERE, Examination, Level, State
from harness.doctor_text import line
from harness.runner.remote import questions
from harness.runner.remote.source import sources
from harness.servers.embedded import EmbeddedServers, embedded_servers
from harness.servers.kept import down, up
from harness.servers.urls import VARIABLE, secrets_of
from harness.vocabulary import LOGICAL

Look = Callable[..., Examination]


@dataclass
class Desk:
    """Two PCs, and servers that listen for pc1 only (PostgreSQL), or for whoever has the password (the others)."""

    pcs: Network
    servers: EmbeddedServers
    folder: Path

    def tx(self, name: str, python: Path | None = None, **more: str) -> str:
        words = {"ssh": name, "ssh_config": str(self.pcs.ssh_config)} | ({"python": str(python)} if python else {})
        return "//".join(f"{key}={value}" for key, value in (words | more).items())

    @property
    def both(self) -> list[str]:
        return [self.tx("pc1"), self.tx("pc2")]

    def url(self, logical: str) -> str:
        """As it is reached from everywhere."""
        return self.servers.target(logical).url.replace("127.0.0.1", self.pcs.address)

    def look(self, tx: list[str], mode: str = "external", **urls: str) -> Examination:
        """With these URLs and nothing else in the environment; no password of any of them may come out."""
        found = examine(
            tx, mode=mode, root=self.folder, environ={VARIABLE[logical]: url for logical, url in urls.items()}
        )
        told = json.dumps(found.record()) + "\n".join(map(line, found.findings))
        for url in (*urls.values(), *(self.url(logical) for logical in ("promptsales", "cache", "promptcontent"))):
            for secret in secrets_of(url):
                assert secret not in told
        return found


@pytest.fixture(scope="module")
def desk(pcs: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    servers = embedded_servers(f"doctor{os.getpid()}", os.getpid())
    try:
        servers.listen([pcs.address], [pcs["pc1"].address])
        servers.prefetch(["promptsales", "cache", "promptcontent"])
        yield Desk(pcs, servers, tmp_path_factory.mktemp("desk"))
    finally:
        servers.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines that give up sooner a port that does not answer."""
    text, package = sources()[questions.__name__]
    short = text.replace(f"PORT_SECONDS = {questions.PORT_SECONDS}", "PORT_SECONDS = 0.5")
    assert short != text
    monkeypatch.setitem(sources(), questions.__name__, (short, package))


def states(found: Examination, name: str) -> dict[str, State]:
    """How far a machine gets with each database."""
    (machine,) = (machine for machine in found.machines if machine.name == name)
    return {reach.logical: reach.state for reach in machine.databases}


def said(found: Examination, level: Level = Level.problem) -> list[str]:
    """The findings, but for what is said of databases that no URL was given for."""
    told = [line(finding) for finding in found.findings if finding.level is level]
    return [text for text in told if "no URL given" not in text]


def test_all_is_well_on_two_pcs_with_servers_of_the_run(desk: Desk) -> None:
    found = desk.look(desk.both, "embedded")
    assert (found.ready, found.findings) == (True, ())
    assert [machine.name for machine in found.machines] == [HERE, "pc1", "pc2"]
    for machine in found.machines:
        assert states(found, machine.name) == dict.fromkeys(LOGICAL, State.ok)
        assert [driver.driver.split()[0] for driver in machine.drivers] == ["psycopg", "pymongo", "redis"]
    _, pc1, pc2 = found.machines
    assert (pc1.hostname, pc1.address) == ("pc1", desk.pcs["pc1"].address)
    assert (pc2.hostname, pc2.address) == ("pc2", desk.pcs["pc2"].address)
    assert pc1.clock is not None
    assert 0 < pc1.clock.round_trip <= pc1.clock.median


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_nothing_is_left(desk: Desk) -> None:
    """No agent on a PC, no agent and no server here, no session."""

    def children() -> list[psutil.Process]:
        return [child for child in psutil.Process().children(recursive=True) if runs(child)]

    before = children()
    desk.look(desk.both, "embedded", promptsales=desk.url("promptsales").replace("harness:", "ana:"))
    desk.look(desk.both[:1], promptsales=desk.url("promptsales"))
    for pc in desk.pcs.pcs:
        eventually(lambda pc=pc: not pc.processes("python"), f"an agent is left on {pc.name}")  # type: ignore[misc]
    eventually(lambda: not [child for child in children() if child not in before], "a process is left here")
    with psycopg.connect(desk.url("promptsales"), autocommit=True) as server:
        ask = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'psh:doctor%'"
        eventually(lambda: server.execute(ask).fetchone() == (0,), "a session is left")


def test_a_pc_that_is_off_does_not_keep_the_others_from_being_looked_at(desk: Desk) -> None:
    found = desk.look([desk.tx("pc9"), desk.tx("pc1")], cache=desk.url("cache"))
    (text,) = said(found)
    assert text.startswith("pc9: cannot be reached: ssh: Could not resolve hostname pc9")
    assert text.endswith("is it on, is its ssh server running, does its firewall let port 22 in?")
    assert not found.ready
    assert states(found, "pc9") == {}
    assert states(found, "pc1") == {"cache": State.ok}


def test_no_driver(desk: Desk) -> None:
    python = desk.pcs["pc2"].bare_python(())
    found = desk.look([desk.tx("pc1"), desk.tx("pc2", python)], cache=desk.url("cache"))
    (text,) = said(found)
    assert text.startswith(f"pc2: redis is not installed → there: {python} -m ensurepip")
    assert text.endswith(f"then: {python} -m pip install redis")
    assert states(found, "pc2") == {"cache": State.no_driver}
    assert states(found, "pc1") == {"cache": State.ok}


def test_a_wrong_clock_and_a_slow_link_are_warnings(desk: Desk, mended: Network) -> None:
    python = mended["pc1"].skewed_python(5)
    with mended["pc2"].slow(30):
        found = desk.look([desk.tx("pc1", python), desk.tx("pc2")], cache=desk.url("cache"))
    assert found.ready
    clock, slow = said(found, Level.warning)
    assert re.match(r"pc1: its clock is [45]\.\d{3} s ahead of the one here .* → turn on NTP", clock)
    assert re.match(r"pc2: a word there and back takes .* → each step there takes as long", slow)


def test_one_machine_twice(desk: Desk) -> None:
    found = desk.look([desk.tx("pc1"), desk.tx("pc1", id="again")], cache=desk.url("cache"))
    (text,) = said(found, Level.warning)
    assert text.startswith(f"pc1, again: this is one and the same machine (pc1, {desk.pcs['pc1'].address})")
    assert found.ready


def test_a_server_that_does_not_listen_for_them(desk: Desk) -> None:
    """Its URL says where it would be, and there is nobody at that address: it listens on another one."""
    loopback = embedded_servers(f"doctorx{os.getpid()}", os.getpid())
    try:
        own = loopback.target("cache").url
        away = own.replace("127.0.0.1", desk.pcs.address)
        (text,) = said(desk.look(desk.both, cache=away))
        assert text.startswith(f"here, pc1, pc2: cache: nobody listens for it at {desk.pcs.address}:")
        assert text.endswith(f"in redis.conf: bind 127.0.0.1 {desk.pcs.address} and requirepass, then restart it")
        found = desk.look(desk.both, cache=own)
        (text,) = said(found)
        assert text == (
            "pc1, pc2: cache: its URL says a loopback address, which is another machine there "
            f"→ write {desk.pcs.address} in it"
        )
        assert states(found, HERE) == {"cache": State.ok}
    finally:
        loopback.stop()


def test_kept_servers_that_listen_here_only(desk: Desk) -> None:
    root = desk.folder / "kept"
    root.mkdir()
    up(root, logicals=["cache"], environ={})
    try:
        found = examine(desk.both, mode="embedded", root=root, environ={})
        assert {name: states(found, name)["cache"] for name in (HERE, "pc1")} == {
            HERE: State.ok,
            "pc1": State.out_of_reach,
        }
        clients = ",".join(pc.address for pc in desk.pcs.pcs)
        (text,) = said(found)
        assert text == (
            "pc1, pc2: cache: its server listens on 127.0.0.1 only → 'harness down', then 'harness up --listen "
            f"{desk.pcs.address} --allow {clients}'"
        )
    finally:
        down(root)


def test_no_line_of_pg_hba_conf(desk: Desk) -> None:
    url = desk.url("promptsales")
    found = desk.look(desk.both, promptsales=url, promptads=desk.url("promptads"))
    assert states(found, "pc1") == {"promptsales": State.ok, "promptads": State.ok}
    (text,) = said(found)
    pc2 = desk.pcs["pc2"].address
    assert text.startswith(f"pc2: promptsales, promptads: no line of pg_hba.conf lets {pc2} in at {desk.pcs.address}:")
    assert f"→ on {desk.pcs.address}, in pg_hba.conf, above what rejects it: host all all {pc2}/32 scram-sha" in text


@pytest.mark.parametrize("logical", ["promptsales", "cache", "promptcontent"])
def test_a_wrong_password(desk: Desk, logical: str) -> None:
    wrong = re.sub(r":[^:@/]+@", ":not-the-one@", desk.url(logical))
    found = desk.look(desk.both[:1], **{logical: wrong})
    assert (states(found, HERE), states(found, "pc1")) == ({logical: State.login}, {logical: State.login})
    (text,) = said(found)
    assert re.match(rf"here, pc1: {logical}: \w+ at \S+ refuses the login: ", text)
    assert text.endswith(f"→ correct user, password and database in {VARIABLE[logical]}")


def test_a_machine_that_nobody_finds(desk: Desk, impatient: None) -> None:
    nobody = str(desk.pcs.subnet[99])
    found = desk.look([desk.tx("pc2")], promptsales=f"postgresql://u:hunter22@{nobody}/x")
    assert states(found, "pc2")["promptsales"] in (State.unreachable, State.silent)
    pc2 = desk.pcs["pc2"].address
    (text,) = (text for text in said(found) if text.startswith("pc2: "))
    assert f"does its firewall let {pc2} in? on {nobody}: sudo ufw allow from {pc2} to any port 5432 proto tcp" in text
    assert f"-LocalPort 5432 -RemoteAddress {pc2} -Action Allow" in text


def test_a_firewall(desk: Desk, impatient: None) -> None:
    """A server whose queue is full answers nobody, as one behind a firewall."""
    with full(desk.pcs.address) as port:
        found = desk.look([desk.tx("pc1")], cache=f"redis://:hunter22@{desk.pcs.address}:{port}/0")
    assert states(found, "pc1") == {"cache": State.silent}
    assert any(f"{desk.pcs.address}:{port} does not answer" in text for text in said(found))


@contextmanager
def full(address: str) -> Iterator[int]:
    with ExitStack() as held:
        door = held.enter_context(socket.create_server((address, 0), backlog=0))
        for _ in range(8):  # more than the kernel puts into a queue of 0
            knock = held.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(door.getsockname())
        yield door.getsockname()[1]


def test_a_pc_that_is_lost_meanwhile(desk: Desk, mended: Network) -> None:
    pc = mended["pc2"]

    def tell(now: str) -> None:
        if now.startswith("trying"):
            pc.kill("python")

    environ = {"CACHE_URL": desk.url("cache")}
    found = examine(desk.both, mode="external", root=desk.folder, environ=environ, tell=tell)
    (text,) = said(found)
    assert text.startswith("pc2: ")
    assert "the agent there has ended, or was killed" in text
    assert states(found, "pc1") == {"cache": State.ok}
