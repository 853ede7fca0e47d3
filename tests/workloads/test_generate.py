"""Transactions drawn from a seed: the same everywhere, unique writes, few keys at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from harness.evidence.checker.model import MicroOp, Workload
from harness.workloads.generate import generate
from harness.workloads.model import Declared

LISTS = Declared(Workload.list_append, "lists", transactions=400, keys=5, writes_per_key=7)
BANK = Declared(Workload.bank, "bank", transactions=400, keys=4)
KINDS = pytest.mark.parametrize("kind", list(Workload), ids=lambda kind: kind.value)


@KINDS
def test_the_same_seed_gives_the_same_transactions_another_one_others(kind: Workload) -> None:
    declared = replace(LISTS, kind=kind)
    assert generate(declared) == generate(declared)
    assert generate(declared) != generate(replace(declared, seed=2))


def test_they_are_what_they_were_when_seeds_were_written_into_files() -> None:
    first = generate(Declared(Workload.list_append, "x")).transactions[:2]
    assert [op for program in first for op in program.ops] == [
        MicroOp("r", 4),
        MicroOp("append", 5, 1),
        MicroOp("r", 4),
        MicroOp("r", 3),
        MicroOp("r", 0),
    ]


@KINDS
def test_there_are_as_many_as_declared_each_of_a_size_within_the_span(kind: Workload) -> None:
    programs = generate(replace(LISTS, kind=kind, ops=(2, 5))).transactions
    assert len(programs) == 400
    if kind is not Workload.bank:
        assert {len(program.ops) for program in programs} == {2, 3, 4, 5}


@pytest.mark.parametrize(("kind", "f"), [(Workload.list_append, "append"), (Workload.rw_register, "w")])
def test_writes_are_unique_for_their_key_and_not_more_than_a_key_takes(kind: Workload, f: str) -> None:
    made = generate(replace(LISTS, kind=kind))
    writes = [(op.key, op.value) for program in made.transactions for op in program.ops if op.f == f]
    assert len(writes) > 300
    assert len(set(writes)) == len(writes)
    assert max(Counter(key for key, _ in writes).values()) == 7
    assert {op.key for program in made.transactions for op in program.ops} <= set(made.keys)


def test_only_so_many_keys_are_in_use_at_a_time() -> None:
    ops = [op for program in generate(LISTS).transactions for op in program.ops]
    first: dict[object, int] = {}
    last: dict[object, int] = {}
    for place, op in enumerate(ops):
        first.setdefault(op.key, place)
        last[op.key] = place
    assert len(first) > 20
    assert max(sum(first[key] <= place <= last[key] for key in first) for place in range(len(ops))) <= 5


@pytest.mark.parametrize(("reads", "expected"), [(0.0, {"append"}), (1.0, {"r"})])
def test_the_share_of_reads_is_as_declared(reads: float, expected: set[str]) -> None:
    ops = [op for program in generate(replace(LISTS, reads=reads)).transactions for op in program.ops]
    assert {op.f for op in ops} == expected


def test_a_transfer_reads_two_accounts_and_writes_the_same_two() -> None:
    programs = generate(BANK).transactions
    transfers = [program for program in programs if program.amount]
    wholes = [program for program in programs if not program.amount]
    assert transfers
    assert wholes
    for one in transfers:
        reads, writes = one.ops[:2], one.ops[2:]
        assert [op.f for op in one.ops] == ["r", "r", "w", "w"]
        assert [op.key for op in reads] == [op.key for op in writes]
        assert reads[0].key != reads[1].key
    assert len({one.tag for one in transfers}) == len(transfers)
    assert all(sorted(op.key for op in one.ops) == [0, 1, 2, 3] for one in wholes)


def test_an_increment_adds_something_and_knows_nothing_of_the_outcome() -> None:
    ops = [op for program in generate(replace(LISTS, kind=Workload.counter)).transactions for op in program.ops]
    assert {op.value for op in ops if op.f == "inc"} == {(by, None) for by in range(1, 6)}


def test_at_the_end_everything_is_read_once() -> None:
    made = generate(replace(LISTS, transactions=3000))
    assert len(made.keys) > 50
    ops = [op for program in made.final for op in program.ops]
    assert [op.key for op in ops] == list(made.keys)
    assert {op.f for op in ops} == {"r"}
    assert max(len(program.ops) for program in made.final) <= 50
