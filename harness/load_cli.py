"""``harness load run | show``: load files from the command line. Locust's own: ``locust -f harness/load/locustfile.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.errors import HarnessError, ServerUnavailable, StoreError
from harness.terminal import console as make_console
from harness.terminal import progress, say, short

app = typer.Typer(no_args_is_help=True, help="Many users at PromptSales's work; see docs/load.md.")

Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="the folder where results are kept")]


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(help="load files, or folders of them")],
    users: Annotated[int | None, typer.Option("--users", "-u", min=1, help="instead of the file's count")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", "-t", min=1, help="instead of the file's")] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, help="that Locust runs users in")] = 1,
    arrivals: Annotated[
        str | None, typer.Option("--arrivals", metavar="closed|RATE", help="a number: the open loop, so many a second")
    ] = None,
    data: Annotated[
        str, typer.Option("--data", help="tiny, small, medium, full (throw-away), or kept: what 'harness seed' filled")
    ] = "",
    servers: Annotated[str | None, typer.Option("--servers", help="embedded (default), containers or external")] = None,
    results: Results = Path("results"),
    monitor: Annotated[bool, typer.Option(help="sample the servers and this machine every second meanwhile")] = True,
) -> None:
    """Run load files on throw-away databases, and show what they gave. Exit code 1 if something is not as expected."""
    from harness.load.launch import How
    from harness.load.launch import run as run_plan
    from harness.load.plan import read_load
    from harness.load.text import result_renderable
    from harness.monitor_cli import watch_run
    from harness.suite import Settings, Suite

    plans = [read_load(file).changed(users=users, seconds=seconds, arrivals=arrivals) for file in load_files(files)]
    how = How(processes=processes, data=checked_data(data))
    console = make_console()
    suite = Suite(Settings(root=Path.cwd(), results=results.resolve(), mode=servers))
    watching = watch_run(suite, "1" if monitor else None)
    failed = 0
    page = None
    try:
        for plan in plans:
            try:
                with progress(f"{plan.id}: starting servers") as now:
                    result, _ = run_plan(suite, plan, how, lambda moment, now=now: now(moment.text))  # type: ignore[misc]
            except ServerUnavailable as error:
                say(console, f"- {plan.id}: skipped: {error}")
                continue
            except StoreError:
                raise
            except HarnessError as error:  # this one cannot be run; the others may
                failed += 1
                say(console, f"✗ {plan.id}: {error}")
                continue
            failed += result.status != "passed"
            console.print(result_renderable(result))
            console.print()
    finally:
        if watching is not None:
            watching.stop()
        page = suite.finish()
        for line in watching.lines(short) if watching is not None else []:
            say(console, line)
        if page is not None:
            say(console, f"results: {short(page.parent)}   report: {short(page)}")
    raise typer.Exit(1 if failed else 0)


@app.command()
def show(
    run_: Annotated[str, typer.Argument(metavar="RUN", help="a run's id or folder")] = "latest",
    results: Results = Path("results"),
) -> None:
    """Show the loads of a run: done, percentiles, what was refused and tried again, what failed, by kind."""
    from harness.evidence.store import find_run
    from harness.load.result import read_results
    from harness.load.text import result_renderable

    console = make_console()
    folder = find_run(results, run_)
    found = read_results(folder)
    if not found:
        raise StoreError(f"no load was run in {short(folder)}")
    for result in found:
        console.print(result_renderable(result))
        console.print()


def load_files(given: list[Path]) -> list[Path]:
    """The files that are named, and those of load in the folders that are. Raises ScenarioError."""
    from harness.scenario.files import scenario_files
    from harness.scenario.kinds import Kind, kind_of

    folders = [path for path in given if path.is_dir()]
    return [
        file
        for file in scenario_files(given)
        if not any(folder in file.parents for folder in folders) or kind_of(file) is Kind.load
    ]


def checked_data(data: str) -> str:
    """What ``--data`` says. Raises DataError."""
    from harness.errors import DataError, did_you_mean
    from harness.load.data import KEPT
    from harness.load.written import DATA

    known = (*DATA, KEPT)
    if data and data not in known:
        raise DataError(f"there is no data {data!r}{did_you_mean(data, known)}: {', '.join(known)}")
    return data
