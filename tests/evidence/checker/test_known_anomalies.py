"""Known histories: every anomaly by its smallest one, those of Elle's paper and page, and histories that show nothing."""

from __future__ import annotations

import pytest

from harness.evidence.checker.check import check
from harness.evidence.checker.model import MicroOp, Observed, Report, Status, Transaction, Workload

from .planted import PLANTS, Plant, alone

SMALL = [(workload, plant) for workload, plants in PLANTS.items() for plant in plants]


@pytest.mark.parametrize(
    ("workload", "plant"),
    SMALL,
    ids=[f"{workload}-{plant.name}-{number}" for number, (workload, plant) in enumerate(SMALL)],
)
def test_its_smallest_history_shows_an_anomaly_and_no_other(workload: Workload, plant: Plant) -> None:
    report = check(alone(workload, plant), realtime=plant.realtime)
    assert plant.name in report.counts
    assert report.counts[plant.name] == 1
    assert set(report.counts) <= {plant.name} | plant.besides
    assert {one.name for one in report.found} == set(report.counts)
    assert report.excluded


def ops(text: str) -> tuple[MicroOp, ...]:
    """``ax1 rx12 ry``: appends and reads of lists."""
    found = []
    for word in text.split():
        f, key, value = word[0], word[1], word[2:]
        found.append(MicroOp("append", key, int(value)) if f == "a" else MicroOp("r", key, tuple(map(int, value))))
    return tuple(found)


def history(*texts: str, workload: Workload = Workload.list_append) -> Observed:
    """Transactions of a session each, all at once; ``!`` before one that failed, ``?`` before one of unknown end."""
    statuses = {"!": Status.fail, "?": Status.info}
    return Observed(
        workload,
        tuple(
            Transaction(
                index, index, statuses.get(text[0], Status.ok), ops(text.lstrip("!?")), index, len(texts) + index
            )
            for index, text in enumerate(texts)
        ),
    )


def counts(*texts: str) -> dict[str, int]:
    return check(history(*texts), realtime=True).counts


def only(report: Report) -> list[str]:
    assert len(report.found) == 1
    return report.found[0].proof


def test_the_page_of_elle_shows_circular_information_flow() -> None:
    report = check(history("ax1 ry1", "ax2 ay1", "rx12"))
    assert report.counts == {"G1c": 1}
    assert report.found[0].title == "circular information flow"
    assert [(edge.kind, edge.source, edge.target, edge.key) for edge in report.found[0].cycle] == [
        ("ww", 0, 1, "x"),
        ("wr", 1, 0, "y"),
    ]
    assert only(report) == [
        "Let:",
        '  T0 = {:index 0, :process 0, :type :ok, :value [[:append "x" 1] [:r "y" [1]]]}',
        '  T1 = {:index 1, :process 1, :type :ok, :value [[:append "x" 2] [:append "y" 1]]}',
        "Then:",
        '  - T0 < T1, because T1 appended 2 after T0 appended 1 to "x".',
        '  - However, T1 < T0, because T0 observed T1\'s append of 1 to "y": a contradiction!',
    ]
    assert report.found[0].shown == [line.strip() for line in only(report)[1:3]]
    assert report.excluded[0] == "read committed"
    assert report.possible == ["strong session read uncommitted"]


def test_the_paper_of_elle_shows_a_read_skew() -> None:
    """Its section 1: T1 did not observe T2's append of 8 to 255, and yet appended 3 to 256 after T3 that had observed it."""
    a, r = (lambda key, value: MicroOp("append", key, value)), (lambda key, *value: MicroOp("r", key, value))
    made = [
        (a(253, 1), a(253, 3), a(253, 4), a(255, 2), a(255, 3), a(255, 4), a(255, 5), a(256, 1), a(256, 2)),
        (a(255, 8), r(253, 1, 3, 4)),
        (a(256, 4), r(255, 2, 3, 4, 5, 8), r(256, 1, 2, 4), r(253, 1, 3, 4)),
        (a(250, 10), r(253, 1, 3, 4), r(255, 2, 3, 4, 5), a(256, 3)),
    ]
    transactions = [Transaction(n, n, Status.ok, value, 2 * n, 2 * n + 1) for n, value in enumerate(made)]
    report = check(Observed(Workload.list_append, tuple(transactions)))
    assert report.counts == {"G-single": 1}
    text = "\n".join(only(report))
    assert "T1 < T2, because T2 observed T1's append of 8 to 255." in text
    assert "T2 < T3, because T3 appended 3 after T2 appended 4 to 256." in text
    assert "However, T3 < T1, because T3 did not observe T1's append of 8 to 255: a contradiction!" in text


