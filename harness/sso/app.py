"""The issuer as a web application: RFC 8414, 6749 with PKCE, 7591, 7009, 7662, and an OpenID-shaped ``/userinfo``."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from mcp.server.auth.handlers.authorize import AuthorizationHandler
from mcp.server.auth.handlers.register import RegistrationHandler
from mcp.server.auth.handlers.token import TokenHandler
from mcp.server.auth.middleware.client_auth import AuthenticationError
from mcp.server.auth.provider import construct_redirect_uri
from mcp.server.auth.settings import ClientRegistrationOptions
from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harness.errors import DataError, SourceError
from harness.promptsales.sso import token_hash
from harness.servers.base import is_loopback
from harness.sso import page
from harness.sso.keys import Keys
from harness.sso.provider import SCOPES, Authenticator, Busy, IssuerSettings, Provider
from harness.sso.sessions import Sessions
from harness.sso.tokens import read

log = logging.getLogger("harness.sso")

MOST_BYTES = 32 * 1024
"""Of a request's body."""
_COOKIE_SIZE = 32


def _is_news(record: logging.LogRecord) -> bool:
    """The SDK logs tracebacks of what we raise on purpose."""
    return not (record.exc_info and isinstance(record.exc_info[1], SourceError))


logging.getLogger("mcp.server.auth.handlers.authorize").addFilter(_is_news)


def issuer_app(settings: IssuerSettings, sessions: Sessions, keys: Keys) -> Starlette:
    """The application. Raises DataError if the issuer's URL cannot be one; it must have no path."""
    if urlsplit(settings.url).path:
        raise DataError(f"{settings.url}: this issuer's URL has no path")
    return _Issuer(Provider(settings, sessions, keys)).app()


