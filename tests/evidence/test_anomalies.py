"""Each phenomenon by its smallest history; and the histories next to it, which show nothing."""

from __future__ import annotations

import random
from itertools import permutations
from typing import Any

import pytest

from harness.answers import TransactionEnd
from harness.evidence.anomalies import find, reads
from harness.evidence.model import Anomaly
from harness.history import EventKind, History

from .histories import CONFLICT, LOST, Builder, build, database, kinds, read, run, write

SMALLEST: dict[str, tuple[str, dict[str, Any], tuple[str, str], list[str]]] = {
    "G0": ("w1(x=1) w2(x=2) c1 c2", {"x": 0}, ("dirty write", "G0"), ["w1(x)", "w2(x)"]),
    "G1a": ("w1(x=1) r2(x=1) a1 c2", {"x": 0}, ("dirty read", "G1a"), ["w1(x)", "r2(x)"]),
    "G1a, never ended": ("w1(x=1) r2(x=1) c2", {"x": 0}, ("dirty read", "G1a"), ["w1(x)", "r2(x)"]),
    "G1b": ("w1(x=1) r2(x=1) w1(x=2) c1 c2", {"x": 0}, ("intermediate read", "G1b"), ["w1(x)", "r2(x)", "w1(x)'"]),
    "P1": ("w1(x=1) r2(x=1) c1 c2", {"x": 0}, ("dirty read", "P1"), ["w1(x)", "r2(x)"]),
    "OTV": (
        "w1(x=1) w1(y=1) c1 r2(x=1) r2(y=0) c2",
        {"x": 0, "y": 0},
        ("observed transaction vanishes", "OTV"),
        ["w1(x)", "w1(y)", "r2(x)", "r2(y)"],
    ),
    "P4 from one version": (
        "r1(x=0) r2(x=0) w1(x=1) c1 w2(x=2) c2",
        {"x": 0},
        ("lost update", "P4"),
        ["r1(x)", "r2(x)", "w1(x)", "w2(x)"],
    ),
    "P4 over a blind write": (
        "r1(x=0) w2(x=2) c2 w1(x=1) c1",
        {"x": 0},
        ("lost update", "P4"),
        ["r1(x)", "w2(x)", "w1(x)"],
    ),
    "P4 of unknown values": (
        "r1(x=0) r2(x=0) w1(x) c1 w2(x) c2",
        {"x": 0},
        ("lost update", "P4"),
        ["r1(x)", "r2(x)", "w1(x)", "w2(x)"],
    ),
    "P4 in autocommit": (
        "R1(x=0) R2(x=0) W1(x=1) W2(x=2)",
        {"x": 0},
        ("lost update", "P4"),
        ["R1(x)", "R2(x)", "W1(x)", "W2(x)"],
    ),
    "non-repeatable read": (
        "r1(x=0) w2(x=2) c2 r1(x=2) c1",
        {"x": 0},
        ("non-repeatable read", "G-single"),
        ["r1(x)", "w2(x)", "r1(x)'"],
    ),
    "read skew": (
        "r1(x=0) w2(x=2) w2(y=2) c2 r1(y=2) c1",
        {"x": 0, "y": 0},
        ("read skew", "G-single"),
        ["r1(x)", "w2(x)", "w2(y)", "r1(y)"],
    ),
    "read skew by three": (
        "r1(x=0) w2(x=2) c2 r3(x=2) w3(y=3) c3 r1(y=3) c1",
        {"x": 0, "y": 0},
        ("read skew", "G-single"),
        ["r1(x)", "w2(x)", "r3(x)", "w3(y)", "r1(y)"],
    ),
    "write skew": (
        "r1(x=0) r1(y=0) r2(x=0) r2(y=0) w1(x=1) w2(y=2) c1 c2",
        {"x": 0, "y": 0},
        ("write skew", "G2-item"),
        ["r1(y)", "r2(x)", "w1(x)", "w2(y)"],
    ),
    "read-only anomaly": (
        "r1(x=0) r1(y=0) r2(y=0) w2(y=20) c2 r3(x=0) r3(y=20) c3 w1(x=-11) c1",
        {"x": 0, "y": 0},
        ("read-only anomaly", "G2-item"),
        ["r1(y)", "w2(y)", "r3(x)", "r3(y)", "w1(x)"],
    ),
}


