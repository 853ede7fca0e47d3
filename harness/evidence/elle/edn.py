"""EDN, the notation of Clojure that Jepsen's histories are written in (https://github.com/edn-format/edn): read and written.

Vectors and lists are read as lists, sets as frozensets, maps as dicts, characters and keywords as strings: ``:ok`` and
``"ok"`` are the same here, for histories never tell them apart. A tagged element is read as the element alone. What is no
number and no word of EDN (``java.lang.Exception``) is a :class:`Symbol`. To write a keyword, give a :class:`Keyword`.

Most operations of a history are made of keywords, numbers, brackets and ``nil`` only. Such a map is rewritten as JSON, which
Python reads several times as fast as a tokenizer in Python does; all others, and all that are wrong, go to the tokenizer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, NoReturn

DEEPEST = 100
"""Collections within each other; no history has more than a handful."""


class Keyword(str):
    """A text that is written as a keyword: ``Keyword("ok")`` is ``:ok``."""

    __slots__ = ()


class Symbol(str):
    """A bare word, of which EDN does not say what it is."""

    __slots__ = ()


class Unreadable(ValueError):
    """The text is not in its notation. ``offset`` says where, in characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


_SKIP = re.compile(r"(?:[\s,]++|;[^\n]*+)*+")
_TOKEN = re.compile(
    r"""(?P<open>\#?\{|[\[(])
      | (?P<close>[\])}])
      | (?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+")
      | (?P<discard>\#_)
      | (?P<special>\#\#(?:-?Inf|NaN))
      | (?P<tag>\#[A-Za-z:][^\s,()\[\]{}";]*+)
      | (?P<character>\\(?:newline|return|space|tab|formfeed|backspace|u[0-9A-Fa-f]{4}|[^\s]))
      | (?P<atom>[^\s,()\[\]{}";\#][^\s,()\[\]{}";]*+)""",
    re.VERBOSE | re.DOTALL,
)
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)N?")
_FLOAT = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?M?")
_KEYWORD = re.compile(r"[A-Za-z*+!_?<>=$&-][A-Za-z0-9.*+!_?<>=$&%-]*")
_CLOSES = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_CALLED = {"[": "vector", "(": "list", "{": "map", "#{": "set"}
_WORDS = {"nil": None, "true": True, "false": False}
_SPECIAL = {"##Inf": math.inf, "##-Inf": -math.inf, "##NaN": math.nan}
_CHARACTERS = {
    "newline": "\n", "return": "\r", "space": " ", "tab": "\t", "formfeed": "\f", "backspace": "\b"
}  # fmt: skip
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "b": "\b", '"': '"', "\\": "\\", "'": "'"}


def forms(text: str) -> Iterator[tuple[int, Any]]:
    """Each form of ``text`` with its offset; of one vector or list that holds all, its elements.

    Raises Unreadable where the text is no EDN, after everything before that.

    >>> [form for _, form in forms('[{:type :ok, :value [[:r 1 nil]]} ; one\\n #op {:type :fail}]')]
    [{'type': 'ok', 'value': [['r', 1, None]]}, {'type': 'fail'}]
    """
    pos = _after_blanks(text, 0)
    closes = _CLOSES[text[pos]] if text[pos : pos + 1] in ("[", "(") else ""
    opened = pos
    pos += len(closes)
    while True:
        pos = _after_blanks(text, pos)
        if pos >= len(text):
            if closes:
                _refuse(f"the {_CALLED[text[opened]]} that begins here never ends", opened)
            return
        if text[pos] == closes:
            if (rest := _after_blanks(text, pos + 1)) < len(text):
                _refuse(f"there is more after the {_CALLED[text[opened]]} that holds the operations", rest)
            return
        if text[pos] == "{" and (quick := _plain(text, pos)) is not None:
            yield pos, quick[0]
            pos = quick[1]
            continue
        value, end = _form(text, pos)
        if value is not _NOTHING:
            yield pos, value
        elif end == pos:
            _refuse(f"{text[pos]} closes nothing", pos)
        pos = end


