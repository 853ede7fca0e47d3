from __future__ import annotations

import json
from typing import Any

import pytest

from harness.answers import DeadlockReport, ErrorKind
from harness.errors import StoreError
from harness.evidence.model import Evidence, Status
from harness.evidence.verdict import expectation_from_record, judge, judge_again
from harness.history import EventKind, History, HostRecord, RunEnd, ScheduledStep, SessionRecord
from harness.scenario.model import Expectation
from harness.vocabulary import Phenomenon

from .histories import CONFLICT, SERIALIZATION, Builder, build, database, error, read, with_rows
from .test_deadlock import cut_off, ring


def lost_update() -> Builder:
    return build("r1(x=0) r2(x=0) w1(x=1) c1 w2(x=2) c2", x=0)


def failing() -> Builder:
    """T2's write is refused after it was blocked."""
    builder = build("r1(x=0) r2(x=0) w1(x=1)", x=0)
    builder.start("T2", "write")
    builder.blocked("T2", "write", "T1")
    builder.commit("T1", "commit")
    builder.refused("T2", "write", SERIALIZATION)
    return builder


def mismatches(history: History, **expected: Any) -> list[str]:
    return judge(history, Expectation(**expected)).mismatches


P4 = (Phenomenon.lost_update,)


def test_as_expected() -> None:
    verdict = judge(lost_update().history(), Expectation(finds=P4))
    assert (verdict.status, verdict.summary) == (Status.passed, "lost update, as expected")
    verdict = judge(Builder().history(), Expectation())
    assert (verdict.status, verdict.summary, verdict.expected) == (
        Status.passed,
        "no anomaly, as expected",
        ["finds nothing"],
    )


def test_phenomena() -> None:
    history = lost_update().history()
    assert mismatches(history) == ["found lost update, which was not expected"]
    assert mismatches(history, allows=P4) == []
    assert mismatches(history, finds=(Phenomenon.phantom,)) == [
        "expected phantom, found lost update",
        "found lost update, which was not expected",
    ]
    assert mismatches(Builder().history(), finds=P4) == ["expected lost update, found nothing"]


def test_the_summary_counts_what_is_left_out() -> None:
    verdict = judge(lost_update().history(), Expectation(finds=(Phenomenon.phantom,)))
    assert verdict.summary == "expected phantom, found lost update (and 1 more)"
    assert verdict.status is Status.failed


def test_deadlocks_and_victims() -> None:
    builder = ring()
    builder.refused("T2", "want T2")
    builder.end("T1", "want T1")
    history = builder.history()
    errors = {"want T2": "deadlock"}
    good = Expectation(finds=(Phenomenon.deadlock,), victim="T2", errors=errors)
    verdict = judge(history, good)
    assert verdict.summary == "deadlock: T1 → T2 → T1, victim T2 (40P01), as expected"
    assert verdict.phenomena == [Phenomenon.deadlock]
    assert mismatches(history, finds=(Phenomenon.deadlock,), victim="T1", errors=errors) == [
        "expected T1 as victim, it was T2"
    ]
    assert mismatches(Builder().history(), victim="T1") == ["expected T1 as victim, it was nobody"]


def test_a_hidden_deadlock() -> None:
    builder = ring(seen=False)
    builder.end("T2", "want T2", kind=EventKind.cancelled, error=error(ErrorKind.cancelled, "57014"))
    history = builder.history()
    verdict = judge(history, Expectation(finds=(Phenomenon.hidden_deadlock,), victim="T2"))
    assert verdict.summary == "hidden deadlock: T1 → T2 → T1, broken by the harness at T2 (57014), as expected"
    both = Expectation(finds=(Phenomenon.hidden_deadlock,), errors={"want T2": "cancelled"})
    assert judge(history, both).mismatches == []


def test_a_cycle_that_nobody_ended_is_no_deadlock_but_a_hang() -> None:
    builder = ring()
    builder.end("T2", "want T2", kind=EventKind.timeout, error=error(ErrorKind.cancelled, "57014"))
    verdict = judge(builder.history(end=RunEnd.hung, end_text="step 'want T2' had not ended"), Expectation())
    assert (verdict.status, verdict.mismatches) == (Status.failed, ["step 'want T2' had not ended"])
    assert verdict.notes == [UNHEARD]
    told = judge(builder.history(end=RunEnd.hung, end_text="T1 → T2 → T1 has not been ended in time"), Expectation())
    assert told.notes == []  # the end's text has said so


UNHEARD = "a ring was seen, T1 → T2 → T1, but no victim's error came from the server: no deadlock is found"


