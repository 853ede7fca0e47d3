"""An anomaly as a person reads it, in Elle's words: Let …, Then …, However …: a contradiction."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.checker.cycles import Step
from harness.evidence.checker.graph import NAMES, PROCESS, REALTIME, RW
from harness.evidence.checker.inference import Inference, Lost, Single, line
from harness.evidence.checker.levels import title
from harness.evidence.checker.model import Edge, Found, Observed
from harness.evidence.checker.orders import why_process, why_realtime

MOST_SHOWN = 12
"""So many transactions are shown of an anomaly that many have part in."""


def of_cycle(name: str, steps: Sequence[Step], inference: Inference, observed: Observed) -> Found:
    """An anomaly that is a cycle."""
    edges = [edge(step, inference, observed) for step in steps]
    lines = [f"T{one.source} < T{one.target}, because {one.because}" for one in edges]
    return _found(name, [step.source for step in steps], lines, observed, edges)


def of_lost(lost: Lost, inference: Inference, observed: Observed) -> Found:
    """A lost update: of those who read one version and wrote, the first two are the cycle."""
    first, second = lost.transactions[:2]
    steps = [Step(first, second, RW, (lost.place,)), Step(second, first, RW, (lost.place,))]
    edges = [edge(step, inference, observed) for step in steps]
    names = [observed.transactions[position].name for position in lost.transactions]
    lines = [f"T{one.source} < T{one.target}, because {one.because}" for one in edges]
    found = _found("lost-update", lost.transactions, lines, observed, edges)
    if len(names) > 2:
        found.proof.append(f"  - The same goes for {', '.join(names[2 : 2 + MOST_SHOWN])}.")
    return found


def of_single(single: Single, observed: Observed) -> Found:
    """An anomaly that needs no cycle."""
    return _found(single.name, single.transactions, single.proof, observed, [])


def edge(step: Step, inference: Inference, observed: Observed) -> Edge:
    """A cycle's edge with its reason."""
    first, second = (observed.transactions[position] for position in (step.source, step.target))
    key = None
    if step.kind == PROCESS:
        why = why_process(first, second)
    elif step.kind == REALTIME:
        why = why_realtime(first, second)
    else:
        key = inference.keys[step.places[0]]
        why = inference.why(step.kind, step.source, step.target, step.places[0])
    return Edge(
        kind=NAMES[step.kind],
        source=first.index,
        target=second.index,
        key=key,
        before=why.before,
        after=why.after,
        predicate=key in observed.predicates,
        because=why.because,
    )


def _found(name: str, positions: Sequence[int], reasons: Sequence[str], observed: Observed, edges: list[Edge]) -> Found:
    transactions = [observed.transactions[position] for position in positions]
    lines = [line(transaction) for transaction in transactions[:MOST_SHOWN]]
    *first, last = reasons
    return Found(
        name=name,
        title=title(name),
        transactions=[transaction.index for transaction in transactions],
        cycle=edges,
        proof=[
            "Let:",
            *(f"  {one}" for one in lines),
            "Then:",
            *(f"  - {reason}." for reason in first),
            f"  - However, {last}: a contradiction!",
        ],
        shown=lines,
    )
