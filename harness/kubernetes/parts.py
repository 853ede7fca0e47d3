"""What the manifests of ``k8s/`` call things: servers, components, Secrets, and who logs in where as whom.

The one table that manifests, generator, migration and tests are held against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.servers.urls import VARIABLE

PART_OF = "promptsales"
"""The label ``app.kubernetes.io/part-of`` of everything; also the namespace of the overlays."""

IMAGE = "promptsales-harness"
"""Built from the Dockerfile at the root: harness, agents, MCP servers, issuer, Locust, migration and seed."""


@dataclass(frozen=True, slots=True)
class Server:
    """A database server: a StatefulSet and a Service of this name."""

    name: str
    logical: str
    port: int
    scheme: str
    database: str
    """The path of its URLs."""
    administrator: str
    parameters: str = ""


SERVERS: Mapping[str, Server] = MappingProxyType(
    {
        one.logical: one
        for one in (
            Server("postgresql", "promptsales", 5432, "postgresql", "promptsales", "harness"),
            Server("sqlserver-ads", "promptads", 1433, "sqlserver", "promptads", "sa", "TrustServerCertificate=yes"),
            Server("sqlserver-crm", "promptcrm", 1433, "sqlserver", "promptcrm", "sa", "TrustServerCertificate=yes"),
            Server(
                "mongodb",
                "promptcontent",
                27017,
                "mongodb",
                "promptcontent",
                "harness",
                "authSource=admin&replicaSet=rs0",
            ),
            Server("redis", "cache", 6379, "redis", "0", "default"),
        )
    }
)
"""By logical database. Names are those of :data:`harness.servers.images.IMAGES`, and of the services of ``compose.yaml``."""

MCP_PORT, SSO_PORT, LOCUST_WEB, LOCUST_PORT, SSH_PORT = 8765, 8900, 8089, 5557, 2222
"""Ports of ``mcp``, ``sso``, ``locust-master`` (its page, by a tunnel only; its workers), ``harness-agent``."""


@dataclass(frozen=True, slots=True)
class Component:
    """Who logs in: the Secret ``urls-<name>`` has ``<LOGICAL>_URL`` for each of ``logins``, and its pods get no other."""

    name: str
    logins: Mapping[str, str]
    """The user of each logical database. A user that is not the server's administrator is made by ``harness migrate``."""


def _component(name: str, **users: str) -> Component:
    return Component(name, MappingProxyType(users))


COMPONENTS: Mapping[str, Component] = MappingProxyType(
    {
        one.name: one
        for one in (
            _component("owner", **{logical: server.administrator for logical, server in SERVERS.items()}),
            _component("etl", **dict.fromkeys(VARIABLE, "promptsales_etl_login")),
            _component("mcp", **dict.fromkeys(VARIABLE, "promptsales_mcp_login")),
            _component("sso", promptsales="promptsales_sso_login"),
            _component("load", **dict.fromkeys(VARIABLE, "promptsales_load_login")),
            _component("harness", **dict.fromkeys(VARIABLE, "promptsales_harness_login")),
            _component("link", promptads="promptads_link_login", promptcrm="promptcrm_link_login"),
        )
    }
)
"""``owner``: the Jobs that migrate and seed. ``link``: what each SQL Server says at the other one."""


def url_secret(component: str) -> str:
    """The Secret that has a component's URLs.

    >>> url_secret("etl")
    'urls-etl'
    """
    return f"urls-{component}"
