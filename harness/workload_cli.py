"""``harness workload run | show``: transactions at random on real servers, and what their history shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import HarnessError, ScenarioError, ServerUnavailable, StoreError, did_you_mean
from harness.terminal import console as make_console
from harness.terminal import progress, say, short

if TYPE_CHECKING:
    from harness.suite import Suite
    from harness.workloads.model import Declared
    from harness.workloads.perform import Kept, Trial

app = typer.Typer(no_args_is_help=True, help="Random transactions, checked without an expectation: docs/exploring.md.")

Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="the folder where evidence is kept")]
RESULTS = Path("results")
_SLOWEST = 50.0
"""Transactions in a second that a kind's deadline reckons with, if none is said."""


@app.callback()
def _group() -> None:
    """So that ``run`` is a word of it."""


@app.command()
def run(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="KIND|FILE…", help="list-append, rw-register, bank or counter; or files, or folders of them"
        ),
    ],
    on: Annotated[str, typer.Option("--on", metavar="DATABASE", help="of a kind: where; promptsales if not said")] = "",
    level: Annotated[str, typer.Option("--level", help="only at this level; of a kind: the engine's default")] = "",
    units: Annotated[str, typer.Option("--units", help="of a kind: transactions, or commands: each by itself")] = "",
    sessions: Annotated[int | None, typer.Option("--sessions", min=1, max=100, help="free sessions")] = None,
    transactions: Annotated[int | None, typer.Option("--transactions", min=1, help="of all together")] = None,
    keys: Annotated[int | None, typer.Option("--keys", min=1, help="in use at a time: few, and they meet")] = None,
    operations: Annotated[
        int | None, typer.Option("--operations", min=1, max=100, help="of a transaction, at most")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="the same seed, the same transactions")] = None,
    deadline: Annotated[float | None, typer.Option("--deadline", min=0.1, help="seconds for the transactions")] = None,
    match: Annotated[str, typer.Option("--match", "-k", help="of files: only what holds this text in its id")] = "",
    scenario: Annotated[
        Path | None,
        typer.Option(
            "--scenario", metavar="FILE", help="write the first cycle found as a scenario: harness explore FILE"
        ),
    ] = None,
    servers: Annotated[str | None, typer.Option("--servers", help="embedded (default), containers or external")] = None,
    results: Results = RESULTS,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="one line for each")] = False,
) -> None:
    """Run workloads and say what their histories show.

    Exit code 1 if a file's expectation is not met; of a kind: if the level is excluded by what was found.
    """
    from harness.suite import Settings, Suite
    from harness.workloads.perform import trials

    changes = {
        "sessions": sessions,
        "transactions": transactions,
        "keys": keys,
        "seed": seed,
        "deadline": deadline,
        "units": units or None,
    }
    chosen = [_changed(one, changes, operations) for one in _declared(what, on)]
    suite = Suite(Settings(root=Path.cwd(), results=results.resolve(), mode=servers))
    page, failed, interrupted = None, 0, False
    try:
        every = [_at(trial, level) for one in chosen for trial in (_of_kind(one, level, suite) or trials(one, suite))]
        wanted = [trial for trial in every if trial is not None and match in trial.id]
        if not wanted:
            raise ScenarioError(
                f"nothing is run at {level or 'any level'}{f' with {match!r} in its id' if match else ''}"
            )
        with progress("starting servers"):
            suite.servers.prefetch(sorted({trial.logical for trial in wanted if not trial.reason}))
        kept = _perform(suite, wanted, quiet=quiet)
        failed = sum(one is None or one.result.status != "passed" for one in kept)
        interrupted = any(one is not None and one.interrupted for one in kept)
        if scenario is not None:
            _write_scenario(scenario, [one for one in kept if one is not None])
    finally:
        page = suite.finish()
    if page is not None:
        say(make_console(), f"evidence and pictures: {short(page.parent)}   report: {short(page)}")
    if interrupted:
        raise KeyboardInterrupt
    raise typer.Exit(1 if failed else 0)


