"""The cache: cache-aside with leases, invalidations, and a rate limiter, on Redis 7 or later, or Valkey.

What must be one step is a function in the server: ``schemas/cache/redis/*.lua``. Sources: Redis manual,
"Functions", SET, XREAD; R. Nishtala et al., Scaling Memcache at Facebook, NSDI 2013, 3.2.1 (leases).
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import DataError
from harness.promptsales.cache_invalidations import Invalidation, Invalidations, InvalidationsLost
from harness.promptsales.cache_keys import Key, Keys, conventions
from harness.promptsales.cache_server import asking, call

if TYPE_CHECKING:
    import redis

__all__ = [
    "Cache", "Decision", "Invalidation", "Invalidations", "InvalidationsLost", "Key", "Keys", "RateLimiter", "conventions",
]  # fmt: skip

KEPT = 10_000  # invalidations, about
_BLOCK_MS = 1000  # at most, for one wait


class Cache:
    """Values by key, each for as long as its convention says. Safe to use from several threads, as its client is.

    Every method raises DataError if the server cannot be reached, is too old or lacks the functions of ``schemas/cache``.
    """

    def __init__(
        self, client: redis.Redis, keys: Keys | None = None, *, dice: Callable[[], float] = random.random
    ) -> None:
        self.keys = keys or conventions()
        self._client = client
        self._dice = dice  # from 0 to below 1

    def get(self, key: Key) -> str | None:
        """The value, None if there is none."""
        with asking():
            return _text(self._client.get(key.text))

    def put(self, key: Key, value: str, *, jitter: float = 0) -> None:
        """Keep a value. With ``jitter`` j it may live up to j of its time shorter: not all of them expire at once."""
        _checked(key, value)
        with asking():
            self._client.set(key.text, value, px=self._milliseconds(key, jitter) or None)

    def invalidate(self, key: Key) -> str:
        """Delete a value and say so to all who read :class:`Invalidations`; the id of the entry.

        Whoever is loading it now may still give it to its caller, but does not fill it in any more.
        """
        lease, stream = self.keys.key("lease", key=key), self.keys.key("invalidation")
        return str(_text(call(self._client, "invalidate", [key, lease, stream], KEPT)))

    def fetch(
        self, key: Key, load: Callable[[], str], *, jitter: float = 0, wait: float = 5, lease: float | None = None
    ) -> str:
        """The value; if there is none, of all who ask for it at once, on all machines, one loads it and the others wait.

        If the one that loads fails, its caller gets the error, and the next in line loads. Who has waited for ``wait``
        seconds loads for itself. ``lease`` (seconds; else by convention) is how long a loader that died is waited for.
        """
        own, deadline = self.keys.key("lease", key=key), time.monotonic() + wait
        milliseconds = round((lease or own.convention.seconds or 10) * 1000)
        while True:
            if (value := self.get(key)) is not None:
                return value
            token = secrets.token_hex(16)
            with asking():
                holder = _text(self._client.set(own.text, token, nx=True, px=milliseconds, get=True))
            if holder is None:
                return self._load(key, own, token, load, jitter)
            left = deadline - time.monotonic()
            if left <= 0:
                return load()
            self._wait(own, holder, left)

    def _load(self, key: Key, lease: Key, token: str, load: Callable[[], str], jitter: float) -> str:
        """With the lease in hand: load, fill, and wake those who wait."""
        done = self.keys.key("lease_done", token=token)
        kept = (done.convention.seconds or 10) * 1000
        filled = False
        try:
            if (value := self.get(key)) is None:  # else it was filled between our look and our lease
                value = load()
                _checked(key, value)
                call(
                    self._client, "lease_fill", [key, lease, done], token, value, self._milliseconds(key, jitter), kept
                )
                filled = True
            return value
        finally:
            if not filled:
                call(self._client, "lease_release", [lease, done], token, kept)

    def _wait(self, lease: Key, holder: str, seconds: float) -> None:
        """Until the holder of the lease is done, its lease is over, or a second has passed."""
        done = self.keys.key("lease_done", token=holder)
        with asking():
            ends = self._client.pttl(lease.text)
            if isinstance(ends, int) and ends > 0:
                self._client.xread({done.text: "0"}, count=1, block=max(1, min(ends, round(seconds * 1000), _BLOCK_MS)))

    def _milliseconds(self, key: Key, jitter: float) -> int:
        """Time to live, 0 for ever."""
        if not 0 <= jitter < 1:
            raise DataError(f"a jitter of {jitter}: from 0 to below 1")
        whole = (key.convention.seconds or 0) * 1000
        return whole - int(whole * jitter * self._dice())


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request may go on; if not, after how many milliseconds it is worth asking again."""

    allowed: bool
    remaining: int
    retry_after_ms: int


class RateLimiter:
    """At most ``limit`` requests of a subject in any ``per_seconds``, over all clients, by the server's clock.

    Raises DataError for arguments that the server refuses, and as :class:`Cache` does.
    """

    def __init__(
        self, client: redis.Redis, scope: str, limit: int, per_seconds: float, keys: Keys | None = None
    ) -> None:
        self._client = client
        self._scope = scope
        self._limit = limit
        self._window_ms = round(per_seconds * 1000)
        self._keys = keys or conventions()

    def hit(self, subject: str | int) -> Decision:
        """Count a request of ``subject``, if it is let through."""
        key = self._keys.key("ratelimit", scope=self._scope, subject=subject)
        allowed, remaining, retry = call(self._client, "rate_limit", [key], self._limit, self._window_ms)
        return Decision(bool(allowed), int(remaining), int(retry))


def _checked(key: Key, value: object) -> None:
    if key.convention.type != "string":
        raise DataError(f"{key} holds a {key.convention.type}: it is not for get, put and fetch")
    if not isinstance(value, str):
        raise DataError(f"the value of {key} must be text, not {type(value).__name__}")


def _text(answer: Any) -> str | None:
    return answer.decode() if isinstance(answer, bytes) else None if answer is None else str(answer)
