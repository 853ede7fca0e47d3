"""From evidence to cells, rows and the matrix. Pure: the same evidence gives the same table, however old it is.

An anomaly came about if the history *proves* it (:mod:`harness.evidence.anomalies`); else it was prevented, and what the
server did meanwhile says how. A case that was cut off proves neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.answers import ErrorKind
from harness.evidence.model import Anomaly, Evidence, Status
from harness.evidence.proof import shown, whose
from harness.evidence.transactions import Op, Transaction, transactions
from harness.evidence.versions import attribute
from harness.history import ENDINGS, DatabaseRecord, Event, EventKind, History, Phase, RunEnd
from harness.matrix.levels import named
from harness.matrix.model import Cell, How, Matrix, Missing, Outcome, Reason, Row, Tried
from harness.vocabulary import ENGINES, HERMITAGE, LEVELS, LOGICAL, PRODUCTS

COUNTS: Mapping[str, frozenset[str]] = {
    "G0": frozenset({"G0"}),
    "G1a": frozenset({"G1a"}),
    "G1b": frozenset({"G1b"}),
    "G1c": frozenset({"G1c"}),
    "OTV": frozenset({"OTV"}),
    "PMP": frozenset({"PMP"}),
    "P4": frozenset({"P4"}),
    "G-single": frozenset({"G-single", "PMP", "OTV", "P4"}),
    "G2-item": frozenset({"G2-item"}),
    "G2": frozenset({"G2", "G2-item"}),
}
"""The codes that prove each anomaly: a cycle with a single anti-dependency is a G-single, over whatever items."""

_UNCOMMITTED = frozenset({"P1", "G1a", "G1b"})
_REFUSED = frozenset({ErrorKind.deadlock, ErrorKind.serialization, ErrorKind.conflict, ErrorKind.lock_timeout})
_WEAKEST_FIRST = (
    "read uncommitted",
    "local",
    "read committed",
    "read committed snapshot",
    "majority",
    "repeatable read",
    "snapshot",
    "serializable",
)


def tabulate(evidences: Iterable[tuple[Evidence, str]], run: str = "") -> Matrix:
    """The matrix of a run: each evidence with its path below the run's folder. What is of no cell is left out."""
    told: dict[tuple[str, ...], list[tuple[Evidence, str]]] = {}
    for evidence, path in evidences:
        if evidence.history.matrix is not None:
            told.setdefault(_row_of(evidence.history), []).append((evidence, path))
    rows = sorted((_row(some) for some in told.values()), key=_rank)
    made = [row for place in Matrix(rows=rows).places for row in named(place)]
    kept, notes = _without_copies(made)
    return Matrix(run=run, rows=kept, missing=list(_missing(made, kept)), notes=notes)


def tried(evidence: Evidence, path: str = "") -> Tried:
    """What one case says. Raises ValueError if it is of no cell."""
    history, place = evidence.history, evidence.history.matrix
    if place is None:
        raise ValueError(f"{history.case} is of no cell of the matrix")
    proofs = _proving(place.anomaly, evidence.verdict.anomalies)
    codes = {one.adya for one in proofs}
    outcome = Outcome.allowed if proofs else Outcome.prevented
    if history.end is not RunEnd.completed and not proofs:
        outcome = Outcome.unclear
    return Tried(
        case=history.case,
        variant=place.variant,
        outcome=outcome,
        reasons=list(reasons(history)),
        phenomenon=_said(proofs[0]) if proofs else "",
        proof=proofs[0].proof if proofs else [],
        besides=[_said(one) for one in evidence.verdict.anomalies if one.adya not in codes],
        expected=evidence.verdict.status is Status.passed,
        evidence=path,
    )


def _said(anomaly: Anomaly) -> str:
    return f"{anomaly.phenomenon.value} ({anomaly.adya})"


def _proving(anomaly: str, found: Sequence[Anomaly]) -> list[Anomaly]:
    """Those of what was found that prove ``anomaly``.

    A cycle is not told between transactions of which a dirty read was told already: two dirty reads, of each other, are
    the circle of G1c; one, in the test of OTV, is an observed transaction that had not even ended.
    """
    proofs = [one for one in found if one.adya in COUNTS.get(anomaly, ())]
    if proofs or anomaly not in ("G1c", "OTV"):
        return proofs
    dirty = [one for one in found if one.adya in _UNCOMMITTED]
    if anomaly == "OTV":
        return dirty
    pairs = {tuple(one.sessions): one for one in dirty}
    return [one for pair, one in pairs.items() if pair[::-1] in pairs]


