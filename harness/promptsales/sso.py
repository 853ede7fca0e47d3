"""Logging in to PromptSales: passwords and session tokens, over the functions of ``30_sso.sql``.

Passwords become scrypt strings (RFC 7914) that hold their own parameters, so those can be raised without anybody's
password being reset. A session token is 32 random bytes; the database has its SHA-256 only (it is random: there is
nothing to guess, so nothing to slow down). Whoever reads the tables can therefore neither log in nor take a session
over.

Refused is always None, for any reason: who tries learns nothing. What :func:`log_in` spends does not depend on whether
there is such an identity.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from harness.errors import DataError

Connection = psycopg.Connection[Any]

SHORTEST = 8
LONGEST = 1024
"""Characters of a password."""

_MEMORY = 256 * 2**20  # bytes that a hash may need, whoever has written it


@dataclass(frozen=True, slots=True)
class Scrypt:
    """What hashing a password costs: 128 * n * r bytes of memory, p times. The default is what OWASP advises for 16 MiB."""

    n: int = 2**14
    r: int = 8
    p: int = 5

    def derive(self, password: str, salt: bytes) -> bytes:
        """32 bytes. Raises DataError if the parameters are none, or ask for too much."""
        need = 128 * self.n * self.r
        if not (min(self.n, self.r, self.p) > 0 and need <= _MEMORY and self.p <= 16):
            raise DataError("a password's hash asks for more memory or time than it may")
        text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
        try:
            return hashlib.scrypt(text, salt=salt, n=self.n, r=self.r, p=self.p, maxmem=need + 2**20, dklen=32)
        except ValueError:
            raise DataError("a password's hash has parameters that scrypt does not know") from None


DEFAULT = Scrypt()


@dataclass(frozen=True, slots=True)
class Login:
    """A session that was opened or refreshed. ``token`` is nowhere else: its repr leaves it out."""

    session: UUID
    identity: UUID
    token: str = field(repr=False)


def hash_password(password: str, cost: Scrypt = DEFAULT) -> str:
    """``scrypt$n$r$p$salt$hash``. Raises DataError if the password is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise DataError(f"a password has {SHORTEST} to {LONGEST} characters")
    salt = secrets.token_bytes(16)
    return _written(cost, salt, cost.derive(password, salt))


def verify_password(password: str, stored: str) -> bool:
    """Whether it is the password; compared in constant time. Raises DataError if ``stored`` is no such string."""
    cost, salt, expected = _parsed(stored)
    return len(password) <= LONGEST and hmac.compare_digest(cost.derive(password, salt), expected)


def new_token() -> str:
    """A session token: 43 characters that may stand in a URL or a header."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """What the database has of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def add_identity(
    connection: Connection,
    email: str,
    display_name: str,
    password: str | None = None,
    roles: Iterable[str] = (),
    *,
    cost: Scrypt = DEFAULT,
) -> UUID:
    """Make an identity with these application roles; without a password it logs in elsewhere.

    The connection needs rights on the tables, or the role ``promptsales_admin``. Raises DataError if there is one with
    that e-mail address already, the address or the password is none, or there is no such role.
    """
    hashed = None if password is None else hash_password(password, cost)
    try:
        with connection.transaction():
            row = connection.execute(
                "INSERT INTO identity (email, display_name, password_hash) VALUES (%s, %s, %s) RETURNING id",
                [email.strip(), display_name, hashed],
            ).fetchone()
            assert row is not None
            identity: UUID = row[0]
            for role in roles:
                connection.execute("INSERT INTO role_of_identity (identity_id, role) VALUES (%s, %s)", [identity, role])
    except psycopg.errors.UniqueViolation:
        raise DataError(
            f"there is an identity with the e-mail address {email!r} already, or a role is named twice"
        ) from None
    except psycopg.errors.ForeignKeyViolation:
        raise DataError(f"{email!r}: there is no such role among the application roles") from None
    except (psycopg.errors.CheckViolation, psycopg.DataError):
        raise DataError(f"{email!r} cannot be an identity's e-mail address, or the name is too long") from None
    return identity


