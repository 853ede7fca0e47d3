"""The table of the AI log in Markdown: what an entry looks like, and what a line of a page is.

What comes from elsewhere (names, arguments, errors) is written so that it is text and nothing else wherever the page is
shown: letters that mean something to Markdown or HTML have a backslash before them, and what one cannot see is spelled out.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote

from harness.ai_log.model import Anchor, Entry
from harness.ai_log.secrets import masked

COLUMNS = ("Fecha", "Nombre", "Prompt", "Validación")
HEADER = "| Fecha | Nombre | Prompt | Validación |"
RULER = "|-------|--------|--------|------------|"
END = "<!-- ai-log:end -->"
NO_ANCHOR = "Ancla / Anchor: ninguna todavía / none yet"

LONGEST = 240
"""Characters of a prompt or a message that are shown."""

_BEGIN = re.compile(r"<!-- ai-log:mcp(?: (?P<filters>\S+))? -->")
_ANCHOR = re.compile(
    r"Ancla / Anchor: (?P<number>\d{1,19}) `(?P<hash>[0-9a-f]{64})` (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"
)
_RULER = re.compile(r"\|(?:\s*:?-+:?\s*\|)+")
_ACTIVE = frozenset("\\`*[]<>|~$&@{}")
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co"})


def cell(text: str, most: int = LONGEST) -> str:
    r"""Any text as the inside of a cell.

    >>> cell("a|b <b>x</b>\n`c` _d_ e_f www.x.org http://x")
    'a\\|b \\<b\\>x\\</b\\> \\`c\\` \\_d\\_ e_f www\\.x.org http\\://x'
    """
    text = seen(text, most)
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", "".join(f"\\{one}" if one in _ACTIVE else one for one in text))
    text = re.sub(r":(?=/)", r"\\:", text)  # no links by themselves
    return re.sub(r"(?i)\b(www)\.", r"\1\\.", text)


def seen(text: str, most: int = LONGEST) -> str:
    """A text in one line, not longer than that, all letters of it visible."""
    text = " ".join(text.split())
    if len(text) > most:
        text = text[: most - 1] + "…"
    return "".join(_spelled(letter) for letter in text)


def plain(written: str) -> str:
    """The text of a cell: :func:`cell` backwards.

    >>> plain(cell("[a](b) | c"))
    '[a](b) | c'
    """
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", written)


def row(cells: Iterable[str]) -> str:
    """A line of the table; the cells are written already."""
    return f"| {' | '.join(one or '-' for one in cells)} |"


def _spelled(letter: str) -> str:
    return f"(U+{ord(letter):04X})" if unicodedata.category(letter) in _UNSEEN else letter


# -- entries


def entry_row(entry: Entry) -> str:
    """The line of an entry; the same one whenever and wherever it is written."""
    return row(
        (
            entry.happened_at[:19].replace("T", " "),
            cell(masked(entry.name), 80),
            cell(masked(prompt_of(entry)[: 4 * LONGEST])),  # what is looked at of it is more than what is shown
            cell(masked(validation_of(entry))),
        )
    )


def prompt_of(entry: Entry) -> str:
    """What was asked: ``promptads.active_campaigns(limit=20)``."""
    if entry.method == "resources/read":
        return f"{entry.server}: {entry.target}"
    try:
        given: Any = json.loads(entry.arguments)
        said = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items())
    except (ValueError, AttributeError, RecursionError):  # somebody has changed it
        said = entry.arguments
    kind = "prompt " if entry.method == "prompts/get" else ""
    return f"{kind}{entry.server}.{entry.target}({said})"


def validation_of(entry: Entry) -> str:
    """What became of it: ``ok, 20 rows, 3.1 ms, SHA-256 1a2b3c4d5e6f…, entry 12``; the entry's number stands last."""
    told = [entry.outcome]
    if entry.error:
        shown = entry.error if len(entry.error) <= 120 else entry.error[:119] + "…"
        told[0] += f" ({shown})"
    if entry.rows is not None:
        told.append("1 row" if entry.rows == "1" else f"{entry.rows} rows")
    told.append(f"{Decimal(entry.milliseconds):.1f}".removesuffix(".0") + " ms")
    if entry.answer_sha256:
        told.append(f"SHA-256 {entry.answer_sha256[:12]}…")
    return f"{', '.join(told)}, entry {entry.number}"


