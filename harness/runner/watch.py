"""Asks the servers who waits for whom, and merges their answers into one wait-for graph over all of them.

A server knows its own sessions only. A transaction that holds a lock on one server and waits on another is two
sessions that no server connects; the scenario's session does, so the merged graph can have cycles that no server's own
detector can ever see (Elmagarmid, *A Survey of Distributed Deadlock Detection Algorithms*, SIGMOD Record 1986).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from harness.answers import DeadlockReport
from harness.engines.base import Observer
from harness.errors import EngineError
from harness.history import Wait
from harness.runner.driver import Driver, Endpoint
from harness.scenario.model import Step


class Watch:
    """The observers of a case, one per database that can tell waits."""

    def __init__(
        self, observers: Mapping[str, Observer], drivers: Mapping[str, Driver], endpoints: Mapping[str, Endpoint]
    ) -> None:
        self._observers = observers
        self._endpoints = endpoints
        self.gone: set[str] = set()  # databases whose observer no longer answers
        self._pids: dict[str, list[str]] = defaultdict(list)  # server → all pids of the run on it
        self._sessions: dict[tuple[str, str], str] = {}  # (server, pid) → session
        self._pid: dict[tuple[str, str], str] = {}  # (session, alias) → pid
        for name, driver in drivers.items():
            for alias, connection in driver.connections.items():
                server = endpoints[alias].server
                self._pids[server].append(connection.pid)
                self._sessions[server, connection.pid] = name
                self._pid[name, alias] = connection.pid

    def session(self, alias: str, pid: str) -> str:
        """The session of the run that has this id on the server of ``alias``; empty if none has."""
        return self._sessions.get((self._endpoints[alias].server, pid), "")

    def can_tell(self, alias: str) -> bool:
        """Whether waits on this database can be seen."""
        return alias in self._observers

    def waits(self, steps: Iterable[Step]) -> dict[str, list[Wait]]:
        """Of the running ``steps``, those whose session waits now: session → an edge for each session it waits for.

        One question per database. Raises EngineError if a server is gone.
        """
        by_alias: dict[str, list[Step]] = defaultdict(list)
        for step in steps:
            if step.database in self._observers:
                by_alias[step.database].append(step)
        found: dict[str, list[Wait]] = {}
        for alias, asked in by_alias.items():
            server = self._endpoints[alias].server
            step_of = {self._pid[step.session, alias]: step for step in asked}
            try:
                waits = self._observers[alias].waits(list(step_of), self._pids[server])
            except EngineError:
                self.gone.add(alias)
                raise
            for wait in waits:
                step = step_of[wait.waiter]
                found[step.session] = [
                    Wait(
                        waiter=step.session,
                        holder=self._sessions.get((server, holder), f"?{holder}"),
                        database=alias,
                        step=step.name,
                        resource=wait.resource,
                        asked=wait.asked,
                        held=wait.held,
                        waiter_pid=wait.waiter,
                        holder_pid=holder,
                    )
                    for holder in wait.holders or ("?",)
                ]
        return found

    def cycle(self, waits: Sequence[Wait]) -> list[Wait]:
        """The edges of a cycle among ``waits``, in order; empty if there is none."""
        edges: dict[str, dict[str, Wait]] = {}
        for wait in waits:
            edges.setdefault(wait.waiter, {}).setdefault(wait.holder, wait)
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as found:
            ring = list(reversed(found.args[1][1:]))  # each waits for the next one
            first = min(range(len(ring)), key=lambda number: list(edges).index(ring[number]))
            ring = ring[first:] + ring[:first]
            return [edges[waiter][holder] for waiter, holder in zip(ring, [*ring[1:], ring[0]], strict=True)]
        return []

    def seen_by_server(self, cycle: Sequence[Wait]) -> bool:
        """Whether one server's own detector can find the cycle: the same server, and every holder's pid waits itself."""
        servers = {self._endpoints[wait.database].server for wait in cycle}
        after = [*cycle[1:], cycle[0]]
        return len(servers) == 1 and all(
            wait.holder_pid == following.waiter_pid for wait, following in zip(cycle, after, strict=True)
        )

    def servers(self, cycle: Sequence[Wait]) -> list[str]:
        """The databases whose edges form the cycle."""
        return list(dict.fromkeys(wait.database for wait in cycle))

    def locks(self, aliases: Iterable[str]) -> list[dict[str, str]]:
        """The lock tables of these databases, for the sessions of the run; each row names its database and session."""
        rows = []
        for alias in dict.fromkeys(aliases):
            if alias in self._observers:
                server = self._endpoints[alias].server
                for row in self._observers[alias].lock_table(self._pids[server]):
                    pid = row.get("pid", row.get("session", ""))
                    rows.append({"database": alias, "who": self._sessions.get((server, pid), f"?{pid}")} | row)
        return rows

    def deadlock_reports(self, aliases: Iterable[str]) -> list[DeadlockReport]:
        """The engines' own reports of deadlocks on these databases."""
        return [
            replace(report, database=alias)
            for alias in dict.fromkeys(aliases)
            if alias in self._observers
            for report in self._observers[alias].deadlock_reports(self._pids[self._endpoints[alias].server])
        ]

    def close(self) -> None:
        """Disconnect the observers."""
        for observer in self._observers.values():
            observer.close()
