"""How assistants are told of the servers: each client's file as its manual has it. Only the Inspector was run on it here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataError, did_you_mean

Entry = dict[str, Any]


def configuration(client: str, names: Sequence[str], *, http: bool, url: str, folder: Path) -> tuple[str, str]:
    """The text, and which file it belongs into. Raises DataError for a client that is not known, or cannot do it.

    Over stdio a client starts ``harness mcp serve`` itself, for the project in ``folder``.
    """
    make = _CLIENTS.get(client)
    if make is None:
        raise DataError(f"there is no client {client!r}{did_you_mean(client, _CLIENTS)}: {', '.join(_CLIENTS)}")
    base = url.rstrip("/")
    if http:
        return make({f"promptsales-{name}": {"url": f"{base}/{name}/mcp"} for name in names}, True)
    return make({f"promptsales-{name}": _started(name, folder) for name in names}, False)


def _started(name: str, folder: Path) -> Entry:
    return {
        "command": sys.executable,
        "args": ["-m", "harness.cli", "mcp", "serve", name, "--project", str(folder.resolve())],
    }


def _json(key: str, entries: Mapping[str, Entry], kind: Callable[[bool], Entry], http: bool) -> str:
    return json.dumps({key: {name: {**kind(http), **entry} for name, entry in entries.items()}}, indent=2)


def _typed(http: bool) -> Entry:
    return {"type": "http" if http else "stdio"}


def _untyped(_: bool) -> Entry:
    return {}


def _claude_desktop(entries: Mapping[str, Entry], http: bool) -> tuple[str, str]:
    if http:
        raise DataError(
            "Claude Desktop takes servers over HTTP in its settings (Connectors), not in a file: "
            f"add {', '.join(one['url'] for one in entries.values())} there"
        )
    return _json(
        "mcpServers", entries, _untyped, http
    ), "claude_desktop_config.json (Settings, Developer, Edit Config):"


def _claude_code(entries: Mapping[str, Entry], http: bool) -> tuple[str, str]:
    return _json("mcpServers", entries, _typed, http), ".mcp.json in the folder where claude is started:"


def _cursor(entries: Mapping[str, Entry], http: bool) -> tuple[str, str]:
    return _json("mcpServers", entries, _untyped, http), ".cursor/mcp.json in the project, or ~/.cursor/mcp.json:"


def _vscode(entries: Mapping[str, Entry], http: bool) -> tuple[str, str]:
    return _json("servers", entries, _typed, http), ".vscode/mcp.json in the project:"


def _inspector(entries: Mapping[str, Entry], http: bool) -> tuple[str, str]:
    def kind(http: bool) -> Entry:
        return {"type": "streamable-http" if http else "stdio"}

    where = "a file, for npx @modelcontextprotocol/inspector --config FILE --server NAME:"
    return _json("mcpServers", entries, kind, http), where


def _codex(entries: Mapping[str, Entry], http: bool) -> tuple[str, str]:
    """TOML's basic strings are JSON's."""
    lines: list[str] = []
    for name, entry in entries.items():
        lines.append(f"[mcp_servers.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
        if http:
            lines.append('bearer_token_env_var = "PROMPTSALES_MCP_TOKEN"')
        lines.append("")
    return "\n".join(lines).rstrip(), "~/.codex/config.toml:"


_CLIENTS: dict[str, Callable[[Mapping[str, Entry], bool], tuple[str, str]]] = {
    "claude-code": _claude_code,
    "claude-desktop": _claude_desktop,
    "cursor": _cursor,
    "vscode": _vscode,
    "codex": _codex,
    "inspector": _inspector,
}
