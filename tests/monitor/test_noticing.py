from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from harness.errors import ServerUnavailable
from harness.monitor.noticing import Noticing
from harness.servers.base import Target


@dataclass
class Fake:
    urls: dict[str, str] = field(default_factory=lambda: {"promptsales": "postgresql://one/x"})
    started: list[str] = field(default_factory=list)
    mode: str = "embedded"

    def target(self, logical: str) -> Target:
        if logical not in self.urls:
            raise ServerUnavailable(f"{logical}: not here")
        return Target(logical, "postgresql", self.urls[logical])

    def describe(self, logical: str) -> tuple[str, bool]:
        return "postgresql", False

    def prefetch(self, logicals: Iterable[str]) -> None:
        self.started += logicals

    def listen(self, addresses: Sequence[str], clients: Sequence[str]) -> None:
        self.started.append("listening")

    def forget(self, logical: str) -> None:
        self.urls[logical] = "postgresql://two/x"

    def stop(self) -> None:
        self.started.clear()


@pytest.fixture
def heard() -> list[Target]:
    return []


def test_a_listener_hears_once_of_each_server(heard: list[Target]) -> None:
    servers = Noticing(Fake())
    servers.tell(heard.append)
    assert servers.target("promptsales") == servers.target("promptsales")
    assert [target.logical for target in heard] == ["promptsales"]


def test_who_listens_later_hears_of_what_was(heard: list[Target]) -> None:
    servers = Noticing(Fake())
    servers.target("promptsales")
    servers.tell(heard.append)
    assert len(heard) == 1


def test_a_successor_is_told(heard: list[Target]) -> None:
    servers = Noticing(Fake())
    servers.tell(heard.append)
    servers.target("promptsales")
    servers.forget("promptsales")
    servers.target("promptsales")
    assert [target.url for target in heard] == ["postgresql://one/x", "postgresql://two/x"]


def test_those_that_are_started_before_anybody_asks_are_told(heard: list[Target]) -> None:
    fake = Fake()
    servers = Noticing(fake)
    servers.tell(heard.append)
    servers.prefetch(name for name in ("promptsales", "cache"))  # cache cannot be had: whoever asks next hears why
    assert fake.started == ["promptsales", "cache"]
    assert [target.logical for target in heard] == ["promptsales"]
    with pytest.raises(ServerUnavailable, match="cache: not here"):
        servers.target("cache")


def test_everything_else_is_passed_on() -> None:
    fake = Fake()
    servers = Noticing(fake)
    assert servers.mode == "embedded"
    assert servers.describe("promptsales") == ("postgresql", False)
    servers.listen(["10.0.0.1"], [])
    assert fake.started == ["listening"]
    servers.stop()
    assert fake.started == []
