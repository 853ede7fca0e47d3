"""What must be true at the end of a run, computed from its history alone: ``budget == initial_budget - 100 * committed_T1``.

An invariant over who committed is true of every interleaving, where a value at the end is only true of some: serializable
means that the end is that of *some* serial order of those who committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.errors import ScenarioError
from harness.evidence.transactions import transactions
from harness.evidence.values import meets, number
from harness.history import ENDINGS, EventKind, History
from harness.scenario.expressions import Expression
from harness.scenario.wanted import committed_name


def broken(history: History, holds: Sequence[str]) -> Iterator[str]:
    """What of ``holds`` is not so, each in a line that says what was there instead."""
    if not holds:
        return
    names = outcome(history)
    for source in holds:
        try:
            for part in Expression(source).conjuncts():
                if wrong := _wrong(part, names):
                    yield f"{part.source}: {wrong}"
        except ScenarioError as error:
            yield f"{source}: {error.message}"


def outcome(history: History) -> dict[str, Any]:
    """The names that an expression may use: items at the end, ``initial_ITEM``, ``committed_SESSION``; of a free run, its
    counts. Numbers are numbers, whatever type their engine gave them.
    """
    names = {f"initial_{item}": value for item, value in history.initial.items()}
    names |= history.final
    names |= {committed_name(session): count for session, count in committed(history).items()}
    if history.mode == "free-running":
        names |= {"attempted": 0, "committed": 0, "refused": 0}
        names |= {name.replace(" ", "_"): count for name, count in history.transactions.items()}
    return {name: _plain(value) for name, value in names.items()}


def committed(history: History) -> dict[str, int]:
    """Session → how many of its transactions committed.

    One that never opened a transaction counts as one, which committed if each of its steps went well.
    """
    counts = dict.fromkeys((session.name for session in history.sessions), 0)
    opened = {event.session for event in history.events if event.in_transaction}
    for one in transactions(history):
        if one.explicit and one.committed:
            counts[one.session] = counts.get(one.session, 0) + 1
    ended = [event for event in history.events if event.kind in ENDINGS or event.kind is EventKind.skipped]
    for session in {event.session for event in ended} - opened:
        counts[session] = int(all(event.kind is EventKind.ok for event in ended if event.session == session))
    return counts


def _wrong(expression: Expression, names: Mapping[str, Any]) -> str:
    """Nothing if it is true. Raises ScenarioError if it cannot be computed."""
    used = sorted(expression.names())
    if missing := [name for name in used if name not in names]:
        return f"nobody knows {' and '.join(missing)} at the end"
    if sides := expression.sides():
        left, operator, right = (side if isinstance(side, str) else _value(side, names, used) for side in sides)
        if meets(left, f"{operator} right", {"right": right}):
            return ""
        return f"{_said(left)} {operator} {_said(right)} is not so"
    if _value(expression, names, used):
        return ""
    values = ", ".join(f"{name} is {_said(names[name])}" for name in used)
    return f"it is not so{f' ({values})' if values else ''}"


def _value(expression: Expression, names: Mapping[str, Any], used: Sequence[str]) -> Any:
    try:
        return _plain(expression.evaluate({name: names[name] for name in used if name in names}))
    except ScenarioError:
        values = ", ".join(f"{name} is {_said(names[name])}" for name in used)
        raise ScenarioError(f"cannot be computed{f' ({values})' if values else ''}") from None


def _plain(value: Any) -> Any:
    """A number as one to reckon with; anything else as it is. Digits too small to have been meant are dropped."""
    found = None if isinstance(value, bool) else number(value)
    if found is None:
        return value
    return int(found) if found == int(found) else round(float(found), 9)


def _said(value: Any) -> str:
    return "nothing" if value is None else str(value)