# -- how


def reasons(history: History) -> Iterator[Reason]:
    """What the server did: who waited, who was refused, who saw an older version, what could not be parted."""
    yield from _blocked(history)
    yield from _refused(history)
    made = transactions(history)
    attribute(made, history)
    yield from _old_versions(made)
    yield from _at_once(history)


def _blocked(history: History) -> Iterator[Reason]:
    told = set()
    for event in history.events:
        if event.kind is EventKind.blocked and event.step not in told:
            told.add(event.step)
            whom = " and ".join(event.waits_for) or "another session"
            yield Reason(how=How.blocked, text=f"{event.step} of {event.session} waited for {whom}")


def _refused(history: History) -> Iterator[Reason]:
    for event in history.events:
        if event.kind in ENDINGS and event.error is not None and event.error.kind in _REFUSED:
            victim = " as a deadlock's victim" if event.error.kind is ErrorKind.deadlock else ""
            yield Reason(
                how=How.refused,
                text=f"{event.step} of {event.session} was refused{victim}: {event.error.code} {event.error.message}",
            )


def _old_versions(made: Sequence[Transaction]) -> Iterator[Reason]:
    ops = [op for transaction in made for op in transaction.ops]
    for read in sorted((op for op in ops if op.action == "r" and op.version), key=lambda op: op.event):
        newer = [write for write in ops if _passed_over(read, write)]
        if newer:
            last = max(newer, key=lambda op: op.seq)
            yield Reason(
                how=How.version,
                text=f"{read.step} of {read.transaction.name} saw {read.item} = {shown(read.value)}, {whose(read.version)}, "
                f"not what {last.step} of {last.transaction.name} had written",
            )


def _passed_over(read: Op, write: Op) -> bool:
    """Whether ``write`` was done before the read began, came after the version that the read saw, and was not seen."""
    if write.action != "w" or write.item != read.item or write.transaction is read.transaction:
        return False
    writer = write.transaction
    if writer.finished and not writer.committed and writer.end < read.start:
        return False  # rolled back by then: there is nothing to be seen
    seen = read.version.write if read.version else None
    return write is not seen and write.seq < read.start and (seen is None or write.seq > seen.seq)


def _at_once(history: History) -> Iterator[Reason]:
    queueing = {database.alias for database in history.databases if database.engine == "redis"}
    queued: dict[str, list[str]] = {}
    for event in history.events:
        if _is_write(event) and event.in_transaction and event.database in queueing:
            queued.setdefault(event.session, []).append(event.step)
    for session, steps in queued.items():
        yield Reason(
            how=How.at_once, text=f"{', '.join(steps)} of {session} {_was(steps)} queued until EXEC did all at once"
        )
    run: dict[str, set[str]] = {}
    for event in history.events:
        if event.kind is EventKind.start and event.phase is Phase.schedule:
            run.setdefault(event.session, set()).add(event.step)
    if not queued and all(len(some) == 1 for some in run.values()):
        yield Reason(how=How.at_once, text="each session runs a single step: nothing can come in between")


def _was(steps: Sequence[str]) -> str:
    return "was" if len(steps) == 1 else "were"


def _is_write(event: Event) -> bool:
    return event.kind in ENDINGS and any(operation.action == "w" for operation in event.operations)


# -- rows


def _database(history: History) -> DatabaseRecord:
    return history.databases[0]


def _name(history: History) -> str:
    assert history.matrix is not None
    return history.matrix.row or history.level


def _row_of(history: History) -> tuple[str, ...]:
    """Equal for cases of one row."""
    database = _database(history)
    return database.logical, database.engine, database.product, database.version, history.level, _name(history)


