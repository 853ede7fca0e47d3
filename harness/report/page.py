"""The report of a run as one HTML page that opens from disk: no network, no script, light and dark, printable."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.answers import DeadlockReport
from harness.evidence.model import Evidence
from harness.evidence.store import in_full
from harness.history import ENDINGS, Event, EventKind
from harness.report import machines, words
from harness.report.machines import Machine
from harness.report.reading import SYMBOL, found, look, paired, sessions, step_runs, telling_picture, victims
from harness.report.specifications import Listed, Specification, separated, specifications
from harness.report.svg import STYLE, STYLE_ELEMENT
from harness.report.timeline import timeline_svg
from harness.report.waits import waits_svg

SIGN = {"passed": "✓", "failed": "✗", "error": "!"}
_REMARKS = (EventKind.skipped, EventKind.notice, EventKind.overdue, EventKind.notification)
_SEPARATE = 4  # cases in one cell of the matrix; more are counted


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


@dataclass(frozen=True, slots=True)
class Matrix:
    """Scenarios down, engine and level across; each cell holds the cases of both."""

    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[list[Case]]]]


def report_html(
    run: Mapping[str, Any], evidences: Sequence[Evidence], pictures: Mapping[str, Sequence[str]] | None = None
) -> str:
    """The page of a run. ``run`` is what run.json holds; a case of it without evidence is listed, not drawn.

    A specification's permutations are listed; some of those that did not pass are told in full. The page links the
    ``pictures`` that their folders have, by default those that their lines speak of. Everything that came from a
    server or a scenario is escaped by the template.
    """
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clean"] = words.clean
    ordinary, permutations = separated(paired(run, evidences))
    cases = [_case(number, *one) for number, one in enumerate(ordinary, 1)]
    wanted = {id(line) for line in in_full([line for line, _ in permutations])}
    told = [one for one in permutations if id(one[0]) in wanted]
    numbers = {id(line): number for number, (line, _) in enumerate(told, len(cases) + 1)}
    listed = specifications(permutations, pictures, numbers)
    statuses = Counter([case.status for case in cases] + [str(line["status"]) for line, _ in permutations])
    return environment.get_template("report.html.j2").render(
        run=run,
        cases=cases,
        specifications=listed,
        told=[_told(numbers[id(line)], line, evidence) for line, evidence in told],
        untold=sum(line["status"] != "passed" for line, _ in permutations) - len(told),
        named=Counter(one.name for one in listed),
        counted=words.counted,
        several=len({one.where for one in listed}) > 1,
        matrix=_matrix(cases),
        separate=_SEPARATE,
        counts={status: statuses[status] for status in SIGN},
        signs=SIGN,
        places=_places(evidences),
        hosts=_hosts(run, evidences),
        headline=_headline(run, cases, permutations, listed),
        order=machines.ORDER,
        unknown=machines.UNKNOWN,
        picture_style=Markup(STYLE),
    )


def _headline(
    run: Mapping[str, Any], cases: Sequence[Case], permutations: Sequence[Listed], listed: Sequence[Specification]
) -> str:
    seconds = f"{float(run['seconds']):.1f} s" if run.get("seconds") else ""
    facts = [str(run.get("started") or ""), seconds]
    if cases or not permutations:
        facts.append(words.counted(len(cases), "case"))
    if permutations:
        facts.append(words.permutations(len(permutations), len(listed)))
    return ", ".join(fact for fact in facts if fact)


def _case(number: int, entry: Mapping[str, Any], evidence: Evidence | None) -> Case:
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
        )
    history, verdict = evidence.history, evidence.verdict
    picture = telling_picture(history)
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
        steps=_steps(evidence),
        saw=_saw(evidence),
        reports=[report for i, report in enumerate(reports) if report not in reports[:i]],
        locks=picture.locks if picture else [],
        expectation=json.dumps(evidence.expectation, indent=2, ensure_ascii=False, default=str)
        if evidence.expectation
        else "",
        timeline=_picture(timeline_svg(evidence)),
        waits=_picture(waits_svg(evidence)),
    )


def _told(number: int, line: Mapping[str, Any], evidence: Evidence | None) -> Case:
    """A permutation in full."""
    case = _case(number, line, evidence)
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
    return {name: what for name, what in saw.items() if what}


def _matrix(cases: Sequence[Case]) -> Matrix:
    columns = sorted({(case.engine, case.level) for case in cases})
    cells: dict[tuple[str, str], dict[tuple[str, str], list[Case]]] = {}
    for case in cases:
        cells.setdefault((case.scenario, case.file), {}).setdefault((case.engine, case.level), []).append(case)
    named = Counter(scenario for scenario, _ in cells)
    return Matrix(
        columns=columns,
        rows=[
            (file if named[scenario] > 1 else scenario, [row.get(column, []) for column in columns])
            for (scenario, file), row in cells.items()
        ],
    )


def _places(evidences: Sequence[Evidence]) -> list[tuple[str, str]]:
    """Every database that a case ran on, and what it stands in for."""
    return list(
        dict.fromkeys(
            (words.where(database, stand_in=False), words.stands_for(database))
            for evidence in evidences
            for database in evidence.history.databases
        )
    )


def _hosts(run: Mapping[str, Any], evidences: Sequence[Evidence]) -> list[str]:
    told = [str(host) for host in run.get("hosts", [])]
    told = told or list(dict.fromkeys(s.host for e in evidences for s in e.history.sessions if s.host))
    return machines.with_those_of(evidences, told)
