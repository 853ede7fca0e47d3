from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.servers.embedded import EmbeddedServers, embedded_servers

PROJECT = Path(__file__).resolve().parents[2]
_numbers = itertools.count()


def new_run_id() -> str:
    return f"test{os.getpid()}x{next(_numbers)}"


def _path(first: list[str]) -> list[str]:
    return [*first, str(PROJECT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]


class Script:
    """Python code in a process of its own, which prints lines and ends when its input does."""

    def __init__(self, code: str, *arguments: object, tmp: Path | None = None, **options: Any) -> None:
        env = dict(os.environ, PYTHONPATH=os.pathsep.join(_path(options.pop("path", []))))
        if tmp:
            env["TMPDIR"] = str(tmp)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd=tmp or PROJECT,
            **options,
        )

    def line(self) -> str:
        assert self.process.stdout
        return str(self.process.stdout.readline()).strip()

    def output(self) -> str:
        return str(self.process.communicate(timeout=60)[0]).strip()


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    started: list[Script] = []

    def start(code: str, *arguments: object, **options: Any) -> Script:
        started.append(Script(code, *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def private_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of our own, so that no other run on this machine reaps in it; open to pass through."""
    with tempfile.TemporaryDirectory(dir="/tmp" if os.name == "posix" else None, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedServers]:
    """One embedded set for all tests of this process."""
    servers = embedded_servers(new_run_id(), os.getpid())
    yield servers
    servers.stop()
