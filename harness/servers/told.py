"""The servers of a run as a worker on another machine is told of them: it starts none, and finds none by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.errors import HarnessError, ServerError, ServerUnavailable
from harness.servers.base import LOGICAL, Servers, Target
from harness.servers.urls import make_target, seen_from

Telling = dict[str, dict[str, Any]]
"""By logical database: ``engine``, ``stand_in``, and ``url`` and ``origin``, or why there is none: ``problem``, ``skip``.

Of builtin types only: it travels. The URLs hold logins, so it travels inside ssh.
"""


def tell(servers: Servers, address: str) -> Telling:
    """What a machine that sees this one at ``address`` is told; servers are started for it. Raises nothing."""
    servers.prefetch(LOGICAL)
    return {logical: _tell_one(servers, logical, address) for logical in LOGICAL}


def _tell_one(servers: Servers, logical: str, address: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    try:
        told["engine"], told["stand_in"] = servers.describe(logical)
        target = servers.target(logical)
    except HarnessError as error:
        return told | {"problem": str(error), "skip": isinstance(error, ServerUnavailable)}
    if address and (why := target.out_of_reach(address)):
        return told | {"problem": f"workers on other machines cannot get to {why}", "skip": True}
    return told | {"url": seen_from(target.url, address), "origin": target.origin}


class ToldServers:
    """The servers of :func:`tell`, on the other machine."""

    def __init__(self, told: Mapping[str, Mapping[str, Any]]) -> None:
        self._told = told

    def target(self, logical: str) -> Target:
        """Where ``logical`` is. Raises ServerUnavailable, ServerError: what the controller was told."""
        told = self._one(logical)
        if "url" not in told:
            raise (ServerUnavailable if told["skip"] else ServerError)(told["problem"])
        return make_target(logical, told["url"], told["origin"], stand_in=told["stand_in"], reach="network")

    def describe(self, logical: str) -> tuple[str, bool]:
        """Engine and stand-in flag. Raises ServerError if the controller could not say."""
        told = self._one(logical)
        if "engine" not in told:
            raise ServerError(told["problem"])
        return str(told["engine"]), bool(told["stand_in"])

    def _one(self, logical: str) -> Mapping[str, Any]:
        if logical not in self._told:
            raise ServerError(f"unknown logical database {logical!r}; known: {', '.join(LOGICAL)}")
        return self._told[logical]

    def prefetch(self, logicals: Iterable[str]) -> None:
        """Nothing to start: they run."""

    def listen(self, addresses: Sequence[str], clients: Sequence[str]) -> None:
        """Nothing to tell: they listen."""

    def forget(self, logical: str) -> None:
        """Nothing to look at: only the controller could start another one."""

    def stop(self) -> None:
        """Nothing to stop: they are the controller's."""
