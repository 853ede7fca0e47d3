"""Serving: until the client is gone (stdio), or until Ctrl-C or SIGTERM (HTTP); logins are kept alive meanwhile."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace

import anyio

from harness.etl.ending import sigterm_ends
from harness.mcp.bearer import caller_of
from harness.mcp.http import Place, app_of
from harness.mcp.local import always
from harness.mcp.opening import LOG_GATE, Opened
from harness.servers.logins import kept
from harness.sso.model import Caller
from harness.sso.serve import listen
from harness.sso.verify import TokenVerifier, VerifierSettings, open_verifier

_AT_ONCE = 1000  # connections of clients
_KEEP_ALIVE = 75  # seconds that a client's connection may rest; with fewer, a slow client meets its end
_SESSIONS = 4  # connections of one server for its tokens
_GRACE_SECONDS = 5  # for requests that are being answered when the server is ended


def log_to_stderr(level: str = "WARNING") -> None:
    """What the server and the SDK have to say goes to stderr, a line each: stdout is the protocol's."""
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def serve_stdio(opened: Opened, caller: Caller, close: Callable[[], None]) -> None:
    """Serve the one server over stdin and stdout, until the client closes them.

    A signal ends it at once, after ``close``: the thread that reads stdin could not be waited for.
    """
    (server,) = opened.servers(always(caller)).values()

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        close()
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with kept(opened.entered):
        anyio.run(server.run_stdio_async)


def serve_http(opened: Opened, place: Place, settings: VerifierSettings, ready: Callable[[str], None]) -> None:
    """Serve over HTTP until Ctrl-C or SIGTERM; ``ready`` is told a line for each server once it listens.

    ``settings``: of tokens; their audience is each server's own address, besides those that are named. Raises ServerError
    if the address is taken, DataError if tokens cannot be verified that way.
    """
    import uvicorn

    from harness.servers.impatient import Impatient

    with contextlib.ExitStack() as stack:
        verifiers: dict[str, TokenVerifier] = {}
        for name in opened.toolsets:
            audiences = (place.resource(name), *settings.audiences)
            verifiers[name] = open_verifier(
                replace(settings, audiences=audiences, sessions=_SESSIONS), opened.entered.targets[LOG_GATE]
            )
            stack.callback(verifiers[name].close)
        app = app_of(opened.servers(caller_of), verifiers, place, settings.issuer, opened.check)
        config = uvicorn.Config(
            app,
            host=place.host,
            port=place.port,
            ssl_certfile=place.certificate,
            ssl_keyfile=place.key,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            http=Impatient,
            timeout_keep_alive=_KEEP_ALIVE,
            limit_concurrency=_AT_ONCE,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        listening = stack.enter_context(listen(place.host, place.port))
        for name in opened.toolsets:
            ready(f"{name}: {place.resource(name)}")
        with kept(opened.entered), contextlib.suppress(KeyboardInterrupt), sigterm_ends():
            uvicorn.Server(config).run([listening])
