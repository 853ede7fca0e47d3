"""Statements without their values: what is shown of a statement must not tell a password, or what a client is called.

pg_stat_statements puts ``$1`` for values, but not in every statement (``ALTER ROLE … PASSWORD 'x'`` it keeps as it was
said); Query Store keeps texts as they came. So whatever comes is gone through once more here.
"""

from __future__ import annotations

import re

from harness.monitor.base import MARK

LONGEST = 2_000

_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<escaped>\b[eE]'(?:[^'\\]|\\.|'')*')
  | (?P<text>(?:\b[nNbBxX]|\b[uU]&)?'(?:[^']|'')*')
  | (?P<dollar>\$(?P<tag>(?:[A-Za-z_\x80-\uffff][\w]*)?)\$.*?\$(?P=tag)\$)
  | (?P<name>"(?:[^"]|"")*"|\[[^\[\]'"$]*\](?!\s*:))
  | (?P<placeholder>\$\d+|@\w+|:\w+|\?)
  | (?P<word>[^\W\d][\w$#]*)
  | (?P<number>0[xX][0-9A-Fa-f]*|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
  | (?P<space>\s+)
  | (?P<unsure>['"$`])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_OURS = re.compile(r"\bpsh_\w+")
"""Throw-away databases and logins: the same statement on each of them is the same."""

_SECRET = re.compile(
    r"\b(password|passphrase|secret|credential|credentials|connection|encrypted|decryption|encryption|options|identified)\b",
    re.IGNORECASE,
)
_QUERIES = ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "CALL", "EXEC", "EXECUTE", "(")


def scrub_statement(text: str) -> str:
    """The statement in one line, ``?`` for each value in it; its first words only, if it may tell a secret.

    >>> scrub_statement("SELECT name FROM t  WHERE id = 7 AND name = 'O''Hara' -- Ana")
    'SELECT name FROM t WHERE id = ? AND name = ?'
    >>> scrub_statement("ALTER ROLE ana PASSWORD 'x'")
    'ALTER ROLE …'
    """
    made: list[str] = []
    for token in _TOKEN.finditer(text.replace(MARK, " ")):
        kind = token.lastgroup if token.lastgroup != "tag" else "dollar"
        if kind == "unsure":  # a quote that nothing closes: whatever follows may be a value
            return _first_words(text)
        if kind in ("comment", "space"):
            made.append(" ")
        elif kind in ("escaped", "text", "dollar", "number"):
            made.append("?")
        else:
            made.append(token.group())
    whole = " ".join("".join(made).split())
    if not whole.upper().startswith(_QUERIES) and _SECRET.search(whole):
        return _first_words(whole)
    whole = _OURS.sub("psh_…", re.sub(r"\(\?(?:, ?\?)+\)", "(?, …)", whole))
    return whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"


def _first_words(text: str) -> str:
    """The first two words of a statement, which say what it is; they are never values."""
    words = re.match(r"\s*([A-Za-z]+)(?:\s+([A-Za-z]+))?", text)
    return " ".join([*filter(None, words.groups()), "…"]) if words else "…"
