"""The issuer behind the MCP SDK's OAuth handlers: clients, codes and sessions are PromptSales's, tokens are signed here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote
from uuid import UUID

import anyio
import anyio.to_thread
from mcp.server.auth.middleware.client_auth import AuthenticationError, ClientAuthenticator
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    AuthorizeError,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    RegistrationError,
    TokenError,
)
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyUrl
from starlette.exceptions import HTTPException
from starlette.requests import Request

from harness.errors import DataError, SourceError
from harness.promptsales.sso import authenticate, new_token, refresh, token_hash
from harness.sso.keys import Keys
from harness.sso.page import Forms
from harness.sso.sessions import Connection, Sessions
from harness.sso.tokens import Granted, mint
from harness.sso.urls import is_safe, issuer_url

T = TypeVar("T")

SCOPES = ("mcp", "profile", "email", "offline_access")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_CLIENT = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """What an issuer is called and how long things live, in seconds."""

    url: str
    access: int = 300
    code: int = 60
    idle: int = 12 * 3600
    """How long a refresh token is good."""
    session: int = 30 * 24 * 3600
    """How long a session can be refreshed at all."""
    form: int = 600
    resources: tuple[str, ...] = ()
    """The servers that tokens may be asked for; none named: any https URL, or one of this machine."""
    clients: int = 1000
    """How many programs may be registered."""
    registrations: int = 60
    """How many in a minute."""
    logins: int = 2
    """Passwords that are looked at side by side: each needs 16 MiB and a processor for a quarter of a second."""
    waiting: int = 32
    """Log-ins that may wait for that."""


class Client(OAuthClientInformationFull):
    """A registered program; of its secret only the hash is known."""

    secret_hash: bytes | None = None


class Busy(Exception):
    """Too many log in at this moment."""


class Provider(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """See :class:`mcp.server.auth.provider.OAuthAuthorizationServerProvider`; all methods may raise SourceError."""

    def __init__(self, settings: IssuerSettings, sessions: Sessions, keys: Keys) -> None:
        issuer_url(settings.url)
        self.settings, self.keys, self.forms = settings, keys, Forms(settings.form)
        self._sessions = sessions
        self._threads = anyio.CapacityLimiter(8)
        self._logins = anyio.CapacityLimiter(settings.logins)
        self._waiting = 0
        self._registered: deque[float] = deque(maxlen=settings.registrations)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Something of the database's, in a thread. Raises SourceError."""
        return await anyio.to_thread.run_sync(partial(self._sessions.run, work), limiter=self._threads)

    async def row(self, statement: str, *values: Any) -> Any:
        """The first row of a question, or None. Raises SourceError."""
        return await self.run(lambda link: link.execute(statement, values).fetchone())

    async def get_client(self, client_id: str) -> Client | None:
        """A registered program."""
        if not _CLIENT.fullmatch(client_id):
            return None
        found = await self.row(
            "SELECT name, redirect_uris, scope, auth_method, secret_hash FROM client_of(%s)", client_id
        )
        if found is None:
            return None
        return Client(
            client_id=client_id,
            client_name=found[0],
            redirect_uris=[AnyUrl(uri) for uri in found[1]],
            scope=found[2],
            token_endpoint_auth_method=found[3],
            secret_hash=found[4],
        )

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        """Keep a program that has introduced itself. Raises RegistrationError."""
        uris = [str(uri) for uri in client_info.redirect_uris or []]
        if not 0 < len(uris) <= 10 or not all(is_safe(uri, 500) for uri in uris) or sum(map(len, uris)) > 3000:
            raise RegistrationError(
                "invalid_redirect_uri", "redirect_uris: 1 to 10 URLs, https or http of this machine, without fragment"
            )
        name = " ".join((client_info.client_name or "a program without a name").split())
        if len(name) > 120 or not name.isprintable():
            raise RegistrationError("invalid_client_metadata", "client_name: at most 120 printable characters")
        now = time.monotonic()
        if len(self._registered) == self._registered.maxlen and now - self._registered[0] < 60:
            raise HTTPException(429, "too many programs register: try again in a minute", {"Retry-After": "60"})
        self._registered.append(now)
        secret = client_info.client_secret
        room = await self.row(
            "SELECT register_client(%s, %s, %s, %s, %s, %s, %s)",
            client_info.client_id,
            name,
            uris,
            client_info.scope or " ".join(SCOPES),
            client_info.token_endpoint_auth_method,
            token_hash(secret) if secret else None,
            self.settings.clients,
        )
        if not room[0]:
            raise HTTPException(429, "there is no room for more programs: try again later", {"Retry-After": "3600"})
        client_info.client_name = name
        # What is not kept is not confirmed either.
        client_info.jwks = client_info.jwks_uri = client_info.contacts = client_info.client_uri = None
        client_info.logo_uri = client_info.tos_uri = client_info.policy_uri = None
        client_info.software_id = client_info.software_version = None
        client_info.grant_types, client_info.response_types = ["authorization_code", "refresh_token"], ["code"]

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        """The login page for this request. Raises AuthorizeError."""
        if not _CHALLENGE.fullmatch(params.code_challenge):
            raise AuthorizeError("invalid_request", "code_challenge must be a SHA-256, base64url: 43 characters")
        if len(params.state or "") > 1000:
            raise AuthorizeError("invalid_request", "state is longer than 1000 characters")
        resource = params.resource
        if resource is not None and not self._may_be_asked_for(resource):
            raise AuthorizeError("invalid_target", "resource is no server that this issuer makes tokens for")
        pending = {
            "client": client.client_id,
            "redirect_uri": str(params.redirect_uri),
            "given": params.redirect_uri_provided_explicitly,
            "challenge": params.code_challenge,
            "scope": " ".join(params.scopes) if params.scopes else client.scope or "",
            "resource": resource,
            "state": params.state,
        }
        return f"{self.settings.url}/login?request={self.forms.sign('request', pending)}"

    def _may_be_asked_for(self, resource: str) -> bool:
        named = self.settings.resources
        return resource in named if named else is_safe(resource, 512)

    async def log_in(self, email: str, password: str) -> UUID | None:
        """Whose they are, or None. Raises Busy if too many wait already."""
        if self._waiting >= self.settings.waiting:
            raise Busy
        work = partial(self._sessions.run, lambda link: _identity(link, email, password), seconds=20)
        self._waiting += 1
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._logins)
        finally:
            self._waiting -= 1

    async def new_code(self, identity: UUID, pending: dict[str, Any]) -> str:
        """A code for a program to get its tokens with."""
        code = new_token()
        await self.row(
            "SELECT keep_code(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            token_hash(code),
            identity,
            pending["client"],
            pending["redirect_uri"],
            pending["given"],
            pending["challenge"],
            pending["scope"],
            pending["resource"],
            timedelta(seconds=self.settings.code),
        )
        return code

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        """What a code stands for; one that was used before ends the session that came of it."""
        found = await self.row(
            "SELECT client_id, redirect_uri, redirect_given, challenge, scope, resource, expires_at FROM code_of(%s)",
            token_hash(authorization_code),
        )
        if found is None:
            return None
        return AuthorizationCode(
            code=authorization_code,
            client_id=found[0],
            redirect_uri=AnyUrl(found[1]),
            redirect_uri_provided_explicitly=found[2],
            code_challenge=found[3],
            scopes=found[4].split(),
            resource=found[5],
            expires_at=found[6].timestamp(),
        )

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        """Open the session. Raises TokenError if the code was used meanwhile, or its owner disabled."""
        token = new_token()
        found = await self.row(
            "SELECT session_id, identity_id, email, display_name FROM use_code(%s, %s, %s, %s)",
            token_hash(authorization_code.code),
            token_hash(token),
            timedelta(seconds=self.settings.idle),
            timedelta(seconds=self.settings.session),
        )
        if found is None:
            raise TokenError("invalid_grant", "authorization code does not exist")
        scope, resource = " ".join(authorization_code.scopes), authorization_code.resource
        session, identity, email, name = found
        return self._answer(Granted(session, identity, email, name, client.client_id, scope, resource), token)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        """Which program a refresh token was given to, whether it is good or not."""
        found = await self.row("SELECT client_id, scope, resource FROM grant_of(%s)", token_hash(refresh_token))
        if found is None:
            return None
        return RefreshToken(token=refresh_token, client_id=found[0], scopes=found[1].split(), resource=found[2])

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        """The next tokens of the session. Raises TokenError; a token that comes a second time ends its session."""
        idle = timedelta(seconds=self.settings.idle)

        def work(link: Connection) -> tuple[Granted, str] | None:
            following = refresh(link, refresh_token.token, idle)
            if following is None:
                return None
            login = following[0]
            person = link.execute(
                "SELECT identity_id, email, display_name FROM session_caller(%s)", [login.session]
            ).fetchone()
            if person is None:
                return None
            identity, email, name = person
            scope, resource = " ".join(scopes), refresh_token.resource
            return Granted(login.session, identity, email, name, client.client_id, scope, resource), login.token

        done = await self.run(work)
        if done is None:
            raise TokenError("invalid_grant", "the session has ended: log in again")
        return self._answer(*done)

    async def load_access_token(self, token: str) -> AccessToken | None:
        """Nobody asks: whoever is shown a token verifies it (:mod:`harness.sso.verify`)."""
        return None

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        """Nobody asks: ``/revoke`` is our own, the SDK's refuses clients without a secret."""

    def _answer(self, granted: Granted, token: str) -> OAuthToken:
        access = mint(self.keys, self.settings.url, granted, self.settings.access)
        return OAuthToken(
            access_token=access, expires_in=self.settings.access, scope=granted.scope, refresh_token=token
        )


