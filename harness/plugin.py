"""pytest's door: options, marks, collection of YAML files, one test per case, JUnit properties. The rest is behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, HostError, ServerUnavailable, StoreError
from harness.evidence.model import Evidence, Status
from harness.report.text import timeline_text
from harness.runner.remote.specs import HostSpec, host_specs
from harness.scenario.kinds import Kind, kind_of
from harness.scenario.model import Case, Scenario
from harness.scenario.written import MARKS
from harness.servers import MODE_VARIABLE
from harness.servers.runfolder import RunFolder
from harness.spread import away
from harness.suite import Settings, Suite, new_run_id, parameters_of

pytest_plugins = (
    "harness.plugin_specs",
    "harness.plugin_explore",
    "harness.plugin_workers",
    "harness.plugin_monitor",
    "harness.plugin_plans",
    "harness.plugin_load",
    "harness.plugin_workloads",
    "harness.plugin_etl",
    "harness.plugin_kubernetes",
    "harness.plugin_matrix",
)

SUITE = pytest.StashKey[Suite]()
AWAY = pytest.StashKey[RunFolder]()
"""In a worker on another machine: what goes when it ends."""
PAGE = pytest.StashKey[Path | HarnessError | None]()
FOLDER = "scenarios"
"""YAML files below a folder of this name are collected; others when they are named on the command line."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The harness's options."""
    group = parser.getgroup("promptsales-harness", "PromptSales Harness")
    group.addoption(
        "--servers",
        metavar="KIND",
        help="where the databases come from: embedded, containers or external "
        f"(default: ini 'servers', {MODE_VARIABLE}, embedded); "
        "PROMPTSALES_URL, PROMPTADS_URL, PROMPTCRM_URL, PROMPTCONTENT_URL, CACHE_URL override it one by one",
    )
    group.addoption("--results", metavar="DIR", help="where evidence is kept (default: ini 'results', else results/)")
    group.addoption(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="scenario_parameters",
        help="a scenario's parameter, e.g. --set n=32; may be given several times",
    )  # fmt: skip
    parser.addini("servers", "embedded, containers or external")
    parser.addini("schemas", "the folder of the databases' schemas (default: the nearest 'schemas' above a scenario)")
    parser.addini("results", "the folder where evidence is kept", default="results")


def pytest_configure(config: pytest.Config) -> None:
    """Make the run; in a worker of pytest-xdist, join the controller's."""
    for mark in MARKS:
        config.addinivalue_line("markers", f"{mark}: scenarios of this family")
    config.addinivalue_line("markers", "mcp: the MCP servers, their log-in and their log")
    joined: dict[str, Any] = getattr(config, "workerinput", {})
    # Without an ini file the rootdir is whatever all paths on the command line, those of options too, have in common.
    root = config.rootpath if config.inipath else config.invocation_params.dir
    results = Path(config.getoption("--results") or config.getini("results"))
    try:
        settings = Settings(
            root=root,
            results=results if results.is_absolute() else root / results,
            run_id=joined.get("psh_run") or new_run_id(),
            owner_pid=joined.get("psh_owner") or os.getpid(),
            mode=config.getoption("--servers") or config.getini("servers") or None,
            worker=joined.get("workerid", ""),
            parameters=parameters_of(config.getoption("scenario_parameters")),
            schemas=root / config.getini("schemas") if config.getini("schemas") else None,
            hosts=() if joined else _hosts(config),
        )
        if there := away(joined, settings):
            settings, config.stash[AWAY] = there
        config.stash[SUITE] = Suite(settings)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None


def _hosts(config: pytest.Config) -> tuple[HostSpec, ...]:
    """The machines that sessions run on: those of ``--tx``, unless pytest-xdist spreads whole tests over them (``--dist``).

    Raises HostError.
    """
    if config.getoption("dist", "no") != "no":
        return ()
    return tuple(host_specs(config.getoption("tx", None) or ()))


def pytest_report_header(config: pytest.Config) -> str:
    """Where the databases come from, and where evidence goes."""
    suite = config.stash[SUITE]
    hosts = f"sessions on {', '.join(spec.name for spec in suite.hosts.specs)}, " if suite.hosts else ""
    return f"promptsales-harness: servers={suite.mode}, {hosts}evidence in {short(suite.store.folder, config)}"


def short(path: Path, config: pytest.Config) -> str:
    """A path as seen from where pytest was started."""
    try:
        return os.path.relpath(path, config.invocation_params.dir)
    except ValueError:  # Windows: it is on another drive
        return str(path)


# -- collection


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """Collect scenario files."""
    if not declares(file_path, parent.config, Kind.scenario):
        return None
    made: ScenarioFile = ScenarioFile.from_parent(parent, path=file_path)
    return made


def declares(file: Path, config: pytest.Config, kind: Kind) -> bool:
    """Whether it is a YAML file of this kind that is to be collected: named, or below a folder called ``scenarios``."""
    if file.suffix not in (".yaml", ".yml"):
        return False
    named = any(Path(argument.split("::")[0]).resolve() == file for argument in config.args)
    below = file.relative_to(config.rootpath).parts[:-1] if file.is_relative_to(config.rootpath) else ()
    return (named or FOLDER in below) and kind_of(file) is kind


