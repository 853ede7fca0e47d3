"""A straight line through what was measured, and how far off it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.errors import DataError


@dataclass(frozen=True, slots=True)
class Fit:
    """``base + slope * x``, by least squares. ``off``: the largest distance of a point from it, as a share of the point."""

    base: float
    slope: float
    least: float
    most: float
    off: float
    points: int

    def at(self, x: float) -> float:
        """The line's value; never below zero."""
        return max(self.base + self.slope * x, 0.0)


def fit(points: Iterable[tuple[float, float]]) -> Fit:
    """The line through at least two points of different x. Raises DataError.

    >>> fit([(1, 3), (2, 5), (3, 7)])
    Fit(base=1.0, slope=2.0, least=1, most=3, off=0.0, points=3)
    """
    given: Sequence[tuple[float, float]] = list(points)
    xs = [x for x, _ in given]
    if len(set(xs)) < 2:
        raise DataError("a line needs measurements of two sizes: run benchmarks/scale.py")
    mean_x, mean_y = sum(xs) / len(xs), sum(y for _, y in given) / len(xs)
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in given) / spread
    base = mean_y - slope * mean_x
    off = max((abs(base + slope * x - y) / abs(y) for x, y in given if y), default=0.0)
    return Fit(base, slope, min(xs), max(xs), round(off, 12), len(xs))


def spread(values: Iterable[float]) -> float:
    """How far the extremes lie apart, as a share of the mean: what rounds of the same thing differ by.

    >>> spread([9, 10, 11])
    0.2
    """
    given = list(values)
    mean = sum(given) / len(given)
    return (max(given) - min(given)) / mean if mean else 0.0
