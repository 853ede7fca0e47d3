"""What a hostile or unlucky client gets: clear refusals, and nothing of anybody's secrets. On the seeded databases."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
import psycopg
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_http import served
from mcp_toy import somebody, text_of
from mcp_world import World

from harness.ai_log.read import open_reader
from harness.ai_log.verify import verify
from harness.mcp.bearer import caller_of
from harness.mcp.catalogue import Offer, offers
from harness.mcp.local import always
from harness.mcp.opening import LIMIT_GATE, LOG_GATE, TOOLSETS, Opened
from harness.sso.model import ROLES, Caller

pytestmark = pytest.mark.mcp

TOOLS = [one for one in offers(["all"]) if one.kind == "tool" and one.name != "run_scenario"]

HOSTILE = (
    "' OR '1'='1",
    "'; DROP TABLE client; --",
    '" OR ""="',
    "$$; SELECT pg_sleep(5); $$",
    "%s %(name)s {0} ${jndi:ldap://x}",
    "\\'; SELECT 1",
    "1; SELECT 1",
    "{'$gt': ''}",
    "*",
    "%",
    "_",
    "content:*",
    "\r\nFLUSHALL\r\n",
    "../../../../etc/passwd",
    "<script>alert(1)</script>",
    "| `whoami` |",
    "\u202egnp.x",
    "a" * 400,
    "\x01\x7f",
)

EVERYTHING = somebody(*ROLES, subject="mallory")


@pytest.fixture(scope="module")
def all_open(seeded: World) -> Iterator[Opened]:
    with seeded.opened(tuple(TOOLSETS)) as found:
        yield found


def secrets_of(opened: Opened, world: World) -> set[str]:
    """Passwords and ports of every URL that the servers know."""
    urls = [one.url for one in opened.entered.targets.values()] + [one.url for one in world.databases.values()]
    parts = [urlsplit(url) for url in urls]
    return {part.password for part in parts if part.password} | {f":{part.port}" for part in parts}


def state(world: World) -> list[Any]:
    """How much there is, everywhere."""
    counts: list[Any] = []
    for name in ("promptads", "promptcrm", "promptsales"):
        link = world.link(name)
        tables = link.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' "
            "AND table_name NOT LIKE 'ai_log%' ORDER BY 1"
        ).fetchall()
        for (table,) in tables:
            counts.append((name, table, link.execute(f'SELECT count(*) FROM "{table}"').fetchone()))
    content = world.link("promptcontent")
    counts += [(one, content[one].count_documents({})) for one in sorted(content.list_collection_names())]
    cache = world.link("cache")
    counts.append(sorted(key for key in cache.scan_iter() if not key.startswith("ratelimit:mcp:")))
    return counts


def hostile_calls(offer: Offer, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Each argument hostile in turn, the others as they should be; and things of a wrong kind."""
    names = offer.arguments.get("properties", {})
    for name in names:
        for value in (*HOSTILE, {"$gt": ""}, ["a"], True, -1, 2**70, 1.5, None):
            given = {other: usual(schema, chance) for other, schema in names.items() if other != name}
            required = offer.arguments.get("required", [])
            yield {key: one for key, one in given.items() if key in required} | {name: value}


