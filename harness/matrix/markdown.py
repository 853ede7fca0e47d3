"""The matrix as Markdown: a table for READMEs, and the file of a run, with everything behind each cell."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.matrix import words
from harness.matrix.compare import lines
from harness.matrix.hermitage import CREDIT
from harness.matrix.model import NOT_RUN, Cell, Matrix, Outcome, Row, Tried
from harness.report.words import one_line
from harness.vocabulary import HERMITAGE

_HEAD = "| | asked for | given |"


def table_markdown(matrix: Matrix, *, linked: bool = False) -> str:
    """The table alone: a row for each level, under its server. ``linked``: each cell leads to what decided it."""
    made = [f"{_HEAD} {' | '.join(HERMITAGE)} |", f"|---|---|---|{':-:|' * len(HERMITAGE)}"]
    for place in matrix.places:
        for index, row in enumerate(place):
            server = _escaped(words.server(row)) if index == 0 else ""
            cells = [_cell(row.cells.get(name), linked=linked) for name in HERMITAGE]
            made.append(
                f"| {server} | {_escaped(words.asked(row))} | {_escaped(words.given(row))} | {' | '.join(cells)} |"
            )
    for one in matrix.missing:
        if one.server:
            made.append(f"| {_escaped(one.server)} | {words.ALL} | | {' | '.join(NOT_RUN for _ in HERMITAGE)} |")
    return "\n".join(made) + "\n"


def _cell(cell: Cell | None, *, linked: bool) -> str:
    if cell is None:
        return NOT_RUN
    said = f"{cell.sign}{f' {cell.letters}' if cell.letters else ''}"
    evidence = cell.deciding[0].evidence
    return f"[{said}](<{evidence}>)" if linked and evidence else said


def whole_markdown(matrix: Matrix, *, linked: bool = False) -> str:
    """The table, its legend, and what is not in it."""
    missing = [f"{NOT_RUN} {one.what}: {one.why}." for one in matrix.missing]
    notes = [f"{note}." for note in matrix.notes]
    below = "  \n".join(_escaped(line) for line in (f"{words.LEGEND}.", f"{words.HOW}.", *notes, *missing))
    return f"{table_markdown(matrix, linked=linked)}\n{below}\n"


def readme_markdown(matrix: Matrix, *, spanish: bool = False) -> str:
    """What stands in a README, between its markers: the table and its legend."""
    text = f"{table_markdown(matrix)}\n{_escaped(words.LEGEND)}.  \n{_escaped(words.HOW)}.\n"
    for english, other in words.SPANISH.items() if spanish else ():
        text = text.replace(english, other)
    return text


OPENING, CLOSING = "<!-- matrix -->", "<!-- /matrix -->"


def writable(text: str) -> None:
    """Raises ValueError if a table cannot be put into ``text``: it is somebody's, and has not both markers in order."""
    own = text.lstrip().startswith(_HEAD)
    opening, closing = text.find(OPENING), text.find(CLOSING)
    if text.strip() and not own and not 0 <= opening < closing:
        raise ValueError(f"put the lines {OPENING} and {CLOSING} where the table is to stand, or name a new file")


def written(text: str, matrix: Matrix, *, spanish: bool = False) -> str:
    """``text`` with the table between its markers; all there is to say, if it is empty, or was such a text before.

    Raises ValueError as :func:`writable`.
    """
    writable(text)
    if OPENING not in text:
        return whole_markdown(matrix)
    before, opening, rest = text.partition(OPENING)
    _, closing, after = rest.partition(CLOSING)
    return f"{before}{opening}\n\n{readme_markdown(matrix, spanish=spanish)}\n{closing}{after}"


def matrix_markdown(matrix: Matrix) -> str:
    """``matrix.md``: the table, the comparison with Hermitage, and for each cell what decided it."""
    made = [f"# Isolation matrix of run {_escaped(matrix.run)}", "", whole_markdown(matrix, linked=True)]
    made += [
        "## Beside Hermitage",
        "",
        *(f"- {_escaped(line.strip())}" for line in lines(matrix)),
        "",
        f"{CREDIT}.",
        "",
    ]
    for place in matrix.places:
        for row in place:
            made += [f"## {_escaped(words.server(row))}: {_escaped(row.name)}", "", *_details(row), ""]
    return "\n".join(made)


def _details(row: Row) -> Iterator[str]:
    for cell in row.cells.values():
        for one in cell.tried:
            variant = f", {_escaped(one.variant)}" if one.variant else ""
            link = f" ([evidence](<{one.evidence}>))" if one.evidence else ""
            yield f"- **{_escaped(cell.anomaly)}**{variant}: {_escaped(said(one))}{link}"


def said(one: Tried) -> str:
    """What one case says, in a line."""
    if one.outcome is Outcome.allowed:
        return f"came about, {one.phenomenon}: {' '.join(one.proof)}"
    how = "; ".join(reason.text for reason in one.reasons) or "nothing else was seen"
    besides = f" (found besides: {', '.join(one.besides)})" if one.besides else ""
    return f"{one.outcome.value}: {how}{besides}"


def _escaped(text: str) -> str:
    """One line of text in which nothing is Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]|<>&#])", r"\\\1", one_line(text))
