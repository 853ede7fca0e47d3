"""``harness doctor``: looks at the machines of a run before it, side by side, and at what of its databases they get to.

Machines are reached, servers had, and sessions opened just as a run does it, so what is well here is well there.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from harness.doctor_facts import HERE, Driver, Examination, Machine, Reach, Server, State
from harness.doctor_judge import judge
from harness.engines.base import SessionOptions
from harness.errors import DriverMissing, HarnessError, HostError, LoginRefused, ServerUnavailable
from harness.runner.remote.link import Link
from harness.runner.remote.specs import HostSpec, host_specs
from harness.servers import Servers, Target, open_servers
from harness.servers.urls import scrub
from harness.vocabulary import LEVELS, LOGICAL, PORTS, label

_AT_ONCE = 32
"""Looks at a time: most of the time of each one is waiting."""

_CHECK_THE_URL = re.compile(r"[;,]? ?\(?check user, password and database in the URL\)?")
"""Engines say it without knowing which URL; we know."""

_UNREADABLE = (
    "its URL cannot be taken apart; write special characters of its password as %XX: @ as %40, / as %2F, # as %23"
)

_SEEN_AS = re.compile(r'host "([0-9a-fA-F.:]+)"')
"""In PostgreSQL's refusal: the address that it sees."""

T = TypeVar("T")
R = TypeVar("R")


