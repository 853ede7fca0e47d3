"""What a case left behind, in pages: its verdict, its events, who waited for whom, its statements."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field

from harness.errors import ToolRefused
from harness.evidence.model import Evidence
from harness.history import ENDINGS, Event
from harness.mcp.harness_runs import CaseLine, RunFiles
from harness.mcp.harness_scenarios import cut
from harness.mcp.model import Answer
from harness.mcp.pages import after, cursor_of
from harness.report import words
from harness.report.reading import StepRun, look, step_runs

Part = Literal["summary", "events", "waits", "statements"]

MOST_PAGE = 120_000
"""Characters of a page: it ends earlier than its limit says, if its rows are long."""
MOST_EVIDENCE = 200_000
"""Characters of evidence.json that are given whole."""
MOST_ROWS = 20
"""Rows of a result that are told."""
MOST_STATEMENT = 1_500
MOST_WORDS = 600


class AnomalyTold(Answer):
    """A phenomenon and its proof in words."""

    phenomenon: str
    adya: str
    sessions: list[str]
    proof: list[str]


class Summary(Answer):
    """What a case was and what came of it."""

    title: str
    about: str
    databases: list[str] = Field(
        description="Where it ran: database@engine, product and version; stand-ins are called so"
    )
    level_asked: str
    levels_observed: dict[str, str] = Field(description="By session: what the server said it really had")
    schedule: str
    how_it_ended: str
    status: Literal["passed", "failed", "error"]
    reason: str = Field(description="The verdict in one line")
    expected: list[str]
    mismatches: list[str] = Field(description="Each way in which it was not as expected; empty if it passed")
    anomalies: list[AnomalyTold]
    deadlocks: list[str]
    reads: list[str] = Field(description="For each read of an item, whose version it saw")
    initial: dict[str, str]
    final: dict[str, str]
    events: int
    notes: list[str]


class EventTold(Answer):
    """One thing that happened, in the order of seq. Times are milliseconds since the case began."""

    seq: int
    milliseconds: float
    session: str
    step: str
    kind: str
    phase: str
    statement: str = ""
    columns: list[str] = []
    rows: list[list[str]] = Field(default=[], description="At most 20, as text")
    rows_in_all: int | None = None
    affected: int | None = None
    error: str = ""
    operations: list[str] = Field(default=[], description="r(item)=value, w(item)=value: declared reads and writes")
    waits_for: list[str] = []
    transaction: str = Field(default="", description="committed or aborted, if it ended here")
    text: str = ""


class WaitTold(Answer):
    """An edge of a wait-for graph, as the server told it."""

    picture: int = Field(description="The picture's number among the events")
    milliseconds: float
    reason: str
    waiter: str
    step: str
    holder: str
    resource: str
    database: str
    in_cycle: bool


class StatementTold(Answer):
    """A statement that was run, and how it ended."""

    seq: int = Field(description="Of its beginning")
    session: str
    step: str
    database: str
    statement: str
    ended: str = Field(description="ok, error, victim, conflict, timeout, cancelled, skipped, or running")
    gave: str = Field(description="Rows, effect or error, in a few words")
    waited_for: list[str]
    milliseconds: float | None


class EvidencePart(Answer):
    """A page of a case's evidence: what was asked for, the other lists are empty."""

    run_id: str
    case_id: str
    part: Part
    summary: Summary | None = None
    events: list[EventTold] = []
    waits: list[WaitTold] = []
    statements: list[StatementTold] = []
    next_cursor: str | None = Field(
        default=None, description="Give this as cursor to get the next page; null: the last one"
    )


Key = tuple[int, int]


def page(run: RunFiles, case: CaseLine, evidence: Evidence, part: Part, limit: int, cursor: str | None) -> EvidencePart:
    """A page of one part. Raises ToolRefused for a cursor of another part."""
    made = EvidencePart(run_id=run.id, case_id=case.id, part=part)
    found = after("read_evidence", cursor, str, int, int)
    if found is not None and found[0] != part:
        raise ToolRefused(f"the cursor is of another part than {part}: leave it out to get the first page")
    begin: Key = (found[1], found[2]) if found else (0, -1)
    if part == "summary":
        return made.model_copy(update={"summary": summary(evidence)})
    lists = {"events": _events, "waits": _waits, "statements": _statements}
    rows, last = _taken(lists[part](evidence, begin), limit)
    following = cursor_of("read_evidence", part, *last) if last else None
    return made.model_copy(update={part: rows, "next_cursor": following})


def _taken(keyed: Iterable[tuple[Key, Answer]], limit: int) -> tuple[list[Answer], Key | None]:
    """So many rows as a page takes, and the last one's key if there are more."""
    rows: list[Answer] = []
    size, last = 0, (0, -1)
    for key, row in keyed:
        if len(rows) == limit or (rows and size > MOST_PAGE):
            return rows, last
        rows.append(row)
        size += len(row.model_dump_json())
        last = key
    return rows, None


def whole(evidence: Evidence, text: str) -> str:
    """evidence.json as it is; if it is too long, what was found without the events, and where these are to be had."""
    if len(text) <= MOST_EVIDENCE:
        return text
    short = {"cut": "too long to be given whole: read_evidence gives events, waits and statements in pages"}
    return json.dumps(short | {"summary": summary(evidence).model_dump(mode="json")}, ensure_ascii=False, indent=1)


