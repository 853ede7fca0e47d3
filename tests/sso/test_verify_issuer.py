"""The verifier and its issuer: keys that come and go, documents that are wrong, issuers that are not ours."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from sso_fake import ES, claims_for, signed
from sso_flow import RESOURCE
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from harness.errors import DataError, SourceError, TokenRefused
from harness.sso.keys import jwk_of, make
from harness.sso.verify import CLIENT_ID, CLIENT_SECRET, LONGEST, VerifierSettings, open_verifier

pytestmark = pytest.mark.mcp


def test_a_flood_of_unknown_keys_asks_the_issuer_once(fake, ana, opened):
    verifier = opened(pause=3600.0)
    assert verifier.verify(signed(claims_for(fake, ana)))
    for number in range(200):
        with pytest.raises(TokenRefused, match="not signed by a key"):
            verifier.verify(signed(claims_for(fake, ana), kid=f"made up {number}"))
    assert fake.asked == {"/.well-known/openid-configuration": 1, "/jwks": 1}


def test_a_key_that_is_new_is_fetched(fake, ana, opened):
    verifier, new = opened(), make("ES256")
    old_token = signed(claims_for(fake, ana))
    assert verifier.verify(old_token)
    fake.keys.append(jwk_of(new))
    assert verifier.verify(signed(claims_for(fake, ana), new))
    assert verifier.verify(old_token)  # the old key stays for as long as it is published
    assert fake.asked["/jwks"] == 2


def test_a_key_that_is_gone_is_forgotten_when_keys_are_fetched_again(fake, ana, opened):
    verifier = opened(fresh=0.0)
    assert verifier.verify(signed(claims_for(fake, ana)))
    fake.keys = [jwk_of(make("ES256"))]
    with pytest.raises(TokenRefused, match="not signed by a key"):
        verifier.verify(signed(claims_for(fake, ana)))


def test_without_a_kid_only_an_issuer_of_one_key_is_understood(fake, ana, opened):
    verifier, token = opened(), signed(claims_for(fake, ana), kid=None)
    assert verifier.verify(token)  # of this kind there is one
    fake.keys.append(jwk_of(make("ES256")))
    with pytest.raises(TokenRefused, match="not signed by a key"):
        opened().verify(token)


def test_keys_are_used_while_the_issuer_is_away_and_not_for_ever(fake, ana, opened):
    lasting, short = opened(fresh=0.0, last=3600.0), opened(fresh=0.0, last=0.0)
    token = signed(claims_for(fake, ana))
    assert lasting.verify(token)
    fake.jwks = Response(status_code=500)
    assert lasting.verify(token)
    with pytest.raises(SourceError, match="issuer does not answer"):
        short.verify(token)
    with pytest.raises(SourceError, match="issuer does not answer"):  # it may be a new one
        lasting.verify(signed(claims_for(fake, ana), make("ES256")))


def test_an_issuer_that_comes_late(fake, ana, opened):
    verifier, token = opened(), signed(claims_for(fake, ana))
    fake.jwks = Response(status_code=503)
    with pytest.raises(SourceError):
        verifier.verify(token)
    fake.jwks = None
    assert verifier.verify(token)


def test_nobody_listens_there(fake, ana, opened):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(SourceError, match="issuer does not answer") as caught:
        opened(issuer=url).verify(signed(claims_for(fake, ana, iss=url)))
    assert str(port) not in str(caught.value)


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": 5},
        {"jwks_uri": "http://192.0.2.1/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "ftp://127.0.0.1/x"},
        {"jwks_uri": "http://user:secret@127.0.0.1/x"},
        {"jwks_uri": "http://127.0.0.1:99999/x"},
    ],
)
def test_documents_that_are_not_believed(fake, ana, opened, about):
    fake.about = about
    with pytest.raises(SourceError):
        opened().verify(signed(claims_for(fake, ana)))
    assert "/jwks" not in fake.asked


def enormous():
    async def parts():
        while True:
            yield b" " * 65536

    return StreamingResponse(parts())


@pytest.mark.parametrize(
    "jwks",
    [
        lambda: Response(b"x"),
        lambda: Response(b"[" * 100_000),
        lambda: Response(b"[]"),
        lambda: JSONResponse({"keys": {}}),
        lambda: JSONResponse({"keys": [{}] * 101}),
        lambda: JSONResponse({}),
        lambda: RedirectResponse("http://127.0.0.1:1/"),
        lambda: Response(b"\x1f\x8b", headers={"content-encoding": "gzip"}),
        lambda: Response(b"{}", status_code=404),
        enormous,
    ],
)
def test_keys_that_are_none(fake, ana, opened, jwks):
    fake.jwks = jwks()
    with pytest.raises(SourceError, match="issuer does not answer"):
        opened().verify(signed(claims_for(fake, ana)))


@pytest.mark.parametrize("key", [5, None, [], {"kty": 5}, {"kty": "EC", "kid": jwk_of(ES)["kid"]}])
def test_a_key_that_is_none_among_others(fake, ana, opened, key):
    fake.keys = [key, jwk_of(ES)] if not isinstance(key, dict) or key.get("kid") is None else [key]
    verifier, token = opened(), signed(claims_for(fake, ana))
    if len(fake.keys) == 2:
        assert verifier.verify(token)
    else:
        with pytest.raises(TokenRefused, match="not signed by a key"):
            verifier.verify(token)


def test_an_issuer_that_answers_a_byte_now_and_then_is_given_up(fake, ana, opened):
    over = threading.Event()

    async def parts():
        while not over.is_set():
            yield b" "
            await asyncio.sleep(0.05)

    fake.jwks = StreamingResponse(parts())
    verifier = opened(seconds=0.3)
    try:
        with pytest.raises(SourceError):
            verifier.verify(signed(claims_for(fake, ana)))
    finally:
        over.set()


@pytest.mark.parametrize(
    ("issuer", "says"),
    [
        ("http://sso.example.com", "must be https"),
        ("http://192.0.2.1", "must be https"),
        ("ftp://127.0.0.1", "cannot be an issuer"),
        ("https://sso.example.com?x=1", "cannot be an issuer"),
        ("https://sso.example.com#x", "cannot be an issuer"),
        ("https://user@sso.example.com", "cannot be an issuer"),
        ("sso.example.com", "cannot be an issuer"),
        ("", "cannot be an issuer"),
    ],
)
def test_issuers_that_cannot_be(issuer, says):
    with pytest.raises(DataError, match=says):
        open_verifier(VerifierSettings(issuer, (RESOURCE,), roles_claim="roles"), None, {})


@pytest.mark.parametrize("changed", [{"audiences": ()}, {"audiences": ("",)}, {"role_names": {"boss": "king"}}])
def test_settings_that_cannot_be(changed):
    given = {"issuer": "https://sso.example.com", "audiences": (RESOURCE,), "roles_claim": "roles"} | changed
    with pytest.raises(DataError):
        open_verifier(VerifierSettings(**given), None, {})


def test_our_own_issuer_has_no_slash_at_the_end(fake, opened):
    with pytest.raises(DataError, match="no slash at the end"):
        opened(issuer=fake.url + "/")


# -- issuers that are not ours


def theirs(fake, **changed):
    now = int(time.time())
    claims = {
        "iss": fake.url,
        "sub": "f:1:ana",
        "aud": [RESOURCE, "account"],
        "iat": now,
        "exp": now + 60,
        "azp": "an app",
    }
    claims |= {
        "preferred_username": "ana",
        "email": "ana@example.com",
        "realm_access": {"roles": ["analyst", "boss", "x"]},
    }
    return {name: value for name, value in (claims | changed).items() if value is not None}


@pytest.fixture
def foreign(opened):
    def make_one(environ=None, **changed):
        return opened(environ, **({"roles_claim": "realm_access.roles", "role_names": {"boss": "admin"}} | changed))

    return make_one


@pytest.mark.parametrize("typ", ["JWT", "at+jwt"])
def test_roles_of_another_issuer(fake, foreign, typ):
    caller = foreign().verify(signed(theirs(fake, typ="Bearer"), typ=typ))
    assert caller.roles == {"analyst", "admin"}
    assert (caller.subject, caller.name, caller.client) == ("f:1:ana", "ana@example.com", "an app")
    assert caller.session is None


def test_another_issuer_may_have_a_slash_at_its_end(fake, foreign):
    fake.about = {"issuer": fake.url + "/"}
    verifier = foreign(issuer=fake.url + "/")
    assert verifier.verify(signed(theirs(fake, iss=fake.url + "/")))
    with pytest.raises(TokenRefused, match="another issuer"):
        verifier.verify(signed(theirs(fake)))


@pytest.mark.parametrize(
    ("path", "claims", "roles"),
    [
        ("roles", {"roles": ["analyst"]}, {"analyst"}),
        ("roles", {"roles": "analyst tester"}, {"analyst", "tester"}),
        ("https://example.com/roles", {"https://example.com/roles": ["tester"]}, {"tester"}),
        ("a.b.c", {"a": {"b": {"c": ["etl", 5, None]}}}, {"etl"}),
        ("a.b.c", {"a": {"b": ["etl"]}}, set()),
        ("a.b", {"a": "etl"}, set()),
        ("nothing", {}, set()),
        ("roles", {"roles": {"analyst": True}}, set()),
    ],
)
def test_where_roles_are(fake, foreign, path, claims, roles):
    assert foreign(roles_claim=path).verify(signed(theirs(fake, **claims))).roles == roles


@pytest.mark.parametrize("changed", [{"nonce": "x"}, {"at_hash": "x"}, {"typ": "ID"}, {"typ": "Refresh"}])
def test_a_token_that_says_who_has_logged_in_is_no_access_token(fake, foreign, changed):
    with pytest.raises(TokenRefused, match="no access token"):
        foreign().verify(signed(theirs(fake, **changed), typ="JWT"))


def test_their_names_are_made_fit_to_be_shown(fake, foreign):
    caller = foreign().verify(signed(theirs(fake, email="a\r\nb\x1b[31m" + "x" * 1000)))
    assert caller.name.isprintable()
    assert len(caller.name) <= 254


def test_introspection_at_every_call(fake, foreign):
    verifier = foreign({CLIENT_ID: "us", CLIENT_SECRET: "a secret"})
    token = signed(theirs(fake))
    assert verifier.verify(token).name == "ana@example.com"
    assert verifier.verify(token)
    assert fake.asked["/introspect"] == 2
    assert set(fake.logins) == {"Basic dXM6YSBzZWNyZXQ="}
    for answer in ({"active": False}, {}, {"active": "true"}, {"active": True, "sub": "somebody else"}):
        fake.active = answer
        with pytest.raises(TokenRefused, match="session has ended"):
            verifier.verify(token)


def test_an_issuer_without_introspection(fake, foreign):
    fake.about = {"introspection_endpoint": None}
    with pytest.raises(SourceError, match="offers no introspection"):
        foreign({CLIENT_ID: "us", CLIENT_SECRET: "a secret"}).verify(signed(theirs(fake)))
    assert foreign().verify(signed(theirs(fake)))
    assert foreign({CLIENT_ID: "us"}).verify(signed(theirs(fake)))


def test_nothing_is_asked_for_a_forged_token(fake, foreign):
    verifier = foreign({CLIENT_ID: "us", CLIENT_SECRET: "a secret"})
    with pytest.raises(TokenRefused):
        verifier.verify(signed(theirs(fake), make("ES256"), kid=jwk_of(ES)["kid"]))
    with pytest.raises(TokenRefused):
        verifier.verify("x" * (LONGEST + 1))
    assert "/introspect" not in fake.asked


@pytest.mark.parametrize("subject", ["", " ", "\u202e", "an\u200ba", "ana\n", "x" * 300], ids=ascii)
def test_a_subject_is_taken_as_it_is_or_not_at_all(fake, foreign, subject):
    """Two that differ only in what is left out of them would be one person, to the log and to the counter of calls."""
    with pytest.raises(TokenRefused, match="does not say whose it is"):
        foreign().verify(signed(theirs(fake, sub=subject)))
