"""What NetworkPolicies allow, worked out from what they say: as a network plug-in would have it, without one.

A connection is allowed where both ends allow it. An end that no policy selects allows everything; one that is
selected allows what any of its policies does. ``ipBlock`` is of addresses, which pods here do not have: it matches
what is outside only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from k8s_build import Object

PEERS = {"Ingress": "from", "Egress": "to"}


@dataclass(frozen=True)
class Endpoint:
    """A pod; or, without a namespace, whatever is no pod of the cluster."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    namespace: str | None = "promptsales"
    ports: Mapping[str, int] = field(default_factory=dict, hash=False)
    address: str = "203.0.113.7"
    """Of what is no pod."""


@dataclass(frozen=True, order=True)
class Edge:
    source: str
    target: str
    port: int
    protocol: str = "TCP"


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector means something with these labels; an empty one means everything."""
    if unknown := selector.keys() - {"matchLabels", "matchExpressions"}:
        raise ValueError(f"a selector has no {', '.join(sorted(unknown))}")
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        _holds(one, labels) for one in selector.get("matchExpressions") or ()
    )


def _holds(one: Object, labels: Mapping[str, str]) -> bool:
    key, operator, values = one["key"], one["operator"], one.get("values", ())
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise ValueError(f"a selector has no operator {operator}")


def types(policy: Object) -> Sequence[str]:
    """The directions that it is about."""
    spec = policy["spec"]
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def applying(policies: Iterable[Object], pod: Endpoint, direction: str) -> list[Object]:
    """The policies that select it in this direction; none: everything is allowed."""
    return [
        one
        for one in policies
        if pod.namespace == one["metadata"]["namespace"]
        and direction in types(one)
        and selects(one["spec"]["podSelector"], pod.labels)
    ]


def allows(
    policies: Iterable[Object], direction: str, source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP"
) -> bool:
    """Whether one end lets it through: the source's egress, or the target's ingress."""
    own, other = (source, target) if direction == "Egress" else (target, source)
    there = applying(policies, own, direction)
    return not there or any(
        _from_or_to(rule.get(PEERS[direction]), other, one["metadata"]["namespace"])
        and _port(rule.get("ports"), target, port, protocol)
        for one in there
        for rule in one["spec"].get(direction.lower()) or ()
    )


def _from_or_to(peers: Sequence[Object] | None, other: Endpoint, namespace: str) -> bool:
    return not peers or any(_peer(one, other, namespace) for one in peers)


def _peer(peer: Object, other: Endpoint, namespace: str) -> bool:
    if block := peer.get("ipBlock"):
        left_out = any(_in(other.address, one) for one in block.get("except", ()))
        return other.namespace is None and _in(other.address, block["cidr"]) and not left_out
    if other.namespace is None or not peer:
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace}):
            return False
    elif other.namespace != namespace:
        return False
    return selects(peer.get("podSelector") or {}, other.labels)


def _in(address: str, block: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(block)


def _port(ports: Sequence[Object] | None, target: Endpoint, port: int, protocol: str) -> bool:
    return not ports or any(_one_port(one, target, port, protocol) for one in ports)


def _one_port(one: Object, target: Endpoint, port: int, protocol: str) -> bool:
    if one.get("protocol", "TCP") != protocol:
        return False
    wanted = one.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return target.ports.get(wanted) == port
    return wanted <= port <= one.get("endPort", wanted)


def edges(policies: Sequence[Object], everyone: Sequence[Endpoint], ports: Iterable[int]) -> Iterator[Edge]:
    """Every connection that both its ends allow. An endpoint stands for all pods of its kind, so it may reach itself."""
    tried = [(port, protocol) for port in sorted(set(ports)) for protocol in ("TCP", "UDP")]
    for source in everyone:
        for target in everyone:
            for port, protocol in tried:
                if allows(policies, "Egress", source, target, port, protocol) and allows(
                    policies, "Ingress", source, target, port, protocol
                ):
                    yield Edge(source.name, target.name, port, protocol)


def named_ports(policies: Iterable[Object]) -> set[int]:
    """Numbers that policies name, with those next to them."""
    found = {
        one[key]
        for policy in policies
        for direction in PEERS
        for rule in policy["spec"].get(direction.lower()) or ()
        for one in rule.get("ports") or ()
        for key in ("port", "endPort")
        if isinstance(one.get(key), int)
    }
    return found | {port + 1 for port in found}
