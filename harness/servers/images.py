"""What runs in each container: image, environment, command, and what is done at the first login.

Tags are whole versions: the same server today and in a year. ``compose.yaml`` and ``k8s/`` name the same ones.

PromptAds and PromptCrm reach each other, for a linked server, as ``host.docker.internal`` and the port in the URL.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.servers import login
from harness.servers.postgres import SETTINGS, USER


def _nothing(url: str) -> None:
    """No first-login work."""


@dataclass(frozen=True, slots=True)
class Image:
    """A server in a container. ``url`` has ``{password}``, ``{host}``, ``{port}``."""

    logical: str
    name: str
    port: int
    url: str
    environment: Callable[[str], Mapping[str, str]]  # by password
    command: Callable[[str], Sequence[str]] = lambda password: ()
    first: Callable[[str], None] = _nothing  # given the URL, before the login is waited for; repeated until it works
    options: Mapping[str, object] = field(default_factory=dict)
    licence: bool = False  # Microsoft's, which is the user's to accept


def _sqlserver(logical: str) -> Image:
    def create(url: str) -> None:
        login.sqlserver(url, "master", f"IF DB_ID('{logical}') IS NULL CREATE DATABASE [{logical}]")

    return Image(
        logical=logical,
        name="mcr.microsoft.com/mssql/server:2022-CU27-ubuntu-22.04",
        port=1433,
        url=f"sqlserver://sa:{{password}}@{{host}}:{{port}}/{logical}?TrustServerCertificate=yes",
        environment=lambda password: {
            "ACCEPT_EULA": "Y",
            "MSSQL_SA_PASSWORD": password,
            "MSSQL_PID": "Developer",
            "MSSQL_MEMORY_LIMIT_MB": "2048",
            "MSSQL_AGENT_ENABLED": "false",
        },
        first=create,
        options={"extra_hosts": {"host.docker.internal": "host-gateway"}},
        licence=True,
    )


def _postgres_command(password: str) -> list[str]:
    return ["postgres", *(word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}"))]


# A replica set with logins needs a key file that only mongod's user can read; it is made inside, where that user is.
_MONGO = "; ".join(
    [
        "set -e",
        "head -c 96 /dev/urandom | base64 -w 0 > /tmp/keyfile",
        "chmod 400 /tmp/keyfile",
        "chown mongodb:mongodb /tmp/keyfile",
        "exec docker-entrypoint.sh mongod --replSet rs0 --keyFile /tmp/keyfile --bind_ip_all",
    ]
)


def _initiate(url: str) -> None:
    import pymongo
    import pymongo.errors

    with pymongo.MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=3000) as client:
        try:
            client.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": "127.0.0.1:27017"}]})
        except pymongo.errors.OperationFailure as problem:
            if problem.code != 23:  # AlreadyInitialized
                raise
        if not client.admin.command("hello").get("isWritablePrimary"):
            raise pymongo.errors.NotPrimaryError("no primary has been elected yet")


IMAGES = {
    "postgresql": Image(
        logical="promptsales",
        name="postgres:18.6",
        port=5432,
        url=f"postgresql://{USER}:{{password}}@{{host}}:{{port}}/promptsales",
        environment=lambda password: {
            "POSTGRES_USER": USER,
            "POSTGRES_PASSWORD": password,
            "POSTGRES_DB": "promptsales",
        },
        command=_postgres_command,
    ),
    "sqlserver-ads": _sqlserver("promptads"),
    "sqlserver-crm": _sqlserver("promptcrm"),
    "mongodb": Image(
        logical="promptcontent",
        name="mongo:8.0.23",
        port=27017,
        url=f"mongodb://{USER}:{{password}}@{{host}}:{{port}}/?directConnection=true&authSource=admin",
        environment=lambda password: {
            "MONGO_INITDB_ROOT_USERNAME": USER,
            "MONGO_INITDB_ROOT_PASSWORD": password,
        },
        command=lambda password: ["bash", "-c", _MONGO],
        first=_initiate,
    ),
    "redis": Image(
        logical="cache",
        name="redis:8.6.5",
        port=6379,
        url="redis://:{password}@{host}:{port}/0",
        environment=lambda password: {"PROMPTSALES_PASSWORD": password},
        # From the environment, so that the password is on no command line outside the container.
        command=lambda password: [
            *("sh", "-c"),
            'exec redis-server --requirepass "$PROMPTSALES_PASSWORD" '
            + shlex.join(["--save", "", "--appendonly", "no", "--databases", "1024"]),
        ],
    ),
}
"""Every container of a set, by the server's name."""
