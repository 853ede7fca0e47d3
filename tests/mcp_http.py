"""A server over HTTP on a loopback port of its own, in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.types import ASGIApp

from harness.errors import HarnessError
from harness.mcp.http import Place, app_of, place_of
from harness.sso.model import Verifier
from harness.sso.serve import listen

ISSUER = "http://127.0.0.1:9"


@contextlib.contextmanager
def listening(app: ASGIApp, port: socket.socket) -> Iterator[None]:
    """The application, on a socket that is bound already."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2, timeout_keep_alive=75))
    thread = threading.Thread(target=server.run, args=([port],), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)


def port() -> socket.socket:
    return listen("127.0.0.1", 0)


@contextlib.contextmanager
def served(
    servers: Mapping[str, MCPServer[Any]], verifiers: Mapping[str, Verifier], *, away: HarnessError | None = None
) -> Iterator[Place]:
    """Servers behind these verifiers."""

    def ready() -> None:
        if away:
            raise away

    with port() as bound:
        place = place_of("127.0.0.1", bound.getsockname()[1], None, None, None)
        with listening(app_of(servers, verifiers, place, ISSUER, ready), bound):
            yield place
