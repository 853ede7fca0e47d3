"""The keys that an issuer signs with: a file that only we may read, or the environment; how one follows another.

A new key is published at once and signs ``LEAD`` later, so that who verifies has had time to fetch it. The key before it
stays published until the last token that it signed has expired.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from harness.errors import DataError
from harness.servers.runfolder import write_private

VARIABLE = "PROMPTSALES_SSO_KEYS"
"""An environment variable: PEM texts of private keys, one after the other. The first one signs, all are published."""

ALGORITHMS = ("ES256", "RS256", "EdDSA")
LEAD = 15.0
"""Seconds from a key's being published to its first signature."""

KEPT = 600.0
"""Seconds that a key is published after its last signature: twice a token's life."""

_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Its repr shows no secret."""

    kid: str
    algorithm: str
    private: Private = field(repr=False)
    public: Mapping[str, str]
    """As a JWK."""
    begins: float
    """When it signs from, seconds since 1970."""


class Keys:
    """The keys of a file, or of the environment where ``path`` is None. Changes of the file are noticed. Thread-safe."""

    def __init__(self, path: Path | None, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self.path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()
        if environ.get(VARIABLE):
            self.path = None
            self._keys = _from_pem(environ[VARIABLE])
        elif path is None:
            raise DataError(f"there are no keys to sign with: give a file, or set {VARIABLE}")
        elif not path.exists():
            rotate(path, "ES256")

    def signing(self, now: float | None = None) -> Key:
        """The key that signs now. Raises DataError."""
        now = time.time() if now is None else now
        keys = self._read()
        return max((key for key in keys if key.begins <= now), key=lambda key: key.begins, default=keys[0])

    def published(self, now: float | None = None) -> tuple[Key, ...]:
        """The keys that tokens may be signed with now or soon. Raises DataError."""
        keys = self._read()
        return keys if self.path is None else _living(keys, time.time() if now is None else now)

    def key(self, kid: object) -> Key | None:
        """A published key by its id. Raises DataError."""
        return next((key for key in self.published() if key.kid == kid), None)

    def jwks(self) -> dict[str, Any]:
        """What is published at ``/jwks``. Raises DataError."""
        return {"keys": [dict(key.public) for key in self.published()]}

    def _read(self) -> tuple[Key, ...]:
        if self.path is None:
            return self._keys
        with self._lock:
            try:
                stat = self.path.stat()
                seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                if seen != self._seen:
                    if os.name == "posix" and stat.st_mode & 0o077:
                        raise DataError(f"{self.path} can be read by others: chmod 600, or remove it to have new keys")
                    self._keys, self._seen = _parsed(self.path.read_text("ascii"), self.path), seen
            except (OSError, UnicodeDecodeError) as problem:
                reason = problem.strerror if isinstance(problem, OSError) else "it is no text"
                raise DataError(f"the keys in {self.path} cannot be read: {reason}") from None
            return self._keys


def rotate(path: Path, algorithm: str = "ES256", *, now: float | None = None, lead: float = LEAD) -> str:
    """Add a new key to the file, which is made if it is not there; gives its kid. Keys whose time is over go.

    Several processes may do so at once: none of the keys is lost. Raises DataError.
    """
    if os.environ.get(VARIABLE):
        raise DataError(f"the keys come from {VARIABLE}: put the new one there, before the old ones, and start again")
    now = time.time() if now is None else now
    private = make(algorithm)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with filelock.FileLock(str(path) + ".lock", timeout=30):
            keys = list(_parsed(path.read_text("ascii"), path)) if path.exists() else []
            # Two that rotate in one moment: the second key begins after the first.
            begins = max([now + lead, *(key.begins + 0.001 for key in keys)]) if keys else now
            key = _key(private, begins)
            kept = (*_living(tuple(keys), now), key)
            write_private(path, json.dumps({"keys": [_written(one) for one in kept]}, indent=1))
    except filelock.Timeout:
        raise DataError(f"{path} is being changed by somebody else: try again") from None
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise DataError(f"the keys in {path} cannot be kept: {reason}") from None
    return key.kid


def make(algorithm: str) -> Private:
    """A new private key. Raises DataError if the algorithm is none of ALGORITHMS."""
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=3072)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    raise DataError(f"{algorithm!r} is no algorithm that tokens are signed with: {', '.join(ALGORITHMS)}")


def jwk_of(private: Private) -> dict[str, str]:
    """The public key as a JWK (RFC 7517) with its thumbprint (RFC 7638) as kid. Raises DataError if it is too weak."""
    public = private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < 2048:
            raise DataError("an RSA key that signs tokens has 2048 bits or more")
        numbers = public.public_numbers()
        needed, algorithm = {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}, "RS256"
    elif isinstance(public, ec.EllipticCurvePublicKey):
        if not isinstance(public.curve, ec.SECP256R1):
            raise DataError("an elliptic key that signs tokens is on the curve P-256 (ES256)")
        point = public.public_numbers()
        needed = {"crv": "P-256", "kty": "EC", "x": _number(point.x, 32), "y": _number(point.y, 32)}
        algorithm = "ES256"
    else:
        needed, algorithm = {"crv": "Ed25519", "kty": "OKP", "x": b64(public.public_bytes_raw())}, "EdDSA"
    canonical = json.dumps(needed, sort_keys=True, separators=(",", ":")).encode()
    return {**needed, "kid": b64(hashlib.sha256(canonical).digest()), "use": "sig", "alg": algorithm}


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int, length: int | None = None) -> str:
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def _key(private: Private, begins: float) -> Key:
    jwk = jwk_of(private)
    return Key(jwk["kid"], jwk["alg"], private, jwk, begins)


def _living(keys: tuple[Key, ...], now: float) -> tuple[Key, ...]:
    """Without those whose last token has expired: KEPT after the next key began to sign."""
    following = [*(key.begins for key in keys[1:]), float("inf")]
    return tuple(key for key, ends in zip(keys, following, strict=False) if now < ends + KEPT)


def _written(key: Key) -> dict[str, Any]:
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {"kid": key.kid, "begins": key.begins, "pem": pem}


def _parsed(text: str, path: Path) -> tuple[Key, ...]:
    try:
        keys = [_key(_private(entry["pem"]), float(entry["begins"])) for entry in json.loads(text)["keys"]]
    except (ValueError, KeyError, TypeError, DataError):
        raise DataError(
            f"{path} holds no keys that tokens can be signed with: remove it, and it is made anew"
        ) from None
    if not keys:
        raise DataError(f"{path} holds no key")
    return tuple(sorted(keys, key=lambda key: key.begins))


def _from_pem(text: str) -> tuple[Key, ...]:
    """Keys of the environment: the first one signs."""
    found = _PEM.findall(text)
    if not found:
        raise DataError(f"{VARIABLE} holds no private key in PEM")
    # All began long ago, the first one last; none ends.
    return tuple(_key(_private(pem), -float(place)) for place, pem in enumerate(found))


def _private(pem: str) -> Private:
    try:
        private = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        raise DataError("a private key to sign tokens with is no PEM, or is encrypted") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise DataError("a key that signs tokens is RSA, P-256 or Ed25519")
    return private