@pytest.mark.parametrize(
    "texts",
    [
        (),
        ("rx ry",),
        ("ax1", "rx1"),
        ("rx", "ax1", "rx1"),
        ("ax2", "ax1", "rx12"),
        ("az1 ax1 ay1", "rx1 ay2", "ry12 az3", "rz13"),  # figure 3 of Adya, Liskov, O'Neil
        ("ax1 rx1 ax2 rx12",),  # what a transaction sees of itself is neither G1b nor a cycle
        ("ry56 ax3 rx123 ax4 rx1234", "ax1 ax2 ay5 ay6"),
        ("ax3 rx123", "ax1 ax2"),
        ("rx", "ax1", "ax2"),  # two appends that nobody read: which came first cannot be told
        ("?ax1", "rx1"),  # it was read: so it did commit
        ("?ax1", "rx"),  # it was not: who knows
        ("!ax1", "rx"),
        ("?ax1 ry", "ax2 ay1", "rx1 ry"),
        ("?ax2 ry", "ax1 ay1", "rx12 ry1"),  # Elle's: T0's read of y is not known, as it is () only by its default
    ],
    ids=lambda texts: "; ".join(texts) or "nothing",
)
def test_histories_that_show_nothing(texts: tuple[str, ...]) -> None:
    given = history(*texts)
    forgotten = tuple(
        Transaction(
            one.index,
            one.process,
            one.status,
            tuple(MicroOp("r", op.key) if op.f == "r" and one.status is Status.info else op for op in one.ops),
            one.invoked,
            None if one.status is Status.info else one.completed,
        )
        for one in given.transactions
    )
    report = check(Observed(Workload.list_append, forgotten), realtime=True)
    assert report.counts == {}
    assert report.clean
    assert report.excluded == []
    assert report.possible == ["strict serializable"]


def test_a_transaction_of_unknown_end_is_in_cycles_if_its_writes_were_read() -> None:
    assert counts("?ax1 ry1", "ax2 ay1", "rx12") == {"G1c": 1}
    assert counts("?rx ay1", "ry ax1", "rx1") == {}  # nobody read y = 1: it may never have been
    assert counts("?rx ay1", "ry ax1", "rx1 ry1") == {"G2-item": 1}


def test_a_transaction_of_unknown_end_that_was_seen_to_commit_did_so_wholly() -> None:
    assert counts("?ax2 ay2", "rx2 ay1", "ry1") == {"G1c": 1}  # y's 2, which nobody read, came after 1
    assert counts("rx ax1", "?rx ax2", "rx12") == {"lost-update": 1}
    assert counts("rx ax1", "?rx ax2", "rx1") == {}  # nobody saw it
    assert counts("!ax1", "?ax2", "rx12") == {"G1a": 1, "dirty-update": 1}


def test_what_was_read_of_a_transaction_of_unknown_end_is_no_aborted_read() -> None:
    assert counts("?ax1 ax2", "rx12") == {}
    assert counts("?ax1 ax2", "rx1") == {"G1b": 1}


def test_a_transaction_of_unknown_end_comes_before_nothing_in_time() -> None:
    late = [
        Transaction(0, 0, Status.info, ops("ax1"), 0, 1),
        Transaction(1, 0, Status.ok, ops("rx"), 2, 3),
        Transaction(2, 1, Status.ok, ops("rx1"), 4, 5),
    ]
    assert check(Observed(Workload.list_append, tuple(late)), realtime=True).counts == {}
    sure = [Transaction(0, 0, Status.ok, ops("ax1"), 0, 1), *late[1:]]
    assert check(Observed(Workload.list_append, tuple(sure)), realtime=True).counts == {"G-single-process": 1}


def test_names_of_time_are_told_only_if_asked_for() -> None:
    transactions = (
        Transaction(0, 0, Status.ok, ops("ax1"), 0, 1, 0, 1_000_000),
        Transaction(1, 1, Status.ok, ops("rx"), 2, 3, 4_000_000, 5_000_000),
    )
    observed = Observed(Workload.list_append, transactions)
    assert check(observed).counts == {}
    report = check(observed, realtime=True)
    assert report.counts == {"G-single-realtime": 1}
    assert "T0 completed at index 1, 0.003 seconds before the invocation of T1, at index 2" in "\n".join(only(report))
    assert report.excluded == ["strong snapshot isolation", "strict serializable"]


def test_two_stale_reads_far_apart_are_told_by_real_time_alone() -> None:
    """However many transactions lie between, the cycle told has two edges."""
    writes = [Transaction(n, 0, Status.ok, ops(f"ay{n}"), 2 * n, 2 * n + 1) for n in range(1, 2000)]
    first = Transaction(0, 1, Status.ok, ops("ax1"), 0, 1)
    last = Transaction(2000, 2, Status.ok, ops("rx"), 5000, 5001)
    report = check(Observed(Workload.list_append, (first, *writes, last)), realtime=True)
    assert report.counts == {"G-single-realtime": 1}
    assert [edge.kind for edge in report.found[0].cycle] == ["realtime", "rw"]