@pytest.mark.parametrize(("text", "initial", "kind", "steps"), list(SMALLEST.values()), ids=list(SMALLEST))
def test_smallest(text: str, initial: dict[str, Any], kind: tuple[str, str], steps: list[str]) -> None:
    (found,) = run(text, **initial)
    assert kinds([found]) == [kind]
    assert found.steps == steps
    assert_proved(found, build(text, **initial).history())


def assert_proved(found: Anomaly, history: History) -> None:
    """The events of a proof are there, they are the ends of its steps, and its words name steps and sessions."""
    ends = {event.seq: event for event in history.events if event.operations}
    assert [ends[number].step for number in found.events] == found.steps
    assert found.events == sorted(set(found.events))
    assert {ends[number].session for number in found.events} == set(found.sessions)
    proof = " ".join(found.proof)
    assert found.proof[0].startswith("Let ")
    assert proof.count("∎") == 1
    assert "However, " in found.proof[-1]
    for name in (*found.steps, *found.sessions):
        assert name in proof


def test_circular_information_flow() -> None:
    builder = Builder(x=0, y=0)
    for session, item in (("T1", "x"), ("T2", "y")):
        builder.begin(session)
        builder.step(session, f"write {item}", write(item, 1))
    # Each reads the other's write and goes on to write something else: only a store that keeps no order gives this.
    for session, item in (("T1", "y"), ("T2", "x")):
        builder.step(session, f"read {item}", read(item, 1))
    builder.start("T1", "commit 1")
    builder.start("T2", "commit 2")
    for number in (1, 2):
        builder.end(f"T{number}", f"commit {number}", ended=TransactionEnd.committed)
    assert kinds(find(builder.history())) == [("dirty read", "P1"), ("dirty read", "P1")]


def test_circular_information_flow_with_no_dirty_read() -> None:
    """The same seen after the commits had begun: then no read is surely dirty, and the cycle is what is left."""
    builder = Builder(x=0, y=0)
    for session in ("T1", "T2"):
        builder.begin(session)
    builder.open.add(("T1", "other"))
    builder.open.add(("T2", "other"))
    builder.databases = [*builder.databases, database("other")]
    for session, item in (("T1", "x"), ("T2", "y")):
        builder.step(session, f"begin other {item}", database="other")
        builder.step(session, f"write {item}", write(item, 1))
    for session in ("T1", "T2"):
        builder.commit(session, f"commit {session}")  # of the one database; the transaction goes on in the other one
    for session, item in (("T1", "y"), ("T2", "x")):
        builder.step(session, f"read {item}", read(item, 1), database="other")
    for session in ("T1", "T2"):
        builder.commit(session, f"commit other {session}", database="other")
    history = builder.history()
    (found,) = find(history)
    assert kinds([found]) == [("circular information flow", "G1c")]
    assert_proved(found, history)


def test_phantom() -> None:
    text = "r1(open=2) w2(open=3) c2 r1(open=3) c1"
    (found,) = run(text, ["open"], open=2)
    assert kinds([found]) == [("phantom", "PMP")]
    assert_proved(found, build(text, ["open"], open=2).history())


def test_write_skew_over_a_predicate() -> None:
    text = "r1(open=0) r2(open=0) w1(open) w2(open) c1 c2"
    (found,) = run(text, ["open"], open=0)
    assert kinds([found]) == [("write skew", "G2")]
    assert_proved(found, build(text, ["open"], open=0).history())


def test_two_inserts_into_one_set_do_not_overwrite_each_other() -> None:
    assert run("w1(open) w2(open) c1 c2", ["open"], open=0) == []


def test_read_only_anomaly_needs_its_reader() -> None:
    assert run("r1(x=0) r1(y=0) r2(y=0) w2(y=20) c2 w1(x=-11) c1", x=0, y=0) == []


