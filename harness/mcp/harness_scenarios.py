"""The scenarios that there are, as the harness's tools tell them: found below one folder, looked up by their ids."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.errors import ScenarioError, ToolRefused, did_you_mean
from harness.evidence.verdict import expected_words
from harness.mcp.harness_runs import shown
from harness.mcp.model import Answer
from harness.report.words import clean, one_line
from harness.scenario.cases import cases
from harness.scenario.files import SUFFIXES, read_scenario
from harness.scenario.kinds import Kind, kind_of
from harness.scenario.model import Case, Scenario, Schedule, Step
from harness.vocabulary import phenomenon

MOST_FILES = 2_000
MOST_BYTES = 1 << 20
"""Of a scenario's file; a larger one is told as broken."""
MOST_CASES = 60
MOST_ENTRIES = 200
MOST_TEXT = 2_000

Describe = Callable[[str], tuple[str, bool]]


class ScenarioLine(Answer):
    """A scenario in short; of one that cannot be read only the first fields, and the problem."""

    id: str
    file: str = Field(description="Path below the scenarios' folder")
    family: str = Field(description="The folder it lies in: deadlock, lost_update, …")
    title: str = ""
    about: str = ""
    marks: list[str] = []
    databases: list[str] = Field(default=[], description="Logical databases; each placement is run")
    sessions: list[str] = []
    levels: dict[str, list[str]] = Field(default={}, description="Isolation levels by engine")
    expects: dict[str, str] = Field(default={}, description="'engine level': what is expected to be found there")
    problem: str = Field(default="", description="Why it cannot be run: file:line:column: what is wrong")


class StepTold(Answer):
    """A step: a statement for each engine (* for all others; null: nothing to do there)."""

    name: str
    database: str
    statements: dict[str, str | None]
    reads: dict[str, str] = {}
    writes: dict[str, str] = {}


class SessionTold(Answer):
    """A session and its steps in order."""

    name: str
    setup: list[StepTold]
    steps: list[StepTold]
    teardown: list[StepTold]
    deadlock_priority: str


class ScheduleTold(Answer):
    """One interleaving: steps in the order in which they are begun."""

    name: str
    entries: list[str] = Field(description="'want_2 (blocks)', 'want_3 (blocks, ends after want_1)'")
    left_out: int = 0


class CaseTold(Answer):
    """What is run once: databases, level and schedule, and what must come out."""

    id: str
    engine: str
    level: str
    schedule: str
    expected: list[str]
    skipped: str = Field(default="", description="Why it cannot be run on the servers of this place")


class ScenarioTold(Answer):
    """All about a scenario."""

    scenario: ScenarioLine
    items: dict[str, str] = Field(description="Values it is about, and how each is read")
    sessions: list[SessionTold]
    schedules: list[ScheduleTold]
    free_running: str = Field(default="", description="If it has no schedule: how many workers and iterations")
    cases: list[CaseTold]
    cases_left_out: int
    text: str = Field(description="URI of the file's text")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file below the scenarios' folder: its scenario, or why there is none."""

    id: str
    file: Path
    relative: str
    scenario: Scenario | None
    problem: str = ""

    @property
    def family(self) -> str:
        """The folder that it lies in."""
        return self.relative.rpartition("/")[0]


class Catalogue:
    """The scenarios below a folder, read anew when their files change. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._read: dict[Path, tuple[tuple[int, int], Scenario | str | None]] = {}
        self._lock = threading.Lock()

    def entries(self) -> list[Entry]:
        """All of them in the order of their ids; files of plans and load are none. Raises ToolRefused without a folder."""
        if not self.folder.is_dir():
            raise ToolRefused(
                "there are no scenarios here: whoever starts this server gives their folder (--scenarios DIR)"
            )
        with self._lock:
            found = {path: self._of(path) for path in self._files()}
            self._read = {path: one for path, one in self._read.items() if path in found}
        stems = Counter(path.stem for path, one in found.items() if one is not None)
        made = []
        for path, one in found.items():
            if one is None:
                continue
            relative = path.relative_to(self.folder)
            # The name alone, where that is enough; else with the folders.
            ident = path.stem if stems[path.stem] == 1 else ".".join(relative.with_suffix("").parts)
            scenario, problem = (None, one) if isinstance(one, str) else (one, "")
            made.append(Entry(clean(ident), path, relative.as_posix(), scenario, problem))
        return sorted(made, key=lambda entry: (entry.id, entry.relative))

    def find(self, scenario_id: str) -> Entry:
        """A scenario by its id, or its file's path below the folder. Raises ToolRefused."""
        entries = self.entries()
        for entry in entries:
            if scenario_id in (entry.id, entry.relative):
                return entry
        hint = did_you_mean(scenario_id[:200], [entry.id for entry in entries])
        raise ToolRefused(f"there is no scenario {shown(scenario_id)}{hint or ':'} list_scenarios says which there are")

    def readable(self, scenario_id: str) -> tuple[Entry, Scenario]:
        """The same, of one that has no mistake. Raises ToolRefused."""
        entry = self.find(scenario_id)
        if entry.scenario is None:
            raise ToolRefused(f"{entry.id} cannot be read: {entry.problem}")
        return entry, entry.scenario

    def _files(self) -> Iterator[Path]:
        count = 0
        for suffix in SUFFIXES:
            for path in sorted(self.folder.rglob(f"*{suffix}")):
                count += 1
                if count > MOST_FILES:
                    return
                if path.resolve() == path and path.is_file():  # no link leads out of the folder
                    yield path

    def _of(self, path: Path) -> Scenario | str | None:
        """A file's scenario, or what is wrong with it; None if it is another kind of file, or gone."""
        try:
            status = path.stat()
        except OSError:
            return None
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            known = self._read[path] = (stamp, self._load(path, status.st_size))
        return known[1]

    def _load(self, path: Path, size: int) -> Scenario | str | None:
        relative = path.relative_to(self.folder).as_posix()
        if size > MOST_BYTES:
            return f"{relative}: it has more than {MOST_BYTES >> 20} MiB"
        try:
            return read_scenario(path) if kind_of(path) is Kind.scenario else None
        except RecursionError:
            return f"{relative}: it is nested too deeply"
        except ScenarioError as error:
            if error.location and error.location.file == path:
                return f"{relative}:{error.location.line}:{error.location.column}: {clean(error.message)[:MOST_TEXT]}"
            return f"{relative}: {clean(error.message).replace(f'{self.folder}/', '')[:MOST_TEXT]}"


