"""The MCP Inspector's command line, where it is installed: npm install @modelcontextprotocol/inspector."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp_world import World

from harness.mcp.catalogue import offers
from harness.mcp.configuration import configuration
from harness.mcp.opening import TOOLSETS

pytestmark = pytest.mark.mcp

VARIABLE = "PROMPTSALES_TEST_INSPECTOR"


@pytest.fixture
def inspect(seeded: World, tmp_path: Path) -> Any:
    program = os.environ.get(VARIABLE)
    if not program:
        pytest.skip(f"needs Node.js and the MCP Inspector: {VARIABLE}=…/node_modules/.bin/mcp-inspector")
    text, _ = configuration("inspector", tuple(TOOLSETS), http=False, url="", folder=tmp_path)
    config = tmp_path / "inspector.json"
    servers = json.loads(text)
    for one in servers["mcpServers"].values():
        one["env"] = {key: value for key, value in seeded.environ().items() if key.endswith("_URL")}
    config.write_text(json.dumps(servers))

    def run(server: str, *method: str) -> Any:
        done = subprocess.run(
            [program, "--cli", "--config", str(config), "--server", f"promptsales-{server}", "--method", *method],
            capture_output=True, text=True, timeout=120, check=False, env=seeded.environ(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("name", TOOLSETS)
def test_the_inspector_lists_all_tools(inspect: Any, name: str) -> None:
    listed = {one["name"] for one in inspect(name, "tools/list")["tools"]}
    assert listed == {
        one.name
        for one in offers([name])
        if one.kind == "tool" and one.spec.roles & {"reader", "analyst", "tester"}  # what a local user is
    }


def test_the_inspector_calls_a_tool(inspect: Any) -> None:
    result = inspect("promptads", "tools/call", "--tool-name", "campaign", "--tool-arg", "campaign_id=3")
    assert result["structuredContent"]["campaign_id"] == 3
