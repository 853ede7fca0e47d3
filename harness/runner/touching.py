"""What each step of a case touches, by the servers' own word: asked for when a step has ended, before its session
goes on.

A server that shows locks shows them to the end of the transaction, so what is new since the session's step before is
the step's own; an access to what an earlier step of the transaction has locked already is not seen. A step outside of
a transaction gives its locks back at once and shows nothing (:mod:`harness.exploring.scout` puts each step into a
transaction of its own).
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.engines.base import Observer, Outcome, Statement
from harness.engines.touching import Touch, Touching
from harness.errors import HarnessError
from harness.runner.driver import Endpoint
from harness.scenario.conflicts_model import SERVER, Access
from harness.scenario.model import Step

UNKNOWN = "?"
"""The table of an access that is no table's rows, and may be anything."""


class StepTouches:
    """What one case's steps have touched so far. ``notes``: what could not be had, one line each."""

    def __init__(self, observers: Mapping[str, Observer], endpoints: Mapping[str, Endpoint]) -> None:
        self.notes: list[str] = []
        self._observers = observers
        self._endpoints = endpoints
        self._held: dict[tuple[str, str], set[Touch]] = {}  # by session and alias: what its open transaction holds
        self._touched: dict[str, set[Access]] = {}

    @property
    def touched(self) -> dict[str, frozenset[Access]]:
        """Accesses by step, for the steps that could be asked about."""
        return {step: frozenset(accesses) for step, accesses in self._touched.items()}

    def take(self, step: Step, statement: Statement, outcome: Outcome, pid: str) -> None:
        """Ask about a step that has just ended. Never raises."""
        alias = step.database
        observer = self._observers.get(alias)
        if not isinstance(observer, Touching):
            self._note(f"{alias}: {self._endpoints[alias].engine.name} does not tell what a session touches")
            return
        try:
            found = set(observer.touched(pid, statement))
        except HarnessError as error:
            self._note(f"{alias}: {error}")
            return
        before = self._held.get((step.session, alias), set())
        self._held[step.session, alias] = found if outcome.in_transaction else set()
        keyed = self._endpoints[alias].engine.name == "redis"
        made = self._touched.setdefault(step.name, set())
        for touch in found if keyed else found - before:
            made.add(access(alias, touch, keyed=keyed))

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def access(alias: str, touch: Touch, *, keyed: bool = False) -> Access:
    """A server's word as an access; ``keyed``: its names are keys, as Redis's are.

    >>> str(access("db", Touch("campaign", writes=True)))
    'writes db.campaign'
    """
    if touch.unknown:
        return Access(f"{alias}.{UNKNOWN}{touch.name}", True, learned=SERVER)
    if keyed:
        return Access(alias, touch.writes, frozenset({touch.name}), SERVER)
    return Access(f"{alias}.{touch.name}", touch.writes, learned=SERVER)


def unknown(one: Access) -> bool:
    """Whether an access may be to anything."""
    return one.where.partition(".")[2].startswith(UNKNOWN)
