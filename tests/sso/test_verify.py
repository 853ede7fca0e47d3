"""What the verifier takes and what it refuses: tokens made by hand, an issuer that misbehaves on demand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sso_fake import ED, ES, RS, by_hand, claims_for, signed
from sso_flow import RESOURCE

from harness.errors import DataError, SourceError, TokenRefused
from harness.servers.base import Target
from harness.sso.keys import b64, jwk_of, make
from harness.sso.verify import VerifierSettings, open_verifier

pytestmark = pytest.mark.mcp


@pytest.mark.parametrize(("key", "algorithm"), [(ES, "ES256"), (RS, "RS256"), (RS, "PS256"), (ED, "EdDSA")])
def test_good_tokens(fake, ana, opened, key, algorithm):
    fake.keys = [{k: v for k, v in jwk.items() if k != "alg"} for jwk in fake.keys]
    caller = opened().verify(signed(claims_for(fake, ana), key, algorithm))
    assert (caller.name, caller.roles, caller.client) == ("ana@example.com", {"analyst"}, "a client")
    assert caller.subject == str(ana.identity)
    assert caller.expires_at is not None


@pytest.mark.parametrize("audience", [[RESOURCE], ["https://other.example", RESOURCE]])
def test_many_audiences(fake, ana, opened, audience):
    assert opened().verify(signed(claims_for(fake, ana, aud=audience)))


def test_clocks_may_differ_a_little(fake, ana, opened):
    now = int(time.time())
    assert opened().verify(signed(claims_for(fake, ana, exp=now - 5)))
    assert opened().verify(signed(claims_for(fake, ana, iat=now + 5, nbf=now + 5)))


PAST, FUTURE = -3600, 3600


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"exp": PAST}, "has expired"),
        ({"nbf": FUTURE}, "not valid yet"),
        ({"iat": FUTURE}, "not valid yet"),
        ({"aud": "https://other.example"}, "another audience"),
        ({"aud": []}, "(lacks the claim 'aud'|another audience)"),
        ({"aud": RESOURCE + "/"}, "another audience"),
        ({"iss": "https://other.example"}, "another issuer"),
        *(({name: None}, f"lacks the claim '{name}'") for name in ("exp", "iat", "sub", "jti", "sid", "client_id")),
        ({"aud": None}, "(lacks the claim 'aud'|another audience)"),
        ({"iss": None}, "(lacks the claim 'iss'|another issuer)"),
        ({"sid": "no uuid"}, "proper claims"),
        ({"sid": 5}, "proper claims"),
        ({"sub": "no uuid"}, "proper claims"),
        ({"sub": ["x"]}, "proper claims"),
        ({"exp": "soon"}, "proper claims"),
        ({"exp": float("inf")}, "proper claims"),
        ({"exp": [1]}, "proper claims"),
        ({"sid": str(uuid.uuid4())}, "session has ended"),
        ({"sub": str(uuid.uuid4())}, "session has ended"),
    ],
)
def test_claims_that_are_refused(fake, ana, opened, changed, says):
    now = int(time.time())
    changed = {name: now + value if value in (PAST, FUTURE) else value for name, value in changed.items()}
    token = signed(claims_for(fake, ana, **changed))
    with pytest.raises(TokenRefused, match=says) as caught:
        opened().verify(token)
    assert "\n" not in str(caught.value)


def test_an_end_that_no_calendar_has_is_none(fake, ana, opened):
    caller = opened().verify(signed(claims_for(fake, ana, exp=10**400)))
    assert caller.expires_at is None  # its session ends all the same


@pytest.mark.parametrize("typ", ["JWT", None, "", "jwt", "id_token", "logout+jwt", "dpop+jwt"])
def test_other_kinds_of_token(fake, ana, opened, typ):
    token = (
        signed(claims_for(fake, ana), typ=typ)
        if typ is not None
        else jwt.encode(claims_for(fake, ana), ES, algorithm="ES256", headers={"typ": None, "kid": jwk_of(ES)["kid"]})
    )
    with pytest.raises(TokenRefused, match="no access token"):
        opened().verify(token)


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_ways_to_write_the_type(fake, ana, opened, typ):
    assert opened().verify(signed(claims_for(fake, ana), typ=typ))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 5, ["ES256"]])
def test_no_signature(fake, ana, opened, algorithm):
    header = {"typ": "at+jwt", "alg": algorithm, "kid": jwk_of(ES)["kid"]}
    for signature in (b"", b"x"):
        with pytest.raises(TokenRefused, match="must be signed with one of"):
            opened().verify(by_hand(header, claims_for(fake, ana), signature))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("key", [ES, RS], ids=["ES256", "RS256"])
def test_the_public_key_is_no_secret(fake, ana, opened, algorithm, key):
    public = key.public_key()
    secrets = [public.public_bytes(kind, PublicFormat.SubjectPublicKeyInfo) for kind in (Encoding.PEM, Encoding.DER)]
    secrets.append(json.dumps(jwk_of(key)).encode())
    for secret in secrets:
        head = b64(json.dumps({"typ": "at+jwt", "alg": algorithm, "kid": jwk_of(key)["kid"]}).encode())
        body = b64(json.dumps(claims_for(fake, ana)).encode())
        digest = getattr(hashlib, algorithm.replace("HS", "sha"))
        token = f"{head}.{body}.{b64(hmac.new(secret, f'{head}.{body}'.encode(), digest).digest())}"
        with pytest.raises(TokenRefused, match="must be signed with one of"):
            opened().verify(token)


def test_a_symmetric_algorithm_cannot_be_configured(fake, opened):
    with pytest.raises(DataError, match="no algorithm"):
        opened(algorithms=("HS256",))
    with pytest.raises(DataError, match="no algorithm"):
        opened(algorithms=("none",))


def test_keys_that_a_token_brings(fake, ana, opened):
    mine = make("ES256")
    header = {"kid": "mine", "jwk": jwk_of(mine)}
    for more in (
        header,
        {"kid": "mine", "jku": "https://evil.example/jwks"},
        {"kid": "mine", "x5u": "https://evil.example/x"},
        {"x5c": ["AAAA"]},
        {"crit": ["exp"]},
        {"b64": False},
        {"zip": "DEF"},
    ):
        token = jwt.encode(claims_for(fake, ana), mine, algorithm="ES256", headers={"typ": "at+jwt", **more})
        with pytest.raises(TokenRefused, match="keys or extensions of its own"):
            opened().verify(token)
    with pytest.raises(TokenRefused, match="not signed by a key of the issuer"):
        opened().verify(signed(claims_for(fake, ana), mine, kid=jwk_of(ES)["kid"]))


def test_a_key_of_another_kind_than_the_algorithm(fake, ana, opened):
    with pytest.raises(TokenRefused, match="not signed by a key"):
        opened().verify(signed(claims_for(fake, ana), RS, "RS256", kid=jwk_of(ES)["kid"]))
    with pytest.raises(TokenRefused, match="not signed by a key"):  # its alg says RS256
        opened().verify(signed(claims_for(fake, ana), RS, "PS256"))


@pytest.mark.parametrize(
    "changed",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"alg": "ES384"},
        {"kty": "oct", "k": "AAAA"},
        {"crv": "P-384"},
        {"x": "!"},
    ],
)
def test_keys_that_are_for_something_else(fake, ana, opened, changed):
    fake.keys = [jwk_of(ES) | changed]
    with pytest.raises(TokenRefused, match="not signed by a key"):
        opened().verify(signed(claims_for(fake, ana)))


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
def test_a_weak_key(fake, ana, opened):
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    n = weak.public_key().public_numbers().n
    fake.keys = [{"kty": "RSA", "kid": "weak", "e": "AQAB", "n": b64(n.to_bytes(128, "big"))}]
    token = jwt.encode(claims_for(fake, ana), weak, algorithm="RS256", headers={"typ": "at+jwt", "kid": "weak"})
    with pytest.raises(TokenRefused, match="not signed by a key"):
        opened().verify(token)


@pytest.mark.parametrize(
    "token",
    [
        "x",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c",
        "\0.\0.\0",
        "é.é.é",
        "\ud800",
        "!!!!.e30.x",
        "e30.e30.e30",
        by_hand(b"[1]", b"{}"),
        by_hand(b"null", b"{}"),
        by_hand(b"{", b"{}"),
        by_hand(b"[" * 3000, b"{}"),
        by_hand(b"\xff\xfe", b"{}"),
        by_hand({"alg": "ES256", "typ": "at+jwt", "kid": 5}, {}),
        by_hand({"alg": "ES256", "typ": 5}, {}),
        by_hand({"alg": "ES256", "typ": "at+jwt", "kid": jwk_of(ES)["kid"]}, b"{"),
        "Bearer x",
    ],
)
def test_what_is_no_token(opened, token):
    with pytest.raises(TokenRefused) as caught:
        opened().verify(token)
    assert len(str(caught.value)) < 150
    assert token not in str(caught.value) or len(token) < 4


@pytest.mark.parametrize("payload", [b"[]", b"null", b"5", b"{", b"[" * 3000, b"\xff", b'{"exp": 1e999}'])
def test_payloads_that_are_none_though_signed(opened, payload):
    token = jwt.api_jws.encode(payload, ES, algorithm="ES256", headers={"typ": "at+jwt", "kid": jwk_of(ES)["kid"]})
    with pytest.raises(TokenRefused):
        opened().verify(token)


def test_no_token_and_one_that_is_too_long_cost_nothing(fake, opened):
    with pytest.raises(TokenRefused, match="there is no token"):
        opened().verify("")
    with pytest.raises(TokenRefused, match="longer than 8192"):
        opened().verify("a." * 100_000)
    assert not fake.asked


def test_a_changed_token(fake, ana, opened):
    token = signed(claims_for(fake, ana))
    head, body, signature = token.split(".")
    other = claims_for(fake, ana, sub=str(uuid.uuid4()))
    for changed in (
        f"{head}.{b64(json.dumps(other).encode())}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{b64(bytes(64))}",
        f"{head}.{body}.{b64(base64.urlsafe_b64decode(signature + '==')[::-1])}",
    ):
        with pytest.raises(TokenRefused, match="not signed by a key"):
            opened().verify(changed)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sso_session SET revoked_at = now()",
        "UPDATE sso_session SET created_at = now() - interval '2 hours', expires_at = now() - interval '1 second'",
        "UPDATE identity SET disabled_at = now()",
        "DELETE FROM identity",
    ],
)
def test_what_ended_is_seen_at_the_next_call(fake, ana, opened, connection, change):
    verifier, token = opened(), signed(claims_for(fake, ana))
    assert verifier.verify(token).roles == {"analyst"}
    connection.execute(change)
    with pytest.raises(TokenRefused, match="the session has ended: log in again"):
        verifier.verify(token)


def test_roles_are_those_of_this_moment(fake, ana, opened, connection):
    verifier, token = opened(), signed(claims_for(fake, ana, roles=["admin"]))
    assert verifier.verify(token).roles == {"analyst"}
    connection.execute("INSERT INTO role_of_identity VALUES (%s, 'steward')", [ana.identity])
    assert verifier.verify(token).roles == {"analyst", "steward"}
    connection.execute("DELETE FROM role_of_identity")
    assert verifier.verify(token).roles == set()


def test_the_gate_s_rights_are_enough(fake, ana, promptsales_db):
    separator = "&" if "?" in promptsales_db.url else "?"
    url = f"{promptsales_db.url}{separator}options=-c%20role%3Dpromptsales_mcp_gate"
    settings = VerifierSettings(fake.url, (RESOURCE,))
    verifier = open_verifier(settings, Target("promptsales", "postgresql", url), {})
    assert verifier.verify(signed(claims_for(fake, ana))).name == "ana@example.com"
    verifier.close()


def test_our_own_tokens_need_promptsales(fake):
    with pytest.raises(DataError, match="need PromptSales"):
        open_verifier(VerifierSettings(fake.url, (RESOURCE,)), None, {})


def test_promptsales_away(fake, ana):
    away = Target("promptsales", "postgresql", "postgresql://nobody:secret@127.0.0.1:1/x")
    verifier = open_verifier(VerifierSettings(fake.url, (RESOURCE,)), away, {})
    with pytest.raises(SourceError, match="PromptSales does not answer") as caught:
        verifier.verify(signed(claims_for(fake, ana)))
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_a_connection_that_was_cut_is_made_anew(fake, ana, opened, connection):
    verifier, token = opened(), signed(claims_for(fake, ana))
    for _ in range(3):
        assert verifier.verify(token)
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'psh:sso/verifier'"
        )
    assert verifier.verify(token)


def test_many_at_once(fake, ana, opened):
    verifier, token = opened(sessions=2), signed(claims_for(fake, ana))
    with ThreadPoolExecutor(16) as pool:
        callers = list(pool.map(lambda _: verifier.verify(token), range(100)))
    assert {caller.subject for caller in callers} == {str(ana.identity)}
    assert fake.asked["/jwks"] == 1


def test_a_database_that_hangs_is_given_up(fake, ana, opened, connection, promptsales_db):
    verifier, token = opened(seconds=0.5), signed(claims_for(fake, ana))
    verifier.verify(token)
    other = promptsales_db.connect(autocommit=False)
    other.execute("LOCK TABLE sso_session IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(SourceError):
        verifier.verify(token)
    other.rollback()
    assert verifier.verify(token)
