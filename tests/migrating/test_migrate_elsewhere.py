"""What migration tells SQL Server and MongoDB: there are none here, so the statements are held, not what they do."""

from __future__ import annotations

from typing import Any

import pytest
import sqlglot

from harness.kubernetes.parts import COMPONENTS
from harness.migrating import sqlserver
from harness.migrating.files import Login
from harness.migrating.others import mongodb_roles

PASSWORD = "Aa1-it's-a-test"


class Server:
    """Plays a SQL Server that has the logins that are named."""

    def __init__(self, *logins: str) -> None:
        self.logins = logins
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def __call__(self, link: Any, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        self.asked.append((sql, parameters))
        return [(1,)] if sql.startswith("SELECT 1") and parameters[0] in self.logins else []

    @property
    def statements(self) -> list[str]:
        return [sql for sql, _ in self.asked if not sql.startswith("SELECT 1")]


def login(component: str, logical: str = "promptcrm") -> Login:
    user = COMPONENTS[component].logins[logical]
    return Login(component, logical, user, f"sqlserver://{user}:x@sqlserver-crm:1433/{logical}", PASSWORD)


def test_a_login_is_made_with_its_user_and_then_only_renewed() -> None:
    first, again = Server(), Server("promptsales_load_login")
    for server in (first, again):
        sqlserver.set_login(None, login("load"), server)
    grants = sqlserver.rights(login("load"))
    assert first.statements == [
        "CREATE LOGIN [promptsales_load_login] WITH PASSWORD = N'Aa1-it''s-a-test', DEFAULT_DATABASE = [promptcrm]",
        "CREATE USER [promptsales_load_login] FOR LOGIN [promptsales_load_login]",
        *grants,
    ]
    assert again.statements == ["ALTER LOGIN [promptsales_load_login] WITH PASSWORD = N'Aa1-it''s-a-test'", *grants]


@pytest.mark.parametrize("component", [one for one in COMPONENTS if one not in ("owner", "sso")])
def test_every_component_has_rights_and_none_is_the_whole_database(component: str) -> None:
    one = login(component)
    said = [*sqlserver.rights(one), *sqlserver.server_rights(one)]
    assert said
    for statement in said:
        assert sqlglot.parse_one(statement, dialect="tsql", error_level=sqlglot.ErrorLevel.IGNORE)
        assert "CONTROL" not in statement
        assert "sysadmin" not in statement
        assert "db_owner" not in statement
        assert f"[{one.user}]" in statement


def test_whoever_makes_logins_reads_nothing() -> None:
    assert not [one for one in sqlserver.rights(login("mcp")) if "SELECT" in one or "EXECUTE" in one]


def test_the_linked_server_is_told_its_password_as_a_parameter() -> None:
    server = Server()
    sqlserver.link_servers(None, "link_crm", login("link"), server)
    ((statement, parameters),) = server.asked
    assert statement == "EXEC dbo.[link_crm] @data_source = ?, @database = ?, @user = ?, @password = ?"
    assert parameters == ("sqlserver-crm,1433", "promptcrm", "promptcrm_link_login", PASSWORD)


def test_roles_of_mongodb_are_its_own_and_no_root() -> None:
    for component in ("etl", "mcp", "load", "harness"):
        roles = {one["role"] for one in mongodb_roles(component, "promptcontent")}
        assert roles
        assert not roles & {"root", "__system", "userAdminAnyDatabase", "dbOwner"}
    assert mongodb_roles("etl", "promptcontent") == [{"role": "read", "db": "promptcontent"}]
    assert mongodb_roles("sso", "promptcontent") == []
