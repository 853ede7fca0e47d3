"""Hop's variables, from the URLs of the servers."""

import pytest

from harness.errors import EtlError
from harness.etl.connections import SQLSERVER_CHANGES, variables
from harness.servers.base import Target
from harness.servers.urls import make_target

pytestmark = pytest.mark.etl

URLS = {
    "promptsales": "postgresql://etl:s%3Acr%40t@db.example:5433/promptsales?sslmode=require",
    "promptads": "postgresql://ana:p@[::1]/promptads",
    "promptcrm": "sqlserver://sa:p%3Bw%7D@crm.example/prompt%7Dcrm?encrypt=yes&TrustServerCertificate=no",
    "promptcontent": "mongodb://reader:pw@mongo.example/promptcontent?authSource=people",
    "cache": "rediss://someone:pw@redis.example:6380/3",
}


def targets(**changed: str) -> dict[str, Target]:
    return {name: make_target(name, url, "external") for name, url in {**URLS, **changed}.items()}


def test_every_server_is_told() -> None:
    made = variables(targets())
    assert made["PROMPTSALES_JDBC_URL"].startswith("jdbc:postgresql://db.example:5433/promptsales?")
    assert "&sslmode=require" in made["PROMPTSALES_JDBC_URL"]
    assert (made["PROMPTSALES_USER"], made["PROMPTSALES_PASSWORD"]) == ("etl", "s:cr@t")
    assert made["PROMPTADS_JDBC_URL"].startswith("jdbc:postgresql://[::1]:5432/promptads?")
    assert made["PROMPTADS_CONNECTION"] == "promptads-postgresql"
    assert made["PROMPTCRM_CONNECTION"] == "promptcrm-sqlserver"
    assert made["PROMPTCRM_CHANGES"] == SQLSERVER_CHANGES
    assert made["PROMPTCRM_PASSWORD"] == "p;w}"
    said = made["PROMPTCRM_JDBC_URL"]
    assert said.startswith("jdbc:sqlserver://crm.example:1433;databaseName={prompt}}crm};")
    assert said.endswith(";encrypt={true};trustServerCertificate={false}")
    content = {name.removeprefix("PROMPTCONTENT_"): value for name, value in made.items() if "CONTENT" in name}
    assert content == {
        "HOST": "mongo.example", "PORT": "27017", "DATABASE": "promptcontent", "USER": "reader", "PASSWORD": "pw",
        "AUTHENTICATION_DATABASE": "people",
    }  # fmt: skip
    assert (made["CACHE_HOST"], made["CACHE_PORT"], made["CACHE_DATABASE"]) == ("redis.example", "6380", "3")
    assert (made["CACHE_USER"], made["CACHE_PASSWORD"], made["CACHE_TLS"]) == ("someone", "pw", "Y")


def test_a_replica_set_is_told_whole() -> None:
    made = variables(targets(promptcontent="mongodb://u:p%40w@a:1,b:2/db?replicaSet=r"))
    assert (made["PROMPTCONTENT_HOST"], made["PROMPTCONTENT_PORT"], made["PROMPTCONTENT_DATABASE"]) == (
        "a:1,b:2",
        "1",
        "db",
    )
    assert (made["PROMPTCONTENT_USER"], made["PROMPTCONTENT_PASSWORD"]) == ("u", "p@w")


@pytest.mark.parametrize(
    ("said", "told"),
    [("yes", "true"), ("Mandatory", "true"), ("strict", "strict"), ("no", "false"), ("optional", "false")],
)
def test_sql_server_is_reached_no_less_safely_than_its_url_says(said: str, told: str) -> None:
    made = variables(targets(promptcrm=f"sqlserver://sa:p@crm/promptcrm?encrypt={said}"))
    assert f";encrypt={{{told}}}" in made["PROMPTCRM_JDBC_URL"]


def test_secrets_are_in_password_variables_only() -> None:
    for name, value in variables(targets(promptcrm="sqlserver://sa:s3cret@crm/promptcrm")).items():
        assert ("s3cret" in value) == (name == "PROMPTCRM_PASSWORD")


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [
        ("promptsales", "postgresql://u:s3cret@/promptsales?host=/run/postgresql", "a socket in a folder"),
        ("promptsales", "postgresql://u:s3cret@a,b/promptsales", "one host and port"),
        ("promptcontent", "mongodb+srv://u:s3cret@a.example/", r"not mongodb\+srv://"),
        ("promptcontent", "mongodb://u:s3cret@a.example/?tls=true", "without TLS"),
        ("cache", "redis://:s3cret@h:99999/0", "cannot be told its URL: Port out of range"),
    ],
)
def test_what_hop_cannot_be_told(name: str, url: str, said: str) -> None:
    with pytest.raises(EtlError, match=said) as raised:
        variables({**targets(), name: Target(name, "x", url)})
    assert "s3cret" not in str(raised.value)
    assert name in str(raised.value)


def test_a_database_that_is_missing() -> None:
    given = targets()
    del given["cache"], given["promptads"]
    with pytest.raises(EtlError, match="no URL of promptads, cache"):
        variables(given)
