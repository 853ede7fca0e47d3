"""``harness doctor``: the command."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from harness.terminal import console, progress, say


def doctor(
    tx: Annotated[
        list[str] | None,
        typer.Option("--tx", metavar="ssh=HOST", help="a machine that sessions are to run on; give it once for each"),
    ] = None,
    servers: Annotated[
        str | None, typer.Option("--servers", metavar="KIND", help="embedded (default), containers or external")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Look at this machine and those of --tx before a run, and say what to do. Exit code 1 if a run could not begin."""
    from harness.doctor import examine
    from harness.doctor_text import lines, table

    with progress("looking around") as tell:
        found = examine(tx or (), mode=servers, tell=tell)
    if as_json:
        print(json.dumps(found.record(), indent=2))
    else:
        where = console()
        where.print(table(found))
        for line in lines(found):
            say(where, line)
    raise typer.Exit(0 if found.ready else 1)