def usual(schema: dict[str, Any], chance: random.Random) -> Any:
    """Something that the schema takes."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type") or schema.get("anyOf", [{}])[0].get("type")
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    if kind == "boolean":
        return True
    return "2026-01" if "month" in str(schema.get("description", "")).lower() else "a"


@pytest.mark.parametrize("offer", TOOLS, ids=lambda one: f"{one.server}-{one.name}")
def test_hostile_arguments_do_nothing(
    offer: Offer, all_open: Opened, seeded: World, caplog: pytest.LogCaptureFixture
) -> None:
    before, known = state(seeded), secrets_of(all_open, seeded)
    calls = list(hostile_calls(offer, random.Random(7)))

    async def work() -> list[str]:
        said = []
        server = all_open.servers(always(EVERYTHING))[offer.server]
        async with Client(server) as client:
            for arguments in calls:
                result = await client.call_tool(offer.name, arguments)
                if result.is_error:
                    said.append(text_of(result))
        return said

    with caplog.at_level(logging.WARNING):
        said = anyio.run(work)
    assert state(seeded) == before
    for text in said:
        assert "failed inside the server" not in text, text
        assert "Traceback" not in text
        assert "psycopg" not in text
        assert "SELECT" not in text.replace("SELECT 1", "").replace("SELECT pg_sleep", "")
        assert not [secret for secret in known if secret in text]
    assert not [record.getMessage() for record in caplog.records if record.exc_info]


def test_two_hundred_calls_at_once(all_open: Opened, seeded: World) -> None:
    before = len(seeded.log())
    answers: list[Any] = []
    taken = Taken()
    with served({"promptads": all_open.servers(caller_of)["promptads"]}, {"promptads": taken}) as place:

        async def work() -> None:
            limits = httpx2.Limits(max_connections=200)
            async with httpx2.AsyncClient(headers={"Authorization": "Bearer x"}, limits=limits, timeout=120) as http:

                async def one(number: int) -> None:
                    address = place.resource("promptads")
                    async with Client(streamable_http_client(address, http_client=http)) as client:
                        answers.append(await client.call_tool("campaign", {"campaign_id": 1 + number % 10}))

                async with anyio.create_task_group() as group:
                    for number in range(200):
                        group.start_soon(one, number)

        anyio.run(work)
    assert len(answers) == 200
    refused = [text_of(one) for one in answers if one.is_error]
    assert not [text for text in refused if text != "promptads is busy: try again later"], refused[:3]
    assert len(refused) < 150
    assert len(seeded.log()) - before == 200
    with open_reader(seeded.databases["promptsales"].url) as reader:
        assert not verify(reader).problems


class Taken:
    """Takes every token."""

    def verify(self, token: str) -> Caller:
        return EVERYTHING


def test_calls_are_counted_over_all_servers(seeded: World) -> None:
    with seeded.opened(("promptads", "cache"), calls=3) as found:
        servers = found.servers(always(somebody("reader", subject="busy")))
        others = found.servers(always(somebody("reader", subject="quiet")))

        async def work(chosen: dict[str, Any], name: str, tool: str, count: int) -> list[str]:
            async with Client(chosen[name]) as client:
                return [text_of(await client.call_tool(tool, {})) for _ in range(count)]

        first = anyio.run(work, servers, "promptads", "active_campaigns", 2)
        second = anyio.run(work, servers, "cache", "cache_statistics", 3)
        third = anyio.run(work, others, "cache", "cache_statistics", 1)
    assert [text.startswith("{") for text in first] == [True, True]
    assert [text.startswith("too many calls: try again in") for text in second] == [False, True, True]
    assert third[0].startswith("{")


@pytest.mark.parametrize("gate", [LOG_GATE, LIMIT_GATE], ids=["log", "counter"])
def test_the_gates_can_do_nothing_else(gate: Any, all_open: Opened) -> None:
    target = all_open.entered.targets[gate]
    assert gate in all_open.entered.own, "a login of its own"
    if gate is LOG_GATE:
        with psycopg.connect(target.url, autocommit=True) as link:
            for statement in (
                "SELECT * FROM ai_log", "DELETE FROM ai_log", "SELECT * FROM client", "SELECT * FROM identity",
                "SELECT * FROM sso_session", "CREATE TABLE x (a int)", "SET ROLE promptsales_admin",
            ):  # fmt: skip
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    link.execute(statement)
        return
    import redis

    client = redis.Redis.from_url(target.url)
    for command in (
        ("GET", "plan:1:price"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("EVAL", "return 1", 0),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)
    client.close()


def test_every_database_is_entered_by_a_login_of_its_own(all_open: Opened) -> None:
    own = set(all_open.entered.own)
    lacking = [one for one in all_open.entered.targets if one not in own]
    engines = {all_open.entered.targets[one].engine for one in lacking}
    assert engines <= {"mongodb"}, "the stand-in of MongoDB has no users"
    assert len(all_open.entered.notes) == len(lacking)


def test_nothing_secret_is_in_the_log(all_open: Opened, seeded: World) -> None:
    known = secrets_of(all_open, seeded)
    link = seeded.link("promptsales")
    rows = link.execute("SELECT to_jsonb(ai_log)::text FROM ai_log").fetchall()
    assert rows
    for (text,) in rows:
        assert not [secret for secret in known if secret in text]


Work = Callable[[Client], Any]


def test_an_answer_s_hash_can_be_recomputed(all_open: Opened, seeded: World) -> None:
    import hashlib

    async def work() -> dict[str, Any]:
        async with Client(all_open.servers(always(EVERYTHING))["promptads"]) as client:
            result = await client.call_tool("campaign", {"campaign_id": 1})
            return result.model_dump(by_alias=True, mode="json", exclude_none=True)

    result = anyio.run(work)
    body = {key: result[key] for key in ("content", "structuredContent")}
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    link = seeded.link("promptsales")
    (kept,) = link.execute("SELECT answer_sha256 FROM ai_log ORDER BY number DESC LIMIT 1").fetchone()
    assert bytes(kept) == hashlib.sha256(text.encode()).digest()
