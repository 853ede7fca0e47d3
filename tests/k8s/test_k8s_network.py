"""The evaluator of NetworkPolicies, held against Kubernetes' own description by policies made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from k8s_network import Edge, Endpoint, allows, edges, named_ports, selects

pytestmark = pytest.mark.k8s_manifests

A, B = Endpoint("a", {"app": "a"}), Endpoint("b", {"app": "b"}, ports={"sql": 5432})
ELSEWHERE = Endpoint("elsewhere", {"app": "a"}, "other")
WORLD = Endpoint("world", namespace=None)
EVERYONE = (A, B, ELSEWHERE, WORLD)


def policy(selector: Any = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "promptsales"}, "spec": {"podSelector": selector or {}, **spec}}


def app(name: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": {"app": name}}}


def into_b(*peers: Any, ports: Any = None) -> dict[str, Any]:
    rule = {"from": list(peers)} if peers else {}
    return policy({"matchLabels": {"app": "b"}}, ingress=[rule if ports is None else {**rule, "ports": ports}])


DENY = policy(policyTypes=["Ingress", "Egress"])


def enter(*policies: Any, port: int = 5432, protocol: str = "TCP") -> set[str]:
    """Who gets into b."""
    return {one.name for one in EVERYONE if allows(policies, "Ingress", one, B, port, protocol)}


def test_nothing_is_denied_where_nothing_is_selected() -> None:
    assert enter() == {"a", "b", "elsewhere", "world"}
    assert enter(policy({"matchLabels": {"app": "a"}})) == {"a", "b", "elsewhere", "world"}
    assert enter({**DENY, "metadata": {"namespace": "other"}}) == {"a", "b", "elsewhere", "world"}


def test_who_is_selected_is_denied_the_rest() -> None:
    assert enter(DENY) == set()
    assert enter(DENY, into_b(app("a"))) == {"a"}
    assert enter(into_b(app("a"))) == {"a"}


def test_both_ends_have_to_allow_it() -> None:
    ingress = into_b(app("a"))
    egress = policy({"matchLabels": {"app": "a"}}, policyTypes=["Egress"], egress=[{"to": [app("b")]}])
    assert list(edges([DENY, ingress], (A, B), [5432])) == []
    assert list(edges([DENY, egress], (A, B), [5432])) == []
    assert set(edges([DENY, ingress, egress], (A, B), [5432])) == {
        Edge("a", "b", 5432, "TCP"),
        Edge("a", "b", 5432, "UDP"),
    }


def test_a_rule_without_peers_is_for_everybody_and_one_with_none_for_nobody() -> None:
    assert enter(into_b()) == {"a", "b", "elsewhere", "world"}
    assert enter(policy({"matchLabels": {"app": "b"}}, ingress=[])) == set()
    assert enter(policy({"matchLabels": {"app": "b"}}, policyTypes=["Ingress"])) == set()


def test_types_that_are_not_told() -> None:
    egress = policy({"matchLabels": {"app": "a"}}, egress=[{"to": [app("b")]}])
    assert not allows([egress], "Ingress", B, A, 80), "Ingress is always meant"
    assert not allows([egress], "Egress", A, WORLD, 80), "Egress is meant where there are rules of it"
    assert allows([into_b(app("a"))], "Egress", B, WORLD, 80)
    assert allows([policy(policyTypes=["Egress"])], "Ingress", A, B, 80)


def test_namespaces() -> None:
    other = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}
    assert enter(into_b(app("a"))) == {"a"}, "a pod's selector alone is of the policy's own namespace"
    assert enter(into_b(other)) == {"elsewhere"}
    assert enter(into_b({**other, **app("b")})) == set(), "both in one peer: both have to hold"
    assert enter(into_b(other, app("b"))) == {"b", "elsewhere"}, "in two peers: one of them"
    assert enter(into_b({"namespaceSelector": {}})) == {"a", "b", "elsewhere"}


def test_addresses_are_outside() -> None:
    assert enter(into_b({"ipBlock": {"cidr": "0.0.0.0/0"}})) == {"world"}
    assert enter(into_b({"ipBlock": {"cidr": f"{WORLD.address}/32"}})) == {"world"}
    assert enter(into_b({"ipBlock": {"cidr": "198.51.100.0/24"}})) == set()
    assert enter(into_b({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}})) == set()


@pytest.mark.parametrize(
    ("ports", "port", "protocol", "allowed"),
    [
        ([{"port": 5432}], 5432, "TCP", True),
        ([{"port": 5432}], 5433, "TCP", False),
        ([{"port": 5432}], 5432, "UDP", False),
        ([{"port": 5432, "protocol": "UDP"}], 5432, "UDP", True),
        ([{"port": "sql"}], 5432, "TCP", True),
        ([{"port": "sql"}], 5433, "TCP", False),
        ([{"port": "unknown"}], 5432, "TCP", False),
        ([{"port": 5000, "endPort": 5999}], 5432, "TCP", True),
        ([{"port": 5000, "endPort": 5999}], 6000, "TCP", False),
        ([{"protocol": "TCP"}], 1, "TCP", True),
        ([{"port": 1}, {"port": 2}], 2, "TCP", True),
        ([], 1, "TCP", True),
        (None, 1, "UDP", True),
    ],
)
def test_ports(ports: Any, port: int, protocol: str, allowed: bool) -> None:
    assert enter(into_b(app("a"), ports=ports), port=port, protocol=protocol) == ({"a"} if allowed else set())


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ({}, True),
        ({"matchLabels": {"app": "a"}}, True),
        ({"matchLabels": {"app": "a", "tier": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a", "b"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
    ],
)
def test_selectors(selector: Any, chosen: bool) -> None:
    assert selects(selector, A.labels) is chosen


@pytest.mark.parametrize(
    "selector",
    [{"matchLabel": {"app": "a"}}, {"matchExpressions": [{"key": "app", "operator": "Is", "values": ["a"]}]}],
)
def test_a_selector_that_means_nothing_is_no_selector(selector: Any) -> None:
    with pytest.raises(ValueError, match="a selector has no"):
        selects(selector, A.labels)


def test_ports_that_are_named_and_their_neighbours_are_tried() -> None:
    assert named_ports([into_b(ports=[{"port": 5000, "endPort": 5999}, {"port": "sql"}])]) == {5000, 5001, 5999, 6000}
