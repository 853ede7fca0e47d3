"""One data key at work, and the certificate that wraps it: no server is needed."""

from __future__ import annotations

import hmac
import pickle
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from harness.errors import DataError
from harness.promptsales import cipher_values
from harness.promptsales.cipher import (
    COLUMNS,
    Certificate,
    Cipher,
    certificate_from_environment,
    development_certificate,
    make_certificate,
    normalise,
    seed_key,
)

PASSWORD = "correct horse"
KEY = bytes(range(32))
EXPECTED_CIPHERTEXT = "010003462cf2f2118116e8f6bc99932c9722e9fb560755ae54c71ce97e4aa9122439"
EXPECTED_HASH = "a5650656fb155b32ae40c0cb4bb508a43a478408fe0c22820f397d0e0230466d"


@pytest.fixture(scope="module")
def pems() -> tuple[bytes, bytes]:
    return make_certificate("promptcrm test", PASSWORD, key_size=2048)


@pytest.fixture(scope="module")
def certificate(pems: tuple[bytes, bytes]) -> Certificate:
    return Certificate.load(*pems, PASSWORD)


@pytest.mark.parametrize("value", ["a", "Ana@example.com", "ñandú 🦤", "x" * 5000])
@pytest.mark.parametrize("column", COLUMNS)
def test_what_is_encrypted_can_be_read_again(column, value):
    cipher = Cipher.of(1, KEY)
    ciphertext = cipher.encrypt(column, 7, value)
    assert cipher.decrypt(column, 7, ciphertext) == value
    assert len(value) == 1 or value.encode() not in ciphertext
    assert len(ciphertext) == len(value.encode()) + 19


def test_the_same_key_and_row_give_the_same_bytes_in_any_process():
    """The seeder relies on it. The bytes are written down: a change of the format would make old data unreadable."""
    cipher = Cipher.of(3, seed_key(42))
    assert cipher.encrypt("email", 1, "ana@example.com").hex() == EXPECTED_CIPHERTEXT
    assert cipher.digest("email", "ana@example.com").hex() == EXPECTED_HASH


def test_one_value_in_other_rows_columns_versions_or_keys_looks_different():
    cipher = Cipher.of(1, KEY)
    ciphertexts = {
        cipher.encrypt("email", 1, "x"),
        cipher.encrypt("email", 2, "x"),
        cipher.encrypt("phone", 1, "x"),
        Cipher.of(2, KEY).encrypt("email", 1, "x"),
        Cipher.of(1, seed_key(1)).encrypt("email", 1, "x"),
    }
    assert len({ciphertext[3:] for ciphertext in ciphertexts}) == 5


def test_many_are_the_same_as_one_by_one():
    cipher, ids = Cipher.of(1, KEY), [5, 6, 2**31 - 1, -1]
    values = ["a@b.c", " A@B.C ", "é", "0"]
    ciphertexts = cipher.encrypt_many("email", ids, values)
    assert ciphertexts == [cipher.encrypt("email", *pair) for pair in zip(ids, values, strict=True)]
    assert cipher.decrypt_many("email", ids, ciphertexts) == values
    assert cipher.digest_many("email", values) == [cipher.digest("email", value) for value in values]


@pytest.mark.parametrize("column", COLUMNS)
def test_the_hash_is_hmac_sha256_of_column_and_normalised_value(column, monkeypatch):
    derived = {}
    derive = cipher_values._derive
    monkeypatch.setattr(
        cipher_values, "_derive", lambda key, use, size=32: derived.setdefault(use, derive(key, use, size))
    )
    cipher = Cipher.of(1, KEY)
    hash_key = derived[b"promptcrm search hash"]
    assert len(set(derived.values())) == len(derived) == 2
    message = column.encode() + b"\0" + normalise(column, "+1 Ab-2").encode()
    assert cipher.digest(column, "+1 Ab-2") == hmac.digest(hash_key, message, "sha256")


@pytest.mark.parametrize(
    ("column", "written", "normal"),
    [
        ("email", "  Ana.Mora@Example.COM\n", "ana.mora@example.com"),
        ("phone", "+506 (8888) 00-00", "50688880000"),
        ("phone", "8888٣0000", "88880000"),  # only the digits 0 to 9
        ("tax_id", "3-101.a b/c_9", "3101ABC9"),
        ("tax_id", "ñ-1", "Ñ1"),
    ],
)
def test_a_value_is_found_however_it_is_written(column, written, normal):
    assert normalise(column, written) == normal
    cipher = Cipher.of(1, KEY)
    assert cipher.digest(column, written) == cipher.digest(column, normal)


