"""The issuer over HTTP: the flow, and each step of it done wrong."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from sso_flow import PASSWORD, REDIRECT, RESOURCE, Flow, query_of

from harness.errors import TokenRefused

pytestmark = pytest.mark.mcp


@pytest.fixture
def flow(world, http) -> Flow:
    return Flow(http, world.url)


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def header_of(token: str) -> dict[str, Any]:
    part = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_from_registration_to_a_verified_caller(world, flow):
    answer = flow.submit(flow.page())
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(REDIRECT + "?")
    given = query_of(answer)
    assert given["state"] == flow.state
    assert given["iss"] == world.url
    tokens = flow.exchange(given["code"]).json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 300
    header = header_of(tokens["access_token"])
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    claims = claims_of(tokens["access_token"])
    assert claims["aud"] == RESOURCE
    assert claims["exp"] - claims["iat"] == 300
    assert claims["client_id"] == flow.client
    assert claims["sub"] == str(world.people["ana@example.com"])
    caller = world.verifier().verify(tokens["access_token"])
    assert caller.subject == claims["sub"]
    assert caller.name == "ana@example.com"
    assert caller.roles == {"analyst", "reader"}
    assert caller.session == claims["sid"]
    assert caller.issuer == world.url


def test_the_two_documents_are_one_and_the_keys_are_public(world, http):
    first, second = (
        http.get(f"{world.url}/.well-known/{name}").json()
        for name in ("openid-configuration", "oauth-authorization-server")
    )
    assert first == second
    assert first["issuer"] == world.url
    assert first["code_challenge_methods_supported"] == ["S256"]
    keys = http.get(first["jwks_uri"]).json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "y", "kid", "use", "alg"}]


def test_refreshed_tokens_go_on_and_an_old_one_ends_the_session(world, flow):
    verifier = world.verifier()
    first = flow.tokens()
    second = flow.refresh(first["refresh_token"]).json()
    assert claims_of(second["access_token"])["aud"] == RESOURCE
    assert verifier.verify(first["access_token"]).subject == verifier.verify(second["access_token"]).subject
    again = flow.refresh(first["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    for token in (first, second):
        with pytest.raises(TokenRefused, match="session has ended"):
            verifier.verify(token["access_token"])
    assert flow.refresh(second["refresh_token"]).status_code == 400


def test_a_code_that_is_used_twice_ends_its_session(world, flow):
    code = flow.code()
    tokens = flow.exchange(code).json()
    again = flow.exchange(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    with pytest.raises(TokenRefused, match="session has ended"):
        world.verifier().verify(tokens["access_token"])


def test_a_code_that_many_use_at_once_gives_one_session_at_most(world, flow):
    code = flow.code()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: flow.exchange(code), range(16)))
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) <= 1
    for tokens in good:
        with pytest.raises(TokenRefused, match="session has ended"):
            world.verifier().verify(tokens["access_token"])


def test_an_expired_code_is_none(world, flow):
    code = flow.code()
    world.connection.execute("UPDATE sso_code SET expires_at = now() - interval '1 second'")
    assert flow.exchange(code).json()["error"] == "invalid_grant"


def test_a_code_of_somebody_who_was_disabled_meanwhile(world, flow):
    code = flow.code()
    world.connection.execute("UPDATE identity SET disabled_at = now()")
    assert flow.exchange(code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "x" * 64},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:7777/other"},
        {"code": "no code"},
        {"code": "x" * 10_000},
        {"client_id": "nobody"},
        {"client_id": "' OR true --"},
        {"client_id": "\0"},
        {"grant_type": "password"},
        {"grant_type": "client_credentials"},
    ],
)
def test_exchanges_that_are_refused(world, flow, changed):
    code = flow.code()
    answer = flow.exchange(**({"code": code} | changed))
    assert answer.status_code in (400, 401)
    assert "access_token" not in answer.text
    assert world.connection.execute("SELECT count(*) FROM sso_session").fetchone() == (0,)


def test_another_client_can_use_neither_code_nor_refresh_token(world, flow, http):
    code = flow.code()
    other = Flow(http, world.url, verifier=flow.verifier)
    other.register()
    assert other.exchange(code).status_code == 400
    tokens = flow.exchange(code).json()
    assert other.refresh(tokens["refresh_token"]).status_code == 400
    assert flow.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"resource": "ftp://elsewhere"}, "invalid_target"),
        ({"resource": "http://elsewhere.example/mcp"}, "invalid_target"),
        ({"resource": "https://elsewhere.example/#part"}, "invalid_target"),
        ({"resource": "https://elsewhere.example/" + "x" * 600}, "invalid_target"),
        ({"state": "x" * 2000}, "invalid_request"),
    ],
)
def test_requests_that_are_refused_go_back_to_the_client(flow, changed, error):
    answer = flow.authorize(**changed)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(REDIRECT + "?")
    assert query_of(answer)["error"] == error


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/",
        "http://127.0.0.1:7777/callback/../other",
        "http://127.0.0.1:7777/callback?x=1",
        "http://127.0.0.1:7777/callback#",
        "http://127.0.0.1:7778/callback",
        "http://127.0.0.1:7777@evil.example/callback",
        "//evil.example",
        "javascript:alert(1)",
        "http://127.0.0.1:7777/callback\\@evil.example",
    ],
)
def test_nobody_is_sent_where_the_client_has_not_registered(flow, uri):
    answer = flow.authorize(redirect_uri=uri)
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uris": ["http://evil.example/callback"]},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["data:text/html,x"]},
        {"redirect_uris": ["cursor://anything"]},
        {"redirect_uris": ["https://user:secret@example.com/"]},
        {"redirect_uris": ["https://example.com/#part"]},
        {"redirect_uris": ["http://localhost.evil.example/"]},
        {"redirect_uris": ["https://a;sandbox/"]},  # a host stands in the page's policy
        {"redirect_uris": ["https://a,sandbox/"]},
        {"redirect_uris": ["https://*/"]},
        {"redirect_uris": ["https://a'unsafe-inline'/"]},
        {"redirect_uris": []},
        {"redirect_uris": [f"https://example.com/{n}" for n in range(11)]},
        {"redirect_uris": ["https://example.com/" + "x" * 600]},
        {"client_name": "x" * 121},
        {"client_name": "a\u202eb"},
        {"client_name": "a\0b"},
        {"grant_types": ["client_credentials"]},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"scope": "admin"},
    ],
)
def test_clients_that_cannot_be(world, flow, changed):
    answer = flow.register(**changed)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("invalid_")
    assert world.connection.execute("SELECT count(*) FROM sso_client").fetchone() == (0,)


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost:3000/x",
        "http://127.0.0.1:1/",
        "http://[::1]:5/x",
        "https://example.com/a?b=c",
        "http://localhost:3000",
    ],
)
def test_clients_that_can_be(flow, uri):
    assert flow.register(redirect_uris=[uri]).status_code == 201
    answer = flow.submit(flow.page(redirect_uri=uri))
    assert answer.status_code == 303
    assert flow.exchange(query_of(answer)["code"], redirect_uri=uri).status_code == 200


def test_what_a_client_says_besides_is_not_kept(flow):
    answer = flow.register(jwks={"keys": []}, logo_uri="https://example.com/x.png", contacts=["a"]).json()
    assert not {"jwks", "logo_uri", "contacts"} & set(answer)


def test_a_registration_that_is_too_large(world, http):
    answer = http.post(f"{world.url}/register", content=b"{" + b" " * 100_000 + b"}")
    assert answer.status_code == 413


def test_no_more_clients_than_there_is_room_for(serve, http):
    world = serve(clients=3)
    flow = Flow(http, world.url)
    assert [flow.register().status_code for _ in range(5)] == [201, 201, 201, 429, 429]
    world.connection.execute("UPDATE sso_client SET created_at = now() - interval '2 hours'")
    assert flow.register().status_code == 201
    assert world.connection.execute("SELECT count(*) FROM sso_client").fetchone() == (1,)


def test_a_client_that_somebody_is_logged_in_with_stays(serve, http):
    world = serve(clients=2)
    used, ended = Flow(http, world.url), Flow(http, world.url)
    tokens = used.tokens()
    ended.http.post(f"{world.url}/revoke", data={"token": ended.tokens()["refresh_token"], "client_id": ended.client})
    world.connection.execute("UPDATE sso_client SET created_at = now() - interval '2 hours'")
    assert Flow(http, world.url).register().status_code == 429  # they were used a moment ago
    world.connection.execute("UPDATE sso_client SET last_used_at = now() - interval '2 hours'")
    assert Flow(http, world.url).register().status_code == 201
    assert used.refresh(tokens["refresh_token"]).status_code == 200
    assert world.connection.execute("SELECT count(*) FROM sso_client WHERE id = %s", [ended.client]).fetchone() == (0,)


def test_no_more_registrations_in_a_minute_than_may_be(serve, http):
    flow = Flow(http, serve(registrations=2).url)
    assert [flow.register().status_code for _ in range(3)] == [201, 201, 429]


def test_only_the_servers_that_are_named(serve, http):
    flow = Flow(http, serve(resources=(RESOURCE,)).url)
    assert flow.page().status_code == 200
    assert query_of(flow.authorize(resource="https://other.example/mcp"))["error"] == "invalid_target"


def test_a_client_with_a_secret_needs_it(world, flow, http):
    answer = flow.register(token_endpoint_auth_method="client_secret_post")
    secret = answer.json()["client_secret"]
    assert secret not in str(world.connection.execute("SELECT sso_client::text FROM sso_client").fetchall())
    code = flow.code()
    for wrong in ({}, {"client_secret": ""}, {"client_secret": "x" * 64}):
        refused = flow.exchange(code, **wrong)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert flow.exchange(code, client_secret=secret).status_code == 200


def test_introspection_and_userinfo(world, flow, http):
    tokens = flow.tokens()
    asker = Flow(http, world.url)
    secret = asker.register(token_endpoint_auth_method="client_secret_basic").json()["client_secret"]

    def asked(token: str) -> dict[str, Any]:
        answer = http.post(f"{world.url}/introspect", data={"token": token}, auth=(asker.client, secret))
        assert answer.status_code == 200
        return answer.json()

    known = asked(tokens["access_token"])
    assert known["active"] is True
    assert known["sub"] == str(world.people["ana@example.com"])
    assert asked("nonsense") == {"active": False}
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    person = http.get(f"{world.url}/userinfo", headers=bearer).json()
    assert person == {"sub": known["sub"], "email": "ana@example.com", "name": "ana"}
    flow.http.post(f"{world.url}/revoke", data={"token": tokens["access_token"], "client_id": flow.client})
    assert asked(tokens["access_token"]) == {"active": False}
    assert http.get(f"{world.url}/userinfo", headers=bearer).status_code == 401
    assert http.get(f"{world.url}/userinfo").status_code == 401
    stranger = {"token": tokens["access_token"], "client_id": flow.client}
    assert http.post(f"{world.url}/introspect", data=stranger).status_code == 401


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revocation_ends_the_session_of_the_client_that_asks(world, flow, http, kind):
    tokens = flow.tokens()
    other = Flow(http, world.url)
    other.register()
    verifier = world.verifier()
    for client in (other.client, flow.client):
        assert verifier.verify(tokens["access_token"]).name == "ana@example.com"
        answer = http.post(f"{world.url}/revoke", data={"token": tokens[kind], "client_id": client})
        assert answer.status_code == 200
    with pytest.raises(TokenRefused, match="session has ended"):
        verifier.verify(tokens["access_token"])
    assert flow.refresh(tokens["refresh_token"]).status_code == 400


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "\0", "x" * 9000, "é"])
def test_revoking_what_is_none_is_fine(flow, http, token):
    flow.register()
    answer = http.post(f"{flow.url}/revoke", data={"token": token, "client_id": flow.client})
    assert answer.status_code == 200


def test_a_host_that_is_not_ours(world, http):
    answer = http.get(f"{world.url}/.well-known/openid-configuration", headers={"host": "evil.example"})
    assert answer.status_code == 421


def test_no_answer_of_promptsales_is_told_as_such(world, flow, monkeypatch):
    flow.register()
    world.connection.execute("ALTER FUNCTION client_of(text) RENAME TO client_gone")
    answer = flow.refresh("x")
    assert answer.status_code == 503
    assert "PromptSales does not answer" in answer.text
    assert flow.authorize().status_code in (503, 400)


def test_neither_secrets_nor_addresses_get_into_the_log(world, flow, caplog):
    caplog.set_level(10)
    tokens = flow.tokens()
    code = flow.code()
    flow.submit(flow.page(), password="a wrong password")
    flow.exchange(code, code_verifier="a wrong verifier")
    flow.refresh(tokens["refresh_token"])
    text = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    assert "POST /token 200" in text
    secrets = (
        tokens["access_token"],
        tokens["refresh_token"],
        code,
        PASSWORD,
        "a wrong",
        "ana@example.com",
        flow.state,
    )
    for secret in secrets:
        assert secret not in text


def test_every_answer_forbids_frames_caches_and_guesses(world, flow, http):
    flow.register()
    for path in ("/", "/login", "/jwks", "/token", "/nothing", "/authorize", "/userinfo"):
        answer: httpx2.Response = http.get(world.url + path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
