"""Comparing values that came from different engines, and with what an expectation wants."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from harness.scenario.wanted import comparison


def number(value: Any) -> Decimal | None:
    """The value as a number, if it is one: ``"100.00"`` from one engine is 100 from another, a bit is 0 or 1."""
    if isinstance(value, bool):
        return Decimal(int(value))
    if not isinstance(value, int | float | str | Decimal):
        return None
    try:
        made = Decimal(str(value))
    except InvalidOperation:
        return None
    return made if made.is_finite() else None


def key(value: Any) -> Hashable:
    """Equal for values that are :func:`same`."""
    made = number(value)
    if made is not None:
        return made
    if isinstance(value, list | tuple):
        return tuple(map(key, value))
    if isinstance(value, Mapping):
        return frozenset((name, key(item)) for name, item in value.items())
    return value if isinstance(value, Hashable) else str(value)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, whatever type their engines gave them.

    >>> same("100.00", 100), same([1, "a"], ["1", "a"]), same(None, 0), same(None, "None")
    (True, True, False, False)
    """
    return key(one) == key(other)


def meets(value: Any, wanted: Any, names: Mapping[str, Any]) -> bool:
    """Whether ``value`` is as an expectation wants it: equal, or in the relation that a text names (``"< committed"``).

    Raises ScenarioError if the right side cannot be computed.
    """
    relation = comparison(wanted)
    if relation is None:
        return same(value, wanted)
    operator, right = relation
    bound = right.evaluate(names)
    if operator in ("==", "!="):
        return same(value, bound) == (operator == "==")
    left, limit = number(value), number(bound)
    if left is None or limit is None:
        return False
    return {"<": left < limit, "<=": left <= limit, ">": left > limit, ">=": left >= limit}[operator]
