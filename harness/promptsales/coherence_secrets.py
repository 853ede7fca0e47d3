"""A sample of ciphertexts decrypts, and their hashes are those of the values: nobody is shown a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.errors import DataError
from harness.promptsales.cipher import COLUMNS, Cipher, KeyRing, certificate_from_environment, seed_key
from harness.promptsales.coherence import LeftOut, Tally
from harness.promptsales.coherence_sources import Side, Sources

_SAMPLE = 200
_CRM = "promptcrm"
_FIELDS = ", ".join(f"{column}_cipher, {column}_hash" for column in COLUMNS)

_SQLSERVER = """
SELECT TOP 200 s.id, CASE WHEN s.tax_id IS NULL AND c.tax_id_cipher IS NOT NULL
    OR s.email IS NULL AND c.email_cipher IS NOT NULL OR s.phone IS NULL AND c.phone_cipher IS NOT NULL THEN 1 ELSE 0 END
FROM client_sensitive s JOIN client c ON c.id = s.id WHERE c.key_version IS NOT NULL ORDER BY s.id DESC
"""


@dataclass(frozen=True, slots=True)
class Decrypts:
    """The first and the last clients that have sensitive values."""

    name: str = "sensitive values decrypt, and are found by their hashes (a sample)"
    needs: tuple[str, ...] = (_CRM,)

    def run(self, sources: Sources) -> Tally:
        """Decrypt some; on SQL Server, have the server do it."""
        tally = Tally()
        if sources.engine(_CRM) == "sqlserver":
            for client, lost in sources.rows(Side(_CRM, _SQLSERVER)):
                tally.checked += 1
                if lost:
                    tally.breaks(f"client {client}")
            return tally
        cipher = _ciphers(sources)
        seen: set[int] = set()
        for order in ("ASC", "DESC"):
            sql = (
                f"SELECT id, key_version, {_FIELDS} FROM client WHERE key_version IS NOT NULL"  # noqa: S608 - words of our own
                f" ORDER BY id {order} LIMIT {_SAMPLE // 2}"
            )
            for client, version, *fields in sources.rows(Side(_CRM, sql)):
                if client not in seen:
                    seen.add(client)
                    tally.checked += 1
                    _look(tally, cipher(version), client, fields)
        return tally


def _look(tally: Tally, cipher: Cipher, client: int, fields: list[Any]) -> None:
    for column, ciphertext, digest in zip(COLUMNS, fields[::2], fields[1::2], strict=True):
        if ciphertext is None:
            continue
        try:
            value = cipher.decrypt(column, client, bytes(ciphertext))
        except DataError:
            tally.breaks(f"client {client}: {column} does not decrypt")
            continue
        if digest is None or cipher.digest(column, value) != bytes(digest):
            tally.breaks(f"client {client}: {column} has another hash")


def _ciphers(sources: Sources) -> Callable[[int], Cipher]:
    """The ciphers by version: by the environment's certificate, else those that follow from a seed. Raises LeftOut."""
    certificate = certificate_from_environment()
    if certificate is not None:
        try:
            return KeyRing.open(sources.client(_CRM), certificate).cipher
        except DataError as problem:
            raise LeftOut(str(problem)) from None
    keys = {int(version): str(name) for version, name in sources.rows(Side(_CRM, "SELECT version, name FROM data_key"))}
    if not keys:
        raise LeftOut("promptcrm has no data key")
    seeds = {version: name.removeprefix("seed ") for version, name in keys.items() if name.startswith("seed ")}
    if len(seeds) < len(keys):
        raise LeftOut("promptcrm has data keys that only a certificate opens: set PROMPTCRM_CERTIFICATE and its key")
    return lambda version: Cipher.of(version, seed_key(int(seeds[version])))
