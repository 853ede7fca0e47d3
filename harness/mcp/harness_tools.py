"""The harness itself, for an assistant: scenarios, runs, evidence, deadlocks in words."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.errors import ToolRefused, did_you_mean
from harness.evidence.model import Evidence
from harness.mcp import harness_prompts as prompts
from harness.mcp.harness_child import servers_of
from harness.mcp.harness_evidence import EvidencePart, Part, page, whole
from harness.mcp.harness_explain import Explanation, explain, no_deadlock
from harness.mcp.harness_listing import (
    CaseOfRun,
    Comparison,
    RunLine,
    ScenarioRun,
    case_of_run,
    comparison,
    report_text,
    run_line,
    scenario_run,
)
from harness.mcp.harness_run import SECONDS, Runner
from harness.mcp.harness_runs import LATEST, CaseLine, Results, RunFiles, shown
from harness.mcp.harness_scenarios import MOST_CASES, Catalogue, ScenarioLine, ScenarioTold, line_of, shows, told
from harness.mcp.model import TESTERS, Cursor, Limit, Page, Toolset, prompt, resource, tool
from harness.mcp.pages import after, cursor_of
from harness.report.waits import waits_svg
from harness.scenario.cases import cases
from harness.scenario.model import Scenario
from harness.sso.model import Caller

LOGINS: tuple[Any, ...] = ()
"""It works with no database of PromptSales: what a scenario needs is thrown away with it."""

READERS = frozenset({"tester", "analyst", "admin"})
MOST_SEARCHED = 200
"""Runs that are looked through for a deadlock, newest first."""

Engine = Literal["postgresql", "sqlserver", "mongodb", "redis"]
Logical = Literal["promptsales", "promptads", "promptcrm", "promptcontent", "cache"]
ScenarioId = Annotated[str, Field(max_length=200, description="A scenario's id, as list_scenarios gives it")]
RunId = Annotated[str, Field(max_length=64, description="A run's id, as list_runs gives it; 'latest' for the newest")]
CaseId = Annotated[str, Field(max_length=400, description="A case's id, or its key, as list_cases gives them")]


@dataclass(frozen=True, slots=True)
class HarnessSettings:
    """Where scenarios and results are; ``servers``: the kind that runs get, embedded if none is said."""

    scenarios: Path
    results: Path
    servers: str | None = None


class HarnessTools(Toolset):
    """See the docstrings of the tools. Safe to use from several threads."""

    name = "harness"
    title = "PromptSales harness"
    instructions = (
        "Runs isolation and deadlock scenarios on throw-away database servers and keeps the evidence. list_scenarios and "
        "describe_scenario say what can be shown; run_scenario runs one; list_runs, list_cases, read_evidence and "
        "explain_deadlock say what happened. Verdicts come with proofs: say what the evidence says, and no more. A database "
        "called …-standin runs on another engine than in production."
    )

    def __init__(self, settings: HarnessSettings) -> None:
        """Raises ServerError for an unknown kind of servers."""
        self._catalogue = Catalogue(settings.scenarios)
        self._results = Results(settings.results)
        self._runner = Runner(self._catalogue.folder.parent, self._results.root, settings.servers)

    def close(self) -> None:
        """End a run that is going on."""
        self._runner.close()

    # -- scenarios

    @tool("Scenarios that can be run", roles=READERS)
    def list_scenarios(
        self,
        caller: Caller,
        family: Annotated[
            str | None, Field(max_length=100, description="Only of this folder, as 'deadlock' or 'lost_update'")
        ] = None,
        shows_what: Annotated[
            str | None,
            Field(
                max_length=60, description="Only those that expect this phenomenon, or bear this mark, as 'write skew'"
            ),
        ] = None,
        engine: Annotated[Engine | None, Field(description="Only those that speak of this engine")] = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Page[ScenarioLine]:
        """The scenarios by id: what each is about, its sessions, databases and levels, and in short what is expected where.

        Files with a mistake are listed too (unless shows_what or engine is given), with its place and what is wrong.
        """
        last = after("list_scenarios", cursor, str)
        found = []
        for entry in self._catalogue.entries():
            if last is not None and entry.id <= last[0]:
                continue
            if family is not None and family not in (entry.family, entry.family.rpartition("/")[2]):
                continue
            if shows_what is not None and (entry.scenario is None or not shows(entry.scenario, shows_what)):
                continue
            if engine is not None and (entry.scenario is None or engine not in entry.scenario.engines):
                continue
            found.append(entry)
            if len(found) > limit:
                break
        following = cursor_of("list_scenarios", found[limit - 1].id) if len(found) > limit else None
        return Page[ScenarioLine](items=[line_of(entry) for entry in found[:limit]], next_cursor=following)

    @tool("A scenario in full", roles=READERS)
    def describe_scenario(self, caller: Caller, scenario_id: ScenarioId) -> ScenarioTold:
        """A scenario's sessions with their statements, its schedules, and its cases with what must come out of each.

        A case is a scenario on certain databases, at one isolation level, in one schedule. Nothing is run.
        """
        entry, scenario = self._catalogue.readable(scenario_id)
        return told(entry, scenario, self._describe)

    @tool("Run a scenario", roles=TESTERS, changes=True, seconds=SECONDS)
    def run_scenario(
        self,
        caller: Caller,
        scenario_id: ScenarioId,
        database: Annotated[Logical | None, Field(description="Only its cases on this database")] = None,
        level: Annotated[
            str | None, Field(max_length=40, description="Only its cases at this level, as 'read committed'")
        ] = None,
    ) -> ScenarioRun:
        """Run a scenario on throw-away servers that are started for it, and say for each case what came of it.

        It takes some seconds, at most two minutes; one run at a time. Nothing of PromptSales's own data is touched. The run
        is kept: read_evidence and explain_deadlock tell more of it.
        """
        entry, scenario = self._catalogue.readable(scenario_id)
        wanted = self._wanted(scenario, database, level)
        ran = self._runner.run(entry.id, entry.file, wanted)
        return scenario_run(entry, ran, self._results)

    # -- runs

    @tool("Runs that are kept", roles=READERS)
    def list_runs(self, caller: Caller, limit: Limit = 20, cursor: Cursor = None) -> Page[RunLine]:
        """The runs, newest first: when, on which kind of servers, how many cases passed, failed or could not be judged.

        A run that is not finished is going on, or was cut off. Load, plans and rounds of the ETL are named, not counted.
        """
        last = after("list_runs", cursor, str)
        ids = [one for one in self._results.ids() if last is None or one < last[0]]
        lines = [run_line(self._results, self._results.run(one)) for one in ids[:limit]]
        following = cursor_of("list_runs", ids[limit - 1]) if len(ids) > limit else None
        return Page[RunLine](items=lines, next_cursor=following)

    @tool("Cases of a run", roles=READERS)
    def list_cases(
        self,
        caller: Caller,
        run_id: RunId = LATEST,
        status: Annotated[Literal["passed", "failed", "error"] | None, Field(description="Only these")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[CaseOfRun]:
        """The cases of a run by file and id: verdict, what was found, who was a deadlock's victim, where the evidence is."""
        run = self._results.run(run_id)
        if run.problem:
            raise ToolRefused(run.problem)
        last = after("list_cases", cursor, str, str, str)
        left = [
            one
            for one in run.cases
            if (last is None or (one.file, one.id, one.key) > last) and (status is None or one.status == status)
        ]
        end = left[limit - 1] if len(left) > limit else None
        following = cursor_of("list_cases", end.file, end.id, end.key) if end else None
        return Page[CaseOfRun](items=[case_of_run(run, one) for one in left[:limit]], next_cursor=following)

    @tool("Evidence of a case", roles=READERS)
    def read_evidence(
        self,
        caller: Caller,
        run_id: RunId,
        case_id: CaseId,
        part: Annotated[
            Part, Field(description="summary: verdict and proofs; the others are lists in pages")
        ] = "summary",
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> EvidencePart:
        """What a case left behind: its verdict with proofs, observed levels; its events; who waited for whom; statements.

        Values of sensitive columns are not in it. Long texts and results of many rows are cut.
        """
        run, case, evidence = self._case(run_id, case_id)
        return page(run, case, evidence, part, limit, cursor)

    @tool("Explain a deadlock", roles=READERS, seconds=30)
    def explain_deadlock(
        self,
        caller: Caller,
        run_id: Annotated[RunId | None, Field(description="Of this run, as list_runs gives it")] = None,
        case_id: Annotated[CaseId | None, Field(description="Of this case, as list_cases gives it")] = None,
    ) -> Explanation:
        """A deadlock in words: who held what and waited for whom, what closed the ring, who was ended, why, and what then.

        Of the case that is named, else of the first one of that run that has one, else of the newest that is kept.
        If there is none, it says so.
        """
        if case_id is not None:
            run, case, evidence = self._case(run_id or LATEST, case_id)
            return explain(run, case, evidence, self._scenario_of(evidence))
        for one in [self._results.run(run_id).id] if run_id is not None else self._results.ids()[:MOST_SEARCHED]:
            run = self._results.run(one)
            having = [case for case in run.cases if case.victim or any("deadlock" in name for name in case.found)]
            if run_id is not None and run.problem:
                raise ToolRefused(run.problem)
            if having:
                try:
                    evidence = self._results.evidence(run, having[0])
                except ToolRefused:
                    if run_id is not None:
                        raise
                    continue  # nobody has asked for this one
                others = [f"{case.id}: {case.summary}"[:300] for case in having[1:20]]
                return explain(run, having[0], evidence, self._scenario_of(evidence), others)
        return no_deadlock(self._results.run(run_id) if run_id is not None else None, None, None)

    @tool("Compare two runs", roles=READERS, seconds=30)
    def compare_runs(self, caller: Caller, first: RunId, second: RunId = LATEST) -> Comparison:
        """What is different in the second run: cases that are new, gone, or have another verdict or found something else.

        Times are not compared, nor are plans and load.
        """
        return comparison(self._results.run(first), self._results.run(second))

    # -- resources

    @resource("harness://report/latest", "The newest run, in text", roles=READERS)
    def latest_report(self, caller: Caller) -> str:
        """The newest run's cases with their verdicts, a line each, and where its page is."""
        return report_text(self._results, self._results.run(LATEST))

    @resource("harness://report/{run_id}", "A run, in text", roles=READERS)
    def report(self, caller: Caller, run_id: RunId) -> str:
        """A run's cases with their verdicts, a line each, and where its page is."""
        return report_text(self._results, self._results.run(run_id))

    @resource("harness://scenario/{scenario_id}", "A scenario's file", roles=READERS, mime_type="application/yaml")
    def scenario_text(self, caller: Caller, scenario_id: ScenarioId) -> str:
        """The text of a scenario's file, also of one that has a mistake."""
        entry = self._catalogue.find(scenario_id)
        try:
            text = entry.file.read_bytes().decode("utf-8", "replace")
        except OSError:
            raise ToolRefused(f"{entry.relative} cannot be read") from None
        if len(text) > 200_000:
            raise ToolRefused(f"{entry.relative} is too long to be given")
        return text

    @resource(
        "harness://scenario-schema", "JSON Schema of scenarios", roles=READERS, mime_type="application/schema+json"
    )
    def scenario_schema(self, caller: Caller) -> str:
        """What a scenario's file may say."""
        from harness.scenario.written import schema

        return json.dumps(schema(), indent=1)

    @resource("harness://docs/scenarios", "How to write a scenario", roles=READERS, mime_type="text/markdown")
    def scenario_guide(self, caller: Caller) -> str:
        """The guide for whoever writes a scenario."""
        return prompts.guide()

    @resource("harness://evidence/{run_id}/{case_id}", "A case's evidence", roles=READERS, mime_type="application/json")
    def evidence_text(self, caller: Caller, run_id: RunId, case_id: CaseId) -> str:
        """A case's evidence.json; of a long one, the verdict only."""
        _, _, evidence = self._case(run_id, case_id)
        return whole(evidence, evidence.model_dump_json(indent=1, exclude_defaults=True))

    @resource("harness://waits/{run_id}/{case_id}", "Who waited for whom", roles=READERS, mime_type="image/svg+xml")
    def waits_picture(self, caller: Caller, run_id: RunId, case_id: CaseId) -> str:
        """The wait-for graph of a case, as a picture."""
        _, _, evidence = self._case(run_id, case_id)
        return waits_svg(evidence)

    # -- prompts

    @prompt("Explain this deadlock", roles=READERS)
    def explain_this_deadlock(
        self,
        caller: Caller,
        run_id: RunId,
        case_id: CaseId,
    ) -> str:
        """Have a deadlock explained from its evidence."""
        return prompts.explain_this_deadlock(run_id, case_id)

    @prompt("Write a scenario", roles=READERS)
    def write_a_scenario(
        self,
        caller: Caller,
        description: Annotated[str, Field(max_length=4_000, description="What it is to show, in your words")],
    ) -> str:
        """Have a scenario written: with what the format needs, and an example."""
        return prompts.write_a_scenario(description)

    @prompt("Is this isolation level enough?", roles=READERS)
    def is_this_level_enough(
        self,
        caller: Caller,
        level: Annotated[str, Field(max_length=40, description="An isolation level: read committed")],
        engine: Annotated[str, Field(max_length=20, description="postgresql, sqlserver, mongodb or redis")],
    ) -> str:
        """Have it found out what an isolation level lets through."""
        return prompts.is_this_level_enough(level, engine)

    # -- inside

    def _describe(self, logical: str) -> tuple[str, bool]:
        """Engine and stand-in flag that a run's servers would have; nothing is started."""
        return servers_of(
            self._runner.mode, "described", os.getpid(), self._catalogue.folder.parent, os.environ
        ).describe(logical)

    def _wanted(self, scenario: Scenario, database: str | None, level: str | None) -> list[str]:
        """The ids of the cases to run. Raises ToolRefused: none, too many, or none that can be run here."""
        every = list(cases(scenario, self._describe))
        here = [one for one in every if not one.reason]
        if not here:
            reasons = "; ".join(dict.fromkeys(one.reason for one in every))
            raise ToolRefused(f"{scenario.id} has no case that can be run here: {reasons[:600]}")
        on = [one for one in here if database is None or any(each.logical == database for each in one.databases)]
        if not on:
            names = ", ".join(dict.fromkeys(each.logical for one in here for each in one.databases))
            raise ToolRefused(f"{scenario.id} has no case on {database} that can be run here, only on {names}")
        levels = list(dict.fromkeys(one.level for one in on))
        chosen = [one for one in on if level is None or one.level == level]
        if not chosen:
            hint = did_you_mean(level or "", levels)
            raise ToolRefused(
                f"{scenario.id} has no case at {shown(level or '')}{hint}: its levels are {', '.join(levels)}"
            )
        if len(chosen) > MOST_CASES:
            raise ToolRefused(
                f"these are {len(chosen)} cases, {MOST_CASES} at most are run at once: choose one database and one level"
            )
        return [one.id for one in chosen]

    def _case(self, run_id: str, case_id: str) -> tuple[RunFiles, CaseLine, Evidence]:
        run = self._results.run(run_id)
        case = self._results.case(run, case_id)
        return run, case, self._results.evidence(run, case)

    def _scenario_of(self, evidence: Evidence) -> Scenario | None:
        """The scenario that a case is of, if its file is among ours."""
        file = self._catalogue.folder.parent / evidence.history.file  # an absolute one stays what it is
        return next((entry.scenario for entry in self._catalogue.entries() if entry.file == file), None)


def open_toolset(targets: Mapping[Any, Any], settings: HarnessSettings) -> HarnessTools:
    """The tools of the harness; ``targets`` are none. Raises ServerError for an unknown kind of servers."""
    return HarnessTools(settings)


__all__: Sequence[str] = ("LOGINS", "HarnessSettings", "HarnessTools", "open_toolset")
