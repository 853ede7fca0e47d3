"""pytest's door for load: files of scenarios/ that declare ``load:``, a test for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError, ServerUnavailable, StoreError
from harness.scenario.kinds import Kind

if TYPE_CHECKING:
    from harness.load.launch import Moment
    from harness.load.plan import Plan


def pytest_addoption(parser: pytest.Parser) -> None:
    """How large loads are."""
    group = parser.getgroup("promptsales-harness", "PromptSales Harness")
    group.addoption("--load-seconds", type=float, metavar="S", help="how long each load takes (default: its file's)")
    group.addoption("--load-users", type=int, metavar="N", help="how many users at full height (default: the file's)")
    group.addoption("--load-arrivals", metavar="closed|RATE", help="a number: the open loop, so many begin in a second")
    group.addoption("--load-data", default="", metavar="SIZE", help="tiny, small, medium, full, or kept")
    group.addoption("--processes", type=int, default=1, metavar="N", help="processes that a load's users run in")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> LoadFile | None:
    """Collect load files."""
    from harness.plugin import declares

    if not declares(file_path, parent.config, Kind.load):
        return None
    made: LoadFile = LoadFile.from_parent(parent, path=file_path)
    return made


class LoadFile(pytest.File):
    """A load file: one item."""

    def collect(self) -> Iterator[LoadItem]:
        """The item. A wrong file is one collection error: its lines say where."""
        from harness.load.plan import read_load

        options = self.config.option
        try:
            plan = read_load(self.path).changed(
                users=options.load_users, seconds=options.load_seconds, arrivals=options.load_arrivals
            )
        except HarnessError as error:
            raise self.CollectError(str(error)) from None
        yield LoadItem.from_parent(self, name=plan.id, plan=plan)


class LoadFailed(Exception):
    """A load is not what was expected; the text is what a person reads."""


class LoadItem(pytest.Item):
    """A load as a test."""

    def __init__(self, *, plan: Plan, **more: Any) -> None:
        super().__init__(**more)
        self.plan = plan
        self.add_marker(pytest.mark.load)
        for mark in plan.written.marks:
            self.add_marker(getattr(pytest.mark, mark))

    def runtest(self) -> None:
        """Run, judge, keep; fail with a text that needs no traceback."""
        from harness.load.launch import How, run
        from harness.load.text import headline
        from harness.load_cli import checked_data
        from harness.plugin import SUITE, short

        options = self.config.option
        line = _Line(self.config)
        try:
            how = How(processes=options.processes, data=checked_data(options.load_data))
            with _taking_turns(self):
                result, path = run(self.config.stash[SUITE], self.plan, how, line)
        except ServerUnavailable as error:
            raise pytest.skip.Exception(str(error), _use_item_location=True) from None
        except StoreError as error:
            self.session.shouldfail = str(error)  # what follows could not be kept either
            raise
        finally:
            line.end()
        self.user_properties.append(("evidence", short(path, self.config)))
        self.user_properties.append(("verdict", headline(result)))
        if result.mismatches:
            wrong = "\n".join(f"  {line}" for line in result.mismatches)
            notes = "".join(f"\n  {note}" for note in result.notes)
            raise LoadFailed(
                f"{result.title}\n\nwhat is not as expected:\n{wrong}{notes}\n\n{headline(result)}\n"
                f"evidence: {short(path, self.config)}"
            )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our own errors without a traceback; anything else is a defect of the harness and shows it all."""
        if isinstance(excinfo.value, LoadFailed | HarnessError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it comes from."""
        return self.path, 0, self.name


class _Line:
    """How far a load is: behind what pytest has written in its line, and gone again; on a terminal only."""

    def __init__(self, config: pytest.Config) -> None:
        reporter = config.pluginmanager.getplugin("terminalreporter")
        self._writer = config.get_terminal_writer()
        self._capturing: Any = config.pluginmanager.getplugin("capturemanager")
        shared = hasattr(config, "workerinput")  # several processes have one terminal
        self._file: Any = None
        if reporter is not None and reporter.isatty and not shared:
            self._file = getattr(self._writer, "_file", None)

    def __call__(self, moment: Moment) -> None:
        """Say it."""
        room = self._writer.fullwidth - self._writer.width_of_current_line - 3
        self._write(f"  {moment.text[:room]}" if room > 20 else "")

    def end(self) -> None:
        """Take it away."""
        self._write("")

    def _write(self, text: str) -> None:
        if self._file is None:
            return
        with self._capturing.global_and_fixture_disabled() if self._capturing else nullcontext():
            self._file.write(f"\x1b7{text}\x1b[K\x1b8")  # the cursor stays where pytest believes it is
            self._file.flush()


@contextmanager
def _taking_turns(item: LoadItem) -> Iterator[None]:
    """In a worker of pytest-xdist: one load of the run after the other, each with samples of its own servers.

    Where the controller samples (``--monitor``), it goes on doing so. Raises ServerUnavailable.
    """
    from filelock import FileLock

    from harness.monitor.monitor import Monitor
    from harness.plugin import AWAY, SUITE

    config = item.config
    if not hasattr(config, "workerinput") or AWAY in config.stash:  # the owner samples; or is on another machine
        yield
        return
    suite = config.stash[SUITE]
    targets = {name: suite.servers.target(name) for name in item.plan.databases}
    with FileLock(suite.open_results() / ".load.lock"):
        monitor = Monitor(targets, suite.store.folder, run=suite.settings.run_id)
        try:
            monitor.start()
            monitor.wait_first()
        except HarnessError as error:  # a load without samples is better than none
            item.user_properties.append(("monitor", str(error)))
        try:
            yield
        finally:
            monitor.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the first test: start the servers that the collected loads need, side by side, and watch them."""
    from harness.plugin import SUITE

    loads = [item for item in session.items if isinstance(item, LoadItem)]
    if loads and not session.config.option.collectonly:
        _watch(session.config)
        session.config.stash[SUITE].servers.prefetch(sorted({name for item in loads for name in item.plan.databases}))


def _watch(config: pytest.Config) -> None:
    """Load without samples of its servers is half a picture: as ``--monitor`` does, unless that was said already."""
    from harness.monitor.noticing import Noticing
    from harness.monitor.running import RunMonitor
    from harness.plugin import SUITE
    from harness.plugin_monitor import MONITOR

    suite = config.stash[SUITE]
    if MONITOR in config.stash or not suite.owner or not isinstance(suite.servers, Noticing):
        return
    run_id = suite.settings.run_id
    monitor = RunMonitor(suite.servers, suite.store.folder, run_id, 1.0, open_folder=suite.store.open)
    config.stash[MONITOR] = monitor  # whose plugin ends it, and says what it cost
    monitor.begin()
