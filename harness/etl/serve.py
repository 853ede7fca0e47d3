"""Round after round, on a fixed grid of time: no drift, a missed one is caught up at once, a failed one ends nothing.

When a round is due, PromptSales says (``etl_due``): its clock and its log, so that several that serve, a CronJob and a
person at the command line come to one answer. What is not there now (PromptSales, a source) is looked for again in the
next try.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import EtlError, HarnessError
from harness.etl.log import open_log
from harness.etl.model import PERIOD
from harness.etl.run import Launched, NoRound

SOONEST = 5.0
"""Seconds between two tries, at first; after each one that came to nothing twice as many, at most a minute."""

LATEST = 60.0
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}

Pause = Callable[[float], object]


@dataclass(slots=True)
class Serving:
    """``where`` gives PromptSales's URL, or raises HarnessError; ``launch`` runs a round; ``tell`` is told of each one,
    ``say`` everything else, a line each."""

    where: Callable[[], str]
    launch: Callable[[], Launched]
    tell: Callable[[Launched], None]
    say: Callable[[str], None]
    every: float = PERIOD
    pause: Pause = threading.Event().wait
    _problem: str = ""
    _tries: int = 0

    def rounds(self, most: int | None = None) -> int:
        """Until ``most`` rounds were run here, or we are interrupted (KeyboardInterrupt); gives how many failed."""
        done = failed = 0
        while most is None or done < most:
            launched = self._next()
            if launched is not None:
                done += 1
                failed += not launched.round.succeeded
                self.tell(launched)
        return failed

    def _next(self) -> Launched | None:
        """Wait a while, or run a round."""
        try:
            with open_log(self.where()) as log:
                wait = 0.0 if log.due(self.every) else log.until_due(self.every)
            if wait:
                self._well()
                self.pause(min(wait, LATEST))  # not all of it at once: its clock may be set
                return None
            launched = self.launch()
        except HarnessError as error:
            self._trouble(error)
            return None
        self._well()
        return launched

    def _trouble(self, error: HarnessError) -> None:
        """Say it once, however often it is tried."""
        problem = error.why if isinstance(error, NoRound) else str(error)
        if problem != self._problem:
            self.say(f"{error}; trying again")
        self._problem = problem
        wait = min(SOONEST * 2**self._tries, LATEST, self.every)
        self._tries = min(self._tries + 1, 10)
        self.pause(wait)

    def _well(self) -> None:
        if self._problem:
            self.say("all is there again")
        self._problem, self._tries = "", 0


def period(text: str) -> float:
    """Seconds of ``11m``, ``90s``, ``0.5s``, ``1h``, ``660``. Raises EtlError.

    >>> period("11m"), period("90"), period("2 s")
    (660.0, 90.0, 2.0)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]?)\s*", text)
    if match and match[2] in _UNITS and float(match[1]) > 0:
        return float(match[1]) * _UNITS[match[2]]
    raise WrongOption(f"--every {text}: write seconds, minutes or hours, for example 90s, 11m, 1h")


class WrongOption(EtlError):
    """What is said on the command line is no period, or no source."""

    exit_code = 2
