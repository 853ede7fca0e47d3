"""The commands themselves: an issuer and servers as processes, people who log in, and what is left when all is over."""

from __future__ import annotations

import ipaddress
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx2
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_toy import text_of
from mcp_world import World
from polling import eventually
from sso_client import InMemory, oauth
from sso_flow import CHEAP, PASSWORD
from stopping import hears_ctrl_c

from harness.errors import SourceError
from harness.mcp.calling import call_tool
from harness.mcp.opening import PREFIX
from harness.promptsales.sso import add_identity
from harness.sso.login import log_in

pytestmark = pytest.mark.mcp

Start = Callable[..., tuple["subprocess.Popen[str]", list[str]]]


@pytest.fixture
def start(seeded: World, tmp_path: Any) -> Iterator[Start]:
    """Starts ``harness …`` and gives the first lines that it says."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: str, lines: int, **more: Any) -> tuple[subprocess.Popen[str], list[str]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.cli", *arguments],
            env=seeded.environ(),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=hears_ctrl_c,
            **more,
        )
        running.append(process)
        assert process.stdout
        said: list[str] = []
        while len(said) < lines:
            line = process.stdout.readline()
            assert line, f"it ended: {said}"
            if ": no login of its own" not in line:
                said.append(line.rstrip())
        return process, said

    yield run
    for process in running:
        process.kill()
        process.communicate()


def logins(world: World) -> set[str]:
    """The logins that servers have made in PromptSales of this world, by those who made them and are still connected."""
    with psycopg.connect(world.databases["promptsales"].url) as link:
        ask = (
            "SELECT substring(application_name FROM 'psh:(.*)/admin') FROM pg_stat_activity "
            "WHERE datname = current_database() AND starts_with(application_name, 'psh:' || %s)"
        )
        return {name for (name,) in link.execute(ask, [PREFIX])}


def left(world: World, names: set[str]) -> set[str]:
    """Those of these logins that are still there."""
    with psycopg.connect(world.databases["promptsales"].url) as link:
        return {name for (name,) in link.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(names)])}


def test_from_the_log_in_to_the_tool_and_out_again(start: Start, seeded: World) -> None:
    _, said = start("sso", "serve", "--port", "0", lines=1)
    issuer = said[0].removeprefix("issuer ")
    port = _free_port()
    servers, said = start(
        "mcp", "serve", "promptads", "promptcrm", "--http", "--port", str(port), "--issuer", issuer, lines=2
    )
    url = f"http://127.0.0.1:{port}"
    assert said == [f"promptads: {url}/promptads/mcp", f"promptcrm: {url}/promptcrm/mcp"]
    link = seeded.link("promptsales")
    email = f"ana{port}@example.com"
    ana = add_identity(link, email, "Ana", PASSWORD, ["analyst"], cost=CHEAP)
    ads, crm = (log_in(issuer, f"{url}/{name}/mcp", email, PASSWORD).access for name in ("promptads", "promptcrm"))

    def call(name: str, token: str, tool: str, *arguments: str) -> Any:
        return call_tool(name, tool, arguments, url=url, token=token, roles=())

    assert not call("promptads", ads, "campaign", "campaign_id=1").failed
    assert '"masked": true' in call("promptcrm", crm, "client_history", "client_id=1").text
    with pytest.raises(SourceError, match=r"for another audience.*PROMPTSALES_MCP_TOKEN"):
        call("promptcrm", ads, "client_history", "client_id=1")
    with pytest.raises(SourceError, match="needs a token: put one into PROMPTSALES_MCP_TOKEN"):
        call("promptads", "", "campaign", "campaign_id=1")

    assert _by_the_sdk(f"{url}/promptads/mcp", email) == "campaign"

    link.execute("DELETE FROM role_of_identity WHERE identity_id = %s", [ana])
    link.execute("INSERT INTO role_of_identity VALUES (%s, 'reader')", [ana])
    refused = call("promptcrm", crm, "client_history", "client_id=1")
    assert refused.text == "promptcrm has no tool 'client_history' for you: your roles are reader"
    assert not call("promptads", ads, "campaign", "campaign_id=1").failed

    link.execute("SELECT revoke_all(%s)", [ana])
    for name, token, tool in (("promptads", ads, "active_campaigns"), ("promptcrm", crm, "client_history")):
        with pytest.raises(SourceError, match="the session has ended"):
            call(name, token, tool)

    logged = [one for one in seeded.log() if one[3] == email]
    assert [(one[1], one[2]) for one in logged] == [
        ("campaign", "ok"), ("client_history", "ok"), ("campaign", "ok"), ("client_history", "refused"),
        ("campaign", "ok"),
    ]  # fmt: skip
    made = logins(seeded)
    assert made
    servers.send_signal(signal.SIGTERM)
    rest, _ = servers.communicate(timeout=30)
    assert servers.returncode == 0
    assert rest == ""
    assert not left(seeded, made)


def _by_the_sdk(address: str, email: str) -> str:
    """A client that is told nothing but the server's address finds the issuer, registers, logs in, and calls."""
    came: list[str] = []

    async def work() -> str:
        async with (
            httpx2.AsyncClient(auth=oauth(address, InMemory(), came, email), timeout=60) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            assert not (await client.call_tool("campaign", {"campaign_id": 2})).is_error
            return next(one.name for one in (await client.list_tools()).tools if one.name == "campaign")

    found = anyio.run(work)
    assert len(came) == 1, "it logged in once"
    return found


def test_over_stdio_the_log_says_who_started_it(seeded: World) -> None:
    made: set[str] = set()

    async def work() -> tuple[list[str], str]:
        async with Client(seeded.started("promptads", "--role", "reader")) as client:
            made.update(logins(seeded))
            tools = [one.name for one in (await client.list_tools()).tools]
            return tools, text_of(await client.call_tool("campaign", {"campaign_id": 99999}))

    tools, text = anyio.run(work)
    assert "campaign" in tools
    assert text.startswith("there is no campaign 99999")
    server, tool, outcome, name, _ = seeded.log()[-1]
    assert (server, tool, outcome) == ("promptads", "campaign", "error")
    assert re.fullmatch(r"\S+@\S+", name)
    assert made
    eventually(lambda: not left(seeded, made), "its logins are gone")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_server_that_is_ended_leaves_nothing(seeded: World, number: signal.Signals, tmp_path: Any) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "mcp", "serve", "promptads"],
        env=seeded.environ(),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=hears_ctrl_c,
    )
    with process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(
            b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
            b'"capabilities":{},"clientInfo":{"name":"t","version":"1"}}}\n'
        )
        process.stdin.flush()
        assert b'"result"' in process.stdout.readline()
        made = logins(seeded)
        assert made
        process.send_signal(number)
        assert process.wait(30) in (128 + number, -number)
    if number is signal.SIGKILL:
        eventually(lambda: not logins(seeded), "the server has noticed")
        with seeded.opened(("promptads",)):  # the next one sweeps
            pass
    assert not left(seeded, made)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("promptad",), "there is no server 'promptad', did you mean 'promptads'"),
        (("promptads", "promptcrm"), "over stdio one server is served: name one, or give --http"),
        (("promptads", "--role", "king"), "there is no role 'king'"),
        (("promptads", "--http", "--role", "reader"), "--role is for stdio"),
        (("promptads", "--http", "--host", "0.0.0.0"), "bearer tokens would go over the network unencrypted"),
        (("promptads", "--http", "--role-name", "x"), "--role-name 'x': write THEIRS=OURS"),
        (("promptads", "--http", "--issuer", "http://sso.example"), "sso.example"),
        (("promptads", "--project", "/nowhere"), "--project /nowhere: No such file or directory"),
        (("promptads", "--http", "--tls-cert", "/none", "--tls-key", "/none"), "--tls-key /none: No such file"),
        (
            ("promptads", "--http", "--tls-cert", __file__, "--tls-key", __file__),
            "not a certificate in PEM and its key",
        ),
    ],
    ids=["name", "two", "role", "both", "open", "pair", "issuer", "project", "no certificate", "none"],
)
def test_what_cannot_be_served_is_one_line(seeded: World, arguments: tuple[str, ...], says: str, tmp_path: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "mcp", "serve", *arguments],
        env=seeded.environ(), cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert says in last
    assert last.startswith("harness: ")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_without_databases_it_says_what_to_do(tmp_path: Any) -> None:
    bare = {key: value for key, value in os.environ.items() if not key.endswith("_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "mcp", "serve", "promptads"],
        env=bare, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "promptsales, promptads, cache: not up: start it with 'harness up', or say where they are" in done.stderr
    assert done.stdout == ""


def test_over_tls(start: Start, tmp_path: Path) -> None:
    certificate, key = _self_signed(tmp_path)
    port = _free_port()
    files = ("--tls-cert", str(certificate), "--tls-key", str(key))
    _, said = start("mcp", "serve", "cache", "--http", "--port", str(port), *files, lines=1)
    assert said == [f"cache: https://127.0.0.1:{port}/cache/mcp"]
    trusted = ssl.create_default_context(cafile=str(certificate))

    def ready() -> bool:
        try:
            return httpx2.get(f"https://127.0.0.1:{port}/readyz", verify=trusted).json() == {"status": "ready"}
        except httpx2.ConnectError:
            return False

    eventually(ready, "it answers")
    answer = httpx2.post(f"https://127.0.0.1:{port}/cache/mcp", verify=trusted)
    assert f'resource_metadata="https://127.0.0.1:{port}/' in answer.headers["WWW-Authenticate"]


def _self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def test_a_port_that_is_taken(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        _, said = start("mcp", "serve", "cache", "--http", "--port", str(taken.getsockname()[1]), lines=1)
    assert said[0].startswith("harness: ")
    assert "127.0.0.1" in said[0]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
