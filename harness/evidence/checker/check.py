"""The checker's door: a history in, a report out; no expectation is needed.

Kingsbury and Alvaro, *Elle: Inferring Isolation Anomalies from Experimental Observations*, VLDB 2020. Known limits:

- Only what was observed can be told. Values that two transactions wrote, and registers that nobody read, give no order.
- For registers the order of versions is what reads before writes tell, and the initial version: it is partial.
- Whether one of unknown end contradicts itself is not looked at, even if it was seen to commit.
- An increment that nobody saw is taken not to have left what a sure one left, too, unless an update was seen to be lost.
- A condition that a transaction reads twice and differently (internal) excludes repeatable read; Adya's PL-2.99 would allow
  it, as it does read skews over conditions.
- Update serializability is excluded for certain by cycles without readers; one with a single reader only if it is told.
  The same goes for causality: a longer way round by wr alone is not looked for where a shorter one has a ww.
- A count is of dependencies that close a cycle of that name, each once, and of transactions told together, once: there may
  be more ways round. A search that came to its limit says so in the notes, and its count is then a least one.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.errors import HarnessError
from harness.evidence.checker import bank, counter, list_append, rw_register
from harness.evidence.checker.classify import Group, classify
from harness.evidence.checker.cycles import Cycles
from harness.evidence.checker.graph import PROCESS, REALTIME, RW, VIA, WR, WW
from harness.evidence.checker.inference import Infer, Inference
from harness.evidence.checker.levels import excluded, possible, severity
from harness.evidence.checker.model import Found, Observed, Report, Status, Workload
from harness.evidence.checker.orders import add_process, add_realtime, precedes
from harness.evidence.checker.part import Part, part
from harness.evidence.checker.proof import of_cycle, of_lost, of_single
from harness.evidence.checker.search import components, large

INFER: dict[Workload, Infer] = {
    Workload.list_append: list_append.infer,
    Workload.rw_register: rw_register.infer,
    Workload.bank: bank.infer,
    Workload.counter: counter.infer,
}

MOST_MISSED = 1_000_000
"""So many writes that a transaction did not see are looked at for what it saw of the writer besides."""

PHANTOMS = frozenset({"G-single", "G-nonadjacent", "long-fork", "causality-violation", "fractured-read"})
"""What Adya's repeatable read allows if it lies on conditions; the last two are read skews, which are counted as such."""


class HistoryError(HarnessError):
    """A history cannot be checked: it is not what its workload's transactions look like."""

    exit_code = 2


