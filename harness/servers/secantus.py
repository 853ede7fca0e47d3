"""SecantusDB, the stand-in for MongoDB: a process of its own, spoken to over TCP and never imported (GPL-2.0-only)."""

from __future__ import annotations

import importlib.util
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import ServerError, ServerUnavailable
from harness.servers import processes
from harness.servers.launch import Plan, launch
from harness.servers.listening import LOOPBACK
from harness.servers.runfolder import one_line

USER = "harness"


def start(folder: Path, announce: Callable[[int], None], addresses: Sequence[str] = ()) -> str:
    """Start the server, its data in ``folder``, and give its URL.

    On 127.0.0.1 it asks for no password. If there are ``addresses``, it asks for one, and listens on the first of them
    only, which is what it can: then we too reach it there. It cannot tell clients by their addresses.
    Raises ServerUnavailable if it is not installed here, ServerError with the last log lines if it fails.
    """
    if importlib.util.find_spec("secantus") is None:
        raise ServerUnavailable("SecantusDB is not installed: pip install 'promptsales-harness[embedded]'")
    config = folder / "secantusd.toml"  # an empty one, lest it finds the user's own
    try:
        config.touch(mode=0o600)
    except OSError as problem:
        raise one_line(problem, "SecantusDB cannot be made") from problem
    if not addresses:
        return _launch(folder, config, announce, ["--storage-path", ":memory:"])
    # It asks for passwords only if told so at its start, and lets nobody in to make the first user then.
    storage = ["--storage-path", str(folder / "data")]
    password = secrets.token_urlsafe(24)
    _make_user(folder, config, announce, storage, password)
    return _launch(folder, config, announce, [*storage, "--auth"], addresses[0], f"{USER}:{password}@")


def _make_user(
    folder: Path, config: Path, announce: Callable[[int], None], storage: Sequence[str], password: str
) -> None:
    """Start it for us alone, make the user, and kill it: synced commits outlive that, and its tidy end takes 2 s."""
    import pymongo
    import pymongo.errors

    pids: list[int] = []

    def announced(pid: int) -> None:
        announce(pid)
        pids.append(pid)

    url = _launch(folder, config, announced, [*storage, "--sync-on-commit"])
    try:
        with pymongo.MongoClient[dict[str, object]](url) as client:
            client.admin.command("createUser", USER, pwd=password, roles=["root"], mechanisms=["SCRAM-SHA-256"])
    except pymongo.errors.PyMongoError as problem:
        raise ServerError(f"SecantusDB did not make its user: {type(problem).__name__}") from problem
    processes.stop(pids[-1], processes.started_at(pids[-1]) or 0.0, "kill")


def _launch(
    folder: Path,
    config: Path,
    announce: Callable[[int], None],
    options: Sequence[str],
    address: str = LOOPBACK,
    login: str = "",
) -> str:
    import pymongo
    import pymongo.errors

    host = f"[{address}]" if ":" in address else address

    def url(port: int) -> str:
        # It says that it is a replica set of one, so transactions work over the direct connection too, which
        # needs no discovery.
        return f"mongodb://{login}{host}:{port}/?directConnection=true"

    def log_in(port: int) -> None:
        # The driver looks twice a second at a server that is not there; a socket can be tried as often as one likes.
        socket.create_connection((address, port), timeout=1).close()
        with pymongo.MongoClient[dict[str, object]](url(port), serverSelectionTimeoutMS=1000) as client:
            client.admin.command("ping")

    port = launch(
        Plan(
            what="SecantusDB",
            command=lambda port: [
                *(sys.executable, "-m", "secantus", "--config", str(config)),
                *("--host", address, "--port", str(port), *options),
                *("--cache-size", "256M", "--log-level", "WARNING"),
            ],
            login=log_in,
            not_yet=(pymongo.errors.PyMongoError, OSError),
            folder=folder,
            cwd=folder,
            env=processes.clean_environment(folder),
            addresses=(address,),
        ),
        announce,
    )
    return url(port)
