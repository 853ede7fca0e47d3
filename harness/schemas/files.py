"""Which files make up a database, and how each is split into what a server takes at once.

``NN_name.sql`` in the order of their names, then those of ``server/`` (roles, linked servers: what needs more rights than
a database of one's own), then ``sample.sql``, which may also lie one folder up if several engines read the same text.
MongoDB's files are YAML lists of command documents; Redis's are function libraries (``.lua``) and, for the sample,
commands, one a line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from harness.errors import DataError, Location

PROMPTSALES = Path(__file__).resolve().parents[2] / "schemas"
"""The folder that holds the files of PromptSales itself, beside this package."""

SUFFIXES = {"postgresql": (".sql",), "sqlserver": (".sql",), "mongodb": (".yaml",), "redis": (".lua", ".redis")}
"""What an engine's files are called."""

Body = str | Mapping[str, Any] | Sequence[str]
"""What a server takes at once: SQL text, a command document, an argument list."""

_GO = re.compile(r"^[ \t]*GO[ \t]*;?[ \t]*$", re.IGNORECASE | re.MULTILINE)


class Wanted(StrEnum):
    """What of the files is wanted."""

    empty = "empty"  # the objects of the database
    sample = "sample"  # and a few rows of known values


@dataclass(frozen=True, slots=True)
class Script:
    """A file and its parts, in order; each part with the line it begins at, from 1."""

    file: Path
    parts: tuple[tuple[int, Body], ...]

    def where(self, line: int) -> str:
        """``file:line:column`` for a person."""
        return str(Location(self.file, line, 1))


def folder_for(file: Path, otherwise: Path) -> Path:
    """The folder ``schemas`` beside ``file`` or above it, the nearest one; ``otherwise`` if there is none."""
    found = (parent / "schemas" for parent in file.resolve().parents)
    return next((folder for folder in found if folder.is_dir()), otherwise)


def has_schema(root: Path, logical: str, engine: str) -> bool:
    """Whether ``root`` (the folder ``schemas``) has files for a logical database on an engine."""
    return next(_numbered(root / logical / engine, engine), None) is not None


def scripts(root: Path, logical: str, engine: str, wanted: Wanted, *, server: bool) -> list[Script]:
    """The files of a logical database on an engine; with ``server``, those of the server too.

    Raises DataError if there are none, if the sample is wanted and there is none, or if a file cannot be read.
    """
    folder = root / logical / engine
    files = list(_numbered(folder, engine))
    if not files:
        raise DataError(
            f"there is no schema of {logical} for {engine}: no file like 10_tables{SUFFIXES[engine][0]} in {folder}"
        )
    if server:
        files += _numbered(folder / "server", engine)
    if wanted is Wanted.sample:
        files.append(_sample(folder, engine))
    return [_read(file, engine) for file in files]


def _numbered(folder: Path, engine: str) -> Iterator[Path]:
    """The files ``NN_name`` of a folder, in order."""
    found = folder.iterdir() if folder.is_dir() else ()
    yield from sorted(file for file in found if file.suffix == SUFFIXES[engine][0] and re.match(r"\d+_", file.name))


def _sample(folder: Path, engine: str) -> Path:
    name = f"sample{SUFFIXES[engine][-1]}"
    for file in (folder / name, folder.parent / name):
        if file.is_file():
            return file
    raise DataError(
        f"there is no sample of {folder.parent.name} for {engine}: neither {folder / name} nor one folder up"
    )


def _read(file: Path, engine: str) -> Script:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{file}: cannot be read: {problem}") from None
    return Script(file, tuple(_PARTS[file.suffix if engine != "sqlserver" else "GO"](file, text)))


def _whole(file: Path, text: str) -> Iterator[tuple[int, Body]]:
    yield 1, text


def _batches(file: Path, text: str) -> Iterator[tuple[int, Body]]:
    """T-SQL, cut at the lines that say only ``GO``."""
    begin = 0
    for end in [*_GO.finditer(text), None]:
        batch = text[begin : end.start() if end else len(text)]
        if batch.strip():
            ahead = len(batch) - len(batch.lstrip())
            yield text.count("\n", 0, begin + ahead) + 1, batch.strip()
        begin = end.end() if end else begin


def _commands(file: Path, text: str) -> Iterator[tuple[int, Body]]:
    """MongoDB's command documents."""
    try:
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        written = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        at = Location(file, mark.line + 1, mark.column + 1) if mark else file
        raise DataError(f"{at}: {getattr(problem, 'problem', problem)}") from None
    if not isinstance(written, list) or not all(isinstance(one, dict) and one for one in written):
        raise DataError(f"{file}: must be a list of command documents, as '- {{create: content}}'")
    for item, command in zip(node.value, written, strict=True):
        yield item.start_mark.line + 1, command


def _library(file: Path, text: str) -> Iterator[tuple[int, Body]]:
    """A function library of Redis, loaded anew."""
    yield 1, ["FUNCTION", "LOAD", "REPLACE", text]


def _lines(file: Path, text: str) -> Iterator[tuple[int, Body]]:
    """Redis's commands, one a line, quoted as in a shell; ``#`` begins a comment."""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as problem:
            raise DataError(f"{Location(file, number, 1)}: {problem}") from None
        if words:
            yield number, words


_PARTS = {".sql": _whole, "GO": _batches, ".yaml": _commands, ".lua": _library, ".redis": _lines}
