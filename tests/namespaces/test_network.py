"""The PCs of the tests are what they are taken for: apart, reachable by ssh, and gone afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import execnet
import pytest
from polling import eventually

from namespaces import Network, commands
from namespaces.fixtures import shared
from namespaces.network import candidates, reserve


def ssh(pcs: Network, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ssh", *words], env=pcs.environment, capture_output=True, text=True, timeout=30, check=False)


def test_ssh_goes_by_the_name_of_the_pc(pcs: Network) -> None:
    for name in "pc1", "pc2":
        answer = ssh(pcs, name, "hostname && pwd")
        assert (answer.stdout.split(), answer.stderr) == ([name, str(pcs[name].home)], "")
        assert ssh(pcs, pcs[name].address, "hostname").stdout == f"{name}\n"


def test_execnet_goes_by_the_name_too(pcs: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `--tx` does: by the `ssh` that is first on the PATH, or by the ssh_config it is told."""
    say = "import os; channel.send((os.uname().nodename, os.getpid()))"
    group = execnet.Group()
    told = group.makegateway(f"ssh=pc1//ssh_config={pcs.ssh_config}//python={pcs['pc1'].bare_python()}")
    monkeypatch.setenv("PATH", pcs.environment["PATH"])
    found = group.makegateway("ssh=pc2")
    try:
        for name, gateway in ("pc1", told), ("pc2", found):
            host, pid = gateway.remote_exec(say).receive(20)
            assert host == name
            assert pid in pcs[name].processes("python")
    finally:
        group.terminate(5)


def test_the_python3_of_a_pc_is_that_of_the_tests(pcs: Network) -> None:
    answer = ssh(pcs, "pc1", "python3 -c 'import sys, harness; print(sys.prefix)'")
    assert answer.stdout.strip() == sys.prefix, answer.stderr


