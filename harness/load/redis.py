"""A user's connection to Redis under gevent: redis-py, whose sockets Locust makes cooperative. Cache-aside, the limiter."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Callable
from typing import Any, TypeVar

from harness.answers import ErrorKind, ErrorRecord
from harness.engines.redis_wire import error_record
from harness.errors import DataError, DriverMissing
from harness.load.policy import Refused
from harness.promptsales.cache import Cache, Decision, Key, Keys, RateLimiter

T = TypeVar("T")

_SECONDS = 10


class RedisClient:
    """One connection, for one greenlet at a time. Every method raises :class:`Refused` if the server refuses or is gone."""

    def __init__(self, url: str, name: str) -> None:
        try:
            self._redis = importlib.import_module("redis")
        except ImportError as error:
            raise DriverMissing("Redis needs the package redis: pip install redis") from error
        never = importlib.import_module("redis.retry").Retry(importlib.import_module("redis.backoff").NoBackoff(), 0)
        self._errors = (self._redis.RedisError, OSError)
        self.client = self._redis.Redis.from_url(
            url,
            client_name=re.sub(r"[^!-~]", "_", name),
            socket_connect_timeout=_SECONDS,
            decode_responses=True,
            retry=never,  # a request that was sent twice would be counted once
            max_connections=2,
        )
        self.cache = Cache(self.client)
        self.call("PING")

    @property
    def keys(self) -> Keys:
        """The conventions that keys follow."""
        return self.cache.keys

    def call(self, *words: Any) -> Any:
        """Send one command, give its reply."""
        return self._told(lambda: self.client.execute_command(*words))

    def get(self, key: Key) -> str | None:
        """The value of a key, None if there is none."""
        return self._told(lambda: self.cache.get(key))

    def fetch(self, key: Key, load: Callable[[], str]) -> str:
        """Cache-aside: the value; where there is none, one of all who ask loads it, and the others wait for it."""
        return self._told(lambda: self.cache.fetch(key, load, jitter=0.1))

    def invalidate(self, key: Key) -> None:
        """Take a value out, and tell those who keep copies."""
        self._told(lambda: self.cache.invalidate(key))

    def hit(self, limiter: RateLimiter, subject: str | int) -> Decision:
        """Ask the rate limiter; a request that it does not let through is no refusal of the server's."""
        return self._told(lambda: limiter.hit(subject))

    def reset(self) -> None:
        """A lost connection is made anew."""
        with contextlib.suppress(*self._errors):
            self.client.connection_pool.disconnect()

    def close(self) -> None:
        """Disconnect; never raises."""
        with contextlib.suppress(Exception):
            self.client.close()
            self.client.connection_pool.disconnect()

    def _told(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except DataError as error:  # the cache's own word for what the driver raised
            cause = error.__cause__
            raise Refused(self._record(cause if isinstance(cause, Exception) else error)) from None
        except self._errors as error:
            raise Refused(self._record(error)) from None

    def _record(self, error: Exception) -> ErrorRecord:
        if isinstance(error, self._redis.WatchError):
            return ErrorRecord(ErrorKind.conflict, "EXEC", str(error))
        if isinstance(error, self._redis.ConnectionError | self._redis.TimeoutError | OSError):
            return ErrorRecord(ErrorKind.connection, type(error).__name__, str(error))
        return error_record(error)
