"""Asking the cache's server, and saying what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness.errors import DataError
from harness.promptsales.cache_keys import Key

if TYPE_CHECKING:
    import redis


def call(client: redis.Redis, function: str, keys: Sequence[Key], *arguments: str | int) -> Any:
    """Call a function of ``schemas/cache``. Raises DataError."""
    with asking():
        return client.fcall(function, len(keys), *(key.text for key in keys), *arguments)


@contextmanager
def asking() -> Iterator[None]:
    """What the driver raises within it becomes a DataError that says what to do."""
    import redis

    try:
        yield
    except redis.ResponseError as error:
        text = str(error)
        if "unknown command" in text.lower():
            raise DataError(f"this server is too old for the cache: Redis 7 or Valkey is needed ({text})") from error
        if "Function not found" in text:
            raise DataError(
                "the cache's functions are not in the server: load schemas/cache/redis/*.lua with FUNCTION LOAD REPLACE"
            ) from error
        raise DataError(f"the cache refuses: {text}") from error
    except (redis.RedisError, OSError) as error:
        raise DataError(f"the cache cannot be reached: {error}") from error
