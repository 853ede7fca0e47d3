"""The level that a server really gives, told by the anomalies that it prevents.

The levels are those of Adya (*Weak Consistency*, 1999), Berenson et al. (SIGMOD 1995) and Bailis et al. (VLDB 2013), each by
the anomalies that it must prevent, as Kleppmann's Hermitage has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.matrix.model import Outcome, Row
from harness.vocabulary import HERMITAGE, LEVELS

NONE = "none: less than read uncommitted"
_READ_COMMITTED = ("G0", "G1a", "G1b", "G1c")
_ATOMIC_VIEW = (*_READ_COMMITTED, "OTV")

GIVEN: dict[str, tuple[str, ...]] = {
    "serializable": HERMITAGE,
    "snapshot isolation": (*_ATOMIC_VIEW, "PMP", "P4", "G-single"),
    "repeatable read": (*_ATOMIC_VIEW, "P4", "G2-item"),
    "monotonic atomic view": _ATOMIC_VIEW,
    "read committed": _READ_COMMITTED,
    "read uncommitted": ("G0",),
}
"""Levels and what each prevents, the strongest first."""

_NAMED_SO = {
    "snapshot isolation": ("snapshot",),
    "monotonic atomic view": ("read committed", "read committed snapshot"),
    "repeatable read": ("repeatable read",),
    "serializable": ("serializable",),
    "read committed": ("read committed",),
    "read uncommitted": ("read uncommitted",),
}
"""The names under which people ask for what they then get."""


def given(prevented: Mapping[str, Outcome]) -> str:
    """The strongest level of which every anomaly that was tried is prevented; nothing if too few were tried.

    An anomaly that was not tried neither speaks for a level nor against it; one that was tried without a result speaks
    against it.
    """
    if "G0" not in prevented or len(prevented) < len(HERMITAGE) // 2:
        return ""
    for level, needed in GIVEN.items():
        if all(prevented.get(anomaly, Outcome.prevented) is Outcome.prevented for anomaly in needed):
            return level
    return NONE


def named(rows: Sequence[Row]) -> list[Row]:
    """The rows of one server with the level that each gives, and which of them do the same under several names."""
    made = [
        row.model_copy(update={"given": given({name: cell.outcome for name, cell in row.cells.items()})})
        for row in rows
    ]
    return [row.model_copy(update={"same_as": _same(row, made)}) for row in made]


def _same(row: Row, rows: Sequence[Row]) -> str:
    """The name of the row that ``row`` is only another name of: nothing if it is itself that one, or there is none."""
    alike = [other for other in rows if _did(other) == _did(row) and other.engine == row.engine]
    if len(alike) < 2 or row.name != row.level or not row.given:
        return ""
    levels = LEVELS.get(row.engine, ())
    original = min(
        alike,
        key=lambda one: (
            one.level not in _NAMED_SO.get(one.given, ()),
            levels.index(one.level) if one.level in levels else len(levels),
        ),
    )
    return "" if original is row else original.name


def _did(row: Row) -> object:
    """What the server did in every case of a row; equal for rows that nobody can tell apart by it."""
    return frozenset(
        (name, one.variant, one.outcome, one.hows) for name, cell in row.cells.items() for one in cell.tried
    )
