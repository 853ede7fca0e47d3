"""The words of an isolation specification: what PostgreSQL's specscanner.l calls tokens, each with its place.

A name is a letter, ``_`` or any character beyond ASCII, then those, digits or ``$``; or any text in double quotes, ``""``
in it being one quote. An SQL block goes from ``{`` to the first ``}``: SQL cannot say a brace. ``#`` begins a comment that
ends with its line. Capital and small letters differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Location, ScenarioError

KEYWORDS = ("setup", "teardown", "session", "step", "permutation", "notices")
"""Words that are names in quotes only."""

NAME, BLOCK, NUMBER, END = "a name", "an SQL block", "a number", "the end of the file"
"""The kinds of token beside the keywords and ``( ) , *``, which are kinds of their own."""

BLANKS = " \t\r\f"
"""What is cut off both ends of an SQL block: no newline is."""

MOST = 2**31 - 1
"""Numbers are C's int."""

_TOKEN = re.compile(
    r"""
      (?P<skipped> [ \t\r\f\n]+ | \#[^\n\r]* )
    | (?P<word> [A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]* )
    | (?P<quoted> "(?:[^"\n]|"")*+" )
    | (?P<block> \{[^}]*+\} )
    | (?P<number> [0-9]+ )
    | (?P<sign> [(),*] )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the file. ``text`` is a name without its quotes, a block's SQL without its braces and outer blanks,
    a number without leading zeros.
    """

    kind: str
    text: str
    place: Location
    quoted: bool = False

    def __str__(self) -> str:
        """As a message names it."""
        if self.kind == NAME:
            return repr(self.text)
        return self.kind if self.kind in (BLOCK, END) else repr(self.text)


def tokens(text: str, file: Path) -> Iterator[Token]:
    """The tokens of a text that came from ``file``, the last one being its end.

    Raises ScenarioError with its place: a NUL, a character that begins nothing, a quote or a block that is not closed, an
    empty name, a number beyond C's int.
    """
    if (zero := text.find("\0")) >= 0:  # SQL cannot carry it to a server
        before = text[:zero].split("\n")
        raise ScenarioError("a NUL character cannot stand in it", Location(file, len(before), len(before[-1]) + 1))
    position, line, line_began = 0, 1, 0
    while position < len(text):
        place = Location(file, line, position - line_began + 1)
        match = _TOKEN.match(text, position)
        if match is None:
            raise ScenarioError(_unknown(text[position]), place)
        token = _token(match, place)
        if token is not None:
            yield token
        if newlines := match[0].count("\n"):
            line += newlines
            line_began = position + match[0].rindex("\n") + 1
        position = match.end()
    yield Token(END, "", Location(file, line, position - line_began + 1))


def _token(match: re.Match[str], place: Location) -> Token | None:
    text = match[0]
    if match["skipped"] is not None:
        return None
    if match["word"] is not None:
        return Token(text if text in KEYWORDS else NAME, text, place)
    if match["quoted"] is not None:
        if text == '""':
            raise ScenarioError("a name is empty", place)
        return Token(NAME, text[1:-1].replace('""', '"'), place, quoted=True)
    if match["block"] is not None:
        return Token(BLOCK, text[1:-1].strip(BLANKS), place)
    if match["number"] is not None:
        digits = text.lstrip("0") or "0"
        if len(digits) > len(str(MOST)) or int(digits) > MOST:
            raise ScenarioError(f"the number is too large (at most {MOST:,})", place)
        return Token(NUMBER, digits, place)
    return Token(text, text, place)


def _unknown(character: str) -> str:
    if character == '"':
        return "a quote is not closed in its line"
    if character == "{":
        return "an SQL block is not closed: there is no '}' after it"
    hint = {
        "}": ": an SQL block ends at its first '}', and it cannot hold another one",
        "-": ": a name with other characters than letters, digits, _ and $ needs double quotes, a comment begins with '#'",
        "'": ": a name is put into double quotes",
    }.get(character, "")
    return f"the character {character!r} means nothing here{hint}"
