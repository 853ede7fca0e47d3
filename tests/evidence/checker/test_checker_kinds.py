"""What registers, accounts and counters tell, and what they do not."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import HarnessError
from harness.evidence.checker.check import HistoryError, check
from harness.evidence.checker.model import MicroOp, Observed, Report, Status, Transaction, Workload


def transactions(*made: tuple[Any, ...]) -> tuple[Transaction, ...]:
    """``("ok", ("r", "x", 1), …)`` each, all at once."""
    return tuple(
        Transaction(n, n, Status(status), tuple(MicroOp(*op) for op in ops), n, len(made) + n)
        for n, (status, *ops) in enumerate(made)
    )


def registers(*made: tuple[Any, ...], **more: Any) -> Report:
    return check(Observed(Workload.rw_register, transactions(*made), **more), realtime=True)


def bank(*made: tuple[Any, ...], **more: Any) -> Report:
    return check(Observed(Workload.bank, transactions(*made), **more), realtime=True)


def counter(*made: tuple[Any, ...], **more: Any) -> Report:
    return check(Observed(Workload.counter, transactions(*made), **more), realtime=True)


def test_registers_order_only_what_is_certain() -> None:
    blind = registers(("ok", ("w", "x", 1), ("w", "y", 1)), ("ok", ("w", "x", 2), ("w", "y", 2)))
    assert blind.counts == {}
    assert blind.edges == {}
    skew = registers(("ok", ("r", "x", 1), ("r", "y", 2)), ("ok", ("w", "x", 1), ("w", "y", 1)), ("ok", ("w", "y", 2)))
    assert skew.counts == {}  # which of y's versions came first is not known


def test_the_initial_version_comes_before_all_others() -> None:
    given = [("ok", ("r", "x", 7), ("r", "y", 1)), ("ok", ("w", "x", 1), ("w", "y", 1))]
    report = registers(*given, initial={"x": 7})
    assert report.counts == {"G-single": 1}
    assert 'T0 observed the initial state of "x" (7), which T1 set to 1' in "\n".join(report.found[0].proof)
    assert registers(*given).counts == {"garbage-read": 1}


def test_a_version_that_was_read_before_others_were_written_comes_before_them_too() -> None:
    report = registers(
        ("ok", ("w", "x", 1)),
        ("ok", ("r", "x", 1), ("w", "x", 2)),
        ("ok", ("r", "x", 2), ("w", "x", 3), ("w", "y", 1)),
        ("ok", ("r", "x", 1), ("r", "y", 1)),
    )
    assert report.counts == {"G-single": 1}
    assert report.found[0].transactions == [1, 2, 3]


def test_order_goes_on_over_a_version_that_was_aborted() -> None:
    report = registers(
        ("fail", ("r", "x", None), ("w", "x", 1)),
        ("ok", ("r", "x", 1), ("w", "x", 2), ("w", "y", 1)),
        ("ok", ("r", "x", None), ("r", "y", 1)),
    )
    assert report.counts == {"G1a": 1, "G-single": 1}


def test_values_written_twice_tell_nothing() -> None:
    report = registers(("ok", ("w", "x", 1), ("r", "y", 1)), ("ok", ("w", "x", 1), ("w", "y", 1), ("r", "x", 1)))
    assert report.counts == {}
    assert report.notes == ["1 writes left a value that another write left, too: whose a read shows cannot be told"]


def test_an_initial_value_that_was_written_again_tells_nothing() -> None:
    report = registers(
        ("ok", ("r", "x", 0), ("r", "y", 1)),
        ("ok", ("w", "x", 1), ("w", "y", 1)),
        ("ok", ("w", "x", 0)),
        initial={"x": 0},
    )
    assert report.counts == {}
    assert report.notes == ['the initial value of "x" was written again: reads of it tell nothing']


def test_registers_of_transactions_of_unknown_end() -> None:
    skew = (("r", "x", None), ("r", "y", 1))
    written = (("w", "x", 1), ("w", "y", 1))
    assert registers(("ok", *skew), ("info", *written)).counts == {"G-single": 1}
    assert registers(("info", *skew), ("ok", *written)).counts == {}
    assert registers(("ok", ("r", "x", None)), ("info", *written)).counts == {}
    assert registers(("ok", ("r", "x", 1)), ("info", *written)).counts == {}  # no aborted read either


def test_registers_of_one_of_unknown_end_whose_writes_were_read_are_judged_like_those_of_any_other() -> None:
    unsure, seen = (("r", "x", 1), ("w", "y", 2)), ("ok", ("r", "y", 2))
    assert registers(("fail", ("w", "x", 1)), ("info", *unsure), seen).counts == {"G1a": 1}
    assert registers(("fail", ("w", "x", 1)), ("info", *unsure)).counts == {}
    assert registers(("ok", ("w", "x", 1), ("w", "x", 3)), ("info", *unsure), seen).counts == {"G1b": 1}
    assert registers(("info", *unsure), seen).counts == {"garbage-read": 1}
    report = registers(
        ("ok", ("w", "x", 0)),
        ("info", ("r", "x", 0), ("w", "x", 1)),
        ("ok", ("r", "x", 0), ("w", "x", 2)),
        ("ok", ("r", "x", 1)),
    )
    assert report.counts == {"lost-update": 1}
    assert "snapshot isolation" in report.excluded


def test_a_read_skew_over_a_condition_is_a_phantom_that_repeatable_read_allows() -> None:
    skew = [("ok", ("r", "rows", 0), ("r", "y", 1)), ("ok", ("r", "rows", 0), ("w", "rows", 1), ("w", "y", 1))]
    over = registers(*skew, initial={"rows": 0}, predicates=("rows",))
    assert over.counts == {"G-single": 1}
    assert "repeatable read" not in over.excluded
    assert "repeatable read" in over.possible
    assert {"consistent view", "serializable"} <= set(over.excluded)
    assert "repeatable read" in registers(*skew, initial={"rows": 0}).excluded
    both = [*skew, ("ok", ("r", "x", 0), ("r", "z", 1)), ("ok", ("w", "x", 1), ("w", "z", 1))]
    assert "repeatable read" in registers(*both, initial={"rows": 0, "x": 0}, predicates=("rows",)).excluded


def test_a_cycle_of_versions_is_told_with_its_reads() -> None:
    report = registers(("ok", ("r", "x", 2), ("w", "x", 1)), ("ok", ("r", "x", 1), ("w", "x", 2)))
    assert report.counts == {"cyclic-versions": 1, "G1c": 1}
    assert "read uncommitted" not in report.excluded
    assert 'T0 read "x" = 2 and wrote 1 after it' in "\n".join(report.found[0].proof)


ACCOUNTS = {"a": (50, "initial"), "b": (50, "initial")}


def test_every_reader_of_all_accounts_must_see_the_total() -> None:
    moved = (
        "ok",
        ("r", "a", (50, "initial")),
        ("w", "a", (40, "t")),
        ("r", "b", (50, "initial")),
        ("w", "b", (60, "t")),
    )
    report = bank(moved, ("ok", ("r", "a", (50, "initial")), ("r", "b", (60, "t"))), initial=ACCOUNTS, total=100)
    assert report.counts == {"wrong-total": 1, "G-single": 1}
    assert "T1 read all accounts, 50 + 60 = 110" in "\n".join(report.found[0].proof)
    assert report.found[0].transactions == [1]
    assert (
        bank(
            moved,
            (
                "ok",
                ("r", "a", (50, "initial")),
            ),
            initial=ACCOUNTS,
            total=100,
        ).counts
        == {}
    )
    after = ("ok", ("r", "a", (40, "t")), ("r", "b", (60, "t")))
    assert bank(moved, after, initial=ACCOUNTS, total=100).counts == {}
    assert bank(moved, after, initial=ACCOUNTS).counts == {}  # the initial balances have a total, too
    assert bank(moved, after, initial=ACCOUNTS, total=90).counts == {"wrong-total": 2}


def test_what_a_transfer_reads_of_its_own_is_no_total() -> None:
    moved = ("ok", ("w", "a", (40, "t")), ("r", "a", (40, "t")), ("r", "b", (50, "initial")), ("w", "b", (60, "t")))
    assert bank(moved, initial=ACCOUNTS, total=100).counts == {}


def test_balances_without_tags_are_added_up_and_tell_nothing_else() -> None:
    report = bank(
        ("ok", ("r", "a", 50), ("r", "b", 50)),
        ("ok", ("r", "a", 45), ("r", "b", 50)),
        initial={"a": 50, "b": 50},
        total=100,
    )
    assert report.counts == {"wrong-total": 1}
    assert report.edges == {}
    assert report.notes == ["balances without tags: whose a read shows cannot be told, only their sum was checked"]


def test_a_negative_balance_is_only_a_note() -> None:
    moved = (
        "ok",
        ("r", "a", (50, "initial")),
        ("w", "a", (-10, "t")),
        ("r", "b", (50, "initial")),
        ("w", "b", (110, "t")),
    )
    report = bank(moved, ("ok", ("r", "a", (-10, "t"))), initial=ACCOUNTS, total=100)
    assert report.counts == {}
    assert report.notes == ['T1 read a negative balance of "a": -10']


def test_without_a_total_a_bank_says_so() -> None:
    report = bank(("ok", ("r", "a", (50, None))), ("ok", ("r", "a", (50, None)), ("w", "a", (40, "t"))))
    assert report.counts == {}
    assert report.notes == ["what all accounts have together is not known: sums were not checked"]


def test_one_balance_that_nobody_wrote_may_be_the_initial_one() -> None:
    reads = [("ok", ("r", "a", (50, "x")), ("r", "b", (60, "t"))), ("ok", ("w", "a", (40, "t")), ("w", "b", (60, "t")))]
    assert bank(*reads).counts == {"G-single": 1}
    assert bank(*reads, ("ok", ("r", "a", (51, "z")))).counts == {"G-single": 1, "garbage-read": 1}


def test_counters_are_in_the_order_of_their_numbers() -> None:
    report = counter(
        ("ok", ("inc", "x", (1, 1))),
        ("ok", ("inc", "x", (2, 3)), ("inc", "y", (1, 1))),
        ("ok", ("r", "x", 1), ("r", "y", 1)),
    )
    assert report.counts == {"G-single": 1}
    assert report.found[0].transactions == [1, 2]


def test_two_increments_that_left_one_value_or_began_at_one_lost_an_update() -> None:
    assert counter(("ok", ("inc", "x", (1, 1))), ("ok", ("inc", "x", (1, 1)))).counts == {"lost-update": 1}
    assert counter(("ok", ("inc", "x", (1, 1))), ("ok", ("inc", "x", (2, 2)))).counts == {"lost-update": 1}
    same = counter(("ok", ("inc", "x", (1, 1))), ("ok", ("inc", "x", (1, 2))), ("ok", ("inc", "x", (2, 2))))
    assert same.counts["lost-update"] == 2  # from 0 to 1 and 2; and 2 was left by two
    sure = counter(("ok", ("inc", "x", (1, 1))), ("info", ("inc", "x", (1, 1))))
    assert sure.counts == {}  # who knows whether it counted


def test_a_read_must_be_a_value_that_was_reached() -> None:
    one = ("ok", ("inc", "x", (1, 1)))
    assert counter(one, ("ok", ("r", "x", 5))).counts == {"garbage-read": 1}
    assert counter(one, ("info", ("inc", "x", (4, None))), ("ok", ("r", "x", 5))).counts == {}
    assert counter(one, ("fail", ("inc", "x", (4, 5))), ("ok", ("r", "x", 5))).counts == {"G1a": 1}
    assert counter(one, ("ok", ("r", "x", 5)), initial={"x": 5}).counts == {"garbage-read": 1}  # then 0 was never there
    assert counter(("ok", ("inc", "x", (1, 6))), ("ok", ("r", "x", 5)), initial={"x": 5}).counts == {}


def test_a_value_that_nobody_is_known_to_have_left_comes_before_greater_ones() -> None:
    report = counter(
        ("info", ("inc", "x", (4, None))),
        ("ok", ("inc", "x", (1, 5)), ("inc", "y", (1, 1))),
        ("ok", ("r", "x", 4), ("r", "y", 1)),
    )
    assert report.counts == {"G-single": 1}
    assert report.found[0].transactions == [1, 2]


def test_results_that_nobody_saw_are_noted() -> None:
    report = counter(("info", ("inc", "x", (4, None))), ("ok", ("r", "x", 4)))
    assert report.counts == {}
    assert report.notes == ["of 1 increments nobody saw the result: they may have come anywhere, or nowhere"]


@pytest.mark.parametrize(
    ("workload", "op", "words"),
    [
        (
            Workload.list_append,
            ("w", "x", 1),
            "log.edn: T0 has the operation 'w'; a list-append history has only append and r",
        ),
        (
            Workload.counter,
            ("append", "x", 1),
            "log.edn: T0 has the operation 'append'; a counter history has only inc and r",
        ),
        (Workload.list_append, ("append", "x", {}), "log.edn: this is no list-append history: unhashable type: 'dict'"),
        (Workload.counter, ("inc", "x", 5), "log.edn: this is no counter history: "),
        (Workload.list_append, ("r", "x", 5), "log.edn: this is no list-append history: "),
    ],
    ids=["register", "list", "element", "increment", "read"],
)
def test_what_is_no_history_of_its_kind_is_refused_in_a_line(workload: Workload, op: Any, words: str) -> None:
    with pytest.raises(HistoryError) as error:
        check(Observed(workload, transactions(("ok", op)), source="log.edn"))
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, HarnessError)
    assert error.value.exit_code == 2


def test_a_report_says_what_was_looked_at_and_tells_what_it_does() -> None:
    said: list[str] = []
    observed = Observed(
        Workload.rw_register,
        transactions(("ok", ("w", "x", 1)), ("fail", ("w", "x", 2)), ("info", ("w", "x", 3)), ("ok", ("r", "x", 1))),
        source="a run",
    )
    report = check(observed, now=said.append)
    assert (report.transactions, report.operations, report.ok, report.failed, report.info) == (4, 4, 2, 1, 1)
    assert report.source == "a run"
    assert report.edges == {"wr": 1}
    assert said == ["inferring dependencies", "looking for cycles", "writing proofs"]