NUMBER = re.compile(r", entry (\d{1,19})$")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are shown: all of a span of days (UTC, both ends within), of somebody, of a server."""

    since: date | None = None
    until: date | None = None
    name: str | None = None
    server: str | None = None

    def passes(self, entry: Entry) -> bool:
        """Whether this entry is shown."""
        day = entry.happened_at[:10]
        return (
            (self.since is None or day >= self.since.isoformat())
            and (self.until is None or day <= self.until.isoformat())
            and (self.name is None or entry.name.casefold() == self.name.casefold())
            and (self.server is None or entry.server == self.server)
        )

    def begin(self) -> str:
        """The line that the servers' part begins with; it says the filters, so that a check knows what should be there."""
        said = "&".join(
            f"{name}={quote(str(value), safe='')}"
            for name in ("since", "until", "name", "server")
            if (value := getattr(self, name)) is not None
        )
        return f"<!-- ai-log:mcp {said} -->" if said else "<!-- ai-log:mcp -->"


def filter_of(line: str) -> Filter | None:
    """The filters of a begin line; None if it is none. Raises ValueError if they are not readable."""
    found = _BEGIN.fullmatch(line.strip())
    if found is None:
        return None
    values: dict[str, Any] = dict(parse_qsl(found["filters"] or "", strict_parsing=bool(found["filters"])))
    for name in ("since", "until"):
        if name in values:
            values[name] = date.fromisoformat(values[name])
    try:
        return Filter(**values)
    except TypeError:
        raise ValueError(line) from None


def anchor_line(anchor: Anchor | None) -> str:
    """The line that says how far the log was when the page was written."""
    return f"Ancla / Anchor: {anchor.number} `{anchor.hash}` {anchor.happened_at}" if anchor else NO_ANCHOR


def anchor_of(line: str) -> Anchor | None:
    """What an anchor line says; None if it says that there is none. Raises ValueError if it is not well formed."""
    if line.strip() == NO_ANCHOR:
        return None
    found = _ANCHOR.fullmatch(line.strip())
    if found is None:
        raise ValueError(line)
    return Anchor(int(found["number"]), found["hash"], found["at"])


# -- pages


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page. ``kind``: text, header, ruler, row, broken (in a table, and no row), begin, end, anchor."""

    number: int
    text: str
    kind: str
    part: str
    """``hand``, ``mcp``, or nothing."""
    raw: str
    """As it was read, with its line end."""


def lines_of(text: Iterable[str]) -> Iterator[Line]:
    """Say of each line what it is, one after the other; line ends may be there or not."""
    part = ""
    inside = False  # a table of ours
    fenced = False
    before = ""
    for number, raw in enumerate(text, 1):
        line = raw.rstrip("\r\n")
        bare = line.strip()
        kind = "text"
        if bare.startswith(("```", "~~~")):
            fenced = not fenced
        elif fenced:
            pass
        elif bare.startswith("<!-- ai-log:mcp"):
            kind, part, inside = "begin", "mcp", False
        elif bare == END:
            kind = "end"
        elif bare.startswith("Ancla / Anchor:") and part == "mcp":
            kind, inside = "anchor", False
        elif not inside and bare.startswith("|") and _is_header(bare):
            kind, inside, part = "header", True, part or "hand"
        elif before == "header" and _RULER.fullmatch(bare):
            kind = "ruler"
        elif inside and bare:
            kind = "row" if bare.startswith("|") else "broken"
        elif inside:
            inside = False
            part = "" if part == "hand" else part
        yield Line(number, line, kind, part if kind != "text" or inside or part == "mcp" else "", raw)
        before = kind
        if kind == "end":
            part, inside = "", False


def cells_of(line: str) -> list[tuple[int, str]]:
    """The cells of a row as they are written, each with its column (counted from 1)."""
    cells: list[tuple[int, str]] = []
    start = place = line.index("|") + 1
    end = len(line.rstrip())
    while place < end:
        if line[place] == "\\":
            place += 2
            continue
        if line[place] == "|":
            cells.append(_cell(line, start, place))
            start = place + 1
        place += 1
    if line[start:end].strip():
        cells.append(_cell(line, start, end))
    return cells


def _cell(line: str, start: int, end: int) -> tuple[int, str]:
    text = line[start:end]
    return start + 1 + len(text) - len(text.lstrip()), text.strip()


def _is_header(line: str) -> bool:
    return [text.casefold() for _, text in cells_of(line)] == [name.casefold() for name in COLUMNS]
