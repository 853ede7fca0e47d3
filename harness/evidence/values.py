"""Comparing values that came from different engines, and the little language of expectations: ``100``, ``"< 400"``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from harness.scenario.expressions import Expression

_COMPARISON = re.compile(r"\s*(==|!=|<=|>=|<|>)\s*(.+)\Z")


def number(value: Any) -> Decimal | None:
    """The value as a number, if it is one: ``"100.00"`` from one engine is 100 from another."""
    if isinstance(value, bool) or value is None or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        made = Decimal(str(value))
    except InvalidOperation:
        return None
    return made if made.is_finite() else None


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, whatever type their engines gave them.

    >>> same("100.00", 100), same([1, "a"], ["1", "a"]), same(None, 0)
    (True, True, False)
    """
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    left, right = number(one), number(other)
    if left is not None and right is not None:
        return left == right
    return bool(one == other)


def key(value: Any) -> str:
    """A text that is equal for values that are :func:`same`."""
    made = number(value)
    if made is not None:
        return f"n{made.normalize():f}"
    if isinstance(value, list):
        return "[" + ",".join(key(item) for item in value) + "]"
    return f"s{value}"


def meets(value: Any, wanted: Any, names: Mapping[str, Any]) -> bool:
    """Whether ``value`` is as an expectation wants it: equal, or in the relation that a text names (``"< committed"``).

    Raises ScenarioError if the right side cannot be computed.
    """
    match = _COMPARISON.match(wanted) if isinstance(wanted, str) else None
    if match is None:
        return same(value, wanted)
    operator, right = match.groups()
    bound = Expression(right).evaluate(names)
    if operator in ("==", "!="):
        return same(value, bound) == (operator == "==")
    left, limit = number(value), number(bound)
    if left is None or limit is None:
        return False
    return {"<": left < limit, "<=": left <= limit, ">": left > limit, ">=": left >= limit}[operator]
