"""Checks docs/AI_LOG.md: what people wrote by hand, the table's form, secrets; and, with a log at hand, what was exported.

An entry by hand needs a real day, a name, a prompt, and a validation that says what was done to make sure. What says
nothing is refused: fewer than two words, or only words like ``ok``, ``todo bien``, ``done``, ``-`` (:data:`SAYS_NOTHING`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from harness.ai_log.markdown import (
    COLUMNS,
    HEADER,
    NUMBER,
    RULER,
    Filter,
    Line,
    anchor_of,
    cells_of,
    entry_row,
    filter_of,
    lines_of,
    plain,
)
from harness.ai_log.model import Anchor
from harness.ai_log.read import Reader
from harness.ai_log.secrets import secrets_in
from harness.ai_log.verify import against
from harness.errors import DataError

_WORDS = (
    "ok okay bien todo está esta todos todas se lo la el y si sí no yes correcto correcta correct right good fine valid "
    "validado validada validated validación validacion validation verificado verificada verified revisado revisada "
    "reviewed checked check hecho hecha done listo lista ready tbd fixme pending pendiente none ninguna ninguno nada "
    "nothing n a na x lgtm all it is was the and prompt nombre name yo me fecha date"
)
SAYS_NOTHING = frozenset(_WORDS.split())
"""Words that say nothing by themselves, in the two languages of the project."""

AGAIN = "'harness ai-log export --write' writes it anew"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where (line and column count from 1), and what to do."""

    file: Path
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


Found = tuple[int, str]
"""A column and a text."""


def today() -> date:
    """The latest day that it is here or in UTC."""
    return max(date.today(), datetime.now(UTC).date())


def says_something(text: str) -> bool:
    """Whether there are two words at least, and one that is not among SAYS_NOTHING.

    >>> says_something("todo OK, revisado"), says_something("12 tests pass")
    (False, True)
    """
    words = re.findall(r"\w+", text.casefold())
    return len(words) >= 2 and any(len(word) > 1 and word not in SAYS_NOTHING for word in words)


def day_of(text: str) -> date | None:
    """A day that is written 2026-01-31; None if it is none."""
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def row_problems(line: str, latest: date) -> Iterator[Found]:
    """What is wrong with a row that was written by hand."""
    cells = cells_of(line)
    if not line.rstrip().endswith("|"):
        yield len(line.rstrip()) + 1, "the row does not end with |"
    if len(cells) != len(COLUMNS):
        yield 1, f"the row has {len(cells)} cells and not 4: {HEADER}; a | that belongs to a text is written \\|"
        return
    (at_day, day_text), (at_name, name), (at_prompt, prompt), (at_valid, validation) = cells
    day = day_of(day_text)
    if day is None:
        yield at_day, f"{_shown(day_text)} is no day: write it as {latest.isoformat()}"
    elif day > latest:
        yield at_day, f"{day_text} is in the future"
    letters = re.sub(r"[\W\d_]", "", plain(name))
    if len(letters) < 2 or plain(name).casefold().strip() in SAYS_NOTHING:
        yield at_name, "there is no name: write who used the AI"
    if not says_something(plain(prompt)):
        yield at_prompt, "there is no prompt: write what the AI was asked, in two words at least"
    if not says_something(plain(validation)):
        yield at_valid, "the validation says nothing: write what was done to make sure, for example which tests ran"


def check_page(file: Path, latest: date | None = None) -> list[Problem]:
    """All that is wrong with a page by itself. Raises DataError if it cannot be read."""
    latest = latest or today()
    problems: list[Problem] = []
    state = _State()
    last = 1
    with opened(file) as lines:
        for line in lines_of(lines):
            found = [*state.look(line, latest)]
            found += [
                (place + 1, f"looks like {what}: take it out, and make it worthless where it is good for something")
                for place, what in secrets_in(line.text)
            ]
            problems += [Problem(file, line.number, column, text) for column, text in found]
            last = line.number
    problems += [Problem(file, last, 1, text) for text in state.missing()]
    return problems