def log_in(
    connection: Connection, email: str, password: str, ttl: timedelta, *, cost: Scrypt = DEFAULT
) -> Login | None:
    """Open a session for ``ttl``, or None: see :func:`authenticate`, which also says what is raised."""
    identity = authenticate(connection, email, password, cost=cost)
    if identity is None:
        return None
    token = new_token()
    try:
        opened = connection.execute("SELECT open_session(%s, %s, %s)", [identity, token_hash(token), ttl]).fetchone()
    except psycopg.errors.InvalidAuthorizationSpecification:
        return None  # disabled a moment ago
    assert opened is not None
    return Login(opened[0], identity, token)


def authenticate(connection: Connection, email: str, password: str, *, cost: Scrypt = DEFAULT) -> UUID | None:
    """Whose address and password these are, or None: wrong, disabled, or locked after too many attempts.

    The connection must be in autocommit mode: an attempt counts even if this process dies over it. Raises DataError if
    it is not.
    """
    if not connection.autocommit:
        raise DataError("attempts to log in are counted at once: the connection must be in autocommit mode")
    row = None
    if _writable(email):
        row = connection.execute("SELECT identity_id, password_hash FROM begin_login(%s)", [email]).fetchone()
    if row is None:
        cost.derive(password[:LONGEST], bytes(16))  # takes as long as if there were one
        return None
    identity: UUID = row[0]
    if not verify_password(password, row[1]):
        return None
    connection.execute("SELECT end_login(%s)", [identity])
    return identity


def refresh(connection: Connection, token: str, ttl: timedelta) -> tuple[Login, datetime] | None:
    """The next token in the place of this one, and when it ends; or None.

    A token that has been refreshed before ends the whole session: one of the two who had it is a thief.
    """
    following = new_token()
    row = connection.execute(
        "SELECT session_id, identity_id, expires_at FROM refresh_session(%s, %s, %s)",
        [token_hash(token), token_hash(following), ttl],
    ).fetchone()
    return None if row is None else (Login(row[0], row[1], following), row[2])


def identity_of(connection: Connection, token: str) -> UUID | None:
    """Whose token this is, or None if it is not good (any more). Also in a transaction that only reads."""
    row = connection.execute("SELECT session_identity(%s)", [token_hash(token)]).fetchone()
    return None if row is None else row[0]


def roles_of(connection: Connection, session: UUID) -> dict[str, str]:
    """What the identity of a session may be: application roles and their database roles; none if the session has ended."""
    return dict(connection.execute("SELECT role, database_role FROM roles_of(%s)", [session]).fetchall())


def log_out(connection: Connection, token: str) -> bool:
    """End the session that a token belongs to; whether there was one to end."""
    row = connection.execute("SELECT revoke_session(%s)", [token_hash(token)]).fetchone()
    return row is not None and bool(row[0])


def _written(cost: Scrypt, salt: bytes, derived: bytes) -> str:
    return f"scrypt${cost.n}${cost.r}${cost.p}${b64encode(salt).decode()}${b64encode(derived).decode()}"


def _parsed(stored: str) -> tuple[Scrypt, bytes, bytes]:
    try:
        kind, n, r, p, salt, derived = stored.split("$")
        parts = Scrypt(int(n), int(r), int(p)), b64decode(salt, validate=True), b64decode(derived, validate=True)
    except ValueError:
        kind = ""
    if kind != "scrypt" or len(parts[1]) < 16 or len(parts[2]) != 32:
        raise DataError("a stored password hash is not of the form scrypt$n$r$p$salt$hash")
    return parts


def _writable(text: str) -> bool:
    """PostgreSQL's text has neither NUL nor half a surrogate pair; nobody's address has, either."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
