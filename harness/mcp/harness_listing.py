"""Runs and their cases as the tools of the harness tell them: in a line each, as a text, beside each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from harness.mcp.harness_run import Ran
from harness.mcp.harness_runs import CaseLine, Results, RunFiles
from harness.mcp.harness_scenarios import Entry, cut
from harness.mcp.model import Answer
from harness.report.words import clean, one_line

MOST_LISTED = 300
"""Cases of a run's text, and differences of two runs."""

MARK = {"passed": "✓", "failed": "✗", "error": "!"}


class RunLine(Answer):
    """A run in short."""

    run_id: str
    finished: bool = Field(description="False: it is going on, or was cut off")
    started: str = ""
    seconds: float | None = None
    servers: str = Field(default="", description="embedded, containers or external")
    cases: int
    passed: int
    failed: int
    errors: int = Field(description="Cases that could not be judged")
    also: list[str] = Field(
        default=[], description="What it has kept besides cases: etl, load, plans; the page shows it"
    )
    report: str = Field(default="", description="The run's page, below the results' folder")
    problem: str = ""


class CaseOfRun(Answer):
    """A case of a run."""

    case_id: str
    key: str = Field(description="Its name in URIs")
    title: str
    level: str
    status: str
    summary: str
    found: list[str]
    victim: str = Field(description="Of its first deadlock that had one")
    seconds: float
    evidence: str = Field(description="URI of its evidence; read_evidence gives it in pages")


class CaseRan(Answer):
    """What became of a case."""

    case_id: str
    status: Literal["passed", "failed", "error", "skipped", "not run"]
    as_expected: bool
    summary: str
    found: list[str] = Field(default=[], description="Anomalies and deadlocks")
    victims: list[str] = []
    levels_observed: list[str] = Field(default=[], description="What the server said its sessions really had")
    mismatches: list[str] = []
    seconds: float | None = None
    files: str = Field(default="", description="Folder of its evidence and pictures, below the results' folder")
    evidence: str = Field(default="", description="URI")
    waits: str = Field(default="", description="URI of the wait-for graph")


class ScenarioRun(Answer):
    """What came of a run."""

    run_id: str
    scenario_id: str
    as_expected: bool = Field(description="Whether every case that ran was as expected, and at least one ran")
    cases: list[CaseRan]
    report: str = Field(description="URI of the run in text; empty if nothing was kept")
    page: str = Field(description="The run's HTML page, below the results' folder")


class Difference(Answer):
    """A case that is not what it was."""

    case_id: str
    kind: Literal["new", "gone", "verdict", "found"]
    first: str
    second: str
    worse: bool


class Comparison(Answer):
    """What is different in the second of two runs."""

    first: str
    second: str
    same: int = Field(description="Cases that are what they were")
    worse: int
    differences: list[Difference]
    left_out: int


def run_line(results: Results, run: RunFiles) -> RunLine:
    """A run in short."""
    counts = Counter(one.status for one in run.cases)
    seconds = run.facts.get("seconds")
    return RunLine(
        run_id=run.id,
        finished=run.finished,
        started=cut(one_line(str(run.facts.get("started", ""))), 40),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        servers=cut(one_line(str(run.facts.get("servers", ""))), 20),
        cases=len(run.cases),
        passed=counts["passed"],
        failed=counts["failed"],
        errors=counts["error"],
        also=results.also(run),
        report=results.report(run),
        problem=run.problem,
    )


def case_of_run(run: RunFiles, case: CaseLine) -> CaseOfRun:
    """A case of a run."""
    return CaseOfRun(
        case_id=clean(case.id),
        key=clean(case.key),
        title=cut(one_line(case.title), 200),
        level=case.level,
        status=case.status,
        summary=cut(one_line(case.summary), 500),
        found=list(case.found[:20]),
        victim=case.victim,
        seconds=case.seconds,
        evidence=f"harness://evidence/{run.id}/{clean(case.key)}",
    )


def scenario_run(entry: Entry, ran: Ran, results: Results) -> ScenarioRun:
    """What came of a run, from what it told and what it left. Raises ToolRefused if that cannot be read."""
    run = results.run(ran.run_id) if any("case" in one for one in ran.told) else None
    made = [_case_ran(one, run, results) for one in ran.told]
    judged = [one for one in made if one.status != "skipped"]
    return ScenarioRun(
        run_id=ran.run_id if run else "",
        scenario_id=entry.id,
        as_expected=bool(judged) and all(one.as_expected for one in judged),
        cases=made,
        report=f"harness://report/{run.id}" if run else "",
        page=results.report(run) if run else "",
    )


