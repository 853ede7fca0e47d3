"""Servers in containers, through testcontainers: the real engines, for whoever has Docker."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import ServerError, ServerUnavailable
from harness.servers import processes
from harness.servers.base import REAL_ENGINE
from harness.servers.images import IMAGES, Image
from harness.servers.login import odbc, wait_for_login
from harness.servers.runfolder import Record, RunFolder
from harness.servers.shared import SharedServers
from harness.servers.urls import redact, scrub

LABEL = "promptsales-harness.set"


class ContainerServers(SharedServers):
    """SQL Server 2022 (two instances), PostgreSQL 18, MongoDB 8 as a replica set, Redis 8.

    testcontainers' Ryuk removes the containers when the last process of the run that uses them is gone.
    """

    origin = "containers"
    server_of = {image.logical: server for server, image in IMAGES.items()}

    def __init__(self, folder: RunFolder, environ: Mapping[str, str] | None = None) -> None:
        super().__init__(folder)
        self.environ = os.environ if environ is None else environ
        self._reapers: list[socket.socket] = []

    def describe(self, logical: str) -> tuple[str, bool]:
        """The real engine, always."""
        if logical not in REAL_ENGINE:
            raise ServerError(f"unknown logical database {logical!r}")
        return REAL_ENGINE[logical], False

    def listen(self, addresses: Sequence[str], clients: Sequence[str]) -> None:
        """Nothing to tell: Docker publishes a container's port on every address, and lets everybody in who has the password.

        The machine's firewall can keep others out (Docker's own chain DOCKER-USER), we cannot.
        """

    def start(self, record: Record) -> None:
        """Start one container, wait until a login works, and fill in the record.

        Raises ServerUnavailable (Microsoft's licence not accepted, no Docker), DriverMissing, ServerError.
        """
        image = IMAGES[record.server]
        if image.licence and self.environ.get("ACCEPT_EULA", "").upper() not in ("Y", "YES"):
            raise ServerUnavailable(
                f"{image.logical}: SQL Server's licence is yours to accept: read https://go.microsoft.com/fwlink/"
                "?LinkId=746388 and set ACCEPT_EULA=Y"
            )
        _require_docker()
        if image.licence:
            odbc()  # better missed now than after a download of 1.5 GB
        from docker.errors import DockerException  # type: ignore[import-untyped,unused-ignore]
        from testcontainers.core.container import DockerContainer, Reaper
        from testcontainers.core.labels import SESSION_ID

        if not self.folder.owner:  # a kept set outlives us: no Ryuk
            from testcontainers.core.config import testcontainers_config

            testcontainers_config.ryuk_disabled = True
        password = f"Aa1-{secrets.token_urlsafe(24)}"  # SQL Server asks for three kinds of characters
        container: Any = DockerContainer(image.name).with_envs(**image.environment(password))
        container.with_exposed_ports(image.port)
        container.with_kwargs(labels={LABEL: self.folder.path.name}, **image.options)
        if command := list(image.command(password)):
            container.with_command(command)
        try:
            container.start()
            record.container = container.get_container_id()
            record.keeper = _keeper(Reaper, SESSION_ID)
            self.folder.write(record)
            url = image.url.format(
                password=password,
                host=container.get_container_host_ip(),
                port=container.get_exposed_port(image.port),
            )
            _first_login(image, url, container)
        except BaseException as problem:
            processes.remove_container(record.container)
            if isinstance(problem, DockerException):
                raise ServerError(
                    f"{image.name} did not start: {_short(problem).replace(password, '***')}"
                ) from problem
            raise
        record.urls = {image.logical: url}

    def joined(self, record: Record) -> None:
        """Tell the reaper that we use this container too, else it goes when the process that started it goes."""
        with contextlib.suppress(OSError, ValueError):
            host, port, session = record.keeper.split("|")
            connection = socket.create_connection((host, int(port)), timeout=5)
            connection.sendall(f"label=org.testcontainers.session-id={session}\r\n".encode())
            self._reapers.append(connection)

    def stop(self) -> None:
        """Remove the containers, if we own the set; never raises."""
        super().stop()
        for connection in self._reapers:
            connection.close()
        self._reapers.clear()


def _require_docker() -> None:
    """Raises ServerUnavailable with one line that says what to start or set."""
    try:
        import docker  # type: ignore[import-untyped,unused-ignore]
        import testcontainers.core.container  # noqa: F401
        from docker.errors import DockerException  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise ServerUnavailable("testcontainers is not installed: pip install testcontainers") from None
    except Exception as problem:
        raise ServerUnavailable(f"Docker cannot be used here ({_short(problem)})") from problem
    try:
        client = docker.from_env(timeout=10)
        try:
            client.ping()
        finally:
            client.close()
    except DockerException as problem:
        raise ServerUnavailable(
            "no Docker answers here: start Docker, or set DOCKER_HOST, or give URLs (--servers=external), "
            f"or use --servers=embedded ({_short(problem)})"
        ) from problem


def _first_login(image: Image, url: str, container: Any) -> None:
    def alive() -> bool:
        container.get_wrapped_container().reload()
        return bool(container.get_wrapped_container().status == "running")

    try:
        wait_for_login(url, image.name, alive=alive, before=image.first)
    except ServerError as problem:
        text = container.get_wrapped_container().logs(tail=12).decode("utf-8", "replace")
        lines = "\n".join(f"    {line}" for line in scrub(text, url).splitlines() if line.strip())
        raise ServerError(f"{problem}; its last log lines:\n{lines}") from problem


def _keeper(reaper: Any, session: str) -> str:
    """How other processes reach the reaper of ours; empty if Ryuk is switched off."""
    connection = getattr(reaper, "_socket", None)
    if connection is None:
        return ""
    host, port = connection.getpeername()[:2]
    return f"{host}|{port}|{session}"


def _short(problem: BaseException) -> str:
    return redact(" ".join(str(problem).split()))[:300]
