"""The verdict: a History held against its expectation. Nothing else goes in, so a stored history can be judged again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import ScenarioError
from harness.evidence import anomalies, deadlock
from harness.evidence.model import Anomaly, Deadlock, Detector, Status, Verdict
from harness.evidence.values import meets
from harness.history import ENDINGS, Event, EventKind, History, RunEnd
from harness.scenario.model import Expectation, matches
from harness.vocabulary import Phenomenon


def judge(history: History, expectation: Expectation, parameters: Mapping[str, Any] | None = None) -> Verdict:
    """What ``history`` shows and whether it is what was expected. Pure: the same history gives the same verdict."""
    found = anomalies.find(history)
    deadlocks = deadlock.find(history)
    phenomena = _phenomena(found, deadlocks)
    mismatches = [*_mismatches(history, expectation, phenomena, deadlocks, parameters or {})]
    status = Status.passed
    if history.end is RunEnd.lost:
        status = Status.error
    elif mismatches:
        status = Status.failed
    return Verdict(
        status=status,
        summary=_summary(history, status, phenomena, deadlocks, mismatches),
        expected=list(_expected(expectation)),
        mismatches=mismatches,
        anomalies=found,
        deadlocks=deadlocks,
        reads=anomalies.reads(history),
        notes=list(_notes(history, expectation)),
    )


def _phenomena(found: list[Anomaly], deadlocks: list[Deadlock]) -> list[Phenomenon]:
    names = [anomaly.phenomenon for anomaly in found]
    for one in deadlocks:
        if not one.seen_by_server:
            names.append(Phenomenon.hidden_deadlock)
        elif one.ended_by is Detector.server:
            names.append(Phenomenon.deadlock)
    return list(dict.fromkeys(names))


def _mismatches(
    history: History,
    expectation: Expectation,
    phenomena: list[Phenomenon],
    deadlocks: list[Deadlock],
    parameters: Mapping[str, Any],
) -> Iterator[str]:
    if history.end is not RunEnd.completed:
        yield history.end_text
    for wanted in expectation.finds:
        if wanted not in phenomena:
            yield f"expected {wanted.value}, found {_listed(phenomena)}"
    for one in phenomena:
        if one not in expectation.finds and one not in expectation.allows:
            yield f"found {one.value}, which was not expected"
    victims = [one.victim for one in deadlocks if one.victim]
    if expectation.victim and expectation.victim not in victims:
        yield f"expected {expectation.victim} as victim, it was {' and '.join(victims) or 'nobody'}"
    yield from _levels(history)
    yield from _errors(history, expectation)
    yield from _blocking(history, expectation)
    yield from _values(history, expectation, parameters)


def _levels(history: History) -> Iterator[str]:
    asked = history.level
    for session in history.sessions:
        for alias, observed in session.observed_levels.items():
            engine = next(database.engine for database in history.databases if database.alias == alias)
            if engine == history.engine and observed != asked:
                yield f"{session.name} asked for {asked}, the server gives {observed}"


def _errors(history: History, expectation: Expectation) -> Iterator[str]:
    failed = {
        event.step: event.error
        for event in history.events
        if event.kind in (EventKind.error, EventKind.conflict) and event.error
    }
    if history.mode == "free-running":
        return  # counted instead
    for step, wanted in expectation.errors.items():
        error = failed.pop(step, None)
        if error is None:
            yield f"expected {step} to end with {wanted}, it {_ending(history, step)}"
        elif not matches(error.kind, error.code, wanted):
            yield f"expected {step} to end with {wanted}, it ended with {error.kind.value} ({error.code}: {error.message})"
    for step, error in failed.items():
        yield f"{step} ended with {error.kind.value} ({error.code}: {error.message}), which was not expected"


def _ending(history: History, step: str) -> str:
    event = _end_of(history, step)
    if event is None:
        return "was not run"
    return "went well" if event.kind is EventKind.ok else f"ended as {event.kind.value}"


def _end_of(history: History, step: str) -> Event | None:
    return next((event for event in history.events if event.step == step and event.kind in ENDINGS), None)


def _blocking(history: History, expectation: Expectation) -> Iterator[str]:
    blocked = [event.step for event in history.events if event.kind is EventKind.blocked]
    ran = {event.step for event in history.events if event.kind is EventKind.start}
    blind = {database.alias for database in history.databases if database.capabilities.get("waits") == "no"}
    if expectation.blocks is not None and not blind:
        for step in expectation.blocks:
            if step not in blocked:
                yield f"expected {step} to block, it did not"
        for step in dict.fromkeys(blocked):
            if step not in expectation.blocks:
                yield f"{step} blocked, which was not expected"
    for entry in history.entries:
        event = _end_of(history, entry.step)
        if entry.step not in ran or (event is not None and event.database in blind):
            continue
        if entry.must_block and entry.step not in blocked:
            yield f"the schedule says that {entry.step} blocks, it did not"
        if entry.must_block is False and entry.step in blocked:
            yield f"the schedule says that {entry.step} does not block, it did"
        if entry.after:
            other = _end_of(history, entry.after)
            if event is not None and (other is None or other.seq > event.seq):
                yield f"the schedule says that {entry.step} completes only after {entry.after}, it did before"


def _values(history: History, expectation: Expectation, parameters: Mapping[str, Any]) -> Iterator[str]:
    initial = {f"initial_{item}": value for item, value in history.initial.items()}
    names = {**parameters, **initial, **history.initial, **_counts(history)}
    for step, wanted in expectation.sees.items():
        seen = _seen(history, step)
        if not _meets(seen, wanted, names):
            yield f"expected {step} to see {wanted}, it saw {_said(seen)}"
    for item, wanted in expectation.final.items():
        value = history.final.get(item)
        if history.end is not RunEnd.lost and not _meets(value, wanted, names):
            yield f"expected {item} to be {wanted} at the end, it is {_said(value)}"
    for name, wanted in expectation.counts.items():
        value = history.transactions.get(name, 0)
        if not _meets(value, wanted, names):
            yield f"expected {wanted} transactions {name}, there were {value}"


def _counts(history: History) -> dict[str, int]:
    base = {"attempted": 0, "committed": 0, "refused": 0}
    return base | {name.replace(" ", "_"): count for name, count in history.transactions.items()}


def _meets(value: Any, wanted: Any, names: Mapping[str, Any]) -> bool:
    try:
        return meets(value, wanted, names)
    except ScenarioError:
        return False


def _seen(history: History, step: str) -> Any:
    """What a step read: its declared item, else the first value that came back, else its rows."""
    event = _end_of(history, step)
    if event is None:
        return None
    read = [operation.value for operation in event.operations if operation.action == "r"]
    if read:
        return read[0] if len(read) == 1 else read
    result = next((result for result in reversed(event.results) if result.columns), None)
    if result is None or not result.rows:
        return None
    if len(result.rows) == 1:
        return result.rows[0][0] if len(result.rows[0]) == 1 else result.rows[0]
    return result.rows


def _said(value: Any) -> str:
    return "nothing" if value is None else str(value)


def _listed(phenomena: list[Phenomenon]) -> str:
    return ", ".join(one.value for one in phenomena) or "nothing"


def _expected(expectation: Expectation) -> Iterator[str]:
    yield f"finds {_listed(list(expectation.finds))}"
    if expectation.allows:
        yield f"may find {_listed(list(expectation.allows))}"
    if expectation.victim:
        yield f"the victim is {expectation.victim}"
    for step, kind in expectation.errors.items():
        yield f"{step} ends with {kind}"
    if expectation.blocks is not None:
        yield f"blocked: {', '.join(expectation.blocks) or 'no step'}"
    for step, value in expectation.sees.items():
        yield f"{step} sees {value}"
    for item, value in expectation.final.items():
        yield f"{item} is {value} at the end"
    for name, value in expectation.counts.items():
        yield f"{name} transactions: {value}"


def _notes(history: History, expectation: Expectation) -> Iterator[str]:
    for database in history.databases:
        if database.stand_in:
            yield f"{database.logical} runs on {database.product}, a stand-in for {database.stand_in}"
        if note := database.capabilities.get("notes"):
            yield f"{database.logical}: {note}"
    for session in history.sessions:
        yield from (f"{session.name}: {note}" for note in session.notes)
    yield from history.notes
    if expectation.blocks is not None:
        for database in history.databases:
            if database.capabilities.get("waits") == "no":
                yield f"{database.logical}: which steps blocked was not checked, the server does not tell"


def _summary(
    history: History,
    status: Status,
    phenomena: list[Phenomenon],
    deadlocks: list[Deadlock],
    mismatches: list[str],
) -> str:
    if status is Status.error:
        return history.end_text
    if status is Status.failed:
        more = f" (and {len(mismatches) - 1} more)" if len(mismatches) > 1 else ""
        return mismatches[0] + more
    said = _listed(phenomena) if phenomena else "no anomaly"
    ring = next((one for one in deadlocks if one.cycle), None)
    if ring is not None:
        said += f": {' → '.join([*ring.cycle, ring.cycle[0]])}"
        if ring.victim:
            by = "victim" if ring.ended_by is Detector.server else "broken by the harness at"
            said += f", {by} {ring.victim} ({ring.code})"
    if history.transactions:
        counts = history.transactions
        said += f"; {counts.get('committed', 0)} of {counts.get('attempted', 0)} transactions committed"
    return f"{said}, as expected"
