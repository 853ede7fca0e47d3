"""A database's tables as Markdown, out of the files that make it: what an assistant reads before it asks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from harness.schemas import PROMPTSALES, Wanted, scripts

_TABLE = re.compile(
    r"(?P<said>(?:^--[^\n]*\n)*)^CREATE TABLE (?:dbo\.)?(?P<name>\w+) \(\n(?P<body>.*?)^\)[^\n]*;",
    re.MULTILINE | re.DOTALL,
)
_COLUMN = re.compile(
    r"(?P<name>\w+) (?P<type>(?:double precision|[\w.]+)(?:\([^)]*\))?(?:\[\])?)(?P<rest>.*)", re.DOTALL
)
_CONSTRAINT = re.compile(r"(?:CONSTRAINT|PRIMARY KEY|FOREIGN KEY|UNIQUE|CHECK|EXCLUDE|INDEX)\b")
_NAMED = re.compile(r"^CONSTRAINT \w+ ")
_INLINE = (
    (re.compile(r"\bPRIMARY KEY\b"), "key"),
    (re.compile(r"\bUNIQUE\b"), "unique"),
    (re.compile(r"\bREFERENCES (?:dbo\.)?(\w+)(?: \((\w+)\))?"), r"→ \1.\2"),
    (re.compile(r"\bGENERATED ALWAYS AS IDENTITY\b|\bIDENTITY\b"), "numbered by the server"),
)

INNER = frozenset({"seed_range", "tombstone", "etl_origin"})
"""Tables of the seeder and the ETL, which say nothing of the business."""


@cache
def schema_text(logical: str, engine: str, leave_out: Collection[str] = INNER, root: Path = PROMPTSALES) -> str:
    """The tables of a SQL database, their columns and constraints. ``leave_out`` must be hashable. Raises DataError."""
    parts = [f"# The tables of {logical} ({'PostgreSQL' if engine == 'postgresql' else 'SQL Server'})"]
    for script in scripts(root, logical, engine, Wanted.empty, server=False):
        text = script.file.read_text(encoding="utf-8")
        parts += [_table(found) for found in _TABLE.finditer(text) if found["name"] not in leave_out]
    return "\n\n".join(parts) + "\n"


def _table(found: re.Match[str]) -> str:
    said = " ".join(line.removeprefix("--").strip() for line in found["said"].splitlines())
    lines = [f"## {found['name']}", ""]
    if said:
        lines += [said, ""]
    lines += ["| column | type | may be null | |", "|---|---|---|---|"]
    rules = []
    for item, note in _items(found["body"]):
        column = None if _CONSTRAINT.match(item) else _COLUMN.fullmatch(item)
        if column is None:
            rules.append(f"- `{_NAMED.sub('', item)}` {note}".rstrip())
            continue
        rest = column["rest"]
        marks = [form.expand(text) for pattern, text in _INLINE if (form := pattern.search(rest))]
        marks = [mark.removesuffix(".") for mark in marks]
        null = "" if "NOT NULL" in rest or "PRIMARY KEY" in rest else "yes"
        lines.append(f"| {column['name']} | {column['type']} | {null} | {'; '.join([*marks, *filter(None, [note])])} |")
    return "\n".join([*lines, *(["", *rules] if rules else [])])


def _items(body: str) -> Iterator[tuple[str, str]]:
    """What stands between the commas of a table's declaration, in one line each, and the comments in it."""
    item: list[str] = []
    notes: list[str] = []
    depth = 0
    for line in body.splitlines():
        code, _, note = line.partition("--")
        code = code.strip()
        notes += [note.strip().replace("|", "\\|")] if note else []
        item += [code] if code else []
        depth += code.count("(") - code.count(")")
        if depth == 0 and code.endswith(","):
            yield " ".join(item).rstrip(","), " ".join(notes)
            item, notes = [], []
    if item:
        yield " ".join(item), " ".join(notes)
