"""Strongly connected components and shortest paths over plain lists of neighbours.

Components are Tarjan's (*Depth-first search and linear graph algorithms*, SIAM J. Comput. 1972) without recursion; a
shortest path is looked for from both ends at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import heappop, heappush

Neighbours = Sequence[Sequence[int]]


class Budget:
    """How much a search may still look at: in a large component there is no end of cycles."""

    __slots__ = ("left", "spent")

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.spent = False  # something was left out


def components(out: Neighbours) -> list[int]:
    """The number of each node's strongly connected component; no edge leads to a component of a higher number."""
    size = len(out)
    index = [0] * size  # 0: not visited yet
    low = [0] * size
    found = [-1] * size
    stack: list[int] = []
    counter = number = 0
    for root in range(size):
        if index[root]:
            continue
        counter += 1
        index[root] = low[root] = counter
        stack.append(root)
        path = [root]
        ways = [iter(out[root])]
        while path:
            node = path[-1]
            for target in ways[-1]:
                if not index[target]:
                    counter += 1
                    index[target] = low[target] = counter
                    stack.append(target)
                    path.append(target)
                    ways.append(iter(out[target]))
                    break
                if found[target] < 0 and index[target] < low[node]:
                    low[node] = index[target]
            else:
                path.pop()
                ways.pop()
                if path and low[node] < low[path[-1]]:
                    low[path[-1]] = low[node]
                if low[node] == index[node]:
                    while True:
                        member = stack.pop()
                        found[member] = number
                        if member == node:
                            break
                    number += 1
    return found


def large(component: Sequence[int]) -> list[bool]:
    """For each component by its number whether it has more than one node. (No edge leads from a node to itself.)"""
    sizes = [0] * (max(component, default=-1) + 1)
    for number in component:
        sizes[number] += 1
    return [size > 1 for size in sizes]


def topological(out: Neighbours, component: Sequence[int]) -> list[int]:
    """A number for each node that never falls along an edge, near to the order of the nodes themselves.

    Nodes of one component have the same one. Kahn, *Topological sorting of large networks*, CACM 1962, the least node first.
    """
    count = max(component, default=-1) + 1
    incoming = [0] * count
    members: list[list[int]] = [[] for _ in range(count)]
    for node, number in enumerate(component):
        members[number].append(node)
        for target in out[node]:
            if component[target] != number:
                incoming[component[target]] += 1
    ready: list[tuple[int, int]] = []
    for number in range(count):
        if not incoming[number]:
            heappush(ready, (members[number][0], number))
    ranks = [0] * count
    rank = 0
    while ready:
        _, number = heappop(ready)
        ranks[number] = rank
        rank += 1
        for node in members[number]:
            for target in out[node]:
                other = component[target]
                if other != number:
                    incoming[other] -= 1
                    if not incoming[other]:
                        heappush(ready, (members[other][0], other))
    return [ranks[number] for number in component]


def reverse(out: Neighbours) -> list[list[int]]:
    """The same edges the other way round."""
    into: list[list[int]] = [[] for _ in out]
    for node, targets in enumerate(out):
        for target in targets:
            into[target].append(node)
    return into


def shortest(
    out: Neighbours,
    into: Neighbours,
    start: int,
    goal: int,
    budget: Budget,
    ranks: Sequence[int] | None = None,
    barred: Collection[int] = (),
) -> list[int] | None:
    """The nodes of a shortest path, both ends with it; None if there is none, or if the budget does not reach.

    ``ranks`` never fall along an edge: what lies outside of start's and goal's is not looked at. From the nodes that are
    ``barred`` no step leads to the goal.
    """
    if start == goal:
        return [start]
    first, last = (ranks[start], ranks[goal]) if ranks else (0, 0)
    if last < first:
        return None
    before: dict[int, int] = {start: -1}
    after: dict[int, int] = {goal: -1}
    front, back = [start], [goal]
    while front and back:
        ahead = len(front) <= len(back)
        edge, near, far, neighbours = (front, before, after, out) if ahead else (back, after, before, into)
        following: list[int] = []
        meeting = -1
        for node in edge:
            targets = neighbours[node]
            budget.left -= len(targets) + 1
            for target in targets:
                if target in near or (ranks and not first <= ranks[target] <= last):
                    continue
                if barred and (node in barred and target == goal if ahead else target in barred and node == goal):
                    continue
                near[target] = node
                if target in far:
                    meeting = target
                    break
                following.append(target)
            if meeting >= 0:
                break
        if meeting >= 0:
            return _joined(before, after, meeting)
        if budget.left < 0:
            budget.spent = True
            return None
        if ahead:
            front = following
        else:
            back = following
    return None


def _joined(before: dict[int, int], after: dict[int, int], meeting: int) -> list[int]:
    path = []
    node = meeting
    while node >= 0:
        path.append(node)
        node = before[node]
    path.reverse()
    node = after[meeting]
    while node >= 0:
        path.append(node)
        node = after[node]
    return path
