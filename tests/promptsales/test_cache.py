"""The cache under many clients at once: never one request too many, one loader, nothing stale after an invalidation."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import redis
from polling import eventually

from fixtures.databases import Database
from harness.errors import DataError
from harness.promptsales.cache import Cache, Invalidations, InvalidationsLost, RateLimiter, conventions
from harness.promptsales.cache_server import asking, call

CLIENTS = 50
PRICE = conventions().key("plan_price", plan=7)


@pytest.fixture
def server(cache: Database) -> Any:
    return cache.connect()


@contextmanager
def together(cache: Database, many: int) -> Iterator[Callable[[Callable[[Any, int], Any]], list[Any]]]:
    """Run a function in ``many`` threads, each with a connection of its own that is open before all begin at once."""
    with ExitStack() as stack:
        clients = [redis.Redis.from_url(cache.url, decode_responses=True) for _ in range(many)]
        for client in clients:
            stack.callback(client.close)
            client.ping()
        threads = stack.enter_context(ThreadPoolExecutor(many))

        def run(work: Callable[[Any, int], Any]) -> list[Any]:
            barrier = threading.Barrier(many)

            def begin(number: int) -> Any:
                barrier.wait(30)
                return work(clients[number], number)

            return [one.result(60) for one in [threads.submit(begin, number) for number in range(many)]]

        yield run


# The limiter


@pytest.mark.parametrize("limit", [1, 20, 137])
def test_fifty_clients_never_get_one_request_too_many(cache: Database, limit: int) -> None:
    with together(cache, CLIENTS) as run:
        for attempt in range(5):
            decisions = run(
                lambda client, _, subject=f"round-{attempt}": [
                    RateLimiter(client, "api", limit, 60).hit(subject) for _ in range(4)
                ]
            )
            flat = list(itertools.chain.from_iterable(decisions))
            allowed = [one for one in flat if one.allowed]
            assert len(allowed) == limit
            assert sorted(one.remaining for one in allowed) == list(range(limit))  # each place given once
            assert all(0 < one.retry_after_ms <= 60_000 for one in flat if not one.allowed)


def test_in_no_window_is_there_one_too_many(cache: Database, server: Any) -> None:
    """Over several windows, by the times that the server itself wrote down."""
    limit, window_ms, windows = 20, 60, 5
    enough = threading.Event()
    times: set[str] = set()

    def hammer(client: Any, _: int) -> None:
        while not enough.is_set():
            pipeline = client.pipeline()  # MULTI: nobody comes between the two
            pipeline.fcall("rate_limit", 1, "ratelimit:api:x", limit, window_ms)
            pipeline.zrange("ratelimit:api:x", -1, -1)
            (allowed, _, _), newest = pipeline.execute()
            if allowed:
                times.update(newest)
                if len(times) >= windows * limit:
                    enough.set()

    with together(cache, CLIENTS) as run:
        run(hammer)
    stamps = sorted(int(one.split("-")[0]) for one in times)
    assert len(stamps) >= windows * limit
    for first, beyond in zip(stamps, stamps[limit:], strict=False):
        assert beyond - first >= window_ms * 1000


def test_after_the_window_it_lets_again_and_the_refused_did_not_count(server: Any) -> None:
    limiter = RateLimiter(server, "api", 3, 0.1)
    assert [limiter.hit("a").allowed for _ in range(3)] == [True, True, True]
    for _ in range(50):
        limiter.hit("a")
    assert server.zcard("ratelimit:api:a") <= 3
    assert eventually(lambda: limiter.hit("a").allowed, "the window passes while others are refused")


def test_subjects_and_scopes_do_not_share(server: Any) -> None:
    one, other = RateLimiter(server, "api", 1, 60), RateLimiter(server, "search", 1, 60)
    assert [one.hit("a").allowed, one.hit("b").allowed, other.hit("a").allowed] == [True, True, True]
    assert [one.hit("a").allowed, one.hit(7).allowed, one.hit(7).allowed] == [False, True, False]


@pytest.mark.parametrize(
    ("limit", "seconds", "why"), [(0, 1, "the limit must"), (1, 0, "the window"), (5, 0.0001, "window")]
)
def test_a_limiter_of_no_sense_is_refused(server: Any, limit: int, seconds: float, why: str) -> None:
    with pytest.raises(DataError, match=why):
        RateLimiter(server, "api", limit, seconds).hit("a")


@pytest.mark.parametrize("subject", ["a:b", "*", "", "x\r\nFLUSHALL", "a b"])
def test_a_subject_cannot_reach_another_key(server: Any, subject: str) -> None:
    with pytest.raises(DataError, match="cannot be"):
        RateLimiter(server, "api", 1, 1).hit(subject)
    assert server.keys("ratelimit*") == []


# Values


def test_a_value_lives_as_long_as_its_convention_says(server: Any) -> None:
    cache = Cache(server)
    assert cache.get(PRICE) is None
    cache.put(PRICE, "100")
    assert cache.get(PRICE) == "100"
    assert 3_590_000 < server.pttl("plan:7:price") <= 3_600_000
    server.pexpire("plan:7:price", 20)
    eventually(lambda: cache.get(PRICE) is None, "it expires")
    likes = cache.keys.key("content_likes", content=1)
    cache.put(likes, "5")
    assert server.pttl(likes.text) == -1


def test_jitter_shortens_by_chance_within_its_bounds(server: Any) -> None:
    for thrown, most in ((0.0, 3_600_000), (0.5, 3_240_000), (0.999, 2_880_720)):
        Cache(server, dice=lambda thrown=thrown: thrown).put(PRICE, "1", jitter=0.2)
        assert most - 10_000 < server.pttl("plan:7:price") <= most
    spread = set()
    for plan in range(1, 60):
        key = conventions().key("plan_price", plan=plan)
        Cache(server).put(key, "1", jitter=0.5)
        spread.add(server.pttl(key.text) // 60_000)
        assert 1_790_000 < server.pttl(key.text) <= 3_600_000
    assert len(spread) > 10
    for jitter in (-0.1, 1, 7):
        with pytest.raises(DataError, match="jitter"):
            Cache(server).put(PRICE, "1", jitter=jitter)


def test_only_text_and_only_where_text_belongs(server: Any) -> None:
    with pytest.raises(DataError, match="must be text, not int"):
        Cache(server).put(PRICE, 100)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="holds a hash"):
        Cache(server).put(conventions().key("session", token="0a" * 32), "x")
    with pytest.raises(DataError, match="must be text, not NoneType"):
        Cache(server).fetch(PRICE, lambda: None)  # type: ignore[arg-type, return-value]
    assert server.keys("plan*") == server.keys("lease:*") == []


# Cache-aside


def test_of_thirty_that_miss_at_once_one_loads(cache: Database) -> None:
    with together(cache, 30) as run:
        for attempt in range(5):
            key = conventions().key("plan_price", plan=attempt + 1)
            loads = itertools.count(1)

            def fetch(client: Any, _: int, key: Any = key, loads: Any = loads) -> str:
                return Cache(client).fetch(key, lambda: f"loaded {next(loads)}", wait=30)

            assert run(fetch) == ["loaded 1"] * 30


def test_the_others_wait_for_a_slow_loader_and_are_woken(cache: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.promptsales.cache._BLOCK_MS", 60_000)  # none of them looks again by itself
    loads: list[int] = []
    go = threading.Event()
    watcher = cache.connect()

    def fetch(client: Any, number: int) -> str:
        def load() -> str:
            loads.append(number)
            assert go.wait(30)
            return "slowly"

        return Cache(client).fetch(PRICE, load, wait=30)

    def release() -> None:
        try:
            eventually(lambda: watcher.info("clients")["blocked_clients"] >= 9, "the others wait in the server")
        finally:
            go.set()

    with together(cache, 10) as run, ThreadPoolExecutor(1) as aside:
        released: Future[None] = aside.submit(release)
        assert run(fetch) == ["slowly"] * 10
        released.result(30)
    assert len(loads) == 1


def test_when_a_loader_fails_its_caller_knows_and_the_next_loads(cache: Database) -> None:
    failed = itertools.count()

    def load() -> str:
        if next(failed) < 3:
            raise LookupError("no such plan yet")
        return "found"

    def fetch(client: Any, _: int) -> str:
        try:
            return Cache(client).fetch(PRICE, load, wait=30)
        except LookupError as error:
            return str(error)

    with together(cache, 10) as run:
        answers = run(fetch)
    assert sorted(answers) == ["found"] * 7 + ["no such plan yet"] * 3
    assert next(failed) == 4


def test_a_loader_that_died_is_waited_for_no_longer_than_its_lease(server: Any) -> None:
    lease = conventions().key("lease", key=PRICE)
    server.set(lease.text, "0f" * 16, px=150)  # and it will never be heard of again
    assert Cache(server).fetch(PRICE, lambda: "by the next", wait=30) == "by the next"
    assert server.get("plan:7:price") == "by the next"


def test_who_has_waited_long_enough_loads_for_itself_and_fills_nothing(server: Any) -> None:
    lease = conventions().key("lease", key=PRICE)
    server.set(lease.text, "0f" * 16, px=60_000)
    assert Cache(server).fetch(PRICE, lambda: "mine", wait=0.05) == "mine"
    assert server.get("plan:7:price") is None
    assert server.get(lease.text) == "0f" * 16


def test_a_loader_slower_than_its_lease_does_not_overwrite_the_next_one(server: Any) -> None:
    cache = Cache(server)

    def slow() -> str:
        server.delete(conventions().key("lease", key=PRICE).text)  # as if its time were up
        assert cache.fetch(PRICE, lambda: "newer") == "newer"
        return "older"

    assert cache.fetch(PRICE, slow) == "older"
    assert cache.get(PRICE) == "newer"


def test_what_was_read_before_an_invalidation_is_not_filled_in_after_it(server: Any) -> None:
    cache = Cache(server)

    def load() -> str:
        cache.invalidate(PRICE)  # the price changes just after it was read
        return "old price"

    assert cache.fetch(PRICE, load) == "old price"
    assert cache.get(PRICE) is None
    assert cache.fetch(PRICE, lambda: "new price") == "new price"
    assert cache.get(PRICE) == "new price"


def test_a_cached_value_is_not_loaded(server: Any) -> None:
    cache = Cache(server)
    cache.put(PRICE, "100")

    def never() -> str:
        raise AssertionError("it is cached")

    assert cache.fetch(PRICE, never) == "100"
    assert server.keys("lease*") == []


def test_a_client_that_answers_in_bytes_will_do(cache: Database) -> None:
    client = cache.connect(decode_responses=False)
    one = Cache(client)
    reader = Invalidations(client)
    assert one.fetch(PRICE, lambda: "año") == one.get(PRICE) == "año"
    entry = one.invalidate(PRICE)
    assert [(it.id, it.key) for it in reader.read()] == [(entry, "plan:7:price")]
    assert RateLimiter(client, "api", 1, 60).hit("a").allowed


# Invalidations


def contents_of(reader: Invalidations) -> list[str]:
    return [one.key for one in reader.read()]


def test_invalidations_come_in_order_and_a_reader_goes_on_where_it_was(server: Any) -> None:
    cache, reader = Cache(server), Invalidations(server)
    assert reader.read() == []
    ids = [cache.invalidate(cache.keys.key("content", content=number)) for number in (1, 2, 3, 2)]
    first = reader.read(count=2)
    assert [(one.id, one.key) for one in first] == [(ids[0], "content:1"), (ids[1], "content:2")]
    other = Invalidations(server, reader.position)
    assert contents_of(other) == contents_of(reader) == ["content:3", "content:2"]
    assert contents_of(reader) == []
    cache.invalidate(PRICE)
    assert contents_of(reader) == ["plan:7:price"]
    assert len(Invalidations(server).read()) == 5


def test_an_invalidation_deletes_the_value(server: Any) -> None:
    cache = Cache(server)
    cache.put(PRICE, "100")
    cache.invalidate(PRICE)
    assert cache.get(PRICE) is None
    cache.invalidate(PRICE)  # what is not there can be invalidated as well: others may have copies
    assert len(Invalidations(server).read()) == 2


def test_a_reader_from_now_does_not_see_the_past(server: Any) -> None:
    cache = Cache(server)
    assert contents_of(Invalidations.from_now(server)) == []
    cache.invalidate(PRICE)
    reader = Invalidations.from_now(server)
    cache.invalidate(cache.keys.key("content", content=1))
    assert contents_of(reader) == ["content:1"]


def test_a_reader_waits_for_the_next_one(cache: Database) -> None:
    reader = Invalidations.from_now(cache.connect())
    with ThreadPoolExecutor(1) as aside:
        waiting = aside.submit(reader.read, 100, 30_000)
        writer = cache.connect()
        eventually(lambda: writer.info("clients")["blocked_clients"] >= 1, "it waits in the server")
        Cache(writer).invalidate(PRICE)
        assert [one.key for one in waiting.result(30)] == ["plan:7:price"]


def test_following_stops_anywhere_and_loses_nothing(server: Any) -> None:
    cache, reader = Cache(server), Invalidations(server)
    for number in range(1, 7):
        cache.invalidate(cache.keys.key("content", content=number))
    seen = [one.key for one in itertools.islice(reader.follow(), 2)]
    seen += [one.key for one in itertools.islice(Invalidations(server, reader.position).follow(), 4)]
    assert seen == [f"content:{number}" for number in range(1, 7)]


def milliseconds(server: Any) -> int:
    """The server's clock, as ids of streams have it."""
    seconds, microseconds = server.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