class _State:
    """What has been seen of a page so far."""

    def __init__(self) -> None:
        self.hand = self.begun = self.ended = self.anchored = False
        self.filter = Filter()
        self.anchor: Anchor | None = None
        self.entry = 0
        self.rows = 0
        self.day: date | None = None
        self.before = ""

    def look(self, line: Line, latest: date) -> Iterator[Found]:
        """What is wrong with the next line."""
        before, self.before = self.before, line.kind
        if before == "header" and line.kind != "ruler":
            yield 1, f"the line below the table's head must be {RULER}"
        if line.kind == "header":
            self.hand = self.hand or line.part == "hand"
        elif line.kind == "broken":
            yield 1, "a row of the table begins and ends with |; what follows the table needs an empty line before it"
        elif line.kind == "row" and line.part == "hand":
            yield from row_problems(line.text, latest)
            cells = cells_of(line.text)
            day = day_of(cells[0][1]) if cells else None
            if day and self.day and day < self.day:
                yield cells[0][0], f"{day} comes after {self.day}: rows are in the order of their days"
            self.day = day or self.day
        elif line.part == "mcp":
            yield from self._of_servers(line)

    def _of_servers(self, line: Line) -> Iterator[Found]:
        if line.kind == "begin":
            if self.begun:
                yield 1, "the part of the servers begins a second time"
            self.begun = True
            try:
                self.filter = filter_of(line.text) or self.filter
            except ValueError:
                yield 1, f"this line's filters cannot be read: {AGAIN}"
        elif line.kind == "end":
            self.ended = True
        elif line.kind == "anchor":
            self.anchored = True
            try:
                self.anchor = anchor_of(line.text)
            except ValueError:
                yield 1, f"the anchor is not well formed: {AGAIN}"
        elif line.kind == "row":
            yield from self._row(line)

    def _row(self, line: Line) -> Iterator[Found]:
        self.rows += 1
        cells = cells_of(line.text)
        number = NUMBER.search(cells[3][1]) if len(cells) == 4 else None
        if number is None:
            yield 1, f"this is no row of the servers: by hand one writes into the other table; {AGAIN}"
            return
        if int(number[1]) <= self.entry:
            yield cells[3][0], f"entry {number[1]} stands behind entry {self.entry}: {AGAIN}"
        elif self.filter == Filter() and int(number[1]) > self.entry + 1:
            yield cells[3][0], f"entry {self.entry + 1} is missing before entry {number[1]}: {AGAIN}"
        self.entry = max(self.entry, int(number[1]))

    def missing(self) -> Iterator[str]:
        """What should have been there by now."""
        if not self.hand:
            yield f"there is no table {HEADER} for what is written by hand"
        if not (self.begun and self.ended):
            yield "the servers' part is missing, between <!-- ai-log:mcp --> and <!-- ai-log:end -->"
        elif not self.anchored:
            yield f"the servers' part has no anchor: {AGAIN}"
        upto = self.anchor.number if self.anchor else 0
        if self.anchored and (self.entry > upto or (self.filter == Filter() and self.entry < upto)):
            yield f"the servers' part ends with entry {self.entry} and the anchor is entry {upto}: {AGAIN}"


def anchor_in(file: Path) -> Anchor | None:
    """The anchor of a page; None if it has none. Raises DataError if it cannot be read."""
    with opened(file) as lines:
        for line in lines_of(lines):
            if line.kind == "anchor":
                try:
                    return anchor_of(line.text)
                except ValueError:
                    raise DataError(f"{file}:{line.number}:1: the anchor is not well formed") from None
    return None


def check_against(file: Path, reader: Reader) -> list[Problem]:
    """Where the page's part of the servers differs from the log: its anchor, and each row up to it."""
    anchor = anchor_in(file)
    if anchor is None:
        return []
    place, begin = 1, Filter()
    with opened(file) as lines:
        for line in lines_of(lines):
            place = line.number if line.kind == "anchor" else place
            if line.kind == "begin":
                try:
                    begin = filter_of(line.text) or begin
                except ValueError:
                    return []  # check_page says so
    if wrong := against(anchor, reader.anchor(anchor.number)):
        return [Problem(file, place, 1, wrong)]
    with opened(file) as lines:
        shown = (line for line in lines_of(lines) if line.kind == "row" and line.part == "mcp")
        for entry in reader.entries(upto=anchor.number):
            if not begin.passes(entry):
                continue
            line_there = next(shown, None)
            if line_there is None:
                return [Problem(file, place, 1, f"entry {entry.number} of the log is missing: {AGAIN}")]
            if line_there.text.strip() != entry_row(entry):
                return [
                    Problem(
                        file, line_there.number, 1, f"this is not what the log has for entry {entry.number}: {AGAIN}"
                    )
                ]
        if (more := next(shown, None)) is not None:
            return [Problem(file, more.number, 1, f"the log has no such entry: {AGAIN}")]
    return []


class opened:
    """A page's lines. Raises DataError if it cannot be read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._stream = file.open(encoding="utf-8", newline="")
        except FileNotFoundError:
            raise DataError(f"{file}: there is no such page: go to the folder that has it, or name it") from None
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror or error}") from None

    def __enter__(self) -> Iterable[str]:
        return self._lines()

    def _lines(self) -> Iterator[str]:
        try:
            yield from self._stream
        except (OSError, UnicodeDecodeError):
            raise DataError(f"{self._file}: cannot be read: it is no text in UTF-8") from None

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
