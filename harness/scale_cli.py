"""``harness scale``: what so many clients and users would take, by what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import DataError
from harness.terminal import console as make_console
from harness.terminal import say, short


def scale(
    clients: Annotated[int, typer.Option("--clients", min=1, help="of PromptCrm")] = 50_000_000,
    users: Annotated[
        int, typer.Option("--users", min=0, help="at work at once, as in scenarios/load/day.yaml")
    ] = 100_000,
    scenarios: Annotated[int, typer.Option("--scenarios", min=0, help="cases of scenarios in one run")] = 150,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.svg", help="draw where parts break")
    ] = None,
) -> None:
    """Say what each part needs, and which one breaks first: extrapolated from what was measured; see docs/scale.md."""
    from rich.table import Table

    from harness.scale.measured import read
    from harness.scale.model import Size, judge
    from harness.scale.parts import needs
    from harness.scale.picture import draw
    from harness.scale.takeover import takes_over
    from harness.scale.text import as_data, broken_first, held, rows

    if picture is not None and picture.suffix != ".svg":
        raise DataError(f"{picture}: pictures are SVG: give a name that ends in .svg")
    measured = read()
    every, size = needs(measured), Size(clients, users, scenarios)
    judged = judge(every, size)
    if picture is not None:
        try:
            picture.write_text(draw(every), encoding="utf-8")
        except OSError as error:
            raise DataError(f"{picture} cannot be written: {error.strerror}") from None
    if as_json:
        print(json.dumps(as_data(judged, every, size), indent=2))
        return
    where = make_console()
    table = Table(title=f"{clients:,} clients, {users:,} users, {scenarios:,} cases", title_justify="left")
    for name in ("part", "resource"):
        table.add_column(name)
    for name in ("one node", "needed", "of it", "nodes"):
        table.add_column(name, justify="right")
    for row in rows(judged):
        table.add_row(*row)
    where.print(table)
    if beyond := [one for one in judged if one.extrapolated]:
        say(
            where,
            f"extrapolated: {len(beyond)} of {len(judged)} lines go beyond what was measured on {measured.machine.day}",
        )
    for axis, line in broken_first(every):
        say(where, f"{axis}, with {held(axis)}: {line}")
    for one in judged:
        if one.share > 1:
            say(where, f"{one.need.part}, {one.need.resource}: {takes_over(one, size)}")
    say(where, "no engine that takes over was run here: docs/scale.md")
    if picture is not None:
        say(where, f"picture: {short(picture)}")
