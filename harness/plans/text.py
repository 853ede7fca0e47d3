"""Pairs for a terminal and for documents: one table of all, a tree for each plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from harness.plans.compare import (
    accesses,
    costly,
    count,
    factor,
    milliseconds,
    misestimates,
    overlap,
    ratio,
)
from harness.plans.model import Access, Node, Plan, PlanPair, Side

_HEADS = ("pair", "how it is read", "time", "rows looked at", "pages")


def pair_row(pair: PlanPair) -> list[str]:
    """What a table tells of a pair: how the table is read, time, rows or documents examined, pages; before → after."""
    old, new = pair.before, pair.after
    return [
        pair.id,
        reading_text(old.plan, new.plan),
        _times(old, new),
        _change(old.plan.examined, new.plan.examined),
        _change(old.plan.buffers, new.plan.buffers) if old.plan.buffers is not None else "–",
    ]


def reading_text(old: Plan, new: Plan) -> str:
    """``client: scan → seek (ix_client_place)`` for the tables that are read otherwise than before."""
    return "; ".join(accesses(old, new)) or "the same"


def _times(old: Side, new: Side) -> str:
    if old.timing is None or new.timing is None:
        return "not timed"
    was, now = old.timing.median, new.timing.median
    return f"{milliseconds(was)} → {milliseconds(now)}{ratio(was, now, 'faster', 'slower')}"


def _change(was: int | None, now: int | None) -> str:
    return "–" if was is None or now is None else f"{count(was)} → {count(now)}{ratio(was, now)}"


def pairs_table(pairs: Sequence[PlanPair]) -> Table:
    """All pairs of a run."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    table.add_column("")
    for head in _HEADS:
        table.add_column(head, overflow="fold")
    for pair in pairs:
        passed = pair.status == "passed"
        mark = Text("✓" if passed else "✗", style="green" if passed else "bold red")
        name, *cells = pair_row(pair)
        where = name[len(pair.name) + 1 : -1]
        table.add_row(mark, f"{escape(pair.name)}\n[dim]{escape(where)}[/]", *(_two_lines(cell) for cell in cells))
    return table


def _two_lines(cell: str) -> str:
    """The change on one line, how much that is on the next."""
    change, comma, much = cell.rpartition(", ")
    return f"{escape(change)}\n{escape(much)}" if comma else escape(cell).replace(" (", "\n(")


def markdown_table(pairs: Iterable[PlanPair]) -> str:
    """The same for a document, a line for each pair; least and most of the times too."""
    lines = ["| pair | how it is read | time, median (least–most) | rows or documents looked at | pages |",
             "|---|---|---|---|---|"]  # fmt: skip
    for pair in pairs:
        cells = pair_row(pair)
        if pair.before.timing and pair.after.timing:
            was, now = pair.before.timing, pair.after.timing
            much = ratio(was.median, now.median, "faster", "slower") + (
                ", but runs overlap" if overlap(was, now) else ""
            )
            cells[2] = f"{_spread(pair.before)} → {_spread(pair.after)}{much}"
        cells[0] = f"`{pair.name}`<br>{pair.id[len(pair.name) + 1 : -1]}"
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _spread(side: Side) -> str:
    assert side.timing is not None
    timing = side.timing
    return f"{milliseconds(timing.median)} ({milliseconds(timing.least)[:-3]}–{milliseconds(timing.most)[:-3]})"


def pair_renderable(pair: PlanPair) -> RenderableType:
    """Everything of a pair: both trees, what changed, what was expected and is not so."""
    head = Text(f"{pair.id}  {pair.title}", style="bold")
    parts: list[RenderableType] = [
        head,
        Text(pair.version + (f", a stand-in for {pair.stand_in}" if pair.stand_in else "")),
    ]
    for name, side in (("before", pair.before), ("after", pair.after)):
        parts += ["", plan_tree(side.plan, f"{name}: {side.index or 'as it is'}")]
    parts += ["", *(Text(f"• {line}") for line in pair.findings)]
    parts += [Text(f"✗ {line}", style="red") for line in pair.mismatches]
    return Group(*parts)


def plan_tree(plan: Plan, title: str) -> Tree:
    """A plan as a tree: the costly node is marked ◀, a wrong estimate ▲."""
    top = costly(plan)
    wrong = {id(node) for node in misestimates(plan)}
    tree = Tree(Text(title, style="bold"), guide_style="dim")

    def add(parent: Tree, node: Node) -> None:
        branch = parent.add(_line(node, stands_out=node is top, wrong=id(node) in wrong))
        for child in node.children:
            add(branch, child)

    add(tree, plan.root)
    return tree


def _line(node: Node, *, stands_out: bool, wrong: bool) -> Text:
    line = Text()
    line.append(node.operator, style="bold" if stands_out else "")
    if node.object:
        line.append(f" on {node.object}", style="cyan")
    if node.index:
        line.append(f" by {node.index}", style="cyan")
    if node.access is not Access.other:
        line.append(f"  [{node.access.value}]", style="red" if node.access is Access.scan else "green")
    if node.actual_rows is not None:
        line.append(f"  {count(node.actual_rows)} rows")
    elif node.estimated_rows is not None:
        line.append(f"  {count(node.estimated_rows)} rows expected")
    if node.own_milliseconds is not None:
        line.append(f"  {milliseconds(node.own_milliseconds)} of its own", style="dim")
    if node.buffers:
        line.append(f"  {count(node.buffers)} pages", style="dim")
    if node.examined is not None:
        line.append(f"  {count(node.examined)} looked at", style="dim")
    if wrong and node.estimated_rows is not None:
        line.append(f"  ▲ {count(node.estimated_rows)} expected, {factor(node.misestimate or 1)}", style="yellow")
    if stands_out:
        line.append("  ◀ costs most", style="bold red")
    return line
