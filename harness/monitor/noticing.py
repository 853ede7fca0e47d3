"""Servers that tell which of them are used: a run's monitor watches those, from the moment they are there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from harness.errors import HarnessError
from harness.servers.base import Servers, Target


class Noticing:
    """Any set of servers, and a listener who hears of each database's target when it is first given, or has changed."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._used: dict[str, Target] = {}
        self._lock = threading.RLock()
        self._listener: Callable[[Target], None] = lambda target: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._servers, name)

    def tell(self, listener: Callable[[Target], None]) -> None:
        """Have ``listener`` hear of those that are used already, and of all that will be."""
        with self._lock:
            self._listener = listener
            for target in self._used.values():
                listener(target)

    def target(self, logical: str) -> Target:
        """Where ``logical`` is, its server started if need be. Raises ServerUnavailable, ServerError."""
        target = self._servers.target(logical)
        with self._lock:
            if self._used.get(logical) != target:
                self._used[logical] = target
                self._listener(target)
        return target

    def describe(self, logical: str) -> tuple[str, bool]:
        """Engine and stand-in flag, without starting anything."""
        return self._servers.describe(logical)

    def prefetch(self, logicals: Iterable[str]) -> None:
        """Start servers side by side. Raises nothing."""
        wanted = list(logicals)
        self._servers.prefetch(wanted)
        for logical in wanted:
            with contextlib.suppress(HarnessError):  # whoever asks for it next hears it
                self.target(logical)

    def listen(self, addresses: Sequence[str], clients: Sequence[str]) -> None:
        """Have servers that are started from now on be reached from other machines; never raises."""
        self._servers.listen(addresses, clients)

    def forget(self, logical: str) -> None:
        """Somebody found the server dead; never raises."""
        self._servers.forget(logical)

    def stop(self) -> None:
        """Stop what this set started; never raises."""
        self._servers.stop()
