from __future__ import annotations

from harness.answers import DeadlockReport, ErrorKind
from harness.evidence.deadlock import find
from harness.evidence.model import Detector, phenomena
from harness.history import EventKind, SessionRecord
from harness.vocabulary import Phenomenon

from .histories import LOST, SERIALIZATION, Builder, error

RING = [("T1", "T2"), ("T2", "T1")]


def ring(seen: bool = True) -> Builder:
    """T1 and T2 hold a row each and wait for the other's; the picture is taken."""
    builder = Builder()
    for session in ("T1", "T2"):
        builder.begin(session)
        builder.step(session, f"hold {session}")
    for session, other in RING:
        builder.start(session, f"want {session}")
        builder.blocked(session, f"want {session}", other)
    builder.picture(*RING, cycle=["T1", "T2"], seen=seen)
    return builder


def test_the_server_chose_a_victim() -> None:
    builder = ring()
    builder.refused("T2", "want T2")
    builder.end("T1", "want T1")
    builder.commit("T1", "commit T1")
    (found,) = find(builder.history())
    assert (found.cycle, found.ended_by, found.seen_by_server) == (["T1", "T2"], Detector.server, True)
    assert (found.victim, found.victim_step, found.code) == ("T2", "want T2", "40P01")
    assert [(wait.waiter, wait.holder) for wait in found.waits] == RING
    assert found.picture == builder.pictures[0].seq
    assert found.story == [
        "want T2 of T2 is ended (40P01 deadlock): the ring is broken",
        "want T1 of T1, which waited for T2, goes on (it has its lock)",
        "commit T1: T1 commits",
    ]


def test_the_survivor_may_be_refused_too() -> None:
    builder = ring()
    builder.refused("T2", "want T2")
    builder.refused("T1", "want T1", SERIALIZATION)
    builder.rollback("T1", "give up")
    (found,) = find(builder.history())
    assert found.story[1:] == [
        "want T1 of T1, which waited for T2, goes on (refused: 40001 serialization failure)",
        "give up: T1 rolls back",
    ]


def test_no_server_could_see_it_and_the_harness_broke_it() -> None:
    builder = ring(seen=False)
    builder.end("T2", "want T2", kind=EventKind.cancelled, error=error(ErrorKind.cancelled, "57014"))
    builder.end("T1", "want T1")
    (found,) = find(builder.history())
    assert (found.seen_by_server, found.ended_by, found.victim) == (False, Detector.harness, "T2")
    assert found.reports == []


def test_nobody_ended_it() -> None:
    builder = ring(seen=False)
    builder.picture(*RING, cycle=["T2", "T1"], seen=False)  # the same ring, looked at again when the deadline passed
    for session in ("T1", "T2"):
        builder.end(session, f"want {session}", kind=EventKind.timeout, error=error(ErrorKind.cancelled, "57014"))
    (found,) = find(builder.history())
    assert (found.ended_by, found.victim, found.story) == (Detector.nobody, "", [])


def test_a_victim_is_the_servers_word_even_if_it_was_thought_blind() -> None:
    builder = ring(seen=False)
    builder.refused("T1", "want T1")
    (found,) = find(builder.history())
    assert (found.seen_by_server, found.ended_by, found.victim) == (True, Detector.server, "T1")


def test_a_victim_without_a_picture() -> None:
    builder = Builder()
    builder.begin("T1")
    builder.start("T1", "want")
    builder.refused("T1", "want")
    (found,) = find(builder.history())
    assert (found.cycle, found.waits, found.picture) == ([], [], None)
    assert (found.victim, found.victim_step, found.seen_by_server) == ("T1", "want", True)


def test_that_the_survivor_got_its_lock_is_no_deadlock() -> None:
    builder = Builder()
    for session in ("T1", "T2"):
        builder.begin(session)
    builder.step("T1", "hold")
    builder.start("T2", "want")
    builder.blocked("T2", "want", "T1")
    builder.picture(("T2", "T1"))
    builder.commit("T1", "commit 1")
    builder.end("T2", "want")
    builder.commit("T2", "commit 2")
    assert find(builder.history()) == []


