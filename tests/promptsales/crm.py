"""Clients with sensitive values, for the tests of the cipher."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.promptsales.cipher import KeyRing, seal

PASSWORD = "correct-horse"


def values_of(client_id: int) -> dict[str, str | None]:
    """What a client has; every fifth has no phone."""
    return {
        "tax_id": f"3-101-{client_id:06d}",
        "email": f"Client{client_id}@Example.com",
        "phone": None if client_id % 5 == 0 else f"+506 8{client_id:03d}-0000",
    }


def add_clients(connection: Any, ring: KeyRing, ids: Iterable[int]) -> None:
    """Insert clients with their values sealed under the ring's current key."""
    connection.execute(
        "INSERT INTO city (id, name, country, latitude, longitude, population) "
        "VALUES (1, 'San Jose', 'CR', 9.9, -84.1, 300000) ON CONFLICT DO NOTHING"
    )
    for client_id in ids:
        row = seal(ring, client_id, values_of(client_id))
        connection.execute(
            "INSERT INTO client (id, code, name, kind, city_id, latitude, longitude, created_on, key_version, "
            "tax_id_cipher, tax_id_hash, email_cipher, email_hash, phone_cipher, phone_hash) "
            "VALUES (%(id)s, %(code)s, 'A client', 'person', 1, 9.9, -84.1, '2025-01-01', %(key_version)s, "
            "%(tax_id_cipher)s, %(tax_id_hash)s, %(email_cipher)s, %(email_hash)s, %(phone_cipher)s, %(phone_hash)s)",
            row | {"id": client_id, "code": f"C{client_id}"},
        )
