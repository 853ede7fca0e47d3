"""pytest's door to other orders: ``--schedules``, what was made of them and what was spared, the smallest that fails.

:mod:`harness.plugin` collects the scenarios; what is to be run of each instead of its own schedules is said here.
"""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError, did_you_mean

if TYPE_CHECKING:
    from harness.evidence.model import Evidence
    from harness.scenario.model import Case, Scenario

KINDS = ("all", "reduced", "random")
SMALLEST = pytest.StashKey[dict[str, str]]()
"""Case without its schedule → what was found."""
COUNTED = pytest.StashKey["dict[str, Counted]"]()
"""Key: file, level and name of what was made."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--schedules``, ``--max-schedules``, ``--seed``."""
    group = parser.getgroup("promptsales-harness", "PromptSales Harness")
    group.addoption(
        "--schedules", metavar="KIND",
        help="all, reduced or random: run the steps of each scenario in these interleavings in place of its own schedules "
        "(not of strict ones and free runs). Of its expectation stays what is true of every order: what was to be found "
        "may be, the server may refuse, and a test fails by a phenomenon that the level neither finds nor allows, by what "
        "does not hold, and by a run that hangs. An expectation of made schedules stays as it is",
    )  # fmt: skip
    group.addoption(
        "--max-schedules", metavar="N",
        help="run at most N made schedules of each scenario, database and level, those of its file too: the first ones; "
        "with --seed, some of them. Of random ones N are drawn (else 100)",
    )  # fmt: skip
    group.addoption(
        "--seed", metavar="N", help="what is drawn of schedules: the same seed draws the same ones (default 1)"
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """The options, read."""

    kind: str = ""
    most: int | None = None
    seed: int | None = None

    def __bool__(self) -> bool:
        return self != Asked()

    def changed(self, scenario: Scenario) -> Scenario:
        """The scenario with the schedules that are asked for."""
        from harness.scenario.general import Wish, explored

        return explored(scenario, Wish(self.kind, self.most, self.seed)) if self else scenario


@dataclass(slots=True)
class Counted:
    """The interleavings that were made of a scenario at a level, or are left of it: ``kept`` of ``total``."""

    file: str
    where: str  # database and level
    name: str
    kind: str
    total: int
    kept: int = 0
    most: int = 0
    seed: int | None = None

    @property
    def said(self) -> str:
        """``reduced: 12 of 70 interleavings run, 58 spared``."""
        named = self.kind if self.name == self.kind else f"{self.name} ({self.kind})"
        text = f"{named}: {self.kept:,} of {self.total:,} interleavings run"
        if self.kind == "random":
            return f"{text}, seed {1 if self.seed is None else self.seed}"
        if self.most and self.kept == self.most:
            return f"{text}, no more than --max-schedules says"
        return f"{text}, {self.total - self.kept:,} spared" if self.kind == "reduced" else text


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the options; a wrong one is told in a line."""
    asked(config)
    config.stash[COUNTED] = {}
    config.stash[SMALLEST] = {}


def asked(config: pytest.Config) -> Asked:
    """What the options ask for. Raises UsageError."""
    kind = config.getoption("--schedules") or ""
    if kind and kind not in KINDS:
        known = ", ".join(KINDS)
        raise pytest.UsageError(f"--schedules {kind}: unknown kind{did_you_mean(kind, KINDS)} (known: {known})")
    return Asked(kind, _number(config, "--max-schedules", 1), _number(config, "--seed", 0))


def _number(config: pytest.Config, option: str, least: int) -> int | None:
    given = config.getoption(option)
    if given is None:
        return None
    if not given.isdecimal() or int(given) < least:
        raise pytest.UsageError(f"{option} {given}: it is a whole number, {least} or more")
    return int(given)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What is run in place of the scenarios' own schedules."""
    made = asked(config)
    if not made:
        return []
    most = f"at most {made.most}" if made.most else ""
    seed = f"seed {made.seed}" if made.seed is not None else ""
    more = ", ".join(filter(None, (most, seed)))
    if made.kind:
        return [
            f"promptsales-harness: {made.kind} schedules in place of the scenarios' own{f' ({more})' if more else ''}"
        ]
    return [f"promptsales-harness: of made schedules: {more}"]


# -- what was made


def counted(config: pytest.Config, cases: Iterable[Case]) -> Iterator[Case]:
    """The cases of a file, made ones counted as they are collected."""
    from harness.plugin import short
    from harness.scenario.made import number_made

    counts = config.stash[COUNTED]
    for case in cases:
        if made := case.schedule.made:
            where = _where(case)
            key = f"{case.scenario.file}\n{where}\n{made.name}"
            if key not in counts:
                total = number_made(case.scenario, made)
                file = short(case.scenario.file, config)
                counts[key] = Counted(file, where, made.name, made.kind, total, 0, made.count, made.seed)
            counts[key].kept += 1
        yield case


def _where(case: Case) -> str:
    """Its databases and level, as its id has them."""
    return case.id.removeprefix(f"{case.scenario.id}[").removesuffix(f"-{case.schedule.name}]")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells the controller, which collects nothing."""
    if hasattr(session.config, "workeroutput"):
        told = {key: asdict(one) for key, one in session.config.stash[COUNTED].items()}
        session.config.workeroutput["psh_schedules"] = told


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear of it: all workers have collected the same."""
    told = getattr(node, "workeroutput", {}).get("psh_schedules", {})
    node.config.stash[COUNTED].update({key: Counted(**one) for key, one in told.items()})


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """How many there are in all."""
    made = config.stash[COUNTED].values()
    if not made:
        return []
    total, kept = sum(one.total for one in made), sum(one.kept for one in made)
    files = len({one.file for one in made})
    return [f"promptsales-harness: {total:,} interleavings of {files} scenario file{'s' * (files > 1)}, {kept:,} kept"]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was kept and what was spared, a line for each file, or more where its levels differ."""
    by_file: dict[str, list[Counted]] = {}
    for one in config.stash[COUNTED].values():
        by_file.setdefault(one.file, []).append(one)
    for file, made in by_file.items():
        places = len({one.where for one in made})
        for text in dict.fromkeys(one.said for one in made):
            where = [one.where for one in made if one.said == text]
            at = (
                f" [{', '.join(where)}]"
                if len(where) < places
                else f" (at each of {places} levels)"
                if places > 1
                else ""
            )
            terminalreporter.write_line(f"{file}{at}: {text}")


# -- a failure


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """A made schedule that fails: the smallest one that does, once for each file, place and level, and how to find more."""
    from harness.plugin import CaseFailed, CaseItem

    try:
        return (yield)
    except CaseFailed as failed:
        if not isinstance(item, CaseItem) or item.case.schedule.made is None or failed.evidence is None:
            raise
        lines = [str(failed), _smallest(item.config, item.case, failed.evidence)]
        lines += [f"smallest: {command(item.config, item.case)}"]
        raise CaseFailed("\n".join(filter(None, lines)), failed.evidence) from None


def _smallest(config: pytest.Config, case: Case, evidence: Evidence) -> str:
    """What was found of the smallest one; empty if it was not looked for.

    A run that hangs would hang in every candidate; and what is written on another machine would stay there.
    """
    from harness.history import RunEnd
    from harness.plugin import AWAY

    if evidence.history.end is not RunEnd.completed or AWAY in config.stash:
        return ""
    known = config.stash[SMALLEST]
    key = f"{case.scenario.id}[{_where(case)}]"
    if key not in known:
        known[key] = _found(config, case, key)
    return known[key]


def _found(config: pytest.Config, case: Case, name: str) -> str:
    from harness.evidence.store import folder_name
    from harness.exploring.replay import replayed
    from harness.exploring.shrink import shrink
    from harness.plugin import SUITE, short

    suite = config.stash[SUITE]
    try:
        made = shrink(suite, case)
        if not made.confirmed:
            return "smallest: it did not fail when it was run again"
        written = replayed(suite, made, suite.open_results() / f"{folder_name(name).replace('@', '-')}-smallest.yaml")
    except HarnessError as error:
        return f"smallest: it could not be looked for: {error}"
    assert written.file is not None
    return f"smallest: {short(written.file, config)} ({written.after}, where {written.before} were)"


def command(config: pytest.Config, case: Case) -> str:
    """The command that looks for the smallest schedule that fails."""
    from harness.plugin import short

    made = case.schedule.made
    assert made is not None
    words = ["harness", "explore", short(case.scenario.file, config)]
    words += ["--level", case.level]
    if len(case.scenario.placements) > 1:
        words += ["--on", case.databases[0].logical]
    words += ["--schedules", made.kind]
    if made.count:
        words += ["--max-schedules", str(made.count)]
    if made.kind == "random":
        words += ["--seed", str(1 if made.seed is None else made.seed)]
    for given in config.getoption("scenario_parameters"):
        if given.partition("=")[0] not in case.scenario.sensitive:
            words += ["--set", given]
    if servers := config.getoption("--servers"):
        words += ["--servers", servers]
    return shlex.join(words)
