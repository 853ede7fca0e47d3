"""``${…}``: values of the scenario inside its statements, computed by us and bound by the driver.

``UPDATE campaign SET budget = ${budget - 100}`` never pastes a value into the text: SQL gets a placeholder,
a MongoDB document or a Redis command line gets the value itself. Names are captured values, parameters, and, in a
copied session, ``i`` (this copy's number, from 1), ``n`` (how many there are) and ``next`` (the number after ``i``, round
the ring). ``${databases.ALIAS}`` is the case's own database, as a quoted identifier. ``$${`` stands for a plain ``${``.
"""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from simpleeval import EvalWithCompoundTypes, InvalidExpression

from harness.errors import ScenarioError

_EXPRESSION = re.compile(r"\$(\$\{|\{(?P<inner>[^{}]*)\})")
_DATABASE = re.compile(r"databases\.(?P<alias>\w+)\Z")
_NOT_CODE = re.compile(
    r"""(?P<quoted>'[^']*(?:'|\Z)|"[^"]*(?:"|\Z)|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)|--[^\n]*|/\*.*?(?:\*/|\Z)""", re.S
)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "float": float,
    "int": int,
    "len": len,
    "max": max,
    "min": min,
    "round": round,
    "str": str,
}


_COMPARED: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}

_parsing = threading.Lock()


@lru_cache(maxsize=4096)
def _tree(source: str) -> ast.Expression:
    """What is parsed once: at load. Python 3.11's parser fails now and then if two threads parse at a time."""
    with _parsing:
        return ast.parse(source.strip(), mode="eval")


@dataclass(frozen=True, slots=True)
class Expression:
    """What stands between ``${`` and ``}``."""

    source: str

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """Its value; raises ScenarioError (without a location) if a name is unknown or it cannot be computed."""
        try:
            evaluator = EvalWithCompoundTypes(names=dict(names), functions=_FUNCTIONS)
            return evaluator.eval(self.source, _tree(self.source).body)
        except (InvalidExpression, ArithmeticError, TypeError, ValueError, SyntaxError, KeyError, IndexError) as error:
            known = ", ".join(sorted(names)) or "none yet"
            raise ScenarioError(f"cannot compute ${{{self.source}}}: {error} (known names: {known})") from None

    def names(self) -> set[str]:
        """The names it uses. Raises ScenarioError (without a location) if it is no expression."""
        try:
            tree = _tree(self.source)
        except SyntaxError:
            raise ScenarioError(f"{self.source!r} is not an expression") from None
        used = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        own = {node.id for node in used if isinstance(node.ctx, ast.Store)}  # [x for x in rows]
        return {node.id for node in used} - own - set(_FUNCTIONS)

    def conjuncts(self) -> list[Expression]:
        """What stands between its outermost ``and``; itself, if there is none. Raises ScenarioError as :meth:`names`."""
        self.names()
        body = _tree(self.source).body
        if isinstance(body, ast.BoolOp) and isinstance(body.op, ast.And):
            return [part for value in body.values for part in Expression(ast.unparse(value)).conjuncts()]
        return [self]

    def sides(self) -> tuple[Expression, str, Expression] | None:
        """Left side, operator and right side, if it is one comparison of values; raises ScenarioError as :meth:`names`.

        >>> Expression("a < b + 1").sides()
        (Expression(source='a'), '<', Expression(source='b + 1'))
        """
        self.names()
        body = _tree(self.source).body
        if not isinstance(body, ast.Compare) or len(body.ops) != 1 or type(body.ops[0]) not in _COMPARED:
            return None
        left, right = (Expression(ast.unparse(side)) for side in (body.left, body.comparators[0]))
        return left, _COMPARED[type(body.ops[0])], right


@dataclass(frozen=True, slots=True)
class DatabaseName:
    """``${databases.ALIAS}``."""

    alias: str


Part = str | Expression | DatabaseName


@lru_cache(maxsize=4096)
def parse(text: str) -> tuple[Part, ...]:
    """Split a text into plain parts and expressions. Raises ScenarioError for ``${`` that is no expression."""
    parts: list[Part] = []
    end = 0
    for match in _EXPRESSION.finditer(text):
        parts.append(_plain(text[end : match.start()]))
        end = match.end()
        if match["inner"] is None:
            parts.append("${")
            continue
        inner = match["inner"].strip()
        if database := _DATABASE.match(inner):
            parts.append(DatabaseName(database["alias"]))
            continue
        expression = Expression(inner)
        try:
            expression.names()
        except ScenarioError:
            raise ScenarioError(f"${{{inner}}} is not an expression") from None
        parts.append(expression)
    parts.append(_plain(text[end:]))
    return tuple(part for part in parts if part != "")


def _plain(text: str) -> str:
    if "${" in text:
        began = text[text.index("${") :].split("\n")[0][:30]
        raise ScenarioError(f"{began!r} is not closed by '}}', or has braces in it ('$${{' stands for a plain '${{')")
    return text


def expressions(text: str) -> list[Expression]:
    """All expressions of a text, in order."""
    return [part for part in parse(text) if isinstance(part, Expression)]


def check_sql(text: str) -> None:
    """Raise ScenarioError if an expression stands inside a quoted SQL string or a comment: it is bound, not pasted."""
    used = expressions(text)
    bare = "".join("\0" if isinstance(part, Expression) else str(part) for part in parse(text))
    for match in _NOT_CODE.finditer(bare):
        if "\0" in match[0]:
            expression = used[bare.count("\0", 0, match.start())]
            inside = "quotes: write it without them," if match["quoted"] else "a comment, and"
            raise ScenarioError(f"${{{expression.source}}} stands inside {inside} it is bound as a value")


def bind_sql(
    text: str,
    names: Mapping[str, Any],
    placeholder: Callable[[int], str],
    database: Callable[[str], str],
) -> tuple[str, tuple[Any, ...]]:
    """SQL text with the engine's placeholders, and the values to bind, in order.

    >>> bind_sql("SET x = ${x + 1}", {"x": 1}, lambda n: f"${n}", str)
    ('SET x = $1', (2,))
    """
    out: list[str] = []
    values: list[Any] = []
    for part in parse(text):
        if isinstance(part, Expression):
            values.append(part.evaluate(names))
            out.append(placeholder(len(values)))
        elif isinstance(part, DatabaseName):
            out.append(database(part.alias))
        else:
            out.append(part)
    return "".join(out), tuple(values)


def fill(value: Any, names: Mapping[str, Any]) -> Any:
    """A document or a list with the expressions in its texts replaced by their values.

    A text that is one expression keeps the value's type: ``"${amount + 1}"`` becomes a number.
    """
    if isinstance(value, str):
        parts = parse(value)
        if len(parts) == 1 and isinstance(parts[0], Expression):
            return parts[0].evaluate(names)
        return "".join(str(part.evaluate(names)) if isinstance(part, Expression) else _text(part) for part in parts)
    if isinstance(value, Mapping):
        return {key: fill(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, names) for item in value]
    return value


def _text(part: str | DatabaseName) -> str:
    if isinstance(part, DatabaseName):
        raise ScenarioError(f"${{databases.{part.alias}}} can stand in SQL only")
    return part


def used_in(value: Any) -> list[Expression]:
    """All expressions in a text, a document or a list."""
    if isinstance(value, str):
        return expressions(value)
    if isinstance(value, Mapping):
        return [expression for item in value.values() for expression in used_in(item)]
    if isinstance(value, list | tuple):
        return [expression for item in value for expression in used_in(item)]
    return []
