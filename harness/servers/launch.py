"""Start one server process on a free port and wait until a login works."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ServerError
from harness.servers import processes
from harness.servers.processes import Account
from harness.servers.runfolder import NO_SPACE, no_space, one_line

_DEADLINE = 30.0  # seconds until a login has to work
_GRAIN = 0.01  # seconds between two attempts to log in
_PORTS = 5  # attempts, each with another port: somebody may take one between our look and the server's


@dataclass(frozen=True, slots=True)
class Plan:
    """How one kind of server is started."""

    what: str  # as errors name it: "PostgreSQL (pg1)"
    command: Callable[[int], Sequence[str]]  # by port
    login: Callable[[int], None]  # by port; raises one of `not_yet` while the server is not ready
    not_yet: tuple[type[Exception], ...]
    folder: Path
    cwd: Path
    env: Mapping[str, str]
    addresses: tuple[str, ...] = ("127.0.0.1",)  # where it will listen
    account: Account | None = None
    stop: str = "terminate"  # how it is stopped if it does not get ready
    logs: tuple[Path, ...] = ()  # what the server writes besides its output


def launch(plan: Plan, announce: Callable[[int], None]) -> int:
    """Start the server and give its port.

    ``announce`` is told the pid at once, so that the server can be stopped from now on by every process of the run.
    Raises ServerError with the server's last log lines.
    """
    output = plan.folder / "server.log"
    for attempt in range(_PORTS):
        port = processes.free_port(plan.addresses)
        try:
            output.unlink(missing_ok=True)
            process = processes.spawn(plan.command(port), output, plan.cwd, plan.env, plan.account)
        except OSError as problem:
            raise one_line(problem, f"{plan.what} cannot be started") from problem
        try:
            announce(process.pid)
            deadline = time.monotonic() + _DEADLINE
            while process.poll() is None:
                try:
                    plan.login(port)
                except plan.not_yet as problem:
                    if time.monotonic() > deadline:
                        raise ServerError(
                            f"{plan.what} let nobody log in for {_DEADLINE:.0f} s ({problem}); its last log lines:\n"
                            + processes.last_lines(output, *plan.logs)
                        ) from problem
                    time.sleep(_GRAIN)
                else:
                    if process.poll() is None:  # else it was somebody else's server that let us in
                        return port
        except BaseException:
            processes.stop(process.pid, processes.started_at(process.pid) or 0.0, plan.stop)
            raise
        lines = processes.last_lines(output, *plan.logs)
        if NO_SPACE in lines:
            raise no_space(f"{plan.what} cannot be started", f" ({plan.folder})")
        if "in use" not in lines or attempt == _PORTS - 1:
            break
    raise ServerError(f"{plan.what} did not start (exit status {process.returncode}); its last log lines:\n{lines}")