@pytest.mark.parametrize("how", ["trimmed", "one is gone", "begun anew"])
def test_a_reader_that_was_too_slow_is_told(server: Any, how: str) -> None:
    cache, reader = Cache(server), Invalidations(server)
    cache.invalidate(PRICE)
    reader.read()
    ids = [cache.invalidate(cache.keys.key("content", content=number)) for number in range(1, 6)]
    if how == "trimmed":
        server.xtrim("invalidation", maxlen=3, approximate=False)
    elif how == "one is gone":
        server.xdel("invalidation", ids[2])
    else:
        server.delete("invalidation")
        # A stream that begins anew within the reader's millisecond would begin with the id that it has read.
        eventually(lambda: milliseconds(server) > int(reader.position.split("-")[0]))
        cache.invalidate(PRICE)
    position = reader.position
    with pytest.raises(InvalidationsLost, match="drop all copies and start anew"):
        reader.read()
    assert reader.position == position
    again = Invalidations.from_now(server)
    cache.invalidate(PRICE)
    assert contents_of(again) == ["plan:7:price"]


def test_entries_up_to_the_last_read_may_be_trimmed(server: Any) -> None:
    cache, reader = Cache(server), Invalidations(server)
    for _ in range(3):
        cache.invalidate(PRICE)
    reader.read()
    server.xtrim("invalidation", maxlen=0, approximate=False)
    assert reader.read() == []


