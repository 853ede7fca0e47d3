"""The X.509 certificate of data keys: its public key wraps them (RSA-OAEP, SHA-256), its private key opens them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from harness.errors import DataError
from harness.servers.runfolder import write_private

CERTIFICATE = "PROMPTCRM_CERTIFICATE"
PRIVATE_KEY = "PROMPTCRM_CERTIFICATE_KEY"
PASSWORD = "PROMPTCRM_CERTIFICATE_PASSWORD"  # the name of the variable
"""Environment variables: the first two hold PEM text or the path of such a file."""
MASTER_PASSWORD = "PROMPTCRM_MASTER_PASSWORD"
"""The same, for a PromptCrm on SQL Server that has no master key yet: it guards the certificate there."""

_SMALLEST = 2048
_OAEP = padding.OAEP(mgf=padding.MGF1(SHA256()), algorithm=SHA256(), label=None)


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """A certificate, with its private key if data keys are to be opened. Its repr shows name and thumbprint only."""

    common_name: str
    thumbprint: bytes  # SHA-256 over the DER form
    not_before: datetime
    not_after: datetime
    _public: rsa.RSAPublicKey = field(repr=False)
    _private: rsa.RSAPrivateKey | None = field(default=None, repr=False)

    @classmethod
    def load(cls, certificate: bytes, private_key: bytes | None = None, password: str | None = None) -> Certificate:
        """From PEM.

        Raises DataError if it is no X.509 certificate with an RSA key of 2048 bits or more, if the password is wrong
        or missing, or if the private key is of another certificate.
        """
        try:
            parsed = x509.load_pem_x509_certificate(certificate)
        except ValueError:
            raise DataError("the certificate is no X.509 certificate in PEM") from None
        public = parsed.public_key()
        if not isinstance(public, rsa.RSAPublicKey) or public.key_size < _SMALLEST:
            raise DataError(f"the certificate must have an RSA key of {_SMALLEST} bits or more: it wraps data keys")
        names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return cls(
            str(names[0].value) if names else "",
            parsed.fingerprint(SHA256()),
            parsed.not_valid_before_utc,
            parsed.not_valid_after_utc,
            public,
            _private_key(private_key, password, public) if private_key is not None else None,
        )

    def check_time(self, now: datetime | None = None) -> None:
        """Raises DataError if the certificate is not valid yet, or no longer."""
        now = now or datetime.now(UTC)
        if now < self.not_before:
            raise DataError(f"{self} is not valid before {self.not_before:%Y-%m-%d %H:%M} UTC")
        if now > self.not_after:
            raise DataError(
                f"{self} has expired on {self.not_after:%Y-%m-%d %H:%M} UTC: "
                "make another one and move the data keys to it (rewrap_keys)"
            )

    def wrap(self, key: bytes, now: datetime | None = None) -> bytes:
        """A data key that only the private key can open. Raises DataError if the certificate is not valid now."""
        self.check_time(now)
        return self._public.encrypt(key, _OAEP)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key. Raises DataError if the private key is not here or does not open it."""
        if self._private is None:
            raise DataError(f"{self} is here without its private key: data keys cannot be opened (set {PRIVATE_KEY})")
        try:
            return self._private.decrypt(wrapped, _OAEP)
        except ValueError:
            raise DataError(f"the private key of {self} does not open the data key: it was changed") from None

    def __str__(self) -> str:
        return f"certificate {self.common_name!r} ({short(self.thumbprint)})"


def short(thumbprint: bytes) -> str:
    """The beginning of a thumbprint, enough to tell certificates apart."""
    return f"{thumbprint.hex()[:16]}…"


def certificate_from_environment(environ: Mapping[str, str] | None = None) -> Certificate | None:
    """The certificate that the environment names, or None if it names none.

    Raises DataError if a file cannot be read, or as :meth:`Certificate.load` does.
    """
    environ = os.environ if environ is None else environ
    if not environ.get(CERTIFICATE):
        return None
    private = environ.get(PRIVATE_KEY)
    return Certificate.load(
        _pem(CERTIFICATE, environ[CERTIFICATE]),
        _pem(PRIVATE_KEY, private) if private else None,
        environ.get(PASSWORD),
    )


def development_certificate(folder: Path, *, make: bool) -> dict[str, str]:
    """The environment variables of a certificate for development that is kept in ``folder``; made if ``make`` says so.

    Nothing if there is none. Its password lies beside it: it protects data that anybody may see. Raises DataError.
    """
    certificate, private, password = (folder / f"certificate.{suffix}" for suffix in ("pem", "key", "password"))
    try:
        if make and not password.exists():  # the last one to be written
            chosen = secrets.token_urlsafe(24)
            public, secret = make_certificate("PromptCrm, development", chosen)
            for file, text in ((certificate, public.decode()), (private, secret.decode()), (password, chosen)):
                write_private(file, text)
        if not password.exists():
            return {}
        return {CERTIFICATE: str(certificate), PRIVATE_KEY: str(private), PASSWORD: password.read_text("ascii")}
    except OSError as problem:
        raise DataError(f"the certificate for development in {folder} cannot be kept: {problem.strerror}") from None


def make_certificate(
    common_name: str,
    password: str,
    *,
    not_before: datetime | None = None,
    valid: timedelta = timedelta(days=365),
    key_size: int = 3072,
) -> tuple[bytes, bytes]:
    """A self-signed certificate for development and tests: its PEM, and its private key's, encrypted under ``password``.

    In production the certificate comes from the company's authority. Raises DataError if password or name cannot be
    used.
    """
    if not password:
        raise DataError("the private key of a certificate is kept encrypted: give it a password")
    private = rsa.generate_private_key(public_exponent=65537, key_size=key_size)
    begin = not_before or datetime.now(UTC) - timedelta(minutes=5)  # clocks of other hosts may be behind
    try:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    except ValueError as problem:
        raise DataError(f"{common_name!r} cannot be a certificate's name: {problem}") from None
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + valid)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(private, SHA256())
    )
    encryption = BestAvailableEncryption(password.encode())
    return (
        certificate.public_bytes(Encoding.PEM),
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption),
    )


def _private_key(pem: bytes, password: str | None, public: rsa.RSAPublicKey) -> rsa.RSAPrivateKey:
    try:
        private = load_pem_private_key(pem, password.encode() if password else None)
    except TypeError:
        what = "is not encrypted, and a password is given" if password else f"is encrypted: set {PASSWORD}"
        raise DataError(f"the certificate's private key {what}") from None
    except ValueError:  # OpenSSL cannot tell a wrong password from a damaged key
        raise DataError(
            "the certificate's private key cannot be opened: the password is wrong, or it is no key"
        ) from None
    if not isinstance(private, rsa.RSAPrivateKey) or private.public_key().public_numbers() != public.public_numbers():
        raise DataError("the private key is of another certificate")
    return private


def _pem(variable: str, value: str) -> bytes:
    """PEM text as given, or read from the file that is named."""
    if value.lstrip().startswith("-----BEGIN"):
        return value.encode()
    try:
        return Path(value).expanduser().read_bytes()
    except OSError as problem:
        raise DataError(f"{variable}: {value} cannot be read: {problem.strerror}") from None
