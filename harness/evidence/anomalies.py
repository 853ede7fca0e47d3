"""Which phenomena a history shows, each with the operations that prove it and the proof in words.

Nothing is guessed: a read whose version cannot be told (two writes of the same value) proves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import networkx as nx

from harness.evidence.graph import Dependency, dependencies, graph, version_order
from harness.evidence.model import Anomaly
from harness.evidence.transactions import INITIAL, Op, Transaction, Version, transactions
from harness.history import History
from harness.vocabulary import ADYA, Phenomenon

MOST_TRANSACTIONS = 64
"""Cycles are looked for in histories up to this size; a free run of hundreds is judged by its lost updates."""


def find(history: History) -> list[Anomaly]:
    """All anomalies of a history, the most basic first; each pair of sessions once per phenomenon and item."""
    made = transactions(history)
    committed = [transaction for transaction in made if transaction.committed]
    found = [*_dirty_writes(made), *_dirty_reads(made), *_lost_updates(committed)]
    if len(committed) <= MOST_TRANSACTIONS:
        found += _cycles(committed, found)
    return found


def reads(history: History) -> list[str]:
    """For every read, whose version it saw: ``read_2 of T2: budget = 1000, the initial version``."""
    lines = []
    made = transactions(history)
    if len(made) > MOST_TRANSACTIONS:
        return []
    writes = [op for transaction in made for op in transaction.ops if op.action == "w"]
    for transaction in made:
        for op in transaction.ops:
            if op.action == "r":
                whose = _whose(op, writes)
                lines.append((op.seq, f"{op.step} of {transaction.name}: {op.item} = {_shown(op.value)}, {whose}"))
    return [text for _, text in sorted(lines)]


def _whose(read: Op, writes: Sequence[Op]) -> str:
    if read.version is None:
        return "a version that cannot be told apart from another"
    others = _uncommitted_at(read, writes)
    beside = f" ({others} not committed then, and was not seen)" if others else ""
    writer = read.version.writer
    if writer is None:
        return INITIAL + beside
    if writer is read.transaction:
        return "its own write"
    write = read.version.write
    assert write is not None
    if not writer.committed:
        return f"written by {writer.name} in {write.step}, which never committed"
    return f"written by {writer.name} in {write.step}{beside}"


def _uncommitted_at(read: Op, writes: Sequence[Op]) -> str:
    """Who had written the item and not yet ended when it was read."""
    seen = read.version.write if read.version else None
    writers = {
        op.transaction.name: op
        for op in writes
        if op.item == read.item and op is not seen and op.transaction is not read.transaction
        and op.seq < read.seq < _end(op) and op.transaction.explicit
    }  # fmt: skip
    return " and ".join(f"{name}'s {op.step} was" for name, op in writers.items())


def _end(op: Op) -> int:
    """The event up to which the operation's transaction was surely open on its database."""
    return op.transaction.ends.get(op.database, op.transaction.end)


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _version(version: Version | None) -> str:
    if version is None or version.write is None:
        return INITIAL
    return f"the version that {version.write.transaction.name} wrote in {version.write.step}"


def _anomaly(
    phenomenon: Phenomenon, involved: Sequence[Transaction], ops: Sequence[Op], proof: list[str], adya: str = ""
) -> Anomaly:
    ordered = sorted({op.seq: op for op in ops}.values(), key=lambda op: op.seq)
    return Anomaly(
        phenomenon=phenomenon,
        adya=adya or ADYA[phenomenon],
        sessions=list(dict.fromkeys(transaction.session for transaction in involved)),
        steps=[op.step for op in ordered],
        events=[op.seq for op in ordered],
        proof=proof,
    )


# -- G0, G1a, G1b


def _dirty_writes(made: Sequence[Transaction]) -> Iterator[Anomaly]:
    """G0 at its root: a write over another's write whose transaction had not ended (Berenson's P0)."""
    writes: dict[str, list[Op]] = defaultdict(list)
    for transaction in made:
        for op in transaction.ops:
            if op.action == "w" and not op.predicate:
                writes[op.item].append(op)
    told = set()
    for item, ops in writes.items():
        ops.sort(key=lambda op: op.seq)
        for index, first in enumerate(ops):
            if not first.transaction.explicit:
                continue
            for second in ops[index + 1 :]:
                pair = (id(first.transaction), id(second.transaction), item)
                if second.transaction is first.transaction or second.seq > _end(first) or pair in told:
                    continue
                told.add(pair)
                one, other = first.transaction, second.transaction
                yield _anomaly(
                    Phenomenon.dirty_write,
                    [one, other],
                    [first, second],
                    [
                        f"Let {one.name} write {item} in {first.step}.",
                        f"Then {other.name} wrote {item} in {second.step} before {one.name} had ended.",
                        "However, a write must not go over another one that may still be rolled back. ∎",
                    ],
                )


