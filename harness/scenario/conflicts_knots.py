"""Sessions that hang together: by waiting for each other, or by what SSI notes of their transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.scenario.conflicts_model import Access
from harness.scenario.conflicts_transactions import Place


def joined(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The components of a graph: name → number of the component it belongs to."""
    number = {name: index for index, name in enumerate(dict.fromkeys(names))}
    for one, two in pairs:
        first, second = number[one], number[two]
        if first != second:
            number = {name: first if value == second else value for name, value in number.items()}
    return number


def may_wait(one: Place, two: Place, own: Callable[[Place], frozenset[Access]]) -> bool:
    """Whether one of two steps may have to wait for the other one's transaction."""
    if one.footprint.everything or two.footprint.everything:
        return True
    if one.footprint.engine != two.footprint.engine:
        return False
    if one.footprint.engine == "redis":
        return (one.footprint.waits or two.footprint.waits) and _meet(own(one), own(two), both=False)
    if "end" in (one.footprint.kind, two.footprint.kind):
        return False
    # PostgreSQL's readers never wait for rows, at any level.
    both = one.footprint.engine == "postgresql"
    return _meet(own(one), own(two), both=both)


def _meet(some: Iterable[Access], others: Iterable[Access], *, both: bool) -> bool:
    others = list(others)
    return any(
        one.overlaps(two) and ((one.writes and two.writes) if both else (one.writes or two.writes))
        for one in some
        for two in others
    )


def certain(place: Place) -> bool:
    """Whether it asks for one row's lock and no more: while it waits for that it holds nothing new."""
    footprint = place.footprint
    written = [access for access in footprint.accesses if access.writes]
    return (
        footprint.engine == "postgresql"
        and footprint.kind == "statement"
        and not footprint.everything
        and not place.alone
        and not place.murky
        and len(written) == 1
        and written[0].keys is not None
        and len(written[0].keys) <= 1
    )


def first_waits(pairs: Iterable[tuple[Place, Place]]) -> dict[str, int]:
    """For each session that has one, the index of its first step that may wait or be waited for."""
    first: dict[str, int] = {}
    for pair in pairs:
        for place in pair:
            first[place.session] = min(first.get(place.session, place.index), place.index)
    return first