QUIET = {
    "nothing": "",
    "one alone": "r1(x=0) w1(x=1) r1(x=1) w1(x=2) c1",
    "one after the other": "r1(x=0) w1(x=1) c1 r2(x=1) w2(x=2) c2 r3(x=2) c3",
    "reads only": "r1(x=0) r2(x=0) r1(y=0) r2(y=0) c1 c2",
    "old version read while another writes": "r1(x=0) w2(x=2) c2 r1(x=0) c1",
    "snapshot of two": "r1(x=0) w2(x=2) w2(y=2) c2 r1(y=0) c1",
    "one side of a write skew": "r1(x=0) r1(y=0) w2(y=2) c2 w1(x=1) c1",
    "the second was refused": "r1(x=0) r2(x=0) w1(x=1) c1 w2(x=2) a2",
    "the first was rolled back": "r1(x=0) r2(x=0) w1(x=1) a1 w2(x=2) c2",
    "read again before writing": "r1(x=0) w1(x=1) c1 r2(x=1) w2(x=2) c2",
    "blind writes": "w1(x=1) c1 w2(x=2) c2",
}


@pytest.mark.parametrize("text", list(QUIET.values()), ids=list(QUIET))
def test_quiet(text: str) -> None:
    assert run(text, x=0, y=0) == []


def test_what_is_read_after_the_commit_began_may_be_committed() -> None:
    builder = Builder(x=0)
    builder.begin("T1")
    builder.step("T1", "write", write("x", 1))
    builder.start("T1", "commit")
    builder.start("T2", "read")
    builder.end("T2", "read", read("x", 1))
    builder.end("T1", "commit", ended=TransactionEnd.committed)
    assert find(builder.history()) == []


def test_the_last_read_decides_what_an_update_was_computed_from() -> None:
    """T1 read again what T2 had written: that is no lost update, but it did not read twice the same."""
    assert kinds(run("r1(x=0) w2(x=2) c2 r1(x=2) w1(x=3) c1", x=0)) == [("non-repeatable read", "G-single")]


# -- what cannot be told


AMBIGUOUS = {
    "two wrote the same value": "w1(x=5) c1 w2(x=5) r3(x=5) a2 c3",
    "the initial value written again": "w1(x=0) r2(x=0) a1 c2",
    "an unknown write may have left the value": "w1(x) r2(x=0) c1 c2",
    "an unknown write, twice": "w1(x) c1 w2(x) r3(x=7) a2 c3",
    "a value that nobody wrote": "r1(x=99) w2(x=2) c2 r1(x=98) c1",
    "two unknown writes": "r1(x=3) w1(x) c1 r2(x=4) w2(x) c2",
    "lost, but from which version": "w1(x=1) c1 w2(x=1) c2 r3(x=1) r4(x=1) w3(x=3) c3 w4(x=4) c4",
}


@pytest.mark.parametrize("text", list(AMBIGUOUS.values()), ids=list(AMBIGUOUS))
def test_what_cannot_be_told_proves_nothing(text: str) -> None:
    assert run(text, x=0) == []


def test_without_an_initial_value_only_writes_are_known() -> None:
    assert run("r1(x=0) r2(x=0) w1(x=1) c1 w2(x=2) c2") == []
    assert kinds(run("w1(x=1) r2(x=1) a1 c2")) == [("dirty read", "G1a")]


def test_a_hidden_value_is_not_the_initial_one() -> None:
    """Sensitive values are all recorded as the same text: it must not look like one version."""
    builder = Builder(x="‹hidden›")
    hidden = {"value": "‹hidden›", "known": False}
    for session in ("T1", "T2"):
        builder.begin(session)
        builder.step(session, f"read {session}", read("x", None).model_copy(update=hidden))
    for session in ("T1", "T2"):
        builder.step(session, f"write {session}", write("x"))
        builder.commit(session)
    assert find(builder.history()) == []
    assert reads(builder.history())[0] == "read T1 of T1: x, a value that is hidden"


