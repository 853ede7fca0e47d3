"""What changed between two plans of one statement, in words: how tables are read, rows, pages, sorts, joins, estimates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from harness.plans.model import Access, Node, Plan, Side, Timing

MISESTIMATE = 10.0
"""Times that rows may differ from what was expected before it is told."""

MOST_TOLD = 3
"""Misestimates of one plan that are told, the worst first."""

_ORDER = (Access.scan, Access.index_scan, Access.seek, Access.lookup)
_STOPS = ("Limit", "Top", "LIMIT", "$limit")
_GATHERS_ALL = ("Sort", "SORT", "$sort", "$group", "Aggregate", "HashAggregate", "Hash", "GROUP", "Top N Sort")


def access_of(plan: Plan, table: str) -> Access | None:
    """How a plan reads a table: the worst of its ways, if it reads it more than once; None if it does not.

    Rows that are looked up by what an index gave count as that index's: a seek with its lookup is a seek.
    """
    found = {node.access for node in plan.root.walk() if node.object == table and node.access is not Access.other}
    return next((access for access in _ORDER if access in found), None)


def tables_of(plan: Plan) -> list[str]:
    """The tables or collections that a plan reads, in the order of its tree."""
    return list(dict.fromkeys(n.object for n in plan.root.walk() if n.object and n.access is not Access.other))


def indexes_of(plan: Plan, table: str = "") -> list[str]:
    """The indexes that a plan uses, of one table or of all."""
    nodes = (node for node in plan.root.walk() if not table or node.object == table)
    return list(dict.fromkeys(node.index for node in nodes if node.index))


def sorts_of(plan: Plan) -> int:
    """How many of its operators sort."""
    return sum(is_sort(node) for node in plan.root.walk())


def is_sort(node: Node) -> bool:
    """Whether an operator sorts: ``Sort``, ``Incremental Sort``, ``SORT``, ``$sort``."""
    return node.operator.rpartition(" ")[2].lower().lstrip("$") == "sort"


def misestimates(plan: Plan, most: int | None = None) -> list[Node]:
    """The nodes whose rows were more than ten times as many, or as few, as was expected; the worst first.

    A node that was stopped because a limit above it had enough rows was not wrong when it gave fewer.
    """
    found: dict[tuple[str, str], Node] = {}
    for node, stopped in _with_stops(plan.root, stopped=False):
        factor = node.misestimate
        if (
            factor is None
            or factor <= MISESTIMATE
            or (stopped and (node.actual_rows or 0) < (node.estimated_rows or 0))
        ):
            continue
        # One wrong estimate goes up the tree: of nodes that say the same only the lowest one, which is told last, is kept.
        found[f"{node.estimated_rows:.0f}", f"{node.actual_rows:.0f}"] = node
    worst = sorted(found.values(), key=lambda node: -(node.misestimate or 0))
    return worst[:most]


def _with_stops(node: Node, *, stopped: bool) -> Iterator[tuple[Node, bool]]:
    yield node, stopped
    below = (stopped or node.operator in _STOPS) and node.operator not in _GATHERS_ALL
    for child in node.children:
        yield from _with_stops(child, stopped=below)


def costly(plan: Plan) -> Node:
    """The node that stands out: most of its own time; else most documents or rows looked at; else most rows."""

    def weight(node: Node) -> tuple[float, float, float]:
        return node.own_milliseconds or 0.0, float(node.examined or 0), node.actual_rows or node.estimated_rows or 0.0

    return max(plan.root.walk(), key=weight)


# -- words


def findings(before: Side, after: Side) -> list[str]:
    """What the index changed, a line each; that nothing changed is said too."""
    old, new = before.plan, after.plan
    made = [*accesses(old, new), *_sorts(old, new), *_joins(old, new)]
    if not made and shape_of(old) == shape_of(new):
        made.append("the plan stayed the same: the index makes no difference to it")
    made += _counts(old, new)
    if before.timing and after.timing:
        made.append(_time(before.timing, after.timing))
    for name, plan in (("before", old), ("after", new)):
        made += [f"{name}: {misestimate_text(node)}" for node in misestimates(plan, MOST_TOLD)]
    return made


def shape_of(plan: Plan) -> list[tuple[str, str, str]]:
    """Operators, objects and indexes, from the root on."""
    return [(node.operator, node.object, node.index) for node in plan.root.walk()]


def accesses(old: Plan, new: Plan) -> Iterator[str]:
    """How tables are read that were read otherwise before, a line for each: ``client: scan → seek (ix_client_place)``."""
    for table in dict.fromkeys([*tables_of(old), *tables_of(new)]):
        was, now = access_of(old, table), access_of(new, table)
        used = [name for name in indexes_of(new, table) if name not in indexes_of(old, table)]
        by = f" ({', '.join(used)})" if used else ""
        if was is not now:
            yield f"{table}: {was.value if was else 'not read'} → {now.value if now else 'not read'}{by}"
        elif used:
            yield f"{table}: {now.value if now else ''} by another index{by}"


def _sorts(old: Plan, new: Plan) -> Iterator[str]:
    was, now = sorts_of(old), sorts_of(new)
    if was and not now:
        yield "the sort is gone: the index gives the rows in order" if was == 1 else f"{was} sorts are gone"
    elif now > was:
        yield "a sort has come" if now - was == 1 else f"{now - was} sorts have come"
    elif now < was:
        yield f"{was} sorts → {now}"


def _joins(old: Plan, new: Plan) -> Iterator[str]:
    def joins(plan: Plan) -> Counter[str]:
        words = ("Nested Loop", "Hash Join", "Merge Join", "Hash Match", "Nested Loops")
        return Counter(n.operator for n in plan.root.walk() if any(n.operator.endswith(word) for word in words))

    gone, come = joins(old) - joins(new), joins(new) - joins(old)
    if gone and come:
        yield f"join: {', '.join(sorted(gone))} → {', '.join(sorted(come))}"


def _counts(old: Plan, new: Plan) -> Iterator[str]:
    pages = "pages touched"
    looked = "documents examined" if old.engine == "mongodb" else "rows looked at"
    for what, was, now in (
        (looked, old.examined, new.examined),
        ("index keys examined", old.keys, new.keys),
        (pages, old.buffers, new.buffers),
    ):
        if was is not None and now is not None:
            yield f"{what}: {count(was)} → {count(now)}{ratio(was, now)}"


def _time(was: Timing, now: Timing) -> str:
    said = f"time: {milliseconds(was.median)} → {milliseconds(now.median)}"
    few = "median of " + (f"{was.runs}" if was.runs == now.runs else f"{was.runs} and {now.runs}") + " warm runs"
    apart = "; the runs overlap" if overlap(was, now) else ""
    return f"{said}{ratio(was.median, now.median, 'faster', 'slower')} ({few}{apart})"


def overlap(was: Timing, now: Timing) -> bool:
    """Whether some runs of one side took as long as some of the other: then the medians say little."""
    return not (was.least > now.most or now.least > was.most)


def misestimate_text(node: Node) -> str:
    """``Seq Scan on client: 10 rows expected, 50,000 came (5,000×)``."""
    where = node.operator + (f" on {node.object}" if node.object else "") + (f" by {node.index}" if node.index else "")
    expected, came = node.estimated_rows or 0, node.actual_rows or 0
    return f"{where}: {count(expected)} rows expected, {count(came)} came ({factor(node.misestimate or 1)})"


def ratio(was: float, now: float, less: str = "fewer", more: str = "more") -> str:
    """``, 38× fewer``; nothing if there is little between them."""
    if was == now or min(was, now) < 0:
        return ", the same" if was == now else ""
    times = max(was, 0.001) / max(now, 0.001) if was > now else max(now, 0.001) / max(was, 0.001)
    if times < 1.05:
        return ", about the same"
    if min(was, now) == 0:
        return ""
    return f", {factor(times)} {less if was > now else more}"


def factor(times: float) -> str:
    """``2.4×``, ``38×``, ``5,000×``."""
    return f"{times:.1f}×" if times < 10 else f"{times:,.0f}×"


def count(value: float) -> str:
    """``12,345``."""
    return f"{value:,.0f}"


def milliseconds(value: float) -> str:
    """With as many digits as say something: ``0.042 ms``, ``1.3 ms``, ``355 ms``, ``1,066 ms``."""
    if value >= 100:
        return f"{value:,.0f} ms"
    return f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms" if value >= 0.1 else f"{value:.3f} ms"
