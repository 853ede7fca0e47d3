"""Cases by hand: a history in the field's notation, the cell that it is of, and the evidence that is made of both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evidence.histories import Builder, build, database

from harness.evidence.model import Evidence
from harness.evidence.verdict import judge
from harness.history import MatrixPlace
from harness.matrix.cells import tabulate, tried
from harness.matrix.model import Matrix, Tried
from harness.scenario.model import Expectation
from harness.vocabulary import HERMITAGE, Phenomenon

VALKEY = database("db", "redis", logical="cache", product="Valkey", version="9.1.2")
STANDIN = database("db", logical="promptads", stand_in="sqlserver")
MONGO = database("db", "mongodb", logical="promptcontent", product="SecantusDB", version="1 (as 8)", stand_in="mongodb")

LOST = "r1(x=0) r2(x=0) w1(x=1) c1 w2(x=2) c2"
SERIAL = "r1(x=0) w1(x=1) c1 r2(x=1) w2(x=2) c2"
SKEW = "r1(x=0) r2(y=0) w2(x=1) w2(y=1) c2 r1(y=1) c1"


def evidence(
    what: str | Builder,
    anomaly: str,
    *,
    variant: str = "",
    row: str = "",
    finds: Iterable[str] | None = None,
    predicates: Iterable[str] = (),
    **more: Any,
) -> Evidence:
    """Evidence of a case; as expected, unless ``finds`` says what was expected to be found."""
    builder = build(what, predicates, x=0, y=0) if isinstance(what, str) else what
    level = more.setdefault("level", "read committed")
    case = f"{anomaly}{f'_{variant}' if variant else ''}[db-{level}]".replace(" ", "_")
    place = MatrixPlace(anomaly=anomaly, variant=variant, row=row)
    history = builder.history(**({"case": case, "matrix": place} | more))
    found = judge(history, Expectation()).phenomena
    wanted = found if finds is None else [Phenomenon(one) for one in finds]
    refused = {event.step: event.error.code for event in history.events if event.error is not None}
    expectation = Expectation(finds=tuple(wanted), errors=refused)
    return Evidence(history=history, expectation=expectation.as_record(), verdict=judge(history, expectation))


def one(what: str | Builder, anomaly: str, **more: Any) -> Tried:
    return tried(evidence(what, anomaly, **more))


def table(*evidences: Evidence, run: str = "run") -> Matrix:
    return tabulate([(one, f"case-{number}/evidence.json") for number, one in enumerate(evidences, 1)], run)


def level(name: str, allowed: Iterable[str] = (), **more: Any) -> list[Evidence]:
    """A whole row, in which every anomaly but the ``allowed`` ones was prevented."""
    return [
        evidence(PROOFS[anomaly] if anomaly in allowed else "r1(x=0) c1", anomaly, level=name, **more)
        for anomaly in HERMITAGE
    ]


PROOFS: dict[str, Any] = {
    "G0": "w1(x=1) w2(x=2) w2(y=2) c2 w1(y=1) c1",
    "G1a": "w1(x=1) r2(x=1) a1 c2",
    "G1b": "w1(x=1) r2(x=1) w1(x=2) c1 c2",
    "G1c": "w1(x=1) w2(y=2) r1(y=2) r2(x=1) c1 c2",
    "OTV": "w1(x=1) w1(y=1) c1 w2(x=2) r3(x=2) r3(y=1) w2(y=2) c2 c3",
    "P4": LOST,
    "G-single": SKEW,
    "G2-item": "r1(x=0) r1(y=0) r2(x=0) r2(y=0) w1(x=1) w2(y=2) c1 c2",
    "G2": "r1(x=0) r1(y=0) r2(x=0) r2(y=0) w1(x=1) w2(y=2) c1 c2",
}
"""A history for each anomaly that shows it (PMP needs a predicate: see :func:`phantom`)."""


def phantom(**more: Any) -> Evidence:
    return evidence("r1(x=0) w2(x=1) w2(y=1) c2 r1(y=1) c1", "PMP", predicates=["x", "y"], **more)


PROOFS["PMP"] = build("r1(x=0) w2(x=1) w2(y=1) c2 r1(y=1) c1", ["x", "y"], x=0, y=0)
