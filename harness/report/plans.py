"""Execution plans as pictures: a tree of cards, the one without and the one with the index side by side.

Cards stand one below the other, each a step further in than the one that asks it for rows: however wide or deep a
plan is, the picture grows downwards only, and its texts keep their size. The node that costs most has a thick edge, a
flag and the longest bar; rows that were expected wrongly have a flag of their own: nothing is said by colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.plans.compare import costly, count, factor, milliseconds, misestimates
from harness.plans.model import Access, Node, Plan, PlanPair, Side
from harness.report.svg import Canvas, fit, text_width

PANEL = 560.0
"""Pixels of one tree."""

_MARGIN, _GAP, _STEP, _PAD = 20.0, 28.0, 18.0, 10.0
_NARROWEST = 330.0  # of a card: a deep tree takes smaller steps instead
_LINE, _FIRST = 16.0, 19.0
_BETWEEN = 8.0
_TIME = 84.0  # of a card's line, for its own time

_LOOKS = {
    # access: ground, edge, ink of its badge
    Access.scan: ("orange", "orange-ink", "orange-ink"),
    Access.index_scan: ("amber", "amber-edge", "amber-ink"),
    Access.seek: ("band", "band-edge", "band-ink"),
    Access.lookup: ("purple", "purple-ink", "purple-ink"),
}


@dataclass(slots=True)
class _Card:
    node: Node
    depth: int
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    lines: list[tuple[str, str]] = field(default_factory=list)  # text and class
    below: list[_Card] = field(default_factory=list)


def pair_svg(pair: PlanPair) -> str:
    """Both trees of a pair side by side, with what the index has changed below them."""
    title = f"{pair.title or pair.name}: {pair.logical}, without and with an index"
    canvas = Canvas(title, f"{pair.id}. {' '.join(pair.findings)}", f"plans {pair.id}")
    width = 2 * PANEL + _GAP + 2 * _MARGIN
    canvas.text(_MARGIN, 34, fit(pair.title or pair.name, width - 2 * _MARGIN, 14, bold=True), "f-ink bold big")
    stand_in = f", standing in for {pair.stand_in}" if pair.stand_in else ""
    where = f"{pair.id}   {pair.version}{stand_in}"
    canvas.text(_MARGIN, 53, fit(where, width - 2 * _MARGIN), "f-soft")
    bottom = 0.0
    slowest = max(_own(pair.before.plan), _own(pair.after.plan))
    for number, (name, side) in enumerate((("before", pair.before), ("after", pair.after))):
        x = _MARGIN + number * (PANEL + _GAP)
        y = _side_head(canvas, x, 72, name, side)
        bottom = max(bottom, _tree(canvas, side.plan, x, y, slowest))
    bottom = _findings(canvas, _MARGIN, bottom + 22, pair, width - 2 * _MARGIN)
    return canvas.render(width, bottom + 14)


def plan_svg(plan: Plan, title: str) -> str:
    """One plan as a tree."""
    canvas = Canvas(title, f"An execution plan of {plan.engine}: {_totals(plan)}.", f"plan {title}")
    width = PANEL + 2 * _MARGIN
    canvas.text(_MARGIN, 34, fit(title, PANEL, 14, bold=True), "f-ink bold big")
    canvas.text(_MARGIN, 53, fit(_totals(plan), PANEL), "f-soft")
    bottom = _tree(canvas, plan, _MARGIN, 70, _own(plan))
    return canvas.render(width, bottom + 16)


PICTURES: dict[str, Callable[[PlanPair], str]] = {"plans.svg": pair_svg}
"""The pictures of a pair, by the names of their files."""


# -- the head of a side


def _side_head(canvas: Canvas, x: float, y: float, name: str, side: Side) -> float:
    canvas.rect(x, y, PANEL, 58, "f-zebra s-faint", rx=6)
    said = name.upper()
    canvas.text(x + 12, y + 22, said, "f-soft bold small", letter_spacing="0.6")
    beside = x + 12 + text_width(said, 11, bold=True) + 8 * len(said) / 3 + 8
    time = milliseconds(side.timing.median) if side.timing else ""
    room = x + PANEL - 16 - beside - (text_width(time, 14, bold=True) + 12 if time else 0)
    canvas.text(
        beside,
        y + 22,
        fit(side.index or "as it is", room, mono=bool(side.index)),
        "f-ink mono" if side.index else "f-ink",
    )
    if time:
        canvas.text(x + PANEL - 12, y + 22, time, "f-ink bold big", text_anchor="end")
    spread = ""
    if side.timing:
        spread = f"{side.timing.runs} warm runs, {milliseconds(side.timing.least)} to {milliseconds(side.timing.most)}"
        canvas.text(x + PANEL - 12, y + 44, spread, "f-soft small", text_anchor="end")
    room = PANEL - 36 - text_width(spread, 11)
    canvas.text(x + 12, y + 44, fit(_totals(side.plan), room), "f-ink")
    return y + 74


def _totals(plan: Plan) -> str:
    looked = ("document" if plan.engine == "mongodb" else "row") + ("" if plan.rows == 1 else "s")
    parts = [
        f"{count(plan.rows)} {looked} given" if plan.rows is not None else "not executed",
        f"{count(plan.examined)} looked at" if plan.examined is not None else "",
        f"{count(plan.keys)} keys" if plan.keys is not None else "",
        f"{count(plan.buffers)} pages" if plan.buffers is not None else "",
        f"{count(plan.reads)} from disk" if plan.reads else "",
    ]
    return ", ".join(part for part in parts if part)


# -- the tree


def _tree(canvas: Canvas, plan: Plan, x: float, y: float, slowest: float) -> float:
    """Draw a tree; gives where it ends."""
    cards: list[_Card] = []
    top = costly(plan)
    wrong = {id(node) for node in misestimates(plan)}

    def place(node: Node, depth: int) -> _Card:
        card = _Card(node, depth)
        cards.append(card)
        card.below = [place(child, depth + 1) for child in node.children]
        return card

    place(plan.root, 0)
    deepest = max(card.depth for card in cards)
    step = min(_STEP, (PANEL - _NARROWEST) / deepest) if deepest else _STEP
    for card in cards:
        card.x, card.y = x + card.depth * step, y
        card.width = PANEL - card.depth * step
        card.lines = _lines(card.node, plan, card.width - 2 * _PAD)
        card.height = _FIRST + _LINE * len(card.lines) + 12 + (_LINE if id(card.node) in wrong else 0)
        y += card.height + _BETWEEN
    for card in cards:
        for child in card.below:
            middle = child.y + 14
            canvas.path(
                f"M{card.x + 7:.1f} {card.y + card.height:.1f} V{middle:.1f} H{child.x:.1f}", "s-edge", stroke_width=1.4
            )
    total = sum(node.own_milliseconds or 0.0 for node in plan.root.walk())
    for card in cards:
        marks = {"stands_out": card.node is top, "wrong": id(card.node) in wrong, "timed": _timed(card.node, plan)}
        _draw(canvas, card, total, slowest, **marks)
    return y


def _own(plan: Plan) -> float:
    return max((node.own_milliseconds or 0.0 for node in plan.root.walk()), default=0.0)


def _lines(node: Node, plan: Plan, room: float) -> list[tuple[str, str]]:
    lines = []
    if node.object or node.index:
        by = f"{' by ' if node.object else ''}{node.index}" if node.index else ""
        lines.append((fit(node.object + by, room, 11, mono=True), "f-ink mono"))
    numbers = _numbers(node)
    if numbers or _timed(node, plan):
        lines.append((fit(numbers, room - (_TIME if _timed(node, plan) else 0)), "f-soft"))
    if node.detail:
        lines.append((fit(node.detail, room, 11, mono=True), "f-soft mono"))
    return lines


def _timed(node: Node, plan: Plan) -> bool:
    """Whether its own time says something: MongoDB counts whole milliseconds."""
    return node.own_milliseconds is not None and (node.own_milliseconds > 0 or plan.engine != "mongodb")


def _numbers(node: Node) -> str:
    parts = []
    if node.actual_rows is not None:
        parts.append(f"{count(node.actual_rows)} row{'' if node.actual_rows == 1 else 's'}")
    elif node.estimated_rows is not None:
        parts.append(f"{count(node.estimated_rows)} rows expected")
    if node.loops not in (0, 1):
        parts.append(f"in {count(node.loops)} loops")
    if not node.loops:
        parts.append("never executed")
    if node.examined is not None and node.examined != node.actual_rows:
        parts.append(f"{count(node.examined)} looked at")
    if node.keys is not None:
        parts.append(f"{count(node.keys)} keys")
    if node.buffers is not None:
        inside = sum(child.buffers or 0 for child in node.children)
        if node.buffers > inside:
            parts.append(f"{count(node.buffers - inside)} pages")
    return " · ".join(parts)


def _draw(
    canvas: Canvas, card: _Card, total: float, slowest: float, *, timed: bool, stands_out: bool, wrong: bool
) -> None:
    node = card.node
    canvas.group(_tooltip(node))
    edge, weight = ("s-red-ink", 2.6) if stands_out else ("s-edge", 1.0)
    canvas.rect(card.x, card.y, card.width, card.height, f"f-card {edge}", rx=6, stroke_width=weight)
    right = card.x + card.width - _PAD
    if node.access is not Access.other:
        right = _badge(canvas, right, card.y + 17, node.access) - 8
    if stands_out:
        right = _flag(canvas, right, card.y + 17, node, total) - 8
    room = right - card.x - _PAD
    canvas.text(card.x + _PAD, card.y + 18, fit(node.operator, room, bold=True), "f-ink bold")
    y = card.y + _FIRST
    for text, cls in card.lines:
        y += _LINE
        canvas.text(card.x + _PAD, y - 1, text, cls)
        if cls == "f-soft" and timed:
            own = milliseconds(node.own_milliseconds or 0.0)
            canvas.text(card.x + card.width - _PAD, y - 1, own, "f-ink bold", text_anchor="end")
    if wrong:
        y += _LINE
        _misestimate(canvas, card, y)
    if node.own_milliseconds and slowest:
        width = max((card.width - 2 * _PAD) * node.own_milliseconds / slowest, 1.5)
        canvas.rect(card.x + _PAD, card.y + card.height - 8, card.width - 2 * _PAD, 4, "f-faint", rx=2)
        canvas.rect(card.x + _PAD, card.y + card.height - 8, width, 4, "f-red-ink" if stands_out else "f-edge", rx=2)
    canvas.end()


def _tooltip(node: Node) -> str:
    parts = [node.operator, node.object, node.index, node.detail]
    if node.estimated_rows is not None and node.actual_rows is not None:
        parts.append(f"{count(node.estimated_rows)} rows expected, {count(node.actual_rows)} came")
    if node.milliseconds is not None:
        parts.append(f"{milliseconds(node.milliseconds)} with what is below it")
    return "\n".join(part for part in parts if part)


def _badge(canvas: Canvas, right: float, baseline: float, access: Access) -> float:
    """The way a table is read, as a small label; gives its left edge."""
    ground, edge, ink = _LOOKS[access]
    width = text_width(access.value, 11, bold=True) + 14
    radius = 2 if access in (Access.scan, Access.index_scan) else 8  # square: all of it; round: a part
    canvas.rect(right - width, baseline - 12, width, 17, f"f-{ground} s-{edge}", rx=radius, stroke_width=1)
    canvas.text(right - width / 2, baseline, access.value, f"f-{ink} bold small", text_anchor="middle")
    return right - width


def _flag(canvas: Canvas, right: float, baseline: float, node: Node, total: float) -> float:
    share = f" {100 * (node.own_milliseconds or 0) / total:.0f} %" if total and node.own_milliseconds else ""
    said = f"◀ costs most{share}"
    width = text_width(said, 11, bold=True) + 12
    canvas.rect(right - width, baseline - 12, width, 17, "f-red-solid", rx=2)
    canvas.text(right - width / 2, baseline, said, "f-white bold small", text_anchor="middle")
    return right - width


def _misestimate(canvas: Canvas, card: _Card, baseline: float) -> None:
    node = card.node
    expected, came = node.estimated_rows or 0, node.actual_rows or 0
    said = f"▲ {count(expected)} rows expected, {count(came)} came: {factor(node.misestimate or 1)}"
    said += " too few" if came > expected else " too many"
    width = min(text_width(said, 11, bold=True) * 1.06 + 14, card.width - 2 * _PAD)
    canvas.rect(card.x + _PAD, baseline - 12, width, 16, "f-amber s-amber-edge", rx=2, stroke_width=1)
    shown = fit(said, width - 8, 11, bold=True)
    canvas.text(card.x + _PAD + 6, baseline, shown, "f-amber-ink bold small")


# -- what it comes to


def _findings(canvas: Canvas, x: float, y: float, pair: PlanPair, width: float) -> float:
    lines: Sequence[tuple[str, str, str]] = [
        *(("✗", line, "f-red-ink bold") for text in pair.mismatches for line in text.splitlines()[:1]),
        *(("•", line, "f-ink") for line in pair.findings),
    ]
    for mark, line, cls in lines:
        canvas.text(x, y, mark, cls)
        canvas.text(x + 16, y, fit(line, width - 16), cls)
        y += 19
    return y - 10