def test_snapshot_isolation_without_a_read_skew_is_not_excluded() -> None:
    """Elle's si-without-g-single: a checker that takes two dependencies for one finds what is not there."""
    a, r = (lambda key, value: MicroOp("append", key, value)), (lambda key, *value: MicroOp("r", key, value))
    made = [(a(9, 2),), (a(8, 1), r(9)), (r(6), r(8), a(9, 5)), (a(6, 2), r(9, 2))]
    transactions = [Transaction(n, n, Status.ok, value, 2 * n, 2 * n + 1) for n, value in enumerate(made)]
    report = check(Observed(Workload.list_append, tuple(transactions)))
    assert list(report.counts) == ["G2-item"]
    assert "repeatable read" in report.excluded
    assert "snapshot isolation" not in report.excluded


@pytest.mark.parametrize("length", [50, 300])
def test_a_read_skew_in_a_sea_of_write_skews_is_found(length: int) -> None:
    """After Elle's unfindable-g-single, which it could only prove to be there somewhere."""
    a, r = (lambda key, value: MicroOp("append", key, value)), (lambda key, *value: MicroOp("r", key, value))
    ring = [(a("ring", 0), a("anti", 0), a("first", 0))]
    ring += [(a("ring", n), a(n, 0)) for n in range(1, length)]
    ring += [(a("ring", length), r("anti"))]
    noise = [(r(n, 0), r("hop")) for n in range(1, length) for _ in range(5)]
    made = [*ring, (r("ring", *range(length + 1)),), *noise, (a("hop", 0), r("first"))]
    transactions = [Transaction(n, n, Status.ok, value, n, 10**6 + n) for n, value in enumerate(made)]
    report = check(Observed(Workload.list_append, tuple(transactions)))
    assert set(report.counts) == {"G-single", "G2-item"}
    assert report.counts["G-single"] == 1
    (skew,) = (one for one in report.found if one.name == "G-single")
    assert len(skew.cycle) == length + 1
    assert not [note for note in report.notes if "G-single" in note]


def test_appends_among_those_of_another_are_dirty_and_inconsistent() -> None:
    assert counts("ax1 ax2 ax4", "ax3 rx1234") == {"internal": 1, "G0": 1}


def test_after_contradictory_reads_only_what_they_agree_on_is_an_order() -> None:
    assert counts("ax1 ry1", "ax2", "ax3 ay1", "rx13", "rx123") == {"incompatible-order": 1}


@pytest.mark.parametrize(
    "texts",
    [
        ("ax1 ax2", "rx2"),
        ("ax3 ax4", "rx43"),
        ("ax3 ax4", "rx43 ax5", "rx435"),
        ("ax3 ax4", "rx435", "ax5"),
        ("?ax3 ax4 ax6", "rx365", "ax5"),
    ],
    ids=lambda texts: "; ".join(texts),
)
def test_what_a_transaction_appended_is_there_in_its_order_and_without_gaps(texts: tuple[str, ...]) -> None:
    report = check(history(*texts))
    assert report.counts["incompatible-order"] >= 1
    proofs = "\n".join(line for one in report.found for line in one.proof)
    assert "and nothing after it" not in proofs


def test_what_a_transaction_appended_before_stands_before_it_in_the_proof() -> None:
    assert only(check(history("ax3 ax4", "rx43")))[-2:] == [
        '  - T1 read [4 3] of "x".',
        "  - However, T0 appended 3 to it before 4: a contradiction!",
    ]
    assert counts("ax1 ax2", "rx", "rx12") == {}
    assert counts("ax1 ax2 ax3", "rx1121323") == {"duplicate-elements": 3}
    assert counts("!ax1 ax2", "rx2") == {"G1a": 1}  # it failed, whatever is left of it


def test_an_append_over_one_that_failed_is_dirty_even_past_one_of_unknown_end() -> None:
    assert counts("!ax1", "?ax2", "ax3", "rx13") == {"dirty-update": 1, "G1a": 1}
    assert counts("!ax1", "?ax2", "ax3", "rx123") == {"dirty-update": 1, "G1a": 1}


def test_lost_updates_of_many_are_one() -> None:
    report = check(history("rx ax1", "rx ax2", "rx ax3", "rx123"))
    assert report.counts == {"lost-update": 1}
    assert report.found[0].transactions == [0, 1, 2]
    assert report.found[0].proof[-1] == "  - The same goes for T2."
    assert [edge.kind for edge in report.found[0].cycle] == ["rw", "rw"]


def test_a_read_skew_beside_a_lost_update_is_told_too() -> None:
    assert counts("rx ax1 ry", "rx ax2 ay1", "rx12 ry1", "ry rz1", "ay2 az1", "ry12") == {
        "lost-update": 1,
        "G-single": 1,
    }


