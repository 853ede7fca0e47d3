"""SQL Server's plans: ShowPlanXML, actual (``SET STATISTICS XML ON``) or estimated.

Written from Microsoft's documentation and schema, https://schemas.microsoft.com/sqlserver/2004/07/showplan and
https://learn.microsoft.com/sql/t-sql/statements/set-statistics-xml-transact-sql; what its run-time counters mean, from
https://learn.microsoft.com/sql/relational-databases/showplan-logical-and-physical-operators-reference. Not run against a
SQL Server: the tests read documents in that schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from harness.errors import EngineError
from harness.plans.model import Access, Node, Plan

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")


def read_sqlserver(text: str) -> Plan:
    """Raises EngineError, or what a malformed one makes Python raise."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise EngineError("not a plan of sqlserver: ShowPlanXML declares no document type")
    try:
        document = ElementTree.fromstring(_DECLARATION.sub("", text))
    except ElementTree.ParseError as error:
        raise EngineError(f"not a plan of sqlserver: no XML: {error}") from None
    if _tag(document) != "ShowPlanXML":
        raise EngineError(f"not a plan of sqlserver: its element is {_tag(document)!r}, not 'ShowPlanXML'")
    plans = [element for element in document.iter() if _tag(element) == "QueryPlan"]
    roots = [relop for plan in plans for relop in _relops(plan)]
    if not roots:
        raise EngineError("not a plan of sqlserver: no operator in it (RelOp): a statement without a plan, such as SET")
    nodes = [_node(relop) for relop in roots]
    root = nodes[0] if len(nodes) == 1 else _batch(nodes)
    times = [found for plan in plans if (found := _child(plan, "QueryTimeStats")) is not None]
    analyzed = root.actual_rows is not None
    return Plan(
        engine="sqlserver",
        root=root,
        raw=text,
        format="xml",
        milliseconds=sum(float(one.get("ElapsedTime", 0)) for one in times) if times else root.milliseconds,
        planning_milliseconds=sum(float(plan.get("CompileTime", 0)) for plan in plans),
        rows=round(nodes[-1].actual_rows or 0) if analyzed else None,
        buffers=root.buffers,
        reads=root.reads,
        examined=sum(node.examined or 0 for node in root.walk()) if analyzed else None,
    )


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _child(element: Element, tag: str) -> Element | None:
    return next((child for child in element if _tag(child) == tag), None)


def _relops(element: Element) -> Iterator[Element]:
    """The nearest operators below an element: those below them are their children."""
    for child in element:
        if _tag(child) == "RelOp":
            yield child
        else:
            yield from _relops(child)


def _own(element: Element, tag: str) -> Iterator[Element]:
    """Elements below an operator that belong to itself, not to an operator below it."""
    for child in element:
        if _tag(child) == tag:
            yield child
        if _tag(child) != "RelOp":
            yield from _own(child, tag)


class _Counters:
    """What happened, of all threads. A row-mode operator's time is that of the slowest thread, its children included."""

    def __init__(self, relop: Element) -> None:
        runtime = _child(relop, "RunTimeInformation")
        self.threads = [] if runtime is None else [one for one in runtime if _tag(one) == "RunTimeCountersPerThread"]
        self.batch = any(one.get("ActualExecutionMode") == "Batch" for one in self.threads)

    def sum(self, name: str) -> float | None:
        """None: not said."""
        given = [float(one.get(name, 0)) for one in self.threads if name in one.attrib]
        return sum(given) if given else None

    def most(self, name: str) -> float | None:
        """Of the threads; None: not said."""
        given = [float(one.get(name, 0)) for one in self.threads if name in one.attrib]
        return max(given) if given else None


