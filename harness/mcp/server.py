"""One MCP server: a toolset behind its guard, on the official SDK."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any, cast

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations

from harness.mcp.guard import Guard
from harness.mcp.model import ResourceSpec, Toolset, ToolSpec
from harness.mcp.running import Method, as_reader, as_tool


def server_of(toolset: Toolset, guard: Guard) -> MCPServer[Any]:
    """The server of a toolset; whatever is asked of it passes ``guard``."""
    tools = {name: _tool(name, spec, method) for name, spec, method in toolset.offered() if isinstance(spec, ToolSpec)}
    server: MCPServer[Any] = MCPServer(
        name=f"promptsales-{toolset.name}",
        title=toolset.title,
        instructions=toolset.instructions,
        version=version("promptsales-harness"),
        tools=list(tools.values()),
        log_level="WARNING",
        subscriptions=False,
    )
    for name, spec, method in toolset.offered():
        about = inspect.getdoc(method) or ""
        if isinstance(spec, ResourceSpec):
            given = server.resource(spec.uri, name=name, title=spec.title, description=about, mime_type=spec.mime_type)
            given(as_reader(name, method))
        elif not isinstance(spec, ToolSpec):
            # It gives a str, which is a message of the user's; the SDK's type is narrower than what it takes.
            read = cast(Any, as_reader(name, method))
            server.add_prompt(Prompt.from_function(read, name, spec.title, about))
    guard.watch(toolset, tools, server)
    return server


def _tool(name: str, spec: ToolSpec, method: Method) -> Tool:
    annotations = ToolAnnotations(
        title=spec.title,
        read_only_hint=not spec.changes,
        destructive_hint=False,
        idempotent_hint=not spec.changes,
        open_world_hint=False,
    )
    return Tool.from_function(
        as_tool(name, method, spec), name, spec.title, inspect.getdoc(method), annotations=annotations
    )
