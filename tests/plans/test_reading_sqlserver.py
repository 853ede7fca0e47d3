"""SQL Server's plans, on documents written by hand in Microsoft's schema: no SQL Server has run here."""

from __future__ import annotations

import pytest

from harness.errors import EngineError
from harness.plans.model import Access, Node, Plan
from harness.plans.reading import read_plan

NAMESPACE = "http://schemas.microsoft.com/sqlserver/2004/07/showplan"


def showplan(relop: str, more: str = "") -> str:
    return (
        f'<ShowPlanXML xmlns="{NAMESPACE}" Version="1.564" Build="16.0.1000.6"><BatchSequence><Batch><Statements>'
        '<StmtSimple StatementText="SELECT 1" StatementType="SELECT"><QueryPlan DegreeOfParallelism="1" CompileTime="3">'
        f"{more}{relop}</QueryPlan></StmtSimple></Statements></Batch></BatchSequence></ShowPlanXML>"
    )


def counters(rows: int, elapsed: int, **more: object) -> str:
    extra = "".join(f' {name}="{value}"' for name, value in more.items())
    return (
        f'<RunTimeInformation><RunTimeCountersPerThread Thread="0" ActualRows="{rows}" ActualEndOfScans="1"'
        f' ActualExecutions="{more.pop("executions", 1)}" ActualElapsedms="{elapsed}"{extra} /></RunTimeInformation>'
    )


def seek(inside: str = "", *, lookup: bool = False, rebinds: int = 0) -> str:
    mark = ' Lookup="true"' if lookup else ""
    return (
        f'<RelOp NodeId="3" PhysicalOp="Clustered Index Seek" LogicalOp="Clustered Index Seek" EstimateRows="1"'
        f' EstimateRebinds="{rebinds}" EstimateRewinds="0">{inside}<IndexScan Ordered="true"{mark}>'
        '<Object Database="[crm]" Schema="[dbo]" Table="[client]" Index="[pk_client]" IndexKind="Clustered" />'
        '<SeekPredicates><SeekPredicateNew><SeekKeys><Prefix ScanType="EQ"><RangeExpressions>'
        '<ScalarOperator ScalarString="[crm].[dbo].[client].[id]" /></RangeExpressions></Prefix></SeekKeys>'
        "</SeekPredicateNew></SeekPredicates></IndexScan></RelOp>"
    )


JOIN = showplan(
    '<RelOp NodeId="0" PhysicalOp="Nested Loops" LogicalOp="Inner Join" EstimateRows="5" EstimateRebinds="0"'
    f' EstimateRewinds="0" Parallel="0">{counters(40, 12)}<NestedLoops Optimized="0">'
    '<RelOp NodeId="1" PhysicalOp="Index Seek" LogicalOp="Index Seek" EstimateRows="4" EstimateRebinds="0"'
    f' EstimateRewinds="0">{counters(40, 2, ActualRowsRead=40, ActualLogicalReads=3)}<IndexScan Ordered="1">'
    '<Object Table="[client]" Index="[ix_client_city_id]" IndexKind="NonClustered" /></IndexScan></RelOp>'
    + seek(counters(40, 8, ActualRowsRead=40, ActualLogicalReads=120, ActualPhysicalReads=2, executions=40),
           lookup=True, rebinds=3)
    + "</NestedLoops></RelOp>",
    '<QueryTimeStats CpuTime="11" ElapsedTime="14" />',
)  # fmt: skip


def read(text: str) -> Plan:
    return read_plan("sqlserver", text)


def named(plan: Plan, operator: str) -> Node:
    return next(one for one in plan.root.walk() if one.operator == operator)


def test_operators_objects_and_times() -> None:
    plan = read(JOIN)
    join, lookup = plan.root, named(plan, "Key Lookup")
    assert (join.operator, join.detail, join.own_milliseconds) == ("Nested Loops", "Inner Join", 2)
    assert (lookup.object, lookup.index, lookup.access) == ("client", "pk_client", Access.lookup)
    assert "[crm].[dbo].[client].[id]" in lookup.detail
    assert (plan.milliseconds, plan.planning_milliseconds, plan.rows, plan.format) == (14, 3, 40, "xml")
    assert [node.operator for node in plan.root.walk()] == ["Nested Loops", "Index Seek", "Key Lookup"]


