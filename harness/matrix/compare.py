"""Our cells beside Hermitage's: where they differ, and why that may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from harness.matrix.hermitage import VERSIONS, Told, hermitage
from harness.matrix.model import Cell, Matrix, Outcome, Row
from harness.vocabulary import HERMITAGE, PRODUCTS


class Agreement(StrEnum):
    """How a cell of ours and one of Hermitage's stand to each other."""

    equal = "equal"
    differs = "differs"
    not_tried = "not tried"  # we have the row, or not even that, and no result


@dataclass(frozen=True, slots=True)
class Compared:
    """One cell of both. ``ours`` and ``theirs`` are words: prevented, allowed, some, not run."""

    engine: str
    level: str
    anomaly: str
    ours: str
    theirs: str
    agreement: Agreement
    why: str = ""


_WORDS = {"yes": "prevented", "no": "allowed", "some": "some"}


def compare(matrix: Matrix) -> list[Compared]:
    """Every cell that Hermitage has of an engine that this run speaks of, in its order.

    Rows of a stand-in that speaks the engine's own protocol are no rows of that engine: they are left out.
    """
    ours = {(row.engine, row.level): row for row in matrix.rows if not row.stand_in and row.name == row.level}
    made = []
    for (engine, level), told in hermitage().items():
        row = ours.get((engine, level))
        made += [_compared(told, anomaly, row) for anomaly in HERMITAGE if anomaly in told.prevented]
    return made


def _compared(told: Told, anomaly: str, row: Row | None) -> Compared:
    theirs = _WORDS[told.prevented[anomaly]]
    cell = row.cells.get(anomaly) if row else None
    if row is None or cell is None or cell.outcome is Outcome.unclear:
        why = (
            f"no {PRODUCTS[told.engine]} at this level in this run"
            if row is None
            else "no scenario tried it"
            if cell is None
            else "the case did not run to its end"
        )
        return Compared(told.engine, told.level, anomaly, "not run", theirs, Agreement.not_tried, why)
    ours = _word(cell)
    # "some" of Hermitage's, and ours, is one that can come about: which variants there are differs
    agrees = (cell.outcome is Outcome.allowed) == (theirs != "prevented")
    agreement = Agreement.equal if agrees else Agreement.differs
    return Compared(
        told.engine, told.level, anomaly, ours, theirs, agreement, "" if agrees else _why(told, cell, theirs, row)
    )


def _word(cell: Cell) -> str:
    if cell.partly and any(one.outcome is Outcome.prevented for one in cell.tried):
        return "some"
    return cell.outcome.value


def _why(told: Told, cell: Cell, theirs: str, row: Row) -> str:
    """What is known of a difference: another variant decided, or only the version is another one."""
    plain = [one for one in cell.tried if not one.variant]
    other = sorted({one.variant for one in cell.deciding if one.variant})
    if plain and other and all(one.outcome.value == theirs for one in plain):
        return f"the plain form is {theirs} here too; what decides is the variant: {', '.join(other)}"
    return f"{row.product} {row.version} here, {VERSIONS[told.engine]} there"


def without_row(matrix: Matrix) -> list[Row]:
    """Our rows that Hermitage has not."""
    return [
        row
        for row in matrix.rows
        if row.stand_in or row.name != row.level or (row.engine, row.level) not in hermitage()
    ]


def lines(matrix: Matrix) -> Iterator[str]:
    """The comparison in words: how many are equal, each difference, what could not be compared."""
    compared = compare(matrix)
    for engine in dict.fromkeys(one.engine for one in compared):
        some = [one for one in compared if one.engine == engine]
        ran = [one for one in some if one.agreement is not Agreement.not_tried]
        equal = [one for one in ran if one.agreement is Agreement.equal]
        if not ran:
            yield f"{PRODUCTS[engine]}: none of Hermitage's {len(some)} cells could be tried: it was not reachable here"
            continue
        yield f"{PRODUCTS[engine]}: {len(equal)} of {len(ran)} cells as in Hermitage ({VERSIONS[engine]})"
        for one in ran:
            if one.agreement is Agreement.differs:
                yield f"  {one.level}, {one.anomaly}: {one.ours} here, {one.theirs} there: {one.why}"
        untried = [one for one in some if one.agreement is Agreement.not_tried]
        for one in untried:
            yield f"  {one.level}, {one.anomaly}: not tried here, {one.theirs} there: {one.why}"
    if rows := without_row(matrix):
        yield "Not in Hermitage: " + "; ".join(f"{row.product}, {row.name}" for row in rows)