def _row(some: Sequence[tuple[Evidence, str]]) -> Row:
    history = some[0][0].history
    database = _database(history)
    by_anomaly: dict[str, list[Tried]] = {}
    for evidence, path in some:
        assert evidence.history.matrix is not None
        by_anomaly.setdefault(evidence.history.matrix.anomaly, []).append(tried(evidence, path))
    order = [*HERMITAGE, *(name for name in by_anomaly if name not in HERMITAGE)]
    return Row(
        engine=database.engine,
        logical=database.logical,
        product=database.product,
        version=database.version,
        stand_in=database.stand_in,
        level=history.level,
        name=_name(history),
        observed=_observed([evidence.history for evidence, _ in some]),
        cells={
            name: Cell(anomaly=name, tried=sorted(by_anomaly[name], key=lambda one: (one.variant, one.case)))
            for name in order
            if name in by_anomaly
        },
    )


def _observed(histories: Iterable[History]) -> str:
    """The level that the server said, if it is not the one that was asked for."""
    told = {
        level
        for history in histories
        for session in history.sessions
        for alias, level in session.observed_levels.items()
        if alias == history.databases[0].alias and level != history.level
    }
    return ", ".join(sorted(told))


def _rank(row: Row) -> tuple[int, int, str, bool, int, int, str]:
    """Databases in the house's order; ways without a level of their own first, the weakest before others."""
    logical = LOGICAL.index(row.logical) if row.logical in LOGICAL else len(LOGICAL)
    weak = _WEAKEST_FIRST.index(row.level) if row.level in _WEAKEST_FIRST else len(_WEAKEST_FIRST)
    engine = ENGINES.index(row.engine) if row.engine in ENGINES else len(ENGINES)
    allowed = sum(cell.outcome is not Outcome.prevented for cell in row.cells.values())
    return engine, logical, row.product, row.name == row.level, weak, -allowed, row.name


def _without_copies(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows but for those of a stand-in that is the same server as another database's: one line speaks for them."""
    kept, notes = [], []
    for place in Matrix(rows=list(rows)).places:
        original = _original(place, rows)
        if original is None:
            kept += place
            continue
        first = place[0]
        differing = [row.name for row in place if not _equal(row, original.get(row.name))]
        same = f"otherwise than {first.product} above at {', '.join(differing)}"
        if not differing:
            same = f"the same as {first.product} above in every cell"
        real = PRODUCTS.get(first.stand_in, first.stand_in)
        notes.append(f"{first.logical} ran on {first.product} {first.version}, a stand-in for {real}, and did {same}")
        if differing:
            kept += place
    return kept, notes


def _original(place: Sequence[Row], rows: Sequence[Row]) -> dict[str, Row] | None:
    """The rows of the same kind of server that is itself, if ``place`` is a stand-in that speaks another engine."""
    first = place[0]
    if not first.stand_in or first.stand_in == first.engine:
        return None
    same = {
        row.name: row
        for row in rows
        if (row.product, row.version) == (first.product, first.version) and not row.stand_in
    }
    return same or None


def _equal(row: Row, other: Row | None) -> bool:
    """Whether both have the same outcome wherever the stand-in's row has a cell."""
    return other is not None and all(
        name in other.cells and other.cells[name].outcome is cell.outcome for name, cell in row.cells.items()
    )


def _missing(rows: Sequence[Row], kept: Sequence[Row]) -> Iterator[Missing]:
    """What is not in the table: engines for which only a stand-in ran, and cells of its rows that nobody tried."""
    ran = {row.engine for row in rows}
    for row in {row.stand_in: row for row in rows if row.stand_in and row.stand_in not in ran}.values():
        levels = sorted(LEVELS.get(row.stand_in, ()), key=_WEAKEST_FIRST.index)
        yield Missing(
            server=PRODUCTS.get(row.stand_in, row.stand_in),
            logical=row.logical,
            what=f"{PRODUCTS.get(row.stand_in, row.stand_in)} at {', '.join(levels)}",
            why=f"{row.logical} is on {row.product} here; set {row.logical.upper()}_URL or take --servers=containers",
        )
    for row in kept:
        if lacking := [name for name in HERMITAGE if name not in row.cells]:
            yield Missing(what=f"{row.product}, {row.name}: {', '.join(lacking)}", why=_why(row, lacking))


_WHY = {
    "without transactions": "nothing can be rolled back, and every command is final by itself",
    "plain commands": "nothing can be rolled back, and every command is final by itself",
    "Lua script": "a script that fails is not rolled back: what it has written stays",
}


def _why(row: Row, lacking: Sequence[str]) -> str:
    return _WHY.get(row.name, "") if set(lacking) <= {"G1a", "G1b"} and row.name in _WHY else "no scenario tried it"