class Authenticator(ClientAuthenticator):
    """As the SDK's, for clients whose secret is known by its hash only."""

    async def authenticate_request(self, request: Request) -> Client:
        """The client that asks. Raises AuthenticationError, which never says which part was wrong."""
        form = await request.form()
        name, secret = _text(form.get("client_id")), _text(form.get("client_secret"))
        method = "client_secret_post"
        if basic := _basic(request.headers.get("authorization", "")):
            if name and name != basic[0]:
                raise AuthenticationError("the client is not known")
            name, secret = basic
            method = "client_secret_basic"
        client = await self.provider.get_client(name) if name else None
        if not isinstance(client, Client):
            raise AuthenticationError("the client is not known")
        if client.secret_hash is None:
            return client
        given = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        if client.token_endpoint_auth_method != method or not hmac.compare_digest(given, client.secret_hash):
            raise AuthenticationError("the client is not known")
        return client


def new_secret() -> str:
    """A client's secret."""
    return secrets.token_urlsafe(32)


def _identity(link: Connection, email: str, password: str) -> UUID | None:
    try:
        return authenticate(link, email, password)
    except DataError:  # a stored hash of another kind: nobody comes in by it
        return None


def _basic(header: str) -> tuple[str, str] | None:
    if header[:6].lower() != "basic ":
        return None
    try:
        name, _, secret = base64.b64decode(header[6:], validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        return None
    return unquote(name), unquote(secret)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


__all__ = ["SCOPES", "Authenticator", "Busy", "Client", "IssuerSettings", "Provider", "SourceError", "new_secret"]
