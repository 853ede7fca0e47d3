"""Interleavings made by the harness: all of them, a reduced set, or some drawn at random.

*Reduced* keeps one interleaving of each class that differs only by swapping neighbours that cannot influence each
other: the one that is least in lexical order of the sessions (Anisimov & Knuth, *Inhomogeneous Sorting*, 1979). Which
steps those are, :mod:`harness.scenario.conflicts` says. They are made depth first with sleep sets (Godefroid,
*Partial-Order Methods for the Verification of Concurrent Systems*, LNCS 1032, 1996): each beginning that is kept is a
least one, so what is left out is never made.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import combinations

from harness.errors import ScenarioError
from harness.scenario.conflicts import Related, unplaced
from harness.scenario.model import Entry, Schedule, Session, Step

LIMIT = 10_000
"""More interleavings than this are refused: draw some at random instead."""


MOST_NODES = 50 * LIMIT
"""Beginnings of reduced interleavings that are looked at before it is called too many."""

MOST_STEPS = 400
"""Steps of a scenario, all sessions together, that conflicts are looked for between."""

INSTEAD = "say 'schedule: {random: 100, seed: 1}'"


def interleavings(
    sessions: Sequence[Session],
    kind: str,
    count: int = 0,
    seed: int = 0,
    *,
    strict: bool = False,
    instead: str = INSTEAD,
    conflicts: Related | None = None,
) -> Iterator[Schedule]:
    """Schedules of ``kind`` all, reduced or random, named by their number.

    ``conflicts`` says which steps cannot change places in a reduced one; without it, whatever the statements allow,
    on any engine at any level, is believed. Raises ScenarioError (without a location) if there are too many, all of
    them or of reduced ones those that are kept (then only when that many have been given); ``instead`` is its advice.
    """
    total = number_of(sessions)
    if kind == "random":
        orders = _random(sessions, min(count, total), seed)
    elif kind == "reduced":
        many = f"{_in_words(total)} interleavings are too many (at most {LIMIT:,}), even reduced: {instead}"
        if sum(len(session.steps) for session in sessions) > MOST_STEPS:
            raise ScenarioError(many)
        orders = _reduced(sessions, unplaced(sessions) if conflicts is None else conflicts, many)
    elif total > LIMIT:
        raise ScenarioError(f"{_in_words(total)} interleavings are too many (at most {LIMIT:,}): {instead}")
    else:
        orders = _all(sessions)
    width = len(str(min(total, count or total)))
    for number, order in enumerate(orders, 1):
        entries = tuple(Entry(step.name) for step in order)
        yield Schedule(f"{kind}-{number:0{width}}", entries, strict, seed=seed if kind == "random" else None)


def number_of(sessions: Sequence[Session]) -> int:
    """How many interleavings there are: (sum n)! / prod(n!)."""
    lengths = [len(session.steps) for session in sessions]
    return math.factorial(sum(lengths)) // math.prod(map(math.factorial, lengths))


def _in_words(total: int) -> str:
    return f"{total:,}" if total < 10**15 else f"about 10^{int(math.log10(total))}"


def _all(sessions: Sequence[Session]) -> Iterator[tuple[Step, ...]]:
    """Depth first, in the order of the sessions."""

    def further(taken: tuple[int, ...], order: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
        done = True
        for index, session in enumerate(sessions):
            if taken[index] < len(session.steps):
                done = False
                after = (*taken[:index], taken[index] + 1, *taken[index + 1 :])
                yield from further(after, (*order, session.steps[taken[index]]))
        if done:
            yield order

    yield from further((0,) * len(sessions), ())


def _random(sessions: Sequence[Session], count: int, seed: int) -> Iterator[tuple[Step, ...]]:
    """``count`` different interleavings, each one equally likely."""
    generator = random.Random(seed)
    seen: set[tuple[str, ...]] = set()
    while len(seen) < count:
        owners = [index for index, session in enumerate(sessions) for _ in session.steps]
        generator.shuffle(owners)
        steps = [iter(session.steps) for session in sessions]
        order = tuple(next(steps[index]) for index in owners)
        key = tuple(step.name for step in order)
        if key not in seen:
            seen.add(key)
            yield order


def _reduced(sessions: Sequence[Session], conflicts: Related, many: str) -> Iterator[tuple[Step, ...]]:
    """The least interleaving of each class, in lexical order of the sessions.

    A step sleeps while an earlier beginning, with it in this place, gives the same: until one that conflicts with it
    has come. Raises ScenarioError with ``many``.
    """
    steps = [step for session in sessions for step in session.steps]
    owner = [index for index, session in enumerate(sessions) for _ in session.steps]
    starts = [owner.index(index) if session.steps else 0 for index, session in enumerate(sessions)]
    near = [0] * len(steps)
    for one, two in combinations(range(len(steps)), 2):
        if owner[one] != owner[two] and conflicts.conflict(steps[one], steps[two]):
            near[one] |= 1 << two
            near[two] |= 1 << one
    kept = nodes = 0
    # Each: how many steps of each session are taken, the order, the steps that sleep, those that are left.
    stack: list[tuple[tuple[int, ...], tuple[int, ...], int, int]] = [
        ((0,) * len(sessions), (), 0, (1 << len(steps)) - 1)
    ]
    while stack:
        taken, order, sleeping, left = stack.pop()
        nodes += 1
        if not left:
            kept += 1
            if kept > LIMIT:
                raise ScenarioError(many)
            yield tuple(steps[number] for number in order)
            continue
        if nodes > MOST_NODES:
            raise ScenarioError(many)
        further = []
        before = sleeping
        for index, session in enumerate(sessions):
            if taken[index] == len(session.steps):
                continue
            number = starts[index] + taken[index]
            if not sleeping >> number & 1:
                asleep, rest = before & ~near[number], left & ~(1 << number)
                if not _never_wakes(asleep, rest, near):
                    after = (*taken[:index], taken[index] + 1, *taken[index + 1 :])
                    further.append((after, (*order, number), asleep, rest))
            before |= 1 << number
        stack.extend(reversed(further))


def _never_wakes(asleep: int, left: int, near: Sequence[int]) -> bool:
    """Whether a step sleeps that nothing which is left can wake: nothing whole comes of that."""
    while asleep:
        lowest = asleep & -asleep
        if not near[lowest.bit_length() - 1] & left:
            return True
        asleep ^= lowest
    return False


def normal_form(order: Sequence[Step], conflicts: Related) -> tuple[str, ...]:
    """The names of the steps in the order that stands for the whole class of ``order``: its least one.

    Two orders of the same steps are of one class if and only if these are equal. Each session's steps stand in their
    order.
    """
    rank = {session.name: index for index, session in enumerate(conflicts.sessions)}
    left = list(order)
    made = []
    while left:
        best = None
        seen: set[str] = set()
        for index, step in enumerate(left):
            if step.session in seen:
                continue
            seen.add(step.session)
            if best is not None and rank[step.session] >= rank[left[best].session]:
                continue
            if not any(conflicts.conflict(before, step) for before in left[:index]):
                best = index
        assert best is not None  # the first one can always be taken
        made.append(left.pop(best).name)
    return tuple(made)
