"""Which login is used, and which are made; the engine is a fake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from harness.monitor.access import MONITOR_VARIABLE, Access
from harness.monitor.base import Lost, Refused, Spec
from harness.servers.base import Target
from harness.servers.urls import VARIABLE

URL = "postgresql://harness:x@127.0.0.1/x"


class Fake:
    """A server: which logins it has, whether it is there, whether it makes logins and lets them in."""

    specs: Sequence[Spec] = ()

    def __init__(self) -> None:
        self.up = self.makes = self.admits = True
        self.logins: list[str] = []
        self.opened: list[str] = []

    def open(self, url: str, run: str) -> Any:
        known = url in (URL, "given") or (self.admits and url in self.logins)
        if not self.up or not known:
            raise Lost("away" if not self.up else "not let in")
        self.opened.append(url)
        return self

    def enrol(self, url: str, name: str, run: str) -> str:
        if not self.up or not self.makes:
            raise Refused("away" if not self.up else "may not")
        self.logins.append(name)
        return name

    def expel(self, url: str, name: str) -> None:
        if not self.up:
            raise Refused("away")
        self.logins.remove(name)


def access(server: Fake, origin: str = "embedded", **environ: str) -> Access:
    return Access(Target("promptsales", "postgresql", URL, origin=origin), server, "r", environ)


def test_one_login_is_made_and_removed() -> None:
    server = Fake()
    made = access(server)
    made.open()
    made.open()
    assert len(server.logins) == 1
    assert server.opened == server.logins * 2
    made.close()
    assert server.logins == []
    assert made.notes == []


def test_a_server_that_comes_back_knows_the_login() -> None:
    server = Fake()
    made = access(server)
    made.open()
    server.up = False
    for _ in range(3):
        with pytest.raises(Lost, match="away"):
            made.open()
    server.up = True
    made.open()
    assert len(server.logins) == 1


def test_one_that_has_forgotten_it_gets_another() -> None:
    server = Fake()
    made = access(server)
    made.open()
    (first,) = server.logins
    server.logins.clear()
    made.open()
    assert server.logins != [first]
    assert server.opened[-1] == server.logins[0]


def test_where_none_can_be_made_the_urls_own_is_used_and_it_is_said() -> None:
    server = Fake()
    server.makes = False
    made = access(server)
    made.open()
    made.open()
    assert server.opened == [URL, URL]
    assert made.notes == ["no login of its own, it is watched by the harness's: may not"]


def test_where_it_is_not_let_in_no_others_are_made() -> None:
    server = Fake()
    server.admits = False
    made = access(server)
    made.open()
    made.open()
    assert server.opened == [URL, URL]
    assert server.logins == []
    assert made.notes == ["no login of its own, it is watched by the harness's: not let in"]


def test_somebody_elses_server_is_watched_by_its_url_and_it_is_said() -> None:
    server = Fake()
    made = access(server, "external")
    made.open()
    assert server.opened == [URL]
    assert server.logins == []
    assert "PROMPTSALES_MONITOR_URL gives another one" in made.notes[0]


def test_or_by_the_login_that_is_given() -> None:
    server = Fake()
    made = access(server, "external", PROMPTSALES_MONITOR_URL=" given ")
    made.open()
    assert server.opened == ["given"]
    assert made.notes == []


def test_every_database_has_its_variable() -> None:
    assert MONITOR_VARIABLE.keys() == VARIABLE.keys()
    assert MONITOR_VARIABLE["cache"] == "CACHE_MONITOR_URL"