def loads(text: str) -> Any:
    """The one form of ``text``. Raises Unreadable.

    >>> loads('{:a [1 2.5 "b" \\\\c], "d" #{nil}}')
    {'a': [1, 2.5, 'b', 'c'], 'd': frozenset({None})}
    """
    value, end = _form(text, 0)
    if value is _NOTHING:
        _refuse("there is nothing", 0)
    if (rest := _after_blanks(text, end)) < len(text):
        _refuse("there is more after the form", rest)
    return value


def _after_blanks(text: str, pos: int) -> int:
    found = _SKIP.match(text, pos)
    return found.end() if found else pos


def _refuse(message: str, offset: int) -> NoReturn:
    raise Unreadable(message, offset)


# -- the quick way

_PLAIN = re.compile(r"\{[A-Za-z0-9_\s,:\[\]{}.+-]*\}", re.ASCII)
_NIL = re.compile(r"(?<=[\s,\[])nil(?=[\s,\]}])")
_NAME = re.compile(r":([A-Za-z][A-Za-z0-9_.+-]*)")
_MOST_MAPS = 4
_COMMON = [
    (f":{name},", f'"{name}",')
    for name in ("append", "r", "w", "type", "invoke", "ok", "f", "txn", "value", "process", "time", "index")
]
"""What nearly all keywords are: to replace those one by one is much quicker than a regular expression."""


def _no_constant(word: str) -> NoReturn:
    raise ValueError(word)


_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def _plain(text: str, pos: int) -> tuple[dict[Any, Any], int] | None:
    """The map at ``pos``, if it is a plain one, and where it ends; else None."""
    end = text.find("}", pos) + 1
    for _ in range(_MOST_MAPS):  # Jepsen's bank has a map in each operation's
        if text.count("{", pos, end) == text.count("}", pos, end):
            break
        end = text.find("}", end) + 1
    line = text[pos:end]
    if not _PLAIN.fullmatch(line):
        return None
    made = ",".join((_NIL.sub("null", line) if "nil" in line else line).replace(",", " ").split())
    for name, quoted in _COMMON:
        made = made.replace(name, quoted)
    if ":" in made:
        made = _NAME.sub(r'"\1"', made)
    # A map becomes a list that begins with a mark, which no keyword can be.
    made = made.replace("{", '["{",').replace("}", "]").replace("[,", "[").replace(",,", ",").replace(",]", "]")
    try:
        value = _maps(_decode(made), nested=line.count("{") > 1)
    except (ValueError, TypeError, RecursionError):
        return None
    return value, end


def _maps(value: Any, *, nested: bool) -> Any:
    """The maps that lists with a mark stand for; TypeError or ValueError if there is anything odd about one."""
    if type(value) is not list:
        return value
    items = [_maps(item, nested=True) for item in value] if nested else value
    if not items or items[0] != "{":
        return items
    made = dict(zip(items[1::2], items[2::2], strict=True))
    if 2 * len(made) + 1 != len(items):
        raise ValueError("a key is there twice")
    return made


# -- the tokenizer

_NOTHING = object()


@dataclass(slots=True)
class _Open:
    """A collection that has begun, or a mark (``#_``, a tag) that waits for its form."""

    mark: str
    offset: int
    items: list[Any] = field(default_factory=list)


