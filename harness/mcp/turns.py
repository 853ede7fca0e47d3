"""Turns: so many calls of one caller are at work at once; more of them wait, and nobody else waits with them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio


@dataclass(slots=True)
class _Line:
    """Those of one caller."""

    room: anyio.CapacityLimiter
    calls: int = 0
    """At work or waiting."""


class Turns:
    """``most``: calls of one caller at once. Used from one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: dict[str, _Line] = {}

    @contextlib.asynccontextmanager
    async def of(self, subject: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it meanwhile. Whoever has no call here is not remembered."""
        line = self._lines.get(subject) or self._lines.setdefault(subject, _Line(anyio.CapacityLimiter(self._most)))
        line.calls += 1
        try:
            async with line.room:
                yield
        finally:
            line.calls -= 1
            if not line.calls:
                del self._lines[subject]
