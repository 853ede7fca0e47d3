"""PromptSales's tables and views in Markdown, out of the files of ``schemas/``: nothing is asked of a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from harness.schemas import PROMPTSALES

HIDDEN = frozenset({"seed_range"})

_COMMENT = re.compile(r"^COMMENT ON (TABLE|VIEW) (\w+) IS '((?:[^']|'')*)';", re.MULTILINE)
_COLUMN = re.compile(r"^COMMENT ON COLUMN (\w+)\.(\w+) IS '((?:[^']|'')*)';", re.MULTILINE)


@cache
def schema(root: Path = PROMPTSALES) -> str:
    """A section for each table, and the views by name."""
    return "\n".join(_lines(root)) + "\n"


def _lines(root: Path) -> Iterator[str]:
    from harness.report.schemas import tables  # what it draws with takes its time to import

    text = "\n".join(file.read_text("utf-8") for file in sorted((root / "promptsales/postgresql").glob("[0-9]*.sql")))
    said = {(kind, name): _said(comment) for kind, name, comment in _COMMENT.findall(text)}
    of_column = {(table, name): _said(comment) for table, name, comment in _COLUMN.findall(text)}
    yield "# PromptSales, on PostgreSQL"
    yield ""
    yield "The central store: what the ETL brings together of contents, campaigns, clients and their activity, by month."
    for table in tables(root, "promptsales"):
        if table.name in HIDDEN:
            continue
        yield ""
        yield f"## {table.name}"
        if comment := said.get(("TABLE", table.name)):
            yield ""
            yield f"{comment}."
        yield ""
        yield "| column | type | |"
        yield "|--------|------|---|"
        for one in table.fields:
            notes = ["key"] if one.key else []
            notes += [f"refers to {one.refers}"] if one.refers else []
            notes += [of_column[table.name, one.name]] if (table.name, one.name) in of_column else []
            yield f"| {one.name} | {one.kind} | {'; '.join(notes)} |"
    yield ""
    yield "## Views"
    yield ""
    for (kind, name), comment in said.items():
        if kind == "VIEW":
            yield f"- **{name}**: {comment}."


def _said(comment: str) -> str:
    return comment.replace("''", "'").replace("|", "\\|")
