"""MongoDB's plans: ``explain('executionStats')`` of a find, a write, an aggregation; of one server or of many shards.

Manual page followed: Explain Results. Three shapes: the classic engine's tree of stages, the slot-based engine's
(``queryPlan`` with stages numbered by ``planNodeId``, counters beside it), and an aggregation's ``stages`` with a
``$cursor`` in front. A stand-in may count for the whole statement only: then the counts stand at the only node that they
can be of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import EngineError
from harness.plans.model import Access, Node, Plan

_SEEKS = ("COUNT_SCAN", "DISTINCT_SCAN", "IDHACK", "EXPRESS_IXSCAN", "EXPRESS_CLUSTERED_IXSCAN", "TEXT_MATCH",
          "GEO_NEAR_2D", "GEO_NEAR_2DSPHERE", "CLUSTERED_IXSCAN")  # fmt: skip
_BELOW = ("inputStage", "inputStages", "outerStage", "innerStage", "thenStage", "elseStage", "shards")

_OWN_INDEX = re.compile(r"^(psh_plan_)[0-9a-z]+_")
"""An index that a bench has made: the run's id in its name says nothing of the plan."""

Said = Mapping[str, Any]


def read_mongodb(text: str) -> Plan:
    """Raises EngineError, or what a malformed one makes Python raise."""
    whole = json.loads(text)
    if not isinstance(whole, dict) or not ({"queryPlanner", "stages", "shards"} & whole.keys()):
        raise EngineError(
            "not a plan of mongodb: explain gives 'queryPlanner', or an aggregation's 'stages' or 'shards'"
        )
    root = _whole(whole)
    stats = list(_stats(whole))
    keys, examined = _sum(stats, "totalKeysExamined"), _sum(stats, "totalDocsExamined")
    if stats:
        root = _counted(root, keys, examined)
    # What the cursor in front of a pipeline gave is not what the pipeline gave.
    whole_rows = None if "stages" in whole or "shards" in whole else _sum(stats, "nReturned")
    rows = root.actual_rows if root.actual_rows is not None else whole_rows
    millis = [_integer(one["executionTimeMillis"]) for one in stats if "executionTimeMillis" in one]
    planning = _planner(whole).get("optimizationTimeMillis")
    return Plan(
        engine="mongodb",
        root=root,
        raw=text,
        format="json",
        milliseconds=float(max(millis)) if millis else None,
        planning_milliseconds=None if planning is None else float(_integer(planning)),
        rows=None if rows is None or not stats else round(rows),
        examined=examined,
        keys=keys,
    )


# -- the whole


def _whole(whole: Said) -> Node:
    if isinstance(shards := whole.get("shards"), Mapping):  # an aggregation over shards
        children = [_renamed(_whole(part), str(name)) for name, part in shards.items()]
        merge = f"merge on {whole['mergeType']}" if "mergeType" in whole else ""
        return Node(operator="SHARD_MERGE", detail=merge, actual_rows=_total(children), children=children)
    if isinstance(stages := whole.get("stages"), list):
        return _pipeline(stages)
    planner, stats = _planner(whole), whole.get("executionStats") or {}
    table = str(planner.get("namespace", "")).partition(".")[2]
    winning = planner["winningPlan"]
    executed = stats.get("executionStages")
    if "queryPlan" in winning:
        return _slot_based(winning["queryPlan"], executed, table)
    return _classic(_merged(winning, executed or {}), table)


def _pipeline(stages: list[Any]) -> Node:
    node: Node | None = None
    for stage in stages:
        name = next((key for key in stage if str(key).startswith("$")), "?")
        if name in ("$cursor", "$geoNearCursor"):
            node = _whole(stage[name])
            continue
        shown = (
            json.dumps(stage[name], ensure_ascii=False, default=str) if isinstance(stage[name], Mapping | list) else ""
        )
        rows, millis = _optional(stage, "nReturned"), _optional(stage, "executionTimeMillisEstimate")
        below = (node.milliseconds or 0.0) if node else 0.0
        node = Node(
            operator=name,
            detail=shown[:300],
            actual_rows=rows,
            milliseconds=millis,
            own_milliseconds=None if millis is None else max(millis - below, 0.0),
            children=[node] if node else [],
        )
    if node is None:
        raise EngineError("not a plan of mongodb: its 'stages' are empty")
    return node


