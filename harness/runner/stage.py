"""What a case is played on: its databases, the harness's own connections, the scenario's sessions, those who watch.

A case has a stage of its own, made and put away with it; the cases of a ``shared`` scenario are played on one, one after
the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.engines.base import Observer, SessionOptions
from harness.engines.base import Session as Connection
from harness.errors import EngineError, HarnessError, ServerUnavailable
from harness.history import DatabaseRecord, HostRecord, SessionRecord
from harness.runner.databases import Databases, Made
from harness.runner.driver import Driver, Endpoint
from harness.runner.freerun import sessions_of
from harness.runner.furnishing import Furnishing, schema
from harness.runner.meanwhile import Meanwhile
from harness.runner.remote.places import HERE, Hosts, Place
from harness.runner.watch import Watch
from harness.scenario.model import Case, Placed, Session
from harness.schemas import Wanted, folder_for
from harness.vocabulary import DEFAULT_LEVEL

_SIDE_BY_SIDE = 8
"""So many connections are made at a time."""

NAME = "application_name"
"""The setting by which a session is seen in the server's list: if a scenario sets it, its sessions append ``/SESSION``."""


class Stage:
    """Databases and connections for ``case``, and for other cases of the same scenario, databases and level.

    ``lent`` is a database that is there already and stays; ``meanwhile`` is done while servers are waited for; ``hosts`` are
    the machines that the sessions run on, here if there are none. Raises ServerUnavailable (skip), ServerError, EngineError,
    HostError.
    """

    def __init__(
        self,
        case: Case,
        databases: Databases,
        lent: Made | None = None,
        meanwhile: Meanwhile | None = None,
        hosts: Hosts | None = None,
    ) -> None:
        self.scenario = case.scenario
        self._cast = sessions_of(case)
        self.places = (hosts or Hosts()).places(self._cast, case.scenario.hosts)
        self.databases = databases
        self.meanwhile = meanwhile or Meanwhile()
        self.made: dict[str, Made] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.controls: dict[str, Connection] = {}
        self.drivers: dict[str, Driver] = {}
        self.watch = Watch({}, {}, {})
        self.observers: dict[str, Observer] = {}
        self._order: list[str] = []
        self._placed = case.databases
        self._run = f"psh:{databases.run}/{case.scenario.id}"
        self._records: list[DatabaseRecord] = []
        self._session_records: list[SessionRecord] = []
        self._stack = ExitStack()
        self._sessions = ExitStack()
        try:
            for placed in case.databases:
                self._make(placed, lent)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make(self, placed: Placed, lent: Made | None) -> None:
        self._check_reach(placed)
        made = lent or self.databases.make(
            placed.logical, [placed.level], self.scenario.database_name, self._furnishing()
        )
        if lent is None:
            self._stack.callback(self._drop, made)
        if made.engine.name != placed.engine:
            raise EngineError(
                f"{placed.logical} is on {made.engine.name} now, it was {placed.engine} when tests were collected"
            )
        known = made.admin.capabilities.levels
        if known and placed.level not in (*known, DEFAULT_LEVEL):
            product = made.admin.capabilities.product
            raise ServerUnavailable(f"{placed.logical}: {product} does not give {placed.level!r}")
        self.made[placed.alias] = made
        self.endpoints[placed.alias] = Endpoint(
            alias=placed.alias,
            engine=made.engine,
            url=made.url,
            level=placed.level,
            name=made.name,
            server=made.server,
            settings=self.scenario.settings.get(placed.engine, {}),
            as_text=self.scenario.as_text,
        )

    def _check_reach(self, placed: Placed) -> None:
        """Raises ServerUnavailable if another machine, whose sessions speak to the database, cannot get to its server."""
        speaking = {session.name for session in self._cast if placed.alias in session.databases}
        for place in {self.places[name] for name in speaking} - {HERE}:
            why = self.databases.target(placed.logical).out_of_reach(place.controller) if place.controller else ""
            if why:
                raise ServerUnavailable(f"sessions on {place.name} cannot get to {why}")

    def _furnishing(self) -> Furnishing | None:
        if not self.scenario.data:
            return None
        folder = self.databases.schemas or folder_for(self.scenario.file, Path("schemas"))
        return schema(folder, Wanted(self.scenario.data))

    def _drop(self, made: Made) -> None:
        with contextlib.suppress(HarnessError):  # a dead server has nothing to be dropped; a live one is swept later
            self.databases.drop(made)

    def _label(self, session: str) -> str:
        named = (settings[NAME] for settings in self.scenario.settings.values() if NAME in settings)
        return f"{next(named, self._run)}/{session}"

    def connect_controls(self) -> None:
        """Connect the harness's own sessions, for set-ups and items."""
        self._open(self._control_works())

    def connect_sessions(self, case: Case) -> None:
        """Connect the scenario's sessions and those who watch them."""
        self._open(self._session_works(case))

    def connect_once(self, case: Case) -> None:
        """Connect all of them, or, if they are there from a case before, have the sessions forget what they read."""
        if not self.drivers:
            self._open([*self._session_works(case), *self._control_works()])
        for driver in self.drivers.values():
            driver.forget(self.scenario.parameters)

    def _control_works(self) -> list[Callable[[], None]]:
        return [partial(self._control, alias) for alias in self.endpoints]

    def _control(self, alias: str) -> None:
        endpoint = self.endpoints[alias]
        level = endpoint.level if endpoint.level == DEFAULT_LEVEL else endpoint.engine.levels[0]
        name = "control connection" if NAME in endpoint.settings else "control"
        options = SessionOptions(self._label(name), level, settings=endpoint.settings, as_text=endpoint.as_text)
        self.controls[alias] = control = endpoint.engine.open(endpoint.url, options)
        self._stack.callback(control.close)

    def _session_works(self, case: Case) -> list[Callable[[], None]]:
        predicates = frozenset(item.name for item in self.scenario.items if item.predicate)
        sessions = self._cast
        works: list[Callable[[], None]] = [partial(self._session, session, predicates) for session in sessions]
        if not self.scenario.free_running:
            for alias in self.endpoints:
                if self.made[alias].admin.capabilities.waits:
                    works.append(partial(self._observer, alias))
        self._order = [session.name for session in sessions]
        return works

    def _session(self, session: Session, predicates: frozenset[str]) -> None:
        label = self._label(session.name)
        place = self.places[session.name]
        driver = Driver(session, self.endpoints, self.scenario.parameters, predicates, label, place)
        self.drivers[session.name] = driver
        self._sessions.callback(driver.close)

    def _observer(self, alias: str) -> None:
        self.observers[alias] = self.databases.observer(self.made[alias])

    def _open(self, works: Sequence[Callable[[], None]]) -> None:
        """Connect side by side: most of the time a server takes to make a session, it is waited for."""
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            opening = [pool.submit(work) for work in works]
        for one in opening:
            one.result()  # the first of them that failed says why
        self.drivers = {name: self.drivers[name] for name in self._order}
        self.watch = Watch(self.observers, self.drivers, self.endpoints)

    @property
    def away(self) -> list[Place]:
        """The other machines that its sessions run on."""
        return list({id(place): place for place in self.places.values() if place is not HERE}.values())

    def hosts(self) -> list[HostRecord]:
        """Those machines as the History tells of them."""
        return [record for place in self.away if (record := place.record()) is not None]

    def end_lost_sessions(self) -> None:
        """End, on the servers, the sessions of machines that are lost: else their locks would stay for a while."""
        for driver in self.drivers.values():
            for alias, connection in driver.connections.items() if driver.place.lost else ():
                with contextlib.suppress(HarnessError):  # a dead server has no locks
                    self.databases.end_session(self.made[alias], connection.pid)

    def close_sessions(self) -> None:
        """Disconnect the scenario's sessions: the servers roll back what they had open."""
        self._sessions.close()

    def close(self) -> None:
        """Disconnect everybody, drop the databases. Never raises."""
        self._sessions.close()
        self._stack.close()

    def sessions(self) -> list[SessionRecord]:
        """The scenario's sessions as the History tells of them."""
        if not self._session_records:
            self._session_records = [_session_record(driver) for driver in self.drivers.values()]
        return self._session_records

    def records(self) -> list[DatabaseRecord]:
        """The databases as the History tells of them."""
        if not self._records:
            self._records = self._made_records()
        return self._records

    def _made_records(self) -> list[DatabaseRecord]:
        return [
            DatabaseRecord(
                alias=placed.alias,
                logical=placed.logical,
                engine=placed.engine,
                version=self.made[placed.alias].admin.capabilities.version,
                product=self.made[placed.alias].admin.capabilities.product,
                server=self.made[placed.alias].server,
                name=self.made[placed.alias].name,
                stand_in=placed.stand_in,
                capabilities=self.made[placed.alias].admin.capabilities.as_record(),
            )
            for placed in self._placed
        ]

    def where(self, alias: str) -> str:
        """The database as a person calls it: ``promptads@postgresql-standin``."""
        return next(placed.label for placed in self._placed if placed.alias == alias)


def _session_record(driver: Driver) -> SessionRecord:
    return SessionRecord(
        name=driver.session.name,
        host=driver.place.name,
        pids={alias: connection.pid for alias, connection in driver.connections.items()},
        observed_levels={alias: connection.observed_level for alias, connection in driver.connections.items()},
        notes=[note for connection in driver.connections.values() for note in connection.notes],
    )
