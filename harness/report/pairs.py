"""Pairs of plans as the page shows them: both sides' numbers, what changed, the picture, where to open the raw plans."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from harness.plans.model import Access, Plan, PlanPair, Side
from harness.report.charts import number
from harness.report.plans import pair_svg
from harness.report.svg import STYLE_ELEMENT

OPEN_WITH = {
    "postgresql": "pev2 (explain.dalibo.com, or the page pev2 itself, which needs no network): paste the JSON",
    "sqlserver": "SQL Server Management Studio: save it as .sqlplan and open it",
    "mongodb": "MongoDB Compass: Explain Plan, the raw output view",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table: what is counted, before and after, and how the two compare."""

    name: str
    before: str
    after: str
    ratio: str


@dataclass(frozen=True, slots=True)
class PairView:
    """A pair on the page."""

    number: int
    pair: PlanPair
    figures: list[Figure]
    access: str  # "scan → seek"
    gain: str  # "38× faster"
    picture: Markup
    raw: list[tuple[str, str]]  # the raw plans: name, link
    opens: str


def pair_views(pairs: list[PlanPair]) -> list[PairView]:
    """The pairs with their pictures."""
    return [_view(place, pair) for place, pair in enumerate(pairs, 1)]


def _view(place: int, pair: PlanPair) -> PairView:
    raw = [f"{name}.{side.plan.format}" for name, side in (("before", pair.before), ("after", pair.after))]
    return PairView(
        number=place,
        pair=pair,
        figures=figures(pair),
        access=f"{access(pair.before.plan)} → {access(pair.after.plan)}",
        gain=gain(pair),
        picture=Markup(pair_svg(pair).replace(STYLE_ELEMENT, "", 1)),  # the picture escapes what it shows
        raw=[(name, quote(f"{pair.folder}/{name}", safe="@+/")) for name in raw] if pair.folder else [],
        opens=OPEN_WITH.get(pair.engine, "an editor"),
    )


def access(plan: Plan) -> str:
    """The worst way in which a plan comes by rows: one scan is what one looks for."""
    ways = {node.access for node in plan.root.walk()}
    return next((way.value for way in (Access.scan, Access.index_scan, Access.seek) if way in ways), "no table read")


def milliseconds(side: Side) -> float | None:
    """The median of warm runs; of a side that was not timed, the plan's own time."""
    return side.timing.median if side.timing else side.plan.milliseconds


def gain(pair: PlanPair) -> str:
    """``38× faster``, ``1.2× slower``; ``no clear difference`` if some runs of both took as long; nothing without times."""
    before, after = milliseconds(pair.before), milliseconds(pair.after)
    if not before or not after:
        return ""
    one, other = pair.before.timing, pair.after.timing
    overlap = one is not None and other is not None and one.least <= other.most and other.least <= one.most
    if overlap or max(before / after, after / before) < 1.05:
        return "no clear difference"
    return f"{number(before / after)}× faster" if before > after else f"{number(after / before)}× slower"


def figures(pair: PlanPair) -> list[Figure]:
    """The table of both sides; a row that neither has is left out."""
    made = []
    if pair.before.timing or pair.after.timing:
        sides = (pair.before, pair.after)
        for name in ("median", "least", "most"):
            values = [getattr(side.timing, name) if side.timing else None for side in sides]
            runs = pair.after.timing or pair.before.timing
            said = f"time, median of {runs.runs} warm runs, ms" if name == "median" and runs else f"time, {name}, ms"
            made.append(_figure(said, *values))
    plans = (pair.before.plan, pair.after.plan)
    for name, said in (
        ("milliseconds", "the measured execution, ms"),
        ("planning_milliseconds", "planning, ms"),
        ("rows", "rows given back"),
        ("buffers", "buffers touched"),
        ("reads", "buffers from disk"),
        ("examined", "documents or rows examined"),
        ("keys", "index keys examined"),
    ):
        values = [getattr(plan, name) for plan in plans]
        if any(v is not None for v in values):
            made.append(_figure(said, *values))
    return made


def _figure(name: str, before: float | None, after: float | None) -> Figure:
    ratio = ""
    if before and after and name != "rows given back" and before != after:
        ratio = f"÷ {number(before / after)}" if before > after else f"× {number(after / before)}"
    return Figure(name, _plain(before), _plain(after), ratio)


def _plain(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == int(value) and value >= 100 else f"{value:,.3g}"