def test_values_of_different_types_are_the_same_value() -> None:
    builder = Builder(x="100.00")
    for session in ("T1", "T2"):
        builder.begin(session)
        builder.step(session, f"read {session}", read("x", 100))
    for number, session in enumerate(("T1", "T2")):
        builder.step(session, f"write {session}", write("x", number))
        builder.commit(session, f"commit {session}")
    assert kinds(find(builder.history())) == [("lost update", "P4")]


# -- unknown writes


def test_the_only_unknown_write_must_have_left_the_unknown_value() -> None:
    (found,) = run("r1(x=1000) w2(x) c2 r1(x=900) c1", x=1000)
    assert kinds([found]) == [("non-repeatable read", "G-single")]
    assert kinds(run("w1(x) r2(x=900) a1 c2", x=1000)) == [("dirty read", "G1a")]


def test_that_value_then_tells_the_others_apart() -> None:
    """T1 saw 1000 while T2's unknown write was under way. That T2 left 900 is known from the end only."""
    builder = build("w2(x) r1(x=1000) c2 r1(x=900) c1", x=1000)
    assert kinds(find(builder.history())) == [("non-repeatable read", "G-single")]
    builder = build("w2(x) r1(x=1000) c2 c1", x=1000)
    assert "cannot be told apart" in reads(builder.history())[0]
    assert reads(builder.history(final={"x": 900})) == [
        "r1(x) of T1: x = 1000, the initial version (T2's w2(x) was not committed then, and was not seen)"
    ]


def test_own_unknown_write_is_read_back() -> None:
    text = "r1(x=0) w1(x) r1(x=5) c1 r2(x=5) w2(x) c2"
    assert run(text, x=0) == []
    assert reads(build(text, x=0).history())[1] == "r1(x)' of T1: x = 5, its own write"


def test_own_writes_are_no_reads_of_others() -> None:
    assert run("w1(x=5) r1(x=5) w2(y=1) c1 c2", x=0, y=0) == []


def test_returning_reads_what_it_has_just_written() -> None:
    builder = Builder(x=0)
    for session, value in (("T1", 1), ("T2", 2)):
        builder.begin(session)
        builder.step(session, f"change {session}", read("x", value), write("x", value))
        builder.commit(session)
    assert find(builder.history()) == []


# -- units of work


def test_a_session_without_transactions_is_one_unit() -> None:
    assert kinds(run("R1(x=0) W2(x=2) W2(y=2) R1(y=2)", x=0, y=0)) == [("read skew", "G-single")]


def test_nothing_of_it_is_dirty() -> None:
    """Each of its writes is final, though more come: no dirty read, no intermediate one, no dirty write."""
    assert run("W1(x=1) R2(x=1) W1(y=1)", x=0, y=0) == []
    assert run("W1(x=1) R2(x=1) W1(x=2)", x=0) == []
    assert run("W1(x=1) W2(x=2) W1(y=1)", x=0, y=0) == []


def test_a_session_with_transactions_has_one_unit_for_each() -> None:
    assert run("r1(x=0) c1 w2(x=2) c2 r1(x=2) c1", x=0) == []
    assert run("R1(x=0) w2(x=2) c2 r1(x=2) c1", x=0) == []
    (found,) = run("r1(y=0) c1 r1(x=0) r2(x=0) w1(x=1) c1 w2(x=2) c2", x=0, y=0)
    assert found.proof[0] == "Let T1#2 read x = 0 in r1(x): the initial version."


def test_two_faults_of_one_session_are_told_if_its_transactions_differ() -> None:
    text = "r1(x=0) r2(x=0) w1(x=1) c1 w2(x=2) c2 r1(y=0) w2(y=2) c2 r1(y=2) c1"
    assert kinds(run(text, x=0, y=0)) == [("lost update", "P4"), ("non-repeatable read", "G-single")]


# -- several of them


def test_three_updates_from_one_version_are_one_finding() -> None:
    (found,) = run("r1(x=0) r2(x=0) r3(x=0) w1(x=1) c1 w2(x=2) c2 w3(x=3) c3", x=0)
    assert kinds([found]) == [("lost update", "P4")]
    assert found.proof[-1].endswith("∎ 2 updates of x are lost in this way.")


