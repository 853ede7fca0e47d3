"""``harness explore``: a scenario in every interleaving, or in one of each kind, and the smallest one that fails."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import HarnessError, ScenarioError, ServerUnavailable, StoreError
from harness.terminal import console as make_console
from harness.terminal import progress, say, short, tell

if TYPE_CHECKING:
    from rich.console import Console

    from harness.exploring.explore import Explored, Plan
    from harness.exploring.reduction import Reduction
    from harness.scenario.model import Case
    from harness.suite import Suite


def explore(
    files: Annotated[list[Path], typer.Argument(help="scenario files, or folders of them", metavar="FILE...")],
    schedules: Annotated[
        str, typer.Option("--schedules", metavar="KIND", help="all, reduced or random interleavings")
    ] = "reduced",
    most: Annotated[
        int | None,
        typer.Option("--max-schedules", min=1, metavar="N", help="at most so many; of random ones so many, else 100"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="of random ones: the same seed draws the same ones")] = 1,
    number: Annotated[int, typer.Option("-n", min=1, help="so many processes share the schedules")] = 1,
    prove: Annotated[
        bool, typer.Option("--prove", help="run all of them, and show that the spared ones did nothing else")
    ] = False,
    no_server: Annotated[
        bool, typer.Option("--no-server", help="what steps touch is read from their statements alone")
    ] = False,
    first: Annotated[bool, typer.Option("--first", help="stop at the first schedule that fails")] = False,
    on: Annotated[str, typer.Option("--on", metavar="DATABASE", help="only there: promptsales, promptads, …")] = "",
    level: Annotated[str, typer.Option("--level", help="only at this level")] = "",
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="FILE", help="where the smallest failing scenario goes (default: the results)"),
    ] = None,
    no_shrink: Annotated[bool, typer.Option("--no-shrink", help="do not look for the smallest failing one")] = False,
    servers: Annotated[str | None, typer.Option(help="embedded (default), containers or external")] = None,
    results: Annotated[Path, typer.Option(metavar="DIR", help="the folder where evidence is kept")] = Path("results"),
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a scenario's parameter")
    ] = None,
) -> None:
    """Explore scenarios. Exit code 1 if a schedule is not as expected, or a proof fails."""
    from harness.exploring.explore import Plan
    from harness.exploring.model import Kind as Schedules
    from harness.exploring.replay import check_writable
    from harness.scenario.files import scenario_files
    from harness.scenario.kinds import Kind, kind_of
    from harness.suite import Settings, Suite, parameters_of

    if schedules not in {*Schedules}:
        raise ScenarioError(f"--schedules {schedules}: it is one of {', '.join(Schedules)}")
    if prove and schedules != Schedules.reduced:
        raise ScenarioError(f"--prove shows what --schedules reduced spares: --schedules {schedules} spares nothing")
    if prove and first:
        raise ScenarioError("--prove runs all interleavings, --first stops early: one of them")
    plan = Plan(Schedules(schedules), most, seed, server=not no_server, first=first)
    suite = Suite(
        Settings(root=Path.cwd(), results=results.resolve(), mode=servers, parameters=parameters_of(set_ or []))
    )
    doing = _Exploring(suite, plan, number, prove, not no_shrink, write)
    try:
        kinds = {file: kind_of(file) for file in scenario_files(files)}
        found = [file for file, kind in kinds.items() if kind is Kind.scenario]
        for file in kinds.keys() - {*found}:
            say(doing.console, f"- {short(file)}: declares {kinds[file].value}, which has no schedules")
        chosen = [case for file in found for case in _bases(doing.console, suite, file, on, level, len(kinds) == 1)]
        if not chosen:
            raise ScenarioError(f"{' '.join(map(short, files))}: there is nothing to explore")
        if write is not None and any(write.resolve() == file.resolve() for file in found):
            raise ScenarioError(f"--write {write}: this is the scenario that is explored: give another file")
        if write is not None:
            check_writable(write)
        with progress("starting servers"):
            suite.prefetch(chosen)
        for base in chosen:
            if not doing.case(base):
                break
    finally:
        with progress("gathering the evidence"):
            page = suite.finish({"arguments": sys.argv[1:]})
    if page is not None:
        say(doing.console, f"evidence: {short(page.parent)}   report: {short(page)}")
    for line in suite.databases.swept:
        say(doing.console, f"dropped what a run that died had left: {line}")
    if doing.interrupted:
        raise KeyboardInterrupt
    if not doing.explored:
        say(doing.console, "nothing was explored")
    raise typer.Exit(1 if doing.failed else 0)


def _bases(console: Console, suite: Suite, file: Path, on: str, level: str, alone: bool) -> list[Case]:
    """The cases of a file; of one among others that has none, a line says why. Raises ScenarioError."""
    from harness.exploring.trial import NothingToExplore, bases

    try:
        return bases(suite, file, on=on, level=level)
    except NothingToExplore as error:
        if alone:
            raise
        say(console, f"- {error}")
        return []


class _Exploring:
    """Explores one case after the other and shows what came of it."""

    def __init__(self, suite: Suite, plan: Plan, number: int, prove: bool, shrink: bool, write: Path | None) -> None:
        self.suite = suite
        self.plan = plan
        self.number = number
        self.prove = prove
        self.shrink = shrink
        self.write = write
        self.written: set[Path] = set()
        self.console: Console = make_console()
        self.failed = False
        self.interrupted = False
        self.explored = 0

    def case(self, base: Case) -> bool:
        """Explore it; whether the next one is to be explored, too."""
        if base.reason:
            say(self.console, f"- {base.id}: skipped: {base.reason}")
            return True
        try:
            explored = self._explore(base)
        except ServerUnavailable as error:
            say(self.console, f"- {base.id}: skipped: {error}")
            return True
        except (StoreError, ScenarioError):
            raise
        except HarnessError as error:  # this one cannot be run, by its set-up perhaps; the others may
            say(self.console, f"✗ {base.id}: {error}")
            self.failed = True
            self.explored += 1
            return True
        self.explored += 1
        self.failed |= bool(explored.exploration.failing)
        if self.interrupted:
            return False
        if self.shrink:
            self._shrink(explored)
        say(self.console, "")
        return not self.interrupted

    def _explore(self, base: Case) -> Explored:
        from harness.exploring.explore import Explorer
        from harness.exploring.journal import Journal
        from harness.exploring.pool import runner
        from harness.exploring.prove import prove
        from harness.exploring.text import proof_lines, show

        journal = Journal(self.suite, base.id)
        with progress(f"{base.id}: finding out what conflicts") as now:
            reduction = self._reduction(base)
            runs = runner(self.suite, base, self.number, touching=reduction is not None and self.plan.server)
            explorer = Explorer(base, self.plan, runs, journal, reduction, now)
            if self.prove:
                explorer.check_proving()
            explored = explorer.explore()
            if self.prove and not explorer.interrupted:
                explored = prove(explorer)
        self.interrupted = explorer.interrupted
        path = journal.close(explored.exploration)
        show(self.console, explored.exploration)
        if explored.exploration.proof is not None:
            self.failed |= not explored.exploration.proof.holds
            for line in proof_lines(explored.exploration.proof, explored.exploration.total):
                say(self.console, line)
        say(self.console, f"all of it: {short(path)}")
        if self.interrupted:
            made = explored.exploration
            tell(f"harness: interrupted: {made.run} of {made.planned} interleavings were run", error=True)
        return explored

    def _reduction(self, base: Case) -> Reduction | None:
        from harness.exploring.model import Kind

        if self.plan.kind is not Kind.reduced:
            return None
        from harness.exploring.reduction import reduction_of  # with sqlglot: it takes a tenth of a second

        return reduction_of(self.suite, base, server=self.plan.server)

    def _shrink(self, explored: Explored) -> None:
        from harness.exploring.replay import smallest
        from harness.exploring.text import shrunk_lines

        try:
            with progress(f"{explored.base.id}: looking for the smallest failing schedule") as now:
                made = smallest(self.suite, explored, self.write, now, self.written)
        except KeyboardInterrupt:
            self.interrupted = True
            tell("harness: interrupted: the smallest failing schedule was not found", error=True)
            return
        for one in made:
            for line in shrunk_lines(one, short):
                say(self.console, line)
