"""PromptSales in a real cluster (``pytest -m kubernetes --kube-context NAME``), and what is asked of one."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from overlay import adapted, only_urls, scenarios, servers

from harness.kubernetes.kubectl import Kubectl
from harness.kubernetes.parts import PART_OF

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = ROOT / "k8s" / "overlays" / "dev"
MINUTES = 15


class Promptsales:
    """The overlay in a namespace of its own."""

    def __init__(self, kubectl: Kubectl, wanted: set[str]) -> None:
        self.kubectl = kubectl
        self.wanted = wanted

    def harness(self, *words: str) -> subprocess.CompletedProcess[str]:
        there = ["--kube-context", self.kubectl.context, "--namespace", self.kubectl.namespace]
        command = [
            sys.executable,
            "-c",
            "from harness.cli import main; main()",
            "kubernetes",
            words[0],
            *there,
            *words[1:],
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=MINUTES * 60, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def promptsales(request: pytest.FixtureRequest) -> Iterator[Promptsales]:
    context = request.config.getoption("--kube-context")
    if not context:
        pytest.skip("no cluster: give --kube-context")
    licence = os.environ.get("ACCEPT_EULA", "").upper() in ("Y", "YES")
    wanted = servers(request.config.getoption("--kube-parts"), licence)
    image = request.config.getoption("--kube-image") or os.environ.get("PROMPTSALES_KUBE_IMAGE", "")
    kubectl = Kubectl(context, f"{PART_OF}-test-{secrets.token_hex(3)}")
    kubectl.call("create", "namespace", kubectl.namespace)
    try:
        restricted = "pod-security.kubernetes.io/enforce=restricted"
        kubectl.call("label", "namespace", kubectl.namespace, restricted)
        command = [sys.executable, "-c", "from harness.cli import main; main()", "kubernetes", "secrets"]
        command += ["--namespace", kubectl.namespace, *(["--accept-eula"] if licence else [])]
        made = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert made.returncode == 0, made.stderr
        listed = only_urls(yaml.safe_load(made.stdout), wanted)
        kubectl.call("apply", "--server-side", "--filename=-", text=json.dumps(listed))
        documents = yaml.safe_load_all(kubectl.call("kustomize", str(OVERLAY)))
        objects = adapted(documents, kubectl.namespace, wanted, image)
        kubectl.call("apply", "--filename=-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        patience = f"--timeout={MINUTES}m"
        kubectl.call("wait", "--for=condition=complete", "job/migrate", patience, seconds=MINUTES * 60 + 30)
        kubectl.call("rollout", "status", "statefulset/harness-agent", patience, seconds=MINUTES * 60 + 30)
        yield Promptsales(kubectl, wanted)
    finally:
        kubectl.call("delete", "namespace", kubectl.namespace, "--wait=true", "--timeout=5m", seconds=330)


@pytest.mark.kubernetes
def test_deadlocks_inside_a_cluster_are_found_and_say_on_which_nodes(promptsales: Promptsales, tmp_path: Path) -> None:
    ran = promptsales.harness("run", "--", *scenarios(promptsales.wanted))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    fetched = promptsales.harness("fetch", str(tmp_path / "here"))
    assert fetched.returncode == 0, fetched.stderr
    evidence = [json.loads(file.read_text("utf-8")) for file in (tmp_path / "here").rglob("*evidence.json")]
    cases = {name: [one for one in evidence if name in json.dumps(one["history"])] for name in ("cascade", "two_hosts")}
    for name, found in cases.items():
        assert found, name
        for one in found:
            assert one["verdict"]["deadlocks"], name
            assert one["verdict"]["status"] == "passed"
    pods = promptsales.kubectl.read("get", "pods", "--selector=app.kubernetes.io/name=harness-agent")["items"]
    nodes = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods}
    for one in cases["two_hosts"]:
        assert {host["hostname"]: host["node"] for host in one["history"]["hosts"]} == nodes
    (page, *_) = sorted((tmp_path / "here").glob("*/report.html"), reverse=True)
    assert "deadlock" in page.read_text("utf-8")


# -- without a cluster: what is asked of one


def objects() -> list[dict[str, Any]]:
    def of(kind: str, part: str, **more: Any) -> dict[str, Any]:
        labels = {"app.kubernetes.io/name": part} if part else {}
        return {
            "kind": kind,
            "metadata": {"name": part or kind.lower(), "namespace": PART_OF, "labels": labels},
            **more,
        }

    pod = {"containers": [{"image": "promptsales-harness:0.1.0", "env": [{"value": "mcp.promptsales.svc:8765"}]}]}
    return [
        of("Namespace", ""),
        of("StatefulSet", "postgresql", spec={"image": "postgres:18.6"}),
        of("StatefulSet", "sqlserver-ads"),
        of("Deployment", "mcp", spec={"template": {"spec": pod}}),
        of("Job", "harness", spec={"template": {"spec": pod}}),
        of("NetworkPolicy", "mcp"),
        of("PersistentVolumeClaim", ""),
    ]


def test_the_whole_overlay_in_another_namespace() -> None:
    wanted = servers("", licence=True)
    made = adapted(objects(), "ours", wanted, "registry.example/harness:1")
    assert [one["kind"] for one in made] == [one["kind"] for one in objects()[1:]]
    assert {one["metadata"]["namespace"] for one in made} == {"ours"}
    (container,) = made[2]["spec"]["template"]["spec"]["containers"]
    assert container == {"image": "registry.example/harness:1", "env": [{"value": "mcp.ours.svc:8765"}]}
    assert made[0]["spec"] == {"image": "postgres:18.6"}


def test_a_part_of_the_overlay() -> None:
    made = adapted(objects(), "ours", servers("postgresql", licence=False), "")
    assert [(one["kind"], one["metadata"]["name"]) for one in made] == [
        *(("StatefulSet", "postgresql"), ("Job", "harness"), ("NetworkPolicy", "mcp")),
        ("PersistentVolumeClaim", "persistentvolumeclaim"),
    ]


def test_sql_server_only_with_its_licence() -> None:
    assert not any("sqlserver" in one for one in servers("", licence=False))
    assert servers("postgresql, redis", licence=False) == {"postgresql", "redis"}
    with pytest.raises(pytest.fail.Exception, match="set ACCEPT_EULA=Y"):
        servers("sqlserver-ads", licence=False)
    with pytest.raises(pytest.fail.Exception, match="there is no postgres;"):
        servers("postgres", licence=True)


def test_nobody_is_given_the_url_of_a_server_that_is_not_there() -> None:
    urls = {"PROMPTSALES_URL": "a", "PROMPTADS_URL": "b", "CACHE_URL": "c"}
    listed = {
        "kind": "List",
        "items": [
            {"metadata": {"name": "urls-owner"}, "stringData": urls},
            {"metadata": {"name": "postgresql"}, "data": {"POSTGRES_PASSWORD": "d"}},
        ],
    }
    owner, server = only_urls(listed, {"postgresql", "redis"})["items"]
    assert owner["stringData"] == {"PROMPTSALES_URL": "a", "CACHE_URL": "c"}
    assert server["data"] == {"POSTGRES_PASSWORD": "d"}
    assert listed["items"][0]["stringData"] == urls


def test_the_scenarios_that_are_run_exist() -> None:
    words = scenarios({"postgresql", "sqlserver-ads"})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "--servers=external", *words],
        env=os.environ | {"PROMPTSALES_URL": "postgresql://u:p@127.0.0.1:1/x", "PROMPTADS_URL": "sqlserver://u:p@127.0.0.1:1/x"},
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    for case in ("cascade.yaml", "two_hosts.yaml"):
        for engine in ("postgresql", "sqlserver"):
            assert any(case in line and f"{engine}-read_committed" in line for line in done.stdout.splitlines()), (
                done.stdout
            )
