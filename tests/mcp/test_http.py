"""The way in over HTTP: what is let through, and what is said to whom is not."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_http import ISSUER, served
from mcp_toy import Toys, somebody, text_of

from harness.errors import DataError, SourceError, TokenRefused
from harness.mcp.bearer import caller_of
from harness.mcp.guard import Guard
from harness.mcp.http import Place, app_of, place_of
from harness.mcp.server import server_of
from harness.sso.model import Caller

pytestmark = pytest.mark.mcp


class Tokens:
    """Takes a few words for tokens."""

    def __init__(self) -> None:
        self.callers = {"ana": somebody("reader", subject="ana"), "bo": somebody("reader", "tester", subject="bo")}
        self.away = False

    def verify(self, token: str) -> Caller:
        if self.away:
            raise SourceError("postgresql://x:hunter2@db is away")
        if token not in self.callers:
            raise TokenRefused('the token is "expired"')
        return self.callers[token]


@pytest.fixture
def toys() -> Toys:
    return Toys(somebody())


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def place(toys: Toys, tokens: Tokens) -> Iterator[Place]:
    guard = Guard(caller_of, toys.counter, toys.log)
    with served({"toy": server_of(toys.toolset, guard)}, {"toy": tokens}) as made:
        yield made


def ask(place: Place, token: str, tool: str, arguments: dict[str, Any], mode: str = "auto") -> Any:
    async def work() -> Any:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http,
            Client(streamable_http_client(place.resource("toy"), http_client=http), mode=mode) as client,
        ):
            return await client.call_tool(tool, arguments)

    return anyio.run(work)


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
TAKES = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def post(place: Place, headers: dict[str, str] | list[tuple[str, str]], body: Any = INITIALIZE) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = list(headers.items()) if isinstance(headers, dict) else headers
    return httpx2.post(place.resource("toy"), headers=[*TAKES.items(), *given], content=content)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_each_request_is_its_token_s(place: Place, toys: Toys, tokens: Tokens, mode: str) -> None:
    assert not ask(place, "ana", "rows", {"word": "a"}, mode).is_error
    assert ask(place, "ana", "changes", {}, mode).is_error
    assert not ask(place, "bo", "changes", {}, mode).is_error
    assert [(call.caller.subject, call.outcome) for call in toys.log.calls] == [
        ("ana", "ok"), ("ana", "refused"), ("bo", "begun"), ("bo", "ok"),
    ]  # fmt: skip


def test_who_is_refused_later_is_refused_at_once(place: Place, tokens: Tokens) -> None:
    async def work() -> list[Any]:
        async with (
            httpx2.AsyncClient(headers={"Authorization": "Bearer ana"}) as http,
            Client(streamable_http_client(place.resource("toy"), http_client=http)) as client,
        ):
            first = await client.call_tool("rows", {"word": "a"})
            tokens.callers.clear()
            try:
                second: Any = await client.call_tool("rows", {"word": "a"})
            except Exception as error:  # noqa: BLE001 - whichever the SDK has for a refused token
                second = error
            return [first, second]

    try:
        first, second = anyio.run(work)
    except BaseExceptionGroup as group:
        pytest.fail(f"the connection broke: {group!r}")
    assert not first.is_error
    assert isinstance(second, Exception)


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, None),
        ({"Authorization": "Basic YW5hOnB3"}, None),
        ({"Authorization": "Bearer"}, "what stands after Bearer is no token"),
        ({"Authorization": "Bearer nobody"}, "the token is 'expired'"),
        ({"Authorization": "Bearer " + "x" * 9000}, "the token has more than 8192 bytes"),
        ([("Authorization", "Bearer ana"), ("Authorization", "Bearer bo")], "there are several Authorization headers"),
    ],
    ids=["none", "basic", "empty", "wrong", "long", "two"],
)
def test_without_a_good_token_nothing_is_answered(place: Place, toys: Toys, headers: Any, says: str | None) -> None:
    answer = post(place, headers)
    assert answer.status_code == 401
    challenge = answer.headers["WWW-Authenticate"]
    assert f'resource_metadata="{place.url}/.well-known/oauth-protected-resource/toy/mcp"' in challenge
    assert answer.headers["Cache-Control"] == "no-store"
    if says is None:  # RFC 6750, 3.1: who brings no token is told of no error
        assert "error" not in challenge
    else:
        assert 'error="invalid_token"' in challenge
        assert says in challenge
    assert "nobody" not in answer.text
    assert not toys.log.calls


def test_a_token_in_the_address_is_none(place: Place) -> None:
    answer = httpx2.post(f"{place.resource('toy')}?access_token=ana", headers=TAKES, json=INITIALIZE)
    assert answer.status_code == 401


def test_when_tokens_cannot_be_verified_now(place: Place, tokens: Tokens) -> None:
    tokens.away = True
    answer = post(place, {"Authorization": "Bearer ana"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "hunter2" not in answer.text
    assert answer.json()["error_description"] == "tokens cannot be verified now: try again later"


def test_where_tokens_come_from(place: Place) -> None:
    told = httpx2.get(f"{place.url}/.well-known/oauth-protected-resource/toy/mcp").json()
    assert told["resource"] == place.resource("toy")
    assert told["authorization_servers"] == [ISSUER], "to the letter: RFC 8414 compares strings"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)],
    ids=["rebinding", "origin"],
)
def test_a_page_of_somebody_else_is_not_answered(place: Place, headers: dict[str, str], status: int) -> None:
    assert post(place, {"Authorization": "Bearer ana", **headers}).status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{" + b" " * 70_000 + b"}", 413),
        (b"{not json", 400),
        (b"[" * 20_000, 400),
        (b"\xff\xfe", 400),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 7}', 400),
    ],
    ids=["large", "broken", "deep", "bytes", "method"],
)
def test_what_is_no_request(place: Place, toys: Toys, body: bytes, status: int) -> None:
    answer = post(place, {"Authorization": "Bearer ana"}, body)
    assert answer.status_code == status
    assert "Traceback" not in answer.text
    assert not ask(place, "ana", "rows", {"word": "a"}).is_error, "it still answers others"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "OPTIONS"])
def test_nothing_but_posts(place: Place, method: str) -> None:
    headers = {"Authorization": "Bearer ana", "Accept": "text/event-stream"}
    assert httpx2.request(method, place.resource("toy"), headers=headers).status_code == 405


def test_probes(toys: Toys, tokens: Tokens, place: Place) -> None:
    assert httpx2.get(f"{place.url}/healthz").json() == {"status": "alive"}
    assert httpx2.get(f"{place.url}/readyz").json() == {"status": "ready"}
    guard = Guard(caller_of, toys.counter, toys.log)
    gone = SourceError("hunter2")
    with served({"toy": server_of(toys.toolset, guard)}, {"toy": tokens}, away=gone) as other:
        answer = httpx2.get(f"{other.url}/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "databases are away"})


def test_two_hundred_calls_at_once(place: Place, toys: Toys) -> None:
    answers: list[Any] = []

    async def work() -> None:
        limits = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(headers={"Authorization": "Bearer ana"}, limits=limits, timeout=60) as http:

            async def one(number: int) -> None:
                async with Client(streamable_http_client(place.resource("toy"), http_client=http)) as client:
                    answers.append((number, await client.call_tool("rows", {"word": str(number), "limit": 1})))

            async with anyio.create_task_group() as group:
                for number in range(200):
                    group.start_soon(one, number)

    anyio.run(work)
    assert sorted(number for number, _ in answers) == list(range(200))
    for number, answer in answers:
        assert answer.structured_content["items"] == [{"id": 0, "text": str(number)}], text_of(answer)
    assert len(toys.log.calls) == 200


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("0.0.0.0", 1, None, None, None), "bearer tokens would go over the network unencrypted"),
        (("10.0.0.1", 1, "http://mcp.example", None, None), "bearer tokens would go over the network unencrypted"),
        (("127.0.0.1", 1, None, "a.pem", None), "a certificate and its key are given together"),
        (("127.0.0.1", 1, "ftp://x", None, None), "is not the address of servers"),
        (("127.0.0.1", 1, "https://x/path", None, None), "is not the address of servers"),
        (("127.0.0.1", 1, "https://x:y", None, None), "is not the address of servers"),
    ],
)
def test_a_place_that_is_not_safe(given: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        place_of(*given)


def test_places() -> None:
    assert place_of("127.0.0.1", 8765, None, None, None).resource("toy") == "http://127.0.0.1:8765/toy/mcp"
    assert place_of("::1", 8765, None, None, None).url == "http://[::1]:8765"
    assert place_of("0.0.0.0", 1, "https://mcp.example/", None, None).url == "https://mcp.example"
    assert place_of("10.0.0.1", 1, None, "a.pem", "b.pem").url == "https://10.0.0.1:1"


def test_who_asks_whether_it_is_ready_needs_no_token_and_costs_little(toys: Toys, tokens: Tokens) -> None:
    asked = 0

    def ready() -> None:
        nonlocal asked
        asked += 1

    place = place_of("127.0.0.1", 8765, None, None, None)
    guard = Guard(caller_of, toys.counter, toys.log)
    app = app_of({"toy": server_of(toys.toolset, guard)}, {"toy": tokens}, place, ISSUER, ready)

    async def work() -> None:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as http, anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(http.get, f"{place.url}/readyz")

    anyio.run(work)
    assert 1 <= asked < 20, "the databases are asked once a second"


@pytest.mark.parametrize("version", ["2026-07-28", "2025-06-18"])
def test_a_client_that_goes_before_its_request_is_whole_is_no_error(
    place: Place, toys: Toys, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    address = (place.host, place.port)
    begin = (
        f"POST /toy/mcp HTTP/1.1\r\nHost: {place.host}:{place.port}\r\nAuthorization: Bearer ana\r\n"
        f"Accept: {TAKES['Accept']}\r\nContent-Type: application/json\r\nMCP-Protocol-Version: {version}\r\n"
        "Content-Length: 1000\r\n\r\n{"
    )
    for _ in range(5):
        with socket.create_connection(address) as link:
            link.sendall(begin.encode())
    for _ in range(2):
        assert not ask(place, "ana", "rows", {"word": "a"}).is_error
    assert "Exception in ASGI application" not in caplog.text
