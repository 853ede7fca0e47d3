"""The cache's functions and conventions, as the server and the files have them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import redis
from polling import eventually

from fixtures.databases import Database
from harness.errors import DataError
from harness.promptsales.cache_keys import FILE, Convention, Key, conventions, load

FOLDER = FILE.parent
NAMES = tuple(conventions().conventions)
DIGEST = "ab" * 32
PARTS: dict[str, Any] = {
    "id": 7,
    "word": "search_api",
    "subject": "ana@example.com",
    "digest": DIGEST,
    "token": "0f" * 16,
}


@pytest.fixture
def server(cache: Database) -> Any:
    return cache.connect()


def some(convention: Convention) -> Key:
    """A key of this convention."""
    parts = {
        part: PARTS[kind] if kind != "key" else conventions().key("plan_price", plan=1)
        for part, kind in convention.parts.items()
    }
    return conventions().key(convention.name, **parts)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["rate_limit", 0, 5, 1000], "takes one key"),
        (["rate_limit", 2, "a", "b", 5, 1000], "takes one key"),
        (["rate_limit", 1, "a", 5], "takes one key"),
        (["rate_limit", 1, "a", 5, 1000, 1], "takes one key"),
        (["rate_limit", 1, "a", 0, 1000], "the limit must be a whole number"),
        (["rate_limit", 1, "a", -3, 1000], "the limit must be a whole number"),
        (["rate_limit", 1, "a", 2.5, 1000], "the limit must be a whole number"),
        (["rate_limit", 1, "a", "many", 1000], "the limit must be a whole number"),
        (["rate_limit", 1, "a", "nan", 1000], "the limit must be a whole number"),
        (["rate_limit", 1, "a", "inf", 1000], "the limit must be a whole number"),
        (["rate_limit", 1, "a", "", 1000], "the limit must be a whole number"),
        (["rate_limit", 1, "a", 1000001, 1000], "from 1 to 1000000"),
        (["rate_limit", 1, "a", 5, 0], "the window must be a whole number of milliseconds"),
        (["rate_limit", 1, "a", 5, "0.5"], "the window must be a whole number of milliseconds"),
        (["rate_limit", 1, "a", 5, 2678400001], "from 1 to 2678400000"),
        (["lease_fill", 3, "k", "l", "d", "token", "value"], "lease_fill takes"),
        (["lease_fill", 3, "k", "l", "d", "token", "value", "soon", 10], "lease_fill takes"),
        (["lease_release", 1, "l", "token", 10], "lease_release takes"),
        (["lease_release", 2, "l", "d", "token", "x"], "lease_release takes"),
        (["invalidate", 3, "k", "l", "s"], "invalidate takes"),
        (["invalidate", 3, "k", "l", "s", "few"], "invalidate takes"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_said_and_change_nothing(server: Any, words: list[Any], why: str) -> None:
    before = sorted(server.keys("*"))
    with pytest.raises(redis.ResponseError, match=why):
        server.fcall(*words)
    assert sorted(server.keys("*")) == before


def test_a_key_of_another_type_is_said(server: Any) -> None:
    server.set("ratelimit:api:1", "text")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        server.fcall("rate_limit", 1, "ratelimit:api:1", 5, 1000)
    assert server.get("ratelimit:api:1") == "text"


def test_the_limit_is_by_the_servers_clock_to_the_microsecond(server: Any) -> None:
    for left in (2, 1, 0):
        assert server.fcall("rate_limit", 1, "k", 3, 60_000) == [1, left, 0]
    allowed, left, retry = server.fcall("rate_limit", 1, "k", 3, 60_000)
    assert (allowed, left) == (0, 0)
    assert 0 < retry <= 60_000
    entries = server.zrange("k", 0, -1, withscores=True)
    assert len(entries) == 3
    assert all(re.fullmatch(r"\d{16}-\d+", member) and score == int(member.split("-")[0]) for member, score in entries)
    now, micro = server.time()
    assert all(0 <= now * 1_000_000 + micro - score < 60_000_000 for _, score in entries)


def test_several_in_one_microsecond_are_several(server: Any) -> None:
    pipeline = server.pipeline(transaction=True)  # which has one time for all of it
    for _ in range(500):
        pipeline.fcall("rate_limit", 1, "k", 400, 60_000)
    answers = pipeline.execute()
    assert sum(allowed for allowed, _, _ in answers) == 400 == server.zcard("k")


def test_a_lowered_limit_waits_until_enough_have_left(server: Any) -> None:
    for _ in range(5):
        server.fcall("rate_limit", 1, "k", 5, 60_000)
    now, micro = server.time()
    times = [now * 1_000_000 + micro - seconds * 1_000_000 for seconds in (50, 40, 30, 20, 10)]
    server.delete("k")
    server.zadd("k", {f"{time}-0": time for time in times})
    allowed, _, retry = server.fcall("rate_limit", 1, "k", 2, 60_000)
    assert allowed == 0
    assert 39_000 < retry <= 40_000  # when the fourth has left, one of two is free


def test_what_has_left_the_window_is_forgotten_and_the_key_with_it(server: Any) -> None:
    now, micro = server.time()
    old = (now - 100) * 1_000_000 + micro
    server.zadd("k", {f"{old}-0": old, f"{old}-1": old})
    assert server.fcall("rate_limit", 1, "k", 2, 60_000) == [1, 1, 0]
    assert server.zcard("k") == 1
    assert 0 < server.pttl("k") <= 60_001
    server.fcall("rate_limit", 1, "short", 2, 20)
    eventually(lambda: not server.exists("short"), "the key goes with its window")


def test_only_the_holder_of_a_lease_fills_or_releases(server: Any) -> None:
    server.set("l", "mine")
    assert server.fcall("lease_fill", 3, "k", "l", "d", "another", "value", 0, 1000) == 0
    assert (server.get("k"), server.get("l")) == (None, "mine")
    assert server.fcall("lease_release", 2, "l", "d", "another", 1000) == 0
    assert server.get("l") == "mine"
    assert server.fcall("lease_fill", 3, "k", "l", "d", "mine", "value", 5000, 1000) == 1
    assert (server.get("k"), server.get("l")) == ("value", None)
    assert 0 < server.pttl("k") <= 5000
    assert 0 < server.pttl("d") <= 1000
    assert server.fcall("lease_fill", 3, "k", "l", "d", "mine", "later", 0, 1000) == 0
    assert server.get("k") == "value"


def test_loading_the_libraries_again_does_no_harm(server: Any) -> None:
    for file in sorted(FOLDER.glob("*.lua")):
        server.function_load(file.read_text(), replace=True)
    assert server.fcall("rate_limit", 1, "k", 1, 1000)[0] == 1


@pytest.mark.data("sample")
def test_the_sample_follows_the_conventions(server: Any) -> None:
    commands = [shlex.split(line, comments=True) for line in (FOLDER / "sample.redis").read_text().splitlines()]
    keys = [words[1] for words in commands if words]
    assert "plan:7:price" in keys
    for key in keys:
        kinds = [one for one in conventions().conventions.values() if re.fullmatch(shape(one), key)]
        assert [one.type for one in kinds] == [server.type(key)]
    assert server.get("plan:7:price") == "100"


def shape(convention: Convention) -> str:
    """The pattern of a convention as a regular expression; none of those of the sample has parts with a colon."""
    return re.sub(r"\\\{\w+:\w+\\\}", r"[^:]+", re.escape(convention.pattern).replace(r"\:", ":"))


@pytest.mark.parametrize("name", NAMES)
def test_each_convention_makes_keys_that_no_other_makes(name: str) -> None:
    key = some(conventions().conventions[name])
    others = [some(one).text for one in conventions().conventions.values() if one.name != name]
    assert key.text not in others
    assert "{" not in key.text
    assert key.convention.name == name
    assert key.convention.owner in ("promptsales", "promptads", "promptcrm", "promptcontent", "cache")


@pytest.mark.parametrize(
    ("name", "parts", "why"),
    [
        ("plan_prices", {"plan": 1}, r"no key is called 'plan_prices', did you mean 'plan_price'\?"),
        ("plan_price", {}, r"needs the part 'plan'"),
        ("plan_price", {"plan": 1, "plane": 2}, r"has no part 'plane', did you mean 'plan'\?"),
        ("plan_price", {"plan": 0}, "a whole number from 1"),
        ("plan_price", {"plan": -1}, "a whole number from 1"),
        ("plan_price", {"plan": True}, "a whole number from 1"),
        ("plan_price", {"plan": 1.5}, "a whole number from 1"),
        ("plan_price", {"plan": None}, "a whole number from 1"),
        ("plan_price", {"plan": "7:price x"}, "a whole number from 1"),
        ("plan_price", {"plan": "7\r\nFLUSHALL"}, "a whole number from 1"),
        ("plan_price", {"plan": "٧"}, "a whole number from 1"),
        ("plan_price", {"plan": "7\n"}, "a whole number from 1"),
        ("ratelimit", {"scope": "api", "subject": "a:b"}, "letters, digits"),
        ("ratelimit", {"scope": "api", "subject": "*"}, "letters, digits"),
        ("ratelimit", {"scope": "api", "subject": "a{b}"}, "letters, digits"),
        ("ratelimit", {"scope": "api", "subject": ""}, "letters, digits"),
        ("ratelimit", {"scope": "api", "subject": "x" * 81}, "letters, digits"),
        ("ratelimit", {"scope": "Api", "subject": "x"}, "lower-case letters"),
        ("ratelimit", {"scope": "{scope:word}", "subject": "x"}, "lower-case letters"),
        ("session", {"token": "secret"}, "64 hexadecimal digits"),
        ("session", {"token": DIGEST.upper()}, "64 hexadecimal digits"),
        ("lease", {"key": "plan:7:price"}, "a key of these conventions"),
    ],
    ids=str,
)
def test_a_part_that_does_not_fit_is_refused(name: str, parts: dict[str, Any], why: str) -> None:
    with pytest.raises(DataError, match=why):
        conventions().key(name, **parts)


GOOD = "{pattern: 'a:{b:id}', type: string, seconds: 5, owner: cache, holds: x}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be a map"),
        ("- a", "must be a map"),
        ("a: {", "cannot be read"),
        ("a: 1", "a must have pattern, type, seconds, owner, holds"),
        (f"a: {GOOD.replace(', holds: x', '')}", "no less and no more"),
        (f"a: {GOOD.replace('holds: x', 'holds: x, ttl: 3')}", "no less and no more"),
        (f"a: {GOOD.replace('string', 'strin')}", r"'strin' is no type, did you mean 'string'\?"),
        (f"a: {GOOD.replace('5', '0')}", "seconds must be a whole number from 1, or null"),
        (f"a: {GOOD.replace('5', '1.5')}", "seconds must be a whole number from 1, or null"),
        (f"a: {GOOD.replace('b:id', 'b:idd')}", r"b is of no known kind: 'idd', did you mean 'id'\?"),
    ],
)
def test_wrong_conventions_are_said_with_their_file(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=why) as refused:
        load(file)
    assert str(file) in str(refused.value)
    file.write_text(f"a: {GOOD}")
    assert load(file).key("a", b=3).text == "a:3"
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "gone.yaml")
