from __future__ import annotations

from typing import Any

from harness.answers import ErrorKind
from harness.evidence.model import Deadlock, Detector, Evidence, Status, Verdict
from harness.history import EventKind, History
from harness.report.reading import Part, found, markers, rows, step_runs, telling_picture, transactions, victims
from harness.report.text import case_text, timeline_text
from harness.report.timeline import timeline_svg

from .samples import Recorder, cascade, dirty_read, hidden, history, hung, many_steps


def made(recorder: Recorder, *names: str) -> History:
    return history("x[promptsales@postgresql]", "x", recorder, list(names))


def judged(what: History, **verdict: Any) -> Evidence:
    return Evidence(history=what, verdict=Verdict(status=Status.passed, summary="so it is", **verdict))


def released(what: History) -> dict[str, str]:
    return {run.step: run.released_by.step for run in step_runs(what).values() if run.released_by}


def test_a_blocked_step_is_let_go_by_the_end_of_whom_it_waited_for() -> None:
    assert released(cascade().history) == {"T2.next": "T3.next", "T1.next": "T2.commit"}


def test_what_happens_on_another_server_lets_nobody_go() -> None:
    assert released(hidden().history) == {"T1.client": "T2.rollback_crm"}


def test_nobody_is_let_go_by_a_deadline() -> None:
    assert released(hung().history) == {}


def test_two_answers_may_reach_the_controller_in_the_wrong_order() -> None:
    rec = Recorder()
    rec.step("A", "lock", "BEGIN")
    rec.start("A", "ask", "UPDATE a")
    rec.start("B", "wait", "UPDATE b")
    rec.blocked("B", "A")
    rec.end("B")
    rec.fail("A", ErrorKind.deadlock, "40P01", "deadlock detected")
    what = made(rec, "A", "B")
    assert released(what) == {"wait": "ask"}
    assert "let it go on" in timeline_svg(judged(what))


def test_of_several_holders_the_last_one_lets_go() -> None:
    rec = Recorder()
    for name in "AB":
        rec.step(name, f"{name}.begin", "BEGIN")
    rec.start("C", "wait", "UPDATE c")
    rec.blocked("C", "A", "B")
    rec.step("B", "B.commit", "COMMIT")
    rec.step("A", "A.commit", "COMMIT")
    rec.end("C")
    what = made(rec, "A", "B", "C")
    assert released(what) == {"wait": "A.commit"}
    assert "waits for A, B" in timeline_text(judged(what))


def test_a_second_try_that_blocks_is_one_step() -> None:
    rec = Recorder()
    rec.step("A", "begin", "BEGIN")
    rec.start("B", "write", "UPDATE b", attempt=2)
    begun = rec._open["B"]
    rec._open["B"] = begun.model_copy(update={"attempt": 1})  # as the runner: only start and end tell the attempt
    rec.blocked("B", "A")
    rec._open["B"] = begun
    rec.step("A", "commit", "COMMIT")
    rec.end("B")
    what = made(rec, "A", "B")
    assert [row.part for row in rows(what)] == [Part.whole, Part.opening, Part.whole, Part.closing]
    assert "write (try 2)" in timeline_text(judged(what))


def test_a_servers_remark_belongs_to_its_step() -> None:
    rec = Recorder()
    rec.start("A", "drop", "DROP TABLE IF EXISTS x")
    rec._add(EventKind.notice, "A", "drop", text='NOTICE: table "x" does not exist')
    rec.end("A")
    what = made(rec, "A")
    assert [row.part for row in rows(what)] == [Part.whole]
    assert rows(what)[0].notices == ['NOTICE: table "x" does not exist']
    assert "does not exist" in timeline_text(judged(what))
    assert "does not exist" in timeline_svg(judged(what))


def test_a_step_without_an_end_is_shown_as_begun() -> None:
    rec = Recorder()
    rec.start("A", "slow", "SELECT pg_sleep(9)")
    what = made(rec, "A", "B")
    assert [row.part for row in rows(what)] == [Part.opening]
    assert "› slow" in timeline_text(judged(what))
    assert "slow" in timeline_svg(judged(what))


def test_transactions_span_from_begin_to_end() -> None:
    kinds = {span.session: span.how and span.how.value for span in transactions(cascade().history)}
    assert kinds == {"T1": "committed", "T2": "committed", "T3": "aborted"}
    assert [span.how for span in transactions(hung().history)] == [None]
    assert transactions(many_steps().history) == []
    assert len(transactions(hidden().history)) == 4


def test_the_picture_with_the_cycle_is_the_telling_one() -> None:
    picture = telling_picture(cascade().history)
    assert picture is not None
    assert picture.cycle == ["T1", "T2", "T3"]
    assert telling_picture(dirty_read().history) is None


def test_a_deadlock_without_a_picture_has_its_victim_all_the_same() -> None:
    rec = Recorder()
    rec.start("A", "write", "UPDATE a")
    rec.fail("A", ErrorKind.deadlock, "1205", "chosen as the deadlock victim")
    one = Deadlock(
        cycle=[], waits=[], seen_by_server=True, ended_by=Detector.server, victim="A", victim_step="write", code="1205"
    )  # fmt: skip
    evidence = judged(made(rec, "A"), deadlocks=[one])
    assert victims(evidence) == ["A"]
    assert found(evidence) == ["deadlock"]
    assert markers(evidence) == {2: ["D1"]}
    assert "deadlock, its cycle not seen" in case_text(evidence)
    assert "D1" in timeline_svg(evidence)


def test_an_empty_history_is_drawn() -> None:
    evidence = judged(made(Recorder()))
    assert timeline_text(evidence, 100)
    assert timeline_svg(evidence)
    assert "so it is" in case_text(evidence)
