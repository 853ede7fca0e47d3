"""An execution plan as one small tree, the same for every engine, and two of them side by side.

The engine's own plan is kept beside it, byte for byte (``Plan.raw``), for people who open it in pev2, SSMS or Compass.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from harness.history import Record


class Access(StrEnum):
    """How a node comes by its rows: what one looks at first when an index is in question."""

    scan = "scan"  # all of a table, heap or collection
    index_scan = "index scan"  # all of an index
    seek = "seek"  # the part of an index that the condition names
    lookup = "lookup"  # rows of the table, by what an index gave
    other = "other"  # a join, a sort, an aggregate, …


class Node(Record):
    """One operator. Rows are of all loops together; times are milliseconds, of all loops together too.

    None: the engine does not say.
    """

    operator: str = Field(description="in the engine's own words: Seq Scan, Clustered Index Seek, IXSCAN")
    access: Access = Access.other
    object: str = Field(default="", description="the table or collection that is read")
    index: str = ""
    detail: str = Field(default="", description="its condition, key or order, on one line")
    estimated_rows: float | None = None
    actual_rows: float | None = None
    loops: float = 1
    milliseconds: float | None = Field(default=None, description="with its children")
    own_milliseconds: float | None = Field(default=None, description="without its children")
    buffers: int | None = Field(default=None, description="pages touched, in memory or not, with its children")
    reads: int | None = Field(default=None, description="pages that came from disk, with its children")
    examined: int | None = Field(default=None, description="documents or rows looked at, by this node alone")
    keys: int | None = Field(default=None, description="index keys looked at, by this node alone")
    children: list[Node] = Field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        """This node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def misestimate(self) -> float | None:
        """How many times more, or fewer, rows came than were expected: 1 is right; None if it cannot be told.

        Both are taken as at least one row, as the planners themselves do.
        """
        if self.estimated_rows is None or self.actual_rows is None or not self.loops:
            return None
        expected, came = max(self.estimated_rows, 1.0), max(self.actual_rows, 1.0)
        return max(expected / came, came / expected)


class Plan(Record):
    """A plan that was really run. ``total`` numbers are those of the whole statement."""

    engine: str
    root: Node
    raw: str = Field(description="as the engine gave it")
    format: str = Field(description="json or xml: what raw is")
    milliseconds: float | None = Field(default=None, description="of this one execution, with all that measuring costs")
    planning_milliseconds: float | None = None
    rows: int | None = Field(default=None, description="that the statement gave back")
    buffers: int | None = None
    reads: int | None = None
    examined: int | None = None
    keys: int | None = None


class Timing(Record):
    """Warm executions of the statement itself, not of its plan. Milliseconds, as the client sees them."""

    runs: int
    median: float
    least: float
    most: float


class Side(Record):
    """The statement without, or with, the index."""

    index: str = Field(description="what was done for it: 'without ix_sale_status', 'CREATE INDEX …'; empty: as it is")
    plan: Plan
    timing: Timing | None = None


class PlanPair(Record):
    """The same statement on the same rows, before and after an index, and what that changed."""

    id: str = Field(description="clients_near[promptcrm@postgresql-standin-full]")
    name: str
    title: str = ""
    about: str = ""
    file: str = ""
    logical: str
    engine: str
    version: str = ""
    stand_in: str = Field(default="", description="the engine that it stands in for; empty if it is the real one")
    size: str = Field(default="", description="of the data: tiny, small, medium, full, or how many rows")
    statement: str = ""
    parameters: list[str] = Field(default_factory=list)
    before: Side
    after: Side
    findings: list[str] = Field(
        default_factory=list, description="scan → seek, rows and buffers, misestimates above 10×: one line each"
    )
    status: str = Field(default="passed", description="passed or failed")
    mismatches: list[str] = Field(
        default_factory=list, description="what was expected and is not so, also of the shape"
    )
    folder: str = Field(default="", description="below the run's folder: before.json, after.json, plans.svg")
