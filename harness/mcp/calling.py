"""A tool called from the terminal, by the SDK's own client: of a server that runs, or of one in this process."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from harness.errors import DataError, SourceError
from harness.sso.urls import is_safe

Answered = tuple[int, str]
"""A status, and the header that says why a token is refused."""


@dataclass(frozen=True, slots=True)
class Called:
    """What came of it: JSON, or why it failed."""

    text: str
    failed: bool
    picture: bytes | None = field(default=None, repr=False)


def arguments_of(given: Sequence[str]) -> dict[str, Any]:
    """``name=value``: a value that is JSON is what that says, else a text. Raises DataError.

    >>> arguments_of(["limit=5", "hashtag=#beach"])
    {'limit': 5, 'hashtag': '#beach'}
    """
    arguments: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise DataError(f"{one!r}: write ARGUMENT=VALUE, as limit=5")
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
    return arguments


def call_tool(
    server: str, tool: str, given: Sequence[str], *, url: str | None, token: str | None, roles: Sequence[str]
) -> Called:
    """Call it. Raises DataError, SourceError when the server cannot be reached or refuses the token, ServerUnavailable."""
    arguments = arguments_of(given)
    if url is not None and not url.startswith(("http://", "https://")):
        raise DataError(f"--url {url!r}: write it as http://127.0.0.1:8765")
    if url is not None and token and not is_safe(url):
        raise DataError(f"--url {url}: the token would go over the network unencrypted: https, or this machine's own")
    answers: list[Answered] = []

    async def work() -> Called:
        async with _client(server, url, token, roles, answers) as client:
            return _called(await client.call_tool(tool, arguments))

    try:
        return anyio.run(work)
    except (MCPError, httpx2.HTTPError, BaseExceptionGroup) as problem:  # task groups wrap what their tasks raise
        found = _innermost(problem)
        if url is not None and isinstance(found, MCPError | httpx2.HTTPError):
            raise _answered(f"{url.rstrip('/')}/{server}/mcp", server, answers) from None
        raise found from None


@contextlib.asynccontextmanager
async def _client(
    server: str, url: str | None, token: str | None, roles: Sequence[str], answers: list[Answered]
) -> AsyncIterator[Client]:
    """``answers``: of a server, which the SDK does not tell."""
    if url is None:
        with contextlib.ExitStack() as stack:
            async with Client(_own(server, roles, stack)) as client:
                yield client
        return

    async def note(answer: httpx2.Response) -> None:
        answers.append((answer.status_code, answer.headers.get("www-authenticate", "")))

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=150, event_hooks={"response": [note]}) as http,
        Client(streamable_http_client(f"{url.rstrip('/')}/{server}/mcp", http_client=http)) as client,
    ):
        yield client


def _own(server: str, roles: Sequence[str], stack: contextlib.ExitStack) -> Any:
    from harness.mcp.local import USUAL, always, local_caller
    from harness.mcp.opening import Settings, needed, opened
    from harness.mcp.serving import log_to_stderr
    from harness.seed_cli import targets_of, use_certificate

    log_to_stderr()
    caller = local_caller(roles or USUAL)
    use_certificate(server == "promptcrm", make=False)
    targets, missing = targets_of(needed((server,)), None)
    found = stack.enter_context(opened((server,), targets, missing, Settings()))
    return found.servers(always(caller))[server]


def _answered(address: str, server: str, answers: Sequence[Answered]) -> SourceError:
    statuses = dict(answers)
    if not answers:
        return SourceError(f"{address} cannot be reached: is 'harness mcp serve {server} --http' running?")
    if 401 in statuses:
        said = re.search(r'error_description="([^"]{1,200})"', statuses[401])
        why = said[1] if said and said[1].isprintable() else "a call needs a token"
        return SourceError(
            f"{address}: {why}: put one into PROMPTSALES_MCP_TOKEN ('harness sso login EMAIL --resource {address}')"
        )
    if 404 in statuses:
        return SourceError(f"{address}: there is no such server")
    return SourceError(f"{address} answers with HTTP status {answers[-1][0]}: try again later")


def _called(result: Any) -> Called:
    pictures = [base64.b64decode(one.data) for one in result.content if one.type == "image"]
    text = "\n".join(one.text for one in result.content if one.type == "text")
    if result.structured_content is not None:
        text = json.dumps(result.structured_content, indent=2, ensure_ascii=False)
    return Called(text, bool(result.is_error), pictures[0] if pictures else None)


def _innermost(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem
