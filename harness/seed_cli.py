"""PromptSales's data: ``harness seed`` fills the databases, ``harness check coherence`` compares them."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import DataError, ServerUnavailable, did_you_mean
from harness.servers.base import Target
from harness.terminal import console, say
from harness.vocabulary import LOGICAL

if TYPE_CHECKING:
    from fixtures.seed.run import Listener, Place, Summary
    from fixtures.seed.work import Done, Job

QUIET = 2.0
"""Seconds before progress is shown."""

Servers = Annotated[str | None, typer.Option("--servers", help="external: only the databases that URLs are given for")]
Only = Annotated[
    str, typer.Option("--only", metavar="NAME,…", help="these databases; all that are up if none is named")
]


def seed(
    size: Annotated[str, typer.Argument(help="tiny, small, medium or full")] = "full",
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="processes that generate and write side by side")
    ] = 2,
    only: Only = "",
    clients: Annotated[int | None, typer.Option("--clients", help="instead of the size's number")] = None,
    campaigns: Annotated[int | None, typer.Option("--campaigns", help="instead of the size's number")] = None,
    contents: Annotated[int | None, typer.Option("--contents", help="instead of the size's number")] = None,
    number: Annotated[
        int, typer.Option("--seed", help="another seed gives other data, the same one the same bytes")
    ] = 1,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="the day that the data ends on")
    ] = None,
    peak_month: Annotated[
        int | None, typer.Option("--peak-month", help="the busy month besides December and January, 2 to 11")
    ] = None,
    parts: Annotated[
        int | None, typer.Option("--parts", min=1, help="make the clients in so many parts, of which this is one")
    ] = None,
    part: Annotated[
        int | None,
        typer.Option(
            "--part", min=0, envvar="JOB_COMPLETION_INDEX", help="which one, from 0: as an indexed Job counts"
        ),
    ] = None,
    range_: Annotated[
        str, typer.Option("--range", metavar="FIRST:LAST", help="only these clients (with --only promptads: campaigns)")
    ] = "",
    finish: Annotated[
        bool | None,
        typer.Option("--finish/--no-finish", help="write the sums by month (default: unless --range is given)"),
    ] = None,
    finish_only: Annotated[bool, typer.Option("--finish-only", help="write nothing else")] = False,
    sources: Annotated[
        bool,
        typer.Option("--sources", help="fill what the ETL reads from, and leave to it what it brings to PromptSales"),
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="empty the tables first, whoever has filled them")] = False,
    servers: Servers = None,
) -> None:
    """Fill PromptSales's databases on the servers that are up. Killed in the middle, the same again goes on from there."""
    from fixtures.seed import plan_of
    from fixtures.seed.run import check_range, part_of
    from fixtures.seed.run import seed as fill
    from harness.migrating.migrate import apply_schema

    begin = time.monotonic()
    day: date | None = as_of.date() if as_of else None
    plan = plan_of(
        size, clients=clients, campaigns=campaigns, contents=contents, seed=number, as_of=day, peak_month=peak_month
    )
    within = _range(range_)
    if parts is None and part is not None:
        raise DataError(f"part {part} (--part, or JOB_COMPLETION_INDEX in the environment) of how many? give --parts")
    if parts is not None:
        if within:
            raise DataError("a range of ids, or a part of so many: give --range or --parts, not both")
        if part is None:
            raise DataError(
                "--parts says of how many, --part which one: 0, 1, … (or JOB_COMPLETION_INDEX in the environment)"
            )
        if "promptads" in names_of(only):
            raise DataError("--parts are parts of the clients: of campaigns, promptads is given a --range")
        within = part_of(plan, parts, part)
        if within is None:
            say(console(), f"part {part} of {parts}: there are not so many families of clients, nothing is left for it")
            return
    wanted = names_of(only) or (("promptcrm", "promptsales") if within else LOGICAL)
    check_range(plan, within, wanted)
    if sources and (finish or finish_only):
        raise DataError(
            "--sources leaves the sums by month to the ETL: give neither --finish nor --finish-only with it"
        )
    where = console()
    places = _places(wanted, servers, strict=bool(only or within))
    use_certificate("promptcrm" in places, make=True)
    for logical, place in places.items():
        apply_schema(logical, place)
    with _progress() as listen:
        summary = fill(
            places,
            plan,
            workers=workers,
            within=within,
            replace=replace,
            fill=not finish_only,
            finish=finish_only or (finish if finish is not None else within is None),
            sources=sources,
            listen=listen,
        )
    for line in _lines(summary, time.monotonic() - begin):
        say(where, line)
    if sources and "promptsales" in places:
        say(where, "campaigns, contents, clients and sums come into promptsales with 'harness etl run'")


