"""An issuer that misbehaves on demand, and tokens made by hand."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import jwt
from sso_flow import RESOURCE
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from harness.promptsales.sso import Login
from harness.sso.keys import b64, jwk_of, make

ES, RS, ED = (make(algorithm) for algorithm in ("ES256", "RS256", "EdDSA"))


@dataclass
class Fake:
    """An issuer that says what it is told to say, and counts how often it is asked."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=lambda: [jwk_of(ES), jwk_of(RS), jwk_of(ED)])
    about: dict[str, Any] = field(default_factory=dict)
    jwks: Any = None
    active: Any = field(default_factory=lambda: {"active": True})
    asked: dict[str, int] = field(default_factory=dict)
    logins: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        async def count(request, call):
            self.asked[request.url.path] = self.asked.get(request.url.path, 0) + 1
            return await call(request)

        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._about),
                Route("/jwks", self._jwks),
                Route("/introspect", self._introspect, methods=["POST"]),
            ],
            middleware=[Middleware(BaseHTTPMiddleware, dispatch=count)],
        )

    async def _about(self, request):
        known = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks", "introspection_endpoint": f"{self.url}/introspect"}
        return JSONResponse(known | self.about)

    async def _jwks(self, request):
        if isinstance(self.jwks, Response):
            return self.jwks
        return JSONResponse({"keys": self.keys})

    async def _introspect(self, request):
        self.logins.append(request.headers.get("authorization", ""))
        return JSONResponse(self.active)


def claims_for(fake: Fake, ana: Login, **changed: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "iss": fake.url,
        "sub": str(ana.identity),
        "aud": RESOURCE,
        "iat": now,
        "exp": now + 60,
        "jti": "1",
        "sid": str(ana.session),
        "client_id": "a client",
    } | changed
    return {name: value for name, value in claims.items() if value is not None}


def signed(claims: dict[str, Any], key: Any = ES, algorithm: str = "ES256", **header: Any) -> str:
    kid = jwk_of(key)["kid"] if not isinstance(key, (str, bytes)) else "none"
    head = {"typ": "at+jwt", "kid": kid} | header
    return jwt.encode(claims, key, algorithm=algorithm, headers={k: v for k, v in head.items() if v is not None})


def by_hand(header: Any, payload: Any, signature: bytes = b"x") -> str:
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    return ".".join([*(b64(part) for part in parts), b64(signature)])
