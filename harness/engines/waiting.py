"""Waiting for sockets, apart from what is said over them."""

from __future__ import annotations

import select
import selectors
from collections.abc import Collection, Sequence


def readable(numbers: Sequence[int], seconds: float | None = None) -> Collection[int]:
    """Wait until some of these sockets have something to read (their end counts too), and give those.

    Empty if ``seconds`` pass first. A socket that is gone (-1, closed) counts as readable: whoever reads it will see.
    """
    try:
        # select has microseconds where poll has milliseconds: a blocked step is looked at after 0.3 ms.
        return select.select(numbers, [], [], seconds)[0]
    except (OSError, ValueError):  # closed, or a number beyond what select takes
        return _by_selector(numbers, seconds)


def _by_selector(numbers: Sequence[int], seconds: float | None) -> Collection[int]:
    with selectors.DefaultSelector() as selector:
        gone = []
        for number in numbers:
            try:
                selector.register(number, selectors.EVENT_READ)
            except (OSError, ValueError):
                gone.append(number)
        return gone or [key.fd for key, _ in selector.select(seconds)]
