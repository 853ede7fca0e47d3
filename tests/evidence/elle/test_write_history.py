from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import StoreError
from harness.evidence.checker.model import Key, MicroOp, Observed, Status, Transaction, Workload
from harness.evidence.elle.read import read_history
from harness.evidence.elle.write import write_history

SMALL = Observed(
    Workload.bank,
    (
        Transaction(
            0, "alice", Status.ok, (MicroOp("r", "a b", (10, None)), MicroOp("w", "a b", (5, "t0"))), 0, 2, 7, 9
        ),
        Transaction(1, 0, Status.info, (MicroOp("r", "x"), MicroOp("w", "x", (15, "t1"))), 1, error='lost "it"'),
    ),
    {"a b": (10, None), "x": 10},
    20,
    "by hand",
)
SMALL_EDN = """\
{:index 0, :type :invoke, :process 1, :f :txn, :value [[:r "a b" nil] [:w "a b" [5 "t0"]]], :time 7}
{:index 1, :type :invoke, :process 0, :f :txn, :value [[:r :x nil] [:w :x [15 "t1"]]], :error "lost \\"it\\""}
{:index 2, :type :ok, :process 1, :f :txn, :value [[:r "a b" [10 nil]] [:w "a b" [5 "t0"]]], :time 9}
{:index 3, :type :info, :process :nemesis, :f :harness, :value {:workload "bank", :source "by hand", \
:initial [["a b" [10 nil]] [:x 10]], :total 20, :processes [[1 "alice"]]}}
"""


def test_it_is_what_elle_reads(tmp_path: Path) -> None:
    write_history(SMALL, tmp_path / "h.edn")
    assert (tmp_path / "h.edn").read_text() == SMALL_EDN


def test_json_has_the_same_names(tmp_path: Path) -> None:
    write_history(SMALL, tmp_path / "h.json")
    write_history(SMALL, tmp_path / "h.jsonl")
    whole = json.loads((tmp_path / "h.json").read_text())
    assert [json.loads(line) for line in (tmp_path / "h.jsonl").read_text().splitlines()] == whole
    assert whole[0] == {
        "index": 0, "type": "invoke", "process": 1, "f": "txn", "time": 7,
        "value": [["r", "a b", None], ["w", "a b", [5, "t0"]]],
    }  # fmt: skip


