"""``harness plans``: pairs of plans are run, shown, drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import DataError, HarnessError, ScenarioError, ServerUnavailable, StoreError
from harness.terminal import console as make_console
from harness.terminal import progress, say, short

if TYPE_CHECKING:
    from harness.plans.model import PlanPair
    from harness.suite import Suite

app = typer.Typer(no_args_is_help=True, help="Execution plans without and with an index: docs/plans.md.")

Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="the folder where evidence is kept")]
RESULTS = Path("results")


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(help="files of pairs, or folders of them")],
    data: Annotated[
        str, typer.Option("--data", help="kept: what 'harness seed' has put on the servers of 'harness up'")
    ] = "",
    accept: Annotated[
        bool, typer.Option("--plans-accept", help="keep the shapes of today's plans as accepted")
    ] = False,
    servers: Annotated[str | None, typer.Option("--servers", help="embedded (default), containers or external")] = None,
    results: Results = RESULTS,
    match: Annotated[str, typer.Option("--match", "-k", help="only pairs whose id holds this text")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="only the table")] = False,
) -> None:
    """Run pairs, show what the index changes. Exit code 1 if something is not as expected."""
    from harness.scenario.files import scenario_files
    from harness.scenario.kinds import Kind, kind_of
    from harness.suite import Settings, Suite

    if data not in ("", "kept"):
        raise ScenarioError(f"--data {data}: kept, or nothing: then the data is seeded for the run")
    chosen = [file for file in scenario_files(files) if kind_of(file) is Kind.plans]
    if not chosen:
        raise ScenarioError(f"{', '.join(map(str, files))}: no file there declares 'plans:'")
    suite = Suite(Settings(root=Path.cwd(), results=results.resolve(), mode=servers))
    try:
        failed = run_pairs(suite, chosen, kept=data == "kept", accept=accept, match=match, quiet=quiet)
    finally:
        page = suite.finish()
    if page is not None:
        say(make_console(), f"plans and pictures: {short(page.parent / 'plans')}   report: {short(page)}")
    raise typer.Exit(1 if failed else 0)


def run_pairs(
    suite: Suite,
    files: Iterable[Path],
    *,
    kept: bool = False,
    accept: bool = False,
    match: str = "",
    quiet: bool = False,
) -> int:
    """Run the pairs of these files and show them; gives how many failed or could not be run. Raises ScenarioError."""
    from harness.plans.run import Plans
    from harness.plans.text import pair_renderable, pairs_table

    console = make_console()
    plans = Plans(suite, kept=kept, accept=accept)
    every = [trial for file in files for trial in plans.trials(file)]
    chosen = [trial for trial in every if match in trial.id]
    if every and not chosen:
        raise ScenarioError(f"no pair has {match!r} in its id; the first one is {every[0].id}")
    suite.servers.prefetch(sorted({trial.declared.logical for trial in chosen if not trial.reason}))
    failed, pairs = 0, []
    for trial in chosen:
        if trial.reason:
            say(console, f"- {trial.id}: skipped: {trial.reason}")
            continue
        try:
            with progress(trial.id):
                pair = plans.run(trial).pair
        except ServerUnavailable as error:
            say(console, f"- {trial.id}: skipped: {error}")
            continue
        except StoreError:
            raise
        except HarnessError as error:  # this pair cannot be run; the others may
            failed += 1
            say(console, f"✗ {trial.id}: {error}")
            continue
        pairs.append(pair)
        failed += pair.status != "passed"
        if not quiet:
            console.print(pair_renderable(pair))
            console.print()
    if pairs:
        console.print(pairs_table(pairs))
    return failed


@app.command()
def show(
    run_: Annotated[str, typer.Argument(metavar="RUN", help="a run's id or folder")] = "latest",
    match: Annotated[str, typer.Option("--match", "-k", help="the pairs whose id holds this text, in full")] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="the table for a document")] = False,
    results: Results = RESULTS,
) -> None:
    """Show the pairs of a run: a table; with -k, the trees of those."""
    from harness.plans.text import markdown_table, pair_renderable, pairs_table

    pairs = _pairs(results, run_)
    if markdown:
        print(markdown_table(pairs), end="")
        return
    console = make_console()
    shown = [pair for pair in pairs if match and match in pair.id]
    if match and not shown:
        raise ScenarioError(f"no pair of this run has {match!r} in its id")
    if not match:
        console.print(pairs_table(pairs))
    for pair in shown:
        console.print(pair_renderable(pair))


def _pairs(results: Path, run_: str) -> Sequence[PlanPair]:
    from harness.evidence.store import find_run
    from harness.plans.store import read_pairs

    folder = find_run(results, run_)
    if pairs := read_pairs(folder):
        return pairs
    raise ScenarioError(f"{short(folder)}: no pairs of plans were run there: harness plans run scenarios/plans")


@app.command()
def draw(
    file: Annotated[
        Path, typer.Argument(help="a plan as the engine gave it: before.json, after.xml, a saved .sqlplan")
    ],
    engine: Annotated[
        str, typer.Option("--engine", help="postgresql, sqlserver or mongodb; .xml and .sqlplan: sqlserver")
    ] = "",
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="draw it there, instead of a tree here")
    ] = None,
) -> None:
    """Read any plan of an engine, whoever saved it: as a tree in the terminal, or as a picture."""
    from harness.plans.reading import read_plan
    from harness.plans.text import plan_tree
    from harness.report.plans import plan_svg

    try:
        text = file.read_text(encoding="utf-16" if file.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None
    kind = engine or (
        "sqlserver" if file.suffix in (".xml", ".sqlplan") else "mongodb" if "queryPlanner" in text else "postgresql"
    )
    plan = read_plan(kind, text)
    if svg is None:
        make_console().print(plan_tree(plan, file.name))
        return
    try:
        svg.write_text(plan_svg(plan, file.name), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{svg}: cannot be written: {error.strerror or error}") from None
    print(svg)
