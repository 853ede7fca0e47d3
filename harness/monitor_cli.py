"""``harness monitor``: samples servers that are up, and shows what they do: a live table on a terminal, lines in a pipe."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import ScenarioError, ServerError, ServerUnavailable, did_you_mean
from harness.terminal import console, say, short
from harness.vocabulary import LOGICAL

if TYPE_CHECKING:
    from rich.table import Table

    from harness.monitor.running import RunMonitor
    from harness.suite import Suite

SHOWN = ("active", "waiting", "idle", "locks_waiting", "deadlocks", "transactions", "cache_hit", "cpu")
"""What a live table has room for; the first six, and what else there is, in a pipe."""

_HEADS = {"locks_waiting": "locks waited for", "transactions": "tx, ops/s", "cache_hit": "hit %"}
_INSTEAD = {"transactions": ("operations", "commands")}
"""What is shown where there are no transactions to speak of."""

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def monitor(
    databases: Annotated[
        list[str] | None, typer.Argument(help="promptsales, promptads, …; all that are up if none is named")
    ] = None,
    interval: Annotated[float, typer.Option("--interval", metavar="SECONDS", help="between two samples")] = 1.0,
    for_: Annotated[str, typer.Option("--for", metavar="TIME", help="30s, 5m; until Ctrl-C if it is not given")] = "",
    prometheus: Annotated[
        str, typer.Option("--prometheus", metavar="[ADDRESS:]PORT", help="show the samples to Prometheus; on loopback")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="keep the samples below results/")] = False,
    results: Annotated[Path, typer.Option("--results", metavar="DIR", help="the folder for --keep")] = Path("results"),
    servers: Annotated[
        str | None, typer.Option("--servers", help="external: only the databases that URLs are given for")
    ] = None,
) -> None:
    """Watch the servers that 'harness up' keeps, or that URLs are given for: sessions, locks, rates, waits, processors."""
    from harness.monitor.monitor import Monitor
    from harness.monitor.running import LEAST, MOST
    from harness.monitor.series import FOLDER
    from harness.seed_cli import targets_of
    from harness.suite import new_run_id

    if not LEAST <= interval <= MOST:
        raise ScenarioError(f"--interval {interval:g}: seconds between two samples are {LEAST} to {MOST}")
    seconds = _duration(for_)
    names = _names(databases or [])
    targets, missing = targets_of(names or LOGICAL, servers)
    if not targets or (names and missing):
        raise ServerUnavailable(
            "; ".join(f"{name}: {why}" for name, why in missing.items())
            if names
            else "no database is up: start them with 'harness up', or give their URLs"
        )
    run = new_run_id()
    folder = results.resolve() / run if keep else None
    watching = Monitor(targets, folder, interval, run=run, prometheus=prometheus, tell=True)
    watching.start()
    where = console()
    if watching.url:
        say(where, f"for Prometheus: {watching.url}")
    try:
        with _showing(where) as show:
            _follow(watching.rows(), show, interval, time.monotonic() + seconds if seconds else None)
    except KeyboardInterrupt:
        pass  # the way to end it
    summary = watching.stop()
    if summary.problem:
        raise ServerError(summary.problem)
    for note in summary.notes:
        say(where, f"note: {note}")
    say(where, f"monitor: {summary.line}")
    if folder:
        say(where, f"kept in {short(folder / FOLDER)}")


def _follow(rows: Iterator[Mapping[str, Any]], show: Any, interval: float, until: float | None) -> None:
    """Show what comes, all servers of one moment together, until the time is over."""
    newest: dict[str, Mapping[str, Any]] = {}
    fresh: set[str] = set()
    for row in rows:
        if row["name"] in fresh:  # it begins a new turn: whoever is late is shown as it was
            show(newest)
            fresh.clear()
        newest[row["name"]] = row
        fresh.add(row["name"])
        if until is not None and time.monotonic() > until:
            break
    if fresh:
        show(newest)


@contextmanager
def _showing(where: Any) -> Iterator[Any]:
    if not sys.stdout.isatty():
        told: dict[str, float] = {}

        def lines(newest: Mapping[str, Mapping[str, Any]]) -> None:
            for row in newest.values():
                if told.get(row["name"]) != row["at"]:
                    told[row["name"]] = row["at"]
                    say(where, line(row))
            sys.stdout.flush()

        yield lines
        return
    from rich.live import Live

    with Live(console=where, auto_refresh=False, transient=False) as live:
        yield lambda newest: live.update(table(newest), refresh=True)


def line(row: Mapping[str, Any]) -> str:
    """A row as one line of a pipe: ``18:00:01 promptsales@postgresql active=3 … waits: Lock:transactionid 2``."""
    told = [time.strftime("%H:%M:%S", time.localtime(row["at"])), row["label"].replace(", ", "+")]
    values = {name: value for name, value in row["values"].items() if value is not None}
    told += [f"{name}={value:.4g}" for name, value in values.items()] or ["no answer"]
    if waits := _waits(row):
        told.append(f"waits: {waits}")
    return " ".join(told)


def table(newest: Mapping[str, Mapping[str, Any]]) -> Table:
    """The newest row of each server as a table, the machine's last."""
    from rich.table import Table

    made = Table(box=None, header_style="bold", pad_edge=False)
    made.add_column("database", no_wrap=True)
    for name in SHOWN:
        made.add_column(
            {"locks_waiting": "locks waited for", "transactions": "tx, ops/s", "cache_hit": "hit %"}.get(name, name),
            justify="right",
        )
    made.add_column("waits", overflow="fold")
    for row in sorted(newest.values(), key=lambda one: (*LOGICAL, "host").index(one["name"])):
        values = row["values"]
        cells = []
        for name in SHOWN:
            value = values.get(name)
            for other in _INSTEAD.get(name, ()):
                value = values[other] if values.get(other) is not None else value
            cells.append("" if value is None else f"{value:,.0f}" + (" %" if name == "cpu" else ""))
        answered = any(value is not None for value in values.values())
        if values.get("waiting"):
            cells[SHOWN.index("waiting")] = f"[bold red]{cells[SHOWN.index('waiting')]}[/]"
        made.add_row(row["label"].replace(", ", "\n"), *cells, _waits(row) if answered else "[red]no answer[/]")
    return made