def _dirty_reads(made: Sequence[Transaction]) -> Iterator[Anomaly]:
    """G1a (of a transaction that aborted), G1b (of a value that was not its last), and P1 (before it committed)."""
    told = set()
    for transaction in made:
        for read in transaction.ops:
            write = read.version.write if read.action == "r" and read.version else None
            if write is None or write.transaction is transaction:
                continue
            writer = write.transaction
            key = (id(transaction), id(writer), read.item)
            if key in told:
                continue
            let = f"Let {writer.name} write {read.item} = {_shown(read.value)} in {write.step}."
            then = f"Then {transaction.name} read {read.item} = {_shown(read.value)} in {read.step}"
            if not writer.committed:
                how = "rolled back" if writer.finished else "never committed"
                proof = [
                    let,
                    f"{then}: that version, and no other.",
                    f"However, {writer.name} {how}: {transaction.name} saw a value that never was. ∎",
                ]
                told.add(key)
                yield _anomaly(Phenomenon.dirty_read, [writer, transaction], [write, read], proof)
            elif not writer.explicit:
                continue
            elif write is not writer.writes(read.item)[-1]:
                last = writer.writes(read.item)[-1]
                proof = [
                    let,
                    f"{then}.",
                    f"However, {writer.name} wrote {read.item} again in {last.step}: the value was never final. ∎",
                ]
                told.add(key)
                yield _anomaly(Phenomenon.intermediate_read, [writer, transaction], [write, read, last], proof)
            elif read.seq < _end(write):
                proof = [
                    let,
                    f"{then}.",
                    f"However, {writer.name} had not committed then, and could have rolled back. ∎",
                ]
                told.add(key)
                yield _anomaly(Phenomenon.dirty_read, [writer, transaction], [write, read], proof, "P1")


# -- P4


def _lost_updates(committed: Sequence[Transaction]) -> Iterator[Anomaly]:
    """P4: a committed update overwritten by one that was computed from an older version."""
    by_item: dict[str, list[tuple[Op, Op]]] = defaultdict(list)
    for transaction in committed:
        for item in dict.fromkeys(op.item for op in transaction.ops if op.action == "w" and not op.predicate):
            write = transaction.writes(item)[-1]
            read = next(
                (op for op in transaction.ops if op.action == "r" and op.item == item and op.seq < write.seq), None
            )
            if read is not None and read.version is not None and read.version.writer is not transaction:
                by_item[item].append((read, write))
    order = version_order(committed)
    for item, updates in by_item.items():
        same: dict[int, list[tuple[Op, Op]]] = defaultdict(list)
        for read, write in updates:
            assert read.version is not None
            same[id(read.version.write)].append((read, write))
        groups = [sorted(group, key=lambda pair: pair[1].seq) for group in same.values() if len(group) > 1]
        if groups:
            lost = sum(len(group) - 1 for group in groups)
            yield _same_version(item, min(groups, key=lambda group: group[0][1].seq), lost)
            continue
        yield from _overwritten(item, updates, order[item])


def _same_version(item: str, group: list[tuple[Op, Op]], lost: int) -> Anomaly:
    (read_1, write_1), (read_2, write_2) = group[0], group[1]
    one, other = write_1.transaction, write_2.transaction
    more = f" {lost} updates of {item} are lost in this way." if lost > 1 else ""
    return _anomaly(
        Phenomenon.lost_update,
        [one, other],
        [read_1, read_2, write_1, write_2],
        [
            f"Let {one.name} read {item} = {_shown(read_1.value)} in {read_1.step}: {_version(read_1.version)}.",
            f"Then {other.name} read the same version in {read_2.step}.",
            f"{one.name} wrote {item}{_wrote(write_1)} in {write_1.step} and committed; "
            f"{other.name} wrote {item}{_wrote(write_2)} in {write_2.step} and committed.",
            f"However, in any serial order the second of them would have read what the first wrote: "
            f"the update of {one.name} is lost. ∎{more}",
        ],
    )


def _overwritten(item: str, updates: Iterable[tuple[Op, Op]], versions: Sequence[Op]) -> Iterator[Anomaly]:
    """T1 read an older version, T2 wrote (without reading) and committed, T1 wrote over it."""
    positions = {id(op.transaction): index for index, op in enumerate(versions)}
    for read, write in updates:
        assert read.version is not None
        writer = read.version.writer
        base = positions.get(id(writer), -1) if writer is not None else -1
        mine = positions.get(id(write.transaction), -1)
        between = [op for op in versions[base + 1 : mine] if op.transaction is not write.transaction]
        if between and base < mine:
            other = between[0].transaction
            yield _anomaly(
                Phenomenon.lost_update,
                [write.transaction, other],
                [read, between[0], write],
                [
                    f"Let {write.transaction.name} read {item} = {_shown(read.value)} in {read.step}: "
                    f"{_version(read.version)}.",
                    f"Then {other.name} wrote {item}{_wrote(between[0])} in {between[0].step} and committed.",
                    f"{write.transaction.name} wrote {item}{_wrote(write)} in {write.step}, from what it had read before.",
                    f"However, it never saw the version of {other.name}, whose update is lost. ∎",
                ],
            )


