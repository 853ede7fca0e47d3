"""A new data key for all clients, while others read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg

from harness.errors import DataError
from harness.promptsales.cipher_certificate import Certificate
from harness.promptsales.cipher_keys import LOCK, Connection, KeyRing, create_key, require_autocommit, scalar
from harness.promptsales.cipher_values import COLUMNS, Cipher, version_of

Progress = Callable[[int, int], None]
"""Told after each batch: rows done, rows that there were to do."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did: the version that all rows have now, the retired ones, how many rows were encrypted anew."""

    version: int
    retired: tuple[int, ...]
    rows: int
    resumed: bool  # it went on with what another one had left


def rotate(
    connection: Connection,
    ring: KeyRing,
    certificate: Certificate,
    *,
    batch: int = 10_000,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> Rotation:
    """Make the next version of the data key, encrypt and hash every client anew under it, retire the versions before.

    Each batch is a transaction of its own, and rows say which version they have: killed anywhere, the next call goes
    on from there. The ring must have been opened with ``certificate``. The connection must be in autocommit mode.
    Raises DataError if another rotation runs, a value cannot be decrypted, or two clients turn out to have one tax id;
    what was done until then stays.
    """
    require_autocommit(connection)
    ring.require(certificate)
    with _alone(connection):
        ring.reload(connection)
        living = _living(connection)
        resumed = len(living) > 1
        if not resumed:
            create_key(connection, certificate, now=now)
            ring.reload(connection)
            living = _living(connection)
        new, old = ring.current, living[:-1]
        done = 0
        total: int = scalar(connection, "SELECT count(*) FROM client WHERE key_version <> %s", [new.version])
        while True:
            for rows in _batches(connection, ring, new, batch):
                done += rows
                if progress:
                    progress(done, max(total, done))
            if _retire(connection, new.version, old):
                return Rotation(new.version, tuple(old), done, resumed)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """One rotation at a time; the server lets the lock go when the connection ends, however it ends."""
    if not scalar(connection, "SELECT pg_try_advisory_lock(%s)", [LOCK]):
        raise DataError("the data keys of this database are being rotated or moved by somebody else")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _living(connection: Connection) -> list[int]:
    living: list[int] = scalar(
        connection, "SELECT array(SELECT version FROM data_key WHERE retired_at IS NULL ORDER BY version)"
    )
    return living


def _retire(connection: Connection, new: int, old: Sequence[int]) -> bool:
    """Retire the old versions, unless rows have come under them meanwhile."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        # Waits for all who are about to commit rows under an old version: their foreign key holds these rows.
        connection.execute(
            "SELECT FROM data_key WHERE version = ANY(%s) ORDER BY version FOR UPDATE", [list(old)]
        ).fetchall()
        if scalar(connection, "SELECT EXISTS (SELECT FROM client WHERE key_version <> %s)", [new]):
            return False
        connection.execute(
            "UPDATE data_key SET retired_at = now() AT TIME ZONE 'UTC' WHERE version = ANY(%s)", [list(old)]
        )
        return True


def _batches(connection: Connection, ring: KeyRing, new: Cipher, size: int) -> Iterator[int]:
    """Encrypt anew what is not under ``new``, from the lowest id up; the number of rows of each batch."""
    last = -(2**31)
    while True:
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            rows = connection.execute(
                "SELECT id, tax_id_cipher, email_cipher, phone_cipher FROM client WHERE id > %s AND key_version <> %s "
                "ORDER BY id LIMIT %s FOR NO KEY UPDATE",
                [last, new.version, size],
            ).fetchall()
            if not rows:
                return
            ids = [row[0] for row in rows]
            columns = [
                _again(ring, new, column, ids, [row[place] for row in rows]) for place, column in enumerate(COLUMNS, 1)
            ]
            try:
                _write(connection, new.version, ids, columns)
            except psycopg.errors.UniqueViolation:
                raise DataError(
                    "two clients have one tax id, which could not be seen while they were under two key versions: "
                    f"one of them is among {ids[0]} to {ids[-1]}"
                ) from None
            last = ids[-1]
        yield len(ids)


def _again(
    ring: KeyRing, new: Cipher, column: str, ids: Sequence[int], ciphers: Sequence[bytes | None]
) -> tuple[list[bytes | None], list[bytes | None]]:
    """One column's ciphertexts and hashes under ``new``; what is NULL stays so."""
    by_version: dict[int, list[int]] = {}
    for place, cipher in enumerate(ciphers):
        if cipher is not None:
            by_version.setdefault(version_of(column, ids[place], cipher), []).append(place)
    ciphertexts: list[bytes | None] = [None] * len(ids)
    hashes: list[bytes | None] = [None] * len(ids)
    for version, places in by_version.items():
        clients = [ids[place] for place in places]
        values = ring.cipher(version).decrypt_many(column, clients, [ciphers[place] or b"" for place in places])
        encrypted, digests = new.encrypt_many(column, clients, values), new.digest_many(column, values)
        for place, ciphertext, digest in zip(places, encrypted, digests, strict=True):
            ciphertexts[place], hashes[place] = ciphertext, digest
    return ciphertexts, hashes


def _write(
    connection: Connection,
    version: int,
    ids: Sequence[int],
    columns: Sequence[tuple[list[bytes | None], list[bytes | None]]],
) -> None:
    """``columns`` in the order of COLUMNS: ciphertexts and hashes."""
    (tax_ids, tax_hashes), (emails, email_hashes), (phones, phone_hashes) = columns
    connection.execute(
        "UPDATE client SET key_version = %s, tax_id_cipher = n.tax_id, tax_id_hash = n.tax_id_hash, email_cipher = n.email, "
        "email_hash = n.email_hash, phone_cipher = n.phone, phone_hash = n.phone_hash "
        "FROM unnest(%b::int[], %b::bytea[], %b::bytea[], %b::bytea[], %b::bytea[], %b::bytea[], %b::bytea[]) "
        "AS n (id, tax_id, tax_id_hash, email, email_hash, phone, phone_hash) WHERE client.id = n.id",
        [version, list(ids), tax_ids, tax_hashes, emails, email_hashes, phones, phone_hashes],
    )
