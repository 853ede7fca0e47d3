"""Connections on which nobody asks anything."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import uvicorn

from harness.servers.impatient import Impatient
from harness.sso.serve import listen

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


class Quick(Impatient):
    seconds = 0.2


async def slow(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(1)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    with listen("127.0.0.1", 0) as port:
        server = uvicorn.Server(
            uvicorn.Config(slow, http=Quick, lifespan="off", log_config=None, timeout_keep_alive=60)
        )
        thread = threading.Thread(target=server.run, args=([port],), daemon=True)
        thread.start()
        yield port.getsockname()
        server.should_exit = True
        thread.join(20)


@pytest.mark.parametrize("said", [b"", b"GET", HEAD], ids=["nothing", "a word", "half a head"])
def test_who_asks_nothing_loses_the_connection(address: tuple[str, int], said: bytes) -> None:
    with socket.create_connection(address, timeout=20) as link:
        link.sendall(said)
        assert link.recv(1) == b""


def test_so_does_who_has_asked_once(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=20) as link:
        link.sendall(HEAD + b"\r\n")
        answer = b""
        while not answer.endswith(b"ok"):
            answer += link.recv(4096)
        link.sendall(HEAD)
        assert link.recv(1) == b""


def test_one_that_rests_is_left(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=20) as link:
        for _ in range(2):
            link.sendall(HEAD + b"\r\n")
            answer = b""
            while not answer.endswith(b"ok"):
                answer += link.recv(4096)
            link.settimeout(1)
            with pytest.raises(TimeoutError):
                link.recv(1)
            link.settimeout(20)


def test_what_is_being_answered_is_not_cut(address: tuple[str, int]) -> None:
    assert httpx2.get(f"http://127.0.0.1:{address[1]}/").text == "ok"
