"""Interleavings made by the harness: all of them, a reduced set, or some drawn at random.

*Reduced* keeps one interleaving of each class that differs only by swapping neighbours that cannot influence each other
(Mazurkiewicz traces; Godefroid, *Partial-Order Methods for the Verification of Concurrent Systems*, LNCS 1032, 1996): the
one that is least in lexical order of the sessions. Which tables a statement touches is read by sqlglot; a statement that it
cannot read, that calls a function which it does not know, or that is no SQL is taken to touch everything, and so is the end
of a transaction. What a statement touches without naming it (by a trigger, a foreign key, a view) is not seen: where
that matters, say ``all``.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import ScenarioError
from harness.scenario.expressions import DatabaseName, Expression, parse
from harness.scenario.model import VERBS, Entry, Schedule, Session, Step

LIMIT = 10_000
"""More interleavings than this are refused: draw some at random instead."""


INSTEAD = "say 'schedule: {random: 100, seed: 1}'"


def interleavings(
    sessions: Sequence[Session],
    kind: str,
    count: int = 0,
    seed: int = 0,
    *,
    strict: bool = False,
    instead: str = INSTEAD,
) -> Iterator[Schedule]:
    """Schedules of ``kind`` all, reduced or random, named by their number.

    Raises ScenarioError (without a location) if there are too many; ``instead`` is its advice.
    """
    total = number_of(sessions)
    if kind == "random":
        orders = _random(sessions, min(count, total), seed)
    else:
        if total > LIMIT:
            raise ScenarioError(f"{_in_words(total)} interleavings are too many (at most {LIMIT:,}): {instead}")
        orders = _all(sessions)
        if kind == "reduced":
            touched = {step.name: _touched(step) for session in sessions for step in session.steps}
            orders = (order for order in orders if _is_least(order, sessions, touched))
    width = len(str(min(total, count or total)))
    for number, order in enumerate(orders, 1):
        entries = tuple(Entry(step.name) for step in order)
        yield Schedule(f"{kind}-{number:0{width}}", entries, strict, seed=seed if kind == "random" else None)


def number_of(sessions: Sequence[Session]) -> int:
    """How many interleavings there are: (sum n)! / prod(n!)."""
    lengths = [len(session.steps) for session in sessions]
    return math.factorial(sum(lengths)) // math.prod(math.factorial(length) for length in lengths)


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


@dataclass(frozen=True, slots=True)
class _Touched:
    reads: frozenset[str]
    writes: frozenset[str]
    everything: bool = False

    def conflicts(self, other: _Touched) -> bool:
        if self.everything or other.everything:
            return True
        return bool(self.writes & (other.reads | other.writes) or other.writes & self.reads)


_EVERYTHING = _Touched(frozenset(), frozenset(), everything=True)
_DIALECTS = {"postgresql": "postgres", "sqlserver": "tsql", "*": "postgres"}


def _touched(step: Step) -> _Touched:
    """What a step touches on any engine."""
    reads: set[str] = set()
    writes: set[str] = set()
    for engine, body in step.bodies.items():
        if body is None or body == "begin":
            continue  # a transaction's snapshot is taken by its first statement, not by BEGIN
        if not isinstance(body, str) or body in VERBS or engine not in _DIALECTS:
            return _EVERYTHING
        tables = _tables(body, _DIALECTS[engine])
        if tables is None:
            return _EVERYTHING
        reads |= tables[0]
        writes |= tables[1]
    return _Touched(frozenset(reads), frozenset(writes))


def _tables(text: str, dialect: str) -> tuple[set[str], set[str]] | None:
    """The tables that SQL text reads and writes; None if that cannot be told."""
    import sqlglot  # here, not above: it takes a tenth of a second, and few schedules are reduced
    from sqlglot import expressions as sql

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what it cannot read; here that is an answer
    changes = (sql.Insert, sql.Update, sql.Delete, sql.Merge)
    bare = "".join("NULL" if isinstance(part, Expression) else _named(part) for part in parse(text))
    try:
        trees = [tree for tree in sqlglot.parse(bare, read=dialect) if tree is not None]
    except sqlglot.errors.SqlglotError:
        return None
    reads: set[str] = set()
    writes: set[str] = set()
    for tree in trees:
        if not isinstance(tree, (sql.Select, sql.SetOperation, *changes)) or tree.find(sql.Anonymous, sql.Into):
            return None
        tables = {table.name.lower() for table in tree.find_all(sql.Table)}
        # A change may hide in a WITH; FOR UPDATE, and hints like UPDLOCK, lock what they read.
        if tree.find(*changes, sql.Lock, sql.WithTableHint):
            writes |= tables
        else:
            reads |= tables
    return reads, writes


def _named(part: str | DatabaseName) -> str:
    return part.alias if isinstance(part, DatabaseName) else part


def _is_least(order: tuple[Step, ...], sessions: Sequence[Session], touched: Mapping[str, _Touched]) -> bool:
    """Whether no swap of independent neighbours gives an earlier one: Anisimov and Knuth's lexicographic normal form."""
    rank = {session.name: index for index, session in enumerate(sessions)}
    for index, step in enumerate(order):
        # A step that could have come before an earlier one of a later session makes this order not the least.
        for before in reversed(order[:index]):
            if before.session == step.session or touched[before.name].conflicts(touched[step.name]):
                break
            if rank[before.session] > rank[step.session]:
                return False
    return True
