"""PostgreSQL's plans: ``EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)`` and what auto_explain logs as JSON.

https://www.postgresql.org/docs/current/using-explain.html. Of what is measured in each loop PostgreSQL gives the mean:
it is multiplied by the loops. Below a Gather the loops of several processes go on at once: their time is divided by the
processes, so that times stay those of a clock on the wall. The time of an InitPlan or a CTE is part of whichever node
asked for it first, not of the node that it hangs below.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from harness.errors import EngineError
from harness.plans.model import Access, Node, Plan

_CONDITIONS = (
    "Index Cond", "Recheck Cond", "Order By", "Hash Cond", "Merge Cond", "Join Filter", "TID Cond", "One-Time Filter",
    "Filter", "Sort Key", "Group Key", "Cache Key", "Window", "Run Condition",
)  # fmt: skip
_JOINS = ("Nested Loop", "Hash Join", "Merge Join")


def read_postgresql(text: str) -> Plan:
    """Raises EngineError, or what a malformed one makes Python raise."""
    given = json.loads(text)
    whole = given[0] if isinstance(given, list) and given else given
    if not isinstance(whole, dict) or "Plan" not in whole:
        raise EngineError("not a plan of postgresql: EXPLAIN (FORMAT JSON) gives a list with one 'Plan' in it")
    made = _Made(whole["Plan"], processes=1.0)
    own = _own_times(made)
    root = _node(made, own)
    analyzed = made.milliseconds is not None
    sums = [node for node in root.walk() if node.examined is not None]
    return Plan(
        engine="postgresql",
        root=root,
        raw=text,
        format="json",
        milliseconds=_number(whole.get("Execution Time"), root.milliseconds),
        planning_milliseconds=_number(whole.get("Planning Time"), None),
        rows=None if not analyzed or root.actual_rows is None else round(root.actual_rows),
        buffers=root.buffers,
        reads=root.reads,
        examined=sum(node.examined or 0 for node in sums) if analyzed else None,
    )


@dataclass(eq=False, slots=True)
class _Made:
    """A node as PostgreSQL tells it, with its children and its time on the wall."""

    said: dict[str, Any]
    processes: float
    children: list[_Made] = field(init=False)
    loops: float = field(init=False)
    milliseconds: float | None = field(init=False)

    def __post_init__(self) -> None:
        said = self.said
        self.loops = float(said.get("Actual Loops", 1))
        mean = said.get("Actual Total Time")
        self.milliseconds = None if mean is None else float(mean) * self.loops / self.processes
        self.children = []
        for child in said.get("Plans", ()):
            beside = child.get("Parent Relationship") in ("InitPlan", "SubPlan")
            processes = self.processes
            if said["Node Type"] in ("Gather", "Gather Merge") and not beside and self.loops:
                # As many as ran it: the leader may have taken part or not.
                processes *= max(float(child.get("Actual Loops", 1)) / self.loops, 1.0)
            self.children.append(_Made(child, processes))

    @property
    def asked_for_later(self) -> bool:
        """Whether its time is part of another node's than the one it hangs below."""
        return str(self.said.get("Parent Relationship")) == "InitPlan"

    def walk(self) -> list[_Made]:
        """It and all below, parents first."""
        return [self, *(node for child in self.children for node in child.walk())]


def _own_times(root: _Made) -> dict[int, float]:
    """Each node's own time by the id of it. Never negative: rounding and parallel workers may make sums differ a little."""
    own: dict[int, float] = {}
    for node in root.walk():
        if node.milliseconds is not None:
            inside = sum(child.milliseconds or 0.0 for child in node.children if not child.asked_for_later)
            own[id(node)] = max(node.milliseconds - inside, 0.0)
    for node in root.walk():
        for child in node.children:
            if child.asked_for_later and child.milliseconds is not None:
                left = child.milliseconds
                for asker in [*_askers(node, child), node]:
                    taken = min(left, own.get(id(asker), 0.0))
                    own[id(asker)] = own.get(id(asker), 0.0) - taken
                    left -= taken
    return own


def _askers(parent: _Made, plan: _Made) -> list[_Made]:
    """The nodes that may have asked for an InitPlan's or a CTE's rows, in the order of the tree."""
    name = str(plan.said.get("Subplan Name", ""))
    inside = {id(node) for node in plan.walk()}
    others = [node for node in parent.walk() if id(node) not in inside]
    if name.startswith("CTE "):
        return [node for node in others if node.said.get("CTE Name") == name.removeprefix("CTE ")]
    # "InitPlan 1 (returns $0)" before PostgreSQL 17, then "InitPlan 1" and "(InitPlan 1).col1" where it is used.
    marks = [re.escape(mark) + r"\b" for mark in re.findall(r"\$\d+", name)] + [re.escape(name.split(" (")[0]) + r"\b"]
    pattern = re.compile("|".join(marks))
    return [node for node in others if any(pattern.search(text) for text in _texts(node.said)) and node is not parent]