def _planner(whole: Said) -> Said:
    if isinstance(planner := whole.get("queryPlanner"), Mapping):
        return planner
    for stage in whole.get("stages") or ():
        if isinstance(cursor := stage.get("$cursor"), Mapping):
            return _planner(cursor)
    return {}


def _stats(whole: Said) -> Iterator[Said]:
    """The counts of whole statements: one, or one of each shard."""
    if isinstance(shards := whole.get("shards"), Mapping):
        for part in shards.values():
            yield from _stats(part)
    elif isinstance(stats := whole.get("executionStats"), Mapping):
        yield stats
    else:
        for stage in whole.get("stages") or ():
            for name in ("$cursor", "$geoNearCursor"):
                if isinstance(cursor := stage.get(name), Mapping):
                    yield from _stats(cursor)


# -- the classic engine


def _size(stage: Said) -> int:
    return 1 + sum(_size(child) for child in _below(stage))


def _below(stage: Said) -> list[Said]:
    found: list[Said] = []
    for key in _BELOW:
        value = stage.get(key)
        found += [value] if isinstance(value, Mapping) else [one for one in value or () if isinstance(one, Mapping)]
    return found


def _merged(planned: Said, executed: Said) -> Said:
    """A stage as it was planned, with the counters of the execution; what only one of the two has stays as it is."""
    if not executed:
        return planned
    mine, theirs = _below(planned), _below(executed)
    if planned.get("stage") == executed.get("stage"):
        below = [_merged(child, theirs[at] if at < len(theirs) else {}) for at, child in enumerate(mine)]
        return _alone({**planned, **executed}) | {"inputStages": below + theirs[len(mine) :]}
    if _size(planned) > _size(executed):
        # A stage that was not counted by itself (SecantusDB's SORT): it gave what the statement gave.
        below = [_merged(child, {} if at else executed) for at, child in enumerate(mine)]
        return _alone(planned) | {"nReturned": executed.get("nReturned"), "inputStages": below}
    return executed


def _alone(stage: Said) -> dict[str, Any]:
    return {key: value for key, value in stage.items() if key not in _BELOW}


def _classic(stage: Said, table: str) -> Node:
    if "executionStages" in stage or ("winningPlan" in stage and "stage" not in stage):  # one shard's part
        planned, executed = stage.get("winningPlan") or {}, stage.get("executionStages") or {}
        if "queryPlan" in planned:
            node = _slot_based(planned["queryPlan"], executed, table)
        else:
            node = _classic(_merged(planned, executed) if planned else executed, table)
        return _renamed(node, str(stage.get("shardName", "")))
    name = str(stage["stage"])
    children = [_classic(child, table) for child in _below(stage)]
    millis = _optional(stage, "executionTimeMillisEstimate")
    if millis is None:
        millis = _optional(stage, "executionTimeMillis")
    inside = sum(child.milliseconds or 0.0 for child in children)
    access = _access(stage)
    return Node(
        operator=name,
        access=access,
        object=table if access is not Access.other else "",
        index=_OWN_INDEX.sub(r"\1", str(stage.get("indexName", "")))
        or ("_id_" if name in ("IDHACK", "EXPRESS_IXSCAN") else ""),
        detail=_detail(stage),
        estimated_rows=_optional(stage, "cardinalityEstimate"),
        actual_rows=_optional(stage, "nReturned"),
        milliseconds=millis,
        own_milliseconds=None if millis is None else max(millis - inside, 0.0),
        examined=_count(stage, "docsExamined"),
        keys=_count(stage, "keysExamined"),
        children=children,
    )


def _access(stage: Said) -> Access:
    name = str(stage["stage"])
    if name == "COLLSCAN":
        return Access.scan
    if name == "IXSCAN":
        bounds = stage.get("indexBounds") or {}
        whole = bool(bounds) and all(
            len(each) == 1 and each[0] in ("[MinKey, MaxKey]", "[MaxKey, MinKey]") for each in bounds.values()
        )
        return Access.index_scan if whole else Access.seek
    if name == "FETCH":
        return Access.lookup
    return Access.seek if name in _SEEKS else Access.other


