"""What is read of the cache's server for its MCP server: by commands that change nothing, each within a few seconds.

Raises SourceError, in words that name neither host nor login nor what the server said. Manual pages followed: SCAN (its
guarantees), PEXPIRETIME, ZRANGEBYSCORE, XREVRANGE, INFO.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.errors import SourceError

KEPT_BYTES = 16_384
"""Of a value, at most."""

_SECONDS = 3.0
_CONNECTIONS = 8
_NEWEST = 10
_STEP = 500  # keys that one SCAN goes through, about
_STEPS = 100  # of one call


@dataclass(frozen=True, slots=True)
class Seen:
    """What is under a key; ``kind`` None: nothing. ``ttl`` in seconds, None: for ever."""

    kind: str | None = None
    ttl: float | None = None
    size: int | None = None
    value: str | None = None
    cut: bool = False
    newest: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Window:
    """The limiter's window: requests in it, its length and the time until the next may go, in microseconds."""

    count: int
    window: int | None
    wait: int


class Reading:
    """Connections to the cache, at most eight. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: Any = None
        self._one_at_a_time = threading.Lock()

    def __repr__(self) -> str:
        return "<reading of the cache>"

    def close(self) -> None:
        """Disconnect; never raises."""
        with self._one_at_a_time:
            made, self._made = self._made, None
        if made is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                made.close()
                made.connection_pool.disconnect()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Any]:
        try:
            yield self._client()
        except redis.exceptions.MaxConnectionsError:
            raise SourceError("the cache is busy: try again later") from None
        except redis.TimeoutError:
            raise SourceError("the cache does not answer in time: try again later") from None
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError):
            raise SourceError(
                "the cache does not let this server in: whoever runs it has to look at its login"
            ) from None
        except redis.ConnectionError as error:
            if "No connection available" in str(error):  # the pool's own
                raise SourceError("the cache is busy: try again later") from None
            raise SourceError("the cache does not answer: try again later") from None
        except (redis.RedisError, OSError):
            raise SourceError("the cache does not answer as it should: try again later") from None

    def _client(self) -> Any:
        with self._one_at_a_time:
            if self._made is None:
                try:
                    pool = redis.BlockingConnectionPool.from_url(
                        self._url,
                        max_connections=_CONNECTIONS,
                        timeout=_SECONDS,
                        client_name="promptsales-mcp",
                        decode_responses=True,
                        encoding_errors="replace",
                        socket_connect_timeout=_SECONDS,
                        socket_timeout=_SECONDS,
                        retry=Retry(NoBackoff(), 1, (redis.ConnectionError,)),  # it may have been lost long ago
                    )
                except ValueError:
                    raise SourceError("the cache's URL is none: whoever runs this server has to mend it") from None
                self._made = redis.Redis(connection_pool=pool)
            return self._made

    def look(self, key: str, kind: str | None) -> Seen:
        """What is under a key. ``kind``: its type by convention; None: neither value nor size is asked for."""
        with self._asking() as link:
            there, left = _all(link, lambda ask: ask.type(key).pttl(key))
            if there == "none" or left == -2:
                return Seen()
            ttl = None if left < 0 else left / 1000
            if kind is None or there != kind:
                return Seen(there, ttl)
            if there == "string":
                size, raw = _all(link, lambda ask: ask.strlen(key).getrange(key, 0, KEPT_BYTES - 1))
                cut = size > KEPT_BYTES
                # A character that was cut through, and what is no text, are shown as U+FFFD.
                return Seen(there, ttl, size, raw.rstrip("\ufffd") if cut else raw, cut)
            if there == "zset":
                return Seen(there, ttl, int(link.zcard(key)))
            if there != "stream":
                return Seen(there, ttl)
            size, entries = _all(link, lambda ask: ask.xlen(key).xrevrange(key, count=_NEWEST))
            newest = [{"entry": str(entry), **_short(fields)} for entry, fields in entries]
            return Seen(there, ttl, size, newest=newest)

    def lifetimes(self, keys: Sequence[str]) -> list[tuple[str, float | None]]:
        """Each of these keys that is still there, and its seconds to live."""
        if not keys:
            return []
        with self._asking() as link, link.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.pttl(key)
            found = zip(keys, pipeline.execute(), strict=True)
            return [(key, None if left < 0 else left / 1000) for key, left in found if left != -2]

    def scan(
        self, glob: str, fits: Callable[[str], bool], start: int, last: str, limit: int
    ) -> tuple[list[str], tuple[int, str] | None]:
        """At most ``limit`` keys, and from where to go on: SCAN's cursor and a key, behind which to begin there.

        A page ends between two answers of SCAN, because what one of them has is not the same the next time. Only where the
        least that it gives is more than a page is that cut, in the order of its keys.
        """
        found: list[str] = []
        step = 1 if last else _STEP  # a page was cut in the least that SCAN gives
        with self._asking() as link:
            for _ in range(_STEPS):
                onwards, brought = link.scan(start, match=glob, count=step)
                batch = sorted({key for key in brought if key > last and fits(key)} - set(found))
                if len(batch) > limit - len(found) and step > 1:
                    step = max(1, step // 8)
                    continue
                if len(batch) > limit - len(found):
                    return (found, (start, last)) if found else (batch[:limit], (start, batch[limit - 1]))
                found += batch
                if last:
                    step = _STEP
                start, last = int(onwards), ""
                if start == 0:
                    return found, None
                if len(found) == limit:
                    break
        return found, (start, "")

    def window(self, key: str, limit: int | None, window: int | None) -> Window:
        """The state of a limiter's key; ``window`` in microseconds, None: as whoever was let through last had it."""
        with self._asking() as link:
            time, ends, newest = _all(
                link, lambda ask: ask.time().pexpiretime(key).zrange(key, -1, -1, withscores=True)
            )
            if not newest:
                return Window(0, window, 0)
            now = int(time[0]) * 1_000_000 + int(time[1])
            if window is None:
                # It lets its key expire a millisecond after the window of the last request.
                window = max(1, int(ends) - 1 - _score(newest[0]) // 1000) * 1000 if ends > 0 else None
            if window is None:
                return Window(int(link.zcard(key)), None, 0)
            begin = f"({now - window}"
            count = int(link.zcount(key, begin, "+inf"))
            wait = 0
            if limit is not None and count >= limit:
                leaving = link.zrangebyscore(key, begin, "+inf", start=count - limit, num=1, withscores=True)
                wait = max(1, -(-(_score(leaving[0]) + window - now) // 1000)) * 1000 if leaving else 0
            return Window(count, window, wait)

    def statistics(self) -> dict[str, Any]:
        """INFO, and how many keys there are: the fields of ``CacheStatistics``."""
        with self._asking() as link:
            said = link.info("everything")
            keys = int(link.dbsize())
        hits, misses = int(said.get("keyspace_hits", 0)), int(said.get("keyspace_misses", 0))
        return {
            "product": "Valkey" if "valkey_version" in said else "Redis",
            "version": str(said.get("valkey_version") or said.get("redis_version") or ""),
            "up_seconds": int(said.get("uptime_in_seconds", 0)),
            "clients": int(said.get("connected_clients", 0)),
            "keys": keys,
            "hits": hits,
            "misses": misses,
            "hit_ratio": round(hits / (hits + misses), 4) if hits + misses else None,
            "expired_keys": int(said.get("expired_keys", 0)),
            "evicted_keys": int(said.get("evicted_keys", 0)),
            "used_memory_bytes": int(said.get("used_memory", 0)),
            "max_memory_bytes": int(said.get("maxmemory", 0)) or None,
            "eviction_policy": str(said.get("maxmemory_policy", "")),
            "commands_per_second": float(said.get("instantaneous_ops_per_sec", 0)),
        }

    def invalidations(self, before: tuple[int, int] | None, count: int) -> list[tuple[tuple[int, int], str]]:
        """The newest entries of the stream, or those before one: place (milliseconds, number) and key."""
        newest = "+" if before is None else f"({before[0]}-{before[1]}"
        with self._asking() as link:
            entries = link.xrevrange("invalidation", max=newest, min="-", count=count)
        found = []
        for entry, fields in entries:
            milliseconds, _, number = str(entry).partition("-")
            found.append(((int(milliseconds), int(number)), str(fields.get("key", ""))))
        return found


def _all(link: Any, ask: Callable[[Any], Any]) -> list[Any]:
    """The answers of several commands, in one round trip."""
    with link.pipeline(transaction=False) as pipeline:
        ask(pipeline)
        return list(pipeline.execute())


def _score(pair: Sequence[Any]) -> int:
    return int(float(pair[1]))


def _short(fields: Any) -> dict[str, str]:
    """Fields of an entry, as long as they may be shown."""
    return {str(name)[:60]: str(value)[:300] for name, value in list(dict(fields).items())[:10]}
