"""Servers over streamable HTTP: each at ``/<name>/mcp``, behind its bearer tokens, all in one process.

Every request stands for itself (the SDK's stateless mode): a token is verified each time, and any of several processes
behind a balancer may answer.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import anyio
import anyio.to_thread
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl, ConfigDict, TypeAdapter
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from harness.errors import DataError, HarnessError
from harness.mcp.bearer import Bearer
from harness.servers.base import is_loopback
from harness.sso.model import Verifier

# Without the slash that pydantic adds: RFC 8414, 3.3 compares issuers letter by letter.
_ISSUER = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))

MOST_BODY = 64 * 1024
"""Bytes of a request."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where servers listen, and what clients call it."""

    host: str
    port: int
    url: str
    """As clients have it, without a path: ``http://127.0.0.1:8765``, or the name of the proxy before it."""
    certificate: str | None = None
    key: str | None = None

    def resource(self, name: str) -> str:
        """The address of a server, which is also the audience of its tokens (RFC 8707)."""
        return f"{self.url}/{name}/mcp"


def place_of(host: str, port: int, url: str | None, certificate: str | None, key: str | None) -> Place:
    """Where to listen. Raises DataError: tokens would go over a network unencrypted, or the URL is none."""
    scheme = "https" if certificate else "http"
    shown = f"[{host}]" if ":" in host else host
    base = (url or f"{scheme}://{shown}:{port}").rstrip("/")
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _ends_there(parts):
        raise DataError(f"{base!r} is not the address of servers: https://host[:port], without a path")
    if (certificate is None) != (key is None):
        raise DataError("a certificate and its key are given together: --tls-cert and --tls-key")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise DataError(
            f"{base}: bearer tokens would go over the network unencrypted: give --tls-cert and --tls-key, "
            "or --url https://… of the proxy that does it"
        )
    if not is_loopback(host) and certificate is None and url is None:
        raise DataError(
            f"listening on {host} needs --tls-cert and --tls-key, or --url https://… of the proxy before it"
        )
    return Place(host, port, base, certificate, key)


def check_certificate(place: Place) -> None:
    """Raises DataError: certificate and key cannot be read, or do not belong together."""
    if place.certificate is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A key with a password is refused: there is nobody to ask.
        context.load_cert_chain(place.certificate, place.key, password=lambda: "")
    except (OSError, ValueError) as error:  # of ssl, too
        why = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else ""
        raise DataError(
            f"--tls-cert {place.certificate}, --tls-key {place.key}: "
            f"{why or 'not a certificate in PEM and its key, without a password'}"
        ) from None


def _ends_there(parts: SplitResult) -> bool:
    """Whether an address is a host and a port, and nothing else."""
    try:
        return parts.port != 0 and not (parts.query or parts.fragment or parts.path or parts.username)
    except ValueError:  # no number
        return False


def app_of(
    servers: Mapping[str, MCPServer[Any]],
    verifiers: Mapping[str, Verifier],
    place: Place,
    issuer: str,
    ready: Callable[[], None],
) -> Starlette:
    """The application: servers and verifiers, by name. ``ready`` raises HarnessError while nothing could be answered."""
    host = urlsplit(place.url).netloc
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True, allowed_hosts=[host, *_same(place)], allowed_origins=[place.url]
    )
    routes: list[BaseRoute] = []
    for name, server in servers.items():
        resource = AnyHttpUrl(place.resource(name))
        inner = server.streamable_http_app(
            stateless_http=True, max_request_body_size=MOST_BODY, transport_security=security
        )
        guarded = Bearer(_posts(inner), verifiers[name], str(build_resource_metadata_url(resource)))
        routes += create_protected_resource_routes(
            resource, [_ISSUER.validate_python(issuer)], resource_name=f"PromptSales {name}"
        )
        routes.append(Mount(f"/{name}", app=guarded))

    async def living(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    probe = _Probe(ready)

    async def readiness(_: Request) -> Response:
        if await probe.good():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "databases are away"}, 503)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for server in servers.values():
                await stack.enter_async_context(server.session_manager.run())
            yield

    health = [Route("/healthz", living), Route("/readyz", readiness)]
    return Starlette(routes=[*health, *routes], lifespan=lifespan)


class _Probe:
    """Whether the databases answer. They are asked once a second and one at a time, however many want to know: who asks
    shows no token, and must not take connections and threads from those who do."""

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._one_at_a_time = anyio.Lock()
        self._thread = anyio.CapacityLimiter(1)
        self._until = 0.0
        self._good = False

    async def good(self) -> bool:
        """As it was found a second ago at most."""
        async with self._one_at_a_time:
            if time.monotonic() >= self._until:
                self._good = await anyio.to_thread.run_sync(self._ask, limiter=self._thread)
                self._until = time.monotonic() + 1
            return self._good

    def _ask(self) -> bool:
        try:
            self._ready()
        except HarnessError:
            return False
        return True


def _posts(app: ASGIApp) -> ASGIApp:
    """Without the stream that a client can listen on: nothing is ever said there, and it would stay open after a log-out.

    A server without it answers 405 (Streamable HTTP, "Listening for Messages from the Server").
    """

    async def only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] != "POST":
            await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
        else:
            with contextlib.suppress(ClientDisconnect):  # before all of its request was here
                await app(scope, receive, send)

    return only


def _same(place: Place) -> list[str]:
    """The names that a loopback address goes by too, and whatever probes say who ask the process itself."""
    if is_loopback(urlsplit(place.url).hostname or ""):
        return [f"{name}:{place.port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    return []
