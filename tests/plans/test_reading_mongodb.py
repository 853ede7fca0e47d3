"""MongoDB's plans, on documents in the shapes of its manual page Explain Results, and as the stand-in gives them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.errors import EngineError
from harness.plans.model import Access, Node, Plan
from harness.plans.reading import read_plan


def read(document: dict[str, Any]) -> Plan:
    return read_plan("mongodb", json.dumps(document))


def explained(winning: dict[str, Any], executed: dict[str, Any] | None = None, **stats: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"queryPlanner": {"namespace": "shop.content", "winningPlan": winning}}
    if executed is not None:
        made["executionStats"] = {"executionSuccess": True, "executionStages": executed, **stats}
    return made


def named(plan: Plan, operator: str) -> Node:
    return next(one for one in plan.root.walk() if one.operator == operator)


INDEX = {
    "stage": "IXSCAN",
    "indexName": "hashtags",
    "keyPattern": {"hashtags": 1},
    "indexBounds": {"hashtags": ['["#a", "#a"]']},
}
CLASSIC = explained(
    {"stage": "SORT", "inputStage": {"stage": "FETCH", "inputStage": INDEX}},
    {
        "stage": "SORT", "nReturned": 6, "executionTimeMillisEstimate": 9, "sortPattern": {"n": 1},
        "inputStage": {
            "stage": "FETCH", "nReturned": 6, "executionTimeMillisEstimate": 7, "docsExamined": 6,
            "inputStage": INDEX | {"nReturned": 6, "executionTimeMillisEstimate": 2, "keysExamined": 7},
        },
    },
    nReturned=6, executionTimeMillis=11, totalKeysExamined=7, totalDocsExamined=6,
)  # fmt: skip


def test_the_classic_engines_tree() -> None:
    plan = read(CLASSIC)
    assert [node.operator for node in plan.root.walk()] == ["SORT", "FETCH", "IXSCAN"]
    assert [node.own_milliseconds for node in plan.root.walk()] == [2, 5, 2]
    fetch, index = named(plan, "FETCH"), named(plan, "IXSCAN")
    assert (fetch.access, fetch.object, fetch.examined) == (Access.lookup, "content", 6)
    assert (index.access, index.index, index.keys) == (Access.seek, "hashtags", 7)
    assert (plan.milliseconds, plan.rows, plan.keys, plan.examined) == (11, 6, 7, 6)


def test_an_index_between_its_ends_is_read_whole() -> None:
    whole = INDEX | {"indexBounds": {"a": ["[MinKey, MaxKey]"], "b": ["[MaxKey, MinKey]"]}}
    assert read(explained(whole)).root.access is Access.index_scan
    part = INDEX | {"indexBounds": {"a": ["[1, 1]"], "b": ["[MinKey, MaxKey]"]}}
    assert read(explained(part)).root.access is Access.seek


def test_the_stand_in_counts_for_the_statement_and_leaves_stages_out() -> None:
    plan = read(
        explained(
            {"stage": "SORT", "inputStage": {"stage": "FETCH", "inputStage": INDEX}},
            {"stage": "FETCH", "nReturned": 34, "inputStage": {"stage": "IXSCAN", "nReturned": 34}},
            nReturned=34, executionTimeMillis=0, totalKeysExamined=34, totalDocsExamined=35,
        )
    )  # fmt: skip
    assert [node.operator for node in plan.root.walk()] == ["SORT", "FETCH", "IXSCAN"]
    assert [node.actual_rows for node in plan.root.walk()] == [34, 34, 34]
    assert (named(plan, "IXSCAN").index, named(plan, "IXSCAN").keys, named(plan, "FETCH").examined) == (
        "hashtags",
        34,
        35,
    )


def test_counts_stand_nowhere_where_they_can_be_of_several_nodes() -> None:
    both = {"stage": "OR", "inputStages": [INDEX, INDEX | {"indexName": "other"}]}
    plan = read(explained(both, {"stage": "OR", "nReturned": 1}, totalKeysExamined=9, totalDocsExamined=0, nReturned=1))
    assert [node.keys for node in plan.root.walk()] == [None, None, None]
    assert plan.keys == 9


def test_the_slot_based_engines_counters_go_to_the_stages_of_their_number() -> None:
    planned = {"stage": "FETCH", "planNodeId": 2, "inputStage": INDEX | {"planNodeId": 1}}
    executed = {
        "stage": "nlj", "planNodeId": 2, "nReturned": 5, "executionTimeMillisEstimate": 8,
        "outerStage": {"stage": "cfilter", "planNodeId": 1, "nReturned": 6, "executionTimeMillisEstimate": 3,
                       "inputStage": {"stage": "ixseek", "planNodeId": 1, "nReturned": 6, "numReads": 7}},
        "innerStage": {"stage": "limit", "planNodeId": 2, "nReturned": 5,
                       "inputStage": {"stage": "seek", "planNodeId": 2, "nReturned": 5, "numReads": 6}},
    }  # fmt: skip
    document = explained({"queryPlan": planned, "slotBasedPlan": {"stages": "…"}}, executed,
                         nReturned=5, totalKeysExamined=7, totalDocsExamined=6, executionTimeMillis=9)  # fmt: skip
    plan = read(document | {"explainVersion": "2"})
    fetch, index = named(plan, "FETCH"), named(plan, "IXSCAN")
    assert (fetch.actual_rows, fetch.examined, fetch.own_milliseconds) == (5, 6, 5)
    assert (index.actual_rows, index.keys, index.milliseconds) == (6, 7, 3)


def test_an_aggregation_is_a_pipeline_over_its_cursor() -> None:
    stages = [
        {"$cursor": CLASSIC, "nReturned": {"$numberLong": "6"}, "executionTimeMillisEstimate": {"$numberLong": "9"}},
        {"$group": {"_id": "$theme"}, "nReturned": {"$numberLong": "2"}, "executionTimeMillisEstimate": 12},
    ]
    plan = read({"stages": stages})
    assert [node.operator for node in plan.root.walk()] == ["$group", "SORT", "FETCH", "IXSCAN"]
    assert (plan.root.actual_rows, plan.root.own_milliseconds) == (2, 3)
    assert (plan.examined, plan.keys, plan.rows) == (6, 7, 2)


def test_shards_stand_side_by_side() -> None:
    shard = {
        "shardName": "rs1",
        "nReturned": 3,
        "executionStages": {"stage": "COLLSCAN", "nReturned": 3, "docsExamined": 50},
    }
    document = explained(
        {"stage": "SHARD_MERGE", "shards": [{"shardName": "rs1", "winningPlan": {"stage": "COLLSCAN"}},
                                            {"shardName": "rs2", "winningPlan": {"stage": "COLLSCAN"}}]},
        {"stage": "SHARD_MERGE", "nReturned": 6, "executionTimeMillis": 4,
         "shards": [shard, shard | {"shardName": "rs2"}]},
        nReturned=6, executionTimeMillis=4, totalKeysExamined=0, totalDocsExamined=100,
    )  # fmt: skip
    plan = read(document)
    assert (plan.root.operator, plan.rows, plan.examined) == ("SHARD_MERGE", 6, 100)
    assert [(one.operator, one.detail, one.examined) for one in plan.root.children] == [
        ("COLLSCAN", "shard rs1", 50),
        ("COLLSCAN", "shard rs2", 50),
    ]


def test_an_aggregation_over_shards() -> None:
    plan = read(
        {"mergeType": "mongos", "shards": {"rs1": CLASSIC, "rs2": {"stages": [{"$cursor": CLASSIC}, {"$limit": 1}]}}}
    )
    assert (plan.root.operator, plan.root.detail, plan.examined, plan.keys) == (
        "SHARD_MERGE",
        "merge on mongos",
        12,
        14,
    )
    assert plan.root.children[0].detail.startswith("shard rs1")


def test_what_was_not_executed_has_nothing_actual() -> None:
    plan = read(explained({"stage": "COLLSCAN", "filter": {"a": 1}}))
    assert (plan.rows, plan.examined, plan.root.actual_rows) == (None, None, None)
    assert plan.root.detail == 'filter: {"a": 1}'


def test_an_index_of_a_bench_loses_the_runs_id() -> None:
    assert read(explained(INDEX | {"indexName": "psh_plan_20261128a1_by_tag"})).root.index == "psh_plan_by_tag"


@pytest.mark.parametrize(
    "document",
    [{}, {"queryPlanner": {}}, {"stages": []}, {"queryPlanner": {"winningPlan": {}}}, {"shards": 5},
     {"queryPlanner": {"winningPlan": {"stage": "COLLSCAN", "docsExamined": "many"}}}],
)  # fmt: skip
def test_what_is_no_plan_is_an_error_of_one_line(document: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="not a plan of mongodb") as caught:
        read(document)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[", "7", '"x"'])
def test_neither_is_any_text(text: str) -> None:
    with pytest.raises(EngineError, match="not a plan of mongodb"):
        read_plan("mongodb", text)


def test_what_the_cursor_of_a_pipeline_gave_is_not_what_the_pipeline_gave() -> None:
    assert read({"stages": [{"$cursor": CLASSIC}, {"$group": {"_id": None}}]}).rows is None
