"""Rough handling: garbage everywhere, servers that stop answering, connections that are cut."""

from __future__ import annotations

import contextlib
import os
import random
import signal

import pytest
from sso_fake import claims_for, signed
from sso_flow import Flow
from stopping import stop

from harness.errors import SourceError, TokenRefused
from harness.sso.sessions import Sessions

pytestmark = pytest.mark.mcp

GARBAGE = [
    b"",
    b"\0",
    b"=",
    b"&&&=&",
    b"client_id",
    b"client_id=%00&token=%00",
    b"client_id=%ed%a0%80&grant_type=refresh_token&refresh_token=%ff",
    b"client_id=x&client_id=y&grant_type=authorization_code&code=1&code=2&code_verifier=%ed%a0%80",
    b"grant_type[]=x&client_id[]=y",
    b"{",
    b"[[[[",
    b'{"redirect_uris": [null], "client_name": 5}',
    b'{"redirect_uris": ["http://127.0.0.1\\u0000/"], "client_name": "\\ud800"}',
    b'{"redirect_uris": ["http://127.0.0.1/\\ud800"]}',
    b'{"redirect_uris": ["http://127.0.0.1/x"], "client_name": "\\ud800"}',
    b'{"redirect_uris": ["http://[::1/"]}',
    b'{"redirect_uris": {"a": 1}, "jwks": [[[[1]]]]}',
    b"--x\r\nContent-Disposition: form-data; name=client_id; filename=y\r\n\r\nz\r\n--x--\r\n",
    b"--x\r\nbroken",
    bytes(range(256)) * 16,
]
KINDS = [
    "application/x-www-form-urlencoded",
    "application/json",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "text/plain",
    "\xff",
]
PATHS = ["/token", "/register", "/revoke", "/introspect", "/login", "/authorize", "/userinfo"]


@pytest.mark.parametrize("path", PATHS)
def test_garbage_is_refused_and_breaks_nothing(world, http, path):
    for body in GARBAGE:
        for kind in KINDS:
            answer = http.post(world.url + path, content=body, headers={"content-type": kind.encode("latin-1")})
            assert answer.status_code < 500, (path, body, kind, answer.text)
            assert "Traceback" not in answer.text


def test_other_methods(world, http):
    for path in (*PATHS, "/", "/jwks", "/nothing", "/.well-known/openid-configuration"):
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "X" * 30):
            assert http.request(method, world.url + path).status_code < 500, (method, path)


STRANGE = ["Bearer", "Bearer x y z", "Basic", "Basic !!!", "Basic /w==", "Basic Og==", "Digest x", "Bearer \xff"]


def test_strange_authorization(world, http):
    for header in STRANGE:
        headers = {"authorization": header.encode("latin-1")}
        for path in ("/userinfo", "/introspect", "/token", "/revoke"):
            answer = http.post(world.url + path, headers=headers, data={"token": "x"})
            assert answer.status_code in (400, 401), (header, path)


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state", "scope", "resource", "code_challenge"])
def test_strange_requests(world, http, name):
    flow = Flow(http, world.url)
    for value in ("", "\0", "%00", "\r\nLocation: https://evil.example", "x" * 5000, "\u202e", "🦤"):
        answer = flow.authorize(**{name: value})
        assert answer.status_code in (302, 400), (value, answer.text)
        assert "evil.example" not in answer.headers.get("location", "").split("?")[0]


def test_any_change_of_a_token_is_refused_or_means_the_same(fake, ana, opened):
    verifier, token = opened(pause=3600.0), signed(claims_for(fake, ana))
    subject = verifier.verify(token).subject
    chance = random.Random(1)
    for _ in range(1500):
        letters = list(token)
        for _ in range(chance.choice((1, 1, 2, 5))):
            place = chance.randrange(len(letters))
            letters[place] = chance.choice("ABCxyz019-_.=+/ \0é\ud800")
        if chance.random() < 0.2:
            del letters[chance.randrange(len(letters)) :]
        with contextlib.suppress(TokenRefused):
            assert verifier.verify("".join(letters)).subject == subject


def _backends(connection, name: str) -> list[int]:
    rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [name]).fetchall()
    return [pid for (pid,) in rows]


def test_a_database_that_is_stopped_in_the_middle_is_given_up(fake, ana, opened, connection):
    verifier, token = opened(seconds=0.5, sessions=1), signed(claims_for(fake, ana))
    assert verifier.verify(token)
    (stopped,) = _backends(connection, "psh:sso/verifier")
    try:
        stop(stopped)
    except PermissionError:
        pytest.skip("the server runs as somebody else")
    try:
        with pytest.raises(SourceError, match="PromptSales does not answer"):
            verifier.verify(token)
        assert verifier.verify(token)  # by another connection: the slot is free again
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_an_issuer_whose_connections_are_cut_goes_on(world, http):
    flow = Flow(http, world.url)
    tokens = flow.tokens()
    for _ in range(3):
        for pid in _backends(world.connection, "psh:sso"):
            world.connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        answer = flow.refresh(tokens["refresh_token"])
        assert answer.status_code == 200
        tokens = answer.json()
    assert world.verifier().verify(tokens["access_token"])


def test_a_pool_that_was_closed(promptsales_db):
    sessions = Sessions(promptsales_db.url)
    assert sessions.run(lambda link: link.execute("SELECT 1").fetchone()) == (1,)
    sessions.close()
    sessions.close()
    with pytest.raises(SourceError):
        sessions.run(lambda link: None)


def test_a_mistake_of_ours_costs_no_slot(promptsales_db):
    sessions = Sessions(promptsales_db.url, most=1, seconds=0.5)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            sessions.run(lambda link: 1 / 0)
        with pytest.raises(SourceError):
            sessions.run(lambda link: link.execute("nonsense"))
    assert sessions.run(lambda link: link.execute("SELECT 1").fetchone()) == (1,)
    sessions.close()
