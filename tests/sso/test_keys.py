"""Signing keys: kept, published, one after the other."""

from __future__ import annotations

import base64
import stat
import subprocess
import sys
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sso_flow import Flow

from harness.errors import DataError
from harness.sso.keys import KEPT, LEAD, VARIABLE, Keys, jwk_of, make, rotate

pytestmark = pytest.mark.mcp


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "sso" / "keys.json"


def pem(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def kids(keys: Keys, now: float | None = None) -> list[str]:
    return [key.kid for key in keys.published(now)]


def test_the_thumbprint_is_rfc_7638_s():
    """The example of its section 3.1."""
    numbers = rsa.RSAPublicNumbers(
        65537,
        int.from_bytes(
            base64.urlsafe_b64decode(
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn6"
                "4tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91C"
                "bOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw=="
            ),
            "big",
        ),
    )

    class Holder:
        def public_key(self):
            return numbers.public_key()

    assert jwk_of(Holder())["kid"] == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"  # type: ignore[arg-type]


def test_made_when_first_needed_and_for_nobody_else(path):
    keys = Keys(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert Keys(path, {}).signing().kid == keys.signing().kid
    assert "d" not in keys.jwks()["keys"][0]
    assert "private" not in repr(keys.signing())


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_each_algorithm_can_follow(path, algorithm):
    keys = Keys(path, {})
    kid = rotate(path, algorithm)
    assert keys.signing(time.time() + LEAD + 1).kid == kid
    assert keys.signing(time.time() + LEAD + 1).algorithm == algorithm


def test_a_new_key_is_published_before_it_signs_and_the_old_one_goes_last(path):
    now = time.time()
    keys = Keys(path, {})
    first = keys.signing().kid
    second = rotate(path, now=now)
    assert kids(keys, now) == [first, second]
    assert keys.signing(now).kid == first
    assert keys.signing(now + LEAD + 1).kid == second
    assert kids(keys, now + LEAD + KEPT - 1) == [first, second]
    assert kids(keys, now + LEAD + KEPT + 1) == [second]
    third = rotate(path, now=now + LEAD + KEPT + 1)
    assert first not in path.read_text()
    assert kids(keys, now + LEAD + KEPT + 1) == [second, third]


def test_many_processes_that_rotate_at_once_lose_no_key(path):
    Keys(path, {})
    code = f"from pathlib import Path; from harness.sso.keys import rotate; print(rotate(Path({str(path)!r})))"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    made = {process.communicate(timeout=60)[0].strip() for process in running}
    assert len(made) == 4
    assert made < set(kids(Keys(path, {})))
    assert len(set(kids(Keys(path, {})))) == 5


def test_a_running_issuer_notices_and_old_tokens_stay_good(world, http, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    flow, verifier = Flow(http, world.url), world.verifier()
    old = flow.tokens()
    assert verifier.verify(old["access_token"])
    before = world.keys.signing().kid
    new = rotate(world.keys.path, lead=0.0)
    assert {key["kid"] for key in http.get(f"{world.url}/jwks").json()["keys"]} == {before, new}
    assert world.keys.signing().kid == new
    assert verifier.verify(flow.refresh(old["refresh_token"]).json()["access_token"])
    assert verifier.verify(old["access_token"])


def test_keys_of_the_environment(path):
    first, second = make("RS256"), make("ES256")
    keys = Keys(None, {VARIABLE: pem(first) + pem(second)})
    assert keys.signing().kid == jwk_of(first)["kid"]
    assert kids(keys) == [jwk_of(first)["kid"], jwk_of(second)["kid"]]
    assert Keys(path, {VARIABLE: pem(second)}).signing().kid == jwk_of(second)["kid"]
    assert not path.exists()


def test_keys_of_the_environment_are_not_rotated_here(path, monkeypatch):
    monkeypatch.setenv(VARIABLE, pem(make("ES256")))
    with pytest.raises(DataError, match=VARIABLE):
        rotate(path)


@pytest.mark.parametrize(
    "text",
    [
        "no key at all",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
        pem(ec.generate_private_key(ec.SECP384R1())),
    ],
)
def test_keys_that_cannot_be(text):
    with pytest.raises(DataError) as caught:
        Keys(None, {VARIABLE: text})
    assert "\n" not in str(caught.value)
    assert text not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"keys": []}', '{"keys": [{"pem": "x", "begins": 1}]}', "\xff"])
def test_files_that_hold_none(path, text):
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(DataError, match=r"keys\.json"):
        Keys(path, {}).signing()
    with pytest.raises(DataError, match=r"keys\.json"):
        rotate(path)


def test_a_file_that_others_can_read_is_no_secret(path):
    keys = Keys(path, {})
    assert keys.signing()
    path.chmod(0o640)
    with pytest.raises(DataError, match="can be read by others"):
        Keys(path, {}).signing()


def test_no_key_at_all():
    with pytest.raises(DataError, match=VARIABLE):
        Keys(None, {})
    with pytest.raises(DataError, match="ES256, RS256, EdDSA"):
        make("HS256")
