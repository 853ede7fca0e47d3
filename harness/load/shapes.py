"""How high the load is over a run's time: a curve from 0 to 1, the same for users (closed) and for the rate (open)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from harness.load.written import ShapeWritten

YEAR = (date(2025, 7, 1), date(2026, 6, 30))
"""The business year that a December peak squeezes into the run: its busy months lie in the middle."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Heights, each from a moment on; moments are parts of the run's time, from 0 to 1."""

    words: str
    moments: tuple[float, ...]
    heights: tuple[float, ...]
    even: bool = False  # it goes straight from one height to the next, not by steps

    def at(self, part: float) -> float:
        """The height at a part of the run's time."""
        place = bisect_right(self.moments, min(max(part, 0.0), 1.0)) - 1
        if not self.even or place >= len(self.moments) - 1:
            return self.heights[place]
        left, right = self.moments[place], self.moments[place + 1]
        share = (part - left) / (right - left)
        return self.heights[place] + share * (self.heights[place + 1] - self.heights[place])

    @property
    def steady(self) -> bool:
        """Whether it is the same height all the time."""
        return len(set(self.heights)) == 1

    def rate(self, rate: float, seconds: float) -> Callable[[float], float]:
        """Requests per second at a moment (seconds since the run's beginning), ``rate`` at full height."""
        return lambda moment: rate * self.at(moment / seconds)

    def users(self, count: int, part: float) -> int:
        """How many of ``count`` users there are at a part of the run's time: at least one."""
        return max(1, round(count * self.at(part)))


def curve(shape: str | ShapeWritten) -> Curve:
    """The curve of a file's shape."""
    if isinstance(shape, ShapeWritten):
        return _ramp(shape) if shape.ramp else _steps(shape.steps or [1.0])
    return _season() if shape == "december peak" else Curve("steady", (0.0,), (1.0,))


def _ramp(shape: ShapeWritten) -> Curve:
    assert shape.ramp is not None
    start, until = shape.ramp.start, shape.ramp.until
    over = "the whole run" if until == 1 else f"the first {until:.0%} of the run"
    ends = ((0.0, start), (until, 1.0)) if until == 1 else ((0.0, start), (until, 1.0), (1.0, 1.0))
    return Curve(
        f"ramp from {start:.0%} to 100% over {over}",
        tuple(moment for moment, _ in ends),
        tuple(height for _, height in ends),
        even=True,
    )


def _steps(heights: Sequence[float]) -> Curve:
    moments = tuple(number / len(heights) for number in range(len(heights)))
    return Curve(f"steps of {', '.join(f'{height:.0%}' for height in heights)}", moments, tuple(heights))


def _season() -> Curve:
    """The year of the seeded sales, July to June, as means over a week: what the seeder draws its days of sale by."""
    import numpy as np

    from fixtures.seed.calendar import Season
    from fixtures.seed.plan import plan_of

    season = Season.of(plan_of("small"), *YEAR)
    days = np.diff(season.upto).astype(float)
    weeks = np.convolve(days, np.ones(7) / 7, mode="valid")
    heights = weeks / weeks.max()
    moments = np.linspace(0.0, 1.0, len(heights))
    return Curve("december peak", tuple(moments.tolist()), tuple(heights.tolist()), even=True)