def test_a_host_key_that_is_not_known_is_refused(pcs: Network, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("")
    answer = ssh(pcs, "-o", f"UserKnownHostsFile={known}", "pc1", "true")
    assert answer.returncode == 255
    assert "Host key verification failed" in answer.stderr


def test_the_pcs_and_the_controller_reach_each_other(pcs: Network) -> None:
    connect = "import socket, sys; print(socket.create_connection((sys.argv[1], 22), timeout=5).recv(4).decode())"
    for one, other in ("pc1", "pc2"), ("pc2", "pc1"):
        answer = pcs[one].run([sys.executable, "-c", connect, pcs[other].name])
        assert answer.stdout == "SSH-\n", answer.stderr
    listen = "import socket; s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True); "
    listen += "print(s.accept()[1][0])"
    here = subprocess.Popen([sys.executable, "-c", listen], stdout=subprocess.PIPE, text=True)
    assert here.stdout is not None
    port = here.stdout.readline().strip()
    talk = f"import socket; socket.create_connection(({pcs.address!r}, {port}), timeout=5)"
    assert pcs["pc2"].run([sys.executable, "-c", talk]).returncode == 0
    assert here.communicate(timeout=20)[0].strip() == pcs["pc2"].address


def test_a_pc_knows_no_way_out(pcs: Network) -> None:
    out = "import socket; socket.create_connection(('198.51.100.1', 9), timeout=5)"
    assert "Network is unreachable" in pcs["pc1"].run([sys.executable, "-c", out]).stderr


def test_the_processes_of_a_pc_are_its_own(pcs: Network) -> None:
    say = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"
    with pcs["pc1"].start([sys.executable, "-c", say, "marked"]) as by_pid:
        assert by_pid.stdout is not None
        pid = int(by_pid.stdout.readline())
        assert list(pcs["pc1"].processes("marked")) == [pid]
        assert not pcs["pc2"].processes("marked")
        assert pcs["pc1"].kill(pid) == [pid]
        assert by_pid.wait(20) in (-signal.SIGKILL, 128 + signal.SIGKILL)
    with pcs["pc2"].start([sys.executable, "-c", say, "marked"]) as by_pattern:
        assert by_pattern.stdout is not None
        by_pattern.stdout.readline()
        assert not pcs["pc1"].kill("marked", signal.SIGTERM)
        assert len(pcs["pc2"].kill("marked", signal.SIGTERM)) == 1
        assert by_pattern.wait(20) in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_who_is_left_alone_on_a_pc_is_reaped(pcs: Network) -> None:
    assert ssh(pcs, "pc1", "(sleep 0.05 &) >/dev/null 2>&1 </dev/null").returncode == 0
    zombies = "grep -l '^State:.Z' /proc/[0-9]*/status"
    eventually(lambda: not pcs["pc1"].run(["sh", "-c", zombies]).stdout, "a process that has ended is still there")


def test_an_sshd_that_was_killed_listens_again(mended: Network) -> None:
    pc = mended["pc1"]
    assert pc.kill("sshd")
    eventually(lambda: not pc.listening(), "it is not dead")
    assert ssh(mended, "pc1", "true").returncode == 255
    mended.restore()
    assert ssh(mended, "pc1", "true").returncode == 0


def test_networks_keep_apart(pcs: Network) -> None:
    with Network(1) as other:
        assert not other.subnet.overlaps(pcs.subnet)
        assert ssh(other, "pc1", "hostname").stdout == "pc1\n"
        assert len(other.pcs) == 1
    lock, mine = reserve()
    with lock:
        again, other_subnet = reserve()
        again.close()
        assert not mine.overlaps(other_subnet)
    assert len(set(candidates(7))) == 2048 + 512


def test_a_process_has_one_network(pcs: Network) -> None:
    with shared as again:
        assert again is pcs
    assert pcs["pc1"].listening()


def test_closed_all_is_gone(leftovers: Leftovers) -> None:
    with Network() as network:
        seen = leftovers.of(network)
        assert leftovers.left(seen)
    assert not leftovers.left(seen)


def test_killed_all_is_gone(leftovers: Leftovers) -> None:
    holder = """
        import json, sys
        from namespaces import Network
        from namespaces.test_network import Leftovers
        network = Network()
        network["pc1"].slow(5, way="relay")
        network["pc2"].start(["sleep", "1000"])
        print(json.dumps(Leftovers().of(network)), flush=True)
        sys.stdin.read()
    """
    tests = str(Path(__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(holder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": tests},
    ) as process:
        assert process.stdout is not None
        seen = json.loads(process.stdout.readline())
        assert leftovers.left(seen)
        assert len(seen["processes"]) >= 8  # three keepers with their waits, two sshd, a relay
        process.kill()
    eventually(lambda: not leftovers.left(seen), f"of {seen} something is left")


class Leftovers:
    """What a network is made of, and what of it is still there, by marks that the kernel does not soon give to others."""

    def of(self, network: Network) -> dict[str, list[str]]:
        keepers = [network.switch, *(pc.keeper for pc in network.pcs)]
        spaces = {keeper.link(kind) for keeper in keepers for kind in ("net", "pid_for_children")}
        processes = {of for of, inside in self.processes().items() if inside & spaces}
        interface = f"{network.interface} {Path('/sys/class/net', network.interface, 'ifindex').read_text()}"
        return {"processes": sorted(processes), "interfaces": [interface], "folders": [str(network.folder)]}

    def left(self, seen: dict[str, list[str]]) -> set[str]:
        interfaces = set()
        for file in Path("/sys/class/net").glob("psh-*/ifindex"):
            with suppress(OSError):  # another one of its kind, gone meanwhile
                interfaces.add(f"{file.parent.name} {file.read_text()}")
        folders = {folder for folder in seen["folders"] if os.path.exists(folder)}
        return set(seen["processes"]) & set(self.processes()) | set(seen["interfaces"]) & interfaces | folders

    @staticmethod
    def processes() -> dict[str, set[str]]:
        """All there are, by pid and the moment they began, with the namespaces they are in."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                began = (folder / "stat").read_text().rpartition(")")[2].split()[19]
                found[f"{folder.name} {began}"] = {os.readlink(folder / "ns" / kind) for kind in ("net", "pid")}
        return found


@pytest.fixture
def leftovers(pcs: Network) -> Leftovers:
    """Only where there are PCs at all."""
    return Leftovers()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"platform": "darwin"}, "Linux network namespaces, and this is darwin", id="not-linux"),
        pytest.param({"uid": 1000}, "run these tests as root", id="not-root"),
        pytest.param({"path": "/nowhere"}, "apt-get install iproute2 openssh-client openssh-server", id="no-programs"),
    ],
)
def test_where_there_can_be_none_it_says_why(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str], says: str
) -> None:
    monkeypatch.setattr(sys, "platform", change.get("platform", "linux"))
    monkeypatch.setattr(os, "geteuid", lambda: change.get("uid", 0))
    monkeypatch.setattr(commands, "SYSTEM", change.get("path", commands.SYSTEM))
    reason = commands.missing()
    assert reason is not None
    assert says in reason


def test_without_capabilities_it_is_refused(pcs: Network) -> None:
    """Not by guess: a root that may not make namespaces is asked to."""
    tests = str(Path(__file__).parent.parent)
    bounded = ["setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-sys_admin,-net_admin"]
    ask = "from namespaces import missing; print(missing())"
    argv = [*bounded, sys.executable, "-c", ask]
    said = subprocess.run(argv, env=os.environ | {"PYTHONPATH": tests}, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "root without CAP_NET_ADMIN, CAP_SYS_ADMIN: start the container with --privileged"


def test_a_kernel_that_refuses_is_no_failure_of_the_tests() -> None:
    said = "unshare: unshare failed: Operation not permitted\n"
    with pytest.raises(commands.Refused, match=r"without --privileged: .* not permitted"):
        commands.failed(["/usr/bin/unshare", "--net"], 1, said)
    with pytest.raises(commands.Failed, match=r"ip .*none-such.* ended with 1"):
        commands.call(["ip", "link", "show", "dev", "none-such"])
