"""Whether the reduction spared nothing that behaves differently: all interleavings are run, and each class must agree.

What is proved holds for this scenario on this server at this level: not in general, but by every one of its interleavings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.exploring.behaviour import differences
from harness.exploring.explore import Explored, Explorer
from harness.exploring.model import Counterexample, Order, Proof, Ran

CONFIRMATIONS = 3
"""Two schedules that differ are run so often again: if one of them differs from itself, it is not the reduction's fault."""


def prove(explorer: Explorer) -> Explored:
    """Run all that a reduced exploration has spared, and hold each against the one that stood for it.

    What is learned meanwhile is not used: it is the reduction as it was that is proved. Raises as ``Explorer.explore``; an
    interrupted proof is none.
    """
    reduction = explorer.reduction
    assert reduction is not None
    before = explorer.told().exploration
    spared = [order for order in explorer.all_orders() if order not in explorer.done]
    try:
        explorer.run(spared, "spared")
        proof = _proof(explorer, spared)
    except KeyboardInterrupt:
        explorer.interrupted = True
        proof = None
    after = explorer.told()
    kept = {"run": before.run, "planned": before.planned, "spared": before.spared} if proof is not None else {}
    exploration = after.exploration.model_copy(update={"proof": proof, **kept})
    return replace(after, exploration=exploration)


def _proof(explorer: Explorer, spared: Sequence[Order]) -> Proof:
    assert explorer.reduction is not None
    classes: dict[Order, list[Ran]] = {}
    for order, ran in explorer.done.items():
        classes.setdefault(explorer.reduction.class_of(order), []).append(ran)
    for group in classes.values():
        group.sort(key=lambda ran: ran.task.number)
        for ran in group[1:]:
            if ran.fingerprint != group[0].fingerprint:
                found = _counterexample(explorer, group[0], ran)
                return Proof(classes=len(classes), checked=len(spared), counterexample=found)
    return Proof(classes=len(classes), checked=len(spared))


def _counterexample(explorer: Explorer, first: Ran, second: Ran) -> Counterexample:
    return Counterexample(
        first=first.task.name,
        first_order=list(first.task.order),
        second=second.task.name,
        second_order=list(second.task.order),
        differences=differences(first.facts, second.facts),
        stable=all(_same_again(explorer, one) for one in (first, second)),
    )


def _same_again(explorer: Explorer, ran: Ran) -> bool:
    """Whether a schedule does the same each time."""
    again = explorer.runner.runs([ran.task] * CONFIRMATIONS, explorer.keeping)
    return all(one.fingerprint == ran.fingerprint for one in again)
