from __future__ import annotations

import pytest
from evidence.histories import CONFLICT, DEADLOCK, SERIALIZATION, Builder, build, read, write

from harness.history import RunEnd
from harness.matrix.cells import tried
from harness.matrix.model import How, Outcome
from harness.vocabulary import HERMITAGE

from .made import LOST, MONGO, PROOFS, SERIAL, SKEW, STANDIN, VALKEY, evidence, level, one, phantom, table


@pytest.mark.parametrize("anomaly", HERMITAGE)
def test_an_anomaly_that_the_history_proves_came_about(anomaly: str) -> None:
    case = one(PROOFS[anomaly], anomaly)
    assert case.outcome is Outcome.allowed
    assert case.phenomenon
    assert case.proof[-1].endswith("∎")


def test_another_anomaly_than_the_cells_own_does_not_count_and_is_told() -> None:
    case = one(PROOFS["G2-item"], "G1c")
    assert case.outcome is Outcome.prevented
    assert case.besides == ["write skew (G2-item)"]


def test_a_phantom_is_a_cycle_with_one_anti_dependency_and_so_a_g_single() -> None:
    assert one(PROOFS["PMP"], "G-single").outcome is Outcome.allowed
    assert one(SKEW, "PMP").outcome is Outcome.prevented


def test_one_dirty_read_is_no_circle() -> None:
    once = "w1(x=1) w2(y=2) r2(x=1) r1(y=0) c1 c2"
    assert one(once, "G1c").outcome is Outcome.prevented
    assert one(PROOFS["G1c"], "G1c").phenomenon == "dirty read (P1)"


def test_who_waited_and_for_whom() -> None:
    made = Builder(x=0)
    made.begin("T1")
    made.step("T1", "first_1", write("x", 1))
    made.begin("T2")
    made.start("T2", "first_2")
    made.blocked("T2", "first_2", "T1")
    made.blocked("T2", "first_2", "T1")
    made.commit("T1")
    made.end("T2", "first_2", write("x", 2))
    made.commit("T2")
    case = one(made, "G0")
    assert case.outcome is Outcome.prevented
    assert [reason.text for reason in case.reasons] == ["first_2 of T2 waited for T1"]
    assert case.hows == (How.blocked,)


@pytest.mark.parametrize("why", [SERIALIZATION, CONFLICT, DEADLOCK], ids=lambda why: why.code)
def test_who_was_refused_and_by_what(why: object) -> None:
    made = build("r1(x=0) r2(x=0) w1(x=1) c1", x=0)
    made.start("T2", "write_2")
    made.refused("T2", "write_2", why)  # type: ignore[arg-type]
    case = one(made, "P4")
    assert case.outcome is Outcome.prevented
    assert case.hows == (How.refused,)
    (reason,) = case.reasons
    assert reason.text.startswith("write_2 of T2 was refused")
    assert f"{why.code} refused" in reason.text  # type: ignore[attr-defined]
    assert ("deadlock's victim" in reason.text) == (why is DEADLOCK)


def test_which_read_saw_which_older_version() -> None:
    case = one("w1(x=1) r2(x=0) c1 c2", "G1a")
    assert case.outcome is Outcome.prevented
    assert [reason.text for reason in case.reasons] == [
        "r2(x) of T2 saw x = 0, the initial version, not what w1(x) of T1 had written"
    ]
    snapshot = one("r1(x=0) w2(x=1) w2(y=1) c2 r1(y=0) c1", "G-single")
    assert snapshot.hows == (How.version,)


def test_a_read_after_a_rollback_passes_nothing_over() -> None:
    assert one("w1(x=1) a1 r2(x=0) c2", "G1a").reasons == []
    assert one("w1(x=1) r2(x=0) a1 c2", "G1a").hows == (How.version,)


def test_what_is_one_step_or_queued_is_done_at_once() -> None:
    script = Builder(x=0)
    script.databases = [VALKEY]
    script.step("T1", "change_1", write("x", 1))
    script.step("T2", "change_2", write("x", 2))
    assert one(script, "P4", engine="redis").hows == (How.at_once,)
    queued = Builder(x=0)
    queued.databases = [VALKEY]
    queued.begin("T1")
    queued.step("T1", "once_1", write("x", 1))
    queued.step("T1", "again_1", write("x", 2))
    queued.step("T2", "look_2", read("x", 0))
    queued.commit("T1", "exec_1")
    case = one(queued, "G1b", engine="redis")
    assert [reason.text for reason in case.reasons] == ["once_1, again_1 of T1 were queued until EXEC did all at once"]


def test_steps_that_could_have_been_parted_are_not_called_at_once() -> None:
    assert How.at_once not in one(SERIAL, "P4").hows


def test_a_case_that_was_cut_off_proves_no_prevention_but_what_it_shows_it_shows() -> None:
    assert one(SERIAL, "P4", end=RunEnd.hung).outcome is Outcome.unclear
    assert one(LOST, "P4", end=RunEnd.lost).outcome is Outcome.allowed