def _detail(stage: Said) -> str:
    parts = []
    for key in ("keyPattern", "indexBounds", "filter", "sortPattern", "limitAmount", "skipAmount", "transformBy"):
        if key in stage:
            value = stage[key]
            text = (
                json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, Mapping | list) else str(value)
            )
            parts.append(f"{key}: {text}")
    if stage.get("usedDisk"):
        parts.append("used the disk")
    return " ".join("; ".join(parts).split())[:400]


# -- the slot-based engine


def _slot_based(planned: Said, executed: Any, table: str) -> Node:
    """The tree of ``queryPlan``; a node's counters are those of the topmost slot stage of its number."""
    counts: dict[int, list[Said]] = {}

    def collect(stage: Any) -> None:
        if isinstance(stage, Mapping):
            counts.setdefault(_integer(stage.get("planNodeId", -1)), []).append(stage)
            for child in _below(stage):
                collect(child)

    collect(executed)

    def node(stage: Said) -> Node:
        mine = counts.get(_integer(stage.get("planNodeId", -1)), [])
        top: Said = mine[0] if mine else {}
        reads = [one for one in mine if one.get("stage") in ("seek", "scan", "ixseek", "ixscan", "ixscan_generic")]
        keys = [one for one in reads if str(one["stage"]).startswith("ix")]
        documents = [one for one in reads if one not in keys]
        added = _alone(stage)
        for name in ("nReturned", "executionTimeMillisEstimate"):
            if name in top:
                added[name] = top[name]
        if keys:
            added["keysExamined"] = sum(_integer(one.get("numReads", 0)) for one in keys)
        if documents:
            added["docsExamined"] = sum(_integer(one.get("numReads", 0)) for one in documents)
        children = [node(child) for child in _below(stage)]
        made = _classic(added, table)
        inside = sum(child.milliseconds or 0.0 for child in children)
        own = None if made.milliseconds is None else max(made.milliseconds - inside, 0.0)
        return made.model_copy(update={"children": children, "own_milliseconds": own})

    return node(planned)


# -- counts


def _counted(root: Node, keys: int | None, examined: int | None) -> Node:
    """Counts of the whole statement put at the only node that they can be of, where no node has any."""
    nodes = list(root.walk())
    places: dict[str, tuple[int | None, list[Node]]] = {
        "keys": (keys, [node for node in nodes if node.access in (Access.seek, Access.index_scan)]),
        "examined": (examined, [node for node in nodes if node.access in (Access.scan, Access.lookup)]),
    }
    updates: dict[int, dict[str, int]] = {}
    for name, (count, candidates) in places.items():
        if count is not None and len(candidates) == 1 and all(getattr(node, name) is None for node in nodes):
            updates.setdefault(id(candidates[0]), {})[name] = count

    def copied(node: Node) -> Node:
        return node.model_copy(
            update={**updates.get(id(node), {}), "children": [copied(child) for child in node.children]}
        )

    return copied(root) if updates else root


def _renamed(node: Node, shard: str) -> Node:
    return (
        node.model_copy(update={"detail": "; ".join(filter(None, (f"shard {shard}", node.detail)))}) if shard else node
    )


def _total(children: list[Node]) -> float | None:
    given = [child.actual_rows for child in children if child.actual_rows is not None]
    return sum(given) if given else None


def _sum(stats: list[Said], name: str) -> int | None:
    given = [_integer(one[name]) for one in stats if name in one]
    return sum(given) if given else None


def _optional(said: Said, name: str) -> float | None:
    value = said.get(name)
    return None if value is None else float(_integer(value))


def _count(said: Said, name: str) -> int | None:
    return None if said.get(name) is None else round(_integer(said[name]))


def _integer(value: Any) -> Any:
    """A number, also as extended JSON writes it: ``{"$numberLong": "12"}``."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((key, inner),) = value.items()
        if str(key).startswith("$number"):
            return float(inner) if key in ("$numberDouble", "$numberDecimal") else int(inner)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a count is a number, not {value!r}")
    return value
