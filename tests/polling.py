"""The one way in which tests wait: ask again and again until it holds, and fail with what was waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def eventually(check: Callable[[], Answer], what: str = "it never came to that", seconds: float = 20) -> Answer:
    """Ask until the answer is true, and give it. There is no event for what a server or a process does by itself."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return answer
