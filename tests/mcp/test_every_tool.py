"""The SDK's own client lists and calls everything that there is, over both transports, on the seeded databases."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio
import httpx2
import jsonschema
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_http import served
from mcp_toy import text_of
from mcp_world import World

from harness.mcp.bearer import caller_of
from harness.mcp.catalogue import Offer, offers
from harness.mcp.opening import TOOLSETS
from harness.sso.model import ROLES, Caller

pytestmark = pytest.mark.mcp

ALL = offers(["all"])

SCENARIO = "cascade"

ARGUMENTS: dict[tuple[str, str], dict[str, Any]] = {
    ("promptcontent", "find_images_by_meaning"): {"text": "una playa al atardecer", "limit": 3},
    ("promptcontent", "find_images_by_hashtag"): {"hashtag": "#sea"},
    ("promptcontent", "get_image"): {"content_id": 1},
    ("promptads", "find_campaigns"): {"text": "a"},
    ("promptads", "campaign"): {"campaign_id": 1},
    ("promptads", "campaign_days"): {"campaign_id": 1},
    ("promptads", "compare_campaigns"): {"first_id": 1, "second_id": 2},
    ("promptcrm", "clients_near"): {"latitude": 9.93, "longitude": -84.08, "kilometres": 500},
    ("promptcrm", "client_history"): {"client_id": 1},
    ("promptcrm", "find_client"): {"email": "nobody@example.com"},
    ("promptsales", "month_summary"): {"first_month": "2026-01", "last_month": "2026-03"},
    ("promptsales", "campaigns_of_month"): {"month": "2026-01"},
    ("promptsales", "campaign_history"): {"campaign_id": 1},
    ("cache", "get_key"): {"key": "plan:1:price"},
    ("cache", "list_keys"): {"convention": "plan_price"},
    ("cache", "rate_limit_state"): {"scope": "mcp", "subject": "ana"},
    ("harness", "describe_scenario"): {"scenario_id": SCENARIO},
    ("harness", "run_scenario"): {"scenario_id": SCENARIO},
    ("harness", "list_cases"): {},
    ("harness", "read_evidence"): {"run_id": "RUN", "case_id": "CASE"},
    ("harness", "compare_runs"): {"first": "RUN", "second": "RUN"},
}
"""What tools are called with that need something; RUN and CASE are those of the scenario that was run."""

NO_CERTIFICATE = "find_client", "clients cannot be found by email: this server is given no certificate"
"""The one refusal; with a certificate: tests/mcp/test_promptcrm_sensitive.py."""

PROMPTS = {
    "month": "2026-01", "first": "1", "second": "2", "client": "1", "key": "plan:1:price", "word": "sea",
    "content_id": "1", "tone": "friendly", "description": "two sessions that write one row", "level": "read committed",
    "engine": "postgresql", "run_id": "RUN", "case_id": "CASE",
}  # fmt: skip

ANA = Caller("ana", "ana@example.com", frozenset(ROLES), "tests")


class Anas:
    """Every token is Ana's."""

    def verify(self, token: str) -> Caller:
        return ANA


Session = Callable[[Callable[[Client], Awaitable[Any]]], Any]


@pytest.fixture(params=["stdio", "http"])
def session(request: pytest.FixtureRequest, seeded: World) -> Iterator[Callable[[str], Session]]:
    """Gives a way to talk to the server of a name."""
    if request.param == "stdio":
        options = [option for role in ROLES for option in ("--role", role)]

        def over_stdio(name: str) -> Session:
            return _session(lambda: Client(seeded.started(name, *options)))

        yield over_stdio
        return
    with (
        seeded.opened(tuple(TOOLSETS)) as found,
        served(found.servers(caller_of), dict.fromkeys(TOOLSETS, Anas())) as place,
    ):

        @asynccontextmanager
        async def connected(name: str) -> AsyncIterator[Client]:
            async with (
                httpx2.AsyncClient(headers={"Authorization": "Bearer x"}, timeout=150) as http,
                Client(streamable_http_client(place.resource(name), http_client=http)) as client,
            ):
                yield client

        yield lambda name: _session(lambda: connected(name))


def _session(connect: Callable[[], Any]) -> Session:
    def run(work: Callable[[Client], Awaitable[Any]]) -> Any:
        async def inside() -> Any:
            async with connect() as client:
                return await work(client)

        return anyio.run(inside)

    return run


def _of(name: str, kind: str) -> list[Offer]:
    return [one for one in ALL if one.server == name and one.kind == kind]


def _filled(text: str, known: dict[str, str]) -> str:
    return known.get(text, text)


@pytest.mark.parametrize("name", TOOLSETS)
def test_a_client_lists_and_uses_all_that_a_server_offers(
    name: str, session: Callable[[str], Session], seeded: World
) -> None:
    before = len(seeded.log())

    async def work(client: Client) -> int:
        known: dict[str, str] = {}
        tools = {one.name: one for one in (await client.list_tools()).tools}
        assert list(tools) == [one.name for one in _of(name, "tool")]
        calls = 0
        order = sorted(tools, key=lambda tool: tool != "run_scenario")  # the others look at what it leaves
        for tool in order:
            given = {
                key: _filled(value, known) if isinstance(value, str) else value
                for key, value in ARGUMENTS.get((name, tool), {}).items()
            }
            result = await client.call_tool(tool, given)
            calls += 2 if tool == "run_scenario" else 1  # it says that it begins
            if result.is_error:
                assert (tool, text_of(result)) == NO_CERTIFICATE
                continue
            jsonschema.validate(result.structured_content, tools[tool].output_schema or {})
            if tool == "run_scenario":
                known = {
                    "RUN": result.structured_content["run_id"],
                    "CASE": result.structured_content["cases"][0]["case_id"],
                }
        for prompt in (await client.list_prompts()).prompts:
            given = {one.name: _filled(PROMPTS[one.name], known) for one in prompt.arguments or []}
            got = await client.get_prompt(prompt.name, given)
            assert len(got.messages[0].content.text) > 40  # type: ignore[union-attr]
            calls += 1
        uris = [one.uri for one in (await client.list_resources()).resources]
        for template in (await client.list_resource_templates()).resource_templates:
            uris.append(_expanded(template.uri_template, known))
        assert len(uris) == len(_of(name, "resource"))
        for uri in uris:
            (read,) = (await client.read_resource(uri)).contents
            assert getattr(read, "text", "") or getattr(read, "blob", ""), uri
            calls += 1
        return calls

    calls = session(name)(work)
    logged = seeded.log()[before:]
    assert len(logged) == calls
    assert {one[0] for one in logged} == {name}
    assert "refused" not in {one[2] for one in logged}


def _expanded(template: str, known: dict[str, str]) -> str:
    parts = {"content_id": "1", "scenario_id": SCENARIO, "run_id": "RUN", "case_id": "CASE"}
    return re.sub(r"\{\+?(\w+)\}", lambda part: quote(_filled(parts[part[1]], known), safe=""), template)


def test_the_arguments_above_are_of_tools_that_there_are() -> None:
    tools = {(one.server, one.name) for one in ALL if one.kind == "tool"}
    assert set(ARGUMENTS) <= tools
