"""The operations of a history in JSON: one array of them, or one after the other (JSON lines), each with its offset."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from harness.evidence.elle.edn import Unreadable

_BLANKS = re.compile(r"\s*+")


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def forms(text: str) -> Iterator[tuple[int, Any]]:
    """Each value of ``text`` with its offset; of one array that holds all, its elements.

    Raises Unreadable where the text is no JSON, after everything before that.

    >>> [form for _, form in forms('[{"type": "ok"},\\n {"type": "fail"}]')]
    [{'type': 'ok'}, {'type': 'fail'}]
    """
    pos = _after_blanks(text, 0)
    opened = pos if text.startswith("[", pos) else None
    if opened is not None:
        pos = _after_blanks(text, pos + 1)
        if text.startswith("]", pos):
            return _nothing_after(text, pos + 1)
    while pos < len(text):
        value, end = _value(text, pos)
        yield pos, value
        pos = _after_blanks(text, end)
        if opened is None:
            continue
        if text.startswith("]", pos):
            return _nothing_after(text, pos + 1)
        if pos < len(text) and text[pos] != ",":
            raise Unreadable(f"{text[pos]!r} where a comma should be", pos)
        pos = _after_blanks(text, pos + 1)
    if opened is not None:
        raise Unreadable("the array that begins here never ends", opened)


def _after_blanks(text: str, pos: int) -> int:
    found = _BLANKS.match(text, pos)
    return found.end() if found else pos


def _nothing_after(text: str, pos: int) -> None:
    if (rest := _after_blanks(text, pos)) < len(text):
        raise Unreadable("there is more after the array that holds the operations", rest)


def _value(text: str, pos: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, pos)
    except json.JSONDecodeError as error:
        said = error.msg[:1].lower() + error.msg[1:]
        raise Unreadable(f"this is no JSON: {said}", error.pos) from None
    except RecursionError:
        raise Unreadable("too many arrays within each other", pos) from None
    except ValueError as error:  # too many digits for Python, or NaN
        raise Unreadable(str(error).partition(";")[0], pos) from None
