"""The dependencies of a history as plain numbers: there are hundreds of thousands, so records are made only of those told.

A node is a transaction's position in the history. Nodes from ``transactions`` on are *hubs*: where every one of many readers
comes before every one of many writers, the edges go through one, ``reader -> hub -> writer``, so that their number is the
sum and not the product. A hub's edges out (:data:`VIA`) have no meaning of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

WW: Final = 0
WR: Final = 1
RW: Final = 2
PROCESS: Final = 3
REALTIME: Final = 4
VIA: Final = 5

NAMES: Final = ("ww", "wr", "rw", "process", "realtime", "via")
"""What the kinds are called in an :class:`~harness.evidence.checker.model.Edge`."""

MOST_PRODUCT: Final = 64
"""So many edges between readers and writers are made one by one; more go through a hub."""


class Graph:
    """Edges by kind, as three lists side by side: sources, targets, and the number of the object they lie on."""

    __slots__ = ("counts", "places", "size", "sources", "targets", "transactions")

    def __init__(self, transactions: int) -> None:
        self.transactions = transactions
        self.size = transactions  # with the hubs
        self.sources: list[list[int]] = [[] for _ in NAMES]
        self.targets: list[list[int]] = [[] for _ in NAMES]
        self.places: list[list[int]] = [[] for _ in NAMES]
        self.counts = [0] * len(NAMES)  # how many dependencies hubs stand for besides, by kind

    def add(self, kind: int, source: int, target: int, place: int = -1) -> None:
        """An edge on the object with the number ``place``; -1 if it lies on none."""
        self.sources[kind].append(source)
        self.targets[kind].append(target)
        self.places[kind].append(place)

    def every(self, kind: int, sources: Sequence[int], targets: Sequence[int], place: int) -> None:
        """An edge from every source to every target that is another one."""
        if len(sources) * len(targets) <= MOST_PRODUCT:
            for source in sources:
                for target in targets:
                    if source != target:
                        self.add(kind, source, target, place)
            return
        members = set(targets)
        pure = [source for source in sources if source not in members]
        both = [source for source in sources if source in members]
        if pure:
            hub = self.size
            self.size += 1
            for source in pure:
                self.add(kind, source, hub, place)
            for target in targets:
                self.add(VIA, hub, target, place)
            self.counts[kind] += len(pure) * (len(targets) - 1)
        # One that is on both sides would come before itself through a hub. Two of them are an anomaly already.
        for source in both:
            for target in targets[:MOST_PRODUCT]:
                if source != target:
                    self.add(kind, source, target, place)

    def dependencies(self) -> dict[str, int]:
        """How many there are, by the name of their kind."""
        found = {name: len(self.sources[kind]) + self.counts[kind] for kind, name in enumerate(NAMES) if kind != VIA}
        return {name: count for name, count in found.items() if count}
