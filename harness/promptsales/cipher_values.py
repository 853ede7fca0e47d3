"""One data key at work: sensitive values to ciphertexts and keyed hashes, and back.

A ciphertext is ``format (1 byte) ‖ key version (2 bytes) ‖ AES-SIV(associated data, UTF-8 of the value)``: 19 bytes
more than the value.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from harness.errors import DataError

COLUMNS = ("tax_id", "email", "phone")
"""What of a client is sensitive; in the table each is a pair ``<column>_cipher``, ``<column>_hash``."""

KEY_BYTES = 32
"""A data key has 256 bits."""

_FORMAT = 1
_HEADER = struct.Struct(">BH")
_NEWEST = 0xFFFF
_id_bytes = struct.Struct(">q").pack


class _Keep(dict[int, str | None]):
    """A table for ``str.translate`` that keeps the characters that ``wanted`` is true of."""

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        self.wanted = wanted

    def __missing__(self, code: int) -> str | None:
        kept = self[code] = chr(code) if self.wanted(chr(code)) else None
        return kept


_SIGNS = _Keep(str.isalnum)
_NOT_DIGITS = bytes(set(range(256)) - set(b"0123456789"))

_NORMALISE: Mapping[str, Callable[[str], bytes]] = {
    "tax_id": lambda value: value.upper().translate(_SIGNS).encode(),
    "email": lambda value: value.strip().lower().encode(),
    "phone": lambda value: value.encode().translate(None, _NOT_DIGITS),
}


def normalise(column: str, value: str) -> str:
    """What of ``value`` is hashed, so that a search finds it however it is written.

    An e-mail address trimmed and in lower case, of a phone number the digits, of a tax id letters and digits in upper
    case. Raises DataError if there is no such column or nothing is left.

    >>> normalise("phone", "+506 8888-0000"), normalise("tax_id", "3-101-a")
    ('50688880000', '3101A')
    """
    return _normal(column, [value])[0].decode()


def seed_key(seed: int) -> bytes:
    """The data key of synthetic data: 32 bytes derived from the seed, so that a seed gives the same ciphertexts everywhere.

    Whoever knows the seed has the key. Only for seeded data; anything else gets its key from ``create_key``.
    """
    return _derive(f"promptsales seed {seed}".encode(), b"promptcrm data key of a seed", KEY_BYTES)


@dataclass(frozen=True, slots=True, eq=False)
class Cipher:
    """What is done under one version of the data key; made by :meth:`of`. Its repr shows the version only."""

    version: int
    _siv: AESSIV = field(repr=False)
    _hashes: Mapping[str, tuple[hashlib._Hash, hashlib._Hash]] = field(repr=False)

    @classmethod
    def of(cls, version: int, key: bytes) -> Cipher:
        """The cipher of a 32-byte data key. Raises DataError if the key or the version (1 to 65535) is none."""
        if len(key) != KEY_BYTES:
            raise DataError(f"a data key has {KEY_BYTES} bytes, this one has {len(key)}")
        if not 1 <= version <= _NEWEST:
            raise DataError(f"a key version is a number from 1 to {_NEWEST}, not {version}")
        hash_key = _derive(key, b"promptcrm search hash")
        return cls(
            version,
            AESSIV(_derive(key, b"promptcrm encryption", 64)),
            {column: _hmac_states(hash_key, column.encode() + b"\0") for column in COLUMNS},
        )

    def encrypt(self, column: str, client_id: int, value: str) -> bytes:
        """The ciphertext of one value, bound to its column and client.

        Raises DataError for an unknown column, an empty value or one that is no text (lone surrogates).
        """
        return self.encrypt_many(column, [client_id], [value])[0]

    def encrypt_many(self, column: str, client_ids: Iterable[int], values: Sequence[str]) -> list[bytes]:
        """The ciphertexts of many values of one column; ``client_ids`` and ``values`` side by side.

        Raises DataError as :meth:`encrypt` does.
        """
        known, header = _known(column), _HEADER.pack(_FORMAT, self.version)
        place, encrypt, id_bytes = header + known.encode() + b"\0", self._siv.encrypt, _id_bytes
        if "" in values:
            raise DataError(f"{column}: an empty value is not encrypted: leave it NULL")
        try:
            return [
                header + encrypt(value.encode(), [place + id_bytes(client_id)])
                for client_id, value in zip(client_ids, values, strict=True)
            ]
        except UnicodeEncodeError:
            raise DataError(f"{column}: a value is no text, it holds half a surrogate pair") from None

    def decrypt(self, column: str, client_id: int, ciphertext: bytes) -> str:
        """The value again.

        Raises DataError if the ciphertext is damaged, of another column or client, of another key version or of an
        unknown format.
        """
        return self.decrypt_many(column, [client_id], [ciphertext])[0]

    def decrypt_many(self, column: str, client_ids: Iterable[int], ciphertexts: Sequence[bytes]) -> list[str]:
        """The values of many ciphertexts of one column. Raises DataError as :meth:`decrypt` does, naming the client."""
        known, header = _known(column), _HEADER.pack(_FORMAT, self.version)
        place, decrypt, id_bytes, size = header + known.encode() + b"\0", self._siv.decrypt, _id_bytes, len(header)
        values: list[str] = []
        for client_id, ciphertext in zip(client_ids, ciphertexts, strict=True):
            if ciphertext[:size] != header:
                found = version_of(column, client_id, ciphertext)
                raise DataError(
                    f"{column} of client {client_id} is encrypted under key version {found}, this is version {self.version}"
                )
            try:
                values.append(decrypt(ciphertext[size:], [place + id_bytes(client_id)]).decode())
            except (InvalidTag, ValueError):
                raise DataError(
                    f"{column} of client {client_id} cannot be decrypted: it was changed, or is of another client or "
                    "column, or the key is not the one that it was encrypted under"
                ) from None
        return values

    def digest(self, column: str, value: str) -> bytes:
        """The keyed hash (32 bytes) that a value is searched by. Raises DataError as :func:`normalise` does."""
        return self.digest_many(column, [value])[0]

    def digest_many(self, column: str, values: Iterable[str]) -> list[bytes]:
        """The keyed hashes of many values of one column. Raises DataError as :func:`normalise` does."""
        normal = _normal(column, values)
        # HMAC-SHA256 from its two half-fed states (RFC 2104, section 4): half the time of hmac.digest for short values.
        begin_inner, begin_outer = (state.copy for state in self._hashes[column])
        digests: list[bytes] = []
        for value in normal:
            inner, outer = begin_inner(), begin_outer()
            inner.update(value)
            outer.update(inner.digest())
            digests.append(outer.digest())
        return digests


def version_of(column: str, client_id: int, ciphertext: bytes) -> int:
    """The key version that a ciphertext says it is encrypted under. Raises DataError if it has no known format."""
    if len(ciphertext) <= _HEADER.size or ciphertext[0] != _FORMAT:
        raise DataError(f"{column} of client {client_id} is not a ciphertext of a known format")
    version: int = _HEADER.unpack_from(ciphertext)[1]
    return version


def _known(column: str) -> str:
    if column not in _NORMALISE:
        raise DataError(f"{column!r} is not a sensitive column: those are {', '.join(COLUMNS)}")
    return column


def _normal(column: str, values: Iterable[str]) -> list[bytes]:
    try:
        normal = list(map(_NORMALISE[_known(column)], values))
    except UnicodeEncodeError:
        raise DataError(f"{column}: a value is no text, it holds half a surrogate pair") from None
    if b"" in normal:
        raise DataError(f"{column}: an empty value has no hash: leave it NULL")
    return normal


def _derive(secret: bytes, use: bytes, size: int = KEY_BYTES) -> bytes:
    return HKDF(SHA256(), size, salt=None, info=use).derive(secret)


def _hmac_states(key: bytes, prefix: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """HMAC-SHA256 over messages that begin with ``prefix``: the inner hash as fed so far, and the outer one."""
    block = key.ljust(hashlib.sha256().block_size, b"\0")
    return (
        hashlib.sha256(block.translate(hmac.trans_36) + prefix),
        hashlib.sha256(block.translate(hmac.trans_5C)),
    )
