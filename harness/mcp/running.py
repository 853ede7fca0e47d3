"""A toolset's methods as the SDK wants them: off the event loop, within their time, errors in words that may be told."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import secrets
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Annotated, Any, get_type_hints

import anyio
import anyio.to_thread
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, ContentBlock, ImageContent, TextContent

from harness.errors import SourceError, ToolRefused
from harness.mcp.model import GIVEN_UP, Answer, ToolSpec, WithPicture
from harness.sso.model import Caller

logger = logging.getLogger("promptsales.mcp")

CALLER: ContextVar[Caller] = ContextVar("CALLER")
"""Who the call is for; the guard sets it."""

MOST_ANSWER = 256 * 1024
"""Bytes of an answer's JSON, or of a resource."""
MOST_PICTURE = 2 * 2**20

Method = Callable[..., Any]


def as_tool(
    name: str, method: Method, spec: ToolSpec, room: anyio.CapacityLimiter | None = None
) -> Callable[..., Awaitable[CallToolResult]]:
    """An async function with the method's signature, but for the caller, and its answer's model as output schema.

    ``room``: for its threads.
    """

    async def call(**arguments: Any) -> CallToolResult:
        try:
            return _result(await _run(method, spec.seconds, arguments, room))
        except (ToolRefused, SourceError) as error:
            text = str(error)
        except Exception:  # noqa: BLE001 - whatever a bug raises must not reach the client
            text = _hidden(name)
        return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)

    model = spec.answers or get_type_hints(method, include_extras=True)["return"]
    return _shaped(call, name, method, Annotated[CallToolResult, model])


def as_reader(
    name: str, method: Method, seconds: float = 15.0, room: anyio.CapacityLimiter | None = None
) -> Callable[..., Awaitable[str | bytes]]:
    """The same for what gives a text or bytes: resources and prompts."""

    async def read(**arguments: Any) -> str | bytes:
        try:
            found = await _run(method, seconds, arguments, room)
        except (ToolRefused, SourceError) as error:
            code = INVALID_PARAMS if isinstance(error, ToolRefused) else INTERNAL_ERROR
            raise MCPError(code=code, message=str(error)) from None
        except Exception:  # noqa: BLE001 - as above
            raise MCPError(code=INTERNAL_ERROR, message=_hidden(name)) from None
        if len(found) > (MOST_PICTURE if isinstance(found, bytes) else MOST_ANSWER):
            raise MCPError(code=INTERNAL_ERROR, message=f"{name} is too large to be given")
        return found  # type: ignore[no-any-return]

    return _shaped(read, name, method, get_type_hints(method)["return"])


async def _run(method: Method, seconds: float, arguments: dict[str, Any], room: anyio.CapacityLimiter | None) -> Any:
    """In a thread, which is left behind when the time is over or the call is cancelled, and can ask whether it was."""
    event = threading.Event()
    token = GIVEN_UP.set(event)
    try:
        with anyio.fail_after(seconds):
            work = functools.partial(method, CALLER.get(), **arguments)
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=room)
    except TimeoutError:
        raise SourceError(f"no answer within {seconds:g} seconds: ask for less, or try again later") from None
    finally:
        event.set()
        GIVEN_UP.reset(token)


def _result(found: Answer | WithPicture) -> CallToolResult:
    answer = found.answer if isinstance(found, WithPicture) else found
    structured = answer.model_dump(mode="json", by_alias=True)
    text = json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > MOST_ANSWER:
        raise ToolRefused(f"the answer has more than {MOST_ANSWER // 1024} KiB: ask for fewer rows")
    content: list[ContentBlock] = [TextContent(type="text", text=text)]
    if isinstance(found, WithPicture):
        if len(found.picture) > MOST_PICTURE:
            raise ToolRefused(f"the picture has more than {MOST_PICTURE // 2**20} MiB")
        content.append(_image(found))
    return CallToolResult(content=content, structured_content=structured)


def _image(found: WithPicture) -> ImageContent:
    return ImageContent(type="image", data=b64encode(found.picture).decode(), mime_type=found.mime_type)


def _hidden(name: str) -> str:
    """What a client is told of a bug; the log has the rest, under the same number."""
    reference = secrets.token_hex(4)
    logger.exception("%s failed, reference %s", name, reference)
    return f"{name} failed inside the server; whoever runs it finds the reason in its log under {reference}"


def _shaped(call: Callable[..., Any], name: str, method: Method, returns: Any) -> Callable[..., Any]:
    """``call`` under the method's name, docstring and signature without the caller, its annotations resolved."""
    hints = get_type_hints(method, include_extras=True)
    parameters = [
        one.replace(annotation=hints.get(one.name, one.annotation))
        for one in inspect.signature(method).parameters.values()
        if one.name != "caller"
    ]
    call.__name__ = call.__qualname__ = name
    call.__doc__ = inspect.getdoc(method)
    call.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
    call.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": returns}
    return call
