"""Which phenomena a history shows, each with the operations that prove it and the proof in words.

Nothing is guessed: what cannot be told proves nothing. That has a price, and these are the known limits:

- A read is attributed to a version by its value (:mod:`harness.evidence.versions`). All writes of an item must be
  declared; equal values, and writes of unknown values, hide what happened. Values of sensitive items are hidden from the
  evidence too, so nothing is found in them.
- The order of versions is that of the writes' answers, where they did not overlap or where rows are held to the end of
  their transactions, as the engines here do. Where it is not certain (unlocked writes at once, as on Redis), only what
  needs no order is found: lost updates from one version, dirty reads, cycles that begin with the initial version.
- Only declared items count. A phantom, or a write skew over a predicate, is found if the set is an item with
  ``predicate: true``; rows that come and go without changing its value are not seen.
- A transaction over several databases is one. If it ends differently on two of them, it counts as aborted on both: what was
  read of it is a dirty read of the whole, and it takes no part in cycles.
- One whose commit was never answered proves nothing by how it ended.
- Steps of a session that never opens a transaction are one unit of work, but as soon as it opens one, the steps outside are
  units of their own: a Redis session's read before MULTI is one.
- A cycle is told only if nothing simpler was told between (some of) its transactions; in a free run, of its sessions. Two
  faults between the same two transactions give one anomaly. Of several ways round, the shortest one is told.
- A cycle of two or more anti-dependencies with a transaction that only reads is called a read-only anomaly, even if the
  others alone would not be serializable either (a long fork, for instance).
- Free runs of more than :data:`MOST_TRANSACTIONS` are judged by their dirty reads, dirty writes and lost updates only.
"""

from __future__ import annotations

from harness.evidence.cycles import cycles
from harness.evidence.dirty import dirty_reads, dirty_writes
from harness.evidence.lost import lost_updates
from harness.evidence.model import Anomaly
from harness.evidence.reads import explained
from harness.evidence.transactions import Transaction, transactions
from harness.evidence.versions import attribute
from harness.history import History

MOST_TRANSACTIONS = 10_000
"""Cycles are looked for in histories up to this size."""


def find(history: History) -> list[Anomaly]:
    """All anomalies of a history, the most basic first; each pair of transactions once per phenomenon and item."""
    return _find(_read(history), by_session=history.mode == "free-running")


def reads(history: History) -> list[str]:
    """For every read, whose version it saw: ``read_2 of T2: budget = 1000, the initial version``.

    None of a history that is too long to be read.
    """
    return explained(_read(history))


def find_and_explain(history: History) -> tuple[list[Anomaly], list[str]]:
    """Both, from one reading of the history."""
    if not any(event.operations for event in history.events):
        return [], []  # nothing was read or written of what was declared
    made = _read(history)
    return _find(made, by_session=history.mode == "free-running"), explained(made)


def _read(history: History) -> list[Transaction]:
    made = transactions(history)
    attribute(made, history)
    return made


def _find(made: list[Transaction], *, by_session: bool) -> list[Anomaly]:
    committed = [transaction for transaction in made if transaction.committed]
    lost, pairs = lost_updates(committed)
    found = [*dirty_writes(made), *dirty_reads(made), *lost]
    if len(committed) <= MOST_TRANSACTIONS:
        between = [*pairs, *(frozenset(one.involved) for one in found)]
        told = [frozenset(one.session if by_session else one for one in members) for members in between]
        found += cycles(committed, list(dict.fromkeys(told)), by_session=by_session)
    return [one.anomaly for one in found]
