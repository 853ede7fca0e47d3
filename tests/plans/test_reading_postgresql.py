"""PostgreSQL's plans: own times, loops, workers, InitPlans, CTEs; on documents, and on what a server really gives."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from psycopg.types.string import TextLoader

from harness.errors import EngineError
from harness.plans.model import Access, Node, Plan
from harness.plans.reading import read_plan
from harness.suite import Suite


def node(kind: str, total: float | None = None, rows: float = 1, loops: float = 1, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"Node Type": kind, "Plan Rows": more.pop("expected", rows)}
    if total is not None:
        made |= {"Actual Total Time": total, "Actual Rows": rows, "Actual Loops": loops}
    return made | {name.replace("_", " "): value for name, value in more.items()}


def read(root: dict[str, Any], **whole: Any) -> Plan:
    return read_plan("postgresql", json.dumps([{"Plan": root, **{k.replace("_", " "): v for k, v in whole.items()}}]))


def named(plan: Plan, operator: str) -> Node:
    return next(one for one in plan.root.walk() if one.operator == operator)


def test_own_time_is_what_children_do_not_explain() -> None:
    plan = read(
        node("Sort", 10, 5, Plans=[node("Seq Scan", 7, 5, Relation_Name="client", Rows_Removed_by_Filter=95)]),
        Execution_Time=11.5,
        Planning_Time=0.5,
    )
    scan = named(plan, "Seq Scan")
    assert (plan.root.own_milliseconds, scan.own_milliseconds) == (3, 7)
    assert (plan.milliseconds, plan.planning_milliseconds, plan.rows) == (11.5, 0.5, 5)
    assert (scan.access, scan.object, scan.examined) == (Access.scan, "client", 100)
    assert plan.examined == 100


def test_loops_multiply_time_rows_and_what_was_expected() -> None:
    inner = node("Index Scan", 0.5, 2, 100, expected=1, Relation_Name="sale", Index_Name="ix", Index_Cond="(a = b)")
    plan = read(node("Nested Loop", 60, 200, Plans=[node("Seq Scan", 4, 100, Relation_Name="client"), inner]))
    scan = named(plan, "Index Scan")
    assert (scan.milliseconds, scan.actual_rows, scan.estimated_rows) == (50, 200, 100)
    assert scan.misestimate == 2
    assert plan.root.own_milliseconds == 6
    assert scan.access is Access.seek


def test_parallel_workers_do_not_make_time_longer_than_the_clock() -> None:
    worker = node("Seq Scan", 100, 1000, 3, Relation_Name="client", Parallel_Aware=True)
    plan = read(node("Gather", 110, 3000, Workers_Launched=2, Workers_Planned=2, Plans=[worker]))
    scan = named(plan, "Parallel Seq Scan")
    assert (scan.milliseconds, scan.actual_rows, scan.own_milliseconds) == (100, 3000, 100)
    assert plan.root.own_milliseconds == 10
    assert plan.root.detail == "2 of 2 workers"


def test_where_the_leader_takes_no_part_only_its_workers_count() -> None:
    worker = node("Seq Scan", 100, 1000, 2, Relation_Name="client", Parallel_Aware=True)
    plan = read(node("Gather", 110, 2000, Workers_Launched=2, Plans=[worker]))
    assert named(plan, "Parallel Seq Scan").milliseconds == 100


@pytest.mark.parametrize(
    ("name", "use"), [("InitPlan 1 (returns $0)", "(a > $0)"), ("InitPlan 1", "(a > (InitPlan 1).col1)")]
)
def test_an_init_plan_is_the_time_of_whoever_uses_it(name: str, use: str) -> None:
    plan = read(
        node("Sort", 100, Plans=[
            node("Aggregate", 60, Parent_Relationship="InitPlan", Subplan_Name=name),
            node("Seq Scan", 95, Relation_Name="t", Filter=use, Parent_Relationship="Outer"),
        ])
    )  # fmt: skip
    assert named(plan, "Seq Scan").own_milliseconds == 35
    assert plan.root.own_milliseconds == 5
    assert named(plan, "Aggregate").own_milliseconds == 60


def test_init_plan_ten_is_not_init_plan_one() -> None:
    plan = read(
        node("Sort", 100, Plans=[
            node("Aggregate", 10, Parent_Relationship="InitPlan", Subplan_Name="InitPlan 1"),
            node("Seq Scan", 80, Relation_Name="t", Filter="(a > (InitPlan 10).col1)", Parent_Relationship="Outer"),
        ])
    )  # fmt: skip
    assert named(plan, "Seq Scan").own_milliseconds == 80
    assert plan.root.own_milliseconds == 10


def test_a_cte_is_the_time_of_its_scans_the_first_one_before_the_others() -> None:
    plan = read(
        node("Hash Join", 100, Join_Type="Inner", Plans=[
            node("Seq Scan", 50, Relation_Name="t", Parent_Relationship="InitPlan", Subplan_Name="CTE revenue"),
            node("CTE Scan", 70, CTE_Name="revenue", Parent_Relationship="Outer"),
            node("CTE Scan", 5, CTE_Name="revenue", Parent_Relationship="Inner"),
        ])
    )  # fmt: skip
    first, second = (one for one in plan.root.walk() if one.operator == "CTE Scan")
    assert (first.own_milliseconds, second.own_milliseconds) == (20, 5)
    assert plan.root.own_milliseconds == 25


def test_a_sub_plan_is_the_time_of_the_node_that_it_hangs_below() -> None:
    sub = node("Index Scan", 0.1, 1, 100, Relation_Name="u", Parent_Relationship="SubPlan", Subplan_Name="SubPlan 1")
    plan = read(node("Seq Scan", 30, 100, Relation_Name="t", Plans=[sub]))
    assert plan.root.own_milliseconds == 20


def test_no_time_is_ever_negative() -> None:
    plan = read(node("Limit", 1, Plans=[node("Seq Scan", 1.2, Relation_Name="t")]))
    assert plan.root.own_milliseconds == 0


def test_a_bitmap_is_a_seek_and_a_lookup_of_one_table() -> None:
    index = node("Bitmap Index Scan", 1, 20, Index_Name="ix", Index_Cond="(a = 1)")
    heap = node("Bitmap Heap Scan", 5, 20, Relation_Name="client", Recheck_Cond="(a = 1)", Plans=[index],
                Rows_Removed_by_Index_Recheck=3)  # fmt: skip
    seek, lookup = named(read(heap), "Bitmap Index Scan"), read(heap).root
    assert (seek.object, seek.index, seek.access) == ("client", "ix", Access.seek)
    assert (lookup.access, lookup.examined, seek.examined) == (Access.lookup, 23, None)


def test_an_index_without_a_condition_is_read_whole_and_one_by_distance_is_not() -> None:
    assert read(node("Index Only Scan", Index_Name="ix", Relation_Name="t")).root.access is Access.index_scan
    nearest = node("Index Scan", Index_Name="ix", Relation_Name="t", Order_By="(v <=> '[1]'::vector)")
    assert read(nearest).root.access is Access.seek


def test_operators_are_called_as_explain_prints_them() -> None:
    made = [
        (node("Aggregate", Strategy="Hashed", Partial_Mode="Partial"), "Partial HashAggregate"),
        (node("Aggregate", Strategy="Sorted", Partial_Mode="Simple"), "GroupAggregate"),
        (node("Hash Join", Join_Type="Right"), "Hash Right Join"),
        (node("Hash Join", Join_Type="Inner"), "Hash Join"),
        (node("Nested Loop", Join_Type="Left"), "Nested Loop Left Join"),
        (node("ModifyTable", Operation="Update"), "Update"),
        (node("Index Scan", Scan_Direction="Backward", Index_Name="i"), "Index Scan Backward"),
    ]
    assert [read(said).root.operator for said, _ in made] == [name for _, name in made]


def test_without_analyze_nothing_is_actual() -> None:
    plan = read(node("Seq Scan", expected=50, Relation_Name="t"))
    assert (plan.root.estimated_rows, plan.root.actual_rows, plan.root.misestimate) == (50, None, None)
    assert (plan.milliseconds, plan.rows, plan.examined, plan.root.own_milliseconds) == (None, None, None, None)


def test_what_was_never_executed_is_no_misestimate() -> None:
    plan = read(node("Append", 1, Plans=[node("Seq Scan", 0, 0, 0, expected=5000, Relation_Name="t")]))
    assert named(plan, "Seq Scan").misestimate is None


def test_buffers_are_memory_and_disk() -> None:
    plan = read(node("Seq Scan", 1, Relation_Name="t", Shared_Hit_Blocks=7, Shared_Read_Blocks=3, Temp_Read_Blocks=2))
    assert (plan.buffers, plan.reads) == (10, 5)


def test_auto_explains_object_is_read_too() -> None:
    text = json.dumps({"Query Text": "SELECT 1", "Plan": node("Result", 0.5)})
    assert read_plan("postgresql", text).milliseconds == 0.5


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "[1]", '[{"Plan": 5}]', '[{"Plan": {}}]', '[{"Plan": {"Node Type": "Seq Scan", "Plans": 3}}]',
     '[{"Plan": {"Node Type": "Seq Scan", "Actual Rows": "x", "Actual Total Time": "y"}}]', "<ShowPlanXML/>", "null"],
)  # fmt: skip
def test_what_is_no_plan_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(EngineError, match="not a plan of postgresql") as caught:
        read_plan("postgresql", text)
    assert "\n" not in str(caught.value)


def test_an_engine_without_plans_is_named() -> None:
    with pytest.raises(EngineError, match="no plans are read of 'redis'"):
        read_plan("redis", "{}")


REAL = """
WITH s AS (SELECT g % 100 AS k, count(*) AS n FROM generate_series(1, 20000) AS g GROUP BY 1),
     m AS MATERIALIZED (SELECT avg(n) AS a FROM s)
SELECT s.k, (SELECT max(n) FROM s AS o WHERE o.k < s.k) FROM s JOIN m ON s.n >= m.a
WHERE s.n > (SELECT 0.0 * count(*) FROM generate_series(1, 1000)) ORDER BY 1
"""


def test_own_times_of_a_real_plan_add_up_to_the_whole(suite: Suite) -> None:
    made = suite.databases.make("promptsales", ())
    with psycopg.connect(made.url) as connection:
        connection.adapters.register_loader("json", TextLoader)
        row = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {REAL}".encode()).fetchone()
    suite.databases.drop(made)
    assert row is not None
    plan = read_plan("postgresql", row[0])
    own = [one.own_milliseconds for one in plan.root.walk()]
    assert all(time is not None and time >= 0 for time in own)
    total = sum(time for time in own if time is not None)
    assert plan.root.milliseconds is not None
    assert abs(total - plan.root.milliseconds) <= 0.05 * plan.root.milliseconds + 0.2  # rounding, times many loops
    assert plan.rows == 100
    assert plan.raw == row[0]
