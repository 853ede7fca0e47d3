"""What tests share that start a server of their own."""

from __future__ import annotations

import socket
import subprocess


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stop_server(server: subprocess.Popen[bytes]) -> None:
    """Politely, then not: SecantusDB 0.7.0b3 now and then never ends on SIGTERM."""
    server.terminate()
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(30)
