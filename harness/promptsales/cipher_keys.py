"""The data keys of a promptcrm database: made, opened, moved; and clients sealed, shown and found with them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from harness.errors import DataError
from harness.promptsales.cipher_certificate import Certificate, short
from harness.promptsales.cipher_values import COLUMNS, KEY_BYTES, Cipher, version_of

Connection = psycopg.Connection[Any]

LOCK = 0x70736B6579  # of those who make, rotate or move data keys: one at a time ("pskey")


class KeyRing:
    """The opened data keys of a database. Safe to use from threads.

    ``current`` is the newest key that is not retired: what is written is written under it. Retired keys still open
    what is read, be it a row of an old snapshot or of a backup.
    """

    def __init__(self, certificates: tuple[Certificate, ...], ciphers: Mapping[int, Cipher], current: Cipher) -> None:
        self._certificates = certificates
        self._keys = (dict(ciphers), current)  # replaced as one, so that threads see a whole ring

    @classmethod
    def open(cls, connection: Connection, *certificates: Certificate, now: datetime | None = None) -> KeyRing:
        """Open all keys of the table ``data_key``. While keys move to a new certificate, give the old one and the new one.

        Raises DataError if there is no key, a certificate is not valid now, one is missing, or a key does not open.
        """
        for certificate in certificates:
            certificate.check_time(now)
        return cls(certificates, *_opened(connection, certificates))

    def reload(self, connection: Connection) -> None:
        """Open the keys anew. Raises DataError as :meth:`open` does; then the ring stays as it was."""
        self._keys = _opened(connection, self._certificates)

    def require(self, certificate: Certificate) -> None:
        """Raises DataError if the ring could not open a key that is wrapped by this certificate."""
        if certificate.thumbprint not in {own.thumbprint for own in self._certificates}:
            raise DataError(f"the key ring was not opened with {certificate}, so it could not open a key made under it")

    @property
    def versions(self) -> frozenset[int]:
        """All key versions that are here."""
        return frozenset(self._keys[0])

    @property
    def current(self) -> Cipher:
        """What is written is written under this one."""
        return self._keys[1]

    def cipher(self, version: int) -> Cipher:
        """The cipher of a version. Raises DataError if it is not here."""
        try:
            return self._keys[0][version]
        except KeyError:
            raise DataError(
                f"key version {version} is not in the key ring, which has {sorted(self.versions)}"
            ) from None

    def decrypt(self, column: str, client_id: int, ciphertext: bytes) -> str:
        """The value, whichever version it is encrypted under. Raises DataError as :meth:`Cipher.decrypt` does."""
        return self.cipher(version_of(column, client_id, ciphertext)).decrypt(column, client_id, ciphertext)

    def digests(self, column: str, value: str) -> list[bytes]:
        """The keyed hashes of a value under all versions: one of them is the row's, if there is one."""
        return [cipher.digest(column, value) for cipher in self._keys[0].values()]

    def __repr__(self) -> str:
        return f"KeyRing(versions={sorted(self.versions)}, current={self.current.version})"


def create_key(
    connection: Connection,
    certificate: Certificate,
    *,
    name: str = "",
    key: bytes | None = None,
    now: datetime | None = None,
) -> int:
    """Make a data key, wrap it and keep it; gives its version.

    The key is random, unless seeded data brings its own (``seed_key``). The connection must be in autocommit mode.
    Raises DataError if the certificate is not valid now or the name is taken.
    """
    require_autocommit(connection)
    wrapped = certificate.wrap(secrets.token_bytes(KEY_BYTES) if key is None else key, now)
    if key is not None:
        Cipher.of(1, key)  # is it a key at all?
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        version: int = scalar(connection, "SELECT coalesce(max(version), 0) + 1 FROM data_key")
        name = name or f"client_data_{version}"
        try:
            connection.execute(
                "INSERT INTO data_key (version, name, wrapped_key, certificate_thumbprint) VALUES (%s, %s, %s, %s)",
                [version, name, wrapped, certificate.thumbprint],
            )
        except psycopg.errors.UniqueViolation:
            raise DataError(f"there is a data key called {name!r} already") from None
    return version


