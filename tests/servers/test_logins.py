"""Logins for a while that are kept: their maker's connection is lost, they are gone, the server is away."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from stopping import stop

from fixtures.databases import Database
from harness.errors import LoginRefused, ServerError
from harness.servers import logins as module
from harness.servers import logins_sqlserver
from harness.servers.base import Target
from harness.servers.embedded import EmbeddedServers
from harness.servers.logins import Entered, LoginFor, logins
from harness.servers.urls import secrets_of

PREFIX = "psh_test_"
ADS = LoginFor("promptads", "promptads_etl")
CRM = LoginFor("promptcrm", "promptcrm_etl")


def target(database: Database) -> Target:
    return Target(database.logical, database.engine, database.url, stand_in=database.stand_in)


@pytest.fixture
def entered(promptads_db: Database) -> Iterator[Entered]:
    with logins({"promptads": target(promptads_db)}, [ADS], PREFIX, valid=None) as made:
        assert made.own == (ADS,)
        yield made


def name_of(entered: Entered, one: LoginFor = ADS) -> str:
    return str(urlsplit(entered.targets[one].url).username)


def works(entered: Entered) -> bool:
    try:
        with psycopg.connect(entered.targets[ADS].url) as link:
            return link.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def test_without_an_end_and_kept_it_stays_as_it_is(promptads_db: Database, entered: Entered) -> None:
    entered.keep()
    assert works(entered)
    row = promptads_db.connect().execute(
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb, rolvaliduntil = 'infinity' FROM pg_roles WHERE rolname = %s",
        [name_of(entered)],
    )
    assert row.fetchone() == (False, True)


def test_several_logins_of_one_database(promptads_db: Database) -> None:
    other = LoginFor("promptads", "pg_read_all_stats")
    with logins({"promptads": target(promptads_db)}, [ADS, other, ADS], PREFIX, valid=None) as entered:
        assert entered.own == (ADS, other)
        assert name_of(entered) != name_of(entered, other)


def test_a_lost_maker_comes_back_under_its_name(promptads_db: Database, entered: Entered) -> None:
    connection = promptads_db.connect()
    maker = f"psh:{name_of(entered)}/admin"
    ended = connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", [maker]
    )
    assert ended.fetchall() == [(True,)]
    entered.keep()
    assert connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [maker]
    ).fetchone() == (1,)
    assert works(entered)


def test_a_login_that_is_gone_is_made_anew_with_its_password(promptads_db: Database, entered: Entered) -> None:
    connection = promptads_db.connect()
    connection.execute(f'DROP ROLE "{name_of(entered)}"')
    assert not works(entered)
    entered.keep()
    assert works(entered)
    groups = connection.execute(
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole", [name_of(entered)]
    )
    assert groups.fetchall() == [("promptads_etl",)]


def test_lost_maker_and_swept_login(promptads_db: Database, entered: Entered) -> None:
    """The next one, which comes while the maker's connection is lost, takes the login away: it is made anew."""
    connection = promptads_db.connect()
    maker = f"psh:{name_of(entered)}/admin"
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", [maker]
    )
    with logins({"promptads": target(promptads_db)}, [ADS], PREFIX, valid=None):
        assert not works(entered)
        entered.keep()
        assert works(entered)


def test_at_the_end_it_is_gone_and_stays_gone(promptads_db: Database) -> None:
    with logins({"promptads": target(promptads_db)}, [ADS], PREFIX, valid=None) as entered:
        pass
    entered.keep()
    assert not works(entered)