def test_only_the_simplest_is_told_of_one_pair() -> None:
    """A dirty read that also breaks the order: the cycle adds nothing."""
    assert kinds(run("w1(x=1) r2(x=1) r2(y=0) w1(y=1) c1 c2", x=0, y=0)) == [("dirty read", "P1")]


def test_pairs_that_have_nothing_to_do_with_each_other() -> None:
    text = "w1(x=1) r2(x=1) a1 c2 r3(y=0) r4(y=0) w3(y=3) c3 w4(y=4) c4"
    assert kinds(run(text, x=0, y=0)) == [("dirty read", "G1a"), ("lost update", "P4")]


def test_an_update_over_a_dirty_version_is_not_called_lost() -> None:
    """T2 read what T1 then took back: a dirty read, but which updates are lost cannot be told from it."""
    text = "w3(x=3) c3 w1(x=1) r2(x=1) a1 w2(x=2) c2"
    assert kinds(run(text, x=0)) == [("dirty read", "G1a")]


# -- what overlaps


def test_the_order_of_overlapping_writes_is_not_known() -> None:
    """Two autocommit writes at once. T3 saw 2 and then 1: by the order of the answers an older version, but who knows."""
    builder = Builder(x=0)
    for session in ("T1", "T2"):
        builder.start(session, f"write {session}")
    builder.end("T1", "write T1", write("x", 1))
    builder.end("T2", "write T2", write("x", 2))
    builder.step("T3", "read", read("x", 2))
    builder.step("T3", "read again", read("x", 1))
    assert find(builder.history()) == []
    assert kinds(run("W1(x=1) W2(x=2) R3(x=2) R3(x=1)", x=0)) == [("non-repeatable read", "G-single")]


def test_the_order_of_overlapping_writes_of_held_rows_is_that_of_their_answers() -> None:
    builder = Builder(x=0)
    for session in ("T1", "T2"):
        builder.begin(session)
        builder.step(session, f"read {session}", read("x", 0))
    builder.start("T1", "write T1")
    builder.start("T2", "write T2")
    builder.end("T1", "write T1", write("x", 1))
    builder.commit("T1", "commit T1")
    builder.end("T2", "write T2", write("x", 2))
    builder.commit("T2", "commit T2")
    (found,) = find(builder.history())
    assert found.proof[-1].endswith("the update of T1 is lost. ∎")


def test_which_of_two_overlapping_updates_is_lost_is_not_known() -> None:
    builder = Builder(x=0)
    for session in ("T1", "T2"):
        builder.step(session, f"read {session}", read("x", 0))
    for session in ("T1", "T2"):
        builder.start(session, f"write {session}")
    for number, session in enumerate(("T1", "T2"), 1):
        builder.end(session, f"write {session}", write("x", number))
    (found,) = find(builder.history())
    assert found.proof[-1].endswith("one of the two updates is lost. ∎")


def test_a_write_that_began_before_the_other_had_ended_may_have_come_first() -> None:
    """T2 committed at once; T1's row was written some time between. That T2 wrote over it is not proved."""
    builder = Builder(x=0)
    builder.begin("T1")
    builder.start("T1", "write T1")
    builder.start("T2", "write T2")
    builder.end("T1", "write T1", write("x", 1))
    builder.end("T2", "write T2", write("x", 2))
    builder.commit("T1")
    assert find(builder.history()) == []


# -- over several databases


def two_databases() -> Builder:
    builder = Builder(price=100, cached=100)
    builder.databases = [database("db"), database("cache", "redis")]
    return builder


def test_what_is_done_meanwhile_elsewhere_belongs_to_the_transaction() -> None:
    builder = two_databases()
    builder.begin("service")
    builder.step("service", "update", write("price", 80))
    builder.step("service", "fill", write("cached", 80), database="cache")
    builder.rollback("service")
    builder.step("client", "look", read("cached", 80), database="cache")
    (found,) = find(builder.history())
    assert kinds([found]) == [("dirty read", "G1a")]
    assert found.steps == ["fill", "look"]


