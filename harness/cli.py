"""The command line: ``harness run | spec | show | report | compare | check | doctor | monitor | up | down | seed …``."""

from __future__ import annotations

import atexit
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harness.ai_log_cli import app as ai_log_app
from harness.compare_cli import compare
from harness.doctor_cli import doctor
from harness.errors import HarnessError, ScenarioError, ServerUnavailable, StoreError
from harness.etl_cli import app as etl_app
from harness.explore_cli import explore
from harness.history_cli import check_history
from harness.kubernetes_cli import app as kubernetes_app
from harness.load_cli import app as load_app
from harness.matrix_cli import matrix
from harness.mcp_cli import app as mcp_app
from harness.migrate_cli import migrate, wait
from harness.monitor_cli import monitor, spelled_out, watch_run
from harness.plans_cli import app as plans_app
from harness.scale_cli import scale
from harness.seed_cli import coherence, seed
from harness.spec_cli import app as spec_app
from harness.sso_cli import app as sso_app
from harness.terminal import console as make_console
from harness.terminal import progress, say, short, tell
from harness.workload_cli import app as workload_app

app = typer.Typer(
    name="harness",
    help="Declare a transaction scenario once, run it on real databases, keep the proof.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(spec_app, name="spec")
app.add_typer(plans_app, name="plans")
app.add_typer(load_app, name="load")
app.add_typer(workload_app, name="workload")
app.add_typer(etl_app, name="etl")
app.add_typer(sso_app, name="sso")
app.add_typer(mcp_app, name="mcp")
app.add_typer(ai_log_app, name="ai-log")
app.add_typer(kubernetes_app, name="kubernetes")

RESULTS = Path("results")
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="the folder where evidence is kept")]
Tx = Annotated[
    list[str] | None,
    typer.Option(
        "--tx", metavar="ssh=HOST", help="a machine that sessions run on; give it once for each: docs/two-pcs.md"
    ),
]
Servers = Annotated[str | None, typer.Option("--servers", help="embedded (default), containers or external")]


def main() -> None:
    """Run the command line. A HarnessError is one line on stderr and its own exit code; never a traceback."""
    code: str | int | None = 0
    try:
        try:
            app(args=spelled_out(sys.argv[1:]))
        except SystemExit as end:
            code = end.code
        except HarnessError as error:
            print(f"harness: {error}", file=sys.stderr)
            code = error.exit_code
        sys.stdout.flush()
    except BrokenPipeError:  # "harness show | head": whoever reads has seen enough, and that is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if code == 130 and (monitor := sys.modules.get("pymongo.synchronous.monitor")):
        # Ctrl-C may have caught a client of MongoDB half made; what its driver does at the end would be a traceback.
        atexit.unregister(getattr(monitor, "_shutdown_resources", print))
    sys.exit(code)


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(help="scenario files, or folders of them")],
    servers: Servers = None,
    results: Results = RESULTS,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a scenario's parameter")
    ] = None,
    match: Annotated[str, typer.Option("--match", "-k", help="only cases whose id holds this text")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="one line for each case")] = False,
    tx: Tx = None,
    monitor_: Annotated[
        str | None,
        typer.Option("--monitor", metavar="[=SECONDS]", help="sample the servers meanwhile, every second or as told"),
    ] = None,
) -> None:
    """Run scenarios, and pairs of plans, and show what happened. Exit code 1 if a verdict is not as expected."""
    from harness.evidence.model import Status
    from harness.plans_cli import run_pairs
    from harness.report.text import case_renderable
    from harness.runner.remote.specs import host_specs
    from harness.scenario.files import scenario_files
    from harness.scenario.kinds import Kind, kind_of
    from harness.suite import Settings, Suite, parameters_of

    console = make_console()
    suite = Suite(
        Settings(
            root=Path.cwd(),
            results=results.resolve(),
            mode=servers,
            parameters=parameters_of(set_ or []),
            hosts=tuple(host_specs(tx or [])),
        )
    )
    failed = ran = 0
    watching = watch_run(suite, monitor_)
    try:
        kinds = {file: kind_of(file) for file in scenario_files(files)}
        pairs = [file for file, kind in kinds.items() if kind is Kind.plans]
        every = [case for file, kind in kinds.items() if kind is Kind.scenario for case in suite.cases(file)]
        chosen = [case for case in every if match in case.id]
        if every and not chosen and not pairs:
            raise ScenarioError(f"no case has {match!r} in its id; the first one is {every[0].id}")
        with progress("starting servers"):
            suite.prefetch(chosen)
        for case in chosen:
            if case.reason:
                say(console, f"- {case.id}: skipped: {case.reason}")
                continue
            try:
                with progress(case.id):
                    result = suite.run(case)
            except ServerUnavailable as error:
                say(console, f"- {case.id}: skipped: {error}")
                continue
            except StoreError:
                raise
            except HarnessError as error:  # this case cannot be run; the others may
                failed += 1
                say(console, f"✗ {case.id}: {error}")
                continue
            ran += 1
            verdict = result.evidence.verdict
            failed += verdict.status is not Status.passed
            if not quiet:
                console.print(case_renderable(result.evidence))
                console.print()
            mark = "✓" if verdict.status is Status.passed else "✗"
            say(console, f"{mark} {case.id}: {verdict.summary}")
        if pairs:
            ran += 1
            failed += run_pairs(suite, pairs, match=match if not chosen else "", quiet=quiet)
        for file in (file for file, kind in kinds.items() if kind is Kind.load):
            say(console, f"- {short(file)}: declares load: 'harness load run', pytest or locust run it: docs/load.md")
        for file in (file for file, kind in kinds.items() if kind is Kind.workload):
            say(console, f"- {short(file)}: declares a workload: 'harness workload run' or pytest run it")
    finally:
        if watching:
            watching.stop()
        page = suite.finish()
    for line in watching.lines(short) if watching else ():
        say(console, line)
    for line in suite.databases.swept:
        say(console, f"dropped what a run that died had left: {line}")
    if page is not None:
        say(console, f"evidence and pictures: {short(page.parent)}   report: {short(page)}")
    if not ran and not failed:
        say(console, "no case was run")
    raise typer.Exit(1 if failed else 0)


