"""The matrix for the terminal: a table for each server, plain in a pipe."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from harness.matrix import words
from harness.matrix.compare import lines
from harness.matrix.model import NOT_RUN, Cell, Matrix, Outcome, Row
from harness.report.words import clean, one_line
from harness.vocabulary import HERMITAGE

_STYLES = {Outcome.prevented: "green", Outcome.allowed: "red", Outcome.unclear: "magenta"}
_ASKED, _GIVEN = 20, 23  # characters of the two columns of names, at most
_WIDE = 98
"""Characters that the table needs; where there are fewer, the levels given stand below it."""


def matrix_renderable(matrix: Matrix, *, compared: bool = False) -> RenderableType:
    """The tables, what is missing and why, and, if asked for, the comparison with Hermitage."""
    parts: list[RenderableType] = []
    widths = {
        name: max(map(len, [name, *(_cell(row.cells.get(name)).plain for row in matrix.rows)])) for name in HERMITAGE
    }
    for place in matrix.places:
        head = f"{words.server(place[0])} ({place[0].logical})"
        parts += [Text(one_line(head), style="bold"), _Place(place, widths), Text()]
    for one in matrix.missing:
        if one.server:
            parts += [Text(one_line(f"{one.server} ({one.logical})"), style="bold"), _Place([], widths), Text()]
    parts += [Text(words.LEGEND, style="dim"), Text(words.HOW, style="dim")]
    parts += [Text(one_line(note)) for note in matrix.notes]
    parts += [Text(one_line(f"{NOT_RUN} {one.what}: {one.why}")) for one in matrix.missing]
    parts += list(_unexpected(matrix))
    if compared:
        parts += [Text(), Text("Beside Hermitage", style="bold"), *(Text(clean(line)) for line in lines(matrix))]
    return Group(*parts)


@dataclass(frozen=True, slots=True)
class _Place:
    """The rows of one server, or the one that says that it was not there."""

    rows: Sequence[Row]
    widths: Mapping[str, int]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= _WIDE
        yield self._table(wide=wide)
        if not wide:
            yield from (Text(one_line(f"{row.name}: {words.given(row)}"), style="dim") for row in self.rows)

    def _table(self, *, wide: bool) -> Table:
        table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", show_edge=False)
        table.add_column("asked for", max_width=_ASKED, overflow="fold")
        if wide:
            table.add_column("given", max_width=_GIVEN, overflow="fold")
        for name in HERMITAGE:
            table.add_column(name, no_wrap=True, width=self.widths[name])
        if not self.rows:
            table.add_row(words.ALL, *[""] * wide, *(Text(NOT_RUN, style="dim") for _ in HERMITAGE))
        for row in self.rows:
            given = [Text(one_line(words.given(row)))] * wide
            table.add_row(Text(one_line(words.asked(row))), *given, *(_cell(row.cells.get(name)) for name in HERMITAGE))
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
