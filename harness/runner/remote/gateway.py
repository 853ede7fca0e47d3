"""The way to a machine: an execnet gateway over ssh to a Python there, which needs to have nothing of ours.

Who is on the other side, ssh proves by its keys, and all that goes over it is encrypted.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import execnet
from execnet.gateway_bootstrap import HostNotFound

from harness.errors import HostError
from harness.runner.remote.specs import HostSpec

CONNECT_SECONDS = 5
"""Seconds that ssh may take to reach a machine."""

NEEDED = (3, 11)
"""The oldest Python that an agent runs on."""

SSH_OPTIONS = f"-o BatchMode=yes -o ConnectTimeout={CONNECT_SECONDS} -o ServerAliveInterval=2 -o ServerAliveCountMax=2"
"""Nobody is asked for a password, and a machine that says nothing any more is given up."""

_PYTHONS = ("python3", "python")  # as Linux calls it, as Windows does


_LOOK = """
import os, platform, sys

words = os.environ.get("SSH_CONNECTION", "").split()  # client, its port, server, its port: ssh(1)
here, controller = (words[2], words[0]) if len(words) == 4 else ("", "")
system = platform.system() + " " + platform.release()
node = os.environ.get("PROMPTSALES_NODE", "")
python = platform.python_version()
channel.send((platform.node(), here, controller, system, python, str(os.getpid()), node, sys.version_info[:2]))
"""
"""Runs there."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What a machine says of itself when it is reached. Addresses are empty for a process on this one."""

    hostname: str
    address: str  # where it was reached
    controller: str  # this machine's address, as it sees us
    system: str
    python: str
    pid: str
    node: str  # of a cluster, where it is a pod there: its environment says so


@dataclass(slots=True)
class Gateway:
    """A way that is open; :meth:`close` ends the Python there."""

    spec: HostSpec
    where: Whereabouts
    group: execnet.Group
    inner: execnet.Gateway

    def close(self, seconds: float = 2.0) -> None:
        """End it, by force after ``seconds``. Never raises."""
        with contextlib.suppress(Exception):  # whatever execnet meets on its way: what matters is the next line
            self.group.terminate(timeout=seconds)
        self.cut()

    def cut(self) -> None:
        """End our side at once: nobody is waited for."""
        with contextlib.suppress(Exception):
            self.inner._io.kill()

    @property
    def python(self) -> str:
        """The word that started the Python there."""
        return str(self.inner.spec.python or "")

    @property
    def status(self) -> int | None:
        """What our side of it ended with; None while it runs."""
        with contextlib.suppress(Exception):
            process: Any = self.inner._io
            code: int | None = process.popen.poll()
            return code
        return None


def open_gateway(host: HostSpec) -> Gateway:
    """Reach a machine. Raises HostError: what is wrong (unreachable, refused, no Python, too old), and what to do."""
    given = host.spec.python
    with _log() as log:
        for python in (given,) if given else ("",) if host.is_local else _PYTHONS:
            with contextlib.suppress(_NoPython):
                return _opened(host, python, None if host.is_local else log)
    tried = given or " or ".join(_PYTHONS)
    raise HostError(
        f"{host.name}: there is no {tried} that runs; install Python {_dotted(NEEDED)} or newer there, or say where it is: "
        f"--tx {host.text.partition('//')[0]}//python=PATH"
    )


_FAILURES = (
    HostNotFound,
    OSError,
    EOFError,
    AssertionError,
    execnet.RemoteError,
    execnet.TimeoutError,
    subprocess.SubprocessError,
)
"""What execnet raises where there is no Python on the other side."""


class _NoPython(Exception):
    """The machine is there, and what was to run on it is not."""


@contextlib.contextmanager
def _log() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="psh-ssh-") as folder:
        yield Path(folder) / "log"


def _opened(host: HostSpec, python: str, log: Path | None) -> Gateway:
    spec = host.spec
    spec.id = host.name
    if python:
        spec.python = python
    if log is not None:
        log.unlink(missing_ok=True)
        spec.ssh = f"{SSH_OPTIONS} -E {log} {spec.ssh}"
    group = execnet.Group()
    try:
        inner = group.makegateway(spec)
        channel = inner.remote_exec(_LOOK)
        said = channel.receive(timeout=30)
        channel.waitclose(timeout=5)
        where = Whereabouts(*said[:7])
        version = tuple(said[7])
    except FileNotFoundError as problem:
        raise HostError(f"{host.name}: {problem.filename} is not installed here") from None
    except _FAILURES as problem:
        with contextlib.suppress(Exception):
            group.terminate(timeout=0.5)
        if isinstance(problem, HostNotFound) or _ssh_said(log):
            raise HostError(f"{host.name} cannot be reached: {_reason(log)}") from None
        if isinstance(problem, AssertionError):  # execnet's: not Python's first word
            raise HostError(
                f"{host.name}: something there writes before Python does; start-up files of the shell (.bashrc) must be "
                "silent where there is no terminal"
            ) from None
        raise _NoPython from problem
    gateway = Gateway(host, where, group, inner)
    if version < NEEDED:
        gateway.close()
        raise HostError(
            f"{host.name}: Python {where.python} there, and {_dotted(NEEDED)} or newer is needed; say which one to take: "
            f"--tx {host.text.partition('//')[0]}//python=PATH"
        )
    return gateway


def _ssh_said(log: Path | None) -> str:
    if log is None:
        return ""
    try:
        lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return ""
    return "; ".join(line for line in lines if line and not line.startswith("Warning: Permanently added"))


def _reason(log: Path | None) -> str:
    said = _ssh_said(log)
    if "Permission denied" in said:
        return f"{said}; put your public key into its authorized_keys (ssh-copy-id), and try: ssh -o BatchMode=yes HOST true"
    if "Host key verification failed" in said:
        return f"{said}; log in there once by hand (ssh HOST) and compare the fingerprint"
    return f"{said or 'ssh gave up without a word'}; is it on, is its ssh server running, does its firewall let port 22 in?"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