def cut_off(*, seen: bool = True) -> Builder:
    """The machine of T2, which the server may have chosen as victim, is cut off; T1 gets its lock."""
    builder = ring(seen)
    builder.refused("T2", "want T2", LOST)
    builder.end("T1", "want T1")
    builder.commit("T1", "commit T1")
    return builder


def test_a_ring_whose_victim_was_never_heard_is_no_deadlock() -> None:
    (found,) = find(cut_off().history())
    assert (found.cycle, found.seen_by_server) == (["T1", "T2"], True)
    assert (found.ended_by, found.victim, found.code, found.story) == (Detector.nobody, "", "", [])
    assert found.phenomenon is None
    assert phenomena([], [found]) == []


def test_no_more_is_it_if_the_server_wrote_of_it_in_its_log() -> None:
    report = DeadlockReport(database="db", source="log", text="deadlock detected")
    (found,) = find(cut_off().history(reports=[report]))
    assert (found.phenomenon, found.reports) == (None, [])


def test_no_more_is_it_if_the_other_side_was_cancelled() -> None:
    builder = ring()
    builder.refused("T2", "want T2", LOST)
    builder.end("T1", "want T1", kind=EventKind.timeout, error=error(ErrorKind.cancelled, "57014"))
    (found,) = find(builder.history())
    assert (found.phenomenon, found.ended_by) == (None, Detector.nobody)


def test_the_other_side_as_victim_is_the_servers_word() -> None:
    builder = ring()
    builder.refused("T2", "want T2", LOST)
    builder.refused("T1", "want T1")
    (found,) = find(builder.history())
    assert (found.phenomenon, found.victim) == (Phenomenon.deadlock, "T1")


def test_a_ring_that_no_server_can_see_needs_no_servers_word() -> None:
    (found,) = find(cut_off(seen=False).history())
    assert (found.phenomenon, found.ended_by) == (Phenomenon.hidden_deadlock, Detector.nobody)


def test_other_errors_are_no_deadlock() -> None:
    builder = Builder()
    builder.begin("T1")
    builder.start("T1", "want")
    builder.refused("T1", "want", error(ErrorKind.lock_timeout, "55P03"))
    assert find(builder.history()) == []


def test_two_deadlocks_one_after_the_other() -> None:
    builder = ring()
    builder.refused("T2", "want T2")
    builder.end("T1", "want T1")
    for session, other in RING:
        builder.start(session, f"again {session}")
        builder.blocked(session, f"again {session}", other)
    builder.picture(*RING, cycle=["T1", "T2"], seen=True)
    builder.refused("T1", "again T1")
    builder.end("T2", "again T2")
    assert [one.victim_step for one in find(builder.history())] == ["want T2", "again T1"]


def test_a_ring_of_three_tells_its_edges_in_order() -> None:
    builder = Builder()
    pairs = [("C", "A"), ("A", "B"), ("B", "C"), ("A", "C")]
    builder.picture(*pairs, cycle=["A", "B", "C"], seen=True)
    (found,) = find(builder.history())
    assert [(wait.waiter, wait.holder) for wait in found.waits] == [("A", "B"), ("B", "C"), ("C", "A")]


def test_a_report_goes_with_the_victim_that_it_names() -> None:
    builder = ring()
    builder.refused("T2", "want T2")
    builder.sessions["T2"] = SessionRecord(name="T2", host="here", pids={"db": "12"})
    reports = [
        DeadlockReport(database="db", source="log", text=text) for text in ("Process 12 waits", "Process 123 waits")
    ]
    (found,) = find(builder.history(reports=reports))
    assert found.reports == reports[:1]
    builder.sessions["T2"] = SessionRecord(name="T2", host="here", pids={"db": "99"})
    (found,) = find(builder.history(reports=reports))
    assert found.reports == reports
