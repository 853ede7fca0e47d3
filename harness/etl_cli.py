"""``harness etl setup | run | serve | log | state``: the visual ETL from the command line; see docs/etl.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import EtlError, ServerUnavailable, did_you_mean
from harness.servers.base import Target
from harness.terminal import console as make_console
from harness.terminal import progress, say, short, tell

if TYPE_CHECKING:
    from harness.etl.hop import Hop
    from harness.etl.log import Log
    from harness.etl.run import Launched
    from harness.suite import Suite

app = typer.Typer(no_args_is_help=True, help="PromptSales's visual ETL, by Apache Hop; see docs/etl.md.")

QUIET = 2.0
"""Seconds before progress is shown."""

EARLIER = 30
"""Rounds of before that a report shows beside the one that was run."""

Servers = Annotated[str | None, typer.Option("--servers", help="external: only the databases that URLs are given for")]
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="the folder where results are kept")]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of tables")]


@app.command()
def setup() -> None:
    """Find Apache Hop, or bring it: 50 MB from Maven Central into the cache folder. Says where it is."""
    print(_hop())


@app.command()
def run(
    whole: Annotated[
        list[str] | None,
        typer.Option("--whole", metavar="SOURCE", help="forget how far it has come: read all of it; may be repeated"),
    ] = None,
    servers: Servers = None,
    results: Results = Path("results"),
) -> None:
    """Run one round on the servers that are up: what changed since the last one. Exit code 1 if a source failed."""
    from harness.etl.ending import sigterm_ends
    from harness.etl.text import round_line, round_table
    from harness.load.keep import open_suite
    from harness.suite import new_run_id

    wanted = _sources(whole or [])
    targets, missing = _targets(servers)
    with _log(targets, missing) as log:  # before anything is fetched: is there something to run it on?
        log.last_number()
        for source in wanted:
            log.forget(source)
    hop = _hop()
    console = make_console()
    with _ends_by_signals(), sigterm_ends():
        launched = _launch(targets, missing, hop)
    for note in launched.notes:
        say(console, note)
    console.print(round_table(launched.round))
    say(console, round_line(launched.round))
    if not launched.round.succeeded and launched.log is not None:
        say(console, f"all that Hop said: {launched.log}")
    suite = open_suite(results, new_run_id())
    try:
        _keep(suite, targets, launched)
    finally:
        page = suite.finish()
    if page is not None:
        say(console, f"results: {short(page.parent)}   report: {short(page)}")
    raise typer.Exit(0 if launched.round.succeeded else 1)


@app.command()
def serve(
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="between two rounds: 90s, 11m, 1h")] = "11m",
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, help="end after so many")] = None,
    servers: Servers = None,
) -> None:
    """Run a round every eleven minutes, until Ctrl-C or SIGTERM: on a fixed grid, a missed one at once, a line for each."""
    from harness.etl.ending import said_by, sigterm_ends
    from harness.etl.serve import Serving, period
    from harness.etl.text import round_line

    seconds = period(every)
    hop = _hop()
    found: dict[str, Target] = {}
    missing: dict[str, str] = {}
    said: set[str] = set()

    def where() -> str:
        nonlocal found, missing
        found, missing = _targets(servers)  # anew each time: servers may have been started again
        return _promptsales(found, missing).url

    def told(launched: Launched) -> None:
        for note in launched.notes:
            if note not in said:
                tell(note)
        said.update(launched.notes)
        tell(round_line(launched.round))

    serving = Serving(where, lambda: _launch(found, missing, hop), told, tell, seconds)
    try:
        with sigterm_ends():
            tell(f"a round every {_spoken(seconds)}; Ctrl-C ends it")
            failed = serving.rounds(rounds)
    except KeyboardInterrupt as interrupt:
        tell(f"ended by {said_by(interrupt)}")
        raise typer.Exit(0) from None
    raise typer.Exit(1 if failed else 0)


@app.command()
def log(
    last: Annotated[int, typer.Option("--last", "-n", min=1, help="so many rounds")] = 10,
    round_: Annotated[int | None, typer.Option("--round", help="this one, in full")] = None,
    as_json: Json = False,
    servers: Servers = None,
) -> None:
    """Show the last rounds: what each moved, how long it took, what failed."""
    from harness.etl.text import as_json as plain
    from harness.etl.text import failures, round_line, round_table, rounds_table

    console = make_console()
    with _log(*_targets(servers)) as found:
        rounds = [found.round(round_)] if round_ is not None else found.rounds(last)
        if as_json:
            print(json.dumps(plain(rounds, found.states(), found.quarantine()), indent=2, ensure_ascii=False))
            return
    if not rounds:
        say(console, "no round was run yet: 'harness etl run' runs one")
    elif round_ is not None:
        console.print(round_table(rounds[0]))
        say(console, round_line(rounds[0]))
    else:
        console.print(rounds_table(rounds))
        for one in rounds:
            if why := failures(one):
                say(console, f"round {one.number}: {why}")


@app.command()
def state(as_json: Json = False, servers: Servers = None) -> None:
    """Show how far each source has come, and what is in quarantine. Exit code 1 if a source's last run failed."""
    from harness.etl.text import as_json as plain
    from harness.etl.text import quarantine_table, states_table

    console = make_console()
    with _log(*_targets(servers)) as found:
        states, quarantine = found.states(), found.quarantine()
    if as_json:
        print(json.dumps(plain([], states, quarantine), indent=2, ensure_ascii=False))
    elif not states:
        say(console, "no round was run yet: 'harness etl run' runs one")
    else:
        console.print(states_table(states))
        if quarantine:
            console.print()
            console.print(quarantine_table(quarantine))
        else:
            say(console, "nothing is in quarantine")
    raise typer.Exit(1 if any(one.last_status == "failed" for one in states) else 0)


