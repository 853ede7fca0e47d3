from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.errors import ServerError
from harness.servers import launch as module
from harness.servers.launch import Plan, launch

LISTEN = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""


def connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=1).close()


def plan(folder: Path, command: Callable[[int], list[str]]) -> Plan:
    return Plan("a server", command, connect, (OSError,), folder, folder, dict(os.environ))


def test_a_server_that_fails_is_told_with_its_last_lines(tmp_path: Path) -> None:
    code = "import sys; print('what went wrong'); sys.exit(7)"
    with pytest.raises(ServerError) as caught:
        launch(plan(tmp_path, lambda port: [sys.executable, "-c", code]), lambda pid: None)
    assert str(caught.value) == ("a server did not start (exit status 7); its last log lines:\n    what went wrong")


def test_a_port_that_is_taken_meanwhile_is_another_attempt(tmp_path: Path) -> None:
    ports: list[int] = []

    def command(port: int) -> list[str]:
        ports.append(port)
        if len(ports) == 1:
            return [sys.executable, "-c", "import sys; sys.exit('bind: Address already in use')"]
        return [sys.executable, "-c", LISTEN, str(port)]

    pids: list[int] = []
    port = launch(plan(tmp_path, command), pids.append)
    assert port == ports[1]
    assert len(pids) == 2
    psutil.Process(pids[1]).kill()


def test_a_server_that_lets_nobody_in_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DEADLINE", 0.3)
    pids: list[int] = []
    code = "import time; print('still thinking', flush=True); time.sleep(60)"
    with pytest.raises(ServerError, match=r"a server let nobody log in for 0 s \(.*refused.*\); its last log lines"):
        launch(plan(tmp_path, lambda port: [sys.executable, "-c", code]), pids.append)
    assert not psutil.pid_exists(pids[0])


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="a server cannot be started: No such file"):
        launch(plan(tmp_path, lambda port: [str(tmp_path / "nothing")]), lambda pid: None)


def test_a_full_disk_that_the_server_finds_is_one_line(tmp_path: Path) -> None:
    code = "import sys; sys.exit('FATAL: could not write file: No space left on device')"
    with pytest.raises(ServerError) as caught:
        launch(plan(tmp_path, lambda port: [sys.executable, "-c", code]), lambda pid: None)
    assert str(caught.value).startswith("a server cannot be started: no space left on the disk (")
    assert "\n" not in str(caught.value)
