"""The direct serialization graph of a history: who depends on whom (Adya, *Weak Consistency*, 1999, section 3.1).

Nodes are committed transactions. ``ww``: the next version is the other's; ``wr``: it read the other's version;
``rw``: the other overwrote what it had read (an anti-dependency).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from harness.evidence.transactions import Op, Transaction


@dataclass(frozen=True, slots=True)
class Dependency:
    """An edge: ``source`` must come before ``target`` in any serial order that explains the history."""

    kind: str  # ww, wr, rw
    item: str
    source: Transaction
    target: Transaction
    first: Op  # the source's operation
    second: Op  # the target's
    predicate: bool = False


def version_order(committed: Sequence[Transaction]) -> dict[str, list[Op]]:
    """The versions of each item in order: each committed transaction's last write, by the time at which it was done.

    The engines here hold a written row until the transaction ends, so this is the order of commits too.
    """
    last: dict[tuple[str, int], Op] = {}
    for transaction in committed:
        for op in transaction.ops:
            if op.action == "w":
                last[op.item, id(transaction)] = op
    order: dict[str, list[Op]] = defaultdict(list)
    for (item, _), op in last.items():
        order[item].append(op)
    for versions in order.values():
        versions.sort(key=lambda op: op.seq)
    return order


def dependencies(committed: Sequence[Transaction]) -> Iterator[Dependency]:
    """All edges of the graph."""
    members = {id(transaction) for transaction in committed}
    order = version_order(committed)
    for item, versions in order.items():
        for one, other in pairwise(versions):
            if not (one.predicate or other.predicate):  # two rows in one set do not overwrite each other
                yield Dependency("ww", item, one.transaction, other.transaction, one, other)
    for transaction in committed:
        for read in transaction.ops:
            if read.action != "r" or read.version is None:
                continue
            writer = read.version.writer
            if writer is transaction:
                continue
            if writer is not None and id(writer) not in members:
                continue  # a dirty read: told apart, it has no place in the graph
            versions = order.get(read.item, [])
            if writer is not None and read.version.write is not None:
                yield Dependency("wr", read.item, writer, transaction, read.version.write, read, read.predicate)
            position = next((i for i, op in enumerate(versions) if op.transaction is writer), -1)
            # Whoever made the next version overwrote what was read; of a set, everyone whose row was not seen.
            unseen = versions[position + 1 :] if read.predicate else versions[position + 1 : position + 2]
            for op in unseen:
                if op.transaction is not transaction:
                    yield Dependency("rw", read.item, transaction, op.transaction, read, op, read.predicate)


def graph(edges: Sequence[Dependency]) -> nx.DiGraph[int]:
    """As a networkx graph: nodes are ``id(transaction)``, each edge holds its dependencies under ``all``."""
    made: nx.DiGraph[int] = nx.DiGraph()
    for edge in edges:
        source, target = id(edge.source), id(edge.target)
        if made.has_edge(source, target):
            made.edges[source, target]["all"].append(edge)
        else:
            made.add_edge(source, target, all=[edge])
    return made
