"""Charts over time: drawn here as SVG that stands without script, and given to the page's script as data.

A :class:`Group` of charts shares one time axis, one cursor, one zoom. Times are seconds since 1970, values are in their
chart's unit; None is a gap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from harness.report.words import clean, one_line

WIDTH, HEIGHT = 960, 170
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 22
COLOURS, DASHES = 8, ("", "7 3", "2 3")

MOST_POINTS = 900
"""Of a line; of more, neighbours are put together: see :func:`thinned`."""

MOST_ROWS = 40
"""Of the table that stands for a chart where there is no script."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a value, or None, for each moment of its chart."""

    label: str
    values: Sequence[float | None]


@dataclass(slots=True)
class Chart:
    """Lines over the same moments. ``variants`` are other sets of lines that may be looked at instead (p50, p95, …)."""

    title: str
    unit: str
    at: Sequence[float]
    lines: list[Line]
    variants: list[tuple[str, list[Line]]] = field(default_factory=list)
    chosen: int = 0  # the variant that ``lines`` are
    steps: bool = False  # a value holds until the next one
    most: bool = False  # neighbours that are put together give their greatest value, not their mean
    top: float | None = None  # the axis ends here, for what cannot be more: 100 %
    about: str = ""
    worst: str = ""  # said where points were put together


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that went on beside the lines: a case."""

    since: float
    until: float
    label: str
    link: str = ""
    status: str = ""


@dataclass(slots=True)
class Group:
    """Charts on one time axis, from ``since`` to ``until``."""

    key: str
    since: float
    until: float
    charts: list[Chart] = field(default_factory=list)
    heads: dict[int, str] = field(default_factory=dict)  # a heading before the chart of this place
    marks: list[Mark] = field(default_factory=list)

    @property
    def data(self) -> dict[str, Any]:
        """For the page's script: times from the group's beginning on, values to four digits."""
        axes: list[Sequence[float]] = []
        charts = []
        for chart in self.charts:
            at = [round(one - self.since, 2) for one in chart.at]
            if at not in axes:
                axes.append(at)
            sets = chart.variants or [("", chart.lines)]
            charts.append(
                {
                    "axis": axes.index(at),
                    "unit": one_line(chart.unit),
                    "title": one_line(chart.title),
                    "steps": chart.steps,
                    "top": chart.top,
                    "chosen": chart.chosen,
                    "sets": [
                        [name, [[one_line(line.label), [_short(v) for v in line.values]] for line in lines]]
                        for name, lines in sets
                    ],
                }
            )
        marks = [
            [round(m.since - self.since, 3), round(m.until - self.since, 3), one_line(m.label), m.link, m.status]
            for m in self.marks
        ]
        return {"since": self.since, "until": self.until, "axes": axes, "charts": charts, "marks": marks}


def _short(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded == int(rounded) else rounded


def thinned(chart: Chart, most: int = MOST_POINTS) -> Chart:
    """The same with at most ``most`` moments: of neighbours the mean, or the greatest value; says so in ``worst``."""
    size = math.ceil(len(chart.at) / most)
    if size <= 1:
        return chart

    def together(values: Sequence[float | None]) -> list[float | None]:
        made: list[float | None] = []
        for place in range(0, len(values), size):
            some = [v for v in values[place : place + size] if v is not None]
            made.append((max(some) if chart.most else sum(some) / len(some)) if some else None)
        return made

    def all_of(lines: list[Line]) -> list[Line]:
        return [Line(line.label, together(line.values)) for line in lines]

    return Chart(
        chart.title,
        chart.unit,
        [chart.at[place] for place in range(0, len(chart.at), size)],
        all_of(chart.lines),
        [(name, all_of(lines)) for name, lines in chart.variants],
        chart.chosen,
        chart.steps,
        chart.most,
        chart.top,
        chart.about,
        f"each point is the {'greatest' if chart.most else 'mean'} of {size} samples",
    )


def ticks(top: float, about: int = 4) -> list[float]:
    """Round numbers from 0 to at least ``top``.

    >>> ticks(87)
    [0, 25, 50, 75, 100]
    """
    if not math.isfinite(top) or top <= 0:
        return [0, 1]
    raw = top / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= raw * 0.999)
    count = math.ceil(top / step * 0.999999)
    made = [float(f"{step * i:.6g}") for i in range(count + 1)]
    return [int(one) if one == int(one) else one for one in made]


def number(value: float | None) -> str:
    """A value as an axis has it: ``0``, ``2.5``, ``1.2k``, ``3M``."""
    if value is None or not math.isfinite(value):
        return "–"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def since(seconds: float) -> str:
    """A time after the beginning: ``12 s``, ``3:05``, ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def clock(at: float) -> str:
    """A time of day in UTC: ``10:31:07``; ``?`` for what is none."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return "?"


def time_ticks(span: float, about: int = 8) -> list[float]:
    """Round times from the beginning on."""
    steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400]
    step = next((one for one in steps if span / one <= about), steps[-1])
    return [step * i for i in range(int(span / step + 1e-9) + 1)]


def style_of(index: int) -> tuple[str, str]:
    """A line's class and its dash: the first eight differ in colour, every fourth on in dash too."""
    return f"c{index % COLOURS}", DASHES[index // 4 % len(DASHES)]


def top_of(chart: Chart) -> float:
    """Where its axis ends."""
    if chart.top is not None:
        return chart.top
    values = [v for line in chart.lines for v in line.values if v is not None and math.isfinite(v)]
    return ticks(max(values, default=0))[-1]


def chart_svg(chart: Chart, group: Group) -> Markup:
    """The chart as it stands without script. Its classes are those of the page's style sheet."""
    span = max(group.until - group.since, 1e-9)
    top = top_of(chart)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(at: float) -> float:
        return LEFT + (at - group.since) / span * wide

    def y(value: float) -> float:
        return TOP + high - min(max(value / top, 0), 1) * high

    parts = []
    for value in ticks(top):
        parts.append(f'<path class="grid" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{escape(number(value))}</text>')
    for second in time_ticks(span):
        place = x(group.since + second)
        anchor = "middle" if LEFT < place < WIDTH - RIGHT - 20 else "start" if place <= LEFT else "end"
        parts.append(f'<text x="{place:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{since(second)}</text>')
    for mark in group.marks:
        start, end = x(max(mark.since, group.since)), x(min(mark.until, group.until))
        if end >= start:
            parts.append(
                f'<rect class="mark" x="{start:.1f}" y="{TOP}" width="{max(end - start, 1):.1f}" height="{high}"/>'
            )
    for index, line in enumerate(chart.lines):
        cls, dash = style_of(index)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<path class="ln {cls}"{dashed} d="{_path(chart, line, x, y, group.until)}"/>')
    said = escape(clean(f"{chart.title}, {chart.unit}: {'; '.join(_summary(line) for line in chart.lines[:12])}"))
    return Markup(
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">{"".join(parts)}</svg>'
    )


def _summary(line: Line) -> str:
    values = [v for v in line.values if v is not None and math.isfinite(v)]
    if not values:
        return f"{line.label} unknown"
    return f"{line.label} {number(min(values))} to {number(max(values))}"


def _path(chart: Chart, line: Line, x: Any, y: Any, until: float) -> str:
    made, pen = [], False
    for place, (at, value) in enumerate(zip(chart.at, line.values, strict=False)):
        if value is None or not math.isfinite(value):
            pen = False
            continue
        made.append(f"{'L' if pen else 'M'}{x(at):.1f} {y(value):.1f}")
        if chart.steps:
            end = chart.at[place + 1] if place + 1 < len(chart.at) else until
            made.append(f"H{x(end):.1f}")
        elif not pen and (place + 1 >= len(line.values) or line.values[place + 1] is None):
            made.append("h2")  # alone: a dot
        pen = True
    return "".join(made)


def rows(chart: Chart, group: Group, most: int = MOST_ROWS) -> list[tuple[str, list[str]]]:
    """The table that stands for the chart where there is no script: evenly spread moments, each with its values."""
    step = max(math.ceil(len(chart.at) / most), 1)
    return [
        (
            f"{since(max(chart.at[place] - group.since, 0))} ({clock(chart.at[place])})",
            [number(line.values[place]) for line in chart.lines],
        )
        for place in range(0, len(chart.at), step)
    ]
