"""The matrix for the terminal: a table for each server, plain in a pipe."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.matrix import words
from harness.matrix.compare import lines
from harness.matrix.model import NOT_RUN, Cell, Matrix, Outcome, Row
from harness.report.words import clean, one_line
from harness.vocabulary import HERMITAGE

_STYLES = {Outcome.prevented: "green", Outcome.allowed: "red", Outcome.unclear: "magenta"}
_ASKED, _GIVEN = 20, 23  # characters of the two columns of names


def matrix_renderable(matrix: Matrix, *, compared: bool = False) -> RenderableType:
    """The tables, what is missing and why, and, if asked for, the comparison with Hermitage."""
    parts: list[RenderableType] = []
    widths = {
        name: max(map(len, [name, *(_cell(row.cells.get(name)).plain for row in matrix.rows)])) for name in HERMITAGE
    }
    for place in matrix.places:
        parts += [
            Text(one_line(f"{words.server(place[0])} ({place[0].logical})"), style="bold"),
            _table(place, widths),
            Text(),
        ]
    parts += [Text(words.LEGEND, style="dim"), Text(words.HOW, style="dim")]
    parts += [Text(one_line(note)) for note in matrix.notes]
    parts += [Text(one_line(f"{NOT_RUN} {one.what}: {one.why}")) for one in matrix.missing]
    parts += list(_unexpected(matrix))
    if compared:
        parts += [Text(), Text("Beside Hermitage", style="bold"), *(Text(clean(line)) for line in lines(matrix))]
    return Group(*parts)


def _table(place: list[Row], widths: Mapping[str, int]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", show_edge=False)
    table.add_column("asked for", width=_ASKED, overflow="fold")
    table.add_column("given", width=_GIVEN, overflow="fold")
    for name in HERMITAGE:
        table.add_column(name, no_wrap=True, width=widths[name])
    for row in place:
        table.add_row(
            Text(one_line(words.asked(row))),
            Text(one_line(words.given(row))),
            *(_cell(row.cells.get(name)) for name in HERMITAGE),
        )
    return table


def _cell(cell: Cell | None) -> Text:
    if cell is None:
        return Text(NOT_RUN, style="dim")
    return Text.assemble((cell.sign, _STYLES[cell.outcome]), (cell.letters, "dim"))


def _unexpected(matrix: Matrix) -> Iterator[RenderableType]:
    for one in matrix.unexpected:
        yield Text(one_line(f"! {one.case}: not as its scenario expects ({one.evidence})"), style="red")


def matrix_text(matrix: Matrix, width: int = 110, *, compared: bool = False) -> str:
    """The same in plain characters."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    console.print(matrix_renderable(matrix, compared=compared))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"
