"""What a worker on another machine is told of the servers, and what it makes of it."""

from __future__ import annotations

import os
from pathlib import Path

import execnet
import pytest

from harness.errors import ServerError, ServerUnavailable
from harness.servers import open_servers
from harness.servers.base import LOGICAL, Servers
from harness.servers.told import ToldServers, tell


def external(**urls: str) -> Servers:
    environ = {"PROMPTSALES_URL": "postgresql://ana:s3cret@127.0.0.1:5432/"} | urls
    return open_servers("external", run_id="told", owner_pid=os.getpid(), root=Path("/nowhere"), environ=environ)


def told(servers: Servers, address: str = "") -> ToldServers:
    """As it arrives there."""
    return ToldServers(execnet.loads(execnet.dumps(tell(servers, address))))


def test_a_url_of_this_machine_cannot_be_used_there_and_it_is_said_why() -> None:
    servers = told(external(), "10.0.0.1")
    with pytest.raises(
        ServerUnavailable, match=r"workers on other machines cannot get to .*write 10\.0\.0\.1 in it"
    ) as e:
        servers.target("promptsales")
    assert "s3cret" not in str(e.value)
    assert servers.describe("promptsales") == ("postgresql", False)


@pytest.mark.parametrize("address", ["", "127.0.0.1", "::1"])
def test_a_process_of_this_machine_uses_it_as_it_is(address: str) -> None:
    target = told(external(), address).target("promptsales")
    assert (target.url, target.origin) == ("postgresql://ana:s3cret@127.0.0.1:5432/", "external")
    assert "s3cret" not in target.public


def test_what_others_know_by_its_name_stays_as_it_is() -> None:
    servers = told(external(PROMPTCRM_URL="postgresql://db.example/crm"), "10.0.0.1")
    target = servers.target("promptcrm")
    assert (target.url, target.engine, target.stand_in) == ("postgresql://db.example/crm", "postgresql", "sqlserver")
    assert servers.describe("promptcrm") == ("postgresql", True)


def test_what_is_not_given_is_skipped_with_its_reason() -> None:
    servers = told(external())
    with pytest.raises(ServerUnavailable, match="set CACHE_URL"):
        servers.target("cache")
    assert servers.describe("cache") == ("redis", False)


def test_what_is_wrong_is_wrong_there_too() -> None:
    servers = told(external(CACHE_URL="postgresql://db.example/"))
    for ask in (servers.target, servers.describe):
        with pytest.raises(ServerError, match="CACHE_URL") as error:
            ask("cache")
        assert not isinstance(error.value, ServerUnavailable)


def test_there_are_no_others() -> None:
    servers = told(external())
    assert set(tell(external(), "")) == set(LOGICAL)
    with pytest.raises(ServerError, match="unknown logical database 'sales'"):
        servers.target("sales")
