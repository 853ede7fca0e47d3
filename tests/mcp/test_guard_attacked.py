"""The guard when somebody wants to get by: what is not counted, not logged, or says too much."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_toy import Toys, somebody, text_of

from harness.mcp.arguments import MASKED
from harness.mcp.guard import Guard
from harness.mcp.server import server_of

pytestmark = pytest.mark.mcp


def call(toys: Toys, name: str, arguments: dict[str, Any]) -> Any:
    async def work() -> Any:
        async with toys.client() as client:
            return await client.call_tool(name, arguments)

    return anyio.run(work)


def guard_of(toys: Toys) -> Guard:
    """A guard that can be asked without a client."""
    guard = Guard(lambda _: toys.caller, toys.counter, toys.log)
    server_of(toys.toolset, guard)
    return guard


def request(method: str, identity: int | None = 1, **params: Any) -> Any:
    return SimpleNamespace(method=method, params=params, request_id=identity, request=None)


@pytest.mark.parametrize(
    ("tool", "argument"),
    [("rows", "Password"), ("rows", "passwort"), ("row", "password"), ("waits", "password")],
    ids=["case", "typo", "no such tool", "another tool"],
)
def test_a_secret_under_a_wrong_name_is_not_in_the_log(tool: str, argument: str) -> None:
    toys = Toys(somebody("reader"))
    assert call(toys, tool, {"word": "a", argument: "hunter2"}).is_error
    (logged,) = toys.log.calls
    assert logged.outcome == "refused"
    assert logged.arguments[argument] == MASKED
    assert "hunter2" not in repr(toys.log.calls)


@pytest.mark.parametrize("cursor", ['["hunter2"]', '{"a": 1}'])
def test_a_text_that_is_json_is_refused_in_our_words(cursor: str) -> None:
    """The SDK reads such a text as what it says, where an argument is not only a text."""
    toys = Toys(somebody("reader"))
    result = call(toys, "rows", {"word": "a", "cursor": cursor})
    assert result.is_error
    assert text_of(result).startswith("cursor: input should be a valid string (arguments:")
    assert [(one.outcome, one.error) for one in toys.log.calls] == [("refused", text_of(result))]
    assert not toys.toolset.callers


def test_a_notification_is_no_call() -> None:
    """It has no answer, and the SDK runs nothing for it: the log must not say that something was done."""
    toys = Toys(somebody("tester"))
    seen: list[str] = []

    async def nothing(ctx: Any) -> None:
        seen.append(ctx.method)

    anyio.run(guard_of(toys), request("tools/call", None, name="changes", arguments={}), nothing)
    assert seen == ["tools/call"]
    assert (toys.log.calls, toys.counter.seen) == ([], [])


def test_a_call_that_is_cancelled_as_it_ends_is_logged() -> None:
    toys = Toys(somebody("reader"))

    async def work() -> None:
        with anyio.CancelScope() as scope:

            async def ends(_: Any) -> dict[str, Any]:
                scope.cancel()
                return {"content": [], "structuredContent": {"items": [1, 2]}}

            await guard_of(toys)(request("tools/call", name="rows", arguments={"word": "a"}), ends)

    anyio.run(work)
    assert [(one.outcome, one.rows) for one in toys.log.calls] == [("ok", 2)]


def test_a_refusal_that_is_cancelled_is_logged() -> None:
    toys = Toys(somebody("reader"))

    async def work() -> None:
        with anyio.CancelScope() as scope:
            let = toys.counter.hit

            def hit(subject: str) -> Any:
                anyio.from_thread.run_sync(scope.cancel)
                return let(subject)

            toys.counter.hit = hit  # type: ignore[method-assign]
            await guard_of(toys)(request("tools/call", name="rows", arguments={}), None)  # type: ignore[arg-type]

    anyio.run(work)
    assert toys.counter.seen
    assert [one.outcome for one in toys.log.calls] == ["refused"]


@pytest.mark.parametrize("asked", ["resource", "prompt"])
def test_what_a_resource_or_prompt_says_is_wrong_is_not_told_unlogged(asked: str) -> None:
    """Whether there is something of a number is an answer, too."""
    toys = Toys(somebody("reader", "admin"))

    async def ask(client: Client) -> Any:
        if asked == "prompt":
            return await client.get_prompt("explain", {"word": "nothing"})
        return await client.read_resource("toy://gone")

    async def session() -> None:
        async with toys.client() as client:
            toys.log.away = True
            with pytest.raises(MCPError, match="calls cannot be counted or logged at the moment"):
                await ask(client)

    anyio.run(session)


def test_one_caller_leaves_room_for_others() -> None:
    """However many calls one sends at once, four are at work."""
    toys = Toys(somebody("reader"))
    guard, working, most = guard_of(toys), 0, 0

    async def work() -> None:
        let_go = anyio.Event()

        async def waits(_: Any) -> dict[str, Any]:
            nonlocal working, most
            working += 1
            most = max(most, working)
            await let_go.wait()
            working -= 1
            return {"content": []}

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(guard, request("tools/call", name="rows", arguments={"word": "a"}), waits)
            while len(toys.counter.seen) < 20 or working < 4:
                await anyio.lowlevel.checkpoint()
            toys.caller = somebody("reader", subject="another")
            group.start_soon(guard, request("tools/call", name="rows", arguments={"word": "b"}), waits)
            while working < 5:
                await anyio.lowlevel.checkpoint()
            let_go.set()

    anyio.run(work)
    assert most == 5
    assert len(toys.log.calls) == 21
    assert not guard._turns._lines, "nobody is remembered"


def test_who_goes_on_calling_does_not_fill_the_log() -> None:
    """Of those that are too many as many are logged as are let through; then they are refused and nothing else."""
    toys = Toys(somebody("reader"))
    toys.counter.most = 3

    async def work() -> list[str]:
        async with toys.client() as client:
            return [text_of(await client.call_tool("rows", {"word": "a"})) for _ in range(20)]

    said = anyio.run(work)
    assert said[3:] == ["too many calls: try again in 2 s"] * 17
    assert [one.outcome for one in toys.log.calls] == ["ok"] * 3 + ["refused"] * 3


def test_who_is_one_too_many_is_logged_where_that_cannot_be_counted() -> None:
    toys = Toys(somebody("reader"))
    toys.counter.most = 0
    let = toys.counter.hit

    def hit(subject: str) -> Any:
        decision = let(subject)
        toys.counter.away = True
        return decision

    toys.counter.hit = hit  # type: ignore[method-assign]
    assert text_of(call(toys, "rows", {"word": "a"})) == "too many calls: try again in 2 s"
    assert [one.outcome for one in toys.log.calls] == ["refused"]


def test_a_server_whose_database_hangs_stops_no_other_one_and_goes_on_refusing() -> None:
    hanging, other = Toys(somebody("reader")), Toys(somebody("reader"))
    numbers = itertools.count()
    guard = Guard(lambda _: somebody("reader", subject=f"s{next(numbers)}"), hanging.counter, hanging.log)

    async def work() -> tuple[str, str]:
        async with Client(server_of(hanging.toolset, guard)) as client, other.client() as another:
            async with anyio.create_task_group() as group:
                for _ in range(60):
                    group.start_soon(client.call_tool, "waits_long", {})
                while len(hanging.counter.seen) < 60:
                    await anyio.sleep(0.01)
                with anyio.fail_after(20):
                    refused = await client.call_tool("rows", {})
                    answer = await another.call_tool("rows", {"word": "a"})
                group.cancel_scope.cancel()
            return text_of(refused), text_of(answer)

    refused, answer = anyio.run(work)
    assert refused.startswith("word: field required")
    assert answer.startswith('{"items"')
