"""The verdict: a History held against its expectation. Nothing else goes in, so a stored history can be judged again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher, unified_diff
from typing import Any

from harness.answers import ErrorKind, ErrorRecord
from harness.errors import ScenarioError, StoreError
from harness.evidence import anomalies, deadlock
from harness.evidence.holding import broken
from harness.evidence.model import Deadlock, Detector, Evidence, Status, Verdict, phenomena
from harness.evidence.transcript import transcript
from harness.evidence.values import meets
from harness.history import ENDINGS, Event, EventKind, History, RunEnd
from harness.scenario.model import Expectation, matches
from harness.vocabulary import DEFAULT_LEVEL, Phenomenon

_DIFF = "\n--- expected\n"
"""How a diff begins, in a mismatch that has one."""

_CLOCK = 1.0
"""Seconds by which a machine's clock may be wrong before a reader is told."""


def judge(history: History, expectation: Expectation) -> Verdict:
    """What ``history`` shows and whether it is what was expected. Pure: the same history gives the same verdict.

    Where a transcript is expected, it alone decides: what was found is listed, and that is all.
    """
    found, reads = anomalies.find_and_explain(history)
    deadlocks = deadlock.find(history)
    names = phenomena(found, deadlocks)
    if expectation.output is None:
        mismatches = [*_mismatches(history, expectation, names, deadlocks)]
    else:
        mismatches = [*_printed(history, expectation.output)]
    status = Status.passed
    if mismatches:  # a run that was lost has some, unless that is just what was expected to be printed
        status = Status.error if history.end is RunEnd.lost else Status.failed
    return Verdict(
        status=status,
        summary=_summary(history, status, names, deadlocks, mismatches),
        expected=list(expected_words(expectation)),
        mismatches=mismatches,
        anomalies=found,
        deadlocks=deadlocks,
        reads=reads,
        notes=list(_notes(history, expectation, deadlocks)),
    )


def judge_again(evidence: Evidence) -> Verdict:
    """The verdict that follows from what is stored, whatever verdict is stored beside it. Raises StoreError."""
    return judge(evidence.history, expectation_from_record(evidence.expectation))


def expectation_from_record(record: Mapping[str, Any]) -> Expectation:
    """The expectation as evidence holds it. Raises StoreError if it is none."""
    try:
        return Expectation.from_record(record)
    except (TypeError, ValueError) as error:
        raise StoreError(f"the stored expectation cannot be read: {error}") from None


def _mismatches(
    history: History,
    expectation: Expectation,
    names: list[Phenomenon],
    deadlocks: list[Deadlock],
) -> Iterator[str]:
    if history.end is not RunEnd.completed:
        yield history.end_text or f"the run ended as {history.end.value}"
    for wanted in expectation.finds:
        if wanted not in names:
            yield f"expected {wanted.value}, found {_listed(names)}"
    for one in names:
        if one not in expectation.finds and one not in expectation.allows and not _refused(one, expectation, deadlocks):
            yield f"found {one.value}, which was not expected"
    victims = [one.victim for one in deadlocks if one.victim]
    if expectation.victim and expectation.victim not in victims:
        yield f"expected {expectation.victim} as victim, it was {' and '.join(victims) or 'nobody'}"
    yield from _levels(history)
    yield from _errors(history, expectation)
    yield from _blocking(history, expectation)
    yield from _values(history, expectation)


def _refused(one: Phenomenon, expectation: Expectation, deadlocks: Sequence[Deadlock]) -> bool:
    """Whether it is a deadlock, and each one that was found was ended by a refusal that may be."""
    codes = [found.code for found in deadlocks if found.phenomenon is one]
    return one is Phenomenon.deadlock and all(
        any(matches(ErrorKind.deadlock, code, wanted) for wanted in expectation.may_refuse) for code in codes
    )


def _printed(history: History, known: Sequence[str]) -> Iterator[str]:
    """What is printed, held against all that may be; if it is none of them, how it differs from the nearest."""
    if not known:
        yield "there is no expected output to compare with"
        return
    printed = transcript(history)
    if printed in known:
        return
    lines = printed.split("\n")  # not splitlines: a last line without its end is another one
    texts = [text.split("\n") for text in known]
    nearest = max(texts, key=lambda text: SequenceMatcher(None, text, lines, autojunk=False).ratio())
    which = "the expected output" if len(known) == 1 else f"any of the {len(known)} expected outputs"
    why = f" ({history.end_text or f'the run ended as {history.end.value}'})" * (history.end is not RunEnd.completed)
    diff = unified_diff(nearest, lines, "expected", "what happened", lineterm="", n=3)
    yield "\n".join([f"prints something else than {which}{why}", *diff])