def test_a_verdict_that_is_not_as_expected_is_marked_and_does_not_change_the_cell() -> None:
    matrix = table(evidence(LOST, "P4", finds=[]))
    cell = matrix.rows[0].cells["P4"]
    assert (cell.outcome, cell.sign, cell.letters) == (Outcome.allowed, "✗!", "")
    assert [case.case for case in matrix.unexpected] == ["P4[db-read_committed]"]


def test_evidence_of_no_cell_is_left_out() -> None:
    other = evidence(LOST, "P4", matrix=None)
    assert table(other).rows == []
    with pytest.raises(ValueError, match="of no cell"):
        tried(other)


def test_a_cell_is_the_worst_of_its_variants() -> None:
    matrix = table(
        evidence(SERIAL, "G-single"),
        evidence(SKEW, "G-single", variant="predicate"),
        evidence(SERIAL, "G-single", variant="write predicate"),
    )
    cell = matrix.rows[0].cells["G-single"]
    assert cell.outcome is Outcome.allowed
    assert [case.variant for case in cell.deciding] == ["predicate"]
    assert cell.partly
    assert [case.evidence for case in cell.tried] == [f"case-{number}/evidence.json" for number in (1, 2, 3)]
    cut_off = table(evidence(SERIAL, "P4"), evidence(SERIAL, "P4", variant="other", end=RunEnd.hung))
    assert cut_off.rows[0].cells["P4"].outcome is Outcome.unclear


def test_schedules_of_one_cell_are_put_together() -> None:
    matrix = table(evidence(SERIAL, "P4"), evidence(LOST, "P4", case="P4[db-read_committed-other]"))
    (row,) = matrix.rows
    assert row.cells["P4"].outcome is Outcome.allowed


def test_rows_are_levels_weakest_first_and_ways_of_their_own_before_them() -> None:
    matrix = table(
        *(evidence(SERIAL, "P4", level=name) for name in ("serializable", "read committed", "repeatable read")),
        evidence(LOST, "P4", row="SELECT … FOR UPDATE"),
    )
    assert [row.name for row in matrix.rows] == [
        "SELECT … FOR UPDATE", "read committed", "repeatable read", "serializable",
    ]  # fmt: skip


def test_a_level_that_the_server_calls_otherwise_is_told() -> None:
    made = build(SERIAL, x=0)
    made.sessions = {
        name: session.model_copy(update={"observed_levels": {"db": "read committed"}})
        for name, session in made.sessions.items()
    }
    (row,) = table(evidence(made, "P4", level="read uncommitted")).rows
    assert row.observed == "read committed"
    assert not row.expected


def standing_in(*names: str, allowed: str = "") -> list[object]:
    made = []
    for name in names:
        builder = build(LOST if allowed else SERIAL, x=0)
        builder.databases = [STANDIN]
        made.append(evidence(builder, "P4", level=name))
    return list(made)


def test_a_stand_in_that_does_as_its_original_is_one_line_and_its_engine_is_missing() -> None:
    matrix = table(evidence(SERIAL, "P4"), *standing_in("read committed"))  # type: ignore[arg-type]
    assert [row.logical for row in matrix.rows] == ["promptsales"]
    assert matrix.notes == [
        "promptads ran on PostgreSQL 18.6, a stand-in for SQL Server, and did the same as PostgreSQL above in every cell"
    ]
    (missing,) = [one for one in matrix.missing if one.server]
    assert (missing.server, missing.logical) == ("SQL Server", "promptads")
    assert "set PROMPTADS_URL or take --servers=containers" in missing.why


def test_a_stand_in_that_does_otherwise_keeps_its_rows_and_is_called_one() -> None:
    matrix = table(evidence(SERIAL, "P4"), *standing_in("read committed", allowed="P4"))  # type: ignore[arg-type]
    assert [(row.logical, row.stand_in) for row in matrix.rows] == [("promptsales", ""), ("promptads", "sqlserver")]
    assert "otherwise than PostgreSQL above at read committed" in matrix.notes[0]


def test_a_stand_in_alone_keeps_its_rows() -> None:
    builder = build(SERIAL, x=0)
    builder.databases = [MONGO]
    (row,) = table(evidence(builder, "P4", engine="mongodb", level="local")).rows
    assert (row.product, row.stand_in) == ("SecantusDB", "mongodb")


def test_what_a_row_lacks_is_said_with_the_reason() -> None:
    lacking = [one for one in level("read committed") if one.history.matrix and one.history.matrix.anomaly != "G0"]
    assert [(one.what, one.why) for one in table(*lacking).missing] == [
        ("PostgreSQL, read committed: G0", "no scenario tried it")
    ]
    plain = [
        one for one in level("read committed", row="plain commands")
        if one.history.matrix and one.history.matrix.anomaly not in ("G1a", "G1b")
    ]  # fmt: skip
    assert "cannot" not in table(*plain).missing[0].why
    assert table(*plain).missing[0].why.startswith("nothing can be rolled back")


def test_the_same_evidence_gives_the_same_table() -> None:
    made = [*level("read committed", ["P4", "PMP"]), *level("serializable"), phantom(variant="again")]
    assert table(*made) == table(*made)
    assert type(table(*made)).model_validate_json(table(*made).model_dump_json()) == table(*made)