def _form(text: str, pos: int) -> tuple[Any, int]:
    """The form at ``pos`` and where it ends; _NOTHING if the text, or what is around it, ends before one begins."""
    stack: list[_Open] = []
    while True:
        pos = _after_blanks(text, pos)
        token = _TOKEN.match(text, pos)
        if token is None:
            if pos < len(text):
                _refuse(
                    'a text that begins with " never ends' if text[pos] == '"' else f"{text[pos]!r} begins nothing", pos
                )
            if not stack:
                return _NOTHING, pos
            _refuse(f"the {_CALLED.get(stack[-1].mark, stack[-1].mark)} that begins here never ends", stack[-1].offset)
        kind, said = token.lastgroup, token[0]
        start, end = pos, token.end()
        if kind in ("open", "discard", "tag"):
            if len(stack) >= DEEPEST:
                _refuse(f"more than {DEEPEST} collections within each other", pos)
            stack.append(_Open(said, pos))
            pos = end
            continue
        if kind == "close":
            if not stack:
                return _NOTHING, pos
            value = _closed(stack.pop(), said, pos)
        else:
            value = _scalar(kind or "", said, start)
        pos = end
        while stack and stack[-1].mark not in _CALLED:
            if stack.pop().mark == "#_":
                break
        else:
            if not stack:
                return value, pos
            stack[-1].items.append(value)


def _closed(one: _Open, by: str, offset: int) -> Any:
    if _CLOSES.get(one.mark) != by:
        _refuse(f"{by} where {_CLOSES.get(one.mark, 'a form')} should be", offset)
    if one.mark in ("[", "("):
        return one.items
    try:
        if one.mark == "#{":
            return frozenset(map(_hashable, one.items))
        if len(one.items) % 2:
            _refuse("a map has a key without a value", one.offset)
        made = dict(zip(map(_hashable, one.items[::2]), one.items[1::2], strict=True))
    except TypeError:
        _refuse("a map is a key of a map, or in a set", one.offset)
    if 2 * len(made) < len(one.items):
        _refuse("a map has the same key twice", one.offset)
    return made


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _scalar(kind: str, said: str, offset: int) -> Any:
    if kind == "string":
        return _ESCAPE.sub(lambda found: _unescaped(found[1], offset), said[1:-1]) if "\\" in said else said[1:-1]
    if kind == "special":
        return _SPECIAL[said]
    if kind == "character":
        name = said[1:]
        return chr(int(name[1:], 16)) if len(name) == 5 and name[0] == "u" else _CHARACTERS.get(name, name)
    if said[0] == ":":
        if len(said) == 1:
            _refuse("a colon without a name", offset)
        return said[1:]
    if said in _WORDS:
        return _WORDS[said]
    if _INTEGER.fullmatch(said):
        try:
            return int(said.removesuffix("N"))
        except ValueError:  # Python's limit of digits
            _refuse(f"a number of {len(said):,} digits", offset)
    if _FLOAT.fullmatch(said):
        return float(said.removesuffix("M"))
    return Symbol(said)


def _unescaped(said: str, offset: int) -> str:
    if said in _ESCAPES:
        return _ESCAPES[said]
    if len(said) == 5:
        return chr(int(said[1:], 16))
    if said[0] in "01234567":
        return chr(int(said, 8))
    _refuse(f"\\{said} in a text means nothing", offset)


# -- writing


def dumps(value: Any) -> str:
    """``value`` on one line. Raises TypeError for what EDN has no notation for.

    >>> dumps({Keyword("type"): Keyword("ok"), Keyword("value"): [(Keyword("r"), "x", None)]})
    '{:type :ok, :value [[:r "x" nil]]}'
    """
    if type(value) is int:
        return repr(value)
    if isinstance(value, Keyword) and _KEYWORD.fullmatch(value):
        return f":{value}"
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float):
        return _real(value)
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(dumps, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{dumps(key)} {dumps(one)}" for key, one in value.items()) + "}"
    if isinstance(value, Set):
        return "#{" + " ".join(sorted(map(dumps, value))) + "}"
    raise TypeError(f"EDN has no notation for {value!r}")


_TO_QUOTE = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')


def _quoted(text: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
    return '"' + _TO_QUOTE.sub(lambda found: short.get(found[0], f"\\u{ord(found[0]):04x}"), text) + '"'


def _real(value: float) -> str:
    if math.isnan(value):
        return "##NaN"
    if math.isinf(value):
        return "##Inf" if value > 0 else "##-Inf"
    return repr(value)