class _Issuer:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.settings = provider.settings
        self.url = provider.settings.url
        self.authenticator = Authenticator(provider)

    def app(self) -> Starlette:
        scopes = list(SCOPES)
        register = RegistrationHandler(
            self.provider,
            ClientRegistrationOptions(enabled=True, valid_scopes=scopes, default_scopes=scopes),
        )
        routes = [
            Route("/", _front),
            _open("/.well-known/openid-configuration", self.about, "GET"),
            _open("/.well-known/oauth-authorization-server", self.about, "GET"),
            _open("/jwks", self.jwks, "GET"),
            Route("/authorize", AuthorizationHandler(self.provider).handle, methods=["GET", "POST"]),
            Route("/login", self.login, methods=["GET", "POST"]),
            _open("/token", TokenHandler(self.provider, self.authenticator).handle, "POST"),
            _open("/register", register.handle, "POST"),
            _open("/revoke", self.revoke, "POST"),
            _open("/introspect", self.introspect, "POST"),
            _open("/userinfo", self.userinfo, "GET", "POST"),
        ]
        return Starlette(
            routes=routes,
            exception_handlers={SourceError: _away, DataError: _away},
            middleware=[
                Middleware(_Careful, host=urlsplit(self.url).hostname or "", secure=self.url.startswith("https:")),
                Middleware(RequestBodyLimitMiddleware, MOST_BYTES),
            ],
        )

    async def about(self, request: Request) -> Response:
        """RFC 8414; OpenID's document is the same one."""
        methods = ["none", "client_secret_post", "client_secret_basic"]
        return JSONResponse(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "registration_endpoint": f"{self.url}/register",
                "revocation_endpoint": f"{self.url}/revoke",
                "introspection_endpoint": f"{self.url}/introspect",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "scopes_supported": list(SCOPES),
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "code_challenge_methods_supported": ["S256"],
                "subject_types_supported": ["public"],
                "token_endpoint_auth_methods_supported": methods,
                "revocation_endpoint_auth_methods_supported": methods,
                "introspection_endpoint_auth_methods_supported": methods[1:],
                "authorization_response_iss_parameter_supported": True,
                "claims_supported": ["sub", "name", "email"],
            }
        )

    async def jwks(self, request: Request) -> Response:
        """The public keys."""
        return JSONResponse(self.provider.keys.jwks(), media_type="application/jwk-set+json")

    async def login(self, request: Request) -> Response:
        """The login page, and what comes of it."""
        if request.method != "POST":
            pending = self.provider.forms.read("request", request.query_params.get("request", ""))
            if pending is None:
                return _page(page.problem_page(page.STALE), 400)
            return await self._form(pending, request)
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _page(page.problem_page(page.STALE), 403)
        given = await request.form(max_files=0, max_fields=10)
        form, email, password = (given.get(name) for name in ("form", "email", "password"))
        cookie = request.cookies.get(page.COOKIE, "")
        content = self.provider.forms.read("form", form) if isinstance(form, str) else None
        if content is None or not cookie or content["cookie"] != page.fingerprint(cookie):
            return _page(page.problem_page(page.STALE), 403)
        pending = content["request"]
        if not isinstance(email, str) or not isinstance(password, str):
            return await self._form(pending, request, problem=page.WRONG)
        try:
            identity = await self.provider.log_in(email, password)
        except Busy:
            return await self._form(pending, request, problem=page.BUSY, status=503)
        if identity is None:
            log.info("a log-in was refused")
            return await self._form(pending, request, problem=page.WRONG)
        code = await self.provider.new_code(identity, pending)
        where = construct_redirect_uri(pending["redirect_uri"], code=code, state=pending["state"], iss=self.url)
        return RedirectResponse(where, 303, {"referrer-policy": "no-referrer"})

    async def _form(
        self, pending: dict[str, Any], request: Request, *, problem: str = "", status: int | None = None
    ) -> Response:
        client = await self.provider.get_client(pending["client"])
        if client is None:
            return _page(page.problem_page(page.STALE), 400)
        cookie = request.cookies.get(page.COOKIE, "")
        if len(cookie) != _COOKIE_SIZE:
            cookie = secrets.token_hex(_COOKIE_SIZE // 2)
        form = self.provider.forms.sign("form", {"request": pending, "cookie": page.fingerprint(cookie)})
        text = page.login_page(client.client_name or "", pending["redirect_uri"], form, problem=problem)
        answer = _page(text, status or (403 if problem else 200), pending["redirect_uri"])
        answer.set_cookie(
            page.COOKIE,
            cookie,
            max_age=self.settings.form,
            path="/login",
            secure=self.url.startswith("https:"),
            httponly=True,
            samesite="strict",
        )
        return answer

    async def revoke(self, request: Request) -> Response:
        """RFC 7009: a refresh token or an access token ends its session."""
        try:
            client = await self.authenticator.authenticate_request(request)
        except AuthenticationError as problem:
            return _refused(401, "invalid_client", problem.message)
        token = (await request.form()).get("token")
        if not isinstance(token, str) or not token:
            return _refused(400, "invalid_request", "token is missing")
        claims = read(self.provider.keys, self.url, token, expired=True)
        if claims is not None:
            if claims["client_id"] == client.client_id:
                await self.provider.row("SELECT end_session(%s)", claims["sid"])
        else:
            known = await self.provider.load_refresh_token(client, token)
            if known is not None and known.client_id == client.client_id:
                await self.provider.row("SELECT revoke_session(%s)", token_hash(token))
        return Response(status_code=200)

    async def introspect(self, request: Request) -> Response:
        """RFC 7662, for clients that have a secret."""
        try:
            client = await self.authenticator.authenticate_request(request)
        except AuthenticationError as problem:
            return _refused(401, "invalid_client", problem.message)
        if client.secret_hash is None:
            return _refused(401, "invalid_client", "only a client with a secret may ask")
        token = (await request.form()).get("token")
        if not isinstance(token, str) or not token:
            return _refused(400, "invalid_request", "token is missing")
        claims = read(self.provider.keys, self.url, token)
        if claims is not None and await self._person(claims) is not None:
            return JSONResponse({"active": True, "token_type": "Bearer", **claims})
        return JSONResponse({"active": False})

    async def userinfo(self, request: Request) -> Response:
        """Who is logged in, for whoever holds one of our access tokens."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        claims = read(self.provider.keys, self.url, token.strip()) if kind.lower() == "bearer" else None
        person = await self._person(claims) if claims is not None else None
        if claims is None or person is None:
            answer = _refused(401, "invalid_token", "there is no token, or it is not good any more")
            answer.headers["www-authenticate"] = 'Bearer error="invalid_token"'
            return answer
        return JSONResponse({"sub": claims["sub"], "email": person[1], "name": person[2]})

    async def _person(self, claims: dict[str, Any]) -> Any:
        row = await self.provider.row("SELECT identity_id, email, display_name FROM session_caller(%s)", claims["sid"])
        return row if row is not None and str(row[0]) == claims["sub"] else None


class _Careful:
    """Headers that keep browsers from doing more than they must; our own host only; a line of log without any secret."""

    def __init__(self, app: ASGIApp, host: str, secure: bool) -> None:
        self._app = app
        self._host = host.lower()
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.monotonic()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["cache-control"] = "no-store"
                headers["x-content-type-options"] = "nosniff"
                headers["x-frame-options"] = "DENY"
                headers.setdefault("referrer-policy", "no-referrer")
                headers.setdefault("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
                if self._secure:
                    headers["strict-transport-security"] = "max-age=31536000"
                path = scope["path"] if scope["path"].isascii() and scope["path"].isprintable() else "?"
                took = 1000 * (time.monotonic() - begin)
                log.info("%s %s %d %.0f ms", scope["method"], path[:80], message["status"], took)
            await send(message)

        named = Request(scope).url.hostname if self._named(scope) else None
        if named is None:
            await PlainTextResponse("this is not the issuer's host", 421)(scope, receive, sending)
            return
        await self._app(scope, receive, sending)

    def _named(self, scope: Scope) -> bool:
        """Whether it is asked by its own name: a page elsewhere may have its name point here."""
        given = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        try:
            host = (urlsplit(f"//{given}").hostname or "").lower()
        except ValueError:
            return False
        return host == self._host or (is_loopback(self._host) and is_loopback(host))


def _open(path: str, handler: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
    """An endpoint that programs in a browser may ask, too: it knows no cookies."""
    app = CORSMiddleware(
        request_response(handler), allow_origins=["*"], allow_methods=[*methods, "OPTIONS"], allow_headers=["*"]
    )
    return Route(path, app, methods=[*methods, "OPTIONS"])


def _page(text: str, status: int, redirect_uri: str | None = None) -> HTMLResponse:
    return HTMLResponse(text, status, page.headers(redirect_uri))


async def _front(request: Request) -> Response:
    text = "Log in from the program that you want to use."
    return HTMLResponse(page.problem_page(text), 200, page.headers(None))


def _refused(status: int, error: str, text: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": text}, status)


async def _away(request: Request, problem: Exception) -> Response:
    log.warning("%s", problem)
    text = "PromptSales does not answer: try again later"
    if request.url.path == "/login":
        return HTMLResponse(page.problem_page(text), 503, page.headers(None))
    return JSONResponse({"error": "temporarily_unavailable", "error_description": text}, 503, {"retry-after": "5"})
