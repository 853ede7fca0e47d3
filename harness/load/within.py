"""Inside Locust's own process: users and shape of a load file, options, what is kept at the end. Imports Locust.

A master has no users, its workers have them all: the plan travels to them as one of Locust's own custom options, and what
they have counted travels back in Locust's own reports.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import locust
import locust.runners
from locust import LoadTestShape, User, between, constant

from harness.errors import HarnessError, ScenarioError, ServerUnavailable
from harness.load.catalogue import USERS, databases_of
from harness.load.locust_keeping import Keeping
from harness.load.plan import Plan, arrivals_of, read_load
from harness.load.told import Told
from harness.load.written import LoadPart, LoadWritten
from harness.seed_cli import targets_of
from harness.vocabulary import LOGICAL

FILE_VARIABLE = "LOAD_FILE"
_STOP_SECONDS = 5
_REPORT_SECONDS = 1.0


def prepare() -> dict[str, Any]:
    """What a Locust file has in it: the classes of users, a shape if the load has one. Ends the process if it cannot be."""
    try:
        told = Told.read(os.environ)
        plan = told.plan if told else _plan()
        made: dict[str, Any] = configure(plan)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    locust.runners.WORKER_REPORT_INTERVAL = min(_REPORT_SECONDS, locust.runners.WORKER_REPORT_INTERVAL)
    locust.events.init_command_line_parser.add_listener(lambda parser, **_: _options(parser, plan))
    locust.events.init.add_listener(lambda environment, **_: Keeping(environment, told, configure))
    if plan.rate is None and not plan.curve.steady:
        made["Shape"] = _shape(plan)
    return made


def _plan() -> Plan:
    """The load file that the command line or the environment names, else all kinds of users side by side."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--scenario", default=os.environ.get(FILE_VARIABLE, ""))
    parser.add_argument("--arrivals")
    given, _ = parser.parse_known_args()
    if given.scenario:
        plan = read_load(Path(given.scenario))
    else:
        everybody = LoadPart.model_validate({"users": dict.fromkeys(_possible(), 1), "think": [0, 0.1]})
        plan = Plan("locust", Path(), LoadWritten(title="All kinds of users", load=everybody))
    return plan.changed(arrivals=given.arrivals) if given.arrivals else plan


def _possible() -> list[str]:
    """The users whose databases are there; all of them if none is: it may be a master, whose workers know."""
    there, _ = targets_of(LOGICAL, None)
    found = [name for name, kind in USERS.items() if there.keys() >= set(kind.databases)]
    return found or list(USERS)


def configure(plan: Plan) -> dict[str, type[User]]:
    """The classes of a plan's users, with its weights, think times and tasks."""
    made: dict[str, type[User]] = {}
    for name, said in plan.load.users.items():
        kind = USERS[name]
        cls: Any = getattr(importlib.import_module(f"harness.load.users.{kind.module}"), kind.cls)
        least, most = said.think or plan.load.think
        cls.weight = said.weight
        cls.wait_time = between(least, most) if most > least else constant(least)
        cls.tasks = [
            getattr(cls, task.replace(" ", "_"))
            for task, weight in (said.tasks or kind.tasks).items()
            for _ in range(weight)
        ]
        cls.skew, cls.among, cls.level = plan.load.skew, said.among, said.level
        made[kind.cls] = cls
    return made


def _options(parser: Any, plan: Plan) -> None:
    """Our options beside Locust's, and the plan's numbers where the command line has none."""
    parser.add_argument(
        "--scenario",
        metavar="FILE",
        default="",
        include_in_web_ui=False,
        help=f"a load file, as scenarios/load/*.yaml (or {FILE_VARIABLE} in the environment)",
    )
    parser.add_argument(
        "--arrivals",
        metavar="closed|RATE",
        default="",
        type=_arrivals,
        include_in_web_ui=False,
        help="closed: who has an answer asks again; a number: so many requests begin in a second, whoever is free",
    )
    parser.add_argument(
        "--results", metavar="DIR", default="results", include_in_web_ui=False, help="the folder where results are kept"
    )
    for name, value in (("plan", plan.to_json()), ("workers", 1), ("seconds", 0.0), ("run", "")):
        parser.add_argument(f"--load-{name}", default=value, help=argparse.SUPPRESS, include_in_web_ui=False)
    named = plan.file != Path()
    # Locust's page can start anything and has no log-in: it is for this machine, unless --web-host says otherwise.
    parser.set_defaults(stop_timeout=_STOP_SECONDS, web_host="127.0.0.1")
    if named:
        parser.set_defaults(num_users=plan.load.count, spawn_rate=min(plan.load.count, 100), run_time=_timespan(plan))
    given, _ = parser.parse_known_args()
    if not given.master:  # with --processes alone, all workers are here
        parser.set_defaults(master_bind_host="127.0.0.1")
    if (
        (given.master and not given.processes)
        or given.list_commands
        or given.show_task_ratio
        or given.show_task_ratio_json
    ):
        return  # a master's workers know where the databases are
    chosen = [name for name, kind in USERS.items() if kind.cls in given.user_classes] or list(plan.load.users)
    try:
        _, missing = targets_of(databases_of(chosen), None)
        if missing:
            what = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
            raise ServerUnavailable(f"{what} (or give a URL: {_variables(missing)})")
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _timespan(plan: Plan) -> str:
    return f"{max(1, round(plan.load.seconds))}s"


def _arrivals(text: str) -> str:
    try:
        if text:
            arrivals_of(text)
    except ScenarioError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _variables(missing: Any) -> str:
    from harness.servers.urls import VARIABLE

    return ", ".join(VARIABLE[name] for name in missing)


def _shape(plan: Plan) -> type[LoadTestShape]:
    """Locust's shape of a closed loop: it asks once a second how many users there should be."""
    curve, count, seconds = plan.curve, plan.load.count, plan.load.seconds

    class Shape(LoadTestShape):
        """The shape of the load file; ``--users`` and ``--run-time`` scale it."""

        abstract = False
        use_common_options = True
        over = False
        _last = 1, 100.0

        def tick(self) -> tuple[int, float] | None:
            options: Any = self.runner.environment.parsed_options if self.runner else None
            whole = float((options and options.run_time) or seconds)
            users = int((options and options.num_users) or count)
            moment: float = self.get_run_time()  # type: ignore[no-untyped-call]
            if self.over:
                return self._last
            if moment >= whole:
                return None
            self._last = curve.users(users, moment / whole), 100.0
            return self._last

    return Shape
