"""The tools of the cache against a seeded Valkey, by the login of their own; every answer beside one computed here."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import redis
from polling import eventually
from stopping import stop

from fixtures.databases import Database
from harness.errors import SourceError, ToolRefused
from harness.mcp import cache_reading
from harness.mcp.cache import LOGINS, PERSONAL, SECRET, CacheTools, Name, open_toolset
from harness.promptsales.cache import Cache, RateLimiter, conventions
from harness.servers import valkey
from harness.servers.base import Target
from harness.servers.logins_redis import redis_login
from harness.sso.model import Caller

pytestmark = pytest.mark.mcp


def caller(*roles: str) -> Caller:
    return Caller("local.test", "test@example.com", frozenset(roles), "test")


READER, ANALYST, TESTER = caller("reader"), caller("analyst"), caller("tester")


def toolset(url: str) -> CacheTools:
    return open_toolset({LOGINS[0]: Target("cache", "redis", url)})


@contextlib.contextmanager
def tools_of(database: Database) -> Iterator[CacheTools]:
    """By a login with the rights of cache_mcp and no others: what works here needs no more."""
    with redis_login(database.url, f"psh_mcp_{secrets.token_hex(6)}", LOGINS[0].group) as own:
        made = toolset(own)
        yield made
        made.close()


@pytest.fixture
def tools(cache: Database) -> Iterator[CacheTools]:
    with tools_of(cache) as made:
        yield made


@pytest.fixture
def link(cache: Database) -> Any:
    return cache.connect()


def everything(tools: CacheTools, convention: str, limit: int, who: Caller = ANALYST) -> list[str]:
    """All pages, one after the other."""
    keys: list[str] = []
    cursor = None
    while True:
        page = tools.list_keys(who, convention, limit, cursor)  # type: ignore[arg-type]
        assert len(page.items) <= limit
        keys += [item.key for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return keys


def test_the_conventions_are_those_of_the_file() -> None:
    assert set(get_args(Name)) == set(conventions().conventions)
    assert SECRET | set(PERSONAL) <= set(conventions().conventions)


# -- get_key


@pytest.mark.data("sample")
def test_a_key_with_its_value_time_and_convention(tools: CacheTools, link: Any) -> None:
    link.set("content:1", '{"id": 1}', ex=600)
    found = tools.get_key(READER, "content:1")
    assert (found.value, found.type, found.there, found.size) == ('{"id": 1}', "string", True, 9)
    assert found.ttl_seconds is not None
    assert 590 < found.ttl_seconds <= 600
    assert (found.convention, found.owner, found.seconds_by_convention) == ("content", "promptcontent", 600)
    price = tools.get_key(READER, "plan:7:price")
    assert (price.value, price.ttl_seconds, price.note) == ("100", None, None)
    likes = tools.get_key(READER, "content:1:likes")
    assert (likes.convention, likes.value) == ("content_likes", "500")


def test_what_is_not_there_is_said_not_refused(tools: CacheTools) -> None:
    found = tools.get_key(READER, "plan:7:price")
    assert (found.there, found.value, found.ttl_seconds, found.size) == (False, None, None, None)


def test_a_long_value_is_cut_and_says_so(tools: CacheTools, link: Any) -> None:
    link.set("content:1", "ñ" * 10_000)
    found = tools.get_key(READER, "content:1")
    assert found.value == "ñ" * 8192
    assert found.size == 20_000
    assert found.note is not None
    assert "cut at 16384 bytes" in found.note
    link.set("content:1", "a" + "ñ" * 10_000)  # cut within a character
    assert tools.get_key(READER, "content:1").value == "a" + "ñ" * 8191


def test_bytes_that_are_no_text_are_shown_somehow(tools: CacheTools, cache: Database) -> None:
    cache.connect(decode_responses=False).set("content:1", b"\xff\xfe ok \x00")
    value = tools.get_key(READER, "content:1").value
    assert value is not None
    assert " ok " in value


@pytest.mark.parametrize("key", [f"session:{'ab' * 32}", "lease:plan:7:price", f"lease-done:{'ab' * 16}"])
def test_of_a_secret_key_only_that_it_is_there(tools: CacheTools, link: Any, key: str) -> None:
    assert not tools.get_key(ANALYST, key).there
    if key.startswith("session"):
        link.hset(key, mapping={"identity": "hunter2"})
    elif key.startswith("lease:"):
        link.set(key, "hunter2")
    else:
        link.xadd(key, {"done": "hunter2"})
    link.expire(key, 1800)
    found = tools.get_key(ANALYST, key)
    assert found.there
    assert found.ttl_seconds is not None
    assert found.note == "its value is never shown"
    assert (found.value, found.size, found.newest) == (None, None, [])
    assert "hunter2" not in found.model_dump_json()


def test_client_cards_are_for_analysts(tools: CacheTools, link: Any) -> None:
    link.set("client:7:card", '{"name": "Ana"}')
    assert tools.get_key(ANALYST, "client:7:card").value == '{"name": "Ana"}'
    for who in (READER, TESTER, caller("admin")):
        with pytest.raises(ToolRefused, match="single people: they are for analyst"):
            tools.get_key(who, "client:7:card")
        with pytest.raises(ToolRefused, match="analyst"):
            tools.list_keys(who, "client_card")


def test_a_value_of_another_type_is_not_shown(tools: CacheTools, link: Any) -> None:
    link.hset("content:1", mapping={"a": "1"})
    found = tools.get_key(READER, "content:1")
    assert (found.value, found.note) == (None, "it is a hash, against its convention")


def test_streams(tools: CacheTools, link: Any) -> None:
    for number in range(1, 13):
        link.xadd("activity", {"content": number, "kind": "view"})
    Cache(link).invalidate(conventions().key("session", token="ab" * 32))
    found = tools.get_key(READER, "activity")
    assert found.size == 12
    assert [entry["content"] for entry in found.newest] == [str(n) for n in range(12, 2, -1)]
    hidden = tools.get_key(READER, "invalidation")
    assert (hidden.size, hidden.newest) == (1, [])


@pytest.mark.parametrize(
    "key",
    [
        "*",
        "?",
        "[a-z]*",
        "plan:*:price",
        "plan:7:price\n",
        "plan:7:price ",
        " plan:7:price",
        "plan:07:price",
        "plan::price",
        "plan:7:price\r\nFLUSHALL",
        "plan:٧:price",
        "PLAN:7:PRICE",
        "session:*",
        "session:abc",
        "psh:lease",
        "lease:",
        "content:0",
        "lease:lease",
        "lease:session",
        "content:-1",
        "content:1:likes:2",
        "x" * 260,
        "\x7f",
        '{"$gt": ""}',
        "content:99999999999999999999",
        f"session:{'AB' * 32}",
    ],
)
def test_a_key_of_no_convention_is_refused(tools: CacheTools, key: str) -> None:
    with pytest.raises(ToolRefused, match="is no key of the cache's conventions") as why:
        tools.get_key(ANALYST, key)
    assert len(str(why.value)) < 700
    assert "\n" not in str(why.value)
    with pytest.raises(ToolRefused):
        tools.why_is_it_stale(READER, key)


# -- list_keys


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_paging_lists_each_key_once(tools: CacheTools, link: Any, limit: int) -> None:
    count = 150 if limit == 1 else 1200
    wanted = {f"content:{number}" for number in range(1, count + 1)}
    link.mset(dict.fromkeys(wanted, "x"))
    link.mset({f"content:{number}:likes": "1" for number in range(1, 300)})
    link.mset({f"content:{number}x": "1" for number in range(1, 300)})  # of no convention

    def once() -> bool:
        found = everything(tools, "content", limit)
        assert set(found) == wanted
        return len(found) == len(wanted)

    eventually(once, "each of them once, when the server has laid its table out anew")
    likes = everything(tools, "content_likes", 100)
    assert sorted(set(likes)) == sorted(f"content:{number}:likes" for number in range(1, 300))


def test_a_key_that_stays_is_listed_whatever_happens_meanwhile(tools: CacheTools, link: Any) -> None:
    stays = {f"content:{number}" for number in range(1, 400)}
    link.mset(dict.fromkeys(stays, "x"))
    found, cursor, number = set[str](), None, 1000
    while True:
        page = tools.list_keys(READER, "content", 20, cursor)
        found |= {item.key for item in page.items}
        cursor = page.next_cursor
        if cursor is None:
            break
        link.mset({f"content:{number + n}": "x" for n in range(50)})
        link.delete(*(f"content:{number + n}" for n in range(20)))
        number += 50
    assert stays <= found


@pytest.mark.data("tiny")
def test_the_seeded_keys(cache: Database) -> None:
    link = cache.connect()
    with tools_of(cache) as tools:
        for name in get_args(Name):
            if name not in SECRET:
                wanted = [
                    key
                    for key in link.scan_iter(count=1000)
                    if (one := conventions().find(key)) and one.convention.name == name
                ]
                assert sorted(set(everything(tools, name, 9))) == sorted(wanted), name
        assert len(everything(tools, "plan_price", 50)) > 1
        (item,) = tools.list_keys(READER, "plan_price", 1).items
        assert item.ttl_seconds is not None
        assert 0 < item.ttl_seconds <= 3600
        assert tools.get_key(READER, item.key).value == link.get(item.key)


@pytest.mark.parametrize("name", sorted(SECRET))
def test_secret_keys_are_not_listed(tools: CacheTools, name: Any) -> None:
    with pytest.raises(ToolRefused, match="are not listed"):
        tools.list_keys(ANALYST, name)


@pytest.mark.parametrize("name", ["*", "nothing", "", "content:*", "x" * 1000])
def test_an_unknown_convention_is_refused(tools: CacheTools, name: Any) -> None:
    with pytest.raises(ToolRefused, match="there is no convention"):
        tools.list_keys(ANALYST, name)


def test_a_cursor_of_something_else_is_refused(tools: CacheTools, link: Any) -> None:
    from harness.mcp.pages import cursor_of

    link.mset({f"content:{number}": "x" for number in range(1, 10)})
    cursor = tools.list_keys(READER, "content", 2).next_cursor
    assert cursor is not None
    bad = [cursor_of("list_keys of plan_price", text, "") for text in ("-1", "x", "1e3", str(2**64), "٣", "")]
    for wrong in (cursor, "x", "", "*", *bad):
        with pytest.raises(ToolRefused, match="the cursor is none that"):
            tools.list_keys(READER, "plan_price", 2, wrong)


@pytest.mark.parametrize("place", [(-5, 3), (5, -3), (0, 0)])
def test_a_place_that_no_stream_has_is_refused(tools: CacheTools, place: tuple[int, int]) -> None:
    from harness.mcp.pages import cursor_of

    with pytest.raises(ToolRefused, match="the cursor is none that recent_invalidations has given"):
        tools.recent_invalidations(READER, 2, cursor_of("recent_invalidations", *place))


# -- rate_limit_state


def test_the_state_is_what_the_limiter_decides_next(tools: CacheTools, link: Any) -> None:
    limiter = RateLimiter(link, "api", 5, 60)
    for done in range(8):
        state = tools.rate_limit_state(TESTER, "api", "ana@example.com", 5)
        assert state.requests == min(done, 5)
        assert state.remaining == max(0, 5 - done)
        assert state.window_seconds == (None if done == 0 else pytest.approx(60, abs=0.003))
        decision = limiter.hit("ana@example.com")
        assert decision.allowed == (state.retry_after_seconds == 0)
        if not decision.allowed:
            assert state.retry_after_seconds == pytest.approx(decision.retry_after_ms / 1000, abs=3)
    without = tools.rate_limit_state(TESTER, "api", "ana@example.com")
    assert (without.requests, without.remaining, without.retry_after_seconds) == (5, None, None)


def test_a_lower_limit_and_another_window(tools: CacheTools, link: Any) -> None:
    seconds, micro = link.time()
    now = seconds * 1_000_000 + micro
    ages = [50, 40, 30, 20, 10]
    link.zadd("ratelimit:api:bo", {str(age): now - age * 1_000_000 for age in ages})
    link.pexpireat("ratelimit:api:bo", (now // 1000) - 10_000 + 60_000 + 1)
    state = tools.rate_limit_state(TESTER, "api", "bo", 3)
    assert state.window_seconds == pytest.approx(60, abs=0.01)
    assert state.requests == 5
    assert state.remaining == 0
    # Three are too many: the third youngest, of 30 seconds ago, must leave the window.
    assert state.retry_after_seconds == pytest.approx(30, abs=5)
    narrow = tools.rate_limit_state(TESTER, "api", "bo", 3, 35)
    assert (narrow.requests, narrow.remaining) == (3, 0)
    assert narrow.retry_after_seconds == pytest.approx(5, abs=5)


def test_looking_changes_nothing(tools: CacheTools, link: Any) -> None:
    limiter = RateLimiter(link, "api", 3, 60)
    limiter.hit("ana")
    raw = "ratelimit:api:ana"

    def state() -> tuple[Any, ...]:
        return (link.zrange(raw, 0, -1, withscores=True), link.pexpiretime(raw), link.dbsize())

    before = state()
    for _ in range(10):
        tools.rate_limit_state(TESTER, "api", "ana", 3)
        tools.get_key(TESTER, raw)
        tools.rate_limit_state(TESTER, "api", "nobody", 3)
    assert state() == before
    assert limiter.hit("ana").remaining == 1


@pytest.mark.parametrize(
    ("scope", "subject"),
    [
        ("API", "a"),
        ("a:b", "c"),
        ("*", "*"),
        ("api", "a b"),
        ("api", "a\n"),
        ("api", ""),
        ("", "a"),
        ("api", "x" * 81),
        ("api", "ñ"),
    ],
)
def test_hostile_scopes_and_subjects_are_refused(tools: CacheTools, scope: str, subject: str) -> None:
    with pytest.raises(ToolRefused, match="cannot be"):
        tools.rate_limit_state(TESTER, scope, subject, 3)


# -- the rest


def test_statistics_are_the_servers(tools: CacheTools, link: Any) -> None:
    link.set("plan:7:price", "1")
    before = tools.cache_statistics(READER)
    link.get("plan:7:price")
    link.get("plan:8:price")
    found = tools.cache_statistics(READER)
    info = link.info()
    assert found.keys == link.dbsize()
    assert found.hits >= before.hits + 1
    assert found.misses >= before.misses + 1
    assert found.hit_ratio == pytest.approx(found.hits / (found.hits + found.misses), abs=1e-4)
    assert (found.product, found.version) == ("Valkey", info["valkey_version"])
    assert found.eviction_policy == info["maxmemory_policy"]
    text = found.model_dump_json()
    for untold in ("executable", "config_file", str(info["tcp_port"]), info["run_id"]):
        assert str(untold) not in text


def test_invalidations_newest_first_and_each_once(tools: CacheTools, link: Any) -> None:
    cache, key = Cache(link), conventions().key
    made = [key("plan_price", plan=number) for number in range(1, 11)]
    made += [key("session", token="ab" * 32), key("client_card", client=7)]
    for one in made:
        cache.invalidate(one)
    pages: list[Any] = []
    cursor = None
    while True:
        page = tools.recent_invalidations(READER, 5, cursor)
        pages += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    wanted: list[Any] = [one.text for one in reversed(made)]
    wanted[:2] = [None, None]  # a client and a session
    assert [item.key for item in pages] == wanted
    assert [item.convention for item in pages[:3]] == ["client_card", "session", "plan_price"]
    assert "ab" * 32 not in str(pages)
    assert tools.recent_invalidations(ANALYST, 1).items[0].key == "client:7:card"
    assert pages[0].at.year > 2000


def test_no_invalidations_yet(tools: CacheTools) -> None:
    assert tools.recent_invalidations(READER).items == []


def test_the_conventions_as_a_page(tools: CacheTools) -> None:
    text = tools.conventions(READER)
    for one in conventions().conventions.values():
        assert f"| {one.name} | `{one.pattern}` |" in text


def test_the_prompt_names_key_and_owner(tools: CacheTools) -> None:
    text = tools.why_is_it_stale(READER, "campaign:7:budget")
    assert '"campaign:7:budget"' in text
    assert "promptads" in text
    assert "60 seconds" in text


# -- trouble


@pytest.fixture
def server(tmp_path: Any) -> Iterator[tuple[str, int]]:
    """A server that the test may stop: its URL and its process."""
    pids: list[int] = []
    url = valkey.start(tmp_path, pids.append)
    yield url, pids[-1]
    for number in (signal.SIGCONT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[-1], number)


def asks(tools: CacheTools) -> Iterator[Any]:
    yield lambda: tools.get_key(READER, "plan:7:price")
    yield lambda: tools.list_keys(READER, "plan_price")
    yield lambda: tools.rate_limit_state(TESTER, "api", "ana", 3)
    yield lambda: tools.cache_statistics(READER)
    yield lambda: tools.recent_invalidations(READER)


def untold(text: str, url: str) -> bool:
    words = [*url.replace("redis://:", "").replace("@", " ").replace("/", " ").replace(":", " ").split(), "Errno"]
    return not any(word in text for word in words if len(word) > 1)


def test_a_server_that_is_stopped_or_killed(server: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    url, pid = server
    monkeypatch.setattr(cache_reading, "_SECONDS", 0.4)
    tools = toolset(url)
    assert not tools.get_key(READER, "plan:7:price").there
    stop(pid)
    for ask in asks(tools):
        with pytest.raises(SourceError, match="the cache does not answer in time: try again later") as why:
            ask()
        assert untold(str(why.value), url)
    os.kill(pid, signal.SIGCONT)
    for ask in asks(tools):
        ask()
    os.kill(pid, signal.SIGKILL)
    for ask in asks(tools):
        with pytest.raises(SourceError, match="the cache does not answer: try again later") as why:
            ask()
        assert untold(str(why.value), url)
        assert why.value.__cause__ is None
    tools.close()
    tools.close()


def test_a_login_that_is_refused_or_may_too_little(cache: Database, link: Any) -> None:
    from harness.servers.roles import with_login

    plain = f"test_{secrets.token_hex(4)}"
    link.execute_command(
        "ACL", "SETUSER", plain, "reset", "on", ">hunter2", "~*", "-@all", "+ping", "+hello", "+select"
    )
    for password in ("hunter2", "wrong-one"):
        tools = toolset(with_login(cache.url, plain, password))
        for ask in asks(tools):
            with pytest.raises(SourceError, match="does not let this server in") as why:
                ask()
            assert untold(str(why.value), cache.url)
            assert plain not in str(why.value)
    link.acl_deluser(plain)


def test_a_url_that_is_none() -> None:
    with pytest.raises(SourceError, match="URL is none") as why:
        toolset("redis://:hunter2@host:port/").get_key(READER, "plan:7:price")
    assert "hunter2" not in str(why.value)


def test_more_callers_than_connections(cache: Database) -> None:
    """Forty at once share eight connections."""
    from concurrent.futures import ThreadPoolExecutor

    link = cache.connect()
    link.set("plan:7:price", "100")
    before = len(link.client_list())
    with tools_of(cache) as tools, ThreadPoolExecutor(40) as pool:
        values = list(pool.map(lambda _: tools.get_key(READER, "plan:7:price").value, range(400)))
        assert len(link.client_list()) <= before + 9
    assert values == ["100"] * 400
    with pytest.raises(redis.RedisError):
        link.execute_command("nonsense")
