"""SecantusDB, the stand-in for MongoDB: a process of its own, spoken to over TCP and never imported (GPL-2.0-only)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from harness.errors import ServerUnavailable
from harness.servers import processes
from harness.servers.launch import Plan, launch
from harness.servers.runfolder import one_line


def start(folder: Path, announce: Callable[[int], None]) -> str:
    """Start the server, its data in ``folder``, and give its URL. It asks for no password.

    Raises ServerUnavailable if it is not installed here, ServerError with the last log lines if it fails.
    """
    if importlib.util.find_spec("secantus") is None:
        raise ServerUnavailable("SecantusDB is not installed: pip install 'promptsales-harness[embedded]'")
    import pymongo
    import pymongo.errors

    config = folder / "secantusd.toml"  # an empty one, lest it finds the user's own
    try:
        config.touch(mode=0o600)
    except OSError as problem:
        raise one_line(problem, "SecantusDB cannot be made") from problem

    def url(port: int) -> str:
        # It says that it is a replica set of one, so transactions work over the direct connection too, which
        # needs no discovery.
        return f"mongodb://127.0.0.1:{port}/?directConnection=true"

    def login(port: int) -> None:
        with pymongo.MongoClient[dict[str, object]](url(port), serverSelectionTimeoutMS=1000) as client:
            client.admin.command("ping")

    port = launch(
        Plan(
            what="SecantusDB",
            command=lambda port: [
                *(sys.executable, "-m", "secantus", "--config", str(config)),
                *("--host", "127.0.0.1", "--port", str(port), "--storage-path", ":memory:"),
                *("--cache-size", "256M", "--log-level", "WARNING"),
            ],
            login=login,
            not_yet=(pymongo.errors.PyMongoError,),
            folder=folder,
            cwd=folder,
            env=processes.clean_environment(folder),
        ),
        announce,
    )
    return url(port)
