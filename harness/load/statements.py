"""The queries of ``schemas/`` as a load user's client takes them: numbered parameters, values in their order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.promptsales.queries import find

_NAMED = re.compile(r"%\((\w+)\)s|%%")


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement and the names of its parameters, in the order in which the client wants their values."""

    sql: str
    order: tuple[str, ...]

    def values(self, **given: Any) -> list[Any]:
        """The values in that order."""
        return [given[name] for name in self.order]


@cache
def query(logical: str, engine: str, name: str) -> Asked:
    """A query of ``schemas/<logical>/<engine>/queries``. Raises DataError if there is none.

    >>> query("promptcrm", "postgresql", "city_distance").order
    ('city_1', 'city_2')
    """
    found = find(logical, engine, name)
    names = found.parameters
    bound = found.bind({one: one for one in names})
    if isinstance(bound.values, list):
        return Asked(bound.sql, tuple(bound.values))
    numbers = {one: f"${place}" for place, one in enumerate(names, 1)}
    return Asked(_NAMED.sub(lambda hit: numbers[hit[1]] if hit[1] else "%", bound.sql), names)
