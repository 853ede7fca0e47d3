"""``harness matrix``: which anomaly each isolation level prevents, run here or told of a stored run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import HarnessError, ScenarioError, ServerUnavailable, StoreError
from harness.terminal import console as make_console
from harness.terminal import progress, say, short, tell

if TYPE_CHECKING:
    from harness.matrix.model import Matrix
    from harness.scenario.model import Case
    from harness.suite import Suite

FOLDER = Path("scenarios/matrix")
RESULTS = Path("results")


def matrix(
    files: Annotated[
        list[Path] | None, typer.Argument(help=f"scenario files, or folders of them (default: {FOLDER})")
    ] = None,
    servers: Annotated[str | None, typer.Option("--servers", help="embedded (default), containers or external")] = None,
    run_: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="tabulate a stored run again: its id or folder, or latest"),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(
            "--markdown",
            metavar="FILE",
            help="write the table there, too (a README: between <!-- matrix --> and <!-- /matrix -->); -: print it",
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="write the page there, too")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="set it beside Hermitage's table")] = False,
    results: Annotated[
        Path, typer.Option("--results", metavar="DIR", help="the folder where evidence is kept")
    ] = RESULTS,
) -> None:
    """Print the isolation matrix: every anomaly at every level, and how it was prevented.

    Exit code 1 if a cell did not come out as its scenario expects.
    """
    from harness.matrix.stored import HTML, write_matrix
    from harness.matrix.text import matrix_renderable

    if run_ is not None and files:
        raise ScenarioError("--run tabulates a stored run: give it no scenario files")
    _check_writable(markdown)
    played = Played()
    folder = _stored(results, run_) if run_ is not None else _run(files or [_own()], servers, results, played)
    with progress("reading the evidence"):
        made = write_matrix(folder)
    if not made.rows and not made.missing:
        raise StoreError(f"{short(folder)}: no case of this run is of a cell of the matrix ('matrix:' in its scenario)")
    _write(made, folder, markdown, html)
    console = make_console()
    if markdown != Path("-"):
        console.print(matrix_renderable(made, compared=compare))
        say(console, f"evidence: {short(folder)}   matrix: {short(folder / HTML)}")
    for line in played.lines():
        tell(line, error=True)
    raise typer.Exit(1 if played.failed or made.unexpected else 0)


def _stored(results: Path, run: str) -> Path:
    """The folder of a run; the latest one is the latest that has a matrix, if any has. Raises StoreError."""
    from harness.evidence.store import find_run
    from harness.matrix.stored import JSON

    if run == "latest" and (tabulated := sorted(results.glob(f"*/{JSON}"))):
        return tabulated[-1].parent.resolve()  # a run's id begins with its time
    return find_run(results, run)


def _check_writable(markdown: Path | None) -> None:
    """Before anything is run: whether the table can be put there. Raises ScenarioError."""
    from harness.matrix.markdown import writable

    if markdown is None or markdown == Path("-") or not markdown.exists():
        return
    try:
        writable(markdown.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ScenarioError(f"--markdown {markdown}: {error}") from None


@dataclass(slots=True)
class Played:
    """What could not be run: cases that failed to begin, and databases without a server."""

    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """A line for each."""
        yield from (f"✗ {case}: {why}" for case, why in self.failed.items())
        yield from (f"– {where} was not run: {why}" for where, why in self.skipped.items())


def _own() -> Path:
    if not FOLDER.is_dir():
        raise ScenarioError(f"there is no folder {FOLDER} here: name the scenario files, or go where it is")
    return FOLDER


def _run(files: list[Path], servers: str | None, results: Path, played: Played) -> Path:
    """Run the cases that have a cell; gives the run's folder."""
    from harness.scenario.files import scenario_files
    from harness.scenario.kinds import Kind, kind_of
    from harness.suite import Settings, Suite

    suite = Suite(Settings(root=Path.cwd(), results=results.resolve(), mode=servers))
    try:
        every = [
            case
            for file in scenario_files(files)
            if kind_of(file) is Kind.scenario
            for case in suite.cases(file)
            if case.scenario.matrix
        ]
        if not every:
            raise ScenarioError(f"{', '.join(map(str, files))}: no scenario there says 'matrix:'")
        played.skipped |= {case.databases[0].logical: case.reason for case in every if case.reason}
        _play(suite, [case for case in every if not case.reason], played)
    finally:
        page = suite.finish()
    if page is None:
        raise ServerUnavailable("; ".join(played.lines()))
    return page.parent


def _play(suite: Suite, cases: Sequence[Case], played: Played) -> None:
    with progress("starting servers") as now:
        suite.prefetch(cases)
        for number, case in enumerate(cases, 1):
            where = case.databases[0].logical
            if where in played.skipped:
                continue
            now(f"{number} of {len(cases)}: {case.id}")
            try:
                suite.run(case)
            except ServerUnavailable as error:
                played.skipped[where] = str(error)
            except StoreError:
                raise
            except HarnessError as error:  # this case cannot be run; the others may
                played.failed[case.id] = str(error)


def _write(made: Matrix, folder: Path, markdown: Path | None, html: Path | None) -> None:
    """Write the table and the page where the user wants them, too. Raises StoreError."""
    from harness.matrix.html import matrix_html
    from harness.matrix.markdown import whole_markdown, written

    try:
        if markdown == Path("-"):
            tell(whole_markdown(made).rstrip("\n"))
        elif markdown is not None:
            before = markdown.read_text(encoding="utf-8") if markdown.is_file() else ""
            text = written(before, made, spanish=markdown.name.endswith(".es.md"))
            markdown.write_text(text, encoding="utf-8")
        if html is not None:
            html.write_text(matrix_html(made, os.path.relpath(folder, html.resolve().parent)), encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StoreError(f"the table cannot be written: {error}") from None
