"""pytest's door for plans: files of scenarios/ that declare ``plans:``, a test for each pair and database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError, ServerUnavailable, StoreError
from harness.scenario.kinds import Kind

if TYPE_CHECKING:
    from harness.plans.run import Plans, Trial

PLANS = pytest.StashKey["Plans"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--plans-accept``."""
    parser.getgroup("promptsales-harness", "PromptSales Harness").addoption(
        "--plans-accept", action="store_true", help="keep the shapes of today's plans as the accepted ones"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> PlansFile | None:
    """Collect files of pairs."""
    from harness.plugin import declares

    if not declares(file_path, parent.config, Kind.plans):
        return None
    made: PlansFile = PlansFile.from_parent(parent, path=file_path)
    return made


class PlansFile(pytest.File):
    """A file of pairs; its items are the pairs on the databases of the run."""

    def collect(self) -> Iterator[PairItem]:
        """One item per pair. A wrong file is one collection error: its lines say where."""
        try:
            plans = plans_of(self.config)
            for trial in plans.trials(self.path):
                yield PairItem.from_parent(self, name=trial.id, trial=trial)
        except HarnessError as error:
            raise self.CollectError(str(error)) from None


def plans_of(config: pytest.Config) -> Plans:
    """What the run does with pairs; one for all files, so that they share their databases."""
    from harness.plans.run import Plans
    from harness.plugin import SUITE

    if PLANS not in config.stash:
        kept = config.getoption("--data", "") == "kept"
        config.stash[PLANS] = Plans(config.stash[SUITE], kept=kept, accept=config.getoption("--plans-accept"))
    return config.stash[PLANS]


class PairFailed(Exception):
    """A pair is not what was expected; the text is what a person reads."""


class PairItem(pytest.Item):
    """One pair as a test."""

    def __init__(self, *, trial: Trial, **more: Any) -> None:
        super().__init__(**more)
        self.trial = trial
        self.add_marker(pytest.mark.plans)
        if trial.reason:
            self.add_marker(pytest.mark.skip(reason=trial.reason))

    def runtest(self) -> None:
        """Measure, judge, keep; fail with a text that needs no traceback."""
        from harness.plugin import short

        try:
            kept = plans_of(self.config).run(self.trial)
        except ServerUnavailable as error:
            raise pytest.skip.Exception(str(error), _use_item_location=True) from None
        except StoreError as error:
            self.session.shouldfail = str(error)  # what follows could not be kept either
            raise
        path = short(kept.path, self.config)
        self.user_properties.append(("evidence", path))
        self.user_properties.append(("verdict", kept.pair.status))
        if kept.pair.mismatches:
            wrong = "\n".join(f"  {line}" for text in kept.pair.mismatches for line in text.splitlines())
            found = "\n".join(f"  {line}" for line in kept.pair.findings)
            raise PairFailed(
                f"{kept.pair.title}\n\nwhat is not as expected:\n{wrong}\n\nwhat was found:\n{found}\n\nevidence: {path}"
            )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our own errors without a traceback; anything else is a defect of the harness and shows it all."""
        if isinstance(excinfo.value, PairFailed | HarnessError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it comes from."""
        return self.path, 0, self.name


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the first test: start the servers that the collected pairs need, side by side."""
    from harness.plugin import SUITE

    pairs = [item for item in session.items if isinstance(item, PairItem) and not item.trial.reason]
    if pairs and not session.config.option.collectonly:
        session.config.stash[SUITE].servers.prefetch(sorted({item.trial.declared.logical for item in pairs}))
