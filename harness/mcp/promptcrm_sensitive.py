"""The sensitive values of a client, as a caller may see them: masked for all but stewards. Decided here and nowhere else.

The login that works for everybody cannot read the ciphertexts, only whether there is one. For a steward they are read by
another login. On SQL Server the server decrypts; on the stand-in this process does, with the certificate of the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from harness.errors import DataError, ToolRefused
from harness.mcp.model import STEWARDS, Answer
from harness.mcp.sql import SqlSource
from harness.promptsales.cipher import COLUMNS, Certificate, Cipher
from harness.promptsales.cipher_values import version_of
from harness.promptsales.queries import find
from harness.sso.model import Caller

MASK = "•••"
NOT_A_STEWARD = "only a steward may see these values"


class Sensitive(Answer):
    """A value that not everybody may see."""

    value: str | None = Field(description=f"null: there is none; {MASK}: there is one, masked")
    masked: bool


class Contact(Answer):
    """What of a client is encrypted in the database."""

    tax_id: Sensitive
    email: Sensitive
    phone: Sensitive
    why_masked: str | None = Field(description="null: nothing is masked")


class Revealer:
    """Shows sensitive values to those who may see them. Safe to use from threads."""

    def __init__(self, steward: SqlSource, certificate: Callable[[], Certificate | None]) -> None:
        self._source = steward
        self._certificate = certificate

    def contact(self, caller: Caller, card: Mapping[str, Any]) -> Contact:
        """The values of the client of this card. Raises SourceError if the database does not answer."""
        there = [column for column in COLUMNS if card[f"has_{column}"]]
        if not there:
            return _contact({}, None)
        if not caller.is_one_of(STEWARDS):
            return _contact(dict.fromkeys(there, MASK), NOT_A_STEWARD)
        try:
            values = self._values(card["client_id"], there)
        except DataError as error:
            return _contact(dict.fromkeys(there, MASK), f"they cannot be decrypted: {error}")
        return _contact(values, None)

    def find(self, column: str, value: str, most: int) -> list[dict[str, Any]]:
        """The first clients (id, code, name) that have this value, however it is written, by id.

        Raises ToolRefused if values cannot be looked for, SourceError.
        """
        question = find("promptcrm", self._source.engine, f"clients_by_{column}")
        if self._source.engine == "sqlserver":  # the server makes the hash
            return self._source.rows(question, most, value=value)
        try:
            versions = None
            while True:
                ciphers = self._ciphers()
                if versions == ciphers.keys():
                    return []
                digests = [cipher.digest(column, value) for cipher in ciphers.values()]
                if rows := self._source.rows(question, most, value=digests):
                    return rows
                versions = ciphers.keys()  # and once more, if there is a new key meanwhile: it may be under that
        except DataError as error:
            raise ToolRefused(f"clients cannot be found by {column}: {error}") from None

    def _values(self, client_id: int, there: list[str]) -> dict[str, str | None]:
        """Raises DataError with a reason that shows no value, SourceError."""
        row = self._source.row(find("promptcrm", self._source.engine, "client_secrets"), client_id=client_id) or {}
        if self._source.engine == "sqlserver":
            if any(row.get(column) is None for column in there):  # SQL Server's way of saying so
                raise DataError("the database does not decrypt them")
            return {column: row.get(column) for column in COLUMNS}
        ciphers = self._ciphers()
        values: dict[str, str | None] = {}
        for column in COLUMNS:
            cipher = row.get(column)
            values[column] = _decrypted(ciphers, column, client_id, bytes(cipher)) if cipher else None
        return values

    def _ciphers(self) -> dict[int, Cipher]:
        """The data keys by version, opened. Raises DataError, SourceError."""
        try:
            certificate = self._certificate()
        except DataError:  # its text may say a path of this machine
            raise DataError("the certificate that this server is given cannot be read") from None
        if certificate is None:
            raise DataError("this server is given no certificate")
        certificate.check_time()
        opened: dict[int, Cipher] = {}
        for row in self._source.rows(find("promptcrm", self._source.engine, "data_keys"), 1000):
            if row["wrapped_key"] is None:
                raise DataError("their key is not in the database")
            if bytes(row["certificate_thumbprint"]) != certificate.thumbprint:
                raise DataError("their key is under another certificate than this server is given")
            opened[row["version"]] = Cipher.of(row["version"], certificate.unwrap(bytes(row["wrapped_key"])))
        return opened


def _decrypted(ciphers: Mapping[int, Cipher], column: str, client_id: int, value: bytes) -> str:
    version = version_of(column, client_id, value)
    if version not in ciphers:
        raise DataError("their key is not in the database")
    return ciphers[version].decrypt(column, client_id, value)


def _contact(values: Mapping[str, str | None], why: str | None) -> Contact:
    made = {column: Sensitive(value=values.get(column), masked=values.get(column) == MASK) for column in COLUMNS}
    return Contact(**made, why_masked=why)
