"""pytest's door for PostgreSQL's isolation specifications: options, collection of ``*.spec`` files, one test per file.

:mod:`harness.plugin` brings it along; the run is that one's. A specification's permutations share connections, so
that they are told in its report and are no tests of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, ServerUnavailable, StoreError
from harness.plugin import FOLDER, SUITE, CaseFailed, ScenarioItem, short
from harness.scenario.files import SPEC, step_timeout
from harness.specs import Specification, SpecResult, Specs, difference, spec_files

SPECS = pytest.StashKey[Specs]()
NAMED = pytest.StashKey[frozenset[Path]]()
MARK = "isolation_spec"
IN_FULL = 3
"""Permutations whose difference a failure shows."""
SHOWN = 60
"""Lines of it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options for specifications."""
    group = parser.getgroup("promptsales-harness")
    group.addoption(
        "--isolation-specs", action="append", default=[], metavar="DIR",
        help="run the isolation specifications of PostgreSQL in this folder, or this one file, besides what else is named; "
        "may be given several times (write --isolation-specs=DIR: with a blank, pytest takes DIR for one of the paths that "
        "it finds its rootdir by)",
    )  # fmt: skip
    group.addoption(
        "--isolation-expected", metavar="DIR",
        help="the outputs expected of them, NAME.out (default: the folder 'expected' beside their own)",
    )  # fmt: skip
    group.addoption(
        "--isolation-timeout", type=float, metavar="S",
        help="seconds that a step of them may take (default: 2 x PG_TEST_TIMEOUT_DEFAULT, which is 180)",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Add the specifications to what is collected; where nothing was named, they are all that is."""
    config.addinivalue_line("markers", f"{MARK}: isolation specifications of PostgreSQL")
    given: list[str] = config.getoption("isolation_specs")
    expected: str | None = config.getoption("isolation_expected")
    try:
        step_timeout(config.getoption("isolation_timeout"), os.environ)
        files = [file.absolute() for path in given for file in spec_files(Path(path))]
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None
    if expected is not None and not Path(expected).is_dir():
        raise pytest.UsageError(f"--isolation-expected: {expected}: there is no such folder")
    if not given:
        return
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args_source = pytest.Config.ArgsSource.ARGS  # the header would say that testpaths are run
        config.args = []
    known = {Path(argument).resolve() for argument in config.args}
    for file in files:
        if file.resolve() not in known:
            known.add(file.resolve())
            config.args.append(str(file))


def specs_of(config: pytest.Config) -> Specs:
    """What runs the specifications in this process, made when it is first asked for."""
    if SPECS not in config.stash:
        expected: str | None = config.getoption("isolation_expected")
        timeout = step_timeout(config.getoption("isolation_timeout"), os.environ)
        config.stash[SPECS] = Specs(config.stash[SUITE], Path(expected) if expected else None, timeout)
    return config.stash[SPECS]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SpecFile | None:
    """Collect specifications that are named, or lie where scenarios do."""
    if file_path.suffix != SPEC:
        return None
    config = parent.config
    if NAMED not in config.stash:
        config.stash[NAMED] = frozenset(Path(argument.split("::")[0]).resolve() for argument in config.args)
    root = config.rootpath
    inside = file_path.is_relative_to(root)
    if file_path.resolve() not in config.stash[NAMED]:
        below = file_path.relative_to(root).parts[:-1] if inside else ()
        if FOLDER not in below:
            return None
    # pytest has no id for a file that is named and lies outside: all of them would be called "".
    outside: dict[str, Any] = {} if inside else {"nodeid": Path(os.path.relpath(file_path, root)).as_posix()}
    made: SpecFile = SpecFile.from_parent(parent, path=file_path, **outside)
    return made


class SpecFile(pytest.File):
    """A specification's file; its one item is the specification."""

    def collect(self) -> Iterator[SpecItem]:
        """The item. A wrong file is a collection error: its line says where."""
        try:
            specification = specs_of(self.config).read(self.path)
        except HarnessError as error:
            raise self.CollectError(str(error)) from None
        yield SpecItem.from_parent(self, name=self.path.stem, specification=specification)


class SpecItem(ScenarioItem):
    """One specification as a test."""

    def __init__(self, *, specification: Specification, **more: Any) -> None:
        super().__init__(scenario=specification.scenario, cases=specification.cases, **more)
        self.specification = specification
        self.add_marker(getattr(pytest.mark, MARK))

    def runtest(self) -> None:
        """Run it, tell its permutations, fail with a text that needs no traceback."""
        try:
            result = specs_of(self.config).run(self.specification)
        except ServerUnavailable as error:
            raise pytest.skip.Exception(str(error), _use_item_location=True) from None
        except StoreError as error:
            self.session.shouldfail = str(error)  # what follows could not be kept either
            raise
        self.user_properties.append(("permutations", _counted(result)))
        if result.permutations:  # they have one folder
            self.user_properties.append(("evidence", short(result.permutations[0].result.path.parent, self.config)))
        if result.passed or self.config.option.verbose > 0:  # -rA shows it; a failure has the differences anyway
            self.add_report_section("call", "permutations", "\n".join(_permutations(result, self.config)))
        if not result.passed:
            raise CaseFailed("\n".join(_failure(result, self.config)))


def _counted(result: SpecResult) -> str:
    failed = len(result.differing)
    left = len(result.specification.cases) - len(result.permutations)
    counts = {"passed": len(result.permutations) - failed, "failed": failed, "not run": left}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "passed")


def _permutations(result: SpecResult, config: pytest.Config) -> Iterator[str]:
    for permutation in result.permutations:
        schedule = permutation.case.schedule
        said = "pass" if permutation.passed else "differs"
        steps = " ".join(entry.step for entry in schedule.entries)
        yield f"{said:7} {schedule.name}: {steps}  {short(permutation.result.path, config)}"


def _failure(result: SpecResult, config: pytest.Config) -> Iterator[str]:
    specification = result.specification
    yield f"{specification.scenario.title}: {result.problem}"
    differing = result.differing if specification.expected.variants else []
    for permutation in differing[:IN_FULL]:
        schedule = permutation.case.schedule
        yield f"\n{schedule.name}: {' '.join(entry.step for entry in schedule.entries)}"
        yield from _shortened(permutation.difference.splitlines())
        yield f"evidence: {short(permutation.result.path, config)}"
    if rest := differing[IN_FULL:]:
        yield f"\nand of {len(rest)} more: {', '.join(permutation.case.schedule.name for permutation in rest)}"
    if not differing:
        if lines := list(islice(difference(result), SHOWN + 1)):
            yield ""
            yield from _shortened(lines)
        yield f"\nevidence: {short(config.stash[SUITE].store.folder, config)}"


def _shortened(lines: list[str]) -> Iterator[str]:
    # A server may send bytes that are no text in its encoding: a report has to be printed and written as UTF-8.
    yield from (line.encode(errors="surrogateescape").decode(errors="replace") for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield "..."


# -- the run


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Before the run ends: put away what the specifications shared."""
    _close(session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Whatever happened before."""
    _close(config)


def _close(config: pytest.Config) -> None:
    specs = config.stash.get(SPECS, None)
    if specs is not None:
        specs.close()