def check(
    observed: Observed,
    *,
    process: bool = True,
    realtime: bool = False,
    examples: int = 8,
    now: Callable[[str], None] | None = None,
) -> Report:
    """Everything that a history shows.

    ``process``: sessions' own order counts, so that anomalies within sessions are found (``-process``); ``realtime``: so
    does what had ended before something else began (``-realtime``). Of each anomaly the ``examples`` smallest are told.
    ``now`` is told what is being done. Raises :class:`HistoryError`.
    """
    _validate(observed)
    with _collector_paused():
        return _check(observed, process, realtime, examples, now or (lambda _: None))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """The collector would look again and again at hundreds of thousands of lists, all of which are needed."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _check(observed: Observed, process: bool, realtime: bool, examples: int, tell: Callable[[str], None]) -> Report:
    tell("inferring dependencies")
    try:
        inference = INFER[observed.workload](observed, examples)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        where = f"{observed.source}: " if observed.source else ""
        raise HistoryError(f"{where}this is no {observed.workload} history: {error}") from None
    if process:
        add_process(inference.graph, observed, inference.present)
    if realtime:
        add_realtime(inference.graph, observed, inference.present)
    cycles = _cycles(observed, inference, process, realtime, examples, tell)
    tell("writing proofs")
    return _report(observed, inference, cycles, examples, process=process, realtime=realtime)


def _cycles(
    observed: Observed,
    inference: Inference,
    process: bool,
    realtime: bool,
    examples: int,
    tell: Callable[[str], None],
) -> Cycles:
    conditions = set(observed.predicates)
    numbers = (number for number, key in enumerate(inference.keys) if key in conditions)
    graph, transactions = inference.graph, observed.transactions

    def only_read(position: int) -> bool:
        return all(op.f == "r" for op in transactions[position].ops)

    cycles = Cycles(examples, frozenset(numbers), only_read)
    tell("looking for cycles")
    out: list[list[int]] = [[] for _ in range(graph.size)]
    for sources, targets in zip(graph.sources, graph.targets, strict=True):
        for source, target in zip(sources, targets, strict=True):
            out[source].append(target)
    if not any(large(components(out))):
        return cycles
    del out
    lost: Group = {}
    for number, one in enumerate(inference.lost):
        for position in one.transactions:
            lost.setdefault(position, set()).add(number)
    places = [one.place for one in inference.lost]

    def jump(order: int, source: int, target: int) -> bool:
        first, second = transactions[source], transactions[target]
        if order == PROCESS:
            return first.process == second.process and first.status is Status.ok and source < target
        return precedes(first, second)

    for orders in _variants(process, realtime):
        tell("naming cycles" + (" in the order of time" if orders else ""))
        classify(graph, lost, places, orders, cycles, jump)
    return cycles


def _variants(process: bool, realtime: bool) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = [()]
    if process:
        found.append((PROCESS,))
    if realtime:
        found.append((PROCESS, REALTIME) if process else (REALTIME,))
    return found


def _report(
    observed: Observed, inference: Inference, cycles: Cycles, examples: int, *, process: bool, realtime: bool
) -> Report:
    found: list[Found] = [of_single(single, observed) for single in inference.singles.kept]
    lost = sorted(inference.lost, key=lambda one: (len(one.transactions), one.transactions))
    found += [of_lost(one, inference, observed) for one in lost[:examples]]
    for name, kept in cycles.kept.items():
        found += [of_cycle(name, steps, inference, observed) for _, _, steps in kept]
    counts = {**inference.singles.counts, **cycles.counts}
    if lost:
        counts["lost-update"] = counts.get("lost-update", 0) + len(lost)
    names = sorted(counts, key=severity)
    found.sort(key=lambda one: severity(one.name))
    statuses = [transaction.status for transaction in observed.transactions]
    notes = list(inference.notes)
    facets = {*counts, *_facets(inference, cycles, notes)}
    conditions = (facets & PHANTOMS) - cycles.rows
    for name in cycles.limited:
        notes.append(f"the search for {name} came to its limit: there may be more than were counted")
    return Report(
        workload=observed.workload,
        source=observed.source,
        transactions=len(observed.transactions),
        operations=sum(len(transaction.ops) for transaction in observed.transactions),
        ok=statuses.count(Status.ok),
        failed=statuses.count(Status.fail),
        info=statuses.count(Status.info),
        edges=inference.graph.dependencies(),
        counts={name: counts[name] for name in names},
        found=found,
        excluded=excluded(facets, conditions),
        possible=possible(facets, conditions, process=process, realtime=realtime),
        notes=notes,
    )


def _facets(inference: Inference, cycles: Cycles, notes: list[str]) -> set[str]:
    """What cycles are besides, for the levels that they exclude; they are not counted by these names.

    A reader that saw one of a transaction's writes and missed another one had a fractured read; if it missed it in a read
    after the first one that showed it anything of that transaction, what it had observed vanished. A cycle in which at
    most one transaction only read is Adya's G-update; one of wr with one rw is what causal consistency forbids.
    """
    found = set(cycles.facets)
    whole = part(inference.graph, (WW, WR, RW)) if cycles.counts or inference.lost else None
    if whole is None:
        return found
    if _updates_alone(whole, cycles.only_read):
        found.add("G-update")
    for writer, reader, place in _missed(whole, notes):
        seen, missed = inference.sight(writer, reader, place)
        if seen >= 0 and missed >= 0:
            found.add("fractured-read")
            if seen < missed:
                found.add("observed-transaction-vanishes")
                break
    return found


def _updates_alone(whole: Part, only_read: Callable[[int], bool]) -> bool:
    """Whether there is a cycle with an rw in which every transaction wrote."""
    wrote = [node >= whole.transactions or not only_read(node) for node in whole.nodes]
    out = [
        [far for far in targets if wrote[far]] if wrote[near] else []
        for near, targets in enumerate(whole.merged((WW, WR, RW)))
    ]
    component = components(out)
    return any(component[near] == component[far] for near, far in whole.edges(RW))


def _missed(whole: Part, notes: list[str]) -> Iterator[tuple[int, int, int]]:
    """Whose writes transactions did not see in cycles of data: the writer, the reader, the number of the object."""
    left = MOST_MISSED
    for near, far in whole.edges(RW):
        targets = (far,) if whole.nodes[far] < whole.transactions else whole.out[VIA][far]
        for target in targets:
            for place in whole.places[RW][near * len(whole.nodes) + far]:
                if left == 0:
                    notes.append("too many writes were not seen: whether observed transactions vanished is not certain")
                    return
                left -= 1
                if target != near:
                    yield whole.nodes[target], whole.nodes[near], place


def _validate(observed: Observed) -> None:
    words = {
        Workload.list_append: ("append", "r"),
        Workload.rw_register: ("w", "r"),
        Workload.bank: ("w", "r"),
        Workload.counter: ("inc", "r"),
    }[observed.workload]
    for transaction in observed.transactions:
        for op in transaction.ops:
            if op.f not in words:
                where = f"{observed.source}: " if observed.source else ""
                raise HistoryError(
                    f"{where}{transaction.name} has the operation {op.f!r}; a {observed.workload} history has only"
                    f" {' and '.join(words)}"
                )
