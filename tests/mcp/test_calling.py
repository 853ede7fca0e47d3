"""``harness mcp call``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp_world import World
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import DataError, SourceError
from harness.mcp.calling import arguments_of, call_tool

pytestmark = pytest.mark.mcp


@pytest.fixture
def invoke(seeded: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name, value in seeded.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["mcp", "call", *arguments])


def test_an_answer_is_json(invoke: Any) -> None:
    done = invoke("promptads", "campaign", "campaign_id=3")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["campaign_id"] == 3


def test_a_refusal_is_exit_code_1(invoke: Any) -> None:
    done = invoke("promptads", "campaign", "campaign_id=99999")
    assert done.exit_code == 1
    assert done.stdout.startswith("there is no campaign 99999")


def test_roles_are_chosen(invoke: Any) -> None:
    done = invoke("promptcrm", "client_history", "client_id=1", "--role", "reader")
    assert done.exit_code == 1
    assert "your roles are reader" in done.stdout


def test_a_picture_is_saved(invoke: Any, tmp_path: Path) -> None:
    done = invoke("promptcontent", "get_image", "content_id=1", "--save", str(tmp_path / "one.png"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (["a=1", "b=x"], {"a": 1, "b": "x"}),
        (["a=true", 'b="1"', "c=null"], {"a": True, "b": "1", "c": None}),
        (["a=", "b=x=y", "c=#sea"], {"a": "", "b": "x=y", "c": "#sea"}),
    ],
)
def test_arguments(given: list[str], made: dict[str, Any]) -> None:
    assert arguments_of(given) == made


@pytest.mark.parametrize("given", ["limit", "=5"])
def test_what_is_no_argument(given: str) -> None:
    with pytest.raises(DataError, match="write ARGUMENT=VALUE"):
        arguments_of([given])


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="cannot be reached: is 'harness mcp serve cache --http' running"):
        call_tool("cache", "cache_statistics", [], url="http://127.0.0.1:9", token="x", roles=())


@pytest.mark.parametrize("url", ["http://mcp.example", "http://10.0.0.7:8765", "http://127.0.0.1.evil.example"])
def test_a_token_does_not_go_over_a_network_in_the_clear(url: str) -> None:
    with pytest.raises(DataError, match="the token would go over the network unencrypted") as refused:
        call_tool("cache", "cache_statistics", [], url=url, token="hunter2", roles=[])
    assert "hunter2" not in str(refused.value)
