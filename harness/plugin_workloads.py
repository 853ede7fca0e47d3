"""pytest's door for random workloads: files of scenarios/ that declare ``workload:``, a test for each database and level."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError, ServerUnavailable, StoreError
from harness.scenario.kinds import Kind

if TYPE_CHECKING:
    from harness.workloads.perform import Trial


def pytest_configure(config: pytest.Config) -> None:
    """The mark that all of them carry."""
    config.addinivalue_line("markers", "random: random workloads, checked without an expectation of each transaction")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> WorkloadFile | None:
    """Collect workloads' files."""
    from harness.plugin import declares

    if not declares(file_path, parent.config, Kind.workload):
        return None
    made: WorkloadFile = WorkloadFile.from_parent(parent, path=file_path)
    return made


class WorkloadFile(pytest.File):
    """A workload's file; its items are the databases and levels that it is run at."""

    def collect(self) -> Iterator[WorkloadItem]:
        """One item for each. A wrong file is one collection error: its lines say where."""
        from harness.plugin import SUITE
        from harness.workloads.load import load
        from harness.workloads.perform import trials

        try:
            for trial in trials(load(self.path), self.config.stash[SUITE]):
                yield WorkloadItem.from_parent(self, name=trial.id, trial=trial)
        except HarnessError as error:
            raise self.CollectError(str(error)) from None


class WorkloadFailed(Exception):
    """A history is not what was expected; the text is what a person reads."""


class WorkloadItem(pytest.Item):
    """A workload at a level of a database, as a test."""

    def __init__(self, *, trial: Trial, **more: Any) -> None:
        super().__init__(**more)
        self.trial = trial
        self.add_marker(pytest.mark.random)
        if trial.reason:
            self.add_marker(pytest.mark.skip(reason=trial.reason))

    def runtest(self) -> None:
        """Run, check, judge, keep; fail with a text that needs no traceback."""
        from harness.plugin import SUITE, short
        from harness.report.checked import report_text
        from harness.workloads.judge import telling
        from harness.workloads.perform import perform

        try:
            kept = perform(self.config.stash[SUITE], self.trial)
        except ServerUnavailable as error:
            raise pytest.skip.Exception(str(error), _use_item_location=True) from None
        except StoreError as error:
            self.session.shouldfail = str(error)  # what follows could not be kept either
            raise
        if kept.interrupted:
            raise KeyboardInterrupt
        path = short(kept.path, self.config)
        self.user_properties.append(("evidence", path))
        self.user_properties.append(("verdict", f"{kept.result.status}: {kept.result.shown}"))
        if kept.result.mismatches:
            wrong = "\n".join(f"  {line}" for line in kept.result.mismatches)
            told = report_text(telling(self.trial.expected, kept.report))
            again = f"harness workload run {kept.result.file} -k '{self.trial.id}'"
            raise WorkloadFailed(
                f"{kept.result.title}\n\nexpected: {kept.result.expected}\n\nwhat is not so:\n{wrong}\n\n"
                f"{told}\nagain: {again}\nevidence: {path}"
            )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our own errors without a traceback; anything else is a defect of the harness and shows it all."""
        if isinstance(excinfo.value, WorkloadFailed | HarnessError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it comes from."""
        return self.path, 0, self.name


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the first test: start the servers that the collected workloads need, side by side."""
    from harness.plugin import SUITE

    wanted = [item.trial for item in session.items if isinstance(item, WorkloadItem) and not item.trial.reason]
    if wanted and not session.config.option.collectonly:
        session.config.stash[SUITE].servers.prefetch(sorted({trial.logical for trial in wanted}))
