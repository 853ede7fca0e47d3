"""pytest's door for the monitor: ``--monitor[=SECONDS]`` samples every server that the run uses.

``--prometheus=PORT`` shows the samples to Prometheus.

Only the owner of a run samples. Workers of pytest-xdist say with their reports which databases they use.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.monitor.noticing import Noticing
from harness.monitor.running import RunMonitor, seconds_of
from harness.plugin import SUITE, short

MONITOR = pytest.StashKey[RunMonitor]()
USED = pytest.StashKey[list[str]]()
"""In a worker: databases that it uses and has not told of yet."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--monitor``, ``--prometheus``."""
    group = parser.getgroup("promptsales-harness")
    group.addoption(
        "--monitor", nargs="?", const="1", metavar="SECONDS",
        help="sample the servers that the run uses, and this machine, every SECONDS (1), into results/RUN/monitor",
    )  # fmt: skip
    group.addoption(
        "--prometheus", metavar="[ADDRESS:]PORT", help="with --monitor: show the samples to Prometheus, on loopback"
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the run's monitor; in a worker, note what is used."""
    wanted, prometheus = config.getoption("monitor"), config.getoption("prometheus")
    if wanted is None:
        if prometheus is not None:
            raise pytest.UsageError("--prometheus shows what --monitor samples: give --monitor too")
        return
    if config.option.collectonly:
        return
    suite = config.stash[SUITE]
    servers = suite.servers
    if not isinstance(servers, Noticing):
        return
    if hasattr(config, "workerinput"):
        used = config.stash[USED] = []
        servers.tell(lambda target: used.append(target.logical))
        return
    try:
        seconds = seconds_of(wanted)
        config.stash[MONITOR] = monitor = RunMonitor(
            servers, suite.store.folder, suite.settings.run_id, seconds, prometheus or "", suite.store.open
        )
    except (HarnessError, ValueError) as error:
        raise pytest.UsageError(str(error)) from None
    monitor.begin()
    config.pluginmanager.register(Hearing(monitor), "promptsales-harness-monitor")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Where Prometheus finds it."""
    monitor = config.stash.get(MONITOR, None)
    return [f"monitor: samples for Prometheus at {monitor.url}"] if monitor and monitor.url else []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A worker's report takes along which databases are used since the last one."""
    report: Any = yield
    if used := item.config.stash.get(USED, None):
        report.psh_used = list(used)
        used.clear()
    return report


class Hearing:
    """The controller's ear: registered when there is a monitor."""

    def __init__(self, monitor: RunMonitor) -> None:
        self._monitor = monitor
        self._told: set[tuple[str, str]] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        """A database of which a worker tells again is on another server now."""
        for logical in report.__dict__.pop("psh_used", ()):
            told = (str(getattr(report, "worker_id", "")), logical)
            self._monitor.look_up(logical, anew=told in self._told)
            self._told.add(told)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After pytest-xdist's workers have ended, and before the report is drawn."""
    if MONITOR in session.config.stash:
        session.config.stash[MONITOR].stop()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What it cost, and where it is kept."""
    monitor = config.stash.get(MONITOR, None)
    if monitor is None:
        return
    if monitor.problem:
        terminalreporter.write_line(f"monitor: {monitor.problem}", red=True)
    for line in monitor.lines(lambda path: short(path, config)):
        terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Whatever happened before: its process ends."""
    if MONITOR in config.stash:
        config.stash[MONITOR].stop()
