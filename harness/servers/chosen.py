"""The servers of a run, put together: for each logical database a URL, else a kept server, else the mode's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.servers import kept
from harness.servers.base import Servers, Target
from harness.servers.external import ExternalServers


class ChosenServers:
    """For each logical database the first of: its URL in the environment, the kept set, ``otherwise``."""

    def __init__(self, mode: str, otherwise: Servers, environ: Mapping[str, str], root: Path) -> None:
        self.mode = mode
        self.otherwise = otherwise
        self.given = ExternalServers(environ)
        self.kept = kept.find(root) if mode == "embedded" else {}

    def target(self, logical: str) -> Target:
        """Where ``logical`` is, its server started if it has to be.

        Raises ServerUnavailable (it cannot be had here; the text says what to do), ServerError.
        """
        if logical in self.given.urls:
            return self.given.target(logical)
        if logical in self.kept:
            return self.kept[logical]
        return self.otherwise.target(logical)

    def describe(self, logical: str) -> tuple[str, bool]:
        """Engine and stand-in flag that :meth:`target` would give, without starting anything."""
        if logical in self.given.urls:
            return self.given.describe(logical)
        if logical in self.kept:
            return self.kept[logical].engine, bool(self.kept[logical].stand_in)
        return self.otherwise.describe(logical)

    def prefetch(self, logicals: Iterable[str]) -> None:
        """Start the servers of several databases side by side; problems are raised by :meth:`target`, later."""
        self.otherwise.prefetch(name for name in logicals if name not in self.given.urls and name not in self.kept)

    def listen(self, addresses: Sequence[str], clients: Sequence[str]) -> None:
        """Tell the mode's own servers; those that are given or kept stay as they are. Never raises."""
        self.otherwise.listen(addresses, clients)

    def forget(self, logical: str) -> None:
        """Look anew at a server that somebody found dead; those that are given or kept are not ours to replace."""
        if logical not in self.given.urls and logical not in self.kept:
            self.otherwise.forget(logical)

    def stop(self) -> None:
        """Stop what this run started, if we own the run; never raises. Kept servers stay."""
        self.otherwise.stop()