def test_a_value_of_one_column_is_not_found_in_another():
    cipher = Cipher.of(1, KEY)
    assert len({cipher.digest(column, "12345") for column in COLUMNS}) == 3


def test_every_flipped_bit_is_noticed():
    cipher = Cipher.of(1, KEY)
    ciphertext = cipher.encrypt("email", 1, "ana@example.com")
    for place in range(len(ciphertext) * 8):
        damaged = bytearray(ciphertext)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(DataError) as caught:
            cipher.decrypt("email", 1, bytes(damaged))
        assert "client 1" in str(caught.value)
        assert "ana@" not in str(caught.value)


@pytest.mark.parametrize("length", range(20))
def test_what_is_cut_off_is_noticed(length):
    cipher = Cipher.of(1, KEY)
    with pytest.raises(DataError, match="email of client 1"):
        cipher.decrypt("email", 1, cipher.encrypt("email", 1, "ana@example.com")[:length])


@pytest.mark.parametrize(("column", "client_id"), [("email", 2), ("phone", 1)])
def test_a_ciphertext_moved_to_another_place_does_not_decrypt(column, client_id):
    cipher = Cipher.of(1, KEY)
    with pytest.raises(DataError, match=f"{column} of client {client_id} cannot be decrypted"):
        cipher.decrypt(column, client_id, cipher.encrypt("email", 1, "ana@example.com"))


def test_the_wrong_key_does_not_decrypt():
    with pytest.raises(DataError, match="cannot be decrypted"):
        Cipher.of(1, seed_key(1)).decrypt("email", 1, Cipher.of(1, KEY).encrypt("email", 1, "x"))
    with pytest.raises(DataError, match="under key version 2, this is version 1"):
        Cipher.of(1, KEY).decrypt("email", 1, Cipher.of(2, KEY).encrypt("email", 1, "x"))


@pytest.mark.parametrize("empty", ["", "-", "+() "])
def test_nothing_is_not_encrypted_nor_hashed(empty):
    cipher = Cipher.of(1, KEY)
    with pytest.raises(DataError, match="leave it NULL"):
        cipher.digest_many("phone", ["1", empty])
    with pytest.raises(DataError, match="leave it NULL"):
        normalise("phone", empty)
    if not empty:
        with pytest.raises(DataError, match="leave it NULL"):
            cipher.encrypt_many("phone", [1, 2], ["1", empty])


def test_half_a_surrogate_pair_is_refused_without_being_shown():
    for call in (Cipher.of(1, KEY).digest, lambda column, value: Cipher.of(1, KEY).encrypt(column, 1, value)):
        with pytest.raises(DataError, match="no text") as caught:
            call("email", "ana@\ud800")
        assert "ana" not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize("column", ["name", "", "email; DROP TABLE client"])
def test_other_columns_are_not_sensitive(column):
    cipher = Cipher.of(1, KEY)
    for call in (cipher.digest, lambda c, v: cipher.encrypt(c, 1, v), lambda c, v: cipher.decrypt(c, 1, v.encode())):
        with pytest.raises(DataError, match="not a sensitive column"):
            call(column, "x")


@pytest.mark.parametrize(("version", "key"), [(0, KEY), (65536, KEY), (1, KEY[1:]), (1, b"")])
def test_what_is_no_key_is_refused(version, key):
    with pytest.raises(DataError, match=r"version is|bytes"):
        Cipher.of(version, key)


def test_a_cipher_shows_and_gives_away_no_secret():
    cipher = Cipher.of(7, KEY)
    assert repr(cipher) == str(cipher) == "Cipher(version=7)"
    with pytest.raises(TypeError):
        pickle.dumps(cipher)
    with pytest.raises(AttributeError):
        cipher.version = 8


def test_seeds_give_different_keys():
    keys = [seed_key(seed) for seed in range(50)]
    assert len(set(keys)) == 50
    assert all(len(key) == 32 for key in keys)
    assert all(one != other for one, other in pairwise(keys))


