"""What a person must do to let a machine get to a database, in the words of that database and of the usual firewalls."""

from __future__ import annotations

import re
from collections.abc import Sequence
from shlex import quote

from harness.doctor_facts import Machine, Reach, Server, State
from harness.servers.base import is_loopback
from harness.servers.urls import VARIABLE

_OURS = frozenset({"embedded", "up", "containers"})

_LISTEN = {
    "postgresql": (
        "start it, and in postgresql.conf: listen_addresses = '*', then restart it; in pg_hba.conf: {entry} "
        "(https://www.postgresql.org/docs/current/runtime-config-connection.html)"
    ),
    "sqlserver": (
        "start it, and in SQL Server Configuration Manager, Protocols, TCP/IP: Enabled, and under IPAll: TCP Port {port}, "
        "then restart its service (on Linux: mssql-conf set network.tcpport {port})"
    ),
    "mongodb": "start it, and in mongod.conf: net.bindIp: localhost,{host}, then restart it (with authorization: enabled)",
    "redis": "start it, and in redis.conf: bind 127.0.0.1 {host} and requirepass, then restart it",
}


def for_database(server: Server, reach: Reach, machine: Machine) -> str:
    """What to do about ``reach``, on one line; empty if what was said says it already."""
    source = reach.source or machine.address or "ADDRESS"
    where = "here" if server.origin in _OURS or is_loopback(reach.host) else f"on {reach.host}"
    variable = VARIABLE[server.logical]
    match reach.state:
        case State.refused if server.origin in _OURS:
            return "see whether it still runs: harness status"
        case State.refused if is_loopback(reach.host):
            return f"start it, or say in {variable} where it is"
        case State.refused:
            words = {"entry": entry(source), "host": reach.host, "port": reach.port}
            return f"{where}: {_LISTEN[server.engine].format(**words)}"
        case State.silent | State.unreachable:
            return f"is it on, and does its firewall let {source} in? {where}: {firewall(server, reach.port, source)}"
        case State.unknown:
            return f"write its address in {variable}, or put the name into /etc/hosts there"
        case State.no_entry:
            return f"{where}, in pg_hba.conf, above what rejects it: {entry(source)}, then: SELECT pg_reload_conf()"
        case State.login if server.origin == "up":
            return "start it anew: harness down, then harness up"
        case State.login:
            return f"correct user, password and database in {variable}"
        case State.failed if server.engine == "mongodb" and reach.host:
            return (
                "a replica set's members are looked for under the names in rs.conf(): these must be known there, or "
                f"{variable} says directConnection=true"
            )
        case _:
            return ""


def entry(source: str) -> str:
    """The line of pg_hba.conf that lets an address in.

    >>> entry("10.0.0.2"), entry("fd00::2")
    ('host all all 10.0.0.2/32 scram-sha-256', 'host all all fd00::2/128 scram-sha-256')
    """
    return f"host all all {source}/{128 if ':' in source else 32} scram-sha-256"


def firewall(server: Server, port: int, source: str) -> str:
    """How usual firewalls let an address in; to all ports where the server takes another one each time."""
    linux, windows = f"sudo ufw allow from {source}", "New-NetFirewallRule -DisplayName promptsales -Direction Inbound"
    if server.origin != "embedded":
        linux += f" to any port {port} proto tcp"
        windows += f" -Protocol TCP -LocalPort {port}"
    return f"{linux} (Windows: {windows} -RemoteAddress {source} -Action Allow)"


def to_install(machine: Machine, packages: Sequence[str]) -> str:
    """How a machine gets packages, by the Python that an agent runs on there.

    Where the system keeps pip out of its own Python, an environment is made, and ``--tx`` has to name it.
    """
    words = " ".join(quote(package) for package in packages)
    python = quote(machine.executable or "python3")
    there = "" if machine.local else "there: "
    pip = f"{python} -m pip install {words}"
    if machine.pip == "managed":
        folder = ".venv" if machine.local else "~/promptsales"
        then = "use that one" if machine.local else f"here: --tx …//python={folder}/bin/python"
        return (
            f"{there}{python} -m venv {folder} && {folder}/bin/pip install {words}; then {then} (the system lets pip "
            "install nothing; Debian, Ubuntu: sudo apt install python3-venv)"
        )
    if machine.pip == "missing":
        return f"{there}{python} -m ensurepip (Debian, Ubuntu: sudo apt install python3-pip), then: {pip}"
    return there + pip


def to_let_in(way: str, clients: Sequence[str]) -> str:
    """``harness up … --allow CLIENT`` with the machines' own addresses."""
    return re.sub(r"\bCLIENT\b", ",".join(clients), way) if clients else way
