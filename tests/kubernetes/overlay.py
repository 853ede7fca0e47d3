"""The small overlay for a namespace of a test's own, and as much of it as was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from harness.kubernetes.parts import IMAGE, PART_OF, SERVERS
from harness.servers.urls import VARIABLE

LICENSED = {server.name for server in SERVERS.values() if server.scheme == "sqlserver"}
NEEDED = {"migrate", "harness", "harness-agent"}
"""Parts that a run needs besides servers."""
OF_THE_CLUSTER = {"Namespace", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "StorageClass"}
NAME = "app.kubernetes.io/name"


def servers(asked: str, licence: bool) -> set[str]:
    """The servers that are wanted: those asked for, else all whose licence is accepted."""
    every = {server.name for server in SERVERS.values()}
    wanted = {one.strip() for one in asked.split(",") if one.strip()} or (every if licence else every - LICENSED)
    if unknown := wanted - every:
        pytest.fail(f"--kube-parts: there is no {', '.join(sorted(unknown))}; there are {', '.join(sorted(every))}")
    if not licence and wanted & LICENSED:
        pytest.fail("--kube-parts: SQL Server's licence is yours to accept: set ACCEPT_EULA=Y")
    return wanted


def adapted(
    documents: Iterable[Mapping[str, Any] | None], namespace: str, wanted: set[str], image: str
) -> list[dict[str, Any]]:
    """The overlay's objects in this namespace: whole if every server is wanted, else those servers and what a run needs."""
    every = {server.name for server in SERVERS.values()}
    made = []
    for one in documents:
        if not one or one["kind"] in OF_THE_CLUSTER:
            continue
        part = one.get("metadata", {}).get("labels", {}).get(NAME, "")
        if wanted != every and part and part not in wanted | NEEDED and one["kind"] != "NetworkPolicy":
            continue
        moved = _renamed(one, namespace, image)
        moved["metadata"]["namespace"] = namespace
        made.append(moved)
    return made


def _renamed(node: Any, namespace: str, image: str) -> Any:
    """A copy in which nothing names the overlay's own namespace or image."""
    if isinstance(node, dict):
        return {
            key: image
            if key == "image" and image and str(one).startswith(f"{IMAGE}:")
            else namespace
            if key in ("namespace", "kubernetes.io/metadata.name") and one == PART_OF
            else _renamed(one, namespace, image)
            for key, one in node.items()
        }
    if isinstance(node, list):
        return [_renamed(one, namespace, image) for one in node]
    if isinstance(node, str):
        return re.sub(rf"\.{PART_OF}\.svc\b", f".{namespace}.svc", node)
    return node


def only_urls(secrets: Mapping[str, Any], wanted: set[str]) -> dict[str, Any]:
    """The Secrets without the URLs of servers that are not there: whoever is given none leaves that database alone."""
    gone = {VARIABLE[logical] for logical, server in SERVERS.items() if server.name not in wanted}
    items = []
    for one in secrets["items"]:
        kept = dict(one)
        for field in ("data", "stringData"):
            if field in kept and one["metadata"]["name"].startswith("urls-"):
                kept[field] = {key: value for key, value in kept[field].items() if key not in gone}
        items.append(kept)
    return {**secrets, "items": items}


def scenarios(wanted: set[str]) -> Sequence[str]:
    """What is run: the cascade, and the deadlock between two machines, on the engines that are there."""
    engines = {"postgresql": "postgresql", "sqlserver-ads": "sqlserver"}
    cases = " or ".join(f"{engine}-read_committed" for server, engine in engines.items() if server in wanted)
    return ["scenarios/deadlock/cascade.yaml", "scenarios/deadlock/two_hosts.yaml", "-k", cases]
