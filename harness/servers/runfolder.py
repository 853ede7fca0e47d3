"""The folder of a set of servers: who owns the set, which servers run in it, and how all of it goes away.

Every process of a run (pytest, its xdist workers, the watchdog) opens the same folder. A server is one JSON record in
it, written under a lock by whoever started it.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import json
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from harness.errors import ServerError
from harness.servers import processes

LOCK_TIMEOUT = 180.0  # seconds; the slowest start, a container whose image is pulled first, comes near to it
CLOSING = "closing"
WATCHDOG = "watchdog"
_STALE = 60.0  # seconds after which a run folder without an owner's name counts as abandoned


@dataclass(slots=True)
class Record:
    """A server as its folder knows it: its process (or container), how to stop it, where its databases are."""

    server: str
    ready: bool = False
    pid: int = 0
    created: float = 0.0
    stop: str = "terminate"
    container: str = ""
    keeper: str = ""  # host|port|session of the containers' reaper
    urls: dict[str, str] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)  # where it listens besides 127.0.0.1; not known of containers

    @property
    def reach(self) -> str:
        """Whether other machines get to it: ``network`` or ``loopback``. Docker publishes ports on all addresses."""
        return "network" if self.container or self.addresses else "loopback"

    @property
    def alive(self) -> bool:
        """Whether its process runs; of a container, whether its port is open."""
        if not self.container:
            return processes.is_alive(self.pid, self.created)
        for url in self.urls.values():
            parts = urlsplit(url)
            with contextlib.suppress(OSError), socket.create_connection((parts.hostname, parts.port), timeout=2):
                return True
        return False


def is_root() -> bool:
    """Whether we are the superuser of a POSIX system."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def one_line(problem: OSError, doing: str) -> ServerError:
    """An operating system's refusal as one clear line."""
    where = f" ({problem.filename})" if problem.filename else ""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC):
        return no_space(doing, where)
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ServerError(f"{doing}: permission denied{where}; point TMPDIR at a folder that you may write")
    return ServerError(f"{doing}: {problem.strerror or problem}{where}")


NO_SPACE = "No space left on device"  # as programs say it


def no_space(doing: str, where: str = "") -> ServerError:
    """That the disk is full, as one clear line."""
    return ServerError(f"{doing}: no space left on the disk{where}; free some, or point TMPDIR elsewhere")


_MEMORY = Path("/dev/shm")
_ENOUGH = 6 * 2**30
"""Bytes of memory that the system lets files take, for servers' data to be put there."""


def base_path() -> Path:
    """Where our own folder under the temporary one is, or will be.

    The data of servers that are thrown away lies in memory where there is much of it: making a table makes files, and
    on a disk that takes several times as long. If somebody has said where temporary files belong, they are put there.
    """
    who = str(os.getuid()) if hasattr(os, "getuid") else re.sub(r"\W", "_", getpass.getuser())
    temporary = Path(tempfile.gettempdir())
    said = temporary != Path("/tmp") or any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    return (temporary if said or not _roomy(_MEMORY) else _MEMORY) / f"promptsales-harness-{who}"


def _roomy(folder: Path) -> bool:
    """Whether it is large, can be written and programs in it can be run; all processes of a run get the same answer."""
    try:
        found = os.statvfs(folder)
    except (AttributeError, OSError):  # Windows, macOS: there is none
        return False
    large = found.f_blocks * found.f_frsize >= _ENOUGH
    return large and not found.f_flag & (os.ST_RDONLY | os.ST_NOEXEC) and os.access(folder, os.W_OK | os.X_OK)


