"""A tool called from the terminal, by the SDK's own client: of a server that runs, or of one in this process."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from harness.errors import DataError, SourceError


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

    async def work() -> Called:
        async with _client(server, url, token, roles) as client:
            return _called(await client.call_tool(tool, arguments))

    try:
        return anyio.run(work)
    except BaseExceptionGroup as group:  # the SDK's task groups wrap what their tasks raise
        raise _first(group) from None


@contextlib.asynccontextmanager
async def _client(server: str, url: str | None, token: str | None, roles: Sequence[str]) -> AsyncIterator[Any]:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    if url is None:
        async with Client(_own(server, roles, stack := contextlib.ExitStack())) as client:
            with stack:
                yield client
        return
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"{url.rstrip('/')}/{server}/mcp"
    try:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=150) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            yield client
    except httpx2.HTTPStatusError as error:
        raise _answered(address, error.response.status_code) from None
    except httpx2.HTTPError:
        raise SourceError(f"{address} cannot be reached: is 'harness mcp serve {server} --http' running?") from None


def _own(server: str, roles: Sequence[str], stack: contextlib.ExitStack) -> Any:
    from harness.mcp.local import USUAL, always, local_caller
    from harness.mcp.opening import Settings, needed, opened
    from harness.mcp.serving import log_to_stderr
    from harness.seed_cli import targets_of

    log_to_stderr("ERROR")
    caller = local_caller(roles or USUAL)
    targets, missing = targets_of(needed((server,)), None)
    found = stack.enter_context(opened((server,), targets, missing, Settings()))
    return found.servers(always(caller))[server]


def _answered(address: str, status: int) -> SourceError:
    if status == 401:
        return SourceError(f"{address} takes no call without a good token: put one into PROMPTSALES_MCP_TOKEN")
    return SourceError(f"{address} answers with HTTP status {status}")


def _called(result: Any) -> Called:
    pictures = [base64.b64decode(one.data) for one in result.content if one.type == "image"]
    text = "\n".join(one.text for one in result.content if one.type == "text")
    if result.structured_content is not None:
        text = json.dumps(result.structured_content, indent=2, ensure_ascii=False)
    return Called(text, bool(result.is_error), pictures[0] if pictures else None)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
