"""The network's policies allow the edges that the URLs make, and no other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from k8s_build import BUILDS, NAME, WORKLOADS, Build, build
from k8s_given import selected, taken
from k8s_network import Edge, Endpoint, allows, applying, edges, named_ports, selects

from harness.kubernetes.parts import COMPONENTS, LOCUST_PORT, MCP_PORT, PART_OF, SERVERS, SSH_PORT, SSO_PORT, url_secret

pytestmark = pytest.mark.k8s_manifests

BY_NAME = {server.name: server for server in SERVERS.values()}
LOGINS = {url_secret(one.name): one.logins for one in COMPONENTS.values()} | {"etl-variables": COMPONENTS["etl"].logins}
"""The Secrets that have URLs in them, and of which logical databases."""

DNS = Endpoint("dns", {"k8s-app": "kube-dns"}, "kube-system", {"dns": 53})
NODE_DNS = Endpoint("dns of the node", {"k8s-app": "node-local-dns"}, "kube-system", {"dns": 53})
DNS_ADDRESS = Endpoint("address of the node's dns", namespace=None, address="169.254.20.10")
INGRESS = Endpoint("ingress", {NAME: "ingress-nginx"}, "ingress-nginx", {"https": 443})
OPERATOR = Endpoint("operator", {NAME: "cloudnative-pg"}, "cnpg-system")
WORLD = Endpoint("world", namespace=None)
LOOKED_UP = {(one.name, protocol) for one in (DNS, NODE_DNS, DNS_ADDRESS) for protocol in ("UDP", "TCP")}
OUTSIDE = (
    DNS,
    NODE_DNS,
    DNS_ADDRESS,
    INGRESS,
    OPERATOR,
    WORLD,
    Endpoint("stranger", {NAME: "harness"}, "default"),
    Endpoint("another of kube-system", {"k8s-app": "metrics-server"}, "kube-system"),
)
NEWCOMER = Endpoint("newcomer")
"""A pod that somebody starts in the namespace, with no labels."""

LINKED = {("sqlserver-ads", "sqlserver-crm"), ("sqlserver-crm", "sqlserver-ads")}
EXPLICIT = {
    *(Edge(source, target, BY_NAME[target].port) for source, target in LINKED),
    Edge("mongodb", "mongodb", BY_NAME["mongodb"].port),
    Edge("locust-worker", "locust-master", LOCUST_PORT),
    Edge("harness", "harness-agent", SSH_PORT),
    *(Edge("harness-agent", server.name, server.port) for server in SERVERS.values()),
}
"""What no URL of a pod's own says: linked servers, members of one set, Locust, and sessions, whose URLs come by ssh."""
PUBLISHED = {
    Edge("ingress", "mcp", MCP_PORT),
    Edge("ingress", "mcp", SSO_PORT),
    Edge("mcp", "ingress", 443),  # the issuer by its public name
}
OPERATED = {
    *(Edge(source, "postgresql", port) for source in ("postgresql", "operator") for port in (5432, 8000)),
    *(Edge("postgresql", one, port) for one in (each.name for each in OUTSIDE) for port in (443, 6443)),
}
"""CloudNativePG's: replication, its operator, and the API server, whose address only the cluster knows: anywhere."""
MORE: Mapping[str, set[Edge]] = {"prod": PUBLISHED, "prod-cnpg": PUBLISHED | OPERATED}


def policies(made: Build) -> list[Any]:
    return made.kind("NetworkPolicy")


def inside(made: Build) -> list[Endpoint]:
    return [Endpoint(pod.name, pod.labels, PART_OF, pod.ports) for pod in made.pods]


def wanted(made: Build) -> Iterator[Edge]:
    """What the URLs make: from whoever is given one to the pods of the Service that it names."""
    for pod in made.pods:
        for container in pod.every:
            for secret, _ in taken(pod, container, "secret"):
                for logical in LOGINS.get(secret, ()):
                    server = SERVERS[logical]
                    service = made.one("Service", server.name)["spec"]
                    (port,) = (one for one in service["ports"] if one["port"] == server.port)
                    for target in selected(made, service["selector"]):
                        number = target.ports.get(port["targetPort"], port["targetPort"])
                        yield Edge(pod.name, target.name, number)
        yield from names(pod.name)
    yield from EXPLICIT
    yield from MORE.get(made.name, ())


def names(who: str) -> Iterator[Edge]:
    return (Edge(who, server, 53, protocol) for server, protocol in LOOKED_UP)


@pytest.mark.parametrize("name", BUILDS)
def test_each_wanted_edge_is_let_through_at_both_ends(name: str) -> None:
    made = build(name)
    ends = {one.name: one for one in (*inside(made), *OUTSIDE)}
    for edge in set(wanted(made)):
        for direction in ("Egress", "Ingress"):
            found = allows(policies(made), direction, ends[edge.source], ends[edge.target], edge.port, edge.protocol)
            assert found, f"{edge}: not by {direction}"


@pytest.mark.parametrize("name", BUILDS)
def test_no_other_edge_is_let_through(name: str) -> None:
    made = build(name)
    everyone = [*inside(made), NEWCOMER, *OUTSIDE]
    ports = {port for one in everyone for port in one.ports.values()} | named_ports(policies(made)) | {22, 80}
    outside = {one.name for one in OUTSIDE}
    found = {
        one for one in edges(policies(made), everyone, ports) if not (one.source in outside and one.target in outside)
    }
    expected = {*wanted(made), *names("newcomer")}
    assert sorted(found - expected) == []
    assert sorted(expected - found) == []


@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
@pytest.mark.parametrize("name", ["dev", "prod"])  # CloudNativePG's pods may go anywhere by 443: the other end says no
def test_no_end_alone_lets_more_through(name: str, direction: str) -> None:
    made = build(name)
    pods = [*inside(made), NEWCOMER]
    expected = set(wanted(made))
    for port in named_ports(policies(made)):
        for source in pods:
            for target in pods:
                if allows(policies(made), direction, source, target, port):
                    assert Edge(source.name, target.name, port) in expected


@pytest.mark.parametrize("name", BUILDS)
def test_everybody_is_denied_everything_first(name: str) -> None:
    made = build(name)
    whole = [
        one
        for one in policies(made)
        if one["spec"]["podSelector"] == {} and not one["spec"].get("ingress") and not one["spec"].get("egress")
    ]
    for pod in (*inside(made), NEWCOMER):
        for direction in ("Ingress", "Egress"):
            assert applying(whole, pod, direction), f"{pod.name}: {direction}"


@pytest.mark.parametrize("name", BUILDS)
def test_each_policy_is_about_somebody(name: str) -> None:
    made = build(name)
    for one in policies(made):
        assert any(selects(one["spec"]["podSelector"], pod.labels) for pod in made.pods), one["metadata"]["name"]


def test_every_server_is_reached_by_somebody_else() -> None:
    reached = {edge.target for edge in wanted(build("dev")) if edge.source != edge.target}
    assert reached >= set(BY_NAME)
    assert {edge.source for edge in wanted(build("dev"))} == set(WORKLOADS)


@pytest.mark.parametrize("name", ["dev", "prod-cnpg"])
def test_each_policy_is_needed(name: str) -> None:
    made = build(name)
    everyone = [*inside(made), NEWCOMER, *OUTSIDE]
    whole = {one["metadata"]["name"]: one for one in policies(made)}
    assert len(whole) == len(policies(made))
    for which, policy in whole.items():
        ports = {min(named_ports([policy]), default=80)}
        kept = [one for name, one in whole.items() if name != which]
        assert set(edges(kept, everyone, ports)) != set(edges(policies(made), everyone, ports)), which
