"""A pair of plans, checked and ready, and what was found on a server held against it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.engines.plans_base import Change
from harness.errors import Location
from harness.plans.compare import access_of, count, indexes_of, sorts_of, tables_of
from harness.plans.model import Plan
from harness.plans.written import ExpectWritten, SideWritten

Body = str | Mapping[str, Any]

_ALMOST = 1.05
"""Counts that differ by less are the same: a page more or less says nothing."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One pair of a file. What is by engine has ``*`` for all that are not named."""

    name: str
    title: str
    about: str
    file: Path
    place: Location
    logical: str
    queries: Mapping[str, Body]
    named: bool  # the query is the name of a file of schemas/
    parameters: Mapping[str, Any]
    setup: Mapping[str, tuple[Body, ...]]
    before: Mapping[str, Change]
    after: Mapping[str, Change]
    expect: Mapping[str, ExpectWritten]
    data: str
    expected_from: str  # a size of data
    runs: int
    places: Mapping[str, Location] = field(default_factory=dict)  # of its keys

    def change(self, side: int, engine: str) -> Change:
        """How a side differs from the database as it is: 0 is before, 1 after."""
        return of_engine((self.before, self.after)[side], engine) or Change()


def of_engine(given: Mapping[str, Any], engine: str) -> Any:
    """What is given for an engine; None if nothing is."""
    return given.get(engine, given.get("*"))


def change_text(change: Change) -> str:
    """``without ix_a; CREATE INDEX …``; empty: as it is."""
    from harness.plans.statements import shown_body

    parts = [f"without {', '.join(change.drops)}"] if change.drops else []
    return "; ".join([*parts, *(shown_body(body) for body in change.statements)])


def mismatches(expected: ExpectWritten, before: Plan, after: Plan) -> Iterator[str]:
    """What is not as it was expected, a line each."""
    table = expected.on
    if not table and (expected.before or expected.after):
        read = list(dict.fromkeys([*tables_of(before), *tables_of(after)]))
        if len(read) != 1:
            yield f"say 'on:' which table is meant: the statement reads {', '.join(read) or 'none'}"
            return
        table = read[0]
    if expected.before:
        yield from _side("before", expected.before, before, table)
    if expected.after:
        yield from _side("after", expected.after, after, table)
    for name, words in (
        ("buffers", "pages touched"),
        ("examined", "rows or documents examined"),
        ("keys", "keys examined"),
    ):
        relation = getattr(expected, name)
        if relation and (wrong := _relation(relation, getattr(before, name), getattr(after, name))):
            yield f"{words}: expected {relation}: {wrong}"
    if expected.sort:
        was, now = sorts_of(before), sorts_of(after)
        happened = "goes" if now < was else "comes" if now > was else "stays"
        if happened != expected.sort or (expected.sort == "stays" and not now):
            yield f"sort: expected that it {expected.sort}: {was} before, {now} after"


def _side(name: str, wanted: SideWritten, plan: Plan, table: str) -> Iterator[str]:
    access, used = access_of(plan, table), indexes_of(plan, table)
    if wanted.access and (access is None or access.value != wanted.access):
        by = f" by {', '.join(used)}" if used else ""
        yield f"{name}: expected {table} to be read by {wanted.access}, it was {access.value if access else 'not read'}{by}"
    if wanted.index and wanted.index not in used:
        yield f"{name}: expected {table} to be read by {wanted.index}, it was by {', '.join(used) or 'no index'}"


def _relation(relation: str, was: int | None, now: int | None) -> str:
    """What is wrong; empty if it holds."""
    if was is None or now is None:
        return "the engine does not say"
    said = f"{count(was)} before, {count(now)} after"
    more, less = now > was * _ALMOST, now * _ALMOST < was
    if relation.strip() in ("fewer", "more", "the same"):
        holds = {"fewer": less, "more": more, "the same": not (less or more)}[relation.strip()]
        return "" if holds else said
    sign, number = re.match(r"\s*([<>]=?)\s*([\d.]+)", relation).groups()  # type: ignore[union-attr]
    proportion = now / max(was, 1)
    limit = float(number)
    holds = {"<": proportion < limit, "<=": proportion <= limit, ">": proportion > limit, ">=": proportion >= limit}[
        sign
    ]
    return "" if holds else f"{said}, which is {proportion:.2f} of it"
