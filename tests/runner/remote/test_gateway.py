from __future__ import annotations

import platform
import socket
from pathlib import Path

import fake_ssh
import pytest

from harness.errors import HostError
from harness.runner.remote.gateway import open_gateway
from harness.runner.remote.specs import host_specs


@pytest.fixture(autouse=True)
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh.install(tmp_path, monkeypatch)


def test_it_says_where_it_is() -> None:
    gateway = open_gateway(host_specs(["ssh=ana@pc1"])[0])
    try:
        assert gateway.where.hostname == socket.gethostname()
        assert (gateway.where.address, gateway.where.controller) == ("127.0.0.1", "127.0.0.1")
        assert gateway.where.python == platform.python_version()
        assert gateway.status is None
    finally:
        gateway.close()
    assert gateway.status == 0


def test_a_process_here_has_no_address() -> None:
    gateway = open_gateway(host_specs(["popen"])[0])
    try:
        assert (gateway.where.address, gateway.where.controller) == ("", "")
    finally:
        gateway.close()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("ssh=off1", "off1 cannot be reached: ssh: connect to host off1 port 22: Connection timed out; is it on"),
        ("ssh=locked1", r"Permission denied \(publickey\)\.; put your public key into its authorized_keys"),
        ("ssh=strange1", "Host key verification failed.; log in there once by hand"),
        ("ssh=pc1//python=/nowhere/python", "pc1: there is no /nowhere/python that runs; install Python 3.11 or newer"),
        ("ssh=pc1//python=/bin/false", "pc1: there is no /bin/false that runs"),
        ("ssh=chatty1", "chatty1: something there writes before Python does"),
        ("popen//python=/bin/false", "popen: there is no /bin/false that runs"),
        ("popen//python=/nowhere/python", "popen: /nowhere/python is not installed here"),
    ],
)
def test_what_is_wrong_is_one_line(spec: str, said: str) -> None:
    with pytest.raises(HostError, match=said) as caught:
        open_gateway(host_specs([spec])[0])
    assert "\n" not in str(caught.value)


def test_an_old_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.runner.remote.gateway.NEEDED", (9, 9))
    with pytest.raises(HostError, match=rf"pc1: Python {platform.python_version()} there, and 9\.9 or newer is needed"):
        open_gateway(host_specs(["ssh=pc1"])[0])


def test_no_ssh_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="pc1: ssh is not installed here"):
        open_gateway(host_specs(["ssh=pc1"])[0])
