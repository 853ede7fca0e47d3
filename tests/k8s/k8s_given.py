"""What pods are given of Secrets and ConfigMaps, and which of them a Service finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from k8s_build import Build, Object, Pod


def selected(made: Build, selector: Mapping[str, str]) -> list[Pod]:
    return [pod for pod in made.pods if selector.items() <= pod.labels.items()]


def volumes(pod: Pod) -> dict[str, Object]:
    return {one["name"]: one for one in pod.spec.get("volumes", ())}


def from_environment(container: Object, reference: str) -> Iterator[tuple[str, str | None]]:
    """Name and key of each ``secret`` or ``configMap`` that its environment is taken from; no key: all of them."""
    for one in container.get("env", ()):
        if found := one.get("valueFrom", {}).get(f"{reference}KeyRef"):
            yield found["name"], found["key"]
    for one in container.get("envFrom", ()):
        if found := one.get(f"{reference}Ref"):
            yield found["name"], None


def from_volumes(pod: Pod, container: Object, reference: str) -> Iterator[tuple[str, str | None]]:
    """The same of what it mounts."""
    field = {"secret": "secretName", "configMap": "name"}[reference]
    for mount in container.get("volumeMounts", ()):
        source = volumes(pod).get(mount["name"], {}).get(reference)
        if source is None:
            continue
        for item in source.get("items", [None]):
            yield source[field], item and item["key"]


def taken(pod: Pod, container: Object, reference: str) -> set[tuple[str, str | None]]:
    return {*from_environment(container, reference), *from_volumes(pod, container, reference)}