@pytest.mark.parametrize("position", ["", "$", "now", "1-2-3", "-1", "1-", "٣"])
def test_a_position_is_an_id(server: Any, position: str) -> None:
    with pytest.raises(DataError, match="is no position"):
        Invalidations(server, position)


# What goes wrong


def test_a_missing_library_is_said_and_what_to_do(server: Any) -> None:
    with pytest.raises(DataError, match=r"load schemas/cache/redis/\*\.lua with FUNCTION LOAD REPLACE"):
        call(server, "rate_limit_of_tomorrow", [PRICE])


def test_a_server_without_functions_is_said(server: Any) -> None:
    with pytest.raises(DataError, match="too old for the cache: Redis 7 or Valkey"), asking():
        server.execute_command("FCALL_OF_REDIS_7", "rate_limit")


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: Cache(client).get(PRICE),
        lambda client: Cache(client).put(PRICE, "1"),
        lambda client: Cache(client).fetch(PRICE, lambda: "1"),
        lambda client: Cache(client).invalidate(PRICE),
        lambda client: RateLimiter(client, "api", 1, 1).hit("a"),
        lambda client: Invalidations(client).read(),
        lambda client: Invalidations.from_now(client),
    ],
)
def test_a_server_that_is_not_there_is_said_without_its_password(ask: Callable[[Any], Any]) -> None:
    with redis.Redis.from_url("redis://:s3cret@127.0.0.1:1/0", retry=None) as client:
        with pytest.raises(DataError, match="the cache cannot be reached") as refused:
            ask(client)
        assert "s3cret" not in str(refused.value)


def test_a_value_of_another_type_is_said(server: Any) -> None:
    server.sadd("plan:7:price", "x")
    with pytest.raises(DataError, match="the cache refuses: WRONGTYPE"):
        Cache(server).get(PRICE)