def summary(evidence: Evidence) -> Summary:
    """What a case was and what came of it."""
    history, verdict = evidence.history, evidence.verdict
    levels = {one.name: ", ".join(dict.fromkeys(one.observed_levels.values())) for one in history.sessions}
    return Summary(
        title=_said(history.title),
        about=cut(_said(history.about), 2_000),
        databases=[f"{words.place(one)}, {one.product} {one.version}" for one in history.databases],
        level_asked=history.level,
        levels_observed=dict(list(levels.items())[:60]),
        schedule=words.schedule(history),
        how_it_ended=_said(history.end.value + (f": {history.end_text}" if history.end_text else "")),
        status=verdict.status.value,
        reason=_said(verdict.summary),
        expected=_lines(verdict.expected),
        mismatches=_lines(verdict.mismatches, 3_000),
        anomalies=[
            AnomalyTold(
                phenomenon=one.phenomenon.value, adya=one.adya, sessions=one.sessions[:20], proof=_lines(one.proof)
            )
            for one in verdict.anomalies[:20]
        ],
        deadlocks=[words.deadlock_title(one) + "; " + words.deadlock_end(one) for one in verdict.deadlocks[:20]],
        reads=_lines(verdict.reads),
        initial={name: _value(value) for name, value in list(history.initial.items())[:60]},
        final={name: _value(value) for name, value in list(history.final.items())[:60]},
        events=len(history.events),
        notes=_lines(verdict.notes),
    )


def _events(evidence: Evidence, begin: Key) -> Iterator[tuple[Key, Answer]]:
    for event in evidence.history.events:
        if (event.seq, 0) > begin:
            yield (event.seq, 0), _event(event)


def _event(event: Event) -> EventTold:
    result = next((one for one in reversed(event.results) if one.columns or one.rows), None)
    affected = [one.affected for one in event.results if one.affected is not None]
    trouble = words.trouble(event)
    if event.error and event.error.detail:
        trouble += f" ({_said(event.error.detail)})"
    return EventTold(
        seq=event.seq,
        milliseconds=round(event.at * 1000, 3),
        session=event.session,
        step=event.step,
        kind=look(event).value if event.kind in ENDINGS else event.kind.value,
        phase=event.phase.value,
        statement=cut(words.statement(event), MOST_STATEMENT),
        columns=[cut(_said(name), 100) for name in result.columns[:50]] if result else [],
        rows=[[_value(cell) for cell in row[:50]] for row in result.rows[:MOST_ROWS]] if result else [],
        rows_in_all=len(result.rows) if result else None,
        affected=sum(affected) if affected else None,
        error=cut(trouble, 2_000),
        operations=[cut(_said(str(one)), 200) for one in event.operations[:50]],
        waits_for=[words.who(name) for name in event.waits_for[:50]],
        transaction=event.ended.value if event.ended else "",
        text=cut(_said(event.text), MOST_WORDS),
    )


def _waits(evidence: Evidence, begin: Key) -> Iterator[tuple[Key, Answer]]:
    history = evidence.history
    for picture in history.pictures:
        ring = set(zip(picture.cycle, [*picture.cycle[1:], *picture.cycle[:1]], strict=True))
        for number, wait in enumerate(picture.waits):
            if (picture.seq, number) > begin:
                made = WaitTold(
                    picture=picture.seq,
                    milliseconds=round(picture.at * 1000, 3),
                    reason=cut(_said(picture.reason), 200),
                    waiter=words.who(wait.waiter),
                    step=wait.step,
                    holder=words.who(wait.holder),
                    resource=cut(words.resource(wait), MOST_WORDS),
                    database=words.logical_of(history, wait.database),
                    in_cycle=(wait.waiter, wait.holder) in ring,
                )
                yield (picture.seq, number), made


def _statements(evidence: Evidence, begin: Key) -> Iterator[tuple[Key, Answer]]:
    runs = {id(run): run for run in step_runs(evidence.history).values()}
    for run in sorted(runs.values(), key=lambda run: run.start.seq):
        if (run.start.seq, 0) > begin:
            yield (run.start.seq, 0), _statement(evidence, run)


def _statement(evidence: Evidence, run: StepRun) -> StatementTold:
    last = run.end or run.start
    return StatementTold(
        seq=run.start.seq,
        session=run.session,
        step=run.label,
        database=words.logical_of(evidence.history, run.database),
        statement=cut(words.statement(run.start), MOST_STATEMENT),
        ended=look(last).value if run.end else look(run.start).value,
        gave=cut(words.given(last, run), MOST_WORDS) if run.end else "",
        waited_for=[words.who(name) for name in run.waits_for[:50]],
        milliseconds=round(last.seconds * 1000, 3) if run.end and last.seconds is not None else None,
    )


def _said(text: str) -> str:
    return words.one_line(text)


def _value(value: Any) -> str:
    return cut(words.value(value), 200)


def _lines(lines: Iterable[str], most: int = MOST_WORDS) -> list[str]:
    """At most 40 lines, each cut."""
    every = list(lines)
    more = [f"… {len(every) - 40} more"] if len(every) > 40 else []
    return [cut(words.clean(line), most) for line in every[:40]] + more