def examine(
    tx: Iterable[str],
    *,
    mode: str | None = None,
    root: Path | None = None,
    environ: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Examination:
    """Look at this machine and those of ``tx``; servers that have to be started for it are stopped in the end.

    ``tell`` is told what is done now. Raises HostError for a ``tx`` that names no machine, ServerError for an unknown mode.
    What is wrong with machines and databases is not raised but found.
    """
    run = f"doctor{secrets.token_hex(4)}"
    visits = [Visit(spec, run) for spec in host_specs([f"id={HERE}//popen", *tx])]
    servers = open_servers(
        mode,
        run_id=run,
        owner_pid=os.getpid(),
        root=root or Path.cwd(),
        environ=os.environ if environ is None else environ,
    )
    with ExitStack() as stack:
        stack.callback(servers.stop)
        stack.callback(_leave, visits)
        tell(f"reaching {', '.join(visit.name for visit in visits[1:]) or 'this machine'}")
        _side_by_side(Visit.arrive, visits, visits)
        tell("starting servers")
        targets, found = _targets(servers, visits)
        tell("trying the databases from everywhere")
        reached = [visit for visit in visits if not visit.problem]
        engines = sorted({target.engine for target in targets})
        looks = [partial(visit.look, engines) for visit in reached]
        looks += [partial(visit.try_, target) for visit in reached for target in targets]
        _side_by_side(lambda look: look(), looks, visits)
        machines = tuple(visit.machine() for visit in visits)
    return Examination(machines, found, judge(machines, found))


def _side_by_side(work: Callable[[T], R], what: Sequence[T], visits: Sequence[Visit]) -> list[R]:
    """Do it for all at once. Broken off (Ctrl-C), the ways are closed first: then nobody waits for answers any more."""
    with ThreadPoolExecutor(max(1, min(len(what), _AT_ONCE))) as pool:
        try:
            return list(pool.map(work, what))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _leave(visits)
            raise


def _leave(visits: Sequence[Visit]) -> None:
    with ThreadPoolExecutor(len(visits)) as pool:
        list(pool.map(Visit.leave, visits))


def _targets(servers: Servers, visits: Sequence[Visit]) -> tuple[list[Target], tuple[Server, ...]]:
    """The databases, their servers started; those that cannot be had are told only."""
    links = [visit.link for visit in visits]
    here = dict.fromkeys(link.controller for link in links if link.controller)
    if here:
        servers.listen(list(here), list(dict.fromkeys(link.address for link in links if link.address)))
    servers.prefetch(LOGICAL)
    targets, told = [], []
    for logical in LOGICAL:
        engine, stand_in = servers.describe(logical)
        try:
            target = servers.target(logical)
        except HarnessError as problem:
            needless = isinstance(problem, ServerUnavailable)
            told.append(
                Server(
                    logical, label(logical, engine, stand_in=stand_in), engine, problem=str(problem), needless=needless
                )
            )
        else:
            targets.append(target)
            told.append(Server(logical, target.label, target.engine, target.origin, target.public))
    return targets, tuple(told)


class Visit:
    """One machine being looked at; its methods are called from several threads."""

    def __init__(self, spec: HostSpec, run: str) -> None:
        self.name = spec.name
        self.link = Link(spec)
        self.problem = ""
        self._local = spec.is_local
        self._run = run
        self._arrived = False
        self._installed: dict[str, Any] = {}
        self._reaches: list[Reach] = []

    def arrive(self) -> None:
        """Reach it; a problem is kept."""
        try:
            self.link.connect()
            self._arrived = True
        except HostError as problem:
            self.problem = str(problem)

    def leave(self) -> None:
        """End what is there of us; never raises."""
        self.link.close()

    def look(self, engines: Sequence[str]) -> None:
        """Ask what is installed there."""
        try:
            self._installed = self.link.ask("installed", list(engines))
        except HarnessError as problem:
            self.problem = str(problem)

    def try_(self, target: Target) -> None:
        """Try to log in to a database from there."""
        try:
            self._reaches.append(self._reach(target))
        except HostError as problem:
            self.problem = self.link.lost or str(problem)

    def _reach(self, target: Target) -> Reach:
        """How far one gets. Raises HostError if the machine is lost meanwhile."""
        if self.link.controller and (why := target.out_of_reach(self.link.controller)):
            return Reach(target.logical, State.out_of_reach, said=why)
        try:
            places = self._places(target)
        except ValueError:  # its text may have a piece of the password
            return Reach(target.logical, State.failed, said=_UNREADABLE)
        host, port, source = "", 0, ""
        for host, port in places:
            answer = self.link.ask("port", host, port)
            state, said, source = (str(answer[word]) for word in ("state", "said", "source"))
            if state == "open":
                break
        else:
            if host:
                return Reach(target.logical, State(state), host, port, source, said)
        try:
            options = SessionOptions(f"psh:{self._run}/{self.name}", LEVELS[target.engine][0])
            self.link.open(target.engine, target.url, options).close()
        except HostError:
            raise
        except HarnessError as problem:
            state = _state(problem)
            said = scrub(str(problem), target.url).removeprefix(f"from {self.name}: ")
            if state is State.no_entry and (seen := _SEEN_AS.search(said)):
                source = seen[1]  # in between, addresses may be translated: the server's word counts
            return Reach(target.logical, state, host, port, source, _CHECK_THE_URL.sub("", said))
        return Reach(target.logical, State.ok, host, port, source)

    def _places(self, target: Target) -> list[tuple[str, int]]:
        """Where the server is, as seen from there; none if the driver is to find out (DNS).

        Only the URL's public form is taken apart: of an unescaped password nothing may pass for a host. Raises ValueError
        for a URL that drivers would take apart otherwise.
        """
        parts = urlsplit(self.link.url(target.public))
        hosts = parts.netloc.rpartition("@")[2]
        if urlsplit(self.link.url(target.url)).netloc.rpartition("@")[2] != hosts:
            raise ValueError(hosts)
        if parts.scheme == "mongodb+srv":
            return []
        each = [urlsplit(f"//{one}") for one in hosts.split(",")]
        return [
            (unquote(host).partition("\\")[0], one.port or PORTS[target.engine])  # SQL Server's HOST\INSTANCE
            for one in each
            if (host := one.hostname)
        ]

    def machine(self) -> Machine:
        """What was found."""
        if not self._arrived:
            return Machine(self.name, local=self._local, problem=self.problem)
        record = self.link.record()
        told = self._installed.get("drivers", {})
        order = {logical: number for number, logical in enumerate(LOGICAL)}
        return Machine(
            name=self.name,
            local=self._local,
            problem=self.problem,
            hostname=record.hostname,
            address=record.address,
            controller=self.link.controller,
            system=record.system,
            python=record.python,
            executable=str(self._installed.get("executable", "")),
            pip=str(self._installed.get("pip", "")),
            clock=self.link.clock,
            drivers=tuple(_driver(engine, told[engine]) for engine in LEVELS if engine in told),
            databases=tuple(sorted(self._reaches, key=lambda reach: order[reach.logical])),
        )


def _driver(engine: str, told: Mapping[str, Any]) -> Driver:
    return Driver(engine, *(str(told.get(word, "")) for word in ("driver", "odbc", "problem", "pip")))


def _state(problem: Exception) -> State:
    if isinstance(problem, DriverMissing):
        return State.no_driver
    if "pg_hba.conf" in str(problem):  # in whatever language the rest is
        return State.no_entry
    return State.login if isinstance(problem, LoginRefused) else State.failed
