"""What travels between the controller and an agent. Both sides have this module; it needs nothing but Python.

To the agent goes what it shall do: statements and options pickled, for they hold whatever Python values a scenario has, and
whoever sends an agent its very code may send it those. From the agent comes text only, read as JSON: a machine that is
not to be trusted can tell lies, but it cannot run anything here.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import astuple, replace
from typing import Any

from harness.answers import ErrorKind, ErrorRecord, ResultSet, TransactionEnd
from harness.engines.base import Notice, Outcome, SessionOptions, Statement

PULSE = 0.4
"""Seconds between two signs of life of the controller, each of which is answered."""

SILENCE = 2.0
"""Seconds without a sign of life after which the controller calls a machine cut off."""

ALONE = 4.0
"""Seconds without a sign of life after which an agent ends, and with it its sessions and their locks."""


def packed(what: Statement | SessionOptions) -> bytes:
    """A statement or a session's options, for an agent."""
    if isinstance(what, SessionOptions):
        what = replace(what, settings=dict(what.settings))  # a view of settings may be one that cannot be pickled
    return pickle.dumps(what)


def unpacked(data: bytes) -> Any:
    """What :func:`packed` packed; for agents only."""
    return pickle.loads(data)


def told(outcome: Outcome, began: float, ended: float) -> str:
    """An outcome as text; ``began`` and ``ended`` are seconds since 1970 on the agent's own clock."""
    return json.dumps(
        [
            [astuple(result) for result in outcome.results],
            None if outcome.error is None else astuple(outcome.error),
            outcome.in_transaction,
            outcome.ended,
            outcome.may_release,
            outcome.empty,
            [[notice.text, notice.after_results] for notice in outcome.notices],
            [began, ended],
            outcome.plans,
        ]
    )


def heard(text: str) -> Outcome:
    """The outcome that :func:`told` told. Raises ValueError, TypeError for what is none."""
    results, error, in_transaction, ended, may_release, empty, notices, (began, finished), plans = json.loads(text)
    outcome = Outcome(
        [ResultSet(columns, rows, status, affected) for columns, rows, status, affected in results],
        None if error is None else ErrorRecord(ErrorKind(error[0]), *map(str, error[1:])),
        in_transaction=bool(in_transaction),
        ended=None if ended is None else TransactionEnd(ended),
        may_release=bool(may_release),
    )
    outcome.empty = bool(empty)
    outcome.notices = [Notice(str(text), int(after)) for text, after in notices]
    outcome.clock = (float(began), float(finished))
    outcome.plans = None if plans is None else [str(plan) for plan in plans]
    return outcome
