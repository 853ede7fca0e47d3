"""Logins on Redis and Valkey: rights of one group, gone afterwards, leftovers swept, made again when forgotten."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import redis
from login_makers import killed_maker
from polling import eventually
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.errors import DataError, LoginRefused, ServerError, ServerUnavailable
from harness.promptsales.cache import RateLimiter
from harness.promptsales.cache_keys import conventions
from harness.servers import valkey
from harness.servers.base import Target
from harness.servers.logins import LoginFor, logins
from harness.servers.logins_redis import FILE, RedisLogin, _groups, redis_login, rules
from harness.servers.roles import with_login

pytestmark = pytest.mark.mcp

GROUP, GATE = "cache_mcp", "cache_mcp_gate"
SESSION = f"session:{'ab' * 32}"


def name() -> str:
    return f"psh_mcp_{secrets.token_hex(6)}"


def client(url: str, **options: Any) -> Any:
    return redis.Redis.from_url(
        url, decode_responses=True, **({"retry": Retry(NoBackoff(), 0), "socket_timeout": 5} | options)
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the module's own: it is started anew, and its users are counted."""
    pids: list[int] = []
    try:
        made = valkey.start(tmp_path_factory.mktemp("valkey"), pids.append)
    except ServerUnavailable as error:
        pytest.skip(str(error))
    with client(made) as link:
        for library in ("10_limiter.lua", "20_cache_aside.lua"):
            link.function_load((FILE.parent / library).read_text(), replace=True)
        link.set("plan:7:price", "100")
        link.hset(SESSION, mapping={"identity": "1"})
        link.set("lease:plan:7:price", "token")
        link.xadd("invalidation", {"key": "plan:7:price", "after": ""})
    yield made
    with contextlib.suppress(ProcessLookupError):
        os.kill(pids[-1], signal.SIGKILL)


@pytest.fixture
def admin(url: str) -> Iterator[Any]:
    with client(url) as link:
        yield link


def refused(link: Any, *words: Any) -> bool:
    """Whether the server says that this user may not do it, and not something else."""
    try:
        link.execute_command(*words)
    except redis.exceptions.NoPermissionError:
        return True
    return False


def test_a_login_reads_what_its_group_may_and_is_gone_afterwards(url: str, admin: Any) -> None:
    before = set(admin.acl_users())
    login = name()
    with redis_login(url, login, GROUP) as own:
        assert set(admin.acl_users()) - before == {login}
        parts = urlsplit(own)
        assert parts.username == login
        assert urlsplit(url).password not in own
        with client(own) as link:
            assert link.getrange("plan:7:price", 0, 10) == "100"
            assert link.exists(SESSION) == 1
            assert link.type(SESSION) == "hash"
            assert link.pttl("lease:plan:7:price") == -1
            assert link.xlen("invalidation") == 1
            assert link.info("memory")["used_memory"] > 0
            assert link.scan(0)[1]
    assert set(admin.acl_users()) == before
    with pytest.raises(redis.RedisError):  # it was put out, and does not get in again
        link.ping()


FORBIDDEN: list[tuple[Any, ...]] = [
    ("SET", "plan:7:price", "1"),
    ("DEL", "plan:7:price"),
    ("UNLINK", "plan:7:price"),
    ("EXPIRE", "plan:7:price", 1),
    ("APPEND", "plan:7:price", "1"),
    ("XADD", "invalidation", "*", "key", "x"),
    ("ZADD", "ratelimit:a:b", 1, "x"),
    ("ZREMRANGEBYSCORE", "ratelimit:a:b", "-inf", "+inf"),
    ("RENAME", "plan:7:price", "plan:8:price"),
    ("COPY", "plan:7:price", "plan:8:price"),
    ("RESTORE", "plan:9:price", 0, "x"),
    ("HGETALL", SESSION),
    ("HGET", SESSION, "identity"),
    ("GETRANGE", SESSION, 0, -1),
    ("STRLEN", SESSION),
    ("DUMP", SESSION),
    ("DUMP", "plan:7:price"),
    ("GETRANGE", "lease:plan:7:price", 0, -1),
    ("GETRANGE", "elsewhere", 0, -1),
    ("EXISTS", "elsewhere"),
    ("KEYS", "*"),
    ("RANDOMKEY",),
    ("SORT", "plan:7:price"),
    ("CONFIG", "GET", "requirepass"),
    ("CONFIG", "SET", "maxmemory", "1"),
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("EVAL", "return 1", 0),
    ("EVAL_RO", "return 1", 0),
    ("SCRIPT", "LOAD", "return 1"),
    ("FUNCTION", "LIST"),
    ("FUNCTION", "LOAD", "REPLACE", "x"),
    ("FCALL", "rate_limit", 1, "ratelimit:a:b", 3, 1000),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "default", "nopass"),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "ID", 1),
    ("MONITOR",),
    ("SHUTDOWN",),
    ("SLOWLOG", "GET"),
    ("SUBSCRIBE", "x"),
    ("PUBLISH", "x", "y"),
    ("REPLICAOF", "127.0.0.1", 1),
    ("MIGRATE", "127.0.0.1", 1, "plan:7:price", 0, 1),
    ("SWAPDB", 0, 1),
    ("MOVE", "plan:7:price", 1),
    ("MODULE", "LIST"),
    ("SELECT", 3),
]