def _levels(history: History) -> Iterator[str]:
    if history.level == DEFAULT_LEVEL:
        return  # whatever the server gives was asked for
    engines = {database.alias: database.engine for database in history.databases}
    for session in history.sessions:
        for alias, observed in session.observed_levels.items():
            if engines.get(alias) == history.engine and observed != history.level:
                yield f"{session.name} asked for {history.level}, the server gives {observed}"


def _errors(history: History, expectation: Expectation) -> Iterator[str]:
    if history.mode == "free-running":
        return  # counted instead
    failed = {event.step: event for event in history.events if event.kind in ENDINGS and event.error}
    for step, wanted in expectation.errors.items():
        event = failed.pop(step, None)
        if event is None or event.error is None:
            yield f"expected {step} to end with {wanted}, it {_ending(history, step)}"
        elif not matches(event.error.kind, event.error.code, wanted):
            yield f"expected {step} to end with {wanted}, it ended with {_error(event.error)}"
    refused: set[str] = set()  # sessions
    for step, event in failed.items():
        if event.error and _may_be(event.error, expectation, event.session in refused):
            refused.add(event.session)
            continue
        # What the harness cancelled was a hidden deadlock, or a hang: told as such.
        if event.error and event.kind not in (EventKind.cancelled, EventKind.timeout):
            yield f"{step} ended with {_error(event.error)}, which was not expected"


def _may_be(error: ErrorRecord, expectation: Expectation, refused: bool) -> bool:
    """Whether the server may refuse any step so; ``refused``: it has, in this session, and a failed transaction goes on."""
    if refused and error.kind is ErrorKind.in_failed_transaction:
        return True
    return any(matches(error.kind, error.code, wanted) for wanted in expectation.may_refuse)


def _error(error: ErrorRecord) -> str:
    return f"{error.kind.value} ({error.code}: {error.message})"


def _ending(history: History, step: str) -> str:
    event = _end_of(history, step)
    if event is None:
        return "was not run"
    return "went well" if event.kind is EventKind.ok else f"ended as {event.kind.value}"


def _end_of(history: History, step: str) -> Event | None:
    return next((event for event in history.events if event.step == step and event.kind in ENDINGS), None)


def _blind(history: History) -> set[str]:
    """The databases whose server does not tell who waits."""
    return {database.alias for database in history.databases if database.capabilities.get("waits") == "no"}


def _blocking(history: History, expectation: Expectation) -> Iterator[str]:
    blocked = dict.fromkeys(event.step for event in history.events if event.kind is EventKind.blocked)
    blind = _blind(history)
    database = {event.step: event.database for event in history.events if event.kind is EventKind.start}
    if expectation.blocks is not None:
        for step in expectation.blocks:
            if step not in blocked and database.get(step) not in blind:
                yield f"expected {step} to block, it {'did not' if step in database else 'was not run'}"
        for step in blocked:
            if step not in expectation.blocks:
                yield f"{step} blocked, which was not expected"
    for entry in history.entries:
        if entry.step not in database or database[entry.step] in blind:
            continue
        if entry.must_block and entry.step not in blocked:
            yield f"the schedule says that {entry.step} blocks, it did not"
        if entry.must_block is False and entry.step in blocked:
            yield f"the schedule says that {entry.step} does not block, it did"
        if entry.after:
            event, other = _end_of(history, entry.step), _end_of(history, entry.after)
            if event is not None and (other is None or other.seq > event.seq):
                yield f"the schedule says that {entry.step} completes only after {entry.after}, it did before"


def _values(history: History, expectation: Expectation) -> Iterator[str]:
    initial = {f"initial_{item}": value for item, value in history.initial.items()}
    names = {**initial, **history.initial, **_counts(history)}
    for step, wanted in expectation.sees.items():
        event = _end_of(history, step)
        if event is None or event.kind is not EventKind.ok:
            yield f"expected {step} to see {_said(wanted)}, it {_ending(history, step)}"
        elif wrong := _differs("it saw", _seen(event), wanted, names):
            yield f"expected {step} to see {_said(wanted)}, {wrong}"
    for item, wanted in expectation.final.items():
        if history.end is RunEnd.lost:
            break  # nobody could look
        if wrong := _differs("it is", history.final.get(item), wanted, names):
            yield f"expected {item} to be {_said(wanted)} at the end, {wrong}"
    if history.end is not RunEnd.lost:
        yield from broken(history, expectation.holds)
    for name, wanted in expectation.counts.items():
        if wrong := _differs("there were", history.transactions.get(name, 0), wanted, names):
            yield f"expected {_said(wanted)} transactions {name}, {wrong}"


