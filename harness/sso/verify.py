"""Verifies access tokens: of our own issuer, whose sessions PromptSales knows, or of any OpenID provider.

Nothing that a token says is believed before its signature holds, and keys or addresses in it never are. ``verify`` asks at
each call whether the session still lives and what its owner may do: what is revoked, disabled or taken away is gone at once.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import jwt

from harness.errors import DataError, SourceError, TokenRefused
from harness.servers.base import Target
from harness.sso.keyset import ALGORITHMS, Issuer
from harness.sso.model import ROLES, Caller
from harness.sso.sessions import Sessions
from harness.sso.urls import issuer_url

CLIENT_ID = "PROMPTSALES_OIDC_CLIENT_ID"
CLIENT_SECRET = "PROMPTSALES_OIDC_CLIENT_SECRET"
"""Environment variables: how a foreign issuer's introspection is asked at each call."""

LONGEST = 8192
ENDED = "the session has ended: log in again"
_STRANGE = ("jku", "x5u", "jwk", "x5c", "crit", "b64", "zip")
_OWN = ("iss", "sub", "aud", "exp", "iat", "jti", "sid", "client_id")
_THEIRS = ("iss", "sub", "aud", "exp", "iat")


@dataclass(frozen=True, slots=True)
class VerifierSettings:
    """Whose tokens are taken, and for whom they must be."""

    issuer: str
    audiences: tuple[str, ...]
    """The token must be for one of them (RFC 8707: the URL of the server that it is shown to)."""
    roles_claim: str | None = None
    """None: our own issuer, roles come from its sessions. Else where its roles are: ``realm_access.roles``."""
    role_names: Mapping[str, str] = field(default_factory=dict)
    """A foreign issuer's names of roles to ours. One that is called like one of ours needs no entry."""
    algorithms: tuple[str, ...] = ("ES256", "RS256", "PS256", "EdDSA")
    types: tuple[str, ...] | None = None
    """``typ`` of the header; None: ``at+jwt``, and of a foreign issuer ``JWT`` too, which many still write."""
    leeway: float = 10.0
    """Seconds that clocks may differ."""
    seconds: float = 5.0
    """How long issuer and database are waited for, each."""
    pause: float = 5.0
    """Seconds from one fetch of the issuer's keys to the next, whatever keys tokens name."""
    fresh: float = 300.0
    """Seconds after which the issuer's keys are fetched again."""
    last: float = 3600.0
    """Seconds that keys are used while the issuer is away."""
    sessions: int = 8
    """Connections to PromptSales at once."""


