"""Where parts break, drawn: use of one node over clients, and over users; measured solid, extrapolated dashed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from harness.report.svg import Canvas
from harness.scale.model import HELD, Axis, Need, first_breaks
from harness.scale.text import number

WIDTH, TOP, HIGH, LEFT, GAP = 1210, 96, 420, 74, 96
COLOURS = ("server1", "server2", "server3", "server4", "purple-ink", "amber-edge", "red-ink", "edge")
LOWEST, HIGHEST = 0.001, 1000.0
PANELS: tuple[tuple[Axis, float, float, int], ...] = (("clients", 1e4, 1e9, 50_000_000), ("users", 10, 1e6, 100_000))


def draw(needs: Sequence[Need]) -> str:
    """The whole picture."""
    canvas = Canvas(
        "Where each part of PromptSales breaks",
        "Use of one node by the resource that ends first, over clients and over users; both axes are logarithmic",
        "scale",
    )
    canvas.text(LEFT, 30, "How much of one node each part uses, and where it breaks", "f-ink bold big")
    said = "Solid: measured here. Dashed: extrapolated. A circle: one node's end. A part's line is that of what ends first."
    canvas.text(LEFT, 50, said, "f-soft")
    wide = (WIDTH - LEFT - 44 - GAP) / 2
    below = float(TOP + HIGH)
    for place, (axis, least, most, asked) in enumerate(PANELS):
        below = max(below, _panel(canvas, needs, axis, least, most, asked, LEFT + place * (wide + GAP), wide))
    return canvas.render(WIDTH, below + 20) + "\n"


def _panel(
    canvas: Canvas, needs: Sequence[Need], axis: Axis, least: float, most: float, asked: int, left: float, wide: float
) -> float:
    def x(value: float) -> float:
        return left + math.log(value / least) / math.log(most / least) * wide

    def y(share: float) -> float:
        return TOP + HIGH - math.log(min(max(share, LOWEST), HIGHEST) / LOWEST) / math.log(HIGHEST / LOWEST) * HIGH

    other = f"{HELD.users:,} users" if axis == "clients" else f"{HELD.clients:,} clients"
    canvas.text(left, TOP - 16, f"{axis}, with {other}", "f-ink bold")
    power = LOWEST
    while power <= HIGHEST * 1.01:
        canvas.path(f"M{left:.1f} {y(power):.1f}H{left + wide:.1f}", "s-faint")
        said = f"{power:,.0%}" if power >= 0.01 else f"{power:.1%}"
        canvas.text(left - 8, y(power) + 4, said, "f-soft small", text_anchor="end")
        power *= 10
    value = least
    while value <= most * 1.01:
        canvas.path(f"M{x(value):.1f} {TOP}V{TOP + HIGH}", "s-faint")
        canvas.text(x(value), TOP + HIGH + 18, number(value), "f-soft small", text_anchor="middle")
        value *= 10
    canvas.path(f"M{left:.1f} {y(1):.1f}H{left + wide:.1f}", "s-red-ink", stroke_width=1.5)
    canvas.text(left + 6, y(1) - 6, "one node", "f-red-ink small")
    canvas.path(f"M{x(asked):.1f} {TOP}V{TOP + HIGH}", "s-soft", stroke_dasharray="2 3")
    canvas.text(x(asked) - 5, TOP + 13, number(asked), "f-soft small", text_anchor="end")
    found = first_breaks(needs, axis)
    for place, (at, need) in enumerate(found):
        colour = COLOURS[place % len(COLOURS)]
        _curve(canvas, need, axis, least, most, x, y, colour)
        if least <= at <= most:
            canvas.circle(x(at), y(1), 5, f"f-paper s-{colour}", stroke_width=2.5)
        row = TOP + HIGH + 46 + place * 19
        canvas.path(f"M{left:.1f} {row - 4:.1f}h26", f"s-{colour}", stroke_width=3)
        canvas.text(left + 34, row, f"{need.part}: {need.resource}", "f-ink")
        canvas.text(left + wide, row, f"breaks at {number(at)} {axis}", "f-soft", text_anchor="end")
    return TOP + HIGH + 46 + len(found) * 19


def _curve(
    canvas: Canvas, need: Need, axis: Axis, least: float, most: float,
    x: Callable[[float], float], y: Callable[[float], float], colour: str,
) -> None:  # fmt: skip
    """Solid where it was measured, dashed outside."""
    from_, to = need.reach.get(axis, (0.0, 0.0))
    from_, to = max(from_, least), min(max(to, least), most)

    def share(value: float) -> float:
        return max(need.amount(HELD) + need.slope(axis) * (value - HELD.of(axis)), 0.0) / need.limit

    for first, last, dash in ((least, from_, "5 4"), (from_, to, ""), (to, most, "5 4")):
        if last <= first * 1.001:
            continue
        steps = [first * (last / first) ** (step / 60) for step in range(61)]
        inside = [one for one in steps if LOWEST <= share(one) <= HIGHEST]
        if len(inside) > 1:
            line = "L".join(f"{x(one):.1f} {y(share(one)):.1f}" for one in inside)
            canvas.path(f"M{line}", f"s-{colour}", stroke_width=3 if not dash else 1.8, stroke_dasharray=dash)