_KEYS: st.SearchStrategy[Key] = st.integers(-3, 99) | st.text(max_size=5)
# Values that Python takes for one (1, 1.0, true) are refused in one history: see tests of reading.
_WHOLE = st.integers().filter(lambda number: number not in (0, 1))
_FRACTIONS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
_ELEMENTS = _WHOLE | st.text(max_size=4) | st.booleans() | _FRACTIONS
_BALANCES = st.integers() | st.tuples(st.integers(), st.none() | st.text(max_size=4) | st.integers())
_NUMBERS = st.integers() | _FRACTIONS
_OPS: dict[Workload, tuple[str, st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    Workload.list_append: ("append", _ELEMENTS, st.lists(_ELEMENTS, max_size=4).map(tuple)),
    Workload.rw_register: ("w", _ELEMENTS, st.none() | _ELEMENTS | st.tuples(st.integers(), st.text(max_size=2))),
    Workload.bank: ("w", _BALANCES, st.none() | _BALANCES),
    Workload.counter: ("inc", st.tuples(_NUMBERS, st.none() | _NUMBERS), st.none() | _NUMBERS),
}
_TIMES = st.none() | st.integers(0, 10**18)


@st.composite
def histories(draw: st.DrawFn) -> Observed:
    """Some sessions that take turns, each with one transaction at a time; or completions only."""
    workload = draw(st.sampled_from(Workload))
    write, written, seen = _OPS[workload]
    sessions = draw(st.lists(st.integers(0, 9) | st.text(min_size=1, max_size=5), min_size=1, max_size=3, unique=True))
    sessions = [name for name in sessions if name != "nemesis"] or [0]
    only_completions = draw(st.booleans())
    made: list[Transaction] = []
    running: dict[Key, int] = {}
    for place in range(draw(st.integers(0, 12))):
        session = draw(st.sampled_from(sessions))
        if session in running and not only_completions:
            at = running.pop(session)
            made[at] = replace(made[at], completed=place, ended=draw(_TIMES), error=draw(st.text(max_size=5)))
        else:
            status = draw(st.sampled_from(Status))
            unknown = st.none() if status is not Status.ok or workload is Workload.counter else st.nothing()
            ops = draw(
                st.lists(
                    st.builds(MicroOp, st.just("r"), _KEYS, seen | unknown)
                    | st.builds(MicroOp, st.just(write), _KEYS, written),
                    max_size=3,
                )
            )
            one = Transaction(len(made), session, status, tuple(ops), place, began=draw(_TIMES))
            if only_completions:
                one = replace(one, invoked=0, completed=place, began=None, ended=draw(_TIMES))
            made.append(one)
            running[session] = one.index
    for at in running.values() if not only_completions else ():
        made[at] = replace(made[at], status=Status.info, error=draw(st.text(max_size=5)))
    initial = draw(st.dictionaries(_KEYS, st.none() | _BALANCES, max_size=3))
    conditions = tuple(draw(st.lists(_KEYS, max_size=2, unique=True)))
    total = draw(st.none() | st.integers(0))
    return Observed(workload, tuple(made), initial, total, draw(st.text(max_size=5)), conditions)


@settings(
    deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(observed=histories(), suffix=st.sampled_from([".edn", ".json", ".jsonl"]))
def test_what_is_written_is_read_again(tmp_path: Path, observed: Observed, suffix: str) -> None:
    file = tmp_path / f"history{suffix}"
    write_history(observed, file)
    again = read_history(file)
    if observed.workload is Workload.bank and observed.total is None:
        again = replace(again, total=None)  # the first read of plain numbers tells it
    assert again == observed
    assert repr(again) == repr(observed), "1 is not 1.0, nor True"
    assert [one.name for one in tmp_path.iterdir()] == [file.name]
    file.unlink()


def test_a_read_of_a_list_that_is_not_known_is_not_an_empty_list(tmp_path: Path) -> None:
    ops = (MicroOp("r", 1), MicroOp("append", 1, 2))
    write_history(Observed(Workload.list_append, (Transaction(0, 0, Status.ok, ops, 0, 1),)), tmp_path / "h.edn")
    assert read_history(tmp_path / "h.edn").transactions[0].ops == (MicroOp("append", 1, 2),)


@pytest.mark.parametrize(
    ("observed", "name", "message"),
    [
        (SMALL, "h.xml", "a history's file ends with .edn, .json, .jsonl"),
        (SMALL, "no/h.edn", "No such file or directory"),
        (
            Observed(
                Workload.list_append,
                (Transaction(0, 5, Status.ok, (), 0, 2), Transaction(1, 5, Status.ok, (), 1, 3)),
            ),
            "h.edn",
            "T1 of session 5 begins before T0 of it has ended",
        ),
        (
            Observed(Workload.rw_register, (Transaction(0, 0, Status.ok, (MicroOp("w", 1, object),), 0, 1),)),
            "h.edn",
            "EDN has no notation for <class 'object'>",
        ),
        (
            Observed(Workload.rw_register, (Transaction(0, 0, Status.ok, (MicroOp("w", 1, float("inf")),), 0, 1),)),
            "h.json",
            "Out of range float values are not JSON compliant",
        ),
    ],
    ids=["suffix", "folder", "overlap", "notation", "infinite"],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, observed: Observed, name: str, message: str) -> None:
    with pytest.raises(StoreError) as caught:
        write_history(observed, tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name} cannot be written: {message}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_stays_as_it_was_if_the_new_one_fails(tmp_path: Path) -> None:
    file = tmp_path / "h.json"
    file.write_text("before")
    bad = Observed(Workload.rw_register, (Transaction(0, 0, Status.ok, (MicroOp("w", 1, object()),), 0, 1),))
    with pytest.raises(StoreError):
        write_history(bad, file)
    assert file.read_text() == "before"
