"""Servers that are kept between commands: ``harness up``, ``down`` and ``status``.

The folder ``.servers/`` of the project says where they are; their data lies in it too, unless PostgreSQL's user could not
get there (root's own folders).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import HarnessError, ServerError
from harness.servers.base import LOGICAL, Target
from harness.servers.listening import NOWHERE, Listening, resolve, tell, told
from harness.servers.runfolder import RunFolder, base_folder, is_root, one_line, write_private
from harness.servers.shared import SharedServers

FOLDER = ".servers"
STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """One logical database of the kept set: where it is, or why it is not there."""

    logical: str
    target: Target | None = None
    problem: str = ""


def up(
    root: Path,
    *,
    logicals: Iterable[str] = LOGICAL,
    mode: str = "embedded",
    environ: Mapping[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
    listen: Sequence[str] = (),
    allow: Sequence[str] = (),
) -> list[Kept]:
    """Start what does not run yet, side by side, and keep it after we end; gives one entry for each of ``logicals``.

    ``progress`` is told one line for each database. One that cannot be had is an entry with its problem. Embedded
    servers listen on the addresses ``listen`` of this machine too, for the clients ``allow``; the environment may say
    both instead. The set remembers it until it is taken down.
    Raises ServerError if the mode starts nothing, a set of another mode is up, or this set's servers were not told to
    listen there; and for what is no address of this machine, or no client's.
    """
    environ = os.environ if environ is None else environ
    say = progress or (lambda line: None)
    with _locked(root):
        found = _state(root)
        if found and found[0] != mode:
            raise ServerError(f"a set of {found[0]} servers is up; take it down first")
        folder = found[1] if found else _data_folder(root)
        servers = _servers(mode, folder, environ)
        listening = _listening(mode, servers, listen, allow, environ)
        try:
            home = root / FOLDER
            home.mkdir(mode=0o711 if is_root() else 0o700, exist_ok=True)
            (home / ".gitignore").write_text("*\n", "utf-8")
            state = {"mode": mode, "folder": str(folder), "host": platform.node()}
            write_private(home / STATE, json.dumps(state))
        except OSError as problem:
            raise one_line(problem, "the servers cannot be kept") from problem
        if listening:
            servers.folder.open()
            tell(servers.folder, listening)

        def one(logical: str) -> Kept:
            try:
                place = servers.target(logical)
            except HarnessError as problem:
                say(f"{logical}: {problem}")
                return Kept(logical, None, str(problem))
            say(f"{logical}: {place.public}")
            return Kept(logical, replace(place, origin="up"), "")

        wanted = list(dict.fromkeys(logicals))
        with ThreadPoolExecutor(max_workers=max(len(wanted), 1)) as pool:
            entries = list(pool.map(one, wanted))
        if not servers.started():
            _remove(root, folder)
        return entries


def down(root: Path, *, progress: Callable[[str], None] | None = None) -> list[str]:
    """Stop the kept set and remove its data; gives the servers that were stopped (none if no set was up)."""
    with _locked(root):
        found = _state(root)
        stopped: list[str] = []
        if found:
            servers = _servers(*found, os.environ)
            stopped = servers.started()
            servers.stop()
            for server in stopped:
                if progress:
                    progress(f"{server}: stopped")
            _remove(root, found[1])
        return stopped


def status(root: Path) -> list[Kept]:
    """One entry for each logical database, whether its server runs or not; starts nothing."""
    places = find(root)
    return [Kept(name, places.get(name), "" if name in places else "not up") for name in LOGICAL]


def find(root: Path) -> dict[str, Target]:
    """The databases of the kept set whose servers run now, by logical name; empty if there is no set."""
    found = _state(root)
    if not found:
        return {}
    servers = _servers(*found, os.environ)
    places: dict[str, Target] = {}
    for record in servers.folder.records():
        if record.ready and record.urls and record.alive:
            places |= {logical: servers.place(logical, record, "up") for logical in record.urls}
    return places


def _listening(
    mode: str, servers: SharedServers, listen: Sequence[str], allow: Sequence[str], environ: Mapping[str, str]
) -> Listening:
    """Where the set's servers are to listen. Raises ServerError, also if some run already that were not told so."""
    if mode != "embedded":
        if listen or allow:
            raise ServerError(
                "--listen and --allow are for embedded servers: Docker publishes the ports of containers on every "
                "address; let the firewall say who gets in"
            )
        return NOWHERE
    listening = resolve(listen, allow, environ)
    if (running := servers.started()) and not told(servers.folder).covers(listening):
        raise ServerError(
            f"{', '.join(running)}: up already, and not told to listen on {', '.join(listening.addresses)} for "
            f"{', '.join(listening.clients)}; take the set down first: harness down"
        )
    return listening


def _servers(mode: str, folder: Path, environ: Mapping[str, str]) -> SharedServers:
    if mode == "embedded":
        from harness.servers.embedded import EmbeddedServers

        return EmbeddedServers(RunFolder(folder))
    if mode == "containers":
        from harness.servers.containers import ContainerServers

        return ContainerServers(RunFolder(folder), environ)
    raise ServerError(f"servers of the mode {mode!r} are not ours to start or stop")


def _state(root: Path) -> tuple[str, Path] | None:
    """Mode and folder of the set that is up; None if there is none, or it is another user's or machine's."""
    file = root / FOLDER / STATE
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if hasattr(os, "getuid") and file.stat().st_uid != os.getuid():
            return None
        state = json.loads(file.read_text("utf-8"))
        if state["host"] == platform.node() and Path(state["folder"]).exists():
            return str(state["mode"]), Path(state["folder"])
    return None


def _key(root: Path) -> str:
    return hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]


def _data_folder(root: Path) -> Path:
    """Where a new set's data goes: into the project, if PostgreSQL's user can get there."""
    parents = [root.resolve(), *root.resolve().parents]
    if is_root() and not all(parent.stat().st_mode & 0o001 for parent in parents):
        return base_folder() / f"kept-{_key(root)}"
    return root.resolve() / FOLDER / "set"


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One ``up`` or ``down`` of a project at a time. The lock lies outside of what is removed."""
    from filelock import FileLock

    with FileLock(base_folder() / f"kept-{_key(root)}.lock", mode=0o600):
        yield


def _remove(root: Path, folder: Path) -> None:
    RunFolder(folder).close()
    shutil.rmtree(root / FOLDER, ignore_errors=True)
