"""What a scenario calls ``sensitive``: learned while the case runs, hidden in its History before anything is written.

Columns and items of these names are hidden wherever they stand. Their values are remembered, and hidden wherever else
they turn up: in a statement, a parameter, an error's text, a lock table, the engine's deadlock report. Values of one or
two characters are not looked for elsewhere: half of all text would be gone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.answers import ErrorKind, ResultSet
from harness.history import History, Operation

HIDDEN = "‹hidden›"
SHORTEST = 3
"""Characters that a value must have to be looked for in texts."""

_VALUES = frozenset({"parameters", "rows", "value", "initial", "final"})
_TEXTS = frozenset(
    {"statement", "text", "message", "detail", "end_text", "notes", "resource", "query", "object", "note"}
)
_ROW = re.compile(r"\(.*\)|\{.*\}", re.DOTALL)  # in the message of a constraint's error: the row or key that it refuses


class Secrecy:
    """The sensitive names of a scenario, and the values that were seen under them."""

    def __init__(self, names: frozenset[str] = frozenset(), parameters: Mapping[str, Any] | None = None) -> None:
        self.names = names
        self._values: set[str] = set()
        self.learn_writes(parameters or {})

    def learn(self, value: Any) -> None:
        """Remember a value, or all that are in it, as secret."""
        if isinstance(value, Mapping):
            value = list(value.values())
        if isinstance(value, list | tuple):
            for one in value:
                self.learn(one)
        elif value is not None and not isinstance(value, bool) and len(str(value)) >= SHORTEST:
            self._values.add(str(value))

    def learn_writes(self, values: Mapping[str, Any]) -> None:
        """Remember those values whose names are sensitive."""
        for name in self.names & values.keys():
            self.learn(values[name])

    def hide(self, results: list[ResultSet], reads: Mapping[str, str]) -> list[ResultSet]:
        """Results without the values of sensitive columns, and of columns that are read as sensitive items."""
        if not self.names:
            return results
        columns = self.names | {column for item, column in reads.items() if item in self.names}
        made = []
        for result in results:
            hidden = {index for index, column in enumerate(result.columns) if column in columns}
            hidden |= {0} if "" in columns or (len(result.columns) == 1 and self.names & reads.keys()) else set()
            rows = []
            for row in result.rows:
                self.learn([value for index, value in enumerate(row) if index in hidden])
                rows.append([HIDDEN if index in hidden else self._nested(value) for index, value in enumerate(row)])
            made.append(replace(result, rows=rows))
        return made

    def _nested(self, value: Any) -> Any:
        """A document with its sensitive fields hidden, at any depth."""
        if isinstance(value, Mapping):
            self.learn_writes(value)
            return {key: HIDDEN if key in self.names else self._nested(item) for key, item in value.items()}
        return [self._nested(item) for item in value] if isinstance(value, list) else value

    def item(self, name: str, column: str, results: list[ResultSet], value: Any) -> Any:
        """An item's value as it may be kept: hidden if its name or its column is sensitive."""
        named = {name, column} | ({results[-1].columns[0]} if results and results[-1].columns and not column else set())
        if not self.names & named:
            return self._nested(value)
        self.learn(value)
        return HIDDEN

    def operation(self, operation: Operation) -> Operation:
        """An operation without its value, if its item is sensitive."""
        if operation.item not in self.names:
            return operation
        self.learn(operation.value)
        return operation.model_copy(update={"value": HIDDEN, "known": False})

    def sealed(self, history: History) -> History:
        """The history with every secret value hidden, wherever it stands."""
        if not self.names:
            return history
        values = sorted(self._values, key=len, reverse=True)
        # A number inside a longer number is another number.
        words = [rf"(?<!\d){re.escape(value)}(?!\d)" if value.isdigit() else re.escape(value) for value in values]
        pattern = re.compile("|".join(words)) if words else None
        hidden: History = History.model_validate(self._walk(history.model_dump(mode="json"), pattern, ""))
        return hidden

    def _walk(self, value: Any, pattern: re.Pattern[str] | None, field: str) -> Any:
        if isinstance(value, dict):
            if value.get("kind") == ErrorKind.constraint.value and "detail" in value:
                # "Key (card)=(4111…) already exists": a value that nobody has read yet.
                value = value | {
                    "detail": HIDDEN if value["detail"] else "",
                    "message": _ROW.sub(HIDDEN, value["message"]),
                }
            inside = field in _VALUES
            return {key: self._walk(item, pattern, field if inside else key) for key, item in value.items()}
        if isinstance(value, list):
            return [self._walk(item, pattern, field) for item in value]
        if pattern is None or value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return pattern.sub(HIDDEN, value) if field in _VALUES or field in _TEXTS else value
        return HIDDEN if field in _VALUES and pattern.fullmatch(str(value)) else value