def _wrote(write: Op) -> str:
    return f" = {_shown(write.value)}" if write.known else ""


# -- cycles


def _cycles(committed: Sequence[Transaction], found: Sequence[Anomaly]) -> Iterator[Anomaly]:
    edges = list(dependencies(committed))
    told = [set(anomaly.sessions) for anomaly in found]
    cycles = sorted(nx.simple_cycles(graph(edges), length_bound=8), key=len)
    made = graph(edges)
    for nodes in cycles:
        pairs = zip(nodes, [*nodes[1:], nodes[0]], strict=True)
        cycle = [_weakest(made.edges[pair]["all"]) for pair in pairs]
        sessions = {edge.source.session for edge in cycle}
        if any(known <= sessions for known in told):
            continue  # told already, by fewer transactions
        told.append(sessions)
        yield _cycle(cycle)


def _weakest(edges: Sequence[Dependency]) -> Dependency:
    """Of several dependencies between two transactions, the one that proves most: ww before wr before rw."""
    return min(edges, key=lambda edge: ("ww", "wr", "rw").index(edge.kind))


def _cycle(cycle: list[Dependency]) -> Anomaly:
    anti = [edge for edge in cycle if edge.kind == "rw"]
    involved = [edge.source for edge in cycle]
    ops = [op for edge in cycle for op in (edge.first, edge.second)]
    phenomenon, adya = _classify(cycle, anti, involved)
    # Begin with an anti-dependency: that is where the reader's view is older than it may be.
    start = cycle.index(anti[0]) if anti else 0
    turned = cycle[start:] + cycle[:start]
    proof = [_sentence(edge, "Let" if index == 0 else "Then") for index, edge in enumerate(turned)]
    ring = " before ".join([*(edge.source.name for edge in turned), turned[0].source.name])
    proof.append(f"However, then {ring} in any serial order: a contradiction. ∎")
    return _anomaly(phenomenon, involved, ops, proof, adya)


def _classify(
    cycle: Sequence[Dependency], anti: Sequence[Dependency], involved: Sequence[Transaction]
) -> tuple[Phenomenon, str]:
    predicate = any(edge.predicate for edge in anti)
    if not anti:
        only_ww = all(edge.kind == "ww" for edge in cycle)
        return (Phenomenon.dirty_write, "G0") if only_ww else (Phenomenon.circular_information_flow, "G1c")
    if len(anti) == 1:
        overwritten = anti[0]
        seen = next((edge for edge in cycle if edge.kind == "wr" and edge.target is overwritten.source), None)
        if predicate:
            return Phenomenon.phantom, "PMP"
        if seen is not None and seen.item == overwritten.item:
            return Phenomenon.non_repeatable_read, "G-single"
        if seen is not None and seen.source is overwritten.target and seen.second.seq < overwritten.first.seq:
            return Phenomenon.observed_transaction_vanishes, "OTV"
        return Phenomenon.read_skew, "G-single"
    if any(transaction.writes_nothing for transaction in involved):
        return Phenomenon.read_only_anomaly, "G2" if predicate else "G2-item"
    return Phenomenon.write_skew, "G2" if predicate else "G2-item"


def _sentence(edge: Dependency, opening: str) -> str:
    one, other, item = edge.source.name, edge.target.name, edge.item
    if edge.kind == "rw":
        return (
            f"{opening} {one} read {item} = {_shown(edge.first.value)} in {edge.first.step}, "
            f"and {other} overwrite that version in {edge.second.step}: {one} comes before {other}."
            if opening == "Let"
            else f"{opening} {one} read {item} = {_shown(edge.first.value)} in {edge.first.step}, "
            f"and {other} overwrote that version in {edge.second.step}: {one} comes before {other}."
        )
    if edge.kind == "wr":
        return (
            f"{opening} {other} read {item} = {_shown(edge.second.value)} in {edge.second.step}, "
            f"which {one} had written in {edge.first.step}: {one} comes before {other}."
        )
    return (
        f"{opening} {other} wrote {item} in {edge.second.step} over the version that {one} had written "
        f"in {edge.first.step}: {one} comes before {other}."
    )
