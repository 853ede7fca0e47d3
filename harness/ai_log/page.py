"""Writes docs/AI_LOG.md: the servers' part out of the log, and rows by hand. What others wrote stays as it is."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path

from harness.ai_log.check import anchor_in, check_page, day_of, opened, row_problems, today
from harness.ai_log.markdown import (
    END,
    HEADER,
    RULER,
    Filter,
    anchor_line,
    cell,
    cells_of,
    entry_row,
    lines_of,
    row,
)
from harness.ai_log.read import Reader
from harness.ai_log.secrets import secrets_in
from harness.ai_log.verify import Walk, against
from harness.errors import DataError

LONGEST_BY_HAND = 2000
"""Characters of a prompt or a validation that 'harness ai-log add' takes."""

Heard = Callable[[int], None]


def part_of_servers(reader: Reader, wanted: Filter, heard: Heard = lambda entries: None) -> Iterator[str]:
    """The lines of the servers' part, without line ends. Verifies the chain on the way: DataError where it breaks."""
    yield wanted.begin()
    yield HEADER
    yield RULER
    walk = Walk()
    for entry in walk.over(reader.entries()):
        if wanted.passes(entry):
            yield entry_row(entry)
        if entry.number % 1000 == 0:
            heard(entry.number)
    if problem := walk.problem or walk.ends_at(*reader.head()):
        raise DataError(f"the AI log is not whole: {problem}; nothing was written")
    yield ""
    yield anchor_line(reader.anchor(walk.entries) if walk.entries else None)
    yield END


def write_export(
    file: Path, reader: Reader, wanted: Filter, *, new_log: bool = False, heard: Heard = lambda entries: None
) -> int:
    """Put the servers' part into a page, in the place of the one that is there; gives how many rows it has now.

    Raises DataError if the page has no such part, if the chain is broken, or if the log is not the one that the page's
    anchor has seen and ``new_log`` does not say that this is as it should be.
    """
    anchor = anchor_in(file)
    if anchor is not None and not new_log and (wrong := against(anchor, reader.anchor(anchor.number))):
        raise DataError(f"{file}: {wrong}; if this is a new log on purpose, say --new-log")
    rows = 0

    def written(lines: Iterable[str]) -> Iterator[str]:
        nonlocal rows
        found = ""
        for line in lines_of(lines):
            raw = line.raw
            if line.kind == "begin" and not found:
                found = "begin"
                ending = "\r\n" if raw.endswith("\r\n") else "\n"
                for text in part_of_servers(reader, wanted, heard):
                    rows += text.startswith("|")
                    yield text + ending
            elif found == "begin":
                found = "end" if line.kind == "end" else found
            else:
                yield raw
        if found != "end":
            raise DataError(
                f"{file}: there is no <!-- ai-log:mcp --> with an <!-- ai-log:end --> for the servers' part"
            )

    _rewritten(file, written)
    return rows - 2


def add_row(file: Path, day: date, name: str, prompt: str, validation: str) -> int:
    """Put a row into the table by hand, behind all of its day; gives the number of its line.

    Raises DataError if 'harness ai-log check' would refuse it, or refuses the table that is there.
    """
    for what, text in (("--prompt", prompt), ("--validation", validation), ("--name", name)):
        if len(text) > LONGEST_BY_HAND:
            raise DataError(f"{what} is longer than {LONGEST_BY_HAND} characters: shorten it")
        for _, looks in secrets_in(text):
            raise DataError(f"{what} looks as if it had {looks} in it: leave that out")
    line_text = row((day.isoformat(), *(cell(text, LONGEST_BY_HAND) for text in (name, prompt, validation))))
    for _, problem in row_problems(line_text, today()):
        raise DataError(problem)
    if problems := check_page(file):
        raise DataError(f"the page is to be mended first: {problems[0]}")
    behind = _behind(file, day)

    def written(lines: Iterable[str]) -> Iterator[str]:
        for number, raw in enumerate(lines, 1):
            ended = raw if raw.endswith("\n") else raw + "\n"
            yield ended if number == behind else raw
            if number == behind:
                yield line_text + ("\r\n" if raw.endswith("\r\n") else "\n")

    _rewritten(file, written)
    return behind + 1


def _behind(file: Path, day: date) -> int:
    """The line after which a row of that day belongs."""
    place = 0
    with opened(file) as lines:
        for line in lines_of(lines):
            if line.part != "hand":
                continue
            if line.kind == "ruler" and not place:
                place = line.number
            elif line.kind == "row":
                there = day_of(cells_of(line.text)[0][1])
                if there is not None and there <= day:
                    place = line.number
    return place


def _rewritten(file: Path, change: Callable[[Iterable[str]], Iterator[str]]) -> None:
    """Write a file anew, line by line; the old one is there until the new one is whole."""
    before = file.stat()
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as new, opened(file) as lines:
            new.writelines(change(lines))
        now = file.stat()
        if (now.st_mtime_ns, now.st_size, now.st_ino) != (before.st_mtime_ns, before.st_size, before.st_ino):
            raise DataError(f"{file} was changed by somebody else meanwhile: do it again")
        os.chmod(name, before.st_mode & 0o777)
        os.replace(name, file)
    except OSError as error:
        raise DataError(f"{file}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