def _counts(history: History) -> dict[str, int]:
    base = {"attempted": 0, "committed": 0, "refused": 0}
    return base | {name.replace(" ", "_"): count for name, count in history.transactions.items()}


def _differs(verb: str, value: Any, wanted: Any, names: Mapping[str, Any]) -> str:
    """Nothing if ``value`` is as wanted; else what it is."""
    try:
        return "" if meets(value, wanted, names) else f"{verb} {_said(value)}"
    except ScenarioError as error:
        return error.message


def _seen(event: Event) -> Any:
    """What a step read: its declared items, else the first value that came back, else its rows."""
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


def _listed(names: list[Phenomenon]) -> str:
    return ", ".join(one.value for one in names) or "nothing"


def expected_words(expectation: Expectation) -> Iterator[str]:
    """An expectation in words, a line for each thing that must come out."""
    if expectation.output is not None:
        number = len(expectation.output)
        yield "prints the known transcript" if number == 1 else f"prints one of {number} known transcripts"
        return
    yield f"finds {_listed(list(expectation.finds))}"
    if expectation.allows:
        yield f"may find {_listed(list(expectation.allows))}"
    if expectation.victim:
        yield f"the victim is {expectation.victim}"
    for step, kind in expectation.errors.items():
        yield f"{step} ends with {kind}"
    if expectation.may_refuse:
        yield f"any step may be refused with {' or '.join(expectation.may_refuse)}"
    if expectation.blocks is not None:
        yield f"blocked: {', '.join(expectation.blocks) or 'no step'}"
    for step, value in expectation.sees.items():
        yield f"{step} sees {value}"
    for item, value in expectation.final.items():
        yield f"{item} is {value} at the end"
    for text in expectation.holds:
        yield f"{text} at the end"
    for name, value in expectation.counts.items():
        yield f"{name} transactions: {value}"


def _notes(history: History, expectation: Expectation, deadlocks: Sequence[Deadlock]) -> Iterator[str]:
    for database in history.databases:
        if database.stand_in:
            yield f"{database.logical} runs on {database.product}, a stand-in for {database.stand_in}"
        if note := database.capabilities.get("notes"):
            yield f"{database.logical}: {note}"
    for session in history.sessions:
        yield from (f"{session.name}: {note}" for note in session.notes)
    for host in history.hosts:
        if abs(host.clock_offset) > _CLOCK:
            way = "ahead" if host.clock_offset > 0 else "behind"
            yield (
                f"{host.name}: its clock is {abs(host.clock_offset):.3f} s {way} (± {host.clock_error * 1000:.1f} ms): "
                "order by sequence number, not by time"
            )
    yield from history.notes
    for one in deadlocks:
        if one.phenomenon is None and _ring(one) not in history.end_text:
            own = "; what the server itself wrote of one is kept" if history.reports else ""
            yield f"a ring was seen, {_ring(one)}, but no victim's error came from the server: no deadlock is found{own}"
    if expectation.blocks is not None and expectation.output is None:
        for database in history.databases:
            if database.alias in _blind(history):
                yield f"{database.logical}: which steps blocked was not checked, the server does not tell"


def _summary(
    history: History,
    status: Status,
    names: list[Phenomenon],
    deadlocks: list[Deadlock],
    mismatches: list[str],
) -> str:
    first = mismatches[0].partition(_DIFF)[0] if mismatches else ""
    if status is Status.error:
        return first
    if status is Status.failed:
        more = f" (and {len(mismatches) - 1} more)" if len(mismatches) > 1 else ""
        return first + more
    said = _listed(names) if names else "no anomaly"
    ring = next((one for one in deadlocks if one.cycle and one.phenomenon), None)
    if ring is not None:
        said += f": {_ring(ring)}"
        if ring.victim:
            by = "victim" if ring.ended_by is Detector.server else "broken by the harness at"
            said += f", {by} {ring.victim} ({ring.code})"
    if history.transactions:
        counts = history.transactions
        said += f"; {counts.get('committed', 0)} of {counts.get('attempted', 0)} transactions committed"
    return f"{said}, as expected"


def _ring(deadlock: Deadlock) -> str:
    return " → ".join([*deadlock.cycle, *deadlock.cycle[:1]])
