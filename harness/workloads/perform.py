"""A workload on the databases of a run, at its levels: each one run, checked, judged, kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.evidence.checker.model import Found, Observed, Report
from harness.suite import Suite
from harness.vocabulary import LEVELS, REAL_ENGINE, label
from harness.workloads.judge import mismatches
from harness.workloads.keep import keep
from harness.workloads.model import Declared, Expected
from harness.workloads.result import WorkloadResult
from harness.workloads.run import Ran, run_workload
from harness.workloads.scenario import Placed, first_scenario

EXAMPLES = 3
"""So many of each anomaly are told, with a picture each."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A workload on the server that a database has in this run, at one level. ``reason``: why it cannot be run here."""

    declared: Declared
    logical: str
    engine: str
    stand_in: bool
    level: str = ""
    expected: Expected | None = None
    reason: str = ""

    @property
    def place(self) -> str:
        """``promptsales@postgresql``."""
        return label(self.logical, self.engine, stand_in=self.stand_in)

    @property
    def id(self) -> str:
        """``list_append[promptsales@postgresql-read_committed]``."""
        level = f"-{self.level.replace(' ', '_')}" if self.level else ""
        return f"{self.declared.name}[{self.place}{level}]"


@dataclass(frozen=True, slots=True)
class Kept:
    """A trial that was run: its result, what the checker says, the history, and where ``workload.json`` is."""

    result: WorkloadResult
    report: Report
    observed: Observed
    path: Path
    interrupted: bool = False  # by Ctrl-C: whoever performs it ends


def scenario_in(kept: Kept) -> tuple[Found, str] | None:
    """The first cycle of what was found, and the YAML of a scenario of it; None if there is none."""
    return first_scenario(kept.report, kept.observed, _placed(kept.result))


def _placed(result: WorkloadResult) -> Placed:
    return Placed(result.logical, result.engine, result.level, result.units)


def trials(declared: Declared, suite: Suite) -> Iterator[Trial]:
    """A declared workload on the servers of this run. Raises ServerError."""
    for logical in declared.logicals:
        engine, stand_in = suite.servers.describe(logical)
        if engine not in declared.expect:
            yield Trial(declared, logical, engine, stand_in, reason=_reason(declared, logical, engine))
            continue
        for level in declared.levels.get(engine) or LEVELS[engine][:1]:
            yield Trial(declared, logical, engine, stand_in, level, declared.expected(engine, level))


def _reason(declared: Declared, logical: str, engine: str) -> str:
    real = REAL_ENGINE[logical]
    why = f"runs only on {' and '.join(declared.expect)}; {logical} is on {engine} here"
    if engine != real:
        why += f", a stand-in for {real}: set {logical.upper()}_URL or take --servers=containers"
    return why


def perform(suite: Suite, trial: Trial, now: Callable[[str], None] | None = None) -> Kept:
    """Run, check, judge, keep; after Ctrl-C what there is (``interrupted``).

    Raises ServerUnavailable (skip), and any other HarnessError if it could not be run.
    """
    from harness.evidence.checker.check import check

    began = time.time()
    ran = run_workload(trial.declared, trial.logical, trial.level, suite.databases, source=trial.id, now=now)
    if now is not None:
        now(f"checking {len(ran.observed.transactions)} transactions")
    report = check(ran.observed, examples=EXAMPLES, now=now)
    result = _result(suite, trial, ran, report, began)
    made = first_scenario(report, ran.observed, _placed(result))
    path, result = keep(suite, result, report, ran.observed, made[1] if made else "")
    return Kept(result, report, ran.observed, path, ran.interrupted)


def _result(suite: Suite, trial: Trial, ran: Ran, report: Report, began: float) -> WorkloadResult:
    declared = trial.declared
    wrong = mismatches(trial.expected, report) if trial.expected is not None else []
    if ran.late or ran.interrupted:
        wrong.append(ran.notes[-1])
    if ran.level != trial.level:
        wrong.append(f"asked for {trial.level}, the sessions had {ran.level}")
    return WorkloadResult(
        id=trial.id,
        name=declared.name,
        title=declared.title,
        about=declared.about,
        file=suite.relative(declared.file) if declared.file else "",
        kind=declared.kind.value,
        units=declared.units,
        logical=trial.logical,
        engine=trial.engine,
        version=f"{ran.product} {ran.version}",
        stand_in=REAL_ENGINE[trial.logical] if trial.stand_in else "",
        level=trial.level,
        observed_level=ran.level,
        sessions=declared.sessions,
        keys=declared.keys,
        seed=declared.seed,
        began=began,
        seconds=round(ran.seconds, 3),
        transactions=report.transactions,
        ok=report.ok,
        failed=report.failed,
        info=report.info,
        counts=report.counts,
        excluded=report.excluded,
        possible=report.possible,
        expected=trial.expected.text if trial.expected is not None else "",
        status="failed" if wrong else "passed",
        mismatches=wrong,
        notes=[*ran.notes, *report.notes],
    )