class _Check(TyperGroup):
    """``check FILES`` and ``check WORD``: what is no word of it is a file."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["files", *args]
        return super().parse_args(ctx, args)


check_app = typer.Typer(
    cls=_Check, no_args_is_help=True, help="Check scenario files; PromptSales's data; or histories of transactions."
)
app.add_typer(check_app, name="check")
check_app.command()(coherence)
check_app.command(name="history")(check_history)


@check_app.command(name="files")
def check_files(files: Annotated[list[Path], typer.Argument(help="scenario files, or folders of them")]) -> None:
    """Check scenario files, and those of plans, load and workloads, without running them."""
    from harness.load.plan import read_load
    from harness.plans.load import load as read_pairs
    from harness.scenario.files import SPEC, read_scenario, scenario_files
    from harness.scenario.kinds import Kind, kind_of
    from harness.workloads.load import load as read_workload

    wrong = 0
    for file in scenario_files(files):
        try:
            if (kind := kind_of(file)) is Kind.plans:
                print(f"{file}: {', '.join(pair.name for pair in read_pairs(file))}")
                continue
            if kind is Kind.load:
                print(f"{file}: {read_load(file).written.title}")
                continue
            if kind is Kind.workload:
                print(f"{file}: {read_workload(file).title}")
                continue
            scenario = read_scenario(file)
            for step in scenario.unused_steps if file.suffix == SPEC else ():
                tell(f"warning: {file}: step {step!r} is used in no permutation", error=True)
            print(f"{file}: {scenario.title}")
        except ScenarioError as error:
            wrong += 1
            print(error, file=sys.stderr)
    raise typer.Exit(2 if wrong else 0)


@app.command()
def show(
    run_: Annotated[str, typer.Argument(metavar="RUN", help="a run's id or folder")] = "latest",
    case: Annotated[str, typer.Option("--case", "-k", help="the cases whose id holds this text, in full")] = "",
    results: Results = RESULTS,
) -> None:
    """Show a run in the terminal: a table of its cases; with --case, everything about those."""
    from harness.evidence.store import find_run, read_run
    from harness.report.text import case_renderable, run_renderable
    from harness.report.workloads import table
    from harness.workloads.result import read_results

    console = make_console()
    folder = find_run(results, run_)
    run, evidences = read_run(folder, permutations=bool(case))
    matching = [one for one in evidences if case and case in one.history.case]
    if case and not matching:
        raise ScenarioError(f"no case of this run has {case!r} in its id")
    if not case:
        console.print(run_renderable(run, evidences))
        if workloads := read_results(folder):
            console.print(table(workloads))
    for evidence in matching or (evidences if len(run.get("cases", evidences)) == 1 else []):
        console.print(case_renderable(evidence))


@app.command()
def report(
    run_: Annotated[str, typer.Argument(metavar="RUN")] = "latest",
    results: Results = RESULTS,
    pictures: Annotated[
        bool,
        typer.Option("--pictures", help="draw timeline.svg and waits.svg of each permutation of a specification, too"),
    ] = False,
) -> None:
    """Draw a run's report again from what is stored, and say where it is."""
    from harness.evidence.store import Store, find_run, read_run
    from harness.report.specifications import draw_missing, drawn
    from harness.report.whole import whole_report

    folder = find_run(results, run_)
    with progress("reading the evidence") as now:
        run, evidences = read_run(folder, permutations=False)
        if pictures:
            draw_missing(folder, run, now)
        html = whole_report(folder, run, evidences, drawn(folder, run))
        page = Store(folder.parent, folder.name).write("report.html", html)
    print(page)


