"""The issuer as a server: uvicorn over :mod:`harness.sso.app`, with a login to PromptSales of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import uvicorn

from harness.errors import ServerError, SourceError
from harness.servers.base import Target, is_loopback
from harness.servers.impatient import Impatient
from harness.servers.logins import LoginFor, kept, logins
from harness.sso.app import issuer_app
from harness.sso.keys import Keys
from harness.sso.provider import IssuerSettings
from harness.sso.sessions import Sessions

LOGIN = LoginFor("promptsales", "promptsales_sso")
PREFIX = "psh_sso_"
TIDY = 3600.0
"""Seconds from one clearing away of old sessions to the next."""

FORGOTTEN = timedelta(days=30)
"""How long after its end a session is cleared away."""


@contextlib.contextmanager
def entered(target: Target, note: Callable[[str], None]) -> Iterator[Target]:
    """PromptSales with a login that may do what an issuer does, and nothing else; looked after meanwhile."""
    with logins({"promptsales": target}, [LOGIN], PREFIX, valid=None) as ours:
        for line in ours.notes:
            note(line)
        with kept(ours):
            yield ours.targets[LOGIN]


def serve(settings: IssuerSettings, target: Target, keys: Keys, listening: socket.socket) -> None:
    """Answer until SIGINT or SIGTERM. ``target``: see :func:`entered`."""
    logging.getLogger("harness.sso").setLevel(logging.INFO)
    sessions = Sessions(target.url, most=8)
    over = threading.Event()

    def tidy() -> None:
        while not over.wait(TIDY):
            with contextlib.suppress(SourceError):
                sessions.run(lambda link: link.execute("SELECT purge_sessions(%s)", [FORGOTTEN]))

    threading.Thread(target=tidy, name="sso-tidy", daemon=True).start()
    try:
        server = uvicorn.Server(config(settings, sessions, keys))
        asyncio.run(server.serve(sockets=[listening]))
    finally:
        over.set()
        sessions.close()


def config(settings: IssuerSettings, sessions: Sessions, keys: Keys) -> uvicorn.Config:
    """How uvicorn serves the issuer: bounded, and without a log of addresses, which hold what is nobody's business."""
    return uvicorn.Config(
        issuer_app(settings, sessions, keys),
        access_log=False,
        server_header=False,
        log_level="warning",
        lifespan="off",
        ws="none",
        http=Impatient,
        h11_max_incomplete_event_size=32 * 1024,
        limit_concurrency=200,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=5,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises ServerError if it cannot."""
    listening = None
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With its protocol named: asyncio sends at once only then, else each answer waits 40 ms for the acknowledgement.
        listening = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(128)
    except OSError as problem:
        if listening is not None:
            listening.close()
        why = problem.strerror if isinstance(problem, socket.gaierror) else os.strerror(problem.errno or 0)
        advice = "; --port chooses another" if problem.errno == errno.EADDRINUSE else ""
        raise ServerError(f"{host}:{port}: cannot be listened on: {why}{advice}") from None
    return listening


def url_of(host: str, port: int) -> str:
    """The issuer's URL where none is given. Only this machine's may be without https."""
    name = "127.0.0.1" if is_loopback(host) and ":" not in host else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def keys_file(root: Path) -> Path:
    """Where the keys lie that nobody has brought."""
    from harness.servers.kept import FOLDER

    return root / FOLDER / "sso" / "keys.json"
