"""One schedule, run and judged. What is kept of it is decided afterwards: most of thousands are only counted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import HarnessError, ScenarioError, ServerUnavailable, StoreError
from harness.evidence.model import Evidence
from harness.evidence.verdict import judge
from harness.exploring.behaviour import facts, fingerprint, signature
from harness.exploring.ground import Ground
from harness.exploring.model import Ran, Task
from harness.history import RunEnd
from harness.report.timeline import timeline_svg
from harness.report.waits import waits_svg
from harness.runner.case import Play
from harness.runner.stage import Stage
from harness.scenario.cases import cases
from harness.scenario.general import expected_everywhere
from harness.scenario.made import restricted
from harness.scenario.model import DEFAULT, Case, Entry, Scenario, Schedule
from harness.suite import Suite


class NothingToExplore(ScenarioError):
    """A scenario has no schedules, or does not run where it was asked for."""


def bases(suite: Suite, file: Path, *, on: str = "", level: str = "") -> list[Case]:
    """The scenario's cases without their schedules: one for each placement and level, some with a ``reason`` to skip them.

    Raises ScenarioError: a wrong file; NothingToExplore: a free run, no such database or level.
    """
    first = next(iter(suite.cases(file)))  # what reads the file; a case's schedule does not matter here
    if first.scenario.free_running is not None:
        raise NothingToExplore(f"{file}: a free run has no schedules to explore: see 'harness workload'")
    made = [*cases(unscheduled(first.scenario), suite.servers.describe)]
    places = {database.logical for case in made for database in case.databases}
    levels = {case.level for case in made if not case.reason}
    if on and on not in places:
        raise NothingToExplore(f"{file}: it does not run on {on!r}: {', '.join(sorted(places))}")
    chosen = [case for case in made if not on or any(one.logical == on for one in case.databases)]
    if level and levels and level not in levels:
        raise NothingToExplore(f"{file}: it does not run at {level!r}: {', '.join(sorted(levels))}")
    # A specification's transcript is that of its permutation, which this is not.
    plain = [replace(case, expectation=replace(case.expectation, output=None)) for case in chosen]
    return [case for case in plain if not level or case.reason or case.level == level]


def unscheduled(scenario: Scenario) -> Scenario:
    """The scenario with one schedule that has no entries, and with the steps that its own interleavings have.

    Of its expectation stays what is true of every order (:mod:`harness.scenario.general`). Each schedule has sessions of
    its own, whatever the scenario says of its cases: one shall not disturb the next one.
    """
    steps = scenario.made[0].steps if scenario.made and not scenario.schedules else None
    none = Schedule(DEFAULT, ())
    return replace(
        scenario,
        sessions=restricted(scenario.sessions, steps),
        schedules=(none,),
        made=(),
        shared=False,
        expect=expected_everywhere(scenario),
    )


def scheduled(base: Case, task: Task) -> Case:
    """The case of one schedule."""
    schedule = Schedule(task.name, tuple(map(Entry, task.order)), seed=task.seed)
    return replace(base, id=f"{base.id[:-1]}-{task.name}]", schedule=schedule)


@dataclass(slots=True)
class Trial:
    """A case that was run: its evidence, which is not kept yet."""

    evidence: Evidence
    seconds: float
    began: float  # seconds since 1970
    play: Play


def attempt(suite: Suite, case: Case, ground: Ground | None = None, *, touching: bool = False) -> Trial:
    """Run a case, on a database of ``ground`` if that has one for it, and judge it.

    With ``touching``, the servers are asked what each step touched. Raises as ``Suite.run``.
    """
    began, at = time.perf_counter(), time.time()
    clean = False
    try:
        lent = ground.lend() if ground is not None else None
        with Stage(case, suite.databases, lent, suite.meanwhile, suite.hosts) as stage:
            play = Play(case, stage, touching=touching).run()
        clean = play.end[0] is RunEnd.completed and not stage.watch.gone
    finally:
        if ground is not None and not clean:
            ground.forget()
    history = play.history().model_copy(update={"file": suite.relative(case.scenario.file)})
    evidence = Evidence(
        run=suite.settings.run_id,
        history=history,
        expectation=case.expectation.as_record(),
        verdict=judge(history, case.expectation),
    )
    return Trial(evidence, time.perf_counter() - began, at, play)


def keep(suite: Suite, trial: Trial) -> Path:
    """Keep its evidence, with pictures. Raises StoreError."""
    pictures = {"timeline.svg": timeline_svg(trial.evidence), "waits.svg": waits_svg(trial.evidence)}
    return suite.keep(trial.evidence, pictures, trial.seconds, trial.began)


def tried(
    suite: Suite, base: Case, task: Task, ground: Ground | None = None, *, touching: bool = False
) -> tuple[Ran, Trial | None]:
    """What became of a schedule, and its evidence. Raises StoreError and ServerUnavailable: no other could be run either."""
    case = scheduled(base, task)
    try:
        trial = attempt(suite, case, ground, touching=touching)
    except (StoreError, ServerUnavailable):
        raise
    except HarnessError as error:  # this schedule cannot be run; others may
        return Ran(task, problem=str(error), status="error", summary=str(error), signature=("could not be run",)), None
    evidence = trial.evidence
    shown = facts(evidence)
    return Ran(
        task,
        facts=shown,
        fingerprint=fingerprint(shown),
        status=evidence.verdict.status.value,
        summary=evidence.verdict.summary,
        signature=signature(evidence, case.expectation),
        seconds=trial.seconds,
        touched=trial.play.touched,
    ), trial


class Keeping:
    """Whose evidence is kept: of each outcome the first ones, of failures some more, and not of all."""

    MOST_FAILING = 5
    """Failures of one outcome whose evidence is kept; the others are counted and have their lines."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def wants(self, ran: Ran) -> bool:
        """Whether this one is to be kept, told in the order in which they were run."""
        if not ran.fingerprint:
            return False
        number = self._seen[ran.fingerprint] = self._seen.get(ran.fingerprint, 0) + 1
        return number == 1 or (ran.failing and number <= self.MOST_FAILING)


@dataclass(frozen=True, slots=True)
class Here:
    """Runs schedules in this process, one after the other."""

    suite: Suite
    base: Case
    touching: bool = False

    @property
    def processes(self) -> int:
        """This one."""
        return 1

    def runs(self, tasks: Sequence[Task], keeping: Keeping) -> Iterator[Ran]:
        """What becomes of each one, in their order. Raises StoreError, ServerUnavailable."""
        ground = Ground(self.suite, self.base)
        try:
            for task in tasks:
                ran, trial = tried(self.suite, self.base, task, ground, touching=self.touching)
                if trial is not None and keeping.wants(ran):
                    ran.evidence = self.suite.relative(keep(self.suite, trial))
                yield ran
        finally:
            ground.forget()