def base_folder() -> Path:
    """Our own folder under the temporary one, made if need be: nobody else can write in it.

    Raises ServerError if it is somebody else's, who could plant binaries or read passwords there.
    """
    folder = base_path()
    try:
        # As root, PostgreSQL runs as another user, who has to pass through here, but not to look around.
        mode = 0o711 if is_root() else 0o700
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=mode)
        found = folder.lstat()
        ours = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
        if not stat.S_ISDIR(found.st_mode) or not ours:
            raise ServerError(f"{folder} is not a folder that only you can write; remove it, or point TMPDIR elsewhere")
        if stat.S_IMODE(found.st_mode) != mode:
            folder.chmod(mode)  # a umask took bits away
    except OSError as problem:
        raise one_line(problem, "the servers' folder cannot be made") from problem
    return folder


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read, all of it or nothing. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class RunFolder:
    """One set's folder. ``owner`` is the pid whose death ends the set; 0: it is kept until somebody removes it."""

    def __init__(self, path: Path, owner: int = 0) -> None:
        self.path = path
        self.owner = owner

    def open(self) -> None:
        """Make the folder, name its owner in it, and set a watchdog on that owner. Raises ServerError."""
        if self.path.parent == base_path():
            base_folder()
        try:
            self.path.mkdir(mode=0o711 if is_root() else 0o700, exist_ok=True)
            if self.owner and not (self.path / "owner.json").exists():
                created = processes.started_at(self.owner)
                if created is None:
                    raise ServerError(f"the process {self.owner}, which is to own the servers, is gone")
                write_private(self.path / "owner.json", json.dumps({"pid": self.owner, "created": created}))
        except OSError as problem:
            raise one_line(problem, "the servers' folder cannot be made") from problem
        if self.owner:
            with self.lock(WATCHDOG):
                watchdog = self.read(WATCHDOG)
                if not watchdog or not watchdog.alive:
                    self._watch()

    def _watch(self) -> None:
        """Start the watchdog, detached from us: ``harness.servers.watchdog``, which imports this module."""
        # -P: the folder that it runs in is no place to import from.
        command = [sys.executable, "-P", "-m", "harness.servers.watchdog", str(self.path), str(self.owner)]
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        env = dict(os.environ, PYTHONPATH=path)
        try:
            made = processes.spawn(
                [*command, repr(self.owner_created())], self.path / "watchdog.log", self.path.parent, env
            )
        except OSError as problem:
            raise one_line(problem, "the watchdog of the servers cannot be started") from problem
        self.write(Record(WATCHDOG, True, made.pid, processes.started_at(made.pid) or 0.0, stop="kill"))

    def owner_created(self) -> float:
        """When the owner began, as ``owner.json`` says; 0 if it does not."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return float(json.loads((self.path / "owner.json").read_text("utf-8"))["created"])
        return 0.0

    @contextlib.contextmanager
    def lock(self, server: str) -> Iterator[None]:
        """Hold the right to start ``server``, among all processes and threads. Raises ServerError after long."""
        if not self.path.exists():  # the watchdog was quicker than we; FileLock would make the folder again
            raise ServerError(f"{server}: the run is over, no server is started any more")
        from filelock import FileLock, Timeout  # late: the watchdog needs no lock, and it is slow to import

        try:
            with FileLock(self.path / f"{server}.lock", timeout=LOCK_TIMEOUT, mode=0o600):
                yield
        except Timeout as problem:
            raise ServerError(f"{server}: another process has been starting it for {LOCK_TIMEOUT:.0f} s") from problem

    def read(self, server: str) -> Record | None:
        """The record of ``server``, if there is one."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return Record(**json.loads((self.path / f"{server}.server.json").read_text("utf-8")))
        return None

    def write(self, record: Record) -> None:
        """Put ``record`` down for the other processes. Raises ServerError, also if the set is being closed."""
        try:
            if (self.path / CLOSING).exists():
                raise ServerError(f"{record.server}: the run is over, no server is started any more")
            write_private(self.path / f"{record.server}.server.json", json.dumps(asdict(record)))
        except OSError as problem:
            raise one_line(problem, record.server) from problem

    def records(self) -> list[Record]:
        """All servers of the set that were started, the watchdog among them."""
        names = [file.name.removesuffix(".server.json") for file in self.path.glob("*.server.json")]
        return [record for name in names if (record := self.read(name))]

    def close(self, *, spare: int = 0) -> None:
        """Stop every server of the set side by side and remove the folder; never raises.

        ``spare`` is a pid to leave alone: the watchdog's own, when it is the one who closes.
        """
        for _ in range(20):  # again if a server was just being started, or a file was just being written
            if not self.path.exists():
                return
            with contextlib.suppress(OSError):
                (self.path / CLOSING).touch()
            doomed = [record for record in self.records() if record.pid != spare]
            servers = [record for record in doomed if record.server != WATCHDOG]
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(end, servers))
            shutil.rmtree(self.path, ignore_errors=True)
            for watchdog in (record for record in doomed if record.server == WATCHDOG):
                end(watchdog)  # last: if we are killed meanwhile, it goes on
            shutil.rmtree(self.path, ignore_errors=True)  # its log, where a file that is open cannot be removed
            time.sleep(0.05 if self.path.exists() else 0)


def end(record: Record) -> None:
    """Stop one server; never raises."""
    if record.container:
        processes.remove_container(record.container)
    elif record.pid:
        processes.stop(record.pid, record.created, record.stop)


def reap(base: Path) -> list[Path]:
    """Remove the sets of runs whose owner is dead (their watchdog was killed as well); never raises.

    Returns the folders that were removed.
    """
    removed = []
    for folder in base.glob("run-*"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if (folder / "owner.json").exists():
                owner = json.loads((folder / "owner.json").read_text("utf-8"))
                if processes.is_alive(int(owner["pid"]), float(owner["created"])):
                    continue
            elif time.time() - folder.stat().st_mtime < _STALE:
                continue  # its owner is about to write its name
            RunFolder(folder).close()
            removed.append(folder)
    return removed
