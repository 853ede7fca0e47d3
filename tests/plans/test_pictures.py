"""Plans as pictures, trees in the terminal and tables: whatever is in them, they can be read."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import pytest
from rich.console import Console, RenderableType

from harness.plans.model import Access, Node
from harness.plans.text import markdown_table, pair_renderable, pairs_table, plan_tree
from harness.report.plans import PANEL, pair_svg, plan_svg

from .making import over, pair, plan, scan, seek, side

SVG = "{http://www.w3.org/2000/svg}"

SLOW = scan(own_milliseconds=90, buffers=2000, examined=5000, detail="Filter: (a < 'x' AND b > \"y\")")
BEFORE = side(over("Sort", SLOW, own_milliseconds=10), "without ix_client_place", 80, examined=5000, buffers=2000)
AFTER = side(
    seek(index="ix_client_place", rows=10, actual_rows=500, own_milliseconds=1), "", 2, examined=500, buffers=20
)
PAIR = pair(BEFORE, AFTER, findings=["client: scan → seek"], mismatches=["it is not so\nand more"])


def texts(svg: str) -> list[str]:
    return ["".join(one.itertext()) for one in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def rendered(what: RenderableType, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_both_sides_what_was_done_for_them_and_what_changed() -> None:
    said = texts(pair_svg(PAIR))
    for one in ("Clients near a point", "BEFORE", "AFTER", "without ix_client_place", "as it is", "80.0 ms", "2.00 ms"):
        assert one in said
    assert "client: scan → seek" in said
    assert "it is not so" in said
    assert any("standing in for sqlserver" in one for one in said)


def test_the_costly_node_and_a_wrong_estimate_are_said_in_words_too() -> None:
    said = texts(pair_svg(PAIR))
    assert "◀ costs most 90 %" in said
    assert "▲ 10 rows expected, 500 came: 50× too few" in said
    assert {"scan", "seek"} <= set(said)


def test_of_each_tree_one_node_stands_out() -> None:
    svg = pair_svg(PAIR)
    assert svg.count('class="f-card s-red-ink"') == 2
    assert sum(one.startswith("◀ costs most") for one in texts(svg)) == 2


def deep(levels: int) -> Node:
    made = scan()
    for level in range(levels):
        made = over(f"Nested Loop number {level}", made, detail="a very long condition " * 20)
    return made


def wide(children: int) -> Node:
    return over("Append", *(scan(f"part_{number}", own_milliseconds=1) for number in range(children)))


@pytest.mark.parametrize(
    "root", [deep(40), wide(60), over("Result"), over("x" * 300, scan("y" * 300, detail="z" * 900))]
)
def test_however_deep_or_wide_nothing_leaves_its_place(root: Node) -> None:
    picture = ElementTree.fromstring(plan_svg(plan(root), "A plan"))
    width, height = float(picture.get("width", 0)), float(picture.get("height", 0))
    assert width == PANEL + 40
    cards = [one for one in picture.iter(f"{SVG}rect") if "f-card" in one.get("class", "")]
    assert len(cards) == len(list(root.walk()))
    bottom = 0.0
    for card in cards:
        x, y, wide_, high = (float(card.get(name, 0)) for name in ("x", "y", "width", "height"))
        assert y >= bottom  # no card lies over another one
        assert wide_ >= 300
        assert x >= 20
        assert x + wide_ <= width - 20 + 0.2
        bottom = y + high
    assert bottom < height


def test_what_is_in_a_plan_cannot_be_markup() -> None:
    evil = "<script>alert('x')</script> & ]]> \x00"
    svg = pair_svg(pair(side(scan(evil, detail=evil), evil), side(seek(evil, evil)), title=evil, findings=[evil]))
    assert "<script>" not in svg
    ElementTree.fromstring(svg)


def test_two_pictures_on_a_page_have_ids_of_their_own() -> None:
    ids = [
        set(re.findall(r' id="([^"]+)"', pair_svg(one))) for one in (PAIR, PAIR.model_copy(update={"id": "other[x]"}))
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_plan_that_was_not_executed_says_so() -> None:
    estimated = Node(operator="Seq Scan", access=Access.scan, object="client", estimated_rows=50)
    said = texts(plan_svg(plan(estimated, rows=None), "Expected only"))
    assert "not executed" in said
    assert "50 rows expected" in said
    assert not any("of its own" in one for one in said)


def test_the_tree_in_the_terminal() -> None:
    shown = rendered(plan_tree(BEFORE.plan, "before"))
    assert (
        "Seq Scan on client  [scan]  10 rows  90.0 ms of its own  2,000 pages  5,000 looked at  ◀ costs most" in shown
    )
    assert "▲ 10 expected, 50×" in rendered(plan_tree(AFTER.plan, "after"))
    whole = rendered(pair_renderable(PAIR))
    assert "✗ it is not so" in whole
    assert "before: without ix_client_place" in whole


def test_the_table_and_the_one_for_documents() -> None:
    other = pair(side(scan(), "a|b [x]"), side(scan()), id="two[promptads@postgresql-small]", name="two")
    table = rendered(pairs_table([PAIR, other]))
    assert "client: scan → seek" in table
    assert "40× faster" in table
    assert "not timed" in table
    lines = markdown_table([PAIR, other]).splitlines()
    assert len(lines) == 4
    assert all(line.count("|") == 6 for line in lines)
    assert "80.0 ms (72.0–88.0) → 2.00 ms (1.80–2.20), 40× faster" in lines[2]