@app.command()
def variables(
    file: Annotated[Path, typer.Argument(help="is written, for its owner only: passwords are in it")],
    servers: Servers = None,
) -> None:
    """Write Hop's variables of the servers that are up into a file: an environment for Hop's editor, or Kubernetes."""
    from harness.etl.connections import variables as values_of
    from harness.servers.runfolder import write_private

    targets, missing = _targets(servers)
    if missing:
        raise ServerUnavailable("; ".join(f"{name}: {why}" for name, why in missing.items()))
    said = [{"name": name, "value": value, "description": ""} for name, value in values_of(targets).items()]
    try:
        write_private(file, json.dumps({"variables": said}, indent=1) + "\n")
    except OSError as error:
        raise EtlError(f"{file} cannot be written: {error.strerror or error}") from None
    print(f"{file}: Hop's variables, with passwords: keep it to yourself")


# -- what they share


def _launch(targets: Mapping[str, Target], missing: Mapping[str, str], hop: Hop) -> Launched:
    from harness.etl.run import run as run_round

    with progress("the ETL", QUIET) as now:
        return run_round(targets, hop, missing=missing, on_text=now)


def _keep(suite: Suite, targets: Mapping[str, Target], launched: Launched) -> None:
    """The round, the ones before it, and what is in quarantine, into the run's results."""
    from harness.etl.keep import keep
    from harness.etl.kept import record
    from harness.etl.log import open_log

    number = launched.round.number
    sales = targets["promptsales"]
    with open_log(sales.url) as found:
        rounds = found.rounds(EARLIER + 1, upto=number)
        quarantine = found.quarantine()
    kept = record(
        f"round-{number}",
        rounds,
        quarantine,
        title=f"Round {number}",
        database=sales.label,
        sources=[target.label for name, target in targets.items() if name != "promptsales"],
        status="passed" if launched.round.succeeded else "failed",
        own=[number],
        notes=launched.notes,
    )
    keep(suite, kept)


def _targets(servers: str | None) -> tuple[dict[str, Target], dict[str, str]]:
    from harness.etl.model import SOURCES
    from harness.seed_cli import targets_of

    return targets_of(("promptsales", *SOURCES), servers)


def _promptsales(targets: Mapping[str, Target], missing: Mapping[str, str]) -> Target:
    if "promptsales" not in targets:
        raise ServerUnavailable(f"promptsales: {missing['promptsales']}, or give its URL")
    return targets["promptsales"]


@contextmanager
def _log(targets: Mapping[str, Target], missing: Mapping[str, str]) -> Iterator[Log]:
    from harness.etl.log import open_log

    with open_log(_promptsales(targets, missing).url) as found:
        yield found


def _sources(names: list[str]) -> list[str]:
    from harness.etl.model import SOURCES
    from harness.etl.serve import WrongOption

    for name in names:
        if name not in SOURCES:
            raise WrongOption(f"there is no source {name!r}{did_you_mean(name, SOURCES)}: {', '.join(SOURCES)}")
    return list(dict.fromkeys(names))


def _hop() -> Hop:
    """Hop, fetched if it is not here. Raises EtlError."""
    from harness.etl.hop import find
    from harness.etl.hop import setup as bring

    if found := find():
        return found
    with progress("Apache Hop", QUIET) as now:
        return bring(lambda done, total: now(f"Apache Hop: {done / 1e6:.0f} of {total / 1e6:.0f} MB"))


@contextmanager
def _ends_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM: one line, and the exit code that shells know them by."""
    from harness.etl.ending import Terminated, said_by

    try:
        yield
    except KeyboardInterrupt as interrupt:
        tell(f"harness: ended by {said_by(interrupt)}: what was not merged yet is as it was before", error=True)
        raise typer.Exit(143 if isinstance(interrupt, Terminated) else 130) from None


def _spoken(seconds: float) -> str:
    if seconds >= 60 and seconds % 60 == 0:
        return f"{seconds / 60:g} minutes"
    return f"{seconds:g} seconds"
