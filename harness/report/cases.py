"""A case as the page shows it: everything that its evidence says, arranged for the template."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from harness.answers import DeadlockReport
from harness.errors import EngineError
from harness.evidence.model import Evidence
from harness.evidence.store import prefix
from harness.history import ENDINGS, Event, EventKind
from harness.history import StepPlan as Kept
from harness.plans.reading import read_plan
from harness.report import machines, words
from harness.report.machines import Machine
from harness.report.plans import plan_svg
from harness.report.reading import SYMBOL, found, look, sessions, step_runs, telling_picture, victims
from harness.report.story import story
from harness.report.svg import STYLE_ELEMENT
from harness.report.timeline import timeline_svg
from harness.report.waits import waits_svg

SIGN = {"passed": "✓", "failed": "✗", "error": "!"}
_REMARKS = (EventKind.skipped, EventKind.notice, EventKind.overdue, EventKind.notification)

MOST_STEPS = 400
"""Rows of a case's table of statements; a free run has thousands, and they are in its evidence."""

MOST_READS = 100
"""Reads that are explained one by one, and reads of one session that are shown."""

MOST_PICTURED = 400
"""Events up to which a run keeps pictures beside the evidence (``harness.suite``)."""

_LARGE = 120_000  # characters of one case's pictures

MOST_PLAIN = 6_000_000
"""Characters of pictures that a page holds as they are; those of more cases are packed, and unpacked by its script."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step as a row of the table of statements."""

    seq: int
    at: str
    session: str
    label: str
    database: str
    on: str  # the machine, where there are several
    own: str  # the time on that machine's own clock
    off: str  # how wrong that clock was, where that matters
    statement: str
    outcome: str
    sign: str
    effect: str
    trouble: str
    detail: str


@dataclass(frozen=True, slots=True)
class StepPlan:
    """The plan of a step, as its engine gave it."""

    label: str
    session: str
    database: str
    way: str  # how it was come by
    note: str
    text: str
    picture: Markup  # nothing, if it cannot be read


@dataclass(slots=True)
class Case:
    """A case as the page shows it; without its evidence only what run.json says of it."""

    number: int
    id: str
    file: str
    status: str
    summary: str
    engine: str
    level: str
    seconds: float
    scenario: str
    title: str = ""
    evidence: Evidence | None = None
    found: list[str] = field(default_factory=list)
    victims: list[str] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    levels: str = ""
    schedule: str = ""
    tag: str = ""  # what tells it from the other cases of its cell
    really: str = ""  # the observed level, where it is not the one asked for
    anomalies: list[tuple[str, list[str]]] = field(default_factory=list)
    deadlocks: list[tuple[str, list[str]]] = field(default_factory=list)
    machines: list[Machine] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    saw: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    reports: list[DeadlockReport] = field(default_factory=list)
    locks: list[dict[str, str]] = field(default_factory=list)
    expectation: str = ""
    timeline: Markup = field(default_factory=Markup)
    waits: Markup = field(default_factory=Markup)
    family: str = ""  # the folder of its file
    story: str = ""
    cut_steps: int = 0  # rows that the table of statements leaves out
    plans: list[StepPlan] = field(default_factory=list)
    link: str = ""  # where its files are, seen from the run's folder
    pictured: bool = False  # whether its pictures lie beside its evidence
    packed: str = ""  # its pictures, if the page is too long to hold them as they are
    began: float | None = None  # seconds since 1970, where that is known

    @property
    def what(self) -> str:
        """What it found, in the words of the matrix."""
        if self.status == "error":
            return "not judged"
        return ", ".join(self.found) or "nothing found"

    @property
    def sign(self) -> str:
        """The verdict's symbol."""
        return SIGN.get(self.status, "?")


def family_of(file: str) -> str:
    """The family of a scenario: the folder that it lies in; nothing if that is ``scenarios`` itself.

    >>> family_of("scenarios/deadlock/cascade.yaml"), family_of("scenarios/mine.yaml")
    ('deadlock', '')
    """
    folder = PurePosixPath(file.replace("\\", "/")).parent.name
    return "" if folder == "scenarios" else folder


def case_of(number: int, entry: Mapping[str, Any], evidence: Evidence | None) -> Case:
    """A case of the run: its line in run.json, and what its evidence says if that is at hand."""
    ident = str(entry["id"])
    if evidence is None:
        return Case(
            number=number,
            id=ident,
            file=str(entry.get("file", "")),
            status=str(entry.get("status", "")),
            summary=str(entry.get("summary", "")),
            engine=str(entry.get("engine", "")),
            level=str(entry.get("level", "")),
            seconds=float(entry.get("seconds") or 0),
            scenario=ident.split("[", 1)[0],
            found=[str(name) for name in entry.get("found", [])],
            family=family_of(str(entry.get("file", ""))),
        )
    history, verdict = evidence.history, evidence.verdict
    picture = telling_picture(history)
    steps = _steps(evidence)
    reports = [*history.reports, *(report for d in verdict.deadlocks for report in d.reports)]
    return Case(
        number=number,
        id=history.case,
        file=history.file,
        status=verdict.status.value,
        summary=verdict.summary,
        engine=_engine(evidence),
        level=history.level,
        seconds=history.seconds,
        scenario=history.scenario or history.case.split("[", 1)[0],
        schedule=words.schedule(history),
        title=history.title,
        evidence=evidence,
        found=found(evidence),
        victims=victims(evidence),
        where=words.places(history),
        tag=_tag(evidence),
        levels=words.levels(history),
        really=", ".join(words.other_levels(history)),
        anomalies=[(words.anomaly_title(anomaly), anomaly.proof) for anomaly in verdict.anomalies],
        deadlocks=[(words.deadlock_title(d), [words.deadlock_end(d), *d.story]) for d in verdict.deadlocks],
        machines=machines.machines(history),
        steps=steps[:MOST_STEPS],
        cut_steps=max(len(steps) - MOST_STEPS, 0),
        saw=_saw(evidence),
        reports=[report for i, report in enumerate(reports) if report not in reports[:i]],
        locks=picture.locks if picture else [],
        expectation=json.dumps(evidence.expectation, indent=2, ensure_ascii=False, default=str)
        if evidence.expectation
        else "",
        timeline=_picture(timeline_svg(evidence)),
        waits=_picture(waits_svg(evidence)),
        family=family_of(history.file),
        story=story(evidence),
        plans=_plans(evidence),
        link=quote(prefix(entry), safe="@+/") if entry.get("folder") else "",
        began=float(entry["began"]) if entry.get("began") else None,
    )