app.command()(explore)
app.command()(compare)
app.command()(matrix)
app.command()(scale)
app.command()(doctor)
app.command()(monitor)


# -- servers that stay


@app.command()
def up(
    databases: Annotated[
        list[str] | None, typer.Argument(help="promptsales, promptads, …; all if none is named")
    ] = None,
    servers: Servers = None,
    listen: Annotated[
        list[str] | None,
        typer.Option("--listen", metavar="ADDRESS", help="an address of this machine where other machines reach them"),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="CLIENT", help="an address or network that may connect there"),
    ] = None,
) -> None:
    """Start servers and keep them running between commands; prints their URLs. Later commands and pytest use them."""
    from harness.servers import resolve_mode
    from harness.servers.kept import up as start
    from harness.vocabulary import LOGICAL

    mode = resolve_mode(servers, os.environ)
    with progress("starting servers") as say:
        kept = start(
            Path.cwd(),
            logicals=databases or LOGICAL,
            mode=mode,
            progress=say,
            listen=listen or (),
            allow=allow or (),
        )
    _print_kept(kept, with_urls=True)
    raise typer.Exit(0 if all(entry.target for entry in kept) else 3)


@app.command()
def down() -> None:
    """Stop the servers that 'harness up' keeps, and remove their data."""
    from harness.servers.kept import down as stop

    with progress("stopping servers") as say:
        stopped = stop(Path.cwd(), progress=say)
    print("\n".join(f"{name}: stopped" for name in stopped) or "nothing was up")


@app.command()
def status() -> None:
    """Say which servers are kept, and where."""
    from harness.servers.kept import status as ask

    _print_kept(ask(Path.cwd()), with_urls=True)


def _print_kept(kept: list[Any], *, with_urls: bool) -> None:
    for entry in kept:
        if entry.target is None:
            print(f"{entry.logical:14} {entry.problem}")
        else:
            stand_in = f"  (a stand-in for {entry.target.stand_in})" if entry.target.stand_in else ""
            others = f"  (from other machines: {', '.join(entry.target.addresses)})" if entry.target.addresses else ""
            print(f"{entry.logical:14} {entry.target.url if with_urls else entry.target.public}{stand_in}{others}")


app.command()(migrate)
app.command()(wait)
app.command()(seed)


# -- schemas


@app.command()
def schema(
    what: Annotated[str, typer.Argument(help="scenario, plans, load, workload or evidence")] = "scenario",
) -> None:
    """Print a JSON Schema: of scenario files, of files of plans, load or workloads, for editors, or of evidence.json."""
    from harness.evidence.store import schema as evidence_schema
    from harness.load.written import schema as load_schema
    from harness.plans.written import schema as plans_schema
    from harness.scenario.written import schema as scenario_schema
    from harness.workloads.model import schema as workload_schema

    schemas = {
        "scenario": scenario_schema,
        "plans": plans_schema,
        "load": load_schema,
        "workload": workload_schema,
        "evidence": evidence_schema,
    }
    if what not in schemas:
        raise ScenarioError(f"there is no schema of {what!r}: {', '.join(schemas)}")
    print(json.dumps(schemas[what](), indent=2))


if __name__ == "__main__":
    main()