class ScenarioFile(pytest.File):
    """A scenario file; its items are its cases."""

    def collect(self) -> Iterator[CaseItem]:
        """One item per case. A wrong file is one collection error: its lines say where."""
        from harness.plugin_explore import asked, counted

        try:
            cases = self.config.stash[SUITE].cases(self.path, change=asked(self.config).changed)
            for case in counted(self.config, cases):
                yield CaseItem.from_parent(self, name=case.id, case=case)
        except HarnessError as error:
            raise self.CollectError(str(error)) from None


class CaseFailed(Exception):
    """The verdict is not what was expected; the text is what a person reads, ``evidence`` what it was told of."""

    def __init__(self, text: str, evidence: Evidence | None = None) -> None:
        super().__init__(text)
        self.evidence = evidence


class ScenarioItem(pytest.Item):
    """A test that runs ``cases`` of a scenario."""

    def __init__(self, *, scenario: Scenario, cases: Sequence[Case], **more: Any) -> None:
        super().__init__(**more)
        self.cases = cases
        for mark in scenario.marks:
            self.add_marker(getattr(pytest.mark, mark))
        if reason := next((case.reason for case in cases if case.reason), ""):
            self.add_marker(pytest.mark.skip(reason=reason))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our own errors without a traceback; anything else is a defect of the harness and shows it all."""
        if isinstance(excinfo.value, CaseFailed | HarnessError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it comes from."""
        return self.path, 0, self.name


class CaseItem(ScenarioItem):
    """One case as a test."""

    def __init__(self, *, case: Case, **more: Any) -> None:
        super().__init__(scenario=case.scenario, cases=[case], **more)
        self.case = case

    def runtest(self) -> None:
        """Run, judge, keep; fail with a text that needs no traceback."""
        try:
            result = self.config.stash[SUITE].run(self.case)
        except ServerUnavailable as error:
            raise pytest.skip.Exception(str(error), _use_item_location=True) from None
        except StoreError as error:
            self.session.shouldfail = str(error)  # what follows could not be kept either
            raise
        self.user_properties.append(("evidence", short(result.path, self.config)))
        verdict = result.evidence.verdict
        self.user_properties.append(("verdict", verdict.summary))
        if hosts := result.evidence.history.hosts:
            self.user_properties.append(("hosts", ", ".join(f"{host.name} ({host.whereabouts})" for host in hosts)))
        elif AWAY in self.config.stash:
            self.user_properties.append(("hosts", result.evidence.history.controller))
        if verdict.status is not Status.passed:
            expected = "\n".join(f"  {line}" for line in verdict.expected)
            happened = "\n".join(f"  {line}" for line in verdict.mismatches)
            story = "" if self.case.scenario.free_running else f"{timeline_text(result.evidence)}\n\n"
            raise CaseFailed(
                f"{self.case.scenario.title}\n\nexpected:\n{expected}\n\nwhat happened instead:\n{happened}\n\n"
                f"{story}evidence: {short(result.path, self.config)}",
                result.evidence,
            )


# -- the run


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the first test: start the servers that the collected ones need, side by side."""
    if session.config.option.collectonly:
        return
    wanted = [case for item in session.items if isinstance(item, ScenarioItem) for case in item.cases]
    if wanted:
        try:
            session.config.stash[SUITE].prefetch(wanted)
        except HostError as error:  # before the first test: none of them could be what it says
            raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """After everybody else's end (pytest-xdist has its workers end there): gather the evidence, end the servers."""
    result = yield
    config = session.config
    suite = config.stash[SUITE]
    if suite.owner:
        try:
            config.stash[PAGE] = suite.finish({"arguments": list(config.invocation_params.args)})
        except HarnessError as error:
            config.stash[PAGE] = error
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    else:
        suite.close()
        config.workeroutput["psh_told"] = suite.tell()  # type: ignore[attr-defined]
    return result


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say where the evidence is, and what was found that a dead run had left."""
    page = config.stash.get(PAGE, None)
    if isinstance(page, HarnessError):
        terminalreporter.write_line(f"promptsales-harness: {page}", red=True)
    elif page is not None:
        terminalreporter.write_line(f"evidence: {short(page.parent, config)}  report: {short(page, config)}")
    if swept := config.stash[SUITE].databases.swept:
        terminalreporter.write_line(f"promptsales-harness: dropped what dead runs had left: {', '.join(swept)}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Whatever happened before: nothing stays behind."""
    suite = config.stash.get(SUITE, None)
    if suite is not None:
        suite.close()
        if suite.owner:
            suite.servers.stop()


# -- fixtures


@pytest.fixture(scope="session")
def suite(request: pytest.FixtureRequest) -> Suite:
    """The run: its servers, its throw-away databases, its results."""
    return request.config.stash[SUITE]


@pytest.fixture
def run_scenario(suite: Suite, record_property: Any) -> Callable[..., list[Evidence]]:
    """A function: run every case of a scenario file, give their evidence.

    Raises HarnessError as ``Suite.run`` does; a case that cannot be run here is left out.
    """

    def run(file: str | Path, **parameters: object) -> list[Evidence]:
        cases = suite.cases(Path(file), {name: str(value) for name, value in parameters.items()})
        results = [suite.run(case) for case in cases if not case.reason]
        for result in results:
            record_property("evidence", str(result.path))
        return [result.evidence for result in results]

    return run
