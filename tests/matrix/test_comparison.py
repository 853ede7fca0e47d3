from __future__ import annotations

from harness.matrix.compare import Agreement, compare, lines
from harness.matrix.hermitage import CREDIT, hermitage
from harness.matrix.model import Matrix
from harness.vocabulary import HERMITAGE, LEVELS

from .made import LOST, SERIAL, SKEW, evidence, level, phantom, table

PHANTOM = phantom(level="repeatable read")

READ_COMMITTED = ("PMP", "P4", "G-single", "G2-item", "G2")


def agreements(matrix: Matrix, engine: str = "postgresql") -> dict[tuple[str, str], Agreement]:
    return {(one.level, one.anomaly): one.agreement for one in compare(matrix) if one.engine == engine}


def test_hermitages_rows_are_whole_and_under_our_names() -> None:
    assert {(engine, name) for engine, name in hermitage()} == {
        *(("postgresql", name) for name in ("read committed", "repeatable read", "serializable")),
        *(("sqlserver", name) for name in LEVELS["sqlserver"]),
    }
    assert all(tuple(told.prevented) == HERMITAGE for told in hermitage().values())
    assert {said for told in hermitage().values() for said in told.prevented.values()} == {"yes", "no", "some"}
    assert "Kleppmann" in CREDIT
    assert "CC BY 4.0" in CREDIT


def test_cells_that_agree_are_counted_and_not_listed() -> None:
    matrix = table(*level("read committed", READ_COMMITTED))
    assert {one for (name, _), one in agreements(matrix).items() if name == "read committed"} == {Agreement.equal}
    told = list(lines(matrix))
    assert told[0] == "PostgreSQL: 10 of 10 cells as in Hermitage (PostgreSQL 9.3.5)"
    assert not any("  read committed" in line for line in told)


def test_a_cell_that_differs_is_told_with_both_versions() -> None:
    matrix = table(*level("read committed", [*READ_COMMITTED, "OTV"]))
    assert agreements(matrix)["read committed", "OTV"] is Agreement.differs
    assert (
        "  read committed, OTV: allowed here, prevented there: PostgreSQL 18.6 here, PostgreSQL 9.3.5 there"
        in lines(matrix)
    )


def test_a_cell_that_a_variant_decides_says_which_one() -> None:
    made = [
        one for one in level("repeatable read", ["G2-item", "G2"]) if one.history.case.startswith("G-single") is False
    ]
    skew = [evidence(SERIAL, "G-single", level="repeatable read")]
    skew.append(evidence(SKEW, "G-single", variant="predicate", level="repeatable read"))
    matrix = table(*made, *skew)
    (line,) = [
        line for line in lines(matrix) if "G-single" in line and "repeatable" in line and "not tried" not in line
    ]
    assert line.endswith(
        "some here, prevented there: the plain form is prevented here too; what decides is the variant: predicate"
    )


def test_some_and_allowed_are_both_what_can_come_about() -> None:
    made = [
        one.model_copy(
            update={
                "history": one.history.model_copy(
                    update={
                        "engine": "sqlserver",
                        "databases": [one.history.databases[0].model_copy(update={"engine": "sqlserver"})],
                    }
                )
            }
        )
        for one in (
            evidence(SERIAL, "G-single", level="repeatable read"),
            evidence(SKEW, "G-single", variant="predicate", level="repeatable read"),
            PHANTOM,
            evidence(SERIAL, "PMP", variant="write predicate", level="repeatable read"),
        )
    ]
    told = agreements(table(*made), "sqlserver")
    assert told["repeatable read", "G-single"] is Agreement.equal  # some there
    assert told["repeatable read", "PMP"] is Agreement.equal  # not prevented there, whatever the write predicate does


def test_what_was_not_tried_or_not_reached_is_no_difference() -> None:
    matrix = table(evidence(LOST, "P4"))
    assert agreements(matrix)["read committed", "P4"] is Agreement.equal
    assert agreements(matrix)["read committed", "G0"] is Agreement.not_tried
    told = list(lines(matrix))
    assert "  read committed, G0: not tried here, prevented there: no scenario tried it" in told
    assert "SQL Server: none of Hermitage's 60 cells could be tried: it was not reachable here" in told


def test_rows_that_hermitage_has_not_are_named() -> None:
    matrix = table(*level("read uncommitted", READ_COMMITTED), *level("read committed", READ_COMMITTED, row="by hand"))
    assert list(lines(matrix))[-1] == "Not in Hermitage: PostgreSQL, by hand; PostgreSQL, read uncommitted"
    assert all(one.agreement is Agreement.not_tried for one in compare(matrix))