def test_a_server_that_is_away_at_first_gets_the_login_later(
    promptads_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody goes in with the rights of the URL's login because its server was away for a moment."""
    from harness.servers import logins_postgresql as made

    true, away = made.psycopg.connect, True

    def connect(*args: Any, **options: Any) -> Any:
        if away:
            raise psycopg.OperationalError("connection refused")
        return true(*args, **options)

    monkeypatch.setattr(made.psycopg, "connect", connect)
    with logins({"promptads": target(promptads_db)}, [ADS], PREFIX, valid=None) as entered:
        assert entered.own == (ADS,)
        assert name_of(entered).startswith(PREFIX)
        entered.keep()
        assert entered.troubles == ("promptads: the server does not answer",)
        away = False
        entered.keep()
        assert entered.troubles == ()
        assert works(entered)
    assert not works(entered)


def test_a_server_that_is_stopped_is_not_waited_for(embedded: EmbeddedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers nothing, and its machine still acknowledges what is sent."""
    from harness.servers import logins_postgresql as made

    monkeypatch.setattr(made, "_PATIENCE", 0.2)
    monkeypatch.setattr(made, "_CONNECT", 2)
    url = embedded.target("promptads").url
    one = LoginFor("promptads", "pg_monitor")
    with logins({"promptads": Target("promptads", "postgresql", url)}, [one], PREFIX, valid=None) as entered:
        assert entered.own == (one,), entered.notes
        with psycopg.connect(url) as link:
            folder = link.execute("SHOW data_directory").fetchone()
            assert folder
            maker = link.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = %s", [f"psh:{name_of(entered, one)}/admin"]
            ).fetchone()
            assert maker
        stopped = [int(Path(folder[0], "postmaster.pid").read_text().split()[0]), maker[0]]
        try:
            for pid in stopped:
                stop(pid)
            entered.keep()
            assert entered.troubles == ("promptads: the server does not answer",)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        monkeypatch.undo()
        entered.keep()
        assert entered.troubles == ()
        psycopg.connect(entered.targets[one].url).close()


def test_what_cannot_be_made_is_said(promptads_db: Database) -> None:
    wanted = [LoginFor("promptads", "no_such_role"), CRM]
    with logins({"promptads": target(promptads_db)}, wanted, PREFIX, valid=None) as entered:
        assert entered.targets == {wanted[0]: target(promptads_db)}
        assert entered.own == ()
    assert entered.notes == ('promptads: no login of its own, the URL\'s is used: role "no_such_role" does not exist',)


def test_nothing_shows_a_password(entered: Entered) -> None:
    url = entered.targets[ADS].url
    for secret in secrets_of(url):
        assert secret not in repr(entered)
        assert secret not in repr(entered._kept)


def test_makers_of_other_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Target("cache", "redis", "redis://u:hunter2@127.0.0.1:1/0")
    one = LoginFor("cache", "cache_mcp")
    monkeypatch.setitem(module._MAKERS, "redis", module._elsewhere("harness.servers.no_such_module", "f"))
    with logins({"cache": cache}, [one], PREFIX, valid=None) as entered:
        assert entered.targets == {one: cache}
        assert entered.notes == ("cache: no login of its own, the URL's is used: none can be made here",)

    class Away:
        def __init__(self, *args: Any) -> None:
            pass

        def __enter__(self) -> str:
            raise ServerError("away")

        def __exit__(self, *args: Any) -> None:
            raise AssertionError("never entered")

    monkeypatch.setitem(module._MAKERS, "redis", Away)
    with logins({"cache": cache}, [one], PREFIX, valid=None) as entered:
        assert entered.targets == {one: cache}
        assert entered.notes == ()


# -- SQL Server: a fake of the driver


class Server:
    """Keeps logins in a set; answers what SQLServerLogin asks."""

    def __init__(self) -> None:
        self.logins: dict[str, str] = {}
        self.members: list[str] = []
        self.up = True
        self.connected = 0

    def connect(self, url: str, program: str) -> Any:
        if not self.up:
            raise ServerError("cannot be reached")
        self.connected += 1
        self.program = program
        return Link(self.connected)

    def ask(self, link: Any, sql: str, *values: object) -> list[Any]:
        from harness.engines.sqlserver.driver import Refused

        if not self.up or link.number != self.connected:
            raise Refused("Communication link failure (08S01)", 0)
        if sql.startswith("CREATE LOGIN"):
            self.logins[sql.split("[")[1].split("]")[0]] = sql.split("N'")[1].split("'")[0]
        elif sql.startswith("DROP LOGIN"):
            if self.logins.pop(sql.split("[")[1].split("]")[0], None) is None:
                raise Refused("Cannot drop the login (15151)", 15151)
        elif sql.startswith("ALTER ROLE"):
            self.members.append(sql)
        elif sql.startswith("SELECT name FROM sys.server_principals"):
            return [(name,) for name in self.logins]
        elif sql.startswith("SELECT DISTINCT program_name"):
            return [(self.program,)]
        elif "sys.database_principals" in sql:
            return [(1,)] if values[0] in self.logins else []
        return []


class Link:
    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        pass


def test_sqlserver_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    monkeypatch.setattr(logins_sqlserver, "ask", server.ask)
    monkeypatch.setattr(logins_sqlserver, "connect", server.connect)
    crm = Target("promptcrm", "sqlserver", "mssql://sa:hunter2@db:1433/promptcrm")
    with logins({"promptcrm": crm}, [CRM], PREFIX, valid=None) as entered:
        before = dict(server.logins)
        assert list(before) == [name_of(entered, CRM)]
        entered.keep()
        assert server.connected == 1
        server.up = False
        entered.keep()
        assert entered.troubles == ("promptcrm: cannot be reached",)
        server.up = True
        entered.keep()
        assert (server.connected, server.logins, len(server.members)) == (2, before, 1)
        server.logins.clear()
        entered.keep()
        assert server.logins == before, "the same name, the same password"
        assert len(server.members) == 2
    assert server.logins == {}


def test_sqlserver_refuses_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, program: str) -> Any:
        raise LoginRefused("refuses the login of 'sa': hunter2")

    monkeypatch.setattr(logins_sqlserver, "connect", refuse)
    crm = Target("promptcrm", "sqlserver", "mssql://sa:hunter2@db:1433/promptcrm")
    with logins({"promptcrm": crm}, [CRM], PREFIX, valid=None) as entered:
        assert entered.targets == {CRM: crm}
    (note,) = entered.notes
    assert "hunter2" not in note