def _texts(said: dict[str, Any]) -> list[str]:
    made = []
    for name, value in said.items():
        if name in ("Plans", "Subplan Name"):
            continue
        made += [value] if isinstance(value, str) else [one for one in value if isinstance(one, str)] if isinstance(
            value, list
        ) else []  # fmt: skip
    return made


def _node(made: _Made, own: dict[int, float], table: str = "") -> Node:
    said, loops = made.said, made.loops
    actual = said.get("Actual Rows")
    access = _access(said)
    name = str(said.get("Relation Name") or said.get("CTE Name") or said.get("Function Name") or table)
    bitmap = str(said["Node Type"]).startswith("Bitmap Heap") or (
        table and said["Node Type"] in ("BitmapAnd", "BitmapOr")
    )
    return Node(
        operator=_operator(said),
        access=access,
        object=name,
        index=str(said.get("Index Name", "")),
        detail=_detail(said),
        estimated_rows=_times(said.get("Plan Rows"), loops or 1),
        actual_rows=_times(actual, loops),
        loops=loops,
        milliseconds=_round(made.milliseconds),
        own_milliseconds=_round(own.get(id(made))),
        buffers=_pages(said, "Shared Hit Blocks", "Shared Read Blocks", "Local Hit Blocks", "Local Read Blocks"),
        reads=_pages(said, "Shared Read Blocks", "Local Read Blocks", "Temp Read Blocks"),
        examined=_examined(said, access, loops) if actual is not None else None,
        children=[_node(child, own, name if bitmap else "") for child in made.children],
    )


def _operator(said: dict[str, Any]) -> str:
    """As ``EXPLAIN`` prints it: ``Parallel Seq Scan``, ``Hash Right Join``, ``HashAggregate``, ``Update``."""
    kind = str(said["Node Type"])
    if kind in _JOINS:
        kind = kind.removesuffix(" Join")
        join = said.get("Join Type", "Inner")
        kind = {"Nested Loop": "Nested Loop"}.get(kind, f"{kind} Join") if join == "Inner" else f"{kind} {join} Join"
    elif kind == "Aggregate":
        kind = {"Hashed": "HashAggregate", "Sorted": "GroupAggregate", "Mixed": "MixedAggregate"}.get(
            said.get("Strategy", ""), "Aggregate"
        )
        if said.get("Partial Mode", "Simple") != "Simple":
            kind = f"{said['Partial Mode']} {kind}"
    elif kind == "ModifyTable":
        kind = str(said.get("Operation", kind))
    elif kind in ("SetOp", "Foreign Scan"):
        kind = f"{kind} {said.get('Command', '') or said.get('Operation', '')}".strip()
    if said.get("Scan Direction") == "Backward":
        kind += " Backward"
    return f"Parallel {kind}" if said.get("Parallel Aware") and not kind.startswith("Gather") else kind


def _access(said: dict[str, Any]) -> Access:
    kind = said["Node Type"]
    if kind in ("Seq Scan", "Sample Scan"):
        return Access.scan
    if kind in ("Index Scan", "Index Only Scan", "Bitmap Index Scan"):
        # "Order By" is a nearest-neighbour search: the index gives the nearest first, and is left when there are enough.
        return Access.seek if said.get("Index Cond") or said.get("Order By") else Access.index_scan
    if kind == "Bitmap Heap Scan":
        return Access.lookup
    return Access.seek if kind in ("Tid Scan", "Tid Range Scan") else Access.other


def _examined(said: dict[str, Any], access: Access, loops: float) -> int | None:
    """The rows that a scan of a table looked at, those that it threw away included."""
    if access is Access.other or said["Node Type"] == "Bitmap Index Scan":
        return None
    removed = [said.get(name, 0) for name in ("Rows Removed by Filter", "Rows Removed by Index Recheck")]
    return round((float(said["Actual Rows"]) + sum(map(float, removed))) * loops)


def _detail(said: dict[str, Any]) -> str:
    parts = []
    if name := said.get("Subplan Name"):
        parts.append(str(name))
    for name in _CONDITIONS:
        if value := said.get(name):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            parts.append(text if name in ("Index Cond", "Hash Cond", "Merge Cond") else f"{name}: {text}")
    if said.get("Sort Space Type") == "Disk":
        parts.append(f"sorted on disk, {said.get('Sort Space Used')} kB")
    if said.get("Disk Usage"):
        parts.append(f"spilled to disk, {said['Disk Usage']} kB")
    if "Workers Launched" in said:
        parts.append(f"{said['Workers Launched']} of {said.get('Workers Planned', '?')} workers")
    if said.get("Heap Fetches"):
        parts.append(f"{said['Heap Fetches']} heap fetches")
    return " ".join("; ".join(parts).split())


def _pages(said: dict[str, Any], *names: str) -> int | None:
    counts = [said[name] for name in names if name in said]
    return sum(map(int, counts)) if counts else None


def _times(value: Any, loops: float) -> float | None:
    return None if value is None else round(float(value) * loops, 2)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _number(value: Any, otherwise: float | None) -> float | None:
    return otherwise if value is None else float(value)