def test_it_may_do_nothing_else(url: str, admin: Any) -> None:
    before = (admin.hgetall(SESSION), admin.dbsize(), admin.get("plan:7:price"))
    with redis_login(url, name(), GROUP) as own, client(own) as link:
        let = [words for words in FORBIDDEN if not refused(link, *words)]
    assert let == []
    assert (admin.hgetall(SESSION), admin.dbsize(), admin.get("plan:7:price")) == before


def test_the_gate_can_only_limit(url: str, admin: Any) -> None:
    admin.delete("ratelimit:mcp:ana")
    with redis_login(url, name(), GATE) as own, client(own) as link:
        limiter = RateLimiter(link, "mcp", 2, 60)
        assert [limiter.hit("ana").allowed for _ in range(3)] == [True, True, False]
        more: list[tuple[Any, ...]] = [
            ("FCALL", "rate_limit", 1, "plan:7:price", 3, 1000),
            ("FCALL", "lease_release", 2, "ratelimit:a:b", "ratelimit:a:c", "x", 1),
            ("FCALL", "invalidate", 3, "ratelimit:a:b", "ratelimit:a:c", "ratelimit:a:d", 1),
            ("FCALL_RO", "rate_limit", 1, "ratelimit:a:b", 3, 1000),
            ("DEL", "ratelimit:mcp:ana"),
            ("ZADD", "other", 1, "x"),
            ("GET", "ratelimit:mcp:ana"),
            ("SCAN", 0),
            ("INFO",),
            ("XLEN", "invalidation"),
        ]
        reading = [words for words in FORBIDDEN if words[0] not in ("FCALL", "ZADD", "ZREMRANGEBYSCORE")]
        assert [words for words in more + reading if not refused(link, *words)] == []
    assert admin.zcard("ratelimit:mcp:ana") == 2


def test_the_patterns_are_those_of_the_conventions() -> None:
    """Each convention is in one list of the group: what is secret is only looked at, the rest is read."""
    group = _groups(FILE)[GROUP]
    kinds = {"id": "[1-9]*"}
    for convention in conventions().conventions.values():
        pattern = re.sub(r"\{\w+:(\w+)\}", lambda found: kinds.get(found[1], "*"), convention.pattern)
        where = "look" if convention.name in ("session", "lease", "lease_done") else "read"
        if convention.name == "content_likes":
            continue  # its keys are among those of content:*
        assert pattern in group[where], convention.name
    read, looked = set(group["read"]), set(group["look"])
    assert not read & looked
    assert len(read) + len(looked) == len(conventions().conventions) - 1


@pytest.mark.parametrize("group", [GROUP, GATE])
def test_no_group_writes_or_is_dangerous(admin: Any, group: str) -> None:
    """By the server's own categories."""
    allowed = {command.split("|")[0] for command in _groups(FILE)[group]["commands"]}
    dangerous = set(admin.execute_command("ACL", "CAT", "dangerous"))
    assert allowed & dangerous <= {"info"}
    writing = allowed & set(admin.execute_command("ACL", "CAT", "write"))
    assert writing == (set() if group == GROUP else {"zadd", "zremrangebyscore", "pexpire"})


def test_what_a_killed_maker_left_is_swept_and_no_more(url: str, admin: Any) -> None:
    mine, other = name(), f"psh_etl_{secrets.token_hex(6)}"
    admin.execute_command("ACL", "SETUSER", other, "reset")
    admin.execute_command("ACL", "SETUSER", "psh_mcp_by_hand", "reset")
    left = name()
    with (
        killed_maker("harness.servers.logins_redis:redis_login", url, left, GROUP) as kill,
        redis_login(url, mine, GROUP),
    ):
        assert {left, mine} <= set(admin.acl_users()), "its maker is connected"
        kill()
        eventually(lambda: f"psh:{left}/admin" not in {one["name"] for one in admin.client_list()})
        with redis_login(url, name(), GROUP):
            users = set(admin.acl_users())
            assert left not in users
            assert {mine, other, "psh_mcp_by_hand"} <= users
    admin.acl_deluser(other, "psh_mcp_by_hand")


