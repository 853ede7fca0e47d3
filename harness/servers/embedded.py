"""Servers that come as Python packages: no Docker, no installation, no rights needed.

PromptAds and PromptCrm are stand-ins on PostgreSQL, on two servers as in production: a deadlock over both is one that
no server can see alone.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError, ServerError
from harness.servers import postgres, processes, secantus, valkey
from harness.servers.base import REAL_ENGINE
from harness.servers.listening import NOWHERE, Listening, is_here, tell, tidy, told
from harness.servers.runfolder import Record, RunFolder, base_path
from harness.servers.shared import SharedServers

DATABASES = {"pg1": ("promptsales", "promptads"), "pg2": ("promptcrm",)}
ENGINES = {"pg1": "postgresql", "pg2": "postgresql", "valkey": "redis", "secantus": "mongodb"}


def run_folder(run_id: str, owner_pid: int) -> RunFolder:
    """The folder of the run ``run_id``, which ends with the process ``owner_pid``; nothing is made yet.

    Raises ServerError if ``run_id`` is no plain word.
    """
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", run_id):
        raise ServerError(f"{run_id!r} is not a run id: letters, digits, '-' and '_'")
    return RunFolder(base_path() / f"run-{run_id}", owner_pid)


class EmbeddedServers(SharedServers):
    """PostgreSQL (one or two servers), Valkey and SecantusDB; each one started when it is first asked for.

    They listen on 127.0.0.1, and elsewhere only if told: by ``listening``, or by :meth:`listen` in any process of the run.
    """

    origin = "embedded"
    server_of = {
        "promptsales": "pg1",
        "promptads": "pg1",
        "promptcrm": "pg2",
        "promptcontent": "secantus",
        "cache": "valkey",
    }

    def __init__(self, folder: RunFolder, listening: Listening = NOWHERE) -> None:
        super().__init__(folder)
        self.listening = listening

    def listen(self, addresses: Sequence[str], clients: Sequence[str]) -> None:
        """Have servers that are started from now on listen on these addresses too, for ``clients`` only; never raises.

        What is no address is left out. Where a server does listen in the end, :meth:`target` says. PostgreSQL lets in
        nobody but ``clients``; Valkey and SecantusDB cannot tell clients by their addresses, only by the password.
        """
        if more := tidy(addresses, clients):
            with contextlib.suppress(HarnessError, OSError):
                self._open()
                tell(self.folder, more)

    def describe(self, logical: str) -> tuple[str, bool]:
        """Engine and stand-in flag; SecantusDB is a stand-in too, though it speaks MongoDB's protocol."""
        if logical not in self.server_of:
            raise ServerError(f"unknown logical database {logical!r}")
        server = self.server_of[logical]
        return ENGINES[server], server == "secantus" or ENGINES[server] != REAL_ENGINE[logical]

    def start(self, record: Record) -> None:
        """Start one server and fill in its record."""
        server, folder = record.server, self.folder.path / record.server

        def announce(pid: int) -> None:
            record.pid, record.created = pid, processes.started_at(pid) or 0.0
            record.stop = "postgres" if server in DATABASES else "terminate"
            self.folder.write(record)

        wanted = self.listening | told(self.folder)
        here = Listening(tuple(filter(is_here, wanted.addresses)), wanted.clients)
        if server in DATABASES:
            record.urls = postgres.start(server, folder, DATABASES[server], announce, here)
        elif server == "valkey":
            record.urls = {"cache": valkey.start(folder, announce, here.addresses)}
        else:
            record.urls = {"promptcontent": secantus.start(folder, announce, here.addresses)}
        if here.addresses:  # as the system says: somebody may have taken the port on one of them meanwhile
            listens = processes.listens_on(record.pid)
            record.addresses = [address for address in here.addresses if address in listens]


def embedded_servers(run_id: str, owner_pid: int, folder: Path | None = None) -> EmbeddedServers:
    """The embedded set of a run; the same arguments give the same set in every process of a machine."""
    return EmbeddedServers(RunFolder(folder, owner_pid) if folder else run_folder(run_id, owner_pid))
