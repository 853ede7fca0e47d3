"""One PC: namespaces with a name, an address, an sshd, and a cable to the switch."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from polling import eventually

from namespaces import pythons
from namespaces.commands import SYSTEM, failed, program
from namespaces.keeper import Keeper, end
from namespaces.link import Link, Way
from namespaces.ssh import write_server

FURNISH = """hostname "$1"; ip link set lo up; cd "$2"
for file in passwd shadow hosts; do mount --bind "$file" "/etc/$file"; done"""

BARE = "psycopg", "psycopg-binary", "typing-extensions"


class PC:
    """What stands for a PC. It has the machine's files, but a home and a TMPDIR of its own, /etc/passwd and /etc/hosts too.

    `name`, `address`: of the PC; `folder`: of its files, `home` and `log` (what its sshd says) among them.
    """

    def __init__(self, name: str, address: str, folder: Path) -> None:
        self.name = name
        self.address = address
        self.folder = folder
        self.home = folder / "home"
        self.log = folder / "sshd.log"
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{SYSTEM}",
            "TMPDIR": str(folder / "tmp"),
            "LANG": "C.UTF-8",
        }
        self._pythons = itertools.count(1)

    def furnish(self, key: Path, hosts: str) -> str:
        """Begin: its files (`hosts` is /etc/hosts, `key` may log in), its namespaces; gives its public host key."""
        for folder in self.home, self.folder / "tmp":
            folder.mkdir(parents=True)
        shell = "/bin/bash" if os.access("/bin/bash", os.X_OK) else "/bin/sh"
        others = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
        root = f"root:x:0:0:root:{self.home}:{shell}"
        (self.folder / "passwd").write_text("\n".join([root, *others]) + "\n")
        (self.folder / "shadow").write_text("root:*:20000:0:99999:7:::\n")  # not locked; no password either
        (self.folder / "hosts").write_text(hosts)
        self.keeper = Keeper(["--net", "--uts", "--mount-proc"], FURNISH, self.name, str(self.folder))
        return write_server(self.folder, self.address, key, self.environment)

    def plug(self, switch: Keeper, prefix: int) -> None:
        """Lay its cable and give it its address (`prefix`: the bits of it that are the network's)."""
        self.link = Link(switch, self.keeper, self.name)
        self.link.plug()
        self.keeper.links(
            f"addr add {self.address}/{prefix} dev eth0",
            "link set eth0 addrgenmode none up",
        )

    def start_sshd(self) -> None:
        """Have its sshd listen (again); it is there when this returns."""
        done = self.run([program("sshd"), "-f", str(self.folder / "sshd_config"), "-E", str(self.log)])
        if done.returncode:
            failed(done.args, done.returncode, done.stderr + self.log.read_text() if self.log.exists() else done.stderr)

    def listening(self) -> bool:
        """Whether its sshd answers the controller."""
        with suppress(OSError), socket.create_connection((self.address, 22), timeout=2) as asking:
            return asking.recv(4) == b"SSH-"
        return False

    def run(
        self, argv: Sequence[str], text: str | None = None, seconds: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on it, in its home, as `ssh` would (but not over the network), and wait for its end."""
        return subprocess.run(
            self._inside(argv),
            env=self._home(),
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def start(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Begin a program on it, with pipes; it ends with the PC, or by `kill` (its pid here is not the one on the PC)."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self._inside(argv), env=self._home(), stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def _inside(self, argv: Sequence[str]) -> list[str]:
        return [*self.keeper.inside("net", "uts", "mount", "pid", folder=self.home), *argv]

    def _home(self) -> dict[str, str]:
        return self.environment | {"HOME": str(self.home), "USER": "root", "LOGNAME": "root"}

    def processes(self, pattern: str = "") -> dict[int, str]:
        """Command lines of what runs on it and matches a regular expression, by pid on the PC."""
        return {pid: line for pid, (_, line) in self.keeper.processes().items() if re.search(pattern, line)}

    def kill(self, which: int | str, number: signal.Signals = signal.SIGKILL) -> list[int]:
        """Send a signal to one process (its pid on the PC) or to all whose command line matches; gives their pids."""
        hit = [
            (inner, outer)
            for inner, (outer, line) in self.keeper.processes().items()
            if (inner == which if isinstance(which, int) else re.search(which, line))
        ]
        for _, outer in hit:
            self.keeper.kill(outer, number)
        return [inner for inner, _ in hit]

    def cut(self) -> ExitStack:
        """Pull its cable: packets vanish both ways, and nobody is told. `with pc.cut():` mends it in the end."""
        self.link.cut()
        return _later(self.mend)

    def mend(self) -> None:
        """Plug the cable in again; connections that live go on once somebody sends again."""
        self.link.mend()

    def slow(self, milliseconds: float, loss_percent: float = 0, way: Way | None = None) -> ExitStack:
        """Delay and lose packets, each way: a round trip takes twice that. `with pc.slow(20, 1):` ends it in the end.

        By `tc netem` where the kernel has it, else by a relay in between; `way` says which it must be.
        """
        self.link.slow(milliseconds, loss_percent, way)
        return _later(self.fast)

    def fast(self) -> None:
        """A good link again; connections stay."""
        self.link.fast()

    def restore(self) -> None:
        """As it was in the beginning: a good link, and an sshd that listens."""
        self.mend()
        self.fast()
        eventually(self._awake, f"{self.name}'s sshd does not answer")

    def _awake(self) -> bool:
        if not self.processes(r"^sshd: .*\[listener\]"):
            self.start_sshd()
        return self.listening()

    def bare_python(self, distributions: Iterable[str] = BARE, seconds: float = 0) -> Path:
        """An interpreter that has these and nothing else: no pytest, no harness. Its clock is `seconds` ahead."""
        return pythons.make(self.folder / f"python{next(self._pythons)}", distributions, seconds)

    def skewed_python(self, seconds: float) -> Path:
        """An interpreter with all that the tests have, for which it is so many seconds later than it is."""
        return pythons.make(self.folder / f"python{next(self._pythons)}", None, seconds)

    def close(self) -> None:
        """End all that runs on it."""
        if hasattr(self, "link") and self.link.relay:
            end(self.link.relay)
        self.keeper.close()


def _later(undo: Callable[[], None]) -> ExitStack:
    stack = ExitStack()
    stack.callback(undo)
    return stack
