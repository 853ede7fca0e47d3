"""A file's pairs on the servers of a run: each one measured, compared, held against what is expected, kept."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from harness.engines.base import Statement
from harness.engines.plans_base import Bench, NotTimed
from harness.errors import EngineError, ScenarioError
from harness.plans import accepted
from harness.plans.compare import findings
from harness.plans.declared import Declared, change_text, mismatches, of_engine
from harness.plans.grounds import Ground, Grounds
from harness.plans.keep import keep_pair
from harness.plans.load import load, locations
from harness.plans.model import PlanPair, Side, Timing
from harness.plans.reading import read_plan
from harness.plans.statements import has_query, shown_statement, statement_for
from harness.report.plans import PICTURES
from harness.schemas import PROMPTSALES
from harness.suite import Suite
from harness.vocabulary import REAL_ENGINE, label


@dataclass(frozen=True, slots=True)
class Trial:
    """A pair on the server that its database has in this run. ``reason``: why it cannot be run here."""

    declared: Declared
    engine: str
    stand_in: bool
    reason: str = ""

    @property
    def place(self) -> str:
        """``promptcrm@postgresql-standin``."""
        return label(self.declared.logical, self.engine, stand_in=self.stand_in)

    @property
    def id(self) -> str:
        """``clients_near[promptcrm@postgresql-standin]``."""
        return f"{self.declared.name}[{self.place}]"


@dataclass(frozen=True, slots=True)
class Kept:
    """A pair that was run, and where ``plans.json`` is."""

    pair: PlanPair
    path: Path


class Plans:
    """What a run does with pairs. ``accept``: today's shapes are the accepted ones from now on."""

    def __init__(
        self, suite: Suite, *, kept: bool = False, accept: bool = False, grounds: Grounds | None = None
    ) -> None:
        self._suite = suite
        self._grounds = grounds or Grounds(suite.databases, kept=kept)
        self._accept = accept
        self._root = suite.settings.schemas or PROMPTSALES

    def trials(self, file: Path) -> Iterator[Trial]:
        """The pairs of a file, on the servers of this run. Raises ScenarioError, ServerError."""
        for declared in load(file, self._root):
            engine, stand_in = self._suite.servers.describe(declared.logical)
            yield Trial(declared, engine, stand_in, has_query(declared, engine, self._root))

    def run(self, trial: Trial) -> Kept:
        """Measure, compare, judge, keep. Raises ServerUnavailable (skip), ScenarioError (what the file says cannot be
        done), and any other HarnessError if the pair could not be run."""
        declared = trial.declared
        statement = statement_for(declared, trial.engine, self._root)
        ground = self._grounds.ground(declared.logical, declared.data)
        with contextlib.closing(ground.bench(self._suite.settings.run_id)) as bench:
            sides = self._measured(declared, trial, bench, statement)
            said = list(bench.notes)
        held, more = self._held(trial, ground, bench, sides)
        pair = self._pair(trial, ground, bench, sides, held)
        expected = declared.expect.get(trial.engine)
        if expected is not None and ground.clients < _least(declared.expected_from):
            more.append(f"not judged: what is expected holds from the size {declared.expected_from} on")
        elif expected is not None:
            wrong = [*pair.mismatches, *mismatches(expected, sides[0].plan, sides[1].plan)]
            pair = pair.model_copy(update={"mismatches": wrong})
        status = "failed" if pair.mismatches else "passed"
        pair = pair.model_copy(update={"status": status, "findings": [*pair.findings, *said, *more]})
        return self._keep(pair)

    # -- measuring

    def _measured(self, declared: Declared, trial: Trial, bench: Bench, statement: Statement) -> tuple[Side, Side]:
        changes = (declared.change(0, trial.engine), declared.change(1, trial.engine))
        key = "setup"
        try:
            bench.prepare(of_engine(declared.setup, trial.engine) or (), *changes)
            raw, rows = ["", ""], [0, 0]
            for number, key in enumerate(("before", "after")):
                with bench.state(number):
                    key = "query"
                    bench.warm(statement)
                    with contextlib.suppress(NotTimed):
                        bench.run(statement)  # so that the plan is a warm one, too
                    raw[number] = bench.explain(statement)
            key = "query"
            times = self._times(declared, bench, statement, rows)
        except EngineError as error:
            where = locations(declared, key)
            raise ScenarioError(f"{trial.id}: {key}: {error}", where) from None
        plans = [read_plan(trial.engine, text) for text in raw]
        made = []
        for number, plan in enumerate(plans):
            timing = _timing(times[number])
            given = plan if plan.rows is not None or timing is None else plan.model_copy(update={"rows": rows[number]})
            made.append(Side(index=change_text(changes[number]), plan=given, timing=timing))
        return made[0], made[1]

    def _times(
        self, declared: Declared, bench: Bench, statement: Statement, rows: list[int]
    ) -> tuple[list[float], list[float]]:
        """Milliseconds of warm runs, in turn: what else the machine does meanwhile meets both sides alike."""
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(declared.runs):
            for number in (0, 1):
                with bench.state(number):
                    try:
                        bench.warm(statement)
                        began = time.perf_counter()
                        rows[number] = bench.run(statement)
                    except NotTimed as error:
                        bench.notes.append(str(error))
                        return [], []
                    times[number].append((time.perf_counter() - began) * 1000)
        return times

    # -- judging

    def _held(
        self, trial: Trial, ground: Ground, bench: Bench, sides: tuple[Side, Side]
    ) -> tuple[list[str], list[str]]:
        """What is wrong with the shapes; what else is to be said of them."""
        file = accepted.file_of(trial.declared, trial.engine, ground.size)
        product = accepted.product_of(bench.product, bench.version)
        if self._accept:
            new = accepted.accept(file, product, sides[0].plan, sides[1].plan)
            return [], [f"accepted: {file.name}"] if new else []
        held = accepted.hold(file, product, sides[0].plan, sides[1].plan)
        return list(held.wrong), [held.said] if held.said else []

    def _pair(self, trial: Trial, ground: Ground, bench: Bench, sides: tuple[Side, Side], held: list[str]) -> PlanPair:
        declared = trial.declared
        before, after = sides
        wrong = list(held)
        if before.plan.rows != after.plan.rows:
            wrong.append(f"an index changes no answer: {before.plan.rows} rows before, {after.plan.rows} after")
        return PlanPair(
            id=f"{declared.name}[{trial.place}-{ground.size.replace(' ', '-')}]",
            name=declared.name,
            title=declared.title,
            about=declared.about,
            file=self._suite.relative(declared.file),
            logical=declared.logical,
            engine=trial.engine,
            version=f"{bench.product} {bench.version}",
            stand_in=REAL_ENGINE[declared.logical] if trial.stand_in else "",
            size=ground.size,
            statement=shown_statement(declared, trial.engine, self._root),
            parameters=[f"{name} = {value}" for name, value in declared.parameters.items()],
            before=before,
            after=after,
            findings=findings(before, after),
            mismatches=wrong,
        )

    def _keep(self, pair: PlanPair) -> Kept:
        pictures = {name: draw(pair) for name, draw in PICTURES.items()}
        path, kept = keep_pair(self._suite, pair, pictures)
        return Kept(kept, path)


def _least(size: str) -> int:
    from fixtures.seed import SIZES

    return SIZES[size]["clients"]


def _timing(times: list[float]) -> Timing | None:
    if not times:
        return None
    return Timing(
        runs=len(times), median=round(median(times), 3), least=round(min(times), 3), most=round(max(times), 3)
    )
