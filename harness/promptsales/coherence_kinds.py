"""The kinds of rule: rows that must not be there, ids that must exist, rows that must be equal, dates that must enclose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.promptsales.coherence import Tally
from harness.promptsales.coherence_sources import Row, Side, Sources


@dataclass(frozen=True, slots=True)
class Holds:
    """It holds of every row: ``broken`` gives the key of each that is, ``count`` how many rows there are."""

    name: str
    logical: str
    count: str
    broken: str
    key: str  # how a key is shown, with {} for each of its columns

    @property
    def needs(self) -> tuple[str, ...]:
        """Its database."""
        return (self.logical,)

    def run(self, sources: Sources) -> Tally:
        """Ask for those that are broken."""
        tally = Tally()
        for (count,) in sources.rows(Side(self.logical, self.count)):
            tally.checked = int(count or 0)
        for row in sources.rows(Side(self.logical, self.broken)):
            tally.breaks(self.key.format(*row))
        return tally


@dataclass(frozen=True, slots=True)
class Exists:
    """Every id that is held exists: ``held`` gives (id, how often), ``there`` gives (id,); both sorted, no id twice."""

    name: str
    held: Side
    there: Side
    key: str

    @property
    def needs(self) -> tuple[str, ...]:
        """Both sides."""
        return tuple(dict.fromkeys((self.held.logical, self.there.logical)))

    def run(self, sources: Sources) -> Tally:
        """Walk along both."""
        tally = Tally()
        for _, held, there in merged(sources.rows(self.held), sources.rows(self.there), 1):
            if held is not None:
                tally.checked += int(held[1])
                if there is None:
                    tally.breaks(f"{self.key.format(held[0])} ({held[1]} times)", int(held[1]))
        return tally


@dataclass(frozen=True, slots=True)
class Same:
    """Both sides have the same rows: ``keys`` columns that are sorted by, then ``columns``.

    ``month``: the last key is a month's number. ``zero``: a row that is missing counts as zeros.
    """

    name: str
    left: Side
    right: Side
    keys: int
    columns: tuple[str, ...]
    key: str
    month: bool = False
    zero: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Both sides."""
        return tuple(dict.fromkeys((self.left.logical, self.right.logical)))

    def run(self, sources: Sources) -> Tally:
        """Walk along both."""
        tally = Tally()
        nothing = (0,) * len(self.columns)
        keys = self.keys
        for key, left, right in merged(sources.rows(self.left), sources.rows(self.right), keys):
            tally.checked += 1
            if left is not None and right is not None and left[keys:] == right[keys:]:
                continue
            ours = left[keys:] if left is not None else nothing if self.zero else None
            theirs = right[keys:] if right is not None else nothing if self.zero else None
            if ours != theirs:
                tally.breaks(f"{self._shown(key)}: {self._difference(ours, theirs)}")
        return tally

    def _shown(self, key: Row) -> str:
        if self.month:
            key = (*key[:-1], f"{key[-1] // 12}-{key[-1] % 12 + 1:02}")
        return self.key.format(*key)

    def _difference(self, ours: Row | None, theirs: Row | None) -> str:
        """Numbers are shown, of anything else only that it differs."""
        if ours is None or theirs is None:
            return f"only in {self.right.logical if ours is None else self.left.logical}"
        return ", ".join(
            f"{column} {mine} / {other}" if isinstance(mine, int) and isinstance(other, int) else f"{column} differs"
            for column, mine, other in zip(self.columns, ours, theirs, strict=True)
            if mine != other
        )


@dataclass(frozen=True, slots=True)
class Encloses:
    """What happened lies within: ``happened`` gives (id, first, last, how often), ``within`` (id, from, to); sorted."""

    name: str
    happened: Side
    within: Side
    key: str

    @property
    def needs(self) -> tuple[str, ...]:
        """Both sides."""
        return tuple(dict.fromkeys((self.happened.logical, self.within.logical)))

    def run(self, sources: Sources) -> Tally:
        """Walk along both; ids that are missing are another rule's matter."""
        tally = Tally()
        for key, happened, within in merged(sources.rows(self.happened), sources.rows(self.within), 1):
            if happened is None:
                continue
            tally.checked += int(happened[3])
            if within is not None and (happened[1] < within[1] or happened[2] > within[2]):
                tally.breaks(
                    f"{self.key.format(*key)}: {happened[1]} to {happened[2]}, but it ran {within[1]} to {within[2]}"
                )
        return tally


def merged(left: Iterator[Row], right: Iterator[Row], keys: int) -> Iterator[tuple[Row, Row | None, Row | None]]:
    """Walk along two sorted sides: each key with the row of either side, None where one has none.

    >>> list(merged(iter([(1, "a"), (2, "b")]), iter([(2, "c")]), 1))
    [((1,), (1, 'a'), None), ((2,), (2, 'b'), (2, 'c'))]
    """
    ours: Any = next(left, None)
    theirs: Any = next(right, None)
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and ours[:keys] < theirs[:keys]):
            yield ours[:keys], ours, None
            ours = next(left, None)
        elif ours is None or theirs[:keys] < ours[:keys]:
            yield theirs[:keys], None, theirs
            theirs = next(right, None)
        else:
            yield ours[:keys], ours, theirs
            ours, theirs = next(left, None), next(right, None)
