"""``harness ai-log check | export | add | verify | show``: the log of what artificial intelligence was used for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import DataError, ServerUnavailable
from harness.terminal import console as make_console
from harness.terminal import progress, say, tell

if TYPE_CHECKING:
    from harness.ai_log.read import Reader

app = typer.Typer(no_args_is_help=True, help="The AI log: what the MCP servers were asked, and docs/AI_LOG.md.")

PAGE = Path("docs/AI_LOG.md")
QUIET = 2.0
"""Seconds before progress is shown."""

Servers = Annotated[str | None, typer.Option("--servers", help="external: only the databases that URLs are given for")]
Page = Annotated[Path, typer.Argument(help="the page")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="UTC, this day included")]


@app.command()
def check(
    file: Page = PAGE,
    offline: Annotated[
        bool, typer.Option("--offline", help="do not ask PromptSales whether the export is its log")
    ] = False,
    servers: Servers = None,
) -> None:
    """Check the page, and, where PromptSales is up, its chain and that the page agrees with it. Exit code 1 if not."""
    from harness.ai_log.check import anchor_in, check_against, check_page
    from harness.ai_log.verify import verify as walk

    console = make_console()
    problems = [str(one) for one in check_page(file)]
    asked = "the log itself was not asked"
    if not offline and (url := _url(servers)) is not None and not problems:
        with _reader(url) as reader, progress("the AI log", QUIET) as now:
            verdict = walk(reader, heard=lambda entries: now(f"the AI log: entry {entries:,}"))
            problems += [f"promptsales: {one}" for one in verdict.problems]
            problems += [str(one) for one in check_against(file, reader)]
            anchor = anchor_in(file)
            behind = verdict.entries - (anchor.number if anchor else 0)
            asked = f"the log's {verdict.entries:,} entries follow one another" + (
                f", {behind:,} of them are not exported yet" if behind else ""
            )
    for one in problems:
        say(console, one)
    if problems:
        raise typer.Exit(1)
    say(console, f"✓ {file}: {asked}")


@app.command()
def export(
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="into this page; without: to stdout")
    ] = None,
    since: Day = None,
    until: Day = None,
    name: Annotated[str | None, typer.Option("--name", help="only calls of this person")] = None,
    server: Annotated[str | None, typer.Option("--server", help="only calls of this MCP server: promptads, …")] = None,
    new_log: Annotated[
        bool, typer.Option("--new-log", help="the page's anchor is of another log: begin anew, on purpose")
    ] = False,
    servers: Servers = None,
) -> None:
    """Write the calls of the MCP servers as a table, a row each. The chain is verified on the way."""
    from harness.ai_log.markdown import Filter
    from harness.ai_log.page import part_of_servers, write_export
    from harness.ai_log.verify import verify as walk

    wanted = Filter(since.date() if since else None, until.date() if until else None, name, server)
    with _reader(_needed(servers)) as reader, progress("the AI log", QUIET) as now:

        def heard(entries: int) -> None:
            now(f"the AI log: entry {entries:,}")

        if write is None:
            if problems := walk(reader, heard=heard).problems:  # before the first line, which may go into a file
                raise DataError(f"the AI log is not whole: {problems[0]}; nothing was written")
            for line in part_of_servers(reader, wanted):
                tell(line)
            return
        rows = write_export(write, reader, wanted, new_log=new_log, heard=heard)
    say(make_console(), f"✓ {write}: {rows:,} {'row' if rows == 1 else 'rows'}")


@app.command()
def add(
    name: Annotated[str, typer.Option("--name", help="who used the AI")],
    prompt: Annotated[str, typer.Option("--prompt", help="what it was asked")],
    validation: Annotated[
        str, typer.Option("--validation", help="what was done to make sure that its answer is right")
    ],
    date: Annotated[
        datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="today, if none is given")
    ] = None,
    file: Annotated[Path, typer.Option("--file", help="the page")] = PAGE,
) -> None:
    """Write a use of AI outside of MCP into the table by hand, at the place of its day."""
    from harness.ai_log.page import add_row

    line = add_row(file, (date or datetime.now()).date(), name, prompt, validation)
    tell(f"✓ {file}:{line}")


@app.command()
def verify(
    file: Annotated[Path, typer.Option("--file", help="the page whose anchor is a witness, if it is there")] = PAGE,
    servers: Servers = None,
) -> None:
    """Walk the chain of the log, and say the first break. Exit code 1 if there is one."""
    from harness.ai_log.check import anchor_in
    from harness.ai_log.verify import verify as walk

    console = make_console()
    anchor = anchor_in(file) if file.exists() else None
    with _reader(_needed(servers)) as reader, progress("the AI log", QUIET) as now:
        verdict = walk(reader, anchor, lambda entries: now(f"the AI log: entry {entries:,}"))
    for problem in verdict.problems:
        say(console, f"✗ {problem}")
    if verdict.problems:
        raise typer.Exit(1)
    seen = f"the anchor in {file} is entry {anchor.number:,} of it" if anchor else "there is no anchor yet"
    say(console, f"✓ {verdict.entries:,} entries follow one another; {seen}")


@app.command()
def show(
    last: Annotated[int, typer.Option("--last", "-n", min=1, max=10_000, help="so many entries")] = 20,
    servers: Servers = None,
) -> None:
    """Show the last calls of the MCP servers."""
    from rich.table import Table
    from rich.text import Text

    from harness.ai_log.markdown import prompt_of, seen, validation_of
    from harness.ai_log.secrets import masked

    with _reader(_needed(servers)) as reader:
        entries = reader.last(last)
    if not entries:
        say(make_console(), "no MCP server was called yet")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("when (UTC)", no_wrap=True)
    for column in ("who", "asked", "what became of it"):
        table.add_column(column, overflow="fold")
    for one in entries:
        texts = (one.name, prompt_of(one), validation_of(one))
        table.add_row(one.happened_at[:19].replace("T", " "), *(Text(seen(masked(text))) for text in texts))
    make_console().print(table)


# -- what they share


def _url(servers: str | None) -> str | None:
    from harness.seed_cli import targets_of

    targets, _ = targets_of(("promptsales",), servers)
    return targets["promptsales"].url if targets else None


def _needed(servers: str | None) -> str:
    url = _url(servers)
    if url is None:
        raise ServerUnavailable("promptsales: not up: start it with 'harness up', or say where it is (PROMPTSALES_URL)")
    return url


@contextmanager
def _reader(url: str) -> Iterator[Reader]:
    from harness.ai_log.read import open_reader

    with open_reader(url) as reader:
        yield reader
