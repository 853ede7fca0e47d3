"""The way in over HTTP: a bearer token on each request (RFC 6750), verified each time: a revoked session is refused at once.

Source: Model Context Protocol, "Authorization"; RFC 9728 (what a client is told about where tokens come from).
"""

from __future__ import annotations

import json
import logging
from typing import Any

import anyio
import anyio.to_thread
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import ServerRequestContext
from starlette.types import ASGIApp, Receive, Scope, Send

from harness.errors import HarnessError, SourceError, TokenRefused, ToolRefused
from harness.sso.model import Caller, Verifier

logger = logging.getLogger("promptsales.mcp")

MOST_TOKEN = 8 * 1024
"""Bytes of an Authorization header."""
_AT_ONCE = 16  # tokens that are verified
_CALLER = "promptsales.caller"


class Bearer:
    """Lets only requests through that bring a token which ``verifier`` takes."""

    def __init__(self, app: ASGIApp, verifier: Verifier, metadata_url: str) -> None:
        self._app, self._verifier, self._metadata_url = app, verifier, metadata_url
        self._room: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._room = self._room or anyio.CapacityLimiter(_AT_ONCE)
        try:
            token = _token(scope)
            caller = await anyio.to_thread.run_sync(self._verifier.verify, token, limiter=self._room)
        except _NoToken:
            await self._refuse(send, 401, None, "a bearer token is needed")
        except TokenRefused as error:
            await self._refuse(send, 401, "invalid_token", str(error))
        except HarnessError as error:
            logger.warning("tokens cannot be verified: %s", error if isinstance(error, SourceError) else type(error))
            await self._refuse(send, 503, "temporarily_unavailable", "tokens cannot be verified now: try again later")
        else:
            # What the SDK holds its sessions to.
            access = AccessToken(
                token="", client_id=caller.client, scopes=sorted(caller.roles), subject=caller.subject,
                claims={"iss": caller.issuer},
            )  # fmt: skip
            await self._app({**scope, _CALLER: caller, "user": AuthenticatedUser(access)}, receive, send)

    async def _refuse(self, send: Send, status: int, error: str | None, text: str) -> None:
        plain = text.encode("ascii", "replace").decode().replace("\\", "/").replace('"', "'")  # a header's quoted text
        said = [f'error="{error}", error_description="{plain}"'] if error else []
        challenge = ", ".join([*said, f'resource_metadata="{self._metadata_url}"'])
        body = json.dumps({"error": error or "invalid_request", "error_description": text}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        headers.append(
            (b"www-authenticate", f"Bearer {challenge}".encode()) if status == 401 else (b"retry-after", b"5")
        )
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def caller_of(ctx: ServerRequestContext[Any, Any]) -> Caller:
    """Whom :class:`Bearer` let through with this request. Raises ToolRefused if nobody was."""
    caller = ctx.request.scope.get(_CALLER) if ctx.request is not None else None
    if not isinstance(caller, Caller):
        raise ToolRefused("nobody is logged in")
    return caller


class _NoToken(Exception):
    """There is none in the request."""


def _token(scope: Scope) -> str:
    """The token of the Authorization header; one in the address or the body is none. Raises _NoToken, TokenRefused."""
    found: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    if not found:
        raise _NoToken
    if len(found) > 1:
        raise TokenRefused("there are several Authorization headers")
    if len(found[0]) > MOST_TOKEN:
        raise TokenRefused(f"the token has more than {MOST_TOKEN} bytes")
    scheme, _, token = found[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise _NoToken
    token = token.strip()
    if not token.isascii() or not token:
        raise TokenRefused("what stands after Bearer is no token")
    return token