def test_a_write_skew_is_no_lost_update() -> None:
    report = check(history("rx ry ax1", "rx ry ay1", "rx1 ry1"))
    assert report.counts == {"G2-item": 1}
    assert "update serializable" in report.excluded  # both of them wrote
    assert report.possible == ["strong session snapshot isolation"]


def test_a_cycle_with_two_readers_leaves_update_serializability() -> None:
    report = check(history("ax1", "ay1", "rx1 ry", "rx ry1"))
    assert report.counts == {"long-fork": 1}
    assert "update serializable" not in report.excluded
    assert "parallel snapshot isolation" in report.possible


def test_a_long_fork_whose_readers_wrote_excludes_update_serializability() -> None:
    report = check(history("ax1", "ay1", "rx1 ry az1", "rx ry1 aw1"))
    assert report.counts == {"long-fork": 1}
    assert "update serializable" in report.excluded
    assert "update serializable" in check(history("ax1", "ay1", "rx1 ry az1", "rx ry1")).excluded


def test_one_cycle_of_updates_among_many_with_readers_excludes_update_serializability() -> None:
    forks = [
        text
        for key in "abcdef"
        for text in (f"a{key}1", f"a{key.upper()}1", f"r{key}1 r{key.upper()}", f"r{key} r{key.upper()}1")
    ]
    assert "update serializable" not in check(history(*forks), examples=3).excluded
    wide = ["ax1", "ay1", "rx1 ry az1", "rx ry1 aw1"]
    assert "update serializable" in check(history(*forks, *wide), examples=3).excluded


def test_what_was_read_leads_to_what_must_be_seen() -> None:
    """Causality: who saw what T1 wrote after it had seen T0 must see T0, too."""
    report = check(history("ax1", "rx1 ay1", "ry1 rx"))
    assert report.counts == {"G-single": 1}
    assert "causal" in report.excluded
    assert "read atomic" not in report.excluded
    assert "prefix" not in report.possible
    late = check(history("ax1 az1", "az2 ay1", "ry1 rx", "rz12"))  # T1 came after T0, but had not seen it
    assert late.counts == {"G-single": 1}
    assert "causal" not in late.excluded


def test_a_fractured_read_excludes_atomic_visibility_and_other_read_skews_do_not() -> None:
    fractured = check(history("rx ry1", "ax1 ay1"))
    assert fractured.counts == {"G-single": 1}
    assert "read atomic" in fractured.excluded
    assert "monotonic atomic view" not in fractured.excluded  # it had not seen anything of T1 when it missed x
    vanished = check(history("ry1 rx", "ax1 ay1"))
    assert "monotonic atomic view" in vanished.excluded
    assert "monotonic view" in vanished.excluded
    assert "read atomic" not in check(history("rx ry1", "ax1 az1", "rz1 ay1")).excluded


@pytest.mark.parametrize(
    ("reader", "vanishes"),
    [
        ("rx ry rx1", False),  # y was read before x showed anything
        ("rx ry ry1 rx1", False),
        ("ry rx1 ry", True),
        ("rx1 ry ry1", True),
        ("rx1 rx ry1", True),
        ("rx12 ry", True),  # seen, though it was appended to since
    ],
)
def test_what_a_transaction_saw_of_another_vanished_only_if_it_missed_it_later(reader: str, vanishes: bool) -> None:
    excluded = check(history(reader, "ay1 ax1", "rx1 ax2")).excluded
    assert "read atomic" in excluded
    assert ("monotonic atomic view" in excluded) == vanishes
    assert ("monotonic view" in excluded) == vanishes


def test_a_transaction_that_vanished_beside_a_lost_update_is_seen() -> None:
    report = check(history("rx ax1 ay1", "ry1 rx ax2", "rx12"))
    assert report.counts["lost-update"] == 1
    assert "monotonic atomic view" in report.excluded


def test_elements_that_two_appended_tell_nothing() -> None:
    report = check(history("ax1 ry1", "ax1 ay1", "rx1"))
    assert report.counts == {}
    assert report.notes == ["1 elements were appended more than once to one list: whose a read shows cannot be told"]


def test_an_element_of_a_failed_transaction_that_was_tried_again_is_the_second_ones() -> None:
    assert counts("!ax1", "ax1", "rx1") == {}
    assert counts("ax1", "!ax1", "rx1") == {}


def test_only_the_smallest_examples_are_kept_and_all_are_counted() -> None:
    texts = [
        text for n in range(8) for text in (f"r{chr(97 + n)} a{chr(105 + n)}1", f"r{chr(105 + n)} a{chr(97 + n)}1")
    ]
    report = check(history(*texts), examples=3)
    assert report.counts == {"G2-item": 8}
    assert [one.transactions for one in report.found] == [[0, 1], [2, 3], [4, 5]]