def test_pages_are_those_of_the_children_too_and_estimates_those_of_all_executions() -> None:
    plan = read(JOIN)
    assert (plan.buffers, plan.reads, plan.examined) == (123, 2, 80)
    lookup = named(plan, "Key Lookup")
    assert (lookup.estimated_rows, lookup.actual_rows, lookup.loops) == (4, 40, 40)
    assert lookup.misestimate == 10


def test_threads_add_their_rows_and_the_slowest_is_the_time() -> None:
    threads = "".join(
        f'<RunTimeCountersPerThread Thread="{number}" ActualRows="{rows}" ActualExecutions="1" ActualElapsedms="{time}" />'
        for number, (rows, time) in enumerate([(0, 0), (300, 20), (200, 30)])
    )
    scan = (
        '<RelOp PhysicalOp="Clustered Index Scan" LogicalOp="Clustered Index Scan" EstimateRows="500" EstimateRebinds="0"'
        f' EstimateRewinds="0" Parallel="1"><RunTimeInformation>{threads}</RunTimeInformation><IndexScan>'
        '<Object Table="[sale]" Index="[pk_sale]" /><Predicate><ScalarOperator ScalarString="[total]&gt;(5)" /></Predicate>'
        "</IndexScan></RelOp>"
    )
    node = read(showplan(scan)).root
    assert (node.actual_rows, node.milliseconds, node.access) == (500, 30, Access.scan)
    assert node.detail == "Predicate: [total]>(5); parallel"


def test_batch_mode_counts_an_operators_own_time() -> None:
    child = (
        '<RelOp PhysicalOp="Columnstore Index Scan" EstimateRows="9" EstimateRebinds="0" EstimateRewinds="0">'
        + counters(9, 30, ActualExecutionMode="Batch")
        + "</RelOp>"
    )
    plan = read(showplan(
        '<RelOp PhysicalOp="Hash Match" LogicalOp="Aggregate" EstimateRows="9" EstimateRebinds="0" EstimateRewinds="0">'
        + counters(9, 5, ActualExecutionMode="Batch") + f"<Hash>{child}</Hash></RelOp>"
    ))  # fmt: skip
    assert (plan.root.own_milliseconds, plan.root.milliseconds) == (5, 35)


def test_an_estimated_plan_has_nothing_actual() -> None:
    plan = read(showplan(seek()))
    assert (plan.rows, plan.root.actual_rows, plan.milliseconds, plan.examined) == (None, None, None, None)
    assert plan.root.estimated_rows == 1


def test_two_statements_stand_below_a_batch() -> None:
    one = showplan(seek(counters(1, 2, ActualLogicalReads=3)))
    two = one.replace("</Statements>", one[one.index("<StmtSimple") : one.index("</Statements>")] + "</Statements>")
    plan = read(two)
    assert (plan.root.operator, len(plan.root.children), plan.buffers) == ("Batch", 2, 6)


def test_a_declaration_and_utf_16_said_in_it_are_no_matter() -> None:
    assert read('<?xml version="1.0" encoding="utf-16"?>\n' + JOIN).rows == 40


def test_names_lose_their_brackets_and_doubled_ones_are_one() -> None:
    plan = read(showplan(seek().replace("[client]", "[odd]]name]", 1)))
    assert plan.root.object == "odd]name"


def test_warnings_are_told() -> None:
    text = showplan(
        seek().replace("<IndexScan", '<Warnings NoJoinPredicate="1"><SpillToTempDb /></Warnings><IndexScan', 1)
    )
    assert "warning: SpillToTempDb" in read(text).root.detail


@pytest.mark.parametrize(
    "text",
    ["", "<", "{}", "<Other/>", "<ShowPlanXML/>", showplan(""), '<!DOCTYPE a [<!ENTITY b "c">]>' + JOIN,
     JOIN.replace('EstimateRows="5"', 'EstimateRows="many"')],
)  # fmt: skip
def test_what_is_no_plan_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(EngineError, match="not a plan of sqlserver") as caught:
        read(text)
    assert "\n" not in str(caught.value)