def test_it_may_be_read_there_before_the_commit() -> None:
    builder = two_databases()
    builder.begin("service")
    builder.step("service", "fill", write("cached", 80), database="cache")
    builder.step("client", "look", read("cached", 80), database="cache")
    builder.commit("service")
    assert kinds(find(builder.history())) == [("dirty read", "P1")]


def test_after_the_commit_it_is_a_unit_of_its_own() -> None:
    builder = two_databases()
    builder.begin("service")
    builder.step("service", "update", write("price", 80))
    builder.commit("service")
    builder.step("service", "fill", write("cached", 80), database="cache")
    builder.step("client", "look", read("cached", 80), database="cache")
    assert find(builder.history()) == []


def test_an_error_elsewhere_does_not_abort_the_transaction() -> None:
    builder = two_databases()
    builder.begin("service")
    builder.step("service", "update", write("price", 80))
    builder.step("service", "fill", kind=EventKind.error, error=CONFLICT, database="cache")
    builder.commit("service")
    builder.step("client", "look", read("price", 80))
    assert find(builder.history()) == []


def test_two_commits_of_one_transaction() -> None:
    """Between them the one database shows the new state and the other one the old."""
    builder = Builder(summed=100, source=100)
    builder.databases = [database("sales"), database("ads")]
    for session in ("reader", "writer"):
        for alias in ("sales", "ads"):
            builder.begin(session, alias)
    builder.step("writer", "spend", write("source", 160), database="ads")
    builder.step("writer", "sum up", write("summed", 160), database="sales")
    builder.commit("writer", "commit ads", database="ads")
    builder.step("reader", "read summary", read("summed", 100), database="sales")
    builder.step("reader", "read source", read("source", 160), database="ads")
    builder.commit("writer", "commit sales", database="sales")
    for alias in ("sales", "ads"):
        builder.commit("reader", f"end {alias}", database=alias)
    history = builder.history()
    (found,) = find(history)
    assert kinds([found]) == [("read skew", "G-single")]
    assert_proved(found, history)


def test_a_half_committed_transaction_counts_as_aborted() -> None:
    builder = Builder(a=0, b=0)
    builder.databases = [database("one"), database("two")]
    for alias in ("one", "two"):
        builder.begin("T1", alias)
    builder.step("T1", "write a", write("a", 1), database="one")
    builder.step("T1", "write b", write("b", 1), database="two")
    builder.commit("T1", "commit one", database="one")
    builder.rollback("T1", "roll back two", database="two")
    builder.step("T2", "read a", read("a", 1), database="one")
    assert kinds(find(builder.history())) == [("dirty read", "G1a")]


def test_a_commit_that_was_never_answered_proves_nothing() -> None:
    builder = Builder(x=0)
    builder.begin("T1")
    builder.step("T1", "write", write("x", 1))
    builder.start("T1", "commit", "commit")
    builder.end("T1", "commit", kind=EventKind.error, error=LOST, ended=TransactionEnd.aborted)
    builder.step("T2", "look", read("x", 1))
    assert find(builder.history()) == []


def test_a_connection_lost_before_the_commit_is_a_rollback() -> None:
    builder = Builder(x=0)
    builder.begin("T1")
    builder.step("T1", "write", write("x", 1))
    builder.start("T1", "more", "UPDATE t SET x = 2")
    builder.end("T1", "more", kind=EventKind.error, error=LOST, ended=TransactionEnd.aborted)
    builder.step("T2", "look", read("x", 1))
    assert kinds(find(builder.history())) == [("dirty read", "G1a")]


# -- Redis queues


def queued(ends: str, second_ends: str = "EXEC") -> Builder:
    builder = Builder(x=0)
    builder.databases = [database("db", "redis")]
    for number in (1, 2):
        builder.begin(f"T{number}")
        builder.step(f"T{number}", f"queue {number}", write("x", number))
    for number, end in ((1, ends), (2, second_ends)):
        if end == "EXEC":
            builder.commit(f"T{number}", f"exec {number}")
        else:
            builder.rollback(f"T{number}", f"discard {number}")
    return builder


