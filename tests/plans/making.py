"""Plans and pairs made by hand, for tests that need no server."""

from __future__ import annotations

from typing import Any

from harness.plans.model import Access, Node, Plan, PlanPair, Side, Timing


def scan(table: str = "client", rows: float = 10, **more: Any) -> Node:
    return Node(
        operator="Seq Scan", access=Access.scan, object=table, **({"estimated_rows": rows, "actual_rows": rows} | more)
    )


def seek(table: str = "client", index: str = "ix", rows: float = 10, **more: Any) -> Node:
    made = {"estimated_rows": rows, "actual_rows": rows} | more
    return Node(operator="Index Scan", access=Access.seek, object=table, index=index, **made)


def over(operator: str, *children: Node, **more: Any) -> Node:
    return Node(operator=operator, children=list(children), **({"estimated_rows": 10, "actual_rows": 10} | more))


def plan(root: Node, **more: Any) -> Plan:
    return Plan(**({"engine": "postgresql", "root": root, "raw": "[]", "format": "json", "rows": 10} | more))


def side(root: Node, index: str = "", median: float | None = None, **more: Any) -> Side:
    timing = None if median is None else Timing(runs=7, median=median, least=median * 0.9, most=median * 1.1)
    return Side(index=index, plan=plan(root, **more), timing=timing)


def pair(before: Side, after: Side, **more: Any) -> PlanPair:
    made: dict[str, Any] = {
        "id": "near[promptcrm@postgresql-standin-small]",
        "name": "near",
        "title": "Clients near a point",
        "logical": "promptcrm",
        "engine": "postgresql",
        "version": "PostgreSQL 18.6",
        "stand_in": "sqlserver",
        "size": "small",
        "before": before,
        "after": after,
    }
    return PlanPair(**(made | more))