def test_a_ring_whose_victim_was_cut_off_is_no_deadlock() -> None:
    wanted = Expectation(finds=(Phenomenon.deadlock,), victim="T2", errors={"want T2": "deadlock"})
    lost = {"end": RunEnd.lost, "end_text": "pc2 is lost: no word from it for 2 s"}
    verdict = judge(cut_off().history(**lost), wanted)
    assert verdict.phenomena == []
    assert (verdict.status, verdict.summary) == (Status.error, lost["end_text"])
    assert "expected deadlock, found nothing" in verdict.mismatches
    assert verdict.notes == [UNHEARD]
    report = DeadlockReport(database="db", source="log", text="deadlock detected")
    verdict = judge(cut_off().history(**lost, reports=[report]), wanted)
    assert verdict.phenomena == []
    assert verdict.notes == [f"{UNHEARD}; what the server itself wrote of one is kept"]


def test_a_ring_that_ended_otherwise_is_not_in_the_summary() -> None:
    builder = ring()
    builder.refused("T2", "want T2", error(ErrorKind.lock_timeout, "55P03"))
    builder.end("T1", "want T1")
    verdict = judge(builder.history(), Expectation(errors={"want T2": "lock timeout"}))
    assert (verdict.status, verdict.summary) == (Status.passed, "no anomaly, as expected")
    assert verdict.notes == [UNHEARD]


def test_a_clock_that_is_far_off_is_noted() -> None:
    def host(name: str, offset: float, lost: str = "") -> HostRecord:
        return HostRecord(name=name, hostname=name, clock_offset=offset, clock_error=0.0002, lost=lost)

    hosts = [host("pc1", 0.9), host("pc2", 5.003, lost="no word from it"), host("pc3", -3600.5)]
    assert judge(Builder().history(hosts=hosts), Expectation()).notes == [
        "pc2: its clock is 5.003 s ahead (± 0.2 ms): order by sequence number, not by time",
        "pc3: its clock is 3600.500 s behind (± 0.2 ms): order by sequence number, not by time",
    ]


def test_errors() -> None:
    history = failing().history()
    refused = "serialization failure (40001: refused: serialization failure)"
    assert mismatches(history, errors={"write": "40001"}) == []
    assert mismatches(history, errors={"write": "serialization failure"}) == []
    assert mismatches(history) == [f"write ended with {refused}, which was not expected"]
    assert mismatches(history, errors={"write": "deadlock"}) == [
        f"expected write to end with deadlock, it ended with {refused}"
    ]
    assert mismatches(history, errors={"write": "40001", "commit": "40001"}) == [
        "expected commit to end with 40001, it went well"
    ]
    assert mismatches(history, errors={"write": "40001", "none": "40001"}) == [
        "expected none to end with 40001, it was not run"
    ]


def test_a_conflict_is_an_error_too() -> None:
    builder = Builder()
    builder.start("T1", "exec")
    builder.refused("T1", "exec", CONFLICT, kind=EventKind.conflict)
    assert mismatches(builder.history(), errors={"exec": "write conflict"}) == []
    assert mismatches(builder.history())[0].startswith("exec ended with write conflict (112: ")


def test_blocks() -> None:
    history = failing().history()
    errors = {"write": "40001"}
    assert mismatches(history, errors=errors, blocks=("write",)) == []
    assert mismatches(history, errors=errors, blocks=()) == ["write blocked, which was not expected"]
    assert mismatches(history, errors=errors, blocks=("write", "commit")) == ["expected commit to block, it did not"]
    assert mismatches(history, errors=errors, blocks=("write", "none")) == ["expected none to block, it was not run"]


def test_a_server_that_does_not_tell_who_waits_is_not_asked() -> None:
    builder = failing()
    builder.databases = [database("db", capabilities={"waits": "no", "notes": "a note"})]
    builder.events = [event for event in builder.events if event.kind is not EventKind.blocked]
    verdict = judge(builder.history(), Expectation(errors={"write": "40001"}, blocks=("write",)))
    assert verdict.mismatches == []
    assert verdict.notes == [
        "promptsales: a note",
        "promptsales: which steps blocked was not checked, the server does not tell",
    ]


def test_the_others_are() -> None:
    builder = failing()
    builder.databases = [database("db"), database("cache", capabilities={"waits": "no"})]
    builder.step("T3", "look", database="cache")
    history = builder.history()
    assert mismatches(history, errors={"write": "40001"}, blocks=("look",)) == ["write blocked, which was not expected"]


def entry(step: str, session: str, **claim: Any) -> ScheduledStep:
    return ScheduledStep(step=step, session=session, **claim)


def test_claims_of_the_schedule() -> None:
    history = failing().history
    errors = {"write": "40001"}

    def said(*entries: ScheduledStep) -> list[str]:
        return mismatches(history(entries=list(entries)), errors=errors)

    assert said(entry("write", "T2", must_block=True, after="commit"), entry("commit", "T1", must_block=False)) == []
    assert said(entry("commit", "T1", must_block=True)) == ["the schedule says that commit blocks, it did not"]
    assert said(entry("write", "T2", must_block=False)) == ["the schedule says that write does not block, it did"]
    assert said(entry("commit", "T1", after="write")) == [
        "the schedule says that commit completes only after write, it did before"
    ]
    assert said(entry("never", "T1", must_block=True)) == []  # not run here


