"""What ``harness doctor`` finds out, as plain values: machines, their drivers, what of the run's databases they get to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from harness.runner.remote.link import Clock

HERE = "here"
"""What the machine is called that the command is given on: it makes the databases, and watches them."""


class Level(StrEnum):
    """How bad something is: a run goes on with warnings, and not with problems."""

    ok = "ok"
    warning = "warning"
    problem = "problem"


class State(StrEnum):
    """How far one gets with a database from a machine."""

    ok = "ok"  # one can log in
    out_of_reach = "out of reach"  # its server does not listen for other machines, or its URL means this one only
    unknown = "unknown"  # the name of its machine is not known there
    unreachable = "unreachable"  # the network knows no way
    silent = "silent"  # no answer: a firewall, or nobody
    refused = "refused"  # nobody listens at its port
    no_driver = "no driver"  # the port is open, more cannot be tried
    no_entry = "no entry"  # PostgreSQL: pg_hba.conf does not let that address in
    login = "login"  # user, password or database are wrong
    failed = "failed"  # whatever else was said instead of letting one in


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver of an engine on a machine. ``pip``: what pip installs if that solves its problem."""

    engine: str
    driver: str = ""  # "psycopg 3.3.9"; empty if it is not there
    odbc: str = ""  # SQL Server: the ODBC driver beneath it
    problem: str = ""
    pip: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """A database of the run. Without a ``problem`` its server is there."""

    logical: str
    label: str  # "promptads@postgresql-standin"
    engine: str = ""
    origin: str = ""  # "embedded", "containers", "external", "up"
    public: str = ""  # its URL without the password
    problem: str = ""  # why it cannot be had
    needless: bool = False  # cases that need it are skipped then; else they fail


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a machine gets with a database. ``source`` is its address as the server sees it."""

    logical: str
    state: State
    host: str = ""
    port: int = 0
    source: str = ""
    said: str = ""  # in the words of the system, or the server


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of the run; with a ``problem`` it was not reached, or was lost, and the rest may not be known."""

    name: str
    local: bool = False  # a process on the machine that the command is given on
    problem: str = ""
    hostname: str = ""
    address: str = ""  # where ssh reaches it
    controller: str = ""  # the address by which it knows the machine that the command is given on
    system: str = ""
    python: str = ""
    executable: str = ""
    pip: str = ""  # "missing", "managed": what keeps pip from installing a driver there
    clock: Clock | None = None
    drivers: tuple[Driver, ...] = ()
    databases: tuple[Reach, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should know, on one line: what is so on which machines (none: everywhere), what to do."""

    level: Level
    machines: tuple[str, ...]
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """All of it."""

    machines: tuple[Machine, ...]
    servers: tuple[Server, ...]
    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether a run can begin."""
        return not any(finding.level is Level.problem for finding in self.findings)

    def record(self) -> dict[str, Any]:
        """What a script reads, ready for JSON. No password is in it."""
        return {"ready": self.ready} | asdict(self)
