"""Servers that somebody else runs: a URL each, from the environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.errors import ServerError, ServerUnavailable
from harness.servers.base import LOGICAL, REAL_ENGINE, Target
from harness.servers.urls import VARIABLE, make_target


class ExternalServers:
    """The databases that ``environ`` has URLs for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.urls = {
            logical: url for logical, variable in VARIABLE.items() if (url := environ.get(variable, "").strip())
        }

    def target(self, logical: str) -> Target:
        """The database at its URL. Raises ServerUnavailable naming the variable to set, ServerError (wrong scheme)."""
        if logical not in LOGICAL:
            raise ServerError(f"unknown logical database {logical!r}; known: {', '.join(LOGICAL)}")
        if logical not in self.urls:
            raise ServerUnavailable(f"{logical}: no URL given; set {VARIABLE[logical]}")
        return make_target(logical, self.urls[logical], "external")

    def describe(self, logical: str) -> tuple[str, bool]:
        """Engine and stand-in flag that the URL's scheme says; without a URL, the real engine."""
        if logical in LOGICAL and logical not in self.urls:
            return REAL_ENGINE[logical], False
        target = self.target(logical)
        return target.engine, bool(target.stand_in)

    def prefetch(self, logicals: Iterable[str]) -> None:
        """Nothing to start."""

    def listen(self, addresses: Sequence[str], clients: Sequence[str]) -> None:
        """Nothing to tell: they are not ours."""

    def forget(self, logical: str) -> None:
        """Nothing to look at: they are not ours."""

    def stop(self) -> None:
        """Nothing to stop: they are not ours."""
