"""What came before what in time: within a session, and between sessions where one had ended before the other began.

Only a transaction that is known to have committed comes before others: one of unknown end may take effect at any later time.
Real time is an interval order; its transitive reduction needs, for each transaction, edges from the *frontier* only: what
completed before it began, and before nothing else that had completed by then. The frontier is as long as sessions are many,
so there are at most transactions times sessions edges.
"""

from __future__ import annotations

from harness.evidence.checker.graph import PROCESS, REALTIME, Graph
from harness.evidence.checker.inference import Reason, shown
from harness.evidence.checker.model import Key, Observed, Status, Transaction


def add_process(graph: Graph, observed: Observed, present: bytearray) -> None:
    """Each session's transactions, one after the other."""
    last: dict[Key, int] = {}
    sources, targets, places = graph.sources[PROCESS], graph.targets[PROCESS], graph.places[PROCESS]
    for position, transaction in enumerate(observed.transactions):
        if not present[position]:
            continue
        before = last.get(transaction.process)
        if before is not None:
            sources.append(before)
            targets.append(position)
            places.append(-1)
        if transaction.status is Status.ok:
            last[transaction.process] = position


def add_realtime(graph: Graph, observed: Observed, present: bytearray) -> None:
    """The transitive reduction of real-time order. Transactions whose completion nobody saw come before none."""
    transactions = observed.transactions
    events = [
        (transaction.invoked, 0, position) for position, transaction in enumerate(transactions) if present[position]
    ]
    events += [
        (transaction.completed, 1, position)
        for position, transaction in enumerate(transactions)
        if present[position] and transaction.completed is not None and transaction.status is Status.ok
    ]
    events.sort()  # at one place beginnings come first: what begins there does not come after what ends there
    sources, targets = graph.sources[REALTIME], graph.targets[REALTIME]
    frontier: dict[int, None] = {}
    seen: dict[int, tuple[int, ...]] = {}  # what each one under way comes after
    current: tuple[int, ...] | None = ()
    for _, ended, position in events:
        if ended:
            for before in seen.pop(position, ()):
                frontier.pop(before, None)
            frontier[position] = None
            current = None
        else:
            if current is None:
                current = tuple(frontier)
            seen[position] = current
            sources.extend(current)
            targets.extend([position] * len(current))
    graph.places[REALTIME] = [-1] * len(sources)


def precedes(first: Transaction, second: Transaction) -> bool:
    """Whether ``first`` had ended before ``second`` began."""
    return first.status is Status.ok and first.completed is not None and first.completed < second.invoked


def why_process(first: Transaction, second: Transaction) -> Reason:
    """The reason of a process edge, in words."""
    return Reason("", "", f"session {shown(first.process)} executed {first.name} before {second.name}")


def why_realtime(first: Transaction, second: Transaction) -> Reason:
    """The reason of a real-time edge, in words."""
    words = f"{first.name} completed at index {first.completed},"
    if first.ended is not None and second.began is not None:
        seconds = (second.began - first.ended) / 1e9
        words += f" {seconds:.3f} seconds" if seconds > 0 else " just"
    return Reason("", "", f"{words} before the invocation of {second.name}, at index {second.invoked}")