def test_the_level_is_the_one_asked_for() -> None:
    builder = Builder()
    builder.databases = [database("db"), database("cache", "redis")]
    builder.sessions["T1"] = SessionRecord(
        name="T1", host="here", observed_levels={"db": "serializable", "cache": "atomic commands"}
    )
    assert mismatches(builder.history()) == ["T1 asked for read committed, the server gives serializable"]


def test_sees() -> None:
    builder = build("r1(x=5) c1", x=5)
    builder.step("T1", "rows", results=with_rows([1, "a"], [2, "b"]))
    builder.step("T1", "row", results=with_rows([1, "a"]))
    builder.step("T1", "one", results=with_rows(["7.0"]))
    builder.step("T1", "none", results=with_rows())
    builder.step("T1", "two", read("x", 5), read("y", None))
    history = builder.history()
    good = {"r1(x)": 5, "rows": [[1, "a"], [2, "b"]], "row": ["1", "a"], "one": 7, "none": None, "two": [5, None]}
    assert mismatches(history, sees=good) == []
    assert mismatches(history, sees={"r1(x)": "> 4", "one": "!= 8"}) == []
    assert mismatches(history, sees={"r1(x)": 6, "none": 1}) == [
        "expected r1(x) to see 6, it saw 5",
        "expected none to see 1, it saw nothing",
    ]


def test_nothing_seen_is_not_the_same_as_not_looked() -> None:
    builder = failing()
    assert mismatches(builder.history(), errors={"write": "40001"}, sees={"write": None, "never": None}) == [
        "expected write to see nothing, it ended as error",
        "expected never to see nothing, it was not run",
    ]


def test_final() -> None:
    history = Builder(x=10, text="a").history(final={"x": "9", "text": "b"})
    assert mismatches(history, final={"x": 9, "text": "b"}) == []
    assert mismatches(history, final={"x": "== initial_x - 1"}) == []
    assert mismatches(history, final={"x": "< x"}) == []  # an item's bare name is its initial value
    assert mismatches(history, final={"x": 8, "z": 1}) == [
        "expected x to be 8 at the end, it is 9",
        "expected z to be 1 at the end, it is nothing",
    ]
    assert mismatches(history, final={"x": "< 1 / 0"}) == [
        "expected x to be < 1 / 0 at the end, cannot compute ${1 / 0}: division by zero "
        "(known names: attempted, committed, initial_text, initial_x, refused, text, x)"
    ]
    assert mismatches(history, final={"text": "< 5"}) == ["expected text to be < 5 at the end, it is b"]


def test_counts() -> None:
    counted = {"attempted": 10, "committed": 8, "refused": 2, "serialization failure": 2}
    history = Builder(x=0).history(mode="free-running", transactions=counted, final={"x": 8})
    verdict = judge(
        history, Expectation(counts={"committed": 8, "serialization failure": "> 0"}, final={"x": "== committed"})
    )
    assert verdict.mismatches == []
    assert verdict.summary == "no anomaly; 8 of 10 transactions committed, as expected"
    assert mismatches(history, counts={"committed": 10, "deadlock": "> 0"}) == [
        "expected 10 transactions committed, there were 8",
        "expected > 0 transactions deadlock, there were 0",
    ]
    assert mismatches(history, final={"x": "< serialization_failure"}) == [
        "expected x to be < serialization_failure at the end, it is 8"
    ]


def test_errors_of_a_free_run_are_counted_instead() -> None:
    assert mismatches(failing().history(mode="free-running")) == []


def test_a_lost_server_is_an_error_and_nobody_looked_at_the_end() -> None:
    history = Builder(x=1).history(end=RunEnd.lost, end_text="T1 lost its connection")
    verdict = judge(history, Expectation(final={"x": 1}))
    assert (verdict.status, verdict.summary, verdict.mismatches) == (
        Status.error,
        "T1 lost its connection",
        ["T1 lost its connection"],
    )
    assert judge(Builder().history(end=RunEnd.lost), Expectation()).summary == "the run ended as lost"


def test_stand_ins_and_notes_are_named() -> None:
    builder = Builder()
    builder.databases = [database("db", stand_in="sqlserver", logical="promptads")]
    builder.sessions["T1"] = SessionRecord(name="T1", host="here", notes=["a note"])
    assert judge(builder.history(notes=["tear-down fails"]), Expectation()).notes == [
        "promptads runs on PostgreSQL, a stand-in for sqlserver",
        "T1: a note",
        "tear-down fails",
    ]


