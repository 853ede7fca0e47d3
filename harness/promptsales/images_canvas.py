"""A canvas for flat pictures, in whole numbers only: what it draws is the same on every machine.

Coordinates are units, four to a pixel, x to the right and y down; a sample lies in the middle of each ``STEP`` × ``STEP``
units, and ``image`` gives the mean of a pixel's samples, which smooths the edges.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
Point = tuple[int, int]
Pixels = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

WIDTH, HEIGHT = 256, 192  # pixels
UNITS = 4
STEP = 2
DAYLIGHT: Colour = (256, 256, 256)

# The sine of every 15 degrees, times 10 000: no floating point, whose last bit may differ.
_SINES = (0, 2588, 5000, 7071, 8660, 9659, 10000)


def sine(steps: int) -> int:
    """The sine of ``steps`` × 15 degrees, times 10 000."""
    steps %= 24
    if steps >= 12:
        return -sine(steps - 12)
    return _SINES[steps if steps <= 6 else 12 - steps]


def around(centre: Point, radius: int, steps: int) -> Point:
    """The point at ``steps`` × 15 degrees, clockwise from the right, on a circle."""
    return centre[0] + radius * sine(steps + 6) // 10000, centre[1] + radius * sine(steps) // 10000


def mix(first: Colour, second: Colour, part: int, whole: int = 256) -> Colour:
    """``part`` of ``whole`` of the second colour, the rest of the first."""
    red, green, blue = (one + (other - one) * part // whole for one, other in zip(first, second, strict=True))
    return red, green, blue


def dark(colour: Colour, part: int = 64) -> Colour:
    """The colour with ``part`` of 256 of black."""
    return mix(colour, (0, 0, 0), part)


def light(colour: Colour, part: int = 64) -> Colour:
    """The colour with ``part`` of 256 of white."""
    return mix(colour, (255, 255, 255), part)


def curve(start: Point, bend: Point, end: Point, pieces: int = 12) -> list[Point]:
    """Points of a quadratic Bézier curve."""
    points = []
    for step in range(pieces + 1):
        a, b, c = (pieces - step) ** 2, 2 * step * (pieces - step), step**2
        x, y = ((a * start[axis] + b * bend[axis] + c * end[axis] + pieces**2 // 2) // pieces**2 for axis in (0, 1))
        points.append((x, y))
    return points


class Canvas:
    """Shapes painted one over the other, each under the canvas's light unless it glows by itself.

    A second colour makes a shape a gradient from its top to its bottom; ``cover`` is its opacity, of 256.
    """

    def __init__(self, daylight: Colour = DAYLIGHT) -> None:
        self.daylight = daylight
        self._samples: Pixels = np.zeros((HEIGHT * UNITS // STEP, WIDTH * UNITS // STEP, 3), np.uint8)
        rows, columns = self._samples.shape[:2]
        self._x: Numbers = np.arange(columns, dtype=np.int64) * STEP + STEP // 2
        self._y: Numbers = np.arange(rows, dtype=np.int64)[:, None] * STEP + STEP // 2
        self._origin: Point = (0, 0)
        self._scale = 256

    @contextlib.contextmanager
    def placed(self, x: int, y: int, scale: int = 256) -> Iterator[None]:
        """Within it, (0, 0) is that point and lengths are ``scale`` of 256."""
        before = self._origin, self._scale
        self._origin, self._scale = self._at((x, y)), self._length(scale)
        try:
            yield
        finally:
            self._origin, self._scale = before

    def _at(self, point: Point) -> Point:
        return self._origin[0] + self._length(point[0]), self._origin[1] + self._length(point[1])

    def _length(self, units: int) -> int:
        return units * self._scale // 256

    def rectangle(
        self, left: int, top: int, right: int, bottom: int, colour: Colour, to: Colour | None = None, *,
        cover: int = 256, glow: bool = False,
    ) -> None:  # fmt: skip
        """Paint a rectangle."""
        (left, top), (right, bottom) = self._at((left, top)), self._at((right, bottom))
        rows, columns = self._slices(left, top, right, bottom)
        self._paint(rows, columns, None, (colour, to or colour), (top, bottom), cover, glow)

    def ellipse(
        self, centre: Point, across: int, down: int, colour: Colour, to: Colour | None = None, *,
        cover: int = 256, glow: bool = False,
    ) -> None:  # fmt: skip
        """Paint an ellipse of these radii."""
        x, y = self._at(centre)
        across, down = max(1, self._length(across)), max(1, self._length(down))
        rows, columns = self._slices(x - across, y - down, x + across, y + down)
        mask = (self._x[columns] - x) ** 2 * down**2 + (self._y[rows] - y) ** 2 * across**2 <= (across * down) ** 2
        self._paint(rows, columns, mask, (colour, to or colour), (y - down, y + down), cover, glow)

    def disc(
        self, centre: Point, radius: int, colour: Colour, to: Colour | None = None, *,
        cover: int = 256, glow: bool = False,
    ) -> None:  # fmt: skip
        """Paint a disc."""
        self.ellipse(centre, radius, radius, colour, to, cover=cover, glow=glow)

    def ring(self, centre: Point, radius: int, thick: int, colour: Colour, *, cover: int = 256) -> None:
        """Paint a ring: ``radius`` is its outer one."""
        x, y = self._at(centre)
        outer, inner = self._length(radius), self._length(radius - thick)
        rows, columns = self._slices(x - outer, y - outer, x + outer, y + outer)
        distance = (self._x[columns] - x) ** 2 + (self._y[rows] - y) ** 2
        mask = (distance <= outer**2) & (distance >= inner**2)
        self._paint(rows, columns, mask, (colour, colour), (0, 1), cover, False)

    def polygon(
        self, points: Sequence[Point], colour: Colour, to: Colour | None = None, *,
        cover: int = 256, glow: bool = False,
    ) -> None:  # fmt: skip
        """Paint a polygon; where it overlaps itself it is open (even-odd)."""
        placed = [self._at(point) for point in points]
        top, bottom = min(y for _, y in placed), max(y for _, y in placed)
        rows, columns = self._slices(min(x for x, _ in placed), top, max(x for x, _ in placed), bottom)
        x, y = self._x[columns], self._y[rows]
        mask: Mask = np.zeros((y.size, x.size), bool)
        for (x1, y1), (x2, y2) in zip(placed, [*placed[1:], placed[0]], strict=True):
            if y1 == y2:
                continue
            if y1 > y2:
                x1, y1, x2, y2 = x2, y2, x1, y1
            crossed = (y >= y1) & (y < y2)
            mask ^= crossed & ((x - x1) * (y2 - y1) < (y - y1) * (x2 - x1))
        self._paint(rows, columns, mask, (colour, to or colour), (top, bottom), cover, glow)

    def line(
        self, points: Sequence[Point], thick: int, colour: Colour, *, cover: int = 256, glow: bool = False
    ) -> None:
        """Paint a line through the points, with round ends and corners."""
        placed = [self._at(point) for point in points]
        half = max(1, self._length(thick) // 2)
        rows, columns = self._slices(
            min(x for x, _ in placed) - half, min(y for _, y in placed) - half,
            max(x for x, _ in placed) + half, max(y for _, y in placed) + half,
        )  # fmt: skip
        x, y = self._x[columns], self._y[rows]
        mask: Mask = np.zeros((y.size, x.size), bool)
        for (x1, y1), (x2, y2) in itertools.pairwise(placed):
            along, up = x2 - x1, y2 - y1
            square = along**2 + up**2
            near = (x - x1) ** 2 + (y - y1) ** 2 <= half**2
            near |= (x - x2) ** 2 + (y - y2) ** 2 <= half**2
            if square:
                way = (x - x1) * along + (y - y1) * up
                off = (x - x1) * up - (y - y1) * along
                near |= (way >= 0) & (way <= square) & (off**2 <= half**2 * square)
            mask |= near
        self._paint(rows, columns, mask, (colour, colour), (0, 1), cover, glow)

    def image(self) -> Pixels:
        """The picture: (HEIGHT, WIDTH, 3)."""
        side = UNITS // STEP
        sums = np.full((HEIGHT, WIDTH, 3), side**2 // 2, np.uint16)
        for down, right in itertools.product(range(side), repeat=2):
            sums += self._samples[down::side, right::side]
        return (sums // side**2).astype(np.uint8)

    def _slices(self, left: int, top: int, right: int, bottom: int) -> tuple[slice, slice]:
        """The samples that may lie inside."""
        rows, columns = self._samples.shape[:2]
        return (
            slice(min(max(top // STEP, 0), rows), min(max(-(-bottom // STEP), 0), rows)),
            slice(min(max(left // STEP, 0), columns), min(max(-(-right // STEP), 0), columns)),
        )

    def _paint(
        self, rows: slice, columns: slice, mask: Mask | None, colours: tuple[Colour, Colour], span: tuple[int, int],
        cover: int, glow: bool,
    ) -> None:  # fmt: skip
        area = self._samples[rows, columns]
        if not area.size:
            return
        first, last = colours if glow else (self._lit(colours[0]), self._lit(colours[1]))
        paint: npt.NDArray[Any] = np.array([[first]], np.int32)
        if first != last:
            top, bottom = span
            down = np.clip(self._y[rows].astype(np.int32) - top, 0, bottom - top)
            change = np.array(last, np.int32) - paint[0, 0]
            paint = paint + (change * down // max(1, bottom - top))[:, None, :]
        if cover < 256:
            paint = area + (paint - area) * cover // 256
        painted = paint.astype(np.uint8)
        if mask is None:
            area[...] = painted
        else:
            np.copyto(area, painted, where=mask[..., None])

    def _lit(self, colour: Colour) -> Colour:
        red, green, blue = (min(part * lit // 256, 255) for part, lit in zip(colour, self.daylight, strict=True))
        return red, green, blue