def test_queued_commands_are_done_by_exec() -> None:
    assert find(queued("EXEC").history()) == []  # no dirty write: nothing was written before the other's EXEC


def test_discarded_commands_are_never_done() -> None:
    builder = queued("DISCARD", "DISCARD")
    builder.step("T3", "look", read("x", 1))
    assert find(builder.history()) == []
    assert reads(builder.history()) == ["look of T3: x = 1, a version that cannot be told apart from another"]


# -- free runs


def free_run(workers: int, iterations: int, *, lossy: bool) -> History:
    """Counters: each iteration reads x and writes one more; lossy ones read before anybody of their round writes."""
    builder = Builder(x=0)
    value = 0
    for attempt in range(1, iterations + 1):
        names = [f"W{number}" for number in range(1, workers + 1)]
        rounds = [names] if lossy else [[name] for name in names]
        for together in rounds:
            for name in together:
                builder.begin(name, attempt=attempt)
                builder.step(name, "read", read("x", value), attempt=attempt)
            for name in together:
                builder.step(name, "write", write("x", value + 1), attempt=attempt)
                builder.commit(name, "end", attempt=attempt)
            value += 1
    return builder.history(mode="free-running")


def test_a_free_run_that_loses_updates_though_its_values_repeat() -> None:
    history = free_run(3, 20, lossy=True)
    (found,) = find(history)
    assert kinds([found]) == [("lost update", "P4")]
    assert found.sessions == ["W1", "W2"]
    assert reads(history)[0] == "read of W1: x = 0, the initial version"


def test_a_free_run_that_loses_nothing() -> None:
    assert find(free_run(4, 100, lossy=False)) == []
    assert reads(free_run(4, 100, lossy=False)) == []  # nobody would read them


def test_a_long_free_run_is_judged_in_time() -> None:
    (found,) = find(free_run(4, 300, lossy=True))
    assert found.phenomenon.value == "lost update"


def dense(transactions: int) -> History:
    """Everybody reads the initial value of everything and writes one item of its own: every pair is a write skew."""
    items = {f"x{number}": 0 for number in range(transactions)}
    builder = Builder(**items)
    for number in range(transactions):
        builder.begin(f"T{number}")
        for item in items:
            builder.step(f"T{number}", f"read {number} {item}", read(item, 0))
    for number in range(transactions):
        builder.step(f"T{number}", f"write {number}", write(f"x{number}", number + 1))
        builder.commit(f"T{number}", f"commit {number}")
    return builder.history()


def test_a_graph_full_of_cycles_is_searched_in_time() -> None:
    found = find(dense(16))  # some 10^12 cycles
    assert {one.phenomenon.value for one in found} == {"write skew"}
    assert len(found) == 16 * 15 / 2


# -- a property


def serial(seed: int) -> History:
    """Random transactions over random items, one after the other: whatever they do, they do in a serial order."""
    draw = random.Random(seed)
    items = {f"x{number}": draw.randint(0, 3) for number in range(draw.randint(1, 3))}
    predicates = [item for item in items if draw.random() < 0.2]
    state = dict(items)
    builder = Builder(predicates, **items)
    for number in (1, 2, 3):  # so that a session's steps outside of transactions are not one unit of work
        builder.begin(f"T{number}")
        builder.commit(f"T{number}")
    for number in range(draw.randint(2, 8)):
        session = f"T{draw.randint(1, 3)}"
        explicit = draw.random() < 0.7
        before = dict(state)
        if explicit:
            builder.begin(session)
        for operation in range(draw.randint(1, 5)):
            item = draw.choice(list(items))
            name = f"{session}.{number}.{operation}"
            if draw.random() < 0.5:
                builder.step(session, name, read(item, state[item] if draw.random() < 0.8 else str(state[item])))
                continue
            state[item] = draw.randint(0, 4) if draw.random() < 0.4 else 100 * number + operation
            known = draw.random() < 0.8
            operations = [write(item, state[item] if known else None)]
            if draw.random() < 0.2:
                operations.append(read(item, state[item]))
            builder.step(session, name, *operations)
        if explicit and draw.random() < 0.3:
            state = before
            builder.rollback(session, f"{session}.{number} rolls back")
        elif explicit:
            builder.commit(session, f"{session}.{number} commits")
    return builder.history(final=state)