def test_what_is_expected_is_said_in_words() -> None:
    expectation = Expectation(
        finds=P4,
        allows=(Phenomenon.phantom,),
        victim="T1",
        errors={"a": "40001"},
        blocks=(),
        sees={"b": 5},
        final={"x": "< 3"},
        counts={"committed": 4},
        may_refuse=("deadlock", "40001"),
        holds=("x == 1",),
    )
    assert judge(Builder().history(), expectation).expected == [
        "finds lost update",
        "may find phantom",
        "the victim is T1",
        "a ends with 40001",
        "any step may be refused with deadlock or 40001",
        "blocked: no step",
        "b sees 5",
        "x is < 3 at the end",
        "x == 1 at the end",
        "committed transactions: 4",
    ]


def test_the_server_may_refuse_any_step() -> None:
    history = failing().history()
    said = "write ended with serialization failure (40001: refused: serialization failure), which was not expected"
    assert mismatches(history) == [said]
    assert mismatches(history, may_refuse=("deadlock", "lock timeout", "40P01")) == [said]
    assert mismatches(history, may_refuse=("serialization failure",)) == []
    assert mismatches(history, may_refuse=("deadlock", "40001")) == []
    # It may; but what is named must.
    assert mismatches(history, may_refuse=("40001",), errors={"commit": "40001"}) == [
        "expected commit to end with 40001, it went well"
    ]


def test_what_fails_in_a_failed_transaction_may_if_the_refusal_might() -> None:
    builder = Builder()
    for session in ("T1", "T2"):
        builder.begin(session)
    failed = error(ErrorKind.in_failed_transaction, "25P02")
    builder.step("T1", "a", kind=EventKind.error, error=SERIALIZATION)
    builder.step("T1", "b", kind=EventKind.error, error=failed)
    builder.step("T2", "c", kind=EventKind.error, error=failed)
    assert mismatches(builder.history(), may_refuse=("40001",)) == [
        "c ended with in failed transaction (25P02: refused: in failed transaction), which was not expected"
    ]
    assert len(mismatches(builder.history(), errors={"a": "40001"})) == 2


def test_a_deadlock_that_may_be_is_no_unexpected_phenomenon() -> None:
    builder = ring()
    builder.refused("T2", "want T2")
    builder.end("T1", "want T1")
    history = builder.history()
    assert mismatches(history, may_refuse=("deadlock",)) == mismatches(history, may_refuse=("40P01",)) == []
    assert mismatches(history, may_refuse=("serialization failure",)) == [
        "found deadlock, which was not expected",
        "want T2 ended with deadlock (40P01: refused: deadlock), which was not expected",
    ]
    verdict = judge(history, Expectation(may_refuse=("deadlock",)))
    assert verdict.summary == "deadlock: T1 → T2 → T1, victim T2 (40P01), as expected"
    # One that no server saw is no refusal.
    hidden = ring(seen=False).history()
    assert "found hidden deadlock, which was not expected" in mismatches(hidden, may_refuse=("deadlock",))


CASES = {
    "lost update": (lost_update().history(), Expectation(finds=P4)),
    "no block expected": (failing().history(), Expectation(errors={"write": "40001"}, blocks=())),
    "a block expected": (failing().history(), Expectation(errors={"write": "40001"}, blocks=("write",))),
    "values": (Builder(x=1).history(final={"x": 2}), Expectation(final={"x": "== initial_x"}, sees={"a": None})),
    "nothing": (Builder().history(), Expectation()),
    "may be refused": (failing().history(), Expectation(may_refuse=("serialization failure", "deadlock"))),
    "what holds": (lost_update().history(final={"x": 2}), Expectation(finds=P4, holds=("x == committed_T1", "x > 1"))),
    "lost": (Builder().history(end=RunEnd.lost), Expectation(victim="T1")),
    "ring": (ring().history(), Expectation(finds=(Phenomenon.deadlock,), victim="T2", errors={"want T2": "deadlock"})),
}


@pytest.mark.parametrize(("history", "expectation"), list(CASES.values()), ids=list(CASES))
def test_what_is_stored_gives_the_same_verdict_again(history: History, expectation: Expectation) -> None:
    verdict = judge(history, expectation)
    evidence = Evidence(history=history, expectation=expectation.as_record(), verdict=verdict)
    stored = Evidence.model_validate_json(evidence.model_dump_json(exclude_defaults=True))
    assert judge_again(stored) == stored.verdict == verdict


@pytest.mark.parametrize("record", [{"findz": []}, {"finds": ["lost updat"]}, {"blocks": 5}])
def test_a_record_that_is_no_expectation(record: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="the stored expectation cannot be read"):
        expectation_from_record(json.loads(json.dumps(record)))