class TokenVerifier:
    """See :func:`open_verifier`. Safe to use from several threads."""

    def __init__(self, settings: VerifierSettings, gate: Target | None, environ: Mapping[str, str]) -> None:
        issuer_url(settings.issuer, ours=settings.roles_claim is None)
        if not settings.audiences or not all(settings.audiences):
            raise DataError("tokens cannot be verified: say for which audience they must be")
        if unknown := [name for name in settings.algorithms if name not in ALGORITHMS]:
            raise DataError(f"{unknown[0]!r} is no algorithm that tokens may be signed with: {', '.join(ALGORITHMS)}")
        if wrong := [role for role in settings.role_names.values() if role not in ROLES]:
            raise DataError(f"there is no role {wrong[0]!r}: {', '.join(ROLES)}")
        self._settings = settings
        self._sessions: Sessions | None = None
        if settings.roles_claim is None:
            if gate is None:
                raise DataError("tokens of our own issuer need PromptSales: its sessions say who may still do what")
            self._sessions = Sessions(
                gate.url, most=settings.sessions, seconds=settings.seconds, name="psh:sso/verifier"
            )
        self._issuer = Issuer(
            settings.issuer,
            seconds=settings.seconds,
            fresh=settings.fresh,
            last=settings.last,
            pause=settings.pause,
        )
        name, secret = environ.get(CLIENT_ID, ""), environ.get(CLIENT_SECRET, "")
        self._login = (name, secret) if name and secret and settings.roles_claim is not None else None

    def verify(self, token: str) -> Caller:
        """Whose token this is. Raises TokenRefused with the reason, or SourceError if it cannot be told now."""
        claims = self._claims(token)
        if self._sessions is not None:
            return self._known(self._sessions, claims)
        if self._login is not None:
            self._introspect(token, claims, self._login)
        return self._foreign(claims)

    def close(self) -> None:
        """Let go of connections. May be called twice."""
        self._issuer.close()
        if self._sessions is not None:
            self._sessions.close()

    def _claims(self, token: str) -> dict[str, Any]:
        """What the token says, once it has been found to be the issuer's, for us, now."""
        settings = self._settings
        header = _header(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in settings.algorithms:
            raise TokenRefused(f"a token must be signed with one of {', '.join(settings.algorithms)}")
        if any(name in header for name in _STRANGE):
            raise TokenRefused("the token's header brings keys or extensions of its own, which are not taken")
        self._check_type(header.get("typ"))
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise TokenRefused("the token's header is none")
        key = self._issuer.key(kid, algorithm)
        if key is None:
            raise TokenRefused("the token is not signed by a key of the issuer")
        required = _OWN if settings.roles_claim is None else _THEIRS
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=list(settings.audiences),
                issuer=settings.issuer,
                leeway=settings.leeway,
                options={"require": list(required)},
            )
        except jwt.InvalidSignatureError:
            raise TokenRefused("the token is not signed by a key of the issuer") from None
        except jwt.ExpiredSignatureError:
            raise TokenRefused("the token has expired: get a new one") from None
        except jwt.ImmatureSignatureError:
            raise TokenRefused("the token is not valid yet: do the clocks agree?") from None
        except jwt.InvalidAudienceError:
            raise TokenRefused("the token is for another audience, not for this server") from None
        except jwt.InvalidIssuerError:
            raise TokenRefused("the token is of another issuer") from None
        except jwt.MissingRequiredClaimError as missing:
            raise TokenRefused(f"the token lacks the claim {missing.claim!r}") from None
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError):
            raise TokenRefused("the token is no JSON Web Token with proper claims") from None
        return claims

    def _check_type(self, given: object) -> None:
        allowed = self._settings.types
        if allowed is None:
            allowed = ("at+jwt",) if self._settings.roles_claim is None else ("at+jwt", "JWT")
        name = given.lower().removeprefix("application/") if isinstance(given, str) else ""
        if name not in (one.lower() for one in allowed):
            raise TokenRefused(f"the token is no access token: its type must be {' or '.join(allowed)}")

    def _known(self, sessions: Sessions, claims: Mapping[str, Any]) -> Caller:
        """The caller as PromptSales knows them now."""
        try:
            session, subject = UUID(claims["sid"]), UUID(claims["sub"])
        except (ValueError, TypeError, AttributeError):
            raise TokenRefused("the token is no JSON Web Token with proper claims") from None
        row = sessions.run(
            lambda link: link.execute("SELECT identity_id, email, roles FROM session_caller(%s)", [session]).fetchone()
        )
        if row is None or row[0] != subject:
            raise TokenRefused(ENDED)
        return Caller(
            subject=str(subject),
            name=row[1],
            roles=frozenset(row[2]) & frozenset(ROLES),
            client=_text(claims.get("client_id")),
            issuer=self._settings.issuer,
            session=str(session),
            expires_at=_expiry(claims),
        )

    def _foreign(self, claims: Mapping[str, Any]) -> Caller:
        """The caller as the token says."""
        if "nonce" in claims or "at_hash" in claims or claims.get("typ", "Bearer") not in ("Bearer", "at+jwt"):
            raise TokenRefused("the token is no access token, but one that says who has logged in")
        subject = str(claims["sub"])
        if not subject.strip() or subject != _text(subject):
            raise TokenRefused("the token does not say whose it is: its subject is empty, too long, or not printable")
        names = self._settings.role_names
        roles = {names.get(name, name) for name in _roles(claims, self._settings.roles_claim or "")}
        name = next((_text(claims[key]) for key in ("email", "preferred_username", "name") if claims.get(key)), "")
        session = claims.get("sid") or claims.get("session_state")
        return Caller(
            subject=subject,
            name=name or subject,
            roles=frozenset(roles) & frozenset(ROLES),
            client=_text(claims.get("client_id") or claims.get("azp") or ""),
            issuer=self._settings.issuer,
            session=_text(session) if session else None,
            expires_at=_expiry(claims),
        )

    def _introspect(self, token: str, claims: Mapping[str, Any], login: tuple[str, str]) -> None:
        """Ask the issuer whether it still stands by the token (RFC 7662)."""
        where = self._issuer.about().get("introspection_endpoint")
        if where is None:
            raise SourceError(f"the issuer offers no introspection: unset {CLIENT_ID}, or use one that does")
        answer = self._issuer.post(str(where), {"token": token, "token_type_hint": "access_token"}, login)
        if answer.get("active") is not True or answer.get("sub", claims["sub"]) != claims["sub"]:
            raise TokenRefused(ENDED)


def open_verifier(
    settings: VerifierSettings, gate: Target | None, environ: Mapping[str, str] | None = None
) -> TokenVerifier:
    """A verifier; ``gate`` is PromptSales with a login of promptsales_mcp_gate, needed for our own issuer's tokens.

    Neither issuer nor database are asked before the first token. Raises DataError if the settings cannot be.
    """
    return TokenVerifier(settings, gate, os.environ if environ is None else environ)


def _header(token: str) -> dict[str, Any]:
    """The token's header. Raises TokenRefused."""
    if not token:
        raise TokenRefused("there is no token: log in, and send it as 'Authorization: Bearer …'")
    if len(token) > LONGEST:
        raise TokenRefused(f"the token is longer than {LONGEST} characters")
    parts = token.split(".")
    try:
        if len(parts) != 3 or not token.isascii():
            raise ValueError  # noqa: TRY301 - told below, with the others
        head = base64.b64decode(parts[0] + "=" * (-len(parts[0]) % 4), altchars=b"-_", validate=True)
        header = json.loads(head)
    except (ValueError, binascii.Error, RecursionError):
        raise TokenRefused("the token is no JSON Web Token") from None
    if not isinstance(header, dict):
        raise TokenRefused("the token is no JSON Web Token")
    return header


def _roles(claims: Mapping[str, Any], path: str) -> list[str]:
    """The names at a dotted path; a claim whose own name has dots in it (a URL) is found first."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, str):
        return found.split()
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _text(value: object) -> str:
    """A claim as text of one line, not too long."""
    return "".join(sign for sign in str(value)[:254] if sign.isprintable())


def _expiry(claims: Mapping[str, Any]) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (OverflowError, OSError, ValueError):
        return None
