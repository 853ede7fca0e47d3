"""What tests share that start a server of their own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(question: Callable[[], object], seconds: float = 15.0) -> None:
    """Ask the server again and again: no guessed pauses, and a test that fails does not hang."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "it never came true"


def stop_server(server: subprocess.Popen[bytes]) -> None:
    """Politely, then not: SecantusDB 0.7.0b3 now and then never ends on SIGTERM."""
    server.terminate()
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(30)
