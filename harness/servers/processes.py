"""Server processes: started detached, known by pid *and* start time, stopped for certain."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_GRAIN = 2.0  # seconds by which two readings of one start time may differ

_PORTS = 20  # attempts to find a port that is free on several addresses

_lock = threading.Lock()
_spawned: list[subprocess.Popen[bytes]] = []  # kept, so that an ended server is reaped and none is warned about


@dataclass(frozen=True, slots=True)
class Account:
    """An operating system user that a server runs as."""

    uid: int
    gid: int
    name: str


def started_at(pid: int) -> float | None:
    """When the process ``pid`` began, in seconds after boot; None if there is none (or only its zombie).

    After boot, because the wall clock may be set while servers run: a live owner must not look dead then.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.create_time() - psutil.boot_time()
    except psutil.Error:
        return None


def is_alive(pid: int, created: float) -> bool:
    """Whether the process that had ``pid`` and began at ``created`` still runs; a reused pid does not count."""
    now = started_at(pid)
    return now is not None and abs(now - created) < _GRAIN


def free_port(addresses: Sequence[str] = ("127.0.0.1",)) -> int:
    """A TCP port that was free on all ``addresses`` a moment ago. Who uses it must retry if it is taken meanwhile."""
    port = 0
    for _ in range(_PORTS):
        with contextlib.ExitStack() as probes:
            port = 0
            with contextlib.suppress(OSError):
                for address in addresses:
                    probe = probes.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
                    probe.bind((address, port))
                    port = probe.getsockname()[1]
                break
    return port


def listens_on(pid: int) -> set[str]:
    """The addresses on which the process ``pid`` takes TCP connections; none if that cannot be learnt."""
    with contextlib.suppress(psutil.Error):
        found = psutil.Process(pid).net_connections("tcp")
        return {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}
    return set()


def spawn(
    command: Sequence[str], log: Path, cwd: Path, env: Mapping[str, str], account: Account | None = None
) -> subprocess.Popen[bytes]:
    """Start ``command`` detached from our terminal, its output appended to ``log``. Raises OSError."""
    options: dict[str, Any] = {}
    if account:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    else:
        options["start_new_session"] = True  # Ctrl-C goes to the harness, which still needs its servers
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd, env=dict(env), **options
        )
    _tidy(process)
    return process


def clean_environment(folder: Path) -> dict[str, str]:
    """Our environment for a server: without libpq's variables, temporary files in ``folder``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return kept | {"TMPDIR": str(folder), "TMP": str(folder), "TEMP": str(folder)}


def _tidy(*new: subprocess.Popen[bytes]) -> None:
    """Reap those of our children that have ended."""
    with _lock:
        _spawned[:] = [child for child in (*_spawned, *new) if child.poll() is None]


STOPS: dict[str, list[tuple[str, float]]] = {
    "postgres": [("SIGINT", 3.0), ("SIGQUIT", 2.0), ("SIGKILL", 2.0)],  # fast, then immediate shutdown
    "terminate": [("SIGTERM", 0.3), ("SIGKILL", 2.0)],  # its data is thrown away: no need to wait until it is tidy
    "kill": [("SIGKILL", 2.0)],
}
"""How each kind of server is stopped: a signal, and how many seconds it is waited for before the next one."""


def stop(pid: int, created: float, how: str = "terminate") -> None:
    """Stop the process (not another one that got its pid), by ever harder signals; never raises."""
    for name, seconds in STOPS.get(how, STOPS["terminate"]):
        if not is_alive(pid, created):
            break
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if sys.platform == "win32":  # it has no signals to ask with
                process.kill()
            else:
                process.send_signal(getattr(signal, name))
        # Not psutil's wait: where nobody reaps orphans (a container's pid 1), it waits for zombies too.
        deadline = time.monotonic() + seconds
        while is_alive(pid, created) and time.monotonic() < deadline:
            time.sleep(0.005)
    _tidy()


def last_lines(*logs: Path, count: int = 12) -> str:
    """The end of each of ``logs`` that can be read, indented, for an error message."""
    lines: list[str] = []
    for log in logs:
        with contextlib.suppress(OSError):
            lines += log.read_text("utf-8", errors="replace").splitlines()[-count:]
    return "\n".join(f"    {line}" for line in lines if line.strip())


def give_to(path: Path, account: Account) -> None:
    """Make ``account`` the owner of ``path``. Raises OSError."""
    if sys.platform != "win32":
        os.chown(path, account.uid, account.gid)


def remove_container(container: str) -> None:
    """Remove a container by its id; never raises."""
    if not container:
        return
    with contextlib.suppress(Exception):
        import docker  # type: ignore[import-untyped,unused-ignore]

        client = docker.from_env(timeout=30)
        try:
            client.containers.get(container).remove(force=True, v=True)
        finally:
            client.close()
