"""What each part needs for so many clients, users and cases, by the slopes that were measured; and where one node ends.

Pure: :func:`needs` makes the lines of measurements, :func:`judge` asks them. All beyond the measured range is extrapolation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.errors import DataError

Axis = Literal["clients", "users", "cases"]
AXES: tuple[Axis, ...] = ("clients", "users", "cases")


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is. A case is a scenario on a server, at a level, in a schedule."""

    clients: int = 500_000
    users: int = 1_000
    cases: int = 150

    def of(self, axis: Axis) -> int:
        """Of one kind."""
        return {"clients": self.clients, "users": self.users, "cases": self.cases}[axis]


HELD = Size()
"""The others, while one is asked how far it goes."""


@dataclass(frozen=True, slots=True)
class Need:
    """Of a part, for one resource: a line over clients, users and cases, and the most that one node gives."""

    part: str
    resource: str
    unit: str
    limit: float
    limit_from: str
    measured_by: str
    base: float = 0.0
    clients: float = 0.0  # for each
    users: float = 0.0
    cases: float = 0.0
    both: float = 0.0  # for each client and user
    off: float = 0.0  # how far measurements were from the line
    reach: Mapping[Axis, tuple[float, float]] = field(default_factory=dict)  # what was measured
    shared_out: bool = True  # two nodes carry twice as much

    def amount(self, size: Size) -> float:
        """What is needed; never below zero."""
        return max(self._line(size), 0.0)

    def _line(self, size: Size) -> float:
        linear = self.base + self.clients * size.clients + self.users * size.users + self.cases * size.cases
        return linear + self.both * size.clients * size.users

    def slope(self, axis: Axis, held: Size = HELD) -> float:
        """What one more of the axis adds."""
        if axis == "clients":
            return self.clients + self.both * held.users
        return self.users + self.both * held.clients if axis == "users" else self.cases

    def breaks(self, axis: Axis, held: Size = HELD) -> int | None:
        """How many of the axis one node carries, the others being as in ``held``; None: as many as one likes."""
        slope = self.slope(axis, held)
        if slope <= 0:
            return None
        rest = self._line(held) - slope * held.of(axis)
        return max(math.floor((self.limit - rest) / slope + 1e-9), 0)


@dataclass(frozen=True, slots=True)
class Judged:
    """A need at a size."""

    need: Need
    amount: float
    share: float  # of one node; 1 is where it breaks
    nodes: int  # that carry it; 0: no number of nodes does
    breaks: Mapping[Axis, int | None]
    extrapolated: tuple[Axis, ...]  # axes that it depends on, beyond what was measured


def judge(needs: Iterable[Need], size: Size) -> list[Judged]:
    """Each need at this size, those that are furthest over one node first. Raises DataError for a size that cannot be."""
    if size.clients < 1 or size.users < 0 or size.cases < 0:
        raise DataError(f"{size.clients:,} clients, {size.users:,} users, {size.cases:,} cases: there is no such size")
    made = []
    for need in needs:
        amount = need.amount(size)
        share = amount / need.limit
        nodes = 1 if share <= 1 else math.ceil(share - 1e-9) if need.shared_out else 0
        beyond = tuple(
            axis for axis in AXES if need.slope(axis) > 0 and size.of(axis) > need.reach.get(axis, (0.0, 0.0))[1]
        )
        made.append(Judged(need, amount, share, nodes, {axis: need.breaks(axis) for axis in AXES}, beyond))
    return sorted(made, key=lambda one: (-one.share, one.need.part, one.need.resource))


def first_breaks(needs: Sequence[Need], axis: Axis, held: Size = HELD) -> list[tuple[int, Need]]:
    """Of each part the resource that ends first along an axis, the earliest part first."""
    found: dict[str, tuple[int, Need]] = {}
    for need in needs:
        at = need.breaks(axis, held)
        if at is not None and (need.part not in found or at < found[need.part][0]):
            found[need.part] = (at, need)
    return sorted(found.values(), key=lambda one: (one[0], one[1].part))


def nodes_of(judged: Iterable[Judged]) -> dict[str, int]:
    """Nodes of each part: those of its neediest resource that nodes help with."""
    made: dict[str, int] = {}
    for one in judged:
        made[one.need.part] = max(made.get(one.need.part, 1), one.nodes)
    return made
