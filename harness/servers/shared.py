"""A set of servers that the processes of a run share: whoever needs one first starts it, all others find it."""

from __future__ import annotations

import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from harness.errors import HarnessError, ServerError
from harness.servers import processes
from harness.servers.base import LOGICAL, Target
from harness.servers.login import log_in
from harness.servers.runfolder import Record, RunFolder, end, one_line, reap
from harness.servers.urls import make_target


class SharedServers(ABC):
    """What embedded servers and containers have in common.

    ``owner`` is the process whose end ends the set (pytest's controller, the command line); only in that process
    does :meth:`stop` stop anything. With owner 0 the set is kept until :meth:`stop`, from whichever process.
    """

    origin: str
    server_of: dict[str, str]  # logical → the server that holds it

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._opened = False
        self._found: dict[str, Record] = {}
        self._failed: dict[str, HarnessError] = {}
        self._renew: set[str] = set()  # found dead by those who used them: to be started again

    @abstractmethod
    def start(self, record: Record) -> None:
        """Start ``record.server`` and fill in the record. Raises ServerUnavailable, ServerError."""

    @abstractmethod
    def listen(self, addresses: Sequence[str], clients: Sequence[str]) -> None:
        """Have servers that are started from now on be reached from other machines; never raises."""

    @abstractmethod
    def describe(self, logical: str) -> tuple[str, bool]:
        """Engine and stand-in flag, without starting anything."""

    def target(self, logical: str) -> Target:
        """Where ``logical`` is, its server started if need be.

        Raises ServerUnavailable (not installed, no Docker), ServerError (it fails; the last log lines are in it).
        """
        if logical not in self.server_of:
            raise ServerError(f"unknown logical database {logical!r}; known: {', '.join(LOGICAL)}")
        return self.place(logical, self._get(self.server_of[logical]), self.origin)

    def place(self, logical: str, record: Record, origin: str) -> Target:
        """The database on the server that ``record`` tells of."""
        return make_target(
            logical,
            record.urls[logical],
            origin,
            stand_in=self.describe(logical)[1],
            reach=record.reach,
            addresses=record.addresses,
        )

    def prefetch(self, logicals: Iterable[str]) -> None:
        """Start the servers of several logical databases side by side. Raises nothing: :meth:`target` does later."""
        servers = sorted({self.server_of[logical] for logical in logicals if logical in self.server_of})
        if servers:
            with ThreadPoolExecutor(max_workers=len(servers)) as pool:
                for attempt in [pool.submit(self._get, server) for server in servers]:
                    attempt.exception()

    def forget(self, logical: str) -> None:
        """Look anew at the server of ``logical`` when it is next asked for: if it has died, another one is started."""
        server = self.server_of.get(logical, "")
        self._found.pop(server, None)
        self._renew.add(server)

    def stop(self) -> None:
        """Stop the whole set and remove its data, if we own it; never raises."""
        if self.folder.owner in (0, os.getpid()):
            self.folder.close()
            self._found.clear()
            self._opened = False

    def started(self) -> list[str]:
        """The servers of the set that run now, whoever started them."""
        return sorted(r.server for r in self.folder.records() if r.ready and r.urls and r.alive)

    def joined(self, record: Record) -> None:
        """Called once in every process that uses a server which another one started."""
        return

    def _get(self, server: str) -> Record:
        if server in self._failed:
            raise self._failed[server].with_traceback(None)
        if server not in self._found:
            try:
                self._found[server] = self._find_or_start(server)
            except HarnessError as problem:
                self._failed[server] = problem
                raise
        return self._found[server]

    def _open(self) -> None:
        """Make the set's folder, once. Raises ServerError."""
        with self._lock:
            if not self._opened:
                if self.folder.owner:  # what killed runs, whose watchdogs were killed too, left behind
                    reap(self.folder.path.parent)
                self.folder.open()
                self._opened = True

    def _find_or_start(self, server: str) -> Record:
        self._open()
        with self.folder.lock(server):
            record = self.folder.read(server)
            if record and record.ready:
                if record.alive and (server not in self._renew or _serves(record)):
                    self.joined(record)
                    return record
                if self.folder.owner and server not in self._renew:
                    home = self.folder.path / server
                    logs = processes.last_lines(home / "server.log", home / "data" / "log" / "postgresql.log")
                    raise ServerError(f"{server} went away during the run; its last log lines:\n{logs}")
            if record:  # whoever was starting it was killed; or a kept one ended, as at a reboot
                end(record)
            record = Record(server)
            home = self.folder.path / server
            try:
                shutil.rmtree(home, ignore_errors=True)
                home.mkdir(mode=0o711)
                home.chmod(0o711)  # whatever the umask says: PostgreSQL's user passes through here
            except OSError as problem:
                raise one_line(problem, f"{server} cannot be made") from problem
            try:
                self.start(record)
                record.ready = True
                self.folder.write(record)
            except BaseException:
                end(record)
                raise
            return record


def _serves(record: Record) -> bool:
    """Whether one can log in: the process of a server that somebody found dead may take a moment to end."""
    try:
        log_in(next(iter(record.urls.values())))
    except Exception:  # noqa: BLE001 - a driver's own classes, each for each
        return False
    return True