def test_a_certificate_wraps_what_only_its_private_key_opens(certificate):
    wrapped = certificate.wrap(KEY)
    assert wrapped != certificate.wrap(KEY)
    assert KEY not in wrapped
    assert certificate.unwrap(wrapped) == KEY
    with pytest.raises(DataError, match="does not open"):
        certificate.unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]))


def test_without_its_private_key_a_certificate_only_wraps(pems, certificate):
    public = Certificate.load(pems[0])
    assert certificate.unwrap(public.wrap(KEY)) == KEY
    with pytest.raises(DataError, match="PROMPTCRM_CERTIFICATE_KEY"):
        public.unwrap(public.wrap(KEY))


def test_the_private_key_is_kept_encrypted(pems):
    assert b"ENCRYPTED PRIVATE KEY" in pems[1]
    with pytest.raises(DataError, match="give it a password"):
        make_certificate("x", "")


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_or_missing_password(pems, password):
    with pytest.raises(DataError, match=r"password is wrong|PROMPTCRM_CERTIFICATE_PASSWORD") as caught:
        Certificate.load(*pems, password)
    assert "wrong horse" not in str(caught.value)


def test_the_private_key_of_another_certificate(pems):
    other = make_certificate("other", PASSWORD, key_size=2048)
    with pytest.raises(DataError, match="of another certificate"):
        Certificate.load(pems[0], other[1], PASSWORD)


@pytest.mark.parametrize("text", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate(text, pems):
    with pytest.raises(DataError, match=r"no X\.509 certificate"):
        Certificate.load(text)
    with pytest.raises(DataError, match="cannot be opened"):
        Certificate.load(pems[0], text, PASSWORD)


def test_a_certificate_that_cannot_wrap():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ec")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    with pytest.raises(DataError, match="RSA key of 2048 bits"):
        Certificate.load(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))


def test_a_certificate_has_its_time(certificate):
    for now, text in ((certificate.not_before, "not valid before"), (certificate.not_after, "has expired")):
        certificate.check_time(now)
        beyond = now + timedelta(seconds=1) * (1 if text == "has expired" else -1)
        with pytest.raises(DataError, match=text):
            certificate.check_time(beyond)
        with pytest.raises(DataError, match=text):
            certificate.wrap(KEY, beyond)


def test_a_certificate_shows_no_secret(certificate):
    assert str(certificate).startswith("certificate 'promptcrm test' (")
    assert "rsa" not in repr(certificate).lower()


def test_the_environment_names_files_or_holds_the_text(pems, certificate, tmp_path):
    for name, pem in zip(("c.pem", "k.pem"), pems, strict=True):
        (tmp_path / name).write_bytes(pem)
    environment = {"PROMPTCRM_CERTIFICATE_PASSWORD": PASSWORD}
    files = {"PROMPTCRM_CERTIFICATE": str(tmp_path / "c.pem"), "PROMPTCRM_CERTIFICATE_KEY": str(tmp_path / "k.pem")}
    texts = {"PROMPTCRM_CERTIFICATE": pems[0].decode(), "PROMPTCRM_CERTIFICATE_KEY": pems[1].decode()}
    for given in (files, texts):
        loaded = certificate_from_environment(environment | given)
        assert loaded is not None
        assert loaded.thumbprint == certificate.thumbprint
        assert loaded.unwrap(certificate.wrap(KEY)) == KEY
    assert certificate_from_environment({}) is None
    with pytest.raises(DataError, match=r"PROMPTCRM_CERTIFICATE_KEY: .*cannot be read: No such file"):
        certificate_from_environment(environment | files | {"PROMPTCRM_CERTIFICATE_KEY": str(tmp_path / "no.pem")})


def test_a_certificate_for_development_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    assert development_certificate(tmp_path, make=False) == {}
    made = development_certificate(tmp_path, make=True)
    assert development_certificate(tmp_path, make=True) == development_certificate(tmp_path, make=False) == made
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    certificate = certificate_from_environment(made)
    assert certificate is not None
    assert certificate.unwrap(certificate.wrap(KEY)) == KEY
    with pytest.raises(DataError, match=r"certificate for development in .* cannot be kept"):
        development_certificate(tmp_path / "nowhere", make=True)
