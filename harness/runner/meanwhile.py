"""Work that can wait, done by the same thread while it waits for a server.

While a server makes the tables of one case, what the case before has left can be judged and written down: the thread
would only sleep. Nothing runs at the same time as anything else, so nothing has to be locked.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence

from harness.engines.waiting import readable


class Meanwhile:
    """A queue of small works, each well below a millisecond or two. Belongs to one thread."""

    def __init__(self) -> None:
        self._works: deque[Callable[[], None]] = deque()

    def later(self, *works: Callable[[], None]) -> None:
        """Do these in their order, when there is time or :meth:`finish` is called."""
        self._works.extend(works)

    def readable(self, numbers: Sequence[int], seconds: float | None = None) -> Collection[int]:
        """As :func:`harness.engines.waiting.readable`; while nothing is there, works are done.

        Raises what a work raises.
        """
        began = time.perf_counter()
        while self._works and (seconds is None or seconds > 0):
            if ready := readable(numbers, 0):
                return ready
            self._works.popleft()()
            if seconds is not None:  # what a work takes is time that was waited
                now = time.perf_counter()
                seconds, began = max(0.0, seconds - (now - began)), now
        return readable(numbers, seconds)

    def finish(self) -> None:
        """Do all that is left. Raises what a work raises; those after it are done by the next call."""
        while self._works:
            self._works.popleft()()
