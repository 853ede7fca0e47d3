import json
import sys
import tomllib
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.mcp.configuration import configuration

pytestmark = pytest.mark.mcp

NAMES = ("promptads", "promptcrm")
URL = "http://127.0.0.1:8765/"


@pytest.mark.parametrize(
    ("client", "key", "kind"),
    [
        ("claude-desktop", "mcpServers", None),
        ("claude-code", "mcpServers", "stdio"),
        ("cursor", "mcpServers", None),
        ("vscode", "servers", "stdio"),
        ("inspector", "mcpServers", "stdio"),
    ],
)
def test_a_client_starts_servers(client: str, key: str, kind: str | None, tmp_path: Path) -> None:
    text, where = configuration(client, NAMES, http=False, url=URL, folder=tmp_path)
    servers = json.loads(text)[key]
    assert list(servers) == ["promptsales-promptads", "promptsales-promptcrm"]
    one = servers["promptsales-promptads"]
    assert one.get("type") == kind
    assert [one["command"], *one["args"]] == [
        sys.executable, "-m", "harness.cli", "mcp", "serve", "promptads", "--project", str(tmp_path),
    ]  # fmt: skip
    assert where.endswith(":")
    assert "PASSWORD" not in text


@pytest.mark.parametrize(
    ("client", "key", "kind"),
    [
        ("claude-code", "mcpServers", "http"),
        ("cursor", "mcpServers", None),
        ("vscode", "servers", "http"),
        ("inspector", "mcpServers", "streamable-http"),
    ],
)
def test_a_client_finds_servers_that_run(client: str, key: str, kind: str | None, tmp_path: Path) -> None:
    text, _ = configuration(client, NAMES, http=True, url=URL, folder=tmp_path)
    one = json.loads(text)[key]["promptsales-promptcrm"]
    assert one == ({"type": kind} if kind else {}) | {"url": "http://127.0.0.1:8765/promptcrm/mcp"}


def test_codex_reads_toml(tmp_path: Path) -> None:
    text, where = configuration("codex", NAMES, http=False, url=URL, folder=tmp_path)
    servers = tomllib.loads(text)["mcp_servers"]
    assert servers["promptsales-promptads"]["args"][-1] == str(tmp_path)
    assert "config.toml" in where
    text, _ = configuration("codex", NAMES, http=True, url=URL, folder=tmp_path)
    assert tomllib.loads(text)["mcp_servers"]["promptsales-promptcrm"] == {
        "url": "http://127.0.0.1:8765/promptcrm/mcp",
        "bearer_token_env_var": "PROMPTSALES_MCP_TOKEN",
    }


def test_what_a_client_cannot(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Claude Desktop takes servers over HTTP in its settings"):
        configuration("claude-desktop", NAMES, http=True, url=URL, folder=tmp_path)
    with pytest.raises(DataError, match="there is no client 'vs-code', did you mean 'vscode'"):
        configuration("vs-code", NAMES, http=True, url=URL, folder=tmp_path)