@app.command()
def show(
    run_: Annotated[str, typer.Argument(metavar="RUN", help="a run's id or folder")] = "latest",
    match: Annotated[str, typer.Option("--match", "-k", help="those whose id holds this text, with their proofs")] = "",
    results: Results = RESULTS,
) -> None:
    """Show the workloads of a run: a table; with -k, what was found and why."""
    from harness.evidence.checker.model import Report
    from harness.evidence.store import find_run
    from harness.report.checked import print_report
    from harness.report.workloads import table
    from harness.workloads.result import CHECK, read_results

    folder = find_run(results, run_)
    found = read_results(folder)
    if not found:
        raise StoreError(f"no workload was run in {short(folder)}")
    shown = [one for one in found if match and match in one.id]
    if match and not shown:
        raise ScenarioError(f"no workload of this run has {match!r} in its id")
    console = make_console()
    if not match:
        console.print(table(found))
    for one in shown:
        file = folder / one.folder / CHECK
        try:
            report = Report.model_validate_json(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
        print_report(console, report)


def _declared(what: Iterable[str], on: str) -> list[Declared]:
    """What is asked for. Raises ScenarioError."""
    from harness.evidence.checker.model import Workload
    from harness.scenario.files import scenario_files
    from harness.scenario.kinds import Kind, kind_of
    from harness.vocabulary import LOGICAL
    from harness.workloads.load import load
    from harness.workloads.model import KINDS, Declared

    if on and on not in LOGICAL:
        raise ScenarioError(f"--on {on}: there is no such database{did_you_mean(on, LOGICAL)}: {', '.join(LOGICAL)}")
    made = []
    for word in what:
        if word in KINDS:
            made.append(Declared(Workload(word), word.replace("-", "_"), logicals=(on or "promptsales",)))
            continue
        if not Path(word).exists() and "/" not in word and not word.endswith((".yaml", ".yml")):
            raise ScenarioError(
                f"{word}: no kind of workload{did_you_mean(word, KINDS)} ({', '.join(KINDS)}), and no file"
            )
        files = scenario_files([Path(word)])
        chosen = files if Path(word).is_file() else [file for file in files if kind_of(file) is Kind.workload]
        if not chosen:
            raise ScenarioError(f"{word}: no file there declares 'workload:'")
        made += [load(file) for file in chosen]
    if on:
        made = [replace(one, logicals=tuple(name for name in one.logicals if name == on)) for one in made]
    return made


def _changed(declared: Declared, changes: Mapping[str, Any], operations: int | None) -> Declared:
    """With what the command line says instead. Raises ScenarioError."""
    from harness.workloads.model import UNITS

    given = {name: value for name, value in changes.items() if value is not None}
    if given.get("units", UNITS[0]) not in UNITS:
        raise ScenarioError(f"--units {given['units']}: {' or '.join(UNITS)}{did_you_mean(given['units'], UNITS)}")
    if operations is not None:
        given["ops"] = (min(declared.ops[0], operations), operations)
    if declared.file is None and "deadline" not in given:
        given["deadline"] = max(declared.deadline, given.get("transactions", 0) / _SLOWEST)
    made = replace(declared, **given)
    if made.kind == "bank" and made.keys < 2:
        raise ScenarioError("--keys: a transfer needs two accounts")
    return made


def _of_kind(declared: Declared, level: str, suite: Suite) -> list[Trial] | None:
    """The trial of a kind, at the level that is asked for, held against what that level promises; None for a file.

    Raises ScenarioError.
    """
    from harness.vocabulary import LEVELS
    from harness.workloads.model import Expected, promised
    from harness.workloads.perform import Trial

    if declared.file is not None:
        return None
    logical = declared.logicals[0]
    engine, stand_in = suite.servers.describe(logical)
    known = LEVELS[engine]
    if level and level not in known:
        raise ScenarioError(f"--level {level}: {engine} has {', '.join(known)}{did_you_mean(level, known)}")
    at = level or known[0]
    promise = promised(engine, at, declared.units)
    return [Trial(declared, logical, engine, stand_in, at, Expected(level=promise) if promise else None)]


def _at(trial: Trial, level: str) -> Trial | None:
    return trial if trial.reason or not level or trial.level == level else None


def _perform(suite: Suite, wanted: Iterable[Trial], *, quiet: bool) -> list[Kept | None]:
    """Run them and show what came of them; None for what could not be run."""
    from harness.report.checked import print_report
    from harness.workloads.perform import perform

    console = make_console()
    made: list[Kept | None] = []
    for trial in wanted:
        if trial.reason:
            say(console, f"- {trial.id}: skipped: {trial.reason}")
            continue
        try:
            with progress(trial.id) as now:
                kept = perform(suite, trial, lambda text, now=now, id=trial.id: now(f"{id}: {text}"))  # type: ignore[misc]
        except ServerUnavailable as error:
            say(console, f"- {trial.id}: skipped: {error}")
            continue
        except StoreError:
            raise
        except HarnessError as error:  # this one cannot be run; the others may
            made.append(None)
            say(console, f"✗ {trial.id}: {error}")
            continue
        made.append(kept)
        result = kept.result
        if not quiet:
            print_report(console, kept.report)
        mark = "✓" if result.status == "passed" else "✗"
        say(
            console,
            f"{mark} {result.id}: {result.shown}; {result.transactions} transactions, {result.per_second:.0f}/s",
        )
        for line in (*result.mismatches, *(f"note: {note}" for note in result.notes)):
            say(console, f"  {line}")
        say(console, f"  {short(kept.path.parent)}")
        if kept.interrupted:
            break
    return made


def _write_scenario(file: Path, kept: Iterable[Kept]) -> None:
    """The first cycle that was found, as a scenario. Raises StoreError."""
    from harness.workloads.perform import scenario_in

    console = make_console()
    made = next(filter(None, map(scenario_in, kept)), None)
    if made is None:
        say(console, "no cycle was found: no scenario was written")
        return
    found, text = made
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{file}: cannot be written: {error.strerror or error}") from None
    say(console, f"{found.name} as a scenario; every interleaving of it: harness explore {short(file)}")
