"""Interleavings made by the harness: all of them, a reduced set, or some drawn at random.

*Reduced* keeps one interleaving of each class that differs only by swapping neighbours that cannot influence each other
(Mazurkiewicz traces; Godefroid, *Partial-Order Methods for the Verification of Concurrent Systems*, LNCS 1032, 1996): the
one that is least in lexical order of the sessions. Which tables a statement touches is read by sqlglot; a statement that it
cannot read is taken to touch everything.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import ScenarioError
from harness.scenario.model import VERBS, Entry, Schedule, Session, Step

LIMIT = 10_000
"""More interleavings than this are refused: draw some at random instead."""


def interleavings(sessions: Sequence[Session], kind: str, count: int = 0, seed: int = 0) -> Iterator[Schedule]:
    """Schedules of ``kind`` all, reduced or random, named by their number. Raises ScenarioError if there are too many."""
    total = number_of(sessions)
    if kind == "random":
        orders = _random(sessions, min(count, total), seed)
    else:
        if total > LIMIT:
            raise ScenarioError(
                f"{total:,} interleavings are too many (at most {LIMIT:,}): say 'schedule: {{random: 100, seed: 1}}'"
            )
        orders = _all(sessions)
        if kind == "reduced":
            touched = {step.name: _touched(step) for session in sessions for step in session.steps}
            orders = (order for order in orders if _is_least(order, sessions, touched))
    width = len(str(min(total, count or total)))
    for number, order in enumerate(orders, 1):
        yield Schedule(f"{kind}-{number:0{width}}", tuple(Entry(step.name) for step in order))


def number_of(sessions: Sequence[Session]) -> int:
    """How many interleavings there are: (sum n)! / prod(n!)."""
    lengths = [len(session.steps) for session in sessions]
    return math.factorial(sum(lengths)) // math.prod(math.factorial(length) for length in lengths)


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


def _touched(step: Step) -> _Touched:
    reads: set[str] = set()
    writes: set[str] = set()
    for body in step.bodies.values():
        if body is None or body == "begin":
            continue  # a transaction's snapshot is taken by its first statement, not by BEGIN
        if not isinstance(body, str) or body in VERBS:
            return _Touched(frozenset(), frozenset(), everything=True)
        one = _tables(body)
        if one is None:
            return _Touched(frozenset(), frozenset(), everything=True)
        reads |= one[0]
        writes |= one[1]
    return _Touched(frozenset(reads), frozenset(writes))


def _tables(sql: str) -> tuple[set[str], set[str]] | None:
    import sqlglot
    from sqlglot import expressions as sql_tree

    from harness.scenario.expressions import Expression as Value
    from harness.scenario.expressions import bind_sql, parse

    names = {name: 1 for part in parse(sql) if isinstance(part, Value) for name in part.names()}
    try:
        text, _ = bind_sql(sql, names, lambda number: f"${number}", str)
        trees = sqlglot.parse(text, read="postgres")
    except (sqlglot.errors.SqlglotError, ScenarioError):
        return None
    reads: set[str] = set()
    writes: set[str] = set()
    for tree in trees:
        if tree is None:
            continue
        tables = {table.name for table in tree.find_all(sql_tree.Table)}
        if isinstance(tree, sql_tree.Select) and not tree.args.get("locks"):
            reads |= tables
        elif isinstance(tree, sql_tree.Insert | sql_tree.Update | sql_tree.Delete | sql_tree.Merge | sql_tree.Select):
            writes |= tables
        else:
            return None
    return reads, writes


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
