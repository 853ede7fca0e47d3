"""Throw-away databases for cases: made on the servers of the run, dropped after, and the leftovers of dead runs with them.

Every database of the harness is called ``psh_<run>_<number>``; every connection of a run carries ``psh:<run>`` as its name.
A run whose name no connection carries any more is dead, and what it left on a server is dropped by the next run that
comes there. Nothing else on a server is ever touched.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from harness.engines import engine
from harness.engines.base import OWNED, Admin, Copying, Engine, Naming, Observer, owner_of
from harness.errors import DataError, EngineError, HarnessError
from harness.runner.furnishing import Furnishing
from harness.servers.base import LOGICAL, Servers, Target
from harness.vocabulary import PORTS


@dataclass(frozen=True, slots=True)
class Made:
    """A database that was made for a case."""

    target: Target
    engine: Engine
    name: str
    url: str
    server: str
    admin: Admin


class Databases:
    """Makes and drops the databases of one process of a run. Safe to use from several threads."""

    def __init__(self, servers: Servers, run: str, worker: str = "", schemas: Path | None = None) -> None:
        self.run = run
        self.schemas = schemas  # the folder of the files that furnish; else the nearest one above a scenario
        self.swept: list[str] = []  # what dead runs had left and this one dropped, as "server: database"
        self._servers = servers
        self._prefix = _beginning(run, worker)
        self._numbers = itertools.count(1)
        self._admins: dict[str, Admin] = {}
        self._made: dict[str, Made] = {}
        self._templates: dict[tuple[str, str, str], str] = {}  # by URL, logical database and furnishing
        self._observers: dict[str, Observer] = {}
        self._lock = threading.RLock()

    def make(self, logical: str, levels: Sequence[str], name: str = "", furnishing: Furnishing | None = None) -> Made:
        """A database for ``logical``, empty or furnished, called ``name`` if statements need it to be called so.

        Then it is had by one process at a time, others wait. Raises ServerUnavailable, ServerError or EngineError, and
        DataError if it cannot be furnished.
        """
        with self._lock:
            target = self._servers.target(logical)
            known = target.url in self._admins
            try:
                return self._make(target, levels, name, furnishing)
            except DataError:  # the server is well: what was to fill the database is wrong
                raise
            except HarnessError:
                self.forget(target)  # whoever asks next looks anew
                if not known:
                    raise
                # It was there before: if the server has died since, another one may take its place.
                return self._make(self._servers.target(logical), levels, name, furnishing)

    def _make(self, target: Target, levels: Sequence[str], name: str, furnishing: Furnishing | None) -> Made:
        kind = engine(target.engine)
        admin = self._admin(target, kind)
        if name:
            if not isinstance(admin, Naming):
                raise EngineError(f"{target.logical}: on {target.engine} a database cannot be given the name {name!r}")
            admin.create_named(name, replace=target.origin != "external")
        elif furnishing is not None and isinstance(admin, Copying):
            template = self._template(target, levels, furnishing)
            name = f"{self._prefix}{next(self._numbers)}"
            admin.create_copy(name, template)
            furnishing = None
        else:
            name = f"{self._prefix}{next(self._numbers)}"
            admin.create(name, levels)
        made = Made(target, kind, name, kind.database_url(target.url, name), server_of(target), admin)
        self._made[name] = made
        if furnishing is not None:
            self._fill(made, furnishing)
        return made

    def _template(self, target: Target, levels: Sequence[str], furnishing: Furnishing) -> str:
        """The database that copies are made of; filled when the first one is wanted."""
        key = (target.url, target.logical, furnishing.name)
        if key not in self._templates:
            made = self._make(target, levels, "", None)
            self._fill(made, furnishing)
            self._templates[key] = made.name
        return self._templates[key]

    def _fill(self, made: Made, furnishing: Furnishing) -> None:
        try:
            furnishing.fill(made.target, made.engine, made.url)
        except BaseException:
            with contextlib.suppress(HarnessError):
                self.drop(made)
            raise

    def target(self, logical: str) -> Target:
        """Where ``logical`` is. Raises ServerUnavailable."""
        return self._servers.target(logical)

    @property
    def templates(self) -> frozenset[str]:
        """The names of the databases that others are copied from; they stay until the end."""
        return frozenset(self._templates.values())

    def observer(self, made: Made) -> Observer:
        """The connection that asks who waits for whom on a database; opened when it is first asked for, closed with it."""
        with self._lock:
            observer = self._observers.get(made.name)
            if observer is None:
                observer = self._observers[made.name] = made.engine.observe(made.url, self.run)
            return observer

    def forget_observer(self, made: Made) -> None:
        """It is gone: whoever asks next gets another one."""
        if observer := self._observers.pop(made.name, None):
            observer.close()

    def drop(self, made: Made) -> None:
        """Drop it. Raises HarnessError if that cannot be done; if the server has died, its next user finds another."""
        with self._lock:
            self._made.pop(made.name, None)
            self.forget_observer(made)
            try:
                made.admin.drop(made.name)
            except HarnessError:
                self.forget(made.target)
                raise

    def end_session(self, made: Made, pid: str) -> None:
        """End a session on it whose client is gone. Raises HarnessError if that cannot be done."""
        with self._lock:
            made.admin.end_session(made.name, pid)

    def _admin(self, target: Target, kind: Engine) -> Admin:
        admin = self._admins.get(target.url)
        if admin is None:
            admin = self._admins[target.url] = kind.admin(target.url, self.run)
            self._sweep(admin, server_of(target))
        return admin

    def _sweep(self, admin: Admin, server: str) -> None:
        """Drop what runs left here that are no longer connected."""
        living = {*admin.living_runs(), self.run}
        for name in admin.owned():
            if owner_of(name) not in living:
                # Another run may be sweeping too: whoever is first drops it.
                with contextlib.suppress(HarnessError):
                    admin.drop(name)
                    self.swept.append(f"{server}: {name}")

    def drop_of(self, worker: str) -> None:
        """Drop what a worker of the run has left on its servers, and end whoever is in it: it is lost. Never raises."""
        for logical in LOGICAL:
            with self._lock, contextlib.suppress(HarnessError):
                target = self._servers.target(logical)
                admin = self._admin(target, engine(target.engine))
                for name in admin.owned():
                    if name.startswith(_beginning(self.run, worker)):
                        admin.drop(name)

    def forget(self, target: Target) -> None:
        """Drop the connection to a server that may have died, and have the servers look whether it has."""
        with self._lock:
            if admin := self._admins.pop(target.url, None):
                admin.close()
            self._templates = {key: name for key, name in self._templates.items() if key[0] != target.url}
            self._servers.forget(target.logical)

    def close(self) -> None:
        """Drop what is left and disconnect; never raises."""
        with self._lock:
            for made in list(self._made.values()):
                with contextlib.suppress(HarnessError):
                    self.drop(made)
            for admin in self._admins.values():
                admin.close()
            self._admins.clear()


def _beginning(run: str, worker: str) -> str:
    """How the names begin of databases that one process of a run makes."""
    return f"{OWNED}{run}_{worker}{'x' if worker else ''}"


def data_url(target: Target) -> str:
    """The URL of the database that the data of ``target`` lies in: MongoDB's URLs may name none, then it is called as it is.

    >>> data_url(Target("promptcontent", "mongodb", "mongodb://h:1/?directConnection=true"))
    'mongodb://h:1/promptcontent?directConnection=true'
    """
    if target.engine != "mongodb" or urlsplit(target.url).path.strip("/"):
        return target.url
    return engine(target.engine).database_url(target.url, target.logical)


def server_of(target: Target) -> str:
    """``host:port`` of a target: one string for one server."""
    parts = urlsplit(target.url)
    with contextlib.suppress(ValueError):  # several hosts, as MongoDB's URLs may have
        return f"{parts.hostname or 'localhost'}:{parts.port or PORTS[target.engine]}"
    return parts.netloc.rpartition("@")[2]
