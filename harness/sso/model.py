"""Who calls: what is left of a token once it has been verified."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

ROLES = ("reader", "analyst", "steward", "tester", "etl", "admin")
"""The application roles of ``schemas/promptsales/postgresql/30_sso.sql``."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody, as an issuer of tokens (or the operating system, for a server that is started by hand) vouches for them."""

    subject: str
    """The issuer's name for them that never changes: an identity's id, or ``local.`` and a login of this machine."""
    name: str
    """What people call them: an e-mail address."""
    roles: frozenset[str]
    """Application roles, as they are at this moment."""
    client: str
    """The program that calls for them: an OAuth client id, or ``stdio``."""
    issuer: str | None = None
    session: str | None = None
    """The session that the token belongs to, a UUID; what ends when it is revoked."""
    expires_at: datetime | None = None

    def is_one_of(self, roles: Iterable[str]) -> bool:
        """Whether one of the caller's roles is one of these."""
        return not self.roles.isdisjoint(roles)


class Verifier(Protocol):
    """Says whose token this is. Safe to use from several threads."""

    def verify(self, token: str) -> Caller:
        """Raises TokenRefused with the reason, or SourceError when it cannot be told now (issuer, database away)."""
        ...