def _node(relop: Element) -> Node:
    counters = _Counters(relop)
    children = [_node(child) for child in _relops(relop)]
    physical = relop.get("PhysicalOp", "?")
    found = next(_own(relop, "Object"), None)
    lookup = any(one.get("Lookup") in ("true", "1") for one in _own(relop, "IndexScan"))
    access = _access(physical, lookup)
    again = float(relop.get("EstimateRebinds", 0)) + float(relop.get("EstimateRewinds", 0))
    inside = sum(child.milliseconds or 0.0 for child in children)
    elapsed = counters.most("ActualElapsedms")
    # In batch mode an operator's time is its own, in row mode its children's are in it.
    own = None if elapsed is None else elapsed if counters.batch else max(elapsed - inside, 0.0)
    total = None if elapsed is None else elapsed + inside if counters.batch else elapsed
    rows = counters.sum("ActualRows")
    examined = counters.sum("ActualRowsRead")
    reads_table = access is not Access.other
    return Node(
        operator="Key Lookup" if lookup else physical,
        access=access,
        object=_name(found, "Table"),
        index=_name(found, "Index"),
        detail=_detail(relop),
        estimated_rows=round(float(relop.get("EstimateRows", 0)) * (1 + again), 2),
        actual_rows=rows,
        loops=counters.sum("ActualExecutions") or (0 if counters.threads else 1),
        milliseconds=total,
        own_milliseconds=own,
        buffers=_with(counters.sum("ActualLogicalReads"), [child.buffers for child in children]),
        reads=_with(_both(counters, "ActualPhysicalReads", "ActualReadAheads"), [child.reads for child in children]),
        examined=round(examined if examined is not None else rows) if reads_table and rows is not None else None,
        children=children,
    )


def _both(counters: _Counters, *names: str) -> float | None:
    given = [value for name in names if (value := counters.sum(name)) is not None]
    return sum(given) if given else None


def _with(own: float | None, below: list[int | None]) -> int | None:
    """SQL Server counts an operator's pages alone; the model, with its children's."""
    given = [value for value in (own, *below) if value is not None]
    return round(sum(given)) if given else None


def _access(physical: str, lookup: bool) -> Access:
    if lookup or physical in ("RID Lookup", "Key Lookup"):
        return Access.lookup
    if physical in ("Table Scan", "Clustered Index Scan", "Columnstore Index Scan"):
        return Access.scan  # a clustered index is the table itself
    if physical == "Index Scan":
        return Access.index_scan
    return Access.seek if physical in ("Index Seek", "Clustered Index Seek") else Access.other


def _name(found: Element | None, attribute: str) -> str:
    """``[client]`` as ``client``."""
    given = "" if found is None else found.get(attribute, "")
    return given[1:-1].replace("]]", "]") if given.startswith("[") and given.endswith("]") else given


def _detail(relop: Element) -> str:
    parts = []
    logical, physical = relop.get("LogicalOp", ""), relop.get("PhysicalOp", "")
    if logical and logical != physical:
        parts.append(logical)
    for tag in ("SeekPredicates", "Predicate", "ProbeResidual", "BuildResidual"):
        for element in _own(relop, tag):
            texts = [one.get("ScalarString", "") for one in element.iter() if _tag(one) == "ScalarOperator"]
            if said := ", ".join(dict.fromkeys(text for text in texts if text)):
                parts.append(said if tag == "SeekPredicates" else f"{tag}: {said}")
    for element in _own(relop, "OrderByColumn"):
        column = next((one for one in element if _tag(one) == "ColumnReference"), None)
        if column is not None:
            parts.append(f"by {column.get('Column', '')}{'' if element.get('Ascending') in ('true', '1') else ' desc'}")
    if relop.get("Parallel") in ("true", "1"):
        parts.append("parallel")
    parts += [f"warning: {_tag(one)}" for warnings in _own(relop, "Warnings") for one in warnings]
    return " ".join("; ".join(parts).split())


def _batch(nodes: list[Node]) -> Node:
    """The statements of a batch, below one node."""

    def total(values: list[float | None]) -> float | None:
        given = [value for value in values if value is not None]
        return sum(given) if given else None

    buffers, reads = total([node.buffers for node in nodes]), total([node.reads for node in nodes])
    return Node(
        operator="Batch",
        actual_rows=nodes[-1].actual_rows,
        milliseconds=total([node.milliseconds for node in nodes]),
        own_milliseconds=0.0 if nodes[0].milliseconds is not None else None,
        buffers=None if buffers is None else round(buffers),
        reads=None if reads is None else round(reads),
        children=nodes,
    )