def _plans(evidence: Evidence) -> list[StepPlan]:
    return [
        StepPlan(
            label=one.step if one.attempt == 1 else f"{one.step} (try {one.attempt})",
            session=one.session,
            database=one.database,
            way=one.way,
            note=one.note,
            text=_indented(one.text) if one.format == "json" else one.text,
            picture=_plan_picture(one, f"{evidence.history.file} {evidence.history.case} {place}"),
        )
        for place, one in enumerate(evidence.history.plans)
    ]


def _plan_picture(plan: Kept, key: str) -> Markup:
    """The plan as a tree; ``key`` is what makes its ids its own on the page."""
    if not plan.text:
        return Markup()
    try:
        svg = plan_svg(read_plan(plan.engine, plan.text), f"{plan.step} of {plan.session}")
    except EngineError:
        return Markup()  # the text stands there
    own = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:10]
    return _picture(re.sub(r"\bpsh[0-9a-f]{10}\b", f"psh{own}", svg))


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except ValueError:
        return text


def pack(cases: Iterable[Case], most: int = MOST_PLAIN) -> None:
    """Pack the pictures of those cases for which a page has no room; those that did not pass come last, then later ones.

    Pictures that nobody takes in at one look are always packed.
    """
    left = most
    for case in sorted(cases, key=lambda case: case.status == "passed"):
        size = len(case.timeline) + len(case.waits)
        if case.evidence is None or (size <= left and size <= _LARGE):
            left -= size
        else:
            case.packed = packed(f"{case.timeline}\0{case.waits}")
            case.pictured = bool(case.link) and len(case.evidence.history.events) <= MOST_PICTURED


def packed(text: str) -> str:
    """Text as raw deflate in base64, which a browser's DecompressionStream reads."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return base64.b64encode(deflate.compress(text.encode()) + deflate.flush()).decode("ascii")


def told(number: int, line: Mapping[str, Any], evidence: Evidence | None) -> Case:
    """A permutation in full."""
    case = case_of(number, line, evidence)
    case.title = f"{case.title or case.scenario}, permutation {line['permutation'].get('schedule', '')}"
    return case


def _picture(svg: str) -> Markup:
    # The pictures escape what they show; on a page their common style need stand only once.
    return Markup(svg.replace(STYLE_ELEMENT, "", 1))


def _engine(evidence: Evidence) -> str:
    places = [words.place(database).split("@", 1)[1] for database in evidence.history.databases]
    return " + ".join(dict.fromkeys(places)) or evidence.history.engine


def _tag(evidence: Evidence) -> str:
    history = evidence.history
    named = "" if history.schedule in ("", "default", "explicit") else f", {history.schedule}"
    return " and ".join(dict.fromkeys(database.logical for database in history.databases)) + named


def _steps(evidence: Evidence) -> list[Step]:
    runs = step_runs(evidence.history)
    places, off = machines.places(evidence.history), machines.off(evidence.history)
    steps = []
    for event in evidence.history.events:
        run = runs[event.seq]
        final = event.kind in ENDINGS or event.kind in _REMARKS
        if not final and not (event is run.start and run.end is None):
            continue
        kind = look(event)
        steps.append(
            Step(
                seq=event.seq,
                at=words.milliseconds(run.start.at),
                session=event.session,
                label=run.label,
                database=event.database,
                on=places.get(event.session, ""),
                own=machines.own_time(event),
                off=off.get(event.session, ""),
                statement=_whole_statement(run.start),
                outcome=words.ending(event, run) if event.kind in ENDINGS else kind.value,
                sign=SYMBOL[kind],
                effect="" if words.trouble(event) else words.given(event, run),
                trouble=words.trouble(event, code=False) or words.remark(event),
                detail=event.error.detail if event.error else "",
            )
        )
    return steps


def _whole_statement(event: Event) -> str:
    bound = f"\n-- with {', '.join(map(words.value, event.parameters))}" if event.parameters else ""
    return event.statement + bound


def _saw(evidence: Evidence) -> dict[str, list[tuple[str, str]]]:
    """For every session, what its reads gave it."""
    runs = step_runs(evidence.history)
    saw: dict[str, list[tuple[str, str]]] = {name: [] for name in sessions(evidence.history)}
    for event in evidence.history.events:
        reads = [words.one_line(str(operation)) for operation in event.operations if operation.action == "r"]
        shown = "  ".join(reads) or ("" if event.operations else words.effect(event))
        if event.kind in ENDINGS and (reads or shown.startswith("→")):
            saw[event.session].append((runs[event.seq].label, shown))
    return {name: what[:MOST_READS] for name, what in saw.items() if what}
