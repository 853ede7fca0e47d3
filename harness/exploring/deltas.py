"""Delta debugging: the smallest part of a failing input that still fails.

Zeller & Hildebrandt, *Simplifying and Isolating Failure-Inducing Input*, IEEE Transactions on Software Engineering 28(2),
2002: what comes out is 1-minimal: without any one of its items it does not fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def ddmin(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """A 1-minimal part of ``items``, in their order, for which ``fails`` still says so; it must for all of them.

    >>> ddmin(range(8), lambda part: 3 in part and 6 in part)
    [3, 6]
    """
    kept, parts = list(items), 2
    while len(kept) > 1:
        chunks = _split(kept, min(parts, len(kept)))
        found = next((chunk for chunk in chunks if fails(chunk)), None) if len(chunks) > 1 else None
        if found is not None and len(found) < len(kept):
            kept, parts = found, 2
            continue
        for number in range(len(chunks)):
            rest = [item for other, chunk in enumerate(chunks) if other != number for item in chunk]
            if rest and fails(rest):
                kept, parts = rest, max(len(chunks) - 1, 2)
                break
        else:
            if len(chunks) >= len(kept):
                break
            parts = 2 * len(chunks)
    return kept


def _split(items: Sequence[T], parts: int) -> list[list[T]]:
    """``parts`` pieces that are as even as can be.

    >>> _split([1, 2, 3, 4, 5], 2)
    [[1, 2], [3, 4, 5]]
    """
    ends = [len(items) * number // parts for number in range(parts + 1)]
    return [list(items[begin:end]) for begin, end in pairwise(ends)]