def rewrap_keys(connection: Connection, old: Certificate, new: Certificate, *, now: datetime | None = None) -> int:
    """Move all data keys from one certificate to another; gives how many were moved. The rows of clients stay as they are.

    One transaction: all are moved or none. ``old`` needs its private key and may have expired; ``new`` must be valid.
    To run it again moves nothing. The connection must be in autocommit mode. Raises DataError.
    """
    require_autocommit(connection)
    moved = 0
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        rows = connection.execute(
            "SELECT version, wrapped_key, certificate_thumbprint FROM data_key ORDER BY version FOR NO KEY UPDATE"
        ).fetchall()
        for version, wrapped, thumbprint in rows:
            if thumbprint == new.thumbprint:
                continue
            key = _unwrap(version, wrapped, thumbprint, (old,))
            connection.execute(
                "UPDATE data_key SET wrapped_key = %s, certificate_thumbprint = %s WHERE version = %s",
                [new.wrap(key, now), new.thumbprint, version],
            )
            moved += 1
    return moved


def seal(ring: KeyRing, client_id: int, values: Mapping[str, str | None]) -> dict[str, Any]:
    """What to write into a client's row for these values: ``{column}_cipher``, ``{column}_hash`` and ``key_version``.

    Raises DataError for an unknown column or an empty value.
    """
    cipher = ring.current
    row: dict[str, Any] = {"key_version": cipher.version}
    for column, value in values.items():
        row[f"{column}_cipher"] = None if value is None else cipher.encrypt(column, client_id, value)
        row[f"{column}_hash"] = None if value is None else cipher.digest(column, value)
    return row


def reveal(connection: Connection, ring: KeyRing, client_id: int) -> dict[str, str | None]:
    """A client's sensitive values by column, None where there is none. Any connection will do.

    Raises DataError if there is no such client or a value cannot be decrypted.
    """
    row = connection.execute(
        "SELECT tax_id_cipher, email_cipher, phone_cipher FROM client WHERE id = %s", [client_id]
    ).fetchone()
    if row is None:
        raise DataError(f"there is no client {client_id}")
    ciphers = dict(zip(COLUMNS, row, strict=True))
    if {version_of(column, client_id, cipher) for column, cipher in ciphers.items() if cipher} - ring.versions:
        ring.reload(connection)
    return {column: ring.decrypt(column, client_id, cipher) if cipher else None for column, cipher in ciphers.items()}


def find_client(connection: Connection, ring: KeyRing, column: str, value: str) -> list[int]:
    """The ids of the clients that have this value, however it is written, in order. Any connection will do.

    Row and keys are looked at in one statement, so a key that came meanwhile is noticed: then it is opened and asked
    under too. Raises DataError for an unknown column or an empty value.
    """
    digests = ring.digests(column, value)
    question = sql.SQL(
        "SELECT array(SELECT id FROM client WHERE {} = ANY(%b) ORDER BY id), array(SELECT version FROM data_key)"
    ).format(sql.Identifier(f"{column}_hash"))
    while True:
        row = connection.execute(question, [digests]).fetchone()
        assert row is not None
        found: list[int] = row[0]
        if ring.versions.issuperset(row[1]):
            return found
        ring.reload(connection)
        digests = ring.digests(column, value)


def require_autocommit(connection: Connection) -> None:
    """Raises DataError: whoever makes or moves keys begins and ends transactions by itself."""
    if not connection.autocommit:
        raise DataError(
            "keys are made and moved in transactions of their own: the connection must be in autocommit mode"
        )


def _opened(connection: Connection, certificates: tuple[Certificate, ...]) -> tuple[dict[int, Cipher], Cipher]:
    rows = connection.execute(
        "SELECT version, wrapped_key, certificate_thumbprint, retired_at IS NULL FROM data_key ORDER BY version"
    ).fetchall()
    ciphers = {row[0]: Cipher.of(row[0], _unwrap(row[0], row[1], row[2], certificates)) for row in rows}
    living = [row[0] for row in rows if row[3]]
    if not living:
        raise DataError("there is no data key that is not retired: make one first (create_key)")
    return ciphers, ciphers[living[-1]]


def _unwrap(version: int, wrapped: bytes | None, thumbprint: bytes, certificates: tuple[Certificate, ...]) -> bytes:
    if wrapped is None:
        raise DataError(f"key version {version} lies in the server's own key store, not in the table data_key")
    for certificate in certificates:
        if certificate.thumbprint == thumbprint:
            return certificate.unwrap(wrapped)
    raise DataError(
        f"key version {version} is wrapped by the certificate {short(thumbprint)}; "
        f"given: {', '.join(map(str, certificates)) or 'none'}"
    )


def scalar(connection: Connection, query: LiteralString, parameters: Sequence[Any] = ()) -> Any:
    """The one value that a query gives."""
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]
