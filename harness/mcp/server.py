"""One MCP server: a toolset behind its guard, on the official SDK."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.utilities.func_metadata import func_metadata
from mcp_types import ToolAnnotations

from harness.mcp.guard import Guard
from harness.mcp.model import ResourceSpec, Spec, Toolset, ToolSpec
from harness.mcp.running import Method, as_reader, as_tool

_THREADS = 40
"""Calls of one server that are at work at once. Its own: where a database hangs, other servers go on."""


def server_of(toolset: Toolset, guard: Guard) -> MCPServer[Any]:
    """The server of a toolset; whatever is asked of it passes ``guard``."""
    room = anyio.CapacityLimiter(_THREADS)
    offered = {name: (spec, _callable(name, spec, method, room)) for name, spec, method in toolset.offered()}
    guard.watch(toolset.name, {name: (spec, func_metadata(call)) for name, (spec, call) in offered.items()})
    server: MCPServer[Any] = MCPServer(
        name=f"promptsales-{toolset.name}",
        title=toolset.title,
        instructions=toolset.instructions,
        version=version("promptsales-harness"),
        middleware=[guard],
        log_level="WARNING",
        subscriptions=False,
    )
    for name, (spec, call) in offered.items():
        about = call.__doc__ or ""
        if isinstance(spec, ToolSpec):
            server.add_tool(call, name, spec.title, about, _hints(spec))
        elif isinstance(spec, ResourceSpec):
            server.resource(spec.uri, name=name, title=spec.title, description=about, mime_type=spec.mime_type)(call)
        else:
            server.add_prompt(Prompt.from_function(call, name, spec.title, about))
    return server


def _callable(name: str, spec: Spec, method: Method, room: anyio.CapacityLimiter) -> Callable[..., Any]:
    return as_tool(name, method, spec, room) if isinstance(spec, ToolSpec) else as_reader(name, method, room=room)


def _hints(spec: ToolSpec) -> ToolAnnotations:
    return ToolAnnotations(
        title=spec.title,
        read_only_hint=not spec.changes,
        destructive_hint=False,
        idempotent_hint=not spec.changes,
        open_world_hint=False,
    )
