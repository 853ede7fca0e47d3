"""pytest's door for pytest-xdist: its workers join the run, here or on other machines, and bring their evidence home.

:mod:`harness.plugin` brings it along. With ``--tx`` alone pytest-xdist spreads nothing, and the machines are for sessions;
with ``-n`` or ``--dist`` they are for whole tests.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from harness.errors import HarnessError, HostError, StoreError
from harness.plugin import AWAY, SUITE, short
from harness.runner.remote.gateway import SSH_OPTIONS
from harness.runner.remote.specs import host_specs
from harness.spread import Spread, Worker, arguments_there, pack, renamed, unpack

SPREAD = pytest.StashKey[Spread]()
WORKERS = pytest.StashKey["Workers"]()

_BAD_ENDS = {pytest.ExitCode.INTERNAL_ERROR: "an internal error", pytest.ExitCode.USAGE_ERROR: "a usage error"}
_GOOD = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


# -- the controller, before the run


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """Before pytest-xdist reads its options: with ``-n`` it would forget the machines of ``--tx``."""
    if not hasattr(config, "workerinput") and getattr(config.option, "tx", None):
        try:
            _plan(config)
        except HostError as error:
            raise pytest.UsageError(str(error)) from None
    return (yield)


def _plan(config: pytest.Config) -> None:
    """See whether whole tests are to be spread over other machines. Raises HostError, UsageError."""
    option = config.option
    if option.numprocesses == 0:  # no workers: the machines are for sessions
        option.numprocesses, option.dist, option.distload = None, "no", False
    spread = option.numprocesses or option.distload or option.dist != "no"
    if not spread or option.collectonly:
        return
    hosts = host_specs(option.tx)
    if all(host.is_local for host in hosts):
        return
    if option.dist == "each":
        raise pytest.UsageError(
            "--dist=each would run every test as a whole on every machine, each for itself, and no two of them would meet; "
            "leave --dist out for tests whose sessions are on the machines of --tx, or spread tests by --dist=load"
        )
    if option.usepdb:
        raise pytest.UsageError("--pdb: there is no terminal on other machines; leave out --tx")
    if option.rsyncdir or config.getini("rsyncdirs"):
        raise pytest.UsageError(
            "--rsyncdir, rsyncdirs: the project is not sent to other machines; put it there, and say where it is: "
            "--tx ssh=HOST//chdir=PATH"
        )
    if option.dist == "no":
        option.dist = "load"
    if option.maxworkerrestart is None:  # a machine that is off would be tried without end
        option.maxworkerrestart = "0"
    config.stash[SPREAD] = Spread(hosts, option.numprocesses, option.maxprocesses)
    option.numprocesses = None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before pytest-xdist makes its workers: look at the machines, start the servers, deal the workers."""
    config = session.config
    if SPREAD not in config.stash:
        return
    spread = config.stash[SPREAD]
    if reporter := config.pluginmanager.getplugin("terminalreporter"):
        reporter.write_line(f"promptsales-harness: reaching {', '.join(spread.names)}, starting the servers for all")
    here = config.invocation_params.dir
    try:
        arguments = arguments_there(
            config.invocation_params.args, config.option.file_or_dir, here, config.rootpath, os.environ
        )
        workers = spread.workers(config.stash[SUITE].servers, config.rootpath)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None
    config.option.tx = [worker.host.without("id").text for worker in workers]  # pytest-xdist gives each its own
    config.stash[WORKERS] = Workers(config, workers, arguments)
    config.pluginmanager.register(config.stash[WORKERS], "promptsales-harness-workers")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """How many workers are where."""
    if WORKERS not in config.stash:
        return []
    counts = Counter(worker.host.name for worker in config.stash[WORKERS].all)
    told = ", ".join(f"{count} on {name}" for name, count in counts.items())
    return [f"promptsales-harness: workers: {told}"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker which run it belongs to; one on another machine, where the servers are, too."""
    suite = node.config.stash[SUITE]
    node.workerinput["psh_run"] = suite.settings.run_id
    node.workerinput["psh_owner"] = suite.settings.owner_pid
    workers = node.config.stash.get(WORKERS, None)
    if workers and (worker := workers.of(node)).project:
        node.workerinput["psh_away"] = {"servers": worker.told, "mode": suite.mode}
        node.sendcommand = _unless_lost(node.sendcommand)


def _unless_lost(send: Callable[..., None]) -> Callable[..., None]:
    """Tell a worker something; one that is lost hears nothing, and that it is lost pytest-xdist learns in its own time."""

    def sendcommand(name: str, **more: object) -> None:
        with contextlib.suppress(OSError):
            send(name, **more)

    return sendcommand


# -- the controller, during the run


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear what a worker of pytest-xdist has to tell; one that died tells nothing."""
    if told := getattr(node, "workeroutput", {}).get("psh_told"):
        node.config.stash[SUITE].hear(told)


class Workers:
    """The workers of a run on several machines: pytest-xdist's hooks that only such a run needs."""

    def __init__(self, config: pytest.Config, workers: list[Worker], arguments: list[str]) -> None:
        self.config = config
        self.all = workers
        self.arguments = arguments
        self.problem = ""  # why evidence could not be kept
        self._by_spec: dict[int, Worker] = {}
        self._names: dict[str, dict[str, str]] = {}  # of tests that run: what a worker's folders are called here
        self.patch = pytest.MonkeyPatch()

    def of(self, node: Any) -> Worker:
        """The worker that a node of pytest-xdist is."""
        return self._by_spec[id(node.gateway.spec)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, config: pytest.Config, specs: list[Any]) -> None:
        """Say how each machine is reached, and have the project that is there be used."""
        from xdist import workermanage

        for spec, worker in zip(specs, self.all, strict=True):
            self._by_spec[id(spec)] = worker
            if project := worker.project:
                spec.chdir, spec.python = project.folder, project.python
                spec.ssh = f"{SSH_OPTIONS} {spec.ssh}"
        # Left alone, it copies pytest into the project there, and refuses paths that were not copied too.
        dsession: Any = config.pluginmanager.getplugin("dsession")
        dsession.nodemanager.roots = []
        self.patch.setattr(workermanage, "make_reltoroot", lambda roots, args: list(self.arguments))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Note how a worker ended, and keep what it brings in the end."""
        worker = self.of(node)
        worker.ended, worker.id = True, node.gateway.id
        output = getattr(node, "workeroutput", {})
        if told := output.get("psh_parcels"):
            self.take_in(told)
        if error:
            worker.problem = (str(error).strip().splitlines() or ["it ended before its time"])[-1]
            self.config.stash[SUITE].databases.drop_of(worker.id)  # a server keeps a lost client's locks for long
        elif (status := output.get("exitstatus")) in _BAD_ENDS:
            worker.problem = f"it ended with {_BAD_ENDS[pytest.ExitCode(status)]}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the evidence that a report brings, before anybody writes down where it is."""
        names = self._names.setdefault(report.nodeid, {})
        if told := report.__dict__.pop("psh_parcels", None):
            names |= self.take_in(told)
        if report.when == "teardown":
            del self._names[report.nodeid]
        if not names:
            return
        report.user_properties = [
            (name, renamed(value, names) if isinstance(value, str) else value) for name, value in report.user_properties
        ]
        report.sections = [(title, renamed(text, names)) for title, text in report.sections]
        if isinstance(report.longrepr, str):
            report.longrepr = renamed(report.longrepr, names)

    def take_in(self, told: dict[str, Any]) -> dict[str, str]:
        """Keep what a worker brings; gives what its folders are called here. Ends the run if the disk says no."""
        try:
            return unpack(told, self.config.stash[SUITE], lambda path: short(path, self.config))
        except StoreError as error:
            self.problem = self.problem or str(error)
            dsession: Any = self.config.pluginmanager.getplugin("dsession")
            dsession.shouldstop = str(error)
            return {}

    def problems(self, exitstatus: int) -> list[str]:
        """What keeps the run from being a whole one, a line each. One that was broken off has heard no worker's end."""
        made = [self.problem] if self.problem else []
        waited = exitstatus != pytest.ExitCode.INTERRUPTED
        for worker in self.all:
            if worker.problem or (waited and not worker.ended):
                why = worker.problem or "it never reported"
                made.append(
                    f"the worker {worker.id or '?'} on {worker.host.name} was lost: {why}; "
                    "tests that it had not run may not have been run at all"
                )
        return made

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        """Say what was lost."""
        for problem in self.problems(exitstatus):
            terminalreporter.write_line(f"promptsales-harness: {problem}", red=True)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """A run that lost a worker is not green, even if no test of it failed. A worker brings what was kept after its tests."""
    result = yield
    config = session.config
    workers = config.stash.get(WORKERS, None)
    if workers:
        workers.patch.undo()
        if session.exitstatus in _GOOD and workers.problems(session.exitstatus):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if AWAY in config.stash and (told := _outgoing(config)):
        config.workeroutput["psh_parcels"] = told  # type: ignore[attr-defined]
    return result


# -- a worker on another machine


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Have the report take along what was kept."""
    report: Any = yield
    if AWAY in item.config.stash and (told := _outgoing(item.config)):
        report.psh_parcels = told
    return report


def _outgoing(config: pytest.Config) -> dict[str, Any] | None:
    suite = config.stash[SUITE]
    kept = suite.outgoing()
    return pack(kept, suite.store.folder, lambda path: short(path, config)) if kept else None


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Nothing stays there."""
    if AWAY in config.stash:
        config.stash[AWAY].close()
