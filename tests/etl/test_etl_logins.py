"""The ETL's logins: rights of one role, gone afterwards, leftovers swept."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from polling import eventually

from fixtures.databases import Database
from harness.engines.sqlserver.driver import Refused
from harness.errors import LoginRefused, ServerError
from harness.etl.logins import PREFIX, logins
from harness.servers import logins_sqlserver
from harness.servers.base import Target
from harness.servers.roles import with_login

pytestmark = pytest.mark.etl


def target(database: Database, url: str = "") -> Target:
    return Target(database.logical, database.engine, url or database.url, stand_in=database.stand_in)


def roles(connection: Any) -> set[str]:
    return {
        name for (name,) in connection.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", [PREFIX])
    }


def test_a_login_has_the_rights_of_one_role_and_is_dropped(promptsales_db: Database) -> None:
    connection = promptsales_db.connect()
    before = roles(connection)
    with logins({"promptsales": target(promptsales_db)}) as entered:
        assert entered.own == ("promptsales",)
        assert not entered.notes
        (name,) = roles(connection) - before
        assert urlsplit(entered.targets["promptsales"].url).username == name
        groups = connection.execute(
            "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole", [name]
        ).fetchall()
        assert groups == [("promptsales_etl",)]
        limits = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolvaliduntil < now() + interval '1 day' "
            "FROM pg_roles WHERE rolname = %s",
            [name],
        ).fetchone()
        assert limits == (False, False, False, False, True)
        inside = psycopg.connect(entered.targets["promptsales"].url)
        assert inside.execute("SELECT count(*) FROM etl_run").fetchone() is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            inside.execute("SELECT * FROM identity")
    assert roles(connection) == before
    with pytest.raises(psycopg.OperationalError):  # it was put out
        inside.execute("ROLLBACK")


def test_what_killed_launchers_left_is_swept_and_no_more(promptsales_db: Database) -> None:
    """One launcher is killed with its login there; another one is at work meanwhile."""
    connection = promptsales_db.connect()
    before = roles(connection)
    text = (
        "import sys; from harness.etl.logins import logins; from harness.servers.base import Target\n"
        "with logins({'promptsales': Target('promptsales', 'postgresql', sys.stdin.readline().strip())}) as entered:\n"
        "    print('in', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(promptsales_db.url + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "in\n"
    (left,) = roles(connection) - before
    with logins({"promptsales": target(promptsales_db)}):
        assert left in roles(connection), "its maker is connected"
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        mine = roles(connection) - before - {left}
        eventually(
            lambda: (
                not connection.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name = %s", [f"psh:{left}/admin"]
                ).fetchone()
            )
        )
        with logins({"promptsales": target(promptsales_db)}):
            assert left not in roles(connection)
            assert mine <= roles(connection)
    assert roles(connection) == before


@pytest.fixture
def plain_role(promptsales_db: Database) -> Iterator[str]:
    """A URL whose user may make no roles."""
    connection = promptsales_db.connect()
    name = f"etl_test_{os.getpid()}"
    connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'not-shown'")
    yield with_login(promptsales_db.url, name, "not-shown")
    connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_where_no_roles_may_be_made_the_urls_own_is_used_and_that_is_said(
    promptsales_db: Database, plain_role: str
) -> None:
    with logins({"promptsales": target(promptsales_db, plain_role)}) as entered:
        assert entered.targets["promptsales"].url == plain_role
        assert entered.own == ()
    (note,) = entered.notes
    assert "promptsales: no login of its own" in note
    assert "permission denied" in note
    assert "not-shown" not in note


def test_a_server_that_is_away_is_left_to_whoever_uses_it() -> None:
    away = Target("promptads", "postgresql", "postgresql://u:p@127.0.0.1:1/x")
    cache = Target("cache", "redis", "redis://127.0.0.1:1/0")
    with logins({"promptads": away, "cache": cache}) as entered:
        assert entered.targets == {"promptads": away, "cache": cache}
        assert entered.notes == ()


# -- SQL Server: a fake of the driver


class Server:
    """Answers statements by a word in them."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.answers: dict[str, Any] = {}

    def ask(self, connection: Any, sql: str, *parameters: object) -> list[Any]:
        self.said.append(sql)
        for word, answer in self.answers.items():
            if word in sql:
                if isinstance(answer, Exception):
                    raise answer
                return list(answer)
        return []

    def connect(self, url: str, program: str) -> Any:
        self.said.append(f"connect as {program}")
        return contextlib.nullcontext()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(logins_sqlserver, "ask", made.ask)
    monkeypatch.setattr(logins_sqlserver, "connect", made.connect)
    return made


ADS = Target("promptads", "sqlserver", "mssql://sa:hunter2@db:1433/promptads?Encrypt=yes")


def test_sqlserver_a_login_its_user_and_one_role(server: Server) -> None:
    server.answers["server_principals"] = [("psh_etl_dead",), ("psh_etl_alive",)]
    server.answers["DISTINCT program_name"] = [("psh:psh_etl_alive/admin",)]
    server.answers["session_id"] = [(57,)]
    with logins({"promptads": ADS}) as entered:
        url = entered.targets["promptads"].url
        name = urlsplit(url).username
        assert url.endswith("@db:1433/promptads?Encrypt=yes")
        assert "hunter2" not in url
        assert server.said[-1] == f"ALTER ROLE [promptads_etl] ADD MEMBER [{name}]"
        assert "DROP LOGIN [psh_etl_dead]" in server.said
        assert not any("psh_etl_alive" in said for said in server.said)
    assert server.said[-5:] == [
        f"ALTER LOGIN [{name}] DISABLE",
        "SELECT session_id FROM sys.dm_exec_sessions WHERE login_name = ?",
        "KILL 57",
        f"DROP USER IF EXISTS [{name}]",
        f"DROP LOGIN [{name}]",
    ]


def test_sqlserver_refuses(server: Server) -> None:
    server.answers["CREATE LOGIN"] = Refused("User does not have permission to perform this action. (15247)", 15247)
    with logins({"promptads": ADS}) as entered:
        assert entered.targets["promptads"] is ADS
    (note,) = entered.notes
    assert "promptads: no login of its own" in note


@pytest.mark.parametrize(
    ("error", "notes"),
    [(ServerError("cannot be reached"), 0), (LoginRefused("refuses the login of 'sa': hunter2"), 1)],
)
def test_sqlserver_away_or_refusing_the_url(
    server: Server, monkeypatch: pytest.MonkeyPatch, error: Exception, notes: int
) -> None:
    def fail(url: str, program: str) -> Any:
        raise error

    monkeypatch.setattr(logins_sqlserver, "connect", fail)
    with logins({"promptads": ADS}) as entered:
        assert entered.targets["promptads"] is ADS
    assert len(entered.notes) == notes
    assert "hunter2" not in str(entered.notes)