def _case_ran(told: dict[str, Any], run: RunFiles | None, results: Results) -> CaseRan:
    if "skipped" in told:
        return CaseRan(
            case_id=told["skipped"], status="skipped", as_expected=False, summary=cut(clean(told["why"]), 600)
        )
    if "broken" in told or run is None:
        own = told.get("error") == "own"
        why = told.get("text", "") if own else "it could not be run: the log of this server's machine says why"
        return CaseRan(
            case_id=str(told.get("broken")), status="not run", as_expected=False, summary=cut(clean(why), 600)
        )
    case = results.case(run, told["key"])
    evidence = results.evidence(run, case)
    verdict = evidence.verdict
    levels = [level for one in evidence.history.sessions for level in one.observed_levels.values()]
    return CaseRan(
        case_id=told["case"],
        status=verdict.status.value,
        as_expected=verdict.status.value == "passed",
        summary=cut(one_line(verdict.summary), 500),
        found=[one.value for one in verdict.phenomena],
        victims=list(dict.fromkeys(one.victim for one in verdict.deadlocks if one.victim))[:20],
        levels_observed=list(dict.fromkeys(levels)),
        mismatches=[cut(clean(one), 600) for one in verdict.mismatches[:10]],
        seconds=told.get("seconds"),
        files=f"{run.id}/{case.folder}",
        evidence=f"harness://evidence/{run.id}/{case.key}",
        waits=f"harness://waits/{run.id}/{case.key}",
    )


def report_text(results: Results, run: RunFiles) -> str:
    """A run for reading: a head, a line for each case, those that did not pass first."""
    line = run_line(results, run)
    head = [f"run {run.id}" + ("" if run.finished else " (not finished: it is going on, or was cut off)")]
    if line.started:
        took = f", {line.seconds:.1f} s" if line.seconds is not None else ""
        head.append(f"started {line.started}{took}, on {line.servers} servers")
    if run.problem:
        return "\n".join([*head, run.problem, ""])
    head.append(f"{line.cases} cases: {line.passed} passed, {line.failed} failed, {line.errors} could not be judged")
    if line.also:
        head.append(f"kept besides, and shown by its page: {', '.join(line.also)}")
    if line.report:
        head.append(f"page with pictures, below the results' folder: {line.report}")
    every = sorted(run.cases, key=lambda one: one.status == "passed")
    body = [f"{MARK.get(one.status, '?')} {one_line(one.id)}: {cut(one_line(one.summary), 300)}" for one in every]
    more = [f"… {len(body) - MOST_LISTED} more: list_cases"] if len(body) > MOST_LISTED else []
    return "\n".join([*head, "", *body[:MOST_LISTED], *more, ""])


def comparison(first: RunFiles, second: RunFiles) -> Comparison:
    """What is different in the second run, the worse things first."""
    before, after = _by_id(first.cases), _by_id(second.cases)
    found: list[Difference] = []
    same = 0
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            found.append(_difference(key[1], "new", "", new.status, new.status != "passed"))
        elif new is None and old is not None:
            found.append(_difference(key[1], "gone", old.status, "", False))
        elif old is not None and new is not None:
            changed = False
            if old.status != new.status:
                changed = True
                found.append(
                    _difference(key[1], "verdict", old.status, new.status, new.status != "passed", new.summary)
                )
            if old.found != new.found:
                changed = True
                was, now = (", ".join(one.found) or "nothing" for one in (old, new))
                found.append(_difference(key[1], "found", was, now, False))
            same += not changed
    found.sort(key=lambda one: (not one.worse, one.case_id, one.kind))
    return Comparison(
        first=first.id,
        second=second.id,
        same=same,
        worse=sum(one.worse for one in found),
        differences=found[:MOST_LISTED],
        left_out=max(len(found) - MOST_LISTED, 0),
    )


def _difference(case: str, kind: Any, first: str, second: str, worse: bool, why: str = "") -> Difference:
    after = f"{second}: {cut(one_line(why), 200)}" if worse and why else second
    return Difference(case_id=clean(case), kind=kind, first=first, second=after, worse=worse)


def _by_id(cases: Iterable[CaseLine]) -> dict[tuple[str, str], CaseLine]:
    return {(one.file, one.id): one for one in cases}
