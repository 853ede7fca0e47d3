"""Which session runs where: here, or on the machines of a run."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from harness.engines.base import Engine, SessionOptions
from harness.engines.base import Session as Connection
from harness.errors import HostError
from harness.history import HostRecord
from harness.runner.remote.link import Link
from harness.runner.remote.specs import HostSpec
from harness.scenario.model import Session


class Place(Protocol):
    """Where sessions run."""

    @property
    def name(self) -> str:
        """What the evidence calls it."""
        ...

    @property
    def controller(self) -> str:
        """This machine's address as it is seen from there; empty for a process here."""
        ...

    @property
    def round_trip(self) -> float:
        """Seconds of a word there and back."""
        ...

    @property
    def lost(self) -> str:
        """Why nobody there can be spoken to any more; empty while all is well."""
        ...

    def open(self, engine: Engine, url: str, options: SessionOptions) -> Connection:
        """Open a session from there. Raises what ``Engine.open`` raises, HostError if the place is lost."""
        ...

    def record(self) -> HostRecord | None:
        """What the evidence says of another machine; None for this one."""
        ...


class Here:
    """This process."""

    name = socket.gethostname()
    controller = ""
    round_trip = 0.0
    lost = ""

    def open(self, engine: Engine, url: str, options: SessionOptions) -> Connection:
        """Open it directly."""
        return engine.open(url, options)

    def record(self) -> None:
        """Nothing: it is this machine."""
        return


HERE = Here()


class _There:
    """Another machine, through its link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.name = link.name
        self.controller = link.controller
        self.round_trip = link.clock.round_trip

    @property
    def lost(self) -> str:
        return self._link.lost

    def open(self, engine: Engine, url: str, options: SessionOptions) -> Connection:
        return self._link.open(engine.name, url, options)

    def record(self) -> HostRecord:
        return self._link.record()


class Hosts:
    """The machines of a run, in the order of ``--tx``; none: all sessions run here.

    Reached when they are first needed. One that was lost is reached anew for the next case, once: if that fails, it is given
    up for the rest of the run.
    """

    def __init__(self, specs: Sequence[HostSpec] = ()) -> None:
        self.specs = tuple(specs)
        self._links: dict[str, Link] = {}
        self._given_up: dict[str, str] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self.specs)

    def connect(self) -> None:
        """Reach all of them, side by side. Raises HostError: every one that cannot be reached, a line each."""
        with self._lock:
            wanted = [spec for spec in self.specs if spec.name not in self._links or self._links[spec.name].lost]
            if not wanted:
                return
            with ThreadPoolExecutor(len(wanted)) as pool:
                problems = list(pool.map(self._reach, wanted))
        if said := [problem for problem in problems if problem]:
            raise HostError("\n".join(said))

    def _reach(self, spec: HostSpec) -> str:
        """Reach one; what was wrong."""
        if spec.name in self._given_up:
            return self._given_up[spec.name]
        if old := self._links.get(spec.name):
            old.close()
        link = Link(spec)
        try:
            link.connect()
        except HostError as error:
            self._given_up[spec.name] = str(error)
            return str(error)
        self._links[spec.name] = link
        return ""

    @property
    def addresses(self) -> tuple[list[str], list[str]]:
        """This machine's addresses as the others see it, and theirs. Empty for processes here."""
        links = self._links.values()
        here = dict.fromkeys(link.controller for link in links if link.controller)
        return list(here), list(dict.fromkeys(link.address for link in links if link.address))

    @property
    def hostnames(self) -> list[str]:
        """What the machines that were reached call themselves, in the order of ``--tx``."""
        reached = [self._links[spec.name] for spec in self.specs if spec.name in self._links]
        return list(dict.fromkeys(link.record().hostname for link in reached))

    def places(self, sessions: Iterable[Session], roles: Sequence[str]) -> dict[str, Place]:
        """A place for each session, by its name. Raises HostError if a machine cannot be reached.

        A role is the machine of that name, else the next one that no role has; sessions without a role are dealt to all
        machines in turn.
        """
        if not self.specs:
            return dict.fromkeys([session.name for session in sessions], HERE)
        self.connect()
        there = [_There(self._links[spec.name]) for spec in self.specs]
        of_role = _cast(roles, there)
        made: dict[str, Place] = {}
        dealt = 0
        for session in sessions:
            if session.host:
                made[session.name] = of_role[session.host]
            else:
                made[session.name] = there[dealt % len(there)]
                dealt += 1
        return made

    def close(self) -> None:
        """End the agents. Never raises."""
        with self._lock:
            links = list(self._links.values())
            self._links.clear()
        if links:
            with ThreadPoolExecutor(len(links)) as pool:
                list(pool.map(Link.close, links))


def _cast(roles: Sequence[str], there: Sequence[_There]) -> Mapping[str, _There]:
    """The machine of each role."""
    named = {place.name: place for place in there}
    free = [place for place in there if place.name not in roles]
    others = free or list(there)
    left = [role for role in roles if role not in named]
    return {role: named[role] for role in roles if role in named} | {
        role: others[number % len(others)] for number, role in enumerate(left)
    }