@pytest.mark.parametrize("block", range(10))
def test_serial_histories_show_nothing(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        history = serial(seed)
        found = find(history)
        assert not found, (seed, [one.proof for one in found])


@pytest.mark.parametrize("seed", range(50))
def test_whatever_is_found_in_a_random_interleaving_is_proved(seed: int) -> None:
    """Random interleavings over a store that checks nothing: every proof must stand on events that are there."""
    draw = random.Random(seed)
    state = {"x": 0, "y": 0}
    builder = Builder(**state)
    sessions = ["T1", "T2", "T3"]
    for session in sessions:
        builder.begin(session)
    left = {session: draw.randint(2, 4) for session in sessions}
    while left:
        session = draw.choice(list(left))
        item = draw.choice(list(state))
        name = f"{session}.{left[session]}"
        if draw.random() < 0.5:
            builder.step(session, name, read(item, state[item]))
        else:
            state[item] = len(builder.events)
            builder.step(session, name, write(item, state[item]))
        left[session] -= 1
        if not left[session]:
            del left[session]
            (builder.commit if draw.random() < 0.8 else builder.rollback)(session, f"{session} ends")
    history = builder.history()
    for found in find(history):
        assert_proved(found, history)


Program = list[tuple[str, str, int]]
"""What a transaction did: action, item, value."""


def interleaved(seed: int) -> tuple[History, list[Program]]:
    """Random transactions that all commit, on a store that checks nothing but lets nobody see what is not committed.

    Each reads from a snapshot, or what was committed last; its writes are done when it commits.
    """
    draw = random.Random(seed)
    committed = {"x": 0, "y": 0}
    builder = Builder(**committed)
    sessions = [f"T{number}" for number in range(1, draw.randint(2, 4) + 1)]
    programs: dict[str, Program] = {session: [] for session in sessions}
    snapshots = {session: dict(committed) if draw.random() < 0.5 else None for session in sessions}
    left = {session: draw.randint(1, 4) for session in sessions}
    for session in sessions:
        builder.begin(session)
    while left:
        session = draw.choice(list(left))
        item = draw.choice(list(committed))
        if left[session] > 0:
            snapshot = snapshots[session]
            value = (committed if snapshot is None else snapshot)[item]
            builder.step(session, f"{session} reads {left[session]}", read(item, value))
            programs[session].append(("r", item, value))
            left[session] -= 1
            continue
        value = len(builder.events)
        builder.step(session, f"{session} writes", write(item, value))
        builder.commit(session, f"{session} commits")
        committed[item] = value
        programs[session].append(("w", item, value))
        del left[session]
    return builder.history(final=committed), list(programs.values())


def has_a_serial_order(programs: list[Program]) -> bool:
    """By trying all of them: each read sees the last write before it, and each item's versions come in their real order.

    (A value is the number of an event here, so that order is that of the values.)
    """
    for order in permutations(programs):
        state = {"x": 0, "y": 0}
        for action, item, value in (operation for program in order for operation in program):
            if (value < state[item]) if action == "w" else (value != state[item]):
                break
            state[item] = value
        else:
            return True
    return False


def test_something_is_found_if_and_only_if_no_serial_order_explains_it() -> None:
    outcomes = set()
    for seed in range(600):
        history, programs = interleaved(seed)
        found = find(history)
        assert (found == []) == has_a_serial_order(programs), (seed, kinds(found))
        outcomes |= {one.phenomenon.value for one in found} or {"nothing"}
        for one in found:
            assert_proved(one, history)
    assert {"nothing", "lost update", "non-repeatable read", "read skew", "write skew"} <= outcomes
