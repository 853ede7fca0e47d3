"""Which ids a user works on: asked of the database once in a process, then drawn unevenly, as customers come."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

MOST = 100_000
"""Ids that are kept in a process; of more, as many are chosen, the same ones in each process."""

SKEW = 3.0


class Ids:
    """Ids of one table. At ``skew`` s the r-th of n in popularity is drawn about as often as r^(1/s - 1) (Zipf-like).

    >>> Ids([7], skew=3).one()
    7
    """

    def __init__(self, found: Sequence[int], skew: float = SKEW, among: int | None = None) -> None:
        mixed = np.random.default_rng(1).permutation(np.array(sorted(found), dtype=np.int64))
        self._ids: list[int] = mixed[: among or MOST].tolist()
        self._skew = skew

    def __len__(self) -> int:
        return len(self._ids)

    def one(self) -> int:
        """One of them; the popular ones often."""
        return self._ids[int(len(self._ids) * random.random() ** self._skew)]

    def two(self) -> tuple[int, int]:
        """Two different ones, in any order. There must be two."""
        first = second = self.one()
        while second == first:
            second = self.one()
        return first, second


class Known:
    """The ids of a process, by what they are called: asked for when first needed."""

    def __init__(self) -> None:
        self._known: dict[object, Ids] = {}

    def ids(self, key: object, ask: Callable[[], Sequence[int]], skew: float, among: int | None) -> Ids:
        """The ids of that key; ``ask`` is called once."""
        full = (key, skew, among)
        if full not in self._known:
            found = ask()
            self._known.setdefault(full, Ids(found, skew, among))
        return self._known[full]
