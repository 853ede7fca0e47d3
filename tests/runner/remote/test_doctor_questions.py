"""What an agent answers of its machine: what is installed there, which ports it gets to."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_ssh
import pytest
from polling import eventually

from harness.errors import EngineError, HostError
from harness.runner.remote import drivers, questions
from harness.runner.remote.link import Link
from harness.vocabulary import ENGINES

Connect = Callable[..., Link]


@pytest.fixture
def door() -> Iterator[int]:
    """A port of this machine at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_what_is_installed(link: Connect) -> None:
    answer = link().ask("installed", list(ENGINES))
    assert answer["executable"] == sys.executable
    found = answer["drivers"]
    for engine, module in ("postgresql", "psycopg"), ("mongodb", "pymongo"), ("redis", "redis"):
        version = getattr(sys.modules.get(module) or __import__(module), "__version__", "")
        assert found[engine]["driver"] == f"{module} {version}".strip()
        assert (found[engine]["problem"], found[engine]["pip"]) == ("", "")
    odbc = found["sqlserver"]
    assert bool(odbc["odbc"]) != bool(odbc["problem"])  # one of them: as this machine has it


def test_a_python_with_nothing(link: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh.install(tmp_path, monkeypatch)
    answer = link(f"ssh=pc1//python={fake_ssh.without_packages(tmp_path)}").ask("installed", list(ENGINES))
    for engine, told in answer["drivers"].items():
        assert told["problem"] == f"{drivers.DRIVERS[engine]} is not installed"
        assert told["pip"] == drivers.PIP[engine]
        assert (told["driver"], told["odbc"]) == ("", "")


@pytest.mark.parametrize(
    ("raised", "problem", "pip"),
    [
        (ImportError("no pq wrapper available"), "psycopg cannot be imported (no pq wrapper", "psycopg[binary]"),
        (ModuleNotFoundError("No module named 'x'"), "psycopg cannot be imported (No module", "psycopg[binary]"),
    ],
)
def test_a_driver_that_is_there_in_parts(
    monkeypatch: pytest.MonkeyPatch, raised: ImportError, problem: str, pip: str
) -> None:
    def fail(name: str) -> None:
        raise raised

    monkeypatch.setattr(drivers.importlib, "import_module", fail)
    found = drivers.found("postgresql")
    assert found["problem"].startswith(problem)
    assert found["pip"] == pip


def test_pyodbc_needs_a_driver_beneath_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Module:
        version = "5.1.0"
        registered = ["SQLite3"]

        @classmethod
        def drivers(cls) -> list[str]:
            return cls.registered

    monkeypatch.delenv("PROMPTSALES_ODBC_DRIVER", raising=False)
    monkeypatch.setattr("harness.engines.sqlserver.driver._packaged_driver", lambda: None)
    monkeypatch.setitem(sys.modules, "pyodbc", Module)  # type: ignore[arg-type]
    monkeypatch.setattr(drivers.importlib.util, "find_spec", lambda name: object())
    found = drivers.found("sqlserver")
    assert (found["driver"], found["odbc"], found["pip"]) == ("pyodbc 5.1.0", "", "")
    assert found["problem"].startswith("no ODBC driver for SQL Server: install unixODBC")
    Module.registered = ["SQLite3", "ODBC Driver 18 for SQL Server"]
    found = drivers.found("sqlserver")
    assert (found["odbc"], found["problem"]) == ("ODBC Driver 18 for SQL Server", "")


def test_ports(link: Connect, door: int) -> None:
    one = link()
    assert one.ask("port", "127.0.0.1", door) == {"state": "open", "said": "", "source": "127.0.0.1"}
    refused = one.ask("port", "127.0.0.1", closed())
    assert (refused["state"], refused["said"]) == ("refused", "Connection refused")
    assert one.ask("port", "a" * 64, door)["state"] == "unknown"


def test_a_name_with_several_addresses_is_as_good_as_the_best(monkeypatch: pytest.MonkeyPatch, door: int) -> None:
    shut = closed()

    def addresses(host: str, number: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", one)) for one in (shut, door)]

    monkeypatch.setattr(socket, "getaddrinfo", addresses)
    assert questions.port("two", 1)["state"] == "open"


@pytest.mark.parametrize(
    ("raised", "state"),
    [(TimeoutError("timed out"), "silent"), (OSError(113, "No route to host"), "unreachable")],
    ids=["silent", "unreachable"],
)
def test_what_the_network_says(monkeypatch: pytest.MonkeyPatch, raised: OSError, state: str) -> None:
    class Socket(socket.socket):
        def connect(self, address: object) -> None:
            if self.type == socket.SOCK_STREAM:
                raise raised
            super().connect(address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "socket", Socket)
    answer = questions.port("127.0.0.1", 9)
    assert answer == {"state": state, "said": raised.strerror or str(raised), "source": "127.0.0.1"}


@pytest.mark.parametrize(
    ("mark", "prefix", "expected"),
    [(True, sys.base_prefix, "managed"), (True, "/an/environment", ""), (False, sys.base_prefix, "")],
)
def test_whether_pip_may(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mark: bool, prefix: str, expected: str
) -> None:
    if mark:
        (tmp_path / "EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr(questions.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(questions.importlib.util, "find_spec", lambda name: object())
    assert questions.installed([])["pip"] == expected
    monkeypatch.setattr(questions.importlib.util, "find_spec", lambda name: None)
    assert questions.installed([])["pip"] == (expected or "missing")


def test_a_question_that_surprises_is_an_error_and_the_agent_goes_on(link: Connect, door: int) -> None:
    one = link()
    with pytest.raises(EngineError, match="from pc1: port: the driver raised TypeError"):
        one.ask("port", "127.0.0.1")
    with pytest.raises(EngineError, match="from pc1: nonsense: the driver raised KeyError"):
        one.ask("nonsense")
    assert one.ask("port", "127.0.0.1", door)["state"] == "open"


def test_who_waits_for_an_answer_waits_no_more_when_the_way_is_closed(link: Connect) -> None:
    """Else a doctor that is broken off would wait for what nobody will say."""
    one = link()
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            one._wait_for("nothing could be asked there", 0, "cancel")  # an order that has no answer
        except HostError as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: 0 in one._opening, "it waits")
    one.close()
    thread.join(10)
    assert [str(error) for error in ended] == ["pc1: nothing could be asked there: the way to it is closed"]


def test_an_answer_that_is_no_json_ends_the_link(link: Connect) -> None:
    one = link()
    one._hear(("answered", 1, "{"))
    assert one.lost.startswith("pc1 is not understood")


def test_answers_travel_as_text() -> None:
    assert json.loads(json.dumps(questions.installed(list(ENGINES))))["executable"]
