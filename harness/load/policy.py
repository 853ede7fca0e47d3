"""What is done about a refused request: which kinds are tried again, how often, after which wait."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from harness.answers import ErrorKind, ErrorRecord
from harness.errors import EngineError

REFUSALS = frozenset({ErrorKind.deadlock, ErrorKind.serialization, ErrorKind.conflict, ErrorKind.lock_timeout})
"""A transaction that was refused for one of these has done nothing, and may do well the next time."""


class Refused(EngineError):
    """A database said no to a request, or went away: ``record`` says how."""

    def __init__(self, record: ErrorRecord) -> None:
        super().__init__(f"{record.kind.value} ({record.code}): {record.message}")
        self.record = record


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``tries`` is the most that a request is begun; waits are seconds, ``first`` doubles up to ``most``.

    The wait is drawn between nothing and that ("full jitter": Brooker, "Exponential Backoff And Jitter", AWS 2015).
    """

    tries: int = 5
    first: float = 0.005
    most: float = 0.5
    kinds: frozenset[ErrorKind] = REFUSALS

    def again(self, kind: ErrorKind, tried: int) -> bool:
        """Whether a request that was begun ``tried`` times and then refused is begun once more."""
        return kind in self.kinds and tried < self.tries

    def wait(self, tried: int) -> float:
        """Seconds before that."""
        return random.uniform(0, min(self.first * 2 ** (tried - 1), self.most))


class Client(Protocol):
    """A user's connection. Its own methods raise :class:`Refused` for whatever the database or the driver says."""

    def reset(self) -> None:
        """After a refusal: roll back what is open, make a lost connection anew. Raises Refused if that cannot be."""
        ...

    def close(self) -> None:
        """Disconnect; never raises."""
        ...
