"""A history as PostgreSQL's C program ``isolationtester`` (18) prints one permutation, to the byte.

What it prints decides PostgreSQL's own isolation tests: expected outputs are compared as text. So everything here follows
the program, down to what looks odd: only the last result of a set-up is shown, a step that waited is not echoed again,
and an output that was cut off (``exit(1)``) has no tear-down.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.answers import ErrorRecord, ResultSet
from harness.history import ENDINGS, Event, EventKind, History, Phase, RunEnd

_STUCK = "failed to complete permutation due to mutually-blocking steps\n"

_NUMBER = re.compile(r"(?![Ee])[0-9.Ee -]*[0-9]")
"""What PQprint takes for a number, and puts to the right."""


def head(sessions: int, unused: Sequence[str]) -> str:
    """What stands before the first permutation: a line per unused step, ``Parsed test spec with 2 sessions``."""
    lines = [f"unused step name: {name}\n" for name in sorted(unused, key=str.encode)]
    return "".join([*lines, f"Parsed test spec with {sessions} sessions\n"])


def transcript(history: History) -> str:
    """One permutation, from ``\\nstarting permutation: a b c\\n`` to the last thing that its tear-down printed."""
    return "".join(_permutation(history))


def print_result(result: ResultSet) -> str:
    """Rows as libpq's PQprint shows them (header, aligned, ``|``); nothing for a result without columns."""
    columns = result.columns
    if not columns:
        return ""
    rows = [[_text(value) for value in row] for row in result.rows]
    fields = []
    for number, name in enumerate(columns):
        filled = [row[number] for row in rows if row[number]]
        right = all(map(_NUMBER.fullmatch, filled))
        fields.append((max(map(_width, [name, *filled])), right))
    lines = [_line(columns, fields), "+".join(["-" * width for width, _ in fields])]
    lines += [_line(row, fields) for row in rows]
    return "\n".join(lines) + f"\n({len(rows)} row{'' if len(rows) == 1 else 's'})\n\n"


def _line(cells: Sequence[str], fields: Sequence[tuple[int, bool]]) -> str:
    padded = []
    for cell, (width, right) in zip(cells, fields, strict=True):
        blanks = " " * (width - _width(cell))
        padded.append(blanks + cell if right else cell + blanks)
    return "|".join(padded)


def _width(text: str) -> int:
    """Bytes, not characters: that is what C's ``%*s`` counts."""
    return len(text) if text.isascii() else len(text.encode())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


@dataclass(slots=True)
class _Step:
    """A session's running step: ``notices`` are kept back, each with the number of results that go before it."""

    sql: str
    waited: bool = False
    notices: list[tuple[int, str]] = field(default_factory=list)


def _permutation(history: History) -> Iterator[str]:
    yield f"\nstarting permutation: {' '.join([entry.step for entry in history.entries])}\n"
    for event in history.control:
        if event.phase is Phase.setup:
            if event.error:
                yield f"setup failed: {_whole(event.error)}"
                return
            yield _last_rows(event)
    last_words = _last_words(history)
    running: dict[str, _Step] = {}
    for event in history.events:
        if last_words and _after_the_end(event, history.last):
            break
        if event.phase is Phase.schedule:
            yield from _of_step(event, running)
        else:
            yield _beside(event)
            if event.phase is Phase.setup and event.error:
                return
    if last_words:
        yield last_words
        return
    for event in history.control:
        if event.phase is Phase.teardown:
            yield f"teardown failed: {_whole(event.error)}" if event.error else _last_rows(event)


def _last_words(history: History) -> str:
    """What is printed by a run that gives up; nothing for one that goes to its end."""
    if history.end is RunEnd.stuck:
        return _STUCK
    if history.end is RunEnd.hung:
        late = next((event for event in reversed(history.events) if event.kind is EventKind.overdue), None)
        if history.end_text or late is None:
            return "\nactive steps are:".join(history.end_text.rsplit("; active steps are:", 1)) + "\n"
        return f"step {late.step} timed out after {int(2 * (late.seconds or 0))} seconds\n"
    if history.end is RunEnd.lost:
        # A connection may be lost with no step left that needs it: then nobody gives up.
        skipped = (event for event in history.events if event.kind is EventKind.skipped)
        unsent = next((event for event in skipped if event.phase is Phase.schedule), None)
        return f"failed to send query for step {unsent.step}: no connection to the server\n\n" if unsent else ""
    return ""


def _after_the_end(event: Event, last: int) -> bool:
    """Of a run that gave up: whether this is what the harness did then, to put things away."""
    return 0 < last < event.seq or event.kind is EventKind.skipped or event.phase is Phase.teardown


def _of_step(event: Event, running: dict[str, _Step]) -> Iterator[str]:
    """What an event of the schedule prints; ``running`` holds each session's step and is kept up to date."""
    kind, session = event.kind, event.session
    if kind is EventKind.start:
        running[session] = _Step(event.statement)
        return
    step = running.get(session)
    if kind in ENDINGS:
        yield from _ending(event, step or _Step(event.statement))
        running.pop(session, None)
    elif kind is EventKind.notice:
        said = f"{session}: {event.text}"
        if step and event.after_results:
            step.notices.append((event.after_results, said))
        else:
            yield said
    elif kind is EventKind.blocked or kind is EventKind.held:
        if step:
            # It waits, so what is kept back is not followed by an ending now: it was there before.
            yield from [said for _, said in step.notices]
            step.notices.clear()
            if not step.waited:
                step.waited = True
                yield f"step {event.step}: {step.sql} <waiting ...>\n"
    elif kind is EventKind.overdue:
        yield f"isolationtester: canceling step {event.step} after {int(event.seconds or 0)} seconds\n"
    elif kind is EventKind.notification:
        yield f"{session}: {event.text}\n"


def _ending(event: Event, step: _Step) -> Iterator[str]:
    yield f"step {event.step}: {'<... completed>' if step.waited else step.sql}\n"
    notices = step.notices
    for number, result in enumerate(event.results, 1):
        yield print_result(result)
        while notices and notices[0][0] <= number:
            yield notices.pop(0)[1]
    if error := event.error:
        yield f"{error.severity}:  {error.message}\n" if error.severity else f"{error.full or error.message}\n"
        if error.lost:
            yield f"{error.lost}\n"
    # An error counts as a result too: what is still left came after it.
    yield from [said for _, said in notices]


def _beside(event: Event) -> str:
    """What a session's own set-up or tear-down prints."""
    if event.kind is EventKind.notice:
        return f"{event.session}: {event.text}"
    if event.kind not in ENDINGS:
        return ""
    if event.error:
        return f"{event.phase.value} of session {event.session} failed: {_whole(event.error)}"
    return _last_rows(event)


def _last_rows(event: Event) -> str:
    """The rows of the last statement: the program sends all in one PQexec, which keeps no other."""
    return print_result(event.results[-1]) if event.results else ""


def _whole(error: ErrorRecord) -> str:
    if error.code == "harness" and not error.full:
        return ""  # neither the server nor libpq has said anything: the result was of no kind that is expected
    return (error.full or f"{error.message}\n") + error.lost
