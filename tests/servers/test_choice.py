from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from harness.errors import DriverMissing, ServerError, ServerUnavailable
from harness.servers import login, open_servers, resolve_mode
from harness.servers.base import LOGICAL, Servers
from harness.servers.containers import ContainerServers
from harness.servers.images import IMAGES
from harness.servers.runfolder import Record, RunFolder
from harness.servers.urls import VARIABLE, make_target

from .conftest import new_run_id


def opened(mode: str | None, environ: dict[str, str], root: Path) -> Servers:
    return open_servers(mode, run_id=new_run_id(), owner_pid=os.getpid(), root=root, environ=environ)


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch, private_tmp: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{private_tmp}/no.sock")


def test_the_mode_is_argument_then_environment_then_embedded() -> None:
    environ = {"PROMPTSALES_SERVERS": "external"}
    assert resolve_mode("containers", environ) == "containers"
    assert resolve_mode(None, environ) == resolve_mode("", environ) == "external"
    assert resolve_mode(None, {}) == "embedded"
    with pytest.raises(ServerError, match="unknown kind of servers 'container', did you mean 'containers'"):
        resolve_mode("container", {})


@pytest.mark.parametrize("logical", LOGICAL)
def test_external_without_a_url_names_the_variable(logical: str, tmp_path: Path) -> None:
    servers = opened("external", {VARIABLE[logical]: " "}, tmp_path)
    with pytest.raises(ServerUnavailable, match=f"set {VARIABLE[logical]}"):
        servers.target(logical)
    assert servers.describe(logical)[1] is False
    servers.prefetch(LOGICAL)
    servers.stop()


def test_a_url_goes_before_the_mode(tmp_path: Path) -> None:
    for mode in ("embedded", "containers", "external"):
        servers = opened(mode, {"PROMPTADS_URL": "postgres://u:secret@h/db"}, tmp_path)
        target = servers.target("promptads")
        assert (target.origin, target.stand_in, target.public) == ("external", "sqlserver", "postgres://u:***@h/db")
        assert servers.describe("promptads") == ("postgresql", True)


def test_a_wrong_scheme_names_the_variable(tmp_path: Path) -> None:
    servers = opened(None, {"CACHE_URL": "mysql://u:secret@h"}, tmp_path)
    for ask in (servers.target, servers.describe):
        with pytest.raises(ServerError, match="CACHE_URL: unknown scheme 'mysql://'"):
            ask("cache")


def test_sql_server_waits_for_the_licence(tmp_path: Path) -> None:
    servers = opened("containers", {}, tmp_path)
    try:
        with pytest.raises(ServerUnavailable, match="ACCEPT_EULA=Y"):
            servers.target("promptads")
    finally:
        servers.stop()


@pytest.mark.usefixtures("no_docker")
@pytest.mark.parametrize("logical", LOGICAL)
def test_without_docker_one_line_says_what_to_do(logical: str, tmp_path: Path) -> None:
    servers = opened("containers", {"ACCEPT_EULA": "Y"}, tmp_path)
    try:
        servers.prefetch([logical])
        with pytest.raises(
            ServerUnavailable, match="no Docker answers here: start Docker, or set DOCKER_HOST"
        ) as caught:
            servers.target(logical)
        assert "\n" not in str(caught.value)
    finally:
        servers.stop()


def test_every_image_has_a_url_that_can_be_read() -> None:
    for image in IMAGES.values():
        url = image.url.format(password="Aa1-x_y", host="127.0.0.1", port=1234)
        target = make_target(image.logical, url, "containers")
        assert target.stand_in == ""
        assert "Aa1" not in target.public
        assert all("Aa1-x_y" not in word for word in image.command("Aa1-x_y"))


def test_a_login_that_never_works_is_told_without_the_password() -> None:
    with pytest.raises(ServerError) as caught:
        login.wait_for_login("redis://:s3cret@127.0.0.1:1/0", "redis:8", seconds=0)
    assert str(caught.value).startswith("redis:8 at redis://:***@127.0.0.1:1/0 let nobody log in for 0 s (")
    assert "s3cret" not in str(caught.value)


def test_a_server_that_ended_is_not_waited_for() -> None:
    with pytest.raises(ServerError, match="postgres:18 ended before anybody could log in"):
        login.wait_for_login("postgresql://u:p@127.0.0.1:1/x", "postgres:18", alive=lambda: False)


def test_a_missing_odbc_driver_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMPTSALES_ODBC_DRIVER", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DriverMissing, match="no ODBC driver for SQL Server"):
        login._odbc_driver([])
    assert login._odbc_driver(["ODBC Driver 17 for SQL Server", "ODBC Driver 18 for SQL Server"]).startswith(
        "ODBC Driver 18"
    )


def test_who_uses_a_container_of_another_process_tells_the_reaper(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ryuk:
        host, port = ryuk.getsockname()
        servers = ContainerServers(RunFolder(tmp_path / "set"), {})
        servers.joined(Record("redis", container="abc", keeper=f"{host}|{port}|the-session"))
        connection, _ = ryuk.accept()
        with connection:
            assert connection.recv(200) == b"label=org.testcontainers.session-id=the-session\r\n"
        servers.joined(Record("redis", container="abc"))  # Ryuk is switched off
        servers.stop()


def test_nothing_is_made_before_a_server_is_asked_for(private_tmp: Path) -> None:
    servers = opened(None, {"CACHE_URL": "redis://h"}, private_tmp)
    servers.target("cache")
    servers.describe("promptads")
    servers.stop()
    assert list(private_tmp.iterdir()) == []
