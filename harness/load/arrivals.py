"""When requests are to begin, whoever is ready or not: the open loop.

In a closed loop a user asks again when it has its answer, so a server that stalls is asked less, and its stall is in the
statistics once where it should be there a thousand times (*coordinated omission*: Gil Tene, "How NOT to Measure Latency";
open and closed systems: Schroeder, Wierman and Harchol-Balter, NSDI 2006). Here starts follow a clock; a user takes the
next one, late if it has to be, and the time is counted from when it was to start.
"""

from __future__ import annotations

import random
from collections.abc import Callable

_STEP = 0.01
"""Seconds over which a rate that changes is taken as constant."""


class Arrivals:
    """The intended starts of one process, in order. ``rate_at`` gives starts per second, for the seconds since ``began``.

    With ``poisson`` the gaps are drawn (independent clients), else they are even. ``seconds``: when it is over.
    """

    def __init__(
        self,
        rate_at: Callable[[float], float],
        began: float,
        seconds: float,
        *,
        seed: int = 1,
        poisson: bool = True,
    ) -> None:
        self._rate_at = rate_at
        self._began = began
        self._seconds = seconds
        self._random = random.Random(seed)
        self._poisson = poisson
        self._at = 0.0  # seconds since the beginning
        self.given = 0

    def next(self) -> float | None:
        """The next intended start, in the clock that ``began`` was given in; None when it is over."""
        if not self._advance():
            return None
        self.given += 1
        return self._began + self._at

    def end(self, moment: float) -> None:
        """No start after this moment, by the clock of ``began``: the run is over."""
        self._seconds = min(self._seconds, moment - self._began)

    def left(self) -> int:
        """How many were still to begin: they are taken, and never will."""
        count = 0
        while self._advance():
            count += 1
        return count

    def _advance(self) -> bool:
        """Go on to where the integral of the rate has grown by one start's share."""
        due = self._random.expovariate(1.0) if self._poisson else 1.0
        while self._at < self._seconds:
            rate = max(self._rate_at(self._at), 0.0)
            if rate * _STEP >= due:
                self._at += due / rate
                return self._at < self._seconds
            due -= rate * _STEP
            self._at += _STEP
        return False
