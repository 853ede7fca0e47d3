"""The seam to a running server: a logical database and where it is. Nothing here knows of scenarios or pytest."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.vocabulary import LOGICAL, REAL_ENGINE, label

__all__ = ["LOGICAL", "REAL_ENGINE", "Servers", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a logical database's server is. ``url`` holds the login and is never printed (``repr`` leaves it out)."""

    logical: str
    engine: str  # "postgresql", "sqlserver", "mongodb", "redis"
    url: str = field(repr=False)
    stand_in: str = ""  # the engine that it stands in for: "sqlserver"; empty if it is the real one
    origin: str = "external"  # "embedded", "containers", "external", "up"
    public: str = ""  # the URL without its password
    reach: str = "network"  # "loopback": no other machine gets to it, as far as we know
    addresses: tuple[str, ...] = ()  # of this machine, where one of ours listens besides 127.0.0.1; not known of others

    @property
    def label(self) -> str:
        """As ids and reports write it: ``promptads@postgresql-standin``."""
        return label(self.logical, self.engine, stand_in=bool(self.stand_in))

    def out_of_reach(self, address: str) -> str:
        """Why a machine that sees this one at ``address`` cannot get to the server, and what to do; empty if it can.

        As far as we know: of servers that are not ours, only what their URLs say.
        """
        if is_loopback(address):  # it is this machine
            return ""
        if self.reach == "network" and (not self.addresses or address in self.addresses):
            return ""
        if self.origin == "external":
            return (
                f"{self.label}: its URL says a loopback address, which is another machine there; write {address} in it"
            )
        only = f"is reached at {', '.join(self.addresses)} only" if self.addresses else "listens on 127.0.0.1 only"
        if self.origin == "up":
            way = f"'harness down', then 'harness up --listen {address} --allow CLIENT'"
        else:
            way = f"set PROMPTSALES_LISTEN={address} and PROMPTSALES_ALLOW=CLIENT"
        return f"{self.label}: its server {only}; {way}"


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means whatever machine one is on; so does a socket's path."""
    if host == "localhost" or host.endswith(".localhost") or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Servers(Protocol):
    """A set of servers for one run; started when first asked for, gone when the run ends."""

    def target(self, logical: str) -> Target:
        """Where ``logical`` is, its server started if it has to be. Raises ServerUnavailable: skip, with its text."""
        ...

    def describe(self, logical: str) -> tuple[str, bool]:
        """Engine and stand-in flag that :meth:`target` would give, without starting anything."""
        ...

    def prefetch(self, logicals: Iterable[str]) -> None:
        """Start the servers of several databases side by side. Raises nothing: :meth:`target` does, later."""
        ...

    def listen(self, addresses: Sequence[str], clients: Sequence[str]) -> None:
        """Have servers that are started from now on be reached from other machines; never raises.

        They listen on these addresses of this machine too, and let only ``clients`` (addresses, networks) in there.
        Told again, all of it holds. Servers that run already, or are not ours, stay as they are.
        """
        ...

    def forget(self, logical: str) -> None:
        """Somebody found the server of ``logical`` dead: look at it anew when it is next asked for; never raises."""
        ...

    def stop(self) -> None:
        """Stop what this set started and remove its data; never raises, may be called twice."""
        ...
