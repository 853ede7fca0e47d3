"""A process that holds namespaces: while it lives they live, and it lives no longer than who made it.

Nothing has a name under /run/netns. The first process of a new pid namespace waits for the end of its input, a pipe whose
other end only this process holds. When the pipe breaks, however that came about, the kernel ends all processes of the
namespace, and with them goes all that was theirs: interfaces, mounts, a host name.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from namespaces.commands import SYSTEM, call, failed, program

WAIT = "dd of=/dev/null status=none"
"""Waits for the end of the input; the shell for it, and so reaps whom nobody else waits for, as a first process must."""


class Keeper:
    """Namespaces of their own kind (`--net`, `--uts`, …), furnished by a line of shell."""

    def __init__(self, kinds: Sequence[str], script: str, *arguments: str) -> None:
        lines = f"set -e; {script}; echo ready; {WAIT}; exit 0"
        self.argv = [
            program("unshare"),
            *kinds,
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            lines,
            "keeper",
            *arguments,
        ]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            self.argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True, env={"PATH": SYSTEM}
        )

    def ready(self) -> None:
        """Wait until the namespaces are furnished; raises `Refused` or `Failed`."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        if self.process.stdout.readline() != "ready\n":
            failed(self.argv, self.process.wait(), self.process.stderr.read())
        self.pids = self.link("pid_for_children")

    def link(self, kind: str) -> str:
        """What the kernel calls one of the namespaces: `net:[4026532000]`."""
        return os.readlink(f"/proc/{self.process.pid}/ns/{kind}")

    def inside(self, *kinds: str, folder: Path | None = None) -> list[str]:
        """The head of a command line that runs in the namespaces (`net`, `uts`, `mount`, `pid`) instead of here."""
        files = {"mount": "mnt", "pid": "pid_for_children"}
        options = [f"--{kind}=/proc/{self.process.pid}/ns/{files.get(kind, kind)}" for kind in kinds]
        return [program("nsenter"), *options, *([f"--wd={folder}"] if folder else []), "--"]

    def links(self, *lines: str) -> None:
        """Commands of `ip`, each a line, run in the network namespace at one go."""
        call([*self.inside("net"), program("ip"), "-batch", "-"], "\n".join(lines) + "\n")

    def processes(self) -> dict[int, tuple[int, str]]:
        """Who runs in the pid namespace, but for its keeper: by its pid in there, its pid out here and its command line."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if os.readlink(folder / "ns/pid") == self.pids:
                    inner = int(re.findall(r"^NSpid:.*\s(\d+)$", (folder / "status").read_text(), re.MULTILINE)[0])
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    found[inner] = int(folder.name), line
        return {inner: (outer, line) for inner, (outer, line) in found.items() if inner != 1 and line != WAIT}

    def kill(self, outer: int, number: signal.Signals) -> None:
        """Send a signal, from out here."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(outer, number)

    def close(self) -> None:
        """End all of it, and wait for the end."""
        end(self.process)


def start(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """A helper process that ends when its input does."""
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, start_new_session=True, env=environment)


def end(process: subprocess.Popen[str]) -> None:
    """Close a process's input, wait for its end; kill it if there is none."""
    for pipe in pipes(process):
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def pipes(process: subprocess.Popen[str]) -> Iterator[IO[str]]:
    """Those it has."""
    return (pipe for pipe in (process.stdin, process.stdout, process.stderr) if pipe)