def line_of(entry: Entry) -> ScenarioLine:
    """A scenario in short."""
    one = entry.scenario
    if one is None:
        return ScenarioLine(id=entry.id, file=entry.relative, family=entry.family, problem=entry.problem)
    names = [session.name for session in one.sessions]
    return ScenarioLine(
        id=entry.id,
        file=entry.relative,
        family=entry.family,
        title=clean(one.title),
        about=cut(clean(one.about), 400),
        marks=list(one.marks),
        databases=list(dict.fromkeys(logical for placement in one.placements for logical in placement.values())),
        sessions=names if len(names) <= 12 else [*names[:11], f"… {len(names) - 11} more"],
        levels={engine: list(one.levels_on(engine)) for engine in one.engines},
        expects=_expects(one),
    )


def shows(scenario: Scenario, what: str) -> bool:
    """Whether it bears a mark of this name, or expects this phenomenon (by any of its names) at some level."""
    if what.strip().lower().replace(" ", "_").replace("-", "_") in scenario.marks:
        return True
    try:
        wanted = phenomenon(what)
    except ValueError:
        return False
    of_schedules = [schedule.expect for schedule in scenario.schedules]
    return any(
        wanted in expectation.finds
        for by_engine in (scenario.expect, *of_schedules)
        for by_level in by_engine.values()
        for expectation in by_level.values()
    )


def told(entry: Entry, scenario: Scenario, describe: Describe) -> ScenarioTold:
    """All about a scenario, on the servers that ``describe`` tells of."""
    try:
        every = list(cases(scenario, describe))
    except ScenarioError as error:  # of made schedules there may be too many
        raise ToolRefused(f"{entry.id} cannot be told in full: {clean(error.message)[:MOST_TEXT]}") from None
    free = scenario.free_running
    return ScenarioTold(
        scenario=line_of(entry),
        items={
            item.name: cut(_statement(next(iter(item.bodies.values()), None)) or "", 400) for item in scenario.items
        },
        sessions=[
            SessionTold(
                name=session.name,
                setup=[_step(step) for step in session.setup],
                steps=[_step(step) for step in session.steps[:100]],
                teardown=[_step(step) for step in session.teardown],
                deadlock_priority=session.deadlock_priority,
            )
            for session in scenario.sessions[:40]
        ],
        schedules=[_schedule(one) for one in _schedules(scenario, every)[:20]],
        free_running=f"{free.workers} workers, {free.iterations} iterations each" if free else "",
        cases=[_case(case) for case in every[:MOST_CASES]],
        cases_left_out=max(len(every) - MOST_CASES, 0),
        text=f"harness://scenario/{entry.id}",
    )


def cut(text: str, most: int) -> str:
    """``text``, at most so many characters of it."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters)"


def _expects(scenario: Scenario) -> dict[str, str]:
    made = {}
    for engine in scenario.engines:
        for level in scenario.levels_on(engine):
            found = [scenario.expectation(schedule, engine, level) for schedule in scenario.schedules[:MOST_CASES]]
            if scenario.made:
                found.append(scenario.expectation(None, engine, level))
            said = []
            for one in filter(None, found):
                names = ", ".join(name.value for name in one.finds) or "nothing"
                said.append(names + (f", victim {one.victim}" if one.victim else ""))
            made[f"{engine} {level}"] = cut("; ".join(dict.fromkeys(said)), 300)
    return made


def _step(step: Step) -> StepTold:
    return StepTold(
        name=step.name,
        database=step.database,
        statements={engine: _statement(body) for engine, body in step.bodies.items()},
        reads=dict(step.reads),
        writes={item: cut(one_line(str(value)), 200) for item, value in step.writes.items()},
    )


def _statement(body: Any) -> str | None:
    if body is None:
        return None
    return cut(clean(body if isinstance(body, str) else json.dumps(body, default=str)), MOST_TEXT)


def _schedules(scenario: Scenario, every: Sequence[Case]) -> list[Schedule]:
    """Those that the file lists, and those that are made of it; made ones of one name may differ between levels."""
    made = {case.schedule.name: case.schedule for case in every if case.schedule.made}
    return [*scenario.schedules, *made.values()]


def _schedule(schedule: Schedule) -> ScheduleTold:
    entries = []
    for entry in schedule.entries[:MOST_ENTRIES]:
        claims = ["blocks"] if entry.blocks else ["does not block"] if entry.blocks is False else []
        claims += [f"ends after {entry.until}"] if entry.until else []
        entries.append(entry.step + (f" ({', '.join(claims)})" if claims else ""))
    return ScheduleTold(name=schedule.name, entries=entries, left_out=max(len(schedule.entries) - MOST_ENTRIES, 0))


def _case(case: Case) -> CaseTold:
    expected = [] if case.reason else [cut(clean(one), 300) for one in expected_words(case.expectation)]
    return CaseTold(
        id=case.id,
        engine=case.engine,
        level=case.level,
        schedule=case.schedule.name,
        expected=expected[:40],
        skipped=case.reason,
    )