def _waits(row: Mapping[str, Any]) -> str:
    waits = sorted(row["waits"].items(), key=lambda item: -item[1])
    return ", ".join(f"{wait} {sessions:.3g}" for wait, sessions in waits[:3])


def _duration(text: str) -> float:
    """``30s``, ``5m``, ``1h`` or a number of seconds; 0 if there is none. Raises ScenarioError."""
    if not text:
        return 0.0
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|m|min|h)?", text.strip())
    if not found or not float(found[1]):
        raise ScenarioError(f"--for {text}: write how long, as 30s, 5m or 1h")
    return float(found[1]) * _UNITS[found[2] or "s"]


def _names(given: list[str]) -> list[str]:
    for name in given:
        if name not in LOGICAL:
            raise ScenarioError(f"there is no database {name!r}{did_you_mean(name, LOGICAL)}: {', '.join(LOGICAL)}")
    return given


def watch_run(suite: Suite, seconds: str | None) -> RunMonitor | None:
    """The monitor of ``harness run --monitor``, if one is wanted. Raises ScenarioError."""
    if seconds is None:
        return None
    from harness.monitor.running import RunMonitor, seconds_of

    try:
        interval = seconds_of(seconds)
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    made = RunMonitor(suite.servers, suite.store.folder, suite.settings.run_id, interval, open_folder=suite.store.open)
    made.begin()
    return made


def spelled_out(arguments: list[str]) -> list[str]:
    """``--monitor`` without a number as ``--monitor=1``: what follows is a file then, not its value.

    >>> spelled_out(["run", "--monitor", "scenarios", "-q"]), spelled_out(["run", "--monitor", "0.5", "x"])
    (['run', '--monitor=1', 'scenarios', '-q'], ['run', '--monitor', '0.5', 'x'])
    """
    made = []
    for place, word in enumerate(arguments):
        following = arguments[place + 1] if place + 1 < len(arguments) else ""
        bare = word == "--monitor" and not re.fullmatch(r"\d*\.?\d+", following)
        made.append("--monitor=1" if bare else word)
    return made