def coherence(
    only: Only = "",
    servers: Servers = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Compare the databases with each other. Exit code 1 if something does not agree."""
    from harness.promptsales.coherence import check, report_json, report_table

    targets, missing = targets_of(names_of(only) or LOGICAL, servers)
    if not targets:
        raise ServerUnavailable("no database is up: start them with 'harness up', or give their URLs")
    use_certificate("promptcrm" in targets, make=False)
    report = check({name: (target.engine, target.url) for name, target in targets.items()}, missing)
    if as_json:
        print(json.dumps(report_json(report), indent=2, ensure_ascii=False))
    else:
        console().print(report_table(report))
        for line in report.left_out:
            say(console(), line)
    raise typer.Exit(0 if report.coherent else 1)


def targets_of(logicals: Sequence[str], mode: str | None) -> tuple[dict[str, Target], dict[str, str]]:
    """Of these databases, where they are that are up (kept, or given by a URL); and why the others are not."""
    from harness.servers import kept, resolve_mode
    from harness.servers.external import ExternalServers

    given = ExternalServers(os.environ)
    external = resolve_mode(mode, os.environ) == "external"
    standing = {} if external else kept.find(Path.cwd())
    found: dict[str, Target] = {}
    missing: dict[str, str] = {}
    for logical in logicals:
        if logical in given.urls:
            found[logical] = given.target(logical)
        elif logical in standing:
            found[logical] = standing[logical]
        else:
            missing[logical] = "no URL given" if external else "not up: start it with 'harness up'"
    return found, missing


def _places(logicals: Sequence[str], mode: str | None, *, strict: bool) -> dict[str, Place]:
    from fixtures.seed.run import Place
    from harness.runner.databases import data_url

    found, missing = targets_of(logicals, mode)
    if not found or (strict and missing):
        what = ", ".join(missing)
        raise ServerUnavailable(f"{what}: not up: start the servers with 'harness up', or give their URLs")
    for logical, reason in missing.items():
        say(console(), f"{logical}: left out, {reason}")
    return {logical: Place(target.engine, data_url(target)) for logical, target in found.items()}


def use_certificate(wanted: bool, *, make: bool) -> None:
    """Where the environment names none: the certificate for development of the servers that ``harness up`` keeps here."""
    from harness.promptsales.cipher import development_certificate
    from harness.promptsales.cipher_certificate import CERTIFICATE
    from harness.servers import kept

    if wanted and not os.environ.get(CERTIFICATE) and "promptcrm" in kept.find(Path.cwd()):
        os.environ.update(development_certificate(Path.cwd() / kept.FOLDER, make=make))


def names_of(only: str) -> tuple[str, ...]:
    """The databases that ``--only`` names. Raises DataError."""
    names = tuple(dict.fromkeys(name.strip() for name in only.split(",") if name.strip()))
    for name in names:
        if name not in LOGICAL:
            raise DataError(f"there is no database {name!r}{did_you_mean(name, LOGICAL)}: {', '.join(LOGICAL)}")
    return names


def _range(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"([\d_]+):([\d_]+)", text.strip())
    try:
        if match:
            return int(match[1]), int(match[2])
    except ValueError:
        pass
    raise DataError(f"{text!r} is no range of ids: FIRST:LAST, for example 1:100_000")


# -- what is told meanwhile, and at the end


@contextmanager
def _progress() -> Iterator[Listener]:
    """Bars on a terminal, lines in a pipe; nothing in the first seconds."""
    import rich.console

    where = rich.console.Console(stderr=True)
    counts = _Counts()
    begin = time.monotonic()
    if not where.is_terminal:
        told: dict[str, int] = {}

        def listen(job: Job, done: Done | None) -> None:
            counts.hear(job, done)
            tenth = counts.percent(job.logical) // 10
            if done and time.monotonic() - begin > QUIET and tenth > told.get(job.logical, 0):
                told[job.logical] = tenth
                where.print(f"{job.logical}: {tenth * 10} %", highlight=False)

        yield listen
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:14}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bars = Progress(*columns, console=where)
    tasks: dict[str, object] = {}

    def show(job: Job, done: Done | None) -> None:
        counts.hear(job, done)
        if not done or time.monotonic() - begin < QUIET:
            return
        if not tasks:
            bars.start()
        for logical, planned in counts.planned.items():
            if logical not in tasks:
                tasks[logical] = bars.add_task(logical, total=planned)
            bars.update(tasks[logical], completed=counts.done.get(logical, 0))  # type: ignore[arg-type]

    try:
        yield show
    finally:
        if tasks:
            bars.stop()


class _Counts:
    """Ids planned and done, by database."""

    def __init__(self) -> None:
        self.planned: dict[str, int] = {}
        self.done: dict[str, int] = {}

    def hear(self, job: Job, done: Done | None) -> None:
        """What the runner tells."""
        count = self.planned if done is None else self.done
        count[job.logical] = count.get(job.logical, 0) + job.last - job.first + 1

    def percent(self, logical: str) -> int:
        """How far a database is."""
        return 100 * self.done.get(logical, 0) // max(self.planned.get(logical, 0), 1)


def _lines(summary: Summary, seconds: float) -> Iterator[str]:
    """A line for each table, and one for all."""
    total = 0
    yield from summary.notes
    for logical, tables in summary.rows.items():
        took: Mapping[str, float] = summary.spent[logical].tables
        for table, count in tables.items():
            total += count
            rate = f"{count / took[table]:>11,.0f} rows/s" if took.get(table) else ""
            yield f"{logical:14} {table:16} {count:>12,}{rate}"
    if not total:
        yield "everything was there already"
        return
    phases = [
        (name, sum(getattr(spent, name) for spent in summary.spent.values()))
        for name in ("generate", "encrypt", "encode", "send")
    ]
    yield f"{total:,} rows in {seconds:.1f} s ({total / max(seconds, 0.001):,.0f} rows/s)"
    yield "time of all processes: " + ", ".join(f"{name} {spent:.1f} s" for name, spent in phases)
    if peak := max(summary.peaks.values(), default=0):
        yield f"memory: at most {peak / 1e6:,.0f} MB in one process ({len(summary.peaks)} processes)"
