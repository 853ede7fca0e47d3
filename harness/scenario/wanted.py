"""The little language of expected values: ``100`` is equal to 100, ``"< 400"`` and ``"== committed"`` are relations."""

from __future__ import annotations

import re
from typing import Any

from harness.scenario.expressions import Expression

_COMPARISON = re.compile(r"\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*\Z", re.DOTALL)


def committed_name(session: str) -> str:
    """What the number of a session's committed transactions is called in an expression.

    >>> committed_name("T1"), committed_name("the other one")
    ('committed_T1', 'committed_the_other_one')
    """
    return "committed_" + re.sub(r"\W", "_", session)


def comparison(wanted: Any) -> tuple[str, Expression] | None:
    """The operator and the right side, if ``wanted`` is a relation; None if it is a plain value.

    >>> comparison("<= initial_budget + 10")
    ('<=', Expression(source='initial_budget + 10'))
    """
    match = _COMPARISON.match(wanted) if isinstance(wanted, str) else None
    return (match[1], Expression(match[2])) if match else None
