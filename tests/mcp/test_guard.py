"""The guard, by the SDK's own client in this process, in both eras of the protocol."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_toy import PNG, Toys, somebody, text_of

from harness.mcp.arguments import MASKED, loggable
from harness.mcp.guard import digest_of, subject_of

pytestmark = [pytest.mark.mcp, pytest.mark.parametrize("mode", ["auto", "legacy"])]


def ask(toys: Toys, mode: str, work: Callable[[Client], Awaitable[Any]]) -> Any:
    async def session() -> Any:
        async with toys.client(mode) as client:
            return await work(client)

    return anyio.run(session)


def test_an_answer_is_data_and_is_logged(mode: str) -> None:
    toys = Toys(somebody("reader"))
    result = ask(toys, mode, lambda client: client.call_tool("rows", {"word": "sea", "limit": 2}))
    assert result.structured_content == {
        "items": [{"id": 0, "text": "sea"}, {"id": 1, "text": "sea"}],
        "next_cursor": None,
    }
    assert json.loads(text_of(result)) == result.structured_content
    (call,) = toys.log.calls
    assert (call.server, call.method, call.target, call.outcome) == ("toy", "tools/call", "rows", "ok")
    assert (call.rows, call.error, call.caller, call.arguments) == (2, None, toys.caller, {"word": "sea", "limit": 2})
    body = {"content": [{"type": "text", "text": text_of(result)}], "structuredContent": result.structured_content}
    assert call.answer_sha256 == digest_of(body)
    assert len(bytes.fromhex(call.answer_sha256 or "")) == 32
    assert toys.toolset.callers == [toys.caller]


def test_a_picture_is_an_image(mode: str) -> None:
    toys = Toys(somebody("admin"))
    result = ask(toys, mode, lambda client: client.call_tool("picture", {}))
    (image,) = [one for one in result.content if one.type == "image"]
    assert image.mime_type == "image/png"
    assert base64.b64decode(image.data) == PNG
    assert result.structured_content == {"id": 1, "text": "a picture"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"word": "x" * 21}, "word: string should have at most 20 characters"),
        ({"word": "a", "limit": 0}, "limit: input should be greater than or equal to 1"),
        ({"word": "a", "limit": 101}, "limit: input should be less than or equal to 100"),
        ({}, "word: field required"),
        ({"word": 7}, "word: input should be a valid string"),
        ({"word": {"$ne": None}}, "word: input should be a valid string"),
        (
            {"word": "a", "where": "1=1"},
            "'where': there is no such argument (arguments: cursor, limit, password, word)",
        ),
        ({"word": "a", "limt": 5}, "'limt': there is no such argument, did you mean 'limit' (arguments: cursor, "),
        ({"word": "a\0b"}, "the arguments hold a NUL or half a character"),
        ({"word": "x" * 9000}, "the arguments have more than 8192 characters"),
    ],
    ids=["long", "none", "many", "missing", "number", "operator", "unknown", "misspelt", "nul", "huge"],
)
def test_arguments_that_are_none_are_refused_and_logged(mode: str, arguments: dict[str, Any], says: str) -> None:
    toys = Toys(somebody("reader"))
    result = ask(toys, mode, lambda client: client.call_tool("rows", arguments))
    assert result.is_error
    assert says in text_of(result)
    (call,) = toys.log.calls
    assert call.outcome == "refused"
    assert says in (call.error or "")
    assert len(json.dumps(call.arguments)) < 1000
    assert not toys.toolset.callers
    assert toys.counter.seen == ["4f0c"], "it counts"


def test_a_secret_is_not_in_the_log(mode: str) -> None:
    toys = Toys(somebody("reader"))
    ask(toys, mode, lambda client: client.call_tool("rows", {"word": "a", "password": "hunter2"}))
    ask(toys, mode, lambda client: client.call_tool("rows", {"word": "a", "password": "hunter2" * 20}))
    assert [call.outcome for call in toys.log.calls] == ["ok", "refused"]
    assert [call.arguments["password"] for call in toys.log.calls] == [MASKED, MASKED]
    assert "hunter2" not in repr(toys.log.calls)


def test_what_one_may_not_use_is_not_there(mode: str) -> None:
    toys = Toys(somebody("reader"))

    async def work(client: Client) -> None:
        assert {one.name for one in (await client.list_tools()).tools} == {"rows", "fails", "waits", "waits_long"}
        assert [one.uri for one in (await client.list_resources()).resources] == ["toy://schema"]
        assert (await client.list_resource_templates()).resource_templates == []
        refused = await client.call_tool("changes", {})
        missing = await client.call_tool("nonsense", {})
        assert text_of(refused) == "toy has no tool 'changes' for you: your roles are reader"
        assert text_of(missing) == "toy has no tool 'nonsense' for you: your roles are reader"
        with pytest.raises(MCPError, match="toy has no resource 'toy://row/1' for you"):
            await client.read_resource("toy://row/1")

    ask(toys, mode, work)
    assert [call.outcome for call in toys.log.calls] == ["refused"] * 3


def test_without_a_role_there_is_nothing(mode: str) -> None:
    toys = Toys(somebody())

    async def work(client: Client) -> None:
        assert (await client.list_tools()).tools == []
        assert (await client.list_prompts()).prompts == []
        assert text_of(await client.call_tool("rows", {"word": "a"})).endswith("your roles are none")

    ask(toys, mode, work)


def test_too_many_calls_are_refused(mode: str) -> None:
    toys = Toys(somebody("reader"))
    toys.counter.most = 1

    async def work(client: Client) -> list[Any]:
        return [await client.call_tool("rows", {"word": "a"}) for _ in range(2)]

    first, second = ask(toys, mode, work)
    assert not first.is_error
    assert text_of(second) == "too many calls: try again in 2 s"
    assert [call.outcome for call in toys.log.calls] == ["ok", "refused"]


@pytest.mark.parametrize("away", ["counter", "log"])
def test_what_cannot_be_counted_or_logged_is_not_answered(mode: str, away: str) -> None:
    toys = Toys(somebody("reader"))
    getattr(toys, away).away = True
    result = ask(toys, mode, lambda client: client.call_tool("rows", {"word": "a"}))
    assert result.is_error
    assert result.structured_content is None
    assert text_of(result).startswith("calls cannot be counted or logged at the moment")


def test_a_change_is_logged_before_it_begins(mode: str) -> None:
    toys = Toys(somebody("tester"))
    ask(toys, mode, lambda client: client.call_tool("changes", {}))
    assert [call.outcome for call in toys.log.calls] == ["begun", "ok"]
    assert toys.toolset.changed == 1


def test_a_change_that_cannot_be_logged_does_not_begin(mode: str) -> None:
    toys = Toys(somebody("tester"))
    toys.log.away = True
    assert ask(toys, mode, lambda client: client.call_tool("changes", {})).is_error
    assert toys.toolset.changed == 0


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("refused", "there is no row 7"),
        ("away", "toy does not answer: try again later"),
        ("large", "the answer has more than 256 KiB: ask for fewer rows"),
    ],
)
def test_a_tool_says_what_is_wrong(mode: str, how: str, says: str) -> None:
    toys = Toys(somebody("reader"))
    result = ask(toys, mode, lambda client: client.call_tool("fails", {"how": how}))
    assert result.is_error
    assert text_of(result) == says
    assert [(call.outcome, call.error) for call in toys.log.calls] == [("error", says)]


def test_a_bug_tells_a_number_only(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    toys = Toys(somebody("reader"))
    with caplog.at_level(logging.ERROR):
        result = ask(toys, mode, lambda client: client.call_tool("fails", {"how": "bug"}))
    reference = text_of(result).rpartition(" ")[2]
    assert (
        text_of(result)
        == f"fails failed inside the server; whoever runs it finds the reason in its log under {reference}"
    )
    assert "hunter2" not in repr(toys.log.calls)
    assert [one for one in caplog.records if reference in one.getMessage()]


def test_a_call_that_takes_too_long_is_given_up(mode: str) -> None:
    toys = Toys(somebody("reader"))
    result = ask(toys, mode, lambda client: client.call_tool("waits", {}))
    assert text_of(result) == "no answer within 0.2 seconds: ask for less, or try again later"
    assert toys.toolset.gave_up.wait(10), "the tool was told"


def test_a_call_that_its_client_cancels_is_given_up_and_logged(mode: str) -> None:
    toys = Toys(somebody("reader"))

    async def work(client: Client) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "waits_long", {})
            await anyio.to_thread.run_sync(toys.toolset.running.wait, 10)
            group.cancel_scope.cancel()

    ask(toys, mode, work)
    assert toys.toolset.gave_up.wait(10)
    assert [call.outcome for call in toys.log.calls] == ["error"]


def test_resources_and_prompts(mode: str) -> None:
    toys = Toys(somebody("reader", "admin"))

    async def work(client: Client) -> None:
        (schema,) = (await client.read_resource("toy://schema")).contents
        assert (schema.text, schema.mime_type) == ("# Toy", "text/markdown")
        (row,) = (await client.read_resource("toy://row/3")).contents
        assert row.text == "row 3"
        for uri in ("toy://row/0", "toy://row/x", "toy://row/" + "1" * 5000, "toy://other", "file:///etc/passwd"):
            with pytest.raises(MCPError):
                await client.read_resource(uri)
        got = await client.get_prompt("explain", {"word": "waits"})
        assert got.messages[0].content.text == "Explain waits."
        with pytest.raises(MCPError, match="there is nothing to explain"):
            await client.get_prompt("explain", {"word": "nothing"})
        with pytest.raises(MCPError, match="word: string should have at most 20 characters"):
            await client.get_prompt("explain", {"word": "x" * 21})

    ask(toys, mode, work)
    assert [call.outcome for call in toys.log.calls] == ["ok", "ok", *["refused"] * 5, "ok", "error", "refused"]


def test_what_is_told_of_a_tool(mode: str) -> None:
    toys = Toys(somebody("reader", "tester"))
    tools = {one.name: one for one in ask(toys, mode, lambda client: client.list_tools()).tools}
    rows = tools["rows"]
    assert rows.title == "Rows"
    assert rows.description == "Rows that say a word.\n\nAs many as are asked for."
    assert rows.input_schema["properties"]["word"]["description"] == "To be repeated"
    assert rows.input_schema["required"] == ["word"]
    assert "caller" not in rows.input_schema["properties"]
    assert rows.output_schema["properties"]["items"]["type"] == "array"
    assert rows.annotations.read_only_hint
    assert not tools["changes"].annotations.read_only_hint


def test_what_the_log_may_have_of_arguments(mode: str) -> None:
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    given = {"a": "\0" + "b" * 500, "half": "\ud800", "deep": deep, "n": 10**40, "s": "hunter2", "ok": [1, True, None]}
    made = loggable(given, frozenset({"s"}))
    assert made["s"] == MASKED
    assert made["a"].endswith("… (501 characters)")
    assert made["half"] == "?"
    assert made["ok"] == [1, True, None]
    json.dumps(made).encode()


def test_any_subject_can_be_counted(mode: str) -> None:
    assert subject_of(somebody(subject="a@b.c")) == "a@b.c"
    strange = subject_of(somebody(subject="auth0|7:*\n"))
    assert strange == hashlib.sha256(b"auth0|7:*\n").hexdigest()
