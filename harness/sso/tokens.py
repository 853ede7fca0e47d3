"""Access tokens of our issuer, as RFC 9068 has them: made, and read again by the issuer itself."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt

from harness.sso.keys import Keys

LONGEST = 8192


@dataclass(frozen=True, slots=True)
class Granted:
    """What an access token says: whose it is, for which program, for which server."""

    session: UUID
    identity: UUID
    email: str
    name: str
    client: str
    scope: str
    resource: str | None


def mint(keys: Keys, issuer: str, granted: Granted, seconds: int, *, now: float | None = None) -> str:
    """A signed access token that lives for so long. Without a resource it is for the issuer's own ``/userinfo``.

    Raises DataError if the keys cannot be read.
    """
    now = time.time() if now is None else now
    key = keys.signing(now)
    claims = {
        "iss": issuer,
        "sub": str(granted.identity),
        "aud": granted.resource or issuer,
        "iat": int(now),
        "exp": int(now) + seconds,
        "jti": secrets.token_urlsafe(16),
        "sid": str(granted.session),
        "client_id": granted.client,
        "scope": granted.scope,
        "name": granted.name,
        "email": granted.email,
    }
    return jwt.encode(claims, key.private, algorithm=key.algorithm, headers={"typ": "at+jwt", "kid": key.kid})


def read(keys: Keys, issuer: str, token: str, *, expired: bool = False) -> dict[str, Any] | None:
    """The claims of one of our own tokens, for whomever it is; ``expired``: also of one that has. None: it is none.

    Raises DataError if the keys cannot be read.
    """
    if len(token) > LONGEST or token.count(".") != 2:
        return None
    try:
        header = jwt.get_unverified_header(token)
        key = keys.key(header.get("kid"))
        if key is None or header.get("alg") != key.algorithm or header.get("typ") != "at+jwt" or "crit" in header:
            return None
        claims: dict[str, Any] = jwt.decode(
            token,
            key.private.public_key(),
            algorithms=[key.algorithm],
            issuer=issuer,
            options={"require": ["sub", "sid", "exp", "client_id"], "verify_aud": False, "verify_exp": not expired},
        )
        UUID(claims["sid"])
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return None
    return claims