def test_a_server_that_has_forgotten_it_is_told_again(url: str, admin: Any) -> None:
    """As one that was started anew has: users live in its memory."""
    made = RedisLogin(url, name(), GROUP)
    with made as own:
        admin.acl_deluser(made._name)
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with contextlib.suppress(ServerError):
            made.keep()  # notices that the connection is lost
        made.keep()
        with client(own) as link:
            assert link.getrange("plan:7:price", 0, 10) == "100"
        assert f"psh:{made._name}/admin" in {one["name"] for one in admin.client_list()}
    made.keep()
    assert made._name not in admin.acl_users(), "it is over"


def test_a_login_that_may_make_none_is_told(url: str, admin: Any) -> None:
    admin.execute_command("ACL", "SETUSER", "plain", "reset", "on", ">not-shown", "~*", "+@all", "-acl")
    with (
        pytest.raises(LoginRefused, match="may not make users") as why,
        redis_login(with_login(url, "plain", "not-shown"), name(), GROUP),
    ):
        raise AssertionError("made")
    assert "not-shown" not in str(why.value)
    with (
        pytest.raises(LoginRefused, match="refuses the URL's login"),
        redis_login(with_login(url, "plain", "wrong"), name(), GROUP),
    ):
        raise AssertionError("made")
    admin.acl_deluser("plain")


def test_a_server_without_databases_in_its_rules(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis, and Valkey before 9.1, refuse the rule: the login is made without it."""
    said: list[tuple[Any, ...]] = []
    really = redis.Redis.execute_command

    def execute(self: Any, *words: Any, **options: Any) -> Any:
        said.append(words)
        if "db=0" in words:
            raise redis.ResponseError("Error in ACL SETUSER modifier 'db=0': Syntax error")
        return really(self, *words, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", execute)
    with redis_login(url, name(), GROUP) as own, client(own) as link:
        assert link.getrange("plan:7:price", 0, 10) == "100"
    assert sum(words[:2] == ("ACL", "SETUSER") for words in said) == 2


def test_the_password_never_travels(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[Any, ...]] = []
    really = redis.Redis.execute_command
    monkeypatch.setattr(
        redis.Redis, "execute_command", lambda self, *words, **more: said.append(words) or really(self, *words, **more)
    )
    made = RedisLogin(url, name(), GROUP)
    with made:
        assert made._password not in repr(said)
        assert made._password not in repr(made)
    assert any(words[:2] == ("ACL", "SETUSER") for words in said)


@pytest.mark.parametrize("kind", ["nobody listens", "nobody answers"])
def test_a_server_that_does_not_answer(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.servers.logins_redis._SECONDS", 0.3)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if kind == "nobody answers":
            listening.listen()
        port = listening.getsockname()[1]
        made = redis_login(f"redis://:hunter2@127.0.0.1:{port}/0", name(), GROUP)
        with pytest.raises(ServerError, match=r"^the server does not answer$") as why:
            made.__enter__()
        assert not isinstance(why.value, LoginRefused)
        made.__exit__(None, None, None)


def test_a_group_or_a_file_that_is_not_right(tmp_path: Path) -> None:
    with pytest.raises(LoginRefused, match="knows no group 'cache_mpc'"):
        rules("cache_mpc")
    for number, text in enumerate(
        ("[", "- a", "a: {commands: [get], keys: []}", "a: {commands: ['get set']}", "a: {}")
    ):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        with pytest.raises(DataError, match=r"\.yaml: "):
            rules("a", file=file)


def test_a_login_in_the_urls_query_does_not_stay() -> None:
    made = RedisLogin(f"redis://db/2?password={quote('hunter2')}&username=x&socket_timeout=3", name(), GROUP)
    assert "hunter2" not in made.url
    assert made.url.endswith("@db/2?socket_timeout=3")


def test_both_groups_by_the_one_door(url: str, admin: Any) -> None:
    """As the servers go in, and stay in when the server has forgotten them."""
    wanted = [LoginFor("cache", GROUP), LoginFor("cache", GATE)]
    before = set(admin.acl_users())
    with logins({"cache": Target("cache", "redis", url)}, wanted, "psh_mcp_", valid=None) as entered:
        assert entered.own == tuple(wanted)
        assert entered.notes == ()
        admin.acl_deluser(*(set(admin.acl_users()) - before))
        entered.keep()
        assert entered.troubles == ()
        with client(entered.targets[wanted[0]].url) as reading, client(entered.targets[wanted[1]].url) as gate:
            assert reading.getrange("plan:7:price", 0, 10) == "100"
            assert RateLimiter(gate, "door", 1, 60).hit("ana").allowed
            assert refused(reading, "ZADD", "ratelimit:door:ana", 1, "x")
    assert set(admin.acl_users()) == before
