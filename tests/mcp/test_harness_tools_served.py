"""The harness's own tools through the SDK, as a client sees them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import harness_world as world
import psutil
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_toy import Counter, Memory

from harness.errors import ToolRefused
from harness.mcp.guard import Guard
from harness.mcp.harness_tools import HarnessSettings, open_toolset
from harness.mcp.server import server_of
from harness.sso.model import Caller
from tests.polling import eventually

pytestmark = pytest.mark.mcp


class Served:
    """A server in this process, and what it logs."""

    def __init__(self, folder: Path) -> None:
        self.caller = world.TESTER
        self.log = Memory()
        self.tools = open_toolset({}, HarnessSettings(world.scenarios(folder / "scenarios"), folder / "results"))
        self.server = server_of(self.tools, Guard(lambda context: self.caller, Counter(), self.log))

    def ask(self, work: Callable[[Client], Awaitable[Any]]) -> Any:
        async def session() -> Any:
            async with Client(self.server) as client:
                return await work(client)

        return anyio.run(session)


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


def test_a_client_runs_a_scenario_and_reads_all_that_its_answer_points_to(served: Served) -> None:
    async def work(client: Client) -> None:
        ran = await client.call_tool("run_scenario", {"scenario_id": "rotated"})
        assert not ran.is_error, ran.content
        (case,) = ran.structured_content["cases"]
        told = await client.call_tool("explain_deadlock", {})
        assert (told.structured_content["victim"], told.structured_content["case_id"]) == ("A", case["case_id"])
        uris = [case["evidence"], case["waits"], ran.structured_content["report"], "harness://report/latest"]
        uris += ["harness://scenario/rotated", "harness://scenario-schema", "harness://docs/scenarios"]
        uris += [f"harness://evidence/{ran.structured_content['run_id']}/{quote(case['case_id'], safe='')}"]
        for uri in uris:
            (found,) = (await client.read_resource(uri)).contents
            assert len(found.text) > 100, uri
        prompt = await client.get_prompt("explain_this_deadlock", {"run_id": "latest", "case_id": case["case_id"]})
        assert case["case_id"] in prompt.messages[0].content.text

    served.ask(work)
    assert [(one.target, one.outcome) for one in served.log.calls[:3]] == [
        ("run_scenario", "begun"),
        ("run_scenario", "ok"),
        ("explain_deadlock", "ok"),
    ]


@pytest.mark.parametrize(
    "uri",
    [
        "harness://evidence/..%2F..%2Fetc/passwd",
        "harness://evidence/latest/..%2F..%2Fetc%2Fpasswd",
        "harness://scenario/..%2f..%2fetc%2fpasswd",
        "harness://scenario/%2Fetc%2Fpasswd",
        "harness://waits/x/%00",
        "harness://report/" + "x" * 5000,
    ],
)
def test_hostile_uris_find_nothing(served: Served, uri: str) -> None:
    async def work(client: Client) -> None:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(uri)
        assert "root:" not in str(refused.value)
        assert "Traceback" not in str(refused.value)

    served.ask(work)
    assert served.log.calls[-1].outcome != "ok"


def test_an_analyst_reads_and_does_not_run(served: Served) -> None:
    served.caller = Caller("a", "a@example.org", frozenset({"analyst"}), "stdio")

    async def work(client: Client) -> None:
        assert "run_scenario" not in {one.name for one in (await client.list_tools()).tools}
        refused = await client.call_tool("run_scenario", {"scenario_id": "rotated"})
        assert refused.is_error
        listed = await client.call_tool("list_scenarios", {})
        assert len(listed.structured_content["items"]) == 8

    served.ask(work)
    assert not list(served.tools._results.ids())


def test_a_reader_sees_nothing(served: Served) -> None:
    served.caller = Caller("a", "a@example.org", frozenset({"reader"}), "stdio")

    async def work(client: Client) -> None:
        assert (await client.list_tools()).tools == []
        assert (await client.list_prompts()).prompts == []

    served.ask(work)


def test_a_run_whose_client_cancels_is_ended(served: Served) -> None:
    started: list[psutil.Process] = []
    before = {one.pid for one in world.family()}

    async def work(client: Client) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "run_scenario", {"scenario_id": "slow"})
            with anyio.fail_after(60):
                while not any(world.sleeps(one) for one in started):
                    await anyio.sleep(0.01)
                    started[:] = [one for one in world.family() if one.pid not in before]
            group.cancel_scope.cancel()
        with anyio.fail_after(60):
            while world.alive(started):
                await anyio.sleep(0.01)

    served.ask(work)
    assert served.log.calls[0].outcome == "begun"

    def again() -> bool:
        try:
            return served.tools.run_scenario(world.TESTER, "rotated").as_expected
        except ToolRefused:  # the one that was given up has ended, and its thread is about to say so
            return False

    eventually(again, "no other run can begin")


def test_every_answer_fits_its_schema_and_its_size(served: Served) -> None:
    async def work(client: Client) -> None:
        await client.call_tool("run_scenario", {"scenario_id": "fails"})
        await client.call_tool("run_scenario", {"scenario_id": "rotated"})
        case = (await client.call_tool("list_cases", {})).structured_content["items"][0]["case_id"]
        for name, arguments in [
            ("list_scenarios", {"limit": 100}),
            ("describe_scenario", {"scenario_id": "rotated"}),
            ("list_runs", {}),
            *[("read_evidence", {"run_id": "latest", "case_id": case, "part": part, "limit": 100}) for part in PARTS],
            ("explain_deadlock", {"run_id": "latest"}),
            ("compare_runs", {"first": "latest"}),
        ]:
            found = await client.call_tool(name, arguments)
            assert not found.is_error, (name, found.content)
            assert json.loads(found.content[0].text) == found.structured_content

    served.ask(work)


PARTS = ("summary", "events", "waits", "statements")
