"""The plans of the steps that ask for theirs: told by the step's own session, else asked for in a second one."""

from __future__ import annotations

from collections.abc import Mapping

from harness.engines.base import Outcome, Statement
from harness.engines.plans_base import AUTO_EXPLAIN, Explainer, Planning, Told
from harness.errors import HarnessError
from harness.history import StepPlan
from harness.runner.driver import Endpoint
from harness.scenario.model import Step
from harness.vocabulary import PRODUCTS


class StepPlans:
    """What one case keeps of them. The second sessions are opened when they are first needed."""

    def __init__(self, endpoints: Mapping[str, Endpoint], run: str) -> None:
        self.plans: list[StepPlan] = []
        self._endpoints = endpoints
        self._run = run
        self._explainers: dict[str, Explainer] = {}
        self._problems: dict[str, str] = {}

    def take(self, step: Step, attempt: int, statement: Statement, outcome: Outcome, pid: str) -> None:
        """Keep the plans of a step that has just ended. Never raises: a note says what could not be had."""
        for told in self._told(step.database, statement, outcome, pid):
            self.plans.append(
                StepPlan(
                    session=step.session,
                    step=step.name,
                    attempt=attempt,
                    database=step.database,
                    engine=self._endpoints[step.database].engine.name,
                    way=told.way,
                    format=told.format,
                    text=told.text,
                    note=told.note,
                )
            )

    def _told(self, alias: str, statement: Statement, outcome: Outcome, pid: str) -> list[Told]:
        if outcome.plans:
            return [Told(AUTO_EXPLAIN, "json", text) for text in outcome.plans]
        if outcome.plans is not None:
            why = "the step failed" if outcome.error is not None else "the statement has none"
            return [Told(AUTO_EXPLAIN, note=f"no plan: {why}")]
        explainer = self._explainer(alias)
        if explainer is None:
            return [Told("", note=f"no plan: {self._problems[alias]}")]
        return [explainer.plan_of(pid, statement)]

    def _explainer(self, alias: str) -> Explainer | None:
        endpoint = self._endpoints[alias]
        if alias not in self._explainers and alias not in self._problems:
            if not isinstance(endpoint.engine, Planning):
                self._problems[alias] = f"{PRODUCTS[endpoint.engine.name]} has none"
                return None
            try:
                self._explainers[alias] = endpoint.engine.explainer(endpoint.url, self._run)
            except HarnessError as error:
                self._problems[alias] = f"a second session cannot be opened: {error}"
        return self._explainers.get(alias)

    def close(self) -> None:
        """Disconnect the second sessions; never raises."""
        for explainer in self._explainers.values():
            explainer.close()
