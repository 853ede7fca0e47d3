"""Where a running server comes from: embedded (pip), containers (testcontainers), external (URLs), or kept (``up``).

Imports are late on purpose: the watchdog, which is a module of this package, has to be quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.errors import ServerError, did_you_mean
from harness.servers.base import Servers, Target

__all__ = ["MODES", "MODE_VARIABLE", "Servers", "Target", "open_servers", "resolve_mode"]

MODES = ("embedded", "containers", "external")
MODE_VARIABLE = "PROMPTSALES_SERVERS"


def resolve_mode(argument: str | None, environ: Mapping[str, str]) -> str:
    """The mode: what the command line or the ini file said, else ``PROMPTSALES_SERVERS``, else ``embedded``.

    Raises ServerError if that is none of :data:`MODES`.
    """
    mode = (argument or environ.get(MODE_VARIABLE) or MODES[0]).strip().lower()
    if mode not in MODES:
        raise ServerError(f"unknown kind of servers {mode!r}{did_you_mean(mode, MODES)}; known: {', '.join(MODES)}")
    return mode


def open_servers(mode: str | None, *, run_id: str, owner_pid: int, root: Path, environ: Mapping[str, str]) -> Servers:
    """The servers of a run; nothing is started until it is asked for.

    ``run_id`` and ``owner_pid`` (pytest's controller, or the command line) are the same in every process of a run:
    that is how they share one set. Only in the owner does ``stop()`` stop anything, and when the owner is killed a
    watchdog does. ``root`` is the project's folder, where a kept set is looked for.
    Embedded ones listen where ``PROMPTSALES_LISTEN`` and ``PROMPTSALES_ALLOW`` say, besides 127.0.0.1.
    Raises ServerError for an unknown mode or run id, or if those variables say what cannot be.
    """
    from harness.servers.chosen import ChosenServers
    from harness.servers.embedded import EmbeddedServers, run_folder
    from harness.servers.external import ExternalServers

    mode = resolve_mode(mode, environ)
    otherwise: Servers
    if mode == "external":
        otherwise = ExternalServers(environ)
    elif mode == "containers":
        from harness.servers.containers import ContainerServers

        otherwise = ContainerServers(run_folder(run_id, owner_pid), environ)
    else:
        from harness.servers.listening import resolve

        otherwise = EmbeddedServers(run_folder(run_id, owner_pid), resolve((), (), environ))
    return ChosenServers(mode, otherwise, environ, root)
