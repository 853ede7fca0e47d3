"""Many durations in little room: buckets that are 1 % wide, as HdrHistogram has them (https://hdrhistogram.org).

A percentile is right to half a percent; least, most, count and sum are exact. Histograms of several processes, or of several
seconds, are merged by adding: percentiles could not be.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_PER_E = 100  # buckets for a factor of e: each is exp(1/100) times the one before
_LEAST = 1e-7  # seconds: nothing is faster than the clock


class Histogram:
    """Durations. Goes in as seconds, comes out as milliseconds."""

    __slots__ = ("buckets", "count", "least", "most", "total")

    def __init__(self) -> None:
        self.buckets: Counter[int] = Counter()
        self.count = 0
        self.total = 0.0  # seconds, like the two below
        self.least = math.inf
        self.most = 0.0

    def add_many(self, seconds: npt.NDArray[np.float64]) -> None:
        """Add durations."""
        if not len(seconds):
            return
        seconds = np.maximum(seconds, 0.0)
        places = np.rint(np.log(np.maximum(seconds, _LEAST)) * _PER_E).astype(np.int64)
        for place, count in zip(*np.unique(places, return_counts=True), strict=True):
            self.buckets[int(place)] += int(count)
        self.count += len(seconds)
        self.total += float(seconds.sum())
        self.least = min(self.least, float(seconds.min()))
        self.most = max(self.most, float(seconds.max()))

    def merge(self, other: Histogram) -> None:
        """Add all that another one holds."""
        self.buckets.update(other.buckets)
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)

    def percentile(self, percent: float) -> float | None:
        """The duration that so many percent did not exceed (nearest rank), milliseconds; None if there are none.

        >>> made = Histogram()
        >>> made.add_many(np.array([0.001] * 99 + [1.0]))
        >>> round(made.percentile(99), 1), round(made.percentile(100), 1)
        (1.0, 1000.0)
        """
        if not self.count:
            return None
        rank = max(1, math.ceil(self.count * percent / 100))
        if rank in (1, self.count):
            return 1000 * (self.least if rank == 1 else self.most)
        seen = 0
        for place in sorted(self.buckets):
            seen += self.buckets[place]
            if seen >= rank:
                return 1000 * min(max(math.exp(place / _PER_E), self.least), self.most)
        raise AssertionError("unreachable")

    @property
    def mean(self) -> float:
        """Milliseconds; 0 if there are none."""
        return 1000 * self.total / self.count if self.count else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data, for another process."""
        if not self.count:
            return {}
        return {
            "b": {str(place): count for place, count in self.buckets.items()},
            "n": self.count,
            "sum": self.total,
            "min": self.least,
            "max": self.most,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Histogram:
        """What :meth:`to_json` gave."""
        made = cls()
        if data:
            made.buckets = Counter({int(place): int(count) for place, count in data["b"].items()})
            made.count, made.total = int(data["n"]), float(data["sum"])
            made.least, made.most = float(data["min"]), float(data["max"])
        return made
