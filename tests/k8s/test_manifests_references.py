"""Whatever a manifest names is there: Secrets and their keys, ConfigMaps, claims, pods, ports, files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from k8s_build import BUILDS, K8S, NAME, WORKLOADS, Build, Object, Pod, build
from k8s_given import selected, taken, volumes

from harness.kubernetes.parts import COMPONENTS, LOCUST_PORT, MCP_PORT, SERVERS, SSH_PORT, SSO_PORT, url_secret
from harness.kubernetes.secrets import KEYS

pytestmark = pytest.mark.k8s_manifests

_OWNER, _CIPHER = url_secret("owner"), "crm-encryption"
GIVEN: Mapping[str, set[str]] = {
    "postgresql": {"postgresql"},
    "sqlserver-ads": {"sqlserver-ads", "sqlserver-licence"},
    "sqlserver-crm": {"sqlserver-crm", "sqlserver-licence"},
    "mongodb": {"mongodb"},
    "redis": {"redis"},
    "migrate": {url_secret(one) for one in COMPONENTS} | {_CIPHER},
    "seed-ads": {_OWNER},
    "seed-content": {_OWNER},
    "seed-crm": {_OWNER, _CIPHER},
    "etl": {"etl-variables"},
    "mcp": {url_secret("mcp"), _CIPHER, url_secret("sso"), "sso-keys"},
    "locust-master": set(),
    "locust-worker": {url_secret("load")},
    "harness-agent": {"harness-agent-ssh"},
    "harness": {url_secret("harness"), "harness-ssh"},
}
"""Which Secrets each pod is given, and no other."""
OWNERS = {"migrate", "seed-ads", "seed-content", "seed-crm"}
SERVICES: Mapping[str, set[int]] = {
    **{server.name: {server.port} for server in SERVERS.values()},
    "mcp": {MCP_PORT},
    "sso": {SSO_PORT},
    "locust-master": {LOCUST_PORT},  # its page has no log-in: kubectl port-forward
    "harness-agent": {SSH_PORT},
}


@pytest.mark.parametrize("name", BUILDS)
def test_no_secret_is_in_the_manifests(name: str) -> None:
    made = build(name)
    assert made.names("Secret") == set()
    literals = [
        f"{pod.name} {one['name']}"
        for pod in made.pods
        for container in pod.every
        for one in container.get("env", ())
        if re.search(r"PASSWORD|SECRET|TOKEN|_URL$", one["name"]) and one.get("value")
    ]
    assert literals == []
    logins = [str(one) for one in made.objects if re.search(r"://[^/\s'\"]*:[^/\s'\"]*@", str(one))]
    assert logins == []


@pytest.mark.parametrize("name", BUILDS)
def test_each_secret_and_its_key_are_made_by_the_harness(name: str) -> None:
    made = build(name)
    found = {one for pod in made.pods for each in pod.every for one in taken(pod, each, "secret")}
    assert found
    lacking = {
        (secret, key) for secret, key in found if key not in KEYS.get(secret, ()) and (key or secret not in KEYS)
    }
    assert lacking == set()


@pytest.mark.parametrize("part", WORKLOADS)
@pytest.mark.parametrize("name", [one for one in BUILDS if one != "prod-cnpg"])
def test_each_pod_is_given_its_own_secrets(name: str, part: str) -> None:
    pod = build(name).pod(part)
    given = {secret for each in pod.every for secret, _ in taken(pod, each, "secret")}
    assert given == GIVEN[part]
    assert {one["secret"]["secretName"] for one in volumes(pod).values() if "secret" in one} <= given
    assert (_OWNER in given) == (part in OWNERS)


def test_every_secret_is_given_to_somebody() -> None:
    assert set().union(*GIVEN.values()) == set(KEYS)


def test_the_issuer_and_the_mcp_servers_have_each_their_own_in_one_pod() -> None:
    pod = build("dev").pod("mcp")
    given = {one["name"]: {secret for secret, _ in taken(pod, one, "secret")} for one in pod.containers}
    assert given == {"mcp": {url_secret("mcp"), _CIPHER}, "sso": {url_secret("sso"), "sso-keys"}}


@pytest.mark.parametrize("name", BUILDS)
def test_each_configmap_and_claim_is_there(name: str) -> None:
    made = build(name)
    maps = {one["metadata"]["name"]: set(one.get("data", {})) for one in made.kind("ConfigMap")}
    used = {one for pod in made.pods for each in pod.every for one in taken(pod, each, "configMap")}
    assert {(one, key) for one, key in used if one not in maps or (key and key not in maps[one])} == set()
    assert {one for one, _ in used} == set(maps), "a ConfigMap that nobody reads"
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in made.pods
        for volume in volumes(pod).values()
        if "persistentVolumeClaim" in volume
    }
    assert claims == made.names("PersistentVolumeClaim") == {"results"}


@pytest.mark.parametrize("name", BUILDS)
def test_what_is_mounted_is_there_and_what_is_there_is_mounted(name: str) -> None:
    for pod in build(name).pods:
        claims = {one["metadata"]["name"] for one in pod.workload["spec"].get("volumeClaimTemplates", ())}
        mounted = {mount["name"] for each in pod.every for mount in each.get("volumeMounts", ())}
        assert mounted == claims | volumes(pod).keys(), pod.name
        for each in pod.every:
            paths = [mount["mountPath"] for mount in each.get("volumeMounts", ())]
            assert len(paths) == len(set(paths)), f"{pod.name} {each['name']}"


@pytest.mark.parametrize("name", BUILDS)
def test_files_of_secrets_that_are_named_are_mounted(name: str) -> None:
    looked_at = 0
    for pod in build(name).pods:
        for each in pod.every:
            text = "\n".join(
                [
                    *(str(one.get("value", "")) for one in each.get("env", ())),
                    *each.get("command", ()),
                    *each.get("args", ()),
                ]
            )
            for mount in each.get("volumeMounts", ()):
                files = _files(build(name), volumes(pod).get(mount["name"], {}))
                if files is None:
                    continue
                named = set(re.findall(rf"(?<![\w/]){re.escape(mount['mountPath'])}/([\w.-]+)", text))
                looked_at += len(named)
                assert named <= files, f"{pod.name} {each['name']}: {mount['mountPath']}"
    assert looked_at


def _files(made: Build, volume: Object) -> set[str] | None:
    """What a volume of a Secret or ConfigMap has in it."""
    for reference, field in (("secret", "secretName"), ("configMap", "name")):
        if source := volume.get(reference):
            if "items" in source:
                return {one["path"] for one in source["items"]}
            if reference == "secret":
                return set(KEYS[source[field]])
            return set(made.one("ConfigMap", source[field])["data"])
    return None


@pytest.mark.parametrize("name", BUILDS)
def test_each_service_has_pods_and_their_ports(name: str) -> None:
    made = build(name)
    assert made.names("Service") == set(SERVICES)
    for service in made.kind("Service"):
        which = service["metadata"]["name"]
        pods = selected(made, service["spec"]["selector"])
        assert len(pods) == 1, which
        ports = {one["port"] for one in service["spec"]["ports"]}
        assert ports == SERVICES[which], which
        for one in service["spec"]["ports"]:
            target = one.get("targetPort", one["port"])
            assert target in pods[0].ports or target in pods[0].ports.values(), f"{which}: {target}"
            assert pods[0].ports.get(target, target) == one["port"], which


@pytest.mark.parametrize("name", BUILDS)
def test_probes_ask_ports_that_there_are(name: str) -> None:
    for pod in build(name).pods:
        for each in pod.containers:
            own = {one["name"] for one in each.get("ports", ())} | {
                one["containerPort"] for one in each.get("ports", ())
            }
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                for way in ("tcpSocket", "httpGet"):
                    if way in each.get(probe, {}):
                        assert each[probe][way]["port"] in own, f"{pod.name} {each['name']} {probe}"


@pytest.mark.parametrize("name", BUILDS)
def test_workloads_know_their_own_pods(name: str) -> None:
    made = build(name)
    for one in made.kind("Deployment", "StatefulSet"):
        which, selector = one["metadata"]["name"], one["spec"]["selector"]["matchLabels"]
        assert [pod.name for pod in selected(made, selector)] == [which]
        if one["kind"] == "StatefulSet":
            service = made.one("Service", one["spec"]["serviceName"])
            assert [pod.name for pod in selected(made, service["spec"]["selector"])] == [which]
    for pod in made.pods:
        assert pod.labels[NAME] == pod.name


@pytest.mark.parametrize("name", BUILDS)
def test_what_scales_and_what_protects_has_something_to(name: str) -> None:
    made = build(name)
    for one in made.kind("HorizontalPodAutoscaler"):
        target = one["spec"]["scaleTargetRef"]
        scaled = made.one(target["kind"], target["name"])
        assert "replicas" not in scaled["spec"], "kubectl apply would set back what the autoscaler has set"
        assert one["spec"]["minReplicas"] <= one["spec"]["maxReplicas"]
    for one in made.kind("PodDisruptionBudget"):
        (pod,) = selected(made, one["spec"]["selector"]["matchLabels"])
        spec = one["spec"]
        replicas = pod.workload["spec"]["replicas"] if "replicas" in pod.workload["spec"] else _least(made, pod)
        assert spec.get("maxUnavailable", 0) >= 1 or spec["minAvailable"] < replicas, "no node could be drained"
        assert replicas > 1, f"{pod.name}: a budget of one pod"
    if name.startswith("prod"):
        assert made.names("PodDisruptionBudget")
    assert made.names("HorizontalPodAutoscaler") == {"locust-worker"}


def _least(made: Build, pod: Pod) -> int:
    return made.one("HorizontalPodAutoscaler", pod.name)["spec"]["minReplicas"]


@pytest.mark.parametrize("name", ["prod", "prod-cnpg"])
def test_the_ingress_leads_to_services_by_their_public_names(name: str) -> None:
    made = build(name)
    public = made.one("ConfigMap", "public-urls")["data"]
    (ingress,) = made.kind("Ingress")
    led: dict[str, Any] = {}
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            service = made.one("Service", backend["name"])
            assert backend["port"]["name"] in {one["name"] for one in service["spec"]["ports"]}
            led[backend["name"]] = f"https://{rule['host']}"
    assert led == public
    assert {host for one in ingress["spec"]["tls"] for host in one["hosts"]} == {
        url.removeprefix("https://") for url in public.values()
    }


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("dev", "preferred"), ("two-pcs", "required"), ("prod", "required"), ("prod-cnpg", "required")],
)
def test_agents_are_on_different_nodes(name: str, wanted: str) -> None:
    spec = build(name).pod("harness-agent").spec
    rules = spec["affinity"]["podAntiAffinity"]
    (only,) = rules
    assert only.startswith(wanted)
    (one,) = rules[only]
    term = one.get("podAffinityTerm", one)
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"] == {NAME: "harness-agent"}
    assert build(name).pod("harness-agent").workload["spec"]["replicas"] == 2


@pytest.mark.parametrize("name", [one for one in BUILDS if one != "dev+etl-resident"])
def test_every_eleven_minutes_as_far_as_cron_can(name: str) -> None:
    spec = build(name).one("CronJob", "etl")["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("*/11 * * * *", "Forbid")
    told = (K8S / "README.md").read_text("utf-8")
    assert re.search(r"55\b.*\b5 minutes", told)
    assert "etl-resident" in told


def test_the_resident_etl_is_there_instead() -> None:
    made = build("dev+etl-resident")
    assert made.names("CronJob") == set()
    assert made.one("Deployment", "etl")["spec"]["replicas"] == 1


def test_the_store_gives_every_secret_and_key() -> None:
    made = {
        one["spec"]["target"]["name"]: {each["secretKey"] for each in one["spec"]["data"]}
        for one in build("dev+external-secrets").kind("ExternalSecret")
    }
    assert made == {name: set(keys) for name, keys in KEYS.items()}
